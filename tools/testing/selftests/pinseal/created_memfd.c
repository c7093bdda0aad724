// SPDX-License-Identifier: GPL-2.0-only
/*
 * A descriptor of PINSEAL_IOC_CREATE is a memfd to the kernel and to every program: system
 * calls have the same results on both. Tests of other programs that run on every kind of
 * object are not repeated here. Mappings: created_mappings.c. Execution: created_exec.c.
 * Commands: created_commands.c.
 */
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

#include "harness.h"
#include "as_memfd_fixture.h"
#include "async.h"
#include "content.h"
#include "holders.h"
#include "pass_fd.h"

#define WX_SEALS	(F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)

/* Inode and descriptor */

static long kib_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? -errno : st.st_blocks / 2;
}

TEST_F(as_memfd, is_an_unlinked_regular_file)
{
	struct stat st, like;
	struct statfs fs;

	ASSERT_EQ(0, fstat(self->fd, &st));
	ASSERT_EQ(0, fstat(self->memfd, &like));
	EXPECT_EQ(S_IFREG | 0777, st.st_mode);
	EXPECT_EQ(0, st.st_nlink);
	EXPECT_EQ(geteuid(), st.st_uid);
	EXPECT_EQ(getegid(), st.st_gid);
	EXPECT_EQ(self->len, st.st_size);
	EXPECT_EQ(self->len / 512, st.st_blocks);
	EXPECT_EQ(like.st_blksize, st.st_blksize);
	EXPECT_EQ(like.st_dev, st.st_dev);
	EXPECT_EQ(0, st.st_rdev);
	EXPECT_NE(like.st_ino, st.st_ino);
	ASSERT_EQ(0, fstatfs(self->fd, &fs));
	EXPECT_EQ(TMPFS_MAGIC, fs.f_type);
}

TEST_F(as_memfd, has_an_inode_that_can_be_changed)
{
	const struct timespec times[2] = { { .tv_sec = 11 }, { .tv_sec = 22 } };
	struct stat st;

	EXPECT_EQ(0, sys(fchmod(self->fd, 0640)));
	EXPECT_EQ(0, sys(fchown(self->fd, 65534, 65533)));
	EXPECT_EQ(0, sys(futimens(self->fd, times)));
	ASSERT_EQ(0, fstat(self->fd, &st));
	EXPECT_EQ(S_IFREG | 0640, st.st_mode);
	EXPECT_EQ(65534, st.st_uid);
	EXPECT_EQ(65533, st.st_gid);
	EXPECT_EQ(11, st.st_atime);
	EXPECT_EQ(22, st.st_mtime);
}

TEST_F(as_memfd, has_the_descriptor_flags)
{
	EXPECT_EQ(FD_CLOEXEC, fcntl(self->fd, F_GETFD));
	EXPECT_EQ(fcntl(self->memfd, F_GETFL), fcntl(self->fd, F_GETFL));
	EXPECT_EQ(O_RDWR, fcntl(self->fd, F_GETFL) & O_ACCMODE);
}

TEST_F(as_memfd, takes_the_status_flags)
{
	static const int flags[] = { O_APPEND, O_NONBLOCK, O_DIRECT, O_NOATIME, O_ASYNC, O_SYNC };

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		EXPECT_EQ(sys(fcntl(self->memfd, F_SETFL, flags[i])),
			  sys(fcntl(self->fd, F_SETFL, flags[i]))) {
			TH_LOG("flag %#o", flags[i]);
		}
		EXPECT_EQ(fcntl(self->memfd, F_GETFL), fcntl(self->fd, F_GETFL)) {
			TH_LOG("flag %#o", flags[i]);
		}
	}
	ASSERT_EQ(0, fcntl(self->fd, F_SETFL, O_APPEND));
	EXPECT_EQ(1, sys(pwrite(self->fd, "a", 1, 0)));
	EXPECT_EQ(self->len + 1, obj_size(self->fd));
	EXPECT_TRUE(is_copy(self, self->fd));
}

TEST_F(as_memfd, has_extended_attributes)
{
	static const char *const names[] = { "user.a", "trusted.a", "security.a", "other.a" };
	char value[2][64];
	const int fds[2] = { self->memfd, self->fd };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		long ret[2][5];

		memset(value, 0, sizeof(value));
		for (int k = 0; k < 2; k++) {
			ret[k][0] = sys(fgetxattr(fds[k], names[i], value[k], 64));
			ret[k][1] = sys(fsetxattr(fds[k], names[i], "v", 1, 0));
			ret[k][2] = sys(fgetxattr(fds[k], names[i], value[k], 64));
			ret[k][3] = sys(flistxattr(fds[k], value[k] + 8, 56));
			ret[k][4] = sys(fremovexattr(fds[k], names[i]));
		}
		for (int j = 0; j < 5; j++) {
			EXPECT_EQ(ret[0][j], ret[1][j]) {
				TH_LOG("%s, call %d", names[i], j);
			}
		}
		EXPECT_EQ(0, memcmp(value[0], value[1], 64));
	}
}

/* Commands of every file, which do not reach the file's own, and others' that do. */
TEST_F(as_memfd, answers_the_ioctls_of_files)
{
	static const struct {
		const char *what;
		unsigned long cmd;
	} rows[] = {
		{ "FIONREAD", FIONREAD }, { "FIOQSIZE", FIOQSIZE }, { "FIGETBSZ", FIGETBSZ },
		{ "FS_IOC_GETFLAGS", FS_IOC_GETFLAGS }, { "FS_IOC_FIEMAP", FS_IOC_FIEMAP },
		{ "FIDEDUPERANGE", FIDEDUPERANGE }, { "FIBMAP", FIBMAP },
		{ "FS_IOC_FSGETXATTR", FS_IOC_FSGETXATTR },
		{ "FS_IOC_GETVERSION", FS_IOC_GETVERSION },
		{ "TCGETS", TCGETS }, { "FIFREEZE", FIFREEZE },
		{ "an unused number of pinseal", _IO(PINSEAL_IOC_MAGIC, 0x7f) },
		{ "a command of pin handles", PINSEAL_PIN_IOC_LEASE },
	};
	char arg[2][256];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		memset(arg, 0, sizeof(arg));
		EXPECT_EQ(ps_ioctl(self->memfd, rows[i].cmd, arg[0]),
			  ps_ioctl(self->fd, rows[i].cmd, arg[1])) {
			TH_LOG("%s", rows[i].what);
		}
		EXPECT_EQ(0, memcmp(arg[0], arg[1], sizeof(arg[0]))) {
			TH_LOG("result of %s", rows[i].what);
		}
	}
	EXPECT_EQ(sys(ioctl(self->memfd, FICLONE, self->memfd)),
		  sys(ioctl(self->fd, FICLONE, self->memfd)));
	EXPECT_EQ(-ENOTTY, ps_ioctl(self->fd, TCGETS, arg));
}

TEST_F(as_memfd, is_no_file_of_a_directory)
{
	EXPECT_EQ(sys(linkat(self->memfd, "", AT_FDCWD, "/tmp/linked", AT_EMPTY_PATH)),
		  sys(linkat(self->fd, "", AT_FDCWD, "/tmp/linked", AT_EMPTY_PATH)));
	EXPECT_EQ(-ENOTDIR, sys(openat(self->fd, "x", O_RDONLY | O_CLOEXEC)));
	EXPECT_EQ(-ENOTDIR, sys(fchdir(self->fd)));
}

/* Size */

TEST_F(as_memfd, is_resized)
{
	EXPECT_EQ(0, sys(ftruncate(self->fd, 3 * self->len + 5)));
	EXPECT_EQ(3 * self->len + 5, obj_size(self->fd));
	EXPECT_EQ(0, sys(ftruncate(self->fd, 10)));
	EXPECT_EQ(10, sys(pread(self->fd, self->buf, self->len, 0)));
	EXPECT_EQ(-EINVAL, sys(ftruncate(self->fd, -1)));
	EXPECT_EQ(sys(ftruncate(self->memfd, INT64_MAX)), sys(ftruncate(self->fd, INT64_MAX)));
}

TEST_F(as_memfd, allocates_and_punches)
{
	const long page = self->page / 1024;

	EXPECT_EQ(0, obj_allocate(self->fd, 0, self->len, self->page));
	EXPECT_EQ(self->len + self->page, obj_size(self->fd));
	EXPECT_EQ((PAGES + 1) * page, kib_of(self->fd));
	EXPECT_EQ(0, obj_allocate(self->fd, FALLOC_FL_KEEP_SIZE, 2 * self->len, self->page));
	EXPECT_EQ(self->len + self->page, obj_size(self->fd));
	EXPECT_EQ((PAGES + 2) * page, kib_of(self->fd));
	EXPECT_EQ(0, sys(fallocate(self->fd, PUNCH, self->page, self->page)));
	EXPECT_EQ((PAGES + 1) * page, kib_of(self->fd));
	ASSERT_EQ(self->page, sys(pread(self->fd, self->buf, self->page, self->page)));
	EXPECT_TRUE(is_zero(self->buf, self->page));
}

TEST_F(as_memfd, knows_no_other_modes_of_fallocate)
{
	static const int modes[] = {
		FALLOC_FL_PUNCH_HOLE, FALLOC_FL_ZERO_RANGE,
		FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, FALLOC_FL_COLLAPSE_RANGE,
		FALLOC_FL_INSERT_RANGE, FALLOC_FL_UNSHARE_RANGE, 0x80, 1 << 30,
	};

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		EXPECT_EQ(-EOPNOTSUPP, sys(fallocate(self->fd, modes[i], 0, self->page))) {
			TH_LOG("mode %#x", modes[i]);
		}
	}
	EXPECT_TRUE(is_copy(self, self->fd));
}

TEST_F(as_memfd, seeks_data_and_holes)
{
	const off_t page = self->page, len = self->len;

	ASSERT_EQ(0, sys(fallocate(self->fd, PUNCH, page, page)));
	EXPECT_EQ(0, sys(lseek(self->fd, 0, SEEK_DATA)));
	EXPECT_EQ(page, sys(lseek(self->fd, 0, SEEK_HOLE)));
	EXPECT_EQ(2 * page, sys(lseek(self->fd, page, SEEK_DATA)));
	EXPECT_EQ(len, sys(lseek(self->fd, 2 * page, SEEK_HOLE)));
	EXPECT_EQ(-ENXIO, sys(lseek(self->fd, len, SEEK_DATA)));
	EXPECT_EQ(len - 3, sys(lseek(self->fd, -3, SEEK_END)));
	EXPECT_EQ(3, sys(read(self->fd, self->buf, self->len)));
	EXPECT_EQ(len, sys(lseek(self->fd, 0, SEEK_CUR)));
}

/* What inotify tells of calls on @fd: kinds of events, one bit each, in the order of arrival. */
static int watch(int fd, uint32_t events[8])
{
	char path[64], buf[8 * sizeof(struct inotify_event)];
	int inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK), n = 0;
	ssize_t got;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (inotify_add_watch(inotify, path, IN_ALL_EVENTS) < 0)
		n = -errno;
	if (pwrite(fd, "i", 1, 0) != 1 || pread(fd, path, 1, 0) != 1 || fchmod(fd, 0755) ||
	    ftruncate(fd, page_size()))
		n = -EIO;
	close(open_by_proc(fd, O_RDONLY));
	got = n ? 0 : read(inotify, buf, sizeof(buf));
	for (ssize_t at = 0; at < got && n < 8; at += sizeof(struct inotify_event))
		events[n++] = ((struct inotify_event *)(buf + at))->mask;
	close(inotify);
	return n;
}

TEST_F(as_memfd, is_watched_by_inotify)
{
	uint32_t events[2][8] = { 0 };

	EXPECT_EQ(watch(self->memfd, events[0]), watch(self->fd, events[1]));
	EXPECT_EQ(0, memcmp(events[0], events[1], sizeof(events[0])));
	EXPECT_NE(0, events[0][0]);
}

/* Reading and writing */

TEST_F(as_memfd, takes_the_flags_of_vector_calls)
{
	struct iovec iov = { self->buf, 100 };

	for (int bit = -1; bit < 32; bit++) {
		int flags = bit < 0 ? 0 : 1U << bit;

		EXPECT_EQ(sys(pwritev2(self->memfd, &iov, 1, 0, flags)),
			  sys(pwritev2(self->fd, &iov, 1, 0, flags))) {
			TH_LOG("write, flags %#x", flags);
		}
		EXPECT_EQ(sys(preadv2(self->memfd, &iov, 1, 0, flags)),
			  sys(preadv2(self->fd, &iov, 1, 0, flags))) {
			TH_LOG("read, flags %#x", flags);
		}
		EXPECT_EQ(obj_size(self->memfd), obj_size(self->fd)) {
			TH_LOG("size, flags %#x", flags);
		}
	}
}

/* The result of an io_uring request, or -errno. */
static int uring_do(const struct io_uring_sqe *sqe)
{
	struct io_uring_cqe cqe;
	struct uring ring;
	int ret = uring_open(&ring, 2, 0);

	if (ret)
		return ret;
	ret = uring_submit(&ring, sqe) ?: uring_wait(&ring, &cqe);
	uring_close(&ring);
	return ret ?: cqe.res;
}

TEST_F(as_memfd, works_with_io_uring)
{
	struct io_uring_sqe read = {
		.opcode = IORING_OP_READ, .fd = self->fd,
		.addr = (uintptr_t)self->buf, .len = self->len,
	};
	struct io_uring_sqe write = {
		.opcode = IORING_OP_WRITE, .fd = self->fd, .off = self->len,
		.addr = (uintptr_t)self->buf, .len = self->page,
	};
	struct io_uring_sqe allocate = {
		.opcode = IORING_OP_FALLOCATE, .fd = self->fd, .off = 2 * self->len,
		.addr = self->page,
	};
	struct io_uring_sqe truncate = {
		.opcode = IORING_OP_FTRUNCATE, .fd = self->fd, .off = self->page,
	};

	memset(self->buf, 0, self->len);
	EXPECT_EQ(self->len, uring_do(&read));
	EXPECT_TRUE(is_filled(self->buf, self->len, 1));
	EXPECT_EQ(self->page, uring_do(&write));
	EXPECT_EQ(self->len + self->page, obj_size(self->fd));
	EXPECT_EQ(0, uring_do(&allocate));
	EXPECT_EQ(2 * self->len + self->page, obj_size(self->fd));
	EXPECT_EQ(0, uring_do(&truncate));
	EXPECT_EQ(self->page, obj_size(self->fd));
	ASSERT_EQ(0, fcntl_add_seals(self->fd, F_SEAL_WRITE | F_SEAL_SHRINK));
	EXPECT_EQ(-EPERM, uring_do(&write));
	truncate.off = 0;
	EXPECT_EQ(-EPERM, uring_do(&truncate));
}

/* Partners of a copy: another of the kind, and a memfd. */
#define for_each_partner(other, variant)					\
	for (int __i = 0, other = obj_open((variant)->kind); __i < 2;		\
	     close(other), __i++, other = __i < 2 ? obj_open(MEMFD) : -1)

TEST_F(as_memfd, is_copied_by_copy_file_range)
{
	for_each_partner(other, variant) {
		loff_t from = 0, to = 0;

		ASSERT_EQ(self->len,
			  sys(copy_file_range(self->fd, &from, other, &to, self->len, 0)));
		EXPECT_TRUE(is_copy(self, other));
		/* And back, behind the end. */
		from = 0;
		to = self->len;
		ASSERT_EQ(self->len,
			  sys(copy_file_range(other, &from, self->fd, &to, self->len, 0)));
		EXPECT_EQ(2 * self->len, obj_size(self->fd));
		ASSERT_EQ(self->len, sys(pread(self->fd, self->buf, self->len, self->len)));
		EXPECT_TRUE(is_filled(self->buf, self->len, 1));

		/* From a sealed one, not into it. */
		ASSERT_EQ(0, fcntl_add_seals(other, F_SEAL_WRITE));
		from = to = 0;
		EXPECT_EQ(-EPERM, sys(copy_file_range(self->fd, &from, other, &to, self->page, 0)));
		EXPECT_EQ(self->page,
			  sys(copy_file_range(other, &from, self->fd, &to, self->page, 0)));
		ASSERT_EQ(0, sys(ftruncate(self->fd, self->len)));
	}
}

TEST_F(as_memfd, is_copied_by_sendfile)
{
	for_each_partner(other, variant) {
		off_t from = 0;

		ASSERT_EQ(self->len, sys(sendfile(other, self->fd, &from, self->len)));
		EXPECT_TRUE(is_copy(self, other));
		from = 0;
		ASSERT_EQ(0, lseek(self->fd, 0, SEEK_SET));
		ASSERT_EQ(self->len, sys(sendfile(self->fd, other, &from, self->len)));
		EXPECT_TRUE(is_copy(self, self->fd));
		ASSERT_EQ(0, fcntl_add_seals(other, F_SEAL_WRITE));
		from = 0;
		ASSERT_EQ(0, lseek(other, 0, SEEK_SET));
		EXPECT_EQ(-EPERM, sys(sendfile(other, self->fd, &from, self->page)));
	}
}

TEST_F(as_memfd, is_spliced)
{
	for_each_partner(other, variant) {
		loff_t from = 0, to = 0;
		int pipefd[2];

		ASSERT_EQ(0, pipe2(pipefd, O_CLOEXEC));
		for (int i = 0; i < PAGES; i++) {
			ASSERT_EQ(self->page, sys(splice(self->fd, &from, pipefd[1], NULL,
							 self->page, 0)));
			ASSERT_EQ(self->page, sys(splice(pipefd[0], NULL, other, &to,
							 self->page, 0)));
		}
		EXPECT_TRUE(is_copy(self, other));
		from = to = 0;
		ASSERT_EQ(self->page, sys(splice(other, &from, pipefd[1], NULL, self->page, 0)));
		EXPECT_EQ(self->page, sys(splice(pipefd[0], NULL, self->fd, &to, self->page, 0)));
		EXPECT_TRUE(is_copy(self, self->fd));
		close(pipefd[0]);
		close(pipefd[1]);
	}
}

TEST_F(as_memfd, is_not_spliced_into_when_sealed)
{
	loff_t to = 0;
	int pipefd[2];

	ASSERT_EQ(0, fcntl_add_seals(self->fd, F_SEAL_WRITE));
	ASSERT_EQ(0, pipe2(pipefd, O_CLOEXEC));
	ASSERT_EQ(1, sys(write(pipefd[1], "x", 1)));
	EXPECT_EQ(-EPERM, sys(splice(pipefd[0], NULL, self->fd, &to, 1, 0)));
	EXPECT_TRUE(is_copy(self, self->fd));
	close(pipefd[0]);
	close(pipefd[1]);
}

TEST_F(as_memfd, has_nothing_to_sync)
{
	EXPECT_EQ(0, sys(fsync(self->fd)));
	EXPECT_EQ(0, sys(fdatasync(self->fd)));
	EXPECT_EQ(sys(sync_file_range(self->memfd, 0, self->page, SYNC_FILE_RANGE_WRITE)),
		  sys(sync_file_range(self->fd, 0, self->page, SYNC_FILE_RANGE_WRITE)));
	EXPECT_EQ(sys(readahead(self->memfd, 0, self->len)),
		  sys(readahead(self->fd, 0, self->len)));
	for (int advice = 0; advice <= 6; advice++) {
		EXPECT_EQ(posix_fadvise(self->memfd, 0, self->len, advice),
			  posix_fadvise(self->fd, 0, self->len, advice)) {
			TH_LOG("advice %d", advice);
		}
	}
	EXPECT_TRUE(is_copy(self, self->fd));
}

/* Seals by fcntl() */

/* What @seals forbid by themselves: 0, or the number of the first wrong step. */
static int check_seals(int fd, size_t len, uint32_t seals)
{
	const int shrink = seals & F_SEAL_SHRINK ? -EPERM : 0;
	const int grow = seals & F_SEAL_GROW ? -EPERM : 0;
	const bool write = seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE);
	const int map = write ? -EPERM : 0;

	if (sys(pwrite(fd, "x", 1, 0)) != (write ? -EPERM : 1))
		return 1;
	if (ps_try_map(fd, len, RW, MAP_SHARED) != map)
		return 2;
	if (sys(fallocate(fd, PUNCH, 0, page_size())) != map)
		return 3;
	if (sys(fallocate(fd, 0, len, page_size())) != grow)
		return 4;
	if (sys(ftruncate(fd, 2 * len)) != grow)
		return 5;
	if (sys(ftruncate(fd, len / 2)) != shrink)
		return 6;
	return 0;
}

TEST_F(as_memfd, is_sealed_by_fcntl)
{
	for (uint32_t bit = 0; bit < 6; bit++) {
		uint32_t seals = 1U << bit, set = seals == F_SEAL_EXEC ? seals | WX_SEALS : seals;
		int fd = obj_create(variant->kind, self->len);

		ASSERT_LE(0, fd);
		EXPECT_EQ(0, fcntl(fd, F_GET_SEALS));
		ASSERT_EQ(0, fcntl_add_seals(fd, seals));
		EXPECT_EQ(set, fcntl(fd, F_GET_SEALS));
		EXPECT_EQ(set, obj_get_seals(fd));
		EXPECT_EQ(0, check_seals(fd, self->len, set)) {
			TH_LOG("seal %#x", seals);
		}
		EXPECT_EQ(seals == F_SEAL_EXEC ? -EPERM : 0, sys(fchmod(fd, 0666)));
		EXPECT_EQ(seals == F_SEAL_SEAL ? -EPERM : 0, fcntl_add_seals(fd, F_SEAL_GROW));
		EXPECT_EQ(seals == F_SEAL_SEAL ? -EPERM : 0, obj_add_seals(fd, F_SEAL_SHRINK));
		close(fd);
	}
}

TEST_F(as_memfd, takes_no_other_seals_by_fcntl)
{
	for (uint32_t bit = 6; bit < 32; bit++) {
		EXPECT_EQ(-EINVAL, memfd_add_seals(self->fd, 1U << bit)) {
			TH_LOG("bit %u", bit);
		}
	}
	EXPECT_EQ(0, fcntl(self->fd, F_GET_SEALS));
}

TEST_F(as_memfd, is_not_sealed_by_fcntl_while_mapped_writable)
{
	char *p = ps_map(self->fd, self->len, PROT_READ, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(-EBUSY, memfd_add_seals(self->fd, F_SEAL_WRITE));
	EXPECT_EQ(0, memfd_add_seals(self->fd, F_SEAL_FUTURE_WRITE));
	EXPECT_EQ(0, sys(mprotect(p, self->len, RW)));
	EXPECT_EQ(0, ps_touch(p, true));
	munmap(p, self->len);
	EXPECT_EQ(0, fcntl_add_seals(self->fd, F_SEAL_WRITE));
}

TEST_F(as_memfd, is_not_sealed_by_fcntl_while_held)
{
	for (int kind = 0; kind < HOLD_KINDS; kind++) {
		struct hold hold;

		ASSERT_EQ(0, hold_begin(&hold, kind, self->fd, 1, 1));
		EXPECT_EQ(-EBUSY, memfd_add_seals(self->fd, F_SEAL_WRITE)) {
			TH_LOG("%s", hold_name(kind));
		}
		EXPECT_EQ(0, fcntl(self->fd, F_GET_SEALS));
		ASSERT_EQ(0, hold_end(&hold));
	}
	EXPECT_EQ(0, fcntl_add_seals(self->fd, F_SEAL_WRITE));
}

/* Locks and leases */

TEST_F(as_memfd, has_leases)
{
	int ro = open_by_proc(self->fd, O_RDONLY), ro_memfd = open_by_proc(self->memfd, O_RDONLY);

	ASSERT_LE(0, ro);
	ASSERT_LE(0, ro_memfd);
	signal(SIGIO, SIG_IGN);
	EXPECT_EQ(F_UNLCK, sys(fcntl(self->fd, F_GETLEASE)));
	for (int type = F_RDLCK; type <= F_WRLCK; type++) {
		EXPECT_EQ(sys(fcntl(self->memfd, F_SETLEASE, type)),
			  sys(fcntl(self->fd, F_SETLEASE, type))) {
			TH_LOG("type %d", type);
		}
		EXPECT_EQ(fcntl(self->memfd, F_GETLEASE), fcntl(self->fd, F_GETLEASE));
		EXPECT_EQ(sys(fcntl(self->memfd, F_SETLEASE, F_UNLCK)),
			  sys(fcntl(self->fd, F_SETLEASE, F_UNLCK)));
		EXPECT_EQ(sys(fcntl(ro_memfd, F_SETLEASE, type)),
			  sys(fcntl(ro, F_SETLEASE, type))) {
			TH_LOG("read-only, type %d", type);
		}
		EXPECT_EQ(open_by_proc(self->memfd, O_RDWR | O_NONBLOCK) < 0,
			  open_by_proc(self->fd, O_RDWR | O_NONBLOCK) < 0) {
			TH_LOG("open for writing, type %d", type);
		}
		fcntl(ro_memfd, F_SETLEASE, F_UNLCK);
		fcntl(ro, F_SETLEASE, F_UNLCK);
	}
	close(ro);
	close(ro_memfd);
}

TEST_F(as_memfd, has_locks)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 10 };
	int other = open_by_proc(self->fd, O_RDWR);
	pid_t pid;

	ASSERT_LE(0, other);
	ASSERT_EQ(0, sys(flock(self->fd, LOCK_EX | LOCK_NB)));
	EXPECT_EQ(-EWOULDBLOCK, sys(flock(other, LOCK_SH | LOCK_NB)));
	ASSERT_EQ(0, sys(flock(self->fd, LOCK_UN)));
	EXPECT_EQ(0, sys(flock(other, LOCK_SH | LOCK_NB)));

	ASSERT_EQ(0, sys(fcntl(self->fd, F_OFD_SETLK, &lock)));
	EXPECT_EQ(-EAGAIN, sys(fcntl(other, F_OFD_SETLK, &lock)));
	lock.l_start = 10;
	EXPECT_EQ(0, sys(fcntl(other, F_OFD_SETLK, &lock)));

	lock.l_start = 100;
	ASSERT_EQ(0, sys(fcntl(self->fd, F_SETLK, &lock)));
	pid = ps_fork();
	if (!pid)
		_exit(sys(fcntl(self->fd, F_SETLK, &lock)) != -EAGAIN);
	EXPECT_EQ(0, ps_wait(pid));
	close(other);
}

TEST_F(as_memfd, is_ready_for_poll)
{
	EXPECT_EQ(ready_within(self->memfd, ~POLLNVAL, 0), ready_within(self->fd, ~POLLNVAL, 0));
	EXPECT_EQ(POLLIN | POLLOUT, ready_within(self->fd, POLLIN | POLLOUT | POLLPRI, 0));
}

/* Other ways to it */

TEST_F(as_memfd, is_reopened_by_proc)
{
	int rw = open_by_proc(self->fd, O_RDWR), ro = open_by_proc(self->fd, O_RDONLY);
	int wo = open_by_proc(self->fd, O_WRONLY);
	struct stat a, b;

	ASSERT_LE(0, rw);
	ASSERT_LE(0, ro);
	ASSERT_LE(0, wo);
	ASSERT_EQ(0, fstat(self->fd, &a));
	ASSERT_EQ(0, fstat(rw, &b));
	EXPECT_EQ(a.st_ino, b.st_ino);
	EXPECT_EQ(a.st_dev, b.st_dev);
	EXPECT_TRUE(is_copy(self, rw));
	EXPECT_TRUE(is_copy(self, ro));
	EXPECT_EQ(1, sys(pwrite(wo, "w", 1, 0)));
	EXPECT_EQ(1, sys(pwrite(rw, "r", 1, 1)));
	ASSERT_EQ(2, sys(pread(self->fd, self->buf, 2, 0)));
	EXPECT_EQ(0, memcmp("wr", self->buf, 2));
	EXPECT_EQ(-EBADF, sys(pwrite(ro, "x", 1, 0)));
	EXPECT_EQ(-EPERM, memfd_add_seals(ro, F_SEAL_SHRINK));
	/* It is a plain one. */
	EXPECT_EQ(-ENOTTY, ps_get_seals(rw));
	EXPECT_EQ(-ENOTTY, ps_get_seals(ro));
	/* Seals hold for all. */
	ASSERT_EQ(0, memfd_add_seals(wo, F_SEAL_GROW));
	EXPECT_EQ(F_SEAL_GROW, fcntl(self->fd, F_GET_SEALS));
	EXPECT_EQ(-EPERM, sys(ftruncate(self->fd, 2 * self->len)));
	ASSERT_EQ(0, obj_add_seals(self->fd, F_SEAL_WRITE | F_SEAL_SHRINK));
	EXPECT_EQ(-EPERM, sys(pwrite(wo, "x", 1, 0)));
	EXPECT_EQ(-EPERM, sys(ftruncate(rw, 0)));
	EXPECT_EQ(-EPERM, open_by_proc(self->fd, O_RDWR | O_TRUNC));
	EXPECT_EQ(-EPERM, ps_try_map(rw, self->len, RW, MAP_SHARED));
	EXPECT_EQ(0, ps_try_map(rw, self->len, PROT_READ, MAP_SHARED));
	close(rw);
	close(ro);
	close(wo);
}

TEST_F(as_memfd, is_truncated_by_open)
{
	int fd = open_by_proc(self->fd, O_RDWR | O_TRUNC);

	ASSERT_LE(0, fd);
	EXPECT_EQ(0, obj_size(self->fd));
	close(fd);
}

TEST_F(as_memfd, is_reopened_within_its_mode)
{
	pid_t pid;

	ASSERT_EQ(0, fchmod(self->fd, 0444));
	pid = ps_fork();
	if (!pid) {
		if (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534))
			_exit(1);
		prctl(PR_SET_DUMPABLE, 1);
		if (open_by_proc(self->fd, O_RDWR) != -EACCES)
			_exit(2);
		_exit(open_by_proc(self->fd, O_RDONLY) < 0 ? 3 : 0);
	}
	EXPECT_EQ(0, ps_wait(pid));
}

TEST_F(as_memfd, is_reopened_by_map_files)
{
	char *p = ps_map(self->fd, self->len, PROT_READ, MAP_SHARED);
	int fd;

	ASSERT_NE(MAP_FAILED, p);
	fd = open_mapped_file(p, self->len, O_RDWR);
	ASSERT_LE(0, fd);
	EXPECT_TRUE(is_copy(self, fd));
	EXPECT_EQ(0, fcntl(fd, F_GET_SEALS));
	EXPECT_EQ(-ENOTTY, ps_get_seals(fd));
	close(fd);
}

/* A program that knows only memfd: 0, or the number of the first wrong step. */
static int use_as_memfd(int fd, size_t len)
{
	struct stat st;
	char *p;

	if (fstat(fd, &st) || st.st_size != (off_t)len || !S_ISREG(st.st_mode))
		return 1;
	if (fcntl(fd, F_GET_SEALS) != 0)
		return 2;
	if (ftruncate(fd, 2 * len) || fallocate(fd, 0, len, len))
		return 3;
	p = ps_map(fd, 2 * len, RW, MAP_SHARED);
	if (p == MAP_FAILED)
		return 4;
	memset(p + len, 'm', len);
	munmap(p, 2 * len);
	if (fcntl_add_seals(fd, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_WRITE))
		return 5;
	if (pwrite(fd, "x", 1, 0) != -1 || errno != EPERM)
		return 6;
	p = ps_map(fd, 2 * len, PROT_READ, MAP_SHARED);
	return p != MAP_FAILED && p[2 * len - 1] == 'm' ? 0 : 7;
}

TEST_F(as_memfd, is_used_by_a_program_that_inherits_it)
{
	char number[16], len[32];
	pid_t pid;

	ASSERT_EQ(0, fcntl(self->fd, F_SETFD, 0));
	pid = ps_fork();
	if (!pid) {
		snprintf(number, sizeof(number), "%d", self->fd);
		snprintf(len, sizeof(len), "%zu", self->len);
		execl("/proc/self/exe", "created_memfd", "--use", number, len, NULL);
		_exit(101);
	}
	EXPECT_EQ(0, ps_wait(pid));
	EXPECT_EQ(2 * self->len, obj_size(self->fd));
	EXPECT_EQ(F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_WRITE, obj_get_seals(self->fd));
}

TEST_F(as_memfd, is_used_by_a_program_that_receives_it)
{
	int sock[2];
	pid_t pid;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sock));
	pid = ps_fork();
	if (!pid) {
		int fd;

		close(self->fd);
		fd = receive_fd(sock[1]);
		_exit(fd < 0 ? 100 : use_as_memfd(fd, self->len));
	}
	ASSERT_EQ(1, send_fd(sock[0], self->fd));
	EXPECT_EQ(0, ps_wait(pid));
	EXPECT_EQ(F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_WRITE, obj_get_seals(self->fd));
	close(sock[0]);
	close(sock[1]);
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "--use"))
		return use_as_memfd(atoi(argv[2]), strtoul(argv[3], NULL, 10));
	return test_harness_run(argc, argv);
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * Other users of memory and descriptors in the kernel: userfaultfd, io_uring, pipes, advice,
 * swap, KSM, migration. None changes a sealed byte or makes writing possible again, and all
 * work on an object that is not sealed. Access past the descriptor: bypass.c. Moved and split
 * mappings: mapping.c, writable_mappings.c.
 *
 * Runs on a memfd, an object and an imported memfd: the memfd variant proves what shmem
 * does, the others that the object does the same.
 */
#include <linux/mempolicy.h>
#include <sys/syscall.h>

#include "harness.h"
#include "bytes.h"
#include "content.h"
#include "large_folio.h"
#include "object.h"
#include "pass_fd.h"
#include "sysfile.h"
#include "uring.h"
#include "userfaultfd.h"
#include "zram_swap.h"

#define PAGES		16
#define SEALS		(F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW)

/* A sealed object and its mappings */

FIXTURE(sealed_object) {
	int fd;
	size_t len, page;
	uint64_t bytes;
	char *shared;		/* read-only */
	char *private;		/* writable; nothing was written */
};

ON_EVERY_KIND(sealed_object);

FIXTURE_SETUP(sealed_object)
{
	self->page = page_size();
	self->len = PAGES * self->page;
	self->fd = obj_create(variant->kind, self->len);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, fill_file(self->fd, self->len, 's'));
	self->bytes = checksum(self->fd, self->len);
	/* Mapped before the seal. */
	self->private = ps_map(self->fd, self->len, RW, MAP_PRIVATE);
	ASSERT_NE(MAP_FAILED, self->private);
	ASSERT_EQ('s', self->private[0]);
	ASSERT_EQ(0, obj_add_seals(self->fd, SEALS));
	self->shared = ps_map(self->fd, self->len, PROT_READ, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, self->shared);
	ASSERT_EQ('s', self->shared[self->page]);
}

FIXTURE_TEARDOWN(sealed_object)
{
	munmap(self->shared, self->len);
	munmap(self->private, self->len);
	close(self->fd);
}

#define EXPECT_UNCHANGED(self)							\
	do {									\
		EXPECT_EQ((self)->bytes, checksum((self)->fd, (self)->len));	\
		EXPECT_EQ((self)->bytes, checksum_mapped((self)->fd, (self)->len)); \
		EXPECT_EQ((self)->bytes, sum_bytes((unsigned char *)(self)->shared,	\
						   (self)->len));		\
		EXPECT_EQ(SEALS, obj_get_seals((self)->fd));			\
		EXPECT_EQ(-EACCES, sys(mprotect((self)->shared, (self)->len, RW))); \
		EXPECT_EQ(-EPERM, sys(pwrite((self)->fd, "x", 1, 0)));		\
	} while (0)

/* In a receiver: whether a descriptor allows any change: 0, or the number of the step. */
static int try_everything(int fd, size_t len)
{
	if (pwrite(fd, "x", 1, 0) != -1)
		return 1;
	if (ps_try_map(fd, len, RW, MAP_SHARED) != -EPERM)
		return 2;
	if (obj_resize(fd, 0) != -EPERM || obj_resize(fd, 2 * len) != -EPERM)
		return 3;
	if (obj_fallocate(fd, PUNCH, 0, len) != -EPERM)
		return 4;
	return checksum(fd, len) ? 0 : 5;
}

/* Sends a descriptor to a process of another user, which calls @try: 0 if that returns 0. */
static int send_to_user(int fd, size_t len, int (*try)(int fd, size_t len))
{
	int sock[2], ret;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sock))
		return -errno;
	pid = ps_fork();
	if (!pid) {
		int got;

		close(fd);
		if (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534))
			_exit(100);
		got = receive_fd(sock[1]);
		_exit(got < 0 ? 101 : try(got, len));
	}
	ret = send_fd(sock[0], fd);
	close(sock[0]);
	close(sock[1]);
	return ps_wait(pid) ?: ret < 0 ? ret : 0;
}

TEST_F(sealed_object, is_inherited_by_a_program)
{
	char number[16], len[32];
	pid_t pid;

	ASSERT_EQ(0, fcntl(self->fd, F_SETFD, 0));
	pid = ps_fork();
	if (!pid) {
		snprintf(number, sizeof(number), "%d", self->fd);
		snprintf(len, sizeof(len), "%zu", self->len);
		execl("/proc/self/exe", "subsystems", "--try", number, len, NULL);
		_exit(101);
	}
	EXPECT_EQ(0, ps_wait(pid));
	EXPECT_UNCHANGED(self);
}

TEST_F(sealed_object, is_sent_to_another_user)
{
	EXPECT_EQ(0, send_to_user(self->fd, self->len, try_everything));
	EXPECT_UNCHANGED(self);
}

/* userfaultfd does not fill pages of a sealed object. */

TEST_F(sealed_object, is_not_filled_by_userfaultfd)
{
	char *page = ps_map(-1, self->page, RW, MAP_PRIVATE | MAP_ANONYMOUS);
	int uffd = uffd_open();

	if (uffd < 0)
		SKIP(return, "no userfaultfd: %s", strerror(errno));
	memset(page, 'u', self->page);
	EXPECT_EQ(-EPERM, uffd_register(uffd, self->shared, self->len,
					UFFDIO_REGISTER_MODE_MISSING));
	/* A private mapping gets a page of its own. */
	ASSERT_EQ(0, uffd_register(uffd, self->private, self->len, UFFDIO_REGISTER_MODE_MISSING));
	madvise(self->private, self->len, MADV_DONTNEED);
	ASSERT_EQ(0, uffd_copy(uffd, self->private + self->page, page, self->page));
	EXPECT_EQ('u', self->private[self->page]);
	close(uffd);
	EXPECT_UNCHANGED(self);
}

/* io_uring and pipes, through a mapping that may only be read */

TEST_F(sealed_object, is_no_buffer_for_io_uring)
{
	struct uring ring;

	ASSERT_EQ(0, uring_open(&ring, 4, 0));
	EXPECT_EQ(-EFAULT, uring_register_buffer(&ring, self->shared, self->len));
	/* Pages of a private mapping may be registered. */
	ASSERT_EQ(0, uring_register_buffer(&ring, self->private, self->len));
	ASSERT_EQ(0, uring_unregister_buffers(&ring));
	uring_close(&ring);
	EXPECT_UNCHANGED(self);
}

TEST_F(sealed_object, is_not_written_by_io_uring)
{
	struct io_uring_cqe cqe;
	struct uring ring;

	ASSERT_EQ(0, uring_open(&ring, 4, 0));
	ASSERT_EQ(0, uring_submit(&ring, &(struct io_uring_sqe){
		.opcode = IORING_OP_WRITE, .fd = self->fd,
		.addr = (uintptr_t)self->private, .len = 10,
	}));
	ASSERT_EQ(0, uring_wait(&ring, &cqe));
	EXPECT_EQ(-EPERM, cqe.res);
	uring_close(&ring);
	EXPECT_UNCHANGED(self);
}

TEST_F(sealed_object, is_unchanged_by_pipes)
{
	struct iovec iov = { self->shared, self->page };
	int a[2], b[2], other = obj_open(variant->kind);
	char buf[16];

	ASSERT_EQ(0, pipe(a));
	ASSERT_EQ(0, pipe(b));
	ASSERT_EQ(self->page, sys(vmsplice(a[1], &iov, 1, 0)));
	ASSERT_EQ(self->page, sys(tee(a[0], b[1], self->page, 0)));
	ASSERT_EQ(self->page, sys(splice(a[0], NULL, other, NULL, self->page, 0)));
	/* What was spliced is another object's. */
	ASSERT_EQ(1, sys(pwrite(other, "x", 1, 0)));
	ASSERT_EQ(sizeof(buf), sys(read(b[0], buf, sizeof(buf))));
	EXPECT_EQ('s', buf[0]);
	close(other);
	EXPECT_UNCHANGED(self);
}

/* The page that is given to the pipe is a private copy. */
TEST_F(sealed_object, is_unchanged_by_gifts_to_a_pipe)
{
	struct iovec iov = { self->private, self->page };
	int a[2];

	ASSERT_EQ(0, pipe(a));
	self->private[0] = 'p';
	ASSERT_EQ(self->page, sys(vmsplice(a[1], &iov, 1, SPLICE_F_GIFT)));
	self->private[1] = 'q';
	close(a[0]);
	close(a[1]);
	EXPECT_UNCHANGED(self);
}

/* Advice */

TEST_F(sealed_object, is_unchanged_by_advice)
{
	static const int advice[] = {
		MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED, MADV_DONTNEED,
		MADV_REMOVE, MADV_FREE, MADV_MERGEABLE, MADV_UNMERGEABLE, MADV_HUGEPAGE,
		MADV_COLLAPSE, MADV_NOHUGEPAGE, MADV_COLD, MADV_PAGEOUT, MADV_DONTFORK,
		MADV_DOFORK, MADV_WIPEONFORK, MADV_DONTDUMP, MADV_DODUMP,
		22 /* MADV_POPULATE_READ */, 23 /* MADV_POPULATE_WRITE */,
	};

	for (size_t i = 0; i < ARRAY_SIZE(advice); i++) {
		/* Some is refused. */
		madvise(self->shared, self->len, advice[i]);
		madvise(self->private, self->len, advice[i]);
		EXPECT_EQ(self->bytes, checksum(self->fd, self->len)) {
			TH_LOG("advice %d", advice[i]);
		}
	}
	EXPECT_UNCHANGED(self);
}

TEST_F(sealed_object, is_unchanged_by_swap)
{
	struct zram_swap swap;

	if (!zram_is_there())
		SKIP(return, "no zram");
	ASSERT_EQ(0, zram_swap_begin(&swap, 8 * self->len));
	for (int i = 0; i < 10; i++) {
		madvise(self->shared, self->len, MADV_PAGEOUT);
		madvise(self->private, self->len, MADV_PAGEOUT);
		EXPECT_UNCHANGED(self);
	}
	munmap(self->shared, self->len);
	munmap(self->private, self->len);
	close(self->fd);
	self->shared = self->private = NULL;
	self->fd = -1;
	zram_swap_end(&swap);
}

TEST_F(sealed_object, is_not_collapsed_writable)
{
	size_t size = large_folio_size();
	uint64_t bytes;
	int fd;

	if (!size)
		SKIP(return, "no large folios here");
	fd = obj_create(variant->kind, size);
	ASSERT_EQ(0, fill_file(fd, size, 'h'));
	bytes = checksum(fd, size);
	ASSERT_EQ(0, obj_add_seals(fd, SEALS));
	/* That mapping would be writable. */
	EXPECT_EQ(-EPERM, collapse_into_large_folio(fd, size));
	EXPECT_EQ(bytes, checksum(fd, size));
	EXPECT_EQ(bytes, checksum_mapped(fd, size));
	close(fd);
}

#define KSM	"/sys/kernel/mm/ksm/"

TEST_F(sealed_object, is_unchanged_by_ksm)
{
	long scans = read_number(KSM "full_scans");
	uint64_t until = now_ns() + SOON_NS;
	char *equal[2];

	if (scans < 0)
		SKIP(return, "no KSM");
	/* Private copies with equal bytes, and pages of the object. */
	for (int i = 0; i < 2; i++) {
		equal[i] = ps_map(self->fd, self->len, RW, MAP_PRIVATE);
		ASSERT_NE(MAP_FAILED, equal[i]);
		memset(equal[i], 'k', 4 * self->page);
		ASSERT_EQ(0, sys(madvise(equal[i], self->len, MADV_MERGEABLE)));
	}
	write_text(KSM "sleep_millisecs", "1");
	ASSERT_EQ(0, write_text(KSM "run", "1"));
	while (read_number(KSM "full_scans") < scans + 3 && now_ns() < until)
		sleep_ns(10 * NSEC_PER_MSEC);
	EXPECT_LE(scans + 3, read_number(KSM "full_scans"));
	EXPECT_UNCHANGED(self);
	equal[0][0] = 'x';
	EXPECT_EQ('k', equal[1][0]);
	EXPECT_EQ(0, write_text(KSM "run", "2"));
	write_text(KSM "run", "0");
	EXPECT_UNCHANGED(self);
}

/* Migration */

TEST_F(sealed_object, is_unchanged_by_migration)
{
	unsigned long nodes = 1;
	void *pages[PAGES];
	int to[PAGES] = { 0 }, status[PAGES];

	for (int i = 0; i < PAGES; i++)
		pages[i] = self->shared + i * self->page;
	if (syscall(SYS_move_pages, 0, PAGES, pages, to, status, 1 << 2) && errno == ENOSYS)
		SKIP(return, "no NUMA");
	syscall(SYS_migrate_pages, 0, 2, &nodes, &nodes);
	EXPECT_EQ(0, sys(syscall(SYS_mbind, self->shared, self->len, MPOL_BIND, &nodes, 2,
				 MPOL_MF_MOVE | MPOL_MF_STRICT)));
	EXPECT_UNCHANGED(self);
	/* All movable pages of the machine. */
	write_text("/proc/sys/vm/compact_memory", "1");
	EXPECT_UNCHANGED(self);
}

/* An object that is not sealed */

FIXTURE(open_object) {
	int fd;
	size_t len, page;
	char *p;
};

ON_EVERY_KIND(open_object);

FIXTURE_SETUP(open_object)
{
	self->page = page_size();
	self->len = PAGES * self->page;
	self->fd = obj_create(variant->kind, self->len);
	ASSERT_LE(0, self->fd);
	self->p = ps_map(self->fd, self->len, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, self->p);
}

FIXTURE_TEARDOWN(open_object)
{
	munmap(self->p, self->len);
	close(self->fd);
}

TEST_F(open_object, is_filled_by_userfaultfd)
{
	char *page = ps_map(-1, self->page, RW, MAP_PRIVATE | MAP_ANONYMOUS), c = 0;
	int uffd = uffd_open();

	if (uffd < 0)
		SKIP(return, "no userfaultfd: %s", strerror(errno));
	memset(page, 'u', self->page);
	ASSERT_EQ(0, uffd_register(uffd, self->p, self->len, UFFDIO_REGISTER_MODE_MISSING));
	ASSERT_EQ(0, uffd_copy(uffd, self->p + self->page, page, self->page));
	EXPECT_EQ('u', self->p[self->page]);
	ASSERT_EQ(1, sys(pread(self->fd, &c, 1, self->page)));
	EXPECT_EQ('u', c);
	close(uffd);
	munmap(self->p, self->len);
	self->p = NULL;
	EXPECT_EQ(0, obj_add_seals(self->fd, F_SEAL_WRITE));
}

TEST_F(open_object, is_a_buffer_for_io_uring)
{
	int file = memfd_open();
	struct io_uring_cqe cqe;
	struct uring ring;
	char c = 0;

	ASSERT_EQ(0, fill_file(file, self->len, 'f'));
	ASSERT_EQ(0, uring_open(&ring, 4, 0));
	ASSERT_EQ(0, uring_register_buffer(&ring, self->p, self->len));
	ASSERT_EQ(0, uring_submit(&ring, &(struct io_uring_sqe){
		.opcode = IORING_OP_READ_FIXED, .fd = file,
		.addr = (uintptr_t)self->p, .len = self->len,
	}));
	ASSERT_EQ(0, uring_wait(&ring, &cqe));
	EXPECT_EQ(self->len, cqe.res);
	ASSERT_EQ(1, sys(pread(self->fd, &c, 1, self->page)));
	EXPECT_EQ('f', c);
	/* And out of the buffer. */
	ASSERT_EQ(0, uring_submit(&ring, &(struct io_uring_sqe){
		.opcode = IORING_OP_WRITE_FIXED, .fd = self->fd, .off = self->len,
		.addr = (uintptr_t)self->p, .len = self->page,
	}));
	ASSERT_EQ(0, uring_wait(&ring, &cqe));
	EXPECT_EQ(self->page, cqe.res);
	EXPECT_EQ(self->len + self->page, obj_size(self->fd));
	ASSERT_EQ(0, uring_unregister_buffers(&ring));
	uring_close(&ring);
	close(file);
}

static int try_writing(int fd, size_t len)
{
	return pwrite(fd, "n", 1, 0) == 1 && !ps_try_map(fd, len, RW, MAP_SHARED) ? 0 : 1;
}

TEST_F(open_object, is_written_by_another_user)
{
	EXPECT_EQ(0, send_to_user(self->fd, self->len, try_writing));
	EXPECT_EQ('n', self->p[0]);
}

TEST_F(open_object, is_unchanged_by_migration)
{
	unsigned long nodes = 1;

	fill(self->p, self->len, 3);
	if (syscall(SYS_mbind, self->p, self->len, MPOL_BIND, &nodes, 2,
		    MPOL_MF_MOVE | MPOL_MF_STRICT) && errno == ENOSYS)
		SKIP(return, "no NUMA");
	write_text("/proc/sys/vm/compact_memory", "1");
	EXPECT_TRUE(is_filled(self->p, self->len, 3));
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "--try"))
		return try_everything(atoi(argv[2]), strtoul(argv[3], NULL, 10));
	return test_harness_run(argc, argv);
}

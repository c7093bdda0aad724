// SPDX-License-Identifier: GPL-2.0-only
/*
 * Other descriptors of one memory: PINSEAL_IOC_REOPEN, _EXPORT and _IMPORT. What they
 * return and refuse, and that seals hold for all descriptors.
 */
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "harness.h"
#include "alias.h"
#include "bytes.h"
#include "content.h"
#include "cpu.h"
#include "holders.h"
#include "sealer.h"
#include "state.h"

#define PAGES	4

/* Every alias */

FIXTURE(alias) {
	size_t len;
	struct aliased object;
};

BY_EVERY_ALIAS(alias);

FIXTURE_SETUP(alias)
{
	/* Pages that another CPU fills would be in its LRU batch. */
	run_on_cpu(0);
	self->len = PAGES * page_size();
	ASSERT_EQ(0, aliased_open(&self->object, variant->alias, self->len));
	ASSERT_EQ(0, fill_file(self->object.fd, self->len, 'w'));
}

FIXTURE_TEARDOWN(alias)
{
	aliased_close(&self->object);
}

TEST_F(alias, shows_the_same_bytes)
{
	uint64_t bytes = checksum(self->object.fd, self->len);

	EXPECT_EQ(self->len, obj_size(self->object.other));
	EXPECT_EQ(bytes, checksum(self->object.other, self->len));
	EXPECT_EQ(bytes, checksum_mapped(self->object.other, self->len));

	ASSERT_EQ(1, sys(pwrite(self->object.other, "x", 1, 5)));
	bytes = checksum(self->object.fd, self->len);
	EXPECT_EQ(bytes, checksum(self->object.other, self->len));
	ASSERT_EQ(0, obj_resize(self->object.other, 2 * self->len));
	EXPECT_EQ(2 * self->len, obj_size(self->object.fd));
}

TEST_F(alias, is_coherent_when_mapped)
{
	char *a = ps_map(self->object.fd, self->len, PROT_READ | PROT_WRITE, MAP_SHARED);
	char *b = ps_map(self->object.other, self->len, PROT_READ | PROT_WRITE, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, a);
	ASSERT_NE(MAP_FAILED, b);
	a[0] = 'a';
	b[page_size()] = 'b';
	EXPECT_EQ('a', b[0]);
	EXPECT_EQ('b', a[page_size()]);
}

TEST_F(alias, is_sealed_with_the_object)
{
	int other = self->object.other;
	uint64_t bytes;
	char *p;

	ASSERT_EQ(0, ps_add_seals(self->object.fd, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW));
	bytes = checksum(other, self->len);
	EXPECT_EQ(-EPERM, sys(pwrite(other, "x", 1, 0)));
	EXPECT_EQ(-EPERM, obj_resize(other, 0));
	EXPECT_EQ(-EPERM, obj_resize(other, 2 * self->len));
	EXPECT_EQ(-EPERM, obj_fallocate(other, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
					self->len));
	EXPECT_EQ(-EPERM, ps_try_map(other, self->len, PROT_READ | PROT_WRITE, MAP_SHARED));
	p = ps_map(other, self->len, PROT_READ, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(-EACCES, sys(mprotect(p, self->len, PROT_READ | PROT_WRITE)));
	EXPECT_EQ(bytes, checksum(self->object.fd, self->len));
	EXPECT_EQ(bytes, checksum(other, self->len));
}

TEST_F(alias, shows_the_seals)
{
	uint32_t seals = F_SEAL_SHRINK | F_SEAL_WRITE;
	uint32_t implicit = variant->alias == ALIAS_EXPORTED ? F_SEAL_SEAL : 0;

	EXPECT_EQ(implicit, obj_get_seals(self->object.other));
	ASSERT_EQ(0, ps_add_seals(self->object.fd, seals));
	EXPECT_EQ(seals, ps_get_seals(self->object.fd));
	EXPECT_EQ(seals | implicit, obj_get_seals(self->object.other));
}

TEST_F(alias, prevents_a_seal_while_mapped_writable)
{
	char *p = ps_map(self->object.other, self->len, PROT_READ, MAP_SHARED);
	struct pinseal_seal arg = seal_write(NSEC_PER_SEC);

	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(-EBUSY, ps_seal(self->object.fd, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_WRITABLE_MAPPING, arg.outcome);
	EXPECT_EQ(0, ps_get_seals(self->object.fd));
	munmap(p, self->len);
	EXPECT_EQ(0, ps_add_seals(self->object.fd, F_SEAL_WRITE));
}

TEST_F(alias, prevents_a_seal_while_pinned)
{
	struct pinseal_seal arg = seal_write(NSEC_PER_MSEC);
	struct hold hold;

	ASSERT_EQ(0, hold_begin(&hold, HOLD_VMSPLICE, self->object.other, 1, 1));
	EXPECT_EQ(-EBUSY, ps_seal(self->object.fd, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_PINNED, arg.outcome);
	EXPECT_EQ(1, arg.pinned_pages);
	EXPECT_EQ(1, arg.first_pinned);
	EXPECT_EQ(0, ps_get_seals(self->object.fd));
	ASSERT_EQ(0, hold_end(&hold));
	EXPECT_EQ(0, ps_add_seals(self->object.fd, F_SEAL_WRITE));
}

TEST_F(alias, may_be_mapped_read_only_while_it_is_sealed)
{
	char *p = ps_map(self->object.other, self->len, PROT_READ, MAP_PRIVATE);

	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ('w', p[0]);
	EXPECT_EQ(0, ps_add_seals(self->object.fd, F_SEAL_WRITE));
	EXPECT_EQ('w', p[0]);
}

TEST_F(alias, outlives_the_object)
{
	close(self->object.fd);
	self->object.fd = -1;
	EXPECT_EQ(self->len, obj_size(self->object.other));
	EXPECT_EQ(1, sys(pwrite(self->object.other, "x", 1, 0)));
	EXPECT_EQ(0, ps_try_map(self->object.other, self->len, PROT_READ | PROT_WRITE,
				MAP_SHARED));
}

TEST_F(alias, has_a_position_of_its_own)
{
	if (variant->alias == ALIAS_DUP || variant->alias == ALIAS_CREATED_DUP)
		return;
	ASSERT_EQ(3, lseek(self->object.fd, 3, SEEK_SET));
	EXPECT_EQ(0, lseek(self->object.other, 0, SEEK_CUR));
	ASSERT_EQ(7, lseek(self->object.other, 7, SEEK_SET));
	EXPECT_EQ(3, lseek(self->object.fd, 0, SEEK_CUR));
	/* This seek is passed on to the memory. */
	ASSERT_EQ(self->len, lseek(self->object.fd, 0, SEEK_HOLE));
	EXPECT_EQ(7, lseek(self->object.other, 0, SEEK_CUR));
}

/* REOPEN */

FIXTURE(object) {
	int fd;
	size_t len;
};

FIXTURE_SETUP(object)
{
	self->len = PAGES * page_size();
	self->fd = ps_create(self->len);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, fill_file(self->fd, self->len, 'o'));
}

FIXTURE_TEARDOWN(object)
{
	close(self->fd);
}

TEST_F(object, reopened_for_reading_cannot_be_written)
{
	int fd = ps_reopen(self->fd, O_RDONLY);

	ASSERT_LE(0, fd);
	EXPECT_EQ(O_RDONLY, fcntl(fd, F_GETFL) & O_ACCMODE);
	EXPECT_EQ(checksum(self->fd, self->len), checksum(fd, self->len));
	EXPECT_EQ(-EBADF, sys(pwrite(fd, "x", 1, 0)));
	EXPECT_EQ(-EINVAL, ps_resize(fd, 0));
	EXPECT_EQ(-EACCES, ps_try_map(fd, self->len, PROT_READ | PROT_WRITE, MAP_SHARED));
	EXPECT_EQ(-EPERM, ps_add_seals(fd, F_SEAL_SHRINK));
	EXPECT_EQ(-EPERM, ps_reopen(fd, O_RDWR));
	EXPECT_LE(0, ps_reopen(fd, O_RDONLY));
}

TEST_F(object, reopened_gets_no_flags_of_the_first)
{
	int fd;

	ASSERT_EQ(0, fcntl(self->fd, F_SETFL, O_NONBLOCK | O_APPEND));
	fd = ps_reopen(self->fd, O_RDWR);
	ASSERT_LE(0, fd);
	EXPECT_EQ(O_RDWR, fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK | O_APPEND));
}

TEST_F(object, reopened_shows_the_same_in_fdinfo)
{
	int named = ps_open(O_RDWR), fd;
	char name[64];

	ASSERT_EQ(0, ps_set_name(named, "twice"));
	fd = ps_reopen(named, O_RDWR);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fdinfo_value(fd, "name", name, sizeof(name)));
	EXPECT_STREQ("twice", name);
	/* That was no first use. */
	EXPECT_EQ(0, ps_set_name(fd, "again"));
}

TEST_F(object, reopen_refuses_other_flags)
{
	static const uint32_t flags[] = {
		O_WRONLY, O_ACCMODE, O_RDWR | O_CLOEXEC, O_RDWR | O_NONBLOCK, O_TRUNC, O_APPEND,
		O_CREAT, O_PATH, 1U << 31, ~0U,
	};

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		EXPECT_EQ(-EINVAL, ps_reopen(self->fd, flags[i])) TH_LOG("flags %#x", flags[i]);
	}
}

TEST_F(object, opened_for_writing_only_gives_no_readable_descriptor)
{
	int fd = ps_open(O_WRONLY);

	ASSERT_LE(0, fd);
	EXPECT_EQ(-EPERM, ps_reopen(fd, O_RDONLY));
	EXPECT_EQ(-EPERM, ps_reopen(fd, O_RDWR));
	EXPECT_EQ(-EPERM, ps_export(fd, 0));
	EXPECT_EQ(-EPERM, ps_export(fd, PINSEAL_EXPORT_RDONLY));
}

/* No descriptor number is left. */
TEST_F(object, makes_no_descriptor_too_many)
{
	struct state before = get_state(self->fd);
	struct rlimit limit, none = { 0 };

	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &limit));
	none.rlim_max = limit.rlim_max;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
	EXPECT_EQ(-EMFILE, ps_reopen(self->fd, O_RDWR));
	EXPECT_EQ(-EMFILE, ps_export(self->fd, 0));
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	EXPECT_TRUE(same_state(self->fd, &before));
}

/* EXPORT */

TEST_F(object, exported_looks_like_a_memfd)
{
	int fd = ps_export(self->fd, 0);
	struct stat st;
	char path[64], target[256];
	ssize_t n;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fstat(fd, &st));
	EXPECT_TRUE(S_ISREG(st.st_mode));
	EXPECT_EQ(self->len, st.st_size);
	EXPECT_EQ(0, st.st_nlink);
	EXPECT_EQ(O_RDWR, fcntl(fd, F_GETFL) & O_ACCMODE);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, target, sizeof(target) - 1);
	ASSERT_LT(0, n);
	target[n] = '\0';
	EXPECT_STREQ("/pinseal (deleted)", target);
	/* With the system calls that a character device does not have. */
	EXPECT_EQ(0, sys(ftruncate(fd, 2 * self->len)));
	EXPECT_EQ(0, sys(fallocate(fd, 0, 0, 3 * self->len)));
	EXPECT_EQ(3 * self->len, ps_size(self->fd));
}

TEST_F(object, exported_cannot_be_sealed_by_others)
{
	int fd = ps_export(self->fd, 0);

	ASSERT_LE(0, fd);
	EXPECT_EQ(-EPERM, sys(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE)));
	EXPECT_EQ(F_SEAL_SEAL, fcntl(fd, F_GET_SEALS));
	EXPECT_EQ(0, ps_get_seals(self->fd));
	EXPECT_EQ(0, ps_add_seals(self->fd, F_SEAL_WRITE));
}

TEST_F(object, exported_for_reading_cannot_be_written)
{
	int fd = ps_export(self->fd, PINSEAL_EXPORT_RDONLY);

	ASSERT_LE(0, fd);
	EXPECT_EQ(O_RDONLY, fcntl(fd, F_GETFL) & O_ACCMODE);
	EXPECT_EQ(-EBADF, sys(pwrite(fd, "x", 1, 0)));
	EXPECT_EQ(-EACCES, ps_try_map(fd, self->len, PROT_READ | PROT_WRITE, MAP_SHARED));
}

/* An exported descriptor could be reopened for writing through /proc. */
TEST_F(object, open_for_reading_is_not_exported)
{
	int ro = ps_reopen(self->fd, O_RDONLY);

	ASSERT_LE(0, ro);
	EXPECT_EQ(-EPERM, ps_export(ro, 0));
	EXPECT_EQ(-EPERM, ps_export(ro, PINSEAL_EXPORT_RDONLY));
}

TEST_F(object, belongs_to_the_opener)
{
	int fd = ps_open(O_RDWR), exported;
	struct stat st;
	pid_t pid;

	/* First used by another user. */
	pid = ps_fork();
	if (!pid) {
		if (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534))
			_exit(1);
		_exit(pwrite(fd, "x", 1, 0) != 1);
	}
	ASSERT_EQ(0, ps_wait(pid));
	exported = ps_export(fd, 0);
	ASSERT_LE(0, exported);
	ASSERT_EQ(0, fstat(exported, &st));
	EXPECT_EQ(getuid(), st.st_uid);
	EXPECT_EQ(getgid(), st.st_gid);
}

TEST_F(object, export_refuses_other_flags)
{
	for (unsigned int bit = 1; bit < 32; bit++) {
		EXPECT_EQ(-EINVAL, ps_export(self->fd, 1U << bit)) TH_LOG("bit %u", bit);
	}
}

TEST_F(object, can_be_exported_unused)
{
	int new = ps_open(O_RDWR), fd = ps_export(new, 0);

	ASSERT_LE(0, fd);
	ASSERT_EQ(1, sys(pwrite(fd, "x", 1, 0)));
	EXPECT_EQ(1, ps_size(new));
	/* That was the first use. */
	EXPECT_EQ(-EBUSY, ps_set_name(new, "late"));
}

/* IMPORT: accepted */

FIXTURE(import) {
	int fd;			/* a new object */
	int memfd;		/* with a page in it */
};

FIXTURE_SETUP(import)
{
	self->fd = ps_open(O_RDWR);
	ASSERT_LE(0, self->fd);
	self->memfd = memfd_open();
	ASSERT_LE(0, self->memfd);
	ASSERT_EQ(0, fill_file(self->memfd, page_size(), 'm'));
}

FIXTURE_TEARDOWN(import)
{
	close(self->memfd);
	close(self->fd);
}

TEST_F(import, keeps_what_is_in_it)
{
	uint64_t bytes = checksum(self->memfd, page_size());

	ASSERT_EQ(0, ps_import(self->fd, self->memfd));
	EXPECT_EQ(page_size(), ps_size(self->fd));
	EXPECT_EQ(bytes, checksum(self->fd, page_size()));
	close(self->memfd);
	EXPECT_EQ(bytes, checksum_mapped(self->fd, page_size()));
}

TEST_F(import, leaves_the_source_descriptor_alone)
{
	ASSERT_EQ(0, fcntl(self->memfd, F_SETFL, O_NONBLOCK | O_APPEND));
	ASSERT_EQ(9, lseek(self->memfd, 9, SEEK_SET));
	ASSERT_EQ(0, ps_import(self->fd, self->memfd));
	EXPECT_EQ(0, lseek(self->fd, 0, SEEK_DATA));
	EXPECT_EQ(9, lseek(self->memfd, 0, SEEK_CUR));
	/* Nor do its flags count here. */
	EXPECT_EQ(1, sys(pwrite(self->fd, "x", 1, 0)));
	EXPECT_EQ(page_size(), ps_size(self->fd));
}

TEST_F(import, shows_the_seals_of_the_source)
{
	ASSERT_EQ(0, fcntl(self->memfd, F_ADD_SEALS, F_SEAL_GROW));
	ASSERT_EQ(0, ps_import(self->fd, self->memfd));
	EXPECT_EQ(F_SEAL_GROW, ps_get_seals(self->fd));
	ASSERT_EQ(0, fcntl(self->memfd, F_ADD_SEALS, F_SEAL_SHRINK));
	EXPECT_EQ(F_SEAL_GROW | F_SEAL_SHRINK, ps_get_seals(self->fd));
	EXPECT_EQ(-EPERM, ps_resize(self->fd, 0));
}

TEST_F(import, is_sealed_against_seals_through_the_source)
{
	ASSERT_EQ(0, ps_import(self->fd, self->memfd));
	ASSERT_EQ(0, fcntl(self->memfd, F_ADD_SEALS, F_SEAL_SEAL));
	EXPECT_EQ(F_SEAL_SEAL, ps_get_seals(self->fd));
	EXPECT_EQ(-EPERM, ps_add_seals(self->fd, F_SEAL_WRITE));
	EXPECT_EQ(-EPERM, ps_add_seals(self->fd, 0));
}

TEST_F(import, seals_the_source_against_seals)
{
	ASSERT_EQ(0, ps_import(self->fd, self->memfd));
	ASSERT_EQ(0, ps_add_seals(self->fd, F_SEAL_SEAL));
	EXPECT_EQ(F_SEAL_SEAL, fcntl(self->memfd, F_GET_SEALS));
	EXPECT_EQ(-EPERM, sys(fcntl(self->memfd, F_ADD_SEALS, F_SEAL_WRITE)));
}

/* The kernel's F_SEAL_WRITE is not trusted: a page may be held even so. */
TEST_F(import, is_scanned_though_sealed_through_the_source)
{
	struct pinseal_seal arg = seal_write(NSEC_PER_MSEC);
	off_t from = 0;
	int pipefd[2];

	ASSERT_EQ(0, ps_import(self->fd, self->memfd));
	ASSERT_EQ(0, fcntl(self->memfd, F_ADD_SEALS, F_SEAL_WRITE));
	EXPECT_EQ(F_SEAL_WRITE, ps_get_seals(self->fd));
	/* This holder only reads: no writer can be left. */
	ASSERT_EQ(0, pipe(pipefd));
	ASSERT_EQ(page_size(), splice(self->memfd, &from, pipefd[1], NULL, page_size(), 0));
	EXPECT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_PINNED, arg.outcome);
	close(pipefd[0]);
	close(pipefd[1]);
	EXPECT_EQ(0, ps_add_seals(self->fd, F_SEAL_WRITE));
}

TEST_F(import, takes_an_exported_import)
{
	int exported, again;

	ASSERT_EQ(0, ps_import(self->fd, self->memfd));
	exported = ps_export(self->fd, 0);
	ASSERT_LE(0, exported);
	again = import_open(exported);
	ASSERT_LE(0, again);
	ASSERT_EQ(0, ps_add_seals(again, F_SEAL_GROW));
	EXPECT_EQ(F_SEAL_GROW, fcntl(self->memfd, F_GET_SEALS));
}

TEST_F(import, is_a_first_use)
{
	ASSERT_EQ(0, ps_import(self->fd, self->memfd));
	EXPECT_EQ(-EBUSY, ps_set_name(self->fd, "late"));
	EXPECT_EQ(-EBUSY, ps_import(self->fd, self->memfd));
}

TEST_F(import, takes_a_name_before_it)
{
	char name[64];

	ASSERT_EQ(0, ps_set_name(self->fd, "taken"));
	ASSERT_EQ(0, ps_import(self->fd, self->memfd));
	ASSERT_EQ(0, fdinfo_value(self->fd, "name", name, sizeof(name)));
	EXPECT_STREQ("taken", name);
}

/* IMPORT: refused */

#define EXPECT_REFUSED(error, file)						\
	do {									\
		int __file = (file);						\
										\
		EXPECT_EQ(-(error), ps_import(self->fd, __file));		\
	/* The object is as new. */					\
		EXPECT_EQ(0, ps_size(self->fd));				\
		EXPECT_EQ(0, ps_set_name(self->fd, "new"));			\
		if (__file > 2)							\
			close(__file);						\
	} while (0)

TEST_F(import, refuses_bad_descriptors)
{
	int fd = dup(self->memfd);

	close(fd);
	EXPECT_REFUSED(EBADF, -1);
	EXPECT_EQ(-EBADF, ps_import(self->fd, fd));
	EXPECT_EQ(-EBADF, ps_import(self->fd, 1 << 30));
	EXPECT_REFUSED(EBADF, open("/", O_PATH));
}

TEST_F(import, refuses_other_files)
{
	int pipefd[2];

	ASSERT_EQ(0, pipe(pipefd));
	close(pipefd[1]);
	EXPECT_REFUSED(EINVAL, pipefd[0]);
	EXPECT_REFUSED(EINVAL, socket(AF_UNIX, SOCK_STREAM, 0));
	EXPECT_REFUSED(EINVAL, open("/", O_RDONLY | O_DIRECTORY));
	EXPECT_REFUSED(EINVAL, open("/dev/null", O_RDWR));
	EXPECT_REFUSED(EINVAL, open("/proc/self/mem", O_RDWR));
}

TEST_F(import, refuses_objects)
{
	int used = ps_create(page_size());

	EXPECT_REFUSED(EINVAL, ps_open(O_RDWR));
	EXPECT_REFUSED(EINVAL, used);
	/* Itself. */
	EXPECT_EQ(-EINVAL, ps_import(self->fd, self->fd));
}

TEST_F(import, refuses_a_file_of_another_file_system)
{
	EXPECT_REFUSED(EINVAL, open("/proc/self/comm", O_RDWR));
}

TEST_F(import, needs_reading_and_writing)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", self->memfd);
	EXPECT_REFUSED(EPERM, open(path, O_RDONLY));
	EXPECT_REFUSED(EPERM, open(path, O_WRONLY));
	fd = ps_open(O_RDONLY);
	EXPECT_EQ(-EPERM, ps_import(fd, self->memfd));
	EXPECT_EQ(0, ps_size(fd));
	close(fd);
}

TEST_F(import, refuses_what_cannot_be_sealed)
{
	int exported = ps_export(ps_create(page_size()), 0);

	EXPECT_REFUSED(EPERM, memfd_create("unsealable", MFD_CLOEXEC));
	ASSERT_EQ(0, fcntl(self->memfd, F_ADD_SEALS, F_SEAL_SEAL));
	EXPECT_REFUSED(EPERM, dup(self->memfd));
	/* The memory of an object has F_SEAL_SEAL as well. */
	EXPECT_REFUSED(EPERM, exported);
}

/* Append-only: seals would not say all that is allowed. */
TEST_F(import, refuses_append_only_files)
{
	int flags, ret = sys(ioctl(self->memfd, FS_IOC_GETFLAGS, &flags));

	if (ret == -ENOTTY)
		SKIP(return, "no flags there");
	ASSERT_EQ(0, ret);
	flags |= FS_APPEND_FL;
	ASSERT_EQ(0, sys(ioctl(self->memfd, FS_IOC_SETFLAGS, &flags)));
	EXPECT_REFUSED(EPERM, dup(self->memfd));
}

/*
 * A file in a tmpfs has F_SEAL_SEAL, as any that is not made to be sealed. Some users of it
 * ignore seals: overlayfs maps it as a file of its own.
 */
TEST_F(import, refuses_a_file_in_a_tmpfs)
{
	char dir[] = "/tmp/tmpfs-XXXXXX", path[64];

	ASSERT_NE(NULL, mkdtemp(dir));
	ASSERT_EQ(0, sys(mount("tmpfs", dir, "tmpfs", 0, NULL)));
	snprintf(path, sizeof(path), "%s/file", dir);
	EXPECT_REFUSED(EPERM, open(path, O_RDWR | O_CREAT, 0600));
	EXPECT_REFUSED(EPERM, open(dir, O_RDWR | O_TMPFILE, 0600));
	umount2(dir, MNT_DETACH);
	rmdir(dir);
}

/* A file lease (F_SETLEASE) would have to be broken first. */
TEST_F(import, does_not_wait_for_a_file_lease)
{
	char path[64];
	int ro;

	signal(SIGIO, SIG_IGN);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", self->memfd);
	ro = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, ro);
	if (fcntl(ro, F_SETLEASE, F_RDLCK))
		SKIP(return, "no leases here: %s", strerror(errno));
	EXPECT_EQ(-EAGAIN, ps_import(self->fd, self->memfd));
	ASSERT_EQ(0, fcntl(ro, F_SETLEASE, F_UNLCK));
	EXPECT_EQ(0, ps_import(self->fd, self->memfd));
}

TEST_F(import, refuses_a_used_object)
{
	ASSERT_EQ(0, ps_resize(self->fd, 1));
	EXPECT_EQ(-EBUSY, ps_import(self->fd, self->memfd));
	EXPECT_EQ(1, ps_size(self->fd));
}

TEST_F(import, refuses_unknown_flags)
{
	for (unsigned int bit = 0; bit < 32; bit++) {
		struct pinseal_import arg = { .fd = self->memfd, .flags = 1U << bit };

		if (arg.flags == PINSEAL_IMPORT_LOOK)
			continue;
		EXPECT_EQ(-EINVAL, ps_ioctl(self->fd, PINSEAL_IOC_IMPORT, &arg)) {
			TH_LOG("bit %u", bit);
		}
	}
	EXPECT_EQ(0, ps_import(self->fd, self->memfd));
}

TEST_HARNESS_MAIN

// SPDX-License-Identifier: GPL-2.0-only
/*
 * The commands on descriptors that PINSEAL_IOC_CREATE returns, their seals, and what is left
 * when they are closed.
 */
#include <sys/epoll.h>
#include <sys/wait.h>

#include "harness.h"
#include "async.h"
#include "bytes.h"
#include "content.h"
#include "cpu.h"
#include "holders.h"
#include "object.h"
#include "sealer.h"
#include "state.h"

#define PAGES		4
#define HELD		3		/* the held page */
#define SHORT_NS	(50 * NSEC_PER_MSEC)

#define ALLOW		PINSEAL_CREATE_ALLOW_SEALING
#define EXEC		PINSEAL_CREATE_EXEC
#define NOEXEC		PINSEAL_CREATE_NOEXEC_SEAL

/* @fd: others may seal it; of PAGES pages, filled. @plain: the same memory, without commands. */
FIXTURE(created) {
	int fd, plain;
	size_t page, len;
};

FIXTURE_SETUP(created)
{
	/* Pages that another CPU fills would be in its LRU batch. */
	run_on_cpu(0);
	self->page = page_size();
	self->len = PAGES * self->page;
	self->fd = created_open(ALLOW | EXEC, "created");
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, fill_file(self->fd, self->len, 'c'));
	self->plain = open_by_proc(self->fd, O_RDWR);
	ASSERT_LE(0, self->plain);
}

FIXTURE_TEARDOWN(created)
{
	if (self->fd >= 0)
		close(self->fd);
	close(self->plain);
}

/* A byte of a file, or -errno. */
static int byte_of(int fd, off_t at)
{
	unsigned char c;
	ssize_t n = pread(fd, &c, 1, at);

	return n < 0 ? -errno : n ? c : -ENODATA;
}

TEST_F(created, tells_of_itself)
{
	struct pinseal_info info;

	ASSERT_EQ(0, ps_info(self->fd, &info));
	EXPECT_EQ(PINSEAL_VERSION, info.version);
	EXPECT_EQ(PINSEAL_FEATURE_CREATE, info.features & PINSEAL_FEATURE_CREATE);
	EXPECT_EQ(self->len, info.size);
	ASSERT_EQ(0, sys(ftruncate(self->plain, 12345)));
	EXPECT_EQ(12345, ps_size(self->fd));
}

TEST_F(created, shows_fields_in_fdinfo)
{
	int reopened = ps_reopen(self->fd, O_RDONLY), other = created_open(ALLOW, "other");
	char value[64], object[64];

	ASSERT_LE(0, reopened);
	ASSERT_EQ(0, fdinfo_value(self->fd, "size", value, sizeof(value)));
	EXPECT_EQ(self->len, strtoul(value, NULL, 10));
	ASSERT_EQ(0, fdinfo_value(self->fd, "seals", value, sizeof(value)));
	EXPECT_STREQ("0x0", value);
	ASSERT_EQ(0, memfd_add_seals(self->fd, F_SEAL_GROW));
	ASSERT_EQ(0, fdinfo_value(self->fd, "seals", value, sizeof(value)));
	EXPECT_STREQ("0x4", value);
	ASSERT_EQ(0, fdinfo_value(self->fd, "object", object, sizeof(object)));
	ASSERT_EQ(0, fdinfo_value(reopened, "object", value, sizeof(value)));
	EXPECT_STREQ(object, value);
	ASSERT_EQ(0, fdinfo_value(other, "object", value, sizeof(value)));
	EXPECT_NE(0, strcmp(object, value));
	ASSERT_EQ(0, fdinfo_value(reopened, "name", value, sizeof(value)));
	EXPECT_STREQ("created", value);
	/* As of every file. */
	EXPECT_EQ(0, fdinfo_value(self->fd, "pos", value, sizeof(value)));
	EXPECT_EQ(-ENOENT, fdinfo_value(self->plain, "object", value, sizeof(value)));
	close(reopened);
	close(other);
}

TEST_F(created, is_resized_and_allocated)
{
	EXPECT_EQ(0, ps_resize(self->fd, 2 * self->len));
	EXPECT_EQ(2 * self->len, obj_size(self->plain));
	EXPECT_EQ(0, ps_fallocate(self->fd, 0, 2 * self->len, self->page));
	EXPECT_EQ(2 * self->len + self->page, obj_size(self->plain));
	EXPECT_EQ(0, ps_fallocate(self->fd, PUNCH, 0, self->page));
	EXPECT_EQ(0, byte_of(self->plain, 0));
	EXPECT_EQ(-EOPNOTSUPP, ps_fallocate(self->fd, FALLOC_FL_ZERO_RANGE, 0, self->page));
	ASSERT_EQ(0, memfd_add_seals(self->plain, F_SEAL_SHRINK));
	EXPECT_EQ(-EPERM, ps_resize(self->fd, 0));
}

#ifdef __x86_64__
TEST_F(created, is_commanded_by_32_bit_callers)
{
	struct pinseal_create *arg = mmap(NULL, self->page, RW,
					  MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	int fd;

	if (!has_32_bit_calls())
		SKIP(return, "no 32-bit programs");
	ASSERT_NE(MAP_FAILED, arg);
	strcpy(arg->name, "32");
	fd = ioctl_32(self->fd, PINSEAL_IOC_CREATE, arg);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, ioctl_32(fd, PINSEAL_IOC_INFO, arg));
	EXPECT_EQ(PINSEAL_VERSION, ((struct pinseal_info *)arg)->version);
	close(fd);
}
#endif

TEST_F(created, is_in_use_from_the_start)
{
	int new = created_open(ALLOW, "new"), memfd = memfd_open();

	EXPECT_EQ(-EBUSY, ps_set_name(new, "late"));
	EXPECT_EQ(-EBUSY, ps_import(new, memfd));
	EXPECT_EQ(-EBUSY, ps_set_name(self->fd, "late"));
	EXPECT_EQ(-EBUSY, ps_import(self->fd, memfd));
	EXPECT_EQ('c', byte_of(self->fd, 0));
	close(new);
	close(memfd);
}

TEST_F(created, is_reopened)
{
	int fd = ps_reopen(self->fd, O_RDWR);
	struct stat a, b;
	char target[64];

	ASSERT_LE(0, fd);
	EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	ASSERT_EQ(0, fstat(self->fd, &a));
	ASSERT_EQ(0, fstat(fd, &b));
	EXPECT_EQ(a.st_ino, b.st_ino);
	ASSERT_EQ(0, proc_link(fd, target, sizeof(target)));
	EXPECT_STREQ("/memfd:created (deleted)", target);
	/* A position of its own. */
	ASSERT_EQ(3, lseek(self->fd, 3, SEEK_SET));
	EXPECT_EQ(0, lseek(fd, 0, SEEK_CUR));
	EXPECT_EQ(1, sys(write(fd, "r", 1)));
	EXPECT_EQ('r', byte_of(self->fd, 0));
	/* Commands, and the calls of a memfd. */
	EXPECT_EQ(0, sys(ftruncate(fd, 2 * self->len)));
	EXPECT_EQ(2 * self->len, ps_size(fd));
	EXPECT_EQ(0, memfd_add_seals(fd, F_SEAL_GROW));
	EXPECT_EQ(0, ps_add_seals(fd, F_SEAL_WRITE));
	EXPECT_EQ(F_SEAL_GROW | F_SEAL_WRITE, ps_get_seals(self->fd));
	EXPECT_EQ(F_SEAL_GROW | F_SEAL_WRITE, fcntl(fd, F_GET_SEALS));
	EXPECT_EQ(0, ps_try_map(fd, self->len, PROT_READ, MAP_SHARED));
	close(fd);
}

TEST_F(created, is_reopened_for_reading)
{
	int fd = ps_reopen(self->fd, O_RDONLY), rw;

	ASSERT_LE(0, fd);
	EXPECT_EQ(O_RDONLY, fcntl(fd, F_GETFL) & O_ACCMODE);
	EXPECT_EQ('c', byte_of(fd, 0));
	EXPECT_EQ(-EBADF, sys(pwrite(fd, "x", 1, 0)));
	EXPECT_EQ(-EINVAL, sys(ftruncate(fd, 0)));
	EXPECT_EQ(-EINVAL, ps_resize(fd, 0));
	EXPECT_EQ(-EBADF, ps_fallocate(fd, 0, 0, self->page));
	EXPECT_EQ(-EBADF, sys(fallocate(fd, 0, 0, self->page)));
	EXPECT_EQ(-EACCES, ps_try_map(fd, self->len, RW, MAP_SHARED));
	EXPECT_EQ(0, ps_try_map(fd, self->len, PROT_READ, MAP_SHARED));
	EXPECT_EQ(-EPERM, ps_add_seals(fd, F_SEAL_SHRINK));
	EXPECT_EQ(-EPERM, memfd_add_seals(fd, F_SEAL_SHRINK));
	EXPECT_EQ(-EPERM, ps_reopen(fd, O_RDWR));
	EXPECT_EQ(-EPERM, ps_export(fd, 0));
	EXPECT_EQ(-EPERM, ps_export(fd, PINSEAL_EXPORT_RDONLY));
	EXPECT_EQ(-EPERM, ps_pin(fd, 0, 1, 0));
	EXPECT_LE(0, ps_reopen(fd, O_RDONLY));
	EXPECT_EQ(self->len, ps_size(fd));
	/* As a memfd's, within the mode of the file. */
	rw = open_by_proc(fd, O_RDWR);
	ASSERT_LE(0, rw);
	EXPECT_EQ(1, sys(pwrite(rw, "p", 1, 0)));
	EXPECT_EQ('p', byte_of(fd, 0));
	close(rw);
	close(fd);
}

TEST_F(created, is_exported)
{
	int fd = ps_export(self->fd, 0), ro = ps_export(self->fd, PINSEAL_EXPORT_RDONLY);

	ASSERT_LE(0, fd);
	ASSERT_LE(0, ro);
	EXPECT_EQ('c', byte_of(ro, 0));
	EXPECT_EQ(1, sys(pwrite(fd, "e", 1, 0)));
	EXPECT_EQ('e', byte_of(self->fd, 0));
	EXPECT_EQ(-EBADF, sys(pwrite(ro, "x", 1, 0)));
	EXPECT_EQ(-ENOTTY, ps_get_seals(fd));
	EXPECT_EQ(0, fcntl(fd, F_GET_SEALS));
	ASSERT_EQ(0, ps_add_seals(self->fd, F_SEAL_WRITE));
	EXPECT_EQ(-EPERM, sys(pwrite(fd, "x", 1, 0)));
	close(fd);
	close(ro);
}

TEST_F(created, is_not_exported_while_leased)
{
	int ro = open_by_proc(self->fd, O_RDONLY);

	close(self->plain);
	signal(SIGIO, SIG_IGN);
	ASSERT_EQ(0, sys(fcntl(ro, F_SETLEASE, F_RDLCK)));
	EXPECT_EQ(-EAGAIN, ps_export(self->fd, 0));
	ASSERT_EQ(0, sys(fcntl(ro, F_SETLEASE, F_UNLCK)));
	self->plain = ps_export(self->fd, 0);
	EXPECT_LE(0, self->plain);
	close(ro);
}

/* As by ftruncate(), and other than by truncate(): that waits until leases are broken. */
TEST_F(created, is_resized_while_leased)
{
	int ro = open_by_proc(self->fd, O_RDONLY);

	close(self->plain);
	signal(SIGIO, SIG_IGN);
	ASSERT_EQ(0, sys(fcntl(ro, F_SETLEASE, F_RDLCK)));
	EXPECT_EQ(0, ps_resize(self->fd, 2 * self->len));
	EXPECT_EQ(F_RDLCK, fcntl(ro, F_GETLEASE));
	ASSERT_EQ(0, sys(fcntl(ro, F_SETLEASE, F_UNLCK)));
	self->plain = ps_export(self->fd, 0);
	EXPECT_LE(0, self->plain);
	close(ro);
}

/* A copy within the kernel has references to pages until it has written them, and then to the next. */
TEST_F(created, is_sealed_while_it_is_copied_to_itself)
{
	struct pinseal_seal arg = seal_write(20 * NSEC_PER_SEC);
	size_t half = 256 * self->page;
	int status;
	pid_t pid;

	ASSERT_EQ(0, ps_resize(self->fd, 2 * half));
	ASSERT_EQ(0, fill_file(self->fd, 2 * half, 'c'));
	pid = ps_fork();
	if (!pid) {
		ssize_t n;

		do {
			off_t from = 0, to = half;

			n = copy_file_range(self->fd, &from, self->fd, &to, half, 0);
		} while (n > 0);
		_exit(n < 0 ? errno : 0);
	}
	sleep_ns(SHORT_NS);
	EXPECT_EQ(0, ps_seal(self->fd, &arg));
	TH_LOG("%u scans, %llu us", arg.scans, (unsigned long long)arg.waited_ns / 1000);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == EPERM);
}

TEST_F(created, cannot_be_sealed_while_pinned)
{
	int pin = ps_pin(self->fd, HELD, 1, 0);
	struct pinseal_seal arg = seal_write(SHORT_NS);
	struct pinseal_page page;
	struct pinseal_pins pins;

	ASSERT_LE(0, pin);
	ASSERT_EQ(0, ps_pins(self->fd, 0, &page, 1, &pins));
	EXPECT_EQ(1, pins.found);
	EXPECT_EQ(HELD, page.index);
	EXPECT_EQ(PINSEAL_PAGE_HANDLE, page.flags & LASTING_FLAGS);
	EXPECT_EQ(1, page.dma_pins);
	EXPECT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_PINNED, arg.outcome);
	EXPECT_EQ(1, arg.pinned_pages);
	EXPECT_EQ(HELD, arg.first_pinned);
	EXPECT_EQ(-EBUSY, memfd_add_seals(self->fd, F_SEAL_WRITE));
	EXPECT_EQ(0, ps_get_seals(self->fd));
	EXPECT_EQ(1, sys(pwrite(pin, "h", 1, 0)));
	EXPECT_EQ('h', byte_of(self->plain, HELD * self->page));
	close(pin);
	EXPECT_EQ(0, ps_add_seals(self->fd, F_SEAL_WRITE));
	EXPECT_EQ(-EPERM, ps_pin(self->fd, 0, 1, 0));
}

TEST_F(created, is_revoked)
{
	int lease = ps_lease(self->fd, HELD, 1, 0);
	struct pinseal_seal arg = seal_write(LONG_NS);

	ASSERT_LE(0, lease);
	arg.flags = PINSEAL_SEAL_REVOKE;
	EXPECT_EQ(0, ps_seal(self->fd, &arg));
	EXPECT_EQ(1, arg.revoked_pages);
	EXPECT_EQ(-ESTALE, byte_of(lease, 0));
	close(lease);
}

TEST_F(created, is_mirrored)
{
	char *p = ps_map(self->fd, self->len, RW, MAP_SHARED);
	int mirror = ps_mirror(self->fd, 1, 2, 0, p + self->page);

	ASSERT_NE(MAP_FAILED, p);
	if (mirror == -EOPNOTSUPP)
		SKIP(return, "this kernel has no HMM");
	ASSERT_LE(0, mirror);
	EXPECT_EQ('c', byte_of(mirror, 0));
	EXPECT_EQ(1, sys(pwrite(mirror, "m", 1, 1)));
	EXPECT_EQ('m', byte_of(self->plain, self->page + 1));
	munmap(p, self->len);
	EXPECT_EQ(-EFAULT, byte_of(mirror, 0));
	EXPECT_EQ(0, ps_add_seals(self->fd, F_SEAL_WRITE));
	close(mirror);
}

/* A mirror of what the plain descriptor shows. */
TEST_F(created, is_mirrored_in_a_plain_mapping)
{
	char *p = ps_map(self->plain, self->len, RW, MAP_SHARED);
	int mirror = ps_mirror(self->fd, 0, 1, 0, p);

	if (mirror == -EOPNOTSUPP)
		SKIP(return, "this kernel has no HMM");
	ASSERT_LE(0, mirror);
	EXPECT_EQ('c', byte_of(mirror, 0));
	close(mirror);
	munmap(p, self->len);
}

TEST_F(created, keeps_held_pages_when_it_waits)
{
	struct pinseal_resize resize = {
		.size = self->page, .flags = PINSEAL_RESIZE_WAIT, .timeout_ns = SHORT_NS,
	};
	struct pinseal_fallocate punch = {
		.mode = PUNCH, .offset = 2 * self->page, .len = 2 * self->page,
		.flags = PINSEAL_FALLOCATE_WAIT, .timeout_ns = SHORT_NS,
	};
	struct hold hold;

	ASSERT_EQ(0, hold_begin(&hold, HOLD_VMSPLICE, self->plain, HELD, 1));
	EXPECT_EQ(-EBUSY, ps_ioctl(self->fd, PINSEAL_IOC_RESIZE, &resize));
	EXPECT_EQ(1, resize.pinned_pages);
	EXPECT_EQ(HELD, resize.first_pinned);
	EXPECT_EQ(self->len, obj_size(self->fd));
	EXPECT_EQ(-EBUSY, ps_ioctl(self->fd, PINSEAL_IOC_FALLOCATE, &punch));
	EXPECT_EQ(1, punch.pinned_pages);
	EXPECT_EQ(HELD, punch.first_pinned);
	EXPECT_EQ('c', byte_of(self->fd, HELD * self->page));
	ASSERT_EQ(0, hold_end(&hold));
	punch.waited_ns = resize.waited_ns = 0;
	punch.timeout_ns = resize.timeout_ns = LONG_NS;
	EXPECT_EQ(0, ps_ioctl(self->fd, PINSEAL_IOC_FALLOCATE, &punch));
	EXPECT_EQ(0, byte_of(self->fd, HELD * self->page));
	EXPECT_EQ(0, ps_ioctl(self->fd, PINSEAL_IOC_RESIZE, &resize));
	EXPECT_EQ(self->page, obj_size(self->fd));
}

TEST_F(created, is_isolated)
{
	struct pinseal_seal arg = seal_write(SHORT_NS);
	struct hold hold;
	uint64_t bytes = checksum(self->fd, self->len);

	ASSERT_EQ(0, hold_begin(&hold, HOLD_VMSPLICE, self->fd, HELD, 1));
	arg.flags = PINSEAL_SEAL_ISOLATE;
	EXPECT_EQ(0, ps_seal(self->fd, &arg));
	EXPECT_EQ(1, arg.isolated_pages);
	EXPECT_EQ(bytes, checksum(self->plain, self->len));
	EXPECT_EQ(F_SEAL_WRITE, fcntl(self->fd, F_GET_SEALS));
	ASSERT_EQ(0, hold_end(&hold));
}

TEST_F(created, is_imported)
{
	int object = import_open(self->fd), pin;
	struct pinseal_seal arg = seal_write(SHORT_NS);

	ASSERT_LE(0, object);
	EXPECT_EQ('c', byte_of(object, 0));
	/* Each sees the other's seals and pins. */
	ASSERT_EQ(0, ps_add_seals(object, F_SEAL_GROW));
	EXPECT_EQ(F_SEAL_GROW, ps_get_seals(self->fd));
	EXPECT_EQ(F_SEAL_GROW, fcntl(self->fd, F_GET_SEALS));
	ASSERT_EQ(0, ps_add_seals(self->fd, F_SEAL_SHRINK));
	EXPECT_EQ(F_SEAL_GROW | F_SEAL_SHRINK, ps_get_seals(object));
	ASSERT_EQ(0, memfd_add_seals(self->fd, F_SEAL_FUTURE_WRITE));
	EXPECT_EQ(F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_FUTURE_WRITE, ps_get_seals(object));
	pin = ps_pin(self->fd, 0, 1, PINSEAL_PIN_READONLY);
	ASSERT_LE(0, pin);
	EXPECT_EQ(-EBUSY, ps_seal(object, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_PINNED, arg.outcome);
	close(pin);
	ASSERT_EQ(0, ps_add_seals(object, F_SEAL_WRITE));
	EXPECT_EQ(-EPERM, sys(pwrite(self->fd, "x", 1, 0)));
	close(object);
}

TEST_F(created, is_imported_if_others_may_seal_it)
{
	static const struct {
		uint32_t flags;
		int ret;
	} rows[] = {
		{ ALLOW, 0 }, { ALLOW | EXEC, 0 }, { NOEXEC, 0 }, { ALLOW | NOEXEC, 0 },
		{ 0, -EPERM }, { EXEC, -EPERM },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int fd = created_open(rows[i].flags, "source"), object = ps_open(O_RDWR);

		EXPECT_EQ(rows[i].ret, ps_import(object, fd)) {
			TH_LOG("flags %#x", rows[i].flags);
		}
		close(object);
		close(fd);
	}
	ASSERT_EQ(0, ps_add_seals(self->fd, F_SEAL_SEAL));
	EXPECT_EQ(-EPERM, import_open(self->fd));
}

/* Seals that its maker adds, and others cannot */

TEST_F(created, is_sealed_by_its_maker_only)
{
	static const uint32_t flags[] = { 0, EXEC };

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		int fd = created_open(flags[i], "maker"), plain = open_by_proc(fd, O_RDWR);
		struct pinseal_seal none = { 0 };

		ASSERT_EQ(0, sys(ftruncate(plain, self->len)));
		EXPECT_EQ(F_SEAL_SEAL, fcntl(fd, F_GET_SEALS));
		EXPECT_EQ(-EPERM, memfd_add_seals(fd, F_SEAL_SHRINK));
		EXPECT_EQ(-EPERM, memfd_add_seals(plain, F_SEAL_SHRINK));
		EXPECT_EQ(0, ps_get_seals(fd));
		EXPECT_EQ(0, ps_seal(fd, &none));
		ASSERT_EQ(0, ps_add_seals(fd, F_SEAL_WRITE | F_SEAL_SHRINK));
		EXPECT_EQ(F_SEAL_WRITE | F_SEAL_SHRINK, ps_get_seals(fd));
		EXPECT_EQ(F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_SEAL, fcntl(plain, F_GET_SEALS));
		EXPECT_EQ(-EPERM, sys(pwrite(fd, "x", 1, 0)));
		EXPECT_EQ(-EPERM, sys(pwrite(plain, "x", 1, 0)));
		/* Until it is sealed by itself. */
		ASSERT_EQ(0, ps_add_seals(fd, F_SEAL_SEAL));
		EXPECT_EQ(F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_SEAL, ps_get_seals(fd));
		EXPECT_EQ(-EPERM, ps_add_seals(fd, F_SEAL_GROW));
		EXPECT_EQ(-EPERM, ps_seal(fd, &none));
		close(plain);
		close(fd);
	}
}

TEST_F(created, is_sealed_by_anyone_who_may)
{
	ASSERT_EQ(0, memfd_add_seals(self->plain, F_SEAL_GROW));
	ASSERT_EQ(0, ps_add_seals(self->fd, F_SEAL_SHRINK));
	ASSERT_EQ(0, memfd_add_seals(self->fd, F_SEAL_SEAL));
	EXPECT_EQ(F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL, ps_get_seals(self->fd));
	EXPECT_EQ(-EPERM, ps_add_seals(self->fd, F_SEAL_WRITE));
	EXPECT_EQ(-EPERM, memfd_add_seals(self->plain, F_SEAL_WRITE));
}

/* The kernel's F_SEAL_WRITE is not trusted, as with an imported memfd. */
TEST_F(created, is_scanned_though_sealed_by_fcntl)
{
	struct pinseal_seal arg = seal_write(SHORT_NS);
	int pin;

	ASSERT_EQ(0, fcntl_add_seals(self->plain, F_SEAL_WRITE));
	EXPECT_EQ(F_SEAL_WRITE, ps_get_seals(self->fd));
	/* This holder only reads: no writer can be left. */
	pin = ps_pin(self->fd, HELD, 1, PINSEAL_PIN_READONLY);
	ASSERT_LE(0, pin);
	EXPECT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_PINNED, arg.outcome);
	close(pin);
	EXPECT_EQ(0, ps_add_seals(self->fd, F_SEAL_WRITE));
}

TEST_F(created, is_sealed_against_future_execution)
{
	const int rx = PROT_READ | PROT_EXEC;
	char *before = ps_map(self->fd, self->len, PROT_READ, MAP_SHARED), *after, *running;

	ASSERT_NE(MAP_FAILED, before);
	running = ps_map(self->fd, self->len, rx, MAP_PRIVATE);
	ASSERT_NE(MAP_FAILED, running);
	ASSERT_EQ(0, ps_add_seals(self->fd, PINSEAL_F_SEAL_FUTURE_EXEC));
	EXPECT_EQ(PINSEAL_F_SEAL_FUTURE_EXEC, ps_get_seals(self->fd));
	EXPECT_EQ(0, fcntl(self->fd, F_GET_SEALS));
	EXPECT_EQ(-EPERM, ps_try_map(self->fd, self->len, rx, MAP_SHARED));
	EXPECT_EQ(-EPERM, ps_try_map(self->fd, self->len, PROT_EXEC, MAP_PRIVATE));
	EXPECT_EQ(-EACCES, sys(mprotect(before, self->len, rx)));
	after = ps_map(self->fd, self->len, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, after);
	EXPECT_EQ(-EACCES, sys(mprotect(after, self->len, rx)));
	EXPECT_EQ(-EACCES, sys(mprotect(after, self->page, rx)));
	EXPECT_EQ('c', running[0]);
	/* Also through another descriptor of the object, and when this one is closed. */
	close(self->fd);
	self->fd = -1;
	EXPECT_EQ(-EACCES, sys(mprotect(before, self->len, rx)));
	EXPECT_EQ(-EACCES, sys(mprotect(after, self->len, rx)));
}

TEST_F(created, is_sealed_against_future_execution_when_reopened)
{
	int fd = ps_reopen(self->fd, O_RDWR);
	char *p = ps_map(fd, self->len, PROT_READ, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, ps_add_seals(self->fd, PINSEAL_F_SEAL_FUTURE_EXEC));
	EXPECT_EQ(-EPERM, ps_try_map(fd, self->len, PROT_READ | PROT_EXEC, MAP_SHARED));
	EXPECT_EQ(-EACCES, sys(mprotect(p, self->len, PROT_READ | PROT_EXEC)));
	EXPECT_EQ(PINSEAL_F_SEAL_FUTURE_EXEC, ps_get_seals(fd));
	close(fd);
}

/* A seal under way */

/* @epoll: watches the object for the end of the seal */
FIXTURE(sealing) {
	int fd, plain, reopened, epoll;
	size_t len;
	struct hold hold;
	bool holding;
	struct pinseal_seal arg;
};

FIXTURE_SETUP(sealing)
{
	struct epoll_event event = { .events = EPOLLPRI };

	self->len = PAGES * page_size();
	self->fd = created_open(ALLOW | EXEC, "sealing");
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, fill_file(self->fd, self->len, 's'));
	self->plain = open_by_proc(self->fd, O_RDWR);
	self->reopened = ps_reopen(self->fd, O_RDWR);
	self->epoll = epoll_create1(EPOLL_CLOEXEC);
	ASSERT_LE(0, self->plain);
	ASSERT_LE(0, self->reopened);
	ASSERT_EQ(0, sys(epoll_ctl(self->epoll, EPOLL_CTL_ADD, self->reopened, &event)));
	ASSERT_EQ(0, hold_begin(&self->hold, HOLD_VMSPLICE, self->fd, HELD, 1));
	self->holding = true;
	self->arg = seal_async(F_SEAL_WRITE, UINT64_MAX);
	ASSERT_EQ(0, async_wait_scan(self->fd, &self->arg));
	ASSERT_EQ(PINSEAL_OUTCOME_PENDING, self->arg.outcome);
}

static int let_go(FIXTURE_DATA(sealing) *self)
{
	self->holding = false;
	return hold_end(&self->hold);
}

FIXTURE_TEARDOWN(sealing)
{
	if (self->holding)
		let_go(self);
	close(self->epoll);
	close(self->reopened);
	close(self->plain);
	if (self->fd >= 0)
		close(self->fd);
}

TEST_F(sealing, ends_with_an_event)
{
	struct epoll_event got;
	char sealing[16];

	EXPECT_EQ(0, epoll_wait(self->epoll, &got, 1, 0));
	EXPECT_FALSE(async_ended(self->fd));
	ASSERT_EQ(0, fdinfo_value(self->fd, "sealing", sealing, sizeof(sealing)));
	EXPECT_STREQ("0x8", sealing);
	ASSERT_EQ(0, let_go(self));
	ASSERT_EQ(1, epoll_wait(self->epoll, &got, 1, SOON_NS / NSEC_PER_MSEC));
	EXPECT_EQ(EPOLLPRI, got.events);
	EXPECT_TRUE(async_ended(self->fd));
	EXPECT_FALSE(async_ended(self->plain));
	EXPECT_EQ(0, ps_seal(self->fd, &self->arg));
	EXPECT_EQ(PINSEAL_OUTCOME_SEALED, self->arg.outcome);
	EXPECT_EQ(F_SEAL_WRITE, fcntl(self->plain, F_GET_SEALS));
	EXPECT_FALSE(async_ended(self->reopened));
}

TEST_F(sealing, refuses_writable_mappings)
{
	EXPECT_EQ(-EPERM, ps_try_map(self->fd, self->len, RW, MAP_SHARED));
	EXPECT_EQ(-EPERM, ps_try_map(self->reopened, self->len, RW, MAP_SHARED));
	EXPECT_EQ(-EPERM, ps_try_map(self->plain, self->len, RW, MAP_SHARED));
	EXPECT_EQ(0, ps_try_map(self->fd, self->len, RW, MAP_PRIVATE));
	ASSERT_EQ(0, async_cancel(self->fd, &self->arg));
	EXPECT_EQ(PINSEAL_OUTCOME_CANCELLED, self->arg.outcome);
	EXPECT_EQ(0, ps_try_map(self->fd, self->len, RW, MAP_SHARED));
}

TEST_F(sealing, does_not_delay_changes_of_size)
{
	EXPECT_EQ(0, sys(ftruncate(self->fd, 2 * self->len)));
	EXPECT_EQ(0, sys(fallocate(self->fd, 0, 2 * self->len, page_size())));
	EXPECT_EQ(0, sys(fallocate(self->fd, PUNCH, 0, page_size())));
	EXPECT_EQ(2 * self->len + page_size(), obj_size(self->plain));
	EXPECT_EQ(0, ps_seal(self->fd, &self->arg));
	EXPECT_EQ(PINSEAL_OUTCOME_PENDING, self->arg.outcome);
	ASSERT_EQ(0, let_go(self));
	EXPECT_EQ(0, async_wait(self->fd, &self->arg));
	EXPECT_EQ(PINSEAL_OUTCOME_SEALED, self->arg.outcome);
}

TEST_F(sealing, delays_writers)
{
	ASSERT_EQ(0, fcntl(self->fd, F_SETFL, O_NONBLOCK));
	EXPECT_EQ(-EAGAIN, sys(pwrite(self->fd, "x", 1, 0)));
	EXPECT_EQ('s', byte_of(self->fd, 0));
	ASSERT_EQ(0, async_cancel(self->fd, &self->arg));
	EXPECT_EQ(1, sys(pwrite(self->fd, "x", 1, 0)));
}

struct writer {
	int fd, ret;
	pid_t tid;
};

static void *writer_thread(void *data)
{
	struct writer *w = data;

	__atomic_store_n(&w->tid, thread_id(), __ATOMIC_RELEASE);
	w->ret = sys(write(w->fd, "x", 1));
	return NULL;
}

/* Not even one that uses the same position. */
TEST_F(sealing, a_delayed_writer_holds_up_no_reader)
{
	int fds[] = { self->fd, self->reopened };

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		struct writer w = { .fd = fds[i] };
		pthread_t thread;
		char byte;

		ASSERT_EQ(0, pthread_create(&thread, NULL, writer_thread, &w));
		ASSERT_TRUE(thread_wait_asleep(&w.tid));
		EXPECT_EQ(1, sys(read(w.fd, &byte, 1)));
		EXPECT_EQ(1, lseek(w.fd, 1, SEEK_SET));
		ASSERT_EQ(0, async_cancel(self->fd, &self->arg));
		pthread_join(thread, NULL);
		EXPECT_EQ(1, w.ret);
		self->arg = seal_async(F_SEAL_WRITE, UINT64_MAX);
		ASSERT_EQ(0, async_wait_scan(self->fd, &self->arg));
	}
}

TEST_F(sealing, goes_on_beside_other_seals)
{
	EXPECT_EQ(0, memfd_add_seals(self->plain, F_SEAL_GROW));
	EXPECT_EQ(-EBUSY, memfd_add_seals(self->fd, F_SEAL_WRITE));
	EXPECT_EQ(F_SEAL_GROW, fcntl(self->fd, F_GET_SEALS));
	ASSERT_EQ(0, let_go(self));
	EXPECT_EQ(0, async_wait(self->fd, &self->arg));
	EXPECT_EQ(PINSEAL_OUTCOME_SEALED, self->arg.outcome);
	EXPECT_EQ(F_SEAL_GROW | F_SEAL_WRITE, ps_get_seals(self->fd));
	EXPECT_EQ(-EPERM, ps_try_map(self->plain, self->len, RW, MAP_SHARED));
}

/* A plain descriptor keeps the memory, not the seal under way. */
TEST_F(sealing, ends_with_the_last_descriptor)
{
	uint64_t until = now_ns() + SOON_NS;
	int ret;

	close(self->fd);
	close(self->reopened);
	self->fd = self->reopened = -1;
	do
		ret = ps_try_map(self->plain, self->len, RW, MAP_SHARED);
	while (ret == -EPERM && now_ns() < until);
	EXPECT_EQ(0, ret);
	ASSERT_EQ(0, let_go(self));
	EXPECT_EQ(0, fcntl(self->plain, F_GET_SEALS));
	EXPECT_EQ(1, sys(pwrite(self->plain, "p", 1, 0)));
}

/* Lifetime: with a descriptor that knows no commands, and mappings */

TEST_F(created, leaves_its_seals_behind)
{
	const uint32_t seals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW;
	char *p;

	ASSERT_EQ(0, ps_add_seals(self->fd, seals));
	p = ps_map(self->fd, self->len, PROT_READ, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	close(self->fd);
	self->fd = -1;
	EXPECT_EQ('c', p[self->len - 1]);
	EXPECT_EQ(-EACCES, sys(mprotect(p, self->len, RW)));
	EXPECT_EQ(seals, fcntl(self->plain, F_GET_SEALS));
	EXPECT_EQ(-EPERM, sys(pwrite(self->plain, "x", 1, 0)));
	EXPECT_EQ(-EPERM, sys(ftruncate(self->plain, 0)));
	EXPECT_EQ(-EPERM, ps_try_map(self->plain, self->len, RW, MAP_SHARED));
	EXPECT_EQ('c', byte_of(self->plain, 0));
}

TEST_F(created, leaves_memory_that_can_be_sealed)
{
	char *p = ps_map(self->fd, self->len, RW, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, p);
	close(self->fd);
	self->fd = -1;
	p[0] = 'm';
	EXPECT_EQ('m', byte_of(self->plain, 0));
	EXPECT_EQ(-EBUSY, memfd_add_seals(self->plain, F_SEAL_WRITE));
	munmap(p, self->len);
	EXPECT_EQ(0, fcntl_add_seals(self->plain, F_SEAL_WRITE));
}

TEST_F(created, leaves_others_without_the_right_to_seal)
{
	int fd = created_open(EXEC, "maker"), plain = open_by_proc(fd, O_RDWR);

	close(fd);
	EXPECT_EQ(F_SEAL_SEAL, fcntl(plain, F_GET_SEALS));
	EXPECT_EQ(-EPERM, memfd_add_seals(plain, F_SEAL_GROW));
	EXPECT_EQ(1, sys(pwrite(plain, "x", 1, 0)));
	close(plain);
}

TEST_F(created, leaves_its_pin_handles)
{
	int pin = ps_pin(self->fd, HELD, 1, 0);

	ASSERT_LE(0, pin);
	close(self->fd);
	self->fd = -1;
	EXPECT_EQ('c', byte_of(pin, 0));
	EXPECT_EQ(1, sys(pwrite(pin, "h", 1, 0)));
	EXPECT_EQ('h', byte_of(self->plain, HELD * self->page));
	EXPECT_EQ(-EBUSY, memfd_add_seals(self->plain, F_SEAL_WRITE));
	close(pin);
	EXPECT_EQ(0, fcntl_add_seals(self->plain, F_SEAL_WRITE));
}

TEST_HARNESS_MAIN

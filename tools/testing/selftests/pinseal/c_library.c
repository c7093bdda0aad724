// SPDX-License-Identifier: GPL-2.0-only
/* <pinseal.h>, the library for C: each of its functions but pinseal_explain(), which c_sentences tests. */
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/time.h>

#include <pinseal.h>

#include "content.h"
#include "cpu.h"
#include "fuse_server.h"
#include "holders.h"
#include "object.h"
#include "sealer.h"
#include "state.h"

#include "harness.h"

#define PAGES		64
#define FIRST		3	/* what is pinned */
#define COUNT		4

#define RW		(PROT_READ | PROT_WRITE)
#define SHORT_NS	(20 * NSEC_PER_MSEC)

/* For seals that are to succeed. */
static const struct pinseal_options patient = { .timeout_ns = SOON_NS };
/* For those that are not. */
static const struct pinseal_options hasty = { .timeout_ns = SHORT_NS };

/* An object of the device, filled. */
FIXTURE(c_library) {
	int fd;
	size_t page;
};

FIXTURE_SETUP(c_library)
{
	/* Pages that another CPU fills would be in its LRU batch. */
	run_on_cpu(0);
	self->page = page_size();
	self->fd = pinseal_open(O_RDWR);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, fill_file(self->fd, PAGES * self->page, 'f'));
}

FIXTURE_TEARDOWN(c_library)
{
	close(self->fd);
}

/* The lowest number of a descriptor that is free: a function that fails must not leave one. */
static int lowest_free(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

/*
 * Objects
 */

TEST(device_object)
{
	int fd = pinseal_open(O_RDWR), reader = pinseal_open(O_RDONLY);
	char name[PINSEAL_NAME_MAX + 1] = "", shown[80];

	ASSERT_LE(0, fd);
	EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	EXPECT_TRUE(pinseal_is_object(fd));
	EXPECT_EQ(0, pinseal_size(fd));
	EXPECT_EQ(0, pinseal_get_seals(fd));
	memset(name, 'n', PINSEAL_NAME_MAX);
	EXPECT_EQ(-EINVAL, pinseal_set_name(fd, name));
	name[PINSEAL_NAME_MAX - 1] = '\0';
	EXPECT_EQ(-EPERM, pinseal_set_name(reader, name));
	EXPECT_EQ(0, pinseal_set_name(fd, name));
	EXPECT_EQ(0, fdinfo_value(fd, "name", shown, sizeof(shown)));
	EXPECT_STREQ(name, shown);
	close(fd);
	close(reader);
}

TEST(created_object)
{
	char name[PINSEAL_NAME_MAX + 1] = "";
	int fd = pinseal_create("", PINSEAL_CREATE_ALLOW_SEALING), other;

	ASSERT_LE(0, fd);
	EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	EXPECT_TRUE(pinseal_is_object(fd));
	EXPECT_TRUE(obj_is_memfd(fd));
	EXPECT_EQ(0, fcntl(fd, F_GET_SEALS));
	ASSERT_EQ(0, ftruncate(fd, 100));
	EXPECT_EQ(100, pinseal_size(fd));
	/* Another one by it. */
	other = pinseal_create_by(fd, "other", PINSEAL_CREATE_NOEXEC_SEAL);
	ASSERT_LE(0, other);
	EXPECT_EQ(0, pinseal_size(other));
	EXPECT_EQ(F_SEAL_EXEC, fcntl(other, F_GET_SEALS));
	close(other);
	memset(name, 'n', PINSEAL_NAME_MAX);
	EXPECT_EQ(-EINVAL, pinseal_create(name, 0));
	EXPECT_EQ(-EINVAL, pinseal_create_by(fd, name, 0));
	EXPECT_EQ(-EINVAL, pinseal_create("", ~0U));
	EXPECT_EQ(-EBADF, pinseal_create_by(-1, "", 0));
	EXPECT_EQ(other, lowest_free());
	close(fd);
}

TEST(descriptors_of_others)
{
	int memfd = memfd_open();
	struct pinseal_info info;

	EXPECT_FALSE(pinseal_is_object(memfd));
	EXPECT_FALSE(pinseal_is_object(-1));
	EXPECT_EQ(-ENOTTY, pinseal_get_seals(memfd));
	EXPECT_EQ(-ENOTTY, pinseal_size(memfd));
	EXPECT_EQ(-ENOTTY, pinseal_info(memfd, &info));
	EXPECT_EQ(-ENOTTY, pinseal_seal(memfd, F_SEAL_WRITE, NULL, NULL));
	EXPECT_EQ(-ENOTTY, pinseal_resize(memfd, 0));
	EXPECT_EQ(-ENOTTY, pinseal_ioctl(memfd, PINSEAL_IOC_INFO, &info));
	EXPECT_EQ(-EBADF, pinseal_ioctl(-1, PINSEAL_IOC_INFO, &info));
	close(memfd);
}

TEST(a_file_that_answers_like_an_object_is_none)
{
	struct pinseal_report report;
	struct fuse_server server;
	struct pinseal_info info;

	ASSERT_EQ(0, fuse_server_start(&server));
	/* It does answer so. */
	EXPECT_EQ(0, pinseal_info(server.file, &info));
	EXPECT_EQ(PINSEAL_VERSION, info.version);
	EXPECT_EQ(0, pinseal_seal(server.file, F_SEAL_WRITE, NULL, NULL));
	EXPECT_FALSE(pinseal_is_object(server.file));
	EXPECT_EQ(-EINVAL, pinseal_seal_fd(server.file, F_SEAL_WRITE, NULL, &report));
	EXPECT_EQ(EINVAL, report.error);
	fuse_server_stop(&server);
}

TEST_F(c_library, tells_what_there_is)
{
	struct pinseal_info info;

	EXPECT_EQ(0, pinseal_info(self->fd, &info));
	EXPECT_EQ(PINSEAL_VERSION, info.version);
	EXPECT_EQ(PAGES * self->page, info.size);
	EXPECT_EQ(PAGES * self->page, pinseal_size(self->fd));
	EXPECT_TRUE(info.seal_flags & PINSEAL_SEAL_WAIT_MAPPED);
	EXPECT_EQ(0, pinseal_ioctl(self->fd, PINSEAL_IOC_INFO, &info));
	EXPECT_EQ(-EFAULT, pinseal_ioctl(self->fd, PINSEAL_IOC_INFO, NULL));
}

TEST(imported_memfd)
{
	int memfd = memfd_open(), unsealable = memfd_create("unsealable", MFD_CLOEXEC), fd, free;

	ASSERT_EQ(0, fill_file(memfd, 2 * page_size(), 'm'));
	fd = pinseal_import(memfd);
	ASSERT_LE(0, fd);
	EXPECT_EQ(2 * page_size(), pinseal_size(fd));
	EXPECT_EQ(0, pinseal_seal(fd, F_SEAL_WRITE, &patient, NULL));
	EXPECT_EQ(F_SEAL_WRITE, fcntl(memfd, F_GET_SEALS));
	close(fd);
	free = lowest_free();
	EXPECT_EQ(-EPERM, pinseal_import(unsealable));
	EXPECT_EQ(-EBADF, pinseal_import(-1));
	EXPECT_EQ(free, lowest_free());
	close(memfd);
	close(unsealable);
}

TEST(look_at_a_memfd)
{
	int memfd = memfd_create("unsealable", MFD_CLOEXEC), fd, pipe_fd[2];
	struct pinseal_pins pins;
	struct hold hold;

	ASSERT_EQ(0, fill_file(memfd, PAGES * page_size(), 'm'));
	fd = pinseal_look(memfd);
	ASSERT_LE(0, fd);
	EXPECT_EQ(PAGES * page_size(), pinseal_size(fd));
	EXPECT_EQ(F_SEAL_SEAL, pinseal_get_seals(fd) & F_SEAL_SEAL);
	ASSERT_EQ(0, hold_begin(&hold, HOLD_URING, memfd, FIRST, COUNT));
	EXPECT_EQ(0, pinseal_pins_count(fd, 0, 0, &pins));
	EXPECT_EQ(COUNT, pins.dma_pinned_pages);
	ASSERT_EQ(0, hold_end(&hold));
	EXPECT_EQ(-EPERM, pinseal_seal(fd, F_SEAL_WRITE, NULL, NULL));
	close(fd);
	ASSERT_EQ(0, pipe(pipe_fd));
	EXPECT_EQ(-EINVAL, pinseal_look(pipe_fd[0]));
	close(memfd);
}

TEST(attached_file)
{
	int lower = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600), fd, free;
	char c;

	ASSERT_EQ(0, fill_file(lower, page_size(), 'l'));
	fd = pinseal_attach(lower, 0);
	ASSERT_LE(0, fd);
	EXPECT_EQ(page_size(), pinseal_size(fd));
	EXPECT_EQ(1, pread(fd, &c, 1, 100));
	EXPECT_EQ('l', c);
	EXPECT_EQ(1, pwrite(fd, "n", 1, 100));
	EXPECT_EQ(0, fsync(fd));
	EXPECT_EQ(1, pread(lower, &c, 1, 100));
	EXPECT_EQ('n', c);
	close(fd);
	fd = pinseal_attach(lower, PINSEAL_ATTACH_RDONLY);
	ASSERT_LE(0, fd);
	EXPECT_EQ(1, pwrite(fd, "n", 1, 0));
	EXPECT_EQ(-EROFS, sys(fsync(fd)));
	close(fd);
	free = lowest_free();
	EXPECT_EQ(-EBADF, pinseal_attach(-1, 0));
	EXPECT_EQ(free, lowest_free());
	close(lower);
}

TEST_F(c_library, exports_and_reopens)
{
	int memfd = pinseal_export(self->fd, 0), reader = pinseal_export(self->fd, PINSEAL_EXPORT_RDONLY);
	int again = pinseal_reopen(self->fd, O_RDWR), view = pinseal_reopen(self->fd, O_RDONLY);
	char c;

	EXPECT_TRUE(obj_is_memfd(memfd));
	EXPECT_FALSE(pinseal_is_object(memfd));
	EXPECT_EQ(1, pwrite(memfd, "w", 1, 0));
	EXPECT_EQ(-EBADF, sys(pwrite(reader, "w", 1, 0)));
	EXPECT_EQ(1, pread(reader, &c, 1, 0));
	EXPECT_EQ('w', c);
	EXPECT_TRUE(pinseal_is_object(again));
	EXPECT_EQ(1, pwrite(again, "x", 1, 0));
	EXPECT_EQ(1, pread(view, &c, 1, 0));
	EXPECT_EQ('x', c);
	EXPECT_EQ(-EBADF, sys(pwrite(view, "w", 1, 0)));
	EXPECT_EQ(-EPERM, pinseal_reopen(view, O_RDWR));
	EXPECT_EQ(-EPERM, pinseal_export(view, 0));
	close(memfd);
	close(reader);
	close(again);
	close(view);
}

TEST_F(c_library, changes_size)
{
	uint32_t punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	char c;

	EXPECT_EQ(0, pinseal_resize(self->fd, 2 * self->page));
	EXPECT_EQ(2 * self->page, pinseal_size(self->fd));
	EXPECT_EQ(0, pinseal_fallocate(self->fd, punch, 0, self->page));
	EXPECT_EQ(1, pread(self->fd, &c, 1, 0));
	EXPECT_EQ('\0', c);
	EXPECT_EQ(1, pread(self->fd, &c, 1, self->page));
	EXPECT_EQ('f', c);
	EXPECT_EQ(0, pinseal_fallocate(self->fd, 0, 0, 3 * self->page));
	EXPECT_EQ(3 * self->page, pinseal_size(self->fd));
	EXPECT_EQ(-EINVAL, pinseal_fallocate(self->fd, 0, 0, 0));
	ASSERT_EQ(0, pinseal_seal(self->fd, F_SEAL_SHRINK, NULL, NULL));
	EXPECT_EQ(-EPERM, pinseal_resize(self->fd, 0));
}

TEST_F(c_library, waits_for_removed_pages)
{
	int pin = pinseal_pin(self->fd, FIRST, COUNT, 0);
	struct pinseal_fallocate hole;
	struct pinseal_resize size;
	uint64_t waited_ns;

	ASSERT_LE(0, pin);
	EXPECT_EQ(-EBUSY, pinseal_resize_wait(self->fd, 0, SHORT_NS, 0, &size));
	EXPECT_EQ(FIRST, size.first_pinned);
	EXPECT_EQ(COUNT, size.pinned_pages);
	EXPECT_LE(SHORT_NS, size.waited_ns);
	EXPECT_EQ(-EBUSY, pinseal_resize_wait(self->fd, 0, SHORT_NS, 0, NULL));
	EXPECT_EQ(-EBUSY, pinseal_punch_wait(self->fd, FIRST * self->page, self->page, SHORT_NS, 0,
					     &hole));
	EXPECT_EQ(FIRST, hole.first_pinned);
	EXPECT_LE(1, hole.pinned_pages);
	EXPECT_LE(SHORT_NS, hole.waited_ns);
	EXPECT_EQ(-EBUSY, pinseal_punch_wait(self->fd, FIRST * self->page, self->page, SHORT_NS, 0,
					     NULL));
	/* Nothing is left of that time. */
	waited_ns = hole.waited_ns;
	EXPECT_EQ(-EBUSY, pinseal_ioctl(self->fd, PINSEAL_IOC_FALLOCATE, &hole));
	EXPECT_LE(waited_ns, hole.waited_ns);
	EXPECT_GT(waited_ns + SHORT_NS, hole.waited_ns);
	/* Others are not waited for. */
	EXPECT_EQ(0, pinseal_punch_wait(self->fd, 0, self->page, SOON_NS, 0, NULL));
	EXPECT_EQ(0, pinseal_resize_wait(self->fd, (FIRST + COUNT) * self->page, SOON_NS, 0, &size));
	EXPECT_EQ(PINSEAL_NO_PAGE, size.first_pinned);
	EXPECT_EQ((FIRST + COUNT) * self->page, pinseal_size(self->fd));
	close(pin);
}

TEST_F(c_library, breaks_or_keeps_leases_of_removed_pages)
{
	int lease = pinseal_lease(self->fd, FIRST, COUNT, 0, 0);
	struct pinseal_fallocate hole;
	struct pinseal_resize size;

	ASSERT_LE(0, lease);
	EXPECT_EQ(-EBUSY, pinseal_resize_wait(self->fd, 0, SHORT_NS, PINSEAL_RESIZE_KEEP_LEASES, NULL));
	EXPECT_EQ(-EBUSY, pinseal_punch_wait(self->fd, 0, PAGES * self->page, SHORT_NS,
					     PINSEAL_FALLOCATE_KEEP_LEASES, NULL));
	EXPECT_EQ(PINSEAL_LEASE_HELD, pinseal_lease_poll(lease, 0));
	EXPECT_EQ(0, pinseal_punch_wait(self->fd, 0, PAGES * self->page, SOON_NS, 0, &hole));
	EXPECT_EQ(COUNT, hole.revoked_pages);
	EXPECT_EQ(PINSEAL_LEASE_REVOKED, pinseal_lease_poll(lease, 0));
	close(lease);
	lease = pinseal_lease(self->fd, FIRST, COUNT, 0, 0);
	ASSERT_LE(0, lease);
	EXPECT_EQ(0, pinseal_resize_wait(self->fd, 0, SOON_NS, 0, &size));
	EXPECT_EQ(COUNT, size.revoked_pages);
	close(lease);
}

/*
 * Seals
 */

TEST_F(c_library, seals)
{
	struct pinseal_report report;

	EXPECT_EQ(0, pinseal_seal(self->fd, F_SEAL_WRITE | F_SEAL_SHRINK, &patient, &report));
	EXPECT_EQ(0, report.error);
	EXPECT_EQ(PINSEAL_BY_MODULE, report.method);
	EXPECT_EQ(PINSEAL_OUTCOME_SEALED, report.seal.outcome);
	EXPECT_LE(1, report.seal.scans);
	EXPECT_EQ(F_SEAL_WRITE | F_SEAL_SHRINK, pinseal_get_seals(self->fd));
	EXPECT_EQ(-EPERM, sys(pwrite(self->fd, "w", 1, 0)));
	EXPECT_EQ(0, pinseal_seal(self->fd, F_SEAL_SEAL, NULL, NULL));
	EXPECT_EQ(-EPERM, pinseal_seal(self->fd, F_SEAL_GROW, NULL, &report));
	EXPECT_EQ(EPERM, report.error);
	EXPECT_EQ(-EINVAL, pinseal_seal(self->fd, 1U << 30, NULL, &report));
	EXPECT_EQ(EINVAL, report.error);
}

TEST_F(c_library, keeps_to_the_bounds_of_a_seal)
{
	int pin = pinseal_pin(self->fd, FIRST, COUNT, 0);
	struct pinseal_options options = hasty;
	struct pinseal_report report;

	ASSERT_LE(0, pin);
	EXPECT_EQ(-EBUSY, pinseal_seal(self->fd, F_SEAL_WRITE, &options, &report));
	EXPECT_EQ(EBUSY, report.error);
	EXPECT_EQ(PINSEAL_OUTCOME_PINNED, report.seal.outcome);
	EXPECT_EQ(COUNT, report.seal.pinned_pages);
	EXPECT_EQ(FIRST, report.seal.first_pinned);
	EXPECT_LE(SHORT_NS, report.seal.waited_ns);
	options = (struct pinseal_options){ .timeout_ns = LONG_NS, .max_scans = 3 };
	EXPECT_EQ(-EBUSY, pinseal_seal(self->fd, F_SEAL_WRITE, &options, &report));
	EXPECT_EQ(3, report.seal.scans);
	options = (struct pinseal_options){ .timeout_ns = LONG_NS, .flags = PINSEAL_SEAL_NOWAIT };
	EXPECT_EQ(-EBUSY, pinseal_seal(self->fd, F_SEAL_WRITE, &options, &report));
	EXPECT_GT(LATE_NS, report.seal.waited_ns);
	EXPECT_EQ(-EBUSY, pinseal_seal(self->fd, F_SEAL_WRITE, NULL, NULL));
	/* What is not sealed is no success, however it is asked for. */
	options.flags = PINSEAL_SEAL_ASYNC;
	EXPECT_EQ(-EINPROGRESS, pinseal_seal(self->fd, F_SEAL_WRITE, &options, &report));
	EXPECT_EQ(-ECANCELED, pinseal_seal_cancel(self->fd, &report));
	EXPECT_EQ(0, pinseal_get_seals(self->fd));
	close(pin);
}

TEST_F(c_library, isolates)
{
	struct pinseal_options options = { .flags = PINSEAL_SEAL_NOWAIT | PINSEAL_SEAL_ISOLATE };
	int pin = pinseal_pin(self->fd, FIRST, COUNT, 0);
	struct pinseal_report report;

	ASSERT_LE(0, pin);
	EXPECT_EQ(0, pinseal_seal(self->fd, F_SEAL_WRITE, &options, &report));
	EXPECT_LE(COUNT, report.seal.isolated_pages);
	close(pin);
}

TEST_F(c_library, revokes)
{
	struct pinseal_options options = { .timeout_ns = SOON_NS, .flags = PINSEAL_SEAL_REVOKE };
	int lease = pinseal_lease(self->fd, FIRST, COUNT, 0, 0);
	struct pinseal_report report;
	char c;

	ASSERT_LE(0, lease);
	EXPECT_EQ(0, pinseal_seal(self->fd, F_SEAL_WRITE, &options, &report));
	EXPECT_EQ(COUNT, report.seal.revoked_pages);
	EXPECT_EQ(PINSEAL_LEASE_REVOKED, pinseal_lease_poll(lease, -1));
	EXPECT_EQ(-ESTALE, sys(pread(lease, &c, 1, 0)));
	close(lease);
}

TEST_F(c_library, waits_for_mappings)
{
	struct pinseal_options options = { .timeout_ns = SHORT_NS, .flags = PINSEAL_SEAL_WAIT_MAPPED };
	void *p = ps_map(self->fd, self->page, RW, MAP_SHARED);
	struct pinseal_report report;

	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(-EBUSY, pinseal_seal(self->fd, F_SEAL_WRITE, &hasty, &report));
	EXPECT_EQ(PINSEAL_OUTCOME_WRITABLE_MAPPING, report.seal.outcome);
	EXPECT_EQ(0, report.seal.waited_ns);
	EXPECT_EQ(-EBUSY, pinseal_seal(self->fd, F_SEAL_WRITE, &options, &report));
	EXPECT_EQ(PINSEAL_OUTCOME_WRITABLE_MAPPING, report.seal.outcome);
	EXPECT_LE(SHORT_NS, report.seal.waited_ns);
	munmap(p, self->page);
	EXPECT_EQ(0, pinseal_seal(self->fd, F_SEAL_WRITE, &patient, &report));
}

static void on_alarm(int sig) {}

TEST_F(c_library, continues_after_a_signal)
{
	struct itimerval often = { { 0, 50000 }, { 0, 50000 } }, never = {};
	struct pinseal_options options = { .timeout_ns = LONG_NS };
	struct sigaction action = { .sa_handler = on_alarm };
	int pin = pinseal_pin(self->fd, FIRST, COUNT, 0);
	struct pinseal_report report;
	uint64_t waited;
	uint32_t scans;

	ASSERT_LE(0, pin);
	ASSERT_EQ(0, sys(sigaction(SIGALRM, &action, NULL)));
	ASSERT_EQ(0, sys(setitimer(ITIMER_REAL, &often, NULL)));
	EXPECT_EQ(-EINTR, pinseal_seal(self->fd, F_SEAL_WRITE, &options, &report));
	EXPECT_EQ(EINTR, report.error);
	EXPECT_EQ(PINSEAL_OUTCOME_INTERRUPTED, report.seal.outcome);
	setitimer(ITIMER_REAL, &never, NULL);
	waited = report.seal.waited_ns;
	scans = report.seal.scans;
	EXPECT_LT(0, scans);
	close(pin);
	EXPECT_EQ(0, pinseal_seal_continue(self->fd, &report));
	EXPECT_EQ(0, report.error);
	EXPECT_LE(waited, report.seal.waited_ns);
	EXPECT_LT(scans, report.seal.scans);
	EXPECT_EQ(F_SEAL_WRITE, pinseal_get_seals(self->fd));
}

/*
 * Seals in the background
 */

TEST_F(c_library, seals_in_the_background)
{
	struct pinseal_options options = { .timeout_ns = LONG_NS };
	int pin = pinseal_pin(self->fd, FIRST, COUNT, 0);
	struct pinseal_report report, other;

	ASSERT_LE(0, pin);
	ASSERT_EQ(0, pinseal_seal_begin(self->fd, F_SEAL_WRITE, &options, &report));
	EXPECT_EQ(EINPROGRESS, report.error);
	EXPECT_EQ(0, pinseal_seal_poll(self->fd, 10));
	EXPECT_EQ(-EINPROGRESS, pinseal_seal_result(self->fd, &report));
	EXPECT_EQ(-EALREADY, pinseal_seal_begin(self->fd, F_SEAL_GROW, NULL, &other));
	close(pin);
	EXPECT_EQ(1, pinseal_seal_poll(self->fd, SOON_NS / NSEC_PER_MSEC));
	EXPECT_EQ(0, pinseal_seal_result(self->fd, &report));
	EXPECT_EQ(0, report.error);
	EXPECT_EQ(F_SEAL_WRITE, pinseal_get_seals(self->fd));
	EXPECT_EQ(0, pinseal_seal_poll(self->fd, 0));
	EXPECT_EQ(-EBADF, pinseal_seal_poll(-1, -1));
	EXPECT_EQ(-EBADF, pinseal_seal_poll(lowest_free(), -1));
}

TEST_F(c_library, fails_in_the_background)
{
	int pin = pinseal_pin(self->fd, FIRST, COUNT, 0);
	struct pinseal_report report;

	ASSERT_LE(0, pin);
	ASSERT_EQ(0, pinseal_seal_begin(self->fd, F_SEAL_WRITE, &hasty, &report));
	ASSERT_EQ(1, pinseal_seal_poll(self->fd, -1));
	EXPECT_EQ(-EBUSY, pinseal_seal_result(self->fd, &report));
	EXPECT_EQ(PINSEAL_OUTCOME_PINNED, report.seal.outcome);
	EXPECT_EQ(COUNT, report.seal.pinned_pages);
	close(pin);
}

TEST_F(c_library, cancels)
{
	struct pinseal_options options = { .timeout_ns = LONG_NS };
	int pin = pinseal_pin(self->fd, FIRST, COUNT, 0);
	struct pinseal_report report;

	ASSERT_LE(0, pin);
	ASSERT_EQ(0, pinseal_seal_begin(self->fd, F_SEAL_WRITE, &options, &report));
	EXPECT_EQ(-ECANCELED, pinseal_seal_cancel(self->fd, &report));
	EXPECT_EQ(ECANCELED, report.error);
	EXPECT_EQ(-ENOENT, pinseal_seal_cancel(self->fd, &report));
	EXPECT_EQ(0, pinseal_get_seals(self->fd));
	/* Too late: it has its result. */
	close(pin);
	ASSERT_EQ(0, pinseal_seal_begin(self->fd, F_SEAL_WRITE, &options, &report));
	ASSERT_EQ(1, pinseal_seal_poll(self->fd, -1));
	EXPECT_EQ(0, pinseal_seal_cancel(self->fd, &report));
	EXPECT_EQ(F_SEAL_WRITE, pinseal_get_seals(self->fd));
}

/* Cancels the seal of F_SEAL_WRITE after a while. */
static void *cancel_later(void *data)
{
	struct pinseal_report report;
	int fd = *(int *)data;

	sleep_ns(SHORT_NS);
	pinseal_seal_begin(fd, F_SEAL_WRITE, NULL, &report);
	return (void *)(intptr_t)pinseal_seal_cancel(fd, &report);
}

TEST_F(c_library, notices_that_others_cancel)
{
	struct pinseal_options options = { .timeout_ns = LONG_NS };
	int objects[] = { self->fd, pinseal_create("created", 0) };

	ASSERT_EQ(0, fill_file(objects[1], PAGES * self->page, 'f'));
	for (int i = 0; i < 2; i++) {
		int pin = pinseal_pin(objects[i], FIRST, COUNT, 0);
		struct pinseal_report report;
		pthread_t canceller;
		void *cancelled;

		ASSERT_LE(0, pin);
		ASSERT_EQ(0, pinseal_seal_begin(objects[i], F_SEAL_WRITE, &options, &report));
		ASSERT_EQ(0, pthread_create(&canceller, NULL, cancel_later, &objects[i]));
		EXPECT_EQ(-ECANCELED, pinseal_seal_poll(objects[i], -1));
		pthread_join(canceller, &cancelled);
		EXPECT_EQ(-ECANCELED, (intptr_t)cancelled);
		EXPECT_EQ(-ECANCELED, pinseal_seal_poll(objects[i], 10));
		EXPECT_EQ(0, pinseal_seal_poll(objects[i], 0));
		/* One that takes longer than the look. */
		ASSERT_EQ(0, pinseal_seal_begin(objects[i], F_SEAL_WRITE, &options, &report));
		EXPECT_EQ(0, pinseal_seal_poll(objects[i], 1500));
		close(pin);
		EXPECT_EQ(1, pinseal_seal_poll(objects[i], -1));
		EXPECT_EQ(0, pinseal_seal_result(objects[i], &report));
	}
	close(objects[1]);
}

/*
 * Any memfd
 */

TEST_F(c_library, seals_any_object)
{
	int created = pinseal_create("created", 0);
	struct pinseal_report report;

	EXPECT_EQ(0, pinseal_seal_fd(self->fd, F_SEAL_WRITE, &patient, &report));
	EXPECT_EQ(PINSEAL_BY_MODULE, report.method);
	EXPECT_EQ(F_SEAL_WRITE, pinseal_get_seals(self->fd));
	EXPECT_EQ(0, pinseal_seal_fd(created, F_SEAL_WRITE, &patient, &report));
	EXPECT_EQ(PINSEAL_BY_MODULE, report.method);
	EXPECT_EQ(F_SEAL_WRITE, pinseal_get_seals(created));
	EXPECT_EQ(-EPERM, pinseal_seal_fd(pinseal_reopen(created, O_RDONLY), F_SEAL_GROW, NULL, &report));
	close(created);
}

TEST(seals_any_memfd)
{
	int memfd = memfd_open(), unsealable = memfd_create("unsealable", MFD_CLOEXEC), pipe_fd[2], free;
	struct pinseal_report report;
	struct hold hold;

	run_on_cpu(0);
	ASSERT_EQ(0, fill_file(memfd, PAGES * page_size(), 'm'));
	ASSERT_EQ(0, pipe(pipe_fd));
	ASSERT_EQ(0, hold_begin(&hold, HOLD_URING, memfd, FIRST, COUNT));
	free = lowest_free();
	EXPECT_EQ(-EBUSY, pinseal_seal_fd(memfd, F_SEAL_WRITE, &hasty, &report));
	EXPECT_EQ(PINSEAL_BY_MODULE, report.method);
	EXPECT_EQ(PINSEAL_OUTCOME_PINNED, report.seal.outcome);
	EXPECT_EQ(COUNT, report.seal.pinned_pages);
	EXPECT_EQ(FIRST, report.seal.first_pinned);
	ASSERT_EQ(0, hold_end(&hold));
	EXPECT_EQ(0, pinseal_seal_fd(memfd, F_SEAL_WRITE, &patient, &report));
	EXPECT_EQ(PINSEAL_BY_MODULE, report.method);
	EXPECT_EQ(F_SEAL_WRITE, fcntl(memfd, F_GET_SEALS));
	EXPECT_EQ(0, pinseal_seal_fd(memfd, F_SEAL_GROW, NULL, NULL));
	EXPECT_EQ(-EPERM, pinseal_seal_fd(unsealable, F_SEAL_WRITE, NULL, &report));
	EXPECT_EQ(EPERM, report.error);
	EXPECT_EQ(-EINVAL, pinseal_seal_fd(pipe_fd[0], F_SEAL_WRITE, NULL, &report));
	EXPECT_EQ(-EBADF, pinseal_seal_fd(-1, F_SEAL_WRITE, NULL, &report));
	/* Those of the ring are free as well. */
	EXPECT_GE(free, lowest_free());
	close(memfd);
	close(unsealable);
}

/* No free descriptor is no missing device. */
TEST(does_not_fall_back_without_descriptors)
{
	struct rlimit limit = { 0, 1 << 10 };
	struct pinseal_report report;
	int memfd = memfd_open();

	limit.rlim_cur = lowest_free();
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	EXPECT_EQ(-EMFILE, pinseal_seal_fd(memfd, F_SEAL_WRITE, NULL, &report));
	EXPECT_EQ(EMFILE, report.error);
	EXPECT_EQ(PINSEAL_BY_MODULE, report.method);
	EXPECT_EQ(0, fcntl(memfd, F_GET_SEALS));
	close(memfd);
}

/* Nor is a memfd that pinseal cannot take now. */
TEST(does_not_fall_back_when_pinseal_refuses)
{
	struct pinseal_report report;
	int memfd = memfd_open(), ro = open_by_proc(memfd, O_RDONLY);

	signal(SIGIO, SIG_IGN);
	if (fcntl(ro, F_SETLEASE, F_RDLCK))
		SKIP(return, "no leases here: %s", strerror(errno));
	EXPECT_EQ(-EAGAIN, pinseal_seal_fd(memfd, F_SEAL_WRITE, NULL, &report));
	EXPECT_EQ(PINSEAL_BY_MODULE, report.method);
	EXPECT_EQ(0, fcntl(memfd, F_GET_SEALS));
	close(ro);
	close(memfd);
}

FIXTURE(without_device) {
	int memfd;
};

FIXTURE_VARIANT(without_device) {
	const char *instead;
	bool loop;
};

FIXTURE_VARIANT_ADD(without_device, missing) { .instead = NULL };
FIXTURE_VARIANT_ADD(without_device, another) { .instead = "/dev/null" };
/* It cannot be opened, as where a device cgroup forbids that. */
FIXTURE_VARIANT_ADD(without_device, loop) { .instead = NULL, .loop = true };

FIXTURE_SETUP(without_device)
{
	ASSERT_EQ(0, sys(unshare(CLONE_NEWNS)));
	ASSERT_EQ(0, sys(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)));
	if (variant->instead) {
		ASSERT_EQ(0, sys(mount(variant->instead, PINSEAL_DEVICE, NULL, MS_BIND, NULL)));
	} else {
		ASSERT_EQ(0, sys(mount("none", "/dev", "tmpfs", 0, NULL)));
	}
	if (variant->loop) {
		ASSERT_EQ(0, sys(symlink(PINSEAL_DEVICE, PINSEAL_DEVICE)));
	}
	run_on_cpu(0);
	self->memfd = memfd_open();
	ASSERT_EQ(0, fill_file(self->memfd, PAGES * page_size(), 'm'));
}

FIXTURE_TEARDOWN(without_device)
{
	close(self->memfd);
}

TEST_F(without_device, seals_any_memfd)
{
	struct pinseal_report report;
	int free = lowest_free();
	char text[PINSEAL_SENTENCE];

	EXPECT_EQ(0, pinseal_seal_fd(self->memfd, F_SEAL_WRITE, &patient, &report));
	EXPECT_EQ(0, report.error);
	EXPECT_EQ(PINSEAL_BY_FCNTL, report.method);
	EXPECT_LE(1, report.seal.scans);
	EXPECT_EQ(F_SEAL_WRITE, fcntl(self->memfd, F_GET_SEALS));
	EXPECT_LT(0, pinseal_explain(text, sizeof(text), &report));
	EXPECT_NE(NULL, strstr(text, "F_ADD_SEALS"));
	EXPECT_EQ(free, lowest_free());
	EXPECT_EQ(-EINVAL, pinseal_seal_fd(self->memfd, PINSEAL_F_SEAL_FUTURE_EXEC, NULL, NULL));
}

TEST_F(without_device, keeps_to_its_bounds)
{
	struct pinseal_options options = hasty;
	struct pinseal_report report;
	void *p = ps_map(self->memfd, page_size(), RW, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(-EBUSY, pinseal_seal_fd(self->memfd, F_SEAL_WRITE, &options, &report));
	EXPECT_EQ(EBUSY, report.error);
	EXPECT_EQ(PINSEAL_BY_FCNTL, report.method);
	EXPECT_LT(1, report.seal.scans);
	EXPECT_LE(SHORT_NS, report.seal.waited_ns);
	EXPECT_GT(LATE_NS, report.seal.waited_ns);
	options = (struct pinseal_options){ .timeout_ns = LONG_NS, .max_scans = 3 };
	EXPECT_EQ(-EBUSY, pinseal_seal_fd(self->memfd, F_SEAL_WRITE, &options, &report));
	EXPECT_EQ(3, report.seal.scans);
	options = (struct pinseal_options){ .timeout_ns = LONG_NS, .flags = PINSEAL_SEAL_NOWAIT };
	EXPECT_EQ(-EBUSY, pinseal_seal_fd(self->memfd, F_SEAL_WRITE, &options, &report));
	EXPECT_EQ(1, report.seal.scans);
	EXPECT_EQ(-EBUSY, pinseal_seal_fd(self->memfd, F_SEAL_WRITE, NULL, &report));
	EXPECT_LE(150 * NSEC_PER_MSEC, report.seal.waited_ns);
	munmap(p, page_size());
}

/* Longer than the kernel waits. */
TEST_F(without_device, tries_again)
{
	struct hold_ender ender;
	struct hold hold;

	ASSERT_EQ(0, hold_begin(&hold, HOLD_URING, self->memfd, FIRST, COUNT));
	ASSERT_EQ(0, hold_end_later(&ender, &hold, 400 * NSEC_PER_MSEC));
	EXPECT_EQ(0, pinseal_seal_fd(self->memfd, F_SEAL_WRITE, &patient, NULL));
	EXPECT_EQ(0, hold_ender_join(&ender));
	EXPECT_EQ(F_SEAL_WRITE, fcntl(self->memfd, F_GET_SEALS));
}

TEST_F(without_device, makes_no_objects)
{
	int error = variant->instead ? -ENOTTY : variant->loop ? -ELOOP : -ENOENT;

	if (!variant->instead) {
		EXPECT_EQ(error, pinseal_open(O_RDWR));
	}
	EXPECT_EQ(error, pinseal_create("", 0));
	EXPECT_EQ(error, pinseal_import(self->memfd));
	EXPECT_EQ(error, pinseal_look(self->memfd));
	EXPECT_EQ(error, pinseal_attach(self->memfd, 0));
}

/*
 * Pins
 */

TEST_F(c_library, pins)
{
	int pin = pinseal_pin(self->fd, FIRST, COUNT, 0), waiting, view;
	struct pinseal_lease info;
	char c;

	ASSERT_LE(0, pin);
	EXPECT_EQ(0, pinseal_lease_info(pin, &info));
	EXPECT_EQ(FIRST, info.start);
	EXPECT_EQ(COUNT, info.count);
	EXPECT_EQ(0, info.flags);
	EXPECT_EQ(1, pwrite(pin, "p", 1, 0));
	EXPECT_EQ(1, pread(self->fd, &c, 1, FIRST * self->page));
	EXPECT_EQ('p', c);
	EXPECT_EQ(PINSEAL_LEASE_HELD, pinseal_lease_poll(pin, 0));
	waiting = pinseal_pin_wait(self->fd, FIRST, COUNT, PINSEAL_PIN_READONLY, SOON_NS);
	ASSERT_LE(0, waiting);
	EXPECT_EQ(-EBADF, sys(pwrite(waiting, "p", 1, 0)));
	EXPECT_EQ(-EINVAL, pinseal_pin(self->fd, PAGES, 1, 0));
	EXPECT_EQ(-EINVAL, pinseal_pin_wait(self->fd, PAGES, 1, 0, SOON_NS));
	EXPECT_EQ(-ENOTTY, pinseal_lease_info(self->fd, &info));
	close(pin);
	close(waiting);
	ASSERT_EQ(0, pinseal_seal(self->fd, F_SEAL_WRITE, &patient, NULL));
	EXPECT_EQ(-EPERM, pinseal_pin(self->fd, FIRST, COUNT, 0));
	view = pinseal_pin(self->fd, FIRST, COUNT, PINSEAL_PIN_READONLY);
	EXPECT_LE(0, view);
	close(view);
}

TEST_F(c_library, tells_when_a_lease_is_asked_for)
{
	struct pinseal_seal seal = seal_write(LONG_NS);
	int lease = pinseal_lease(self->fd, FIRST, COUNT, PINSEAL_PIN_READONLY, LONG_NS);
	struct pinseal_lease info;
	struct sealer s;

	ASSERT_LE(0, lease);
	EXPECT_EQ(PINSEAL_LEASE_HELD, pinseal_lease_poll(lease, 10));
	EXPECT_EQ(0, pinseal_lease_info(lease, &info));
	EXPECT_EQ(LONG_NS, info.grace_ns);
	EXPECT_EQ(PINSEAL_PIN_LEASED | PINSEAL_PIN_READONLY, info.flags);
	seal.flags = PINSEAL_SEAL_REVOKE;
	ASSERT_EQ(0, sealer_start(&s, self->fd, seal));
	EXPECT_EQ(PINSEAL_LEASE_ASKED, pinseal_lease_poll(lease, -1));
	EXPECT_EQ(0, pinseal_lease_info(lease, &info));
	EXPECT_EQ(PINSEAL_LEASE_ASKED, info.state);
	EXPECT_EQ(getpid(), info.asker);
	close(lease);
	EXPECT_EQ(0, sealer_join(&s));
	EXPECT_EQ(0, s.arg.revoked_pages);
	EXPECT_EQ(-EBADF, pinseal_lease_poll(-1, -1));
}

TEST_F(c_library, mirrors)
{
	char *p = ps_map(self->fd, PAGES * self->page, RW, MAP_SHARED);
	struct pinseal_info info;
	int mirror;
	char c;

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, pinseal_info(self->fd, &info));
	if (!(info.features & PINSEAL_FEATURE_MIRROR)) {
		EXPECT_EQ(-EOPNOTSUPP, pinseal_mirror(self->fd, 0, 1, 0, p));
		SKIP(return, "this kernel has no mirrors");
	}
	mirror = pinseal_mirror(self->fd, FIRST, COUNT, 0, p + FIRST * self->page);
	ASSERT_LE(0, mirror);
	p[FIRST * self->page] = 'm';
	EXPECT_EQ(1, pread(mirror, &c, 1, 0));
	EXPECT_EQ('m', c);
	EXPECT_EQ(-EFAULT, pinseal_mirror(self->fd, FIRST, COUNT, 0, p));
	munmap(p, PAGES * self->page);
	EXPECT_EQ(-EFAULT, sys(pread(mirror, &c, 1, 0)));
	EXPECT_EQ(0, pinseal_seal(self->fd, F_SEAL_WRITE, &patient, NULL));
	close(mirror);
}

/*
 * Pages in use
 */

#define SPREAD		100	/* pages of which every second one is pinned */

/* An object whose only pages are pinned, so that no other has references. */
FIXTURE(pages_in_use) {
	int fd;
};

FIXTURE_SETUP(pages_in_use)
{
	self->fd = pinseal_open(O_RDWR);
	ASSERT_EQ(0, pinseal_resize(self->fd, SPREAD * page_size()));
	for (int i = 0; i < SPREAD; i += 2)
		ASSERT_LE(0, pinseal_pin(self->fd, i, 1, 0));
}

FIXTURE_TEARDOWN(pages_in_use)
{
	close(self->fd);
}

/* How many folios are listed, every second one from @first on; or -1, or -errno. */
static int count_listed(int fd, uint64_t start, uint64_t count, uint64_t first)
{
	struct pinseal_pins_iterator it;
	struct pinseal_page page;
	int n = 0, ret;

	pinseal_pins_begin(&it, fd, start, count);
	while ((ret = pinseal_pins_next(&it, &page)) == 1) {
		if (page.index != first + 2 * n || page.dma_pins != 1)
			return -1;
		n++;
	}
	/* It stays at the end. */
	if (!ret && pinseal_pins_next(&it, &page))
		return -1;
	return ret ? ret : n;
}

TEST_F(pages_in_use, are_listed)
{
	uint64_t most = 2 * PINSEAL_PINS_BATCH;

	EXPECT_LT(PINSEAL_PINS_BATCH, SPREAD / 2);
	EXPECT_EQ(SPREAD / 2, count_listed(self->fd, 0, 0, 0));
	EXPECT_EQ(SPREAD / 2, count_listed(self->fd, 0, SPREAD, 0));
	EXPECT_EQ(SPREAD / 2, count_listed(self->fd, 0, 2 * SPREAD, 0));
	EXPECT_EQ(5, count_listed(self->fd, 11, 10, 12));
	EXPECT_EQ(45, count_listed(self->fd, 10, 0, 10));
	/* Ranges that end with a batch, before it, and behind it. */
	EXPECT_EQ(PINSEAL_PINS_BATCH, count_listed(self->fd, 0, most - 1, 0));
	EXPECT_EQ(PINSEAL_PINS_BATCH, count_listed(self->fd, 0, most, 0));
	EXPECT_EQ(PINSEAL_PINS_BATCH + 1, count_listed(self->fd, 0, most + 1, 0));
	EXPECT_EQ(0, count_listed(self->fd, 11, 1, 0));
	EXPECT_EQ(0, count_listed(self->fd, SPREAD, 0, 0));
	EXPECT_EQ(-EINVAL, count_listed(self->fd, ~0ULL, 2, 0));
	EXPECT_EQ(-EBADF, count_listed(-1, 0, 0, 0));
}

TEST_F(pages_in_use, are_counted)
{
	struct pinseal_pins pins;

	EXPECT_EQ(0, pinseal_pins_count(self->fd, 0, 0, &pins));
	EXPECT_EQ(SPREAD / 2, pins.pinned_pages);
	EXPECT_EQ(SPREAD / 2, pins.dma_pinned_pages);
	EXPECT_EQ(0, pinseal_pins_count(self->fd, 11, 10, &pins));
	EXPECT_EQ(5, pins.pinned_pages);
	EXPECT_EQ(-EINVAL, pinseal_pins_count(self->fd, ~0ULL, 2, &pins));
}

/*
 * Protections
 */

TEST_F(c_library, protects)
{
	char *p = ps_map(self->fd, PAGES * self->page, RW, MAP_SHARED);
	struct pinseal_protect_range ranges[2] = {}, listed[2];
	size_t len = PAGES * self->page;

	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(0, pinseal_protect(self->fd, p + self->page, self->page, PROT_READ));
	EXPECT_EQ(0, ps_touch(p + self->page, false));
	EXPECT_EQ(SIGSEGV, ps_touch(p + self->page, true));
	EXPECT_EQ(0, ps_touch(p + 2 * self->page, true));
	EXPECT_EQ(-EINVAL, pinseal_protect(self->fd, p + 1, self->page, PROT_READ));

	for (int i = 0; i < 2; i++) {
		ranges[i].addr = (uintptr_t)p + (3 + 2 * i) * self->page;
		ranges[i].len = self->page;
		ranges[i].prot = PROT_NONE;
	}
	EXPECT_EQ(0, pinseal_protect_ranges(self->fd, ranges, 2));
	EXPECT_EQ(SIGSEGV, ps_touch(p + 3 * self->page, false));
	EXPECT_EQ(0, ps_touch(p + 4 * self->page, false));
	EXPECT_EQ(SIGSEGV, ps_touch(p + 5 * self->page, false));

	EXPECT_EQ(3, pinseal_protections(self->fd, p, len, NULL, 0));
	ASSERT_EQ(2, pinseal_protections(self->fd, p, len, listed, 2));
	EXPECT_EQ((uintptr_t)p + self->page, listed[0].addr);
	EXPECT_EQ(self->page, listed[0].len);
	EXPECT_EQ(PROT_READ, listed[0].prot);
	EXPECT_EQ((uintptr_t)p + 3 * self->page, listed[1].addr);
	EXPECT_EQ(-EFAULT, pinseal_protections(self->fd, p, len, NULL, 2));
	munmap(p, len);
}

TEST_F(c_library, remaps)
{
	char *p = ps_map(self->fd, PAGES * self->page, RW, MAP_SHARED);
	int created = pinseal_create("created", 0);
	char *q;

	ASSERT_NE(MAP_FAILED, p);
	p[9 * self->page] = 'r';
	EXPECT_EQ(0, pinseal_remap(self->fd, p, self->page, 9, PROT_READ));
	EXPECT_EQ('r', p[0]);
	EXPECT_EQ(SIGSEGV, ps_touch(p, true));
	EXPECT_EQ('r', p[9 * self->page]);
	munmap(p, PAGES * self->page);
	ASSERT_EQ(0, pinseal_resize(created, 2 * self->page));
	q = ps_map(created, self->page, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, q);
	EXPECT_EQ(-EOPNOTSUPP, pinseal_remap(created, q, self->page, 1, PROT_READ));
	munmap(q, self->page);
	close(created);
}

TEST_HARNESS_MAIN

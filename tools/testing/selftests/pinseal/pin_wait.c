// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pins of pages that must be moved first (ZONE_MOVABLE, CMA), and cannot be while they have extra
 * references: PINSEAL_PIN_WAIT waits for these, within its bounds, and is in nobody's way.
 */
#include <pthread.h>
#include <sys/time.h>

#include "bytes.h"
#include "content.h"
#include "cpu.h"
#include "machine_pins.h"
#include "object.h"
#include "racer.h"
#include "sealer.h"
#include "state.h"
#include "sysfile.h"
#include "unpinnable.h"

#include "harness.h"

#define PAGES		2048
#define COUNT		4	/* what is pinned */

/* What a process has pinned, in KiB. */
static long pinned_kb(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[128];
	long kb = -1;

	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "VmPin: %ld", &kb);
	if (f)
		fclose(f);
	return kb;
}

/* A thread that pins. */
struct pinner {
	int fd;
	uint64_t first, timeout_ns;
	int ret;
	pthread_t thread;
};

static void *pinner_thread(void *data)
{
	struct pinner *p = data;

	p->ret = ps_pin_wait(p->fd, p->first, COUNT, 0, p->timeout_ns);
	return NULL;
}

static int pinner_join(struct pinner *p)
{
	pthread_join(p->thread, NULL);
	return p->ret;
}

/* An object with pages that cannot be pinned where they are. */
FIXTURE(pin_wait) {
	int fd;
	size_t page;
	uint64_t first;		/* of COUNT such pages */
	long pins;		/* in the machine, before */
	struct hold hold;	/* of one of them */
};

FIXTURE_VARIANT(pin_wait) {
	enum object_kind kind;
};

FIXTURE_VARIANT_ADD(pin_wait, pinseal) { .kind = PINSEAL };
FIXTURE_VARIANT_ADD(pin_wait, imported) { .kind = IMPORTED };

FIXTURE_SETUP(pin_wait)
{
	long first;

	run_on_cpu(0);
	self->page = page_size();
	self->fd = obj_create(variant->kind, PAGES * self->page);
	ASSERT_LE(0, self->fd);
	first = unpinnable_fill(self->fd, PAGES, 'w', COUNT);
	if (first < 0) {
		close(self->fd);
		self->fd = -1;
		ASSERT_EQ(-ENOENT, first);
		ASSERT_FALSE(unpinnable_machine());
		SKIP(return, "no pages in ZONE_MOVABLE or CMA");
	}
	self->first = first;
	self->pins = machine_pins();
	ASSERT_EQ(0, hold_begin(&self->hold, HOLD_SPLICE, self->fd, first + 1, 1));
}

FIXTURE_TEARDOWN(pin_wait)
{
	if (self->fd < 0)
		return;
	close(self->fd);
	EXPECT_EQ(self->pins, machine_pins());
}

/* The pages can be pinned, and have the bytes that they had. */
static bool can_be_pinned(FIXTURE_DATA(pin_wait) *self)
{
	size_t len = COUNT * self->page;
	char *buf = malloc(len);
	int pin = ps_pin(self->fd, self->first, COUNT, 0);
	bool ok = pin >= 0 && pread(pin, buf, len, 0) == len && buf[0] == 'w' &&
		  !memcmp(buf, buf + 1, len - 1);

	free(buf);
	close(pin);
	return ok;
}

TEST_F(pin_wait, fails_at_once_without_the_flag)
{
	EXPECT_EQ(-ENOMEM, ps_pin(self->fd, self->first, COUNT, 0));
	EXPECT_EQ(-ENOMEM, ps_pin(self->fd, 0, PAGES, PINSEAL_PIN_READONLY));
	ASSERT_EQ(0, hold_end(&self->hold));
	EXPECT_TRUE(can_be_pinned(self));
}

static void until_released(struct __test_metadata *_metadata, FIXTURE_DATA(pin_wait) *self,
			   uint64_t first, uint64_t count)
{
	size_t len = count * self->page;
	char *buf = malloc(len);
	struct hold_ender e;
	uint64_t returned;
	int pin;

	ASSERT_EQ(0, hold_end_later(&e, &self->hold, 100 * NSEC_PER_MSEC));
	pin = ps_pin_wait(self->fd, first, count, 0, LONG_NS);
	returned = now_ns();
	EXPECT_EQ(0, hold_ender_join(&e));
	ASSERT_LE(0, pin);
	EXPECT_LE(e.began, returned);
	EXPECT_GE(LATE_NS, returned - e.began);
	EXPECT_EQ(self->pins + count, machine_pins());

	ASSERT_EQ(len, sys(pread(pin, buf, len, 0)));
	EXPECT_EQ('w', buf[0]);
	EXPECT_EQ(0, memcmp(buf, buf + 1, len - 1));
	/* The pages are the object's. */
	ASSERT_EQ(1, sys(pwrite(pin, "x", 1, len - 1)));
	ASSERT_EQ(1, sys(pread(self->fd, buf, 1, (first + count) * self->page - 1)));
	EXPECT_EQ('x', buf[0]);
	close(pin);
	free(buf);
}

TEST_F(pin_wait, lasts_until_the_page_is_released)
{
	until_released(_metadata, self, self->first, COUNT);
}

/* In several batches; the page is in the middle of one. */
TEST_F(pin_wait, lasts_until_a_page_of_many_is_released)
{
	until_released(_metadata, self, 0, PAGES);
}

TEST_F(pin_wait, ends_at_the_deadline)
{
	static const uint64_t timeouts[] = { 1, 50 * NSEC_PER_MSEC, 0 };
	long charged = pinned_kb();

	for (size_t i = 0; i < ARRAY_SIZE(timeouts); i++) {
		uint64_t began = now_ns(), took;

		EXPECT_EQ(-EBUSY, ps_pin_wait(self->fd, self->first, COUNT, 0, timeouts[i]));
		took = now_ns() - began;
		EXPECT_LE(timeouts[i] ?: 150 * NSEC_PER_MSEC, took);
		EXPECT_GE(timeouts[i] + LATE_NS, took);
		EXPECT_EQ(self->pins, machine_pins());
		EXPECT_EQ(charged, pinned_kb());
	}
	/* A struct that ends before the timeout. */
	{
		struct pinseal_pin arg = {
			.start = self->first, .count = COUNT, .flags = PINSEAL_PIN_WAIT,
		};
		uint64_t began = now_ns();

		EXPECT_EQ(-EBUSY, ps_ioctl(self->fd, _IOW(PINSEAL_IOC_MAGIC, 0x06, char[40]),
					   &arg));
		EXPECT_LE(150 * NSEC_PER_MSEC, now_ns() - began);
	}
	ASSERT_EQ(0, hold_end(&self->hold));
	EXPECT_TRUE(can_be_pinned(self));
}

TEST_F(pin_wait, does_not_wait_if_the_descriptor_may_not)
{
	uint64_t began = now_ns();

	ASSERT_EQ(0, fcntl(self->fd, F_SETFL, O_NONBLOCK));
	EXPECT_EQ(-EBUSY, ps_pin_wait(self->fd, self->first, COUNT, 0, LONG_NS));
	EXPECT_GE(LATE_NS, now_ns() - began);
}

static void nothing(int sig)
{
}

/* A signal after a while; again and again, should the call be early or late. */
static void signals_begin(int flags)
{
	struct sigaction sa = { .sa_handler = nothing, .sa_flags = flags };
	struct itimerval timer = { { 0, 20000 }, { 0, 20000 } };

	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

static void signals_end(void)
{
	struct itimerval off = { 0 };

	setitimer(ITIMER_REAL, &off, NULL);
}

TEST_F(pin_wait, ends_with_a_signal)
{
	struct pinseal_pin arg = {
		.start = self->first, .count = COUNT, .flags = PINSEAL_PIN_WAIT,
		.timeout_ns = LONG_NS,
	};
	struct pinseal_pin *read_only = ps_map(-1, self->page, RW, MAP_PRIVATE | MAP_ANONYMOUS);
	static const int flags[] = { 0, SA_RESTART };

	ASSERT_NE(MAP_FAILED, read_only);
	*read_only = arg;
	ASSERT_EQ(0, mprotect(read_only, self->page, PROT_READ));
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		uint64_t before = arg.timeout_ns;

		signals_begin(flags[i]);
		EXPECT_EQ(-EINTR, ps_ioctl(self->fd, PINSEAL_IOC_PIN, &arg));
		EXPECT_EQ(-EINTR, ps_ioctl(self->fd, PINSEAL_IOC_PIN, read_only));
		signals_end();
		/* What is left is for the next call. */
		EXPECT_LT(0, arg.timeout_ns);
		EXPECT_GT(before, arg.timeout_ns);
		EXPECT_EQ(self->pins, machine_pins());
	}
	munmap(read_only, self->page);
	ASSERT_EQ(0, hold_end(&self->hold));
	EXPECT_TRUE(can_be_pinned(self));
}

/* Stopping and going on is no signal to user space, and no new deadline. */
TEST_F(pin_wait, goes_on_after_a_stop)
{
	const uint64_t timeout = 200 * NSEC_PER_MSEC;
	pid_t child = ps_fork();
	uint64_t began = now_ns();
	siginfo_t info;

	if (!child) {
		int ret = ps_pin_wait(self->fd, self->first, COUNT, 0, timeout);

		_exit(ret == -EBUSY ? 0 : 1);
	}
	for (;;) {
		memset(&info, 0, sizeof(info));
		kill(child, SIGSTOP);
		ASSERT_EQ(0, waitid(P_PID, child, &info, WSTOPPED | WEXITED | WNOWAIT));
		if (info.si_code != CLD_STOPPED)
			break;
		waitid(P_PID, child, &info, WSTOPPED);
		kill(child, SIGCONT);
		sleep_ns(NSEC_PER_MSEC);
		ASSERT_GE(timeout + LATE_NS, now_ns() - began);
	}
	EXPECT_EQ(0, ps_wait(child));
	EXPECT_LE(timeout, now_ns() - began);
}

TEST_F(pin_wait, can_be_killed)
{
	pid_t child = ps_fork();

	if (!child) {
		ps_pin_wait(self->fd, self->first, COUNT, 0, UINT64_MAX);
		_exit(0);
	}
	EXPECT_TRUE(waiters_become(self->fd, "1"));
	ps_kill(child);
	EXPECT_TRUE(waiters_become(self->fd, "0"));
	EXPECT_EQ(self->pins, machine_pins());
}

/* While a thread waits, the object can be used. */
TEST_F(pin_wait, holds_nobody_up)
{
	struct pinner p = { .fd = self->fd, .first = self->first, .timeout_ns = UINT64_MAX };
	struct pinseal_seal arg = seal_write(0);
	char c = 0;
	int other, pin;

	ASSERT_EQ(0, pthread_create(&p.thread, NULL, pinner_thread, &p));
	ASSERT_TRUE(waiters_become(self->fd, "1"));
	other = ps_reopen(self->fd, O_RDWR);
	ASSERT_LE(0, other);
	EXPECT_EQ(1, sys(pread(other, &c, 1, (self->first + 1) * self->page)));
	EXPECT_EQ('w', c);
	EXPECT_EQ(1, sys(pwrite(other, "y", 1, 0)));
	EXPECT_EQ(0, ps_fallocate(other, PUNCH, 0, self->page));
	EXPECT_EQ(0, ps_resize(other, (PAGES + 1) * self->page));
	EXPECT_EQ(0, ps_add_seals(other, F_SEAL_GROW));
	pin = ps_pin(other, self->first + 2, 1, 0);
	EXPECT_LE(0, pin);
	close(pin);
	EXPECT_TRUE(waiters_become(self->fd, "1"));
	/*
	 * The page gets another folio, so the wait is over. Then the seal is there; or it takes
	 * another attempt, the pin is made before that, and its pages are isolated, too.
	 */
	arg.flags = PINSEAL_SEAL_NOWAIT | PINSEAL_SEAL_ISOLATE;
	EXPECT_EQ(0, ps_seal(other, &arg));
	pin = pinner_join(&p);
	if (pin >= 0) {
		EXPECT_LE(1 + COUNT, arg.isolated_pages);
		EXPECT_EQ(1, sys(pwrite(pin, "z", 1, 0)));
		EXPECT_EQ(1, sys(pread(other, &c, 1, self->first * self->page)));
		EXPECT_EQ('w', c);
		close(pin);
	} else {
		EXPECT_EQ(-EPERM, pin);
	}
	close(other);
}

/* Two threads pin the same pages. Each has references that keep the other from moving them. */

#define RACE_PAGES	64

struct both {
	int fd, pin;
	bool waits;
};

static void pin_all(void *data)
{
	struct both *b = data;

	b->pin = b->waits ? ps_pin_wait(b->fd, 0, RACE_PAGES, 0, LONG_NS) :
			    ps_pin(b->fd, 0, RACE_PAGES, 0);
}

TEST_F(pin_wait, of_two_that_pin_at_once)
{
	unsigned int rounds = test_rounds(60, 600), failed = 0;
	size_t len = RACE_PAGES * self->page;
	struct both other;
	struct racer racer;

	ASSERT_EQ(0, hold_end(&self->hold));
	ASSERT_EQ(0, racer_start(&racer, pin_all, &other));
	/* Without the flag first, where each may fail. */
	for (unsigned int i = 0; i < 2 * rounds; i++) {
		struct both own = {
			.fd = obj_create(variant->kind, len), .waits = i >= rounds,
		};

		ASSERT_LE(0, own.fd);
		ASSERT_EQ(0, fill_file(own.fd, len, 'w'));
		other = own;
		racer_go(&racer);
		pin_all(&own);
		racer_wait(&racer);
		if (own.waits) {
			EXPECT_LE(0, own.pin);
			EXPECT_LE(0, other.pin);
			EXPECT_EQ(self->pins + 2 * RACE_PAGES, machine_pins());
		} else {
			failed += (own.pin < 0) + (other.pin < 0);
		}
		EXPECT_TRUE(own.pin >= 0 || own.pin == -ENOMEM) TH_LOG("%d", own.pin);
		EXPECT_TRUE(other.pin >= 0 || other.pin == -ENOMEM) TH_LOG("%d", other.pin);
		close(own.pin);
		close(other.pin);
		close(own.fd);
	}
	racer_stop(&racer);
	TH_LOG("%u of %u pins without the flag failed", failed, 2 * rounds);
}

/* Without pages that must be moved */

TEST(is_as_any_pin_without_obstacles)
{
	int fd = ps_create(4 * page_size()), pin;
	char c = 1;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fill_file(fd, page_size(), 'o'));
	/* Holes are filled. */
	pin = ps_pin_wait(fd, 0, 4, PINSEAL_PIN_LEASED, 0);
	ASSERT_LE(0, pin);
	EXPECT_EQ(1, sys(pread(pin, &c, 1, 0)));
	EXPECT_EQ('o', c);
	EXPECT_EQ(1, sys(pread(pin, &c, 1, 3 * page_size())));
	EXPECT_EQ(0, c);
	close(pin);
	EXPECT_EQ(-EINVAL, ps_pin_wait(fd, 4, 1, 0, 0));
	ASSERT_EQ(0, ps_add_seals(fd, F_SEAL_WRITE));
	EXPECT_EQ(-EPERM, ps_pin_wait(fd, 0, 1, 0, 0));
	pin = ps_pin_wait(fd, 0, 1, PINSEAL_PIN_READONLY, 0);
	EXPECT_LE(0, pin);
	close(pin);
	close(fd);
}

/* The kernel takes a poisoned page off the LRU lists; moving it would be tried for ever. */
TEST(poisoned_pages_are_refused)
{
	int fd = ps_create(4 * page_size());
	char *p = ps_map(fd, 4 * page_size(), RW, MAP_SHARED);
	pid_t child;
	int pin;

	ASSERT_LE(0, fd);
	ASSERT_NE(MAP_FAILED, p);
	memset(p, 'p', 4 * page_size());
	child = ps_fork();
	if (!child) {
		/* This kills. */
		madvise(p + 2 * page_size(), page_size(), MADV_HWPOISON);
		_exit(0);
	}
	if (!ps_wait(child))
		SKIP(return, "no MADV_HWPOISON");
	EXPECT_EQ(-EIO, ps_pin(fd, 0, 4, 0));
	EXPECT_EQ(-EIO, ps_pin(fd, 2, 1, PINSEAL_PIN_READONLY));
	EXPECT_EQ(-EIO, ps_pin_wait(fd, 0, 4, 0, LONG_NS));
	pin = ps_pin(fd, 0, 2, 0);
	EXPECT_LE(0, pin);
	close(pin);
	munmap(p, 4 * page_size());
	close(fd);
}

TEST_HARNESS_MAIN

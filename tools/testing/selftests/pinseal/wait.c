// SPDX-License-Identifier: GPL-2.0-only
/*
 * How long a seal waits, and what ends the wait: deadline, number of scans, a signal, or the
 * seal exclusion.
 */
#include <limits.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "holders.h"
#include "sealer.h"

#include "harness.h"

#define PAGES		16
#define HELD		3	/* the page that is held */

static volatile int signals_seen;

static void count_signal(int sig)
{
	signals_seen++;
}

/* An object with one held page. */
FIXTURE(seal_waits)
{
	int fd;
	struct hold hold;
	bool held;
};

FIXTURE_SETUP(seal_waits)
{
	self->fd = ps_create(PAGES * page_size());
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, hold_begin(&self->hold, HOLD_VMSPLICE, self->fd, HELD, 1));
	self->held = true;
}

FIXTURE_TEARDOWN(seal_waits)
{
	if (self->held)
		hold_end(&self->hold);
	close(self->fd);
}

/* The object is as if no seal had been tried. */
#define EXPECT_UNTOUCHED(fd)							\
	do {									\
		char __c = 'u';							\
										\
		EXPECT_EQ(0, ps_get_seals(fd));					\
		EXPECT_EQ(1, sys(pwrite(fd, &__c, 1, 0)));			\
		EXPECT_EQ(0, ps_try_map(fd, page_size(), PROT_READ | PROT_WRITE,	\
					MAP_SHARED));				\
	} while (0)

/* Releases the page; the object can be sealed then. */
#define EXPECT_SEALABLE(self)							\
	do {									\
		self->held = false;						\
		EXPECT_EQ(0, hold_end(&self->hold));				\
		EXPECT_EQ(0, ps_add_seals(self->fd, F_SEAL_WRITE));		\
		EXPECT_EQ(F_SEAL_WRITE, ps_get_seals(self->fd));		\
	} while (0)

TEST_F(seal_waits, for_the_default_time)
{
	struct pinseal_seal arg = seal_write(0);
	struct pinseal_info info;
	uint64_t began, took;

	ASSERT_EQ(0, ps_info(self->fd, &info));
	EXPECT_EQ(150 * NSEC_PER_MSEC, info.default_timeout_ns);

	began = now_ns();
	ASSERT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	took = now_ns() - began;
	EXPECT_EQ(PINSEAL_OUTCOME_PINNED, arg.outcome);
	EXPECT_LE(info.default_timeout_ns * 9 / 10, took);
	EXPECT_GE(info.default_timeout_ns + LATE_NS, took);
	EXPECT_LE(info.default_timeout_ns * 9 / 10, arg.waited_ns);
	EXPECT_GE(took, arg.waited_ns);
	EXPECT_UNTOUCHED(self->fd);
}

TEST_F(seal_waits, for_the_timeout)
{
	static const uint64_t timeouts[] = {
		1, 1000, NSEC_PER_MSEC, 7 * NSEC_PER_MSEC, 50 * NSEC_PER_MSEC,
		200 * NSEC_PER_MSEC,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(timeouts); i++) {
		struct pinseal_seal arg = seal_write(timeouts[i]);
		uint64_t began = now_ns(), took;

		ASSERT_EQ(-EBUSY, ps_seal(self->fd, &arg));
		took = now_ns() - began;
		EXPECT_EQ(PINSEAL_OUTCOME_PINNED, arg.outcome);
		EXPECT_EQ(1, arg.pinned_pages);
		EXPECT_EQ(HELD, arg.first_pinned);
		EXPECT_LE(1, arg.scans);
		EXPECT_LE(timeouts[i] * 9 / 10, took);
		EXPECT_GE(timeouts[i] + LATE_NS, took);
		EXPECT_GE(took, arg.waited_ns);
	}
	EXPECT_UNTOUCHED(self->fd);
	EXPECT_SEALABLE(self);
}

TEST_F(seal_waits, not_at_all)
{
	int i;

	for (i = 0; i < 20; i++) {
		struct pinseal_seal arg = seal_write(i % 2 ? LONG_NS : 0);
		uint64_t began = now_ns(), took;

		arg.flags = PINSEAL_SEAL_NOWAIT;
		ASSERT_EQ(-EBUSY, ps_seal(self->fd, &arg));
		took = now_ns() - began;
		EXPECT_EQ(PINSEAL_OUTCOME_PINNED, arg.outcome);
		EXPECT_EQ(1, arg.pinned_pages);
		EXPECT_EQ(HELD, arg.first_pinned);
		EXPECT_LE(1, arg.scans);
		EXPECT_GE(LATE_NS, took);
		EXPECT_GE(took, arg.waited_ns);
	}
	EXPECT_UNTOUCHED(self->fd);
	EXPECT_SEALABLE(self);
}

TEST_F(seal_waits, for_max_scans)
{
	static const unsigned int max[] = { 1, 2, 3, 4, 5, 10, 25 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(max); i++) {
		struct pinseal_seal arg = seal_write(LONG_NS);
		uint64_t began = now_ns();

		arg.max_scans = max[i];
		ASSERT_EQ(-EBUSY, ps_seal(self->fd, &arg));
		EXPECT_EQ(PINSEAL_OUTCOME_PINNED, arg.outcome);
		EXPECT_EQ(max[i], arg.scans);
		EXPECT_EQ(1, arg.pinned_pages);
		EXPECT_EQ(HELD, arg.first_pinned);
		/* The sleeps between so few scans are short. */
		EXPECT_GE(LATE_NS, now_ns() - began);
	}
	EXPECT_UNTOUCHED(self->fd);
	EXPECT_SEALABLE(self);
}

/* Whichever bound is reached first. */
TEST_F(seal_waits, for_time_or_scans)
{
	struct pinseal_seal arg = seal_write(20 * NSEC_PER_MSEC);
	uint64_t began = now_ns();

	arg.max_scans = UINT_MAX;
	ASSERT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	EXPECT_GT(UINT_MAX, arg.scans);
	EXPECT_GE(20 * NSEC_PER_MSEC + LATE_NS, now_ns() - began);
}

/* Time and scans of before (of a restarted call) count. */
TEST_F(seal_waits, for_the_rest_of_the_bounds)
{
	struct pinseal_seal arg = seal_write(LONG_NS);
	uint64_t began = now_ns(), took;

	/* 50 ms are left. */
	arg.waited_ns = LONG_NS - 50 * NSEC_PER_MSEC;
	arg.scans = 1000;
	ASSERT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	took = now_ns() - began;
	EXPECT_LE(45 * NSEC_PER_MSEC, took);
	EXPECT_GE(50 * NSEC_PER_MSEC + LATE_NS, took);
	EXPECT_LE(LONG_NS - 5 * NSEC_PER_MSEC, arg.waited_ns);
	EXPECT_GE(LONG_NS - 50 * NSEC_PER_MSEC + took, arg.waited_ns);
	EXPECT_LT(1000, arg.scans);

	/* Two scans are left. */
	arg = seal_write(LONG_NS);
	arg.scans = 7;
	arg.max_scans = 9;
	began = now_ns();
	ASSERT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	EXPECT_EQ(9, arg.scans);
	EXPECT_GE(LATE_NS, now_ns() - began);

	/* Nothing is left, but a call scans once. */
	arg = seal_write(LONG_NS);
	arg.scans = 9;
	arg.max_scans = 9;
	arg.waited_ns = 2 * LONG_NS;
	began = now_ns();
	ASSERT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	EXPECT_GE(LATE_NS, now_ns() - began);
	EXPECT_EQ(PINSEAL_OUTCOME_PINNED, arg.outcome);
	EXPECT_EQ(1, arg.pinned_pages);
	EXPECT_EQ(HELD, arg.first_pinned);

	/* Values that no call can have returned. */
	arg = seal_write(LONG_NS);
	arg.scans = UINT_MAX;
	arg.waited_ns = UINT64_MAX;
	began = now_ns();
	ASSERT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	EXPECT_GE(LATE_NS, now_ns() - began);
	EXPECT_EQ(PINSEAL_OUTCOME_PINNED, arg.outcome);

	EXPECT_UNTOUCHED(self->fd);
	EXPECT_SEALABLE(self);
}

/* Longer than any timer. */
TEST_F(seal_waits, for_ever)
{
	struct sealer s;

	ASSERT_EQ(0, sealer_start(&s, self->fd, seal_write(UINT64_MAX)));
	sleep_ns(50 * NSEC_PER_MSEC);
	EXPECT_FALSE(sealer_done(&s));
	self->held = false;
	ASSERT_EQ(0, hold_end(&self->hold));
	EXPECT_EQ(0, sealer_join(&s));
	EXPECT_EQ(PINSEAL_OUTCOME_SEALED, s.arg.outcome);
}

/* A waiting sealer rescans often, but does not spin. */
TEST_F(seal_waits, without_spinning)
{
	struct pinseal_seal arg = seal_write(LONG_NS);
	struct timespec before, after;
	uint64_t cpu;

	arg.max_scans = 10;
	ASSERT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	EXPECT_EQ(10, arg.scans);

	arg = seal_write(200 * NSEC_PER_MSEC);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
	ASSERT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
	cpu = (after.tv_sec - before.tv_sec) * NSEC_PER_SEC + after.tv_nsec - before.tv_nsec;
	/* On average 25 us between scans, at least. */
	EXPECT_GE(arg.waited_ns / 25000, arg.scans);
	EXPECT_GT(arg.waited_ns, cpu);
}

/* A writable mapping is not waited for: only its owner can unmap it. */
TEST_F(seal_waits, not_for_a_writable_mapping)
{
	struct pinseal_seal arg = seal_write(LONG_NS);
	uint64_t began;
	char *p;

	p = ps_map(self->fd, page_size(), PROT_READ | PROT_WRITE, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	began = now_ns();
	ASSERT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	EXPECT_GE(LATE_NS, now_ns() - began);
	EXPECT_EQ(PINSEAL_OUTCOME_WRITABLE_MAPPING, arg.outcome);
	EXPECT_EQ(0, ps_get_seals(self->fd));
	p[0] = 'm';
	munmap(p, page_size());
	EXPECT_UNTOUCHED(self->fd);
}

/* Signals */

FIXTURE(signal)
{
	int fd;
	struct hold hold;
	struct sealer sealer;
};

FIXTURE_VARIANT(signal)
{
	int sa_flags;
};

FIXTURE_VARIANT_ADD(signal, plain)	{ .sa_flags = 0 };
FIXTURE_VARIANT_ADD(signal, restart)	{ .sa_flags = SA_RESTART };

FIXTURE_SETUP(signal)
{
	struct sigaction sa = { .sa_handler = count_signal, .sa_flags = variant->sa_flags };

	ASSERT_EQ(0, sigaction(SIGUSR1, &sa, NULL));
	self->fd = ps_create(PAGES * page_size());
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, hold_begin(&self->hold, HOLD_VMSPLICE, self->fd, HELD, 1));
	ASSERT_EQ(0, sealer_start(&self->sealer, self->fd, seal_write(LONG_NS)));
}

FIXTURE_TEARDOWN(signal)
{
	close(self->fd);
}

TEST_F(signal, ends_the_wait)
{
	struct sealer *s = &self->sealer;
	uint64_t sent;

	sleep_ns(30 * NSEC_PER_MSEC);
	sent = now_ns();
	pthread_kill(s->thread, SIGUSR1);
	ASSERT_EQ(-EINTR, sealer_join(s));
	EXPECT_EQ(1, signals_seen);
	EXPECT_GE(LATE_NS, s->ended - sent);
	EXPECT_EQ(PINSEAL_OUTCOME_INTERRUPTED, s->arg.outcome);
	EXPECT_EQ(1, s->arg.pinned_pages);
	EXPECT_EQ(HELD, s->arg.first_pinned);
	EXPECT_LE(1, s->arg.scans);
	EXPECT_LE(20 * NSEC_PER_MSEC, s->arg.waited_ns);
	EXPECT_GE(s->ended - s->began, s->arg.waited_ns);

	/* Nothing has changed, and the caller may continue with the struct. */
	EXPECT_UNTOUCHED(self->fd);
	ASSERT_EQ(0, hold_end(&self->hold));
	EXPECT_EQ(0, ps_seal(self->fd, &s->arg));
	EXPECT_EQ(F_SEAL_WRITE, ps_get_seals(self->fd));
}

TEST_F(signal, ends_the_wait_for_the_exclusion)
{
	struct sealer second;
	uint64_t sent;

	ASSERT_EQ(0, sealer_start(&second, self->fd, seal_write(LONG_NS)));
	sent = now_ns();
	pthread_kill(second.thread, SIGUSR1);
	EXPECT_EQ(-EINTR, sealer_join(&second));
	EXPECT_GE(LATE_NS, second.ended - sent);
	EXPECT_EQ(PINSEAL_OUTCOME_INTERRUPTED, second.arg.outcome);

	/* The first one is not disturbed. */
	EXPECT_FALSE(sealer_done(&self->sealer));
	ASSERT_EQ(0, hold_end(&self->hold));
	EXPECT_EQ(0, sealer_join(&self->sealer));
}

/* A signal that is ignored or blocked changes nothing. */
TEST_F(signal, is_ignored_if_ignored)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	struct sealer *s = &self->sealer;
	int i;

	ASSERT_EQ(0, sigaction(SIGUSR2, &ignore, NULL));
	for (i = 0; i < 20; i++) {
		pthread_kill(s->thread, SIGUSR2);
		pthread_kill(s->thread, SIGCHLD);
		sleep_ns(NSEC_PER_MSEC);
	}
	EXPECT_FALSE(sealer_done(s));
	ASSERT_EQ(0, hold_end(&self->hold));
	EXPECT_EQ(0, sealer_join(s));
	EXPECT_EQ(PINSEAL_OUTCOME_SEALED, s->arg.outcome);
}

static void *seal_with_signals_blocked(void *data)
{
	sigset_t set;

	sigfillset(&set);
	pthread_sigmask(SIG_SETMASK, &set, NULL);
	return sealer_thread(data);
}

TEST_F(signal, is_ignored_if_blocked)
{
	struct sealer s = { .fd = self->fd, .arg = seal_write(LONG_NS) };
	int i;

	pthread_kill(self->sealer.thread, SIGUSR1);
	ASSERT_EQ(-EINTR, sealer_join(&self->sealer));

	ASSERT_EQ(0, pthread_create(&s.thread, NULL, seal_with_signals_blocked, &s));
	ASSERT_TRUE(thread_wait_asleep(&s.tid));
	for (i = 0; i < 20; i++) {
		pthread_kill(s.thread, SIGUSR1);
		sleep_ns(NSEC_PER_MSEC);
	}
	EXPECT_FALSE(sealer_done(&s));
	ASSERT_EQ(0, hold_end(&self->hold));
	EXPECT_EQ(0, sealer_join(&s));
}

/* Pending from the start, a signal ends the wait, not the scan. */
TEST_F(signal, does_not_stop_a_seal_that_does_not_wait)
{
	struct itimerval often = {
		.it_interval.tv_usec = 2000,
		.it_value.tv_usec = 2000,
	};
	struct sigaction sa = { .sa_handler = count_signal, .sa_flags = variant->sa_flags };
	uint64_t until = now_ns() + LATE_NS;
	int sealed = 0;

	pthread_kill(self->sealer.thread, SIGUSR1);
	ASSERT_EQ(-EINTR, sealer_join(&self->sealer));
	ASSERT_EQ(0, hold_end(&self->hold));

	ASSERT_EQ(0, sigaction(SIGALRM, &sa, NULL));
	ASSERT_EQ(0, setitimer(ITIMER_REAL, &often, NULL));
	while ((sealed < 50 || !signals_seen) && now_ns() < until) {
		struct pinseal_seal arg = seal_write(LONG_NS);
		int fd, ret;

		/* Other calls may be interrupted as well. */
		while ((fd = ps_create(page_size())) == -EINTR)
			;
		ASSERT_LE(0, fd);
		while (pwrite(fd, "x", 1, 0) < 0 && errno == EINTR)
			;
		ret = ps_seal(fd, &arg);
		if (ret) {
			ASSERT_EQ(-EINTR, ret);
		}
		EXPECT_EQ(ret ? 0 : F_SEAL_WRITE, ps_get_seals(fd));
		sealed += !ret;
		close(fd);
	}
	memset(&often, 0, sizeof(often));
	setitimer(ITIMER_REAL, &often, NULL);
	EXPECT_LE(50, sealed);
	EXPECT_LT(0, signals_seen);
}

TEST_F(seal_waits, until_killed)
{
	uint64_t killed;
	int ready[2];
	pid_t child;
	char c = 0;

	ASSERT_EQ(0, pipe2(ready, O_CLOEXEC));
	child = ps_fork();
	ASSERT_LE(0, child);
	if (!child) {
		struct sealer s;

		c = sealer_start(&s, self->fd, seal_write(UINT64_MAX)) ? 'e' : 'k';
		if (write(ready[1], &c, 1) == 1)
			pause();
		_exit(1);
	}
	ASSERT_EQ(1, read(ready[0], &c, 1));
	EXPECT_EQ('k', c);
	killed = now_ns();
	ps_kill(child);
	EXPECT_GE(LATE_NS, now_ns() - killed);
	/* The object is not left half sealed. */
	EXPECT_UNTOUCHED(self->fd);
	EXPECT_SEALABLE(self);
}

/* Several sealers */

TEST_F(seal_waits, with_two_sealers)
{
	struct sealer a, b;

	ASSERT_EQ(0, sealer_start(&a, self->fd, seal_write(LONG_NS)));
	ASSERT_EQ(0, sealer_start(&b, self->fd, seal_write(LONG_NS)));
	sleep_ns(30 * NSEC_PER_MSEC);
	EXPECT_FALSE(sealer_done(&a));
	EXPECT_FALSE(sealer_done(&b));
	self->held = false;
	ASSERT_EQ(0, hold_end(&self->hold));
	EXPECT_EQ(0, sealer_join(&a));
	EXPECT_EQ(0, sealer_join(&b));
	EXPECT_EQ(PINSEAL_OUTCOME_SEALED, a.arg.outcome);
	EXPECT_EQ(PINSEAL_OUTCOME_SEALED, b.arg.outcome);
}

/* The second one needs no scan, but the seal exclusion. */
TEST_F(seal_waits, with_two_sealers_of_different_seals)
{
	struct pinseal_seal shrink = { .seals = F_SEAL_SHRINK, .timeout_ns = LONG_NS };
	struct sealer a, b;

	ASSERT_EQ(0, sealer_start(&a, self->fd, seal_write(LONG_NS)));
	ASSERT_EQ(0, sealer_start(&b, self->fd, shrink));
	sleep_ns(30 * NSEC_PER_MSEC);
	EXPECT_FALSE(sealer_done(&b));
	EXPECT_EQ(0, ps_get_seals(self->fd));
	self->held = false;
	ASSERT_EQ(0, hold_end(&self->hold));
	EXPECT_EQ(0, sealer_join(&a));
	EXPECT_EQ(0, sealer_join(&b));
	EXPECT_EQ(F_SEAL_WRITE | F_SEAL_SHRINK, ps_get_seals(self->fd));
}

/* The first one forbids further seals before the second one gets the exclusion. */
TEST_F(seal_waits, with_a_sealer_that_forbids_more_seals)
{
	struct pinseal_seal all = seal_write(LONG_NS);
	struct sealer a, b;

	all.seals |= F_SEAL_SEAL;
	ASSERT_EQ(0, sealer_start(&a, self->fd, all));
	ASSERT_EQ(0, sealer_start(&b, self->fd, seal_write(LONG_NS)));
	self->held = false;
	ASSERT_EQ(0, hold_end(&self->hold));
	EXPECT_EQ(0, sealer_join(&a));
	EXPECT_EQ(-EPERM, sealer_join(&b));
	EXPECT_EQ(F_SEAL_WRITE | F_SEAL_SEAL, ps_get_seals(self->fd));
}

TEST_F(seal_waits, with_two_deadlines)
{
	struct pinseal_seal arg;
	struct sealer a, b;
	uint64_t began;
	int i;

	ASSERT_EQ(0, sealer_start(&a, self->fd, seal_write(LONG_NS)));

	/* The second one times out first. */
	for (i = 0; i < 3; i++) {
		began = now_ns();
		arg = seal_write(50 * NSEC_PER_MSEC);
		EXPECT_EQ(-EBUSY, ps_seal(self->fd, &arg));
		EXPECT_EQ(PINSEAL_OUTCOME_PINNED, arg.outcome);
		EXPECT_LE(45 * NSEC_PER_MSEC, now_ns() - began);
		EXPECT_GE(50 * NSEC_PER_MSEC + LATE_NS, now_ns() - began);

		began = now_ns();
		arg = seal_write(LONG_NS);
		arg.flags = PINSEAL_SEAL_NOWAIT;
		EXPECT_EQ(-EBUSY, ps_seal(self->fd, &arg));
		EXPECT_EQ(PINSEAL_OUTCOME_PINNED, arg.outcome);
		EXPECT_GE(LATE_NS, now_ns() - began);
	}
	EXPECT_FALSE(sealer_done(&a));

	/* After the first one the second one seals. */
	ASSERT_EQ(0, sealer_start(&b, self->fd, seal_write(LONG_NS)));
	self->held = false;
	ASSERT_EQ(0, hold_end(&self->hold));
	EXPECT_EQ(0, sealer_join(&a));
	EXPECT_EQ(0, sealer_join(&b));
}

TEST_F(seal_waits, with_two_sealers_when_the_first_times_out)
{
	struct sealer a, b;

	ASSERT_EQ(0, sealer_start(&a, self->fd, seal_write(200 * NSEC_PER_MSEC)));
	ASSERT_EQ(0, sealer_start(&b, self->fd, seal_write(LONG_NS)));
	EXPECT_EQ(-EBUSY, sealer_join(&a));
	sleep_ns(30 * NSEC_PER_MSEC);
	EXPECT_FALSE(sealer_done(&b));
	EXPECT_EQ(0, ps_get_seals(self->fd));
	self->held = false;
	ASSERT_EQ(0, hold_end(&self->hold));
	EXPECT_EQ(0, sealer_join(&b));
	EXPECT_EQ(PINSEAL_OUTCOME_SEALED, b.arg.outcome);
	EXPECT_EQ(F_SEAL_WRITE, ps_get_seals(self->fd));
}

TEST_HARNESS_MAIN

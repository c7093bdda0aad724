// SPDX-License-Identifier: GPL-2.0-only
/*
 * Asynchronous seals share the workers' CPU time: a crowd of them takes a small part of one
 * CPU, and delays neither other users nor new seals.
 *
 * Times are compared with each other. The crowd's pause, between two scans of one seal, is what
 * a seal would take that waits for all of the crowd.
 */
#include "crowd.h"

#include "harness.h"

#define OTHER_USER	65534

/* A part of the crowd's pause that is much less, whatever the noise. */
#define MUCH_LESS	4

FIXTURE(crowd)
{
	struct crowd crowd;
	int64_t pause_ns;
};

FIXTURE_SETUP(crowd)
{
}

FIXTURE_TEARDOWN(crowd)
{
	be_user(0);
	crowd_end(&self->crowd);
}

static double ms(int64_t ns)
{
	return (double)ns / NSEC_PER_MSEC;
}

/* The longer of two pauses: before a scan that follows a drain it is short. */
static int measure_pause(FIXTURE_DATA(crowd) *self)
{
	int ret = crowd_wait_scans(&self->crowd, 0, 1);

	self->pause_ns = 0;
	for (unsigned int i = 0; !ret && i < 2; i++) {
		int64_t began = now_ns(), pause_ns;

		ret = crowd_wait_scans(&self->crowd, 0, 1);
		pause_ns = now_ns() - began;
		if (pause_ns > self->pause_ns)
			self->pause_ns = pause_ns;
	}
	return ret;
}

/* Begins a crowd whose pause is long, on a machine of any speed. */
static int gather(FIXTURE_DATA(crowd) *self)
{
	int ret = 0;

	for (unsigned int n = 40; !ret && n < 2000; n *= 2) {
		ret = crowd_grow(&self->crowd, n);
		ret = ret ? ret : crowd_settle(&self->crowd);
		ret = ret ? ret : measure_pause(self);
		if (self->pause_ns > NSEC_PER_SEC / 5)
			break;
	}
	return ret;
}

/*
 * In the best of some windows: the burst at first and other work only add to it. What a worker takes to be
 * woken up is not charged in full, and in an emulated guest that is most of it; without shares, all CPUs are
 * busy.
 */
TEST_F(crowd, takes_a_small_part_of_a_cpu)
{
	const int64_t window_ns = NSEC_PER_SEC;
	int64_t least_ns = INT64_MAX;

	ASSERT_EQ(0, crowd_grow(&self->crowd, test_rounds(400, 1000)));
	for (unsigned int i = 0; i < test_rounds(3, 10); i++) {
		int64_t cpu_ns = crowd_cpu_ns(window_ns);

		ASSERT_LE(0, cpu_ns);
		if (cpu_ns < least_ns)
			least_ns = cpu_ns;
	}
	TH_LOG("%u seals take %.1f%% of one CPU", self->crowd.n, 100.0 * least_ns / window_ns);
	EXPECT_GT(window_ns * 30 / 100, least_ns);
}

TEST_F(crowd, does_not_delay_another_user)
{
	int64_t alone, beside;

	ASSERT_EQ(0, be_user(OTHER_USER));
	alone = crowd_newcomers(HOLD_VMSPLICE, CROWD_QUICK_SCANS, 7);
	ASSERT_EQ(0, be_user(0));
	ASSERT_EQ(0, gather(self));
	ASSERT_EQ(0, be_user(OTHER_USER));
	beside = crowd_newcomers(HOLD_VMSPLICE, CROWD_QUICK_SCANS, 7);
	TH_LOG("from release to sealed: alone %.2f ms, beside %u seals %.2f ms; their pause %.0f ms",
	       ms(alone), self->crowd.n, ms(beside), ms(self->pause_ns));
	ASSERT_LT(0, alone);
	ASSERT_LT(0, beside);
	EXPECT_GT(SLACK * alone, beside);
	EXPECT_GT(self->pause_ns, MUCH_LESS * beside);
}

TEST_F(crowd, does_not_delay_a_new_seal)
{
	int64_t alone = crowd_newcomers(CROWD_NO_HOLD, 0, 11), beside;

	ASSERT_EQ(0, gather(self));
	beside = crowd_newcomers(CROWD_NO_HOLD, 0, 11);
	TH_LOG("a clean object: alone %.2f ms, beside %u seals %.2f ms; their pause %.0f ms",
	       ms(alone), self->crowd.n, ms(beside), ms(self->pause_ns));
	ASSERT_LT(0, alone);
	ASSERT_LT(0, beside);
	EXPECT_GT(self->pause_ns, MUCH_LESS * beside);
}

TEST_F(crowd, is_woken_by_a_handle)
{
	int64_t alone = crowd_newcomers(HOLD_HANDLE, 1, 7), beside;

	ASSERT_EQ(0, gather(self));
	beside = crowd_newcomers(HOLD_HANDLE, CROWD_QUICK_SCANS, 3);
	TH_LOG("from close to sealed: alone %.2f ms, beside %u seals %.2f ms; their pause %.0f ms",
	       ms(alone), self->crowd.n, ms(beside), ms(self->pause_ns));
	ASSERT_LT(0, alone);
	ASSERT_LT(0, beside);
	EXPECT_GT(self->pause_ns, MUCH_LESS * beside);
}

/* A deadline is met, although the next slot is later. */
TEST_F(crowd, meets_a_deadline)
{
	struct pinseal_seal arg;
	struct hold hold;
	int fd;

	ASSERT_EQ(0, gather(self));
	fd = ps_create(page_size());
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, hold_begin(&hold, HOLD_VMSPLICE, fd, 0, 1));
	arg = seal_async(F_SEAL_WRITE, self->pause_ns / (2 * MUCH_LESS));
	EXPECT_EQ(0, ps_seal(fd, &arg));
	EXPECT_EQ(-EBUSY, async_wait(fd, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_PINNED, arg.outcome);
	EXPECT_EQ(1, arg.pinned_pages);
	TH_LOG("%.2f ms for a deadline of %.2f ms; the pause is %.0f ms", ms(arg.waited_ns),
	       ms(arg.timeout_ns), ms(self->pause_ns));
	EXPECT_GT(self->pause_ns, 2 * arg.waited_ns);
	EXPECT_EQ(0, hold_end(&hold));
	close(fd);
}

TEST_F(crowd, is_sealed_when_its_pages_are_released)
{
	struct crowd *c = &self->crowd;
	uint64_t began, took;

	ASSERT_EQ(0, gather(self));
	for (unsigned int i = 0; i < c->n; i++)
		ASSERT_EQ(0, crowd_release(c, i));
	began = now_ns();
	for (unsigned int i = 0; i < c->n; i++) {
		struct pinseal_seal arg = seal_async(F_SEAL_WRITE, UINT64_MAX);

		ASSERT_EQ(0, async_wait(c->fds[i], &arg));
		ASSERT_EQ(PINSEAL_OUTCOME_SEALED, arg.outcome);
	}
	took = now_ns() - began;
	TH_LOG("%u seals took %.0f ms; their pause was %.0f ms", c->n, ms(took),
	       ms(self->pause_ns));
	EXPECT_GT(SLACK * self->pause_ns, took);
}

/* Slots that are not needed any more delay nobody. */
TEST_F(crowd, leaves_at_once)
{
	int64_t alone = crowd_newcomers(HOLD_VMSPLICE, CROWD_QUICK_SCANS, 3), after;
	struct crowd *c = &self->crowd;
	uint64_t began, took;

	ASSERT_EQ(0, gather(self));
	began = now_ns();
	for (unsigned int i = 0; i < c->n; i++) {
		struct pinseal_seal arg = seal_async(F_SEAL_WRITE, UINT64_MAX);

		if (i % 2) {
			close(c->fds[i]);
			c->fds[i] = -1;
		} else {
			ASSERT_EQ(0, async_cancel(c->fds[i], &arg));
			EXPECT_EQ(PINSEAL_OUTCOME_CANCELLED, arg.outcome);
		}
	}
	took = now_ns() - began;
	after = crowd_newcomers(HOLD_VMSPLICE, CROWD_QUICK_SCANS, 3);
	TH_LOG("%u seals ended in %.0f ms; then a single one takes %.2f ms, before %.2f ms", c->n,
	       ms(took), ms(after), ms(alone));
	/* None has waited for its slot. */
	EXPECT_GT(c->n / MUCH_LESS * self->pause_ns, took);
	ASSERT_LT(0, alone);
	ASSERT_LT(0, after);
	EXPECT_GT(self->pause_ns, MUCH_LESS * after);
}

TEST_HARNESS_MAIN

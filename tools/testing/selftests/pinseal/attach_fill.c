// SPDX-License-Identifier: GPL-2.0-only
/*
 * Filling many pages of a stacked object takes long. What ends it: a signal, and the deadline of the seal
 * that it is for.
 */
#include <signal.h>
#include <sys/time.h>

#include "object.h"
#include "stacked.h"

#include "harness.h"

#define SIZE	((size_t)64 << 20)

FIXTURE(large) {
	int fd, lower;
};

FIXTURE_SETUP(large)
{
	self->lower = memfd_open();
	ASSERT_LE(0, self->lower);
	ASSERT_EQ(0, ftruncate(self->lower, SIZE));
	self->fd = ps_open(O_RDWR);
	ASSERT_EQ(0, ps_attach(self->fd, self->lower, 0));
}

FIXTURE_TEARDOWN(large)
{
	close(self->fd);
	close(self->lower);
}

static void ignore_signal(int sig)
{
}

/* And it comes to its end, though there is no call without a signal. */
TEST_F(large, a_signal_ends_a_read_that_fills)
{
	const struct itimerval often = { { 0, 1000 }, { 0, 1000 } }, never = { };
	struct sigaction sa = { .sa_handler = ignore_signal };
	char *buf = malloc(SIZE);
	unsigned int calls = 0;
	ssize_t ret;

	ASSERT_NE(NULL, buf);
	ASSERT_EQ(0, sigaction(SIGALRM, &sa, NULL));
	ASSERT_EQ(0, setitimer(ITIMER_REAL, &often, NULL));
	for (size_t done = 0; done < SIZE; done += ret) {
		ret = sys(pread(self->fd, buf, SIZE - done, done));
		calls++;
		if (ret == -EINTR)
			ret = 0;
		ASSERT_LE(0, ret);
	}
	setitimer(ITIMER_REAL, &never, NULL);
	EXPECT_LT(1, calls);
	free(buf);
}

TEST_F(large, a_seal_fills_until_its_deadline)
{
	struct pinseal_seal seal = { .seals = F_SEAL_WRITE, .timeout_ns = NSEC_PER_MSEC };

	EXPECT_EQ(-EBUSY, ps_seal(self->fd, &seal));
	EXPECT_EQ(PINSEAL_OUTCOME_NOT_FILLED, seal.outcome);
	EXPECT_EQ(0, ps_get_seals(self->fd));
	/* What is filled is not filled again. */
	ASSERT_EQ(0, ps_add_seals(self->fd, F_SEAL_WRITE));
	EXPECT_EQ(F_SEAL_WRITE, ps_get_seals(self->fd) & F_SEAL_WRITE);
}

TEST_HARNESS_MAIN

// SPDX-License-Identifier: GPL-2.0-only
/*
 * Filling many pages of a stacked object takes long. What ends it: a signal, and the deadline of the seal
 * that it is for.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>

#include "bytes.h"
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

static void *punch_all(void *data)
{
	FIXTURE_DATA(large) *self = data;

	ps_fallocate(self->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, SIZE);
	return NULL;
}

/* What others can read is written, though the removal of the other pages goes on. */
TEST_F(large, a_sync_beside_a_removal_removes_what_that_has_removed)
{
	volatile char *p = ps_map(self->fd, SIZE, RW, MAP_SHARED);
	pthread_t thread;

	ASSERT_NE(MAP_FAILED, p);
	for (size_t at = 0; at < SIZE; at += page_size())
		p[at] = 's';
	ASSERT_EQ(0, sys(fsync(self->fd)));
	ASSERT_EQ('s', byte_of(self->lower, 0));
	ASSERT_EQ(0, pthread_create(&thread, NULL, punch_all, self));
	while (p[0])
		;
	EXPECT_EQ(0, sys(fsync(self->fd)));
	EXPECT_EQ(0, byte_of(self->lower, 0));
	pthread_join(thread, NULL);
	EXPECT_EQ(0, sys(fsync(self->fd)));
	EXPECT_EQ(-1, differs_from_lower(self->fd, self->lower));
	munmap((char *)p, SIZE);
}

TEST_HARNESS_MAIN

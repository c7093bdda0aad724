// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages of an object can be swapped out like any other memory, come back with their bytes, and
 * do not prevent a seal while they are away. Each test makes a zram device to swap to.
 *
 * Runs on a memfd, an object and an imported memfd: the memfd variant proves what memfd does,
 * the others that the object does the same.
 */
#include <sys/time.h>

#include "harness.h"
#include "async.h"
#include "bytes.h"
#include "cpu.h"
#include "object.h"
#include "random.h"
#include "zram_swap.h"

#define PAGES		256

/* Pages in swap. */
static long swapped(void)
{
	long kb = ps_meminfo_kb("SwapTotal") - ps_meminfo_kb("SwapFree") -
		  ps_meminfo_kb("SwapCached");

	return kb * 1024 / (long)page_size();
}

/* Waits for swap to be freed, but for a few pages that may be of other owners. */
static bool swap_is_freed(void)
{
	for (int i = 0; i < 3000; i++) {
		if (swapped() < PAGES / 8)
			return true;
		sleep_ns(20 * NSEC_PER_MSEC);
	}
	return false;
}

/* An object whose pages have been swapped out, and a mapping of it. */
FIXTURE(swap) {
	struct zram_swap swap;
	int fd;
	size_t page, len;
	char *p;
	char *buf;
};

ON_EVERY_KIND(swap);

/* Pages out until most pages are out: whether they are. */
static bool page_out(FIXTURE_DATA(swap) *self)
{
	for (int i = 0; i < 3000; i++) {
		madvise(self->p, self->len, MADV_PAGEOUT);
		if (swapped() > PAGES * 3 / 4)
			return true;
		sleep_ns(20 * NSEC_PER_MSEC);
	}
	return false;
}

/* Maps, fills and pages out the object: whether it is out. */
static bool fill_and_page_out(FIXTURE_DATA(swap) *self)
{
	self->p = ps_map(self->fd, self->len, RW, MAP_SHARED);
	if (self->p == MAP_FAILED)
		return false;
	fill(self->p, self->len, 1);
	return page_out(self);
}

/* The same with another object. */
static bool begin_anew(FIXTURE_DATA(swap) *self, enum object_kind kind)
{
	close(self->fd);
	self->fd = obj_create(kind, self->len);
	return self->fd >= 0 && fill_and_page_out(self);
}

FIXTURE_SETUP(swap)
{
	if (!zram_is_there())
		SKIP(return, "no zram");
	self->page = page_size();
	self->len = PAGES * self->page;
	ASSERT_EQ(0, zram_swap_begin(&self->swap, 8 * self->len));

	/* Pages in the LRU batch of another CPU cannot be paged out. */
	ASSERT_EQ(0, run_on_cpu(0));

	self->buf = malloc(self->len);
	ASSERT_NE(NULL, self->buf);
	self->fd = obj_create(variant->kind, self->len);
	ASSERT_LE(0, self->fd);
	ASSERT_TRUE(fill_and_page_out(self)) {
		TH_LOG("%ld pages swapped", swapped());
	}
}

FIXTURE_TEARDOWN(swap)
{
	munmap(self->p, self->len);
	close(self->fd);
	free(self->buf);
	zram_swap_end(&self->swap);
}

TEST_F(swap, pages_come_back_with_their_bytes)
{
	EXPECT_TRUE(is_filled(self->p, self->len, 1));
}

TEST_F(swap, pages_can_be_read)
{
	ASSERT_EQ(self->len, sys(pread(self->fd, self->buf, self->len, 0)));
	EXPECT_TRUE(is_filled(self->buf, self->len, 1));
}

TEST_F(swap, pages_can_be_written)
{
	ASSERT_EQ(1, sys(pwrite(self->fd, "x", 1, self->page)));
	EXPECT_EQ('x', self->p[self->page]);
	EXPECT_TRUE(is_filled(self->p, self->page, 1));
}

TEST_F(swap, pages_are_data_to_lseek)
{
	EXPECT_EQ(0, sys(lseek(self->fd, 0, SEEK_DATA)));
	EXPECT_EQ(self->len, sys(lseek(self->fd, 0, SEEK_HOLE)));
}

TEST_F(swap, pages_come_back_in_a_child)
{
	pid_t pid = ps_fork();

	if (!pid)
		_exit(is_filled(self->p, self->len, 1) ? 0 : 1);
	EXPECT_EQ(0, ps_wait(pid));
}

TEST_F(swap, pages_come_back_as_private_copies)
{
	char *q = ps_map(self->fd, self->len, RW, MAP_PRIVATE);

	ASSERT_NE(MAP_FAILED, q);
	memset(q, 0, self->page);
	EXPECT_TRUE(is_filled(self->p, self->len, 1));
	munmap(q, self->len);
}

TEST_F(swap, does_not_prevent_a_seal)
{
	munmap(self->p, self->len);
	ASSERT_EQ(0, obj_add_seals(self->fd, F_SEAL_WRITE));
	ASSERT_EQ(self->len, sys(pread(self->fd, self->buf, self->len, 0)));
	EXPECT_TRUE(is_filled(self->buf, self->len, 1));
}

/* memfd ignores holders of pages in swap: swap_race.c. */
TEST_F(swap, is_undone_by_a_scan)
{
	munmap(self->p, self->len);
	ASSERT_EQ(0, obj_add_seals(self->fd, F_SEAL_WRITE));
	if (variant->kind == MEMFD) {
		EXPECT_LE(PAGES / 8, swapped());
	} else {
		EXPECT_TRUE(swap_is_freed());
	}
}

/* Pages beyond the end cannot be read back. */
TEST_F(swap, beyond_the_end_is_left_alone_by_a_seal)
{
	ASSERT_EQ(0, obj_fallocate(self->fd, FALLOC_FL_KEEP_SIZE, self->len, self->len));
	ASSERT_TRUE(page_out(self));
	munmap(self->p, self->len);
	ASSERT_EQ(0, obj_add_seals(self->fd, F_SEAL_WRITE));
	ASSERT_EQ(self->len, sys(pread(self->fd, self->buf, self->len, 0)));
	EXPECT_TRUE(is_filled(self->buf, self->len, 1));
}

static void ignore(int sig)
{
}

/* Swapping in takes time, in which a signal must get through. */
TEST_F(swap, does_not_delay_a_signal)
{
	struct sigaction sa = { .sa_handler = ignore };
	struct random random = { 5 };
	unsigned int times = 0, tries;

	if (variant->kind == MEMFD)
		return;
	ASSERT_EQ(0, sigaction(SIGALRM, &sa, NULL));
	for (tries = 0; times < 3 && tries < 1000; tries++) {
		struct itimerval in = { .it_value.tv_usec = 1 + random_below(&random, 5000) };
		struct pinseal_seal arg = seal_write(10 * NSEC_PER_SEC);
		int ret;

		munmap(self->p, self->len);
		ASSERT_EQ(0, setitimer(ITIMER_REAL, &in, NULL));
		ret = ps_seal(self->fd, &arg);
		EXPECT_EQ(ret ? 0 : F_SEAL_WRITE, ps_get_seals(self->fd));
		times += ret == -EINTR && arg.outcome == PINSEAL_OUTCOME_INTERRUPTED;
		/* When it is sealed, the timer was late. */
		ASSERT_TRUE(ret ? fill_and_page_out(self) : begin_anew(self, variant->kind));
	}
	TH_LOG("%u tries, %u times interrupted", tries, times);
	EXPECT_EQ(3, times);
	munmap(self->p, self->len);
	EXPECT_EQ(0, ps_add_seals(self->fd, F_SEAL_WRITE));
	ASSERT_EQ(self->len, sys(pread(self->fd, self->buf, self->len, 0)));
	EXPECT_TRUE(is_filled(self->buf, self->len, 1));
}

TEST_F(swap, does_not_delay_a_cancel)
{
	struct random random = { 6 };
	unsigned int cancelled = 0, tries;

	if (variant->kind == MEMFD)
		return;
	for (tries = 0; cancelled < 3 && tries < 1000; tries++) {
		struct pinseal_seal arg = seal_async(F_SEAL_WRITE, 10 * NSEC_PER_SEC);
		int ret;

		munmap(self->p, self->len);
		ASSERT_EQ(0, ps_seal(self->fd, &arg));
		sleep_ns(random_below(&random, 5 * NSEC_PER_MSEC));
		ret = async_cancel(self->fd, &arg);
		ASSERT_EQ(0, ret);
		if (arg.outcome == PINSEAL_OUTCOME_CANCELLED) {
			EXPECT_EQ(0, ps_get_seals(self->fd));
			/* The scan had begun. */
			cancelled += arg.scans == 1;
			ASSERT_TRUE(fill_and_page_out(self));
		} else {
			EXPECT_EQ(PINSEAL_OUTCOME_SEALED, arg.outcome);
			EXPECT_EQ(F_SEAL_WRITE, ps_get_seals(self->fd));
			ASSERT_TRUE(begin_anew(self, variant->kind));
		}
	}
	TH_LOG("%u tries, %u times cancelled", tries, cancelled);
	EXPECT_EQ(3, cancelled);
}

TEST_F(swap, works_for_a_sealed_object)
{
	munmap(self->p, self->len);
	ASSERT_EQ(0, obj_add_seals(self->fd, F_SEAL_WRITE));
	self->p = ps_map(self->fd, self->len, PROT_READ, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, self->p);
	ASSERT_TRUE(is_filled(self->p, self->len, 1));
	ASSERT_TRUE(page_out(self));
	EXPECT_TRUE(is_filled(self->p, self->len, 1));
}

TEST_F(swap, is_freed_by_punching)
{
	ASSERT_EQ(0, obj_fallocate(self->fd, PUNCH, 0, self->len));
	EXPECT_TRUE(swap_is_freed());
	EXPECT_TRUE(is_zero(self->p, self->len));
}

TEST_F(swap, is_freed_by_shrinking)
{
	ASSERT_EQ(0, obj_resize(self->fd, 0));
	EXPECT_TRUE(swap_is_freed());
}

TEST_F(swap, is_freed_by_the_last_close)
{
	munmap(self->p, self->len);
	close(self->fd);
	self->fd = -1;
	EXPECT_TRUE(swap_is_freed());
}

TEST_HARNESS_MAIN

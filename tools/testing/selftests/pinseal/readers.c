// SPDX-License-Identifier: GPL-2.0-only
/*
 * Readers that never rest, each in its own way, must neither make a seal fail nor
 * have it wait for long; and a seal that waits for a pin must let them read.
 */
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#include "content.h"
#include "holders.h"
#include "reader.h"
#include "sealer.h"

#include "harness.h"

/* Seals that each kind of reader has to stand in the way of. */
#define SEALS		10

/*
 * What each seal may take. A seal that readers can hold up fails with this as well as
 * with ten times as much; one that they cannot needs a small part of it.
 */
#define ENOUGH_NS	(2 * NSEC_PER_SEC)

/* How long readers are watched, without a sealer and with one. */
#define WATCHED_NS	(600 * NSEC_PER_MSEC)

static volatile unsigned long *rounds;

static void touch(int fd, size_t size)
{
	volatile char *map = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	size_t i;

	while (map != MAP_FAILED) {
		for (i = 0; i < size; i += page_size())
			(void)map[i];
		++*rounds;
	}
}

static void touch_and_zap(int fd, size_t size)
{
	volatile char *map = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	size_t i;

	while (map != MAP_FAILED) {
		for (i = 0; i < size; i += page_size())
			(void)map[i];
		madvise((char *)map, size, MADV_DONTNEED);
		++*rounds;
	}
}

static void read_all(int fd, size_t size)
{
	static char buf[65536];
	size_t i;

	for (;;) {
		for (i = 0; i < size; i += sizeof(buf))
			if (pread(fd, buf, sizeof(buf), i) < 0)
				return;
		++*rounds;
	}
}

static void read_one(int fd, size_t size)
{
	static char buf[64];

	while (pread(fd, buf, sizeof(buf), 0) == sizeof(buf))
		++*rounds;
}

static void seek(int fd, size_t size)
{
	while (lseek(fd, 0, SEEK_HOLE) >= 0)
		++*rounds;
}

/* What passes through a pipe that is read at once is in nobody's way for long. */
static void splice_through(int fd, size_t size)
{
	static char buf[65536];
	int pipe_fds[2];
	loff_t at = 0;
	ssize_t len;

	if (pipe(pipe_fds))
		return;
	while ((len = splice(fd, &at, pipe_fds[1], NULL, page_size(), 0)) > 0) {
		if (read(pipe_fds[0], buf, len) != len)
			return;
		if ((size_t)at >= size)
			at = 0;
		++*rounds;
	}
}

FIXTURE(readers)
{
	pid_t pid[2];
};

FIXTURE_VARIANT(readers)
{
	void (*read)(int fd, size_t size);
	unsigned int pages;
	unsigned int count;
};

FIXTURE_VARIANT_ADD(readers, touching_one_page)		{ touch, 1, 1 };
FIXTURE_VARIANT_ADD(readers, touching_many_pages)	{ touch, 4096, 1 };
FIXTURE_VARIANT_ADD(readers, two_touching)		{ touch, 16, 2 };
FIXTURE_VARIANT_ADD(readers, zapping_one_page)		{ touch_and_zap, 1, 1 };
FIXTURE_VARIANT_ADD(readers, zapping_some_pages)	{ touch_and_zap, 16, 1 };
FIXTURE_VARIANT_ADD(readers, two_zapping)		{ touch_and_zap, 16, 2 };
FIXTURE_VARIANT_ADD(readers, reading_one_page)		{ read_one, 1, 2 };
FIXTURE_VARIANT_ADD(readers, reading_many_pages)	{ read_all, 1024, 1 };
FIXTURE_VARIANT_ADD(readers, seeking)			{ seek, 4096, 2 };
FIXTURE_VARIANT_ADD(readers, seeking_far)		{ seek, 16384, 2 };
FIXTURE_VARIANT_ADD(readers, splicing)			{ splice_through, 16, 1 };

FIXTURE_SETUP(readers)
{
	rounds = mmap(NULL, page_size(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)rounds);
	run_on_cpu(0);
}

FIXTURE_TEARDOWN(readers)
{
	munmap((void *)rounds, page_size());
}

/* Has the variant's readers read @fd, on another CPU, and waits until they do. */
static bool readers_start(FIXTURE_DATA(readers) *self, const FIXTURE_VARIANT(readers) *variant,
			  int fd)
{
	uint64_t until = now_ns() + 10 * NSEC_PER_SEC;
	unsigned int i;

	*rounds = 0;
	for (i = 0; i < variant->count; i++) {
		self->pid[i] = fork();
		if (!self->pid[i]) {
			run_on_cpu(1);
			variant->read(fd, variant->pages * page_size());
			_exit(1);
		}
	}
	while (*rounds < 3 && now_ns() < until)
		sleep_ns(NSEC_PER_MSEC);
	return *rounds >= 3;
}

/* Returns whether they were still reading. */
static bool readers_stop(FIXTURE_DATA(readers) *self, const FIXTURE_VARIANT(readers) *variant)
{
	bool reading = true;
	unsigned int i;
	int status;

	for (i = 0; i < variant->count; i++) {
		kill(self->pid[i], SIGKILL);
		waitpid(self->pid[i], &status, 0);
		reading &= WIFSIGNALED(status);
	}
	return reading;
}

TEST_F(readers, do_not_make_a_seal_fail)
{
	size_t size = variant->pages * page_size();
	uint64_t longest = 0;
	unsigned int i;

	for (i = 0; i < SEALS; i++) {
		struct pinseal_seal arg = seal_write(ENOUGH_NS);
		int fd = ps_create(size);

		ASSERT_LE(0, fd);
		ASSERT_EQ(0, fill_file(fd, size, 'r'));
		ASSERT_TRUE(readers_start(self, variant, fd));
		EXPECT_EQ(0, ps_seal(fd, &arg)) {
			TH_LOG("seal %u: %u looks, %llu ms, %llu pages did not pass", i, arg.scans,
			       arg.waited_ns / NSEC_PER_MSEC, arg.pinned_pages);
		}
		ASSERT_TRUE(readers_stop(self, variant));
		if (arg.waited_ns > longest)
			longest = arg.waited_ns;
		close(fd);
	}
	TH_LOG("longest wait %llu us", (unsigned long long)longest / 1000);
}

/* Somebody holds a page; that is no reason for readers to stand still. */
TEST_F(readers, go_on_while_a_seal_waits)
{
	size_t size = variant->pages * page_size();
	struct pinseal_seal arg = seal_write(WATCHED_NS);
	unsigned long before, during;
	struct hold hold;
	int fd = ps_create(size);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fill_file(fd, size, 'r'));
	ASSERT_EQ(0, hold_begin(&hold, HOLD_VMSPLICE, fd, 0, 1));
	ASSERT_TRUE(readers_start(self, variant, fd));
	before = *rounds;
	sleep_ns(WATCHED_NS);
	before = *rounds - before;
	during = *rounds;
	EXPECT_EQ(-EBUSY, ps_seal(fd, &arg));
	during = *rounds - during;
	EXPECT_TRUE(readers_stop(self, variant));
	/* They share the machine with a sealer; but they are not stopped. */
	TH_LOG("%lu rounds without a sealer, %lu with one", before, during);
	EXPECT_LT(before / SLACK, during);
	EXPECT_EQ(0, hold_end(&hold));
	close(fd);
}

TEST_HARNESS_MAIN

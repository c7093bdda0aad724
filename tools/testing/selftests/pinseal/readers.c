// SPDX-License-Identifier: GPL-2.0-only
/*
 * Readers without rest, of several kinds: they neither make a seal fail nor are they blocked
 * while one waits.
 */
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "content.h"
#include "cpu.h"
#include "holders.h"
#include "large_folio.h"
#include "sealer.h"

#include "harness.h"

/* Seals raced by each kind of reader. */
#define SEALS		test_rounds(3, 10)

/* A window in which rounds of readers are counted. */
#define WINDOW_NS	(100 * NSEC_PER_MSEC)

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

/* A pipe that is read at once holds pages for a moment. */
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

/* Starts the variant's readers of @fd on the other CPU: whether they read. */
static bool readers_start(FIXTURE_DATA(readers) *self, const FIXTURE_VARIANT(readers) *variant,
			  int fd)
{
	uint64_t until = now_ns() + SOON_NS;
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

/* Ends them: whether they were reading until then. */
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
		struct pinseal_seal arg = seal_write(LATE_NS);
		int fd = ps_create(size);

		ASSERT_LE(0, fd);
		ASSERT_EQ(0, fill_file(fd, size, 'r'));
		ASSERT_TRUE(readers_start(self, variant, fd));
		EXPECT_EQ(0, ps_seal(fd, &arg)) {
			TH_LOG("seal %u: %u scans, %llu ms, %llu pages with extra references", i, arg.scans,
			       arg.waited_ns / NSEC_PER_MSEC, arg.pinned_pages);
		}
		ASSERT_TRUE(readers_stop(self, variant));
		if (arg.waited_ns > longest)
			longest = arg.waited_ns;
		close(fd);
	}
	TH_LOG("longest wait %llu us", (unsigned long long)longest / 1000);
}

/* Rounds of the readers in a window. */
static unsigned long rounds_in_window(void)
{
	unsigned long before = *rounds;

	sleep_ns(WINDOW_NS);
	return *rounds - before;
}

/*
 * A page is held, and a seal waits for it. The readers share the machine with the sealer, but
 * are not blocked: they reach a part of their speed, sooner or later on a busy machine.
 */
TEST_F(readers, proceed_while_a_seal_waits)
{
	size_t size = variant->pages * page_size();
	uint64_t until = now_ns() + LATE_NS;
	unsigned long before, during;
	struct sealer sealer;
	struct hold hold;
	int fd = ps_create(size);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fill_file(fd, size, 'r'));
	ASSERT_EQ(0, hold_begin(&hold, HOLD_VMSPLICE, fd, 0, 1));
	ASSERT_TRUE(readers_start(self, variant, fd));
	before = rounds_in_window();
	ASSERT_EQ(0, sealer_start(&sealer, fd, seal_write(LONG_NS)));
	do
		during = rounds_in_window();
	while (during <= before / SLACK && now_ns() < until);
	TH_LOG("%lu rounds without a sealer, %lu with one", before, during);
	EXPECT_LT(before / SLACK, during);
	EXPECT_FALSE(sealer_done(&sealer));
	EXPECT_EQ(0, hold_end(&hold));
	EXPECT_EQ(0, sealer_join(&sealer));
	EXPECT_TRUE(readers_stop(self, variant));
	close(fd);
}

#define MAPPED_PAGES	2048

/* As many as are made in a second: debug kernels check all of them for each new one. */
static unsigned int mappings = 8000;

/* The time of a seal of @pages with holes between them, which one of many mappings maps. */
static uint64_t seal_mapped(struct __test_metadata *_metadata, unsigned int pages)
{
	size_t page = page_size(), len = MAPPED_PAGES * page;
	int fd = ps_create(len);
	uint64_t began, took;
	pid_t pid;
	int ready[2];

	ASSERT_LE(0, fd);
	for (unsigned int i = 0; i < pages; i++)
		ASSERT_EQ(1, sys(pwrite(fd, "m", 1, 2 * i * page)));
	ASSERT_EQ(0, pipe(ready));
	pid = ps_fork();
	if (!pid) {
		uint64_t until = now_ns() + NSEC_PER_SEC;
		volatile char *p = NULL;
		unsigned int made;

		for (made = 0; made < mappings && p != MAP_FAILED && now_ns() < until; made++)
			p = mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);
		if (p == MAP_FAILED)
			_exit(1);
		for (unsigned int i = 0; i < pages; i++)
			(void)p[2 * i * page];
		if (write(ready[1], &made, sizeof(made)) == sizeof(made))
			pause();
		_exit(1);
	}
	close(ready[1]);
	ASSERT_EQ(sizeof(mappings), read(ready[0], &mappings, sizeof(mappings)));
	began = now_ns();
	ASSERT_EQ(0, ps_add_seals(fd, F_SEAL_WRITE));
	took = now_ns() - began;
	ps_kill(pid);
	close(ready[0]);
	close(fd);
	return took;
}

/* A reader may make as many mappings as it likes. Each page must not cost the sealer a visit to all of them. */
TEST(a_reader_with_many_mappings)
{
	uint64_t few = UINT64_MAX, many = UINT64_MAX, took;

	for (int i = 0; i < 3; i++) {
		took = seal_mapped(_metadata, 8);
		few = took < few ? took : few;
		took = seal_mapped(_metadata, MAPPED_PAGES / 2);
		many = took < many ? took : many;
	}
	TH_LOG("%u mappings, 8 pages: %llu us, %d pages: %llu us", mappings,
	       (unsigned long long)few / 1000, MAPPED_PAGES / 2,
	       (unsigned long long)many / 1000);
	EXPECT_LT(many, 16 * few);
}

/* What a reader in another process has done so far. */
struct progress {
	unsigned long rounds;
	long faults;
};

/* Touches every @distance-th page of @size bytes of @fd, for ever. */
static void touch_some(int fd, size_t size, unsigned int distance, volatile struct progress *progress)
{
	volatile char *map = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	struct rusage usage;

	while (map != MAP_FAILED) {
		for (size_t i = 0; i < size; i += distance * page_size())
			(void)map[i];
		getrusage(RUSAGE_SELF, &usage);
		progress->faults = usage.ru_minflt;
		progress->rounds++;
	}
}

/* Waits for @n more rounds: whether they came. */
static bool progress_made(volatile struct progress *progress, unsigned long n)
{
	unsigned long until = progress->rounds + n;
	uint64_t late = now_ns() + LATE_NS;

	while (progress->rounds < until && now_ns() < late)
		sleep_ns(NSEC_PER_MSEC);
	return progress->rounds >= until;
}

/* Held pages, and how far apart: further than a fault maps around its page. */
#define HELD		64
#define DISTANCE	64

/*
 * Held pages are spread over an object, and a reader reads those halfway between them: these stay
 * mapped, however long a seal waits. Some faults do not matter: another round of zaps makes as many
 * as there are pages, and a wait has many rounds.
 */
TEST(pages_between_held_ones_stay_mapped)
{
	struct pinseal_seal arg = seal_write(500 * NSEC_PER_MSEC);
	size_t page = page_size(), size = HELD * DISTANCE * page;
	struct hold holds[HELD];
	volatile struct progress *progress;
	int fd = ps_create(size);
	long faults;
	pid_t pid;

	if (is_under_pressure())
		SKIP(return, "reclaim unmaps pages");
	ASSERT_LE(0, fd);
	for (size_t at = 0; at < size; at += DISTANCE / 2 * page)
		ASSERT_EQ(1, sys(pwrite(fd, "b", 1, at)));
	progress = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)progress);
	ASSERT_EQ(0, run_on_cpu(0));
	pid = ps_fork();
	if (!pid) {
		run_on_cpu(1);
		touch_some(fd, size, DISTANCE, progress);
		_exit(1);
	}
	for (int i = 0; i < HELD; i++)
		ASSERT_EQ(0, hold_begin(&holds[i], HOLD_VMSPLICE, fd, i * DISTANCE + DISTANCE / 2, 1));
	ASSERT_TRUE(progress_made(progress, 3));
	faults = progress->faults;
	EXPECT_EQ(-EBUSY, ps_seal(fd, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_PINNED, arg.outcome);
	ASSERT_TRUE(progress_made(progress, 3));
	faults = progress->faults - faults;
	TH_LOG("%ld faults at %d pages in %u scans", faults, HELD, arg.scans);
	EXPECT_GT(4 * HELD, faults);
	ps_kill(pid);
	for (int i = 0; i < HELD; i++)
		EXPECT_EQ(0, hold_end(&holds[i]));
	munmap((void *)progress, page);
	close(fd);
}

TEST_HARNESS_MAIN

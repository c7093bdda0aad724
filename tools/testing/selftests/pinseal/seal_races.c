// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mapping, storing, forking, pinning, writing and resizing race sealing. Once a seal has
 * succeeded, no byte (no size) changes, and nothing is left that could change one. Sealers
 * against each other: concurrent_sealers.c.
 *
 * Each test runs until the race has been run often enough.
 */
#include <linux/falloc.h>
#include <sys/wait.h>

#include "unpinnable.h"
#include "reader.h"
#include "racer.h"
#include "rounds.h"
#include "alias.h"

#include "harness.h"

/*
 * Writable mappings
 *
 * Each mapper maps the object shared and writable, stores, in some turns changes the mapping
 * itself, and unmaps. A mapper that finds the object sealed while it has the mapping has found
 * a violation; it stores on until the end of the round, so that the bytes tell as well.
 *
 * Most turns are short and leave gaps in which a seal can succeed.
 *
 * The mappers use every alias: exclusion of mappings and seals must not depend on a common
 * object.
 */
FIXTURE(mapping) {};
BY_EVERY_ALIAS(mapping);
FIXTURE_SETUP(mapping) {}
FIXTURE_TEARDOWN(mapping) {}

/* Stores into the mapping. A fault is fine; it is not under test. */
static void store(struct worker *w, volatile char *map, size_t len)
{
	size_t at = random_bits(&w->random) % len;

	w->catch_segv = true;
	if (!sigsetjmp(w->segv, 0))
		map[at] += 1 + (random_bits(&w->random) & 15);
	w->catch_segv = false;
}

static void store_a_while(struct worker *w, char *map, size_t len, unsigned int number)
{
	unsigned int i, times = random_bits(&w->random) % 4;

	for (i = 0; i < times; i++)
		store(w, map, len);
	if (ps_get_seals(w->round->fd) & F_SEAL_WRITE) {
		/* A writable mapping of a sealed object. */
		count(&w->round->violations);
		while (!round_is_over(w->round, number))
			store(w, map, len);
	}
}

static char *map_object(struct worker *w)
{
	char *map = ps_map(w->round->other, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED);

	if (map == MAP_FAILED) {
		count(&w->round->refused);
		return NULL;
	}
	count(&w->round->done);
	return map;
}

static void map_and_store(struct worker *w, unsigned int number)
{
	char *map = map_object(w);

	if (!map)
		return;
	store_a_while(w, map, SIZE, number);
	munmap(map, SIZE);
}

static void map_and_change(struct worker *w, unsigned int number)
{
	size_t half = SIZE / 2, len = SIZE;
	char *map = map_object(w);
	void *moved;
	pid_t child;

	if (!map)
		return;
	switch (random_bits(&w->random) % 5) {
	case 0:
		/* Splits it and keeps one half. */
		munmap(map, half);
		map += half;
		len = half;
		break;
	case 1:
		/* Moves it. */
		moved = mremap(map, len, len, MREMAP_MAYMOVE | MREMAP_DONTUNMAP);
		if (moved != MAP_FAILED) {
			munmap(map, len);
			map = moved;
		}
		break;
	case 2:
		/* Read-only for now, but it may become writable again. */
		mprotect(map, len, PROT_READ);
		sched_yield();
		mprotect(map, len, PROT_READ | PROT_WRITE);
		break;
	case 3:
		madvise(map, len, MADV_DONTNEED);
		break;
	case 4:
		/* Leaves it to a child. */
		child = ps_fork();
		if (!child) {
			store_a_while(w, map, len, number);
			_exit(0);
		}
		munmap(map, len);
		if (child > 0)
			ps_wait(child);
		return;
	}
	store_a_while(w, map, len, number);
	munmap(map, len);
}

/* First some changes, which leave no gap, then short turns. */
static void map_somehow(struct worker *w, unsigned int number)
{
	if (w->turns < number / 2 % 4)
		map_and_change(w, number);
	else
		map_and_store(w, number);
}

/* Seals the object of the round as soon as possible: how often it was refused, or -errno. */
static int seal_soon(struct round *r)
{
	uint64_t until = now_ns() + LONG_NS;
	int ret, refused = 0;

	do {
		struct pinseal_seal arg = seal_write(5 * NSEC_PER_MSEC);

		ret = ps_seal(r->fd, &arg);
		if (!ret)
			__atomic_store_n(&r->sealed, true, __ATOMIC_SEQ_CST);
		else if (!(++refused % 64))
			/* A mapper that is off its CPU gets the sealer's. */
			sleep_ns(50 * 1000);
	} while (ret == -EBUSY && now_ns() < until);
	return ret ?: refused;
}

/* Shared with children. */
static struct round *new_shared_round(void)
{
	return mmap(NULL, sizeof(struct round), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

TEST_F(mapping, against_sealing)
{
	struct round *r = new_shared_round();
	uint64_t until = now_ns() + test_rounds(300, 1000) * NSEC_PER_MSEC;
	unsigned int rounds = 0, refused = 0;
	struct worker w[2];

	ASSERT_NE(MAP_FAILED, r);
	ASSERT_EQ(0, workers_start(w, ARRAY_SIZE(w), r, map_somehow));
	/* How soon the mappers leave a gap is luck: each seal has a limit of its own. */
	while (rounds < 10 || !r->refused || (rounds < 600 && now_ns() < until)) {
		struct aliased object;
		uint64_t before;
		int fd, ret;

		ASSERT_EQ(0, aliased_open(&object, variant->alias, SIZE));
		fd = object.fd;
		ASSERT_EQ(0, fill_file(fd, SIZE, 'n'));
		round_begin_by(r, fd, object.other);
		round_wait_done(r, 1 + rounds % 4);
		ret = seal_soon(r);
		ASSERT_LE(0, ret);
		refused += ret;
		rounds++;

		before = checksum(fd, SIZE);
		sleep_ns(NSEC_PER_MSEC);
		EXPECT_EQ(before, checksum(fd, SIZE));
		EXPECT_EQ(before, checksum_mapped(fd, SIZE));
		round_end(r);
		aliased_close(&object);
		if (r->violations)
			break;
	}
	workers_stop(w, ARRAY_SIZE(w), r);
	TH_LOG("%u objects sealed, after %u refusals each; %lu mappings made, %lu refused",
	       rounds, refused / rounds, r->done, r->refused);
	EXPECT_EQ(0, r->violations);
	EXPECT_LE(rounds, r->done);
	EXPECT_LT(0, r->refused);
}

/*
 * One mapping against one seal at the same moment. Both take several steps, so microseconds
 * matter. As nothing unmaps, both must never succeed.
 */
struct map_race {
	struct racer mapper;
	int fd;			/* what is mapped */
	unsigned int delay;	/* of the mapper, in turns of a loop */
	int prot;		/* of the mapping */
	char *map;
};

static void loop_for(unsigned int turns)
{
	while (turns--)
		__asm__ volatile("" ::: "memory");
}

/*
 * Both must win sometimes, else they never met. The winner is delayed a bit more, and much more
 * when it always wins. @delay: of the seal; negative: of the mapping.
 */
static void adjust_delay(int *delay, int *step, bool seal_won)
{
	if (seal_won != (*step > 0))
		*step = seal_won ? 100 : -100;
	else if (abs(*step) < 100000)
		*step += *step / 4;
	*delay += *step;
}

static void map_race_move(void *data)
{
	struct map_race *d = data;

	loop_for(d->delay);
	d->map = ps_map(d->fd, page_size(), d->prot, MAP_SHARED);
}

TEST_F(mapping, one_against_one_seal)
{
	uint64_t until = now_ns() + test_rounds(300, 1000) * NSEC_PER_MSEC;
	unsigned int mapped = 0, sealed = 0, neither = 0, both = 0;
	int delay = 0, step = 100;
	struct map_race d = { .prot = PROT_READ | PROT_WRITE };
	struct random random = { 99 };

	ASSERT_EQ(0, racer_start(&d.mapper, map_race_move, &d));
	while ((mapped < ENOUGH || sealed < ENOUGH || now_ns() < until) && !both) {
		struct pinseal_seal arg = seal_write(1);
		struct aliased object;
		int ret;

		ASSERT_EQ(0, aliased_open(&object, variant->alias, page_size()));
		ASSERT_EQ(1, sys(pwrite(object.fd, "d", 1, 0)));
		d.fd = object.other;
		d.delay = random_bits(&random) % 2048 + (delay < 0 ? -delay : 0);
		racer_go(&d.mapper);
		loop_for(random_bits(&random) % 2048 + (delay > 0 ? delay : 0));
		ret = ps_seal(object.fd, &arg);
		racer_wait(&d.mapper);

		if (!ret && d.map != MAP_FAILED)
			both++;
		else if (!ret)
			sealed++;
		else if (d.map != MAP_FAILED)
			mapped++;
		else
			neither++;
		adjust_delay(&delay, &step, !ret);
		if (d.map != MAP_FAILED)
			munmap(d.map, page_size());
		aliased_close(&object);
	}
	racer_stop(&d.mapper);
	TH_LOG("%u times the mapping, %u times the seal, %u times neither", mapped, sealed,
	       neither);
	EXPECT_EQ(0, both);
}

/*
 * F_SEAL_FUTURE_WRITE against a mapping that may become writable. The mapping succeeds in any
 * case: before the seal as it is, afterwards as one that cannot become writable. In between
 * the kernel finds the seal when the module did not. Once it is unmapped, whatever it was,
 * F_SEAL_WRITE must succeed.
 */
TEST_F(mapping, against_future_write)
{
	uint64_t until = now_ns() + test_rounds(200, 500) * NSEC_PER_MSEC;
	unsigned int before = 0, after = 0, tries;
	struct map_race d = { .prot = PROT_READ };
	struct random random = { 98 };
	int delay = 0, step = 100;

	ASSERT_EQ(0, racer_start(&d.mapper, map_race_move, &d));
	for (tries = 0; before < ENOUGH || after < ENOUGH || now_ns() < until; tries++) {
		struct pinseal_seal arg = seal_write(NSEC_PER_SEC);
		struct aliased object;
		int ret;

		ASSERT_EQ(0, aliased_open(&object, variant->alias, page_size()));
		d.fd = object.other;
		d.delay = random_bits(&random) % 512 + (delay < 0 ? -delay : 0);
		racer_go(&d.mapper);
		loop_for(random_bits(&random) % 512 + (delay > 0 ? delay : 0));
		ASSERT_EQ(0, ps_add_seals(object.fd, F_SEAL_FUTURE_WRITE));
		racer_wait(&d.mapper);
		ASSERT_NE(MAP_FAILED, d.map);
		ret = mprotect(d.map, page_size(), PROT_READ | PROT_WRITE);
		adjust_delay(&delay, &step, ret != 0);
		if (ret)
			after++;
		else
			before++;
		munmap(d.map, page_size());
		ret = ps_seal(object.fd, &arg);
		ASSERT_EQ(0, ret) TH_LOG("try %u: outcome %u", tries, arg.outcome);
		aliased_close(&object);
	}
	racer_stop(&d.mapper);
	TH_LOG("%u times the mapping came first, %u times the seal", before, after);
}

/*
 * Pins: a writable handle on an object that is sealed for write is a violation. Through the
 * object, and through another one that does not know of it.
 */
static void pin_and_write(struct worker *w, unsigned int number)
{
	uint32_t value = random_bits(&w->random);
	bool waits = value >> 29 & 1;
	int pin = waits ? ps_pin_wait(w->round->other, value % PAGES, 1, 0, LONG_NS) :
			  ps_pin(w->round->other, value % PAGES, 1, 0);

	/* Each worker's pin in the making keeps the other's page from being moved. */
	if (pin == -ENOMEM && !waits && unpinnable_machine())
		return;
	if (pin < 0) {
		count(pin == -EPERM ? &w->round->refused : &w->round->violations);
		return;
	}
	count(&w->round->done);
	/* Now and then for longer than a scan. */
	if (value >> 30 == 0)
		sched_yield();
	if (pwrite(pin, &value, 1, value % page_size()) != 1)
		count(&w->round->violations);
	if (ps_get_seals(w->round->fd) & F_SEAL_WRITE)
		count(&w->round->violations);
	close(pin);
}

FIXTURE(pinning) {};
FIXTURE_VARIANT(pinning) { enum alias alias; };
FIXTURE_VARIANT_ADD(pinning, dup) { .alias = ALIAS_DUP };
FIXTURE_VARIANT_ADD(pinning, second_import) { .alias = ALIAS_SECOND_IMPORT };
FIXTURE_VARIANT_ADD(pinning, created_reopened) { .alias = ALIAS_CREATED_REOPENED };
FIXTURE_VARIANT_ADD(pinning, created_import) { .alias = ALIAS_CREATED_IMPORT };
FIXTURE_SETUP(pinning) {}
FIXTURE_TEARDOWN(pinning) {}

TEST_F(pinning, against_sealing)
{
	uint64_t until = now_ns() + test_rounds(300, 1000) * NSEC_PER_MSEC;
	unsigned int rounds = 0, refused = 0;
	struct round r = { 0 };
	struct worker w[2];

	ASSERT_EQ(0, workers_start(w, ARRAY_SIZE(w), &r, pin_and_write));
	while (rounds < 10 || !r.refused || (rounds < 600 && now_ns() < until)) {
		struct aliased object;
		uint64_t before;
		int ret;

		ASSERT_EQ(0, aliased_open(&object, variant->alias, SIZE));
		ASSERT_EQ(0, fill_file(object.fd, SIZE, 'n'));
		round_begin_by(&r, object.fd, object.other);
		round_wait_done(&r, 1 + rounds % 4);
		ret = seal_soon(&r);
		ASSERT_LE(0, ret);
		refused += ret;
		rounds++;

		before = checksum(object.fd, SIZE);
		sleep_ns(NSEC_PER_MSEC);
		EXPECT_EQ(before, checksum(object.fd, SIZE));
		round_end(&r);
		aliased_close(&object);
		if (r.violations)
			break;
	}
	workers_stop(w, ARRAY_SIZE(w), &r);
	TH_LOG("%u objects sealed, after %u refusals; %lu pinned, %lu refused", rounds, refused,
	       r.done, r.refused);
	EXPECT_EQ(0, r.violations);
	EXPECT_LE(rounds, r.done);
	EXPECT_LT(0, r.refused);
}

/* Writes: EPERM after the seal; the seal waits for writes in progress. */
static void write_and_punch(struct worker *w, unsigned int number)
{
	bool was_sealed = is_sealed(w->round);
	uint32_t value = random_bits(&w->random);
	off_t at = value % (SIZE - sizeof(value));
	int ret;

	if (value >> 28)
		ret = sys(pwrite(w->round->fd, &value, sizeof(value), at));
	else
		ret = ps_fallocate(w->round->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				   at, 1 + value % 8192);
	if (ret >= 0)
		count(&w->round->done);
	else if (ret == -EPERM)
		count(&w->round->refused);
	else
		count(&w->round->violations);
	if (was_sealed && ret >= 0)
		count(&w->round->violations);
}

TEST(writes_against_sealing)
{
	struct round r = { 0 };
	uint64_t until = now_ns() + test_rounds(500, 3000) * NSEC_PER_MSEC;
	unsigned int rounds = 0;
	struct worker w[3];

	ASSERT_EQ(0, workers_start(w, ARRAY_SIZE(w), &r, write_and_punch));
	while (rounds < ENOUGH || (rounds < 200 && now_ns() < until)) {
		struct pinseal_seal arg = seal_write(LONG_NS);
		uint64_t before;
		int fd = new_object();

		ASSERT_LE(0, fd);
		round_begin(&r, fd);
		round_wait_done(&r, 3);
		ASSERT_EQ(0, ps_seal(fd, &arg));
		__atomic_store_n(&r.sealed, true, __ATOMIC_SEQ_CST);
		rounds++;
		before = checksum(fd, SIZE);
		sleep_ns(2 * NSEC_PER_MSEC);
		EXPECT_EQ(before, checksum(fd, SIZE));
		EXPECT_EQ(before, checksum_mapped(fd, SIZE));
		round_end(&r);
		close(fd);
	}
	workers_stop(w, ARRAY_SIZE(w), &r);
	TH_LOG("%u objects sealed, %lu writes done, %lu refused", rounds, r.done, r.refused);
	EXPECT_EQ(0, r.violations);
	EXPECT_LT(0, r.refused);
}

/* The same for the size. */
static void resize(struct worker *w, unsigned int number)
{
	bool was_sealed = is_sealed(w->round);
	int64_t size = SIZE + random_bits(&w->random) % SIZE;
	int ret = ps_resize(w->round->fd, size);

	if (!ret)
		count(&w->round->done);
	else if (ret == -EPERM)
		count(&w->round->refused);
	else
		count(&w->round->violations);
	/* Setting the present size is always allowed. */
	if (was_sealed && !ret && size != w->round->size)
		count(&w->round->violations);
}

TEST(resizes_against_sealing)
{
	struct pinseal_seal arg;
	struct round r = { 0 };
	uint64_t until = now_ns() + test_rounds(500, 3000) * NSEC_PER_MSEC;
	unsigned int rounds = 0;
	struct worker w[2];

	ASSERT_EQ(0, workers_start(w, ARRAY_SIZE(w), &r, resize));
	while (rounds < ENOUGH || (rounds < 200 && now_ns() < until)) {
		int fd = new_object();

		ASSERT_LE(0, fd);
		round_begin(&r, fd);
		round_wait_done(&r, 2);
		/* A resizing thread may lose its CPU for long. */
		arg = (struct pinseal_seal){
			.seals = F_SEAL_SHRINK | F_SEAL_GROW,
			.timeout_ns = LONG_NS,
		};
		ASSERT_EQ(0, ps_seal(fd, &arg));
		r.size = ps_size(fd);
		__atomic_store_n(&r.sealed, true, __ATOMIC_SEQ_CST);
		rounds++;
		sleep_ns(NSEC_PER_MSEC);
		EXPECT_EQ(r.size, ps_size(fd));
		round_end(&r);
		close(fd);
	}
	workers_stop(w, ARRAY_SIZE(w), &r);
	TH_LOG("%u objects sealed, %lu sizes set, %lu refused", rounds, r.done, r.refused);
	EXPECT_EQ(0, r.violations);
	EXPECT_LT(0, r.refused);
}

TEST_HARNESS_MAIN

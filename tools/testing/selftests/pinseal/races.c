// SPDX-License-Identifier: GPL-2.0-only
/*
 * Everybody at once: mapping, storing, forking, writing, resizing and sealing. What
 * must hold is simple: once a seal for writing has succeeded, no byte changes and
 * nobody has a way to change one; and a seal that fails was never there.
 *
 * A race shows only when it is run often enough: each test counts what it has
 * really tried, says so, and fails when that was too little.
 */
#include <linux/falloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#include "content.h"
#include "holders.h"
#include "noise.h"
#include "sealer.h"

#include "harness.h"

#define PAGES		16
#define SIZE		(PAGES * page_size())

#define LONG_NS		(20 * NSEC_PER_SEC)

/*
 * How often something has to happen before a test says anything; however long that
 * takes, and where machines are fast it happens more often.
 */
#define ENOUGH		20

/* xorshift: a different, but repeatable, sequence for everybody. */
static uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

/* A new object of PAGES pages, all of them there. */
static int new_object(void)
{
	int fd = ps_create(SIZE);

	if (fd >= 0 && fill_file(fd, SIZE, 'n')) {
		close(fd);
		return -EIO;
	}
	return fd;
}

/*
 * A round of a race: everybody works on one object until it is over. The threads
 * take part in each round by themselves; the main thread begins and ends it.
 */
struct round {
	unsigned int number;	/* odd while a round is on */
	unsigned int inside;	/* workers that are in it */
	bool quit;
	int fd;
	bool sealed;		/* a seal has returned 0 */
	int64_t size;		/* valid when sealed: the object's, in bytes */
	/* What workers found out, of all rounds. */
	unsigned long done, refused;
	unsigned long violations;
};

static bool round_is_over(const struct round *r, unsigned int number)
{
	return __atomic_load_n(&r->number, __ATOMIC_ACQUIRE) != number;
}

static bool is_sealed(const struct round *r)
{
	return __atomic_load_n(&r->sealed, __ATOMIC_ACQUIRE);
}

static void count(unsigned long *counter)
{
	__atomic_add_fetch(counter, 1, __ATOMIC_RELAXED);
}

static void round_begin(struct round *r, int fd)
{
	r->fd = fd;
	r->sealed = false;
	__atomic_add_fetch(&r->number, 1, __ATOMIC_RELEASE);
}

static unsigned long round_done(const struct round *r)
{
	return __atomic_load_n(&r->done, __ATOMIC_ACQUIRE);
}

/* Waits until the workers have done @n more things. */
static void round_wait_done(struct round *r, unsigned long n)
{
	unsigned long done = round_done(r);

	while (round_done(r) < done + n)
		sched_yield();
}

/* When it returns, no worker has anything to do with the object any more. */
static void round_end(struct round *r)
{
	__atomic_add_fetch(&r->number, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&r->inside, __ATOMIC_SEQ_CST))
		sched_yield();
}

/* Waits for a round to begin and enters it: its number, or 0 to quit. */
static unsigned int round_enter(struct round *r)
{
	for (;;) {
		unsigned int number = __atomic_load_n(&r->number, __ATOMIC_SEQ_CST);

		if (__atomic_load_n(&r->quit, __ATOMIC_ACQUIRE))
			return 0;
		if (number & 1) {
			__atomic_add_fetch(&r->inside, 1, __ATOMIC_SEQ_CST);
			if (__atomic_load_n(&r->number, __ATOMIC_SEQ_CST) == number)
				return number;
			__atomic_sub_fetch(&r->inside, 1, __ATOMIC_SEQ_CST);
		}
		sched_yield();
	}
}

static void round_leave(struct round *r)
{
	__atomic_sub_fetch(&r->inside, 1, __ATOMIC_SEQ_CST);
}

struct worker {
	struct round *round;
	uint32_t random;
	unsigned int turns;	/* taken in this round */
	void (*turn)(struct worker *w, unsigned int number);
	pthread_t thread;
	sigjmp_buf segv;
	volatile bool catch_segv;
};

static __thread struct worker *this_worker;

static void segv_handler(int sig)
{
	if (this_worker && this_worker->catch_segv)
		siglongjmp(this_worker->segv, 1);
	signal(sig, SIG_DFL);
}

static void *worker_thread(void *data)
{
	struct worker *w = data;
	unsigned int number;

	this_worker = w;
	while ((number = round_enter(w->round))) {
		w->turns = 0;
		while (!round_is_over(w->round, number))
			w->turn(w, number), w->turns++;
		round_leave(w->round);
	}
	return NULL;
}

static int workers_start(struct worker *w, unsigned int n, struct round *r,
			 void (*turn)(struct worker *, unsigned int))
{
	struct sigaction sa = { .sa_handler = segv_handler, .sa_flags = SA_NODEFER };
	unsigned int i;
	int ret = 0;

	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	for (i = 0; i < n && !ret; i++) {
		w[i] = (struct worker){
			.round = r,
			.random = 0x9e3779b9 * (i + 1),
			.turn = turn,
		};
		ret = -pthread_create(&w[i].thread, NULL, worker_thread, &w[i]);
	}
	return ret;
}

static void workers_stop(struct worker *w, unsigned int n, struct round *r)
{
	unsigned int i;

	__atomic_store_n(&r->quit, true, __ATOMIC_RELEASE);
	for (i = 0; i < n; i++)
		pthread_join(w[i].thread, NULL);
}

/*
 * Writable mappings
 *
 * Each mapper maps the object shared and writable, stores through it, in some turns
 * also in all the ways that change the mapping under its feet, and throws it away.
 * A mapper that finds the object sealed while it has its mapping has found a
 * violation already; it goes on storing for as long as the round lasts, so that
 * the bytes tell as well.
 *
 * Most turns are short, so that there are gaps in which a seal can succeed.
 */

/* Stores somewhere into the mapping. A fault is fine; it is not what is tested. */
static void store(struct worker *w, volatile char *map, size_t len)
{
	size_t at = next_random(&w->random) % len;

	w->catch_segv = true;
	if (!sigsetjmp(w->segv, 0))
		map[at] += 1 + (next_random(&w->random) & 15);
	w->catch_segv = false;
}

static void store_a_while(struct worker *w, char *map, size_t len, unsigned int number)
{
	unsigned int i, times = next_random(&w->random) % 4;

	for (i = 0; i < times; i++)
		store(w, map, len);
	if (ps_get_seals(w->round->fd) & F_SEAL_WRITE) {
		/* Sealed, and here is a writable mapping. */
		count(&w->round->violations);
		while (!round_is_over(w->round, number))
			store(w, map, len);
	}
}

static char *map_object(struct worker *w)
{
	char *map = ps_map(w->round->fd, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED);

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
	switch (next_random(&w->random) % 5) {
	case 0:
		/* Split it, and keep one half. */
		munmap(map, half);
		map += half;
		len = half;
		break;
	case 1:
		/* Move it elsewhere. */
		moved = mremap(map, len, len, MREMAP_MAYMOVE | MREMAP_DONTUNMAP);
		if (moved != MAP_FAILED) {
			munmap(map, len);
			map = moved;
		}
		break;
	case 2:
		/* It cannot be written to for now, but it could be again. */
		mprotect(map, len, PROT_READ);
		sched_yield();
		mprotect(map, len, PROT_READ | PROT_WRITE);
		break;
	case 3:
		madvise(map, len, MADV_DONTNEED);
		break;
	case 4:
		/* Leave it to a child. */
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

/* A few that change, which take long and leave no gap, and then short ones only. */
static void map_somehow(struct worker *w, unsigned int number)
{
	if (w->turns < number / 2 % 4)
		map_and_change(w, number);
	else
		map_and_store(w, number);
}

/* Seals the round's object as soon as it can: how often that was refused, or -errno. */
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
			sched_yield();
	} while (ret == -EBUSY && now_ns() < until);
	return ret ?: refused;
}

/* A shared round, because children take part in it. */
static struct round *new_shared_round(void)
{
	return mmap(NULL, sizeof(struct round), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

TEST(writable_mappings)
{
	struct round *r = new_shared_round();
	uint64_t until = now_ns() + 4 * NSEC_PER_SEC;
	unsigned int rounds = 0, refused = 0;
	struct worker w[2];

	ASSERT_NE(MAP_FAILED, r);
	ASSERT_EQ(0, workers_start(w, ARRAY_SIZE(w), r, map_somehow));
	/* Luck decides how soon the mappers leave a gap: each seal has its own limit. */
	while (rounds < 10 || (rounds < 600 && now_ns() < until)) {
		uint64_t before;
		int fd = new_object();
		int ret;

		ASSERT_LE(0, fd);
		round_begin(r, fd);
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
		close(fd);
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
 * One mapping against one seal, at the same moment
 *
 * A mapping is made in several steps, and so is a seal; a few microseconds matter. On
 * each object one of the two succeeds, or the mapping does and is gone before the
 * seal begins; but here nobody unmaps, so it is never both.
 */
struct duel {
	int fd;
	unsigned int number;	/* of the round; the mapper follows */
	unsigned int mapped;	/* the last round in which the mapper is through */
	unsigned int delay;	/* of the mapper, in turns of a loop */
	bool quit;
	char *map;
	pthread_t thread;
};

static void loop_for(unsigned int turns)
{
	while (turns--)
		__asm__ volatile("" ::: "memory");
}

static void *duel_thread(void *data)
{
	struct duel *d = data;
	unsigned int number = 0;

	run_on_cpu(1);
	for (;;) {
		while (__atomic_load_n(&d->number, __ATOMIC_ACQUIRE) == number)
			;
		if (d->quit)
			return NULL;
		number++;
		loop_for(d->delay);
		d->map = ps_map(d->fd, page_size(), PROT_READ | PROT_WRITE, MAP_SHARED);
		__atomic_store_n(&d->mapped, number, __ATOMIC_RELEASE);
	}
}

TEST(mapping_or_seal)
{
	uint64_t until = now_ns() + 3 * NSEC_PER_SEC;
	unsigned int mapped = 0, sealed = 0, neither = 0, both = 0;
	int delay = 0;		/* of the seal; negative: of the mapping */
	int step = 100;
	struct duel d = { 0 };
	uint32_t random = 99;

	run_on_cpu(0);
	ASSERT_EQ(0, pthread_create(&d.thread, NULL, duel_thread, &d));
	while ((mapped < ENOUGH || sealed < ENOUGH || now_ns() < until) && !both) {
		struct pinseal_seal arg = seal_write(1);
		int ret;

		d.fd = ps_create(page_size());
		ASSERT_LE(0, d.fd);
		ASSERT_EQ(1, sys(pwrite(d.fd, "d", 1, 0)));
		d.delay = next_random(&random) % 2048 + (delay < 0 ? -delay : 0);
		__atomic_store_n(&d.number, d.number + 1, __ATOMIC_RELEASE);
		loop_for(next_random(&random) % 2048 + (delay > 0 ? delay : 0));
		ret = ps_seal(d.fd, &arg);
		while (__atomic_load_n(&d.mapped, __ATOMIC_ACQUIRE) != d.number)
			sched_yield();

		if (!ret && d.map != MAP_FAILED)
			both++;
		else if (!ret)
			sealed++;
		else if (d.map != MAP_FAILED)
			mapped++;
		else
			neither++;
		/*
		 * Both must win, else they were never close to each other. Whoever was
		 * first has to wait a bit longer, and much longer if it is always the
		 * same one: so they come to meet.
		 */
		if (!ret != (step > 0))
			step = !ret ? 100 : -100;
		else if (abs(step) < 100000)
			step += step / 4;
		delay += step;
		if (d.map != MAP_FAILED)
			munmap(d.map, page_size());
		close(d.fd);
	}
	d.quit = true;
	__atomic_add_fetch(&d.number, 1, __ATOMIC_RELEASE);
	pthread_join(d.thread, NULL);
	TH_LOG("%u times the mapping, %u times the seal, %u times neither", mapped, sealed,
	       neither);
	EXPECT_EQ(0, both);
}

/*
 * Writes
 *
 * After the seal a write gives EPERM, and one that was under way before has been
 * waited for.
 */
static void write_and_punch(struct worker *w, unsigned int number)
{
	bool was_sealed = is_sealed(w->round);
	uint32_t value = next_random(&w->random);
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

TEST(writes)
{
	struct round r = { 0 };
	uint64_t until = now_ns() + 3 * NSEC_PER_SEC;
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
	int64_t size = SIZE + next_random(&w->random) % SIZE;
	int ret = ps_resize(w->round->fd, size);

	if (!ret)
		count(&w->round->done);
	else if (ret == -EPERM)
		count(&w->round->refused);
	else
		count(&w->round->violations);
	/* Setting the size that it has is always allowed. */
	if (was_sealed && !ret && size != w->round->size)
		count(&w->round->violations);
}

TEST(sizes)
{
	struct pinseal_seal arg;
	struct round r = { 0 };
	uint64_t until = now_ns() + 3 * NSEC_PER_SEC;
	unsigned int rounds = 0;
	struct worker w[2];

	ASSERT_EQ(0, workers_start(w, ARRAY_SIZE(w), &r, resize));
	while (rounds < ENOUGH || (rounds < 200 && now_ns() < until)) {
		int fd = new_object();

		ASSERT_LE(0, fd);
		round_begin(&r, fd);
		round_wait_done(&r, 2);
		/* Somebody who changes the size may be off his CPU for long. */
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

/*
 * Many sealers
 *
 * What is set in the end is what the successful ones asked for, and a seal never
 * goes away again.
 */
static const uint32_t storm_seals[] = {
	F_SEAL_WRITE,
	F_SEAL_SHRINK,
	F_SEAL_GROW,
	F_SEAL_FUTURE_WRITE,
	F_SEAL_WRITE | F_SEAL_GROW,
	F_SEAL_SEAL,
};

struct storm {
	int fd, ret;
	uint32_t seals;
	unsigned int *ready;
	bool lost;
	pthread_t thread;
};

static void *storm_thread(void *data)
{
	struct storm *s = data;
	struct pinseal_seal arg = { .seals = s->seals, .timeout_ns = LONG_NS };
	int seen;

	__atomic_add_fetch(s->ready, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(s->ready, __ATOMIC_SEQ_CST) < ARRAY_SIZE(storm_seals))
		sched_yield();
	s->ret = ps_seal(s->fd, &arg);
	seen = ps_get_seals(s->fd);
	if (!s->ret && (seen & s->seals) != s->seals)
		s->lost = true;
	if ((ps_get_seals(s->fd) & seen) != seen)
		s->lost = true;
	return NULL;
}

TEST(sealers)
{
	unsigned int rounds, i, forbidden = 0;

	for (rounds = 0; rounds < 100; rounds++) {
		struct storm s[ARRAY_SIZE(storm_seals)];
		unsigned int ready = 0;
		uint32_t all = 0;
		int fd = new_object();

		ASSERT_LE(0, fd);
		for (i = 0; i < ARRAY_SIZE(s); i++) {
			/* Not always the same one first. */
			s[i] = (struct storm){
				.fd = fd,
				.seals = storm_seals[(i + rounds) % ARRAY_SIZE(s)],
				.ready = &ready,
			};
			ASSERT_EQ(0, pthread_create(&s[i].thread, NULL, storm_thread, &s[i]));
		}
		for (i = 0; i < ARRAY_SIZE(s); i++) {
			pthread_join(s[i].thread, NULL);
			EXPECT_FALSE(s[i].lost);
			if (!s[i].ret) {
				all |= s[i].seals;
			} else {
				EXPECT_EQ(-EPERM, s[i].ret);
				forbidden++;
			}
		}
		EXPECT_EQ(all, ps_get_seals(fd));
		/* Whoever came after F_SEAL_SEAL; it itself always succeeds. */
		EXPECT_EQ(F_SEAL_SEAL, all & F_SEAL_SEAL);
		EXPECT_EQ(-EPERM, ps_add_seals(fd, F_SEAL_GROW));
		close(fd);
	}
	TH_LOG("%u seals came too late", forbidden);
}

/*
 * Failing seals
 *
 * A page is held, so no seal can succeed. Nobody may ever see one: not in
 * GET_SEALS, not as EPERM of a write or a mapping.
 */
static void look_for_a_seal(struct worker *w, unsigned int number)
{
	char c = 'x';
	char *p;

	if (ps_get_seals(w->round->fd))
		count(&w->round->violations);
	if (sys(pwrite(w->round->fd, &c, 1, 0)) != 1)
		count(&w->round->violations);
	if (ps_resize(w->round->fd, SIZE))
		count(&w->round->violations);
	p = ps_map(w->round->fd, page_size(), PROT_READ | PROT_WRITE, MAP_SHARED);
	if (p == MAP_FAILED) {
		if (errno != EBUSY)
			count(&w->round->violations);
		count(&w->round->refused);
	} else {
		munmap(p, page_size());
		count(&w->round->done);
	}
}

TEST(failing_seals)
{
	uint64_t until = now_ns() + 2 * NSEC_PER_SEC;
	unsigned int pinned = 0, mapped = 0;
	struct round r = { 0 };
	struct worker w[2];
	struct hold hold;
	int fd = new_object();

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, hold_begin(&hold, HOLD_VMSPLICE, fd, 1, 1));
	ASSERT_EQ(0, workers_start(w, ARRAY_SIZE(w), &r, look_for_a_seal));
	round_begin(&r, fd);
	while (pinned < ENOUGH || round_done(&r) < ENOUGH || now_ns() < until) {
		struct pinseal_seal arg = seal_write(NSEC_PER_MSEC);

		arg.seals |= F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
		ASSERT_EQ(-EBUSY, ps_seal(fd, &arg));
		if (arg.outcome == PINSEAL_OUTCOME_PINNED)
			pinned++;
		else
			mapped++;
		EXPECT_EQ(0, ps_get_seals(fd));
		/* Else the others would only ever wait. */
		sched_yield();
	}
	round_end(&r);
	workers_stop(w, ARRAY_SIZE(w), &r);
	TH_LOG("%u times pinned, %u times mapped; %lu mappings made, %lu refused",
	       pinned, mapped, r.done, r.refused);
	EXPECT_EQ(0, r.violations);
	ASSERT_EQ(0, hold_end(&hold));
	EXPECT_EQ(0, ps_add_seals(fd, F_SEAL_WRITE));
	close(fd);
}

/*
 * Killed at any moment
 *
 * A sealer dies somewhere in its seal: the object is sealed, or as if nothing had
 * been; never in between.
 */
TEST(killed_sealers)
{
	unsigned int i, sealed = 0;
	uint32_t random = 4711;

	for (i = 0; i < 60; i++) {
		struct hold hold;
		int fd = new_object();
		pid_t child;
		int seals;

		ASSERT_LE(0, fd);
		if (i % 3) {
			ASSERT_EQ(0, hold_begin(&hold, HOLD_VMSPLICE, fd, 3, 1));
		}
		child = ps_fork();
		ASSERT_LE(0, child);
		if (!child) {
			struct pinseal_seal arg = seal_write(UINT64_MAX);

			for (;;) {
				ps_seal(fd, &arg);
				arg.waited_ns = 0;
			}
		}
		sleep_ns(next_random(&random) % (5 * NSEC_PER_MSEC));
		ps_kill(child);

		seals = ps_get_seals(fd);
		if (i % 3) {
			EXPECT_EQ(0, seals);
			EXPECT_EQ(1, sys(pwrite(fd, "k", 1, 0)));
			ASSERT_EQ(0, hold_end(&hold));
			EXPECT_EQ(0, ps_add_seals(fd, F_SEAL_WRITE));
		} else if (seals) {
			EXPECT_EQ(F_SEAL_WRITE, seals);
			EXPECT_EQ(-EPERM, sys(pwrite(fd, "k", 1, 0)));
			sealed++;
		} else {
			EXPECT_EQ(1, sys(pwrite(fd, "k", 1, 0)));
			EXPECT_EQ(0, ps_add_seals(fd, F_SEAL_WRITE));
		}
		close(fd);
	}
	TH_LOG("%u of 20 sealers were done before they were killed", sealed);
}

TEST_HARNESS_MAIN

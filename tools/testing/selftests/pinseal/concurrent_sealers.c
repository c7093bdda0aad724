// SPDX-License-Identifier: GPL-2.0-only
/*
 * Those who seal: many at once, who fail, who are killed. An object has the seals that
 * somebody got, and never anything in between.
 */
#include <pthread.h>
#include <sched.h>

#include "holders.h"
#include "object.h"
#include "rounds.h"

#include "harness.h"

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
 * Sealers who do not know of each other
 *
 * A memfd that two objects have imported is sealed through both, and by its maker. When the
 * call that sets F_SEAL_SEAL returns, the seals are what they will ever be.
 */
struct stranger {
	int fd;
	uint32_t seals;
	int ret;
	uint32_t seen;		/* after the call */
	unsigned int *ready;
	pthread_t thread;
};

#define STRANGERS	6

static void *stranger_thread(void *data)
{
	struct stranger *s = data;

	__atomic_add_fetch(s->ready, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(s->ready, __ATOMIC_SEQ_CST) < STRANGERS)
		sched_yield();
	s->ret = obj_add_seals(s->fd, s->seals);
	s->seen = obj_get_seals(s->fd);
	return NULL;
}

TEST(strangers)
{
	uint64_t until = now_ns() + 3 * NSEC_PER_SEC;
	unsigned int rounds, refused = 0, i;

	for (rounds = 0; rounds < 100 || now_ns() < until; rounds++) {
		int memfd = memfd_open(), a = import_open(memfd), b = import_open(memfd);
		unsigned int ready = 0;
		struct stranger s[STRANGERS] = {
			{ .fd = memfd, .seals = F_SEAL_SEAL },
			{ .fd = a, .seals = F_SEAL_WRITE },
			{ .fd = b, .seals = F_SEAL_SHRINK },
			{ .fd = a, .seals = F_SEAL_GROW },
			{ .fd = b, .seals = F_SEAL_WRITE | F_SEAL_FUTURE_WRITE },
			{ .fd = memfd, .seals = F_SEAL_WRITE },
		};
		uint32_t set = 0, final;

		ASSERT_LE(0, memfd);
		ASSERT_LE(0, a);
		ASSERT_LE(0, b);
		ASSERT_EQ(0, fill_file(memfd, SIZE, 's'));
		for (i = 0; i < STRANGERS; i++) {
			s[i].ready = &ready;
			ASSERT_EQ(0, pthread_create(&s[i].thread, NULL, stranger_thread, &s[i]));
		}
		for (i = 0; i < STRANGERS; i++)
			pthread_join(s[i].thread, NULL);
		final = obj_get_seals(memfd);
		for (i = 0; i < STRANGERS; i++) {
			if (!s[i].ret) {
				set |= s[i].seals;
				EXPECT_EQ(s[i].seals, s[i].seen & s[i].seals);
			} else {
				/* A memfd takes what others do for somebody who holds a page. */
				EXPECT_TRUE(s[i].ret == -EPERM || (s[i].fd == memfd &&
								   s[i].ret == -EBUSY));
				refused++;
			}
		}
		EXPECT_EQ(set, final);
		EXPECT_EQ(0, s[0].ret);
		EXPECT_EQ(final, s[0].seen);
		EXPECT_EQ(final, ps_get_seals(a));
		EXPECT_EQ(final, ps_get_seals(b));
		close(a);
		close(b);
		close(memfd);
	}
	TH_LOG("%u rounds, %u seals came too late", rounds, refused);
	EXPECT_LT(0, refused);
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
	struct random random = { 4711 };

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
		sleep_ns(random_bits(&random) % (5 * NSEC_PER_MSEC));
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

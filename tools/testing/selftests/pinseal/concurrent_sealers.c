// SPDX-License-Identifier: GPL-2.0-only
/*
 * Concurrent, failing and killed sealers. An object has the seals of the calls that
 * succeeded, and no others.
 */
#include <pthread.h>
#include <sched.h>

#include "bytes.h"
#include "holders.h"
#include "object.h"
#include "rounds.h"

#include "harness.h"

/*
 * Sealers of one object: at the end it has the seals of those that succeeded, and a seal
 * never goes away.
 */
static const uint32_t some_seals[] = {
	F_SEAL_WRITE,
	F_SEAL_SHRINK,
	F_SEAL_GROW,
	F_SEAL_FUTURE_WRITE,
	F_SEAL_WRITE | F_SEAL_GROW,
	F_SEAL_SEAL,
};

struct sealing {
	int fd, ret;
	uint32_t seals;
	unsigned int *ready;
	bool lost;
	pthread_t thread;
};

static void *sealing_thread(void *data)
{
	struct sealing *s = data;
	struct pinseal_seal arg = { .seals = s->seals, .timeout_ns = LONG_NS };
	int seen;

	__atomic_add_fetch(s->ready, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(s->ready, __ATOMIC_SEQ_CST) < ARRAY_SIZE(some_seals))
		sched_yield();
	s->ret = ps_seal(s->fd, &arg);
	seen = ps_get_seals(s->fd);
	if (!s->ret && (seen & s->seals) != s->seals)
		s->lost = true;
	if ((ps_get_seals(s->fd) & seen) != seen)
		s->lost = true;
	return NULL;
}

TEST(sealers_of_one_object)
{
	unsigned int rounds, i, forbidden = 0;

	for (rounds = 0; rounds < test_rounds(40, 100); rounds++) {
		struct sealing s[ARRAY_SIZE(some_seals)];
		unsigned int ready = 0;
		uint32_t all = 0;
		int fd = new_object();

		ASSERT_LE(0, fd);
		for (i = 0; i < ARRAY_SIZE(s); i++) {
			/* In another order each time. */
			s[i] = (struct sealing){
				.fd = fd,
				.seals = some_seals[(i + rounds) % ARRAY_SIZE(s)],
				.ready = &ready,
			};
			ASSERT_EQ(0, pthread_create(&s[i].thread, NULL, sealing_thread, &s[i]));
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
		/* Sealers after F_SEAL_SEAL are refused; that seal itself always succeeds. */
		EXPECT_EQ(F_SEAL_SEAL, all & F_SEAL_SEAL);
		EXPECT_EQ(-EPERM, ps_add_seals(fd, F_SEAL_GROW));
		close(fd);
	}
	TH_LOG("%u seals came too late", forbidden);
}

/* Maps and unmaps without rest. */
struct mapper {
	int fd, failed;
	bool quit;
	pthread_t thread;
};

static void *mapper_thread(void *data)
{
	struct mapper *m = data;

	while (!m->failed && !__atomic_load_n(&m->quit, __ATOMIC_ACQUIRE)) {
		char *p = ps_map(m->fd, SIZE, RW, MAP_SHARED);

		if (p == MAP_FAILED)
			m->failed = errno;
		else
			munmap(p, SIZE);
	}
	return NULL;
}

/* After F_SEAL_SEAL, a seal is refused before it could be in the way of a mapping. */
TEST(a_refused_seal_refuses_no_mapping)
{
	uint64_t until = now_ns() + test_rounds(500, 3000) * NSEC_PER_MSEC;
	struct mapper m = { .fd = new_object() };

	ASSERT_LE(0, m.fd);
	ASSERT_EQ(0, ps_add_seals(m.fd, F_SEAL_SEAL));
	ASSERT_EQ(0, pthread_create(&m.thread, NULL, mapper_thread, &m));
	while (now_ns() < until && !__atomic_load_n(&m.failed, __ATOMIC_RELAXED)) {
		struct pinseal_seal arg = { .seals = F_SEAL_WRITE };

		ASSERT_EQ(-EPERM, ps_seal(m.fd, &arg));
	}
	__atomic_store_n(&m.quit, true, __ATOMIC_RELEASE);
	pthread_join(m.thread, NULL);
	EXPECT_EQ(0, m.failed);
	close(m.fd);
}

/*
 * Sealers of one memfd through two objects that imported it and through the memfd itself.
 * When the call that sets F_SEAL_SEAL returns, the seals are final.
 */
struct memfd_sealer {
	int fd;
	uint32_t seals;
	int ret;
	uint32_t seen;		/* after the call */
	unsigned int *ready;
	pthread_t thread;
};

#define MEMFD_SEALERS	6

static void *memfd_sealer_thread(void *data)
{
	struct memfd_sealer *s = data;

	__atomic_add_fetch(s->ready, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(s->ready, __ATOMIC_SEQ_CST) < MEMFD_SEALERS)
		sched_yield();
	s->ret = obj_add_seals(s->fd, s->seals);
	s->seen = obj_get_seals(s->fd);
	return NULL;
}

TEST(sealers_of_one_memfd)
{
	uint64_t until = now_ns() + test_rounds(500, 3000) * NSEC_PER_MSEC;
	unsigned int rounds, refused = 0, i;

	for (rounds = 0; rounds < test_rounds(40, 100) || !refused || now_ns() < until; rounds++) {
		int memfd = memfd_open(), a = import_open(memfd), b = import_open(memfd);
		unsigned int ready = 0;
		struct memfd_sealer s[MEMFD_SEALERS] = {
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
		for (i = 0; i < MEMFD_SEALERS; i++) {
			s[i].ready = &ready;
			ASSERT_EQ(0, pthread_create(&s[i].thread, NULL, memfd_sealer_thread, &s[i]));
		}
		for (i = 0; i < MEMFD_SEALERS; i++)
			pthread_join(s[i].thread, NULL);
		final = obj_get_seals(memfd);
		for (i = 0; i < MEMFD_SEALERS; i++) {
			if (!s[i].ret) {
				set |= s[i].seals;
				EXPECT_EQ(s[i].seals, s[i].seen & s[i].seals);
			} else {
				/* A memfd takes references of the other scans for pins. */
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
 * Failing seals: a page is held, so no seal succeeds, and none is visible in GET_SEALS nor
 * as EPERM of a write or a mapping.
 */
static void check_unsealed(struct worker *w, unsigned int number)
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
	uint64_t until = now_ns() + test_rounds(500, 2000) * NSEC_PER_MSEC;
	unsigned int pinned = 0, mapped = 0;
	struct round r = { 0 };
	struct worker w[2];
	struct hold hold;
	int fd = new_object();

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, hold_begin(&hold, HOLD_VMSPLICE, fd, 1, 1));
	ASSERT_EQ(0, workers_start(w, ARRAY_SIZE(w), &r, check_unsealed));
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
		/* Lets the workers run. */
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
 * A sealer is killed at any moment: the object is sealed, or as before.
 */
TEST(killed_sealers)
{
	unsigned int i, sealed = 0, rounds = test_rounds(30, 60);
	struct random random = { 4711 };

	for (i = 0; i < rounds; i++) {
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
	TH_LOG("%u of %u sealers were done before they were killed", sealed, rounds / 3);
}

TEST_HARNESS_MAIN

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Rounds of a race: workers repeat the same operation on one object until the round is over,
 * and then on the next object.
 */
#ifndef ROUNDS_H
#define ROUNDS_H

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>

#include "content.h"
#include "random.h"
#include "sealer.h"

#define PAGES		16
#define SIZE		(PAGES * page_size())

/* The least number of events of a test, however long they take. */
#define ENOUGH		20

/* new_object() - an object of PAGES allocated pages. */
int new_object(void);

/* Workers take part in each round by themselves; the main thread begins and ends it. */
struct round {
	unsigned int number;	/* odd during a round */
	unsigned int inside;	/* workers in it */
	bool quit;
	int fd;			/* the object's */
	int other;		/* an alias for the workers */
	bool sealed;		/* a seal has returned 0 */
	int64_t size;		/* valid when sealed */
	/* Results of all rounds. */
	unsigned long done, refused;
	unsigned long violations;
};

static inline bool round_is_over(const struct round *r, unsigned int number)
{
	return __atomic_load_n(&r->number, __ATOMIC_ACQUIRE) != number;
}

static inline bool is_sealed(const struct round *r)
{
	return __atomic_load_n(&r->sealed, __ATOMIC_ACQUIRE);
}

static inline void count(unsigned long *counter)
{
	__atomic_add_fetch(counter, 1, __ATOMIC_RELAXED);
}

void round_begin_by(struct round *r, int fd, int other);

static inline void round_begin(struct round *r, int fd)
{
	round_begin_by(r, fd, fd);
}

static inline unsigned long round_done(const struct round *r)
{
	return __atomic_load_n(&r->done, __ATOMIC_ACQUIRE);
}

/* round_wait_done() - waits for @n more operations. */
void round_wait_done(struct round *r, unsigned long n);

/* round_end() - when it returns, no worker uses the object any more. */
void round_end(struct round *r);

struct worker {
	struct round *round;
	struct random random;
	unsigned int turns;	/* in this round */
	void (*turn)(struct worker *w, unsigned int number);
	pthread_t thread;
	sigjmp_buf segv;
	volatile bool catch_segv;
};

int workers_start(struct worker *w, unsigned int n, struct round *r,
		  void (*turn)(struct worker *, unsigned int));

void workers_stop(struct worker *w, unsigned int n, struct round *r);

#endif /* ROUNDS_H */

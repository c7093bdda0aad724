/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Rounds of a race: threads that do the same thing to one object over and over until
 * the round is over, and then to the next object.
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

#define LONG_NS		(20 * NSEC_PER_SEC)

/*
 * How often something has to happen before a test says anything; however long that
 * takes, and where machines are fast it happens more often.
 */
#define ENOUGH		20

/* A new object of PAGES pages, all of them there. */
int new_object(void);

/*
 * A round of a race: everybody works on one object until it is over. The threads
 * take part in each round by themselves; the main thread begins and ends it.
 */
struct round {
	unsigned int number;	/* odd while a round is on */
	unsigned int inside;	/* workers that are in it */
	bool quit;
	int fd;			/* the object's */
	int other;		/* the way to its memory that workers take */
	bool sealed;		/* a seal has returned 0 */
	int64_t size;		/* valid when sealed: the object's, in bytes */
	/* What workers found out, of all rounds. */
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

/* Waits until the workers have done @n more things. */
void round_wait_done(struct round *r, unsigned long n);

/* When it returns, no worker has anything to do with the object any more. */
void round_end(struct round *r);

struct worker {
	struct round *round;
	struct random random;
	unsigned int turns;	/* taken in this round */
	void (*turn)(struct worker *w, unsigned int number);
	pthread_t thread;
	sigjmp_buf segv;
	volatile bool catch_segv;
};

int workers_start(struct worker *w, unsigned int n, struct round *r,
		  void (*turn)(struct worker *, unsigned int));

void workers_stop(struct worker *w, unsigned int n, struct round *r);

#endif /* ROUNDS_H */

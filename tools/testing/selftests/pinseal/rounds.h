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
static inline int new_object(void)
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

static inline void round_begin_by(struct round *r, int fd, int other)
{
	r->fd = fd;
	r->other = other;
	r->sealed = false;
	__atomic_add_fetch(&r->number, 1, __ATOMIC_RELEASE);
}

static inline void round_begin(struct round *r, int fd)
{
	round_begin_by(r, fd, fd);
}

static inline unsigned long round_done(const struct round *r)
{
	return __atomic_load_n(&r->done, __ATOMIC_ACQUIRE);
}

/* Waits until the workers have done @n more things. */
static inline void round_wait_done(struct round *r, unsigned long n)
{
	unsigned long done = round_done(r);

	while (round_done(r) < done + n)
		sched_yield();
}

/* When it returns, no worker has anything to do with the object any more. */
static inline void round_end(struct round *r)
{
	__atomic_add_fetch(&r->number, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&r->inside, __ATOMIC_SEQ_CST))
		sched_yield();
}

/* Waits for a round to begin and enters it: its number, or 0 to quit. */
static inline unsigned int round_enter(struct round *r)
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

static inline void round_leave(struct round *r)
{
	__atomic_sub_fetch(&r->inside, 1, __ATOMIC_SEQ_CST);
}

struct worker {
	struct round *round;
	struct random random;
	unsigned int turns;	/* taken in this round */
	void (*turn)(struct worker *w, unsigned int number);
	pthread_t thread;
	sigjmp_buf segv;
	volatile bool catch_segv;
};

static __thread struct worker *this_worker;

static inline void segv_handler(int sig)
{
	if (this_worker && this_worker->catch_segv)
		siglongjmp(this_worker->segv, 1);
	signal(sig, SIG_DFL);
}

static inline void *worker_thread(void *data)
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

static inline int workers_start(struct worker *w, unsigned int n, struct round *r,
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
			.random = { i + 1 },
			.turn = turn,
		};
		ret = -pthread_create(&w[i].thread, NULL, worker_thread, &w[i]);
	}
	return ret;
}

static inline void workers_stop(struct worker *w, unsigned int n, struct round *r)
{
	unsigned int i;

	__atomic_store_n(&r->quit, true, __ATOMIC_RELEASE);
	for (i = 0; i < n; i++)
		pthread_join(w[i].thread, NULL);
}

#endif /* ROUNDS_H */

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Somebody on another CPU who makes one move a round, at the same moment as the test makes
 * its own. Both wait for each other without sleep, and who has to be late says how much: so
 * it is a matter of microseconds who is first.
 */
#ifndef OPPONENT_H
#define OPPONENT_H

#include <pthread.h>
#include <sched.h>

#include "noise.h"

struct opponent {
	void (*move)(void *data);
	void *data;
	unsigned int round;	/* the one that goes on */
	unsigned int done;	/* the last one in which it has moved */
	bool quit;
	pthread_t thread;
};

static inline void *opponent_thread(void *data)
{
	struct opponent *o = data;
	unsigned int round = 0;

	run_on_cpu(1);
	for (;;) {
		while (__atomic_load_n(&o->round, __ATOMIC_ACQUIRE) == round)
			;
		if (o->quit)
			return NULL;
		round++;
		o->move(o->data);
		__atomic_store_n(&o->done, round, __ATOMIC_RELEASE);
	}
}

/* Begins with the test on CPU 0, where there are two: 0, or an errno. */
static inline int opponent_start(struct opponent *o, void (*move)(void *data), void *data)
{
	*o = (struct opponent){ .move = move, .data = data };
	run_on_cpu(0);
	return pthread_create(&o->thread, NULL, opponent_thread, o);
}

/* Begins a round: it moves now. */
static inline void opponent_go(struct opponent *o)
{
	__atomic_add_fetch(&o->round, 1, __ATOMIC_RELEASE);
}

/* Returns when it has moved. */
static inline void opponent_wait(struct opponent *o)
{
	while (__atomic_load_n(&o->done, __ATOMIC_ACQUIRE) != o->round)
		sched_yield();
}

static inline void opponent_stop(struct opponent *o)
{
	o->quit = true;
	opponent_go(o);
	pthread_join(o->thread, NULL);
}

#endif /* OPPONENT_H */

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A thread on another CPU that makes one move a round, at the same moment as the test. Both
 * spin for each other, so microseconds, and delays of either, decide which is first.
 */
#ifndef RACER_H
#define RACER_H

#include <pthread.h>
#include <sched.h>

#include "cpu.h"

struct racer {
	void (*move)(void *data);
	void *data;
	unsigned int wanted;	/* the round to get ready for */
	unsigned int ready;	/* the round that it spins for */
	unsigned int round;	/* the current one */
	unsigned int done;	/* the last one with a move */
	bool quit;
	pthread_t thread;
};

/* racer_start() - starts it on CPU 1, and moves the test to CPU 0: 0, or an errno. */
int racer_start(struct racer *r, void (*move)(void *data), void *data);

/* racer_go() - begins a round, once the racer spins for it. */
void racer_go(struct racer *r);

/* racer_wait() - waits until it has moved. */
void racer_wait(struct racer *r);

void racer_stop(struct racer *r);

#endif /* RACER_H */

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Somebody on another CPU who makes one move a round, at the same moment as the test makes
 * its own. Both wait for each other without sleep, and who has to be late says how much: so
 * it is a matter of microseconds who is first.
 */
#ifndef RACER_H
#define RACER_H

#include <pthread.h>
#include <sched.h>

#include "cpu.h"

struct racer {
	void (*move)(void *data);
	void *data;
	unsigned int round;	/* the one that goes on */
	unsigned int done;	/* the last one in which it has moved */
	bool quit;
	pthread_t thread;
};

/* Begins with the test on CPU 0, where there are two: 0, or an errno. */
int racer_start(struct racer *o, void (*move)(void *data), void *data);

/* Begins a round: it moves now. */
void racer_go(struct racer *o);

/* Returns when it has moved. */
void racer_wait(struct racer *o);

void racer_stop(struct racer *o);

#endif /* RACER_H */

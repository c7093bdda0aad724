/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A round of the fuzzer: new objects, concurrent workers that run random operations on
 * them, and final checks after the workers have ended.
 *
 * The profile of a round weights the operations. With equal weights some mapping or pin
 * would always block a seal.
 */
#ifndef FUZZER_ROUND_H
#define FUZZER_ROUND_H

#include "random.h"
#include "worker.h"

#define OPS_PER_WORKER		150
#define RACING_OPS_PER_WORKER	50	/* a race is decided sooner */
#define PAGES		16

/* Larger folios are not tested: they take too long. */
#define LARGE_MAX	(4UL << 20)

/* The operations that a round favours. */
enum profile { MIXED, RACING, MAPPING, PINNING, SIZING, CHECKING, PROFILES };

static const char *const profile_names[PROFILES] = {
	"mixed", "racing", "mapping", "pinning", "sizing", "checking",
};

/* The profile of this round. */
extern enum profile profile;

/* Operations per worker in this round. */
extern unsigned int ops_per_worker;

/* All workers; the last entry runs the final checks. */
extern struct worker workers[WORKERS + 1];

/* Sets up what a worker keeps across rounds; @most: size of the largest object. */
int worker_init(struct worker *w, unsigned int number, size_t most);

/* Runs the workers from @first up to @end in threads and waits for them. */
void run_workers(unsigned int first, unsigned int end);

/* Creates a target's object for this round. */
int new_object(struct target *t, struct random *r, size_t span);

/* Final checks of all objects, after the workers have ended. */
void final_check(struct worker *w);

/* Closes a target's descriptors. */
void close_object(struct target *t);

#endif /* FUZZER_ROUND_H */

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A round of the fuzzer: new objects, workers that make random calls on them at the
 * same time, and a final check when all have ended.
 *
 * Rounds have profiles: what happens often in one, and what does not. With much of
 * everything, no seal would ever succeed.
 */
#ifndef FUZZER_ROUND_H
#define FUZZER_ROUND_H

#include "random.h"
#include "worker.h"

#define TURNS		150	/* of each worker; a race is decided sooner */
#define RACING_TURNS	50
#define PAGES		16

/* A large folio that is larger than this is not worth the time. */
#define LARGE_MAX	(4UL << 20)

enum profile { MIXED, RACING, MAPPING, HOLDING, SIZING, CHECKING, PROFILES };

static const char *const profile_names[PROFILES] = {
	"mixed", "racing", "mapping", "holding", "sizing", "checking",
};

extern enum profile profile;

extern unsigned int turns;

extern struct worker workers[WORKERS + 1];

int worker_init(struct worker *w, unsigned int number, size_t most);

/* Lets some of the workers work, and returns when they are through. */
void run_workers(unsigned int first, unsigned int end);

/* Makes a target's object for this round. */
int new_object(struct target *t, struct random *r, size_t span);

/* The final check of all objects, after the workers have ended. */
void final_check(struct worker *w);
void end_object(struct target *t);

#endif /* FUZZER_ROUND_H */

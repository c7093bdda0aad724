/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fuzzer's children: some store through inherited mappings and handles, some are killed
 * in the middle of a call.
 *
 * A child inherits the mappings of all threads of the process, so it counts as a user of every
 * object.
 */
#ifndef FUZZER_CHILD_H
#define FUZZER_CHILD_H

#include "worker.h"

/* No object is sealed for write while the child has an inherited writable mapping of it. */
void check_child(struct worker *w);

/* Stops the child that stores, if there is one, and checks its exit. */
void stop_child(struct worker *w);

/* Forks a child that stores until it is stopped, or ends the one that runs. */
void op_fork(struct worker *w, struct target *t);

/* Forks a child that repeats one call, and kills it. */
void op_kill(struct worker *w, struct target *t);

#endif /* FUZZER_CHILD_H */

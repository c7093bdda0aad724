/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fuzzer's children: some store through inherited mappings and handles, some are killed
 * in the middle of a call.
 *
 * A child has whatever any thread of the process has mapped, so it counts as a user of
 * every object.
 */
#ifndef FUZZER_CHILD_H
#define FUZZER_CHILD_H

#include "worker.h"

/* What the child inherited and has for as long as it lives. */
void check_child(struct worker *w);
void end_child(struct worker *w);
void op_fork(struct worker *w, struct target *t);
void op_kill(struct worker *w, struct target *t);

#endif /* FUZZER_CHILD_H */

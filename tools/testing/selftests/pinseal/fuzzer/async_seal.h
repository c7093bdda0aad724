/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fuzzer's SEAL in the background: beginning, asking, cancelling, polling. Who is told
 * of a result need not be who began, so less is known than of a call that waits: what was
 * asked for may be set from then on.
 */
#ifndef FUZZER_ASYNC_SEAL_H
#define FUZZER_ASYNC_SEAL_H

#include "worker.h"

void ask(struct worker *w, struct target *t);
void op_background(struct worker *w, struct target *t);

/* Puts an end to whatever goes on. */
void end_background(struct target *t);

#endif /* FUZZER_ASYNC_SEAL_H */

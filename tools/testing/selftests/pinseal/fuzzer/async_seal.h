/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fuzzer's asynchronous SEAL: begin, query, cancel, poll. Another worker may fetch the
 * result, so less is known than after a synchronous call: the seals may be set from the begin
 * on.
 */
#ifndef FUZZER_ASYNC_SEAL_H
#define FUZZER_ASYNC_SEAL_H

#include "worker.h"

void ask(struct worker *w, struct target *t);
void op_background(struct worker *w, struct target *t);

/* Cancels a pending seal. */
void end_background(struct target *t);

#endif /* FUZZER_ASYNC_SEAL_H */

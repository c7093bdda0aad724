/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fuzzer's asynchronous SEAL: start, query, cancel, poll. A call may collect the result of
 * another caller's seal operation, so less can be checked than for a synchronous call: the
 * requested seals may be set at any time after the request.
 */
#ifndef FUZZER_ASYNC_SEAL_H
#define FUZZER_ASYNC_SEAL_H

#include "worker.h"

/* Makes one random asynchronous SEAL call, which starts, queries or cancels. */
void ask(struct worker *w, struct target *t);

/* Makes a few asynchronous SEAL calls, then checks poll(). */
void op_background(struct worker *w, struct target *t);

/* Cancels the seal operation that is under way, if any. */
void end_background(struct target *t);

#endif /* FUZZER_ASYNC_SEAL_H */

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
void async_seal(struct worker *w, struct target *t);

/* Makes a few asynchronous SEAL calls, then checks poll(). */
void op_async_seal(struct worker *w, struct target *t);

/* Cancels the pending seal operation, if there is one. */
void cancel_async_seal(struct target *t);

#endif /* FUZZER_ASYNC_SEAL_H */

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fuzzer's pins: page references that a worker holds for a while without a mapping, and
 * stores through them.
 */
#ifndef FUZZER_GRIP_H
#define FUZZER_GRIP_H

#include "holders.h"
#include "worker.h"

/* Pins pages with no mapping, but needs the shmem file behind the device. */
#define HOLD_UDMABUF	(HOLD_HANDLE + 1)

/* A pin handle on a lease, which a sealer may revoke. */
#define HOLD_LEASE	(HOLD_HANDLE + 2)

/* Whether @kind is a pin handle, leased or not. */
bool is_handle(unsigned int kind);

/* The name of @kind in messages. */
const char *grip_name(unsigned int kind);

/* Whether @kind pins pages for DMA (FOLL_PIN), and does not only reference them. */
bool grip_is_dma(unsigned int kind);

/* Whether the pages first held are still the object's: none was removed or replaced since. */
bool grip_is_whole(const struct grip *g);

/* Whether the lease is revoked by now. */
bool grip_is_revoked(const struct grip *g);

/* Whether the worker has held pages of the object all the time, and still does. */
bool grip_is_held(const struct grip *g);

/* No page of an object sealed for write is held since before the seal, which waits for it. */
void check_grips(struct worker *w);

/* The first grip on @t; with @t NULL, a free slot. NULL if there is none. */
struct grip *find_grip(struct worker *w, struct target *t);

/* A grip that is about to begin: not @sure if pages of @t may be isolated. */
struct grip new_grip(struct target *t, unsigned int kind, uint64_t first,
		     uint64_t pages);

/* Begins a random grip on @t, of any kind but a pin handle, and keeps it. */
void op_hold(struct worker *w, struct target *t);

/*
 * Stores through a registered buffer by reading a pipe into it: at once if the pipe has
 * bytes; otherwise in this worker's task work, once bytes arrive.
 */
void op_store_by_pin(struct worker *w, struct target *t);

/* Releases @g, if it is in use, and checks it before. */
void let_go(struct worker *w, struct grip *g);

/* Releases the first grip on @t, if the worker has one. */
void op_let_go(struct worker *w, struct target *t);

#endif /* FUZZER_GRIP_H */

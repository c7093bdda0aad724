/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page references that a worker holds for a while without a mapping, and stores through them.
 */
#ifndef FUZZER_GRIP_H
#define FUZZER_GRIP_H

#include "holders.h"
#include "worker.h"

/* A way to hold pages that no mapping is needed for, but the file behind the device. */
#define HOLD_UDMABUF	(HOLD_HANDLE + 1)

/* A pin handle that others may take the pages from. */
#define HOLD_LEASE	(HOLD_HANDLE + 2)

bool is_handle(unsigned int kind);
const char *grip_name(unsigned int kind);
bool grip_is_dma(unsigned int kind);

/* Whether the pages that were held at first still are the object's. */
bool grip_is_whole(const struct grip *g);

/* Whether they were taken from their holder by now. */
bool grip_is_revoked(const struct grip *g);

/* Whether they are held, and are the object's, ever since. */
bool grip_is_held(const struct grip *g);

/* No page of a sealed object is held since before the seal: the seal would have waited. */
void check_grips(struct worker *w);
struct grip *find_grip(struct worker *w, struct target *t);

/* What a worker is about to hold: pages that may be replaced by copies are not for sure. */
struct grip new_grip(struct target *t, unsigned int kind, uint64_t first,
		     uint64_t pages);
void op_hold(struct worker *w, struct target *t);

/*
 * Stores through a registered buffer: at once, when there is something in the pipe that
 * is read; or some time after more is written to it, in this worker's own task work.
 */
void op_store_by_pin(struct worker *w, struct target *t);
void let_go(struct worker *w, struct grip *g);
void op_let_go(struct worker *w, struct target *t);

#endif /* FUZZER_GRIP_H */

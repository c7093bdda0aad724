/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fuzzer's extra references: pins and plain references that a worker holds for a while
 * without a mapping, and stores through them.
 */
#ifndef FUZZER_EXTRA_REF_H
#define FUZZER_EXTRA_REF_H

#include "holders.h"
#include "worker.h"

/* Pins pages with no mapping, but needs the inner file. */
#define HOLD_UDMABUF	(HOLD_HANDLE + 1)

/* A leased pin handle, which a sealer may revoke. */
#define HOLD_LEASE	(HOLD_HANDLE + 2)

/* Whether @kind is a pin handle, leased or not. */
bool is_handle(unsigned int kind);

/* The name of @kind in messages. */
const char *ref_name(unsigned int kind);

/* Whether references of @kind are pins (FOLL_PIN), not plain ones. */
bool ref_is_dma(unsigned int kind);

/* Whether the pages are still the object's: none was removed or replaced since. */
bool ref_is_current(const struct extra_ref *ref);

/* Whether the lease is revoked by now. */
bool ref_is_revoked(const struct extra_ref *ref);

/* Whether the reference has been to pages of the object all the time, and still is. */
bool ref_is_held(const struct extra_ref *ref);

/* No page of an object sealed for write has a reference from before the seal. */
void check_refs(struct worker *w);

/* The first reference to @t; with @t NULL, a free slot. NULL if there is none. */
struct extra_ref *find_ref(struct worker *w, struct target *t);

/* A reference that is about to be taken: not @sure if pages of @t may be isolated. */
struct extra_ref new_ref(struct target *t, unsigned int kind, uint64_t first,
			 uint64_t pages);

/* Takes a random reference to @t, of any kind but a pin handle, and keeps it. */
void op_take_ref(struct worker *w, struct target *t);

/*
 * Stores through a registered buffer by reading a pipe into it: at once if the pipe has
 * bytes; otherwise in this worker's task work, once bytes arrive.
 */
void op_store_by_pin(struct worker *w, struct target *t);

/* Drops @ref, if it is in use, and checks it before. */
void drop_ref(struct worker *w, struct extra_ref *ref);

/* Drops the first reference to @t, if the worker has one. */
void op_drop_ref(struct worker *w, struct target *t);

#endif /* FUZZER_EXTRA_REF_H */

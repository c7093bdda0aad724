/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fuzzer's RESIZE and FALLOCATE. Both remove pages: at once, or after waiting until the pages
 * have no extra references. A wait that fails must leave the object unchanged.
 */
#ifndef FUZZER_SIZE_H
#define FUZZER_SIZE_H

#include "worker.h"

/* Flags of RESIZE and FALLOCATE alike. */
#define REMOVE_WAIT		PINSEAL_RESIZE_WAIT
#define REMOVE_KEEP_LEASES	PINSEAL_RESIZE_KEEP_LEASES

_Static_assert(REMOVE_WAIT == PINSEAL_FALLOCATE_WAIT &&
	       REMOVE_KEEP_LEASES == PINSEAL_FALLOCATE_KEEP_LEASES, "one set of flags");

/* A call that may remove pages. */
struct removal {
	uint64_t begin, end;		/* the bytes being removed */
	uint64_t from, to;		/* the whole pages among them */
	uint32_t flags;
	bool waits;			/* for the pages' extra references to go */
	bool signals_blocked;
	struct extra_ref *own_ref;	/* the worker's own one to them, or NULL */
	bool stable;			/* no other call was setting the size ... */
	unsigned int sizing;		/* ... when the target's count was this ... */
	int64_t size;			/* ... and the size was this */
};

/* Makes one random RESIZE call, or ftruncate() on the inner file. */
void op_resize(struct worker *w, struct target *t);

/* Makes one random FALLOCATE call, or fallocate() on the inner file. */
void op_fallocate(struct worker *w, struct target *t);

/* fsync() of an object, stacked or not. */
void op_sync(struct worker *w, struct target *t);

#endif /* FUZZER_SIZE_H */

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fuzzer's RESIZE and FALLOCATE. Both remove pages: at once, or after waiting until the pages
 * have no extra references. A wait that fails must leave the object unchanged.
 */
#ifndef FUZZER_SIZE_H
#define FUZZER_SIZE_H

#include "worker.h"

/* Flags of RESIZE and FALLOCATE alike. */
#define TAKE_WAIT	PINSEAL_RESIZE_WAIT
#define TAKE_KEEP	PINSEAL_RESIZE_KEEP_LEASES

_Static_assert(TAKE_WAIT == PINSEAL_FALLOCATE_WAIT && TAKE_KEEP == PINSEAL_FALLOCATE_KEEP_LEASES,
	       "one set of flags");

/* A call that may remove pages. */
struct taking {
	uint64_t begin, end;		/* the bytes being removed */
	uint64_t from, to;		/* the whole pages among them */
	uint32_t flags;
	bool waits;			/* for the pages' extra references to go */
	bool quiet;			/* signals are blocked meanwhile */
	struct grip *held;		/* the worker's own extra reference to them, or NULL */
	bool still;			/* no other call was setting the size ... */
	unsigned int sizing;		/* ... when the target's count was this ... */
	int64_t size;			/* ... and the size was this */
};

/* Makes one random RESIZE call, or ftruncate() on the shmem file behind the device. */
void op_resize(struct worker *w, struct target *t);

/* Makes one random FALLOCATE call, or fallocate() on the shmem file behind the device. */
void op_fallocate(struct worker *w, struct target *t);

#endif /* FUZZER_SIZE_H */

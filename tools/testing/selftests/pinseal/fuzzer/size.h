/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fuzzer's RESIZE and FALLOCATE, which remove pages: at once, or when they have no extra
 * references. A call that waits in vain changes nothing, and waits for no other pages.
 */
#ifndef FUZZER_SIZE_H
#define FUZZER_SIZE_H

#include "worker.h"

/* These are the same for both. */
#define TAKE_WAIT	PINSEAL_RESIZE_WAIT
#define TAKE_KEEP	PINSEAL_RESIZE_KEEP_LEASES

_Static_assert(TAKE_WAIT == PINSEAL_FALLOCATE_WAIT && TAKE_KEEP == PINSEAL_FALLOCATE_KEEP_LEASES,
	       "one set of flags");

/* A call that may remove pages. */
struct taking {
	uint64_t begin, end;		/* bytes ... */
	uint64_t from, to;		/* ... and the whole pages among them */
	uint32_t flags;
	bool waits;			/* for extra references, with these flags */
	bool quiet;			/* and no signal ends that */
	struct grip *held;		/* a reference of the worker's own that it must wait for */
	bool still;			/* no call may change the size ... */
	unsigned int sizing;		/* ... as long as none begins ... */
	int64_t size;			/* ... and so it is this */
};

void op_resize(struct worker *w, struct target *t);
void op_fallocate(struct worker *w, struct target *t);

#endif /* FUZZER_SIZE_H */

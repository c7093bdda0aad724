/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fuzzer's RESIZE and FALLOCATE, which take pages away: at once, or when nobody holds them
 * any more. Whoever waits for that in vain has changed nothing, and nobody else is waited for.
 */
#ifndef FUZZER_SIZE_H
#define FUZZER_SIZE_H

#include "worker.h"

/* These are the same for both. */
#define TAKE_WAIT	PINSEAL_RESIZE_WAIT
#define TAKE_KEEP	PINSEAL_RESIZE_KEEP_LEASES

_Static_assert(TAKE_WAIT == PINSEAL_FALLOCATE_WAIT && TAKE_KEEP == PINSEAL_FALLOCATE_KEEP_LEASES,
	       "one set of flags");

/* A call that takes pages away, perhaps. */
struct taking {
	uint64_t begin, end;		/* bytes ... */
	uint64_t from, to;		/* ... and those of the pages that go as a whole */
	uint32_t flags;
	bool waits;			/* with these flags, for who holds them */
	bool quiet;			/* and no signal ends that */
	struct grip *held;		/* something of the worker's own that is in the way */
	bool still;			/* nobody is about to change the size ... */
	unsigned int sizing;		/* ... as long as nobody else begins to ... */
	int64_t size;			/* ... and so it is this */
};

void op_resize(struct worker *w, struct target *t);
void op_fallocate(struct worker *w, struct target *t);

#endif /* FUZZER_SIZE_H */

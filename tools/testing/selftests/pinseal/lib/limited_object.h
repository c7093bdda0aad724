/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An object in a memory cgroup too small for it, with swap. The calling process is in the
 * group, so limited_object_end() is for its parent.
 */
#ifndef LIMITED_OBJECT_H
#define LIMITED_OBJECT_H

#include "memcg.h"
#include "shadow.h"
#include "zram_swap.h"

struct limited_object {
	struct memcg group;
	struct zram_swap swap;
	struct shadow object;
	long shmem_before;		/* pages that the machine uses without it */
	/* leaks */
	struct memcg_use left;
	long shmem_left;
};

/*
 * limited_object_limit() - the memory of the group. CPUs keep some pages charged in advance or
 * in LRU batches: with less, reclaim may find nothing.
 */
size_t limited_object_limit(void);

/* limited_object_size() - twice the limit. */
size_t limited_object_size(void);

/* limited_object_possible() - whether the kernel has what it takes. */
bool limited_object_possible(void);

/* limited_object_begin() - makes an empty object and joins the group: 0, or -errno. */
int limited_object_begin(struct limited_object *s, enum object_kind kind);

/* limited_object_end() - removes group and swap: whether nothing leaked. */
bool limited_object_end(struct limited_object *s);

/* limited_object_swap_out() - whether all but a few pages are in swap. */
bool limited_object_swap_out(struct limited_object *s);

#endif /* LIMITED_OBJECT_H */

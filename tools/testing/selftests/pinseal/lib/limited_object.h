/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An object in a memory cgroup that is too small for it, with swap to go to.
 *
 * The group is the calling process' own, and gone when that is; so limited_object_end() is
 * for its parent.
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
	/* What was left behind in the end. */
	struct memcg_use left;
	long shmem_left;
};

/*
 * What the group may have in memory. Each CPU keeps some pages of it to itself, charged in
 * advance or on the way to a list: with less, nothing may be left to reclaim.
 */
size_t limited_object_limit(void);

/* The size of an object of which half has room. */
size_t limited_object_size(void);

/* Whether this can be had here. */
bool limited_object_possible(void);

/* Puts the process into its group, with an empty object: 0, or -errno. */
int limited_object_begin(struct limited_object *s, enum object_kind kind);

/* Removes group and swap: whether the process has left nothing behind. */
bool limited_object_end(struct limited_object *s);

/* Sends the object to swap: whether but a few pages are left. */
bool limited_object_swap_out(struct limited_object *s);

#endif /* LIMITED_OBJECT_H */

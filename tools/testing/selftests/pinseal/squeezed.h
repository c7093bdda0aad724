/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An object in a memory cgroup that is too small for it, with swap to go to.
 *
 * The group is the calling process' own, and gone when that is; so squeezed_end() is
 * for its parent.
 */
#ifndef SQUEEZED_H
#define SQUEEZED_H

#include "memcg.h"
#include "shadow.h"
#include "zram_swap.h"

struct squeezed {
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
static inline size_t squeezed_limit(void)
{
	size_t least = 3 << 20, pages = 384 * page_size();

	return pages > least ? pages : least;
}

/* The size of an object of which half has room. */
static inline size_t squeezed_size(void)
{
	return 2 * squeezed_limit();
}

/* Whether this can be had here. */
static inline bool squeezed_can_be(void)
{
	return zram_is_there() && memcg_is_there();
}

/* Puts the process into its group, with an empty object: 0, or -errno. */
static inline int squeezed_begin(struct squeezed *s, enum object_kind kind)
{
	int ret;

	s->shmem_before = shmem_pages();
	ret = zram_swap_begin(&s->swap, 4 * squeezed_size());
	if (!ret)
		ret = memcg_make(&s->group, NULL, "squeezed");
	if (!ret)
		ret = memcg_write_number(&s->group, "memory.max", squeezed_limit());
	/* The copy is not to be squeezed. */
	if (!ret)
		ret = shadow_init(&s->object, squeezed_size());
	if (!ret)
		ret = memcg_join(&s->group);
	if (ret)
		return ret;
	s->object.fd = obj_open(kind);
	return s->object.fd < 0 ? s->object.fd : 0;
}

/* Removes group and swap: whether the process has left nothing behind. */
static inline bool squeezed_end(struct squeezed *s)
{
	bool is_free = memcg_is_free(&s->group, &s->left);

	s->shmem_left = shmem_pages() - s->shmem_before;
	memcg_remove(&s->group);
	zram_swap_end(&s->swap);
	return is_free && s->shmem_left <= SHMEM_NOISE;
}

/* Sends the object to swap: whether but a few pages are left. */
static inline bool squeezed_out(struct squeezed *s)
{
	long few = s->object.size / page_size() / 8;

	for (int i = 0; i < 200; i++) {
		memcg_reclaim(&s->group, squeezed_limit());
		if (shadow_resident(&s->object) <= few)
			return true;
		sleep_ns(10 * NSEC_PER_MSEC);
	}
	return false;
}

#endif /* SQUEEZED_H */

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory with edges, for arguments that are cut by one.
 */
#ifndef ARENA_H
#define ARENA_H

#include "pinseal_test.h"

/* The largest struct that a command word can announce. */
#define MAX_SIZE	((1U << _IOC_SIZEBITS) - 1)

/*
 * Pages for an argument, in three parts of @part bytes each: read-write,
 * read-only and not mapped at all. The parts touch.
 */
struct arena {
	char *rw;
	char *ro;
	char *none;
	size_t part;
};

static inline int arena_init(struct arena *arena)
{
	size_t page = page_size();
	size_t part = (MAX_SIZE + page) / page * page;
	char *p = mmap(NULL, 3 * part, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return -errno;
	arena->rw = p;
	arena->ro = p + part;
	arena->none = p + 2 * part;
	arena->part = part;
	return sys(mprotect(arena->none, part, PROT_NONE));
}

/*
 * Copies a struct into the read-only part; it may begin in the read-write part
 * before or end in the unmapped part behind, of which nothing is then copied.
 */
static inline void arena_put(struct arena *arena, char *at, const void *data, size_t size)
{
	size_t room = arena->none - at;

	mprotect(arena->ro, arena->part, PROT_READ | PROT_WRITE);
	memcpy(at, data, size < room ? size : room);
	mprotect(arena->ro, arena->part, PROT_READ);
}

#endif /* ARENA_H */

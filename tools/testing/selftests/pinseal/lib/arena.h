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

int arena_init(struct arena *arena);

/*
 * Copies a struct into the read-only part; it may begin in the read-write part
 * before or end in the unmapped part behind, of which nothing is then copied.
 */
void arena_put(struct arena *arena, char *at, const void *data, size_t size);

#endif /* ARENA_H */

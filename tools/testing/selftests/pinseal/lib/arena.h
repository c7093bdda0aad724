/* SPDX-License-Identifier: GPL-2.0-only */
/* Memory with edges, for arguments that cross one. */
#ifndef ARENA_H
#define ARENA_H

#include "pinseal_test.h"

/* The largest struct size in a command word. */
#define MAX_SIZE	((1U << _IOC_SIZEBITS) - 1)

/* Three adjacent parts of @part bytes: read-write, read-only, without access. */
struct arena {
	char *rw;
	char *ro;
	char *none;
	size_t part;
};

int arena_init(struct arena *arena);

/*
 * arena_put() - copies a struct to @at in the read-only part. It may begin in the part before
 * and end in the part behind; the latter is left out.
 */
void arena_put(struct arena *arena, char *at, const void *data, size_t size);

#endif /* ARENA_H */

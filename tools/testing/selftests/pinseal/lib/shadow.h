/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An object, and a copy of what it has to hold in memory that is nobody's trouble:
 * changing both, and comparing them in every way in which an object can be read.
 *
 * Functions that compare return the first byte that is not as it has to be, or SAME.
 */
#ifndef SHADOW_H
#define SHADOW_H

#include "bytes.h"
#include "object.h"
#include "random.h"

#define SAME		(-1L)

/* The bytes that are copied at once when an object is read(2). */
#define SHADOW_CHUNK	(64UL << 10)

struct shadow {
	int fd;			/* the object's; whoever opens it sets this */
	size_t max;		/* the largest size it may have */
	size_t size;		/* the size it has to have */
	char *want;		/* what it has to hold; behind its end: zeroes */
	char *buf;		/* SHADOW_CHUNK bytes */
	struct random random;
};

/* Everything is touched here, so that it is paid for by whoever calls this. */
int shadow_init(struct shadow *s, size_t max);

/* Bytes unlike any others, of which each eight differ. */
void shadow_new_bytes(struct shadow *s, char *to, size_t len);

/* Writes the wanted bytes of the range to the object: 0, or -errno. */
int shadow_write(struct shadow *s, size_t from, size_t len);

/* The same through a mapping. The range must lie inside. */
int shadow_store(struct shadow *s, size_t from, size_t len);

int shadow_resize(struct shadow *s, size_t size);

/*
 * Fills the object, of which nothing is there yet, with new bytes: a few pages with
 * write(2), a few through a mapping, and so on.
 */
int shadow_fill(struct shadow *s, size_t size);

/* Where two pieces of memory differ, or SAME. */
long first_difference(const char *a, const char *b, size_t len);

/* With read(2), and the size. */
long shadow_compare_read(struct shadow *s);

/* Through a new read-only mapping, MAP_SHARED or MAP_PRIVATE. */
long shadow_compare_mapped(struct shadow *s, int flags);

/* Pages of the object that are in memory, or -errno. */
long shadow_resident(struct shadow *s);

/*
 * One change of any kind, at any place, or a look: 0, or -errno, which is -EILSEQ when
 * the object does not hold what it has to.
 */
int shadow_change_somehow(struct shadow *s);

#endif /* SHADOW_H */

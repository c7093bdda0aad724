/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An object and a copy of its expected content in private memory: changing both, and comparing
 * them in every way to read an object.
 *
 * Comparisons return the first different byte, or SAME.
 */
#ifndef SHADOW_H
#define SHADOW_H

#include "bytes.h"
#include "object.h"
#include "random.h"

#define SAME		(-1L)

/* Bytes of one read(2). */
#define SHADOW_CHUNK	(64UL << 10)

struct shadow {
	int fd;			/* the object's; set by the caller */
	size_t max;		/* the largest size */
	size_t size;		/* the expected size */
	char *want;		/* the expected content; zeroes behind the end */
	char *buf;		/* SHADOW_CHUNK bytes */
	struct random random;
};

/* shadow_init() - allocates all memory, charged to the caller: 0, or -errno. */
int shadow_init(struct shadow *s, size_t max);

/* shadow_new_bytes() - unique bytes, different in each eight. */
void shadow_new_bytes(struct shadow *s, char *to, size_t len);

/* shadow_write() - writes the expected bytes of the range: 0, or -errno. */
int shadow_write(struct shadow *s, size_t from, size_t len);

/* shadow_store() - the same through a mapping; the range must be inside the object. */
int shadow_store(struct shadow *s, size_t from, size_t len);

int shadow_resize(struct shadow *s, size_t size);

/* shadow_fill() - fills the empty object, pages with write(2) and through a mapping by turns. */
int shadow_fill(struct shadow *s, size_t size);

/* first_difference() - of two pieces of memory, or SAME. */
long first_difference(const char *a, const char *b, size_t len);

/* shadow_compare_read() - size and content, with read(2). */
long shadow_compare_read(struct shadow *s);

/* shadow_compare_mapped() - through a new read-only mapping, MAP_SHARED or MAP_PRIVATE. */
long shadow_compare_mapped(struct shadow *s, int flags);

/* shadow_resident() - pages of the object in memory, or -errno. */
long shadow_resident(struct shadow *s);

/*
 * shadow_change_somehow() - a random change, or a comparison: 0, or -errno; -EILSEQ when
 * the content is wrong.
 */
int shadow_change_somehow(struct shadow *s);

#endif /* SHADOW_H */

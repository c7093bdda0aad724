/* SPDX-License-Identifier: GPL-2.0-only */
/* The operations that are counted. */
#ifndef OPERATIONS_H
#define OPERATIONS_H

#include "contest.h"
#include "holders.h"

/* What an operation works on. */
struct subject {
	enum object_kind kind;
	int fd;			/* the object, or -1 */
	int lower;		/* the memfd that it is stacked on, or -1 */
	size_t size;		/* its size */
	char *map;		/* a mapping of all of it, or NULL */
	int handle;		/* a pin handle, or -1 */
	struct hold hold;
	bool is_held;
	uint32_t seals;
	char *buf;		/* for reads and writes */
	int ret;
};

#define ON(kind)	(1U << (kind))
#define ON_ALL		(ON(MEMFD) | ON(PINSEAL) | ON(CREATED))
#define ON_OBJECTS	ON(PINSEAL)
#define ON_STACKED	(ON(MEMFD) | ON(PINSEAL))

struct operation {
	const char *name;
	unsigned int kinds;
	/* Of the new object, which is filled; NO_OBJECT for none. */
	unsigned int pages;
	/* Of the operation: those of a seal. */
	uint32_t seals;
	/* The object is stacked on a memfd that is filled. */
	bool is_stacked;
	void (*prepare)(struct subject *s);
	/* Between the marks: 0 or more, or -errno. */
	int (*run)(struct subject *s);
};

#define NO_OBJECT	(~0U)

extern const struct operation operations[];
extern const unsigned int operations_n;

struct subject subject_new(const struct operation *op, enum object_kind kind);
void subject_end(struct subject *s);

#endif /* OPERATIONS_H */

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Ways to the memory of an object that are not its own descriptor.
 */
#ifndef WAYS_H
#define WAYS_H

#include "object.h"

enum way {
	ITSELF,			/* the same descriptor */
	REOPENED,		/* another descriptor of the object */
	EXPORTED,		/* the memory, exported */
	MAKER,			/* the memfd, imported into the object */
	SHARER,			/* another object, into which that memfd was imported, too */
};

/* Fixture variants: every test of @fixture by each way. */
#define BY_EVERY_WAY(fixture)						\
	FIXTURE_VARIANT(fixture) { enum way way; };			\
	FIXTURE_VARIANT_ADD(fixture, itself) { .way = ITSELF };		\
	FIXTURE_VARIANT_ADD(fixture, reopened) { .way = REOPENED };	\
	FIXTURE_VARIANT_ADD(fixture, exported) { .way = EXPORTED };	\
	FIXTURE_VARIANT_ADD(fixture, maker) { .way = MAKER };		\
	FIXTURE_VARIANT_ADD(fixture, sharer) { .way = SHARER }

/* One memory. */
struct both_ways {
	int fd;			/* a pinseal object */
	int other;		/* and the way; of kind memfd or pinseal, see object.h */
};

static inline void both_ways_close(struct both_ways *b)
{
	if (b->other >= 0)
		close(b->other);
	if (b->fd >= 0)
		close(b->fd);
}

/* Makes an object of @size bytes, with that way to it: 0, or -errno. */
static inline int both_ways_open(struct both_ways *b, enum way way, uint64_t size)
{
	int memfd = -1, ret;

	*b = (struct both_ways){ -1, -1 };
	if (way == MAKER || way == SHARER) {
		memfd = memfd_open();
		b->fd = memfd < 0 ? memfd : import_open(memfd);
	} else {
		b->fd = ps_open(O_RDWR);
	}
	if (b->fd < 0)
		return b->fd;
	switch (way) {
	case ITSELF:
		b->other = sys(dup(b->fd));
		break;
	case REOPENED:
		b->other = ps_reopen(b->fd, O_RDWR);
		break;
	case EXPORTED:
		b->other = ps_export(b->fd, 0);
		break;
	case MAKER:
		b->other = sys(dup(memfd));
		break;
	case SHARER:
		b->other = import_open(memfd);
		break;
	}
	if (memfd >= 0)
		close(memfd);
	ret = b->other < 0 ? b->other : ps_resize(b->fd, size);
	if (ret)
		both_ways_close(b);
	return ret;
}

#endif /* WAYS_H */

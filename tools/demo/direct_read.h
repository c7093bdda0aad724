/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A seal during a direct read(2) into a large folio, which a reader maps, reads and zaps.
 *
 * The reader hides extra references from a scan that subtracts the map count from the reference
 * count: large_folio in refcount_races.c of the selftests.
 */
#ifndef DIRECT_READ_H
#define DIRECT_READ_H

#include "contest.h"
#include "holders.h"
#include "large_folio.h"
#include "reader.h"

struct direct_read {
	bool sealed;
	bool changed;			/* after the seal */
};

/* The pages that are read into; 0 if that cannot be done with this size of pages. */
static inline unsigned int direct_read_pages(void)
{
	return FAULT_BYTES / page_size() - 1;
}

/* @size is large_folio_size(), @reader an idle one on another CPU. */
static inline struct direct_read seal_during_direct_read(enum object_kind kind, size_t size,
							 unsigned int pages, struct reader *reader)
{
	int fd = must(obj_create(kind, size), kind_name[kind]);
	struct timed_seal a;
	struct hold hold;
	char before, after;

	must(make_large_folio(fd, size), "huge page");
	must(hold_begin(&hold, HOLD_DIRECT_READ, fd, 0, pages), "FUSE");
	must(reader_follow(reader, fd, FAULT_BYTES), "mmap");
	a = seal_object(kind, fd, 0, 0);
	must(sys(pread(fd, &before, 1, 0)), "read");
	reader_leave(reader);
	must(hold_end(&hold), "FUSE");
	must(sys(pread(fd, &after, 1, 0)), "read");
	close(fd);
	if (a.error != -EBUSY)
		must(a.error, "seal");
	return (struct direct_read){ .sealed = !a.error, .changed = !a.error && before != after };
}

#endif /* DIRECT_READ_H */

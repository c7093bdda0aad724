/* SPDX-License-Identifier: GPL-2.0-only */
/* Fixture: an object that is stacked on a lower file of N pages, the last one in part, of each kind. */
#ifndef STACKED_FIXTURE_H
#define STACKED_FIXTURE_H

#include "harness.h"
#include "bytes.h"
#include "disk.h"
#include "object.h"
#include "stacked.h"

/* Pages of the lower file, and bytes of its last one. */
#define N	16
#define TAIL	100

FIXTURE(stacked) {
	int fd, lower;
	size_t page, size;
	char *p;
	struct disk disk;
};

FIXTURE_VARIANT(stacked) { const char *dir, *disk; };
FIXTURE_VARIANT_ADD(stacked, over_memfd) {};
FIXTURE_VARIANT_ADD(stacked, over_tmpfs) { .dir = "/tmp" };
FIXTURE_VARIANT_ADD(stacked, over_ext4) { .disk = "ext4" };
FIXTURE_VARIANT_ADD(stacked, over_xfs) { .disk = "xfs" };
FIXTURE_VARIANT_ADD(stacked, over_btrfs) { .disk = "btrfs" };

FIXTURE_SETUP(stacked)
{
	self->page = page_size();
	self->size = (N - 1) * self->page + TAIL;
	if (variant->disk && !disk_is_there(variant->disk))
		SKIP(return, "there is no disk with %s", variant->disk);
	self->lower = open_lower(&self->disk, variant->disk, variant->dir);
	ASSERT_LE(0, self->lower);
	ASSERT_EQ(0, fill_lower(self->lower, self->size));
	self->fd = ps_open(O_RDWR);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, ps_attach(self->fd, self->lower, 0));
	self->p = ps_map(self->fd, N * self->page, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, self->p);
}

FIXTURE_TEARDOWN(stacked)
{
	munmap(self->p, N * self->page);
	close(self->fd);
	close(self->lower);
	disk_unmount(&self->disk);
}

#define EXPECT_LOWER(from, to) EXPECT_EQ(-1, differs(self->p, from, to))

#endif /* STACKED_FIXTURE_H */

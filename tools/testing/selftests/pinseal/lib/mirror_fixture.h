/* SPDX-License-Identifier: GPL-2.0-only */
/* Fixture of mirror handles: a mapped object, and a mirror of the middle of the mapping. */
#ifndef MIRROR_FIXTURE_H
#define MIRROR_FIXTURE_H

#include "bytes.h"
#include "machine_pins.h"
#include "cpu.h"
#include "object.h"

#include "harness.h"

#define PAGES		8
#define FIRST		2	/* mirrored */
#define COUNT		4

FIXTURE(mirror) {
	int fd, mirror;
	size_t page, len;
	char *p;		/* the mapping */
	long pins;		/* in the machine, before */
};

FIXTURE_VARIANT(mirror) {
	enum object_kind kind;
};

FIXTURE_VARIANT_ADD(mirror, pinseal) { .kind = PINSEAL };
FIXTURE_VARIANT_ADD(mirror, imported) { .kind = IMPORTED };
FIXTURE_VARIANT_ADD(mirror, created) { .kind = CREATED };

static inline char *mirrored(FIXTURE_DATA(mirror) *self)
{
	return self->p + FIRST * self->page;
}

/* Maps the pages at the same address again: whether that worked. */
static inline bool map_again(FIXTURE_DATA(mirror) *self, int fd, int prot, int flags)
{
	return mmap(self->p, self->len, prot, flags | MAP_FIXED, fd, 0) == self->p;
}

/* A byte of the mirror, or -errno. */
static inline int mirror_byte(int mirror, off_t at)
{
	unsigned char byte;
	ssize_t n = pread(mirror, &byte, 1, at);

	return n < 0 ? -errno : n ? byte : -ENODATA;
}

static inline int mirror_set_byte(int mirror, off_t at, char byte)
{
	return sys(pwrite(mirror, &byte, 1, at));
}

FIXTURE_SETUP(mirror)
{
	struct pinseal_info info;

	/* Pages that another CPU fills would be in its LRU batch. */
	run_on_cpu(0);
	self->mirror = -1;
	self->page = page_size();
	self->len = PAGES * self->page;
	self->pins = machine_pins();
	self->fd = obj_create(variant->kind, self->len);
	ASSERT_LE(0, self->fd);
	self->p = ps_map(self->fd, self->len, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, self->p);
	fill(self->p, self->len, 1);
	self->mirror = ps_mirror(self->fd, FIRST, COUNT, 0, mirrored(self));
	ASSERT_EQ(0, ps_ioctl(self->fd, PINSEAL_IOC_INFO, &info));
	if (!(info.features & PINSEAL_FEATURE_MIRROR)) {
		ASSERT_EQ(-EOPNOTSUPP, self->mirror);
		SKIP(return, "this kernel has no HMM");
	}
	ASSERT_LE(0, self->mirror);
}

FIXTURE_TEARDOWN(mirror)
{
	if (self->mirror >= 0)
		close(self->mirror);
	munmap(self->p, self->len);
	close(self->fd);
	EXPECT_EQ(self->pins, machine_pins());
}

#endif /* MIRROR_FIXTURE_H */

// SPDX-License-Identifier: GPL-2.0-only
/*
 * Objects of large folios, allocated or collapsed: sealed at once without holders; otherwise
 * reports concern the whole folio.
 */
#include "harness.h"
#include "bytes.h"
#include "content.h"
#include "holders.h"
#include "large_folio.h"
#include "reader.h"
#include "object.h"
#include "sealer.h"
#include "sysfile.h"

#define SETTING	"/sys/kernel/mm/transparent_hugepage/shmem_enabled"

/* Large folios of an object. */
#define FOLIOS	3

/* Rounds; not many with folios of 32 MiB. */
#define TIMES(self)	((self)->size > 4 << 20 ? 1 : test_rounds(2, 8))

enum made_by { ALWAYS, ADVISED, COLLAPSED };

FIXTURE(large_folio) {
	size_t size;		/* of a huge page, in bytes; 0: there are none */
	size_t pages;		/* of a huge page */
	size_t len;
	int fd;
	char setting[32];
};

FIXTURE_VARIANT(large_folio) {
	enum object_kind kind;
	enum made_by made_by;
};

FIXTURE_VARIANT_ADD(large_folio, always)		{ PINSEAL, ALWAYS };
FIXTURE_VARIANT_ADD(large_folio, advised)		{ PINSEAL, ADVISED };
FIXTURE_VARIANT_ADD(large_folio, collapsed)		{ PINSEAL, COLLAPSED };
FIXTURE_VARIANT_ADD(large_folio, imported_always)	{ IMPORTED, ALWAYS };
FIXTURE_VARIANT_ADD(large_folio, imported_advised)	{ IMPORTED, ADVISED };
FIXTURE_VARIANT_ADD(large_folio, imported_collapsed)	{ IMPORTED, COLLAPSED };
FIXTURE_VARIANT_ADD(large_folio, created_always)	{ CREATED, ALWAYS };
FIXTURE_VARIANT_ADD(large_folio, created_advised)	{ CREATED, ADVISED };
FIXTURE_VARIANT_ADD(large_folio, created_collapsed)	{ CREATED, COLLAPSED };

/* Writes to every page through a mapping. */
static int fill_mapped(FIXTURE_DATA(large_folio) *self)
{
	char *p = map_aligned(self->fd, self->len, self->size, PROT_READ | PROT_WRITE);

	if (p == MAP_FAILED)
		return -errno;
	if (madvise(p, self->len, MADV_HUGEPAGE))
		return -errno;
	memset(p, 'l', self->len);
	munmap(p, self->len);
	return 0;
}

static int collapse(FIXTURE_DATA(large_folio) *self)
{
	char *p = map_aligned(self->fd, self->len, self->size, PROT_READ | PROT_WRITE);
	int ret = p == MAP_FAILED ? -errno : -EAGAIN;

	for (int tries = 0; ret == -EAGAIN && tries < 6000; tries++) {
		ret = madvise(p, self->len, MADV_COLLAPSE) ? -errno : 0;
		if (ret)
			sleep_ns(10 * NSEC_PER_MSEC);
	}
	if (p != MAP_FAILED)
		munmap(p, self->len);
	return ret;
}

/* An object of FOLIOS large folios. */
static int make(FIXTURE_DATA(large_folio) *self, const FIXTURE_VARIANT(large_folio) *variant)
{
	static const char *const settings[] = {
		[ALWAYS] = "always", [ADVISED] = "advise", [COLLAPSED] = "never",
	};
	int ret = write_text(SETTING, settings[variant->made_by]);

	self->fd = obj_create(variant->kind, self->len);
	if (ret || self->fd < 0)
		return ret ?: self->fd;
	switch (variant->made_by) {
	case ALWAYS:
		return fill_file(self->fd, self->len, 'l');
	case ADVISED:
		return fill_mapped(self);
	default:
		return fill_file(self->fd, self->len, 'l') ?: collapse(self);
	}
}

FIXTURE_SETUP(large_folio)
{
	self->fd = -1;
	self->size = large_folio_size();
	if (!self->size || read_setting(SETTING, self->setting, sizeof(self->setting)))
		SKIP(return, "no large folios here");
	self->pages = self->size / page_size();
	self->len = FOLIOS * self->size;
	ASSERT_EQ(0, make(self, variant));
}

FIXTURE_TEARDOWN(large_folio)
{
	if (self->fd >= 0)
		close(self->fd);
	if (self->size)
		write_text(SETTING, self->setting);
}

/* A page inside the second folio. */
#define IN_THE_MIDDLE(self)	((self)->pages + (self)->pages / 2 + 1)

TEST_F(large_folio, is_sealed_at_once)
{
	for (int i = 0; i < TIMES(self); i++) {
		struct pinseal_seal arg = seal_write(0);

		arg.flags = PINSEAL_SEAL_NOWAIT;
		ASSERT_EQ(0, ps_seal(self->fd, &arg));
		close(self->fd);
		ASSERT_EQ(0, make(self, variant));
	}
}

TEST_F(large_folio, is_sealed_while_read)
{
	uint64_t bytes = checksum(self->fd, self->len);
	struct reader reader;

	ASSERT_EQ(0, reader_start(&reader, 1, 0));
	for (int i = 0; i < TIMES(self); i++) {
		struct pinseal_seal arg = seal_write(60 * NSEC_PER_SEC);

		ASSERT_EQ(0, reader_follow(&reader, self->fd, self->len));
		ASSERT_EQ(0, ps_seal(self->fd, &arg));
		EXPECT_EQ(bytes, checksum(self->fd, self->len));
		reader_leave(&reader);
		close(self->fd);
		ASSERT_EQ(0, make(self, variant));
	}
	reader_stop(&reader);
}

TEST_F(large_folio, held_in_the_middle_is_reported_as_a_whole)
{
	struct pinseal_seal arg = seal_write(5 * NSEC_PER_MSEC);
	struct pinseal_page vec[4];
	struct pinseal_pins pins;
	struct hold hold;

	ASSERT_EQ(0, hold_begin(&hold, HOLD_URING, self->fd, IN_THE_MIDDLE(self), 1));
	EXPECT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_PINNED, arg.outcome);
	EXPECT_EQ(self->pages, arg.pinned_pages);
	EXPECT_EQ(self->pages, arg.first_pinned);

	ASSERT_EQ(0, ps_pins(self->fd, 0, vec, ARRAY_SIZE(vec), &pins));
	ASSERT_EQ(1, pins.found);
	EXPECT_EQ(self->pages, pins.pinned_pages);
	EXPECT_EQ(self->pages, pins.dma_pinned_pages);
	EXPECT_EQ(self->pages, vec[0].index);
	EXPECT_EQ(self->pages, vec[0].pages);
	EXPECT_EQ(PINSEAL_PAGE_LARGE, vec[0].flags & LASTING_FLAGS);
	EXPECT_EQ(1, vec[0].dma_pins);
	EXPECT_EQ(1, vec[0].extra);
	/* The same from inside the folio. */
	ASSERT_EQ(0, ps_pins(self->fd, IN_THE_MIDDLE(self) + 1, vec, ARRAY_SIZE(vec), &pins));
	ASSERT_EQ(1, pins.found);
	EXPECT_EQ(self->pages, vec[0].index);

	ASSERT_EQ(0, hold_end(&hold));
	EXPECT_EQ(0, ps_add_seals(self->fd, F_SEAL_WRITE));
}

TEST_F(large_folio, held_in_the_middle_is_not_isolated)
{
	struct pinseal_seal arg = seal_write(0);
	uint64_t bytes = checksum(self->fd, self->len);
	struct hold hold;

	arg.flags = PINSEAL_SEAL_NOWAIT | PINSEAL_SEAL_ISOLATE;
	ASSERT_EQ(0, hold_begin(&hold, HOLD_VMSPLICE, self->fd, IN_THE_MIDDLE(self), 1));
	EXPECT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_LARGE_FOLIO, arg.outcome);
	EXPECT_EQ(self->pages, arg.pinned_pages);
	EXPECT_EQ(0, arg.isolated_pages);
	EXPECT_EQ(0, ps_get_seals(self->fd));
	ASSERT_EQ(0, hold_end(&hold));
	EXPECT_EQ(bytes, checksum(self->fd, self->len));
}

TEST_F(large_folio, released_in_time_is_sealed)
{
	struct pinseal_seal arg = seal_write(60 * NSEC_PER_SEC);
	struct hold_ender ender;
	struct hold hold;

	ASSERT_EQ(0, hold_begin(&hold, HOLD_URING, self->fd, IN_THE_MIDDLE(self), 2));
	ASSERT_EQ(0, hold_end_later(&ender, &hold, 20 * NSEC_PER_MSEC));
	EXPECT_EQ(0, ps_seal(self->fd, &arg));
	ASSERT_EQ(0, hold_ender_join(&ender));
}

/* A folio with a hole is split, or not: either can be sealed. */
TEST_F(large_folio, with_a_hole_is_sealed)
{
	size_t at = IN_THE_MIDDLE(self) * page_size();
	struct pinseal_seal arg = seal_write(0);
	char c = 'x';

	arg.flags = PINSEAL_SEAL_NOWAIT;
	ASSERT_EQ(0, obj_fallocate(self->fd, PUNCH, at, page_size()));
	ASSERT_EQ(0, ps_seal(self->fd, &arg));
	ASSERT_EQ(1, sys(pread(self->fd, &c, 1, at)));
	EXPECT_EQ(0, c);
	ASSERT_EQ(1, sys(pread(self->fd, &c, 1, at + page_size())));
	EXPECT_EQ('l', c);
}

TEST_F(large_folio, mapped_and_locked_stays_so)
{
	size_t page = page_size();
	unsigned char there[1];
	char *p;

	p = ps_map(self->fd, self->len, PROT_READ, MAP_PRIVATE);
	ASSERT_NE(MAP_FAILED, p);
	if (mlock(p, self->len))
		SKIP(return, "cannot lock so much: %s", strerror(errno));
	ASSERT_EQ(0, ps_add_seals(self->fd, F_SEAL_WRITE));
	for (size_t at = 0; at < self->len; at += self->size / 4) {
		ASSERT_EQ(0, mincore(p + at, page, there));
		EXPECT_EQ(1, there[0] & 1);
	}
	munlock(p, self->len);
}

/* A handle from the middle of one folio to the middle of the next. */
TEST_F(large_folio, are_pinned_in_parts)
{
	uint64_t first = self->pages - 3, count = 6;
	struct pinseal_page pages[8];
	struct pinseal_pins pins;
	size_t page = page_size();
	char *p, c = 0;
	int pin = ps_pin(self->fd, first, count, 0);

	ASSERT_LE(0, pin);
	ASSERT_EQ(0, ps_pins(self->fd, 0, pages, ARRAY_SIZE(pages), &pins));
	EXPECT_LE(2, pins.found);
	EXPECT_EQ(count * page, sys(lseek(pin, 0, SEEK_END)));
	for (uint64_t i = 0; i < count; i++)
		EXPECT_EQ(1, sys(pwrite(pin, &"012345"[i], 1, i * page + i)));
	EXPECT_EQ(-ENOSPC, sys(pwrite(pin, "x", 1, count * page)));
	p = ps_map(self->fd, self->len, PROT_READ, MAP_PRIVATE);
	ASSERT_NE(MAP_FAILED, p);
	for (uint64_t i = 0; i < count; i++) {
		EXPECT_EQ('0' + i, p[(first + i) * page + i]);
		EXPECT_EQ(1, sys(pread(pin, &c, 1, i * page + i)));
		EXPECT_EQ('0' + i, c);
	}
	munmap(p, self->len);
	close(pin);
	EXPECT_EQ(0, ps_add_seals(self->fd, F_SEAL_WRITE));
}

TEST_HARNESS_MAIN

// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages are pinned while they go to swap, by a DMA buffer through an alias or by a pin handle.
 * A page may then be in swap as far as the file knows, and yet be pinned, and the next reader
 * gets that very page: no seal may succeed.
 *
 * The memfd variant shows whether the kernel does that at all. It matters to memfd's own seals
 * as well; any answer of memfd is accepted.
 */
#include "harness.h"
#include "racer.h"
#include "rounds.h"
#include "udmabuf.h"
#include "alias.h"
#include "zram_swap.h"

/* The least duration and number of tries; a memfd takes 150 ms to refuse. */
#define TRY_NS		(test_rounds(500, 3000) * NSEC_PER_MSEC)
#define TRIES		100

/* The racing pinner. */
struct pinned {
	struct racer pinner;
	int file;		/* whose page: a shmem file, or an object */
	uint64_t delay_ns;
	int pin;		/* a DMA buffer, or a handle; or -errno */
};

static void pin_page(void *data)
{
	struct pinned *p = data;
	uint64_t at = now_ns() + p->delay_ns;

	while (now_ns() < at)
		;
	p->pin = obj_is_pinseal(p->file) ? ps_pin(p->file, 0, 1, 0) :
					   udmabuf_make(p->file, 0, page_size());
}

/* Results of a try. */
enum tried {
	NOT_SEALED,		/* the page was found to be pinned */
	SEALED,
	SEALED_AND_CHANGED,	/* by the pin's owner */
	NOT_PINNED,		/* pinning failed */
};

FIXTURE(swap_race) {
	struct zram_swap swap;
	struct pinned pinned;
	struct random random;
	uint64_t longest_ns;	/* that going to swap took, once */
};

FIXTURE_VARIANT(swap_race) {
	enum object_kind kind;
	enum alias alias;
	bool by_map_files;	/* that way is what root can do with any mapping */
};

FIXTURE_VARIANT_ADD(swap_race, memfd) { MEMFD, ALIAS_SOURCE };
FIXTURE_VARIANT_ADD(swap_race, exported) { PINSEAL, ALIAS_EXPORTED };
FIXTURE_VARIANT_ADD(swap_race, imported) { PINSEAL, ALIAS_SOURCE };
FIXTURE_VARIANT_ADD(swap_race, map_files) { PINSEAL, ALIAS_DUP, true };
FIXTURE_VARIANT_ADD(swap_race, handle) { PINSEAL, ALIAS_DUP };

FIXTURE_SETUP(swap_race)
{
	self->swap.id = -1;
	if (!zram_is_there())
		SKIP(return, "no zram");
	/* With its own descriptor, an object's pages are pinned by a handle. */
	if ((variant->kind == MEMFD || variant->alias != ALIAS_DUP || variant->by_map_files) &&
	    !udmabuf_is_there())
		SKIP(return, "no udmabuf");
	ASSERT_EQ(0, zram_swap_begin(&self->swap, 32 << 20));
	self->random = (struct random){ 77 };
	ASSERT_EQ(0, racer_start(&self->pinned.pinner, pin_page, &self->pinned));
}

FIXTURE_TEARDOWN(swap_race)
{
	if (self->swap.id < 0)
		return;
	racer_stop(&self->pinned.pinner);
	zram_swap_end(&self->swap);
}

/* Seals for write, without waiting. */
static int seal(int fd, uint32_t flags)
{
	struct pinseal_seal arg = seal_write(1);

	arg.flags = flags;
	return obj_is_pinseal(fd) ? ps_seal(fd, &arg) : memfd_add_seals(fd, F_SEAL_WRITE);
}

/* Writes through the pin: 0, or -errno. */
static int write_pinned(int pin, size_t page)
{
	char *p = ps_map(pin, page, PROT_READ | PROT_WRITE, MAP_SHARED);

	/* A handle cannot be mapped. */
	if (p == MAP_FAILED)
		return sys(pwrite(pin, "c", 1, 0)) == 1 ? 0 : -EIO;
	memset(p, 'c', page);
	munmap(p, page);
	return 0;
}

/* Has a page pinned while it goes to swap, then seals. */
static enum tried try_once(FIXTURE_DATA(swap_race) *self, struct __test_metadata *_metadata,
			   const FIXTURE_VARIANT(swap_race) *variant, uint32_t flags)
{
	struct pinned *m = &self->pinned;
	size_t page = page_size();
	struct aliased object = { -1, -1 };
	enum tried tried = NOT_SEALED;
	char *p, *other_page, byte;
	uint64_t began;
	int ret;

	if (variant->kind == MEMFD)
		ret = object.fd = obj_create(MEMFD, 2 * page), object.other = dup(object.fd);
	else
		ret = aliased_open(&object, variant->alias, 2 * page);
	EXPECT_LE(0, ret);
	EXPECT_EQ(0, obj_add_seals(object.fd, F_SEAL_SHRINK));
	p = ps_map(object.fd, page, PROT_READ | PROT_WRITE, MAP_SHARED);
	EXPECT_NE(MAP_FAILED, p);
	memset(p, 'b', page);
	if (variant->by_map_files) {
		close(object.other);
		object.other = open_mapped_file(p, page, O_RDWR);
		EXPECT_LE(0, object.other);
	}

	m->file = object.other;
	m->delay_ns = random_bits(&self->random) % (self->longest_ns * 3 / 2 + 1);
	began = now_ns();
	racer_go(&m->pinner);
	madvise(p, page, MADV_PAGEOUT);
	if (now_ns() - began > self->longest_ns && self->longest_ns < NSEC_PER_MSEC)
		self->longest_ns = now_ns() - began;
	munmap(p, page);
	/* A reader of the other page is no reason to skip this one. */
	other_page = ps_map(object.fd, 2 * page, PROT_READ, MAP_PRIVATE);
	EXPECT_NE(MAP_FAILED, other_page);
	EXPECT_EQ(0, other_page[page]);
	racer_wait(&m->pinner);

	if (m->pin < 0) {
		tried = NOT_PINNED;
	} else if (!seal(object.fd, flags)) {
		tried = SEALED;
		EXPECT_EQ(0, write_pinned(m->pin, page));
		EXPECT_EQ(1, sys(pread(object.fd, &byte, 1, 0)));
		if (byte != 'b')
			tried = SEALED_AND_CHANGED;
	}
	if (m->pin >= 0)
		close(m->pin);
	munmap(other_page, 2 * page);
	aliased_close(&object);
	return tried;
}

/* Tries for a while, and counts the results. */
static void try_often(FIXTURE_DATA(swap_race) *self, struct __test_metadata *_metadata,
		      const FIXTURE_VARIANT(swap_race) *variant, uint32_t flags,
		      unsigned int count[4])
{
	unsigned int least = variant->kind == MEMFD ? test_rounds(5, ENOUGH) : TRIES, tries;
	uint64_t until = now_ns() + TRY_NS;

	for (tries = 0; (tries < least || now_ns() < until) && !_metadata->exit_code; tries++)
		count[try_once(self, _metadata, variant, flags)]++;
	TH_LOG("%u tries of up to %llu us: %u times pinned, %u sealed, %u of them changed", tries,
	       (unsigned long long)self->longest_ns / 1000, count[NOT_SEALED],
	       count[SEALED] + count[SEALED_AND_CHANGED], count[SEALED_AND_CHANGED]);
	if (variant->kind != MEMFD)
		EXPECT_EQ(0, count[NOT_PINNED]);
}

TEST_F(swap_race, pinned_while_going_to_swap)
{
	unsigned int count[4] = { 0 };

	try_often(self, _metadata, variant, 0, count);
	if (variant->kind != MEMFD) {
		EXPECT_EQ(0, count[SEALED_AND_CHANGED]);
		EXPECT_EQ(0, count[SEALED]);
	}
}

/* The pin's owner keeps its page, wherever it was, and the object gets another. */
TEST_F(swap_race, isolated_after_going_to_swap)
{
	unsigned int count[4] = { 0 };

	if (variant->kind == MEMFD)
		return;
	try_often(self, _metadata, variant, PINSEAL_SEAL_ISOLATE, count);
	EXPECT_EQ(0, count[SEALED_AND_CHANGED]);
	EXPECT_EQ(0, count[NOT_SEALED]);
}

TEST_HARNESS_MAIN

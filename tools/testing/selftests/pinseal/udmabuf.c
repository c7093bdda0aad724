// SPDX-License-Identifier: GPL-2.0-only
/*
 * DMA buffers of an object's memory, made through another descriptor of it while the pages
 * go to swap. A page can be in swap then, as far as the file knows, and yet be pinned, and
 * whoever reads it next gets that very page. Nobody may be told that it is sealed.
 *
 * The memfd variant tells whether the kernel does that at all: for memfd's own seals it
 * matters, too, and nothing is expected of them.
 */
#include "harness.h"
#include "opponent.h"
#include "rounds.h"
#include "udmabuf.h"
#include "ways.h"
#include "zram_swap.h"

/* For how long that is tried, and how many times at least; memfd takes 150 ms to say no. */
#define TRY_NS		(3 * NSEC_PER_SEC)
#define TRIES		100

/* The buffer that is made, at some moment of a try. */
struct buffer {
	struct opponent maker;
	int file;		/* what to make it of */
	uint64_t delay_ns;
	int dmabuf;		/* its descriptor, or -errno */
};

static void make_buffer(void *data)
{
	struct buffer *b = data;
	uint64_t at = now_ns() + b->delay_ns;

	while (now_ns() < at)
		;
	b->dmabuf = udmabuf_make(b->file, 0, page_size());
}

/* What one try came to. */
enum tried {
	NOT_SEALED,		/* the page was found to be pinned */
	SEALED,			/* and nobody can change it */
	SEALED_AND_CHANGED,
	NOT_MADE,		/* there is no buffer */
};

FIXTURE(udmabuf) {
	struct zram_swap swap;
	struct buffer buffer;
	struct random random;
	uint64_t longest_ns;	/* that going to swap took, once */
};

FIXTURE_VARIANT(udmabuf) {
	enum object_kind kind;
	enum way way;
	bool by_map_files;	/* that way is what root can do with any mapping */
};

FIXTURE_VARIANT_ADD(udmabuf, memfd) { MEMFD, MAKER };
FIXTURE_VARIANT_ADD(udmabuf, exported) { PINSEAL, EXPORTED };
FIXTURE_VARIANT_ADD(udmabuf, imported) { PINSEAL, MAKER };
FIXTURE_VARIANT_ADD(udmabuf, map_files) { PINSEAL, ITSELF, true };

FIXTURE_SETUP(udmabuf)
{
	self->swap.id = -1;
	if (!zram_is_there() || !udmabuf_is_there())
		SKIP(return, "needs zram and udmabuf");
	ASSERT_EQ(0, zram_swap_begin(&self->swap, 32 << 20));
	self->random = (struct random){ 77 };
	ASSERT_EQ(0, opponent_start(&self->buffer.maker, make_buffer, &self->buffer));
}

FIXTURE_TEARDOWN(udmabuf)
{
	if (self->swap.id < 0)
		return;
	opponent_stop(&self->buffer.maker);
	zram_swap_end(&self->swap);
}

/* Seals for write, without patience. */
static int seal(int fd, uint32_t flags)
{
	struct pinseal_seal arg = seal_write(1);

	arg.flags = flags;
	return obj_is_pinseal(fd) ? ps_seal(fd, &arg) : obj_add_seals(fd, F_SEAL_WRITE);
}

/* Makes the buffer while a page of the object goes to swap, and seals then. */
static enum tried try_once(FIXTURE_DATA(udmabuf) *self, struct __test_metadata *_metadata,
			   const FIXTURE_VARIANT(udmabuf) *variant, uint32_t flags)
{
	struct buffer *b = &self->buffer;
	size_t page = page_size();
	struct both_ways object = { -1, -1 };
	enum tried tried = NOT_SEALED;
	char *p, *other_page, byte;
	uint64_t began;
	int ret;

	if (variant->kind == MEMFD)
		ret = object.fd = obj_create(MEMFD, 2 * page), object.other = dup(object.fd);
	else
		ret = both_ways_open(&object, variant->way, 2 * page);
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

	b->file = object.other;
	b->delay_ns = random_bits(&self->random) % (self->longest_ns * 3 / 2 + 1);
	began = now_ns();
	opponent_go(&b->maker);
	madvise(p, page, MADV_PAGEOUT);
	if (now_ns() - began > self->longest_ns && self->longest_ns < NSEC_PER_MSEC)
		self->longest_ns = now_ns() - began;
	munmap(p, page);
	/* That somebody reads the other page is no reason not to look at this one. */
	other_page = ps_map(object.fd, 2 * page, PROT_READ, MAP_PRIVATE);
	EXPECT_NE(MAP_FAILED, other_page);
	EXPECT_EQ(0, other_page[page]);
	opponent_wait(&b->maker);

	if (b->dmabuf < 0) {
		tried = NOT_MADE;
	} else if (!seal(object.fd, flags)) {
		tried = SEALED;
		p = ps_map(b->dmabuf, page, PROT_READ | PROT_WRITE, MAP_SHARED);
		EXPECT_NE(MAP_FAILED, p);
		memset(p, 'c', page);
		munmap(p, page);
		EXPECT_EQ(1, sys(pread(object.fd, &byte, 1, 0)));
		if (byte != 'b')
			tried = SEALED_AND_CHANGED;
	}
	if (b->dmabuf >= 0)
		close(b->dmabuf);
	munmap(other_page, 2 * page);
	both_ways_close(&object);
	return tried;
}

/* Tries for a while: how often it came to what. */
static void try_often(FIXTURE_DATA(udmabuf) *self, struct __test_metadata *_metadata,
		      const FIXTURE_VARIANT(udmabuf) *variant, uint32_t flags,
		      unsigned int count[4])
{
	unsigned int least = variant->kind == MEMFD ? ENOUGH : TRIES, tries;
	uint64_t until = now_ns() + TRY_NS;

	for (tries = 0; (tries < least || now_ns() < until) && !_metadata->exit_code; tries++)
		count[try_once(self, _metadata, variant, flags)]++;
	TH_LOG("%u tries of up to %llu us: %u times pinned, %u sealed, %u of them changed", tries,
	       (unsigned long long)self->longest_ns / 1000, count[NOT_SEALED],
	       count[SEALED] + count[SEALED_AND_CHANGED], count[SEALED_AND_CHANGED]);
	EXPECT_EQ(0, count[NOT_MADE]);
}

TEST_F(udmabuf, made_while_going_to_swap)
{
	unsigned int count[4] = { 0 };

	try_often(self, _metadata, variant, 0, count);
	if (variant->kind != MEMFD) {
		EXPECT_EQ(0, count[SEALED_AND_CHANGED]);
		EXPECT_EQ(0, count[SEALED]);
	}
}

/* The buffer keeps the page, wherever that was, and the object gets another. */
TEST_F(udmabuf, isolated_after_going_to_swap)
{
	unsigned int count[4] = { 0 };

	if (variant->kind == MEMFD)
		return;
	try_often(self, _metadata, variant, PINSEAL_SEAL_ISOLATE, count);
	EXPECT_EQ(0, count[SEALED_AND_CHANGED]);
	EXPECT_EQ(0, count[NOT_SEALED]);
}

TEST_HARNESS_MAIN

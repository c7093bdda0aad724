// SPDX-License-Identifier: GPL-2.0-only
/*
 * Extra references: SEAL(F_SEAL_WRITE) is refused while pages have any, reports which pages,
 * changes nothing, and succeeds once they are gone. PINSEAL_IOC_PINS lists them by kind.
 */
#include <signal.h>
#include <sys/wait.h>

#include "content.h"
#include "cpu.h"
#include "holders.h"
#include "sealer.h"

#include "harness.h"

#define PAGES		64	/* in the object */
#define FIRST		13	/* held: FIRST to FIRST + HELD - 1 */
#define HELD		5

/* A deadline that is reached. */
#define SHORT_NS	(20 * NSEC_PER_MSEC)

/* The byte that fills page @i of a new object. */
static char page_byte(uint64_t i)
{
	return 'a' + i % 26;
}

static int fill_pages(int fd, uint64_t pages)
{
	char *buf = malloc(page_size());
	uint64_t i;
	int ret = 0;

	for (i = 0; i < pages && !ret; i++) {
		memset(buf, page_byte(i), page_size());
		if (pwrite(fd, buf, page_size(), i * page_size()) != (ssize_t)page_size())
			ret = -errno;
	}
	free(buf);
	return ret;
}

/* Uses of an unsealed object: a write, a writable mapping, a new size. */
static int try_to_use(int fd)
{
	char c = 'u';
	char *p;

	if (pwrite(fd, &c, 1, 0) != 1)
		return -errno;
	p = mmap(NULL, page_size(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	p[1] = 'v';
	munmap(p, page_size());
	return ps_resize(fd, (PAGES + 1) * page_size()) ?: ps_resize(fd, PAGES * page_size());
}

FIXTURE(extra_ref)
{
	int fd;
	struct hold hold;
	bool held;
};

FIXTURE_VARIANT(extra_ref)
{
	enum hold_kind kind;
};

FIXTURE_VARIANT_ADD(extra_ref, uring)		{ .kind = HOLD_URING };
FIXTURE_VARIANT_ADD(extra_ref, direct_read)	{ .kind = HOLD_DIRECT_READ };
FIXTURE_VARIANT_ADD(extra_ref, vm_writev)	{ .kind = HOLD_VM_WRITEV };
FIXTURE_VARIANT_ADD(extra_ref, vmsplice)	{ .kind = HOLD_VMSPLICE };
FIXTURE_VARIANT_ADD(extra_ref, splice)	{ .kind = HOLD_SPLICE };

FIXTURE_SETUP(extra_ref)
{
	/* Pages that another CPU fills would be in its LRU batch. */
	run_on_cpu(0);
	self->fd = ps_create(PAGES * page_size());
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, fill_pages(self->fd, PAGES));
	ASSERT_EQ(0, hold_begin(&self->hold, variant->kind, self->fd, FIRST, HELD));
	self->held = true;
}

FIXTURE_TEARDOWN(extra_ref)
{
	if (self->held)
		hold_end(&self->hold);
	close(self->fd);
}

TEST_F(extra_ref, refuses_at_the_deadline)
{
	struct pinseal_seal arg = seal_write(SHORT_NS);
	uint64_t began = now_ns(), took;

	ASSERT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	took = now_ns() - began;

	EXPECT_EQ(PINSEAL_OUTCOME_PINNED, arg.outcome);
	EXPECT_EQ(HELD, arg.pinned_pages);
	EXPECT_EQ(FIRST, arg.first_pinned);
	EXPECT_EQ(0, arg.isolated_pages);
	EXPECT_EQ(0, arg.revoked_pages);
	/* At least two scans, with a wait between. */
	EXPECT_LE(2, arg.scans);
	EXPECT_LE(SHORT_NS * 9 / 10, took);
	EXPECT_GE(LATE_NS, took);
	EXPECT_LE(SHORT_NS * 9 / 10, arg.waited_ns);
	EXPECT_GE(took, arg.waited_ns);
	EXPECT_EQ(0, ps_get_seals(self->fd));
}

TEST_F(extra_ref, refuses_at_once_without_waiting)
{
	struct pinseal_seal arg = seal_write(SHORT_NS);
	uint64_t began;

	/* Zaps and drains: the next scan sees the pages of the holder only. */
	ASSERT_EQ(-EBUSY, ps_seal(self->fd, &arg));

	arg = seal_write(LONG_NS);
	arg.flags = PINSEAL_SEAL_NOWAIT;
	began = now_ns();
	ASSERT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	EXPECT_GE(LATE_NS, now_ns() - began);
	EXPECT_EQ(PINSEAL_OUTCOME_PINNED, arg.outcome);
	EXPECT_EQ(HELD, arg.pinned_pages);
	EXPECT_EQ(FIRST, arg.first_pinned);
}

TEST_F(extra_ref, leaves_the_object_usable)
{
	struct pinseal_seal arg = seal_write(SHORT_NS);

	ASSERT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	EXPECT_EQ(0, ps_get_seals(self->fd));
	EXPECT_EQ(0, try_to_use(self->fd));

	/* It can be refused again, and sealed in the end. */
	arg = seal_write(SHORT_NS);
	EXPECT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	EXPECT_EQ(0, try_to_use(self->fd));
	self->held = false;
	ASSERT_EQ(0, hold_end(&self->hold));
	EXPECT_EQ(0, ps_add_seals(self->fd, F_SEAL_WRITE));
	EXPECT_EQ(F_SEAL_WRITE, ps_get_seals(self->fd));
}

/* A pin matters to F_SEAL_WRITE alone. */
TEST_F(extra_ref, does_not_matter_to_other_seals)
{
	struct pinseal_seal arg = {
		.seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE,
		.timeout_ns = LONG_NS,
	};
	uint64_t began = now_ns();

	ASSERT_EQ(0, ps_seal(self->fd, &arg));
	EXPECT_GE(LATE_NS, now_ns() - began);
	EXPECT_EQ(PINSEAL_OUTCOME_SEALED, arg.outcome);
	EXPECT_EQ(arg.seals, ps_get_seals(self->fd));
}

/* All seals of a call are set, or none. */
TEST_F(extra_ref, refuses_all_seals_of_the_call)
{
	struct pinseal_seal arg = seal_write(SHORT_NS);

	arg.seals |= F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	ASSERT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	EXPECT_EQ(0, ps_get_seals(self->fd));
	EXPECT_EQ(0, try_to_use(self->fd));
}

TEST_F(extra_ref, seals_promptly_after_the_release)
{
	struct pinseal_seal arg = seal_write(SHORT_NS);
	uint64_t began, sum;
	char c = '!';

	ASSERT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	self->held = false;
	ASSERT_EQ(0, hold_end(&self->hold));
	sum = checksum(self->fd, PAGES * page_size());

	began = now_ns();
	arg = seal_write(LONG_NS);
	ASSERT_EQ(0, ps_seal(self->fd, &arg));
	EXPECT_GE(LATE_NS, now_ns() - began);
	EXPECT_EQ(PINSEAL_OUTCOME_SEALED, arg.outcome);
	EXPECT_EQ(0, arg.pinned_pages);
	EXPECT_EQ(PINSEAL_NO_PAGE, arg.first_pinned);
	EXPECT_EQ(F_SEAL_WRITE, ps_get_seals(self->fd));

	/* Nothing can write any more. */
	EXPECT_EQ(-EPERM, sys(pwrite(self->fd, &c, 1, FIRST * page_size())));
	EXPECT_EQ(-EPERM, ps_try_map(self->fd, page_size(), PROT_READ | PROT_WRITE,
				     MAP_SHARED));
	EXPECT_EQ(-EPERM, ps_fallocate(self->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				       FIRST * page_size(), page_size()));
	EXPECT_EQ(0, ps_try_map(self->fd, page_size(), PROT_READ, MAP_SHARED));
	EXPECT_EQ(sum, checksum(self->fd, PAGES * page_size()));
}

TEST_F(extra_ref, notices_the_release_while_waiting)
{
	struct sealer s;
	uint64_t released;

	ASSERT_EQ(0, sealer_start(&s, self->fd, seal_write(LONG_NS)));
	sleep_ns(30 * NSEC_PER_MSEC);
	EXPECT_FALSE(sealer_done(&s));
	EXPECT_EQ(0, ps_get_seals(self->fd));

	released = now_ns();
	self->held = false;
	ASSERT_EQ(0, hold_end(&self->hold));
	EXPECT_EQ(0, sealer_join(&s));
	EXPECT_LT(released, s.ended);
	EXPECT_GE(LATE_NS, s.ended - released);
	EXPECT_EQ(PINSEAL_OUTCOME_SEALED, s.arg.outcome);
	EXPECT_EQ(0, s.arg.pinned_pages);
	EXPECT_EQ(PINSEAL_NO_PAGE, s.arg.first_pinned);
	EXPECT_LE(2, s.arg.scans);
	EXPECT_LE(20 * NSEC_PER_MSEC, s.arg.waited_ns);
	EXPECT_GE(s.ended - s.began, s.arg.waited_ns);
	EXPECT_EQ(F_SEAL_WRITE, ps_get_seals(self->fd));
}

/*
 * The expected entry of a held folio. The seal that was refused before has drained the LRU
 * batches.
 */
#define EXPECT_HELD(page, i)						\
	do {								\
		const struct pinseal_page *__p = (page);		\
		bool __dma = hold_is_dma(variant->kind);		\
									\
		EXPECT_EQ(0, __p->mapped);				\
		EXPECT_EQ(0, __p->pad);					\
		EXPECT_EQ(__dma ? 1 : 0, __p->dma_pins);		\
		if (__p->flags & PINSEAL_PAGE_LARGE) {			\
			EXPECT_LT(1, __p->pages);			\
			EXPECT_LE(__p->index, (i));			\
			EXPECT_GT(__p->index + __p->pages, (i));	\
			EXPECT_LE(1, __p->extra);			\
		} else {						\
			EXPECT_EQ(0, __p->flags & LASTING_FLAGS);	\
			EXPECT_EQ(1, __p->pages);			\
			EXPECT_EQ((i), __p->index);			\
			EXPECT_EQ(__dma ? 1024 : 1, __p->extra);	\
		}							\
	} while (0)

TEST_F(extra_ref, is_listed)
{
	struct pinseal_seal seal = seal_write(SHORT_NS);
	struct pinseal_page vec[PAGES];
	struct pinseal_pins arg;
	unsigned int i;

	ASSERT_EQ(-EBUSY, ps_seal(self->fd, &seal));
	memset(vec, 0xcc, sizeof(vec));
	ASSERT_EQ(0, ps_pins(self->fd, 0, vec, PAGES, &arg));
	EXPECT_EQ(HELD, arg.found);
	EXPECT_EQ(PAGES, arg.next);
	EXPECT_EQ(HELD, arg.pinned_pages);
	EXPECT_EQ(hold_is_dma(variant->kind) ? HELD : 0, arg.dma_pinned_pages);
	for (i = 0; i < arg.found; i++) {
		EXPECT_HELD(&vec[i], (uint64_t)FIRST + i);
	}
	/* The rest of the vector is not written. */
	EXPECT_EQ(0xcccccccccccccccc, vec[arg.found].index);

	/* Listing changes no reference. */
	ASSERT_EQ(0, ps_pins(self->fd, 0, vec, PAGES, &arg));
	EXPECT_EQ(HELD, arg.found);
	EXPECT_HELD(&vec[0], (uint64_t)FIRST);

	/* Then there is nothing to list. */
	self->held = false;
	ASSERT_EQ(0, hold_end(&self->hold));
	ASSERT_EQ(0, ps_add_seals(self->fd, F_SEAL_WRITE));
	ASSERT_EQ(0, ps_pins(self->fd, 0, vec, PAGES, &arg));
	EXPECT_EQ(0, arg.found);
	EXPECT_EQ(0, arg.pinned_pages);
	EXPECT_EQ(0, arg.dma_pinned_pages);
}

TEST_F(extra_ref, is_listed_in_pieces)
{
	struct pinseal_seal seal = seal_write(SHORT_NS);
	struct pinseal_page vec[2];
	struct pinseal_pins arg;
	uint64_t next = 0, seen = 0;
	unsigned int calls = 0, i;

	ASSERT_EQ(-EBUSY, ps_seal(self->fd, &seal));
	while (next < PAGES && calls < PAGES) {
		ASSERT_EQ(0, ps_pins(self->fd, next, vec, 2, &arg));
		ASSERT_LT(next, arg.next);
		for (i = 0; i < arg.found; i++) {
			EXPECT_HELD(&vec[i], FIRST + seen + i);
		}
		EXPECT_EQ(arg.found, arg.pinned_pages);
		seen += arg.found;
		next = arg.next;
		calls++;
	}
	EXPECT_EQ(HELD, seen);
	EXPECT_EQ(PAGES, next);
	/* Two, two, and one together with the rest. */
	EXPECT_EQ(3, calls);
}

TEST_F(extra_ref, is_counted_without_a_list)
{
	struct pinseal_seal seal = seal_write(SHORT_NS);
	struct pinseal_pins arg;

	ASSERT_EQ(-EBUSY, ps_seal(self->fd, &seal));
	ASSERT_EQ(0, ps_pins(self->fd, 0, NULL, 0, &arg));
	EXPECT_EQ(0, arg.found);
	EXPECT_EQ(PAGES, arg.next);
	EXPECT_EQ(HELD, arg.pinned_pages);
	EXPECT_EQ(hold_is_dma(variant->kind) ? HELD : 0, arg.dma_pinned_pages);
}

TEST_F(extra_ref, is_listed_in_a_range)
{
	struct pinseal_seal seal = seal_write(SHORT_NS);
	struct pinseal_page vec[PAGES];
	struct pinseal_pins arg = {
		.start = FIRST + 1,
		.count = 2,
		.vec = (uintptr_t)vec,
		.vec_len = PAGES,
	};

	ASSERT_EQ(-EBUSY, ps_seal(self->fd, &seal));
	ASSERT_EQ(0, ps_ioctl(self->fd, PINSEAL_IOC_PINS, &arg));
	ASSERT_EQ(2, arg.found);
	EXPECT_EQ(2, arg.pinned_pages);
	EXPECT_EQ(FIRST + 3, arg.next);
	EXPECT_HELD(&vec[0], (uint64_t)FIRST + 1);
	EXPECT_HELD(&vec[1], (uint64_t)FIRST + 2);

	arg.start = 0;
	arg.count = FIRST;
	ASSERT_EQ(0, ps_ioctl(self->fd, PINSEAL_IOC_PINS, &arg));
	EXPECT_EQ(0, arg.found);
	EXPECT_EQ(FIRST, arg.next);

	arg.start = FIRST + HELD;
	arg.count = 0;
	ASSERT_EQ(0, ps_ioctl(self->fd, PINSEAL_IOC_PINS, &arg));
	EXPECT_EQ(0, arg.found);
	EXPECT_EQ(PAGES, arg.next);
}

/*
 * Holes cost a listing nothing: one that looked at each part of this size would run into the
 * harness's timeout.
 */
#define HUGE_SIZE	(1ULL << 62)

FIXTURE(huge)
{
	int fd;
	uint64_t pages;
};

FIXTURE_SETUP(huge)
{
	self->fd = ps_create(HUGE_SIZE);
	ASSERT_LE(0, self->fd);
	self->pages = HUGE_SIZE / page_size();
}

FIXTURE_TEARDOWN(huge)
{
	close(self->fd);
}

TEST_F(huge, without_pages_has_nothing_to_list)
{
	struct pinseal_page vec[2];
	struct pinseal_pins arg;

	ASSERT_EQ(0, ps_pins(self->fd, 0, vec, ARRAY_SIZE(vec), &arg));
	EXPECT_EQ(0, arg.found);
	EXPECT_EQ(self->pages, arg.next);
	ASSERT_EQ(0, ps_pins(self->fd, 0, NULL, 0, &arg));
	EXPECT_EQ(0, arg.pinned_pages);
	EXPECT_EQ(self->pages, arg.next);
}

TEST_F(huge, has_all_its_pinned_pages_listed)
{
	const uint64_t held[] = { 0, self->pages / 2, self->pages - 1 };
	struct hold hold[ARRAY_SIZE(held)];
	struct pinseal_page vec[ARRAY_SIZE(held) + 1];
	struct pinseal_pins arg;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(held); i++)
		ASSERT_EQ(0, hold_begin(&hold[i], HOLD_HANDLE, self->fd, held[i], 1));

	ASSERT_EQ(0, ps_pins(self->fd, 0, vec, ARRAY_SIZE(vec), &arg));
	ASSERT_EQ(ARRAY_SIZE(held), arg.found);
	EXPECT_EQ(self->pages, arg.next);
	EXPECT_LE(ARRAY_SIZE(held), arg.dma_pinned_pages);
	for (i = 0; i < ARRAY_SIZE(held); i++) {
		EXPECT_LE(vec[i].index, held[i]);
		EXPECT_GT(vec[i].index + vec[i].pages, held[i]);
		EXPECT_EQ(1, vec[i].dma_pins);
	}

	/* In pieces: each ends where the next pinned page begins. */
	for (i = 0; i < ARRAY_SIZE(held); i++) {
		ASSERT_EQ(0, ps_pins(self->fd, i ? arg.next : 0, vec, 1, &arg));
		ASSERT_EQ(1, arg.found);
		EXPECT_LE(vec[0].index, held[i]);
		EXPECT_GT(vec[0].index + vec[0].pages, held[i]);
	}
	EXPECT_EQ(self->pages, arg.next);

	for (i = 0; i < ARRAY_SIZE(held); i++)
		ASSERT_EQ(0, hold_end(&hold[i]));
}

FIXTURE(object)
{
	int fd;
};

FIXTURE_SETUP(object)
{
	/* Pages that another CPU fills would be in its LRU batch. */
	run_on_cpu(0);
	self->fd = ps_create(PAGES * page_size());
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, fill_pages(self->fd, PAGES));
}

FIXTURE_TEARDOWN(object)
{
	close(self->fd);
}

/* Each scan finds exactly the pages that are still held. */
TEST_F(object, held_by_holders_of_all_kinds)
{
	static const struct {
		enum hold_kind kind;
		uint64_t first, pages;
		/* Once those before it are gone: */
		uint64_t pinned, first_pinned;
	} holds[] = {
		{ HOLD_URING,		 0, 4,	15,  0 },
		{ HOLD_VMSPLICE,	 2, 4,	13,  2 },
		{ HOLD_DIRECT_READ,	10, 3,	 9, 10 },
		{ HOLD_VM_WRITEV,	20, 5,	 6, 20 },
		{ HOLD_SPLICE,		63, 1,	 1, 63 },
	};
	static struct hold hold[ARRAY_SIZE(holds)];
	struct pinseal_page vec[PAGES];
	struct pinseal_pins pins;
	struct pinseal_seal arg;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(holds); i++) {
		ASSERT_EQ(0, hold_begin(&hold[i], holds[i].kind, self->fd,
					holds[i].first, holds[i].pages));
	}

	arg = seal_write(SHORT_NS);
	ASSERT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	ASSERT_EQ(0, ps_pins(self->fd, 0, vec, PAGES, &pins));
	ASSERT_EQ(15, pins.found);
	EXPECT_EQ(15, pins.pinned_pages);
	EXPECT_EQ(12, pins.dma_pinned_pages);
	/* Page 2 is in the ring and in the pipe. */
	EXPECT_EQ(2, vec[2].index);
	EXPECT_EQ(1, vec[2].dma_pins);
	if (!(vec[2].flags & PINSEAL_PAGE_LARGE)) {
		EXPECT_EQ(1024 + 1, vec[2].extra);
	}

	for (i = 0; i < ARRAY_SIZE(holds); i++) {
		arg = seal_write(SHORT_NS);
		EXPECT_EQ(-EBUSY, ps_seal(self->fd, &arg));
		EXPECT_EQ(PINSEAL_OUTCOME_PINNED, arg.outcome);
		EXPECT_EQ(holds[i].pinned, arg.pinned_pages);
		EXPECT_EQ(holds[i].first_pinned, arg.first_pinned);
		ASSERT_EQ(0, hold_end(&hold[i]));
	}
	EXPECT_EQ(0, ps_add_seals(self->fd, F_SEAL_WRITE));
}

/* Two rings hold one page: two pins, of which both must go. */
TEST_F(object, held_twice_by_the_same_kind)
{
	struct pinseal_seal arg = seal_write(SHORT_NS);
	static struct hold a, b;
	struct pinseal_page vec[2];
	struct pinseal_pins pins;

	ASSERT_EQ(0, hold_begin(&a, HOLD_URING, self->fd, 7, 1));
	ASSERT_EQ(0, hold_begin(&b, HOLD_URING, self->fd, 7, 1));
	ASSERT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	EXPECT_EQ(1, arg.pinned_pages);
	ASSERT_EQ(0, ps_pins(self->fd, 0, vec, 2, &pins));
	ASSERT_EQ(1, pins.found);
	EXPECT_EQ(2, vec[0].dma_pins);

	ASSERT_EQ(0, hold_end(&a));
	arg = seal_write(SHORT_NS);
	EXPECT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	EXPECT_EQ(7, arg.first_pinned);
	ASSERT_EQ(0, hold_end(&b));
	EXPECT_EQ(0, ps_add_seals(self->fd, F_SEAL_WRITE));
}

/* The kernel drops the pins of a closed ring from a worker, without notice. */
TEST_F(object, held_by_a_ring_that_is_closed)
{
	struct hold h;
	struct pinseal_seal arg = seal_write(LONG_NS);

	ASSERT_EQ(0, hold_begin(&h, HOLD_URING, self->fd, FIRST, HELD));
	uring_close(&h.ring);
	EXPECT_EQ(0, ps_seal(self->fd, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_SEALED, arg.outcome);
}

/* The pins of a process end with it. */
TEST_F(object, held_by_a_process_that_is_killed)
{
	struct pinseal_seal arg = seal_write(SHORT_NS);
	struct sealer s;
	int ready[2];
	pid_t child;
	char c;

	ASSERT_EQ(0, pipe2(ready, O_CLOEXEC));
	child = ps_fork();
	ASSERT_LE(0, child);
	if (!child) {
		struct hold h;
		int ret = hold_begin(&h, HOLD_URING, self->fd, FIRST, HELD);

		c = ret ? 'e' : 'k';
		if (write(ready[1], &c, 1) == 1)
			pause();
		_exit(1);
	}
	ASSERT_EQ(1, read(ready[0], &c, 1));
	EXPECT_EQ('k', c);

	EXPECT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	EXPECT_EQ(HELD, arg.pinned_pages);
	EXPECT_EQ(0, sealer_start(&s, self->fd, seal_write(LONG_NS)));
	ps_kill(child);
	EXPECT_EQ(0, sealer_join(&s));
	EXPECT_EQ(F_SEAL_WRITE, ps_get_seals(self->fd));
}

/* The first and the last page of a large sparse object. */
TEST_F(object, held_far_away)
{
	uint64_t size = 1ULL << 34, last = size / page_size() - 1;
	struct pinseal_seal arg = seal_write(SHORT_NS);
	static struct hold a, b;
	struct pinseal_page vec[4];
	struct pinseal_pins pins;

	ASSERT_EQ(0, ps_resize(self->fd, size));
	ASSERT_EQ(0, hold_begin(&a, HOLD_URING, self->fd, last, 1));
	ASSERT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	EXPECT_EQ(1, arg.pinned_pages);
	EXPECT_EQ(last, arg.first_pinned);

	ASSERT_EQ(0, hold_begin(&b, HOLD_VMSPLICE, self->fd, 0, 1));
	arg = seal_write(SHORT_NS);
	ASSERT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	EXPECT_EQ(2, arg.pinned_pages);
	EXPECT_EQ(0, arg.first_pinned);
	ASSERT_EQ(0, ps_pins(self->fd, 0, vec, 4, &pins));
	ASSERT_EQ(2, pins.found);
	EXPECT_EQ(0, vec[0].index);
	EXPECT_EQ(last, vec[1].index);
	EXPECT_EQ(last + 1, pins.next);

	ASSERT_EQ(0, hold_end(&a));
	ASSERT_EQ(0, hold_end(&b));
	EXPECT_EQ(0, ps_add_seals(self->fd, F_SEAL_WRITE));
}

/* Many more pages than any batch. */
TEST_F(object, held_in_thousands_of_pages)
{
	const uint64_t pages = 5000, held = 4000, first = 333;
	struct pinseal_page *vec = calloc(pages, sizeof(*vec));
	struct pinseal_seal arg = seal_write(4 * SHORT_NS);
	struct pinseal_pins pins;
	struct hold h;
	uint64_t i;

	ASSERT_NE(NULL, vec);
	ASSERT_EQ(0, ps_resize(self->fd, pages * page_size()));
	ASSERT_EQ(0, hold_begin(&h, HOLD_URING, self->fd, first, held));
	ASSERT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	EXPECT_EQ(held, arg.pinned_pages);
	EXPECT_EQ(first, arg.first_pinned);
	ASSERT_EQ(0, ps_pins(self->fd, 0, vec, pages, &pins));
	EXPECT_EQ(held, pins.pinned_pages);
	EXPECT_EQ(held, pins.dma_pinned_pages);
	if (pins.found == held) {
		for (i = 0; i < held; i++) {
			ASSERT_EQ(first + i, vec[i].index);
		}
	} else {
		EXPECT_EQ(PINSEAL_PAGE_LARGE, vec[0].flags & LASTING_FLAGS);
	}
	free(vec);

	ASSERT_EQ(0, hold_end(&h));
	EXPECT_EQ(0, ps_add_seals(self->fd, F_SEAL_WRITE));
}

/* A private copy is another page: pins on it do not matter. */
TEST_F(object, not_held_by_a_pin_on_a_private_copy)
{
	struct pinseal_seal arg = seal_write(LONG_NS);
	uint64_t sum = checksum(self->fd, PAGES * page_size());
	struct uring ring;
	char *p;

	p = ps_map(self->fd, PAGES * page_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, uring_open(&ring, 4, 0));
	ASSERT_EQ(0, uring_register_buffer(&ring, p + FIRST * page_size(), HELD * page_size()));
	EXPECT_EQ(0, ps_seal(self->fd, &arg));
	p[FIRST * page_size()] = '!';
	EXPECT_EQ(sum, checksum(self->fd, PAGES * page_size()));
	uring_close(&ring);
	munmap(p, PAGES * page_size());
}

/* A page of the object that is held through a private mapping does. */
TEST_F(object, held_through_a_private_mapping)
{
	struct pinseal_seal arg = seal_write(SHORT_NS);
	struct iovec iov = { .iov_len = page_size() };
	int fds[2];
	char *p;

	p = ps_map(self->fd, PAGES * page_size(), PROT_READ, MAP_PRIVATE);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, pipe2(fds, O_CLOEXEC));
	iov.iov_base = p + FIRST * page_size();
	ASSERT_EQ(page_size(), vmsplice(fds[1], &iov, 1, 0));
	EXPECT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	EXPECT_EQ(1, arg.pinned_pages);
	EXPECT_EQ(FIRST, arg.first_pinned);

	/* With and without the mapping. */
	munmap(p, PAGES * page_size());
	arg = seal_write(SHORT_NS);
	EXPECT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	EXPECT_EQ(FIRST, arg.first_pinned);
	close(fds[0]);
	close(fds[1]);
	EXPECT_EQ(0, ps_add_seals(self->fd, F_SEAL_WRITE));
}

/* Read-only mappings are no reason to refuse, and stay valid. */
TEST_F(object, not_held_by_a_read_only_mapping)
{
	struct pinseal_seal arg = seal_write(LONG_NS);
	unsigned int i;
	char *p;

	p = ps_map(self->fd, PAGES * page_size(), PROT_READ, MAP_PRIVATE | MAP_POPULATE);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(0, ps_seal(self->fd, &arg));
	for (i = 0; i < PAGES; i++) {
		EXPECT_EQ(page_byte(i), p[i * page_size()]);
	}
	munmap(p, PAGES * page_size());
}

/*
 * The LRU batch of an idle CPU holds the pages that it made last, for ever. The sealer must
 * drain it, even when it may not wait.
 */
TEST_F(object, not_held_by_another_cpu_that_filled_it)
{
	struct pinseal_pins pins;
	bool seen = false;
	int i;

	if (run_on_cpu(1))
		SKIP(return, "there is no second CPU");
	ASSERT_EQ(0, run_on_cpu(0));
	for (i = 0; i < 20; i++) {
		struct pinseal_seal arg;
		int fd, ret, tries = 0;

		fd = ps_create(8 * page_size());
		ASSERT_LE(0, fd);
		ASSERT_EQ(0, fill_on_cpu(fd, 8 * page_size(), 1));
		ASSERT_EQ(0, ps_pins(fd, 0, NULL, 0, &pins));
		if (pins.pinned_pages)
			seen = true;
		EXPECT_EQ(0, pins.dma_pinned_pages);

		do {
			arg = seal_write(LONG_NS);
			if (i % 2)
				arg.flags = PINSEAL_SEAL_NOWAIT;
			ret = ps_seal(fd, &arg);
			tries++;
			/* A NOWAIT call fails until that CPU, if emulated, has run. */
		} while (ret == -EBUSY && i % 2 && tries < 50);
		ASSERT_EQ(0, ret);
		EXPECT_EQ(0, arg.pinned_pages);
		ASSERT_EQ(0, ps_pins(fd, 0, NULL, 0, &pins));
		EXPECT_EQ(0, pins.pinned_pages);
		close(fd);
	}
	/* Otherwise there was nothing to drain. */
	EXPECT_TRUE(seen);
}

TEST_HARNESS_MAIN

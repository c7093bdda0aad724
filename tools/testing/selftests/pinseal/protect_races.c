// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loads, stores and kernel accesses of pages race changes of their protection, with the pages
 * dropped, swapped out or collapsed meanwhile.
 *
 * One thread changes protections, and says before and after each change which page it is about.
 * An access that began and ended while the page had one protection must have got just what that
 * allows: neither more, nor less. Two threads that fault on one page with different accesses,
 * which the design that this one grew from got wrong, are the usual case here.
 *
 * On a memfd, mprotect() changes the protections: that variant proves the test. The variant
 * "remapped" has pages that are shown elsewhere than at their place, and changes that as well.
 */
#include <sys/uio.h>

#include "harness.h"
#include "bytes.h"
#include "large_folio.h"
#include "madvise.h"
#include "protect.h"
#include "racer.h"
#include "random.h"
#include "zram_swap.h"

#define PAGES		16
#define ACCESSORS	4

/* The protection of a page, and how often it has changed; odd while it does. */
struct page_state {
	uint64_t changes;
	int prot;
};

struct race {
	enum object_kind kind;
	int fd;
	char *p;
	size_t page;
	struct page_state states[PAGES];
	bool remaps;
	unsigned int accesses;	/* kinds of them that are made */
	bool quit;
	/* What the accessors saw while the protection stayed. */
	unsigned long allowed, refused;
	unsigned long violations;
};

struct accessor {
	struct race *race;
	unsigned long turns;
	struct random random;
	pthread_t thread;
};

static __thread sigjmp_buf refused;

static void on_segv(int sig)
{
	siglongjmp(refused, 1);
}

/*
 * The kernel pins the page for its stores, and stores to it later, whatever the protection is then.
 * So it does with mprotect().
 */
enum access { LOAD, STORE, KERNEL_LOAD, KERNEL_STORE, N_ACCESSES };

/* access_page() - whether it was let through. Stores @byte. */
static bool access_page(volatile char *at, enum access access, char byte)
{
	struct iovec local = { &byte, 1 }, remote = { (void *)at, 1 };

	switch (access) {
	case KERNEL_LOAD:
		return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == 1;
	case KERNEL_STORE:
		return process_vm_writev(getpid(), &local, 1, &remote, 1, 0) == 1;
	default:
		break;
	}
	if (sigsetjmp(refused, 1))
		return false;
	if (access == LOAD)
		(void)*at;
	else
		*at = byte;
	return true;
}

static void *accessor(void *data)
{
	struct accessor *a = data;
	struct race *r = a->race;

	while (!__atomic_load_n(&r->quit, __ATOMIC_ACQUIRE)) {
		unsigned int page = random_below(&a->random, PAGES);
		enum access access = random_below(&a->random,
						  __atomic_load_n(&r->accesses, __ATOMIC_ACQUIRE));
		struct page_state *state = &r->states[page];
		uint64_t before = __atomic_load_n(&state->changes, __ATOMIC_SEQ_CST);
		int prot = __atomic_load_n(&state->prot, __ATOMIC_SEQ_CST);
		bool got = access_page(r->p + page * r->page + random_below(&a->random, r->page),
				       access, random_bits(&a->random));
		bool is_store = access == STORE || access == KERNEL_STORE;

		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		__atomic_add_fetch(&a->turns, 1, __ATOMIC_ACQ_REL);
		if (before % 2 ||
		    __atomic_load_n(&state->changes, __ATOMIC_SEQ_CST) != before)
			continue;
		if (got != !!(prot & (is_store ? PROT_WRITE : PROT_READ)))
			__atomic_add_fetch(&r->violations, 1, __ATOMIC_RELAXED);
		__atomic_add_fetch(got ? &r->allowed : &r->refused, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* wait_for_turns() - until the accessor has ended @n more. */
static void wait_for_turns(const struct accessor *a, unsigned long n)
{
	unsigned long end = __atomic_load_n(&a->turns, __ATOMIC_ACQUIRE) + n;

	while (__atomic_load_n(&a->turns, __ATOMIC_ACQUIRE) < end)
		sched_yield();
}

static int random_prot(struct random *random)
{
	return one_of(random, PROT_NONE, PROT_READ, RW);
}

static void announce(struct race *r, unsigned int first, unsigned int n)
{
	for (unsigned int i = first; i < first + n; i++)
		__atomic_add_fetch(&r->states[i].changes, 1, __ATOMIC_SEQ_CST);
}

/* change() - gives some pages another protection: 0, or -errno. */
static int change(struct race *r, struct random *random)
{
	unsigned int first = random_below(random, PAGES);
	unsigned int n = once_in(random, 3) ? 1 + random_below(random, PAGES - first) : 1;
	int prot = random_prot(random), ret;
	void *p = r->p + first * r->page;

	announce(r, first, n);
	/* mprotect() by turns: it wins. */
	if (once_in(random, 8)) {
		ret = sys(mprotect(p, n * r->page, RW));
		prot = RW;
	} else if (r->remaps && once_in(random, 2)) {
		ret = ps_remap(r->fd, p, n * r->page, random_below(random, PAGES - n + 1), prot);
	} else {
		ret = protect_pages(r->kind, r->fd, p, n * r->page, prot);
	}
	for (unsigned int i = first; i < first + n; i++)
		__atomic_store_n(&r->states[i].prot, prot, __ATOMIC_SEQ_CST);
	announce(r, first, n);
	return ret;
}

/* Which page a place shows before the first change: no other place shows the same. */
static unsigned int shown_at(const struct race *r, unsigned int place)
{
	return r->remaps ? PAGES - 1 - place : place;
}

FIXTURE(protect_race) {
	struct race race;
	struct zram_swap swap;
	struct accessor accessors[ACCESSORS];
	struct sigaction before;
	size_t len;
};

FIXTURE_VARIANT(protect_race) { enum object_kind kind; bool large, remaps, swaps; };
FIXTURE_VARIANT_ADD(protect_race, memfd) { .kind = MEMFD };
FIXTURE_VARIANT_ADD(protect_race, pinseal) { .kind = PINSEAL };
FIXTURE_VARIANT_ADD(protect_race, created) { .kind = CREATED };
FIXTURE_VARIANT_ADD(protect_race, large_memfd) { .kind = MEMFD, .large = true };
FIXTURE_VARIANT_ADD(protect_race, large_pinseal) { .kind = PINSEAL, .large = true };
FIXTURE_VARIANT_ADD(protect_race, large_created) { .kind = CREATED, .large = true };

FIXTURE_VARIANT_ADD(protect_race, remapped) { .kind = PINSEAL, .remaps = true };
FIXTURE_VARIANT_ADD(protect_race, swapped_memfd) { .kind = MEMFD, .swaps = true };
FIXTURE_VARIANT_ADD(protect_race, swapped_pinseal) { .kind = PINSEAL, .swaps = true };
FIXTURE_VARIANT_ADD(protect_race, swapped_created) { .kind = CREATED, .swaps = true };

FIXTURE_SETUP(protect_race)
{
	struct sigaction sa = { .sa_handler = on_segv };
	struct race *r = &self->race;

	r->kind = variant->kind;
	r->page = page_size();
	self->len = variant->large ? large_folio_size() : PAGES * r->page;
	if (!self->len)
		SKIP(return, "no large folios");
	if (variant->swaps) {
		if (!zram_is_there())
			SKIP(return, "no zram");
		ASSERT_EQ(0, zram_swap_begin(&self->swap, 16 << 20));
	}
	r->fd = obj_create(r->kind, self->len);
	ASSERT_LE(0, r->fd);
	if (variant->large) {
		int ret = make_large_folio(r->fd, self->len);

		if (ret && is_under_pressure())
			SKIP(return, "no memory for a large folio");
		ASSERT_EQ(0, ret);
	}
	r->p = map_aligned(r->fd, self->len, variant->large ? self->len : r->page, RW);
	ASSERT_NE(NULL, r->p);
	for (unsigned int i = 0; i < PAGES; i++)
		r->states[i].prot = RW;
	r->remaps = variant->remaps;
	/* Pages cannot be pinned by a mapping that shows some elsewhere. */
	r->accesses = r->remaps ? KERNEL_LOAD : N_ACCESSES;
	for (unsigned int i = 0; r->remaps && i < PAGES; i++)
		ASSERT_EQ(0, ps_remap(r->fd, r->p + i * r->page, r->page, shown_at(r, i), RW));
	ASSERT_EQ(0, sigaction(SIGSEGV, &sa, &self->before));
	for (unsigned int i = 0; i < ACCESSORS; i++) {
		struct accessor *a = &self->accessors[i];

		*a = (struct accessor){ .race = r, .random = random_for(1, i, 0, 0) };
		ASSERT_EQ(0, pthread_create(&a->thread, NULL, accessor, a));
	}
}

FIXTURE_TEARDOWN(protect_race)
{
	__atomic_store_n(&self->race.quit, true, __ATOMIC_RELEASE);
	for (unsigned int i = 0; i < ACCESSORS; i++)
		pthread_join(self->accessors[i].thread, NULL);
	sigaction(SIGSEGV, &self->before, NULL);
	munmap(self->race.p, self->len);
	close(self->race.fd);
	if (variant->swaps)
		zram_swap_end(&self->swap);
}

/* Pages that went to swap since the machine was started. */
static long swapped_out(void)
{
	FILE *vmstat = fopen("/proc/vmstat", "re");
	long pages = -1;
	char line[128];

	while (vmstat && pages < 0 && fgets(line, sizeof(line), vmstat))
		sscanf(line, "pswpout %ld", &pages);
	if (vmstat)
		fclose(vmstat);
	return pages;
}

static bool is_enough(const struct race *r, unsigned long n)
{
	return __atomic_load_n(&r->allowed, __ATOMIC_RELAXED) >= n &&
	       __atomic_load_n(&r->refused, __ATOMIC_RELAXED) >= n;
}

static unsigned long violations(const struct race *r)
{
	return __atomic_load_n(&r->violations, __ATOMIC_RELAXED);
}

/* drop_pages() - from the page table: 0, or -errno. */
static int drop_pages(const struct race *r)
{
	struct pinseal_pins pins;

	/* Of pages that are shown elsewhere, MADV_DONTNEED drops none; a list of pins drops all. */
	if (r->remaps)
		return ps_pins(r->fd, 0, NULL, 0, &pins);
	return sys(madvise(r->p, PAGES * r->page, MADV_DONTNEED));
}

/* Changes, with what else happens to the pages by turns. */
TEST_F(protect_race, an_access_gets_just_what_is_allowed)
{
	uint64_t until = now_ns() + test_rounds(1000, 8000) * NSEC_PER_MSEC;
	struct race *r = &self->race;
	struct random random = random_for(2, 0, 0, 0);
	long swapped = swapped_out(), enough = variant->swaps ? 100 : 0;

	while ((!is_enough(r, 1000) || now_ns() < until || swapped_out() - swapped < enough) &&
	       !violations(r)) {
		ASSERT_EQ(0, change(r, &random));
		if (variant->swaps)
			madvise(r->p, PAGES * r->page, MADV_PAGEOUT);
		switch (random_below(&random, 16)) {
		case 0:
			ASSERT_EQ(0, drop_pages(r));
			break;
		case 1:
			madvise(r->p, PAGES * r->page, MADV_PAGEOUT);
			break;
		case 2:
			if (variant->large && once_in(&random, 16))
				madvise(r->p, self->len, MADV_COLLAPSE);
			break;
		case 3 ... 9:
			sched_yield();
			break;
		case 10:
			sleep_ns(NSEC_PER_MSEC / 10);
			break;
		}
	}
	EXPECT_EQ(0, violations(r));
	TH_LOG("%lu allowed, %lu refused, %ld pages swapped out", r->allowed, r->refused,
	       swapped_out() - swapped);
}

/* A refused store is not made: not even by a thread that could store a moment before. */
TEST_F(protect_race, a_page_without_write_access_does_not_change)
{
	uint64_t until = now_ns() + test_rounds(1000, 8000) * NSEC_PER_MSEC;
	struct race *r = &self->race;
	struct random random = random_for(3, 0, 0, 0);
	char *seen = malloc(r->page);
	char *other = mmap(NULL, self->len, PROT_READ, MAP_SHARED, r->fd, 0);

	ASSERT_NE(NULL, seen);
	ASSERT_NE(MAP_FAILED, other);
	__atomic_store_n(&r->accesses, r->remaps ? KERNEL_LOAD : KERNEL_STORE, __ATOMIC_RELEASE);
	for (unsigned int i = 0; i < ACCESSORS; i++)
		wait_for_turns(&self->accessors[i], 2);
	for (unsigned long i = 0; i < 20 || now_ns() < until; i++) {
		unsigned int page = random_below(&random, PAGES);
		char *p = r->p + page * r->page, *q = other + shown_at(r, page) * r->page;

		ASSERT_EQ(0, protect_pages(r->kind, r->fd, p, r->page,
					   once_in(&random, 2) ? PROT_READ : PROT_NONE));
		memcpy(seen, q, r->page);
		sleep_ns(random_below(&random, 200) * 1000);
		ASSERT_EQ(0, memcmp(seen, q, r->page)) TH_LOG("in round %lu", i);
		ASSERT_EQ(0, protect_pages(r->kind, r->fd, p, r->page, RW));
		/* The accessors' own checks are for the other test. */
		announce(r, page, 1);
	}
	munmap(other, self->len);
	free(seen);
}

/*
 * One fault, and one change that refuses it: the window between the fault's question and its
 * page table entry, as often as time allows.
 */
FIXTURE(protect_window) {
	int fd;
	size_t page;
	char *p;
	struct sigaction before;
};

FIXTURE_VARIANT(protect_window) { enum object_kind kind; bool mapped; };
FIXTURE_VARIANT_ADD(protect_window, memfd) { .kind = MEMFD };
FIXTURE_VARIANT_ADD(protect_window, pinseal) { .kind = PINSEAL };
FIXTURE_VARIANT_ADD(protect_window, created) { .kind = CREATED };
/* The page is mapped for loads already. */
FIXTURE_VARIANT_ADD(protect_window, mapped_memfd) { .kind = MEMFD, .mapped = true };
FIXTURE_VARIANT_ADD(protect_window, mapped_pinseal) { .kind = PINSEAL, .mapped = true };
FIXTURE_VARIANT_ADD(protect_window, mapped_created) { .kind = CREATED, .mapped = true };

FIXTURE_SETUP(protect_window)
{
	struct sigaction sa = { .sa_handler = on_segv };

	self->page = page_size();
	self->fd = obj_create(variant->kind, self->page);
	ASSERT_LE(0, self->fd);
	self->p = ps_map(self->fd, self->page, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, self->p);
	ASSERT_EQ(0, sigaction(SIGSEGV, &sa, &self->before));
}

FIXTURE_TEARDOWN(protect_window)
{
	sigaction(SIGSEGV, &self->before, NULL);
	munmap(self->p, self->page);
	close(self->fd);
}

static void store_once(void *p)
{
	access_page(p, STORE, 1);
}

TEST_F(protect_window, no_entry_is_left_behind)
{
	uint64_t until = now_ns() + test_rounds(1500, 10000) * NSEC_PER_MSEC;
	unsigned long rounds = 0, stored = 0;
	struct random random = random_for(4, 0, 0, 0);
	struct racer racer = {};

	ASSERT_EQ(0, racer_start(&racer, store_once, self->p));
	for (; rounds < 100 || now_ns() < until; rounds++) {
		volatile unsigned int delay = random_below(&random, 3000);
		int prot = rounds % 2 ? PROT_READ : PROT_NONE;

		ASSERT_EQ(0, madvise(self->p, self->page, MADV_DONTNEED));
		if (variant->mapped)
			access_page(self->p, LOAD, 0);
		racer_go(&racer);
		while (delay)
			delay--;
		ASSERT_EQ(0, protect_pages(variant->kind, self->fd, self->p, self->page, prot));
		racer_wait(&racer);
		ASSERT_FALSE(access_page(self->p, STORE, 2)) TH_LOG("in round %lu", rounds);
		if (prot == PROT_NONE)
			ASSERT_FALSE(access_page(self->p, LOAD, 0)) TH_LOG("in round %lu", rounds);
		ASSERT_EQ(0, protect_pages(variant->kind, self->fd, self->p, self->page, RW));
		stored += *self->p == 1;
		*self->p = 0;
	}
	racer_stop(&racer);
	TH_LOG("the store was first in %lu of %lu rounds", stored, rounds);
}

TEST_HARNESS_MAIN

// SPDX-License-Identifier: GPL-2.0-only
/*
 * References that come and go while a seal counts them: a reader that maps and zaps must
 * neither hide an extra reference nor be taken for one; a pin through a mapping that is being
 * unmapped either fails or delays the seal.
 *
 * Each test runs until the race has been run often enough.
 */
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>

#include "content.h"
#include "holders.h"
#include "large_folio.h"
#include "reader.h"
#include "sealer.h"

#include "harness.h"

#define PAGES		16
#define SIZE		(PAGES * page_size())

/*
 * False success: held pages are mapped and zapped by a reader all the time. A scan that reads
 * reference count and map count one after the other takes the holder's reference for one of
 * the mappings. All pages are held: each that a scan finds free is a false success, of the
 * whole object if it has one page.
 */
FIXTURE(false_success)
{
	int fd;
	struct hold hold;
	struct reader reader;
};

FIXTURE_VARIANT(false_success)
{
	enum hold_kind kind;
	unsigned int pages;
	unsigned long tries;		/* of pages, at least */
};

FIXTURE_VARIANT_ADD(false_success, vmsplice_one)	{ HOLD_VMSPLICE, 1, 2000 };
FIXTURE_VARIANT_ADD(false_success, vmsplice_many)	{ HOLD_VMSPLICE, 16, 20000 };

/*
 * A scan zaps mapped pages, which takes long when another CPU takes part. A reader that pauses
 * lets most scans run undisturbed, and so meets many more of them.
 */
#define PAUSE		100000

FIXTURE_SETUP(false_success)
{
	size_t size = variant->pages * page_size();

	self->fd = ps_create(size);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, fill_file(self->fd, size, 'f'));
	run_on_cpu(0);
	ASSERT_EQ(0, reader_start(&self->reader, 1, PAUSE));
	ASSERT_EQ(0, hold_begin(&self->hold, variant->kind, self->fd, 0, variant->pages));
	ASSERT_EQ(0, reader_follow(&self->reader, self->fd, size));
}

FIXTURE_TEARDOWN(false_success)
{
	close(self->fd);
}

/* The least number of rounds of the reader. */
#define ENOUGH_ROUNDS	100

TEST_F(false_success, does_not_happen)
{
	uint64_t began = now_ns(), until = began + test_rounds(1000, 3000) * NSEC_PER_MSEC;
	unsigned long i, tries = 0;

	/* For a while, and on a slow machine until both have come round often enough. */
	for (i = 0; tries < variant->tries || reader_rounds(&self->reader) < ENOUGH_ROUNDS ||
		    now_ns() < until; i++) {
		struct pinseal_seal arg = seal_write(1);
		int ret;

		/* Mostly a single scan, now and then a thorough one. */
		if (i % 1024)
			arg.max_scans = 1;
		else if (i % 2048)
			arg.flags = PINSEAL_SEAL_NOWAIT;
		ret = ps_seal(self->fd, &arg);
		ASSERT_EQ(-EBUSY, ret) TH_LOG("false success in try %lu", tries);
		ASSERT_EQ(PINSEAL_OUTCOME_PINNED, arg.outcome);
		ASSERT_EQ(variant->pages, arg.pinned_pages) TH_LOG("after %lu tries", tries);
		ASSERT_EQ(0, arg.first_pinned);
		tries += variant->pages;
	}
	TH_LOG("%lu tries in %lu calls, %lu rounds of the reader, in %llu ms", tries, i,
	       reader_rounds(&self->reader), (now_ns() - began) / NSEC_PER_MSEC);

	ASSERT_EQ(0, hold_end(&self->hold));
	EXPECT_EQ(0, ps_add_seals(self->fd, F_SEAL_WRITE));
	reader_leave(&self->reader);
	reader_stop(&self->reader);
}

/*
 * A fault on a large folio counts the mappings of all pages that it maps first, and takes
 * their references afterwards: for a moment the reference count less the map count is too low
 * by one less than the pages of a fault. So many references are held here: a scan that trusts
 * the difference finds the folio free.
 */
FIXTURE(large_folio) {};

FIXTURE_VARIANT(large_folio)
{
	enum hold_kind kind;
};

FIXTURE_VARIANT_ADD(large_folio, vmsplice)	{ .kind = HOLD_VMSPLICE };
FIXTURE_VARIANT_ADD(large_folio, direct_read)	{ .kind = HOLD_DIRECT_READ };

FIXTURE_SETUP(large_folio) {}
FIXTURE_TEARDOWN(large_folio) {}

TEST_F(large_folio, does_not_hide_extra_references)
{
	uint64_t until = now_ns() + test_rounds(1000, 2000) * NSEC_PER_MSEC;
	unsigned int held = FAULT_BYTES / page_size() - 1;
	size_t size = large_folio_size();
	struct pinseal_page vec[2];
	struct pinseal_pins pins;
	struct pinseal_seal arg;
	struct reader reader;
	unsigned long tries;
	struct hold hold;
	int fd;

	if (!size || !held)
		SKIP(return, "no large folios here");
	fd = ps_create(size);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, make_large_folio(fd, size));
	run_on_cpu(0);
	ASSERT_EQ(0, reader_start(&reader, 1, 0));
	ASSERT_EQ(0, hold_begin(&hold, variant->kind, fd, 0, held));

	/* Otherwise nothing is tested. */
	ASSERT_EQ(0, ps_pins(fd, 0, vec, 2, &pins));
	ASSERT_EQ(1, pins.found);
	ASSERT_EQ(PINSEAL_PAGE_LARGE, vec[0].flags & LASTING_FLAGS);
	ASSERT_EQ(0, vec[0].index);
	ASSERT_EQ(size / page_size(), vec[0].pages);
	ASSERT_EQ(held, vec[0].extra);
	ASSERT_EQ(hold_is_dma(variant->kind) ? held : 0, vec[0].dma_pins);

	ASSERT_EQ(0, reader_follow(&reader, fd, FAULT_BYTES));
	for (tries = 0; tries < 1000 || reader_rounds(&reader) < ENOUGH_ROUNDS || now_ns() < until;
	     tries++) {
		arg = seal_write(1);
		arg.max_scans = 1;
		ASSERT_EQ(-EBUSY, ps_seal(fd, &arg)) TH_LOG("false success in try %lu", tries);
		ASSERT_EQ(PINSEAL_OUTCOME_PINNED, arg.outcome);
		ASSERT_EQ(size / page_size(), arg.pinned_pages);
		ASSERT_EQ(0, arg.first_pinned);
	}
	TH_LOG("%lu tries, %lu rounds of the reader", tries, reader_rounds(&reader));

	ASSERT_EQ(0, hold_end(&hold));
	EXPECT_EQ(0, ps_add_seals(fd, F_SEAL_WRITE));
	reader_stop(&reader);
	close(fd);
}

/* A reader alone neither fails nor delays a seal. */
static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

FIXTURE(reader) {};

FIXTURE_VARIANT(reader)
{
	bool copy;
};

FIXTURE_VARIANT_ADD(reader, maps)	{ .copy = false };
FIXTURE_VARIANT_ADD(reader, copies)	{ .copy = true };

FIXTURE_SETUP(reader) {}
FIXTURE_TEARDOWN(reader) {}

TEST_F(reader, is_harmless)
{
	uint64_t scans[100], waited[100];
	struct reader reader;
	unsigned int i;

	run_on_cpu(0);
	ASSERT_EQ(0, reader_start(&reader, 1, 0));
	reader.shared->copy = variant->copy;
	for (i = 0; i < ARRAY_SIZE(scans); i++) {
		struct pinseal_seal arg = seal_write(LATE_NS);
		int fd = ps_create(64 * 1024);

		ASSERT_LE(0, fd);
		ASSERT_EQ(0, fill_file(fd, 64 * 1024, 'r'));
		ASSERT_EQ(0, reader_follow(&reader, fd, 64 * 1024));
		ASSERT_EQ(0, ps_seal(fd, &arg)) TH_LOG("object %u: refused", i);
		reader_leave(&reader);
		close(fd);
		scans[i] = arg.scans;
		waited[i] = arg.waited_ns;
	}
	reader_stop(&reader);
	qsort(scans, ARRAY_SIZE(scans), sizeof(*scans), compare);
	qsort(waited, ARRAY_SIZE(waited), sizeof(*waited), compare);
	TH_LOG("scans: p50 %lu, p99 %lu; waited: p50 %lu us, p99 %lu us",
	       (unsigned long)scans[50], (unsigned long)scans[98],
	       (unsigned long)waited[50] / 1000, (unsigned long)waited[98] / 1000);
	EXPECT_GE(50, scans[50]);
}

/*
 * A pin through a mapping that is being unmapped. One thread pins, one unmaps, one seals:
 * either the pin succeeds and the seal fails until it is gone, or the pin fails.
 */
struct pinner {
	int fd, pipe[2];
	char *map;
	bool write;		/* pins in order to write, else to read */
	bool late;		/* gives the pinner time before it unmaps */
	unsigned int go;	/* how many of the three are ready */
	bool unmapped, done;
	char *source;
	unsigned int pinned;
};

static void all_together(struct pinner *p)
{
	__atomic_add_fetch(&p->go, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&p->go, __ATOMIC_SEQ_CST) < 3)
		sched_yield();
}

static void *pinning_thread(void *data)
{
	struct pinner *p = data;
	struct iovec source = { p->source, SIZE };
	struct iovec target = { p->map, SIZE };
	struct iovec page = { p->map, page_size() };

	all_together(p);
	for (;;) {
		ssize_t n;

		if (p->write) {
			p->source[p->pinned % SIZE]++;
			n = process_vm_writev(getpid(), &source, 1, &target, 1, 0);
		} else {
			n = vmsplice(p->pipe[1], &page, 1, SPLICE_F_NONBLOCK);
		}
		/* Ends when the mapping is gone or the pipe is full. */
		if (n <= 0)
			break;
		p->pinned++;
	}
	__atomic_store_n(&p->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static void *unmapping_thread(void *data)
{
	struct pinner *p = data;

	all_together(p);
	if (p->late)
		sched_yield();
	munmap(p->map, SIZE);
	__atomic_store_n(&p->unmapped, true, __ATOMIC_RELEASE);
	return NULL;
}

FIXTURE(pinner) {};

FIXTURE_VARIANT(pinner)
{
	bool write;
};

FIXTURE_VARIANT_ADD(pinner, reads)	{ .write = false };
FIXTURE_VARIANT_ADD(pinner, writes)	{ .write = true };

FIXTURE_SETUP(pinner) {}
FIXTURE_TEARDOWN(pinner) {}

TEST_F(pinner, pin_or_seal)
{
	uint64_t until = now_ns() + test_rounds(700, 3000) * NSEC_PER_MSEC;
	unsigned int rounds = 0, early = 0, late = 0;
	char *source = malloc(SIZE);

	ASSERT_NE(NULL, source);
	memset(source, 's', SIZE);
	while (rounds < 40 || (!variant->write && !early) || (rounds < 500 && now_ns() < until)) {
		struct pinner p = { .write = variant->write, .source = source };
		pthread_t pinning, unmapping;
		struct pinseal_seal arg;
		uint64_t before;
		int ret, queued;

		p.fd = ps_create(SIZE);
		ASSERT_LE(0, p.fd);
		ASSERT_EQ(0, fill_file(p.fd, SIZE, 'p'));
		ASSERT_EQ(0, pipe2(p.pipe, O_CLOEXEC));
		p.map = ps_map(p.fd, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED);
		ASSERT_NE(MAP_FAILED, p.map);
		p.late = rounds % 2;
		/* With filled and with empty page tables: fast and slow GUP. */
		if (rounds & 2)
			memset(p.map, 'm', SIZE);
		ASSERT_EQ(0, pthread_create(&pinning, NULL, pinning_thread, &p));
		ASSERT_EQ(0, pthread_create(&unmapping, NULL, unmapping_thread, &p));
		all_together(&p);

		/* Until both are done, any result is fine that is not wrong. */
		do {
			bool last = __atomic_load_n(&p.done, __ATOMIC_ACQUIRE) &&
				    __atomic_load_n(&p.unmapped, __ATOMIC_ACQUIRE);

			arg = seal_write(LONG_NS);
			if (rounds % 3)
				arg.max_scans = 1;
			else
				arg.flags = PINSEAL_SEAL_NOWAIT;
			ret = ps_seal(p.fd, &arg);
			if (last)
				break;
		} while (ret == -EBUSY);

		before = checksum(p.fd, SIZE);
		pthread_join(pinning, NULL);
		pthread_join(unmapping, NULL);
		ASSERT_EQ(0, ioctl(p.pipe[0], FIONREAD, &queued));
		if (!ret) {
			late++;
			/* Sealed: the pipe is empty, and nothing was written since. */
			EXPECT_EQ(0, queued);
			EXPECT_EQ(before, checksum(p.fd, SIZE));
		} else {
			ASSERT_EQ(-EBUSY, ret);
			early++;
			if (queued) {
				EXPECT_EQ(PINSEAL_OUTCOME_PINNED, arg.outcome);
				/* Long enough to drain the LRU batches of other CPUs. */
				arg = seal_write(100 * NSEC_PER_MSEC);
				EXPECT_EQ(-EBUSY, ps_seal(p.fd, &arg));
				EXPECT_EQ(1, arg.pinned_pages);
				EXPECT_EQ(0, arg.first_pinned);
			}
			close(p.pipe[0]);
			close(p.pipe[1]);
			p.pipe[0] = p.pipe[1] = -1;
			EXPECT_EQ(0, ps_add_seals(p.fd, F_SEAL_WRITE));
		}
		close(p.pipe[0]);
		close(p.pipe[1]);
		close(p.fd);
		rounds++;
	}
	free(source);
	TH_LOG("%u rounds: the pin was in time in %u, the seal in %u", rounds, early, late);
	/* A pin to write ends with the call, so it is rarely met. */
	if (!variant->write) {
		EXPECT_LT(0, early);
	}
}

TEST_HARNESS_MAIN

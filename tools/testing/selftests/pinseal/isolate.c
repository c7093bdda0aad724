// SPDX-License-Identifier: GPL-2.0-only
/*
 * PINSEAL_SEAL_ISOLATE: held pages are replaced by copies, so that the object can be sealed.
 * Its bytes stay what they were, whatever is written to the pages of the holder.
 */
#include <linux/falloc.h>
#include <pthread.h>
#include <sched.h>

#include "harness.h"
#include "alias.h"
#include "bytes.h"
#include "content.h"
#include "cpu.h"
#include "holders.h"
#include "isolate.h"
#include "large_folio.h"
#include "memcg.h"
#include "pagemap.h"
#include "sealer.h"
#include "zram_swap.h"

/* Each kind of holder */

FIXTURE(held) {
	int fd;
	size_t len, page;
	long shmem;		/* pages of shared memory, before */
	uint64_t bytes;
	struct hold hold;
};

FIXTURE_VARIANT(held) {
	enum hold_kind how;
	enum object_kind kind;
	bool writes;		/* when it ends */
};

FIXTURE_VARIANT_ADD(held, uring)		{ HOLD_URING, PINSEAL };
FIXTURE_VARIANT_ADD(held, direct_read)		{ HOLD_DIRECT_READ, PINSEAL, true };
FIXTURE_VARIANT_ADD(held, vm_writev)		{ HOLD_VM_WRITEV, PINSEAL, true };
FIXTURE_VARIANT_ADD(held, vmsplice)		{ HOLD_VMSPLICE, PINSEAL };
FIXTURE_VARIANT_ADD(held, splice)		{ HOLD_SPLICE, PINSEAL };
FIXTURE_VARIANT_ADD(held, imported_uring)	{ HOLD_URING, IMPORTED };
FIXTURE_VARIANT_ADD(held, imported_direct_read)	{ HOLD_DIRECT_READ, IMPORTED, true };
FIXTURE_VARIANT_ADD(held, imported_vmsplice)	{ HOLD_VMSPLICE, IMPORTED };
FIXTURE_VARIANT_ADD(held, created_uring)	{ HOLD_URING, CREATED };
FIXTURE_VARIANT_ADD(held, created_direct_read)	{ HOLD_DIRECT_READ, CREATED, true };
FIXTURE_VARIANT_ADD(held, created_vmsplice)	{ HOLD_VMSPLICE, CREATED };

FIXTURE_SETUP(held)
{
	/* Pages that another CPU fills would be in its LRU batch. */
	run_on_cpu(0);
	self->page = page_size();
	self->len = PAGES * self->page;
	self->shmem = shmem_pages();
	self->fd = obj_create(variant->kind, self->len);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, fill_file(self->fd, self->len, 'h'));
	self->bytes = checksum(self->fd, self->len);
	ASSERT_EQ(0, hold_begin(&self->hold, variant->how, self->fd, HELD_FROM, HELD));
}

FIXTURE_TEARDOWN(held)
{
	close(self->fd);
}

#define EXPECT_AS_BEFORE(self)							\
	do {									\
		EXPECT_EQ((self)->bytes, checksum((self)->fd, (self)->len));	\
		EXPECT_EQ((self)->bytes, checksum_mapped((self)->fd, (self)->len)); \
	} while (0)

TEST_F(held, is_sealed_at_once)
{
	struct pinseal_seal arg = isolate_at_once();

	ASSERT_EQ(0, ps_seal(self->fd, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_SEALED, arg.outcome);
	EXPECT_EQ(HELD, arg.isolated_pages);
	EXPECT_EQ(0, arg.pinned_pages);
	EXPECT_EQ(PINSEAL_NO_PAGE, arg.first_pinned);
	EXPECT_EQ(SEAL_ALL, ps_get_seals(self->fd));
	EXPECT_AS_BEFORE(self);
	ASSERT_EQ(0, hold_end(&self->hold));
	EXPECT_AS_BEFORE(self);
}

TEST_F(held, has_no_pins_afterwards)
{
	struct pinseal_seal arg = isolate_at_once();
	struct pinseal_page vec[PAGES];
	struct pinseal_pins pins;

	ASSERT_EQ(0, ps_seal(self->fd, &arg));
	ASSERT_EQ(0, ps_pins(self->fd, 0, vec, PAGES, &pins));
	/* Copies may be in an LRU batch. */
	EXPECT_EQ(0, pins.dma_pinned_pages);
	ASSERT_EQ(0, hold_end(&self->hold));
}

TEST_F(held, gives_its_memory_back)
{
	struct pinseal_seal arg = isolate_at_once();

	ASSERT_EQ(0, ps_seal(self->fd, &arg));
	ASSERT_EQ(0, hold_end(&self->hold));
	EXPECT_GE(PAGES + SHMEM_NOISE, shmem_pages() - self->shmem);
	close(self->fd);
	self->fd = -1;
	EXPECT_GE(SHMEM_NOISE, shmem_pages() - self->shmem);
}

TEST_F(held, is_not_isolated_when_released_in_time)
{
	struct pinseal_seal arg = seal_write(60 * NSEC_PER_SEC);
	struct hold_ender ender;

	/* The holder writes when it ends. */
	if (variant->writes)
		return;
	arg.flags = PINSEAL_SEAL_ISOLATE;
	ASSERT_EQ(0, hold_end_later(&ender, &self->hold, 20 * NSEC_PER_MSEC));
	ASSERT_EQ(0, ps_seal(self->fd, &arg));
	ASSERT_EQ(0, hold_ender_join(&ender));
	EXPECT_EQ(0, arg.isolated_pages);
	EXPECT_AS_BEFORE(self);
}

TEST_F(held, is_isolated_at_the_deadline)
{
	struct pinseal_seal arg = seal_write(20 * NSEC_PER_MSEC);

	arg.flags = PINSEAL_SEAL_ISOLATE;
	ASSERT_EQ(0, ps_seal(self->fd, &arg));
	EXPECT_EQ(HELD, arg.isolated_pages);
	EXPECT_LE(20 * NSEC_PER_MSEC, arg.waited_ns);
	ASSERT_EQ(0, hold_end(&self->hold));
	EXPECT_AS_BEFORE(self);
}

TEST_F(held, is_isolated_at_the_last_scan)
{
	struct pinseal_seal arg = seal_write(60 * NSEC_PER_SEC);

	arg.flags = PINSEAL_SEAL_ISOLATE;
	arg.max_scans = 3;
	ASSERT_EQ(0, ps_seal(self->fd, &arg));
	EXPECT_EQ(HELD, arg.isolated_pages);
	EXPECT_EQ(3, arg.scans);
	ASSERT_EQ(0, hold_end(&self->hold));
	EXPECT_AS_BEFORE(self);
}

TEST_F(held, stays_the_same_in_mappings)
{
	char *shared, *private;
	struct pinseal_seal arg = isolate_at_once();
	int ro = ps_reopen(self->fd, O_RDONLY);

	shared = ps_map(ro, self->len, PROT_READ, MAP_SHARED);
	private = ps_map(self->fd, self->len, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	ASSERT_NE(MAP_FAILED, shared);
	ASSERT_NE(MAP_FAILED, private);
	ASSERT_EQ('h', shared[HELD_FROM * self->page]);
	private[HELD_FROM * self->page] = 'p';
	ASSERT_EQ('h', private[(HELD_FROM + 1) * self->page]);
	ASSERT_EQ(0, ps_seal(self->fd, &arg));
	EXPECT_EQ(HELD, arg.isolated_pages);
	ASSERT_EQ(0, hold_end(&self->hold));
	EXPECT_EQ(self->bytes, sum_bytes((unsigned char *)shared, self->len));
	EXPECT_EQ('p', private[HELD_FROM * self->page]);
	EXPECT_EQ('h', private[(HELD_FROM + 1) * self->page]);
}

TEST_F(held, comes_back_from_swap)
{
	struct pinseal_seal arg = isolate_at_once();
	struct zram_swap swap;
	char *p;

	if (!zram_is_there())
		SKIP(return, "no zram");
	ASSERT_EQ(0, zram_swap_begin(&swap, 8 * self->len));
	ASSERT_EQ(0, ps_seal(self->fd, &arg));
	ASSERT_EQ(0, hold_end(&self->hold));
	p = ps_map(self->fd, self->len, PROT_READ, MAP_PRIVATE);
	for (int i = 0; i < 20; i++) {
		EXPECT_EQ(self->bytes, sum_bytes((unsigned char *)p, self->len));
		madvise(p, self->len, MADV_PAGEOUT);
	}
	EXPECT_AS_BEFORE(self);
	munmap(p, self->len);
	close(self->fd);
	self->fd = -1;
	zram_swap_end(&swap);
}

/* The pages of a mapping that are in memory. */
static size_t in_memory(void *p, size_t len)
{
	unsigned char there[PAGES];
	size_t pages = 0;

	if (mincore(p, len, there))
		return SIZE_MAX;
	for (size_t i = 0; i < len / page_size(); i++)
		pages += there[i] & 1;
	return pages;
}

/*
 * Swapped-out pages come back for a holder, or for a scan. Only those of the holder are
 * replaced.
 */
TEST(other_pages_come_back_from_swap)
{
	struct pinseal_seal arg = isolate_at_once();
	size_t len = PAGES * page_size(), left;
	int fd = ps_create(len);
	struct zram_swap swap;
	struct hold hold;
	uint64_t bytes;
	char *p;

	ASSERT_LE(0, fd);
	if (!zram_is_there())
		SKIP(return, "no zram");
	/* Pages in the LRU batch of another CPU cannot be paged out. */
	ASSERT_EQ(0, run_on_cpu(0));
	ASSERT_EQ(0, zram_swap_begin(&swap, 8 * len));
	ASSERT_EQ(0, fill_file(fd, len, 'n'));
	p = ps_map(fd, len, PROT_READ, MAP_PRIVATE);
	ASSERT_NE(MAP_FAILED, p);
	bytes = sum_bytes((unsigned char *)p, len);
	for (int i = 0; i < 100 && in_memory(p, len); i++) {
		madvise(p, len, MADV_PAGEOUT);
		sleep_ns(NSEC_PER_MSEC);
	}
	ASSERT_GT(PAGES / 2, in_memory(p, len));
	ASSERT_EQ(0, hold_begin(&hold, HOLD_VMSPLICE, fd, HELD_FROM, HELD));
	left = in_memory(p, len);
	EXPECT_LE(HELD, left);
	EXPECT_GT(PAGES, left);
	EXPECT_EQ(0, ps_seal(fd, &arg));
	EXPECT_EQ(HELD, arg.isolated_pages);
	EXPECT_EQ(PAGES, in_memory(p, len));
	EXPECT_EQ(bytes, sum_bytes((unsigned char *)p, len));
	EXPECT_EQ(0, hold_end(&hold));
	EXPECT_EQ(bytes, checksum(fd, len));
	munmap(p, len);
	close(fd);
	zram_swap_end(&swap);
}

/* A device that writes without rest */

struct writer {
	struct uring ring;
	char *map;		/* what was registered; unmapped */
	int source;		/* a file that has other bytes */
	size_t len;
	bool over;
	unsigned long writes;
	int error;
	pthread_t thread;
};

static void *writer_thread(void *data)
{
	struct writer *w = data;

	while (!__atomic_load_n(&w->over, __ATOMIC_ACQUIRE) && !w->error) {
		struct io_uring_sqe sqe = {
			.opcode = IORING_OP_READ_FIXED,
			.fd = w->source,
			.addr = (uintptr_t)w->map,
			.len = w->len,
			.off = 0,
		};
		struct io_uring_cqe cqe;

		w->error = uring_submit(&w->ring, &sqe) ?: uring_wait(&w->ring, &cqe);
		if (!w->error && cqe.res != w->len)
			w->error = cqe.res < 0 ? cqe.res : -EIO;
		__atomic_add_fetch(&w->writes, 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

/* Writes to the object as a device does: the bytes of another file, again and again. */
static int writer_start(struct writer *w, int fd, size_t len)
{
	int ret;

	memset(w, 0, sizeof(*w));
	w->len = len;
	w->source = memfd_open();
	ret = fill_file(w->source, len, 'W');
	w->map = ps_map(fd, len, PROT_READ | PROT_WRITE, MAP_SHARED);
	if (ret || w->map == MAP_FAILED)
		return ret ?: -ENOMEM;
	ret = uring_open(&w->ring, 4, 0) ?: uring_register_buffer(&w->ring, w->map, len);
	munmap(w->map, len);
	return ret ?: -pthread_create(&w->thread, NULL, writer_thread, w);
}

static void writer_wait(struct writer *w, unsigned long n)
{
	unsigned long from = __atomic_load_n(&w->writes, __ATOMIC_ACQUIRE);

	while (__atomic_load_n(&w->writes, __ATOMIC_ACQUIRE) < from + n && !w->error)
		sched_yield();
}

static int writer_end(struct writer *w)
{
	__atomic_store_n(&w->over, true, __ATOMIC_RELEASE);
	pthread_join(w->thread, NULL);
	uring_unregister_buffers(&w->ring);
	uring_close(&w->ring);
	close(w->source);
	return w->error;
}

TEST(busy_device_does_not_reach_a_sealed_object)
{
	size_t len = PAGES * page_size();

	for (int i = 0; i < test_rounds(15, 50); i++) {
		struct pinseal_seal arg = isolate_at_once();
		int fd = ps_create(len);
		struct writer w;
		uint64_t bytes;

		ASSERT_EQ(0, fill_file(fd, len, 'd'));
		ASSERT_EQ(0, writer_start(&w, fd, len));
		writer_wait(&w, i % 3);
		ASSERT_EQ(0, ps_seal(fd, &arg));
		EXPECT_EQ(PAGES, arg.isolated_pages);
		bytes = checksum(fd, len);
		writer_wait(&w, 3);
		EXPECT_EQ(bytes, checksum(fd, len));
		EXPECT_EQ(bytes, checksum_mapped(fd, len));
		ASSERT_EQ(0, writer_end(&w));
		EXPECT_EQ(bytes, checksum(fd, len));
		close(fd);
	}
}

/* Concurrent readers */

TEST(readers_always_see_the_same_bytes)
{
	size_t len = PAGES * page_size();
	uint64_t until = now_ns() + test_rounds(500, 2000) * NSEC_PER_MSEC;
	unsigned int rounds;

	for (rounds = 0; rounds < 20 || now_ns() < until; rounds++) {
		struct pinseal_seal arg = isolate_at_once();
		int fd = ps_create(len), toreader[2];
		struct hold hold;
		uint64_t bytes;
		pid_t pid;

		ASSERT_EQ(0, fill_file(fd, len, 'r'));
		ASSERT_EQ(0, pipe(toreader));
		bytes = checksum(fd, len);
		ASSERT_EQ(0, hold_begin(&hold, HOLD_VMSPLICE, fd, HELD_FROM, HELD));
		pid = ps_fork();
		if (!pid) {
			char *p = ps_map(fd, len, PROT_READ, MAP_PRIVATE);
			struct pollfd over = { .fd = toreader[0], .events = POLLIN };

			close(toreader[1]);
			while (!poll(&over, 1, 0)) {
				if (sum_bytes((unsigned char *)p, len) != bytes ||
				    checksum(fd, len) != bytes)
					_exit(1);
				madvise(p, len, MADV_DONTNEED);
			}
			_exit(0);
		}
		ASSERT_EQ(0, ps_seal(fd, &arg)) TH_LOG("round %u: outcome %u, %llu pages", rounds, arg.outcome,
						       arg.pinned_pages);
		EXPECT_LE(HELD, arg.isolated_pages);
		close(toreader[1]);
		close(toreader[0]);
		EXPECT_EQ(0, ps_wait(pid));
		ASSERT_EQ(0, hold_end(&hold));
		EXPECT_EQ(bytes, checksum(fd, len));
		close(fd);
	}
	TH_LOG("%u rounds", rounds);
}

/* Limits of isolation */

FIXTURE(object) {
	int fd;
	size_t len, page;
};

FIXTURE_SETUP(object)
{
	run_on_cpu(0);
	self->page = page_size();
	self->len = PAGES * self->page;
	self->fd = ps_create(self->len);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, fill_file(self->fd, self->len, 'o'));
}

FIXTURE_TEARDOWN(object)
{
	close(self->fd);
}

TEST_F(object, without_holders_is_left_alone)
{
	struct pinseal_seal arg = isolate_at_once();

	ASSERT_EQ(0, ps_seal(self->fd, &arg));
	EXPECT_EQ(0, arg.isolated_pages);
}

TEST_F(object, is_left_alone_by_other_seals)
{
	struct pinseal_seal arg = isolate_at_once();
	struct hold hold;

	ASSERT_EQ(0, hold_begin(&hold, HOLD_VMSPLICE, self->fd, 0, 1));
	arg.seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE;
	ASSERT_EQ(0, ps_seal(self->fd, &arg));
	EXPECT_EQ(0, arg.isolated_pages);
	arg = seal_write(NSEC_PER_MSEC);
	EXPECT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	ASSERT_EQ(0, hold_end(&hold));
}

TEST_F(object, mapped_writable_is_not_sealed)
{
	char *p = ps_map(self->fd, self->len, PROT_READ | PROT_WRITE, MAP_SHARED);
	struct pinseal_seal arg = isolate_at_once();
	struct hold hold;

	ASSERT_EQ(0, hold_begin(&hold, HOLD_VMSPLICE, self->fd, 0, 1));
	EXPECT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_WRITABLE_MAPPING, arg.outcome);
	EXPECT_EQ(0, arg.isolated_pages);
	p[0] = 'x';
	ASSERT_EQ(0, hold_end(&hold));
}

TEST_F(object, with_a_large_folio_held_is_not_sealed)
{
	size_t size = large_folio_size();
	struct pinseal_seal arg = isolate_at_once();
	struct hold hold;
	uint64_t bytes;
	int fd;

	if (!size)
		SKIP(return, "no large folios here");
	fd = ps_create(size);
	ASSERT_EQ(0, make_large_folio(fd, size));
	bytes = checksum(fd, size);
	ASSERT_EQ(0, hold_begin(&hold, HOLD_URING, fd, 7, 1));
	EXPECT_EQ(-EBUSY, ps_seal(fd, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_LARGE_FOLIO, arg.outcome);
	EXPECT_EQ(0, arg.isolated_pages);
	EXPECT_EQ(size / self->page, arg.pinned_pages);
	EXPECT_EQ(0, ps_get_seals(fd));
	EXPECT_EQ(1, sys(pwrite(fd, "l", 1, 0)));
	ASSERT_EQ(0, hold_end(&hold));
	arg = isolate_at_once();
	EXPECT_EQ(0, ps_seal(fd, &arg));
	EXPECT_EQ(bytes, checksum(fd, size));
	close(fd);
}

/* Each call isolates a bounded number; the next one continues. */
TEST_F(object, with_many_pages_held_takes_several_calls)
{
	unsigned int pages = 2500, calls;
	struct pinseal_seal arg;
	unsigned long isolated = 0;
	struct hold hold;
	uint64_t bytes;
	int ret = -EBUSY;

	ASSERT_EQ(0, ps_resize(self->fd, pages * self->page));
	ASSERT_EQ(0, fill_file(self->fd, pages * self->page, 'm'));
	bytes = checksum(self->fd, pages * self->page);
	ASSERT_EQ(0, hold_begin(&hold, HOLD_URING, self->fd, 0, pages));
	for (calls = 0; ret == -EBUSY && calls < 10; calls++) {
		arg = isolate_at_once();
		ret = ps_seal(self->fd, &arg);
		EXPECT_EQ(ret ? PINSEAL_OUTCOME_PINNED : PINSEAL_OUTCOME_SEALED, arg.outcome);
		isolated += arg.isolated_pages;
		EXPECT_EQ(ret ? pages - isolated : 0, arg.pinned_pages);
	}
	EXPECT_EQ(0, ret);
	EXPECT_LT(1, calls);
	EXPECT_EQ(pages, isolated);
	EXPECT_EQ(bytes, checksum(self->fd, pages * self->page));
	ASSERT_EQ(0, hold_end(&hold));
	EXPECT_EQ(bytes, checksum(self->fd, pages * self->page));
}

/* What a call did before it was restarted counts. */
TEST_F(object, isolates_what_earlier_calls_left)
{
	struct pinseal_seal arg = isolate_at_once();
	unsigned int pages = 10;
	struct hold hold;

	ASSERT_EQ(0, ps_resize(self->fd, pages * self->page));
	ASSERT_EQ(0, fill_file(self->fd, pages * self->page, 'm'));
	ASSERT_EQ(0, hold_begin(&hold, HOLD_URING, self->fd, 0, pages));
	arg.scans = 1;
	arg.isolated_pages = 1024 - 4;
	EXPECT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_PINNED, arg.outcome);
	EXPECT_EQ(1024, arg.isolated_pages);
	EXPECT_EQ(pages - 4, arg.pinned_pages);
	/* Whatever the caller claims. */
	arg = isolate_at_once();
	arg.waited_ns = 1;
	arg.isolated_pages = UINT64_MAX;
	EXPECT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	EXPECT_EQ(1024, arg.isolated_pages);
	EXPECT_EQ(pages - 4, arg.pinned_pages);
	/* A new call starts from zero. */
	arg = isolate_at_once();
	arg.isolated_pages = UINT64_MAX;
	EXPECT_EQ(0, ps_seal(self->fd, &arg));
	EXPECT_EQ(pages - 4, arg.isolated_pages);
	ASSERT_EQ(0, hold_end(&hold));
}

TEST_F(object, keeps_the_charge_of_its_pages)
{
	struct memcg group;
	struct pinseal_seal arg = isolate_at_once();
	struct hold hold;
	pid_t pid;

	if (!memcg_is_there())
		SKIP(return, "no cgroup2");
	ASSERT_EQ(0, memcg_make(&group, NULL, "isolate"));
	pid = ps_fork();
	if (!pid) {
		if (memcg_join(&group) || ps_resize(self->fd, 256 * self->page))
			_exit(1);
		_exit(fill_file(self->fd, 256 * self->page, 'c') != 0);
	}
	ASSERT_EQ(0, ps_wait(pid));
	ASSERT_LE(200, memcg_shmem_pages(&group));
	ASSERT_EQ(0, hold_begin(&hold, HOLD_VMSPLICE, self->fd, PAGES, 8));
	ASSERT_EQ(0, ps_seal(self->fd, &arg));
	EXPECT_EQ(8, arg.isolated_pages);
	/* The copy is charged to the group of the page, not to the sealer's. */
	EXPECT_LE(256 - PAGES, memcg_shmem_pages(&group));
	ASSERT_EQ(0, hold_end(&hold));
	close(self->fd);
	self->fd = -1;
	EXPECT_GE(8, memcg_shmem_pages(&group));
	EXPECT_TRUE(memcg_remove(&group));
}

/* The holder keeps each page that is replaced, so calls could charge copies again and again. */
TEST_F(object, ends_where_the_group_of_its_pages_is_full)
{
	const unsigned int pages = 1025, most = 4;
	size_t len = pages * self->page;
	struct pinseal_seal arg;
	struct hold holds[2 * most];
	struct memcg group;
	unsigned int calls;
	uint64_t bytes;
	int ret = -EBUSY;
	pid_t pid;

	if (!memcg_is_there())
		SKIP(return, "no cgroup2");
	ASSERT_EQ(0, memcg_make(&group, NULL, "full"));
	ASSERT_EQ(0, memcg_write_number(&group, "memory.max", most * len));
	pid = ps_fork();
	if (!pid) {
		if (memcg_join(&group) || ps_resize(self->fd, len))
			_exit(1);
		_exit(fill_file(self->fd, len, 'c') != 0);
	}
	ASSERT_EQ(0, ps_wait(pid));
	bytes = checksum(self->fd, len);
	for (calls = 0; ret == -EBUSY && calls < 2 * most; calls++) {
		ASSERT_EQ(0, hold_begin(&holds[calls], HOLD_URING, self->fd, 0, pages));
		arg = isolate_at_once();
		ret = ps_seal(self->fd, &arg);
	}
	TH_LOG("%u calls, %ld of %zu bytes", calls, memcg_read(&group, "memory.current"), most * len);
	EXPECT_EQ(-ENOMEM, ret);
	EXPECT_EQ(PINSEAL_OUTCOME_NO_MEMORY, arg.outcome);
	/* By the pages of one call. */
	EXPECT_GE((most + 1) * len, memcg_read(&group, "memory.current"));
	EXPECT_EQ(bytes, checksum(self->fd, len));
	while (calls)
		ASSERT_EQ(0, hold_end(&holds[--calls]));
	ASSERT_EQ(0, ps_add_seals(self->fd, F_SEAL_WRITE));
	close(self->fd);
	self->fd = -1;
	EXPECT_TRUE(memcg_remove(&group));
}

TEST_HARNESS_MAIN

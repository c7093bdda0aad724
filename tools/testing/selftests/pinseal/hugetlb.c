// SPDX-License-Identifier: GPL-2.0-only
/*
 * Imported memfds in hugetlbfs: seals, lists and waits as for other memory. A page that is mapped
 * cannot be zapped there, so it counts as one with an extra reference.
 */
#include <pthread.h>

#include "content.h"
#include "object.h"
#include "sealer.h"
#include "sysfile.h"
#include "uring.h"

#include "harness.h"

#define RW		(PROT_READ | PROT_WRITE)
#define POOL		"/proc/sys/vm/nr_hugepages"

#ifndef MFD_HUGETLB
#define MFD_HUGETLB	0x0004U
#endif

/* Two huge pages. @page: the size of one in bytes, @pages: in pages */
FIXTURE(hugetlb)
{
	int fd, memfd;
	size_t page, len;
	uint64_t pages;
	long pool;		/* huge pages of the machine before */
	struct uring ring;
	bool pinned;
};

static void set_pool(long pages)
{
	char text[32];

	snprintf(text, sizeof(text), "%ld", pages);
	write_text(POOL, text);
}

FIXTURE_SETUP(hugetlb)
{
	struct stat st;

	self->fd = -1;
	self->pool = read_number(POOL);
	self->memfd = memfd_create("huge", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB);
	if (self->memfd < 0)
		SKIP(return, "no hugetlbfs: %s", strerror(errno));
	ASSERT_EQ(0, fstat(self->memfd, &st));
	self->page = st.st_blksize;
	self->pages = self->page / page_size();
	self->len = 2 * self->page;
	set_pool(self->pool + 4);
	if (read_number(POOL) < self->pool + 4 || ftruncate(self->memfd, self->len) ||
	    fallocate(self->memfd, 0, 0, self->len))
		SKIP(return, "no memory for huge pages of %zu KiB", self->page / 1024);
	self->fd = import_open(self->memfd);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(hugetlb)
{
	if (self->pinned)
		uring_close(&self->ring);
	if (self->fd >= 0)
		close(self->fd);
	if (self->memfd >= 0)
		close(self->memfd);
	set_pool(self->pool);
}

/* Pins the huge page of that number by a registered buffer, which needs no mapping then. */
static int pin(FIXTURE_DATA(hugetlb) *self, unsigned int number)
{
	char *p = mmap(NULL, self->len, RW, MAP_SHARED, self->memfd, 0);
	int ret;

	if (p == MAP_FAILED)
		return -errno;
	memset(p + number * self->page, 'h', self->page);
	ret = uring_open(&self->ring, 8, 0);
	if (!ret)
		ret = uring_register_buffer(&self->ring, p + number * self->page, page_size());
	self->pinned = !ret;
	munmap(p, self->len);
	return ret;
}

static int unpin(FIXTURE_DATA(hugetlb) *self)
{
	int ret = uring_unregister_buffers(&self->ring);

	uring_close(&self->ring);
	self->pinned = false;
	return ret;
}

TEST_F(hugetlb, is_sealed)
{
	struct pinseal_seal arg = seal_write(LONG_NS);

	arg.seals |= F_SEAL_SHRINK | F_SEAL_GROW;
	ASSERT_EQ(0, ps_seal(self->fd, &arg));
	EXPECT_EQ(arg.seals, fcntl(self->memfd, F_GET_SEALS));
	EXPECT_EQ(arg.seals, ps_get_seals(self->fd));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, self->len, RW, MAP_SHARED, self->memfd, 0));
	EXPECT_EQ(EPERM, errno);
	EXPECT_EQ(-EPERM, ps_fallocate(self->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
				       self->page));
	EXPECT_EQ(-EPERM, sys(ftruncate(self->memfd, 0)));
	EXPECT_EQ(-EPERM, ps_resize(self->fd, 2 * self->len));
}

TEST_F(hugetlb, seals_of_the_owner_are_seen)
{
	ASSERT_EQ(0, fcntl(self->memfd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SEAL));
	EXPECT_EQ(F_SEAL_GROW | F_SEAL_SEAL, ps_get_seals(self->fd));
	EXPECT_EQ(-EPERM, ps_add_seals(self->fd, F_SEAL_SHRINK));
}

TEST_F(hugetlb, a_pin_is_reported)
{
	struct pinseal_seal arg = seal_write(20 * NSEC_PER_MSEC);
	struct pinseal_page vec[4];
	struct pinseal_pins pins;

	ASSERT_EQ(0, pin(self, 1));
	EXPECT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_PINNED, arg.outcome);
	/* Counted and numbered in pages of the usual size. */
	EXPECT_EQ(self->pages, arg.pinned_pages);
	EXPECT_EQ(self->pages, arg.first_pinned);
	EXPECT_LE(18 * NSEC_PER_MSEC, arg.waited_ns);

	ASSERT_EQ(0, ps_pins(self->fd, 0, vec, ARRAY_SIZE(vec), &pins));
	ASSERT_EQ(1, pins.found);
	EXPECT_EQ(self->pages, vec[0].index);
	EXPECT_EQ(self->pages, vec[0].pages);
	EXPECT_EQ(1, vec[0].dma_pins);
	EXPECT_EQ(0, vec[0].mapped);
	EXPECT_EQ(PINSEAL_PAGE_LARGE, vec[0].flags & PINSEAL_PAGE_LARGE);
	EXPECT_EQ(0, ps_get_seals(self->fd));

	ASSERT_EQ(0, unpin(self));
	EXPECT_EQ(0, ps_add_seals(self->fd, F_SEAL_WRITE));
}

TEST_F(hugetlb, a_pin_is_waited_for)
{
	struct sealer sealer;

	ASSERT_EQ(0, pin(self, 0));
	ASSERT_EQ(0, sealer_start(&sealer, self->fd, seal_write(LONG_NS)));
	sleep_ns(20 * NSEC_PER_MSEC);
	EXPECT_FALSE(sealer_done(&sealer));
	ASSERT_EQ(0, unpin(self));
	EXPECT_EQ(0, sealer_join(&sealer));
	EXPECT_EQ(F_SEAL_WRITE, fcntl(self->memfd, F_GET_SEALS));
}

TEST_F(hugetlb, is_not_isolated)
{
	struct pinseal_seal arg = seal_write(0);

	ASSERT_EQ(0, pin(self, 0));
	arg.flags = PINSEAL_SEAL_ISOLATE | PINSEAL_SEAL_NOWAIT;
	EXPECT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_LARGE_FOLIO, arg.outcome);
	EXPECT_EQ(0, arg.isolated_pages);
	EXPECT_EQ(0, ps_get_seals(self->fd));
}

TEST_F(hugetlb, a_writable_mapping_is_waited_for_or_not)
{
	char *p = mmap(NULL, self->len, RW, MAP_SHARED, self->memfd, 0);
	struct pinseal_seal arg = seal_write(LONG_NS);
	struct sealer sealer;

	ASSERT_NE(MAP_FAILED, p);
	memset(p, 'w', self->len);
	EXPECT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_WRITABLE_MAPPING, arg.outcome);
	arg = seal_write(LONG_NS);
	arg.flags = PINSEAL_SEAL_WAIT_MAPPED;
	ASSERT_EQ(0, sealer_start(&sealer, self->fd, arg));
	EXPECT_FALSE(sealer_done(&sealer));
	munmap(p, self->len);
	EXPECT_EQ(0, sealer_join(&sealer));
}

/* Readers must unmap, but need not be told: the seal waits for them. */
TEST_F(hugetlb, a_reader_is_waited_for)
{
	volatile char *p = mmap(NULL, self->len, PROT_READ, MAP_PRIVATE | MAP_NORESERVE,
				self->memfd, 0);
	struct pinseal_seal arg = seal_write(20 * NSEC_PER_MSEC);
	struct sealer sealer;

	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(0, p[self->page]);
	EXPECT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_PINNED, arg.outcome);
	EXPECT_EQ(self->pages, arg.first_pinned);
	EXPECT_EQ(0, p[0]);
	ASSERT_EQ(0, sealer_start(&sealer, self->fd, seal_write(LONG_NS)));
	EXPECT_FALSE(sealer_done(&sealer));
	munmap((void *)p, self->len);
	EXPECT_EQ(0, sealer_join(&sealer));
	/* Reading is possible again. */
	p = mmap(NULL, self->len, PROT_READ, MAP_SHARED, self->memfd, 0);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(0, p[0]);
	EXPECT_EQ(-EACCES, sys(mprotect((void *)p, self->len, RW)));
	munmap((void *)p, self->len);
}

TEST_F(hugetlb, what_does_not_work_says_so)
{
	char byte = 'x', *p = mmap(NULL, self->len, RW, MAP_SHARED, self->memfd, 0);

	ASSERT_NE(MAP_FAILED, p);
	p[self->page] = 'r';
	EXPECT_EQ(-ENODEV, ps_try_map(self->fd, self->len, PROT_READ, MAP_SHARED));
	EXPECT_EQ(-ENODEV, ps_try_map(self->fd, self->len, RW, MAP_PRIVATE));
	EXPECT_EQ(-EOPNOTSUPP, ps_pin(self->fd, 0, 1, 0));
	EXPECT_EQ(-EOPNOTSUPP, ps_mirror(self->fd, 0, 1, 0, p));
	EXPECT_EQ(-EINVAL, sys(pwrite(self->fd, &byte, 1, 0)));
	EXPECT_EQ(1, sys(pread(self->fd, &byte, 1, self->page)));
	EXPECT_EQ('r', byte);
	munmap(p, self->len);
}

/* Pins and unpins without rest. */
struct pinner {
	FIXTURE_DATA(hugetlb) *self;
	bool over, holds;
	unsigned long times;
};

static void *pinner_thread(void *data)
{
	struct pinner *p = data;

	while (!__atomic_load_n(&p->over, __ATOMIC_ACQUIRE)) {
		if (pin(p->self, p->times % 2))
			continue;
		__atomic_store_n(&p->holds, true, __ATOMIC_SEQ_CST);
		p->times++;
		sched_yield();
		__atomic_store_n(&p->holds, false, __ATOMIC_SEQ_CST);
		unpin(p->self);
	}
	return NULL;
}

static void *reader_thread(void *data)
{
	struct pinner *p = data;

	while (!__atomic_load_n(&p->over, __ATOMIC_ACQUIRE)) {
		volatile char *at = mmap(NULL, p->self->len, PROT_READ,
					 MAP_PRIVATE | MAP_NORESERVE,
					 p->self->memfd, 0);

		if (at == MAP_FAILED)
			continue;
		(void)at[0];
		(void)at[p->self->page];
		munmap((void *)at, p->self->len);
	}
	return NULL;
}

/* No seal succeeds while a page is pinned, whatever readers map and unmap at that moment. */
TEST_F(hugetlb, against_pins_and_readers)
{
	uint64_t until = now_ns() + test_rounds(1000, 10000) * NSEC_PER_MSEC;
	struct pinner p = { .self = self };
	unsigned long sealed = 0, refused = 0;
	pthread_t threads[2];

	while (sealed < 5 || (now_ns() < until && sealed < 1000)) {
		int memfd = memfd_create("huge", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB);
		bool holds;
		int ret;

		/* The next object has the pages of the one before. */
		close(self->fd);
		close(self->memfd);
		self->memfd = memfd;
		ASSERT_EQ(0, ftruncate(memfd, self->len));
		/* Pins that the kernel has yet to drop keep pages of the one before. */
		while (fallocate(memfd, 0, 0, self->len))
			sched_yield();
		self->fd = import_open(memfd);
		ASSERT_LE(0, self->fd);
		p.over = false;
		p.holds = false;
		ASSERT_EQ(0, pthread_create(&threads[0], NULL, pinner_thread, &p));
		ASSERT_EQ(0, pthread_create(&threads[1], NULL, reader_thread, &p));
		do {
			struct pinseal_seal arg = seal_write(NSEC_PER_MSEC);

			ret = ps_seal(self->fd, &arg);
			holds = __atomic_load_n(&p.holds, __ATOMIC_SEQ_CST);
			refused += ret == -EBUSY;
		} while (ret == -EBUSY);
		EXPECT_EQ(0, ret);
		EXPECT_FALSE(holds);
		__atomic_store_n(&p.over, true, __ATOMIC_RELEASE);
		pthread_join(threads[0], NULL);
		pthread_join(threads[1], NULL);
		sealed++;
	}
	EXPECT_LT(0, refused);
}

TEST_HARNESS_MAIN

// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory is taken offline while objects have pages in it, so that the kernel migrates them.
 * Sealed objects keep bytes and seals, others can be sealed.
 */
#include <pthread.h>

#include "harness.h"
#include "bytes.h"
#include "content.h"
#include "object.h"
#include "pagemap.h"
#include "protect.h"
#include "random.h"
#include "sysfile.h"

#define MEMORY		"/sys/devices/system/memory"

/* The last block that is looked for. */
#define LAST_BLOCK	255

/* How long the kernel may try to migrate pages. */
#define OFFLINE_S	10

/* More than what LRU batches keep away from a block. */
#define SIZE		(4UL << 20)

static int block_path(char *path, size_t size, long block, const char *file)
{
	return snprintf(path, size, MEMORY "/memory%ld/%s", block, file);
}

/* Sets the state of a block: 0, or -errno; -EINTR when pages cannot be migrated in time. */
static int block_set(long block, const char *state)
{
	char path[96];
	int ret;

	block_path(path, sizeof(path), block, "state");
	alarm(OFFLINE_S);
	ret = write_text(path, state);
	alarm(0);
	return ret;
}

static bool block_is(long block, const char *state)
{
	char path[96], text[32];

	block_path(path, sizeof(path), block, "state");
	return !read_text(path, text, sizeof(text)) && !strcmp(text, state);
}

static size_t block_size(void)
{
	char text[32];

	read_text(MEMORY "/block_size_bytes", text, sizeof(text));
	return strtoul(text, NULL, 16);
}

/* Pages of a mapping, all of which are touched, that are in the block. */
static size_t pages_in_block(const volatile char *p, size_t len, long block)
{
	size_t pages = 0;

	for (size_t at = 0; at < len; at += page_size()) {
		uint64_t frame;

		(void)p[at];
		frame = page_frame((const char *)p + at);
		pages += frame && frame * page_size() / block_size() == block;
	}
	return pages;
}

static void nothing(int sig)
{
}

/*
 * Two blocks that can be offlined, from which movable pages are allocated first. One of them is always
 * online: when the last block of a zone goes, the kernel frees the lists of free pages that CPUs have of
 * it, beside allocations that use them (Documentation/upstream/emptied-zone.rst).
 */
FIXTURE(memory_block) {
	long number;		/* the one with the object's pages */
	long other;
	int fd;
	char *p;		/* the object, read-only */
};

ON_EVERY_KIND(memory_block);

FIXTURE_SETUP(memory_block)
{
	/* Without SA_RESTART: SIGALRM has to end a write(). */
	struct sigaction sa = { .sa_handler = nothing };

	self->fd = -1;
	self->number = self->other = -1;
	sigaction(SIGALRM, &sa, NULL);
	if (access(MEMORY "/block_size_bytes", R_OK))
		SKIP(return, "no memory hotplug");
	for (long i = LAST_BLOCK; i >= 0 && self->other < 0; i--) {
		if (!block_is(i, "online") || block_set(i, "offline"))
			continue;
		ASSERT_EQ(0, block_set(i, "online_movable"));
		*(self->number < 0 ? &self->number : &self->other) = i;
	}
	if (self->other < 0)
		SKIP(return, "no two blocks of memory that the kernel can do without");

	self->fd = obj_create(variant->kind, SIZE);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, fill_file(self->fd, SIZE, 'h'));
	self->p = ps_map(self->fd, SIZE, PROT_READ, MAP_PRIVATE);
	ASSERT_NE(MAP_FAILED, self->p);
	ASSERT_LT(0, pages_in_block(self->p, SIZE, self->number));
}

static void put_back(long block)
{
	if (block < 0)
		return;
	block_set(block, "offline");
	block_set(block, "online");
}

FIXTURE_TEARDOWN(memory_block)
{
	if (self->fd >= 0) {
		munmap(self->p, SIZE);
		close(self->fd);
	}
	put_back(self->number);
	put_back(self->other);
}

TEST_F(memory_block, with_a_sealed_object)
{
	uint64_t bytes = checksum(self->fd, SIZE);

	ASSERT_EQ(0, obj_add_seals(self->fd, F_SEAL_WRITE));
	ASSERT_EQ(0, block_set(self->number, "offline"));
	EXPECT_EQ(0, pages_in_block(self->p, SIZE, self->number));
	EXPECT_EQ(bytes, checksum(self->fd, SIZE));
	EXPECT_EQ(bytes, checksum_mapped(self->fd, SIZE));
	EXPECT_EQ(bytes, sum_bytes((unsigned char *)self->p, SIZE));
	EXPECT_EQ(F_SEAL_WRITE, obj_get_seals(self->fd) & F_SEAL_WRITE);
	EXPECT_EQ(-EPERM, sys(pwrite(self->fd, "x", 1, 0)));
	EXPECT_EQ(-EPERM, ps_try_map(self->fd, SIZE, RW, MAP_SHARED));
	ASSERT_EQ(0, block_set(self->number, "online_movable"));
	EXPECT_EQ(bytes, checksum(self->fd, SIZE));
}

TEST_F(memory_block, with_an_object_sealed_afterwards)
{
	uint64_t bytes = checksum(self->fd, SIZE);

	ASSERT_EQ(0, block_set(self->number, "offline"));
	EXPECT_EQ(0, pages_in_block(self->p, SIZE, self->number));
	EXPECT_EQ(bytes, checksum(self->fd, SIZE));
	EXPECT_EQ(0, obj_add_seals(self->fd, F_SEAL_WRITE));
	EXPECT_EQ(bytes, checksum(self->fd, SIZE));
	ASSERT_EQ(0, block_set(self->number, "online_movable"));
}

/* A page that is shown elsewhere has a reference, which nothing but its mappings' end drops. */
TEST_F(memory_block, with_pages_that_are_shown_elsewhere)
{
	uint64_t bytes = checksum(self->fd, SIZE);
	size_t len = SIZE - page_size();
	char *q;

	if (variant->kind != PINSEAL)
		SKIP(return, "memory that others may truncate is not remapped");
	q = ps_map(self->fd, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, q);
	ASSERT_EQ(0, ps_remap(self->fd, q, len, 1, PROT_READ));
	for (size_t at = 0; at < len; at += page_size())
		ASSERT_EQ('h', *(volatile char *)(q + at));
	EXPECT_EQ(-EINTR, block_set(self->number, "offline"));
	EXPECT_TRUE(block_is(self->number, "online"));
	EXPECT_LT(0, pages_in_block(self->p, SIZE, self->number));
	EXPECT_EQ(bytes, checksum(self->fd, SIZE));
	ASSERT_EQ(0, munmap(q, SIZE));
	ASSERT_EQ(0, block_set(self->number, "offline"));
	EXPECT_EQ(0, pages_in_block(self->p, SIZE, self->number));
	EXPECT_EQ(bytes, checksum(self->fd, SIZE));
	ASSERT_EQ(0, block_set(self->number, "online_movable"));
}

/*
 * The blocks go off- and online, in turn, while objects are made, sealed and read: pages are taken
 * from the block that has been online for longer.
 */

struct mover {
	long blocks[2];
	bool quit;
	unsigned int times;
	pthread_t thread;
};

static void *move_all_the_time(void *data)
{
	struct mover *m = data;

	for (unsigned int i = 0; !__atomic_load_n(&m->quit, __ATOMIC_ACQUIRE); i++) {
		long block = m->blocks[i % 2];

		if (!block_set(block, "offline"))
			__atomic_add_fetch(&m->times, 1, __ATOMIC_RELEASE);
		block_set(block, "online_movable");
	}
	return NULL;
}

static unsigned int moved(const struct mover *m)
{
	return __atomic_load_n(&m->times, __ATOMIC_ACQUIRE);
}

TEST_F(memory_block, goes_off_and_online)
{
	uint64_t until = now_ns() + test_rounds(300, 2000) * NSEC_PER_MSEC;
	struct mover m = { .blocks = { self->number, self->other } };
	unsigned int rounds, refused = 0;
	sigset_t alarms;

	ASSERT_EQ(0, pthread_create(&m.thread, NULL, move_all_the_time, &m));
	/* For the mover. */
	sigemptyset(&alarms);
	sigaddset(&alarms, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &alarms, NULL);
	for (rounds = 0; rounds < 5 || !moved(&m) || now_ns() < until; rounds++) {
		int fd = obj_create(variant->kind, SIZE), ret;
		uint64_t bytes;

		ASSERT_LE(0, fd);
		ASSERT_EQ(0, fill_file(fd, SIZE, 'a' + rounds % 20));
		bytes = checksum(fd, SIZE);
		ret = obj_add_seals(fd, F_SEAL_WRITE);
		/* To memfd, a page under migration is a pinned one. */
		if (ret == -EBUSY && variant->kind == MEMFD)
			refused++;
		else
			EXPECT_EQ(0, ret);
		EXPECT_EQ(bytes, checksum(fd, SIZE));
		if (!ret)
			EXPECT_EQ(bytes, checksum_mapped(fd, SIZE));
		close(fd);
	}
	__atomic_store_n(&m.quit, true, __ATOMIC_RELEASE);
	pthread_join(m.thread, NULL);
	pthread_sigmask(SIG_UNBLOCK, &alarms, NULL);
	TH_LOG("%u objects, %u refused; a block went %u times", rounds, refused, m.times);
	EXPECT_LT(0, m.times);
}

TEST_HARNESS_MAIN

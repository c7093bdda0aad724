// SPDX-License-Identifier: GPL-2.0-only
/*
 * Locked mappings of this process and another one. The sealer zaps their pages to count
 * references, or replaces them by copies. When the call returns, whatever its result, all
 * pages are mapped and locked again.
 */
#include "harness.h"
#include "async.h"
#include "content.h"
#include "cpu.h"
#include "holders.h"
#include "isolate.h"
#include "large_folio.h"
#include "pagemap.h"
#include "alias.h"

FIXTURE(mlock_kept) {
	size_t page, len;
	struct aliased object;
	char *p;
	pid_t pid;		/* the other process */
	int ready, go;		/* pipes to it */
};

BY_EVERY_ALIAS(mlock_kept);

/*
 * What to expect of the pages of a mapping. The kernel counts mlocks of a folio in batches of
 * each CPU: when one CPU unmaps it and another maps it again, the flag may be lost until
 * reclaim meets the folio. So MLOCKED is only for seals that run on one CPU.
 */
enum expected {
	PRESENT = 'p',
	MLOCKED = 'm',
};

static bool all_are(enum expected expected, const char *p, size_t len)
{
	for (size_t at = 0; at < len; at += page_size())
		if (expected == MLOCKED ? !page_is_locked(p + at) : !page_frame(p + at))
			return false;
	return true;
}

/* In the other process: locks a mapping of the alias that begins at the second page. */
static int lock_and_check(FIXTURE_DATA(mlock_kept) *self, int ready, int go)
{
	size_t len = self->len - self->page;
	char *p = mmap(NULL, len, PROT_READ, MAP_PRIVATE, self->object.other, self->page), c;

	if (p == MAP_FAILED || mlock(p, len) || !all_are(MLOCKED, p, len))
		return 1;
	if (write(ready, "x", 1) != 1 || read(go, &c, 1) != 1)
		return 2;
	if (!all_are(c, p, len))
		return 3;
	return p[HELD_FROM * self->page] == 'l' ? 0 : 4;
}

FIXTURE_SETUP(mlock_kept)
{
	int ready[2], go[2];
	char c;

	run_on_cpu(0);
	self->page = page_size();
	self->len = PAGES * self->page;
	ASSERT_EQ(0, aliased_open(&self->object, variant->alias, self->len));
	ASSERT_EQ(0, fill_file(self->object.fd, self->len, 'l'));
	ASSERT_EQ(0, pipe(ready));
	ASSERT_EQ(0, pipe(go));
	self->pid = ps_fork();
	if (!self->pid) {
		close(ready[0]);
		close(go[1]);
		_exit(lock_and_check(self, ready[1], go[0]));
	}
	close(ready[1]);
	close(go[0]);
	self->ready = ready[0];
	self->go = go[1];
	ASSERT_EQ(1, read(self->ready, &c, 1));
	self->p = ps_map(self->object.other, self->len, PROT_READ, MAP_PRIVATE);
	ASSERT_NE(MAP_FAILED, self->p);
	ASSERT_EQ(0, mlock(self->p, self->len));
	ASSERT_TRUE(all_are(MLOCKED, self->p, self->len));
}

FIXTURE_TEARDOWN(mlock_kept)
{
	aliased_close(&self->object);
}

#define EXPECT_ALL(expected, self)						\
	do {									\
		char c = expected;						\
										\
		EXPECT_TRUE(all_are(c, (self)->p, (self)->len));		\
		EXPECT_EQ(1, write((self)->go, &c, 1));				\
		EXPECT_EQ(0, ps_wait((self)->pid));				\
	} while (0)

TEST_F(mlock_kept, after_isolation)
{
	struct pinseal_seal arg = isolate_at_once();
	struct hold hold;

	/* The held pages are mapped. */
	ASSERT_EQ(0, hold_begin(&hold, HOLD_VMSPLICE, self->object.fd, HELD_FROM, HELD));
	ASSERT_EQ(0, ps_seal(self->object.fd, &arg));
	EXPECT_LE(HELD, arg.isolated_pages);
	EXPECT_ALL(MLOCKED, self);
	ASSERT_EQ(0, hold_end(&hold));
}

/* The scan zaps them. */
TEST_F(mlock_kept, after_success)
{
	ASSERT_EQ(0, ps_add_seals(self->object.fd, F_SEAL_WRITE));
	EXPECT_ALL(MLOCKED, self);
}

TEST_F(mlock_kept, after_failure)
{
	struct pinseal_seal arg = seal_write(5 * NSEC_PER_MSEC);
	struct hold hold;

	ASSERT_EQ(0, hold_begin(&hold, HOLD_VMSPLICE, self->object.fd, HELD_FROM, HELD));
	EXPECT_EQ(-EBUSY, ps_seal(self->object.fd, &arg));
	EXPECT_ALL(MLOCKED, self);
	ASSERT_EQ(0, hold_end(&hold));
}

/* The same of an asynchronous seal, ended or cancelled. */
TEST_F(mlock_kept, after_asynchronous_isolation)
{
	struct pinseal_seal arg = isolate_at_once();
	struct hold hold;

	arg.flags |= PINSEAL_SEAL_ASYNC;
	ASSERT_EQ(0, hold_begin(&hold, HOLD_VMSPLICE, self->object.fd, HELD_FROM, HELD));
	ASSERT_EQ(0, ps_seal(self->object.fd, &arg));
	ASSERT_EQ(0, async_wait(self->object.fd, &arg));
	EXPECT_LE(HELD, arg.isolated_pages);
	EXPECT_ALL(PRESENT, self);
	ASSERT_EQ(0, hold_end(&hold));
}

TEST_F(mlock_kept, after_cancel)
{
	struct pinseal_seal arg = seal_async(F_SEAL_WRITE, UINT64_MAX);
	struct hold hold;

	ASSERT_EQ(0, hold_begin(&hold, HOLD_VMSPLICE, self->object.fd, HELD_FROM, HELD));
	ASSERT_EQ(0, async_wait_scan(self->object.fd, &arg));
	ASSERT_EQ(0, async_cancel(self->object.fd, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_CANCELLED, arg.outcome);
	EXPECT_ALL(PRESENT, self);
	ASSERT_EQ(0, hold_end(&hold));
}

/*
 * So many locked mappings that the sealer has no time to map all pages again: an isolated one is
 * mapped in all of them nevertheless.
 */
TEST(isolated_pages_are_mapped_first)
{
	struct pinseal_seal arg = isolate_at_once();
	size_t page = page_size(), len = 16 << 20, last = len - page;
	int fd = ps_create(len), n = 0, without_it = 0, without_others = 0;
	static const char *maps[256];
	uint64_t until, began, took;
	struct hold hold;

	if (is_under_pressure())
		SKIP(return, "locks much memory");
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, run_on_cpu(0));
	ASSERT_EQ(0, fill_file(fd, len, 'f'));
	ASSERT_EQ(0, hold_begin(&hold, HOLD_VMSPLICE, fd, last / page, 1));
	/* A machine on which this takes long needs fewer. */
	until = now_ns() + 5 * NSEC_PER_SEC;
	while (n < ARRAY_SIZE(maps) && now_ns() < until) {
		maps[n] = ps_map(fd, len, PROT_READ, MAP_PRIVATE);
		ASSERT_NE(MAP_FAILED, maps[n]);
		ASSERT_EQ(0, mlock(maps[n], len));
		n++;
	}
	began = now_ns();
	ASSERT_EQ(0, ps_seal(fd, &arg));
	took = now_ns() - began;
	EXPECT_LE(1, arg.isolated_pages);
	for (int i = 0; i < n; i++) {
		without_it += !page_frame(maps[i] + last);
		without_others += !page_frame(maps[i] + len / 2);
	}
	TH_LOG("after %llu ms, %d of %d mappings without the page, %d without another",
	       (unsigned long long)took / NSEC_PER_MSEC, without_it, n, without_others);
	EXPECT_EQ(0, without_it);
	ASSERT_EQ(0, hold_end(&hold));
	for (int i = 0; i < n; i++)
		munmap((void *)maps[i], len);
	close(fd);
}

TEST_HARNESS_MAIN

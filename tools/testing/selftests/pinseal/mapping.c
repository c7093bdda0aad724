// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mappings: shared and private, past the end, moved, split, advised, locked, executed.
 *
 * Runs on a memfd, an object and an imported memfd: the memfd variant proves what shmem
 * does, the others that the object does the same.
 */
#include <sys/statvfs.h>

#include "harness.h"
#include "bytes.h"
#include "large_folio.h"
#include "object.h"

/* An empty object and a buffer of eight pages, filled. */
FIXTURE(mapping) {
	int fd;
	size_t page;
	char *buf;
};

ON_EVERY_KIND(mapping);

FIXTURE_SETUP(mapping)
{
	self->page = page_size();
	self->fd = obj_open(variant->kind);
	ASSERT_LE(0, self->fd);
	self->buf = malloc(8 * self->page);
	ASSERT_NE(NULL, self->buf);
	fill(self->buf, 8 * self->page, 1);
}

FIXTURE_TEARDOWN(mapping)
{
	close(self->fd);
	free(self->buf);
}

TEST_F(mapping, written_bytes_are_seen_by_a_mapping)
{
	char *p;

	ASSERT_EQ(0, obj_resize(self->fd, 2 * self->page));
	p = ps_map(self->fd, 2 * self->page, PROT_READ, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_TRUE(is_zero(p, 2 * self->page));
	ASSERT_EQ(2 * self->page, sys(pwrite(self->fd, self->buf, 2 * self->page, 0)));
	EXPECT_TRUE(is_filled(p, 2 * self->page, 1));
}

TEST_F(mapping, mapped_bytes_are_seen_by_read)
{
	char *p;

	ASSERT_EQ(0, obj_resize(self->fd, 2 * self->page));
	p = ps_map(self->fd, 2 * self->page, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	fill(p, 2 * self->page, 3);
	ASSERT_EQ(2 * self->page, sys(pread(self->fd, self->buf, 2 * self->page, 0)));
	EXPECT_TRUE(is_filled(self->buf, 2 * self->page, 3));
}

TEST_F(mapping, two_mappings_share)
{
	char *p, *q;

	ASSERT_EQ(0, obj_resize(self->fd, self->page));
	p = ps_map(self->fd, self->page, RW, MAP_SHARED);
	q = ps_map(self->fd, self->page, PROT_READ, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_NE(MAP_FAILED, q);
	p[5] = 'x';
	EXPECT_EQ('x', q[5]);
}

TEST_F(mapping, mapping_at_an_offset_begins_there)
{
	char *p;

	ASSERT_EQ(4 * self->page, sys(pwrite(self->fd, self->buf, 4 * self->page, 0)));
	p = mmap(NULL, self->page, RW, MAP_SHARED, self->fd, 2 * self->page);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(0, memcmp(self->buf + 2 * self->page, p, self->page));
}

TEST_F(mapping, mapping_outlives_the_descriptor)
{
	char *p;

	ASSERT_EQ(2 * self->page, sys(pwrite(self->fd, self->buf, 2 * self->page, 0)));
	p = ps_map(self->fd, 2 * self->page, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	close(self->fd);
	EXPECT_TRUE(is_filled(p, 2 * self->page, 1));
	p[0] = 'x';
	EXPECT_EQ('x', p[0]);
	munmap(p, 2 * self->page);
	self->fd = -1;
}

TEST_F(mapping, private_mapping_does_not_write_to_the_object)
{
	char *p;

	ASSERT_EQ(self->page, sys(pwrite(self->fd, self->buf, self->page, 0)));
	p = ps_map(self->fd, self->page, RW, MAP_PRIVATE);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_TRUE(is_filled(p, self->page, 1));
	memset(p, 0, self->page);
	ASSERT_EQ(self->page, sys(pread(self->fd, self->buf, self->page, 0)));
	EXPECT_TRUE(is_filled(self->buf, self->page, 1));
}

TEST_F(mapping, private_copy_does_not_see_later_writes)
{
	char *p;

	ASSERT_EQ(self->page, sys(pwrite(self->fd, self->buf, self->page, 0)));
	p = ps_map(self->fd, self->page, RW, MAP_PRIVATE);
	ASSERT_NE(MAP_FAILED, p);
	p[0] = 'p';
	ASSERT_EQ(2, sys(pwrite(self->fd, "qq", 2, 0)));
	EXPECT_EQ('p', p[0]);
	EXPECT_EQ((unsigned char)self->buf[1], (unsigned char)p[1]);
}

TEST_F(mapping, access_past_the_end_is_sigbus)
{
	char *p, *q;

	ASSERT_EQ(0, obj_resize(self->fd, self->page + 1));
	p = ps_map(self->fd, 4 * self->page, RW, MAP_SHARED);
	q = ps_map(self->fd, 4 * self->page, RW, MAP_PRIVATE);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_NE(MAP_FAILED, q);
	EXPECT_EQ(0, ps_touch(p + 2 * self->page - 1, true));
	EXPECT_EQ(SIGBUS, ps_touch(p + 2 * self->page, false));
	EXPECT_EQ(SIGBUS, ps_touch(p + 3 * self->page, true));
	EXPECT_EQ(SIGBUS, ps_touch(q + 2 * self->page, false));
	EXPECT_EQ(SIGBUS, ps_touch(q + 2 * self->page, true));
}

TEST_F(mapping, bytes_behind_the_end_in_the_last_page_are_zero)
{
	char *p;

	ASSERT_EQ(self->page, sys(pwrite(self->fd, self->buf, self->page, 0)));
	ASSERT_EQ(0, obj_resize(self->fd, 100));
	p = ps_map(self->fd, self->page, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_TRUE(is_zero(p + 100, self->page - 100));
}

TEST_F(mapping, access_after_shrinking_is_sigbus)
{
	char *p, *q;

	ASSERT_EQ(4 * self->page, sys(pwrite(self->fd, self->buf, 4 * self->page, 0)));
	p = ps_map(self->fd, 4 * self->page, RW, MAP_SHARED);
	q = ps_map(self->fd, 4 * self->page, RW, MAP_PRIVATE);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_NE(MAP_FAILED, q);
	ASSERT_TRUE(is_filled(p, 4 * self->page, 1));
	/* Private copies past the end go as well. */
	q[3 * self->page] = 'x';
	ASSERT_EQ(0, obj_resize(self->fd, self->page));
	EXPECT_EQ(0, ps_touch(p, true));
	EXPECT_EQ(SIGBUS, ps_touch(p + self->page, false));
	EXPECT_EQ(SIGBUS, ps_touch(p + 3 * self->page, true));
	EXPECT_EQ(SIGBUS, ps_touch(q + 3 * self->page, false));
}

TEST_F(mapping, access_after_growing_works)
{
	char *p = ps_map(self->fd, 4 * self->page, RW, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(SIGBUS, ps_touch(p, true));
	ASSERT_EQ(0, obj_resize(self->fd, 2 * self->page));
	EXPECT_EQ(0, ps_touch(p + self->page, true));
	EXPECT_EQ(SIGBUS, ps_touch(p + 2 * self->page, true));
}

TEST_F(mapping, read_only_mapping_cannot_be_written)
{
	char *p;

	ASSERT_EQ(0, obj_resize(self->fd, self->page));
	p = ps_map(self->fd, self->page, PROT_READ, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(SIGSEGV, ps_touch(p, true));
	EXPECT_EQ(0, ps_touch(p, false));
}

TEST_F(mapping, mprotect_changes_access)
{
	char *p;

	ASSERT_EQ(0, obj_resize(self->fd, 3 * self->page));
	p = ps_map(self->fd, 3 * self->page, PROT_READ, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, sys(mprotect(p + self->page, self->page, RW)));
	EXPECT_EQ(SIGSEGV, ps_touch(p, true));
	EXPECT_EQ(0, ps_touch(p + self->page, true));
	EXPECT_EQ(SIGSEGV, ps_touch(p + 2 * self->page, true));
	ASSERT_EQ(0, sys(mprotect(p, 3 * self->page, PROT_NONE)));
	EXPECT_EQ(SIGSEGV, ps_touch(p + self->page, false));
}

TEST_F(mapping, munmap_of_the_middle_leaves_both_ends)
{
	char *p;

	ASSERT_EQ(3 * self->page, sys(pwrite(self->fd, self->buf, 3 * self->page, 0)));
	p = ps_map(self->fd, 3 * self->page, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, sys(munmap(p + self->page, self->page)));
	EXPECT_EQ(0, memcmp(self->buf, p, self->page));
	EXPECT_EQ(SIGSEGV, ps_touch(p + self->page, false));
	EXPECT_EQ(0, memcmp(self->buf + 2 * self->page, p + 2 * self->page, self->page));
}

TEST_F(mapping, mremap_grows)
{
	char *p;

	ASSERT_EQ(4 * self->page, sys(pwrite(self->fd, self->buf, 4 * self->page, 0)));
	p = ps_map(self->fd, self->page, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	p = mremap(p, self->page, 4 * self->page, MREMAP_MAYMOVE);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_TRUE(is_filled(p, 4 * self->page, 1));
	p[3 * self->page] = 0;
	ASSERT_EQ(1, sys(pread(self->fd, self->buf, 1, 3 * self->page)));
	EXPECT_EQ(0, self->buf[0]);
}

TEST_F(mapping, mremap_moves)
{
	char *to = mmap(NULL, 2 * self->page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *p;

	ASSERT_EQ(2 * self->page, sys(pwrite(self->fd, self->buf, 2 * self->page, 0)));
	p = ps_map(self->fd, 2 * self->page, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, ps_touch(p, true));
	ASSERT_EQ(to, mremap(p, 2 * self->page, 2 * self->page, MREMAP_MAYMOVE | MREMAP_FIXED, to));
	EXPECT_TRUE(is_filled(to, 2 * self->page, 1));
	EXPECT_EQ(SIGSEGV, ps_touch(p, false));
}

TEST_F(mapping, mremap_shrinks)
{
	char *p;

	ASSERT_EQ(2 * self->page, sys(pwrite(self->fd, self->buf, 2 * self->page, 0)));
	p = ps_map(self->fd, 2 * self->page, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(p, mremap(p, 2 * self->page, self->page, 0));
	EXPECT_TRUE(is_filled(p, self->page, 1));
	EXPECT_EQ(SIGSEGV, ps_touch(p + self->page, false));
}

TEST_F(mapping, mremap_of_length_zero_maps_twice)
{
	char *p, *q;

	ASSERT_EQ(0, obj_resize(self->fd, self->page));
	p = ps_map(self->fd, self->page, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	q = mremap(p, 0, self->page, MREMAP_MAYMOVE);
	ASSERT_NE(MAP_FAILED, q);
	q[0] = 'x';
	EXPECT_EQ('x', p[0]);
}

TEST_F(mapping, map_fixed_replaces)
{
	char *p = mmap(NULL, 3 * self->page, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memset(p, 'a', 3 * self->page);
	ASSERT_EQ(0, obj_resize(self->fd, self->page));
	ASSERT_EQ(p + self->page, mmap(p + self->page, self->page, RW, MAP_SHARED | MAP_FIXED,
				       self->fd, 0));
	EXPECT_EQ('a', p[self->page - 1]);
	EXPECT_EQ(0, p[self->page]);
	EXPECT_EQ('a', p[2 * self->page]);
}

TEST_F(mapping, populated_mapping_works)
{
	char *p;

	ASSERT_EQ(4 * self->page, sys(pwrite(self->fd, self->buf, 4 * self->page, 0)));
	p = ps_map(self->fd, 4 * self->page, RW, MAP_SHARED | MAP_POPULATE);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_TRUE(is_filled(p, 4 * self->page, 1));
}

TEST_F(mapping, madvise_dontneed_keeps_shared_bytes)
{
	char *p;

	ASSERT_EQ(0, obj_resize(self->fd, 2 * self->page));
	p = ps_map(self->fd, 2 * self->page, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	fill(p, 2 * self->page, 2);
	ASSERT_EQ(0, sys(madvise(p, 2 * self->page, MADV_DONTNEED)));
	EXPECT_TRUE(is_filled(p, 2 * self->page, 2));
}

TEST_F(mapping, madvise_dontneed_drops_private_copies)
{
	char *p;

	ASSERT_EQ(self->page, sys(pwrite(self->fd, self->buf, self->page, 0)));
	p = ps_map(self->fd, self->page, RW, MAP_PRIVATE);
	ASSERT_NE(MAP_FAILED, p);
	memset(p, 0, self->page);
	ASSERT_EQ(0, sys(madvise(p, self->page, MADV_DONTNEED)));
	EXPECT_TRUE(is_filled(p, self->page, 1));
}

TEST_F(mapping, madvise_remove_punches)
{
	char *p;

	ASSERT_EQ(3 * self->page, sys(pwrite(self->fd, self->buf, 3 * self->page, 0)));
	p = ps_map(self->fd, 3 * self->page, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, sys(madvise(p + self->page, self->page, MADV_REMOVE)));
	ASSERT_EQ(3 * self->page, sys(pread(self->fd, self->buf, 3 * self->page, 0)));
	EXPECT_TRUE(is_filled(self->buf, self->page, 1));
	EXPECT_TRUE(is_zero(self->buf + self->page, self->page));
	EXPECT_FALSE(is_zero(self->buf + 2 * self->page, self->page));
}

TEST_F(mapping, advice_keeps_the_bytes)
{
	static const int advice[] = {
		MADV_WILLNEED, MADV_COLD, MADV_PAGEOUT, MADV_POPULATE_READ,
		MADV_POPULATE_WRITE, MADV_SEQUENTIAL, MADV_RANDOM, MADV_NORMAL,
		MADV_DONTFORK, MADV_DOFORK, MADV_DONTDUMP, MADV_DODUMP,
	};
	char *p;

	ASSERT_EQ(4 * self->page, sys(pwrite(self->fd, self->buf, 4 * self->page, 0)));
	p = ps_map(self->fd, 4 * self->page, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	for (size_t i = 0; i < ARRAY_SIZE(advice); i++) {
		EXPECT_EQ(0, sys(madvise(p, 4 * self->page, advice[i]))) {
			TH_LOG("advice %d", advice[i]);
		}
		EXPECT_TRUE(is_filled(p, 4 * self->page, 1)) {
			TH_LOG("advice %d", advice[i]);
		}
	}
}

TEST_F(mapping, mlock_keeps_pages_present)
{
	unsigned char present[4] = { 0 };
	char *p;

	ASSERT_EQ(4 * self->page, sys(pwrite(self->fd, self->buf, 4 * self->page, 0)));
	p = ps_map(self->fd, 4 * self->page, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, sys(mlock(p, 4 * self->page)));
	ASSERT_EQ(0, sys(mincore(p, 4 * self->page, present)));
	EXPECT_EQ(0x01010101, (present[0] & 1) | (present[1] & 1) << 8 | (present[2] & 1) << 16 |
		  (present[3] & 1) << 24);
	EXPECT_TRUE(is_filled(p, 4 * self->page, 1));
	EXPECT_EQ(0, sys(munlock(p, 4 * self->page)));
}

TEST_F(mapping, mlocked_mapping_can_be_punched)
{
	char *p;

	ASSERT_EQ(self->page, sys(pwrite(self->fd, self->buf, self->page, 0)));
	p = ps_map(self->fd, self->page, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, sys(mlock(p, self->page)));
	ASSERT_EQ(0, obj_fallocate(self->fd, PUNCH, 0, self->page));
	EXPECT_TRUE(is_zero(p, self->page));
}

TEST_F(mapping, msync_and_fsync_succeed)
{
	char *p;

	ASSERT_EQ(0, obj_resize(self->fd, self->page));
	p = ps_map(self->fd, self->page, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	p[0] = 'x';
	EXPECT_EQ(0, sys(msync(p, self->page, MS_SYNC)));
	EXPECT_EQ(0, sys(msync(p, self->page, MS_ASYNC)));
	EXPECT_EQ(0, sys(msync(p, self->page, MS_INVALIDATE)));
	EXPECT_EQ(0, sys(fsync(self->fd)));
	EXPECT_EQ(0, sys(fdatasync(self->fd)));
}

TEST_F(mapping, code_can_be_run_from_it)
{
#if defined(__x86_64__)
	static const unsigned char code[] = { 0xb8, 42, 0, 0, 0, 0xc3 };
#elif defined(__aarch64__)
	static const uint32_t code[] = { 0x52800540, 0xd65f03c0 };
#endif
	struct statvfs st;
	char *p;

	ASSERT_EQ(0, statvfs(PINSEAL_DEV, &st));
	ASSERT_EQ(sizeof(code), sys(pwrite(self->fd, code, sizeof(code), 0)));
	p = ps_map(self->fd, self->page, PROT_READ | PROT_EXEC, MAP_SHARED);
	if (variant->kind != MEMFD && (st.f_flag & ST_NOEXEC)) {
		EXPECT_EQ(MAP_FAILED, p);
		return;
	}
	ASSERT_NE(MAP_FAILED, p);
	__builtin___clear_cache(p, p + sizeof(code));
	EXPECT_EQ(42, ((int (*)(void))p)());
}

TEST_F(mapping, not_beyond_the_largest_file)
{
	off_t last = INT64_MAX - INT64_MAX % self->page;

	EXPECT_EQ(MAP_FAILED, mmap(NULL, 2 * self->page, RW, MAP_SHARED, self->fd, last));
	EXPECT_EQ(EOVERFLOW, errno);
	/* A failed mmap() does not keep the object from being sealed. */
	EXPECT_EQ(0, obj_add_seals(self->fd, F_SEAL_WRITE));
}

TEST_F(mapping, huge_page_keeps_the_bytes)
{
	size_t huge = large_folio_size();
	char *p;
	int ret;

	if (!huge)
		SKIP(return, "no large folios here");
	ASSERT_EQ(0, obj_resize(self->fd, huge));
	p = ps_map(self->fd, huge, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	fill(p, huge, 9);
	ret = collapse_into_large_folio(self->fd, huge);
	ASSERT_TRUE(is_filled(p, huge, 9));
	p[huge / 2] = 0;
	ASSERT_EQ(1, sys(pread(self->fd, self->buf, 1, huge / 2)));
	ASSERT_EQ(0, self->buf[0]);
	if (ret && is_under_pressure())
		SKIP(return, "no large folio to be had: %s", strerror(-ret));
	ASSERT_EQ(0, ret);
}

TEST_HARNESS_MAIN

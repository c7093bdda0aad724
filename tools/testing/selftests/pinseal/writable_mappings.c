// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mappings that keep an object from being sealed for write, for as long as they exist.
 *
 * Runs on a memfd, an object and an imported memfd: the memfd variant proves what memfd does,
 * the others that the object does the same.
 */
#include <signal.h>

#include "harness.h"
#include "bytes.h"
#include "object.h"

/* An object of four pages, and a shared writable mapping of all of it. */
FIXTURE(seal_refused) {
	int fd;
	size_t page, len;
	char *p;
};

ON_EVERY_KIND(seal_refused);

FIXTURE_SETUP(seal_refused)
{
	self->page = page_size();
	self->len = 4 * self->page;
	self->fd = obj_create(variant->kind, self->len);
	ASSERT_LE(0, self->fd);
	self->p = ps_map(self->fd, self->len, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, self->p);
	fill(self->p, self->len, 1);
}

FIXTURE_TEARDOWN(seal_refused)
{
	close(self->fd);
}

static int seal(FIXTURE_DATA(seal_refused) *self)
{
	return obj_add_seals(self->fd, F_SEAL_WRITE);
}

TEST_F(seal_refused, by_a_writable_mapping)
{
	EXPECT_EQ(-EBUSY, seal(self));
}

TEST_F(seal_refused, no_longer_after_munmap)
{
	ASSERT_EQ(-EBUSY, seal(self));
	munmap(self->p, self->len);
	EXPECT_EQ(0, seal(self));
}

TEST_F(seal_refused, by_a_read_only_mapping_that_could_be_made_writable)
{
	munmap(self->p, self->len);
	self->p = ps_map(self->fd, self->len, PROT_READ, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, self->p);
	ASSERT_EQ(-EBUSY, seal(self));
	munmap(self->p, self->len);
	EXPECT_EQ(0, seal(self));
}

TEST_F(seal_refused, by_a_mapping_that_was_made_read_only)
{
	ASSERT_EQ(0, sys(mprotect(self->p, self->len, PROT_READ)));
	ASSERT_EQ(-EBUSY, seal(self));
	munmap(self->p, self->len);
	EXPECT_EQ(0, seal(self));
}

TEST_F(seal_refused, by_a_mapping_without_access)
{
	ASSERT_EQ(0, sys(mprotect(self->p, self->len, PROT_NONE)));
	ASSERT_EQ(-EBUSY, seal(self));
	munmap(self->p, self->len);
	EXPECT_EQ(0, seal(self));
}

TEST_F(seal_refused, by_a_mapping_that_was_never_touched)
{
	int fd = obj_create(variant->kind, self->len);
	char *p = ps_map(fd, self->len, RW, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(-EBUSY, obj_add_seals(fd, F_SEAL_WRITE));
	munmap(p, self->len);
	EXPECT_EQ(0, obj_add_seals(fd, F_SEAL_WRITE));
	close(fd);
}

TEST_F(seal_refused, by_a_mapping_behind_the_end)
{
	munmap(self->p, self->len);
	self->p = mmap(NULL, self->page, RW, MAP_SHARED, self->fd, 100 * self->page);
	ASSERT_NE(MAP_FAILED, self->p);
	ASSERT_EQ(-EBUSY, seal(self));
	munmap(self->p, self->page);
	EXPECT_EQ(0, seal(self));
}

TEST_F(seal_refused, not_by_private_mappings)
{
	char *p = ps_map(self->fd, self->len, RW, MAP_PRIVATE);
	char *q = ps_map(self->fd, self->len, PROT_READ, MAP_PRIVATE);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_NE(MAP_FAILED, q);
	p[0] = 'x';
	ASSERT_EQ(0, ps_touch(p + self->page, false));
	ASSERT_EQ(0, ps_touch(q, false));
	munmap(self->p, self->len);
	EXPECT_EQ(0, seal(self));
}

TEST_F(seal_refused, not_by_shared_mappings_from_after_future_write)
{
	char *p;

	munmap(self->p, self->len);
	ASSERT_EQ(0, obj_add_seals(self->fd, F_SEAL_FUTURE_WRITE));
	p = ps_map(self->fd, self->len, PROT_READ, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_TRUE(is_filled(p, self->len, 1));
	EXPECT_EQ(0, seal(self));
	EXPECT_TRUE(is_filled(p, self->len, 1));
}

TEST_F(seal_refused, not_by_refused_mappings)
{
	size_t huge = 1UL << 62;

	munmap(self->p, self->len);
	self->p = mmap(NULL, self->len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < 10; i++) {
		EXPECT_EQ(MAP_FAILED, mmap(NULL, huge, RW, MAP_SHARED, self->fd, 0));
		EXPECT_EQ(MAP_FAILED, mmap(NULL, self->len, RW, MAP_SHARED, self->fd, 1));
		EXPECT_EQ(MAP_FAILED, mmap(NULL, self->len, RW, MAP_SHARED_VALIDATE | MAP_SYNC,
					   self->fd, 0));
		EXPECT_EQ(MAP_FAILED, mmap(self->p, self->len, RW,
					   MAP_SHARED | MAP_FIXED_NOREPLACE, self->fd, 0));
	}
	EXPECT_EQ(0, seal(self));
}

TEST_F(seal_refused, until_every_piece_is_gone)
{
	/* 0 1 2 3: the middle, then each end. */
	ASSERT_EQ(0, sys(munmap(self->p + self->page, 2 * self->page)));
	EXPECT_EQ(-EBUSY, seal(self));
	ASSERT_EQ(0, sys(munmap(self->p, self->page)));
	EXPECT_EQ(-EBUSY, seal(self));
	ASSERT_EQ(0, sys(munmap(self->p + 3 * self->page, self->page)));
	EXPECT_EQ(0, seal(self));
}

TEST_F(seal_refused, until_both_ends_are_gone)
{
	ASSERT_EQ(0, sys(munmap(self->p, self->page)));
	ASSERT_EQ(0, sys(munmap(self->p + 3 * self->page, self->page)));
	EXPECT_EQ(-EBUSY, seal(self));
	ASSERT_EQ(0, sys(munmap(self->p + self->page, 2 * self->page)));
	EXPECT_EQ(0, seal(self));
}

TEST_F(seal_refused, until_two_mappings_are_gone)
{
	char *q = ps_map(self->fd, self->len, RW, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, q);
	munmap(self->p, self->len);
	EXPECT_EQ(-EBUSY, seal(self));
	munmap(q, self->len);
	EXPECT_EQ(0, seal(self));
}

TEST_F(seal_refused, until_adjacent_mappings_are_gone)
{
	/* Adjacent in memory and in the object: the kernel may merge them. */
	char *area = mmap(NULL, self->len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	munmap(self->p, self->len);
	for (int i = 0; i < 4; i++) {
		ASSERT_NE(MAP_FAILED, mmap(area + i * self->page, self->page, RW,
					   MAP_SHARED | MAP_FIXED, self->fd, i * self->page));
	}
	for (int i = 0; i < 4; i++) {
		EXPECT_EQ(-EBUSY, seal(self));
		munmap(area + i * self->page, self->page);
	}
	EXPECT_EQ(0, seal(self));
}

TEST_F(seal_refused, until_a_split_and_merged_mapping_is_gone)
{
	for (int i = 0; i < 10; i++) {
		ASSERT_EQ(0, sys(mprotect(self->p + self->page, self->page, PROT_READ)));
		ASSERT_EQ(0, sys(mprotect(self->p + self->page, self->page, RW)));
		ASSERT_EQ(0, sys(mlock(self->p + 2 * self->page, self->page)));
		ASSERT_EQ(0, sys(munlock(self->p + 2 * self->page, self->page)));
		ASSERT_EQ(0, sys(madvise(self->p, self->page, MADV_DONTFORK)));
		ASSERT_EQ(0, sys(madvise(self->p, self->page, MADV_DOFORK)));
	}
	EXPECT_EQ(-EBUSY, seal(self));
	munmap(self->p, self->len);
	EXPECT_EQ(0, seal(self));
}

TEST_F(seal_refused, by_a_moved_mapping)
{
	char *to = mmap(NULL, self->len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_EQ(to, mremap(self->p, self->len, self->len, MREMAP_MAYMOVE | MREMAP_FIXED, to));
	EXPECT_EQ(-EBUSY, seal(self));
	munmap(to, self->len);
	EXPECT_EQ(0, seal(self));
}

TEST_F(seal_refused, by_a_mapping_of_which_a_part_was_moved)
{
	char *to = mmap(NULL, self->page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_EQ(to, mremap(self->p + self->page, self->page, self->page,
			     MREMAP_MAYMOVE | MREMAP_FIXED, to));
	munmap(self->p, self->len);
	EXPECT_EQ(-EBUSY, seal(self));
	munmap(to, self->page);
	EXPECT_EQ(0, seal(self));
}

TEST_F(seal_refused, by_a_grown_mapping)
{
	char *p = mremap(self->p, self->len, 64 * self->len, MREMAP_MAYMOVE);

	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(-EBUSY, seal(self));
	munmap(p, 64 * self->len);
	EXPECT_EQ(0, seal(self));
}

TEST_F(seal_refused, by_a_shrunk_mapping)
{
	ASSERT_EQ(self->p, mremap(self->p, self->len, self->page, 0));
	EXPECT_EQ(-EBUSY, seal(self));
	munmap(self->p, self->page);
	EXPECT_EQ(0, seal(self));
}

TEST_F(seal_refused, by_a_mapping_duplicated_by_mremap)
{
	char *p = mremap(self->p, 0, self->len, MREMAP_MAYMOVE);

	ASSERT_NE(MAP_FAILED, p);
	munmap(self->p, self->len);
	EXPECT_EQ(-EBUSY, seal(self));
	munmap(p, self->len);
	EXPECT_EQ(0, seal(self));
}

TEST_F(seal_refused, by_a_mapping_left_behind_by_mremap)
{
	char *p = mremap(self->p, self->len, self->len, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);

	ASSERT_NE(MAP_FAILED, p);
	munmap(p, self->len);
	EXPECT_EQ(-EBUSY, seal(self));
	munmap(self->p, self->len);
	EXPECT_EQ(0, seal(self));
}

TEST_F(seal_refused, not_after_a_refused_mremap)
{
	ASSERT_EQ(MAP_FAILED, mremap(self->p, self->len, 1UL << 62, MREMAP_MAYMOVE));
	ASSERT_EQ(MAP_FAILED, mremap(self->p, 2 * self->len, 4 * self->len, MREMAP_FIXED));
	munmap(self->p, self->len);
	EXPECT_EQ(0, seal(self));
}

TEST_F(seal_refused, not_after_another_mapping_took_the_place)
{
	ASSERT_EQ(self->p, mmap(self->p, self->len, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
				-1, 0));
	EXPECT_EQ(0, seal(self));
}

TEST_F(seal_refused, after_the_same_object_took_the_place)
{
	for (int i = 0; i < 10; i++) {
		ASSERT_EQ(self->p, mmap(self->p, self->len, RW, MAP_SHARED | MAP_FIXED, self->fd, 0));
		ASSERT_EQ(self->p + self->page, mmap(self->p + self->page, self->page, RW,
						     MAP_SHARED | MAP_FIXED, self->fd, 0));
	}
	EXPECT_EQ(-EBUSY, seal(self));
	munmap(self->p, self->len);
	EXPECT_EQ(0, seal(self));
}

TEST_F(seal_refused, by_a_mapping_whose_descriptor_is_closed)
{
	int other = dup(self->fd);
	char *p;

	munmap(self->p, self->len);
	p = ps_map(other, self->len, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	close(other);
	EXPECT_EQ(-EBUSY, seal(self));
	munmap(p, self->len);
	EXPECT_EQ(0, seal(self));
}

/* A child that keeps the mapping until it is killed. */
static pid_t fork_holder(void)
{
	pid_t pid = ps_fork();

	if (!pid)
		for (;;)
			pause();
	return pid;
}

TEST_F(seal_refused, by_a_child_s_mapping)
{
	pid_t pid = fork_holder();

	munmap(self->p, self->len);
	EXPECT_EQ(-EBUSY, seal(self));
	ps_kill(pid);
	EXPECT_EQ(0, seal(self));
}

TEST_F(seal_refused, by_a_parent_s_mapping)
{
	pid_t pid = ps_fork();

	if (!pid) {
		munmap(self->p, self->len);
		_exit(seal(self) == -EBUSY ? 0 : 1);
	}
	EXPECT_EQ(0, ps_wait(pid));
}

TEST_F(seal_refused, not_by_a_child_that_did_not_inherit_the_mapping)
{
	pid_t pid;

	ASSERT_EQ(0, sys(madvise(self->p, self->len, MADV_DONTFORK)));
	pid = fork_holder();
	munmap(self->p, self->len);
	EXPECT_EQ(0, seal(self));
	ps_kill(pid);
}

TEST_F(seal_refused, until_the_last_of_many_children_is_gone)
{
	pid_t pids[20];

	for (size_t i = 0; i < ARRAY_SIZE(pids); i++)
		pids[i] = fork_holder();
	munmap(self->p, self->len);
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++) {
		EXPECT_EQ(-EBUSY, seal(self));
		ps_kill(pids[i]);
	}
	EXPECT_EQ(0, seal(self));
}

TEST_F(seal_refused, not_after_many_mappings_came_and_went)
{
	munmap(self->p, self->len);
	for (int i = 0; i < 500; i++) {
		char *p = ps_map(self->fd, self->len, RW, MAP_SHARED);

		ASSERT_NE(MAP_FAILED, p);
		munmap(p + (i % 4) * self->page, self->page);
		munmap(p, self->len);
	}
	EXPECT_EQ(0, seal(self));
}

TEST_F(seal_refused, leaves_everything_as_it_was)
{
	char *q;

	ASSERT_EQ(-EBUSY, obj_add_seals(self->fd, ALL_SEALS));
	EXPECT_EQ(0, obj_get_seals(self->fd));
	EXPECT_TRUE(is_filled(self->p, self->len, 1));
	EXPECT_EQ(0, ps_touch(self->p, true));
	EXPECT_EQ(1, sys(pwrite(self->fd, "x", 1, 0)));
	EXPECT_EQ(0, obj_resize(self->fd, 8 * self->page));
	EXPECT_EQ(0, obj_resize(self->fd, self->len));
	EXPECT_EQ(0, obj_fallocate(self->fd, PUNCH, 0, self->page));
	q = ps_map(self->fd, self->len, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, q);
	EXPECT_EQ(0, ps_touch(q, true));
	munmap(q, self->len);
	EXPECT_EQ(0, obj_add_seals(self->fd, F_SEAL_GROW));
}

TEST_F(seal_refused, many_times)
{
	for (int i = 0; i < 200; i++) {
		ASSERT_EQ(-EBUSY, seal(self));
	}
	munmap(self->p, self->len);
	EXPECT_EQ(0, seal(self));
}

TEST_F(seal_refused, for_write_only)
{
	EXPECT_EQ(0, obj_add_seals(self->fd, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE));
	EXPECT_EQ(0, ps_touch(self->p, true));
	EXPECT_EQ(0, obj_add_seals(self->fd, F_SEAL_SEAL));
}

TEST_HARNESS_MAIN

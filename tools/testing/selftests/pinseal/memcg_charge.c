// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory of an object is charged to the memory cgroup of the writer, as that of a memfd: why
 * the device may be open to all users.
 *
 * Runs on a memfd, an object and an imported memfd: the memfd variant proves what shmem
 * does, the others that the object does the same.
 */
#include "harness.h"
#include "bytes.h"
#include "memcg.h"
#include "object.h"

#define PAGES	1024

/* An empty object, made outside the group. */
FIXTURE(memcg_charge) {
	struct memcg group;
	int fd;
	size_t len;
};

ON_EVERY_KIND(memcg_charge);

FIXTURE_SETUP(memcg_charge)
{
	if (!memcg_is_there())
		SKIP(return, "no cgroup2 in " MEMCG_ROOT);
	ASSERT_EQ(0, memcg_make(&self->group, NULL, "charge"));
	ASSERT_EQ(0, memcg_shmem_pages(&self->group));
	self->len = PAGES * page_size();
	self->fd = obj_create(variant->kind, self->len);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(memcg_charge)
{
	close(self->fd);
	memcg_remove(&self->group);
}

/* A child in the group; exits with 100 if it cannot join. */
static pid_t fork_into(const struct memcg *group)
{
	pid_t pid = ps_fork();

	if (!pid && memcg_join(group))
		_exit(100);
	return pid;
}

TEST_F(memcg_charge, for_writing)
{
	pid_t pid = fork_into(&self->group);

	if (!pid) {
		char *buf = calloc(1, self->len);

		_exit(pwrite(self->fd, buf, self->len, 0) != (ssize_t)self->len);
	}
	ASSERT_EQ(0, ps_wait(pid));
	EXPECT_LE(PAGES * 3 / 4, memcg_shmem_pages(&self->group));
}

TEST_F(memcg_charge, for_touching_a_mapping)
{
	pid_t pid = fork_into(&self->group);

	if (!pid) {
		char *p = ps_map(self->fd, self->len, RW, MAP_SHARED);

		if (p == MAP_FAILED)
			_exit(1);
		memset(p, 1, self->len);
		_exit(0);
	}
	ASSERT_EQ(0, ps_wait(pid));
	EXPECT_LE(PAGES * 3 / 4, memcg_shmem_pages(&self->group));
}

TEST_F(memcg_charge, for_allocating)
{
	pid_t pid = fork_into(&self->group);

	if (!pid)
		_exit(obj_allocate(self->fd, 0, 0, self->len) != 0);
	ASSERT_EQ(0, ps_wait(pid));
	EXPECT_LE(PAGES * 3 / 4, memcg_shmem_pages(&self->group));
}

TEST_F(memcg_charge, not_for_a_size_alone)
{
	pid_t pid = fork_into(&self->group);

	if (!pid)
		_exit(obj_resize(self->fd, 100 * self->len) != 0);
	ASSERT_EQ(0, ps_wait(pid));
	EXPECT_GE(PAGES / 4, memcg_shmem_pages(&self->group));
}

TEST_F(memcg_charge, until_the_memory_is_given_back)
{
	pid_t pid = fork_into(&self->group);
	long before;

	if (!pid)
		_exit(obj_allocate(self->fd, 0, 0, self->len) != 0);
	ASSERT_EQ(0, ps_wait(pid));
	before = memcg_shmem_pages(&self->group);
	ASSERT_LE(PAGES * 3 / 4, before);
	ASSERT_EQ(0, obj_fallocate(self->fd, PUNCH, 0, self->len));
	EXPECT_GE(PAGES / 4, memcg_shmem_pages(&self->group));
}

TEST_F(memcg_charge, stays_when_sealed)
{
	pid_t pid = fork_into(&self->group);

	if (!pid) {
		if (obj_allocate(self->fd, 0, 0, self->len))
			_exit(1);
		_exit(obj_add_seals(self->fd, F_SEAL_WRITE) != 0);
	}
	ASSERT_EQ(0, ps_wait(pid));
	EXPECT_LE(PAGES * 3 / 4, memcg_shmem_pages(&self->group));
}

TEST_HARNESS_MAIN

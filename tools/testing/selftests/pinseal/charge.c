// SPDX-License-Identifier: GPL-2.0-only
/*
 * An object's memory is charged to the memory cgroup of who writes it, as a
 * memfd's is: why anybody may be allowed to use the device.
 *
 * Every test runs twice, on a memfd and on a pinseal object: the memfd variant
 * proves that the test asks for what shmem really does, the pinseal variant that
 * the object behaves alike.
 */
#include <sys/stat.h>

#include "kselftest_harness.h"
#include "bytes.h"
#include "object.h"

#define CGROUP	"/sys/fs/cgroup"
#define GROUP	CGROUP "/pinseal-test"
#define PAGES	1024

static int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int ret;

	if (fd < 0)
		return -errno;
	ret = write(fd, text, strlen(text)) < 0 ? -errno : 0;
	close(fd);
	return ret;
}

/* Pages of shared memory that are charged to the group, or -errno. */
static long charged(void)
{
	FILE *f = fopen(GROUP "/memory.stat", "re");
	char line[128];
	long bytes = -ENOENT;

	if (!f)
		return -errno;
	while (bytes < 0 && fgets(line, sizeof(line), f))
		sscanf(line, "shmem %ld", &bytes);
	fclose(f);
	return bytes < 0 ? bytes : bytes / (long)page_size();
}

/* An empty object, made outside the group. */
FIXTURE(charge) {
	int fd;
	size_t len;
};

ON_BOTH_KINDS(charge);

FIXTURE_SETUP(charge)
{
	if (access(CGROUP "/cgroup.procs", W_OK))
		SKIP(return, "no cgroup2 in " CGROUP);
	ASSERT_EQ(0, write_text(CGROUP "/cgroup.subtree_control", "+memory"));
	rmdir(GROUP);
	ASSERT_EQ(0, sys(mkdir(GROUP, 0755)));
	ASSERT_EQ(0, charged());
	self->len = PAGES * page_size();
	self->fd = obj_create(variant->kind, self->len);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(charge)
{
	close(self->fd);
	/* The last process may still be on its way out. */
	for (int i = 0; i < 100 && rmdir(GROUP) && errno == EBUSY; i++)
		sleep_ns(10 * NSEC_PER_MSEC);
}

/* A child in the group; it says 100 if it could not get there. */
static pid_t fork_into_group(void)
{
	pid_t pid = ps_fork();

	if (!pid && write_text(GROUP "/cgroup.procs", "0"))
		_exit(100);
	return pid;
}

TEST_F(charge, for_writing)
{
	pid_t pid = fork_into_group();

	if (!pid) {
		char *buf = calloc(1, self->len);

		_exit(pwrite(self->fd, buf, self->len, 0) != (ssize_t)self->len);
	}
	ASSERT_EQ(0, ps_wait(pid));
	EXPECT_LE(PAGES * 3 / 4, charged());
}

TEST_F(charge, for_touching_a_mapping)
{
	pid_t pid = fork_into_group();

	if (!pid) {
		char *p = ps_map(self->fd, self->len, RW, MAP_SHARED);

		if (p == MAP_FAILED)
			_exit(1);
		memset(p, 1, self->len);
		_exit(0);
	}
	ASSERT_EQ(0, ps_wait(pid));
	EXPECT_LE(PAGES * 3 / 4, charged());
}

TEST_F(charge, for_allocating)
{
	pid_t pid = fork_into_group();

	if (!pid)
		_exit(obj_fallocate(self->fd, 0, 0, self->len) != 0);
	ASSERT_EQ(0, ps_wait(pid));
	EXPECT_LE(PAGES * 3 / 4, charged());
}

TEST_F(charge, not_for_a_size_alone)
{
	pid_t pid = fork_into_group();

	if (!pid)
		_exit(obj_resize(self->fd, 100 * self->len) != 0);
	ASSERT_EQ(0, ps_wait(pid));
	EXPECT_GE(PAGES / 4, charged());
}

TEST_F(charge, until_the_memory_is_given_back)
{
	pid_t pid = fork_into_group();
	long before;

	if (!pid)
		_exit(obj_fallocate(self->fd, 0, 0, self->len) != 0);
	ASSERT_EQ(0, ps_wait(pid));
	before = charged();
	ASSERT_LE(PAGES * 3 / 4, before);
	ASSERT_EQ(0, obj_fallocate(self->fd, PUNCH, 0, self->len));
	EXPECT_GE(PAGES / 4, charged());
}

TEST_F(charge, stays_when_sealed)
{
	pid_t pid = fork_into_group();

	if (!pid) {
		if (obj_fallocate(self->fd, 0, 0, self->len))
			_exit(1);
		_exit(obj_add_seals(self->fd, F_SEAL_WRITE) != 0);
	}
	ASSERT_EQ(0, ps_wait(pid));
	EXPECT_LE(PAGES * 3 / 4, charged());
}

TEST_HARNESS_MAIN

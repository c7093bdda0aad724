// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory of an object is charged to the memory cgroup of the writer, as that of a memfd: why
 * the device may be open to all users. So is the kernel's memory for a descriptor.
 *
 * Runs on a memfd, an object and an imported memfd: the memfd variant proves what shmem
 * does, the others that the object does the same.
 */
#include <sys/resource.h>

#include "harness.h"
#include "async.h"
#include "bytes.h"
#include "memcg.h"
#include "object.h"
#include "protect.h"

#define PAGES	1024

/* Ranges of pages with protections of their own. */
#define RANGES	4096

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

static int make_null(void)
{
	return sys(open("/dev/null", O_RDWR));
}

static int make_empty(void)
{
	return ps_open(O_RDWR);
}

static int make_named(void)
{
	char name[PINSEAL_NAME_MAX] = { 0 };
	int fd = ps_open(O_RDWR);

	memset(name, 'n', sizeof(name) - 1);
	return fd < 0 ? fd : ps_set_name(fd, name);
}

/* Creates what an asynchronous seal needs. */
static int make_polled(void)
{
	int fd = ps_open(O_RDWR);

	return fd < 0 ? fd : ready_within(fd, POLLPRI, 0);
}

static int make_page(void)
{
	int fd = ps_create(page_size());

	if (fd < 0 || pwrite(fd, "p", 1, 0) != 1)
		return -errno;
	ready_within(fd, POLLPRI, 0);
	return fd;
}

static int make_pinned(void)
{
	int fd = make_page();

	return fd < 0 ? fd : ps_pin(fd, 0, 1, 0);
}

static int make_page_and_null(void)
{
	int ret = make_page();

	return ret < 0 ? ret : make_null();
}

static int make_pending(void)
{
	struct pinseal_seal arg = seal_async(F_SEAL_WRITE, LONG_NS);
	int fd = make_page(), ret;

	if (fd < 0)
		return fd;
	ret = ps_pin(fd, 0, 1, 0);
	return ret < 0 ? ret : async_wait_scan(fd, &arg);
}

/* Pages between those that get protections: their ranges share nothing. */
#define FAR	128

/* make_mapping() - of a new object, with RANGES pages that are FAR apart: 0, or -errno. */
static int make_mapping(char **p, int *fd)
{
	size_t len = (size_t)RANGES * FAR * page_size();

	*fd = ps_create(len);
	if (*fd < 0)
		return *fd;
	*p = ps_map(*fd, len, RW, MAP_SHARED);
	return *p == MAP_FAILED ? -errno : 0;
}

static int make_range(void)
{
	static char *p;
	static int fd, n;
	int ret = p ? 0 : make_mapping(&p, &fd);

	return ret ?: ps_protect(fd, p + (size_t)n++ * FAR * page_size(), page_size(), PROT_READ);
}

/* The same page each time. */
static int make_same_range(void)
{
	static char *p;
	static int fd;
	int ret = p ? 0 : make_mapping(&p, &fd);

	return ret ?: ps_protect(fd, p, page_size(), PROT_READ);
}

/* What the kernel allocates for one descriptor more than for another. */
FIXTURE(descriptor_charge)
{
	struct memcg group;
};

FIXTURE_VARIANT(descriptor_charge)
{
	int count;
	/* These make one, and return 0 or more, or -errno. */
	int (*make)(void), (*base)(void);
	/* What it charges, in bytes, but for noise. Debug kernels charge more. */
	long bytes;
};

/*
 * The sums are of objects of kmalloc caches, with 8 bytes each that refer to the group. Each
 * bound is above the sum without the smallest of them.
 */
FIXTURE_VARIANT_ADD(descriptor_charge, object) {
	.make = make_empty, .base = make_null, .count = 4096,
	.bytes = 310,	/* 256 and 64: Object, OpenObject */
};

FIXTURE_VARIANT_ADD(descriptor_charge, name) {
	.make = make_named, .base = make_empty, .count = 4096,
	.bytes = 80,	/* 96 */
};

FIXTURE_VARIANT_ADD(descriptor_charge, async_seal) {
	.make = make_polled, .base = make_empty, .count = 4096,
	.bytes = 1038,	/* 1024 and 8: AsyncSeal, CancelToken */
};

FIXTURE_VARIANT_ADD(descriptor_charge, pin_handle) {
	.make = make_pinned, .base = make_page_and_null, .count = 4096,
	.bytes = 620,	/* 256, 64, 64, 32, and 192 of a dentry */
};

/* Each call makes a range instead of a descriptor. */
FIXTURE_VARIANT_ADD(descriptor_charge, protected_range) {
	.make = make_range, .base = make_same_range, .count = RANGES,
	.bytes = 80,	/* 96: a node of the map */
};

/* Few, which keep workers busy. */
FIXTURE_VARIANT_ADD(descriptor_charge, pending_seal) {
	.make = make_pending, .base = make_pinned, .count = 512,
	.bytes = 900,	/* 1024: the list of pinned pages */
};

/* Guests with KASAN boot with this: its quarantine would be charged as well. */
static bool kernel_memory_is_charged(void)
{
	char parameters[4096] = "";

	read_text("/proc/cmdline", parameters, sizeof(parameters));
	return !strstr(parameters, "nokmem");
}

FIXTURE_SETUP(descriptor_charge)
{
	if (!memcg_is_there())
		SKIP(return, "no cgroup2 in " MEMCG_ROOT);
	if (!kernel_memory_is_charged())
		SKIP(return, "kernel memory is not charged: cgroup.memory=nokmem");
	ASSERT_EQ(0, memcg_make(&self->group, NULL, "descriptors"));
}

FIXTURE_TEARDOWN(descriptor_charge)
{
	memcg_remove(&self->group);
}

/* The slab memory of a child in the group that has made @count, or -errno. */
static long slab_bytes_with(const struct memcg *group, int count, int (*make)(void))
{
	struct rlimit files = { 4 * count, 4 * count };
	int made[2], ret = 0;
	pid_t pid;
	long bytes;

	if (pipe(made))
		return -errno;
	pid = fork_into(group);
	if (!pid) {
		if (setrlimit(RLIMIT_NOFILE, &files))
			ret = -errno;
		for (int i = 0; i < count && ret >= 0; i++)
			ret = make();
		if (write(made[1], &ret, sizeof(ret)) == sizeof(ret))
			pause();
		_exit(1);
	}
	close(made[1]);
	if (read(made[0], &ret, sizeof(ret)) != sizeof(ret))
		ret = -EPIPE;
	close(made[0]);
	bytes = ret < 0 ? ret : memcg_slab_bytes(group);
	ps_kill(pid);
	return bytes;
}

TEST_F(descriptor_charge, is_its_makers)
{
	long base = slab_bytes_with(&self->group, variant->count, variant->base);
	long bytes;

	ASSERT_LE(0, base);
	bytes = slab_bytes_with(&self->group, variant->count, variant->make);
	ASSERT_LE(0, bytes);
	EXPECT_LE(variant->bytes, (bytes - base) / variant->count);
}

TEST_HARNESS_MAIN

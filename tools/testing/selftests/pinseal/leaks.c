// SPDX-License-Identifier: GPL-2.0-only
/*
 * No leaks: memory, open files and module references return to their start after hundreds of
 * uses, failing calls and killed processes included.
 */
#include <dirent.h>
#include <pthread.h>

#include "harness.h"
#include "bytes.h"
#include "object.h"
#include "stacked.h"
#include "sysfile.h"

#define ROUNDS	300

/* Resources in use on the machine. */
struct use {
	long shmem;	/* pages; one lost per round would show */
	long files;
	int module;
};

static struct use in_use(void)
{
	return (struct use){
		.shmem = shmem_pages(),
		.files = read_number("/proc/sys/fs/file-nr"),
		.module = module_users(),
	};
}

/* Other programs open files too; a leak would be one a round. */
#define FILES_NOISE	(ROUNDS / 4)

/* Waits some seconds for what is freed late, by a worker or after a grace period. */
static bool returns_to(const struct use *before, struct use *now)
{
	for (int i = 0; i < 600; i++) {
		*now = in_use();
		if (now->shmem - before->shmem <= SHMEM_NOISE &&
		    now->files - before->files <= FILES_NOISE && now->module == before->module)
			return true;
		sleep_ns(100 * NSEC_PER_MSEC);
	}
	return false;
}

FIXTURE(leaks) {
	size_t page, len;
	char *buf;
	struct use before, after;
};

FIXTURE_SETUP(leaks)
{
	self->page = page_size();
	self->len = 16 * self->page;
	self->buf = malloc(self->len);
	fill(self->buf, self->len, 1);
	self->before = in_use();
	ASSERT_LE(0, self->before.shmem);
	ASSERT_LE(0, self->before.files);
	/* Built in, it counts no users. */
	if (self->before.module != -ENOENT)
		ASSERT_LE(0, self->before.module);
}

FIXTURE_TEARDOWN(leaks)
{
	free(self->buf);
}

#define EXPECT_NOTHING_LEFT(self)						\
	EXPECT_TRUE(returns_to(&(self)->before, &(self)->after)) {		\
		TH_LOG("shared pages %ld, then %ld; files %ld, then %ld; module %d, then %d", \
		       (self)->before.shmem, (self)->after.shmem,		\
		       (self)->before.files, (self)->after.files,		\
		       (self)->before.module, (self)->after.module);		\
	}

TEST_F(leaks, not_after_open_and_close)
{
	for (int i = 0; i < ROUNDS; i++)
		close(ps_open(O_RDWR));
	EXPECT_NOTHING_LEFT(self);
}

/*
 * Slab memory in KiB, without reserves, and without what KASAN keeps from reuse.
 */
static long slab_kb(void)
{
	DIR *dir = opendir("/sys/kernel/slab");
	struct dirent *entry;
	char path[320];

	while (dir && (entry = readdir(dir))) {
		snprintf(path, sizeof(path), "/sys/kernel/slab/%s/shrink", entry->d_name);
		write_text(path, "1");
	}
	if (dir)
		closedir(dir);
	return ps_meminfo_kb("SUnreclaim");
}

TEST_F(leaks, no_kernel_memory_after_thousands_of_opens)
{
	long before, after;

	/* The first objects fill the allocator's caches. */
	for (int i = 0; i < 2000; i++)
		close(ps_open(O_RDWR));
	before = slab_kb();
	for (int i = 0; i < 20000; i++)
		close(ps_open(O_RDWR));
	/* 100 bytes each would make 2000 KiB. */
	for (int i = 0; i < 600; i++) {
		after = slab_kb();
		if (after - before < 1000)
			break;
		sleep_ns(100 * NSEC_PER_MSEC);
	}
	EXPECT_GT(1000, after - before);
}

TEST_F(leaks, not_after_whole_lives)
{
	for (int i = 0; i < ROUNDS; i++) {
		int fd = ps_open(O_RDWR);
		char *p, *q;

		ASSERT_EQ(0, ps_set_name(fd, "leak"));
		ASSERT_EQ(self->len, sys(pwrite(fd, self->buf, self->len, 0)));
		p = ps_map(fd, self->len, RW, MAP_SHARED);
		q = ps_map(fd, self->len, RW, MAP_PRIVATE);
		ASSERT_NE(MAP_FAILED, p);
		ASSERT_NE(MAP_FAILED, q);
		memset(p, i, self->len);
		memset(q, i, self->page);
		munmap(p, self->len);
		ASSERT_EQ(0, ps_fallocate(fd, PUNCH, 0, self->page));
		ASSERT_EQ(0, ps_add_seals(fd, ALL_SEALS));
		munmap(q, self->len);
		close(fd);
	}
	EXPECT_NOTHING_LEFT(self);
}

TEST_F(leaks, not_after_mappings_that_outlive_their_descriptor)
{
	for (int i = 0; i < ROUNDS; i++) {
		int fd = ps_create(self->len);
		char *p = ps_map(fd, self->len, RW, MAP_SHARED);

		ASSERT_NE(MAP_FAILED, p);
		close(fd);
		memset(p, 1, self->len);
		munmap(p + self->page, self->page);
		munmap(p, self->len);
	}
	EXPECT_NOTHING_LEFT(self);
}

TEST_F(leaks, not_after_failed_calls)
{
	for (int i = 0; i < ROUNDS; i++) {
		int fd = ps_create(self->len);
		struct pinseal_name name = { .name = "late" };
		struct pinseal_page vec[2];
		struct pinseal_pins pins;
		char *p;

		ASSERT_EQ(self->len, sys(pwrite(fd, self->buf, self->len, 0)));
		p = ps_map(fd, self->len, RW, MAP_SHARED);
		ASSERT_NE(MAP_FAILED, p);
		EXPECT_EQ(-EBUSY, ps_add_seals(fd, F_SEAL_WRITE));
		EXPECT_EQ(-EINVAL, ps_add_seals(fd, 1U << 31));
		EXPECT_EQ(-EFAULT, ps_ioctl(fd, PINSEAL_IOC_SEAL, NULL));
		EXPECT_EQ(-EFAULT, ps_ioctl(fd, PINSEAL_IOC_PINS, NULL));
		EXPECT_EQ(-EBUSY, ps_ioctl(fd, PINSEAL_IOC_SET_NAME, &name));
		EXPECT_EQ(-EINVAL, ps_resize(fd, ~0ULL));
		EXPECT_EQ(-EOPNOTSUPP, ps_fallocate(fd, 0x80, 0, 1));
		EXPECT_EQ(-EFAULT, sys(pwrite(fd, (void *)-4096L, 1, 0)));
		EXPECT_EQ(0, ps_pins(fd, 0, vec, 2, &pins));
		EXPECT_EQ(-EINVAL, ps_try_map(fd, 0, RW, MAP_SHARED));
		munmap(p, self->len);
		ASSERT_EQ(0, ps_add_seals(fd, F_SEAL_WRITE));
		EXPECT_EQ(-EPERM, sys(pwrite(fd, self->buf, 1, 0)));
		EXPECT_EQ(-EPERM, ps_try_map(fd, self->len, RW, MAP_SHARED));
		close(fd);
	}
	EXPECT_NOTHING_LEFT(self);
}

TEST_F(leaks, not_after_forks)
{
	for (int i = 0; i < 50; i++) {
		int fd = ps_create(self->len);
		char *p = ps_map(fd, self->len, RW, MAP_SHARED);
		pid_t pid;

		ASSERT_NE(MAP_FAILED, p);
		memset(p, 1, self->len);
		pid = ps_fork();
		if (!pid) {
			memset(p, 2, self->len);
			munmap(p + self->page, self->page);
			_exit(0);
		}
		ASSERT_EQ(0, ps_wait(pid));
		munmap(p, self->len);
		ASSERT_EQ(0, ps_add_seals(fd, F_SEAL_WRITE));
		close(fd);
	}
	EXPECT_NOTHING_LEFT(self);
}

TEST_F(leaks, not_by_pages_spliced_before_the_last_close)
{
	for (int i = 0; i < ROUNDS; i++) {
		int fd = ps_open(O_RDWR);
		int pipefd[2];

		ASSERT_EQ(self->len, sys(pwrite(fd, self->buf, self->len, 0)));
		ASSERT_EQ(0, pipe(pipefd));
		ASSERT_LT(0, sys(splice(fd, &(loff_t){ 0 }, pipefd[1], NULL, self->len, 0)));
		close(fd);
		close(pipefd[0]);
		close(pipefd[1]);
	}
	EXPECT_NOTHING_LEFT(self);
}

/* Uses objects until killed. */
static void *use_for_ever(void *data)
{
	size_t len = 64 * page_size();

	for (;;) {
		int fd = ps_create(len);
		char *p = ps_map(fd, len, RW, MAP_SHARED);
		struct pinseal_pins pins;

		if (p != MAP_FAILED) {
			memset(p, 1, len);
			ps_add_seals(fd, F_SEAL_WRITE);
			munmap(p, len);
		}
		ps_pins(fd, 0, NULL, 0, &pins);
		ps_fallocate(fd, PUNCH, 0, len / 2);
		ps_add_seals(fd, F_SEAL_WRITE);
		close(fd);
	}
	return NULL;
}

TEST_F(leaks, not_by_processes_killed_half_way)
{
	for (int i = 0; i < 40; i++) {
		pid_t pid = ps_fork();
		pthread_t threads[3];

		if (!pid) {
			for (size_t t = 0; t < ARRAY_SIZE(threads); t++)
				pthread_create(&threads[t], NULL, use_for_ever, NULL);
			use_for_ever(NULL);
		}
		/* Another moment each time. */
		sleep_ns((5 + 3 * i) * NSEC_PER_MSEC / 2);
		ps_kill(pid);
	}
	EXPECT_NOTHING_LEFT(self);
}

/* Stacks objects on files, fills and syncs them until killed. */
static void *stack_for_ever(void *data)
{
	size_t len = 64 * page_size();

	for (;;) {
		int lower = memfd_open(), fd = ps_open(O_RDWR);
		char *p;

		fill_lower(lower, len);
		ps_attach(fd, lower, PINSEAL_ATTACH_SYNC_ON_CLOSE);
		close(lower);
		p = ps_map(fd, len, RW, MAP_SHARED);
		if (p != MAP_FAILED) {
			/* Half of the pages. */
			for (size_t at = 0; at < len; at += 2 * page_size())
				p[at] = 's';
			fsync(fd);
			memset(p, 1, len);
			msync(p, len, MS_SYNC);
			munmap(p, len);
		}
		ps_fallocate(fd, PUNCH, 0, len / 2);
		ps_add_seals(fd, F_SEAL_WRITE);
		close(fd);
	}
	return NULL;
}

TEST_F(leaks, not_by_stacks_killed_half_way)
{
	for (int i = 0; i < 40; i++) {
		pid_t pid = ps_fork();
		pthread_t threads[3];

		if (!pid) {
			for (size_t t = 0; t < ARRAY_SIZE(threads); t++)
				pthread_create(&threads[t], NULL, stack_for_ever, NULL);
			stack_for_ever(NULL);
		}
		/* Another moment each time. */
		sleep_ns((5 + 3 * i) * NSEC_PER_MSEC / 2);
		ps_kill(pid);
	}
	EXPECT_NOTHING_LEFT(self);
}

TEST_HARNESS_MAIN

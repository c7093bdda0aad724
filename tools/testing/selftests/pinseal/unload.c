// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exported and imported memory outlives the module, with its seals; asynchronous work does
 * not. The module is unloaded and loaded again, so nothing else may use it meanwhile.
 */
#include <pthread.h>
#include <sys/syscall.h>

#include "async.h"
#include "bytes.h"
#include "content.h"
#include "holders.h"
#include "object.h"
#include "sealer.h"
#include "stacked.h"

#include "harness.h"

/* Where a guest has the module. */
#define MODULE_FILE	"/pinseal.ko"

#define PAGES		8

/* Unloads once the last reference is gone: 0, or -errno. */
static int unload(void)
{
	uint64_t until = now_ns() + SOON_NS;
	int ret;

	do
		ret = sys(syscall(SYS_delete_module, "pinseal", O_NONBLOCK));
	while (ret == -EWOULDBLOCK && now_ns() < until);
	return ret;
}

static int load(void)
{
	int fd = open(MODULE_FILE, O_RDONLY | O_CLOEXEC);
	int ret = fd < 0 ? -errno : sys(syscall(SYS_finit_module, fd, "", 0));

	if (fd >= 0)
		close(fd);
	return ret;
}

FIXTURE(module) {
	size_t len;
};

FIXTURE_SETUP(module)
{
	self->len = PAGES * page_size();
	if (access(MODULE_FILE, R_OK))
		SKIP(return, "no " MODULE_FILE " to load again");
}

FIXTURE_TEARDOWN(module)
{
	/* After a failed test the module must be there for the others. */
	if (access(PINSEAL_DEV, F_OK) && !access(MODULE_FILE, R_OK)) {
		EXPECT_EQ(0, load());
	}
}

TEST_F(module, can_be_reloaded)
{
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, unload());
		EXPECT_EQ(-ENOENT, ps_open(O_RDWR));
		ASSERT_EQ(0, load());
	}
}

TEST_F(module, is_not_needed_by_exported_memory)
{
	int fd = ps_create(self->len), memory = ps_export(fd, 0);
	char *p = ps_map(memory, self->len, RW, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, fill_file(fd, self->len, 'e'));
	close(fd);
	ASSERT_EQ(0, unload());

	EXPECT_EQ('e', p[self->len - 1]);
	p[0] = 'f';
	EXPECT_EQ(1, sys(pwrite(memory, "g", 1, 1)));
	EXPECT_EQ('g', p[1]);
	EXPECT_EQ(F_SEAL_SEAL, obj_get_seals(memory));
	EXPECT_EQ(0, sys(ftruncate(memory, 2 * self->len)));
	munmap(p, self->len);
	EXPECT_EQ(0, ps_try_map(memory, self->len, RW, MAP_SHARED));
	close(memory);
	ASSERT_EQ(0, load());
}

TEST_F(module, is_not_needed_by_seals)
{
	int fd = ps_create(self->len), exported = ps_export(fd, 0), imported = memfd_open();
	int importer = import_open(imported);
	int memory[] = { exported, imported };

	ASSERT_LE(0, exported);
	ASSERT_LE(0, importer);
	ASSERT_EQ(0, ps_resize(importer, self->len));
	ASSERT_EQ(0, ps_add_seals(fd, F_SEAL_WRITE | F_SEAL_GROW));
	ASSERT_EQ(0, ps_add_seals(importer, F_SEAL_WRITE | F_SEAL_GROW));
	close(fd);
	close(importer);
	ASSERT_EQ(0, unload());

	for (size_t i = 0; i < ARRAY_SIZE(memory); i++) {
		EXPECT_EQ(F_SEAL_WRITE | F_SEAL_GROW, obj_get_seals(memory[i]) & ~F_SEAL_SEAL);
		EXPECT_EQ(-EPERM, sys(pwrite(memory[i], "x", 1, 0)));
		EXPECT_EQ(-EPERM, sys(ftruncate(memory[i], 2 * self->len)));
		EXPECT_EQ(-EPERM, ps_try_map(memory[i], self->len, RW, MAP_SHARED));
		EXPECT_EQ(0, ps_try_map(memory[i], self->len, PROT_READ, MAP_SHARED));
		close(memory[i]);
	}
	ASSERT_EQ(0, load());
}

/* A created memfd needs it, by descriptor or mapping; as the same memory without commands, not. */
TEST_F(module, is_needed_by_created_memfds)
{
	int fd = obj_create(CREATED, self->len), plain = open_by_proc(fd, O_RDWR);
	char *p;

	ASSERT_LE(0, plain);
	ASSERT_EQ(0, fill_file(fd, self->len, 'c'));
	EXPECT_EQ(-EWOULDBLOCK, sys(syscall(SYS_delete_module, "pinseal", O_NONBLOCK)));
	ASSERT_EQ(0, ps_add_seals(fd, F_SEAL_WRITE | F_SEAL_GROW));
	p = ps_map(fd, self->len, PROT_READ, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	close(fd);
	for (int i = 0; i < 20; i++) {
		EXPECT_EQ(-EWOULDBLOCK, sys(syscall(SYS_delete_module, "pinseal", O_NONBLOCK)));
		sleep_ns(NSEC_PER_MSEC);
	}
	EXPECT_EQ('c', p[self->len - 1]);
	munmap(p, self->len);
	p = ps_map(plain, self->len, PROT_READ, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, unload());

	EXPECT_EQ('c', p[self->len - 1]);
	EXPECT_EQ(F_SEAL_WRITE | F_SEAL_GROW, obj_get_seals(plain));
	EXPECT_EQ(-EPERM, sys(pwrite(plain, "x", 1, 0)));
	EXPECT_EQ(-EPERM, sys(ftruncate(plain, 2 * self->len)));
	EXPECT_EQ(-EPERM, ps_try_map(plain, self->len, RW, MAP_SHARED));
	EXPECT_EQ(0, sys(ftruncate(plain, 0)));
	munmap(p, self->len);
	close(plain);
	ASSERT_EQ(0, load());
}

/* A page that is missing comes from below, and a sync goes there: by the mapping alone. */
TEST_F(module, is_needed_by_a_mapping_of_a_stacked_object)
{
	int fd = ps_open(O_RDWR), lower = memfd_open();
	size_t page = page_size();
	char *p;

	ASSERT_LE(0, lower);
	ASSERT_EQ(0, fill_lower(lower, self->len));
	ASSERT_EQ(0, ps_attach(fd, lower, 0));
	p = ps_map(fd, self->len, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(lower_byte(0), *p);
	close(fd);
	for (int i = 0; i < 20; i++) {
		ASSERT_EQ(-EWOULDBLOCK, sys(syscall(SYS_delete_module, "pinseal", O_NONBLOCK)));
		sleep_ns(NSEC_PER_MSEC);
	}
	EXPECT_EQ(-1, differs(p, 0, self->len));
	p[page] = 's';
	EXPECT_EQ(0, msync(p, self->len, MS_SYNC));
	EXPECT_EQ('s', byte_of(lower, page));
	munmap(p, self->len);
	ASSERT_EQ(0, unload());

	EXPECT_EQ('s', byte_of(lower, page));
	close(lower);
	ASSERT_EQ(0, load());
}

struct stored {
	char *p;
	size_t len;
	_Atomic pid_t tid;
	int ret;
};

static void *sync_stored(void *arg)
{
	struct stored *s = arg;

	s->tid = gettid();
	s->ret = sys(msync(s->p, s->len, MS_SYNC));
	return NULL;
}

/* The sync has the object's memory alone: its descriptor is closed, and the mapping is gone. */
TEST_F(module, is_needed_by_a_sync_that_nothing_else_is_left_of)
{
	struct stored s = { .len = self->len };
	struct disk disk;
	pthread_t thread;
	int fd, lower;

	if (!disk_is_there("ext4"))
		SKIP(return, "there is no disk with ext4");
	ASSERT_EQ(0, disk_mount(&disk, "ext4"));
	lower = new_lower(&disk, NULL);
	ASSERT_LE(0, lower);
	ASSERT_EQ(0, fill_lower(lower, self->len));
	fd = ps_open(O_RDWR);
	ASSERT_EQ(0, ps_attach(fd, lower, 0));
	s.p = ps_map(fd, self->len, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, s.p);
	s.p[0] = 's';
	ASSERT_EQ(0, disk_stall(&disk));
	ASSERT_EQ(0, pthread_create(&thread, NULL, sync_stored, &s));
	while (!s.tid)
		sched_yield();
	EXPECT_TRUE(process_wait_asleep(s.tid));
	munmap(s.p, self->len);
	close(fd);
	for (int i = 0; i < 20; i++) {
		EXPECT_EQ(-EWOULDBLOCK, sys(syscall(SYS_delete_module, "pinseal", O_NONBLOCK)));
		sleep_ns(NSEC_PER_MSEC);
	}
	ASSERT_EQ(0, disk_resume(&disk));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0, s.ret);
	EXPECT_EQ('s', byte_of(lower, 0));
	ASSERT_EQ(0, unload());
	close(lower);
	disk_unmount(&disk);
	ASSERT_EQ(0, load());
}

/* At every moment of an asynchronous seal: what it denied is allowed again. */
TEST_F(module, can_be_unloaded_during_a_seal)
{
	const int rounds = test_rounds(8, 20);

	for (int i = 0; i < rounds; i++) {
		struct pinseal_seal arg = seal_async(F_SEAL_WRITE, UINT64_MAX);
		int fd = ps_create(self->len), memory = ps_export(fd, 0);
		struct hold hold;

		ASSERT_LE(0, memory);
		ASSERT_EQ(0, hold_begin(&hold, HOLD_VMSPLICE, fd, 1, 1));
		ASSERT_EQ(0, ps_seal(fd, &arg));
		sleep_ns(i * NSEC_PER_MSEC / rounds);
		close(fd);
		ASSERT_EQ(0, unload());
		EXPECT_EQ(F_SEAL_SEAL, obj_get_seals(memory));
		EXPECT_EQ(0, ps_try_map(memory, self->len, RW, MAP_SHARED));
		ASSERT_EQ(0, hold_end(&hold));
		close(memory);
		ASSERT_EQ(0, load());
	}
}

/* In a child: reads through inherited handles for a while. */
static void read_on(const int handles[3], uint64_t for_ns)
{
	uint64_t until = now_ns() + for_ns;
	char c;

	while (now_ns() < until) {
		for (int i = 0; i < 3; i++)
			(void)!pread(handles[i], &c, 1, 0);
	}
}

/* Leases are requested, revoked and released, here and by a child, and mirrors read. */
TEST_F(module, can_be_unloaded_during_leases)
{
	const int rounds = test_rounds(8, 20);

	for (int i = 0; i < rounds; i++) {
		struct pinseal_seal arg = seal_async(F_SEAL_WRITE, UINT64_MAX);
		int fd = ps_create(self->len), memory = ps_export(fd, PINSEAL_EXPORT_RDONLY);
		char *p = ps_map(memory, self->len, PROT_READ, MAP_SHARED);
		int handles[3] = {
			ps_lease(fd, 0, 2, i * 400000 / rounds),
			ps_pin(fd, 3, 1, 0),
			ps_mirror(fd, 0, PAGES, PINSEAL_PIN_READONLY, p),
		};
		pid_t child;

		ASSERT_NE(MAP_FAILED, p);
		ASSERT_LE(0, handles[0]);
		ASSERT_LE(0, handles[1]);
		ASSERT_TRUE(handles[2] >= 0 || handles[2] == -EOPNOTSUPP);
		arg.flags |= PINSEAL_SEAL_REVOKE;
		ASSERT_EQ(0, ps_seal(fd, &arg));
		child = ps_fork();
		if (!child) {
			close(fd);
			read_on(handles, i * 1200000 / rounds);
			_exit(0);
		}
		sleep_ns(i * 600000 / rounds);
		for (int j = 0; j < 3; j++)
			close(handles[(i + j) % 3]);
		close(fd);
		ASSERT_EQ(0, unload());
		EXPECT_EQ(0, ps_wait(child));
		/* It may have been sealed at the last moment. */
		EXPECT_EQ(F_SEAL_SEAL, obj_get_seals(memory) & ~F_SEAL_WRITE);
		munmap(p, self->len);
		close(memory);
		ASSERT_EQ(0, load());
	}
}

TEST_HARNESS_MAIN

// SPDX-License-Identifier: GPL-2.0-only
/*
 * The module is in use while a descriptor or a mapping exists, in any process or in transit
 * to one. It is never unloaded here.
 */
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "harness.h"
#include "bytes.h"
#include "pass_fd.h"
#include "pinseal_test.h"
#include "sysfile.h"

static int unload(void)
{
	return sys(syscall(SYS_delete_module, "pinseal", O_NONBLOCK));
}

/* The last reference is dropped shortly after close() or exit. */
static bool users_return_to(int n)
{
	for (int i = 0; i < 6000; i++) {
		if (module_users() == n)
			return true;
		sleep_ns(10 * NSEC_PER_MSEC);
	}
	return false;
}

FIXTURE(module) {
	int idle;
	int fd;
	size_t len;
};

FIXTURE_SETUP(module)
{
	self->idle = module_users();
	if (self->idle == -ENOENT)
		SKIP(return, "pinseal is built in");
	ASSERT_LE(0, self->idle);
	self->len = 4 * page_size();
	self->fd = ps_create(self->len);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(module)
{
	close(self->fd);
}

TEST_F(module, stays_while_a_descriptor_is_open)
{
	ASSERT_EQ(-EWOULDBLOCK, unload());
	EXPECT_EQ(0, ps_get_seals(self->fd));
}

TEST_F(module, works_after_a_refused_unload)
{
	int fd;

	ASSERT_EQ(-EWOULDBLOCK, unload());
	fd = ps_open(O_RDWR);
	EXPECT_LE(0, fd);
	close(fd);
}

TEST_F(module, is_released_by_close)
{
	close(self->fd);
	self->fd = -1;
	EXPECT_TRUE(users_return_to(self->idle));
}

/* Mappings, each of which keeps the module. */
static const struct {
	const char *what;
	int prot, flags;
} maps[] = {
	{ "shared writable", RW, MAP_SHARED },
	{ "shared read-only", PROT_READ, MAP_SHARED },
	{ "private writable", RW, MAP_PRIVATE },
	{ "private read-only", PROT_READ, MAP_PRIVATE },
	{ "without access", PROT_NONE, MAP_SHARED },
};

TEST_F(module, stays_while_only_a_mapping_exists)
{
	for (size_t i = 0; i < ARRAY_SIZE(maps); i++) {
		int fd = ps_create(self->len);
		char *p = ps_map(fd, self->len, maps[i].prot, maps[i].flags);

		ASSERT_NE(MAP_FAILED, p);
		close(fd);
		close(self->fd);
		EXPECT_FALSE(module_users() == self->idle) {
			TH_LOG("%s mapping", maps[i].what);
		}
		ASSERT_EQ(-EWOULDBLOCK, unload()) {
			TH_LOG("%s mapping", maps[i].what);
		}
		if (maps[i].prot & PROT_READ) {
			EXPECT_EQ(0, ps_touch(p, maps[i].prot & PROT_WRITE));
		}
		self->fd = ps_create(self->len);
		munmap(p, self->len);
	}
}

TEST_F(module, is_released_by_munmap)
{
	for (size_t i = 0; i < ARRAY_SIZE(maps); i++) {
		int fd = ps_create(self->len);
		char *p = ps_map(fd, self->len, maps[i].prot, maps[i].flags);

		ASSERT_NE(MAP_FAILED, p);
		close(fd);
		munmap(p, self->len);
	}
	close(self->fd);
	self->fd = -1;
	EXPECT_TRUE(users_return_to(self->idle));
}

TEST_F(module, stays_while_a_piece_of_a_mapping_exists)
{
	char *p = ps_map(self->fd, self->len, RW, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, p);
	close(self->fd);
	self->fd = -1;
	munmap(p, page_size());
	munmap(p + 2 * page_size(), 2 * page_size());
	ASSERT_EQ(-EWOULDBLOCK, unload());
	EXPECT_EQ(0, ps_touch(p + page_size(), true));
	munmap(p + page_size(), page_size());
	EXPECT_TRUE(users_return_to(self->idle));
}

/* A child that keeps what it inherited until it is killed. */
static pid_t fork_holder(void)
{
	pid_t pid = ps_fork();

	if (!pid)
		for (;;)
			pause();
	return pid;
}

TEST_F(module, stays_while_another_process_has_the_descriptor)
{
	pid_t pid = fork_holder();

	close(self->fd);
	self->fd = -1;
	EXPECT_EQ(-EWOULDBLOCK, unload());
	ps_kill(pid);
	EXPECT_TRUE(users_return_to(self->idle));
}

TEST_F(module, stays_while_another_process_has_a_mapping)
{
	char *p = ps_map(self->fd, self->len, RW, MAP_SHARED);
	pid_t pid;

	ASSERT_NE(MAP_FAILED, p);
	close(self->fd);
	self->fd = -1;
	pid = fork_holder();
	munmap(p, self->len);
	EXPECT_EQ(-EWOULDBLOCK, unload());
	ps_kill(pid);
	EXPECT_TRUE(users_return_to(self->idle));
}

TEST_F(module, stays_while_a_descriptor_is_in_transit)
{
	int socks[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, socks));
	ASSERT_EQ(1, send_fd(socks[0], self->fd));
	close(self->fd);
	self->fd = -1;
	EXPECT_EQ(-EWOULDBLOCK, unload());
	close(socks[0]);
	close(socks[1]);
	EXPECT_TRUE(users_return_to(self->idle));
}

TEST_F(module, is_released_by_a_killed_process)
{
	pid_t pid;

	close(self->fd);
	self->fd = -1;
	pid = ps_fork();
	if (!pid) {
		int fd = ps_create(self->len);

		ps_map(fd, self->len, RW, MAP_SHARED);
		ps_map(fd, self->len, PROT_READ, MAP_PRIVATE);
		raise(SIGKILL);
	}
	ASSERT_EQ(128 + SIGKILL, ps_wait(pid));
	EXPECT_TRUE(users_return_to(self->idle));
}

TEST_HARNESS_MAIN

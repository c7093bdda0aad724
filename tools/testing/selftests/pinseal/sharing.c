// SPDX-License-Identifier: GPL-2.0-only
/*
 * One object in several processes and threads.
 *
 * Runs on a memfd, an object and an imported memfd: the memfd variant proves what shmem
 * does, the others that the object does the same.
 */
#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>

#include "harness.h"
#include "bytes.h"
#include "object.h"
#include "pass_fd.h"

/* An empty object and a buffer of eight pages, filled. */
FIXTURE(sharing) {
	int fd;
	size_t page;
	char *buf;
};

ON_EVERY_KIND(sharing);

FIXTURE_SETUP(sharing)
{
	self->page = page_size();
	self->fd = obj_open(variant->kind);
	ASSERT_LE(0, self->fd);
	self->buf = malloc(8 * self->page);
	ASSERT_NE(NULL, self->buf);
	fill(self->buf, 8 * self->page, 1);
}

FIXTURE_TEARDOWN(sharing)
{
	close(self->fd);
	free(self->buf);
}

TEST_F(sharing, fork_shares)
{
	char *p;
	pid_t pid;

	ASSERT_EQ(0, obj_resize(self->fd, self->page));
	p = ps_map(self->fd, self->page, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	pid = ps_fork();
	if (!pid) {
		p[0] = 'c';
		_exit(pwrite(self->fd, "d", 1, 1) != 1);
	}
	ASSERT_EQ(0, ps_wait(pid));
	EXPECT_EQ('c', p[0]);
	EXPECT_EQ('d', p[1]);
}

TEST_F(sharing, fork_does_not_share_private_copies)
{
	char *p;
	pid_t pid;

	ASSERT_EQ(0, obj_resize(self->fd, self->page));
	p = ps_map(self->fd, self->page, RW, MAP_PRIVATE);
	ASSERT_NE(MAP_FAILED, p);
	p[0] = 'p';
	pid = ps_fork();
	if (!pid) {
		p[0] = 'c';
		_exit(0);
	}
	ASSERT_EQ(0, ps_wait(pid));
	EXPECT_EQ('p', p[0]);
}

TEST_F(sharing, passed_descriptor_shares)
{
	int socks[2];
	pid_t pid;
	char *p;
	int fd;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, socks));
	pid = ps_fork();
	if (!pid) {
		close(socks[0]);
		fd = obj_create(variant->kind, page_size());
		if (pwrite(fd, "child", 5, 0) != 5)
			_exit(1);
		_exit(send_fd(socks[1], fd) != 1);
	}
	close(socks[1]);
	fd = receive_fd(socks[0]);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ps_wait(pid));
	p = ps_map(fd, self->page, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(0, memcmp("child", p, 5));
	EXPECT_EQ(self->page, obj_size(fd));
}

TEST_F(sharing, futex_wakes_another_process)
{
	uint32_t *p;
	pid_t pid;

	ASSERT_EQ(0, obj_resize(self->fd, self->page));
	p = ps_map(self->fd, self->page, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	pid = ps_fork();
	if (!pid) {
		/* Another mapping: the futex key must be the page of the object. */
		uint32_t *q = ps_map(self->fd, self->page, RW, MAP_SHARED);

		if (q == MAP_FAILED)
			_exit(1);
		__atomic_store_n(&q[1], 1, __ATOMIC_SEQ_CST);
		while (!__atomic_load_n(&q[0], __ATOMIC_SEQ_CST))
			syscall(SYS_futex, q, FUTEX_WAIT, 0, NULL, NULL, 0);
		_exit(0);
	}
	while (!__atomic_load_n(&p[1], __ATOMIC_SEQ_CST))
		sleep_ns(NSEC_PER_MSEC);
	sleep_ns(20 * NSEC_PER_MSEC);
	__atomic_store_n(&p[0], 1, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, p, FUTEX_WAKE, 1, NULL, NULL, 0);
	EXPECT_EQ(0, ps_wait(pid));
}

#define THREADS	8

struct writer {
	int fd;
	size_t page;
	int index;
	bool mapped;
	int error;
};

/* Writes every THREADS-th page from @index on, then checks them. */
static void *write_pages(void *data)
{
	struct writer *w = data;
	char *buf = malloc(w->page), *p = NULL;

	if (w->mapped)
		p = ps_map(w->fd, 16 * THREADS * w->page, RW, MAP_SHARED);
	for (int i = w->index; i < 16 * THREADS; i += THREADS) {
		fill(buf, w->page, i);
		if (w->mapped)
			memcpy(p + i * w->page, buf, w->page);
		else if (pwrite(w->fd, buf, w->page, i * w->page) != (ssize_t)w->page)
			w->error = 1;
	}
	for (int i = w->index; i < 16 * THREADS; i += THREADS) {
		if (pread(w->fd, buf, w->page, i * w->page) != (ssize_t)w->page ||
		    !is_filled(buf, w->page, i))
			w->error = 2;
	}
	if (w->mapped)
		munmap(p, 16 * THREADS * w->page);
	free(buf);
	return NULL;
}

TEST_F(sharing, threads_write_disjoint_pages)
{
	struct writer writers[THREADS];
	pthread_t threads[THREADS];

	ASSERT_EQ(0, obj_resize(self->fd, 16 * THREADS * self->page));
	for (int i = 0; i < THREADS; i++) {
		writers[i] = (struct writer){ self->fd, self->page, i, i % 2 };
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, write_pages, &writers[i]));
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		EXPECT_EQ(0, writers[i].error) {
			TH_LOG("thread %d", i);
		}
	}
}

TEST_HARNESS_MAIN

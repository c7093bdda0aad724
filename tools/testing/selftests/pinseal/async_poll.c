// SPDX-License-Identifier: GPL-2.0-only
/*
 * Asynchronous seals and event loops: pollers are woken, and io_uring waits with a write as
 * write() does.
 */
#include <sys/epoll.h>
#include <sys/select.h>

#include "harness.h"
#include "async_fixture.h"

/* Writers */

static struct io_uring_sqe uring_write(int fd)
{
	return (struct io_uring_sqe){
		.opcode = IORING_OP_WRITE,
		.fd = fd,
		.addr = (uintptr_t)"w",
		.len = 1,
	};
}

TEST_F(async, io_uring_waits_with_a_write)
{
	struct pinseal_seal arg = seal_async(F_SEAL_WRITE, FOR_EVER);
	struct io_uring_sqe sqe = uring_write(self->fd);
	struct io_uring_cqe cqe;
	struct uring ring;

	ASSERT_EQ(0, uring_open(&ring, 4, 0));
	ASSERT_EQ(0, uring_submit(&ring, &sqe));
	ASSERT_EQ(0, uring_wait(&ring, &cqe));
	ASSERT_EQ(1, cqe.res);
	ASSERT_EQ(0, async_wait_scan(self->fd, &arg));
	ASSERT_EQ(0, uring_submit(&ring, &sqe));
	sleep_ns(20 * NSEC_PER_MSEC);
	EXPECT_EQ(-EAGAIN, uring_reap(&ring, &cqe));
	ASSERT_EQ(0, async_cancel(self->fd, &arg));
	ASSERT_EQ(0, uring_wait(&ring, &cqe));
	EXPECT_EQ(1, cqe.res);

	/* The write after the seal fails. */
	arg = seal_async(F_SEAL_WRITE, FOR_EVER);
	ASSERT_EQ(0, async_wait_scan(self->fd, &arg));
	ASSERT_EQ(0, uring_submit(&ring, &sqe));
	ASSERT_EQ(0, release_page(self));
	ASSERT_EQ(0, uring_wait(&ring, &cqe));
	EXPECT_EQ(-EPERM, cqe.res);
	uring_close(&ring);
}

TEST_F(async, io_uring_does_not_wait_when_nonblocking)
{
	struct pinseal_seal arg = seal_async(F_SEAL_WRITE, FOR_EVER);
	struct io_uring_sqe sqe = uring_write(self->fd);
	struct io_uring_cqe cqe;
	struct uring ring;

	ASSERT_EQ(0, fcntl(self->fd, F_SETFL, O_NONBLOCK));
	ASSERT_EQ(0, uring_open(&ring, 4, 0));
	ASSERT_EQ(0, uring_submit(&ring, &sqe));
	ASSERT_EQ(0, uring_wait(&ring, &cqe));
	ASSERT_EQ(1, cqe.res);
	ASSERT_EQ(0, async_wait_scan(self->fd, &arg));
	EXPECT_EQ(-EAGAIN, sys(pwrite(self->fd, "w", 1, 0)));
	ASSERT_EQ(0, uring_submit(&ring, &sqe));
	ASSERT_EQ(0, uring_wait(&ring, &cqe));
	EXPECT_EQ(-EAGAIN, cqe.res);
	uring_close(&ring);
}

/* poll() */

struct poller {
	int fd;
	int (*wait)(int fd);
	pid_t tid;
	int ret;
	bool done;
	pthread_t thread;
};

static int wait_poll(int fd)
{
	return ready_within(fd, POLLPRI, SOON_NS / NSEC_PER_MSEC) == POLLPRI ? 0 : -ETIME;
}

static int wait_select(int fd)
{
	struct timeval timeout = { .tv_sec = SOON_NS / NSEC_PER_SEC };
	fd_set exceptions;

	FD_ZERO(&exceptions);
	FD_SET(fd, &exceptions);
	return select(fd + 1, NULL, NULL, &exceptions, &timeout) == 1 &&
	       FD_ISSET(fd, &exceptions) ? 0 : -ETIME;
}

static int wait_epoll(int fd)
{
	struct epoll_event event = { .events = EPOLLPRI | EPOLLET, .data.fd = fd }, got;
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	int ret = sys(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));

	if (!ret)
		ret = sys(epoll_wait(epoll, &got, 1, SOON_NS / NSEC_PER_MSEC));
	if (ret == 1)
		ret = got.events == EPOLLPRI && got.data.fd == fd ? 0 : -EIO;
	else if (!ret)
		ret = -ETIME;
	close(epoll);
	return ret;
}

static int wait_uring(int fd)
{
	struct io_uring_cqe cqe;
	struct uring ring;
	int ret = uring_open(&ring, 4, 0);

	if (ret)
		return ret;
	ret = uring_submit(&ring, &(struct io_uring_sqe){
		.opcode = IORING_OP_POLL_ADD,
		.fd = fd,
		.poll32_events = POLLPRI,
	});
	ret = ret ?: uring_wait(&ring, &cqe);
	uring_close(&ring);
	return ret ?: cqe.res == POLLPRI ? 0 : -EIO;
}

static void *poller_thread(void *data)
{
	struct poller *p = data;

	__atomic_store_n(&p->tid, thread_id(), __ATOMIC_RELEASE);
	p->ret = p->wait(p->fd);
	__atomic_store_n(&p->done, true, __ATOMIC_RELEASE);
	return NULL;
}

TEST_F(async, wakes_all_pollers)
{
	static int (*const waits[])(int) = { wait_poll, wait_uring, wait_select, wait_epoll };
	struct pinseal_seal arg = seal_async(F_SEAL_WRITE, FOR_EVER);
	struct poller p[ARRAY_SIZE(waits)];

	/* Half of them before the seal begins. */
	for (size_t i = 0; i < ARRAY_SIZE(waits); i++) {
		if (i == 2)
			ASSERT_EQ(0, ps_seal(self->fd, &arg));
		p[i] = (struct poller){ .fd = self->fd, .wait = waits[i] };
		ASSERT_EQ(0, pthread_create(&p[i].thread, NULL, poller_thread, &p[i]));
		ASSERT_TRUE(thread_wait_asleep(&p[i].tid));
	}
	for (size_t i = 0; i < ARRAY_SIZE(waits); i++)
		EXPECT_FALSE(__atomic_load_n(&p[i].done, __ATOMIC_ACQUIRE));
	ASSERT_EQ(0, release_page(self));
	for (size_t i = 0; i < ARRAY_SIZE(waits); i++) {
		pthread_join(p[i].thread, NULL);
		EXPECT_EQ(0, p[i].ret);
	}
	EXPECT_EQ(0, ps_seal(self->fd, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_SEALED, arg.outcome);
}

/* A poller outlives the object, or the object its poller. */
TEST(epoll_and_close)
{
	for (int i = 0; i < 50; i++) {
		struct epoll_event event = { .events = EPOLLPRI }, got;
		struct pinseal_seal arg = seal_async(F_SEAL_WRITE, 0);
		int epoll = epoll_create1(EPOLL_CLOEXEC);
		int fd = ps_create(page_size());

		ASSERT_LE(0, fd);
		ASSERT_EQ(0, epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
		ASSERT_EQ(0, ps_seal(fd, &arg));
		if (i % 3 == 0) {
			ASSERT_EQ(1, epoll_wait(epoll, &got, 1, SOON_NS / NSEC_PER_MSEC));
			EXPECT_EQ(EPOLLPRI, got.events);
		}
		close(i % 2 ? fd : epoll);
		close(i % 2 ? epoll : fd);
	}
}

TEST_HARNESS_MAIN

// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sealing in the background: what the calls and poll() say, who puts an end to it, and
 * that nothing of it is left then.
 */
#include <dirent.h>
#include <sys/epoll.h>
#include <sys/select.h>

#include "async.h"
#include "holders.h"
#include "object.h"
#include "pass_fd.h"
#include "rounds.h"
#include "state.h"
#include "sysfile.h"

#include "harness.h"

#define HELD		3		/* the page that is held */
#define FOR_EVER	UINT64_MAX

/* An object with one held page, and an exported descriptor that shows what becomes of it. */
FIXTURE(background)
{
	int fd, memory;
	size_t len;
	struct hold hold;
	bool holding;
};

FIXTURE_SETUP(background)
{
	self->len = PAGES * page_size();
	self->fd = ps_create(self->len);
	ASSERT_LE(0, self->fd);
	self->memory = ps_export(self->fd, 0);
	ASSERT_LE(0, self->memory);
	ASSERT_EQ(0, hold_begin(&self->hold, HOLD_VMSPLICE, self->fd, HELD, 1));
	self->holding = true;
}

static int let_go(FIXTURE_DATA(background) *self)
{
	self->holding = false;
	return hold_end(&self->hold);
}

FIXTURE_TEARDOWN(background)
{
	if (self->holding)
		let_go(self);
	close(self->memory);
	if (self->fd >= 0)
		close(self->fd);
}

/* What F_SEAL_EXEC implies. */
#define WX_SEALS	(F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)

/* Nobody seals the memory, and nobody ever did. */
#define EXPECT_UNTOUCHED(memory)						\
	do {									\
		EXPECT_EQ(F_SEAL_SEAL, obj_get_seals(memory));			\
		EXPECT_EQ(1, sys(pwrite(memory, "u", 1, 0)));			\
		EXPECT_EQ(0, ps_try_map(memory, page_size(),			\
					PROT_READ | PROT_WRITE, MAP_SHARED));	\
	} while (0)

TEST(a_clean_object)
{
	static const uint32_t seals[] = {
		0, F_SEAL_WRITE, F_SEAL_GROW, F_SEAL_SHRINK, F_SEAL_FUTURE_WRITE, F_SEAL_EXEC,
		F_SEAL_SEAL | F_SEAL_WRITE, PINSEAL_F_SEAL_FUTURE_EXEC,
	};

	for (size_t i = 0; i < ARRAY_SIZE(seals); i++) {
		struct pinseal_seal arg = seal_async(seals[i], 0);
		int fd = ps_create(page_size());

		ASSERT_LE(0, fd);
		EXPECT_EQ(0, ps_seal(fd, &arg));
		EXPECT_EQ(PINSEAL_OUTCOME_PENDING, arg.outcome);
		EXPECT_EQ(0, async_wait(fd, &arg));
		EXPECT_EQ(PINSEAL_OUTCOME_SEALED, arg.outcome);
		/* What is executable shall not change. */
		EXPECT_EQ(seals[i] | (seals[i] & F_SEAL_EXEC ? WX_SEALS : 0), ps_get_seals(fd));
		EXPECT_EQ(0, arg.pinned_pages);
		EXPECT_EQ(PINSEAL_NO_PAGE, arg.first_pinned);
		/* Told once. */
		EXPECT_FALSE(async_ended(fd));
		close(fd);
	}
}

TEST(an_unused_object)
{
	struct pinseal_seal arg = seal_async(F_SEAL_WRITE, 0);
	int fd = ps_open(O_RDWR);

	ASSERT_LE(0, fd);
	EXPECT_EQ(ALWAYS_READY, ready_within(fd, ALWAYS_READY | POLLPRI, 0));
	EXPECT_EQ(0, ps_seal(fd, &arg));
	EXPECT_EQ(0, async_wait(fd, &arg));
	EXPECT_EQ(F_SEAL_WRITE, ps_get_seals(fd));
	close(fd);
}

TEST_F(background, goes_on_until_the_page_is_let_go)
{
	struct pinseal_seal arg = seal_async(F_SEAL_WRITE, FOR_EVER);
	uint32_t scans;

	ASSERT_EQ(0, ps_seal(self->fd, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_PENDING, arg.outcome);
	EXPECT_EQ(ALWAYS_READY, ready_within(self->fd, ALWAYS_READY | POLLPRI, 0));
	EXPECT_EQ(0, ready_within(self->fd, POLLPRI, 50));
	EXPECT_EQ(0, ps_get_seals(self->fd));

	/* Asking tells how far it is, and changes nothing. */
	ASSERT_EQ(0, async_wait_for_a_look(self->fd, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_PENDING, arg.outcome);
	EXPECT_EQ(1, arg.pinned_pages);
	EXPECT_EQ(HELD, arg.first_pinned);
	EXPECT_LE(1, arg.scans);
	scans = arg.scans;

	/* As with any seal, no writable mapping is made meanwhile. */
	EXPECT_EQ(-EBUSY, ps_try_map(self->fd, page_size(), PROT_READ | PROT_WRITE, MAP_SHARED));

	ASSERT_EQ(0, let_go(self));
	ASSERT_EQ(0, async_wait(self->fd, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_SEALED, arg.outcome);
	EXPECT_LT(scans, arg.scans);
	EXPECT_EQ(F_SEAL_WRITE, ps_get_seals(self->fd));
	EXPECT_EQ(-EPERM, sys(pwrite(self->memory, "x", 1, 0)));
	EXPECT_EQ(ALWAYS_READY, ready_within(self->fd, ALWAYS_READY | POLLPRI, 0));
}

TEST_F(background, keeps_to_its_bounds)
{
	struct pinseal_seal by_time = seal_async(F_SEAL_WRITE, 30 * NSEC_PER_MSEC);
	struct pinseal_seal by_scans = seal_async(F_SEAL_WRITE, FOR_EVER);
	struct pinseal_seal by_default = seal_async(F_SEAL_WRITE, 0);
	struct pinseal_seal at_once = seal_async(F_SEAL_WRITE, FOR_EVER);

	ASSERT_EQ(0, ps_seal(self->fd, &by_time));
	ASSERT_EQ(-EBUSY, async_wait(self->fd, &by_time));
	EXPECT_EQ(PINSEAL_OUTCOME_PINNED, by_time.outcome);
	EXPECT_EQ(1, by_time.pinned_pages);
	EXPECT_EQ(HELD, by_time.first_pinned);
	EXPECT_LE(30 * NSEC_PER_MSEC, by_time.waited_ns);
	EXPECT_UNTOUCHED(self->memory);

	by_scans.max_scans = 7;
	ASSERT_EQ(0, ps_seal(self->fd, &by_scans));
	ASSERT_EQ(-EBUSY, async_wait(self->fd, &by_scans));
	EXPECT_EQ(PINSEAL_OUTCOME_PINNED, by_scans.outcome);
	EXPECT_EQ(7, by_scans.scans);
	EXPECT_UNTOUCHED(self->memory);

	ASSERT_EQ(0, ps_seal(self->fd, &by_default));
	ASSERT_EQ(-EBUSY, async_wait(self->fd, &by_default));
	EXPECT_LE(150 * NSEC_PER_MSEC, by_default.waited_ns);

	at_once.flags |= PINSEAL_SEAL_NOWAIT;
	ASSERT_EQ(0, ps_seal(self->fd, &at_once));
	ASSERT_EQ(-EBUSY, async_wait(self->fd, &at_once));
	EXPECT_EQ(PINSEAL_OUTCOME_PINNED, at_once.outcome);
	EXPECT_UNTOUCHED(self->memory);

	ASSERT_EQ(0, let_go(self));
	EXPECT_EQ(0, ps_add_seals(self->fd, F_SEAL_WRITE));
}

TEST(a_writable_mapping)
{
	struct pinseal_seal arg = seal_async(F_SEAL_WRITE, FOR_EVER);
	int fd = ps_create(page_size());
	char *p = ps_map(fd, page_size(), PROT_READ | PROT_WRITE, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(0, ps_seal(fd, &arg));
	EXPECT_EQ(-EBUSY, async_wait(fd, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_WRITABLE_MAPPING, arg.outcome);
	EXPECT_EQ(0, ps_get_seals(fd));
	*p = 'w';
	munmap(p, page_size());
	arg = seal_async(F_SEAL_WRITE, FOR_EVER);
	EXPECT_EQ(0, ps_seal(fd, &arg));
	EXPECT_EQ(0, async_wait(fd, &arg));
	close(fd);
}

/* What another call left in the struct does not count. */
TEST_F(background, starts_anew)
{
	struct pinseal_seal arg = seal_async(F_SEAL_WRITE, NSEC_PER_SEC);

	arg.max_scans = 3;
	arg.scans = 1000;
	arg.waited_ns = FOR_EVER;
	ASSERT_EQ(0, ps_seal(self->fd, &arg));
	ASSERT_EQ(-EBUSY, async_wait(self->fd, &arg));
	EXPECT_EQ(3, arg.scans);
	EXPECT_GT(NSEC_PER_SEC, arg.waited_ns);
}

TEST_F(background, isolates)
{
	struct pinseal_seal arg = seal_async(F_SEAL_WRITE, FOR_EVER);

	arg.flags |= PINSEAL_SEAL_NOWAIT | PINSEAL_SEAL_ISOLATE;
	ASSERT_EQ(0, ps_seal(self->fd, &arg));
	ASSERT_EQ(0, async_wait(self->fd, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_SEALED, arg.outcome);
	EXPECT_EQ(1, arg.isolated_pages);
	EXPECT_EQ(F_SEAL_WRITE, ps_get_seals(self->fd));
}

/*
 * Others who seal meanwhile
 */

TEST_F(background, keeps_the_turn)
{
	struct pinseal_seal arg = seal_async(F_SEAL_WRITE, FOR_EVER), other = seal_write(1000);

	ASSERT_EQ(0, ps_seal(self->fd, &arg));
	ASSERT_EQ(0, async_wait_for_a_look(self->fd, &arg));
	EXPECT_EQ(-EBUSY, ps_seal(self->fd, &other));
	EXPECT_EQ(PINSEAL_OUTCOME_PINNED, other.outcome);
	EXPECT_EQ(HELD, other.first_pinned);
	ASSERT_EQ(0, let_go(self));
	EXPECT_EQ(0, async_wait(self->fd, &arg));
	/* And gives it back. */
	EXPECT_EQ(0, ps_add_seals(self->fd, F_SEAL_GROW));
	EXPECT_EQ(F_SEAL_WRITE | F_SEAL_GROW, ps_get_seals(self->fd));
}

TEST_F(background, waits_for_its_turn)
{
	struct pinseal_seal arg = seal_async(F_SEAL_GROW, FOR_EVER);
	struct pinseal_seal late = seal_async(F_SEAL_SHRINK, 20 * NSEC_PER_MSEC);
	struct sealer s;

	ASSERT_EQ(0, sealer_start(&s, self->fd, seal_write(FOR_EVER)));
	ASSERT_EQ(0, ps_seal(self->fd, &late));
	EXPECT_EQ(-EBUSY, async_wait(self->fd, &late));
	EXPECT_EQ(PINSEAL_OUTCOME_PINNED, late.outcome);
	EXPECT_EQ(HELD, late.first_pinned);
	EXPECT_EQ(0, ps_get_seals(self->fd));

	ASSERT_EQ(0, ps_seal(self->fd, &arg));
	EXPECT_EQ(0, ready_within(self->fd, POLLPRI, 20));
	ASSERT_EQ(0, let_go(self));
	EXPECT_EQ(0, sealer_join(&s));
	EXPECT_EQ(0, async_wait(self->fd, &arg));
	EXPECT_EQ(F_SEAL_WRITE | F_SEAL_GROW, ps_get_seals(self->fd));
}

TEST_F(background, learns_that_no_seals_can_be_added_any_more)
{
	struct pinseal_seal arg = seal_async(F_SEAL_GROW, FOR_EVER), before;
	struct pinseal_seal end = seal_write(FOR_EVER);
	struct sealer s;

	end.seals |= F_SEAL_SEAL;
	ASSERT_EQ(0, sealer_start(&s, self->fd, end));
	ASSERT_EQ(0, ps_seal(self->fd, &arg));
	before = arg;
	ASSERT_EQ(0, let_go(self));
	EXPECT_EQ(0, sealer_join(&s));
	EXPECT_EQ(-EPERM, async_wait(self->fd, &arg));
	EXPECT_EQ(0, memcmp(&before, &arg, sizeof(arg)));
	EXPECT_EQ(F_SEAL_WRITE | F_SEAL_SEAL, ps_get_seals(self->fd));
	/* Told once; and from now on the call itself says so. */
	EXPECT_FALSE(async_ended(self->fd));
	EXPECT_EQ(-EPERM, ps_seal(self->fd, &arg));
}

TEST_F(background, is_one_at_a_time)
{
	struct pinseal_seal arg = seal_async(F_SEAL_WRITE, FOR_EVER);
	struct pinseal_seal other = seal_async(F_SEAL_WRITE | F_SEAL_GROW, FOR_EVER);

	ASSERT_EQ(0, ps_seal(self->fd, &arg));
	EXPECT_EQ(-EALREADY, ps_seal(self->fd, &other));
	EXPECT_EQ(-EALREADY, async_cancel(self->fd, &other));
	ASSERT_EQ(0, let_go(self));
	ASSERT_EQ(POLLPRI, ready_within(self->fd, POLLPRI, 5000));
	/* Nor while nobody has been told of the one before. */
	EXPECT_EQ(-EALREADY, ps_seal(self->fd, &other));
	EXPECT_EQ(0, ps_seal(self->fd, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_SEALED, arg.outcome);
	EXPECT_EQ(0, ps_seal(self->fd, &other));
	EXPECT_EQ(0, async_wait(self->fd, &other));
	EXPECT_EQ(F_SEAL_WRITE | F_SEAL_GROW, ps_get_seals(self->fd));
}

TEST_F(background, belongs_to_the_object)
{
	struct pinseal_seal arg = seal_async(F_SEAL_WRITE, FOR_EVER);
	int other = ps_reopen(self->fd, O_RDWR), reader = ps_reopen(self->fd, O_RDONLY);

	ASSERT_LE(0, other);
	ASSERT_LE(0, reader);
	ASSERT_EQ(0, ps_seal(self->fd, &arg));
	EXPECT_EQ(-EPERM, ps_seal(reader, &arg));
	EXPECT_EQ(-EPERM, async_cancel(reader, &arg));
	ASSERT_EQ(0, ps_seal(other, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_PENDING, arg.outcome);
	ASSERT_EQ(0, let_go(self));
	/* Whoever polls sees it, but only who may seal is told. */
	EXPECT_EQ(POLLPRI, ready_within(reader, POLLPRI, 5000));
	EXPECT_EQ(-EPERM, ps_seal(reader, &arg));
	EXPECT_TRUE(async_ended(self->fd));
	EXPECT_EQ(0, ps_seal(other, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_SEALED, arg.outcome);
	EXPECT_FALSE(async_ended(self->fd));
	close(reader);
	close(other);
}

TEST_F(background, is_shown_in_fdinfo)
{
	struct pinseal_seal arg = seal_async(F_SEAL_WRITE | F_SEAL_GROW, FOR_EVER);
	char shown[32];

	EXPECT_EQ(-ENOENT, fdinfo_value(self->fd, "sealing", shown, sizeof(shown)));
	ASSERT_EQ(0, ps_seal(self->fd, &arg));
	EXPECT_EQ(0, fdinfo_value(self->fd, "sealing", shown, sizeof(shown)));
	EXPECT_EQ(arg.seals, strtoul(shown, NULL, 0));
	ASSERT_EQ(0, async_cancel(self->fd, &arg));
	EXPECT_EQ(-ENOENT, fdinfo_value(self->fd, "sealing", shown, sizeof(shown)));
	/* Also when it has ended: others can be told of it who know what it was. */
	arg = seal_async(F_SEAL_GROW, 0);
	ASSERT_EQ(0, ps_seal(self->fd, &arg));
	ASSERT_EQ(POLLPRI, ready_within(self->fd, POLLPRI, 5000));
	EXPECT_EQ(0, fdinfo_value(self->fd, "sealing", shown, sizeof(shown)));
	EXPECT_EQ(arg.seals, strtoul(shown, NULL, 0));
	EXPECT_EQ(0, ps_seal(self->fd, &arg));
	EXPECT_EQ(-ENOENT, fdinfo_value(self->fd, "sealing", shown, sizeof(shown)));
}

/*
 * Those who write meanwhile
 */

static struct io_uring_sqe uring_write(int fd)
{
	return (struct io_uring_sqe){
		.opcode = IORING_OP_WRITE,
		.fd = fd,
		.addr = (uintptr_t)"w",
		.len = 1,
	};
}

TEST_F(background, io_uring_waits_with_a_write)
{
	struct pinseal_seal arg = seal_async(F_SEAL_WRITE, FOR_EVER);
	struct io_uring_sqe sqe = uring_write(self->fd);
	struct io_uring_cqe cqe;
	struct uring ring;

	ASSERT_EQ(0, uring_open(&ring, 4, 0));
	ASSERT_EQ(0, uring_submit(&ring, &sqe));
	ASSERT_EQ(0, uring_wait(&ring, &cqe));
	ASSERT_EQ(1, cqe.res);
	ASSERT_EQ(0, async_wait_for_a_look(self->fd, &arg));
	ASSERT_EQ(0, uring_submit(&ring, &sqe));
	sleep_ns(20 * NSEC_PER_MSEC);
	EXPECT_EQ(-EAGAIN, uring_reap(&ring, &cqe));
	ASSERT_EQ(0, async_cancel(self->fd, &arg));
	ASSERT_EQ(0, uring_wait(&ring, &cqe));
	EXPECT_EQ(1, cqe.res);

	/* And learns that it came too late. */
	arg = seal_async(F_SEAL_WRITE, FOR_EVER);
	ASSERT_EQ(0, async_wait_for_a_look(self->fd, &arg));
	ASSERT_EQ(0, uring_submit(&ring, &sqe));
	ASSERT_EQ(0, let_go(self));
	ASSERT_EQ(0, uring_wait(&ring, &cqe));
	EXPECT_EQ(-EPERM, cqe.res);
	uring_close(&ring);
}

TEST_F(background, io_uring_does_not_wait_where_nobody_does)
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
	ASSERT_EQ(0, async_wait_for_a_look(self->fd, &arg));
	EXPECT_EQ(-EAGAIN, sys(pwrite(self->fd, "w", 1, 0)));
	ASSERT_EQ(0, uring_submit(&ring, &sqe));
	ASSERT_EQ(0, uring_wait(&ring, &cqe));
	EXPECT_EQ(-EAGAIN, cqe.res);
	uring_close(&ring);
}

/*
 * poll()
 */

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

TEST_F(background, wakes_all_who_poll)
{
	static int (*const waits[])(int) = { wait_poll, wait_uring, wait_select, wait_epoll };
	struct pinseal_seal arg = seal_async(F_SEAL_WRITE, FOR_EVER);
	struct poller p[ARRAY_SIZE(waits)];

	/* Some of them before it begins. */
	for (size_t i = 0; i < ARRAY_SIZE(waits); i++) {
		if (i == 2)
			ASSERT_EQ(0, ps_seal(self->fd, &arg));
		p[i] = (struct poller){ .fd = self->fd, .wait = waits[i] };
		ASSERT_EQ(0, pthread_create(&p[i].thread, NULL, poller_thread, &p[i]));
		ASSERT_TRUE(thread_wait_asleep(&p[i].tid));
	}
	for (size_t i = 0; i < ARRAY_SIZE(waits); i++)
		EXPECT_FALSE(__atomic_load_n(&p[i].done, __ATOMIC_ACQUIRE));
	ASSERT_EQ(0, let_go(self));
	for (size_t i = 0; i < ARRAY_SIZE(waits); i++) {
		pthread_join(p[i].thread, NULL);
		EXPECT_EQ(0, p[i].ret);
	}
	EXPECT_EQ(0, ps_seal(self->fd, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_SEALED, arg.outcome);
}

/* A poller of whatever kind outlives the object, or the other way round. */
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
			ASSERT_EQ(1, epoll_wait(epoll, &got, 1, 5000));
			EXPECT_EQ(EPOLLPRI, got.events);
		}
		close(i % 2 ? fd : epoll);
		close(i % 2 ? epoll : fd);
	}
}

/*
 * Putting an end to it
 */

TEST_F(background, is_cancelled)
{
	struct pinseal_seal arg = seal_async(F_SEAL_WRITE, FOR_EVER);

	EXPECT_EQ(-ENOENT, async_cancel(self->fd, &arg));
	for (int i = 0; i < 20; i++) {
		arg = seal_async(F_SEAL_WRITE, FOR_EVER);
		ASSERT_EQ(0, ps_seal(self->fd, &arg));
		sleep_ns(i * NSEC_PER_MSEC / 10);
		ASSERT_EQ(0, async_cancel(self->fd, &arg));
		EXPECT_EQ(PINSEAL_OUTCOME_CANCELLED, arg.outcome);
		EXPECT_UNTOUCHED(self->memory);
		EXPECT_FALSE(async_ended(self->fd));
		EXPECT_EQ(-ENOENT, async_cancel(self->fd, &arg));
	}
	arg = seal_async(F_SEAL_WRITE, FOR_EVER);
	ASSERT_EQ(0, async_wait_for_a_look(self->fd, &arg));
	ASSERT_EQ(0, async_cancel(self->fd, &arg));
	EXPECT_EQ(1, arg.pinned_pages);
	EXPECT_EQ(HELD, arg.first_pinned);
	ASSERT_EQ(0, let_go(self));
	/* Nothing goes on that could seal it now. */
	sleep_ns(20 * NSEC_PER_MSEC);
	EXPECT_UNTOUCHED(self->memory);
	EXPECT_EQ(0, ps_add_seals(self->fd, F_SEAL_WRITE));
}

TEST_F(background, cannot_be_cancelled_where_nothing_is_asynchronous)
{
	struct pinseal_seal arg = seal_write(FOR_EVER);

	arg.flags = PINSEAL_SEAL_CANCEL;
	EXPECT_EQ(-EINVAL, ps_seal(self->fd, &arg));
	EXPECT_UNTOUCHED(self->memory);
}

TEST_F(background, is_cancelled_too_late)
{
	struct pinseal_seal arg = seal_async(F_SEAL_WRITE, NSEC_PER_MSEC);

	ASSERT_EQ(0, ps_seal(self->fd, &arg));
	ASSERT_EQ(POLLPRI, ready_within(self->fd, POLLPRI, 5000));
	EXPECT_EQ(-EBUSY, async_cancel(self->fd, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_PINNED, arg.outcome);
	EXPECT_FALSE(async_ended(self->fd));

	ASSERT_EQ(0, let_go(self));
	arg = seal_async(F_SEAL_WRITE, FOR_EVER);
	ASSERT_EQ(0, ps_seal(self->fd, &arg));
	ASSERT_EQ(POLLPRI, ready_within(self->fd, POLLPRI, 5000));
	EXPECT_EQ(0, async_cancel(self->fd, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_SEALED, arg.outcome);
	EXPECT_EQ(F_SEAL_WRITE, ps_get_seals(self->fd));
}

TEST_F(background, ends_with_the_last_descriptor)
{
	struct pinseal_seal arg = seal_async(F_SEAL_WRITE, FOR_EVER);
	int others[] = { sys(dup(self->fd)), ps_reopen(self->fd, O_RDONLY) };

	ASSERT_LE(0, others[0]);
	ASSERT_LE(0, others[1]);
	ASSERT_EQ(0, async_wait_for_a_look(self->fd, &arg));
	close(self->fd);
	self->fd = -1;
	close(others[0]);
	/* Denied to who has another way to the memory as well. */
	EXPECT_EQ(-EPERM, ps_try_map(self->memory, page_size(), PROT_READ | PROT_WRITE,
				     MAP_SHARED));
	close(others[1]);
	EXPECT_UNTOUCHED(self->memory);
	ASSERT_EQ(0, let_go(self));
	sleep_ns(20 * NSEC_PER_MSEC);
	EXPECT_UNTOUCHED(self->memory);
}

/* What is still shown by a mapping is not closed. */
TEST_F(background, goes_on_while_there_is_a_mapping)
{
	struct pinseal_seal arg = seal_async(F_SEAL_WRITE, FOR_EVER);
	char *p = ps_map(self->fd, self->len, PROT_READ, MAP_PRIVATE);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, async_wait_for_a_look(self->fd, &arg));
	close(self->fd);
	self->fd = -1;
	EXPECT_EQ(-EPERM, ps_try_map(self->memory, page_size(), PROT_READ | PROT_WRITE,
				     MAP_SHARED));
	munmap(p, self->len);
	EXPECT_UNTOUCHED(self->memory);
}

/* A child seals an object of its own, of which the parent has the memory, and holds a page. */
TEST_F(background, ends_with_its_process)
{
	for (int i = 0; i < 10; i++) {
		struct hold hold;
		int memory, socks[2];
		pid_t child;
		char byte;

		ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, socks));
		child = ps_fork();
		ASSERT_LE(0, child);
		if (!child) {
			struct pinseal_seal arg = seal_async(F_SEAL_WRITE, FOR_EVER);
			int fd = ps_create(self->len);

			if (send_fd(socks[1], ps_export(fd, 0)) != 1 ||
			    read(socks[1], &byte, 1) != 1 || ps_seal(fd, &arg) ||
			    write(socks[1], "s", 1) != 1)
				_exit(1);
			for (;;)
				pause();
		}
		memory = receive_fd(socks[0]);
		ASSERT_LE(0, memory);
		ASSERT_EQ(0, hold_begin(&hold, HOLD_VMSPLICE, memory, HELD, 1));
		ASSERT_EQ(1, write(socks[0], "g", 1));
		ASSERT_EQ(1, read(socks[0], &byte, 1));
		sleep_ns(i * NSEC_PER_MSEC);
		ps_kill(child);
		EXPECT_UNTOUCHED(memory);
		ASSERT_EQ(0, hold_end(&hold));
		close(memory);
		close(socks[0]);
		close(socks[1]);
	}
}

/*
 * Many
 */

/* The workers that the kernel has. */
static int kernel_workers(void)
{
	DIR *tasks = opendir("/proc");
	struct dirent *task;
	int workers = 0;

	while (tasks && (task = readdir(tasks))) {
		char path[300], name[32];

		snprintf(path, sizeof(path), "/proc/%s/comm", task->d_name);
		if (atoi(task->d_name) && !read_text(path, name, sizeof(name)) &&
		    !strncmp(name, "kworker", 7))
			workers++;
	}
	if (tasks)
		closedir(tasks);
	return workers;
}

TEST(many_at_once)
{
	enum { MANY = 300 };
	static int fds[MANY];
	static struct hold holds[MANY];
	int before = kernel_workers(), during;

	ASSERT_LT(0, before);
	for (int i = 0; i < MANY; i++) {
		struct pinseal_seal arg = seal_async(F_SEAL_WRITE, FOR_EVER);

		fds[i] = ps_create(page_size());
		ASSERT_LE(0, fds[i]);
		ASSERT_EQ(0, hold_begin(&holds[i], HOLD_VMSPLICE, fds[i], 0, 1));
		ASSERT_EQ(0, ps_seal(fds[i], &arg));
	}
	sleep_ns(100 * NSEC_PER_MSEC);
	during = kernel_workers();
	TH_LOG("%d workers before, %d with %d seals under way", before, during, MANY);
	/* None for each. */
	EXPECT_GT(before + MANY / 4, during);
	for (int i = 0; i < MANY; i++)
		ASSERT_EQ(0, hold_end(&holds[i]));
	for (int i = 0; i < MANY; i++) {
		struct pinseal_seal arg = seal_async(F_SEAL_WRITE, FOR_EVER);

		EXPECT_EQ(0, async_wait(fds[i], &arg));
		EXPECT_EQ(F_SEAL_WRITE, ps_get_seals(fds[i]));
		close(fds[i]);
	}
}

/*
 * Everybody against everybody: who begins, asks, cancels, seals as others do, maps and
 * writes. Once somebody is told that the object is sealed, it is; and in the end nobody
 * has the turn, nor denies anything.
 */
static void meddle(struct worker *w, unsigned int number)
{
	bool was_sealed = is_sealed(w->round);
	uint32_t value = random_bits(&w->random);
	struct pinseal_seal arg = seal_async(F_SEAL_WRITE, value % (2 * NSEC_PER_MSEC));
	int ret;

	switch (value >> 28) {
	case 0 ... 6:
		ret = ps_seal(w->round->fd, &arg);
		break;
	case 7 ... 8:
		ret = async_cancel(w->round->fd, &arg);
		break;
	case 9:
		arg.flags = 0;
		ret = ps_seal(w->round->fd, &arg);
		break;
	case 10:
		ret = ps_try_map(w->round->other, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED);
		if (!ret && was_sealed)
			count(&w->round->violations);
		return;
	default:
		ret = sys(pwrite(w->round->other, &value, sizeof(value),
				 value % (SIZE - sizeof(value))));
		if (ret >= 0 && was_sealed)
			count(&w->round->violations);
		return;
	}
	if (ret && ret != -EBUSY && ret != -ENOENT && ret != -EBADF)
		count(&w->round->violations);
	if (!ret && arg.outcome == PINSEAL_OUTCOME_SEALED) {
		__atomic_store_n(&w->round->sealed, true, __ATOMIC_SEQ_CST);
		count(&w->round->done);
	} else {
		count(&w->round->refused);
	}
}

TEST(everybody)
{
	uint64_t until = now_ns() + 3 * NSEC_PER_SEC;
	unsigned int rounds, sealed = 0;
	struct round r = { 0 };
	struct worker w[4];

	ASSERT_EQ(0, workers_start(w, ARRAY_SIZE(w), &r, meddle));
	for (rounds = 0; rounds < 2 * ENOUGH || now_ns() < until; rounds++) {
		struct pinseal_seal arg = seal_write(LONG_NS);
		struct hold hold;
		uint64_t before;
		int fd = new_object(), other = ps_export(fd, 0);
		bool held = rounds % 2;

		ASSERT_LE(0, fd);
		ASSERT_LE(0, other);
		if (held)
			ASSERT_EQ(0, hold_begin(&hold, HOLD_SPLICE, fd, 1, 1));
		round_begin_by(&r, fd, other);
		sleep_ns(rounds % 8 * NSEC_PER_MSEC / 2);
		if (held) {
			EXPECT_FALSE(is_sealed(&r));
			ASSERT_EQ(0, hold_end(&hold));
		}
		if (rounds % 4 < 2) {
			/* Closed while they are at it. */
			close(fd);
			round_end(&r);
			if (!(obj_get_seals(other) & F_SEAL_WRITE)) {
				EXPECT_UNTOUCHED(other);
			}
			close(other);
			continue;
		}
		while (!is_sealed(&r))
			sched_yield();
		sealed++;
		before = checksum(fd, SIZE);
		sleep_ns(NSEC_PER_MSEC);
		EXPECT_EQ(before, checksum(fd, SIZE));
		round_end(&r);
		/* Whatever still goes on does not keep the turn. */
		arg.seals = F_SEAL_GROW;
		EXPECT_EQ(0, ps_seal(fd, &arg));
		close(fd);
		close(other);
	}
	workers_stop(w, ARRAY_SIZE(w), &r);
	TH_LOG("%u rounds, %u sealed; told %lu times so, and %lu times something else", rounds,
	       sealed, r.done, r.refused);
	EXPECT_EQ(0, r.violations);
	EXPECT_LT(ENOUGH / 2, sealed);
}

TEST_HARNESS_MAIN

// SPDX-License-Identifier: GPL-2.0-only
/*
 * A thread seals pages that its own io_uring requests hold, or while its ring keeps it busy.
 * Completion of a request is task work of the submitting thread, which must run in the middle
 * of the seal. It looks like a signal, but is none: the caller must not see EINTR, the seal
 * must not end before the request, nor wait longer than its bounds.
 */
#include <linux/io_uring.h>
#include <poll.h>
#include <sys/eventfd.h>

#include "holders.h"
#include "sealer.h"
#include "unpinnable.h"

#include "harness.h"

#define PAGES		8
#define HELD		2	/* first of ... */
#define HELD_PAGES	3	/* ... so many pages that a request uses */

#define ROUNDS		test_rounds(30, 120)

/* A thread that ends the request after a delay. */
struct ender {
	int pipe;		/* where the request reads from */
	struct fuse_server *fuse;
	uint64_t delay_ns;
	uint64_t ended;
	int ret;
	pthread_t thread;
};

static void *ender_thread(void *data)
{
	struct ender *e = data;

	sleep_ns(e->delay_ns);
	__atomic_store_n(&e->ended, now_ns(), __ATOMIC_RELEASE);
	if (e->fuse) {
		fuse_server_release(e->fuse);
	} else {
		char buf[64];

		memset(buf, 'r', sizeof(buf));
		e->ret = write(e->pipe, buf, sizeof(buf)) == sizeof(buf) ? 0 : -errno;
	}
	return NULL;
}

FIXTURE(own_request)
{
	struct uring ring;
	int pipe[2];
};

FIXTURE_VARIANT(own_request)
{
	unsigned int setup;	/* IORING_SETUP_* */
};

FIXTURE_VARIANT_ADD(own_request, default)	{ .setup = 0 };
FIXTURE_VARIANT_ADD(own_request, coop_taskrun)	{ .setup = IORING_SETUP_COOP_TASKRUN };
FIXTURE_VARIANT_ADD(own_request, taskrun_flag)
{
	.setup = IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
};

FIXTURE_SETUP(own_request)
{
	ASSERT_EQ(0, uring_open(&self->ring, 8, variant->setup));
	ASSERT_EQ(0, pipe2(self->pipe, O_CLOEXEC));
}

FIXTURE_TEARDOWN(own_request)
{
}

/*
 * Starts a read from the pipe into a registered buffer of the object's pages, and drops buffer
 * and mapping: the request alone holds the pages then.
 */
static int start_read_fixed(struct uring *ring, int fd, int pipe)
{
	struct io_uring_sqe sqe = {
		.opcode = IORING_OP_READ_FIXED,
		.fd = pipe,
		.len = 64,
		.user_data = 1,
	};
	size_t len = HELD_PAGES * page_size();
	void *map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, HELD * page_size());
	int ret;

	if (map == MAP_FAILED)
		return -errno;
	sqe.addr = (uintptr_t)map;
	ret = uring_register_buffer(ring, map, len);
	if (!ret) {
		ret = uring_submit(ring, &sqe);
		ret = uring_unregister_buffers(ring) ?: ret;
	}
	munmap(map, len);
	return ret;
}

TEST_F(own_request, into_a_registered_buffer)
{
	int i;

	for (i = 0; i < ROUNDS; i++) {
		struct pinseal_seal arg = seal_write(LONG_NS);
		struct io_uring_cqe cqe;
		struct ender e = {
			.pipe = self->pipe[1],
			/* From before the seal begins to a long sleep of it. */
			.delay_ns = (i % 6) * NSEC_PER_MSEC,
		};
		uint64_t sealed;
		char buf[64];
		int fd, ret;

		fd = ps_create(PAGES * page_size());
		ASSERT_LE(0, fd);
		ASSERT_EQ(0, start_read_fixed(&self->ring, fd, self->pipe[0]));

		/* The request holds the pages. */
		arg.flags = PINSEAL_SEAL_NOWAIT;
		ASSERT_EQ(-EBUSY, ps_seal(fd, &arg));
		ASSERT_EQ(HELD_PAGES, arg.pinned_pages);
		ASSERT_EQ(HELD, arg.first_pinned);

		ASSERT_EQ(0, pthread_create(&e.thread, NULL, ender_thread, &e));
		arg = seal_write(LONG_NS);
		ret = ps_seal(fd, &arg);
		sealed = now_ns();
		ASSERT_EQ(0, ret) TH_LOG("round %d, outcome %u", i, arg.outcome);
		EXPECT_EQ(PINSEAL_OUTCOME_SEALED, arg.outcome);
		EXPECT_EQ(F_SEAL_WRITE, ps_get_seals(fd));
		/* The data of the request is there: it has ended. */
		EXPECT_EQ(64, pread(fd, buf, sizeof(buf), HELD * page_size()));
		EXPECT_EQ('r', buf[0]);
		EXPECT_EQ('r', buf[63]);

		pthread_join(e.thread, NULL);
		EXPECT_EQ(0, e.ret);
		EXPECT_LE(e.ended, sealed);
		EXPECT_GE(LATE_NS, sealed - e.ended);
		ASSERT_EQ(0, uring_wait(&self->ring, &cqe));
		EXPECT_EQ(64, cqe.res);
		close(fd);
	}
}

/* A worker reads; only the completion is task work. */
TEST_F(own_request, of_a_file_with_direct_io)
{
	int i;

	for (i = 0; i < 10; i++) {
		struct fuse_server fuse;
		struct ender e = { .fuse = &fuse, .delay_ns = (i % 6) * 2 * NSEC_PER_MSEC };
		struct pinseal_seal arg = seal_write(LONG_NS);
		size_t len = HELD_PAGES * page_size();
		struct io_uring_sqe sqe = {
			.opcode = IORING_OP_READ,
			.len = len,
			.user_data = 2,
		};
		struct io_uring_cqe cqe;
		uint64_t sealed;
		char c = 0;
		void *map;
		int fd, ret;

		fd = ps_create(PAGES * page_size());
		ASSERT_LE(0, fd);
		ASSERT_EQ(0, fuse_server_start(&fuse));
		map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			   HELD * page_size());
		ASSERT_NE(MAP_FAILED, map);
		sqe.fd = fuse.file;
		sqe.addr = (uintptr_t)map;
		ASSERT_EQ(0, uring_submit(&self->ring, &sqe));
		ASSERT_EQ(0, fuse_server_wait_held(&fuse, 1));
		munmap(map, len);

		arg.flags = PINSEAL_SEAL_NOWAIT;
		ASSERT_EQ(-EBUSY, ps_seal(fd, &arg));
		ASSERT_EQ(HELD_PAGES, arg.pinned_pages);

		ASSERT_EQ(0, pthread_create(&e.thread, NULL, ender_thread, &e));
		arg = seal_write(LONG_NS);
		ret = ps_seal(fd, &arg);
		sealed = now_ns();
		ASSERT_EQ(0, ret) TH_LOG("round %d, outcome %u", i, arg.outcome);
		EXPECT_EQ(1, pread(fd, &c, 1, (HELD + HELD_PAGES) * page_size() - 1));
		EXPECT_EQ(FUSE_SERVER_BYTE, c);
		pthread_join(e.thread, NULL);
		EXPECT_LE(e.ended, sealed);
		ASSERT_EQ(0, uring_wait(&self->ring, &cqe));
		EXPECT_EQ((int)len, cqe.res);
		fuse_server_stop(&fuse);
		close(fd);
	}
}

/*
 * With IORING_SETUP_DEFER_TASKRUN task work waits until the thread enters the ring: its own
 * seal cannot outlast the request, and the deadline holds.
 */
TEST(own_request_deferred)
{
	struct pinseal_seal arg = seal_write(100 * NSEC_PER_MSEC);
	struct io_uring_cqe cqe;
	struct uring ring;
	uint64_t began;
	int fds[2], fd;

	fd = ps_create(PAGES * page_size());
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, pipe2(fds, O_CLOEXEC));
	ASSERT_EQ(0, uring_open(&ring, 8, IORING_SETUP_DEFER_TASKRUN |
				IORING_SETUP_SINGLE_ISSUER));
	ASSERT_EQ(0, start_read_fixed(&ring, fd, fds[0]));
	ASSERT_EQ(1, write(fds[1], "r", 1));
	began = now_ns();
	EXPECT_EQ(-EBUSY, ps_seal(fd, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_PINNED, arg.outcome);
	EXPECT_EQ(HELD_PAGES, arg.pinned_pages);
	EXPECT_GE(100 * NSEC_PER_MSEC + LATE_NS, now_ns() - began);

	ASSERT_EQ(0, uring_wait(&ring, &cqe));
	EXPECT_EQ(1, cqe.res);
	EXPECT_EQ(0, ps_add_seals(fd, F_SEAL_WRITE));
	uring_close(&ring);
}

/*
 * A busy ring: the sealing thread polls an eventfd, which another thread writes; that one
 * reaps the completions as well.
 */
struct kicker {
	struct uring ring;
	int event;
	bool stop, ended;	/* @ended: the poll is over, nothing comes any more */
	unsigned long completions;
	pthread_t thread;
};

static void *kicker_thread(void *data)
{
	struct kicker *k = data;

	while (!__atomic_load_n(&k->stop, __ATOMIC_ACQUIRE)) {
		struct io_uring_cqe cqe;
		uint64_t one = 1;

		if (write(k->event, &one, sizeof(one)) != sizeof(one))
			break;
		while (!uring_reap(&k->ring, &cqe)) {
			__atomic_add_fetch(&k->completions, 1, __ATOMIC_RELEASE);
			if (!(cqe.flags & IORING_CQE_F_MORE))
				__atomic_store_n(&k->ended, true, __ATOMIC_RELEASE);
		}
		sleep_ns(50 * 1000);
	}
	return NULL;
}

FIXTURE(busy_ring)
{
	int fd;
	struct hold hold;
	struct kicker kicker;
};

FIXTURE_VARIANT(busy_ring)
{
	unsigned int setup;	/* IORING_SETUP_* */
};

FIXTURE_VARIANT_ADD(busy_ring, default)		{ .setup = 0 };
FIXTURE_VARIANT_ADD(busy_ring, coop_taskrun)	{ .setup = IORING_SETUP_COOP_TASKRUN };

FIXTURE_SETUP(busy_ring)
{
	struct kicker *k = &self->kicker;
	struct io_uring_sqe sqe = {
		.opcode = IORING_OP_POLL_ADD,
		.len = IORING_POLL_ADD_MULTI,
		.poll32_events = POLLIN,
		.user_data = 3,
	};

	self->fd = ps_create(PAGES * page_size());
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, hold_begin(&self->hold, HOLD_VMSPLICE, self->fd, HELD, 1));
	k->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ASSERT_LE(0, k->event);
	ASSERT_EQ(0, uring_open(&k->ring, 256, variant->setup));
	sqe.fd = k->event;
	ASSERT_EQ(0, uring_submit(&k->ring, &sqe));
	ASSERT_EQ(0, pthread_create(&k->thread, NULL, kicker_thread, k));
}

FIXTURE_TEARDOWN(busy_ring)
{
	__atomic_store_n(&self->kicker.stop, true, __ATOMIC_RELEASE);
	pthread_join(self->kicker.thread, NULL);
	close(self->fd);
}

static unsigned long completions(struct kicker *k)
{
	return __atomic_load_n(&k->completions, __ATOMIC_ACQUIRE);
}

TEST_F(busy_ring, does_not_move_the_deadline)
{
	const uint64_t timeout = 100 * NSEC_PER_MSEC, until = now_ns() + LATE_NS;
	unsigned long before = completions(&self->kicker), during = 0;
	int i;

	/* The thread must have run task work during the seals. */
	for (i = 0; i < 3 || (during < 10 && now_ns() < until); i++) {
		struct pinseal_seal arg = seal_write(timeout);
		uint64_t began = now_ns(), took;

		ASSERT_EQ(-EBUSY, ps_seal(self->fd, &arg));
		took = now_ns() - began;
		EXPECT_EQ(PINSEAL_OUTCOME_PINNED, arg.outcome);
		EXPECT_EQ(1, arg.pinned_pages);
		EXPECT_LE(timeout * 9 / 10, took);
		EXPECT_GE(timeout + LATE_NS, took);
		EXPECT_LE(timeout * 9 / 10, arg.waited_ns);
		EXPECT_GE(took, arg.waited_ns);
		EXPECT_FALSE(self->kicker.ended);
		during = completions(&self->kicker) - before;
	}
	EXPECT_LE(10, during);
}

/* The same for a pin of a page that must be moved. */
TEST_F(busy_ring, does_not_move_the_deadline_of_a_pin)
{
	const uint64_t timeout = 100 * NSEC_PER_MSEC, until = now_ns() + LATE_NS;
	const size_t pages = 2048;
	int fd = ps_create(pages * page_size());
	struct pinseal_pin arg;
	struct hold hold;
	long first;

	ASSERT_LE(0, fd);
	first = unpinnable_fill(fd, pages, 'b', 1);
	if (first < 0) {
		ASSERT_EQ(-ENOENT, first);
		ASSERT_FALSE(unpinnable_machine());
		SKIP(return, "no pages in ZONE_MOVABLE or CMA");
	}
	ASSERT_EQ(0, hold_begin(&hold, HOLD_VMSPLICE, fd, first, 1));
	do {
		uint64_t began = now_ns(), took;

		arg = (struct pinseal_pin){
			.start = first, .count = 1, .flags = PINSEAL_PIN_WAIT,
			.timeout_ns = timeout,
		};
		ASSERT_EQ(-EBUSY, ps_ioctl(fd, PINSEAL_IOC_PIN, &arg));
		took = now_ns() - began;
		EXPECT_LE(timeout * 9 / 10, took);
		EXPECT_GE(timeout + LATE_NS, took);
		/* It was restarted if the struct has what was left. */
	} while (arg.timeout_ns == timeout && now_ns() < until);
	EXPECT_GT(timeout, arg.timeout_ns);
	ASSERT_EQ(0, hold_end(&hold));
	close(fd);
}

TEST_F(busy_ring, does_not_add_scans)
{
	static const unsigned int max[] = { 1, 2, 5, 40 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(max); i++) {
		struct pinseal_seal arg = seal_write(LONG_NS);
		uint64_t began = now_ns();

		arg.max_scans = max[i];
		ASSERT_EQ(-EBUSY, ps_seal(self->fd, &arg));
		EXPECT_EQ(PINSEAL_OUTCOME_PINNED, arg.outcome);
		EXPECT_EQ(max[i], arg.scans);
		EXPECT_GE(LATE_NS, now_ns() - began);
	}
}

/* The grace of a lease continues across restarts, and pages revoked earlier count. */
TEST_F(busy_ring, does_not_extend_a_lease)
{
	struct pinseal_seal arg = seal_write(LONG_NS);
	unsigned long before = completions(&self->kicker);
	int fd = ps_create(PAGES * page_size());
	int soon = ps_lease(fd, 0, 1, 0), late = ps_lease(fd, 1, 2, 200 * NSEC_PER_MSEC);

	ASSERT_LE(0, soon);
	ASSERT_LE(0, late);
	arg.flags = PINSEAL_SEAL_REVOKE;
	EXPECT_EQ(0, ps_seal(fd, &arg));
	EXPECT_EQ(3, arg.revoked_pages);
	EXPECT_GE(200 * NSEC_PER_MSEC + LATE_NS, arg.waited_ns);
	/* The call was restarted, however slow the machine. */
	EXPECT_LE(2, completions(&self->kicker) - before);
	close(soon);
	close(late);
	close(fd);
}

static void *final_sealer_thread(void *data)
{
	struct pinseal_seal arg = { .seals = F_SEAL_SEAL, .timeout_ns = LONG_NS };
	int fd = *(int *)data;

	sleep_ns(20 * NSEC_PER_MSEC);
	return (void *)(intptr_t)ps_seal(fd, &arg);
}

/*
 * Another sealer sets F_SEAL_SEAL between two parts of a restarted seal. The call fails with
 * EPERM, and the struct keeps the report of the first part: the header says so.
 */
TEST_F(busy_ring, keeps_the_report_when_another_sealer_ends_it)
{
	struct pinseal_seal arg = seal_write(UINT64_MAX);
	pthread_t thread;
	void *ret;

	ASSERT_EQ(0, pthread_create(&thread, NULL, final_sealer_thread, &self->fd));
	EXPECT_EQ(-EPERM, ps_seal(self->fd, &arg));
	ASSERT_EQ(0, pthread_join(thread, &ret));
	ASSERT_EQ(0, (intptr_t)ret);
	EXPECT_EQ(F_SEAL_SEAL, ps_get_seals(self->fd));
	EXPECT_EQ(PINSEAL_OUTCOME_INTERRUPTED, arg.outcome);
	EXPECT_LT(0, arg.scans);
	EXPECT_LT(0, arg.waited_ns);
	EXPECT_EQ(1, arg.pinned_pages);
	EXPECT_EQ(HELD, arg.first_pinned);
}

TEST_F(busy_ring, does_not_hide_the_release)
{
	int i;

	for (i = 0; i < 20; i++) {
		struct pinseal_seal arg = seal_write(LONG_NS);
		struct hold_ender ender;
		struct hold hold;
		uint64_t sealed;
		int fd, ret;

		fd = ps_create(PAGES * page_size());
		ASSERT_LE(0, fd);
		ASSERT_EQ(0, hold_begin(&hold, HOLD_URING, fd, HELD, HELD_PAGES));
		ASSERT_EQ(0, hold_end_later(&ender, &hold, (i % 5) * 5 * NSEC_PER_MSEC));
		ret = ps_seal(fd, &arg);
		sealed = now_ns();
		ASSERT_EQ(0, ret) TH_LOG("round %d, outcome %u", i, arg.outcome);
		EXPECT_EQ(PINSEAL_OUTCOME_SEALED, arg.outcome);
		EXPECT_EQ(0, hold_ender_join(&ender));
		EXPECT_LE(ender.began, sealed);
		EXPECT_GE(LATE_NS, sealed - ender.began);
		close(fd);
	}
	EXPECT_FALSE(self->kicker.ended);
}

TEST_HARNESS_MAIN

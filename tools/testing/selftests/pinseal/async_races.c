// SPDX-License-Identifier: GPL-2.0-only
/*
 * Many asynchronous seals: of many objects at once, and of one object with other operations
 * racing.
 */
#include <dirent.h>

#include "async.h"
#include "holders.h"
#include "rounds.h"
#include "sysfile.h"

#include "harness.h"

#define FOR_EVER	UINT64_MAX

/* The number of the kernel's workers. */
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

TEST(many_objects_at_once)
{
	enum { MANY = 300 };
	static struct pollfd polls[MANY];
	static struct hold holds[MANY];
	int before = kernel_workers(), during;

	ASSERT_LT(0, before);
	for (int i = 0; i < MANY; i++) {
		struct pinseal_seal arg = seal_async(F_SEAL_WRITE, FOR_EVER);

		polls[i] = (struct pollfd){ ps_create(page_size()), POLLPRI };
		ASSERT_LE(0, polls[i].fd);
		ASSERT_EQ(0, hold_begin(&holds[i], HOLD_VMSPLICE, polls[i].fd, 0, 1));
		ASSERT_EQ(0, ps_seal(polls[i].fd, &arg));
	}
	sleep_ns(100 * NSEC_PER_MSEC);
	during = kernel_workers();
	TH_LOG("%d workers before, %d with %d seals under way", before, during, MANY);
	/* No worker per object. */
	EXPECT_GT(before + MANY / 4, during);
	for (int i = 0; i < MANY; i++)
		ASSERT_EQ(0, hold_end(&holds[i]));
	/* The more are pending, the longer each pauses: in all, longer than any one may take. */
	for (int left = MANY; left;) {
		int ended = sys(poll(polls, MANY, SOON_NS / NSEC_PER_MSEC));

		ASSERT_LT(0, ended) {
			TH_LOG("%d seals are left, and none ends", left);
		}
		left -= ended;
		for (int i = 0; i < MANY; i++) {
			struct pinseal_seal arg = seal_async(F_SEAL_WRITE, FOR_EVER);

			if (!polls[i].revents)
				continue;
			EXPECT_EQ(0, ps_seal(polls[i].fd, &arg));
			EXPECT_EQ(PINSEAL_OUTCOME_SEALED, arg.outcome);
			EXPECT_EQ(F_SEAL_WRITE, ps_get_seals(polls[i].fd));
			close(polls[i].fd);
			polls[i].fd = -1;
		}
	}
}

/*
 * A cancel races the commit of the seals: its result says which came first. The delay makes
 * them meet.
 */
TEST(cancel_against_commit)
{
	uint64_t until = now_ns() + test_rounds(500, 2000) * NSEC_PER_MSEC;
	unsigned int cancelled = 0, sealed = 0;
	int64_t delay_ns = 0, step = 1000;

	while (cancelled < ENOUGH || sealed < ENOUGH || now_ns() < until) {
		struct pinseal_seal arg = seal_async(F_SEAL_WRITE, FOR_EVER);
		uint64_t then;
		int fd = new_object();

		ASSERT_LE(0, fd);
		ASSERT_EQ(0, ps_seal(fd, &arg));
		then = now_ns() + (delay_ns > 0 ? delay_ns : 0);
		while (now_ns() < then)
			;
		ASSERT_EQ(0, async_cancel(fd, &arg));
		if (arg.outcome == PINSEAL_OUTCOME_CANCELLED) {
			EXPECT_EQ(0, ps_get_seals(fd));
			EXPECT_EQ(1, sys(pwrite(fd, "c", 1, 0)));
			cancelled++;
		} else {
			EXPECT_EQ(PINSEAL_OUTCOME_SEALED, arg.outcome);
			EXPECT_EQ(F_SEAL_WRITE, ps_get_seals(fd));
			sealed++;
		}
		/* Later when it was too early, and by less when they are close. */
		if ((arg.outcome == PINSEAL_OUTCOME_CANCELLED) != (step > 0))
			step = step > 0 ? -1000 : 1000;
		else if (llabs(step) < 100000)
			step += step / 2;
		delay_ns += step;
		close(fd);
		ASSERT_EQ(0, _metadata->exit_code);
	}
	TH_LOG("%u times cancelled, %u times sealed", cancelled, sealed);
}

#define CANCELS	100

struct canceller {
	int fd;
	bool go, done;
	unsigned int cancelled;		/* of CANCELS */
	unsigned int wrong;		/* results other than CANCELLED and ENOENT */
	pthread_t thread;
};

static void *canceller_thread(void *data)
{
	struct canceller *c = data;

	while (!__atomic_load_n(&c->go, __ATOMIC_ACQUIRE))
		;
	for (int i = 0; i < CANCELS; i++) {
		struct pinseal_seal arg = seal_async(F_SEAL_WRITE, FOR_EVER);
		int ret = async_cancel(c->fd, &arg);

		if (!ret && arg.outcome == PINSEAL_OUTCOME_CANCELLED)
			c->cancelled++;
		else if (ret != -ENOENT)
			c->wrong++;
	}
	__atomic_store_n(&c->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static void ignore_signal(int sig)
{
}

/*
 * A cancel concerns the seal that it found, not one that is begun later, and its result is
 * the canceller's: the thread that queries and begins anew is never told of it. In every
 * other round signals interrupt the canceller.
 */
TEST(cancel_against_next_seal)
{
	struct sigaction sa = { .sa_handler = ignore_signal };
	uint64_t until = now_ns() + test_rounds(700, 3000) * NSEC_PER_MSEC;
	unsigned long rounds;

	for (rounds = 0; rounds < 20 || now_ns() < until; rounds++) {
		struct canceller c = { .fd = new_object() };
		struct pinseal_seal arg = seal_async(F_SEAL_WRITE, FOR_EVER);
		struct hold hold;

		ASSERT_LE(0, c.fd);
		ASSERT_EQ(0, sigaction(SIGUSR1, &sa, NULL));
		ASSERT_EQ(0, hold_begin(&hold, HOLD_VMSPLICE, c.fd, 1, 1));
		ASSERT_EQ(0, ps_seal(c.fd, &arg));
		ASSERT_EQ(0, pthread_create(&c.thread, NULL, canceller_thread, &c));
		/* From now on, the next seal is begun the moment one is cancelled. */
		ASSERT_EQ(0, async_wait_scan(c.fd, &arg));
		__atomic_store_n(&c.go, true, __ATOMIC_RELEASE);
		while (!__atomic_load_n(&c.done, __ATOMIC_ACQUIRE)) {
			arg = seal_async(F_SEAL_WRITE, FOR_EVER);
			ASSERT_EQ(0, ps_seal(c.fd, &arg));
			ASSERT_EQ(PINSEAL_OUTCOME_PENDING, arg.outcome);
			if (rounds % 2)
				pthread_kill(c.thread, SIGUSR1);
		}
		pthread_join(c.thread, NULL);
		EXPECT_EQ(0, c.wrong);
		EXPECT_LT(0, c.cancelled);
		arg = seal_async(F_SEAL_WRITE, FOR_EVER);
		ASSERT_EQ(0, ps_seal(c.fd, &arg));
		EXPECT_EQ(PINSEAL_OUTCOME_PENDING, arg.outcome);
		ASSERT_EQ(0, hold_end(&hold));
		ASSERT_EQ(0, async_wait(c.fd, &arg)) TH_LOG("round %lu", rounds);
		EXPECT_EQ(PINSEAL_OUTCOME_SEALED, arg.outcome);
		close(c.fd);
	}
	TH_LOG("%lu rounds", rounds);
}

/*
 * Begin, query, cancel, synchronous seal, map and write race. Once SEALED is reported the
 * object is sealed; at the end the seal exclusion is free and nothing is denied.
 */
static void operate(struct worker *w, unsigned int number)
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

TEST(mixed_operations)
{
	uint64_t until = now_ns() + test_rounds(700, 3000) * NSEC_PER_MSEC;
	unsigned int rounds, sealed = 0;
	struct round r = { 0 };
	struct worker w[4];

	ASSERT_EQ(0, workers_start(w, ARRAY_SIZE(w), &r, operate));
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
			/* Closed during the race. */
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
		/* Whatever still runs does not keep the seal exclusion. */
		arg.seals = F_SEAL_GROW;
		EXPECT_EQ(0, ps_seal(fd, &arg));
		close(fd);
		close(other);
	}
	workers_stop(w, ARRAY_SIZE(w), &r);
	TH_LOG("%u rounds, %u sealed; reported %lu times, other results %lu times", rounds,
	       sealed, r.done, r.refused);
	EXPECT_EQ(0, r.violations);
	EXPECT_LT(ENOUGH / 2, sealed);
}

TEST_HARNESS_MAIN

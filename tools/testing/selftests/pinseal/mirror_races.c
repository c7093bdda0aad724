// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writes through a mirror handle race sealing, loss of pages of the mapping, and the end of
 * the process that has the mapping: none reaches a sealed object or a page of another owner.
 */
#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>

#include "content.h"
#include "mirror_fixture.h"
#include "pass_fd.h"
#include "random.h"
#include "sealer.h"

/* How often something must have happened. */
#define ENOUGH		20

/* A thread that writes through a mirror, and counts. */
struct mirror_writer {
	int mirror;
	size_t len;
	bool quit;
	unsigned long written, refused, failed;
	pthread_t thread;
};

static void *mirror_writer_thread(void *data)
{
	struct mirror_writer *s = data;
	struct random random = { 11 };

	run_on_cpu(1);
	while (!__atomic_load_n(&s->quit, __ATOMIC_ACQUIRE)) {
		int ret = mirror_set_byte(s->mirror, random_below(&random, s->len), 's');

		if (ret == 1)
			__atomic_add_fetch(&s->written, 1, __ATOMIC_RELEASE);
		else if (ret == -EFAULT || ret == -EPERM)
			s->refused++;
		else
			s->failed++;
	}
	return NULL;
}

/* Waits for its first write, at most some seconds. */
static void mirror_writer_wait(const struct mirror_writer *s)
{
	uint64_t late = now_ns() + SOON_NS;

	while (!__atomic_load_n(&s->written, __ATOMIC_ACQUIRE) && now_ns() < late)
		sched_yield();
}

/* Once the object is sealed, nothing is written to it. */
TEST_F(mirror, against_sealing)
{
	uint64_t until = now_ns() + test_rounds(500, 2000) * NSEC_PER_MSEC;
	struct mirror_writer s = { .len = COUNT * self->page };
	unsigned int rounds;

	run_on_cpu(0);
	for (rounds = 0; rounds < ENOUGH || (rounds < 500 && now_ns() < until); rounds++) {
		uint64_t sum;

		s.mirror = self->mirror;
		s.quit = false;
		s.written = 0;
		ASSERT_EQ(0, pthread_create(&s.thread, NULL, mirror_writer_thread, &s));
		mirror_writer_wait(&s);
		ASSERT_EQ(0, munmap(self->p, self->len));
		ASSERT_EQ(0, ps_add_seals(self->fd, F_SEAL_WRITE));
		sum = checksum(self->fd, self->len);
		ASSERT_TRUE(map_again(self, self->fd, PROT_READ, MAP_SHARED));
		for (int i = 0; i < 3; i++) {
			sched_yield();
			ASSERT_EQ(sum, checksum(self->fd, self->len));
		}
		__atomic_store_n(&s.quit, true, __ATOMIC_RELEASE);
		pthread_join(s.thread, NULL);
		ASSERT_EQ(sum, checksum(self->fd, self->len));

		/* Another object at the same address. */
		close(self->mirror);
		close(self->fd);
		self->fd = obj_create(variant->kind, self->len);
		ASSERT_LE(0, self->fd);
		ASSERT_TRUE(map_again(self, self->fd, RW, MAP_SHARED));
		self->mirror = ps_mirror(self->fd, FIRST, COUNT, 0, mirrored(self));
		ASSERT_LE(0, self->mirror);
	}
	TH_LOG("%u rounds, %lu writes refused", rounds, s.refused);
	EXPECT_EQ(0, s.failed);
	EXPECT_LT(0, s.refused);
}

/* A former page of the object is not written when it has another owner. */
TEST_F(mirror, against_removal_of_pages)
{
	uint64_t until = now_ns() + test_rounds(500, 2000) * NSEC_PER_MSEC;
	struct mirror_writer s = { .mirror = self->mirror, .len = COUNT * self->page };
	struct random random = { 12 };
	unsigned long rounds;
	char *others;

	run_on_cpu(0);
	ASSERT_EQ(0, pthread_create(&s.thread, NULL, mirror_writer_thread, &s));
	for (rounds = 0; (rounds < ENOUGH || now_ns() < until) && !_metadata->exit_code; rounds++) {
		switch (random_below(&random, 5)) {
		case 0:
			EXPECT_EQ(0, munmap(self->p, self->len));
			break;
		case 1:
			EXPECT_EQ(0, obj_resize(self->fd, 0));
			EXPECT_EQ(0, obj_resize(self->fd, self->len));
			break;
		case 2:
			EXPECT_EQ(0, obj_fallocate(self->fd, PUNCH, 0, self->len));
			break;
		case 3:
			EXPECT_EQ(0, mprotect(self->p, self->len, PROT_READ));
			break;
		default:
			EXPECT_EQ(0, madvise(self->p, self->len, MADV_DONTNEED));
			break;
		}
		/* Likely the pages that were just freed. */
		others = ps_map(-1, self->len, RW, MAP_PRIVATE | MAP_ANONYMOUS);
		ASSERT_NE(MAP_FAILED, others);
		memset(others, 0, self->len);
		for (int i = 0; i < 3; i++) {
			sched_yield();
			EXPECT_TRUE(is_zero(others, self->len));
		}
		munmap(others, self->len);
		EXPECT_TRUE(map_again(self, self->fd, RW, MAP_SHARED));
	}
	__atomic_store_n(&s.quit, true, __ATOMIC_RELEASE);
	pthread_join(s.thread, NULL);
	TH_LOG("%lu rounds, %lu writes done, %lu refused", rounds, s.written, s.refused);
	EXPECT_EQ(0, s.failed);
	EXPECT_LT(0, s.written);
}

/* The mirror's process dies meanwhile. */
TEST_F(mirror, against_sealing_when_its_process_dies)
{
	uint64_t until = now_ns() + test_rounds(500, 2000) * NSEC_PER_MSEC;
	struct mirror_writer s = { .len = COUNT * self->page };
	int sockets[2], status;
	unsigned int rounds;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets));
	close(self->mirror);
	for (rounds = 0; rounds < ENOUGH || (rounds < 200 && now_ns() < until); rounds++) {
		struct pinseal_seal arg = seal_write(10 * NSEC_PER_SEC);
		uint64_t sum, late = now_ns() + SOON_NS;
		pid_t pid = ps_fork();
		int ret;

		if (!pid) {
			self->mirror = ps_mirror(self->fd, FIRST, COUNT, 0, mirrored(self));
			_exit(send_fd(sockets[1], self->mirror) < 0 || pause() ? 1 : 0);
		}
		s.mirror = receive_fd(sockets[0]);
		ASSERT_LE(0, s.mirror);
		ASSERT_EQ(0, munmap(self->p, self->len));
		s.quit = false;
		s.written = 0;
		ASSERT_EQ(0, pthread_create(&s.thread, NULL, mirror_writer_thread, &s));
		mirror_writer_wait(&s);
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		/* A write in progress keeps the mappings for a moment. */
		do
			ret = ps_seal(self->fd, &arg);
		while (ret == -EBUSY && arg.outcome == PINSEAL_OUTCOME_WRITABLE_MAPPING &&
		       now_ns() < late);
		ASSERT_EQ(0, ret);
		sum = checksum(self->fd, self->len);
		sched_yield();
		__atomic_store_n(&s.quit, true, __ATOMIC_RELEASE);
		pthread_join(s.thread, NULL);
		ASSERT_EQ(sum, checksum(self->fd, self->len));
		close(s.mirror);

		close(self->fd);
		self->fd = obj_create(variant->kind, self->len);
		ASSERT_LE(0, self->fd);
		self->p = ps_map(self->fd, self->len, RW, MAP_SHARED);
		ASSERT_NE(MAP_FAILED, self->p);
	}
	self->mirror = -1;
	TH_LOG("%u rounds, %lu writes refused", rounds, s.refused);
	EXPECT_EQ(0, s.failed);
	close(sockets[0]);
	close(sockets[1]);
}

TEST_HARNESS_MAIN

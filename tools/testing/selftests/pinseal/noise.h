/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What other CPUs do to an object's pages without being able to write to it: a
 * reader that faults them in and throws its mapping away again, for ever; and pages
 * filled elsewhere, which that CPU's LRU batch still refers to.
 */
#ifndef NOISE_H
#define NOISE_H

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "content.h"
#include "pinseal_test.h"

/* Runs the calling thread on @cpu only: 0, or -errno (-EINVAL: there is none). */
static inline int run_on_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) ? -errno : 0;
}

/* Runs it anywhere again. */
static inline void run_anywhere(void)
{
	cpu_set_t set;

	memset(&set, 0xff, sizeof(set));
	sched_setaffinity(0, sizeof(set), &set);
}

struct filler {
	int fd, cpu, ret;
	size_t size;
};

static inline void *filler_thread(void *data)
{
	struct filler *f = data;

	f->ret = run_on_cpu(f->cpu);
	if (!f->ret)
		f->ret = fill_file(f->fd, f->size, 'f');
	return NULL;
}

/* Fills @size bytes of @fd on @cpu: 0, or -errno. */
static inline int fill_on_cpu(int fd, size_t size, int cpu)
{
	struct filler f = { .fd = fd, .size = size, .cpu = cpu };
	pthread_t thread;
	int ret = -pthread_create(&thread, NULL, filler_thread, &f);

	if (ret)
		return ret;
	pthread_join(thread, NULL);
	return f.ret;
}

/*
 * The reader is a process of its own, as other users of shared memory are; it
 * shares the descriptors, so that it can be pointed at one object after the other.
 * It maps privately and read-only: that can never write to the object and stands
 * in no seal's way.
 */
struct reader_shared {
	unsigned int wanted;	/* odd: read, even: rest */
	unsigned int state;	/* the last value of @wanted that is obeyed */
	int fd;
	size_t len;
	bool copy;		/* with read(2), not through a mapping */
	unsigned long rounds;
	int error;		/* -errno: it could not, and rests */
};

struct reader {
	pid_t pid;
	struct reader_shared *shared;
};

/* Takes one round: through the mapping at @map, or with read(2). */
static inline void reader_round(struct reader_shared *r, volatile char *map)
{
	size_t step = page_size(), i;
	char buf[4096];

	if (r->copy) {
		for (i = 0; i < r->len; i += sizeof(buf))
			if (pread(r->fd, buf, sizeof(buf), i) < 0)
				return;
	} else {
		for (i = 0; i < r->len; i += step)
			(void)map[i];
		madvise((char *)map, r->len, MADV_DONTNEED);
	}
	__atomic_add_fetch(&r->rounds, 1, __ATOMIC_RELEASE);
}

/* Reads for as long as it is wanted to. */
static inline void reader_read(struct reader_shared *r, unsigned int wanted, unsigned int pause)
{
	size_t len = r->len;
	char *map = mmap(NULL, len, PROT_READ, MAP_PRIVATE, r->fd, 0);
	unsigned int random = 1, i;

	r->error = map == MAP_FAILED ? -errno : 0;
	__atomic_store_n(&r->state, wanted, __ATOMIC_RELEASE);
	while (__atomic_load_n(&r->wanted, __ATOMIC_ACQUIRE) == wanted) {
		if (map == MAP_FAILED) {
			sched_yield();
			continue;
		}
		reader_round(r, map);
		if (pause) {
			random = random * 1664525 + 1013904223;
			for (i = (random >> 8) % pause; i; i--)
				__asm__ volatile("" ::: "memory");
		}
	}
	if (map != MAP_FAILED)
		munmap(map, len);
}

static inline void __attribute__((noreturn)) reader_process(struct reader_shared *r, int cpu,
							    unsigned int pause)
{
	unsigned int wanted;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* Anywhere will do when there is but one CPU. */
	run_on_cpu(cpu);
	for (;;) {
		wanted = __atomic_load_n(&r->wanted, __ATOMIC_ACQUIRE);
		if (wanted & 1)
			reader_read(r, wanted, pause);
		else
			__atomic_store_n(&r->state, wanted, __ATOMIC_RELEASE);
		sched_yield();
	}
}

/* Starts a resting reader on @cpu, which pauses up to @pause turns of a loop between rounds. */
static inline int reader_start(struct reader *r, int cpu, unsigned int pause)
{
	memset(r, 0, sizeof(*r));
	r->shared = mmap(NULL, sizeof(*r->shared), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (r->shared == MAP_FAILED)
		return -errno;
	r->pid = syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
	if (r->pid < 0)
		return -errno;
	if (!r->pid)
		reader_process(r->shared, cpu, pause);
	return 0;
}

static inline void reader_want(struct reader *r)
{
	unsigned int wanted = __atomic_add_fetch(&r->shared->wanted, 1, __ATOMIC_ACQ_REL);

	while (__atomic_load_n(&r->shared->state, __ATOMIC_ACQUIRE) != wanted)
		sched_yield();
}

static inline unsigned long reader_rounds(struct reader *r)
{
	return __atomic_load_n(&r->shared->rounds, __ATOMIC_ACQUIRE);
}

/* Makes it read the first @len bytes of @fd; returns when it does. */
static inline int reader_follow(struct reader *r, int fd, size_t len)
{
	unsigned long rounds;

	r->shared->fd = fd;
	r->shared->len = len;
	reader_want(r);
	rounds = reader_rounds(r);
	while (!r->shared->error && reader_rounds(r) == rounds)
		sched_yield();
	return r->shared->error;
}

/* Makes it rest; its mapping is gone when this returns. */
static inline void reader_leave(struct reader *r)
{
	reader_want(r);
}

static inline void reader_stop(struct reader *r)
{
	kill(r->pid, SIGKILL);
	waitpid(r->pid, NULL, 0);
	munmap(r->shared, sizeof(*r->shared));
}

#endif /* NOISE_H */

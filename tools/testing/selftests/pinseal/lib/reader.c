// SPDX-License-Identifier: GPL-2.0-only
#include "reader.h"

/* Takes one round: through the mapping at @map, or with read(2). */
static void reader_round(struct reader_shared *r, volatile char *map)
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
static void reader_read(struct reader_shared *r, unsigned int wanted, unsigned int pause)
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

static void __attribute__((noreturn)) reader_process(struct reader_shared *r, int cpu,
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

int reader_start(struct reader *r, int cpu, unsigned int pause)
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

static void reader_want(struct reader *r)
{
	unsigned int wanted = __atomic_add_fetch(&r->shared->wanted, 1, __ATOMIC_ACQ_REL);

	while (__atomic_load_n(&r->shared->state, __ATOMIC_ACQUIRE) != wanted)
		sched_yield();
}

int reader_follow(struct reader *r, int fd, size_t len)
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

void reader_leave(struct reader *r)
{
	reader_want(r);
}

void reader_stop(struct reader *r)
{
	kill(r->pid, SIGKILL);
	waitpid(r->pid, NULL, 0);
	munmap(r->shared, sizeof(*r->shared));
}

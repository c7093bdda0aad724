/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A thread that seals, so that the test can do things while the seal waits; and
 * telling when a thread sleeps.
 */
#ifndef SEALER_H
#define SEALER_H

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "pinseal_test.h"

/* How long a test waits for something that must happen soon, on any machine. */
#define SOON_NS		(5 * NSEC_PER_SEC)

static inline struct pinseal_seal seal_write(uint64_t timeout_ns)
{
	return (struct pinseal_seal){ .seals = F_SEAL_WRITE, .timeout_ns = timeout_ns };
}

static inline pid_t thread_id(void)
{
	return syscall(SYS_gettid);
}

/* The state letter of a thread of this process, or 0 when it is gone. */
static inline char thread_state(pid_t tid)
{
	char path[64], line[256], *p;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)tid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	p = fgets(line, sizeof(line), f);
	fclose(f);
	/* The name, in parentheses, may hold anything; the state is behind it. */
	p = p ? strrchr(line, ')') : NULL;
	return p ? p[2] : 0;
}

/*
 * Waits until thread *@tid, which sets @tid right before the call that is to
 * sleep, sleeps interruptibly.
 */
static inline bool thread_wait_asleep(const pid_t *tid)
{
	uint64_t until = now_ns() + SOON_NS;

	while (now_ns() < until) {
		pid_t t = __atomic_load_n(tid, __ATOMIC_ACQUIRE);

		if (t && thread_state(t) == 'S')
			return true;
		sleep_ns(100 * 1000);
	}
	return false;
}

/* Waits until *@flag is set. */
static inline bool wait_flag(const bool *flag, uint64_t timeout_ns)
{
	uint64_t until = now_ns() + timeout_ns;

	while (!__atomic_load_n(flag, __ATOMIC_ACQUIRE)) {
		if (now_ns() > until)
			return false;
		sleep_ns(100 * 1000);
	}
	return true;
}

struct sealer {
	int fd;
	struct pinseal_seal arg;	/* in and out */
	int ret;
	uint64_t began, ended;
	pid_t tid;			/* set when it is about to seal */
	bool done;
	pthread_t thread;
};

static inline void *sealer_thread(void *data)
{
	struct sealer *s = data;

	s->began = now_ns();
	__atomic_store_n(&s->tid, thread_id(), __ATOMIC_RELEASE);
	s->ret = ps_seal(s->fd, &s->arg);
	s->ended = now_ns();
	__atomic_store_n(&s->done, true, __ATOMIC_RELEASE);
	return NULL;
}

/* Starts to seal @fd and returns when that sleeps: 0, or -errno. */
static inline int sealer_start(struct sealer *s, int fd, struct pinseal_seal arg)
{
	int ret;

	memset(s, 0, sizeof(*s));
	s->fd = fd;
	s->arg = arg;
	ret = -pthread_create(&s->thread, NULL, sealer_thread, s);
	if (!ret && !thread_wait_asleep(&s->tid))
		ret = -ETIME;
	return ret;
}

static inline bool sealer_done(struct sealer *s)
{
	return __atomic_load_n(&s->done, __ATOMIC_ACQUIRE);
}

/* What the seal returned. */
static inline int sealer_join(struct sealer *s)
{
	pthread_join(s->thread, NULL);
	return s->ret;
}

#endif /* SEALER_H */

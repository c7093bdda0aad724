/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A thread that seals, so that a test can act while the seal waits; and finding out whether a
 * thread sleeps.
 */
#ifndef SEALER_H
#define SEALER_H

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "pinseal_test.h"

static inline struct pinseal_seal seal_write(uint64_t timeout_ns)
{
	return (struct pinseal_seal){ .seals = F_SEAL_WRITE, .timeout_ns = timeout_ns };
}

static inline pid_t thread_id(void)
{
	return syscall(SYS_gettid);
}

/*
 * thread_wait_asleep() - waits until thread *@tid sleeps interruptibly. The thread sets *@tid
 * right before the call that is to sleep.
 */
bool thread_wait_asleep(const pid_t *tid);

/* process_wait_asleep() - waits until process @pid sleeps, interruptibly or not. */
bool process_wait_asleep(pid_t pid);

struct sealer {
	int fd;
	struct pinseal_seal arg;	/* in and out */
	int ret;
	uint64_t began, ended;
	pid_t tid;			/* set right before the call */
	bool done;
	pthread_t thread;
};

void *sealer_thread(void *data);

/* sealer_start() - seals @fd in a thread; returns once it sleeps, or has ended: 0, or -errno. */
int sealer_start(struct sealer *s, int fd, struct pinseal_seal arg);

static inline bool sealer_done(struct sealer *s)
{
	return __atomic_load_n(&s->done, __ATOMIC_ACQUIRE);
}

/* What the seal returned. */
int sealer_join(struct sealer *s);

#endif /* SEALER_H */

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A process that reads an object without rest: through a private read-only mapping,
 * which it faults in and zaps again and again, or with read(2).
 *
 * It shares the descriptors of the test, which points it at one object after the other.
 * It cannot write to the object, so no seal may wait for it.
 */
#ifndef READER_H
#define READER_H

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

#include "cpu.h"
#include "pinseal_test.h"

/*
 * The reader is a process of its own, as other users of shared memory are; it
 * shares the descriptors, so that it can be pointed at one object after the other.
 * It maps privately and read-only: that can never write to the object and stands
 * in no seal's way.
 */
struct reader_shared {
	unsigned int wanted;	/* odd: read, even: idle */
	unsigned int state;	/* the last value of @wanted in effect */
	int fd;
	size_t len;
	bool copy;		/* with read(2) instead */
	unsigned long rounds;
	int error;		/* -errno: it could not */
};

struct reader {
	pid_t pid;
	struct reader_shared *shared;
};

/* reader_start() - an idle reader on @cpu that pauses up to @pause loops between rounds. */
int reader_start(struct reader *r, int cpu, unsigned int pause);

static inline unsigned long reader_rounds(struct reader *r)
{
	return __atomic_load_n(&r->shared->rounds, __ATOMIC_ACQUIRE);
}

/* reader_follow() - makes it read @len bytes of @fd; returns when it does. */
int reader_follow(struct reader *r, int fd, size_t len);

/* reader_leave() - makes it idle; its mapping is gone when this returns. */
void reader_leave(struct reader *r);

void reader_stop(struct reader *r);

#endif /* READER_H */

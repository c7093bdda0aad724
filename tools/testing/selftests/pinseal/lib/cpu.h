/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The CPU that a thread runs on. The LRU batch of a CPU holds references to pages that it
 * filled until the batch is drained.
 */
#ifndef CPU_H
#define CPU_H

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "content.h"

/* run_on_cpu() - pins the calling thread to @cpu: 0, or -errno (-EINVAL: no such CPU). */
int run_on_cpu(int cpu);

/* run_anywhere() - undoes run_on_cpu(). */
void run_anywhere(void);

struct filler {
	int fd, cpu, ret;
	size_t size;
};

/* fill_on_cpu() - fills @size bytes of @fd on @cpu: 0, or -errno. */
int fill_on_cpu(int fd, size_t size, int cpu);

#endif /* CPU_H */

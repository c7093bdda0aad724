/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A small io_uring on raw system calls: set up, submit, reap, registered
 * buffers.
 *
 * One thread submits. Completions may be reaped by any one thread at a time.
 * Every function returns 0 (or a count) or -errno.
 */
#ifndef URING_H
#define URING_H

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <linux/io_uring.h>

#include "pinseal_test.h"

struct uring {
	int fd;
	void *rings;
	size_t rings_len;
	struct io_uring_sqe *sqes;
	size_t sqes_len;
	unsigned int *sq_tail, *sq_array, sq_mask;
	unsigned int *cq_head, *cq_tail, cq_mask;
	struct io_uring_cqe *cqes;
};

int uring_open(struct uring *u, unsigned int entries, unsigned int flags);

/* The kernel lets go of registered buffers some time after this, from a worker. */
void uring_close(struct uring *u);

int uring_submit(struct uring *u, const struct io_uring_sqe *sqe);

/* Takes one completion that is already there: 0, or -EAGAIN if none is. */
int uring_reap(struct uring *u, struct io_uring_cqe *cqe);

/* Takes one completion, for which it waits; only the submitting thread may. */
int uring_wait(struct uring *u, struct io_uring_cqe *cqe);

int uring_register_buffer(struct uring *u, void *addr, size_t len);

/*
 * When it returns, the pins of a buffer that no request uses are gone. One that
 * a request in flight uses keeps its pins until that request ends.
 */
int uring_unregister_buffers(struct uring *u);

#endif /* URING_H */

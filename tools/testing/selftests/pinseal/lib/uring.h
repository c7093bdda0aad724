/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A small io_uring on raw system calls: setup, submit, reap, registered buffers.
 *
 * One thread submits; one thread at a time reaps. Functions return 0 (or a count), or -errno.
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

/* uring_close() - the kernel drops registered buffers later, from a worker. */
void uring_close(struct uring *u);

int uring_submit(struct uring *u, const struct io_uring_sqe *sqe);

/* uring_reap() - takes a completion: 0, or -EAGAIN without any. */
int uring_reap(struct uring *u, struct io_uring_cqe *cqe);

/* uring_wait() - waits for a completion; for the submitting thread. */
int uring_wait(struct uring *u, struct io_uring_cqe *cqe);

int uring_register_buffer(struct uring *u, void *addr, size_t len);

/*
 * uring_unregister_buffers() - drops the pins of the buffers. A request in flight keeps those
 * of its buffer until it ends.
 */
int uring_unregister_buffers(struct uring *u);

#endif /* URING_H */

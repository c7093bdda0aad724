/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A process_vm_writev() that stalls with its target pages pinned.
 *
 * The kernel pins the target pages of a batch (PVM_MAX_USER_PAGES, 1024 with 4 KiB pages),
 * drops mmap_lock, and then reads the source, a stalled page: when its fault is reported, the
 * pins are taken and no lock is held.
 *
 * Source and target may be in one process; the path is that between two.
 */
#ifndef STALLED_WRITEV_H
#define STALLED_WRITEV_H

#include <pthread.h>
#include <string.h>
#include <sys/uio.h>

#include "stalled_page.h"

struct stalled_writev {
	struct stalled_page source;
	struct iovec target;
	ssize_t written;		/* of process_vm_writev(), or -errno */
	pthread_t thread;
};

/* stalled_writev_begin() - returns when the pages of @target are pinned: 0, or -errno. */
int stalled_writev_begin(struct stalled_writev *w, void *target, size_t len);

/* stalled_writev_end() - completes the copy (of zeroes): the pins are gone. */
int stalled_writev_end(struct stalled_writev *w);

#endif /* STALLED_WRITEV_H */

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A process_vm_writev() that stops half-way, with its target pages pinned, until
 * it is told to go on.
 *
 * The kernel pins the target pages of one batch (PVM_MAX_USER_PAGES, 1024 on 4 KiB
 * pages), drops mmap_lock, and only then reads the source. The source is a page
 * that userfaultfd(2) reports as missing: when its fault has been reported, the
 * pins are taken, no lock is held, and the copy waits for the page.
 *
 * Source and target may be in one process; the path is the same as between two.
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
	ssize_t written;		/* what process_vm_writev() gave, or -errno */
	pthread_t thread;
};

/* Starts writing to @target and returns when all of its pages are pinned. */
int stalled_writev_begin(struct stalled_writev *w, void *target, size_t len);

/* Lets the copy go on (it writes zeroes), and waits for its end: the pins are gone. */
int stalled_writev_end(struct stalled_writev *w);

#endif /* STALLED_WRITEV_H */

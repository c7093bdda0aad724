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

static inline void *stalled_writev_thread(void *data)
{
	struct stalled_writev *w = data;
	struct iovec source = { w->source.page, page_size() };

	w->written = sys(process_vm_writev(getpid(), &source, 1, &w->target, 1, 0));
	return NULL;
}

/* Lets the copy go on (it writes zeroes), and waits for its end: the pins are gone. */
static inline int stalled_writev_end(struct stalled_writev *w)
{
	int ret = stalled_page_release(&w->source);

	pthread_join(w->thread, NULL);
	stalled_page_free(&w->source);
	if (!ret && w->written < 0)
		ret = w->written;
	return ret;
}

/* Starts writing to @target and returns when all of its pages are pinned. */
static inline int stalled_writev_begin(struct stalled_writev *w, void *target, size_t len)
{
	int ret;

	memset(w, 0, sizeof(*w));
	w->target = (struct iovec){ target, len };
	ret = stalled_page_make(&w->source);
	if (ret)
		return ret;
	ret = -pthread_create(&w->thread, NULL, stalled_writev_thread, w);
	if (ret) {
		stalled_page_release(&w->source);
		stalled_page_free(&w->source);
		return ret;
	}
	ret = stalled_page_wait(&w->source);
	if (ret)
		stalled_writev_end(w);
	return ret;
}

#endif /* STALLED_WRITEV_H */

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A thread that reads or writes a page of a file, from or to memory that stalls it: it is in
 * the middle of that until it is told to go on.
 */
#ifndef STALLED_TRANSFER_H
#define STALLED_TRANSFER_H

#include <pthread.h>

#include "stalled_page.h"

struct stalled_transfer {
	int fd;
	bool writes;
	struct stalled_page memory;
	ssize_t ret;			/* what it returned, or -errno */
	pthread_t thread;
};

static inline void *stalled_transfer_thread(void *data)
{
	struct stalled_transfer *t = data;

	if (t->writes)
		t->ret = sys(pwrite(t->fd, t->memory.page, page_size(), 0));
	else
		t->ret = sys(pread(t->fd, t->memory.page, page_size(), 0));
	return NULL;
}

/* Returns when it is stalled: 0, or -errno. */
static inline int stalled_transfer_begin(struct stalled_transfer *t, int fd, bool writes)
{
	int ret;

	*t = (struct stalled_transfer){ .fd = fd, .writes = writes };
	ret = stalled_page_make(&t->memory);
	if (!ret)
		ret = -pthread_create(&t->thread, NULL, stalled_transfer_thread, t);
	return ret ?: stalled_page_wait(&t->memory);
}

/* Lets it go on, and waits until it has returned: 0, or -errno. */
static inline int stalled_transfer_end(struct stalled_transfer *t)
{
	int ret = stalled_page_release(&t->memory);

	pthread_join(t->thread, NULL);
	stalled_page_free(&t->memory);
	return ret;
}

#endif /* STALLED_TRANSFER_H */

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

/* Returns when it is stalled: 0, or -errno. */
int stalled_transfer_begin(struct stalled_transfer *t, int fd, bool writes);

/* Lets it go on, and waits until it has returned: 0, or -errno. */
int stalled_transfer_end(struct stalled_transfer *t);

#endif /* STALLED_TRANSFER_H */

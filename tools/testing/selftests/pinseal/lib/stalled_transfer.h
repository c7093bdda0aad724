/* SPDX-License-Identifier: GPL-2.0-only */
/* A thread that reads or writes a page of a file and stalls in the middle. */
#ifndef STALLED_TRANSFER_H
#define STALLED_TRANSFER_H

#include <pthread.h>

#include "stalled_page.h"

struct stalled_transfer {
	int fd;
	bool writes;
	struct stalled_page memory;
	ssize_t ret;			/* of the transfer, or -errno */
	pthread_t thread;
};

/* stalled_transfer_begin() - returns when it is stalled: 0, or -errno. */
int stalled_transfer_begin(struct stalled_transfer *t, int fd, bool writes);

/* stalled_transfer_end() - completes it: 0, or -errno. */
int stalled_transfer_end(struct stalled_transfer *t);

#endif /* STALLED_TRANSFER_H */

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A page of memory that stalls whoever touches it, the kernel included, until it is told to
 * go on: userfaultfd(2) reports it as missing.
 */
#ifndef STALLED_PAGE_H
#define STALLED_PAGE_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/userfaultfd.h>

#include "pinseal_test.h"

struct stalled_page {
	int uffd;
	void *page;
};

/* Makes one: 0, or -errno. */
int stalled_page_make(struct stalled_page *s);

/* Waits until somebody is stalled: 0, or -errno. */
int stalled_page_wait(const struct stalled_page *s);

/* Lets them go on; the page has zeroes: 0, or -errno. */
int stalled_page_release(struct stalled_page *s);

/* To be called when nobody touches it any more. */
void stalled_page_free(struct stalled_page *s);

#endif /* STALLED_PAGE_H */

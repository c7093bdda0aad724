/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A page that stalls each access, also by the kernel, until it is released: userfaultfd(2)
 * reports it as missing.
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

/* stalled_page_make() - 0, or -errno. */
int stalled_page_make(struct stalled_page *s);

/* stalled_page_wait() - waits for a stalled access: 0, or -errno. */
int stalled_page_wait(const struct stalled_page *s);

/* stalled_page_release() - fills the page with zeroes: 0, or -errno. */
int stalled_page_release(struct stalled_page *s);

/* stalled_page_free() - when no access is left. */
void stalled_page_free(struct stalled_page *s);

#endif /* STALLED_PAGE_H */

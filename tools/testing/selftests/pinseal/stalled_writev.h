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

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <linux/userfaultfd.h>

#include "pinseal_test.h"

struct stalled_writev {
	int uffd;
	void *source;			/* one page, missing */
	struct iovec target;
	ssize_t written;		/* what process_vm_writev() gave, or -errno */
	pthread_t thread;
};

static inline void *stalled_writev_thread(void *data)
{
	struct stalled_writev *w = data;
	struct iovec source = { w->source, page_size() };

	w->written = process_vm_writev(getpid(), &source, 1, &w->target, 1, 0);
	if (w->written < 0)
		w->written = -errno;
	return NULL;
}

/* Lets the copy go on (it writes zeroes), and waits for its end: the pins are gone. */
static inline int stalled_writev_end(struct stalled_writev *w)
{
	struct uffdio_zeropage zero = {
		.range = { (uintptr_t)w->source, page_size() },
	};
	int ret = 0;

	if (ioctl(w->uffd, UFFDIO_ZEROPAGE, &zero))
		ret = -errno;
	/* If that failed, closing wakes the copy as well. */
	close(w->uffd);
	pthread_join(w->thread, NULL);
	munmap(w->source, page_size());
	if (!ret && w->written < 0)
		ret = w->written;
	return ret;
}

/* Starts writing to @target and returns when all of its pages are pinned. */
static inline int stalled_writev_begin(struct stalled_writev *w, void *target, size_t len)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffd_msg msg;
	struct pollfd ready;
	int ret;

	memset(w, 0, sizeof(*w));
	w->target = (struct iovec){ target, len };
	w->uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (w->uffd < 0)
		return -errno;
	w->source = mmap(NULL, page_size(), PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (w->source == MAP_FAILED) {
		ret = -errno;
		close(w->uffd);
		return ret;
	}
	reg.range.start = (uintptr_t)w->source;
	reg.range.len = page_size();
	if (ioctl(w->uffd, UFFDIO_API, &api) || ioctl(w->uffd, UFFDIO_REGISTER, &reg)) {
		ret = -errno;
		goto undo;
	}
	ret = -pthread_create(&w->thread, NULL, stalled_writev_thread, w);
	if (ret)
		goto undo;

	ready = (struct pollfd){ .fd = w->uffd, .events = POLLIN };
	if (poll(&ready, 1, 10 * 1000) == 1 &&
	    read(w->uffd, &msg, sizeof(msg)) == sizeof(msg) &&
	    msg.event == UFFD_EVENT_PAGEFAULT)
		return 0;

	stalled_writev_end(w);
	return -ETIME;
undo:
	munmap(w->source, page_size());
	close(w->uffd);
	return ret;
}

#endif /* STALLED_WRITEV_H */

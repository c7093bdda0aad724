/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Holders of pages, deterministic: when hold_begin() returns 0, every page of the range has an
 * extra reference of the given kind, and no mapping that it made is left; when hold_end()
 * returns, the references are gone.
 *
 * They work on any descriptor that can be mapped shared and writable, also on memfds. No other
 * thread may fork between begin and end: the child would keep pipes and rings alive.
 */
#ifndef HOLDERS_H
#define HOLDERS_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fuse_server.h"
#include "pinseal_test.h"
#include "stalled_writev.h"
#include "uring.h"

enum hold_kind {
	HOLD_URING,		/* io_uring registered buffer */
	HOLD_DIRECT_READ,	/* direct-I/O read into a mapping, in flight */
	HOLD_VM_WRITEV,		/* process_vm_writev() in flight */
	HOLD_VMSPLICE,		/* mapped pages in a pipe */
	HOLD_SPLICE,		/* pages of the file in a pipe */
	HOLD_KINDS,

	/* Of objects only */
	HOLD_HANDLE = HOLD_KINDS,	/* a pin handle */
};

struct hold {
	enum hold_kind kind;
	void *map;
	size_t len;
	union {
		struct uring ring;
		struct {
			struct fuse_server server;
			pthread_t reader;
			ssize_t got;
		} fuse;
		struct stalled_writev writev;
		int pipe[2];
		int handle;
	};
};

const char *hold_name(enum hold_kind kind);

/* hold_is_dma() - whether the references are pins (FOLL_PIN), not plain ones. */
bool hold_is_dma(enum hold_kind kind);

/* hold_begin() - holds @pages pages of @fd from page @first on: 0, or -errno. */
int hold_begin(struct hold *h, enum hold_kind kind, int fd,
	       uint64_t first, uint64_t pages);

int hold_end(struct hold *h);

/* A thread that ends a hold after a delay. */
struct hold_ender {
	struct hold *hold;
	uint64_t delay_ns;
	uint64_t began, ended;		/* of the release */
	int ret;
	pthread_t thread;
};

int hold_end_later(struct hold_ender *e, struct hold *h, uint64_t delay_ns);

int hold_ender_join(struct hold_ender *e);

#endif /* HOLDERS_H */

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A FUSE server inside the process, with one file whose reads are answered when the test says
 * so. The file does direct I/O: the kernel pins the reader's buffer before the request reaches
 * the server, and unpins it after the answer.
 *
 * The file answers each ioctl() with success, and a struct that is 0 but for its first field, 1:
 * those of pinseal as an object of version 1 does, or one that was sealed.
 *
 * It speaks the raw protocol of /dev/fuse. The mount is a descriptor, attached nowhere, so it
 * ends with the process.
 *
 * A reader's sleep does not end by SIGKILL, but by the last close of /dev/fuse. A reading
 * thread must therefore drop the process' descriptors first: fuse_server_only_this_file().
 */
#ifndef FUSE_SERVER_H
#define FUSE_SERVER_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <linux/close_range.h>
#include <linux/fuse.h>

#include "pinseal_test.h"

#define FUSE_SERVER_MAX_HELD	16
#define FUSE_SERVER_MAX_PAGES	256
#define FUSE_SERVER_BYTE	'R'	/* every byte of the file */

struct fuse_server {
	int dev, mnt, stop;
	int file;			/* the file, open for reading */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool hold;			/* reads are not answered */
	unsigned int held;
	struct { uint64_t unique; uint32_t size; } reads[FUSE_SERVER_MAX_HELD];
};

/* fuse_server_start() - starts the server, which holds reads of @s->file. */
int fuse_server_start(struct fuse_server *s);

/* fuse_server_wait_held() - waits for @n held reads: their buffers are pinned then. */
int fuse_server_wait_held(struct fuse_server *s, unsigned int n);

/* fuse_server_release() - answers held reads, and later ones at once. */
void fuse_server_release(struct fuse_server *s);

/* fuse_server_stop() - no thread of the process may wait for a read any more. */
void fuse_server_stop(struct fuse_server *s);

/* fuse_server_only_this_file() - see above: drops all but @s->file and the standard files. */
int fuse_server_only_this_file(struct fuse_server *s);

#endif /* FUSE_SERVER_H */

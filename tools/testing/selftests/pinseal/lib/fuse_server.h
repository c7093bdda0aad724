/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A FUSE server in the process itself, with one file whose reads are answered
 * only when the test says so. The file does direct I/O: the kernel pins the
 * reader's buffer before the request reaches the server, and lets go of it when
 * the answer has come.
 *
 * It speaks the raw protocol of /dev/fuse and is mounted nowhere: the mount lives
 * on a descriptor, so it goes with the process whatever happens.
 *
 * A reader waits for the answer in a sleep that not even SIGKILL ends. What ends it
 * when the process is killed is the last close of /dev/fuse; a reading thread
 * must therefore give up its share of the process' descriptors first:
 * fuse_server_only_this_file().
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
#define FUSE_SERVER_BYTE	'R'	/* what every byte of the file is */

struct fuse_server {
	int dev, mnt, stop;
	int file;			/* the file, open for reading */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool hold;			/* reads are kept waiting */
	unsigned int held;
	struct { uint64_t unique; uint32_t size; } reads[FUSE_SERVER_MAX_HELD];
};

/* Starts the server; reads of @s->file will be held. */
int fuse_server_start(struct fuse_server *s);

/* Waits until @n reads are held: their buffers are pinned then. */
int fuse_server_wait_held(struct fuse_server *s, unsigned int n);

/* Answers the held reads, and those to come at once. */
void fuse_server_release(struct fuse_server *s);

/* Ends it. Nobody may be waiting for a read any more, except in other processes. */
void fuse_server_stop(struct fuse_server *s);

/* See the top of the file: leaves the calling thread @s->file and the standard files. */
int fuse_server_only_this_file(struct fuse_server *s);

#endif /* FUSE_SERVER_H */

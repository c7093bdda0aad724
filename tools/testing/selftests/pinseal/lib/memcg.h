/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory cgroups (cgroup v2): making one, being in it, and what is charged to it.
 */
#ifndef MEMCG_H
#define MEMCG_H

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

#include "bytes.h"
#include "sysfile.h"

#define MEMCG_ROOT	"/sys/fs/cgroup"

struct memcg {
	char path[96];
};

/* Whether groups can be made here. */
bool memcg_is_there(void);

/* Sets @file of the group: 0, or -errno. */
int memcg_write(const struct memcg *g, const char *file, const char *text);

int memcg_write_number(const struct memcg *g, const char *file, uint64_t number);

/* A line of memory.stat, or -errno. It may be old: memcg_sync(). */
long memcg_stat(const struct memcg *g, const char *name);

/* Ends who is in the group, and the group with those in it: whether it is gone. */
bool memcg_remove(const struct memcg *g);

/*
 * Makes an empty group, in @parent or at the top: 0, or -errno. Its name begins with
 * @name, and is the calling process' own: what a killed program has left is in nobody's
 * way.
 */
int memcg_make(struct memcg *g, const struct memcg *parent, const char *name);

/* Puts the calling process into the group: 0, or -errno. What it has stays where it is. */
int memcg_join(const struct memcg *g);

/* Pages of shared memory that are charged to the group and in memory, or -errno. */
long memcg_shmem_pages(const struct memcg *g);

/* Makes the kernel reclaim about @bytes of what the group has in memory. */
void memcg_reclaim(const struct memcg *g, uint64_t bytes);

/* What a group holds beyond its processes: shared memory, other files, and swap, in bytes. */
struct memcg_use {
	long shmem, file, swap;
};

/*
 * Whether nothing of that is left once its processes are gone. What is freed late gets
 * some seconds. Other people's files may be in it: a program that was read from a disk.
 */
bool memcg_is_free(const struct memcg *g, struct memcg_use *use);

/* The number in @file of the group, or -errno. */
long memcg_read(const struct memcg *g, const char *file);

#endif /* MEMCG_H */

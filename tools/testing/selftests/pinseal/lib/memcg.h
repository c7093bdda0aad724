/* SPDX-License-Identifier: GPL-2.0-only */
/* Memory cgroups (cgroup v2): making and joining one, and its charge. */
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
	long poisoned_kb;	/* of the machine's memory, when the group was made */
};

/* memcg_is_there() - whether groups can be made. */
bool memcg_is_there(void);

/* memcg_write() - writes @file of the group: 0, or -errno. */
int memcg_write(const struct memcg *g, const char *file, const char *text);

int memcg_write_number(const struct memcg *g, const char *file, uint64_t number);

/* memcg_stat() - a line of memory.stat, or -errno. It may be old: memcg_sync(). */
long memcg_stat(const struct memcg *g, const char *name);

/* memcg_remove() - kills its processes, removes it and its children: whether it is gone. */
bool memcg_remove(const struct memcg *g);

/*
 * memcg_make() - an empty group in @parent, or at the top: 0, or -errno. The name has the
 * process id, so groups that killed programs left do not matter.
 */
int memcg_make(struct memcg *g, const struct memcg *parent, const char *name);

/* memcg_join() - moves the calling process, not its memory: 0, or -errno. */
int memcg_join(const struct memcg *g);

/* memcg_shmem_pages() - shared memory charged to the group, in pages, or -errno. */
long memcg_shmem_pages(const struct memcg *g);

/* memcg_slab_bytes() - memory charged to the group for small objects of the kernel, or -errno. */
long memcg_slab_bytes(const struct memcg *g);

/* memcg_reclaim() - reclaims about @bytes of the group. */
void memcg_reclaim(const struct memcg *g, uint64_t bytes);

/* Memory that outlives processes, in bytes. */
struct memcg_use {
	long shmem, file, swap;
};

/*
 * memcg_is_free() - whether none of it is left after the processes. Waits @timeout_ns for
 * late frees. Files of others may remain: programs that were read from a disk. So may the counts of
 * poisoned pages: the kernel takes a page from its group before it leaves its file, and such a page of
 * a memfd is counted for ever, too.
 */
bool memcg_is_free(const struct memcg *g, struct memcg_use *use, uint64_t timeout_ns);

/* memcg_read() - the number in @file of the group, or -errno. */
long memcg_read(const struct memcg *g, const char *file);

#endif /* MEMCG_H */

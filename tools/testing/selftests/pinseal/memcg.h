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
static inline bool memcg_is_there(void)
{
	return !access(MEMCG_ROOT "/cgroup.procs", W_OK);
}

/* Sets @file of the group: 0, or -errno. */
static inline int memcg_write(const struct memcg *g, const char *file, const char *text)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/%s", g->path, file);
	return write_text(path, text);
}

static inline int memcg_write_number(const struct memcg *g, const char *file, uint64_t number)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
	return memcg_write(g, file, text);
}

/* The number in @file of the group, or -errno. */
static inline long memcg_read(const struct memcg *g, const char *file)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/%s", g->path, file);
	return read_number(path);
}

/* A line of memory.stat, or -errno. It may be old: memcg_sync(). */
static inline long memcg_stat(const struct memcg *g, const char *name)
{
	char path[160], line[128];
	size_t len = strlen(name);
	long value = -ENOENT;
	FILE *f;

	snprintf(path, sizeof(path), "%s/memory.stat", g->path);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	while (value < 0 && fgets(line, sizeof(line), f)) {
		if (!strncmp(line, name, len) && line[len] == ' ')
			value = atol(line + len);
	}
	fclose(f);
	return value;
}

/* Removes the groups in a group. */
static inline void memcg_remove_inner(const struct memcg *g)
{
	DIR *dir = opendir(g->path);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
			unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR);
	}
	if (dir)
		closedir(dir);
}

/* Ends who is in the group, and the group with those in it: whether it is gone. */
static inline bool memcg_remove(const struct memcg *g)
{
	memcg_write(g, "cgroup.kill", "1");
	for (int i = 0; i < 500; i++) {
		memcg_remove_inner(g);
		if (!rmdir(g->path) || errno == ENOENT)
			return true;
		sleep_ns(20 * NSEC_PER_MSEC);
	}
	return false;
}

/*
 * Makes an empty group, in @parent or at the top: 0, or -errno. Its name begins with
 * @name, and is the calling process' own: what a killed program has left is in nobody's
 * way.
 */
static inline int memcg_make(struct memcg *g, const struct memcg *parent, const char *name)
{
	static const struct memcg root = { MEMCG_ROOT };
	int ret;

	if (!parent)
		parent = &root;
	ret = memcg_write(parent, "cgroup.subtree_control", "+memory");
	if (ret)
		return ret;
	snprintf(g->path, sizeof(g->path), "%.60s/%.20s-%d", parent->path, name, (int)getpid());
	return sys(mkdir(g->path, 0755));
}

/* Puts the calling process into the group: 0, or -errno. What it has stays where it is. */
static inline int memcg_join(const struct memcg *g)
{
	return memcg_write(g, "cgroup.procs", "0");
}

/*
 * Makes memory.stat show what is charged now. The kernel adds it up when it is
 * read and much has changed since, and else every two seconds. So something is
 * changed here: pages come and go.
 */
static inline void memcg_sync(const struct memcg *g)
{
	size_t len = 64 * page_size();	/* as many as each CPU keeps to itself */
	long rounds = 4 * sysconf(_SC_NPROCESSORS_ONLN);
	long faults = memcg_stat(g, "pgfault");
	pid_t pid = ps_fork();

	if (!pid) {
		char *p = mmap(NULL, len, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED || memcg_join(g))
			_exit(1);
		while (rounds--) {
			memset(p, 1, len);
			madvise(p, len, MADV_DONTNEED);
		}
		_exit(0);
	}
	ps_wait(pid);
	for (int i = 0; i < 250 && memcg_stat(g, "pgfault") == faults; i++)
		sleep_ns(20 * NSEC_PER_MSEC);
}

/* Pages of shared memory that are charged to the group and in memory, or -errno. */
static inline long memcg_shmem_pages(const struct memcg *g)
{
	long bytes;

	memcg_sync(g);
	bytes = memcg_stat(g, "shmem");
	return bytes < 0 ? bytes : bytes / (long)page_size();
}

/* Makes the kernel reclaim about @bytes of what the group has in memory. */
static inline void memcg_reclaim(const struct memcg *g, uint64_t bytes)
{
	/* That it cannot have so much is no error of ours. */
	memcg_write_number(g, "memory.reclaim", bytes);
}

/* What a group holds beyond its processes: shared memory, other files, and swap, in bytes. */
struct memcg_use {
	long shmem, file, swap;
};

/*
 * Whether nothing of that is left once its processes are gone. What is freed late gets
 * some seconds. Other people's files may be in it: a program that was read from a disk.
 */
static inline bool memcg_is_free(const struct memcg *g, struct memcg_use *use)
{
	uint64_t until = now_ns() + 5 * NSEC_PER_SEC;

	for (int i = 0; i < 10 || now_ns() < until; i++) {
		memcg_sync(g);
		*use = (struct memcg_use){
			.shmem = memcg_stat(g, "shmem"),
			.file = memcg_stat(g, "file"),
			.swap = memcg_read(g, "memory.swap.current"),
		};
		if (!use->shmem && !use->swap &&
		    use->file <= SHMEM_NOISE * (long)page_size())
			return true;
		/* Pages that swap has read ahead have no owner, and wait for this. */
		memcg_reclaim(g, 1 << 20);
		sleep_ns(100 * NSEC_PER_MSEC);
	}
	return false;
}

#endif /* MEMCG_H */

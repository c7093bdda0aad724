// SPDX-License-Identifier: GPL-2.0-only
#include "memcg.h"

bool memcg_is_there(void)
{
	return !access(MEMCG_ROOT "/cgroup.procs", W_OK);
}

int memcg_write(const struct memcg *g, const char *file, const char *text)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/%s", g->path, file);
	return write_text(path, text);
}

int memcg_write_number(const struct memcg *g, const char *file, uint64_t number)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
	return memcg_write(g, file, text);
}

long memcg_read(const struct memcg *g, const char *file)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/%s", g->path, file);
	return read_number(path);
}

long memcg_stat(const struct memcg *g, const char *name)
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

/* Removes the child groups. */
static void memcg_remove_inner(const struct memcg *g)
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

bool memcg_remove(const struct memcg *g)
{
	memcg_write(g, "cgroup.kill", "1");
	for (int i = 0; i < 3000; i++) {
		memcg_remove_inner(g);
		if (!rmdir(g->path) || errno == ENOENT)
			return true;
		sleep_ns(20 * NSEC_PER_MSEC);
	}
	return false;
}

static long poisoned_kb(void)
{
	return ps_meminfo_kb("HardwareCorrupted");
}

int memcg_make(struct memcg *g, const struct memcg *parent, const char *name)
{
	static const struct memcg root = { MEMCG_ROOT };
	int ret;

	if (!parent)
		parent = &root;
	ret = memcg_write(parent, "cgroup.subtree_control", "+memory");
	if (ret)
		return ret;
	snprintf(g->path, sizeof(g->path), "%.60s/%.20s-%d", parent->path, name, (int)getpid());
	g->poisoned_kb = poisoned_kb();
	return sys(mkdir(g->path, 0755));
}

int memcg_join(const struct memcg *g)
{
	return memcg_write(g, "cgroup.procs", "0");
}

/*
 * Brings memory.stat up to date. The kernel adds it up when it is read after many changes, or
 * every two seconds: so this makes changes, by faulting and zapping pages.
 */
static void memcg_sync(const struct memcg *g)
{
	size_t len = 64 * page_size();	/* the batch of a CPU */
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
	for (int i = 0; i < 3000 && memcg_stat(g, "pgfault") == faults; i++)
		sleep_ns(20 * NSEC_PER_MSEC);
}

long memcg_shmem_pages(const struct memcg *g)
{
	long bytes;

	memcg_sync(g);
	bytes = memcg_stat(g, "shmem");
	return bytes < 0 ? bytes : bytes / (long)page_size();
}

long memcg_slab_bytes(const struct memcg *g)
{
	memcg_sync(g);
	return memcg_stat(g, "slab");
}

void memcg_reclaim(const struct memcg *g, uint64_t bytes)
{
	/* Less than that may be reclaimable. */
	memcg_write_number(g, "memory.reclaim", bytes);
}

/* Bytes of memory that were poisoned since the group was made, be it the group's or not. */
static long memcg_poisoned(const struct memcg *g)
{
	return (poisoned_kb() - g->poisoned_kb) * 1024;
}

bool memcg_is_free(const struct memcg *g, struct memcg_use *use, uint64_t timeout_ns)
{
	uint64_t until = now_ns() + timeout_ns;

	for (int i = 0; i < 10 || now_ns() < until; i++) {
		memcg_sync(g);
		*use = (struct memcg_use){
			.shmem = memcg_stat(g, "shmem"),
			.file = memcg_stat(g, "file"),
			.swap = memcg_read(g, "memory.swap.current"),
		};
		if (use->shmem <= memcg_poisoned(g) && !use->swap &&
		    use->file <= SHMEM_NOISE * (long)page_size())
			return true;
		/* Frees pages of swap readahead, which no process maps. */
		memcg_reclaim(g, 1 << 20);
		sleep_ns(100 * NSEC_PER_MSEC);
	}
	return false;
}

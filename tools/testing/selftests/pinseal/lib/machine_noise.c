// SPDX-License-Identifier: GPL-2.0-only
#include "machine_noise.h"

/* Saves a setting, if it exists. */
static void setting_keep(struct machine_noise *n, const char *path)
{
	struct setting *s = &n->settings[n->n_settings];

	if (n->n_settings == MAX_SETTINGS || read_setting(path, s->before, sizeof(s->before)))
		return;
	snprintf(s->path, sizeof(s->path), "%.111s", path);
	n->n_settings++;
}

/* Sleeps, but not beyond the end: whether the noise continues. */
static bool noise_continues(struct machine_noise *n, unsigned int ms)
{
	while (ms-- && !__atomic_load_n(&n->over, __ATOMIC_ACQUIRE))
		sleep_ns(NSEC_PER_MSEC);
	return !__atomic_load_n(&n->over, __ATOMIC_ACQUIRE);
}

static void noise_be_nice(void)
{
	setpriority(PRIO_PROCESS, syscall(SYS_gettid), 19);
}

/* Migrates pages. */
static void *noise_compaction(void *data)
{
	struct machine_noise *n = data;

	noise_be_nice();
	while (noise_continues(n, 100)) {
		if (!write_text("/proc/sys/vm/compact_memory", "1"))
			n->compactions++;
	}
	return NULL;
}

/* Changes the folio sizes of shmem, within the size of the object. */
static void *noise_folio_sizes(void *data)
{
	static const char *const choices[3] = { "within_size", "never", "advise" };
	struct machine_noise *n = data;
	unsigned int turn;

	noise_be_nice();
	for (turn = 0; noise_continues(n, 20); turn++) {
		unsigned int i = n->first_thp + turn % (n->end_thp - n->first_thp);

		write_text(n->settings[i].path, choices[turn / 3 % 3]);
	}
	return NULL;
}

static int cpu_set_online(unsigned int cpu, bool online)
{
	char path[64];

	snprintf(path, sizeof(path), CPU_SETTINGS "/cpu%u/online", cpu);
	return write_text(path, online ? "1" : "0");
}

/* Takes CPUs online and offline, one at a time. */
static void *noise_cpus(void *data)
{
	struct machine_noise *n = data;
	unsigned int turn;

	noise_be_nice();
	for (turn = 0; noise_continues(n, 50); turn++) {
		unsigned int cpu = n->cpus[turn % n->n_cpus];

		cpu_set_online(cpu, true);
		noise_continues(n, 80);
		if (!cpu_set_online(cpu, false))
			n->cpus_gone++;
	}
	return NULL;
}

/* The age of a process in ms, or -errno. */
static long noise_age_ms(pid_t pid)
{
	unsigned long long start = 0;
	char path[64], text[512], *p;
	int ret;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	ret = read_text(path, text, sizeof(text));
	if (ret)
		return ret;
	/* Field 22; field 3 follows the name, which may hold anything but is in parentheses. */
	p = strrchr(text, ')');
	for (int field = 2; p && field < 22; field++)
		p = strchr(p + 1, ' ');
	if (p)
		start = strtoull(p, NULL, 10);
	return now_ns() / NSEC_PER_MSEC - start * 1000 / sysconf(_SC_CLK_TCK);
}

/* Collapses a process' mappings of objects: how many times that worked. */
static unsigned int noise_collapse(pid_t pid, size_t huge)
{
	unsigned int taken = 0;
	char path[64], line[512];
	int pidfd = syscall(SYS_pidfd_open, pid, 0);
	FILE *f;

	if (pidfd < 0)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		unsigned long begin, end;
		struct iovec iov;

		if (!strstr(line, "pinseal") && !strstr(line, "memfd:"))
			continue;
		if (sscanf(line, "%lx-%lx", &begin, &end) != 2 || end - begin < huge)
			continue;
		iov = (struct iovec){ (void *)begin, end - begin };
		if (syscall(SYS_process_madvise, pidfd, &iov, 1, MADV_COLLAPSE, 0) > 0)
			taken++;
	}
	if (f)
		fclose(f);
	close(pidfd);
	return taken;
}

/*
 * Collapses mappings of the group's processes. This keeps the mappings of a process that ends
 * meanwhile, which would disturb tests that wait for a child: new processes are spared.
 */
static void *noise_huge_pages(void *data)
{
	struct machine_noise *n = data;
	char path[160];

	noise_be_nice();
	snprintf(path, sizeof(path), "%s/cgroup.procs", n->group->path);
	while (noise_continues(n, 50)) {
		FILE *f = fopen(path, "re");
		int pid;

		while (f && fscanf(f, "%d", &pid) == 1) {
			if (noise_age_ms(pid) > 300)
				n->collapses += noise_collapse(pid, n->large_folio);
		}
		if (f)
			fclose(f);
	}
	return NULL;
}

/* Reclaims pages of the group. */
static void *noise_reclaim(void *data)
{
	struct machine_noise *n = data;

	noise_be_nice();
	while (noise_continues(n, 30)) {
		memcg_reclaim(n->group, memcg_read(n->group, "memory.current") / 4);
		n->reclaims++;
	}
	return NULL;
}

/* The PMD size, and sizes that fit into small objects. */
static void noise_find_folio_sizes(struct machine_noise *n)
{
	DIR *dir = opendir(THP_SETTINGS);
	struct dirent *entry;
	char path[112];
	unsigned long kb;

	n->first_thp = n->n_settings;
	setting_keep(n, THP_SETTINGS "/shmem_enabled");
	while (dir && (entry = readdir(dir))) {
		if (sscanf(entry->d_name, "hugepages-%lukB", &kb) != 1 ||
		    kb * 1024 > 16 * page_size())
			continue;
		snprintf(path, sizeof(path), THP_SETTINGS "/hugepages-%lukB/shmem_enabled", kb);
		setting_keep(n, path);
	}
	if (dir)
		closedir(dir);
	n->end_thp = n->n_settings;
}

/* CPUs beyond the first two, which guests boot without. */
static void noise_find_cpus(struct machine_noise *n)
{
	char path[64];
	unsigned int cpu;

	for (cpu = 2; cpu < MAX_CPUS; cpu++) {
		snprintf(path, sizeof(path), CPU_SETTINGS "/cpu%u/online", cpu);
		if (access(path, W_OK))
			continue;
		n->was_online[n->n_cpus] = read_number(path) == 1;
		n->cpus[n->n_cpus++] = cpu;
	}
}

/* khugepaged scans without rest. */
static void noise_wake_khugepaged(struct machine_noise *n)
{
	static const char *const wanted[][2] = {
		{ THP_SETTINGS "/khugepaged/scan_sleep_millisecs", "20" },
		{ THP_SETTINGS "/khugepaged/alloc_sleep_millisecs", "20" },
		{ THP_SETTINGS "/khugepaged/pages_to_scan", "4096" },
	};

	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		setting_keep(n, wanted[i][0]);
		write_text(wanted[i][0], wanted[i][1]);
	}
}

static void noise_add(struct machine_noise *n, void *(*maker)(void *))
{
	if (!pthread_create(&n->threads[n->n_threads], NULL, maker, n))
		n->n_threads++;
}

void machine_noise_begin(struct machine_noise *n, const struct memcg *group,
			 bool large_folios)
{
	memset(n, 0, sizeof(*n));
	n->group = group;
	n->large_folio = large_folio_size();
	if (large_folios)
		noise_find_folio_sizes(n);
	noise_find_cpus(n);
	noise_wake_khugepaged(n);
	noise_add(n, noise_reclaim);
	if (n->large_folio)
		noise_add(n, noise_huge_pages);
	if (!access("/proc/sys/vm/compact_memory", W_OK))
		noise_add(n, noise_compaction);
	if (n->end_thp > n->first_thp)
		noise_add(n, noise_folio_sizes);
	if (n->n_cpus)
		noise_add(n, noise_cpus);
}

bool machine_noise_was_heard(struct machine_noise *n)
{
	return __atomic_load_n(&n->reclaims, __ATOMIC_RELAXED) &&
	       __atomic_load_n(&n->compactions, __ATOMIC_RELAXED) &&
	       (!n->large_folio || __atomic_load_n(&n->collapses, __ATOMIC_RELAXED)) &&
	       (!n->n_cpus || __atomic_load_n(&n->cpus_gone, __ATOMIC_RELAXED));
}

void machine_noise_restore(struct machine_noise *n)
{
	unsigned int i;

	for (i = 0; i < n->n_settings; i++)
		write_text(n->settings[i].path, n->settings[i].before);
	for (i = 0; i < n->n_cpus; i++) {
		/* It may fail for a moment. */
		for (int tries = 0; tries < 50; tries++) {
			if (!cpu_set_online(n->cpus[i], n->was_online[i]))
				break;
			sleep_ns(20 * NSEC_PER_MSEC);
		}
	}
}

void machine_noise_end(struct machine_noise *n)
{
	__atomic_store_n(&n->over, true, __ATOMIC_RELEASE);
	while (n->n_threads)
		pthread_join(n->threads[--n->n_threads], NULL);
	machine_noise_restore(n);
}

struct machine_state machine_state(void)
{
	FILE *f = fopen("/proc/swaps", "re");
	DIR *dir = opendir(MEMCG_ROOT);
	struct machine_state m = { 0 };
	struct dirent *entry;
	char line[256];

	while (f && fgets(line, sizeof(line), f))
		m.swaps++;
	if (f)
		fclose(f);
	while (dir && (entry = readdir(dir)))
		m.groups += entry->d_type == DT_DIR;
	if (dir)
		closedir(dir);
	read_text(THP_SETTINGS "/shmem_enabled", m.folios, sizeof(m.folios));
	read_text(THP_SETTINGS "/khugepaged/pages_to_scan", m.khugepaged, sizeof(m.khugepaged));
	read_text(CPU_SETTINGS "/online", m.cpus, sizeof(m.cpus));
	return m;
}

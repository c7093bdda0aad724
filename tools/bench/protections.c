// SPDX-License-Identifier: GPL-2.0-only
/*
 * Protections of single pages: mprotect() on a mapping of a memfd against PINSEAL_IOC_PROTECT on
 * one of an object.
 */
#include "bytes.h"
#include "protect.h"
#include "protections.h"
#include "report.h"
#include "sysfile.h"
#include "write_barrier.h"

/* Ranges of one call of PROTECT; with BY_PAGE a call for each range. */
#define BY_PAGE		1
#define MAX_BATCH	50000

/* A new object with a mapping of all of it. */
struct mapping {
	enum object_kind kind;
	int fd;
	char *p;
	size_t len;
};

static struct mapping mapping_new(enum object_kind kind, unsigned int pages, bool is_touched)
{
	struct mapping m = { .kind = kind, .len = pages * page_size() };

	m.fd = must(obj_create(kind, m.len), kind_name[kind]);
	m.p = ps_map(m.fd, m.len, RW, MAP_SHARED);
	if (m.p == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	if (is_touched)
		memset(m.p, 'p', m.len);
	return m;
}

static void mapping_end(struct mapping *m)
{
	munmap(m->p, m->len);
	close(m->fd);
}

/*
 * Makes every second page read-only, in calls of @batch ranges; mprotect() takes one. Returns how
 * many ranges these are, fewer if the kernel has no room for more.
 */
static unsigned int alternate(const struct mapping *m, unsigned int batch)
{
	static struct pinseal_protect_range ranges[MAX_BATCH];
	size_t page = page_size(), at;
	unsigned int n = 0, done = 0;
	int ret;

	for (at = page; at < m->len; at += 2 * page) {
		if (m->kind == MEMFD || batch == BY_PAGE) {
			ret = protect_pages(m->kind, m->fd, m->p + at, page, PROT_READ);
			n = 1;
		} else {
			ranges[n++] = a_range(m->p + at, page, PROT_READ);
			if (n < batch && at + 2 * page < m->len)
				continue;
			ret = ps_protect_ranges(m->fd, ranges, n);
		}
		if (ret == -ENOMEM)
			break;
		must(ret, "a protection");
		done += n;
		n = 0;
	}
	return done;
}

/* Loads of every @step-th page or, with @write, stores. */
static void touch(const struct mapping *m, unsigned int step, bool write)
{
	volatile char *p = m->p;
	size_t at;

	for (at = 0; at < m->len; at += step * page_size()) {
		if (write)
			p[at] = 't';
		else
			(void)p[at];
	}
}

/* What is done in one round, and how long it takes. */
struct round {
	double set, load, store;
};

static struct round alternate_once(enum object_kind kind, unsigned int pages, bool is_touched,
				   unsigned int batch, bool is_used)
{
	struct mapping m = mapping_new(kind, pages, is_touched);
	struct round r = { 0 };
	uint64_t began = now_ns(), set, loaded;

	if (alternate(&m, batch) != pages / 2)
		die("no room for %u ranges", pages / 2);
	set = now_ns();
	r.set = set - began;
	if (is_used) {
		touch(&m, 1, false);
		loaded = now_ns();
		touch(&m, 2, true);
		r.load = loaded - set;
		r.store = now_ns() - loaded;
	}
	mapping_end(&m);
	return r;
}

/* 10,000 pages: page by page and in arrays, and then the use of all. */
static void ten_thousand(const char *where, bool is_touched)
{
	enum { PAGES = 10000, ROUNDS = 7 };
	static const struct { const char *name, *what; unsigned int batch; } ways[] = {
		{ "page", "page by page", BY_PAGE },
		{ "array", "arrays of 1,000", 1000 },
	};
	unsigned int i, n;

	for (i = 0; i < ARRAY_SIZE(ways); i++) {
		struct text name = format_text("protect_%s_%s", where, ways[i].name);
		static struct samples set[KINDS], load[KINDS], store[KINDS];

		if (!is_wanted(name.s))
			continue;
		memset(set, 0, sizeof(set));
		memset(load, 0, sizeof(load));
		memset(store, 0, sizeof(store));
		for (n = 0; n < KINDS * ROUNDS; n++) {
			enum object_kind kind = n % KINDS;
			struct round r = alternate_once(kind, PAGES, is_touched, ways[i].batch, true);

			add_sample(&set[kind], r.set);
			add_sample(&load[kind], r.load);
			add_sample(&store[kind], r.store);
		}
		medians(name.s, format_text("10,000 %s pages, %s", where, ways[i].what).s, set);
		/* The way does not matter any more. */
		if (i + 1 < ARRAY_SIZE(ways))
			continue;
		medians(format_text("protect_%s_load", where).s, "    then loads of all", load);
		medians(format_text("protect_%s_store", where).s, "    then stores to the writable ones",
			store);
	}
}

/* One call for 1,000 ranges against as many calls. */
static void one_call(const char *where, bool is_touched)
{
	enum { RANGES = 1000, ROUNDS = 31 };
	struct text name = format_text("protect_call_%s", where);
	static struct samples set[KINDS];
	unsigned int n;

	if (!is_wanted(name.s))
		return;
	memset(set, 0, sizeof(set));
	for (n = 0; n < KINDS * ROUNDS; n++) {
		enum object_kind kind = n % KINDS;

		add_sample(&set[kind],
			   alternate_once(kind, 2 * RANGES, is_touched, RANGES, false).set);
	}
	medians(name.s, format_text("1,000 calls, or one: %s pages", where).s, set);
}

/*
 * Memory of the kernel for small objects, in bytes. That of a cgroup would not do: it has no
 * maple tree nodes, of which a mapping with many VMAs has many.
 */
static double slab_bytes(void)
{
	/* What was freed before may be counted for a while. */
	sleep_ns(NSEC_PER_SEC / 2);
	/* Has the counts of all CPUs added up. */
	shmem_pages();
	return ps_meminfo_kb("Slab") * (double)KIB;
}

/* 1,000,000 pages, or as many as there is room for: of each range time, memory and lines. */
static void million(void)
{
	enum { PAGES = 1000000, ROUNDS = 3 };
	static struct samples time[KINDS], memory[KINDS], lines[KINDS];
	unsigned int done[KINDS], n;

	if (!is_any_wanted("protect_million"))
		return;
	memset(time, 0, sizeof(time));
	memset(memory, 0, sizeof(memory));
	memset(lines, 0, sizeof(lines));
	for (n = 0; n < KINDS * ROUNDS; n++) {
		enum object_kind kind = n % KINDS;
		struct mapping m = mapping_new(kind, PAGES, false);
		long lines_before = count_mappings();
		double slab_before = slab_bytes();
		uint64_t began = now_ns();

		done[kind] = alternate(&m, MAX_BATCH);
		add_sample(&time[kind], (double)(now_ns() - began) / done[kind]);
		add_sample(&memory[kind], (slab_bytes() - slab_before) / done[kind]);
		add_sample(&lines[kind], count_mappings() - lines_before);
		mapping_end(&m);
	}
	result_number("protect_million_ranges", "1,000,000 pages: ranges that fit, of 500,000", "ranges",
		      done[MEMFD], done[PINSEAL]);
	medians("protect_million_time", "    time for a range", time);
	result_number("protect_million_memory", "    memory for a range, bytes", "bytes",
		      median(&memory[MEMFD]), median(&memory[PINSEAL]));
	result_number("protect_million_lines", "    new lines in /proc/self/maps", "lines",
		      median(&lines[MEMFD]), median(&lines[PINSEAL]));
	if (done[MEMFD] < PAGES / 2)
		printf("     (mprotect() fails then: vm.max_map_count is %ld)\n",
		       read_number("/proc/sys/vm/max_map_count"));
}

void protections(void)
{
	million();
	ten_thousand("untouched", false);
	ten_thousand("mapped", true);
	one_call("untouched", false);
	one_call("mapped", true);
	write_barriers();
}

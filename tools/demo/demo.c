// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shows what pinseal is for: a memfd and an object are sealed by turns on one kernel, with
 * real pins. All numbers printed are measured in this run.
 */
#include <sys/utsname.h>

#include "contest.h"
#include "direct_read.h"
#include "sysfile.h"
#include "table.h"
#include "uring.h"

#define PIN_PAGES	16
#define PIN_FIRST	100
#define PIN_OBJECT	(4 * MIB)

/* Progress: after two seconds a line, with a dot a second. */
static struct {
	uint64_t next;
	const char *doing;
	bool shown;
} progress;

static void progress_begin(void)
{
	progress.next = now_ns() + 2 * NSEC_PER_SEC;
	progress.doing = NULL;
	progress.shown = false;
}

static void progress_tick(const char *doing)
{
	if (now_ns() < progress.next)
		return;
	progress.next = now_ns() + NSEC_PER_SEC;
	if (!progress.shown)
		printf("   measuring ");
	if (progress.doing != doing)
		printf("%s ", doing);
	printf(".");
	fflush(stdout);
	progress.shown = true;
	progress.doing = doing;
}

static void progress_end(void)
{
	if (progress.shown)
		printf("\n\n");
}

static void title(unsigned int number, const char *name, const char *what, const char *result)
{
	printf("\n%u. %s\n\n   %s\n   %s\n\n", number, name, what, result);
	fflush(stdout);
}

static void row(const struct table *t, const char *a, const char *b, const char *c,
		const char *d)
{
	const char *cells[TABLE_COLUMNS] = { a, b, c, d };

	table_row(t, cells);
}

static int filled_object(enum object_kind kind, uint64_t size)
{
	int fd = must(obj_create(kind, size), kind_name[kind]);

	must(fill_file(fd, size, 'd'), "fill");
	return fd;
}

static void head(void)
{
	struct utsname u;

	uname(&u);
	printf("Sealing shared memory with pinned pages: memfd and pinseal side by side\n");
	printf("\n");
	printf("   Linux %s on %s, %ld CPUs, pages of %zu KiB.\n", u.release, u.machine,
	       sysconf(_SC_NPROCESSORS_ONLN), page_size() / 1024);
	printf("   Times hold for this machine (an emulated one is slow); compare the columns.\n");
}

static void clean_objects(void)
{
	static const struct {
		const char *name;
		uint64_t size;
		unsigned int rounds;
	} sizes[] = {
		{ "4 KiB", 4 * KIB, 201 },
		{ "1 MiB", 1 * MIB, 101 },
		{ "16 MiB", 16 * MIB, 21 },
		{ "256 MiB", 256 * MIB, 5 },
	};
	const struct table t = { 4, { 10, 11, 11, 11 } };
	static struct samples time[ARRAY_SIZE(sizes)][KINDS];
	unsigned int i, n;

	title(1, "No extra references",
	      "An object is filled, and sealed against writing. Median of 201, 101, 21 and 5 objects.",
	      "The last column: below 1.00 pinseal is faster.");
	progress_begin();
	for (i = 0; i < ARRAY_SIZE(sizes); i++)
		for (n = 0; n < KINDS * sizes[i].rounds; n++) {
			enum object_kind kind = n % KINDS;
			int fd = filled_object(kind, sizes[i].size);
			struct timed_seal a = seal_object(kind, fd, 0, 0);

			must(a.error, "sealing without extra references");
			add_sample(&time[i][kind], took(&a));
			close(fd);
			progress_tick(sizes[i].name);
		}
	progress_end();

	table_begin(&t, (const char *[]){ "object", "memfd", "pinseal", "ratio" });
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		double memfd = median(&time[i][MEMFD]), pinseal = median(&time[i][PINSEAL]);

		row(&t, sizes[i].name, format_time(memfd).s, format_time(pinseal).s,
		    format_text("%.2f", pinseal / memfd).s);
	}
	table_end(&t);
}

static void released_pin(void)
{
	enum { RUNS = 15 };
	const struct table t = { 3, { 36, 12, 12 } };
	static struct samples late[KINDS];
	unsigned int sealed[KINDS] = { 0 }, n;

	title(2, "Pins that are released after 40 ms",
	      "An io_uring registered buffer pins 16 pages; another thread unregisters it.",
	      "How long after the release the seal returned: the needless part of the wait.");
	progress_begin();
	for (n = 0; n < KINDS * RUNS; n++) {
		enum object_kind kind = n % KINDS;
		int fd = filled_object(kind, PIN_OBJECT);
		struct hold_ender ender;
		struct timed_seal a;
		struct hold hold;

		must(hold_begin(&hold, HOLD_URING, fd, PIN_FIRST, PIN_PAGES), "io_uring");
		must(hold_end_later(&ender, &hold, 40 * NSEC_PER_MSEC), "thread");
		a = seal_object(kind, fd, NSEC_PER_SEC, 0);
		must(hold_ender_join(&ender), "io_uring");
		if (!a.error) {
			sealed[kind]++;
			add_sample(&late[kind], (double)a.ended - ender.began);
		} else if (a.error != -EBUSY) {
			must(a.error, "seal");
		}
		close(fd);
		progress_tick("");
	}
	progress_end();

	table_begin(&t, (const char *[]){ "", "memfd", "pinseal" });
	row(&t, "sealed", format_text("%u of %u", sealed[MEMFD], RUNS).s,
	    format_text("%u of %u", sealed[PINSEAL], RUNS).s, NULL);
	if (late[MEMFD].n && late[PINSEAL].n) {
		row(&t, "returned after the release, median", format_time(median(&late[MEMFD])).s,
		    format_time(median(&late[PINSEAL])).s, NULL);
		row(&t, "                            slowest",
		    format_time(percentile(&late[MEMFD], 100)).s,
		    format_time(percentile(&late[PINSEAL], 100)).s, NULL);
	}
	table_end(&t);
}

static const char *outcome_name(uint32_t outcome)
{
	static const char *const names[] = {
		[PINSEAL_OUTCOME_SEALED]		= "SEALED",
		[PINSEAL_OUTCOME_WRITABLE_MAPPING]	= "WRITABLE_MAPPING",
		[PINSEAL_OUTCOME_PINNED]		= "PINNED",
		[PINSEAL_OUTCOME_INTERRUPTED]		= "INTERRUPTED",
	};

	return outcome < ARRAY_SIZE(names) && names[outcome] ? names[outcome] : "another one";
}

static void lasting_pin(void)
{
	const struct table t = { 3, { 30, 18, 30 } };
	struct pinseal_page vec[PIN_PAGES + 1];
	struct timed_seal a[KINDS];
	struct pinseal_pins pins;
	unsigned int kind;

	title(3, "Pins that are not released",
	      "16 pages stay pinned, from page 100 on, and one of them is in a pipe as well.",
	      "What the sealer is told, and when.");
	for (kind = 0; kind < KINDS; kind++) {
		int fd = filled_object(kind, PIN_OBJECT);
		struct hold ring, pipe;

		must(hold_begin(&ring, HOLD_URING, fd, PIN_FIRST, PIN_PAGES), "io_uring");
		must(hold_begin(&pipe, HOLD_VMSPLICE, fd, PIN_FIRST, 1), "vmsplice");
		a[kind] = seal_object(kind, fd, 50 * NSEC_PER_MSEC, 0);
		if (a[kind].error != -EBUSY)
			die("%s sealed pinned pages", kind_name[kind]);
		if (kind == PINSEAL)
			must(ps_pins(fd, 0, vec, ARRAY_SIZE(vec), &pins), "PINSEAL_IOC_PINS");
		must(hold_end(&ring), "io_uring");
		must(hold_end(&pipe), "vmsplice");
		close(fd);
	}

	table_begin(&t, (const char *[]){ "", "memfd", "pinseal" });
	row(&t, "longest wait", "fixed", "50 ms, chosen by the caller", NULL);
	row(&t, "result", format_text("%s", strerrorname_np(-a[MEMFD].error)).s,
	    format_text("%s, %s", strerrorname_np(-a[PINSEAL].error),
			outcome_name(a[PINSEAL].report.outcome)).s, NULL);
	row(&t, "returned after", format_time(took(&a[MEMFD])).s,
	    format_time(took(&a[PINSEAL])).s, NULL);
	row(&t, "pinned pages", "-",
	    format_text("%llu", a[PINSEAL].report.pinned_pages).s, NULL);
	row(&t, "first one", "-",
	    format_text("page %llu", a[PINSEAL].report.first_pinned).s, NULL);
	row(&t, "pinned for I/O or DMA", "-",
	    format_text("%llu pages", pins.dma_pinned_pages).s, NULL);
	if (pins.found)
		row(&t, format_text("references to page %llu", vec[0].index).s, "-",
		    format_text("%u pin, %u plain", vec[0].dma_pins,
				vec[0].flags & PINSEAL_PAGE_LARGE ?
				vec[0].extra - vec[0].dma_pins :
				vec[0].extra - 1024 * vec[0].dma_pins).s, NULL);
	row(&t, "scanned, waited", "-",
	    format_text("%u times, %s", a[PINSEAL].report.scans,
			format_time(a[PINSEAL].report.waited_ns).s).s, NULL);
	table_end(&t);
}

static void harmless_reader(void)
{
	enum { RUNS = 200 };
	const struct table t = { 3, { 30, 12, 12 } };
	static struct samples time[KINDS];
	unsigned int refused[KINDS] = { 0 }, n;
	struct reader reader;

	title(4, "A read-only mapper without rest",
	      "Another process maps 64 KiB read-only, reads and zaps them, again and again.",
	      "The slow ones of 200 seals: the reader should make no difference.");
	run_on_cpu(0);
	must(reader_start(&reader, 1, 0), "fork");
	progress_begin();
	for (n = 0; n < KINDS * RUNS; n++) {
		enum object_kind kind = n % KINDS;
		int fd = filled_object(kind, 64 * KIB);
		struct timed_seal a;

		must(reader_follow(&reader, fd, 64 * KIB), "mmap");
		a = seal_object(kind, fd, 0, 0);
		reader_leave(&reader);
		close(fd);
		add_sample(&time[kind], took(&a));
		if (a.error == -EBUSY)
			refused[kind]++;
		else
			must(a.error, "seal");
		progress_tick("");
	}
	reader_stop(&reader);
	run_anywhere();
	progress_end();

	table_begin(&t, (const char *[]){ "", "memfd", "pinseal" });
	for (n = 0; n < 3; n++) {
		static const struct { const char *name; unsigned int percent; } lines[] = {
			{ "half of them returned within", 50 },
			{ "99 % of them", 99 },
			{ "all of them", 100 },
		};

		row(&t, lines[n].name, format_time(percentile(&time[MEMFD], lines[n].percent)).s,
		    format_time(percentile(&time[PINSEAL], lines[n].percent)).s, NULL);
	}
	row(&t, "refused (EBUSY) without reason", format_text("%u of %u", refused[MEMFD], RUNS).s,
	    format_text("%u of %u", refused[PINSEAL], RUNS).s, NULL);
	table_end(&t);
}

static void read_under_way(void)
{
	enum { RUNS = 20 };
	const struct table t = { 3, { 46, 10, 10 } };
	unsigned int sealed[KINDS] = { 0 }, changed[KINDS] = { 0 }, n;
	unsigned int pages = direct_read_pages();
	size_t size = large_folio_size();
	struct reader reader;

	title(5, "A pin that writes, and the reader",
	      "A direct-I/O read(2) into a huge page is in flight, and scenario 4's reader reads.",
	      "Whether the object is sealed nevertheless, and what the seal is worth.");
	if (!size || !pages) {
		printf("   This kernel has no huge pages of shared memory.\n");
		return;
	}
	run_on_cpu(0);
	must(reader_start(&reader, 1, 0), "fork");
	progress_begin();
	for (n = 0; n < KINDS * RUNS; n++) {
		enum object_kind kind = n % KINDS;
		struct direct_read a = seal_during_direct_read(kind, size, pages, &reader);

		sealed[kind] += a.sealed;
		changed[kind] += a.changed;
		progress_tick("");
	}
	reader_stop(&reader);
	run_anywhere();
	progress_end();

	table_begin(&t, (const char *[]){ "", "memfd", "pinseal" });
	row(&t, "refused, as it must be", format_text("%u of %u", RUNS - sealed[MEMFD], RUNS).s,
	    format_text("%u of %u", RUNS - sealed[PINSEAL], RUNS).s, NULL);
	row(&t, "sealed during the read", format_text("%u of %u", sealed[MEMFD], RUNS).s,
	    format_text("%u of %u", sealed[PINSEAL], RUNS).s, NULL);
	row(&t, "sealed, and the bytes changed afterwards", format_text("%u", changed[MEMFD]).s,
	    format_text("%u", changed[PINSEAL]).s, NULL);
	table_end(&t);
}

/* The shape of a habit: makes what is in the way of a seal of @fd, and what ends it by itself. */
struct habit {
	const char *name;
	uint64_t size;
	uint32_t flags;			/* of pinseal's seal */
	void (*begin)(int fd, uint64_t size);
	void (*end)(void);
};

/* The kernel releases the buffers of a ring that was closed from a worker. */
static void ring_closed(int fd, uint64_t size)
{
	char *p = ps_map(fd, size, PROT_READ | PROT_WRITE, MAP_SHARED);
	struct uring ring;

	if (p == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	must(uring_open(&ring, 8, 0), "io_uring");
	must(uring_register_buffer(&ring, p, size), "io_uring");
	munmap(p, size);
	uring_close(&ring);
}

/* With shmem_enabled=always a first write makes one. */
static void huge_page_written(int fd, uint64_t size)
{
	static const char path[] = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";
	char before[32];

	must(read_setting(path, before, sizeof(before)), path);
	must(obj_resize(fd, 0) ?: obj_resize(fd, size), "resize");
	must(write_text(path, "always"), path);
	must(fill_file(fd, size, 'h'), "fill");
	must(write_text(path, before), path);
}

static pid_t child;

/* The child has the mapping of its parent until it calls exec(). */
static void forked(int fd, uint64_t size)
{
	char *p = ps_map(fd, size, PROT_READ | PROT_WRITE, MAP_SHARED);

	if (p == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	child = must(ps_fork(), "fork");
	if (!child) {
		sleep_ns(20 * NSEC_PER_MSEC);
		execl("/proc/self/exe", "child", NULL);
		_exit(1);
	}
	munmap(p, size);
}

static void child_ends(void)
{
	ps_wait(child);
}

static void nothing_to_end(void)
{
}

static void habits(void)
{
	enum { RUNS = 20 };
	const struct habit habit[] = {
		{ "the ring with its buffers was just closed", MIB, 0, ring_closed,
		  nothing_to_end },
		{ "a huge page was just written", large_folio_size(), 0, huge_page_written,
		  nothing_to_end },
		{ "a child has not called exec() yet", MIB, PINSEAL_SEAL_WAIT_MAPPED, forked,
		  child_ends },
	};
	const struct table t = { 3, { 42, 12, 12 } };
	static unsigned int sealed[ARRAY_SIZE(habit)][KINDS];
	unsigned int i, n;

	title(6, "What is in the way for a moment only",
	      "What programs do right before they seal. It goes by itself, within milliseconds.",
	      "How many of 20 seals succeeded.");
	progress_begin();
	for (i = 0; i < ARRAY_SIZE(habit); i++)
		for (n = 0; n < KINDS * RUNS && habit[i].size; n++) {
			enum object_kind kind = n % KINDS;
			int fd = filled_object(kind, habit[i].size);
			struct timed_seal a;

			habit[i].begin(fd, habit[i].size);
			a = seal_object(kind, fd, 0, habit[i].flags);
			habit[i].end();
			close(fd);
			sealed[i][kind] += !a.error;
			if (a.error != -EBUSY)
				must(a.error, "seal");
			progress_tick("");
		}
	progress_end();

	table_begin(&t, (const char *[]){ "", "memfd", "pinseal" });
	for (i = 0; i < ARRAY_SIZE(habit); i++)
		if (habit[i].size)
			row(&t, habit[i].name, format_text("%u of %u", sealed[i][MEMFD], RUNS).s,
			    format_text("%u of %u", sealed[i][PINSEAL], RUNS).s, NULL);
	table_end(&t);
}

int main(int argc, char **argv)
{
	int fd;

	/* The child of scenario 6. */
	if (argc && !strcmp(argv[0], "child"))
		return 0;
	fd = ps_open(O_RDWR);
	if (fd < 0)
		die(PINSEAL_DEV ": %s (is the module loaded?)", strerror(-fd));
	close(fd);

	head();
	clean_objects();
	released_pin();
	lasting_pin();
	harmless_reader();
	read_under_way();
	habits();
	printf("\n");
	return 0;
}

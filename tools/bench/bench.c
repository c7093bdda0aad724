// SPDX-License-Identifier: GPL-2.0-only
/*
 * Measures pinseal against memfd on one kernel. What counts is the ratio: the two
 * take turns, object by object, and medians are compared, so that the noise of the
 * machine meets both.
 *
 *   bench		a table, and the same as lines to be read by programs
 *   bench NAME...	only those whose names begin with one of these
 *
 * A line for programs: bench <TAB> name <TAB> unit <TAB> memfd <TAB> pinseal <TAB> ratio.
 * Times are in nanoseconds. A ratio below 1 means that pinseal takes less.
 */
#include <sys/utsname.h>

#include "contest.h"
#include "holders.h"
#include "noise.h"
#include "table.h"

static const struct table columns = { 4, { 44, 12, 12, 12 } };

static char **wanted;
static unsigned int n_wanted;

/* What the lines for programs say, printed at the end. */
static struct {
	char name[48];
	double value[KINDS];
} results[64];
static unsigned int n_results;

static bool is_wanted(const char *name)
{
	unsigned int i;

	for (i = 0; i < n_wanted; i++)
		if (!strncmp(name, wanted[i], strlen(wanted[i])))
			return true;
	return !n_wanted;
}

static void result(const char *name, const char *what, double memfd, double pinseal)
{
	const char *cells[TABLE_COLUMNS];
	struct text a = format_time(memfd), b = format_time(pinseal);
	struct text ratio = format_text(pinseal / memfd < 0.1 ? "%.4f" : "%.3f", pinseal / memfd);

	if (n_results == ARRAY_SIZE(results))
		die("too many results");
	snprintf(results[n_results].name, sizeof(results[0].name), "%s", name);
	results[n_results].value[MEMFD] = memfd;
	results[n_results].value[PINSEAL] = pinseal;
	n_results++;

	cells[0] = what;
	cells[1] = a.s;
	cells[2] = b.s;
	cells[3] = ratio.s;
	table_row(&columns, cells);
}

static void medians(const char *name, const char *what, struct samples *time)
{
	result(name, what, median(&time[MEMFD]), median(&time[PINSEAL]));
}

static void percentiles(const char *name, const char *what, struct samples *time)
{
	static const unsigned int percents[] = { 50, 99 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(percents); i++)
		result(format_text("%s_p%u", name, percents[i]).s,
		       format_text("%s, p%u", what, percents[i]).s,
		       percentile(&time[MEMFD], percents[i]),
		       percentile(&time[PINSEAL], percents[i]));
}

/* An object filled on CPU @cpu. */
static int filled_object(enum object_kind kind, uint64_t size, int cpu)
{
	int fd = must(obj_create(kind, size), kind_name[kind]);

	if (cpu)
		must(fill_on_cpu(fd, size, cpu), "fill");
	else if (size)
		must(fill_file(fd, size, 'b'), "fill");
	return fd;
}

/* Sealing what nobody holds. */
static void clean_seals(const char *prefix, const char *where, int cpu, uint64_t max)
{
	static const struct { uint64_t size; unsigned int rounds; } sizes[] = {
		{ 0, 301 }, { 4 * KIB, 301 }, { 1 * MIB, 101 }, { 16 * MIB, 31 },
		{ 64 * MIB, 11 }, { 256 * MIB, 7 },
	};
	unsigned int i, n;

	run_on_cpu(0);
	for (i = 0; i < ARRAY_SIZE(sizes) && sizes[i].size <= max; i++) {
		struct text size = sizes[i].size ? format_size(sizes[i].size) :
						   format_text("empty");
		struct text name = format_text("%s_%lluk", prefix,
					       (unsigned long long)(sizes[i].size / KIB));
		static struct samples time[KINDS];

		if (!is_wanted(name.s) || (cpu && !sizes[i].size))
			continue;
		memset(time, 0, sizeof(time));
		for (n = 0; n < KINDS * sizes[i].rounds; n++) {
			enum object_kind kind = n % KINDS;
			int fd = filled_object(kind, sizes[i].size, cpu);
			struct attempt a = seal_object(kind, fd, 0);

			must(a.error, "sealing an object that nobody holds");
			add_sample(&time[kind], took(&a));
			close(fd);
		}
		medians(name.s, format_text("seal, %s, %s", where, size.s).s, time);
	}
	run_anywhere();
}

/* From the moment of release to the return of the seal. */
static void released_pins(const char *name, const char *what, enum hold_kind how)
{
	enum { RUNS = 101 };
	static struct samples late[KINDS];
	unsigned int n;

	if (!is_wanted(name))
		return;
	memset(late, 0, sizeof(late));
	for (n = 0; n < KINDS * RUNS; n++) {
		enum object_kind kind = n % KINDS;
		int fd = filled_object(kind, 128 * page_size(), 0);
		enum hold_kind how_here = how;
		struct hold_ender ender;
		struct attempt a;
		struct hold hold;

		/* For memfds there are no handles. */
		if (how == HOLD_HANDLE && kind == MEMFD)
			how_here = HOLD_URING;
		must(hold_begin(&hold, how_here, fd, 100, 16), hold_name(how_here));
		/* At any moment between two looks of memfd, which are up to 80 ms apart. */
		must(hold_end_later(&ender, &hold, (20 + n / KINDS % 40) * NSEC_PER_MSEC),
		     "thread");
		a = seal_object(kind, fd, NSEC_PER_SEC);
		must(hold_ender_join(&ender), hold_name(how));
		must(a.error, "sealing after a release");
		add_sample(&late[kind], (double)a.ended - ender.began);
		close(fd);
	}
	percentiles(name, what, late);
}

static void harmless_reader(void)
{
	enum { RUNS = 200 };
	static struct samples time[KINDS];
	unsigned int refused[KINDS] = { 0 }, n;
	struct reader reader;

	if (!is_wanted("reader"))
		return;
	must(reader_start(&reader, 1, 0), "thread");
	for (n = 0; n < KINDS * RUNS; n++) {
		enum object_kind kind = n % KINDS;
		int fd = filled_object(kind, 64 * KIB, 0);
		struct attempt a;

		must(reader_follow(&reader, fd, 64 * KIB), "mmap");
		a = seal_object(kind, fd, 0);
		reader_leave(&reader);
		if (a.error != -EBUSY)
			must(a.error, "sealing while somebody reads");
		refused[kind] += a.error == -EBUSY;
		add_sample(&time[kind], took(&a));
		close(fd);
	}
	reader_stop(&reader);
	percentiles("reader", "seal, 64 KiB, somebody reads", time);
	printf("     (refused without reason: memfd %u, pinseal %u of %u)\n", refused[MEMFD],
	       refused[PINSEAL], RUNS);
}

/* read(2) and write(2) of what is there already, in blocks. */
static void transfers(bool write)
{
	enum { ROUNDS = 15 };
	static const uint64_t blocks[] = { 4 * KIB, 64 * KIB, 1 * MIB };
	const uint64_t size = 16 * MIB;
	char *buf = malloc(blocks[ARRAY_SIZE(blocks) - 1]);
	int fds[KINDS];
	unsigned int i, n;

	if (!buf)
		die("no memory");
	memset(buf, 't', blocks[ARRAY_SIZE(blocks) - 1]);
	for (n = 0; n < KINDS; n++)
		fds[n] = filled_object(n, size, 0);
	for (i = 0; i < ARRAY_SIZE(blocks); i++) {
		struct text name = format_text("%s_%lluk", write ? "write" : "read",
					       (unsigned long long)(blocks[i] / KIB));
		static struct samples time[KINDS];

		if (!is_wanted(name.s))
			continue;
		memset(time, 0, sizeof(time));
		for (n = 0; n < KINDS * ROUNDS; n++) {
			enum object_kind kind = n % KINDS;
			uint64_t at, began = now_ns();

			for (at = 0; at < size; at += blocks[i]) {
				ssize_t done = write ? pwrite(fds[kind], buf, blocks[i], at) :
						       pread(fds[kind], buf, blocks[i], at);

				if (done != (ssize_t)blocks[i])
					die("%s: %s", name.s, strerror(errno));
			}
			add_sample(&time[kind], (double)(now_ns() - began) / (size / blocks[i]));
		}
		medians(name.s, format_text("%s, a block of %s", write ? "write" : "read",
					    format_size(blocks[i]).s).s, time);
	}
	for (n = 0; n < KINDS; n++)
		close(fds[n]);
	free(buf);
}

/* Touching every page of a new shared mapping. */
static void faults(const char *name, const char *what, bool fresh, bool write)
{
	enum { ROUNDS = 11 };
	const uint64_t size = 64 * MIB, pages = size / page_size();
	static struct samples time[KINDS];
	int fds[KINDS];
	unsigned int n;

	if (!is_wanted(name))
		return;
	memset(time, 0, sizeof(time));
	for (n = 0; n < KINDS; n++)
		fds[n] = filled_object(n, size, 0);
	for (n = 0; n < KINDS * ROUNDS; n++) {
		enum object_kind kind = n % KINDS;
		int fd = fresh ? must(obj_create(kind, size), kind_name[kind]) : fds[kind];
		volatile char *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		uint64_t at, began;

		if (map == MAP_FAILED)
			die("mmap: %s", strerror(errno));
		began = now_ns();
		for (at = 0; at < size; at += page_size()) {
			if (write)
				map[at] = 'f';
			else
				(void)map[at];
		}
		add_sample(&time[kind], (double)(now_ns() - began) / pages);
		munmap((void *)map, size);
		if (fresh)
			close(fd);
	}
	medians(name, what, time);
	for (n = 0; n < KINDS; n++)
		close(fds[n]);
}

/* What a call costs that does nothing. */
static void calls(void)
{
	enum { ROUNDS = 51, CALLS = 1000 };
	static struct samples time[KINDS];
	int fds[KINDS];
	unsigned int n, i;

	if (!is_wanted("call"))
		return;
	for (n = 0; n < KINDS; n++)
		fds[n] = must(obj_create(n, page_size()), kind_name[n]);
	for (n = 0; n < KINDS * ROUNDS; n++) {
		enum object_kind kind = n % KINDS;
		uint64_t began = now_ns();

		for (i = 0; i < CALLS; i++)
			must(kind == PINSEAL ? ps_get_seals(fds[kind]) :
					       sys(fcntl(fds[kind], F_GET_SEALS)), "get seals");
		add_sample(&time[kind], (double)(now_ns() - began) / CALLS);
	}
	medians("call_get_seals", "get the seals", time);
	for (n = 0; n < KINDS; n++)
		close(fds[n]);
}

/* Making one, and throwing it away. */
static void objects(void)
{
	enum { ROUNDS = 51, OBJECTS = 20 };
	static struct samples time[KINDS];
	unsigned int n, i;

	if (!is_wanted("object"))
		return;
	for (n = 0; n < KINDS * ROUNDS; n++) {
		enum object_kind kind = n % KINDS;
		uint64_t began = now_ns();

		for (i = 0; i < OBJECTS; i++)
			close(must(obj_create(kind, page_size()), kind_name[kind]));
		add_sample(&time[kind], (double)(now_ns() - began) / OBJECTS);
	}
	medians("object", "make an object of one page, close it", time);
}

int main(int argc, char **argv)
{
	struct utsname u;
	unsigned int i;
	int fd = ps_open(O_RDWR);

	if (fd < 0)
		die(PINSEAL_DEV ": %s (is the module loaded?)", strerror(-fd));
	close(fd);
	wanted = argv + 1;
	n_wanted = argc - 1;

	uname(&u);
	printf("Linux %s, %s, %ld CPUs, pages of %zu KiB; ratio below 1: pinseal takes less\n\n",
	       u.release, u.machine, sysconf(_SC_NPROCESSORS_ONLN), page_size() / 1024);

	table_begin(&columns, (const char *[]){ "", "memfd", "pinseal", "ratio" });
	calls();
	objects();
	clean_seals("seal", "filled here", 0, 256 * MIB);
	clean_seals("seal_other_cpu", "filled on another CPU", 1, 16 * MIB);
	released_pins("release_pipe", "return after a pipe's release", HOLD_VMSPLICE);
	released_pins("release_uring", "return after io_uring's release", HOLD_URING);
	released_pins("release_handle", "return after a handle's release",
		      HOLD_HANDLE);
	harmless_reader();
	transfers(false);
	transfers(true);
	faults("fault_read", "read fault, page there", false, false);
	faults("fault_write", "write fault, page there", false, true);
	faults("fault_new", "write fault, new page", true, true);
	table_end(&columns);

	printf("\n");
	for (i = 0; i < n_results; i++)
		printf("bench\t%s\tns\t%.1f\t%.1f\t%.4f\n", results[i].name,
		       results[i].value[MEMFD], results[i].value[PINSEAL],
		       results[i].value[PINSEAL] / results[i].value[MEMFD]);
	return 0;
}

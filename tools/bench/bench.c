// SPDX-License-Identifier: GPL-2.0-only
/*
 * Measures pinseal against memfd on one kernel. The ratio counts: both take turns, object by
 * object, and medians are compared, so that noise of the machine affects both.
 *
 *   bench		a table, and the same as lines for programs
 *   bench NAME...	only those whose names begin with one of these
 *
 * Lines for programs, with tabs between their fields:
 *
 *   bench name unit memfd pinseal ratio what
 *   samples name what unit kind value value ...	the values with spaces between them, ascending
 *   rate name what of memfd pinseal			how often, of so many times
 *
 * Times are in nanoseconds (ns). A ratio below 1 means that pinseal takes less.
 *
 * Names that begin with wake_ are of pinseal only: in place of memfd a waiter that polls for
 * the release, in place of pinseal one that is woken up. Names that begin with crowd_ are of
 * asynchronous seals: alone, and in or beside a crowd of them. Names that begin with protect_ are
 * of mprotect() against PINSEAL_IOC_PROTECT: protections.c; page_scan_, of reading cache lines against a
 * seal: page_scans.c.
 */
#include <sys/eventfd.h>
#include <sys/utsname.h>

#include "async.h"
#include "contest.h"
#include "crowd.h"
#include "direct_read.h"
#include "page_scans.h"
#include "protections.h"
#include "report.h"
#include "stacked_objects.h"

/* In place of memfd and pinseal. */
enum wakeup {
	POLLED = MEMFD,
	WOKEN = PINSEAL,
};

/* The sleep of a poller. */
#define PAUSE_NS	100000

/* Held pages of an object of HELD_OBJECT pages. */
#define HELD_OBJECT	128
#define HELD_FIRST	100
#define HELD_PAGES	16

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

/* Seals without extra references. */
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
			struct timed_seal a = seal_object(kind, fd, 0, 0);

			must(a.error, "sealing without extra references");
			add_sample(&time[kind], took(&a));
			close(fd);
		}
		medians(name.s, format_text("seal, %s, %s", where, size.s).s, time);
	}
	run_anywhere();
}

typedef struct timed_seal seal_function(enum object_kind kind, int fd, uint64_t timeout_ns);

static struct timed_seal seal_synchronously(enum object_kind kind, int fd, uint64_t timeout_ns)
{
	return seal_object(kind, fd, timeout_ns, 0);
}

/* The same with an asynchronous seal. */
static struct timed_seal seal_asynchronously(enum object_kind kind, int fd, uint64_t timeout_ns)
{
	struct timed_seal a = { .report = seal_async(F_SEAL_WRITE, timeout_ns) };

	/* memfd has no such seal. */
	if (kind == MEMFD)
		return seal_object(kind, fd, timeout_ns, 0);
	a.began = now_ns();
	a.error = ps_seal(fd, &a.report);
	if (!a.error)
		a.error = async_wait(fd, &a.report);
	a.ended = now_ns();
	/* Still pending is no error. */
	if (!a.error && a.report.outcome != PINSEAL_OUTCOME_SEALED)
		die("woken up before there was a result");
	return a;
}

/* Any moment between two scans of memfd, which are up to 80 ms apart. */
static uint64_t release_delay_ns(unsigned int run)
{
	return (20 + run % 40) * NSEC_PER_MSEC;
}

/*
 * Seals while another thread releases pages. Returns the time from the start of the release,
 * whose own cost counts as well.
 */
static double seal_while_released(enum object_kind kind, int fd, struct hold *hold,
				  seal_function *seal, unsigned int run)
{
	struct hold_ender ender;
	struct timed_seal a;

	must(hold_end_later(&ender, hold, release_delay_ns(run)), "thread");
	a = seal(kind, fd, NSEC_PER_SEC);
	must(hold_ender_join(&ender), hold_name(hold->kind));
	must(a.error, "sealing after a release");
	if (a.ended < ender.began)
		die("sealed before the release");
	return (double)a.ended - ender.began;
}

/* Kind of holder and of seal. */
struct trial {
	enum hold_kind how;
	seal_function *seal;
};

/* One measurement of either side, in nanoseconds. */
typedef double trial_function(unsigned int which, unsigned int run, const struct trial *trial);

/* Measures both sides by turns, and prints percentiles. */
static void in_turns(const char *name, const char *what, trial_function *once,
		     struct trial trial)
{
	enum { RUNS = 101 };
	static struct samples time[KINDS];
	unsigned int n;

	if (!is_wanted(name))
		return;
	memset(time, 0, sizeof(time));
	for (n = 0; n < KINDS * RUNS; n++)
		add_sample(&time[n % KINDS], once(n % KINDS, n / KINDS, &trial));
	percentiles(name, what, time);
}

/* From the release to the return of the seal. */
static double released_pins(unsigned int kind, unsigned int run, const struct trial *trial)
{
	int fd = filled_object(kind, HELD_OBJECT * page_size(), 0);
	enum hold_kind how = trial->how;
	struct hold hold;
	double late;

	/* memfd has no handles. */
	if (how == HOLD_HANDLE && kind == MEMFD)
		how = HOLD_URING;
	must(hold_begin(&hold, how, fd, HELD_FIRST, HELD_PAGES), hold_name(how));
	late = seal_while_released(kind, fd, &hold, trial->seal, run);
	close(fd);
	return late;
}

/*
 * Two objects of the same memory. Closing a handle costs the same on both, but wakes only
 * sealers of its own object.
 */
struct twins {
	int sealed, other;
};

static struct twins twins_open(void)
{
	int memfd = filled_object(MEMFD, HELD_OBJECT * page_size(), 0);
	struct twins t;

	t.sealed = must(import_open(memfd), "import");
	t.other = must(import_open(memfd), "import");
	close(memfd);
	return t;
}

static void twins_close(struct twins *t)
{
	close(t->sealed);
	close(t->other);
}

/* The same with pinseal only: the holder of the trial, or a handle. */
static double woken_sealers(unsigned int wakeup, unsigned int run, const struct trial *trial)
{
	enum hold_kind how = wakeup == WOKEN ? HOLD_HANDLE : trial->how;
	struct twins t = twins_open();
	struct hold hold;
	double late;

	must(hold_begin(&hold, how, wakeup == WOKEN ? t.sealed : t.other, HELD_FIRST, HELD_PAGES),
	     hold_name(how));
	late = seal_while_released(PINSEAL, t.sealed, &hold, trial->seal, run);
	twins_close(&t);
	return late;
}

/* A thread that writes to an eventfd after a delay. */
struct notifier {
	int fd;
	uint64_t delay_ns, began;
	pthread_t thread;
};

static void *notifier_thread(void *data)
{
	struct notifier *n = data;

	sleep_ns(n->delay_ns);
	n->began = now_ns();
	eventfd_write(n->fd, 1);
	return NULL;
}

/*
 * The limit of this machine: from the write to an eventfd to its reader, which polls, as a
 * sealer does that is not woken up, or sleeps.
 */
static double woken_readers(unsigned int wakeup, unsigned int run, const struct trial *trial)
{
	struct notifier notifier = {
		.fd = must(sys(eventfd(0, wakeup == POLLED ? EFD_NONBLOCK : 0)), "eventfd"),
		.delay_ns = release_delay_ns(run),
	};
	eventfd_t count;
	uint64_t ended;

	must(-pthread_create(&notifier.thread, NULL, notifier_thread, &notifier), "thread");
	while (eventfd_read(notifier.fd, &count))
		sleep_ns(PAUSE_NS);
	ended = now_ns();
	pthread_join(notifier.thread, NULL);
	close(notifier.fd);
	return (double)ended - notifier.began;
}

/* A holder that releases pages on request. */
struct holder {
	struct hold hold;
	int ask;			/* where the request arrives: a lease, or an eventfd */
	short event;			/* of poll(), at a request */
	int ret;
	pid_t tid;			/* set right before it waits */
	pthread_t thread;
};

static void *holder_thread(void *data)
{
	struct holder *h = data;
	int ready;

	__atomic_store_n(&h->tid, thread_id(), __ATOMIC_RELEASE);
	ready = ready_within(h->ask, h->event, SOON_NS / NSEC_PER_MSEC);
	if (ready == h->event)
		h->ret = hold_end(&h->hold);
	else
		h->ret = ready < 0 ? ready : -ETIME;
	return NULL;
}

/* Returns when it waits for a request. */
static void holder_start(struct holder *h)
{
	must(-pthread_create(&h->thread, NULL, holder_thread, h), "thread");
	if (!thread_wait_asleep(&h->tid))
		die("a holder does not wait");
}

static void holder_on_lease(struct holder *h, int fd)
{
	*h = (struct holder){ .hold.kind = HOLD_HANDLE, .event = POLLPRI };
	/* Longer than the seal may take. */
	h->ask = must(ps_lease(fd, HELD_FIRST, HELD_PAGES, 2 * SOON_NS), "lease");
	h->hold.handle = h->ask;
	holder_start(h);
}

static void holder_by_eventfd(struct holder *h, enum hold_kind how, int fd)
{
	*h = (struct holder){ .event = POLLIN };
	must(hold_begin(&h->hold, how, fd, HELD_FIRST, HELD_PAGES), hold_name(how));
	h->ask = must(sys(eventfd(0, EFD_CLOEXEC)), "eventfd");
	holder_start(h);
}

/* Requests the pages and seals: the time of both, with the release. */
static double request_and_seal(struct holder *h, enum object_kind kind, int fd)
{
	struct pinseal_seal arg = seal_write(SOON_NS);
	bool is_lease = h->event == POLLPRI;
	uint64_t began = now_ns(), ended;
	int ret;

	if (is_lease) {
		arg.flags = PINSEAL_SEAL_REVOKE;
		ret = ps_seal(fd, &arg);
	} else {
		must(sys(eventfd_write(h->ask, 1)), "eventfd");
		ret = seal_object(kind, fd, SOON_NS, 0).error;
	}
	ended = now_ns();
	pthread_join(h->thread, NULL);
	must(h->ret, "release on request");
	must(ret, "sealing after a request");
	if (!is_lease)
		close(h->ask);
	return ended - began;
}

/* From the request to the return of the seal. */
static double requested_holders(unsigned int kind, unsigned int run, const struct trial *trial)
{
	int fd = filled_object(kind, HELD_OBJECT * page_size(), 0);
	struct holder h;
	double took;

	/* memfd has no leases: the request goes through an eventfd. */
	if (kind == PINSEAL)
		holder_on_lease(&h, fd);
	else
		holder_by_eventfd(&h, HOLD_URING, fd);
	took = request_and_seal(&h, kind, fd);
	close(fd);
	return took;
}

/* The same with pinseal only: an eventfd and a handle, or a lease. */
static double woken_requesters(unsigned int wakeup, unsigned int run, const struct trial *trial)
{
	struct twins t = twins_open();
	struct holder h;
	double took;

	if (wakeup == WOKEN)
		holder_on_lease(&h, t.sealed);
	else
		holder_by_eventfd(&h, HOLD_HANDLE, t.other);
	took = request_and_seal(&h, PINSEAL, t.sealed);
	twins_close(&t);
	return took;
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
		struct timed_seal a;

		must(reader_follow(&reader, fd, 64 * KIB), "mmap");
		a = seal_object(kind, fd, 0, 0);
		reader_leave(&reader);
		if (a.error != -EBUSY)
			must(a.error, "sealing with a reader");
		refused[kind] += a.error == -EBUSY;
		add_sample(&time[kind], took(&a));
		close(fd);
	}
	reader_stop(&reader);
	percentiles("reader", "seal, 64 KiB, with a reader", time);
	rate("reader_refused", "    refused without reason", refused, RUNS);
}

static void false_successes(void)
{
	enum { RUNS = 200 };
	unsigned int sealed[KINDS] = { 0 }, changed[KINDS] = { 0 }, n;
	unsigned int pages = direct_read_pages();
	size_t size = large_folio_size();
	struct reader reader;

	if (!is_wanted("false_success") || !size || !pages)
		return;
	run_on_cpu(0);
	must(reader_start(&reader, 1, 0), "fork");
	for (n = 0; n < KINDS * RUNS; n++) {
		struct direct_read a = seal_during_direct_read(n % KINDS, size, pages, &reader);

		sealed[n % KINDS] += a.sealed;
		changed[n % KINDS] += a.changed;
	}
	reader_stop(&reader);
	run_anywhere();
	rate("false_success", "sealed during a direct read", sealed, RUNS);
	rate("false_success_changed", "    and changed after the seal", changed, RUNS);
}

/* read(2) and write(2) of allocated memory, in blocks. */
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

/* The cost of a call. */
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

/* Creation and release. */
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

/* From the releases of some seals of a crowd to their ends. */
static double crowd_sealed(struct crowd *c)
{
	enum { MANY = 21 };
	unsigned int n = c->n < MANY ? c->n : MANY, i;
	static struct samples time;
	struct pollfd pfds[MANY];
	uint64_t began = now_ns();

	memset(&time, 0, sizeof(time));
	for (i = 0; i < n; i++) {
		unsigned int member = (uint64_t)i * c->n / n;

		must(crowd_release(c, member), "release");
		pfds[i] = (struct pollfd){ .fd = c->fds[member], .events = POLLPRI };
	}
	while (time.n < n) {
		must(sys(poll(pfds, n, -1)), "poll");
		for (i = 0; i < n; i++) {
			if (pfds[i].fd < 0 || !pfds[i].revents)
				continue;
			pfds[i].fd = -1;
			add_sample(&time, now_ns() - began);
		}
	}
	return median(&time);
}

/* From the release to the end of another user's seal. */
static double other_sealed(void)
{
	enum { OTHER_USER = 65534, RUNS = 21 };
	double took;

	must(be_user(OTHER_USER), "setresuid");
	took = crowd_newcomers(HOLD_VMSPLICE, CROWD_QUICK_SCANS, RUNS);
	must(be_user(0), "setresuid");
	if (took < 0)
		die("another user's seal: %s", strerror(-(int)took));
	return took;
}

/* A crowd of asynchronous seals: what it costs, and how late it and others are sealed. */
static void crowds(void)
{
	static const unsigned int sizes[] = { 1, 100, 1000, 10000 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct text name = format_text("crowd_%u", sizes[i]);
		struct crowd crowd = { 0 };
		double cpu, other;

		if (!is_wanted(name.s))
			continue;
		other = other_sealed();
		cpu = crowd_cpu_ns(NSEC_PER_SEC);
		must(crowd_grow(&crowd, sizes[i]), "crowd");
		/* Until the burst of first scans is over. */
		sleep_ns(5 * NSEC_PER_SEC);
		result(format_text("%s_cpu", name.s).s,
		       format_text("CPU time in a second, %u pending", sizes[i]).s, cpu,
		       crowd_cpu_ns(4 * NSEC_PER_SEC) / 4);
		result(format_text("%s_other", name.s).s, "another user's result after a release",
		       other, other_sealed());
		/* Their share is the same for any number: the scans of 10000 are minutes apart. */
		if (sizes[i] <= 1000)
			result(format_text("%s_sealed", name.s).s, "one of the crowd's", other,
			       crowd_sealed(&crowd));
		crowd_end(&crowd);
	}
}

int main(int argc, char **argv)
{
	struct utsname u;
	int fd = ps_open(O_RDWR);

	if (fd < 0)
		die(PINSEAL_DEV ": %s (is the module loaded?)", strerror(-fd));
	close(fd);
	want(argv + 1, argc - 1);

	uname(&u);
	printf("Linux %s, %s, %ld CPUs, pages of %zu KiB; ratio below 1: pinseal takes less\n\n",
	       u.release, u.machine, sysconf(_SC_NPROCESSORS_ONLN), page_size() / 1024);

	columns_begin("memfd", "pinseal");
	calls();
	objects();
	clean_seals("seal", "filled here", 0, 256 * MIB);
	clean_seals("seal_other_cpu", "filled on another CPU", 1, 16 * MIB);
	in_turns("release_pipe", "return after a pipe's release", released_pins,
		 (struct trial){ HOLD_VMSPLICE, seal_synchronously });
	in_turns("release_uring", "return after io_uring's release", released_pins,
		 (struct trial){ HOLD_URING, seal_synchronously });
	in_turns("release_handle", "return after a handle's release", released_pins,
		 (struct trial){ HOLD_HANDLE, seal_synchronously });
	in_turns("release_async_uring", "result after io_uring's release", released_pins,
		 (struct trial){ HOLD_URING, seal_asynchronously });
	in_turns("release_async_handle", "result after a handle's release", released_pins,
		 (struct trial){ HOLD_HANDLE, seal_asynchronously });
	in_turns("release_lease", "return after requesting a lease", requested_holders,
		 (struct trial){ 0 });
	harmless_reader();
	false_successes();
	transfers(false);
	transfers(true);
	faults("fault_read", "read fault, page there", false, false);
	faults("fault_write", "write fault, page there", false, true);
	faults("fault_new", "write fault, new page", true, true);
	columns_end();

	if (is_any_wanted("wake_")) {
		printf("\nPinseal only; ratio below 1: being woken up takes less\n\n");
		columns_begin("polled", "woken up");
		in_turns("wake_eventfd", "return after an eventfd's write", woken_readers,
			 (struct trial){ 0 });
		in_turns("wake_handle", "return after a handle's release", woken_sealers,
			 (struct trial){ HOLD_HANDLE, seal_synchronously });
		in_turns("wake_pipe", "return, pipe or handle", woken_sealers,
			 (struct trial){ HOLD_VMSPLICE, seal_synchronously });
		in_turns("wake_uring", "return, io_uring or handle", woken_sealers,
			 (struct trial){ HOLD_URING, seal_synchronously });
		in_turns("wake_async", "result after a handle's release", woken_sealers,
			 (struct trial){ HOLD_HANDLE, seal_asynchronously });
		in_turns("wake_lease", "return after a request, eventfd or lease", woken_requesters,
			 (struct trial){ 0 });
		columns_end();
	}

	if (is_any_wanted("page_scan_")) {
		printf("\nA clean seal, for each page, against reading one cold cache line\n\n");
		columns_begin("cold line", "seal");
		page_scans();
		columns_end();
	}

	if (is_any_wanted("crowd_")) {
		printf("\nAsynchronous seals whose pages stay pinned\n\n");
		columns_begin("alone", "crowd");
		crowds();
		columns_end();
	}

	if (is_any_wanted("protect_")) {
		printf("\nProtections of single pages; ratio below 1: PROTECT takes less\n\n");
		columns_begin("mprotect()", "PROTECT");
		protections();
		columns_end();
	}

	if (is_any_wanted("stacked_")) {
		printf("\nObjects over files; ratio below 1: the object takes less\n\n");
		columns_begin("the file", "object");
		stacked_objects();
		columns_end();
	}

	result_lines();
	return 0;
}

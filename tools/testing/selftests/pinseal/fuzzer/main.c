// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random calls on a few objects by concurrent threads and processes, checked against the
 * rules that hold for every interleaving.
 *
 *	fuzz				default duration, fresh seed
 *	fuzz SECONDS			given duration, fresh seed
 *	fuzz SECONDS SEED [ROUND]	repeats a seed, from a round on
 *
 * Seed, round and worker alone determine the calls that a worker tries. They do not
 * determine the interleaving, so reproducing a failure may take several runs. On failure
 * the fuzzer prints the broken rule and the last calls of every worker.
 */
#include <sys/random.h>
#include <sys/utsname.h>

#include "bytes.h"
#include "kselftest.h"
#include "large_folio.h"
#include "log.h"
#include "model.h"
#include "pinseal_test.h"
#include "random.h"
#include "round.h"
#include "sysfile.h"
#include "worker.h"

#define SECONDS		20

/* Minimum on a slow machine, which need not reach every counter. */
#define MIN_ROUNDS	3

/* Extra time to reach every counter, as a multiple of the default duration. */
#define EXTRA_TIME	4

/* Rounds after which the rarest counters must be reached. */
#define RARE_ROUNDS	40

#define PROGRESS_NS	(10 * NSEC_PER_SEC)

/* A call that takes longer counts as stuck. */
#define STUCK_NS	(60 * NSEC_PER_SEC)
#define LARGE_FOLIOS	"/sys/kernel/mm/transparent_hugepage/shmem_enabled"

static const char *const rules[RULES] = {
	[RULE_BYTES]		= "sealed bytes do not change",
	[RULE_WRITERS]		= "sealed objects have no writers",
	[RULE_STATE]		= "seals and sizes change only as permitted",
	[RULE_LEASES]		= "leases are revoked as agreed",
	[RULE_RIGHTS]		= "pages are accessed as their protections allow",
	[RULE_RESULTS]		= "results are consistent",
	[RULE_TIME]		= "calls return in time",
	[RULE_RELEASE]		= "released objects can be sealed",
	[RULE_LEAKS]	= "nothing is leaked",
};

static const char *const counters[COUNTERS] = {
	[N_SEALED]		= "seals set",
	[N_WRITE_SEALED]	= "objects sealed for write",
	[N_MAPPED]		= "seals refused because of a mapping",
	[N_PINNED]		= "seals refused because of pinned pages",
	[N_INTERRUPTED]		= "seals interrupted",
	[N_FORBIDDEN]		= "seals not permitted",
	[N_MAPS]		= "mappings made",
	[N_MAPS_REFUSED]	= "mappings refused",
	[N_WRITES]		= "writes",
	[N_WRITES_REFUSED]	= "writes refused",
	[N_RESIZES]		= "sizes set",
	[N_REFS]		= "extra references taken",
	[N_FORKS]		= "children",
	[N_CHECKS]		= "checks of sealed bytes",
	[N_ISOLATED]		= "seal calls that isolated pages",
	[N_PENDING]		= "asynchronous seals seen pending",
	[N_ASYNC_SEALED]		= "asynchronous seals set",
	[N_CANCELLED]		= "asynchronous seals cancelled",
	[N_BY_OWNER]		= "seals by the owner of a memfd",
	[N_LEASES]		= "leases",
	[N_BREAK_REQUESTED]		= "requested lease breaks seen",
	[N_REVOKED]		= "revoked leases seen",
	[N_WAIT_TIMED_OUT]		= "waiting removals of pages that timed out",
	[N_MIRRORS]		= "mirrors",
	[N_MIRRORED]		= "writes through mirrors",
	[N_CREATED]		= "created objects",
	[N_STACKED]		= "objects stacked on empty files",
	[N_FROM_BELOW]		= "objects stacked on files with content",
	[N_LOWER_SEALED]	= "lower files sealed for write",
	[N_PROTECTED]		= "protections given to pages",
	[N_PROTECT_REFUSED]	= "protections not given",
	[N_PROTECTIONS_LISTED]	= "protections listed",
	[N_ACCESSES_REFUSED]	= "loads and stores refused by protections",
	[N_REMAPPED]		= "pages shown elsewhere",
	[N_REMAP_REFUSED]	= "pages not shown elsewhere",
	[N_SHOWN]		= "accesses to pages shown elsewhere",
};

/* Size of an object of two large folios, or 0 if there are none or it exceeds LARGE_MAX. */
static size_t large_span(void)
{
	size_t size = large_folio_size();

	return size <= LARGE_MAX / 2 ? 2 * size : 0;
}

/*
 * Only child processes touch the objects: the parent must be able to report a failure even
 * if they hold their locks for ever.
 */
static pid_t start_workers(unsigned int first, unsigned int end)
{
	pid_t pid = ps_fork();

	if (pid)
		return pid;
	if (first < WORKERS)
		run_workers(first, end);
	else
		final_check(&workers[first]);
	_exit(0);
}

/* Whether a process has ended. */
static bool has_ended(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, WNOHANG) != pid)
		return false;
	if (status)
		break_rule(RULE_RESULTS, "a process of workers ended with status %#x", status);
	return true;
}

static void send_signal(struct random *r)
{
	unsigned int number = random_below(r, WORKERS);
	int sig = once_in(r, 2) ? SIGUSR1 : SIGUSR2;
	pid_t pid = read_once(fuzz->task[number].pid);

	if (pid)
		syscall(SYS_tgkill, pid, fuzz->task[number].tid, sig);
}

/*
 * Sends signals and checks for stuck calls until the processes have ended. False if a
 * call is stuck.
 */
static bool watch(struct random *r, pid_t *pid, int n)
{
	while (n) {
		uint64_t ns = random_below(r, 3 * NSEC_PER_MSEC), began = now_ns();

		sleep_ns(ns);
		raise_to(&fuzz->late_ns, now_ns() - began - ns);
		send_signal(r);
		/* Migrates pages without extra references. */
		if (once_in(r, 1000))
			write_text("/proc/sys/vm/compact_memory", "1");

		for (int i = 0; i < n; i++)
			if (has_ended(pid[i]))
				pid[i--] = pid[--n];
		for (int i = 0; i <= WORKERS; i++) {
			if (log_in_flight_ns(&fuzz->log[i]) < STUCK_NS + slack_ns())
				continue;
			break_rule(RULE_TIME, "a call does not return");
			return false;
		}
	}
	return true;
}

/* Runs a round. False if a call is stuck. */
static bool run_round(uint64_t round)
{
	struct random r = random_for(fuzz->seed, round, WORKERS, 0);
	bool large = once_in(&r, 6);
	pid_t pid[2];
	int ret;

	fuzz->round = round;
	fuzz->began = now_ns();
	memset(fuzz->task, 0, sizeof(fuzz->task));
	profile = one_of(&r, MIXED, RACING, RACING, MAPPING, PINNING, SIZING, CHECKING);
	ops_per_worker = profile == RACING ? RACING_OPS_PER_WORKER : OPS_PER_WORKER;
	/* Large folios above LARGE_MAX must not be used for an object of a few pages. */
	write_text(LARGE_FOLIOS, !large ? "never" : large_span() ? "always" : "within_size");
	for (int i = 0; i < TARGETS; i++) {
		size_t span = page_size() * (1 + random_below(&r, PAGES));

		if (large && !i && large_span())
			span = large_span();
		ret = new_object(&fuzz->target[i], &r, span);
		if (ret)
			break_rule(RULE_RESULTS, "an object cannot be created: %s",
				   strerrorname_np(-ret));
	}

	pid[0] = start_workers(0, WORKERS - HELPERS);
	pid[1] = start_workers(WORKERS - HELPERS, WORKERS);
	if (!watch(&r, pid, 2))
		return false;
	pid[0] = start_workers(WORKERS, WORKERS + 1);
	if (!watch(&r, pid, 1))
		return false;
	for (int i = 0; i < TARGETS; i++)
		close_object(&fuzz->target[i]);
	return true;
}

static void report_break(void)
{
	const struct verdict *v = &fuzz->verdict;

	ksft_print_msg("BROKEN: %s\n", rules[v->rule]);
	ksft_print_msg("%s\n", v->text);
	ksft_print_msg("round %llu (%s), %.3f ms after its start; again: fuzz 60 %llu %llu\n",
		       (unsigned long long)fuzz->round, profile_names[profile],
		       (double)(v->at - fuzz->began) / NSEC_PER_MSEC,
		       (unsigned long long)fuzz->seed, (unsigned long long)fuzz->round);
	for (int i = 0; i < TARGETS; i++)
		ksft_print_msg("object %d: %zu bytes, opened %s%s%s, seals %#x\n", i,
			       fuzz->target[i].span,
			       fuzz->target[i].access == O_RDWR ? "to read and write" :
			       fuzz->target[i].access == O_RDONLY ? "to read" : "to write",
			       fuzz->target[i].inner >= 0 ? ", also through the inner file" : "",
			       fuzz->target[i].keeps_pages ? ", keeps its pages" : "",
			       fuzz->target[i].known);
	for (int i = 0; i <= WORKERS; i++) {
		ksft_print_msg(i < WORKERS ? "worker %d\n" : "final checks\n", i);
		log_print(&fuzz->log[i], fuzz->began);
	}
}

/* Prints the command that repeats this run. */
static void print_again(unsigned long seconds)
{
	struct utsname name = { 0 };
	const char *kernel;

	uname(&name);
	kernel = strstr(name.release, "-pinseal-");
	ksft_print_msg("seed %llu; again: make fuzz SEED=%llu SECONDS=%lu ARCH=%s%s%s\n",
		       (unsigned long long)fuzz->seed, (unsigned long long)fuzz->seed, seconds,
		       strcmp(name.machine, "aarch64") ? name.machine : "arm64",
		       kernel ? " KERNEL=" : "", kernel ? kernel + strlen("-pinseal-") : "");
}

static void report_counts(unsigned long rounds)
{
	ksft_print_msg("%lu rounds; wakeups up to %.1f ms late\n", rounds,
		       (double)fuzz->late_ns / NSEC_PER_MSEC);
	for (int i = 0; i < COUNTERS; i++)
		ksft_print_msg("%8lu %s\n", fuzz->count[i], counters[i]);
}

/* Now and then, so that who watches sees that it goes on. */
static void report_progress(unsigned long rounds)
{
	static uint64_t began, shown;
	uint64_t now = now_ns();

	if (!began)
		began = shown = now;
	if (now - shown < PROGRESS_NS)
		return;
	shown = now;
	ksft_print_msg("%lu rounds in %llu s\n", rounds,
		       (unsigned long long)((now - began) / NSEC_PER_SEC));
}

/* Waits for deferred frees. */
static void check_leaks(long users, long pages)
{
	uint64_t until = now_ns() + 10 * NSEC_PER_SEC;

	while (now_ns() < until) {
		if (module_users() <= users && shmem_pages() - pages <= SHMEM_NOISE)
			return;
		sleep_ns(100 * NSEC_PER_MSEC);
	}
	break_rule(RULE_LEAKS, "module users: %ld before, %ld now; %ld additional pages of "
		   "shared memory", users, module_users(), shmem_pages() - pages);
}

static int prepare(void)
{
	size_t most = large_span() > PAGES * page_size() ? large_span() : PAGES * page_size();
	struct pinseal_info info;
	int ret = 0, fd;

	fuzz = mmap(NULL, sizeof(*fuzz), RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (fuzz == MAP_FAILED)
		return -errno;
	for (int i = 0; i < TARGETS; i++) {
		fuzz->target[i].number = i;
		fuzz->target[i].image = mmap(NULL, most, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (fuzz->target[i].image == MAP_FAILED)
			return -errno;
		/* Allocated now, so that check_leaks() does not count the pages. */
		memset(fuzz->target[i].image, 0, most);
	}
	for (int i = 0; i <= WORKERS && !ret; i++)
		ret = worker_init(&workers[i], i, most);
	handle_signals();
	fd = ps_open(O_RDWR);
	if (fd < 0 || ps_info(fd, &info))
		return -EIO;
	fuzz->mirrors = info.features & PINSEAL_FEATURE_MIRROR;
	close(fd);
	return ret;
}

static bool is_reachable(enum counter what, uint64_t rounds)
{
	switch (what) {
	case N_ISOLATED:
	case N_BREAK_REQUESTED:
	case N_REVOKED:
	case N_WAIT_TIMED_OUT:
		return rounds >= RARE_ROUNDS;
	case N_MIRRORS:
	case N_MIRRORED:
		return fuzz->mirrors;
	default:
		return true;
	}
}

/* Whether every counter that this run can reach was reached. */
static bool all_counters_reached(uint64_t rounds)
{
	for (int i = 0; i < COUNTERS; i++)
		if (!fuzz->count[i] && is_reachable(i, rounds))
			return false;
	return true;
}

int main(int argc, char **argv)
{
	unsigned long seconds = argc > 1 ? strtoul(argv[1], NULL, 0) : SECONDS;
	uint64_t first = argc > 3 ? strtoull(argv[3], NULL, 0) : 0, round = first, until, late;
	char large_folios[32];
	bool ended = true;
	long users, pages;

	ksft_print_header();
	if (prepare())
		ksft_exit_fail_msg("no memory or no device\n");
	if (argc > 2)
		fuzz->seed = strtoull(argv[2], NULL, 0);
	else if (getrandom(&fuzz->seed, sizeof(uint32_t), 0) < 0)
		ksft_exit_fail_perror("getrandom");
	print_again(seconds);
	ksft_set_plan(RULES + 1);

	read_setting(LARGE_FOLIOS, large_folios, sizeof(large_folios));
	users = module_users();
	pages = shmem_pages();
	until = now_ns() + seconds * NSEC_PER_SEC;
	/* A duration given by the caller is not extended. */
	late = argc > 1 ? until : until + EXTRA_TIME * seconds * NSEC_PER_SEC;
	while (ended && !is_over() &&
	       (now_ns() < until || round < first + MIN_ROUNDS ||
		(!all_counters_reached(round - first) && now_ns() < late))) {
		report_progress(round - first);
		ended = run_round(round++);
	}
	if (large_folios[0])
		write_text(LARGE_FOLIOS, large_folios);
	if (!is_over())
		check_leaks(users, pages);

	if (is_over())
		report_break();
	report_counts(round - first);
	for (int i = 0; i < RULES; i++)
		ksft_test_result(!is_over() || fuzz->verdict.rule != i, "%s\n", rules[i]);
	if (is_over() || round - first <= MIN_ROUNDS)
		ksft_test_result_skip("every counter is reached: too few rounds\n");
	else
		ksft_test_result(all_counters_reached(round - first), "every counter is reached\n");
	print_again(seconds);
	fflush(NULL);
	ksft_finished();
}

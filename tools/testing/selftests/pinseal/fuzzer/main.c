// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random calls on a few objects by threads and processes at the same time, for as long
 * as one likes, checked against what must hold however they interleave.
 *
 *	fuzz				some seconds, with a fresh seed
 *	fuzz SECONDS			so many
 *	fuzz SECONDS SEED [ROUND]	again, from a round on
 *
 * What each worker tries to do follows from the seed, the round and the worker alone. How
 * the workers interleave does not, so it may take some tries to see something again.
 * When a rule is broken, it prints the rule and the last calls of each worker.
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

/* A slow machine must have done something, too; but not all that there is to do. */
#define MIN_ROUNDS	3

/* How many times longer it may take until every counter has counted. */
#define PATIENCE	4

/* So many are needed to see the rarest of what is counted. */
#define RARE_ROUNDS	40

/* A call that takes longer will never return. */
#define STUCK_NS	(60 * NSEC_PER_SEC)
#define LARGE_FOLIOS	"/sys/kernel/mm/transparent_hugepage/shmem_enabled"

static const char *const rules[RULES] = {
	[RULE_BYTES]		= "sealed bytes do not change",
	[RULE_WRITERS]		= "no write after a seal, and no way to write",
	[RULE_STATE]		= "seals and sizes move only as they may",
	[RULE_LEASES]		= "leases are broken as promised",
	[RULE_RESULTS]		= "results fit together",
	[RULE_TIME]		= "no call takes longer than it may",
	[RULE_RELEASE]		= "an object without references can be sealed",
	[RULE_LEFT_BEHIND]	= "nothing is left behind",
};

static const char *const counters[COUNTERS] = {
	[N_SEALED]		= "seals set",
	[N_WRITE_SEALED]	= "objects sealed for write",
	[N_MAPPED]		= "seals refused for a mapping",
	[N_PINNED]		= "for pinned pages",
	[N_INTERRUPTED]		= "interrupted",
	[N_FORBIDDEN]		= "not permitted",
	[N_MAPS]		= "mappings made",
	[N_MAPS_REFUSED]	= "refused",
	[N_WRITES]		= "writes",
	[N_WRITES_REFUSED]	= "refused",
	[N_RESIZES]		= "sizes set",
	[N_HOLDS]		= "page holds",
	[N_FORKS]		= "children",
	[N_CHECKS]		= "checks of sealed bytes",
	[N_ISOLATED]		= "seals with copies",
	[N_PENDING]		= "asynchronous seals seen pending",
	[N_TOLD]		= "set there",
	[N_CANCELLED]		= "cancelled",
	[N_BY_MAKER]		= "seals by fcntl() on imported memory",
	[N_LEASES]		= "leases",
	[N_ASKED]		= "break requests seen",
	[N_REVOKED]		= "revocations seen",
	[N_IN_VAIN]		= "waits for pins that ended with EBUSY",
	[N_MIRRORS]		= "mirrors",
	[N_MIRRORED]		= "writes by them",
};

/* The size of an object of two large folios, if there are any and it is not too large. */
static size_t large_span(void)
{
	size_t size = large_folio_size();

	return size <= LARGE_MAX / 2 ? 2 * size : 0;
}

/*
 * Whatever touches an object is done by other processes: this one must be able to tell
 * what went wrong even if those hold their locks for ever.
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

/* Whether a process is through. */
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
	unsigned int who = random_below(r, WORKERS);
	int sig = once_in(r, 2) ? SIGUSR1 : SIGUSR2;
	pid_t pid = read_once(fuzz->task[who].pid);

	if (pid)
		syscall(SYS_tgkill, pid, fuzz->task[who].tid, sig);
}

/*
 * Sends signals, and detects calls that do not return, until these processes have
 * ended. False if they do not.
 */
static bool watch(struct random *r, pid_t *pid, int n)
{
	while (n) {
		uint64_t nap = random_below(r, 3 * NSEC_PER_MSEC), began = now_ns();

		sleep_ns(nap);
		raise_to(&fuzz->late_ns, now_ns() - began - nap);
		send_signal(r);
		/* Pages without references move. */
		if (once_in(r, 1000))
			write_text("/proc/sys/vm/compact_memory", "1");

		for (int i = 0; i < n; i++)
			if (has_ended(pid[i]))
				pid[i--] = pid[--n];
		for (int i = 0; i <= WORKERS; i++) {
			if (log_under_way_ns(&fuzz->log[i]) < STUCK_NS + slack_ns())
				continue;
			break_rule(RULE_TIME, "a call does not return");
			return false;
		}
	}
	return true;
}

/* Runs a round. False if a call does not return. */
static bool take_round(uint64_t round)
{
	struct random r = random_for(fuzz->seed, round, WORKERS, 0);
	bool large = once_in(&r, 6);
	pid_t pid[2];
	int ret;

	fuzz->round = round;
	fuzz->began = now_ns();
	memset(fuzz->task, 0, sizeof(fuzz->task));
	profile = one_of(&r, MIXED, RACING, RACING, MAPPING, HOLDING, SIZING, CHECKING);
	turns = profile == RACING ? RACING_TURNS : TURNS;
	/* Where they are too large, no object is to get one for its few pages. */
	write_text(LARGE_FOLIOS, !large ? "never" : large_span() ? "always" : "within_size");
	for (int i = 0; i < TARGETS; i++) {
		size_t span = page_size() * (1 + random_below(&r, PAGES));

		if (large && !i && large_span())
			span = large_span();
		ret = new_object(&fuzz->target[i], &r, span);
		if (ret)
			break_rule(RULE_RESULTS, "no object can be made: %s",
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
		end_object(&fuzz->target[i]);
	return true;
}

static void report_break(void)
{
	const struct verdict *v = &fuzz->verdict;

	ksft_print_msg("BROKEN: %s\n", rules[v->rule]);
	ksft_print_msg("%s\n", v->text);
	ksft_print_msg("round %llu (%s), %.3f ms after it began; again: fuzz 60 %llu %llu\n",
		       (unsigned long long)fuzz->round, profile_names[profile],
		       (double)(v->at - fuzz->began) / NSEC_PER_MSEC,
		       (unsigned long long)fuzz->seed, (unsigned long long)fuzz->round);
	for (int i = 0; i < TARGETS; i++)
		ksft_print_msg("object %d: %zu bytes, opened %s%s%s, seals %#x\n", i,
			       fuzz->target[i].span,
			       fuzz->target[i].access == O_RDWR ? "to read and write" :
			       fuzz->target[i].access == O_RDONLY ? "to read" : "to write",
			       fuzz->target[i].inner >= 0 ? ", and behind the device" : "",
			       fuzz->target[i].stays ? ", pages stay" : "", fuzz->target[i].known);
	for (int i = 0; i <= WORKERS; i++) {
		ksft_print_msg(i < WORKERS ? "worker %d\n" : "the final check\n", i);
		log_print(&fuzz->log[i], fuzz->began);
	}
}

/* The command that runs this again. */
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
	ksft_print_msg("%lu rounds; the machine was late by up to %.1f ms\n", rounds,
		       (double)fuzz->late_ns / NSEC_PER_MSEC);
	for (int i = 0; i < COUNTERS; i++)
		ksft_print_msg("%8lu %s\n", fuzz->count[i], counters[i]);
}

/* Waits for what is freed late. */
static void check_left_behind(long users, long pages)
{
	uint64_t until = now_ns() + 10 * NSEC_PER_SEC;

	while (now_ns() < until) {
		if (module_users() <= users && shmem_pages() - pages <= SHMEM_NOISE)
			return;
		sleep_ns(100 * NSEC_PER_MSEC);
	}
	break_rule(RULE_LEFT_BEHIND, "the module had %ld users and now has %ld; %ld more pages of "
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
		/* Counted as shared memory now, not as lost later. */
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

static bool can_be_tried(enum counter what, uint64_t rounds)
{
	switch (what) {
	case N_ISOLATED:
	case N_ASKED:
	case N_REVOKED:
	case N_IN_VAIN:
		return rounds >= RARE_ROUNDS;
	case N_MIRRORS:
	case N_MIRRORED:
		return fuzz->mirrors;
	default:
		return true;
	}
}

/* Whether everything has happened that a model is to be checked against. */
static bool all_was_tried(uint64_t rounds)
{
	for (int i = 0; i < COUNTERS; i++)
		if (!fuzz->count[i] && can_be_tried(i, rounds))
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
		ksft_exit_fail_msg("no memory, or no device\n");
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
	/* A given time is not extended. */
	late = argc > 1 ? until : until + PATIENCE * seconds * NSEC_PER_SEC;
	while (ended && !is_over() &&
	       (now_ns() < until || round < first + MIN_ROUNDS ||
		(!all_was_tried(round - first) && now_ns() < late)))
		ended = take_round(round++);
	if (large_folios[0])
		write_text(LARGE_FOLIOS, large_folios);
	if (!is_over())
		check_left_behind(users, pages);

	if (is_over())
		report_break();
	report_counts(round - first);
	for (int i = 0; i < RULES; i++)
		ksft_test_result(!is_over() || fuzz->verdict.rule != i, "%s\n", rules[i]);
	if (is_over() || round - first <= MIN_ROUNDS)
		ksft_test_result_skip("all of it was tried: too little time for that\n");
	else
		ksft_test_result(all_was_tried(round - first), "all of it was tried\n");
	print_again(seconds);
	fflush(NULL);
	ksft_finished();
}

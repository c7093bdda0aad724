// SPDX-License-Identifier: GPL-2.0-only
#include "worker.h"
#include "log.h"
#include "model.h"
#include "object.h"
#include "pinseal_test.h"
#include "random.h"

__thread struct worker *this_worker;

__thread volatile unsigned int signals_handled, signals_unrestarted;

/*
 * Signals: SIGUSR1 ends a call, SIGUSR2 restarts it if it can be restarted.
 */

static void fuzz_signal_handler(int sig)
{
	signals_handled++;
	if (sig == SIGUSR1)
		signals_unrestarted++;
}

static void fuzz_fault_handler(int sig)
{
	if (this_worker && this_worker->expects_fault)
		siglongjmp(this_worker->fault, sig);
	/* Not an expected fault: a bug of the fuzzer. */
	signal(sig, SIG_DFL);
}

void handle_signals(void)
{
	struct sigaction sa = { .sa_handler = fuzz_signal_handler };

	sigaction(SIGUSR1, &sa, NULL);
	sa.sa_flags = SA_RESTART;
	sigaction(SIGUSR2, &sa, NULL);
	sa = (struct sigaction){ .sa_handler = fuzz_fault_handler, .sa_flags = SA_NODEFER };
	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
}

void block_signals(bool block)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(block ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

int copy_with_faults(struct worker *w, void *to, const void *from, size_t len)
{
	volatile int sig;

	sig = sigsetjmp(w->fault, 0);
	if (!sig) {
		w->expects_fault = 1;
		memcpy(to, from, len);
	}
	w->expects_fault = 0;
	return sig;
}

/*
 * Calls
 *
 *	call_begin(w, t, "what(%lld)", argument);
 *	ret = call_end(w, sys(what(argument)));
 *	call_allows(w, ret, EPERM, EINTR);
 */

void call_open(struct worker *w, struct target *t)
{
	if (!w->chosen)
		w->inner = w->doomed = false;
	w->chosen = false;
	w->t = t;
	window_open(&w->before, t);
	w->handled = signals_handled;
	w->unrestarted = signals_unrestarted;
}

long long address(const void *p)
{
	return (uintptr_t)p;
}

long long call_end(struct worker *w, long long ret)
{
	return log_end(w->log, ret);
}

void choose_fd(struct worker *w, struct target *t, bool also_inner)
{
	unsigned int which = random_below(&w->r, 16);

	w->chosen = true;
	w->inner = also_inner && which < 2 && t->inner >= 0;
	w->doomed = which == 15;
	w->fd = w->inner ? t->inner : w->doomed ? t->doomed : t->fd;
}

/* Why neither a signal nor the state of the object explains an errno; NULL if one does. */
static const char *unexplained(struct worker *w, int error)
{
	struct target *t = w->t;

	switch (error) {
	case EINTR:
		return signals_unrestarted == w->unrestarted ? "no signal arrived" : NULL;
	case EAGAIN:
		return read_once(t->nonblock) ? NULL : "O_NONBLOCK was never set";
	case EBADF:
		return w->doomed || t->access != O_RDWR ? NULL : "the descriptor is open";
	case EACCES:
		return t->access != O_RDWR ? NULL : "the file is open for reading and writing";
	case EPERM:
		return t->access == O_RDONLY || t->lower_fails ||
		       may_have(t, &w->before, ALL_SEALS) ? NULL : "no seal can be set";
	default:
		return NULL;
	}
}

void __call_allows(struct worker *w, long long ret, const int *errors)
{
	const char *why;

	if (ret >= 0)
		return;
	while (*errors && *errors != -ret)
		errors++;
	/* A doomed descriptor is invalid until it is reopened. */
	if (!*errors && !(w->doomed && ret == -EBADF)) {
		break_rule(RULE_RESULTS, "worker %u, object %lld: a call returned %s, which "
			   "is not documented for it", w->number, w->t->number,
			   strerrorname_np(-ret));
		return;
	}
	why = unexplained(w, -ret);
	if (why)
		break_rule(RULE_RESULTS, "worker %u, object %lld: a call returned %s, but %s",
			   w->number, w->t->number, strerrorname_np(-ret), why);
}

void call_forbidden_by(struct worker *w, long long ret, uint32_t seals)
{
	/* Where a call syncs, that may be the lower file's. */
	if (ret == -EPERM && !w->t->lower_fails && !may_have(w->t, &w->before, seals))
		break_rule(RULE_RESULTS, "worker %u, object %lld: EPERM, but none of the seals %#x "
			   "can be set", w->number, w->t->number, seals);
}

void call_wrote_bytes(struct worker *w, const char *how)
{
	if (w->before.known & WRITE_SEALS)
		break_rule(RULE_WRITERS, "worker %u: %s, but object %lld had the seals %#x",
			   w->number, how, w->t->number, w->before.known);
}

uint64_t slack_ns(void)
{
	return 2 * NSEC_PER_SEC + 8 * read_once(fuzz->late_ns);
}

void call_took_at_most(struct worker *w, uint64_t ns)
{
	uint64_t took = log_last(w->log)->took;

	if (took > ns && took - ns > slack_ns())
		break_rule(RULE_TIME, "worker %u, object %lld: a call took %llu ms, limit %llu ms",
			   w->number, w->t->number, took / NSEC_PER_MSEC, ns / NSEC_PER_MSEC);
}

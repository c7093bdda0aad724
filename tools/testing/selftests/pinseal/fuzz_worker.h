/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A worker: a thread that makes one random call after the other, what it has at
 * hand for that, and what is checked about every call.
 */
#ifndef FUZZ_WORKER_H
#define FUZZ_WORKER_H

#include <signal.h>
#include <sys/syscall.h>

#include "arena.h"
#include "fuzz_model.h"
#include "holders.h"
#include "random.h"

/* A mapping of an object that a worker has. */
struct view {
	struct target *t;		/* NULL: none */
	char *at;
	size_t len;
	uint64_t offset;
	int prot;
	bool shared;
	bool writable;			/* shared, and for sure writable or to be made so */
	bool after_future;		/* made when F_SEAL_FUTURE_WRITE was known */
	bool own_bytes;			/* private, with copies of its own, or mixed up */
	bool stays_here;		/* MADV_DONTFORK: children do not have it */
};

#define VIEWS	4
#define GRIPS	3
#define MIRRORS	2

/* Pages of an object that a worker holds without a mapping. */
struct grip {
	struct target *t;		/* NULL: none */
	unsigned int kind;		/* enum hold_kind, or HOLD_UDMABUF */
	struct hold hold;
	int dmabuf;
	uint64_t from, to;		/* bytes */
	unsigned int taken;		/* times_taken() before it began */
	bool sure;			/* it holds pages of the object, not a page of zeroes */
	bool early;			/* since before the object could be sealed for write */
	bool reading;			/* a request that stores into the pages is under way */

	/* Of pin handles */
	bool readonly;
	bool revoked;			/* the lease was taken, and stays so */
	uint64_t grace_ns;
	uint64_t since;			/* when it began to be made ... */
	unsigned int unaskers;		/* ... and the target's, of then */
};

/* A mirror of a mapping that a worker has, or had. */
struct mirror {
	struct target *t;		/* NULL: none */
	int fd;
	uint64_t from, to;		/* bytes */
	bool readonly;
};

struct worker {
	unsigned int number;
	unsigned int turn;
	struct log *log;
	struct random r;
	struct view view[VIEWS];
	struct grip grip[GRIPS];
	struct mirror mirror[MIRRORS];
	struct {
		pid_t pid;		/* 0: none */
		unsigned int *stop;
		struct target *writable[VIEWS];
	} child;
	struct arena arena;
	unsigned char *buf;		/* as large as the largest object */
	int pipe[2];			/* does not block */
	int source[2];			/* the same, but blocks: what pins store is read from it */
	int mem;			/* /proc/self/mem */

	/* The call under way */
	struct target *t;
	struct window before;
	int fd;
	bool chosen;			/* @fd is for the call to come */
	bool doomed;			/* somebody may close @fd any time */
	bool inner;			/* @fd is the shmem file's */
	unsigned int handled, unrestarted; /* signals so far */

	sigjmp_buf fault;
	volatile sig_atomic_t expects_fault;
};

static __thread struct worker *this_worker;
static __thread volatile unsigned int signals_handled, signals_unrestarted;

/*
 * Signals: SIGUSR1 ends a call, SIGUSR2 lets those go on that can be restarted.
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
	/* It is the fuzzer's own fault, then. */
	signal(sig, SIG_DFL);
}

static inline void handle_signals(void)
{
	struct sigaction sa = { .sa_handler = fuzz_signal_handler };

	sigaction(SIGUSR1, &sa, NULL);
	sa.sa_flags = SA_RESTART;
	sigaction(SIGUSR2, &sa, NULL);
	sa = (struct sigaction){ .sa_handler = fuzz_fault_handler, .sa_flags = SA_NODEFER };
	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
}

/* Keeps signals away, for what takes more than one call, or lets them come again. */
static inline void hold_signals(bool hold)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(hold ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

/* Copies between memory that may not be there, or not be writable: 0, or the signal. */
static inline int copy_with_faults(struct worker *w, void *to, const void *from, size_t len)
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

static inline void call_open(struct worker *w, struct target *t)
{
	if (!w->chosen)
		w->inner = w->doomed = false;
	w->chosen = false;
	w->t = t;
	window_open(&w->before, t);
	w->handled = signals_handled;
	w->unrestarted = signals_unrestarted;
}

#define call_begin(w, target, what, ...) do {					\
	call_open(w, target);							\
	log_begin((w)->log, (w)->before.known,					\
		  (w)->inner ? "inner " : (w)->doomed ? "doomed " : "", what, __VA_ARGS__); \
} while (0)

/* A pointer, to be logged. */
static inline long long address(const void *p)
{
	return (uintptr_t)p;
}

static inline long long call_end(struct worker *w, long long ret)
{
	return log_end(w->log, ret);
}

/*
 * Chooses a descriptor of the object for the next call: nearly always the device
 * file's own one. Others may be closed and opened by somebody at the same time, or be of
 * the shmem file behind the device.
 */
static inline void choose_fd(struct worker *w, struct target *t, bool also_inner)
{
	unsigned int which = random_below(&w->r, 16);

	w->chosen = true;
	w->inner = also_inner && which < 2 && t->inner >= 0;
	w->doomed = which == 15;
	w->fd = w->inner ? t->inner : w->doomed ? t->doomed : t->fd;
}

/* Whether a signal, or what the object and its users were at, explains an errno. */
static inline const char *unexplained(struct worker *w, int error)
{
	struct target *t = w->t;

	switch (error) {
	case EINTR:
		return signals_unrestarted == w->unrestarted ? "no signal came" : NULL;
	case EAGAIN:
		return read_once(t->nonblock) ? NULL : "nobody set O_NONBLOCK";
	case EBADF:
		return w->doomed || t->access != O_RDWR ? NULL : "it is open";
	case EACCES:
		return t->access != O_RDWR ? NULL : "it is open for reading and writing";
	case EPERM:
		return t->access == O_RDONLY ||
		       may_have(t, &w->before, ALL_SEALS) ? NULL : "no seal may be set";
	default:
		return NULL;
	}
}

/* The call may fail with these errors only, and only when there is a reason. */
#define call_allows(w, ret, ...)						\
	__call_allows(w, ret, (const int[]){ __VA_ARGS__, 0 })

static inline void __call_allows(struct worker *w, long long ret, const int *errors)
{
	const char *why;

	if (ret >= 0)
		return;
	while (*errors && *errors != -ret)
		errors++;
	/* A number that was closed is no object for a while. */
	if (!*errors && !(w->doomed && ret == -EBADF)) {
		break_rule(RULE_RESULTS, "worker %u, object %lld: a call gave %s, which is not "
			   "documented for it", w->number, w->t->number, strerrorname_np(-ret));
		return;
	}
	why = unexplained(w, -ret);
	if (why)
		break_rule(RULE_RESULTS, "worker %u, object %lld: a call gave %s, but %s",
			   w->number, w->t->number, strerrorname_np(-ret), why);
}

/* EPERM is right only if one of @seals may be set. */
static inline void call_forbidden_by(struct worker *w, long long ret, uint32_t seals)
{
	if (ret == -EPERM && !may_have(w->t, &w->before, seals))
		break_rule(RULE_RESULTS, "worker %u, object %lld: EPERM, but none of the seals %#x "
			   "may be set", w->number, w->t->number, seals);
}

/* The call has changed bytes, or could have: no seal known before may forbid that. */
static inline void call_wrote_bytes(struct worker *w, const char *how)
{
	if (w->before.known & WRITE_SEALS)
		break_rule(RULE_WRITERS, "worker %u: %s, although object %lld had the seals %#x",
			   w->number, how, w->t->number, w->before.known);
}

/* A time within which whatever is said to take @ns has taken it, on this machine. */
static inline uint64_t slack_ns(void)
{
	return 2 * NSEC_PER_SEC + 8 * read_once(fuzz->late_ns);
}

/* The last call must not have taken longer than @ns. */
static inline void call_took_at_most(struct worker *w, uint64_t ns)
{
	uint64_t took = log_last(w->log)->took;

	if (took > ns && took - ns > slack_ns())
		break_rule(RULE_TIME, "worker %u, object %lld: a call took %llu ms instead of %llu",
			   w->number, w->t->number, took / NSEC_PER_MSEC, ns / NSEC_PER_MSEC);
}

#endif /* FUZZ_WORKER_H */

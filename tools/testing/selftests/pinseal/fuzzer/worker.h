/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A worker: a thread that makes random calls; its resources, and the checks that every call
 * shares.
 */
#ifndef FUZZER_WORKER_H
#define FUZZER_WORKER_H

#include <signal.h>
#include <sys/syscall.h>

#include "arena.h"
#include "holders.h"
#include "model.h"
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
	bool doomed;			/* @fd may be closed at any time */
	bool inner;			/* @fd is the shmem file's */
	unsigned int handled, unrestarted; /* signals so far */

	sigjmp_buf fault;
	volatile sig_atomic_t expects_fault;
};

extern __thread struct worker *this_worker;

extern __thread volatile unsigned int signals_handled, signals_unrestarted;

void handle_signals(void);

/* Keeps signals away, for what takes more than one call, or lets them come again. */
void hold_signals(bool hold);

/* Copies between memory that may not be there, or not be writable: 0, or the signal. */
int copy_with_faults(struct worker *w, void *to, const void *from, size_t len);
void call_open(struct worker *w, struct target *t);

#define call_begin(w, target, what, ...) do {					\
	call_open(w, target);							\
	log_begin((w)->log, (w)->before.known,					\
		  (w)->inner ? "inner " : (w)->doomed ? "doomed " : "", what, __VA_ARGS__); \
} while (0)

/* A pointer, to be logged. */
long long address(const void *p);
long long call_end(struct worker *w, long long ret);

/*
 * Chooses a descriptor of the object for the next call: nearly always the device
 * file's own one. Others may be closed and reopened at the same time, or be of
 * the shmem file behind the device.
 */
void choose_fd(struct worker *w, struct target *t, bool also_inner);

/* The call may fail with these errors only, and only when there is a reason. */
#define call_allows(w, ret, ...)						\
	__call_allows(w, ret, (const int[]){ __VA_ARGS__, 0 })

void __call_allows(struct worker *w, long long ret, const int *errors);

/* EPERM is right only if one of @seals may be set. */
void call_forbidden_by(struct worker *w, long long ret, uint32_t seals);

/* The call has changed bytes, or could have: no seal known before may forbid that. */
void call_wrote_bytes(struct worker *w, const char *how);

/* A time within which whatever is said to take @ns has taken it, on this machine. */
uint64_t slack_ns(void);

/* The last call must not have taken longer than @ns. */
void call_took_at_most(struct worker *w, uint64_t ns);

#endif /* FUZZER_WORKER_H */

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A worker: a thread that makes random calls, the resources that it uses for them, and the
 * checks that apply to every call.
 */
#ifndef FUZZER_WORKER_H
#define FUZZER_WORKER_H

#include <signal.h>
#include <sys/syscall.h>

#include "arena.h"
#include "holders.h"
#include "model.h"
#include "random.h"

/* Pages of the largest mapping: an object of large folios. */
#define MAPPING_PAGES	1024

/* A page without a protection of its own. */
#define NOT_OWN		0xff

/* What a page of a mapping may be accessed for: PROT_*; and what it shows. */
struct page_rights {
	unsigned char mapping;		/* by mmap() and mprotect() ... */
	unsigned char own;		/* ... and by PROTECT, which is never more; or NOT_OWN */
	bool split;			/* a VMA may begin here */
	uint64_t shown;			/* the page of the object; by REMAP, not that at its place */
};

enum certainty { NO, YES, MAYBE };

/* A worker's mapping of an object. */
struct mapping {
	struct target *t;		/* NULL: none */
	char *at;
	size_t len;
	uint64_t offset;
	bool shared;
	bool writable;			/* shared, and certainly writable or can be made so */
	bool after_future;		/* created when F_SEAL_FUTURE_WRITE was known */
	bool own_bytes;			/* private with copied pages, or its pages reordered */
	bool dontfork;			/* MADV_DONTFORK: not inherited by children */
	enum certainty by_object;	/* made with a descriptor of the object: has PROTECT */
	enum certainty locked;		/* by mlock() */
	bool was_protected;		/* by PROTECT: mlock() may have had no effect */
	bool was_remapped;		/* by REMAP: nothing can be pinned, maybe */
	bool unsure;			/* @rights are not known */
	struct page_rights rights[MAPPING_PAGES];
};

#define MAPPINGS	4
#define EXTRA_REFS	3
#define MIRRORS		2

/* An extra reference to pages of an object, without a mapping. */
struct extra_ref {
	struct target *t;		/* NULL: none */
	unsigned int kind;		/* enum hold_kind, or HOLD_UDMABUF */
	struct hold hold;
	int dmabuf;
	uint64_t from, to;		/* bytes */
	unsigned int times_removed;	/* times_removed() before it was taken */
	bool sure;			/* certainly the object's pages, not a zero page */
	bool early;			/* older than any write seal of the object */
	bool reading;			/* a request that stores into the pages is in flight */

	/* Pin handles only */
	bool readonly;
	bool revoked;			/* the lease is revoked, which is final */
	uint64_t grace_ns;
	uint64_t since;			/* start of its creation ... */
	unsigned int breaks_ended;	/* ... and the target's breaks_ended then */
};

/* A mirror of a worker's mapping, which may be gone. */
struct mirror {
	struct target *t;		/* NULL: none */
	int fd;
	uint64_t from, to;		/* bytes */
	char *at;			/* where they were mapped */
	bool readonly;
};

/* The state of a worker. */
struct worker {
	unsigned int number;
	unsigned int op;
	struct log *log;
	struct random r;
	struct mapping mapping[MAPPINGS];
	struct extra_ref ref[EXTRA_REFS];
	struct mirror mirror[MIRRORS];
	struct {
		pid_t pid;		/* 0: none */
		unsigned int *stop;
		struct target *writable[MAPPINGS];
	} child;
	struct arena arena;
	unsigned char *buf;		/* of the size of the largest object */
	int pipe[2];			/* nonblocking */
	int source[2];			/* blocking; pins store what they read from it */
	int mem;			/* /proc/self/mem */

	/* The call in flight */
	struct target *t;
	struct window before;
	int fd;
	bool chosen;			/* @fd was chosen for the next call */
	bool doomed;			/* another worker may close @fd at any time */
	bool inner;			/* @fd is the inner file's */
	unsigned int handled, unrestarted; /* signals so far */

	sigjmp_buf fault;
	volatile sig_atomic_t expects_fault;
};

/* The worker of this thread. */
extern __thread struct worker *this_worker;

/* Signals that this thread handled, and those of them that end a call. */
extern __thread volatile unsigned int signals_handled, signals_unrestarted;

/* Installs the handlers of signals and faults. */
void handle_signals(void);

/* Blocks signals during a sequence of calls, or unblocks them. */
void block_signals(bool block);

/* Copies between memory that may be inaccessible. Returns 0 or the signal. */
int copy_with_faults(struct worker *w, void *to, const void *from, size_t len);

/* Prepares a worker for a call; use call_begin(). */
void call_open(struct worker *w, struct target *t);

/* Starts a call: opens its window and logs it. */
#define call_begin(w, target, what, ...) do {					\
	call_open(w, target);							\
	log_begin((w)->log, (w)->before.known,					\
		  (w)->inner ? "inner " : (w)->doomed ? "doomed " : "", what, __VA_ARGS__); \
} while (0)

/* Converts a pointer to a log argument. */
long long address(const void *p);

/* Ends the call in the log; returns @ret. */
long long call_end(struct worker *w, long long ret);

/*
 * Chooses a descriptor of the object for the next call: usually that of the device file.
 * The others are one that other workers close and reopen, and that of the inner file.
 */
void choose_fd(struct worker *w, struct target *t, bool also_inner);

/* The call may fail only with these errors, and only if the state explains the error. */
#define call_allows(w, ret, ...)						\
	__call_allows(w, ret, (const int[]){ __VA_ARGS__, 0 })

/* @errors: ends with 0; use call_allows(). */
void __call_allows(struct worker *w, long long ret, const int *errors);

/* EPERM is correct only if one of @seals may be set. */
void call_forbidden_by(struct worker *w, long long ret, uint32_t seals);

/* The call may have changed bytes: no seal known before it may forbid that. */
void call_wrote_bytes(struct worker *w, const char *how);

/* Tolerance of time limits, from the wakeup latency measured on this machine. */
uint64_t slack_ns(void);

/* The last call must not have taken longer than @ns and the tolerance. */
void call_took_at_most(struct worker *w, uint64_t ns);

#endif /* FUZZER_WORKER_H */

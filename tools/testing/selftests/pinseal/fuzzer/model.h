/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The model: what is known about an object under concurrent use, and the rules that follow.
 *
 * The exact state of such an object is never known. Some facts are monotonic: a seal stays
 * set once a call that set it has returned, and fixes the bytes, or the least or largest
 * size. Others last for an interval: a seal is visible only after a call that requests it
 * has begun and unless that call has failed. A call therefore records what is known before
 * it begins (struct window), and its result must be consistent with some state between then
 * and its return.
 *
 * A counter is incremented before the counted interval begins or after it has ended,
 * whichever makes the interval longer: the model may permit too much, never too little.
 */
#ifndef FUZZER_MODEL_H
#define FUZZER_MODEL_H

#include "log.h"

#define SEAL_BITS	5
#define WRITE_SEALS	(F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)
#define SIZE_SEALS	(F_SEAL_SHRINK | F_SEAL_GROW)

/* Removals of pages are counted by parts of an object. */
#define PARTS		16

/* An object and its model. */
struct target {
	/* Fixed for a round */
	long long number;		/* its name in the logs */
	int fd;				/* the object's file */
	bool created;			/* by CREATE: @fd is a memfd's */
	int inner;			/* its inner file, or -1 */
	int lower;			/* the file that it is stacked on, or -1 */
	bool lower_fails;		/* that may be sealed for write: syncs and seals fail then */
	bool inner_is_object;		/* @inner is a descriptor of the object, as @fd */
	bool owner_seals;		/* the owner of @inner, a memfd, may seal it */
	int doomed;			/* a descriptor that workers close and reopen */
	int access;			/* O_RDWR, O_RDONLY or O_WRONLY */
	size_t span;			/* bytes from the start that most calls use */
	bool keeps_pages;		/* pages of the span are never removed */
	bool isolates;			/* seals may isolate pages */
	bool async;			/* seals may be asynchronous */
	uint32_t wanted;		/* seals to request ... */
	unsigned int write_seal_op;	/* ... and the first operation that may seal for write */

	/* Monotonic */
	uint32_t known;			/* seals that are certainly set */
	bool used;			/* it has memory */
	bool may_remap;			/* calls began to show its pages elsewhere ... */
	bool may_be_shared;		/* ... or to give others its file, so that none may ... */
	bool is_shared;			/* ... and one has */
	bool nonblock;			/* O_NONBLOCK may have been set */
	uint64_t size_min, size_max;	/* while F_SEAL_SHRINK, F_SEAL_GROW are known */
	uint64_t lowest;		/* least size of all calls that began to set one */

	/* Intervals */
	unsigned int requested[SEAL_BITS];	/* calls that began to request a seal ... */
	unsigned int failed[SEAL_BITS];		/* ... and those of them that failed */
	unsigned int maps;		/* shared mappings whose creation began ... */
	unsigned int unmaps;		/* ... and those removed or refused */
	unsigned int removed[PARTS];	/* ended removals of pages, possible ones included ... */
	unsigned int removing[PARTS];	/* ... and those in progress */
	unsigned int sizing;		/* calls that may set the size: begun ... */
	unsigned int sized;		/* ... and ended */
	unsigned int breaks_begun;	/* calls that may break leases: begun ... */
	unsigned int breaks_ended;	/* ... and ended */
	uint64_t leased;		/* pages that calls began to lease ... */
	uint64_t revoked;		/* ... and those reported as revoked */

	/* The bytes at some time after F_SEAL_WRITE became known */
	unsigned int image_state;
	bool image_final;		/* F_SEAL_SHRINK was known as well */
	size_t image_len;
	unsigned char *image;
};

/* How far the image of a target is. */
enum image_state {
	NO_IMAGE,
	IMAGE_BEGUN,
	IMAGE_TAKEN,
};

#define TARGETS		5
#define WORKERS		6
#define HELPERS		2	/* workers in a second process */

/* Events that a run must reach; main.c has their texts. */
enum counter {
	N_SEALED, N_WRITE_SEALED, N_MAPPED, N_PINNED, N_INTERRUPTED, N_FORBIDDEN,
	N_MAPS, N_MAPS_REFUSED, N_WRITES, N_WRITES_REFUSED, N_RESIZES, N_REFS, N_FORKS, N_CHECKS,
	N_ISOLATED, N_PENDING, N_ASYNC_SEALED, N_CANCELLED, N_BY_OWNER, N_LEASES,
	N_BREAK_REQUESTED, N_REVOKED, N_WAIT_TIMED_OUT, N_MIRRORS, N_MIRRORED, N_CREATED,
	N_PROTECTED, N_PROTECT_REFUSED, N_PROTECTIONS_LISTED, N_ACCESSES_REFUSED,
	N_STACKED, N_FROM_BELOW, N_LOWER_SEALED, N_REMAPPED, N_REMAP_REFUSED, N_SHOWN,
	COUNTERS,
};

/* State shared by all processes. */
struct fuzz {
	uint64_t seed, round, began;
	bool stop;
	bool mirrors;			/* the kernel supports mirrors */
	uint64_t late_ns;		/* worst wakeup latency */
	struct verdict verdict;
	struct log log[WORKERS + 1];	/* the last one: of the final checks */
	struct { pid_t pid, tid; } task[WORKERS];	/* targets of signals; 0: none */
	unsigned int child_stop[WORKERS];
	unsigned long count[COUNTERS];
	struct target target[TARGETS];
};

/* The state of this run. */
extern struct fuzz *fuzz;

#define break_rule(...)	verdict_break(&fuzz->verdict, __VA_ARGS__)
#define read_once(x)	__atomic_load_n(&(x), __ATOMIC_SEQ_CST)
#define write_once(x, v) __atomic_store_n(&(x), v, __ATOMIC_SEQ_CST)
#define count_up(x)	__atomic_add_fetch(&(x), 1, __ATOMIC_SEQ_CST)

/* Counts an event. */
void note(enum counter counter);

/* Whether the run is to end: a rule was broken, or it was stopped. */
bool is_over(void);

/* Raises *@x to @value, atomically, unless it is larger. */
void raise_to(uint64_t *x, uint64_t value);

/* What was known when a call began. */
struct window {
	uint32_t known;
	uint64_t size_min, size_max;
	unsigned int failed[SEAL_BITS];
	unsigned int maps, unmaps;
	unsigned int breaks_ended;
};

/* Records what is known now. */
void window_open(struct window *before, struct target *t);

/* A call that requests @seals is about to begin. */
void seals_requested(struct target *t, uint32_t seals);

/* A call that requested @seals has failed without setting them. */
void seals_failed(struct target *t, uint32_t seals);

/* @seals are certainly set. */
void seals_known(struct target *t, uint32_t seals);

/* Whether one of @seals may have been set at some time since @before. */
bool may_have(struct target *t, const struct window *before, uint32_t seals);

/* Checks that exactly @seals could be seen since @before. */
void check_seals(struct target *t, const struct window *before, uint32_t seals);

/* Checks that the object could have @size, seen or set, since @before. */
void check_size(struct target *t, const struct window *before, uint64_t size);

/* Whether the size is fixed and known: it is @before->size_min. */
bool has_fixed_size(const struct window *before);

/* A call that may set the size, as a write may, is about to begin. */
void sizing_begins(struct target *t);

/* That call has ended. */
void sizing_ends(struct target *t);

/* Whether no such call is in progress. None is until @t->sizing exceeds @sizing. */
bool size_is_stable(struct target *t, unsigned int *sizing);

/* Whether the object may have been smaller than @to since @before. */
bool may_lack(struct target *t, const struct window *before, uint64_t to);

/* Ended calls that may have removed pages of [from, to), counted per part. */
unsigned int times_removed(struct target *t, uint64_t from, uint64_t to);

/* Such calls in progress, counted per part. To be read before times_removed(). */
unsigned int removals_in_progress(struct target *t, uint64_t from, uint64_t to);

/* How often a call that removes [from, to) counts in removals_in_progress() of the other range. */
unsigned int parts_shared(struct target *t, uint64_t from, uint64_t to,
			  uint64_t other_from, uint64_t other_to);

/* A call that may remove pages of [from, to) is about to begin. */
void removal_begins(struct target *t, uint64_t from, uint64_t to);

/* That call has ended; @removed: it may have removed pages. */
void removal_ends(struct target *t, uint64_t from, uint64_t to, bool removed);

/* A call that may set the size to @size is about to begin. */
void resizing_begins(struct target *t, uint64_t size);

/* That call has ended; @removed: it may have removed pages. */
void resizing_ends(struct target *t, uint64_t size, bool removed);

/* A call that may break leases is about to begin. */
void lease_break_begins(struct target *t);

/* That call has ended. */
void lease_break_ends(struct target *t);

/* Whether a lease break may have been requested since @breaks_ended was read. */
bool break_may_be_requested(struct target *t, unsigned int breaks_ended);

/* A call is about to lease @pages. */
void leasing_begins(struct target *t, uint64_t pages);

/* A call reported @pages as revoked. Each can be revoked and finally reported once. */
void leases_revoked(struct target *t, uint64_t pages);

/* Takes the image once the object is sealed for write, unless it was taken. */
void take_image(struct target *t, const struct window *before);

/* Whether the image was taken. */
bool has_image(struct target *t);

/* Checks bytes that were read after the image was taken; @how: for the message. */
void check_bytes(struct target *t, uint64_t at, const unsigned char *bytes,
		 size_t len, const char *how);

/* Resets a target for a new object; its number and image buffer stay. */
void target_init(struct target *t, int fd, int access, size_t span);

#endif /* FUZZER_MODEL_H */

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is known of an object that many threads use at the same time, and what must hold
 * because of it.
 *
 * The state at one moment is not known. But some things move one way only: a seal that a call
 * has set stays, and with it the bytes, or the least or largest size. Other things have a
 * beginning and an end: a seal can be seen only when a call that adds it has begun and has not
 * failed. So a worker reads what is known before a call (struct window) and after it; the
 * result must fit something in between.
 *
 * Counters are incremented before what they count begins, or after it has ended,
 * whichever errs on the side of "it could have been".
 */
#ifndef FUZZER_MODEL_H
#define FUZZER_MODEL_H

#include "log.h"

#define SEAL_BITS	5
#define WRITE_SEALS	(F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)
#define SIZE_SEALS	(F_SEAL_SHRINK | F_SEAL_GROW)

/* Parts of an object, for counting removals of pages. */
#define PARTS		16

struct target {
	/* Fixed for a round */
	long long number;		/* what the logs call it */
	int fd;				/* the device file */
	int inner;			/* the shmem file behind it, or -1 */
	bool imported;			/* that is a memfd, and was there first */
	int doomed;			/* a number that is closed and opened all the time */
	int access;			/* O_RDWR, O_RDONLY or O_WRONLY */
	size_t span;			/* where most happens: the first so many bytes */
	bool stays;			/* no call removes pages of the span */
	bool isolates;			/* pages that are held may be replaced by copies */
	bool background;		/* it may be sealed in the background */
	uint32_t wanted;		/* seals that are asked for ... */
	unsigned int ripe;		/* ... and the turn from which on writing may be ended */

	/* What only moves one way */
	uint32_t known;			/* seals that are set for sure */
	bool used;			/* it has memory */
	bool nonblock;			/* O_NONBLOCK may have been set */
	uint64_t size_min, size_max;	/* while F_SEAL_SHRINK, F_SEAL_GROW are known */
	uint64_t lowest;		/* the least size that a call began to set */

	/* What begins and ends */
	unsigned int asked[SEAL_BITS];	/* calls that began to add a seal ... */
	unsigned int failed[SEAL_BITS];	/* ... and those of them that failed */
	unsigned int maps;		/* shared mappings that a worker began to make ... */
	unsigned int unmaps;		/* ... and those that are gone, or were refused */
	unsigned int taken[PARTS];	/* calls that may have removed pages ... */
	unsigned int taking[PARTS];	/* ... and those under way */
	unsigned int sizing;		/* calls that began that may set the size ... */
	unsigned int sized;		/* ... and those that are over */
	unsigned int askers;		/* calls that may request breaks and began ... */
	unsigned int unaskers;		/* ... and those that are over */
	uint64_t leased;		/* pages that a worker began to lease ... */
	uint64_t revoked;		/* ... and that a call reported as revoked */

	/* The bytes as they were at some time after F_SEAL_WRITE became known */
	unsigned int image_state;
	bool image_final;		/* F_SEAL_SHRINK was known as well */
	size_t image_len;
	unsigned char *image;
};

enum image_state {
	NO_IMAGE,
	IMAGE_BEGUN,
	IMAGE_TAKEN,
};

#define TARGETS		5
#define WORKERS		6
#define HELPERS		2	/* so many of the workers live in another process */

enum counter {
	N_SEALED, N_WRITE_SEALED, N_MAPPED, N_PINNED, N_INTERRUPTED, N_FORBIDDEN,
	N_MAPS, N_MAPS_REFUSED, N_WRITES, N_WRITES_REFUSED, N_RESIZES, N_HOLDS, N_FORKS, N_CHECKS,
	N_ISOLATED, N_PENDING, N_TOLD, N_CANCELLED, N_BY_MAKER, N_LEASES, N_ASKED, N_REVOKED,
	N_IN_VAIN, N_MIRRORS, N_MIRRORED,
	COUNTERS,
};

/* All that is shared between the processes. */
struct fuzz {
	uint64_t seed, round, began;
	bool stop;
	bool mirrors;			/* the kernel has what mirrors take */
	uint64_t late_ns;		/* how late the machine has woken a sleeper */
	struct verdict verdict;
	struct log log[WORKERS + 1];	/* the last one: of the final check */
	struct { pid_t pid, tid; } task[WORKERS];	/* receivers of signals; 0: none */
	unsigned int child_stop[WORKERS];
	unsigned long count[COUNTERS];
	struct target target[TARGETS];
};

extern struct fuzz *fuzz;

#define break_rule(...)	verdict_break(&fuzz->verdict, __VA_ARGS__)
#define read_once(x)	__atomic_load_n(&(x), __ATOMIC_SEQ_CST)
#define write_once(x, v) __atomic_store_n(&(x), v, __ATOMIC_SEQ_CST)
#define count_up(x)	__atomic_add_fetch(&(x), 1, __ATOMIC_SEQ_CST)

void note(enum counter counter);
bool is_over(void);
void raise_to(uint64_t *x, uint64_t value);

/* What is known when a call begins. */
struct window {
	uint32_t known;
	uint64_t size_min, size_max;
	unsigned int failed[SEAL_BITS];
	unsigned int maps, unmaps;
	unsigned int unaskers;
};

void window_open(struct window *before, struct target *t);
void seals_asked(struct target *t, uint32_t seals);
void seals_failed(struct target *t, uint32_t seals);
void seals_known(struct target *t, uint32_t seals);

/* Whether one of @seals was set, or was being set, at some time since @before. */
bool may_have(struct target *t, const struct window *before, uint32_t seals);

/* These seals, and no others, were seen. */
void check_seals(struct target *t, const struct window *before, uint32_t seals);

/* The object had this size at some time since @before: it was seen, or set. */
void check_size(struct target *t, const struct window *before, uint64_t size);

/* Whether the size cannot change, and is known: then it is @before->size_min. */
bool has_fixed_size(const struct window *before);

/* A call that may set the size, as writing may, is about to begin, or is over. */
void sizing_begins(struct target *t);
void sizing_ends(struct target *t);

/* Whether no such call is under way, nor was any as long as @t->sizing is @sizing. */
bool size_is_still(struct target *t, unsigned int *sizing);

/* Whether the object may be too small, since @before, to have all bytes up to @to. */
bool may_lack(struct target *t, const struct window *before, uint64_t to);

/* How many calls that are over may have removed pages of [from, to). */
unsigned int times_taken(struct target *t, uint64_t from, uint64_t to);

/* How many are under way, counted once for each part. To be read before times_taken(). */
unsigned int takers(struct target *t, uint64_t from, uint64_t to);

/* How often a call on [from, to) counts among those on [other_from, other_to). */
unsigned int parts_shared(struct target *t, uint64_t from, uint64_t to,
			  uint64_t other_from, uint64_t other_to);

/* A call that may remove pages begins; or it is over, and removed them if @took. */
void taking_begins(struct target *t, uint64_t from, uint64_t to);
void taking_ends(struct target *t, uint64_t from, uint64_t to, bool took);

/* The same for a call that sets the size. */
void resizing_begins(struct target *t, uint64_t size);
void resizing_ends(struct target *t, uint64_t size, bool took);

/* A call that may request the break of leases begins, or is over. */
void asking_begins(struct target *t);
void asking_ends(struct target *t);

/* Whether a break may have been requested since @unaskers such calls were over. */
bool may_be_asked(struct target *t, unsigned int unaskers);

/* A worker is about to lease @pages pages. */
void leasing_begins(struct target *t, uint64_t pages);

/* A call reports @pages revoked pages. Each page is revoked and finally reported once. */
void leases_were_taken(struct target *t, uint64_t pages);

/* Takes the image, if it can be read and does not exist. */
void take_image(struct target *t, const struct window *before);
bool has_image(struct target *t);

/* Bytes were read after the image was taken. @how: in which way. */
void check_bytes(struct target *t, uint64_t at, const unsigned char *bytes,
		 size_t len, const char *how);

/* Makes a new object of a round known; @image stays where it is. */
void target_init(struct target *t, int fd, int access, size_t span);

#endif /* FUZZER_MODEL_H */

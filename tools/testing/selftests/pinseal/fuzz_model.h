/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is known about an object that many work on at the same time, and what must
 * hold because of it.
 *
 * Nobody knows the state of such an object at any moment. But some things only move
 * one way: a seal that a call has returned for stays; with it the bytes, or the least
 * or largest size. And some things have a beginning and an end: a seal can be seen
 * only when a call that asks for it has begun and has not failed yet. So a call looks
 * at what is known before it begins (struct window) and at what is known after it
 * has returned; its result must fit something in between.
 *
 * Counters are incremented before what they count begins, or after it has ended,
 * whichever errs on the side of "it could have been".
 */
#ifndef FUZZ_MODEL_H
#define FUZZ_MODEL_H

#include "fuzz_log.h"
#include "object.h"

#define SEAL_BITS	5
#define WRITE_SEALS	(F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)
#define SIZE_SEALS	(F_SEAL_SHRINK | F_SEAL_GROW)

/* Parts of an object whose pages are taken away, and counted so, together. */
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
	bool stays;			/* nobody takes pages of the span away */
	bool isolates;			/* pages that are held may be replaced by copies */
	bool background;		/* it may be sealed in the background */
	uint32_t wanted;		/* seals that are asked for ... */
	unsigned int ripe;		/* ... and the turn from which on writing may be ended */

	/* What only moves one way */
	uint32_t known;			/* seals that are set for sure */
	bool used;			/* it has memory */
	bool nonblock;			/* O_NONBLOCK may have been set */
	uint64_t size_min, size_max;	/* while F_SEAL_SHRINK, F_SEAL_GROW are known */
	uint64_t lowest;		/* the least size that anybody began to set */

	/* What begins and ends */
	unsigned int asked[SEAL_BITS];	/* calls that began to ask for a seal ... */
	unsigned int failed[SEAL_BITS];	/* ... and those of them that failed */
	unsigned int maps;		/* shared mappings that somebody began to make ... */
	unsigned int unmaps;		/* ... and those that are gone, or were refused */
	unsigned int taken[PARTS];	/* how often pages were taken away, perhaps ... */
	unsigned int taking[PARTS];	/* ... and how many are at it now */
	unsigned int sizing;		/* calls that began that may set the size ... */
	unsigned int sized;		/* ... and those that are over */
	unsigned int askers;		/* calls that began to ask for leases, perhaps ... */
	unsigned int unaskers;		/* ... and those that ask no more */
	uint64_t leased;		/* pages that somebody began to lease ... */
	uint64_t revoked;		/* ... and that somebody was told to have taken */

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
	struct log log[WORKERS + 1];	/* the last one: of the last look */
	struct { pid_t pid, tid; } task[WORKERS];	/* whom to send signals to; 0: nobody */
	unsigned int child_stop[WORKERS];
	unsigned long count[COUNTERS];
	struct target target[TARGETS];
};

static struct fuzz *fuzz;

#define break_rule(...)	verdict_break(&fuzz->verdict, __VA_ARGS__)

#define read_once(x)	__atomic_load_n(&(x), __ATOMIC_SEQ_CST)
#define write_once(x, v) __atomic_store_n(&(x), v, __ATOMIC_SEQ_CST)
#define count_up(x)	__atomic_add_fetch(&(x), 1, __ATOMIC_SEQ_CST)

static inline void note(enum counter counter)
{
	__atomic_add_fetch(&fuzz->count[counter], 1, __ATOMIC_RELAXED);
}

static inline bool is_over(void)
{
	return is_broken(&fuzz->verdict) || read_once(fuzz->stop);
}

static inline void raise_to(uint64_t *x, uint64_t value)
{
	uint64_t old = read_once(*x);

	while (old < value && !__atomic_compare_exchange_n(x, &old, value, false,
							   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		;
}

static inline void lower_to(uint64_t *x, uint64_t value)
{
	uint64_t old = read_once(*x);

	while (old > value && !__atomic_compare_exchange_n(x, &old, value, false,
							   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		;
}

/* What is known when a call begins. */
struct window {
	uint32_t known;
	uint64_t size_min, size_max;
	unsigned int failed[SEAL_BITS];
	unsigned int maps, unmaps;
	unsigned int unaskers;
};

static inline void window_open(struct window *before, struct target *t)
{
	for (int i = 0; i < SEAL_BITS; i++)
		before->failed[i] = read_once(t->failed[i]);
	before->unmaps = read_once(t->unmaps);
	before->maps = read_once(t->maps);
	before->unaskers = read_once(t->unaskers);
	before->known = read_once(t->known);
	before->size_min = read_once(t->size_min);
	before->size_max = read_once(t->size_max);
}

/*
 * Seals
 */

static inline void seals_asked(struct target *t, uint32_t seals)
{
	for (int i = 0; i < SEAL_BITS; i++)
		if (seals >> i & 1)
			count_up(t->asked[i]);
}

static inline void seals_failed(struct target *t, uint32_t seals)
{
	for (int i = 0; i < SEAL_BITS; i++)
		if (seals >> i & 1)
			count_up(t->failed[i]);
}

static inline void seals_known(struct target *t, uint32_t seals)
{
	__atomic_or_fetch(&t->known, seals, __ATOMIC_SEQ_CST);
}

/* Whether one of @seals was set, or was being set, at some time since @before. */
static inline bool may_have(struct target *t, const struct window *before, uint32_t seals)
{
	for (int i = 0; i < SEAL_BITS; i++)
		if (seals >> i & 1 && read_once(t->asked[i]) != before->failed[i])
			return true;
	return false;
}

/* These seals, and no others, were seen. */
static inline void check_seals(struct target *t, const struct window *before, uint32_t seals)
{
	if (before->known & ~seals)
		break_rule(RULE_STATE, "object %lld had the seals %#x, and now has %#x",
			   t->number, before->known, seals);
	for (uint32_t bit = 1; bit < 1 << SEAL_BITS; bit <<= 1)
		if (seals & bit && !may_have(t, before, bit))
			break_rule(RULE_STATE, "object %lld has the seal %#x, and nobody set it",
				   t->number, bit);
	if (seals >> SEAL_BITS)
		break_rule(RULE_STATE, "object %lld has unknown seals: %#x", t->number, seals);
}

/*
 * Sizes
 */

/* The object had this size at some time since @before: it was seen, or set. */
static inline void check_size(struct target *t, const struct window *before, uint64_t size)
{
	if (before->known & F_SEAL_SHRINK) {
		if (size < before->size_min)
			break_rule(RULE_STATE, "object %lld shrank: size %#llx after %#llx",
				   t->number, (long long)size, (long long)before->size_min);
		raise_to(&t->size_min, size);
	}
	if (before->known & F_SEAL_GROW) {
		if (size > before->size_max)
			break_rule(RULE_STATE, "object %lld grew: size %#llx after %#llx",
				   t->number, (long long)size, (long long)before->size_max);
		lower_to(&t->size_max, size);
	}
}

/* Whether the size cannot change, and is known: then it is @before->size_min. */
static inline bool has_fixed_size(const struct window *before)
{
	return (before->known & SIZE_SEALS) == SIZE_SEALS &&
	       before->size_min == before->size_max;
}

/* A call that may set the size, as writing may, is about to begin, or is over. */
static inline void sizing_begins(struct target *t)
{
	count_up(t->sizing);
}

static inline void sizing_ends(struct target *t)
{
	count_up(t->sized);
}

/* Whether nobody is at it now. Nobody has been until @t->sizing is more than @sizing. */
static inline bool size_is_still(struct target *t, unsigned int *sizing)
{
	unsigned int sized = read_once(t->sized);

	*sizing = read_once(t->sizing);
	return *sizing == sized;
}

/* Whether the object may be too small, since @before, to have all bytes up to @to. */
static inline bool may_lack(struct target *t, const struct window *before, uint64_t to)
{
	return !(t->stays && to <= t->span) &&
	       !(before->known & F_SEAL_SHRINK && to <= before->size_min);
}

/* Whether a part has pages of [from, to). */
static inline bool is_part(struct target *t, int part, uint64_t from, uint64_t to)
{
	size_t size = t->span / PARTS ?: 1;

	return from < (part + 1) * size && to > part * size;
}

/* How often pages of [from, to) were taken out of the object, perhaps, by those who are through. */
static inline unsigned int times_taken(struct target *t, uint64_t from, uint64_t to)
{
	unsigned int times = 0;

	for (int i = 0; i < PARTS; i++)
		if (is_part(t, i, from, to))
			times += read_once(t->taken[i]);
	return times;
}

/* How many are at it now, each as often as it is at a part. To be asked before times_taken(). */
static inline unsigned int takers(struct target *t, uint64_t from, uint64_t to)
{
	unsigned int sum = 0;

	for (int i = 0; i < PARTS; i++)
		if (is_part(t, i, from, to))
			sum += read_once(t->taking[i]);
	return sum;
}

/* How often one who is at [from, to) counts among those who are at [other_from, other_to). */
static inline unsigned int parts_shared(struct target *t, uint64_t from, uint64_t to,
					uint64_t other_from, uint64_t other_to)
{
	unsigned int sum = 0;

	for (int i = 0; i < PARTS; i++)
		sum += is_part(t, i, from, to) && is_part(t, i, other_from, other_to);
	return sum;
}

/* A call that takes them out, perhaps, is about to begin, or has returned, and took them or not. */
static inline void taking_begins(struct target *t, uint64_t from, uint64_t to)
{
	for (int i = 0; i < PARTS; i++)
		if (is_part(t, i, from, to))
			count_up(t->taking[i]);
}

static inline void taking_ends(struct target *t, uint64_t from, uint64_t to, bool took)
{
	for (int i = 0; i < PARTS; i++) {
		if (!is_part(t, i, from, to))
			continue;
		if (took)
			count_up(t->taken[i]);
		__atomic_sub_fetch(&t->taking[i], 1, __ATOMIC_SEQ_CST);
	}
}

/* The same for a call that sets the size. */
static inline void resizing_begins(struct target *t, uint64_t size)
{
	sizing_begins(t);
	lower_to(&t->lowest, size);
	taking_begins(t, size, UINT64_MAX);
}

static inline void resizing_ends(struct target *t, uint64_t size, bool took)
{
	taking_ends(t, size, UINT64_MAX, took);
	sizing_ends(t);
}

/*
 * Leases
 *
 * Any call with _REVOKE, of whomever, may ask for all leases of the object, from its beginning
 * to its end, and take them. What goes on in the background has no end that is known.
 */

static inline void asking_begins(struct target *t)
{
	count_up(t->askers);
}

static inline void asking_ends(struct target *t)
{
	count_up(t->unaskers);
}

/* Whether somebody may have asked since there were so many who had asked and were gone. */
static inline bool may_be_asked(struct target *t, unsigned int unaskers)
{
	return read_once(t->askers) != unaskers;
}

/* Somebody is about to lease so many pages. */
static inline void leasing_begins(struct target *t, uint64_t pages)
{
	__atomic_add_fetch(&t->leased, pages, __ATOMIC_SEQ_CST);
}

/* Somebody is told that so many were taken. Each can be taken, and told of in the end, once. */
static inline void leases_were_taken(struct target *t, uint64_t pages)
{
	uint64_t sum = __atomic_add_fetch(&t->revoked, pages, __ATOMIC_SEQ_CST);
	uint64_t leased = read_once(t->leased);

	if (pages > leased || sum > leased)
		break_rule(RULE_LEASES, "object %lld: %lld leased pages were taken, %lld of them "
			   "just now; but no more than %lld ever were leased", t->number,
			   (long long)sum, (long long)pages, (long long)leased);
}

/*
 * Bytes
 *
 * After F_SEAL_WRITE a byte can only be cut off, by a smaller size, and a larger one
 * later brings a zero in its place. What lies below every size that anybody tried to
 * set, or all when F_SEAL_SHRINK was known when the image was taken, does not change.
 *
 * What a mapping stored behind the end of the file, in its last page, is the exception:
 * shmem shows it when the file grows over it. So the rest of that page may be anything.
 */

/* Takes the image, if it can be had and nobody else did. */
static inline void take_image(struct target *t, const struct window *before)
{
	unsigned int none = NO_IMAGE;
	int fd = t->access == O_WRONLY ? t->inner : t->fd;
	size_t len = 0;
	ssize_t n;

	if (!(before->known & F_SEAL_WRITE) || fd < 0 ||
	    !__atomic_compare_exchange_n(&t->image_state, &none, IMAGE_BEGUN, false,
					 __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		return;
	t->image_final = before->known & F_SEAL_SHRINK;
	do {
		n = pread(fd, t->image + len, t->span - len, len);
		if (n < 0)
			break_rule(RULE_RESULTS, "object %lld cannot be read: %s", t->number,
				   strerror(errno));
		else
			len += n;
	} while (n > 0 && len < t->span);
	t->image_len = len;
	write_once(t->image_state, IMAGE_TAKEN);
}

static inline bool has_image(struct target *t)
{
	return read_once(t->image_state) == IMAGE_TAKEN;
}

/* Bytes were read after the image was taken. @how: in which way. */
static inline void check_bytes(struct target *t, uint64_t at, const unsigned char *bytes,
			       size_t len, const char *how)
{
	size_t page = page_size();
	uint64_t tail = (t->image_len + page - 1) / page * page;
	uint64_t lowest = t->image_final ? UINT64_MAX : read_once(t->lowest);

	note(N_CHECKS);
	if (at + len <= t->image_len && !memcmp(bytes, t->image + at, len))
		return;
	for (size_t i = 0; i < len; i++) {
		uint64_t where = at + i;
		unsigned char was = where < t->image_len ? t->image[where] : 0;

		if (where >= t->span || (where >= t->image_len && where < tail))
			continue;
		if (bytes[i] == was || (!bytes[i] && where >= lowest))
			continue;
		break_rule(RULE_BYTES,
			   "object %lld was sealed, and then byte %#llx changed from %#x to %#x "
			   "(%s)", t->number, (long long)where, was, bytes[i], how);
		return;
	}
}

/* Makes a new object of a round known; @image stays where it is. */
static inline void target_init(struct target *t, int fd, int access, size_t span)
{
	unsigned char *image = t->image;
	long long number = t->number;

	memset(t, 0, sizeof(*t));
	t->number = number;
	t->image = image;
	t->fd = fd;
	t->inner = -1;
	t->access = access;
	t->span = span;
	t->size_max = UINT64_MAX;
	t->lowest = UINT64_MAX;
}

#endif /* FUZZ_MODEL_H */

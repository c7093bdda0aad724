// SPDX-License-Identifier: GPL-2.0-only
#include "model.h"
#include "log.h"
#include "pinseal_test.h"

struct fuzz *fuzz;

void note(enum counter counter)
{
	__atomic_add_fetch(&fuzz->count[counter], 1, __ATOMIC_RELAXED);
}

bool is_over(void)
{
	return is_broken(&fuzz->verdict) || read_once(fuzz->stop);
}

void raise_to(uint64_t *x, uint64_t value)
{
	uint64_t old = read_once(*x);

	while (old < value && !__atomic_compare_exchange_n(x, &old, value, false,
							   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		;
}

static void lower_to(uint64_t *x, uint64_t value)
{
	uint64_t old = read_once(*x);

	while (old > value && !__atomic_compare_exchange_n(x, &old, value, false,
							   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		;
}

void window_open(struct window *before, struct target *t)
{
	for (int i = 0; i < SEAL_BITS; i++)
		before->failed[i] = read_once(t->failed[i]);
	before->unmaps = read_once(t->unmaps);
	before->maps = read_once(t->maps);
	before->breaks_ended = read_once(t->breaks_ended);
	before->known = read_once(t->known);
	before->size_min = read_once(t->size_min);
	before->size_max = read_once(t->size_max);
}

/*
 * Seals
 */

void seals_requested(struct target *t, uint32_t seals)
{
	for (int i = 0; i < SEAL_BITS; i++)
		if (seals >> i & 1)
			count_up(t->requested[i]);
}

void seals_failed(struct target *t, uint32_t seals)
{
	for (int i = 0; i < SEAL_BITS; i++)
		if (seals >> i & 1)
			count_up(t->failed[i]);
}

void seals_known(struct target *t, uint32_t seals)
{
	__atomic_or_fetch(&t->known, seals, __ATOMIC_SEQ_CST);
}

bool may_have(struct target *t, const struct window *before, uint32_t seals)
{
	for (int i = 0; i < SEAL_BITS; i++)
		if (seals >> i & 1 && read_once(t->requested[i]) != before->failed[i])
			return true;
	return false;
}

void check_seals(struct target *t, const struct window *before, uint32_t seals)
{
	if (before->known & ~seals)
		break_rule(RULE_STATE, "object %lld had the seals %#x and now has %#x",
			   t->number, before->known, seals);
	for (uint32_t bit = 1; bit < 1 << SEAL_BITS; bit <<= 1)
		if (seals & bit && !may_have(t, before, bit))
			break_rule(RULE_STATE, "object %lld has the seal %#x, which no call set",
				   t->number, bit);
	if (seals >> SEAL_BITS)
		break_rule(RULE_STATE, "object %lld has unknown seals: %#x", t->number, seals);
}

/*
 * Sizes
 */

void check_size(struct target *t, const struct window *before, uint64_t size)
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

bool has_fixed_size(const struct window *before)
{
	return (before->known & SIZE_SEALS) == SIZE_SEALS &&
	       before->size_min == before->size_max;
}

void sizing_begins(struct target *t)
{
	count_up(t->sizing);
}

void sizing_ends(struct target *t)
{
	count_up(t->sized);
}

bool size_is_stable(struct target *t, unsigned int *sizing)
{
	unsigned int sized = read_once(t->sized);

	*sizing = read_once(t->sizing);
	return *sizing == sized;
}

bool may_lack(struct target *t, const struct window *before, uint64_t to)
{
	return !(t->keeps_pages && to <= t->span) &&
	       !(before->known & F_SEAL_SHRINK && to <= before->size_min);
}

/* Whether a part overlaps [from, to). */
static bool is_part(struct target *t, int part, uint64_t from, uint64_t to)
{
	size_t size = t->span / PARTS ?: 1;

	return from < (part + 1) * size && to > part * size;
}

unsigned int times_removed(struct target *t, uint64_t from, uint64_t to)
{
	unsigned int times = 0;

	for (int i = 0; i < PARTS; i++)
		if (is_part(t, i, from, to))
			times += read_once(t->removed[i]);
	return times;
}

unsigned int removals_in_progress(struct target *t, uint64_t from, uint64_t to)
{
	unsigned int sum = 0;

	for (int i = 0; i < PARTS; i++)
		if (is_part(t, i, from, to))
			sum += read_once(t->removing[i]);
	return sum;
}

unsigned int parts_shared(struct target *t, uint64_t from, uint64_t to,
			  uint64_t other_from, uint64_t other_to)
{
	unsigned int sum = 0;

	for (int i = 0; i < PARTS; i++)
		sum += is_part(t, i, from, to) && is_part(t, i, other_from, other_to);
	return sum;
}

void removal_begins(struct target *t, uint64_t from, uint64_t to)
{
	for (int i = 0; i < PARTS; i++)
		if (is_part(t, i, from, to))
			count_up(t->removing[i]);
}

void removal_ends(struct target *t, uint64_t from, uint64_t to, bool removed)
{
	for (int i = 0; i < PARTS; i++) {
		if (!is_part(t, i, from, to))
			continue;
		if (removed)
			count_up(t->removed[i]);
		__atomic_sub_fetch(&t->removing[i], 1, __ATOMIC_SEQ_CST);
	}
}

void resizing_begins(struct target *t, uint64_t size)
{
	sizing_begins(t);
	lower_to(&t->lowest, size);
	removal_begins(t, size, UINT64_MAX);
}

void resizing_ends(struct target *t, uint64_t size, bool removed)
{
	removal_ends(t, size, UINT64_MAX, removed);
	sizing_ends(t);
}

/*
 * Leases
 *
 * Any call with _REVOKE may request the break of all leases of the object and revoke them,
 * from its start to its end. The end of an asynchronous one is not known.
 */

void lease_break_begins(struct target *t)
{
	count_up(t->breaks_begun);
}

void lease_break_ends(struct target *t)
{
	count_up(t->breaks_ended);
}

bool break_may_be_requested(struct target *t, unsigned int breaks_ended)
{
	return read_once(t->breaks_begun) != breaks_ended;
}

void leasing_begins(struct target *t, uint64_t pages)
{
	__atomic_add_fetch(&t->leased, pages, __ATOMIC_SEQ_CST);
}

void leases_revoked(struct target *t, uint64_t pages)
{
	uint64_t sum = __atomic_add_fetch(&t->revoked, pages, __ATOMIC_SEQ_CST);
	uint64_t leased = read_once(t->leased);

	if (pages > leased || sum > leased)
		break_rule(RULE_LEASES, "object %lld: %lld leased pages were revoked, %lld of them "
			   "by this call, but at most %lld were leased", t->number,
			   (long long)sum, (long long)pages, (long long)leased);
}

/*
 * Bytes
 *
 * After F_SEAL_WRITE a byte changes only if the file shrinks below it and grows again: then
 * it is zero. Bytes below every size that a call tried to set do not change, nor does any
 * byte if F_SEAL_SHRINK was known when the image was taken.
 *
 * Exception: what a mapping stored beyond the end of the file, in its last page, becomes
 * visible when the file grows. The rest of that page may therefore have any content.
 */

void take_image(struct target *t, const struct window *before)
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

bool has_image(struct target *t)
{
	return read_once(t->image_state) == IMAGE_TAKEN;
}

void check_bytes(struct target *t, uint64_t at, const unsigned char *bytes,
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
			   "object %lld is sealed, but byte %#llx changed from %#x to %#x "
			   "(%s)", t->number, (long long)where, was, bytes[i], how);
		return;
	}
}

void target_init(struct target *t, int fd, int access, size_t span)
{
	unsigned char *image = t->image;
	long long number = t->number;

	memset(t, 0, sizeof(*t));
	t->number = number;
	t->image = image;
	t->fd = fd;
	t->inner = t->lower = -1;
	t->access = access;
	t->span = span;
	t->size_max = UINT64_MAX;
	t->lowest = UINT64_MAX;
}

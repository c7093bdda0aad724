// SPDX-License-Identifier: GPL-2.0-only
#include "shadow.h"

int shadow_init(struct shadow *s, size_t max)
{
	*s = (struct shadow){ .fd = -1, .max = max, .random = { 1 } };
	s->want = mmap(NULL, max, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	s->buf = mmap(NULL, SHADOW_CHUNK, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	return s->want == MAP_FAILED || s->buf == MAP_FAILED ? -ENOMEM : 0;
}

void shadow_new_bytes(struct shadow *s, char *to, size_t len)
{
	uint64_t word;

	while (len) {
		size_t n = len < sizeof(word) ? len : sizeof(word);

		word = random_bits(&s->random);
		memcpy(to, &word, n);
		to += n;
		len -= n;
	}
}

int shadow_write(struct shadow *s, size_t from, size_t len)
{
	ssize_t n;

	for (; len; from += n, len -= n) {
		n = pwrite(s->fd, s->want + from, len, from);
		if (n <= 0)
			return n ? -errno : -EIO;
		if (s->size < from + n)
			s->size = from + n;
	}
	return 0;
}

int shadow_store(struct shadow *s, size_t from, size_t len)
{
	size_t begin = from - from % page_size();
	char *p = mmap(NULL, from + len - begin, RW, MAP_SHARED, s->fd, begin);

	if (p == MAP_FAILED)
		return -errno;
	memcpy(p + (from - begin), s->want + from, len);
	munmap(p, from + len - begin);
	return 0;
}

int shadow_resize(struct shadow *s, size_t size)
{
	int ret = obj_resize(s->fd, size);

	if (ret)
		return ret;
	if (size < s->size)
		memset(s->want + size, 0, s->size - size);
	s->size = size;
	return 0;
}

static int shadow_punch(struct shadow *s, size_t from, size_t len)
{
	int ret = obj_fallocate(s->fd, PUNCH, from, len);

	if (!ret)
		memset(s->want + from, 0, len);
	return ret;
}

static int shadow_allocate(struct shadow *s, size_t from, size_t len)
{
	int ret = obj_allocate(s->fd, 0, from, len);

	if (!ret && s->size < from + len)
		s->size = from + len;
	return ret;
}

int shadow_fill(struct shadow *s, size_t size)
{
	int ret = shadow_resize(s, size);
	size_t step = 4 * page_size(), from;

	shadow_new_bytes(s, s->want, size);
	for (from = 0; !ret && from < size; from += step) {
		size_t len = size - from < step ? size - from : step;

		ret = from / step % 2 ? shadow_store(s, from, len) : shadow_write(s, from, len);
	}
	return ret;
}

long first_difference(const char *a, const char *b, size_t len)
{
	if (!memcmp(a, b, len))
		return SAME;
	for (size_t i = 0; i < len; i++)
		if (a[i] != b[i])
			return i;
	/* Only for a moment: that is bad enough. */
	return 0;
}

/* With read(2), a range. */
static long shadow_compare_range(struct shadow *s, size_t from, size_t len)
{
	while (len) {
		size_t n = len < SHADOW_CHUNK ? len : SHADOW_CHUNK;
		long at;

		if (pread(s->fd, s->buf, n, from) != (ssize_t)n)
			return from;
		at = first_difference(s->want + from, s->buf, n);
		if (at != SAME)
			return from + at;
		from += n;
		len -= n;
	}
	return SAME;
}

long shadow_compare_read(struct shadow *s)
{
	int64_t size = obj_size(s->fd);

	if (size < 0 || size != (int64_t)s->size)
		return s->size;
	return shadow_compare_range(s, 0, s->size);
}

long shadow_compare_mapped(struct shadow *s, int flags)
{
	char *p;
	long at;

	if (!s->size)
		return SAME;
	p = ps_map(s->fd, s->size, PROT_READ, flags);
	if (p == MAP_FAILED)
		return 0;
	at = first_difference(s->want, p, s->size);
	munmap(p, s->size);
	return at;
}

long shadow_resident(struct shadow *s)
{
	size_t pages = (s->size + page_size() - 1) / page_size(), i;
	unsigned char present[1024];
	long resident = 0;
	char *p;

	/* Private, for a shared mapping is in the way of seals. */
	p = ps_map(s->fd, pages * page_size(), PROT_READ, MAP_PRIVATE);
	if (p == MAP_FAILED)
		return -errno;
	for (i = 0; i < pages; i += sizeof(present)) {
		size_t n = pages - i < sizeof(present) ? pages - i : sizeof(present);

		if (mincore(p + i * page_size(), n * page_size(), present)) {
			resident = -errno;
			break;
		}
		for (size_t k = 0; k < n; k++)
			resident += present[k] & 1;
	}
	munmap(p, pages * page_size());
	return resident;
}

int shadow_change_somehow(struct shadow *s)
{
	size_t from = random_below(&s->random, s->max), len = 1 + random_below(&s->random, s->max / 64);
	size_t inside = s->size > from ? s->size - from : 0;

	if (len > s->max - from)
		len = s->max - from;
	if (inside > len)
		inside = len;
	switch (random_below(&s->random, 10)) {
	case 0:
	case 1:
	case 2:
		shadow_new_bytes(s, s->want + from, len);
		return shadow_write(s, from, len);
	case 3:
	case 4:
		shadow_new_bytes(s, s->want + from, inside);
		return inside ? shadow_store(s, from, inside) : 0;
	case 5:
	case 6:
		return shadow_punch(s, from, len);
	case 7:
		/* A bit more often than a lot. */
		return shadow_resize(s, random_below(&s->random, 4) ? s->max - from / 8 : from);
	case 8:
		return shadow_allocate(s, from, len);
	default:
		return shadow_compare_range(s, from, inside) == SAME ? 0 : -EILSEQ;
	}
}

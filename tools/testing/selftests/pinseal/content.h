/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is in a file: filling it, and sums that change when any byte does.
 */
#ifndef CONTENT_H
#define CONTENT_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pinseal_test.h"

/* Fills @size bytes of @fd with write(2), with the byte @c: 0, or -errno. */
static inline int fill_file(int fd, size_t size, char c)
{
	size_t chunk = size < (1 << 20) ? size : 1 << 20;
	char *buf = malloc(chunk);
	size_t done = 0;
	int ret = 0;

	if (!buf)
		return -ENOMEM;
	memset(buf, c, chunk);
	while (!ret && done < size) {
		size_t len = size - done < chunk ? size - done : chunk;
		ssize_t n = pwrite(fd, buf, len, done);

		if (n <= 0)
			ret = n ? -errno : -EIO;
		else
			done += n;
	}
	free(buf);
	return ret;
}

static inline uint64_t sum_bytes(const unsigned char *p, size_t len)
{
	uint64_t sum = 1;
	size_t i;

	for (i = 0; i < len; i++)
		sum = sum * 31 + p[i];
	return sum;
}

/* What read(2) gives: the sum of the first @size bytes, or 0 if they cannot be had. */
static inline uint64_t checksum(int fd, size_t size)
{
	unsigned char *buf = malloc(size);
	uint64_t sum = 0;

	if (buf && pread(fd, buf, size, 0) == (ssize_t)size)
		sum = sum_bytes(buf, size);
	free(buf);
	return sum;
}

/* The same as a new mapping shows it; for sealed objects. */
static inline uint64_t checksum_mapped(int fd, size_t size)
{
	unsigned char *p = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	uint64_t sum = 0;

	if (p != MAP_FAILED) {
		sum = sum_bytes(p, size);
		munmap(p, size);
	}
	return sum;
}

#endif /* CONTENT_H */

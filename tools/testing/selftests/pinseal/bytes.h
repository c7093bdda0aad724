/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Bytes that can be told apart, and how much shared memory the machine uses.
 */
#ifndef BYTES_H
#define BYTES_H

#include <linux/falloc.h>

#include "pinseal_test.h"

#define RW		(PROT_READ | PROT_WRITE)
#define PUNCH		(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)

/* Bytes that tell where they belong: no two pages look alike. */
static inline void fill(void *buf, size_t len, unsigned int seed)
{
	unsigned char *p = buf;

	for (size_t i = 0; i < len; i++)
		p[i] = 1 + (i + i / 251 + seed * 7) % 255;
}

static inline bool is_filled(const void *buf, size_t len, unsigned int seed)
{
	const unsigned char *p = buf;

	for (size_t i = 0; i < len; i++)
		if (p[i] != 1 + (i + i / 251 + seed * 7) % 255)
			return false;
	return true;
}

static inline bool is_zero(const void *buf, size_t len)
{
	const unsigned char *p = buf;

	for (size_t i = 0; i < len; i++)
		if (p[i])
			return false;
	return true;
}
/*
 * Memory counted in /proc/meminfo as shared, in pages. The kernel counts per CPU;
 * asking for stat_refresh makes it add up at once. What is left is other people's.
 */
#define SHMEM_NOISE	64

static inline long shmem_pages(void)
{
	int fd = open("/proc/sys/vm/stat_refresh", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "1\n", 2) != 2)
		perror("# /proc/sys/vm/stat_refresh");
	close(fd);
	return ps_meminfo_kb("Shmem") * 1024 / (long)page_size();
}

#endif /* BYTES_H */

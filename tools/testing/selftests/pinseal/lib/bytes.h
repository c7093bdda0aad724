/* SPDX-License-Identifier: GPL-2.0-only */
/* Patterns of bytes, and the shared memory that the machine uses. */
#ifndef BYTES_H
#define BYTES_H

#include <linux/falloc.h>

#include "pinseal_test.h"

#define RW		(PROT_READ | PROT_WRITE)
#define PUNCH		(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)

/* fill() - bytes that depend on their position: no two pages are equal. */
void fill(void *buf, size_t len, unsigned int seed);

bool is_filled(const void *buf, size_t len, unsigned int seed);

bool is_zero(const void *buf, size_t len);

/*
 * shmem_pages() - shared memory of /proc/meminfo, in pages, with the counts of all CPUs
 * (stat_refresh). Other programs change it by up to SHMEM_NOISE.
 */
#define SHMEM_NOISE	64

long shmem_pages(void);

#endif /* BYTES_H */

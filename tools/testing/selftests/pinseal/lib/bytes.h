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
void fill(void *buf, size_t len, unsigned int seed);

bool is_filled(const void *buf, size_t len, unsigned int seed);

bool is_zero(const void *buf, size_t len);

/*
 * Memory counted in /proc/meminfo as shared, in pages. The kernel counts per CPU;
 * asking for stat_refresh makes it add up at once. What is left is other people's.
 */
#define SHMEM_NOISE	64

long shmem_pages(void);

#endif /* BYTES_H */

/* SPDX-License-Identifier: GPL-2.0-only */
/* Swap on a zram device, a new one each time. */
#ifndef ZRAM_SWAP_H
#define ZRAM_SWAP_H

#include <stdint.h>
#include <stdio.h>
#include <sys/swap.h>

#include "pinseal_test.h"
#include "sysfile.h"

#define ZRAM_CONTROL	"/sys/class/zram-control"

struct zram_swap {
	int id;			/* of the device; negative: none */
	char dev[32];
};

/* swap_format() - writes to a device or file of @size bytes what mkswap writes: 0, or -errno. */
int swap_format(const char *path, uint64_t size);

/* zram_is_there() - whether devices can be made. */
bool zram_is_there(void);

/* zram_swap_end() - swaps in what is left and removes the device. */
void zram_swap_end(struct zram_swap *z);

/* zram_swap_begin() - adds @size bytes of swap: 0, or -errno. */
int zram_swap_begin(struct zram_swap *z, uint64_t size);

#endif /* ZRAM_SWAP_H */

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Swap on a zram device: a new one each time, so that two who want swap do not get
 * into each other's way.
 */
#ifndef ZRAM_SWAP_H
#define ZRAM_SWAP_H

#include <stdint.h>
#include <stdio.h>
#include <sys/swap.h>

#include "pinseal_test.h"
#include "sysfile.h"

#define ZRAM_CONTROL	"/sys/class/zram-control"

struct zram_swap {
	int id;			/* of the device, or less than 0: none */
	char dev[32];
};

/* Whether there is zram here. */
bool zram_is_there(void);

/* What is in it comes back into memory, and the device goes. */
void zram_swap_end(struct zram_swap *z);

/* Adds @size bytes of swap: 0, or -errno. */
int zram_swap_begin(struct zram_swap *z, uint64_t size);

#endif /* ZRAM_SWAP_H */

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Runs another test program under memory pressure: in a memory cgroup that a hog fills, with
 * swap and machine noise.
 *
 * Output and status of the program are passed on, but the run fails when memory stays charged
 * to the group.
 *
 * memfd variants are left out unless they are named: reclaim and migration hold pages for
 * longer than a memfd waits.
 */
#ifndef UNDER_PRESSURE_H
#define UNDER_PRESSURE_H

#include <limits.h>

#include "machine_noise.h"
#include "zram_swap.h"

/*
 * under_pressure_limit() - memory of program and hog: little enough to swap all the time,
 * enough for pages that cannot be swapped, thousands of pinned ones and those of collapses.
 */
uint64_t under_pressure_limit(void);

struct under_pressure {
	struct memcg all;	/* has the limit */
	struct memcg tested;	/* the program's part of it */
	struct memcg hog;	/* the hog's part */
	struct zram_swap swap;
	struct machine_noise noise;
	pid_t hog_pid;
};

/*
 * under_pressure() - runs @argv[0] with its arguments: the exit status for the caller. Memory must
 * be free @timeout_ns after its end. A signal that ends the program ends the caller as well.
 */
int under_pressure(char **argv, uint64_t timeout_ns);

#endif /* UNDER_PRESSURE_H */

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Runs another test program where memory is short and nothing stays where it is: in a
 * memory cgroup that somebody else fills, with swap, amid noise.
 *
 * What the program prints and how it ends is passed on. But when it has left memory
 * behind for which its group still pays, the run has failed, however it ended.
 *
 * Tests that only say what a memfd does are left out, unless they are named: here it finds
 * its pages held by the kernel itself, and 150 ms are not always enough.
 */
#ifndef UNDER_PRESSURE_H
#define UNDER_PRESSURE_H

#include <limits.h>

#include "machine_noise.h"
#include "zram_swap.h"

/*
 * What the program and the other one have together: less than they want, so that they
 * swap all the time, but enough for what cannot be swapped: thousands of pages that a
 * test has pinned, and pages of which huge ones are just being made.
 */
uint64_t under_pressure_limit(void);

struct under_pressure {
	struct memcg all;	/* has the limit */
	struct memcg tested;	/* the program's part of it */
	struct memcg hog;	/* the other one's */
	struct zram_swap swap;
	struct machine_noise noise;
	pid_t hog_pid;
};

/*
 * Runs the program @argv[0] with its arguments: the exit status to end with. If a signal
 * has ended the program, it ends this one as well.
 */
int under_pressure(char **argv);

#endif /* UNDER_PRESSURE_H */

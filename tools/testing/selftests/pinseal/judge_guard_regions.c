// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel's tools/testing/selftests/mm/guard-regions.c, its tests of shared memory: mappings of
 * created memfds are advised, split, moved, protected, forked and reclaimed. See judge.h.
 *
 * But for "smaps", which fills a gap between two mappings and wants all three to be one: the core
 * merges the new one with the first, but removes no mapping that has a close operation, by which a
 * sealer learns that it is gone.
 */
#include <linux/fs.h>
#include <sys/mman.h>

/* In case the machine's headers are older. */
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL	102
#define MADV_GUARD_REMOVE	103
#endif
#ifndef PAGE_IS_GUARD
#define PAGE_IS_GUARD		(1 << 8)
#endif

#define main guard_regions_main
#include "guard-regions.c"
#undef main

#include "judge.h"

int main(int argc, char **argv)
{
	char *of_memfds[] = { argv[0], "-T", "smaps", "-v", "shmem", NULL };

	judge_preloaded(argv);
	return guard_regions_main(5, of_memfds);
}

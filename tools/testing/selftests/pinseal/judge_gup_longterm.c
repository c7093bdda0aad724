// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel's tools/testing/selftests/mm/gup_longterm.c: mappings of created memfds, shared and private,
 * are pinned for long, for reading and writing, by GUP and GUP-fast. See judge.h. It takes a kernel with
 * CONFIG_GUP_TEST.
 */
#define main gup_longterm_main
#include "gup_longterm.c"
#undef main

#include "judge.h"

int main(int argc, char **argv)
{
	judge_preloaded(argv);
	return gup_longterm_main(argc, argv);
}

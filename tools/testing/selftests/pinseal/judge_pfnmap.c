// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel's tools/testing/selftests/mm/pfnmap.c: what may be done to a mapping of bare frame numbers, and
 * what it survives. Its file is an object, and each of its mappings shows a page elsewhere than at its place
 * (PINSEAL_PROTECT_REMAP).
 */
#include <fcntl.h>
#include <sys/mman.h>

#include "kselftest_harness.h"
#include "protect.h"

#define FILE_NAME	"object"

/* Of the object; the judge maps the first two. */
#define PAGES	3

static int judged = -1;

static int open_judged(const char *path, int flags)
{
	if (strcmp(path, FILE_NAME))
		return open(path, flags);
	judged = ps_create(PAGES * page_size());
	return judged;
}

static void *map_elsewhere(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	char *p = mmap(addr, len, prot, flags, fd, offset);

	if (p == MAP_FAILED || fd < 0 || fd != judged)
		return p;
	if (ps_remap(fd, p, len, offset / page_size() + 1, prot)) {
		munmap(p, len);
		return MAP_FAILED;
	}
	return p;
}

#define main		pfnmap_main
#define open		open_judged
#define mmap		map_elsewhere
#include "pfnmap.c"
#undef mmap
#undef open
#undef main

int main(int argc, char **argv)
{
	/* Any but /dev/mem, which it would look for RAM in. */
	char *of_object[] = { argv[0], "--", FILE_NAME, NULL };

	return pfnmap_main(3, of_object);
}

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Files that consist of one large folio.
 */
#ifndef LARGE_FOLIO_H
#define LARGE_FOLIO_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "content.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

/* What one read fault maps of a folio around it, if no more is mapped: fault_around_bytes. */
#define FAULT_BYTES	(64 * 1024)

/* Set for programs that run where there may be no memory for any (under_pressure.h). */
#define UNDER_PRESSURE	"PINSEAL_UNDER_PRESSURE"

static inline bool is_under_pressure(void)
{
	return getenv(UNDER_PRESSURE);
}

/* The size of the folios that MADV_COLLAPSE makes, or 0. */
static inline size_t large_folio_size(void)
{
	FILE *f = fopen("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", "re");
	unsigned long size = 0;

	if (f && fscanf(f, "%lu", &size) != 1)
		size = 0;
	if (f)
		fclose(f);
	return size;
}

/* A shared mapping of the first @len bytes of @fd where large folios of @size fit. */
static inline char *map_aligned(int fd, size_t len, size_t size, int prot)
{
	char *room = mmap(NULL, len + size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t before;

	if (room == MAP_FAILED)
		return MAP_FAILED;
	before = (size - (uintptr_t)room % size) % size;
	if (before)
		munmap(room, before);
	munmap(room + before + len, size - before);
	return mmap(room + before, len, prot, MAP_SHARED | MAP_FIXED, fd, 0);
}

/* Makes one folio of all that @fd, of large_folio_size(), holds: 0, or -errno. */
static inline int collapse_into_large_folio(int fd, size_t size)
{
	char *map = map_aligned(fd, size, size, PROT_READ | PROT_WRITE);
	int ret = map == MAP_FAILED ? -errno : -EAGAIN;

	/* So it says, too, when somebody is at one of the pages. */
	for (int tries = 0; ret == -EAGAIN && tries < 100; tries++) {
		if (tries)
			sleep_ns(10 * NSEC_PER_MSEC);
		ret = madvise(map, size, MADV_COLLAPSE) ? -errno : 0;
	}
	if (map != MAP_FAILED)
		munmap(map, size);
	return ret;
}

/* Fills @fd, of that size, too. */
static inline int make_large_folio(int fd, size_t size)
{
	return fill_file(fd, size, 'l') ?: collapse_into_large_folio(fd, size);
}

#endif /* LARGE_FOLIO_H */

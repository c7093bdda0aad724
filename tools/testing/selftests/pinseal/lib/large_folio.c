// SPDX-License-Identifier: GPL-2.0-only
#include "large_folio.h"

bool is_under_pressure(void)
{
	return getenv(UNDER_PRESSURE);
}

size_t large_folio_size(void)
{
	FILE *f = fopen("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", "re");
	unsigned long size = 0;

	if (f && fscanf(f, "%lu", &size) != 1)
		size = 0;
	if (f)
		fclose(f);
	return size;
}

char *map_aligned(int fd, size_t len, size_t size, int prot)
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

int collapse_into_large_folio(int fd, size_t size)
{
	char *map = map_aligned(fd, size, size, PROT_READ | PROT_WRITE);
	int ret = map == MAP_FAILED ? -errno : -EAGAIN;
	int most = is_under_pressure() ? 100 : 6000;

	/* EAGAIN: a page has an extra reference for a moment, for instance. */
	for (int tries = 0; ret == -EAGAIN && tries < most; tries++) {
		if (tries)
			sleep_ns(10 * NSEC_PER_MSEC);
		ret = madvise(map, size, MADV_COLLAPSE) ? -errno : 0;
	}
	if (map != MAP_FAILED)
		munmap(map, size);
	return ret;
}

int make_large_folio(int fd, size_t size)
{
	return fill_file(fd, size, 'l') ?: collapse_into_large_folio(fd, size);
}

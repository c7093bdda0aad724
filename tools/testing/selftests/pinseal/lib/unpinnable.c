// SPDX-License-Identifier: GPL-2.0-only
#include "sysfile.h"
#include "unpinnable.h"

/* How many places are tried, the last ones of an object. */
#define TRIES		64

/* A CPU may keep that much free memory, of any kind, and allocates from it first. */
#define CPU_CACHE	(512UL << 20)
#define STEP		(32UL << 20)

bool unpinnable_machine(void)
{
	char line[2048];

	return !read_text("/proc/cmdline", line, sizeof(line)) &&
	       (strstr(line, "movablecore=") || strstr(line, "cma="));
}

static bool is_unpinnable(int fd, size_t page)
{
	int pin = ps_pin(fd, page, 1, 0);

	if (pin >= 0)
		close(pin);
	return pin == -ENOMEM;
}

static long find(int fd, size_t pages, size_t count)
{
	for (size_t i = 1; i <= TRIES && i * count <= pages; i++) {
		size_t first = pages - i * count, found = 0;
		struct hold hold;

		if (hold_begin(&hold, HOLD_SPLICE, fd, first, count))
			break;
		while (found < count && is_unpinnable(fd, first + found))
			found++;
		hold_end(&hold);
		if (found == count)
			return first;
	}
	return -ENOENT;
}

long unpinnable_fill(int fd, size_t pages, char c, size_t count)
{
	size_t taken = 0, most = unpinnable_machine() ? CPU_CACHE : 0;
	char *ballast = ps_map(-1, CPU_CACHE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
	long first;

	if (ballast == MAP_FAILED)
		return -errno;
	/* Huge pages come from elsewhere. */
	madvise(ballast, CPU_CACHE, MADV_NOHUGEPAGE);
	for (;;) {
		first = fill_file(fd, pages * page_size(), c);
		if (!first)
			first = find(fd, pages, count);
		if (first != -ENOENT || taken == most)
			break;
		ps_fallocate(fd, PUNCH, 0, pages * page_size());
		memset(ballast + taken, 1, STEP);
		taken += STEP;
	}
	munmap(ballast, CPU_CACHE);
	if (first < 0 && most)
		printf("# no unpinnable page: %ld; %ld KiB are free, %ld of %ld KiB of CMA\n", first,
		       ps_meminfo_kb("MemFree"), ps_meminfo_kb("CmaFree"),
		       ps_meminfo_kb("CmaTotal"));
	return first;
}

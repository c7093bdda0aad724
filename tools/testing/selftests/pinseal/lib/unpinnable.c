// SPDX-License-Identifier: GPL-2.0-only
#include "sysfile.h"
#include "unpinnable.h"

/* The last pages of an object are the likeliest: CPUs cache free pages of other memory. */
#define TRIES		64

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

long unpinnable_pages(int fd, size_t pages, size_t count)
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

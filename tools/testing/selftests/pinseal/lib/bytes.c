// SPDX-License-Identifier: GPL-2.0-only
#include "bytes.h"

void fill(void *buf, size_t len, unsigned int seed)
{
	unsigned char *p = buf;

	for (size_t i = 0; i < len; i++)
		p[i] = 1 + (i + i / 251 + seed * 7) % 255;
}

bool is_filled(const void *buf, size_t len, unsigned int seed)
{
	const unsigned char *p = buf;

	for (size_t i = 0; i < len; i++)
		if (p[i] != 1 + (i + i / 251 + seed * 7) % 255)
			return false;
	return true;
}

bool is_zero(const void *buf, size_t len)
{
	const unsigned char *p = buf;

	for (size_t i = 0; i < len; i++)
		if (p[i])
			return false;
	return true;
}

long shmem_pages(void)
{
	int fd = open("/proc/sys/vm/stat_refresh", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "1\n", 2) != 2)
		perror("# /proc/sys/vm/stat_refresh");
	close(fd);
	return ps_meminfo_kb("Shmem") * 1024 / (long)page_size();
}

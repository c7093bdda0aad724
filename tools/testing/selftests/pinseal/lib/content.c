// SPDX-License-Identifier: GPL-2.0-only
#include "content.h"

int fill_file(int fd, size_t size, char c)
{
	size_t chunk = size < (1 << 20) ? size : 1 << 20;
	char *buf = malloc(chunk);
	size_t done = 0;
	int ret = 0;

	if (!buf)
		return -ENOMEM;
	memset(buf, c, chunk);
	while (!ret && done < size) {
		size_t len = size - done < chunk ? size - done : chunk;
		ssize_t n = pwrite(fd, buf, len, done);

		if (n <= 0)
			ret = n ? -errno : -EIO;
		else
			done += n;
	}
	free(buf);
	return ret;
}

uint64_t sum_bytes(const unsigned char *p, size_t len)
{
	uint64_t sum = 1, word;

	for (; len >= sizeof(word); p += sizeof(word), len -= sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		sum = sum * 31 + word;
	}
	for (; len; p++, len--)
		sum = sum * 31 + *p;
	return sum;
}

uint64_t checksum(int fd, size_t size)
{
	unsigned char *buf = malloc(size);
	uint64_t sum = 0;

	if (buf && pread(fd, buf, size, 0) == (ssize_t)size)
		sum = sum_bytes(buf, size);
	free(buf);
	return sum;
}

uint64_t checksum_mapped(int fd, size_t size)
{
	unsigned char *p = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	uint64_t sum = 0;

	if (p != MAP_FAILED) {
		sum = sum_bytes(p, size);
		munmap(p, size);
	}
	return sum;
}

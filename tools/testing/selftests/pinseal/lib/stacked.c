// SPDX-License-Identifier: GPL-2.0-only
#include <sys/stat.h>

#include "pinseal_test.h"
#include "stacked.h"

int ps_attach(int fd, int lower, uint32_t flags)
{
	struct pinseal_attach arg = { .fd = lower, .flags = flags };

	return ps_ioctl(fd, PINSEAL_IOC_ATTACH, &arg);
}

char lower_byte(size_t at)
{
	return 1 + at % 251;
}

int fill_lower(int fd, size_t size)
{
	char *bytes = malloc(size);
	ssize_t ret;

	for (size_t i = 0; i < size; i++)
		bytes[i] = lower_byte(i);
	ret = sys(pwrite(fd, bytes, size, 0));
	free(bytes);
	return ret < 0 ? ret : ret == (ssize_t)size ? 0 : -EIO;
}

int new_lower(struct disk *disk, const char *dir)
{
	char name[128];
	int fd;

	snprintf(name, sizeof(name), "%s/attach-XXXXXX", disk->dir[0] ? disk->dir : dir);
	fd = mkostemp(name, O_CLOEXEC);
	unlink(name);
	return fd;
}

int open_lower(struct disk *disk, const char *type, const char *dir)
{
	int ret = type ? disk_mount(disk, type) : 0;

	if (ret)
		return ret;
	return sys(type || dir ? new_lower(disk, dir) : memfd_create("lower", MFD_CLOEXEC));
}

long differs(const char *p, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		if (p[i] != lower_byte(i))
			return i;
	return -1;
}

long not_zero(const char *p, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		if (p[i])
			return i;
	return -1;
}

char byte_of(int fd, off_t at)
{
	char c = 0;

	return pread(fd, &c, 1, at) == 1 ? c : -1;
}

/* The size of an object, or another file. */
static off_t size_of(int fd)
{
	int64_t size = ps_size(fd);
	struct stat st;

	return size >= 0 ? size : fstat(fd, &st) ? -errno : st.st_size;
}

off_t differs_from_lower(int fd, int lower)
{
	return differs_up_to(fd, lower, INT64_MAX);
}

off_t differs_up_to(int fd, int lower, off_t most)
{
	off_t size = size_of(fd), end = size < most ? size : most, at = 0;
	char above[4096], below[4096];
	struct stat st;

	while (at < end) {
		size_t n = end - at < 4096 ? end - at : 4096;

		if (pread(fd, above, n, at) != (ssize_t)n || pread(lower, below, n, at) != (ssize_t)n)
			return at;
		for (size_t i = 0; i < n; i++)
			if (above[i] != below[i])
				return at + i;
		at += n;
	}
	return fstat(lower, &st) || st.st_size != size ? size : -1;
}

bool poison_page(char *p)
{
	pid_t child = ps_fork();

	if (!child) {
		/* This kills. */
		madvise(p, page_size(), MADV_HWPOISON);
		_exit(0);
	}
	return ps_wait(child);
}

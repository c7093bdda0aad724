// SPDX-License-Identifier: GPL-2.0-only
/*
 * Calls of fsx, a judge of files, that mean an object instead: the linker has them come here. What
 * fsx opens is the descriptor $PINSEAL_FSX_FD. The descriptor of a device has no size for fstat(), and
 * other commands than ftruncate() and fallocate(); all else is the kernel's.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/pinseal.h>

#define NAME "object"

int __real_open64(const char *path, int flags, ...);
int __real_fstat64(int fd, struct stat64 *st);

static bool is_object(int fd, struct pinseal_info *info)
{
	return !ioctl(fd, PINSEAL_IOC_INFO, info);
}

int __wrap_ftruncate64(int fd, off64_t size)
{
	struct pinseal_resize resize = { .size = size };
	struct pinseal_info info;

	return is_object(fd, &info) ? ioctl(fd, PINSEAL_IOC_RESIZE, &resize) :
				      syscall(SYS_ftruncate, fd, size);
}

int __wrap_open64(const char *path, int flags, ...)
{
	const char *object = getenv("PINSEAL_FSX_FD");
	va_list args;
	int mode, fd;

	va_start(args, flags);
	mode = va_arg(args, int);
	va_end(args);
	if (!object || strcmp(path, NAME))
		return __real_open64(path, flags, mode);
	fd = fcntl(atoi(object), F_DUPFD_CLOEXEC, 0);
	if (fd >= 0 && flags & O_TRUNC && __wrap_ftruncate64(fd, 0)) {
		close(fd);
		return -1;
	}
	return fd;
}

int __wrap_fstat64(int fd, struct stat64 *st)
{
	struct pinseal_info info;
	int ret = __real_fstat64(fd, st);

	if (!ret && is_object(fd, &info))
		st->st_size = info.size;
	return ret;
}

int __wrap_statx(int dir, const char *path, int flags, unsigned int mask, struct statx *st)
{
	struct pinseal_info info;
	int ret = syscall(SYS_statx, dir, path, flags, mask, st);

	if (!ret && (!path || !*path) && is_object(dir, &info))
		st->stx_size = info.size;
	return ret;
}

int __wrap_fallocate64(int fd, int mode, off64_t offset, off64_t len)
{
	struct pinseal_fallocate range = { .mode = mode, .offset = offset, .len = len };
	struct pinseal_info info;

	return is_object(fd, &info) ? ioctl(fd, PINSEAL_IOC_FALLOCATE, &range) :
				      syscall(SYS_fallocate, fd, mode, offset, len);
}

int __wrap_posix_fallocate64(int fd, off64_t offset, off64_t len)
{
	return __wrap_fallocate64(fd, 0, offset, len) ? errno : 0;
}

/* Crates call these by either name, which are the same on 64-bit machines. */
int __wrap_fallocate(int fd, int mode, off64_t offset, off64_t len)
	__attribute__((alias("__wrap_fallocate64")));
int __wrap_posix_fallocate(int fd, off64_t offset, off64_t len)
	__attribute__((alias("__wrap_posix_fallocate64")));
int __wrap_ftruncate(int fd, off64_t size) __attribute__((alias("__wrap_ftruncate64")));

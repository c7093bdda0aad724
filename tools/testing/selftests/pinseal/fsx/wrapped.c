// SPDX-License-Identifier: GPL-2.0-only
/*
 * Calls of fsx, a judge of files, that mean an object instead: the linker has them come here. What
 * fsx opens is an object that is stacked on the file $PINSEAL_FSX_LOWER, a descriptor; each time a new
 * one, and the last one is closed before. In the end its bytes go to the file $PINSEAL_FSX_END. The
 * descriptor of a device has no size for fstat(), and other commands than ftruncate() and fallocate();
 * all else is the kernel's.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/pinseal.h>

#define NAME "object"
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

int __real_open64(const char *path, int flags, ...);
int __real_fstat64(int fd, struct stat64 *st);
void *__real_mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t at);
int __real_munmap(void *addr, size_t len);

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

/* The object that is open, or was last; a descriptor of our own keeps it from being closed. */
static int object = -1;

/*
 * Mappings of the object that fsx has, the last ones: it leaves those that it reads from. Each would keep
 * an object and all its pages until fsx ends.
 */
static struct mapping {
	void *addr;
	size_t len;
} mappings[64];

static void unmap(struct mapping *mapping)
{
	if (mapping->addr)
		__real_munmap(mapping->addr, mapping->len);
	mapping->addr = NULL;
}

void *__wrap_mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t at)
{
	static unsigned int next;
	struct pinseal_info info;
	struct mapping *mapping;

	addr = __real_mmap64(addr, len, prot, flags, fd, at);
	if (addr == MAP_FAILED || fd < 0 || !is_object(fd, &info))
		return addr;
	mapping = &mappings[next++ % ARRAY_SIZE(mappings)];
	unmap(mapping);
	*mapping = (struct mapping){ addr, len };
	return addr;
}

int __wrap_munmap(void *addr, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(mappings); i++)
		if (mappings[i].addr == addr)
			mappings[i].addr = NULL;
	return __real_munmap(addr, len);
}

void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t at)
	__attribute__((alias("__wrap_mmap64")));

/* What it has is to be found in the file below, by the next object. */
static int new_object(int lower)
{
	struct pinseal_attach attach = { .fd = lower };

	for (size_t i = 0; i < ARRAY_SIZE(mappings); i++)
		unmap(&mappings[i]);
	if (object >= 0 && (fsync(object) || close(object)))
		return -1;
	object = __real_open64("/dev/pinseal", O_RDWR | O_CLOEXEC);
	return object < 0 ? -1 : ioctl(object, PINSEAL_IOC_ATTACH, &attach);
}

int __wrap_open64(const char *path, int flags, ...)
{
	const char *lower = getenv("PINSEAL_FSX_LOWER");
	va_list args;
	int mode;

	va_start(args, flags);
	mode = va_arg(args, int);
	va_end(args);
	if (!lower || strcmp(path, NAME))
		return __real_open64(path, flags, mode);
	if (new_object(atoi(lower)) || (flags & O_TRUNC && __wrap_ftruncate64(object, 0)))
		return -1;
	return fcntl(object, F_DUPFD_CLOEXEC, 0);
}

__attribute__((destructor)) static void end(void)
{
	static const char message[] = "the object cannot be read, or synced, in the end\n";
	const char *path = getenv("PINSEAL_FSX_END");
	char buf[65536];
	ssize_t len;
	off_t at;
	int fd;

	if (object < 0 || !path)
		return;
	fd = __real_open64(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	for (at = 0; (len = pread(object, buf, sizeof(buf), at)) > 0; at += len)
		if (pwrite(fd, buf, len, at) != len)
			break;
	if (len || fsync(object)) {
		/* Of the C library, there is what Rust's own needs. */
		(void)!write(STDERR_FILENO, message, sizeof(message) - 1);
		_exit(1);
	}
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

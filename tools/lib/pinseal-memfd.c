// SPDX-License-Identifier: GPL-2.0-only
/*
 * libpinseal-memfd.so: programs that know only memfd, on objects of pinseal.
 *
 *	LD_PRELOAD=/path/to/libpinseal-memfd.so program
 *
 * memfd_create() makes a memfd and imports it into an object (PINSEAL_IOC_IMPORT), whose
 * descriptor it returns. So names, modes, the sysctl vm.memfd_noexec and errors are the
 * kernel's. Calls that a device does not have are translated: ftruncate() and fallocate(),
 * F_ADD_SEALS and F_GET_SEALS, fstat() and fchmod(), and opening /proc/self/fd/N.
 *
 * The library has no state: the device number identifies descriptors of objects. They may be
 * duplicated, passed and inherited; threads and children need no care.
 *
 * Differences: a descriptor opened for reading cannot be reopened for writing, none can be
 * opened for writing only, and memfds in hugetlbfs stay memfds.
 *
 *	PINSEAL_TIMEOUT_MS=N	the timeout of F_ADD_SEALS (0: no wait; unset: as memfd)
 *	PINSEAL_ISOLATE=1	replace pages still pinned at the timeout by copies
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/pinseal.h>

#define DEVICE	"/dev/pinseal"

#ifndef F_ADD_SEALS
#define F_ADD_SEALS	(1024 + 9)
#define F_GET_SEALS	(1024 + 10)
#endif
#ifndef F_SEAL_SEAL
#define F_SEAL_SEAL	0x0001
#endif
#ifndef MFD_CLOEXEC
#define MFD_CLOEXEC	0x0001U
#define MFD_ALLOW_SEALING 0x0002U
#define MFD_HUGETLB	0x0004U
#endif

#define EXPORTED __attribute__((visibility("default")))

/* The function that the program would call without this library. */
#define NEXT(name)								\
	static __typeof__(&name) next;						\
										\
	if (!next)								\
		next = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

/* A system call that is not translated. */
#define RAW(...) ((long (*)(long, ...))dlsym(RTLD_NEXT, "syscall"))(__VA_ARGS__)

static int real_fstat(int fd, struct stat *st)
{
	NEXT(fstat);
	return next(fd, st);
}

static int real_fcntl(int fd, int cmd, unsigned long arg)
{
	return RAW(SYS_fcntl, fd, cmd, arg);
}

/* Whether a descriptor is one of /dev/pinseal. Keeps errno. */
static bool is_object(int fd)
{
	struct stat st, device;
	int error = errno;
	bool is = !real_fstat(fd, &st) && S_ISCHR(st.st_mode) && !stat(DEVICE, &device) &&
		  st.st_rdev == device.st_rdev;

	errno = error;
	return is;
}

static int export_memory(int fd)
{
	struct pinseal_export arg = { 0 };

	return ioctl(fd, PINSEAL_IOC_EXPORT, &arg);
}

/* close() that keeps errno. */
static void close_quietly(int fd)
{
	int error = errno;

	close(fd);
	errno = error;
}

/* Making objects */

static int add_seals(int fd, unsigned int seals)
{
	struct pinseal_seal arg = { .seals = seals };
	const char *ms = getenv("PINSEAL_TIMEOUT_MS"), *isolate = getenv("PINSEAL_ISOLATE");

	if (ms)
		arg.timeout_ns = strtoull(ms, NULL, 10) * 1000000;
	/* To the kernel, 0 means the default. */
	if (ms && !arg.timeout_ns)
		arg.flags |= PINSEAL_SEAL_NOWAIT;
	if (isolate && !strcmp(isolate, "1"))
		arg.flags |= PINSEAL_SEAL_ISOLATE;
	return ioctl(fd, PINSEAL_IOC_SEAL, &arg);
}

static int get_seals(int fd)
{
	uint32_t seals;

	if (ioctl(fd, PINSEAL_IOC_GET_SEALS, &seals))
		return -1;
	return seals & ~PINSEAL_F_SEAL_FUTURE_EXEC;
}

/* An object whose memory is @memfd, or -1. */
static int object_of(int memfd)
{
	struct pinseal_import arg = { .fd = memfd };
	int fd = RAW(SYS_openat, AT_FDCWD, DEVICE, O_RDWR | O_CLOEXEC, 0);

	if (fd < 0) {
		fprintf(stderr, "libpinseal-memfd: " DEVICE ": %s; is the module loaded?\n",
			strerror(errno));
		return -1;
	}
	if (ioctl(fd, PINSEAL_IOC_IMPORT, &arg)) {
		close_quietly(fd);
		return -1;
	}
	return fd;
}

EXPORTED int memfd_create(const char *name, unsigned int flags)
{
	int memfd = RAW(SYS_memfd_create, name, flags), fd, seals;

	if (memfd < 0 || flags & MFD_HUGETLB)
		return memfd;
	seals = real_fcntl(memfd, F_GET_SEALS, 0);
	if (seals & F_SEAL_SEAL) {
		/* The object must not be sealable either. */
		close_quietly(memfd);
		memfd = RAW(SYS_memfd_create, name, flags | MFD_ALLOW_SEALING);
		if (memfd < 0)
			return -1;
	}
	fd = object_of(memfd);
	close_quietly(memfd);
	if (fd < 0)
		return -1;
	if ((seals & F_SEAL_SEAL && add_seals(fd, F_SEAL_SEAL)) ||
	    (!(flags & MFD_CLOEXEC) && real_fcntl(fd, F_SETFD, 0))) {
		close_quietly(fd);
		return -1;
	}
	return fd;
}

/* For programs older than memfd_create() in the C library. */
EXPORTED long syscall(long number, ...)
{
	long arg[6];
	va_list ap;

	va_start(ap, number);
	for (int i = 0; i < 6; i++)
		arg[i] = va_arg(ap, long);
	va_end(ap);
	if (number == SYS_memfd_create)
		return memfd_create((const char *)arg[0], arg[1]);
	return RAW(number, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
}

/* Seals */

static int fcntl_somehow(int fd, int cmd, unsigned long arg)
{
	if ((cmd == F_ADD_SEALS || cmd == F_GET_SEALS) && is_object(fd))
		return cmd == F_ADD_SEALS ? add_seals(fd, arg) : get_seals(fd);
	return real_fcntl(fd, cmd, arg);
}

#define FCNTL(name)								\
EXPORTED int name(int fd, int cmd, ...)						\
{										\
	unsigned long arg;							\
	va_list ap;								\
										\
	va_start(ap, cmd);							\
	arg = va_arg(ap, unsigned long);					\
	va_end(ap);								\
	return fcntl_somehow(fd, cmd, arg);					\
}

FCNTL(fcntl)
FCNTL(fcntl64)

/* Size */

static int resize(int fd, off_t size)
{
	struct pinseal_resize arg = { .size = size };

	return ioctl(fd, PINSEAL_IOC_RESIZE, &arg);
}

#define FTRUNCATE(name)								\
EXPORTED int name(int fd, off_t size)						\
{										\
	NEXT(name);								\
	return is_object(fd) ? resize(fd, size) : next(fd, size);		\
}

FTRUNCATE(ftruncate)
FTRUNCATE(ftruncate64)

static int allocate(int fd, int mode, off_t offset, off_t len)
{
	struct pinseal_fallocate arg = { .mode = mode, .offset = offset, .len = len };

	return ioctl(fd, PINSEAL_IOC_FALLOCATE, &arg);
}

#define FALLOCATE(name)								\
EXPORTED int name(int fd, int mode, off_t offset, off_t len)			\
{										\
	NEXT(name);								\
	return is_object(fd) ? allocate(fd, mode, offset, len)			\
			     : next(fd, mode, offset, len);			\
}

FALLOCATE(fallocate)
FALLOCATE(fallocate64)

/* This one returns the error. */
#define POSIX_FALLOCATE(name)							\
EXPORTED int name(int fd, off_t offset, off_t len)				\
{										\
	int before = errno, error;						\
										\
	NEXT(name);								\
	if (!is_object(fd))							\
		return next(fd, offset, len);					\
	error = allocate(fd, 0, offset, len) ? errno : 0;			\
	errno = before;								\
	return error;								\
}

POSIX_FALLOCATE(posix_fallocate)
POSIX_FALLOCATE(posix_fallocate64)

/* The inode: that of the memory, not that of the device */

/*
 * Runs @call with `at`, the memory of the object @fd, or @fd itself if it is no object, or one
 * that cannot be exported because it is open for reading.
 */
#define ON_MEMORY(fd, call) ({							\
	int __memory = is_object(fd) ? export_memory(fd) : -1;			\
	int at = __memory < 0 ? (fd) : __memory;				\
	__typeof__(call) __ret = (call);					\
										\
	if (__memory >= 0)							\
		close_quietly(__memory);					\
	__ret;									\
})

/* The size of an object that cannot be exported, or -1. */
static off_t size_of_device(int fd)
{
	struct pinseal_info info;

	return ioctl(fd, PINSEAL_IOC_INFO, &info) ? -1 : (off_t)info.size;
}

/* Turns the device in a result of fstat() into a read-only file. */
#define AS_READ_ONLY_FILE(fd, st) do {						\
	if (S_ISCHR((st)->st_mode) && is_object(fd)) {				\
		(st)->st_mode = S_IFREG | 0444;					\
		(st)->st_rdev = 0;						\
		(st)->st_size = size_of_device(fd);				\
	}									\
} while (0)

EXPORTED int fstat(int fd, struct stat *st)
{
	int ret = ON_MEMORY(fd, real_fstat(at, st));

	if (!ret)
		AS_READ_ONLY_FILE(fd, st);
	return ret;
}

EXPORTED int fstat64(int fd, struct stat64 *st)
{
	int ret;

	NEXT(fstat64);
	ret = ON_MEMORY(fd, next(at, st));
	if (!ret)
		AS_READ_ONLY_FILE(fd, st);
	return ret;
}

#define NOTHING_BUT_FD(path, flags) ((flags) & AT_EMPTY_PATH && !*(path))

EXPORTED int fstatat(int dir, const char *path, struct stat *st, int flags)
{
	NEXT(fstatat);
	if (!NOTHING_BUT_FD(path, flags))
		return next(dir, path, st, flags);
	return ON_MEMORY(dir, next(at, path, st, flags));
}

EXPORTED int fstatat64(int dir, const char *path, struct stat64 *st, int flags)
{
	NEXT(fstatat64);
	if (!NOTHING_BUT_FD(path, flags))
		return next(dir, path, st, flags);
	return ON_MEMORY(dir, next(at, path, st, flags));
}

EXPORTED int statx(int dir, const char *path, int flags, unsigned int mask, struct statx *st)
{
	NEXT(statx);
	if (!NOTHING_BUT_FD(path, flags))
		return next(dir, path, flags, mask, st);
	return ON_MEMORY(dir, next(at, path, flags, mask, st));
}

/*
 * The same for changes of the inode. All objects share that of the device: where the memory
 * cannot be exported, the call fails with that error.
 */
#define CHANGING_MEMORY(fd, call) ({						\
	bool __is_object = is_object(fd);					\
	int at = __is_object ? export_memory(fd) : (fd);			\
	int __ret = __is_object && at < 0 ? -1 : (call);			\
										\
	if (__is_object && at >= 0)						\
		close_quietly(at);						\
	__ret;									\
})

EXPORTED int fchmod(int fd, mode_t mode)
{
	NEXT(fchmod);
	return CHANGING_MEMORY(fd, next(at, mode));
}

EXPORTED int fchown(int fd, uid_t owner, gid_t group)
{
	NEXT(fchown);
	return CHANGING_MEMORY(fd, next(at, owner, group));
}

/* Reopening */

/* The descriptor of this process that @path names through /proc, or -1. */
static int descriptor_in(const char *path)
{
	char *end;
	long fd;

	if (!path)
		return -1;
	if (!strncmp(path, "/proc/self/fd/", 14))
		path += 14;
	else if (!strncmp(path, "/proc/thread-self/fd/", 21))
		path += 21;
	else if (!strncmp(path, "/dev/fd/", 8))
		path += 8;
	else if (!strncmp(path, "/proc/", 6) && strtol(path + 6, &end, 10) == getpid() &&
		 !strncmp(end, "/fd/", 4))
		path = end + 4;
	else
		return -1;
	if (*path < '0' || *path > '9')
		return -1;
	fd = strtol(path, &end, 10);
	return *end || fd > 1 << 30 ? -1 : fd;
}

/* open() of the descriptor of an object in /proc. */
static int reopen(int fd, int flags)
{
	struct pinseal_reopen arg = { .flags = flags & O_ACCMODE };
	int new;

	if (flags & O_EXCL && flags & O_CREAT) {
		errno = EEXIST;
		return -1;
	}
	new = ioctl(fd, PINSEAL_IOC_REOPEN, &arg);
	if (new < 0)
		return -1;
	if ((flags & O_TRUNC && (flags & O_ACCMODE) != O_RDONLY && resize(new, 0)) ||
	    (!(flags & O_CLOEXEC) && real_fcntl(new, F_SETFD, 0)) ||
	    real_fcntl(new, F_SETFL, flags & (O_APPEND | O_NONBLOCK))) {
		close_quietly(new);
		return -1;
	}
	return new;
}

#define MODE(flags) ({								\
	mode_t __mode = 0;							\
										\
	if ((flags) & (O_CREAT | __O_TMPFILE)) {				\
		va_list ap;							\
										\
		va_start(ap, flags);						\
		__mode = va_arg(ap, mode_t);					\
		va_end(ap);							\
	}									\
	__mode;									\
})

#define OPEN(name)								\
EXPORTED int name(const char *path, int flags, ...)				\
{										\
	mode_t mode = MODE(flags);						\
	int fd = descriptor_in(path);				\
										\
	NEXT(name);								\
	if (fd >= 0 && !(flags & O_PATH) && is_object(fd))			\
		return reopen(fd, flags);					\
	return next(path, flags, mode);						\
}

OPEN(open)
OPEN(open64)

#define OPENAT(name)								\
EXPORTED int name(int dir, const char *path, int flags, ...)			\
{										\
	mode_t mode = MODE(flags);						\
	int fd = descriptor_in(path);				\
										\
	NEXT(name);								\
	if (fd >= 0 && !(flags & O_PATH) && is_object(fd))			\
		return reopen(fd, flags);					\
	return next(dir, path, flags, mode);					\
}

OPENAT(openat)
OPENAT(openat64)

/* The same with _FORTIFY_SOURCE. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dir, const char *path, int flags);
int __openat64_2(int dir, const char *path, int flags);

EXPORTED int __open_2(const char *path, int flags)
{
	return open(path, flags);
}

EXPORTED int __open64_2(const char *path, int flags)
{
	return open64(path, flags);
}

EXPORTED int __openat_2(int dir, const char *path, int flags)
{
	return openat(dir, path, flags);
}

EXPORTED int __openat64_2(int dir, const char *path, int flags)
{
	return openat64(dir, path, flags);
}

// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * libpinseal-memfd.so: programs that know only memfd, on objects of pinseal.
 *
 *	LD_PRELOAD=/path/to/libpinseal-memfd.so program
 *
 * memfd_create() returns an object (PINSEAL_IOC_CREATE), and F_ADD_SEALS seals it with
 * PINSEAL_IOC_SEAL. To the kernel the object is a memfd, so nothing else is translated.
 *
 * The library has no state: a descriptor of an object answers to the commands of pinseal. It may
 * be duplicated, passed and inherited; threads and children need no care.
 *
 * A memfd stays a memfd in hugetlbfs (MFD_HUGETLB), and where there is no device, or one without
 * PINSEAL_IOC_CREATE. One that is opened by /proc/self/fd is sealed by the kernel. The name of an
 * object has at most 63 bytes, and '?' for what is not text. Making it takes a second descriptor
 * for a moment.
 *
 *	PINSEAL_TIMEOUT_MS=N	the timeout of F_ADD_SEALS (0: no wait; unset: as memfd)
 *	PINSEAL_ISOLATE=1	replace pages still pinned at the timeout by copies
 *	PINSEAL_MEMFD_VERBOSE=1	say, once, that memfds are no objects for want of a device
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
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
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL	0x0008U
#define MFD_EXEC	0x0010U
#endif

/* Huge pages of 2^63 bytes, which no kernel has. */
#define NO_HUGE_PAGES	(MFD_HUGETLB | 63U << 26)

#define EXPORTED __attribute__((visibility("default")))

/* The function that the program would call without this library. */
#define NEXT(name) ({								\
	static __typeof__(&name) __next;					\
										\
	if (!__next)								\
		__next = (__typeof__(&name))dlsym(RTLD_NEXT, #name);		\
	__next;									\
})

/* A system call that is not translated, and no cancellation point, as memfd_create() is none. */
#define RAW(...)	(NEXT(syscall)(__VA_ARGS__))

static bool is_set(const char *variable)
{
	const char *value = getenv(variable);

	return value && !strcmp(value, "1");
}

/* close() that keeps errno. */
static void close_quietly(int fd)
{
	int error = errno;

	RAW(SYS_close, fd);
	errno = error;
}

/* Making objects */

/*
 * Whether memfd_create() accepts the arguments; if not, errno is its error. The kernel checks
 * them before it looks for a page size.
 */
static bool are_accepted(const char *name, unsigned int flags)
{
	int fd = RAW(SYS_memfd_create, name, flags | NO_HUGE_PAGES);

	if (fd >= 0)
		close_quietly(fd);
	/* The latter without hugetlbfs. */
	return fd >= 0 || errno == ENODEV || errno == ENOSYS;
}

/* Copies as much of a memfd's name as fits, without a part of a character. */
static void copy_name(char *to, const char *name)
{
	size_t len = strnlen(name, PINSEAL_NAME_MAX);

	if (len == PINSEAL_NAME_MAX)
		for (len--; len && (name[len] & 0xc0) == 0x80; len--)
			;
	memcpy(to, name, len);
}

/* Replaces what an object's name must not have, and characters that it may. */
static void make_printable(char *name)
{
	for (; *name; name++)
		if (*name < ' ' || *name > '~')
			*name = '?';
}

/* PINSEAL_IOC_CREATE with the arguments of memfd_create(). */
static int create_object(int device, const char *name, unsigned int flags)
{
	struct pinseal_create arg = {
		.flags = (flags & MFD_ALLOW_SEALING ? PINSEAL_CREATE_ALLOW_SEALING : 0) |
			 (flags & MFD_EXEC ? PINSEAL_CREATE_EXEC : 0) |
			 (flags & MFD_NOEXEC_SEAL ? PINSEAL_CREATE_NOEXEC_SEAL : 0),
	};
	int fd;

	copy_name(arg.name, name);
	fd = ioctl(device, PINSEAL_IOC_CREATE, &arg);
	if (fd < 0 && errno == EINVAL) {
		make_printable(arg.name);
		fd = ioctl(device, PINSEAL_IOC_CREATE, &arg);
	}
	return fd;
}

/* Makes a memfd because there is no device, which errno tells. */
static int create_memfd(const char *name, unsigned int flags)
{
	static bool told;

	if (is_set("PINSEAL_MEMFD_VERBOSE") && !__atomic_exchange_n(&told, true, __ATOMIC_RELAXED))
		fprintf(stderr, "libpinseal-memfd: " DEVICE ": %s; using memfds\n",
			strerror(errno));
	return RAW(SYS_memfd_create, name, flags);
}

static int create(const char *name, unsigned int flags)
{
	int device, fd;

	if (flags & ~(MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL | MFD_EXEC))
		return RAW(SYS_memfd_create, name, flags);
	device = RAW(SYS_openat, AT_FDCWD, DEVICE, O_RDONLY | O_CLOEXEC, 0);
	if (device < 0) {
		/* These are errors of memfd_create(), too. */
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
			return -1;
		return create_memfd(name, flags);
	}
	if (!are_accepted(name, flags)) {
		close_quietly(device);
		return -1;
	}
	fd = create_object(device, name, flags);
	if (fd < 0) {
		close_quietly(device);
		return errno == ENOTTY ? create_memfd(name, flags) : -1;
	}
	/* A new descriptor has the lowest number that is free, which is the device's. */
	RAW(SYS_dup3, fd, device, flags & MFD_CLOEXEC ? O_CLOEXEC : 0);
	close_quietly(fd);
	return device;
}

EXPORTED int memfd_create(const char *name, unsigned int flags)
{
	return create(name, flags);
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
		return create((const char *)arg[0], arg[1]);
	return RAW(number, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
}

/* Seals */

/* Whether the seals may be added to a file, as the kernel sees it. Keeps errno. */
static bool may_seal(int fd, unsigned int seals)
{
	int error = errno, present = RAW(SYS_fcntl, fd, F_GET_SEALS, 0);

	errno = error;
	return present >= 0 && !(present & F_SEAL_SEAL) && !(seals & PINSEAL_F_SEAL_FUTURE_EXEC);
}

/* PINSEAL_IOC_SEAL. F_ADD_SEALS knows no EINTR: after a signal, the wait goes on to its end. */
static int add_seals(int fd, unsigned int seals)
{
	struct pinseal_seal arg = { .seals = seals };
	const char *ms = getenv("PINSEAL_TIMEOUT_MS");
	int ret;

	if (ms)
		arg.timeout_ns = strtoull(ms, NULL, 10) * 1000000;
	/* To the kernel, 0 means the default. */
	if (ms && !arg.timeout_ns)
		arg.flags |= PINSEAL_SEAL_NOWAIT;
	if (is_set("PINSEAL_ISOLATE"))
		arg.flags |= PINSEAL_SEAL_ISOLATE;
	do
		ret = ioctl(fd, PINSEAL_IOC_SEAL, &arg);
	while (ret && errno == EINTR);
	return ret;
}

#define FCNTL(name)								\
EXPORTED int name(int fd, int cmd, ...)						\
{										\
	unsigned long arg;							\
	va_list ap;								\
	int ret;								\
										\
	va_start(ap, cmd);							\
	arg = va_arg(ap, unsigned long);					\
	va_end(ap);								\
	if (cmd == F_ADD_SEALS && may_seal(fd, arg)) {				\
		ret = add_seals(fd, arg);					\
		if (!ret || errno != ENOTTY)					\
			return ret;						\
	}									\
	return NEXT(name)(fd, cmd, arg);					\
}

FCNTL(fcntl)
FCNTL(fcntl64)

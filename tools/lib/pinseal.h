/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * /dev/pinseal for C (C99) and C++ (C++11): shared memory that can be sealed safely while its pages are
 * pinned. <linux/pinseal.h> specifies what the commands do; this header calls them in C's manner, reports why
 * a seal failed in words, and seals memfds also where the kernel has no pinseal.
 *
 *	cc $(pkg-config --cflags pinseal) program.c
 *
 * There is nothing to link: every function is static inline. For all of them:
 *
 * - The result is 0, or what the comment says, or a negative errno. errno itself is left undefined. Nothing is
 *   printed. Errors besides those in a comment are those of the command in <linux/pinseal.h>.
 * - Times are in nanoseconds (@timeout_ns, @grace_ns), and a @timeout_ns of 0 stands for the default of the
 *   kernel, 150 ms. Those of the functions named _poll are in milliseconds as poll()'s are, -1 for no limit.
 * - Pages are those of sysconf(_SC_PAGESIZE), counted from the beginning of the object.
 * - A returned descriptor has FD_CLOEXEC. It is the caller's; close() ends what it stands for.
 *
 * A strict -std=c99 hides O_CLOEXEC and clock_gettime(): it needs -D_POSIX_C_SOURCE=200809L, or -D_GNU_SOURCE.
 */
#ifndef PINSEAL_H
#define PINSEAL_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <linux/falloc.h>
#include <linux/pinseal.h>

#ifndef O_CLOEXEC
#error "with -std=c99, pinseal.h needs -D_POSIX_C_SOURCE=200809L or -D_GNU_SOURCE"
#endif

/* Functions have the names of structs, as stat() has. C++ tells that it then needs the word struct. */
#ifdef __cplusplus
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#endif

#define PINSEAL_DEVICE	"/dev/pinseal"

/* <fcntl.h> has the seals with _GNU_SOURCE, and older ones have not all. */
#ifndef F_SEAL_SEAL
#define F_SEAL_SEAL	0x0001
#define F_SEAL_SHRINK	0x0002
#define F_SEAL_GROW	0x0004
#define F_SEAL_WRITE	0x0008
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC	0x0020
#endif

/**
 * pinseal_ioctl() - ioctl() whose error is its result
 * @fd: a descriptor
 * @command: PINSEAL_IOC_* or PINSEAL_PIN_IOC_*
 * @arg: its struct
 *
 * For what has no function here.
 *
 * Return: the result, or a negative errno; ENOTTY if @fd is not of pinseal.
 */
static inline int pinseal_ioctl(int fd, unsigned long command, void *arg)
{
	int ret = ioctl(fd, command, arg);

	return ret < 0 ? -errno : ret;
}

/* What poll() reports of a descriptor: POLLPRI, POLLHUP and POLLERR, or a negative errno. */
static inline int pinseal_poll(int fd, int timeout_ms)
{
	struct pollfd ready;

	/* To poll() that means none. */
	if (fd < 0)
		return -EBADF;
	ready.fd = fd;
	ready.events = POLLPRI;
	ready.revents = 0;
	if (poll(&ready, 1, timeout_ms) < 0)
		return -errno;
	return ready.revents & POLLNVAL ? -EBADF : ready.revents;
}

/*
 * Objects
 */

/**
 * pinseal_open() - a new object of /dev/pinseal, empty and without a name
 * @flags: O_RDWR, O_RDONLY or O_WRONLY, and perhaps O_NONBLOCK
 *
 * Return: a descriptor, or a negative errno; ENOENT where the module is not loaded, EACCES where the caller may
 * not open the device.
 */
static inline int pinseal_open(int flags)
{
	int fd = open(PINSEAL_DEVICE, flags | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* Copies a name with its NUL. It has the room of PINSEAL_NAME_MAX bytes, which are zero. */
static inline int pinseal_copy_name(char *to, const char *name)
{
	size_t len = strlen(name);

	if (len >= PINSEAL_NAME_MAX)
		return -EINVAL;
	memcpy(to, name, len);
	return 0;
}

/**
 * pinseal_create_by() - a new object that is a memfd, without opening the device
 * @fd: any descriptor of any object; a sandboxed program that has one can make more
 * @name: as shown in /proc/PID/maps, UTF-8, at most 63 bytes; may be empty
 * @flags: PINSEAL_CREATE_*, the flags of memfd_create()
 *
 * Return: a descriptor for reading and writing, or a negative errno; EINVAL also for a name that is too long.
 */
static inline int pinseal_create_by(int fd, const char *name, uint32_t flags)
{
	struct pinseal_create arg;
	int ret;

	memset(&arg, 0, sizeof(arg));
	arg.flags = flags;
	ret = pinseal_copy_name(arg.name, name);
	return ret ? ret : pinseal_ioctl(fd, PINSEAL_IOC_CREATE, &arg);
}

/**
 * pinseal_create() - a new object that is a memfd to every program and to the kernel
 * @name: as shown in /proc/PID/maps, UTF-8, at most 63 bytes; may be empty
 * @flags: PINSEAL_CREATE_*, the flags of memfd_create()
 *
 * The counterpart of memfd_create(): ftruncate(), fallocate() and all other calls work on it as well.
 *
 * Return: a descriptor for reading and writing, or a negative errno; those of pinseal_open(), and EINVAL also
 * for a name that is too long.
 */
static inline int pinseal_create(const char *name, uint32_t flags)
{
	int device = pinseal_open(O_RDONLY), fd;

	if (device < 0)
		return device;
	fd = pinseal_create_by(device, name, flags);
	close(device);
	return fd;
}

/**
 * pinseal_set_name() - name an object of pinseal_open() that was not used yet
 * @fd: the object, open for writing
 * @name: as shown in /proc/PID/maps and fdinfo, UTF-8, at most 63 bytes
 *
 * Return: 0, or a negative errno; EINVAL also for a name that is too long.
 */
static inline int pinseal_set_name(int fd, const char *name)
{
	struct pinseal_name arg;
	int ret;

	memset(&arg, 0, sizeof(arg));
	ret = pinseal_copy_name(arg.name, name);
	return ret ? ret : pinseal_ioctl(fd, PINSEAL_IOC_SET_NAME, &arg);
}

/* A new object of the device to which @command was applied, which lends it memory. */
static inline int pinseal_open_over(int flags, unsigned long command, void *arg)
{
	int fd = pinseal_open(flags), ret;

	if (fd < 0)
		return fd;
	ret = pinseal_ioctl(fd, command, arg);
	if (!ret)
		return fd;
	close(fd);
	return ret;
}

/**
 * pinseal_import() - a new object whose memory is that of a memfd
 * @memfd: open for reading and writing, made with MFD_ALLOW_SEALING; it stays open
 *
 * Sealing the object seals the memfd, by whatever descriptors others have it.
 *
 * Return: a descriptor for reading and writing, or a negative errno; those of pinseal_open(), and EPERM if the
 * memfd cannot be sealed.
 */
static inline int pinseal_import(int memfd)
{
	struct pinseal_import arg;

	memset(&arg, 0, sizeof(arg));
	arg.fd = memfd;
	return pinseal_open_over(O_RDWR, PINSEAL_IOC_IMPORT, &arg);
}

/**
 * pinseal_look() - a new object that tells of the memory of a memfd or tmpfs file, and does nothing to it
 * @file: open for reading; it stays open
 *
 * pinseal_info(), pinseal_size(), pinseal_get_seals() and the functions of pinned pages work on the object.
 *
 * Return: a descriptor for reading, or a negative errno; those of pinseal_open(), and EINVAL if @file is no
 * shared memory.
 */
static inline int pinseal_look(int file)
{
	struct pinseal_import arg;

	memset(&arg, 0, sizeof(arg));
	arg.fd = file;
	arg.flags = PINSEAL_IMPORT_LOOK;
	return pinseal_open_over(O_RDONLY, PINSEAL_IOC_IMPORT, &arg);
}

/**
 * pinseal_attach() - a new object that is stacked on a file: it has its size and content
 * @lower: the file, open for reading and, without PINSEAL_ATTACH_RDONLY, for writing; it stays open
 * @flags: PINSEAL_ATTACH_*
 *
 * fsync() and msync(MS_SYNC) write what has changed to the file; nothing else does.
 *
 * Return: a descriptor for reading and writing, or a negative errno; those of pinseal_open(), and EOPNOTSUPP
 * for a file system that does not do.
 */
static inline int pinseal_attach(int lower, uint32_t flags)
{
	struct pinseal_attach arg;

	memset(&arg, 0, sizeof(arg));
	arg.fd = lower;
	arg.flags = flags;
	return pinseal_open_over(O_RDWR, PINSEAL_IOC_ATTACH, &arg);
}

/**
 * pinseal_export() - a memfd of the object's memory, for programs that know only memfd
 * @fd: the object, open for reading and writing
 * @flags: 0 or PINSEAL_EXPORT_RDONLY
 *
 * Return: a descriptor, or a negative errno.
 */
static inline int pinseal_export(int fd, uint32_t flags)
{
	struct pinseal_export arg;

	memset(&arg, 0, sizeof(arg));
	arg.flags = flags;
	return pinseal_ioctl(fd, PINSEAL_IOC_EXPORT, &arg);
}

/**
 * pinseal_reopen() - another descriptor of the object, with its own position
 * @fd: the object
 * @flags: O_RDWR, or O_RDONLY for a program that must not write
 *
 * Return: a descriptor, or a negative errno; EPERM if @fd does not have that access.
 */
static inline int pinseal_reopen(int fd, int flags)
{
	struct pinseal_reopen arg;

	memset(&arg, 0, sizeof(arg));
	arg.flags = (uint32_t)flags;
	return pinseal_ioctl(fd, PINSEAL_IOC_REOPEN, &arg);
}

/**
 * pinseal_info() - what the module supports, and the object's size
 * @fd: the object
 * @info: is filled
 *
 * Return: 0, or a negative errno.
 */
static inline int pinseal_info(int fd, struct pinseal_info *info)
{
	return pinseal_ioctl(fd, PINSEAL_IOC_INFO, info);
}

/**
 * pinseal_size() - the size of the object
 * @fd: the object
 *
 * Return: bytes, or a negative errno.
 */
static inline int64_t pinseal_size(int fd)
{
	struct pinseal_info info;
	int ret = pinseal_info(fd, &info);

	return ret ? ret : (int64_t)info.size;
}

/**
 * pinseal_get_seals() - the seals that are set
 * @fd: the object
 *
 * Return: a mask of F_SEAL_* and PINSEAL_F_SEAL_FUTURE_EXEC, or a negative errno.
 */
static inline int pinseal_get_seals(int fd)
{
	__u32 seals;
	int ret = pinseal_ioctl(fd, PINSEAL_IOC_GET_SEALS, &seals);

	return ret ? ret : (int)seals;
}

/* Whether the kernel answers for a descriptor: it is a driver's, or has seals as a memfd. */
static inline int pinseal_is_kernels(int fd)
{
	/* The kernel's, which <fcntl.h> and <linux/fcntl.h> define in different words. */
	const int get_seals = 1024 + 10;
	/* Not by major(): <sys/sysmacros.h> takes that name from all programs. */
	const dev_t major_bits = ~(dev_t)0xffffffff << 12 | 0xfff00, misc = 10 << 8;
	struct stat status;

	if (fstat(fd, &status))
		return 0;
	if (S_ISCHR(status.st_mode) && (status.st_rdev & major_bits) == misc)
		return 1;
	return fcntl(fd, get_seals) >= 0;
}

/**
 * pinseal_is_object() - whether a descriptor is of an object
 * @fd: any descriptor
 *
 * The other functions believe what a descriptor answers, and a file of FUSE can answer what it likes: that it
 * is sealed, say. So ask this first about a descriptor that another program has passed, or call
 * pinseal_seal_fd().
 *
 * Return: 1, or 0 for all others, also for a plain memfd and for a number that is no descriptor.
 */
static inline int pinseal_is_object(int fd)
{
	struct pinseal_info info;

	return pinseal_is_kernels(fd) && !pinseal_info(fd, &info) && info.version == PINSEAL_VERSION;
}

/**
 * pinseal_resize() - set the object's size, as ftruncate() does
 * @fd: the object, open for writing
 * @size: in bytes
 *
 * Pages that are removed may be in use: their users keep them.
 *
 * Return: 0, or a negative errno; EPERM if a seal forbids it.
 */
static inline int pinseal_resize(int fd, uint64_t size)
{
	struct pinseal_resize arg;

	memset(&arg, 0, sizeof(arg));
	arg.size = size;
	return pinseal_ioctl(fd, PINSEAL_IOC_RESIZE, &arg);
}

/**
 * pinseal_resize_wait() - set the object's size once the pages that are removed are not in use
 * @fd: the object, open for writing
 * @size: in bytes
 * @timeout_ns: the longest wait
 * @flags: 0, or PINSEAL_RESIZE_KEEP_LEASES to wait for leases, too, instead of breaking them
 * @report: is filled, unless NULL: which pages were in use, and how long the wait took
 *
 * Return: 0, or a negative errno; EBUSY if pages were in use until the end, EINTR after a signal, with the
 * object as it was. To go on after a signal within the same bound, pass @report, which has the time waited, to
 * pinseal_ioctl() with PINSEAL_IOC_RESIZE.
 */
static inline int pinseal_resize_wait(int fd, uint64_t size, uint64_t timeout_ns, uint32_t flags,
				      struct pinseal_resize *report)
{
	struct pinseal_resize unwanted;

	if (!report)
		report = &unwanted;
	memset(report, 0, sizeof(*report));
	report->size = size;
	report->timeout_ns = timeout_ns;
	report->flags = PINSEAL_RESIZE_WAIT | flags;
	return pinseal_ioctl(fd, PINSEAL_IOC_RESIZE, report);
}

/**
 * pinseal_fallocate() - allocate memory for a range, or punch a hole, as fallocate() does
 * @fd: the object, open for writing
 * @mode: 0, FALLOC_FL_KEEP_SIZE, or that and FALLOC_FL_PUNCH_HOLE
 * @offset: of the first byte
 * @len: in bytes
 *
 * Return: 0, or a negative errno; EPERM if a seal forbids it, ENOSPC without memory.
 */
static inline int pinseal_fallocate(int fd, uint32_t mode, uint64_t offset, uint64_t len)
{
	struct pinseal_fallocate arg;

	memset(&arg, 0, sizeof(arg));
	arg.mode = mode;
	arg.offset = offset;
	arg.len = len;
	return pinseal_ioctl(fd, PINSEAL_IOC_FALLOCATE, &arg);
}

/**
 * pinseal_punch_wait() - punch a hole once the pages that are removed are not in use
 * @fd: the object, open for writing
 * @offset: of the first byte
 * @len: in bytes
 * @timeout_ns: the longest wait
 * @flags: 0, or PINSEAL_FALLOCATE_KEEP_LEASES to wait for leases, too, instead of breaking them
 * @report: is filled, unless NULL: which pages were in use, and how long the wait took
 *
 * Return: as pinseal_resize_wait(); to go on, PINSEAL_IOC_FALLOCATE.
 */
static inline int pinseal_punch_wait(int fd, uint64_t offset, uint64_t len, uint64_t timeout_ns,
				     uint32_t flags, struct pinseal_fallocate *report)
{
	struct pinseal_fallocate unwanted;

	if (!report)
		report = &unwanted;
	memset(report, 0, sizeof(*report));
	report->mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	report->offset = offset;
	report->len = len;
	report->timeout_ns = timeout_ns;
	report->flags = PINSEAL_FALLOCATE_WAIT | flags;
	return pinseal_ioctl(fd, PINSEAL_IOC_FALLOCATE, report);
}

/*
 * Seals
 */

/**
 * struct pinseal_options - how to seal
 * @timeout_ns: the longest wait in nanoseconds, 0 for the kernel's default
 * @max_scans: the most scans, 0 for no limit
 * @flags: PINSEAL_SEAL_NOWAIT, _ISOLATE, _REVOKE and _WAIT_MAPPED
 *
 * Zeroes are as good as NULL: wait as a memfd does, and change nothing of others.
 */
struct pinseal_options {
	uint64_t timeout_ns;
	uint32_t max_scans;
	uint32_t flags;
};

/**
 * enum pinseal_method - who has sealed
 * @PINSEAL_BY_MODULE: pinseal, with its promises
 * @PINSEAL_BY_FCNTL: the kernel's F_ADD_SEALS, without them
 */
enum pinseal_method {
	PINSEAL_BY_MODULE,
	PINSEAL_BY_FCNTL,
};

/**
 * struct pinseal_report - how a seal ended
 * @error: 0, or the errno that the function returned
 * @method: who was asked
 * @seal: what the module reports; its outcome is the reason of EBUSY, EINTR and ENOMEM. With
 *	%PINSEAL_BY_FCNTL there is no reason, and scans are the calls of fcntl().
 */
struct pinseal_report {
	int error;
	enum pinseal_method method;
	struct pinseal_seal seal;
};

/* A report of a seal that is to be made. */
static inline void pinseal_report_begin(struct pinseal_report *report, uint32_t seals,
					const struct pinseal_options *options)
{
	memset(report, 0, sizeof(*report));
	report->seal.seals = seals;
	report->seal.first_pinned = PINSEAL_NO_PAGE;
	if (options) {
		report->seal.timeout_ns = options->timeout_ns;
		report->seal.max_scans = options->max_scans;
		report->seal.flags = options->flags;
	}
}

/* PINSEAL_IOC_SEAL with the struct in the report. Only SEALED is a success. */
static inline int pinseal_report_call(struct pinseal_report *report, int fd)
{
	report->error = -pinseal_ioctl(fd, PINSEAL_IOC_SEAL, &report->seal);
	if (!report->error && report->seal.outcome == PINSEAL_OUTCOME_PENDING)
		report->error = EINPROGRESS;
	if (!report->error && report->seal.outcome == PINSEAL_OUTCOME_CANCELLED)
		report->error = ECANCELED;
	return -report->error;
}

/**
 * pinseal_seal() - add seals to an object
 * @fd: the object, open for writing
 * @seals: F_SEAL_* and PINSEAL_F_SEAL_FUTURE_EXEC
 * @options: bounds and means, or NULL
 * @report: is filled, unless NULL; see pinseal_explain()
 *
 * What is sealed may have holes. They are zeroes, but the first access by a mapping takes memory: without that,
 * it is SIGBUS (vm.overcommit_memory=2), or the OOM killer. pread() takes none.
 *
 * Return: 0 if the seals are set: with F_SEAL_WRITE, nothing can change the object any more. Else a negative
 * errno, with the object as it was; EBUSY for mappings and pages in use, EINTR after a signal
 * (see pinseal_seal_continue()), ENOMEM, EPERM if @fd is not open for writing or F_SEAL_SEAL is set, ENOTTY
 * if @fd is of no object.
 */
static inline int pinseal_seal(int fd, uint32_t seals, const struct pinseal_options *options,
			       struct pinseal_report *report)
{
	struct pinseal_report unwanted;

	if (!report)
		report = &unwanted;
	pinseal_report_begin(report, seals, options);
	return pinseal_report_call(report, fd);
}

/**
 * pinseal_seal_continue() - go on after a signal has ended a seal, within the same bounds
 * @fd: the object
 * @report: of the seal, which returned EINTR
 *
 * What was waited and scanned before counts.
 *
 * Return: as pinseal_seal().
 */
static inline int pinseal_seal_continue(int fd, struct pinseal_report *report)
{
	report->seal.outcome = PINSEAL_OUTCOME_SEALED;
	return pinseal_report_call(report, fd);
}

/**
 * pinseal_seal_begin() - begin to seal an object in the background
 * @fd: the object, open for writing
 * @seals: as for pinseal_seal()
 * @options: bounds and means, or NULL
 * @report: what pinseal_seal_result() and pinseal_seal_cancel() need; must not be NULL
 *
 * An object has one such seal at a time. It ends with the object's last descriptor and mapping.
 *
 * Return: 0, with EINPROGRESS in @report, or a negative errno; EALREADY if other seals are being added, or
 * their result was not taken.
 */
static inline int pinseal_seal_begin(int fd, uint32_t seals, const struct pinseal_options *options,
				     struct pinseal_report *report)
{
	int ret;

	pinseal_report_begin(report, seals, options);
	report->seal.flags |= PINSEAL_SEAL_ASYNC;
	ret = pinseal_report_call(report, fd);
	return ret == -EINPROGRESS ? 0 : ret;
}

/*
 * Whether a seal goes on in the background, or its result was not taken; a negative errno where /proc does not
 * tell.
 */
static inline int pinseal_is_sealing(int fd)
{
	int is_object = 0, is_sealing = 0;
	char line[128];
	FILE *info;

	snprintf(line, sizeof(line), "/proc/thread-self/fdinfo/%d", fd);
	info = fopen(line, "re");
	if (!info)
		return -errno;
	while (fgets(line, sizeof(line), info)) {
		is_object |= !strncmp(line, "object:", strlen("object:"));
		is_sealing |= !strncmp(line, "sealing:", strlen("sealing:"));
	}
	fclose(info);
	return is_object ? is_sealing : -ENOTTY;
}

/**
 * pinseal_seal_poll() - wait until a seal in the background has ended
 * @fd: any descriptor of the object
 * @timeout_ms: the longest wait in milliseconds, 0 to look only, -1 for no limit
 *
 * To wait for several, poll() for POLLPRI. It is not reported if another caller cancels the seal, or takes its
 * result; this function notices that within a second, by /proc.
 *
 * Return: 1 if there is a result to take, 0 if not, or a negative errno; ECANCELED if there is none and will be
 * none, EINTR after a signal, ENOMEM if there is no memory to watch the object.
 */
static inline int pinseal_seal_poll(int fd, int timeout_ms)
{
	const int most_ms = 1000;

	for (;;) {
		int sleep_ms = timeout_ms < 0 || timeout_ms > most_ms ? most_ms : timeout_ms;
		int events = pinseal_poll(fd, sleep_ms);

		if (events < 0)
			return events;
		if (events & POLLERR)
			return -ENOMEM;
		if (events || !timeout_ms)
			return events != 0;
		if (!pinseal_is_sealing(fd))
			return -ECANCELED;
		if (timeout_ms > 0)
			timeout_ms -= sleep_ms;
	}
}

/**
 * pinseal_seal_result() - take the result of a seal in the background
 * @fd: the object, open for writing
 * @report: that of pinseal_seal_begin()
 *
 * Return: as pinseal_seal(), once; EINPROGRESS while the seal goes on, with the counts so far in @report. If
 * there is none any more, this begins it anew.
 */
static inline int pinseal_seal_result(int fd, struct pinseal_report *report)
{
	return pinseal_report_call(report, fd);
}

/**
 * pinseal_seal_cancel() - cancel a seal in the background
 * @fd: the object, open for writing
 * @report: that of pinseal_seal_begin()
 *
 * Return: ECANCELED (negative) with the object as it was; or, if the seal ended first, its result as
 * pinseal_seal_result(); ENOENT if there is none.
 */
static inline int pinseal_seal_cancel(int fd, struct pinseal_report *report)
{
	report->seal.flags |= PINSEAL_SEAL_CANCEL;
	pinseal_report_call(report, fd);
	report->seal.flags &= ~PINSEAL_SEAL_CANCEL;
	return -report->error;
}

/* Nanoseconds of CLOCK_MONOTONIC. */
static inline uint64_t pinseal_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* F_ADD_SEALS again and again, within the bounds of the report. */
static inline int pinseal_report_fcntl(struct pinseal_report *report, int fd)
{
	/* The kernel's, which <fcntl.h> and <linux/fcntl.h> define in different words. */
	const int add_seals = 1024 + 9;
	struct pinseal_seal *seal = &report->seal;
	uint64_t begin = pinseal_now_ns(), timeout_ns = seal->timeout_ns;

	if (!timeout_ns)
		timeout_ns = 150 * 1000 * 1000;
	report->method = PINSEAL_BY_FCNTL;
	do {
		if (seal->scans)
			poll(NULL, 0, 1);
		seal->scans++;
		report->error = fcntl(fd, add_seals, seal->seals) ? errno : 0;
		seal->waited_ns = pinseal_now_ns() - begin;
	} while (report->error == EBUSY && !(seal->flags & PINSEAL_SEAL_NOWAIT) &&
		 seal->scans != seal->max_scans && seal->waited_ns < timeout_ns);
	return -report->error;
}

/**
 * pinseal_seal_fd() - add seals to any memfd, or object
 * @fd: open for reading and writing
 * @seals: F_SEAL_*
 * @options: bounds and means, or NULL
 * @report: is filled, unless NULL; its method tells who has sealed
 *
 * A memfd is imported for that. Where the device cannot be opened, for whatever reason but a lack of
 * descriptors or memory, or is another one, F_ADD_SEALS is tried until the bounds are reached:
 * PINSEAL_SEAL_NOWAIT means once, PINSEAL_SEAL_ISOLATE and _REVOKE nothing. Each try takes up to 150 ms, of
 * which the last may be too much. What F_ADD_SEALS seals, a pin that it missed may still change.
 *
 * Return: as pinseal_seal(), and the errors of pinseal_import(); EINVAL if @fd is no memfd. After EINTR,
 * call it again.
 */
static inline int pinseal_seal_fd(int fd, uint32_t seals, const struct pinseal_options *options,
				  struct pinseal_report *report)
{
	struct pinseal_report unwanted;
	struct pinseal_import import;
	int object;

	if (!report)
		report = &unwanted;
	if (pinseal_is_object(fd))
		return pinseal_seal(fd, seals, options, report);
	pinseal_report_begin(report, seals, options);
	object = pinseal_open(O_RDWR);
	if (object == -EMFILE || object == -ENFILE || object == -ENOMEM || object == -EINTR) {
		report->error = -object;
		return object;
	}
	if (!pinseal_is_object(object)) {
		if (object >= 0)
			close(object);
		return pinseal_report_fcntl(report, fd);
	}
	memset(&import, 0, sizeof(import));
	import.fd = fd;
	report->error = -pinseal_ioctl(object, PINSEAL_IOC_IMPORT, &import);
	if (!report->error)
		pinseal_report_call(report, object);
	close(object);
	return -report->error;
}

/*
 * What a report says
 */

/* Room for each sentence of pinseal_explain(). */
#define PINSEAL_SENTENCE	320

/* A text in the making: what snprintf() would return is its length. */
struct pinseal_text {
	char *at;
	size_t size;
	int length;
};

/* Appends to the text. */
__attribute__((format(printf, 2, 3)))
static inline void pinseal_text_add(struct pinseal_text *text, const char *format, ...)
{
	size_t used = (size_t)text->length < text->size ? (size_t)text->length : text->size;
	va_list args;

	va_start(args, format);
	text->length += vsnprintf(text->size ? text->at + used : NULL, text->size - used, format, args);
	va_end(args);
}

/* Appends a number of pages. */
static inline void pinseal_text_pages(struct pinseal_text *text, uint64_t pages, const char *one,
				      const char *more)
{
	pinseal_text_add(text, "%llu %s", (unsigned long long)pages, pages == 1 ? one : more);
}

/* Appends time and scans, if there were any. */
static inline void pinseal_text_effort(struct pinseal_text *text, const struct pinseal_seal *seal,
				       const char *scan)
{
	unsigned long long tenths = (seal->waited_ns + 50000) / 100000;

	if (seal->scans)
		pinseal_text_add(text, " after %llu.%llu ms and %u %s%s", tenths / 10, tenths % 10,
				 seal->scans, scan, seal->scans == 1 ? "" : "s");
}

/* Appends which pages are in use. */
static inline void pinseal_text_in_use(struct pinseal_text *text, const struct pinseal_seal *seal)
{
	pinseal_text_pages(text, seal->pinned_pages, "page is in use", "pages are in use");
	pinseal_text_effort(text, seal, "scan");
	if (seal->first_pinned != PINSEAL_NO_PAGE)
		pinseal_text_add(text, ", %spage %llu", seal->pinned_pages == 1 ? "" : "from ",
				 (unsigned long long)seal->first_pinned);
}

/* The pages in use. */
static inline const char *pinseal_text_them(const struct pinseal_seal *seal)
{
	return seal->pinned_pages == 1 ? "it" : "them";
}

/* Appends what was done to reach the seal. */
static inline void pinseal_text_sealed(struct pinseal_text *text, const struct pinseal_report *report)
{
	const struct pinseal_seal *seal = &report->seal;

	if (report->method == PINSEAL_BY_FCNTL) {
		pinseal_text_add(text, "sealed by F_ADD_SEALS, without pinseal,");
		pinseal_text_effort(text, seal, "call");
		return;
	}
	pinseal_text_add(text, "sealed");
	pinseal_text_effort(text, seal, "scan");
	if (seal->revoked_pages) {
		pinseal_text_add(text, ", ");
		pinseal_text_pages(text, seal->revoked_pages, "leased page was revoked",
				   "leased pages were revoked");
	}
	if (seal->isolated_pages) {
		pinseal_text_add(text, ", ");
		pinseal_text_pages(text, seal->isolated_pages, "page was replaced by a copy",
				   "pages were replaced by copies");
	}
}

/* Appends why pages in use stopped the seal, and what would help. */
static inline void pinseal_text_pinned(struct pinseal_text *text, const struct pinseal_seal *seal)
{
	if (!seal->pinned_pages) {
		pinseal_text_add(text, "a write or another sealer was under way");
		pinseal_text_effort(text, seal, "scan");
		pinseal_text_add(text, "; wait longer");
		return;
	}
	pinseal_text_in_use(text, seal);
	pinseal_text_add(text, "; have %s released, %s", pinseal_text_them(seal),
			 seal->flags & PINSEAL_SEAL_NOWAIT ? "wait" : "wait longer");
	if (!(seal->flags & PINSEAL_SEAL_REVOKE))
		pinseal_text_add(text, ", revoke leases (PINSEAL_SEAL_REVOKE)");
	if (!(seal->flags & PINSEAL_SEAL_ISOLATE))
		pinseal_text_add(text, ", or copy %s (PINSEAL_SEAL_ISOLATE)", pinseal_text_them(seal));
	else
		pinseal_text_add(text, ", or call again, because a call copies at most 1024 pages");
}

/* Appends why a shared writable mapping stopped the seal, and what would help. */
static inline void pinseal_text_mapped(struct pinseal_text *text, const struct pinseal_seal *seal)
{
	pinseal_text_add(text, "a shared mapping is writable, or can be made so");
	if (seal->flags & PINSEAL_SEAL_WAIT_MAPPED) {
		pinseal_text_add(text, ", still");
		pinseal_text_effort(text, seal, "scan");
		pinseal_text_add(text, "; unmap it, or wait longer");
	} else {
		pinseal_text_add(text, "; unmap it, or wait until it is gone (PINSEAL_SEAL_WAIT_MAPPED)");
	}
}

/* Appends the reason of EBUSY, EINTR and ENOMEM. */
static inline void pinseal_text_outcome(struct pinseal_text *text, const struct pinseal_report *report)
{
	const struct pinseal_seal *seal = &report->seal;

	switch (seal->outcome) {
	case PINSEAL_OUTCOME_WRITABLE_MAPPING:
		pinseal_text_mapped(text, seal);
		break;
	case PINSEAL_OUTCOME_PINNED:
		pinseal_text_pinned(text, seal);
		break;
	case PINSEAL_OUTCOME_INTERRUPTED:
		pinseal_text_add(text, "a signal ended the wait");
		pinseal_text_effort(text, seal, "scan");
		pinseal_text_add(text, "; seal again to go on");
		break;
	case PINSEAL_OUTCOME_NO_MEMORY:
		pinseal_text_add(text, "there is no memory for copies of pages in use, or to swap pages in; "
				       "free some, or raise the limit of the memory cgroup");
		break;
	case PINSEAL_OUTCOME_LARGE_FOLIO:
		pinseal_text_in_use(text, seal);
		pinseal_text_add(text, ", in a large folio, which cannot be replaced by a copy; have %s "
				       "released, or wait longer", pinseal_text_them(seal));
		break;
	case PINSEAL_OUTCOME_NOT_FILLED:
		pinseal_text_add(text, "the time did not suffice to read the lower file, or to write to it; "
				       "seal again to go on from there");
		break;
	default:
		pinseal_text_add(text, "%s", strerror(report->error));
		break;
	}
}

/* Appends why the seal was refused. */
static inline void pinseal_text_error(struct pinseal_text *text, const struct pinseal_report *report)
{
	if (report->error == EBUSY && report->method == PINSEAL_BY_FCNTL) {
		pinseal_text_add(text, "F_ADD_SEALS found pages in use, or a shared writable mapping, ");
		pinseal_text_add(text, "and does not say which,");
		pinseal_text_effort(text, &report->seal, "call");
		pinseal_text_add(text, "; the pinseal module would tell");
		return;
	}
	switch (report->error) {
	case EBUSY:
	case EINTR:
	case ENOMEM:
		pinseal_text_outcome(text, report);
		break;
	case EPERM:
		pinseal_text_add(text, "the descriptor is not open for writing, or the seals are final "
				       "(F_SEAL_SEAL), as those of a memfd without MFD_ALLOW_SEALING");
		break;
	case EINVAL:
		pinseal_text_add(text, "a seal or a flag is unknown (see pinseal_info()), or the descriptor is "
				       "of no shared memory");
		break;
	case ENOTTY:
		pinseal_text_add(text, "the descriptor is of no object; pinseal_seal_fd() seals any memfd");
		break;
	case EALREADY:
		pinseal_text_add(text, "other seals are being added in the background, or their result was "
				       "not taken");
		break;
	case ENOENT:
		pinseal_text_add(text, "there is no seal in the background to cancel");
		break;
	default:
		pinseal_text_add(text, "%s", strerror(report->error));
		break;
	}
}

/**
 * pinseal_explain() - what a report says, in one sentence for people
 * @text: gets the sentence, without a full stop
 * @size: room at @text; PINSEAL_SENTENCE bytes suffice
 * @report: of a seal
 *
 * It has the outcome, how many pages were in use and which is the first, how long the seal waited, and what would
 * help: "not sealed: 16 pages are in use after 50.1 ms and 219 scans, from page 100; have them released, wait
 * longer, ...".
 *
 * Return: the length of the whole sentence, as snprintf().
 */
static inline int pinseal_explain(char *text, size_t size, const struct pinseal_report *report)
{
	struct pinseal_text sentence;

	sentence.at = text;
	sentence.size = size;
	sentence.length = 0;
	if (report->error == EINPROGRESS) {
		pinseal_text_add(&sentence, "being sealed: ");
		if (report->seal.pinned_pages)
			pinseal_text_in_use(&sentence, &report->seal);
		else
			pinseal_text_add(&sentence, "it has just begun, or waits for a mapping, a write "
					 "or another sealer");
	} else if (report->error == ECANCELED) {
		pinseal_text_add(&sentence, "not sealed: cancelled");
		pinseal_text_effort(&sentence, &report->seal, "scan");
	} else if (report->error) {
		pinseal_text_add(&sentence, "not sealed: ");
		pinseal_text_error(&sentence, report);
	} else {
		pinseal_text_sealed(&sentence, report);
	}
	return sentence.length;
}

/*
 * Pins: handles that hold pages as a device does
 */

/* A pin handle of any kind. */
static inline int pinseal_pin_with(int fd, uint64_t start, uint64_t count, uint32_t flags,
				   uint64_t grace_ns, uint64_t address, uint64_t timeout_ns)
{
	struct pinseal_pin arg;

	memset(&arg, 0, sizeof(arg));
	arg.start = start;
	arg.count = count;
	arg.flags = flags;
	arg.grace_ns = grace_ns;
	arg.address = address;
	arg.timeout_ns = timeout_ns;
	return pinseal_ioctl(fd, PINSEAL_IOC_PIN, &arg);
}

/**
 * pinseal_pin() - pin pages until the handle is closed
 * @fd: the object, open for reading, and for writing without PINSEAL_PIN_READONLY
 * @start: the first page
 * @count: number of pages
 * @flags: 0 or PINSEAL_PIN_READONLY
 *
 * pread() and pwrite() on the handle access the pages. No seal for writing succeeds meanwhile.
 *
 * Return: a handle, or a negative errno; EINVAL if the object does not have the pages, EPERM if it is sealed,
 * ENOMEM also at RLIMIT_MEMLOCK.
 */
static inline int pinseal_pin(int fd, uint64_t start, uint64_t count, uint32_t flags)
{
	return pinseal_pin_with(fd, start, count, flags, 0, 0, 0);
}

/**
 * pinseal_pin_wait() - pin pages, and wait for what keeps them from being moved before (ZONE_MOVABLE, CMA)
 * @fd: as for pinseal_pin()
 * @start: the first page
 * @count: number of pages
 * @flags: 0 or PINSEAL_PIN_READONLY
 * @timeout_ns: the longest wait
 *
 * Return: as pinseal_pin(); EBUSY at the deadline, EINTR after a signal. Another call has the whole time again:
 * to go on within the same bound, use PINSEAL_IOC_PIN, which leaves what is left in its struct.
 */
static inline int pinseal_pin_wait(int fd, uint64_t start, uint64_t count, uint32_t flags,
				   uint64_t timeout_ns)
{
	return pinseal_pin_with(fd, start, count, flags | PINSEAL_PIN_WAIT, 0, 0, timeout_ns);
}

/**
 * pinseal_lease() - pin pages until the handle is closed, or a sealer revokes it
 * @fd: as for pinseal_pin()
 * @start: the first page
 * @count: number of pages
 * @flags: 0 or PINSEAL_PIN_READONLY
 * @grace_ns: how long the holder keeps the pages once a sealer asks for them
 *
 * Sealers with PINSEAL_SEAL_REVOKE ask for them, and calls that remove the pages and wait.
 *
 * Return: as pinseal_pin().
 */
static inline int pinseal_lease(int fd, uint64_t start, uint64_t count, uint32_t flags,
				uint64_t grace_ns)
{
	return pinseal_pin_with(fd, start, count, flags | PINSEAL_PIN_LEASED, grace_ns, 0, 0);
}

/**
 * pinseal_lease_info() - terms and state of a handle of any kind
 * @handle: of pinseal_lease(), pinseal_pin() or pinseal_mirror()
 * @info: is filled: its pages, its grace, whether a sealer asks for it, which, and until when
 *
 * Return: 0, or a negative errno; ENOTTY if @handle is none.
 */
static inline int pinseal_lease_info(int handle, struct pinseal_lease *info)
{
	return pinseal_ioctl(handle, PINSEAL_PIN_IOC_LEASE, info);
}

/**
 * pinseal_lease_poll() - wait until a sealer asks for a lease
 * @lease: of pinseal_lease()
 * @timeout_ms: the longest wait in milliseconds, 0 to look only, -1 for no limit
 *
 * Return: the state, &enum pinseal_lease_state: PINSEAL_LEASE_HELD if no sealer asked in that time,
 * PINSEAL_LEASE_ASKED, which close() answers, or PINSEAL_LEASE_REVOKED if the pages are lost. Or a negative
 * errno; EINTR after a signal.
 */
static inline int pinseal_lease_poll(int lease, int timeout_ms)
{
	int events = pinseal_poll(lease, timeout_ms);

	if (events < 0)
		return events;
	if (events & POLLHUP)
		return PINSEAL_LEASE_REVOKED;
	return events & POLLPRI ? PINSEAL_LEASE_ASKED : PINSEAL_LEASE_HELD;
}

/**
 * pinseal_mirror() - a handle that pins nothing, and shows what a mapping of the caller's shows
 * @fd: as for pinseal_pin()
 * @start: the first page
 * @count: number of pages
 * @flags: 0 or PINSEAL_PIN_READONLY
 * @address: where the caller has the first page mapped, shared
 *
 * It delays no sealer. pread() and pwrite() fail with EFAULT once the pages are gone from the mapping, and
 * pwrite() with EPERM once that is read-only.
 *
 * Return: a handle, or a negative errno; EFAULT if no mapping shows the pages at @address, EOPNOTSUPP if the
 * kernel has no mirrors.
 */
static inline int pinseal_mirror(int fd, uint64_t start, uint64_t count, uint32_t flags,
				 const void *address)
{
	return pinseal_pin_with(fd, start, count, flags | PINSEAL_PIN_MIRROR, 0, (uintptr_t)address, 0);
}

/*
 * Which pages are in use
 */

/**
 * pinseal_pins_count() - count pages with extra references
 * @fd: the object
 * @start: the first page
 * @count: number of pages, 0 for all from @start on
 * @totals: gets pinned_pages, and how many of these are pinned for I/O or DMA, dma_pinned_pages
 *
 * Return: 0, or a negative errno.
 */
static inline int pinseal_pins_count(int fd, uint64_t start, uint64_t count,
				     struct pinseal_pins *totals)
{
	memset(totals, 0, sizeof(*totals));
	totals->start = start;
	totals->count = count;
	return pinseal_ioctl(fd, PINSEAL_IOC_PINS, totals);
}

/* Folios that are asked for at once. */
#define PINSEAL_PINS_BATCH	32

/**
 * struct pinseal_pins_iterator - a walk over the folios with extra references
 *
 * Its fields are its own. It needs no end.
 */
struct pinseal_pins_iterator {
	int fd;
	int is_bounded, is_last;
	unsigned int at, found;
	uint64_t next, left;
	struct pinseal_page pages[PINSEAL_PINS_BATCH];
};

/**
 * pinseal_pins_begin() - begin a walk over the folios with extra references
 * @it: is filled
 * @fd: the object; must be open during the walk
 * @start: the first page
 * @count: number of pages, 0 for all from @start on
 */
static inline void pinseal_pins_begin(struct pinseal_pins_iterator *it, int fd, uint64_t start,
				      uint64_t count)
{
	memset(it, 0, sizeof(*it));
	it->fd = fd;
	it->next = start;
	it->left = count;
	it->is_bounded = count != 0;
}

/* Gets the next folios from the kernel. */
static inline int pinseal_pins_fetch(struct pinseal_pins_iterator *it)
{
	struct pinseal_pins arg;
	int ret;

	memset(&arg, 0, sizeof(arg));
	arg.start = it->next;
	arg.count = it->left;
	arg.vec = (uintptr_t)it->pages;
	arg.vec_len = PINSEAL_PINS_BATCH;
	ret = pinseal_ioctl(it->fd, PINSEAL_IOC_PINS, &arg);
	if (ret)
		return ret;
	it->at = 0;
	it->found = (unsigned int)arg.found;
	it->is_last = arg.found < PINSEAL_PINS_BATCH;
	if (it->is_bounded) {
		it->is_last |= arg.next - it->next >= it->left;
		it->left -= arg.next - it->next;
	}
	it->next = arg.next;
	return 0;
}

/**
 * pinseal_pins_next() - the next folio with extra references
 * @it: of pinseal_pins_begin()
 * @page: is filled
 *
 * What is found is how it was at some moment of the walk.
 *
 * Return: 1, 0 at the end, or a negative errno; EINVAL if the range overflows.
 */
static inline int pinseal_pins_next(struct pinseal_pins_iterator *it, struct pinseal_page *page)
{
	int ret;

	if (it->at == it->found) {
		if (it->is_last)
			return 0;
		ret = pinseal_pins_fetch(it);
		if (ret < 0)
			return ret;
		if (!it->found)
			return 0;
	}
	*page = it->pages[it->at++];
	return 1;
}

/*
 * Protections of single pages of a mapping
 */

/* PINSEAL_IOC_PROTECT of one range. */
static inline int pinseal_protect_with(int fd, void *addr, size_t len, uint64_t pgoff, int prot,
				       uint32_t flags)
{
	struct pinseal_protect arg;

	memset(&arg, 0, sizeof(arg));
	arg.addr = (uintptr_t)addr;
	arg.len = len;
	arg.pgoff = pgoff;
	arg.prot = (uint32_t)prot;
	arg.flags = flags;
	return pinseal_ioctl(fd, PINSEAL_IOC_PROTECT, &arg);
}

/**
 * pinseal_protect() - give pages of a mapping a protection, as mprotect() does, but within one VMA
 * @fd: the object
 * @addr: where the caller has its first page mapped, shared
 * @len: in bytes, whole pages
 * @prot: PROT_NONE, or PROT_READ, PROT_WRITE and PROT_EXEC, of those that the mapping has
 *
 * Return: 0, or a negative errno; ENOMEM if not all is mapped, EACCES if the mapping does not allow @prot.
 */
static inline int pinseal_protect(int fd, void *addr, size_t len, int prot)
{
	return pinseal_protect_with(fd, addr, len, 0, prot, 0);
}

/**
 * pinseal_remap() - show other pages of the object there
 * @fd: the object
 * @addr: where they are to be shown, within a shared mapping of the object
 * @len: in bytes, whole pages
 * @pgoff: the first page to show
 * @prot: as for pinseal_protect()
 *
 * Return: as pinseal_protect(); EOPNOTSUPP for one of pinseal_create(), EBUSY for one that was imported or
 * exported.
 */
static inline int pinseal_remap(int fd, void *addr, size_t len, uint64_t pgoff, int prot)
{
	return pinseal_protect_with(fd, addr, len, pgoff, prot, PINSEAL_PROTECT_REMAP);
}

/**
 * pinseal_protect_ranges() - give each range its protection in one call, all or none
 * @fd: the object
 * @ranges: with PINSEAL_PROTECT_REMAP in its flags a range is shown elsewhere, as by pinseal_remap()
 * @nr: how many, at most PINSEAL_PROTECT_MAX
 *
 * Return: 0, or a negative errno, with nothing changed; as pinseal_protect() and pinseal_remap().
 */
static inline int pinseal_protect_ranges(int fd, const struct pinseal_protect_range *ranges, size_t nr)
{
	struct pinseal_protect arg;

	memset(&arg, 0, sizeof(arg));
	arg.flags = PINSEAL_PROTECT_RANGES;
	arg.ranges = (uintptr_t)ranges;
	arg.nr = nr;
	return pinseal_ioctl(fd, PINSEAL_IOC_PROTECT, &arg);
}

/**
 * pinseal_protections() - list the ranges that have a protection of their own, or are shown elsewhere
 * @fd: the object
 * @addr: where to begin
 * @len: in bytes, whole pages
 * @ranges: gets them in ascending order
 * @nr: room at @ranges, at most PINSEAL_PROTECT_MAX; 0 to count only
 *
 * Return: how many were filled in, or with @nr 0 how many there are; or a negative errno.
 */
static inline int pinseal_protections(int fd, const void *addr, size_t len,
				      struct pinseal_protect_range *ranges, size_t nr)
{
	struct pinseal_protect arg;

	memset(&arg, 0, sizeof(arg));
	arg.addr = (uintptr_t)addr;
	arg.len = len;
	arg.flags = PINSEAL_PROTECT_QUERY;
	arg.ranges = (uintptr_t)ranges;
	arg.nr = nr;
	return pinseal_ioctl(fd, PINSEAL_IOC_PROTECT, &arg);
}

#ifdef __cplusplus
#pragma GCC diagnostic pop
#endif

#endif /* PINSEAL_H */

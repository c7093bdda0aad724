/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What every pinseal test needs: a fresh object, each command as a function
 * that returns 0 or -errno, and waiting for a condition with a bound.
 *
 * Nothing here knows about a particular test; ways to hold pages live in
 * holders.h.
 */
#ifndef PINSEAL_TEST_H
#define PINSEAL_TEST_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/pinseal.h>

#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC	0x0020
#endif

#define PINSEAL_DEV "/dev/pinseal"

#define NSEC_PER_MSEC	1000000ULL
#define NSEC_PER_SEC	1000000000ULL

/*
 * Under TCG on a busy host everything can take many times longer than on
 * hardware. Bounds on time in tests are multiplied by this; they catch hangs
 * and missed deadlines, not slowness.
 */
#define SLACK		20

static inline size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static inline uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

void sleep_ns(uint64_t ns);

/* The result of a system call: what it returned, or -errno. */
#define sys(call) ({			\
	long __sys = (long)(call);	\
					\
	__sys == -1 ? -errno : __sys;	\
})

/* ioctl() whose result is 0 or more, or -errno. */
static inline int ps_ioctl(int fd, unsigned long cmd, void *arg)
{
	int ret = ioctl(fd, cmd, arg);

	return ret < 0 ? -errno : ret;
}

/* A new empty object: its descriptor, or -errno. */
int ps_open(int flags);

int ps_resize(int fd, uint64_t size);

/* A new object of @size bytes, read-write: its descriptor, or -errno. */
int ps_create(uint64_t size);

int ps_fallocate(int fd, uint32_t mode, uint64_t offset, uint64_t len);

/* Adds seals; @arg is in and out, so that the caller can look at the report. */
int ps_seal(int fd, struct pinseal_seal *arg);

/* Adds seals without interest in the report, waiting at most 10 s for pins. */
int ps_add_seals(int fd, uint32_t seals);

/* Another descriptor of the object, O_RDONLY or O_RDWR, or -errno. */
int ps_reopen(int fd, uint32_t flags);

/* A descriptor of the object's memory, or -errno. */
int ps_export(int fd, uint32_t flags);

/* Makes a file the memory of the object @fd. */
int ps_import(int fd, int file);

/* A handle that has @count pages pinned, or -errno. */
int ps_pin(int fd, uint64_t start, uint64_t count, uint32_t flags);

/* A handle that mirrors @count pages, of which the first is mapped at @p, or -errno. */
int ps_mirror(int fd, uint64_t start, uint64_t count, uint32_t flags, const void *p);

/* A pin handle on a lease. */
int ps_lease(int fd, uint64_t start, uint64_t count, uint64_t grace_ns);

/* How a pin handle stands. */
int ps_lease_state(int pin, struct pinseal_lease *lease);

/* The seals set, or -errno. */
int ps_get_seals(int fd);

int ps_info(int fd, struct pinseal_info *info);

/* Lists folios with extra references of the whole object, from page @start. */
int ps_pins(int fd, uint64_t start, struct pinseal_page *vec,
	    uint64_t vec_len, struct pinseal_pins *arg);

int ps_set_name(int fd, const char *name);

/* Size of the object in bytes, or -errno. */
int64_t ps_size(int fd);

/* Whole object mapped, or MAP_FAILED. */
void *ps_map(int fd, size_t len, int prot, int flags);

/* Whether the first @len bytes can be mapped like this: 0, or -errno. */
int ps_try_map(int fd, size_t len, int prot, int flags);

/*
 * Reads the byte at @p, and writes it back when @write is set: 0, or the signal
 * that this raised. Not for several threads at once.
 */
int ps_touch(volatile char *p, bool write);

/*
 * fork() whose child dies with the parent, so that a failed test leaves nobody
 * behind who still holds an object.
 */
pid_t ps_fork(void);

/* Waits for a child: its exit status, or 128 + the signal that ended it. */
int ps_wait(pid_t pid);

/* Ends a child that would wait for ever, and waits until it is gone. */
void ps_kill(pid_t pid);

/* A line of /proc/meminfo, by its name without the colon, in KiB; or -1. */
long ps_meminfo_kb(const char *name);

#endif /* PINSEAL_TEST_H */

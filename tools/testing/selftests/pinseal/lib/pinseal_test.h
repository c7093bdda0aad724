/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What every test needs: new objects, each command as a function that returns 0 or -errno,
 * child processes, and bounds of time. Holders of pages: holders.h.
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
 * Under TCG on a busy host everything takes many times longer than on hardware. Upper bounds
 * of time are multiplied by this: they catch hangs, not slowness.
 */
#define SLACK		20

/* How long to wait for what must happen soon, and the bound of what must not wait. */
#define SOON_NS		(SLACK * 3 * NSEC_PER_SEC)
#define LATE_NS		SOON_NS

/* A timeout that is never reached: a call that waits for it exceeds LATE_NS. */
#define LONG_NS		(2 * LATE_NS)

/*
 * test_rounds() - the length of a test whose rounds are statistics
 * @shorter: in the suite
 * @longer: with PINSEAL_TEST_LONG=1 in the environment
 */
uint64_t test_rounds(uint64_t shorter, uint64_t longer);

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

/* The result of a system call, or -errno. */
#define sys(call) ({			\
	long __sys = (long)(call);	\
					\
	__sys == -1 ? -errno : __sys;	\
})

/* ps_ioctl() - ioctl(): 0 or more, or -errno. */
static inline int ps_ioctl(int fd, unsigned long cmd, void *arg)
{
	int ret = ioctl(fd, cmd, arg);

	return ret < 0 ? -errno : ret;
}

#ifdef __x86_64__
/* has_32_bit_calls() - whether the kernel has the entry of 32-bit programs. */
bool has_32_bit_calls(void);

/* ioctl_32() - ioctl() through the entry of 32-bit programs. */
static inline int ioctl_32(int fd, unsigned int cmd, void *arg)
{
	int ret;

	asm volatile("int $0x80"
		     : "=a" (ret)
		     : "a" (54), "b" (fd), "c" (cmd), "d" ((unsigned int)(uintptr_t)arg)
		     : "memory", "r8", "r9", "r10", "r11");
	return ret;
}
#endif

/* ps_open() - a new empty object: its descriptor, or -errno. */
int ps_open(int flags);

int ps_resize(int fd, uint64_t size);

/* ps_create() - a new object of @size bytes, read-write: its descriptor, or -errno. */
int ps_create(uint64_t size);

int ps_fallocate(int fd, uint32_t mode, uint64_t offset, uint64_t len);

/* ps_seal() - adds seals; @arg gets the report. */
int ps_seal(int fd, struct pinseal_seal *arg);

/* ps_add_seals() - adds seals, waiting at most a minute. */
int ps_add_seals(int fd, uint32_t seals);

/* ps_reopen() - another descriptor of the object, O_RDONLY or O_RDWR, or -errno. */
int ps_reopen(int fd, uint32_t flags);

/* ps_export() - a descriptor of the object's memory, or -errno. */
int ps_export(int fd, uint32_t flags);

/* ps_import() - makes @file the memory of the object @fd. */
int ps_import(int fd, int file);

/* ps_pin() - a handle that pins @count pages, or -errno. */
int ps_pin(int fd, uint64_t start, uint64_t count, uint32_t flags);

/* ps_pin_wait() - as ps_pin(), waiting at most @timeout_ns for pages that must be moved. */
int ps_pin_wait(int fd, uint64_t start, uint64_t count, uint32_t flags, uint64_t timeout_ns);

/* ps_mirror() - a handle that mirrors @count pages, the first mapped at @p, or -errno. */
int ps_mirror(int fd, uint64_t start, uint64_t count, uint32_t flags, const void *p);

/* ps_lease() - a leased pin handle, or -errno. */
int ps_lease(int fd, uint64_t start, uint64_t count, uint64_t grace_ns);

/* ps_lease_state() - terms and state of a pin handle. */
int ps_lease_state(int pin, struct pinseal_lease *lease);

/* ps_get_seals() - the seals set, or -errno. */
int ps_get_seals(int fd);

int ps_info(int fd, struct pinseal_info *info);

/* Flags of struct pinseal_page that do not tell of what the kernel does with it at the moment. */
#define LASTING_FLAGS	(PINSEAL_PAGE_LARGE | PINSEAL_PAGE_HANDLE)

/* ps_pins() - lists folios with extra references from page @start on. */
int ps_pins(int fd, uint64_t start, struct pinseal_page *vec,
	    uint64_t vec_len, struct pinseal_pins *arg);

int ps_set_name(int fd, const char *name);

/* ps_size() - the size of the object in bytes, or -errno. */
int64_t ps_size(int fd);

/* ps_map() - maps @len bytes from the start of the object, or MAP_FAILED. */
void *ps_map(int fd, size_t len, int prot, int flags);

/* ps_try_map() - whether they can be mapped so: 0, or -errno. */
int ps_try_map(int fd, size_t len, int prot, int flags);

/*
 * ps_touch() - reads the byte at @p, and writes it back with @write: 0, or the signal that
 * this raised. Not thread-safe.
 */
int ps_touch(volatile char *p, bool write);

/* path_beside() - the path of a file beside this program. */
void path_beside(char *path, size_t len, const char *name);

/* ps_fork() - fork() whose child dies with the parent: a failed test leaves no holder. */
pid_t ps_fork(void);

/* ps_wait() - waits for a child: its exit status, or 128 + the signal that ended it. */
int ps_wait(pid_t pid);

/* ps_kill() - kills a child and waits until it is gone. */
void ps_kill(pid_t pid);

/* ps_meminfo_kb() - the line @name of /proc/meminfo, in KiB, or -1. */
long ps_meminfo_kb(const char *name);

#endif /* PINSEAL_TEST_H */

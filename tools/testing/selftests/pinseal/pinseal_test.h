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

static inline void sleep_ns(uint64_t ns)
{
	struct timespec ts = { ns / NSEC_PER_SEC, ns % NSEC_PER_SEC };

	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
}

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
static inline int ps_open(int flags)
{
	int fd = open(PINSEAL_DEV, flags | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static inline int ps_resize(int fd, uint64_t size)
{
	struct pinseal_resize arg = { .size = size };

	return ps_ioctl(fd, PINSEAL_IOC_RESIZE, &arg);
}

/* A new object of @size bytes, read-write: its descriptor, or -errno. */
static inline int ps_create(uint64_t size)
{
	int fd = ps_open(O_RDWR);
	int ret;

	if (fd < 0)
		return fd;
	ret = ps_resize(fd, size);
	if (ret) {
		close(fd);
		return ret;
	}
	return fd;
}

static inline int ps_fallocate(int fd, uint32_t mode, uint64_t offset, uint64_t len)
{
	struct pinseal_fallocate arg = { .mode = mode, .offset = offset, .len = len };

	return ps_ioctl(fd, PINSEAL_IOC_FALLOCATE, &arg);
}

/* Adds seals; @arg is in and out, so that the caller can look at the report. */
static inline int ps_seal(int fd, struct pinseal_seal *arg)
{
	return ps_ioctl(fd, PINSEAL_IOC_SEAL, arg);
}

/* Adds seals without interest in the report, waiting at most 10 s for pins. */
static inline int ps_add_seals(int fd, uint32_t seals)
{
	struct pinseal_seal arg = {
		.seals = seals,
		.timeout_ns = 10 * NSEC_PER_SEC,
	};

	return ps_seal(fd, &arg);
}

/* Another descriptor of the object, O_RDONLY or O_RDWR, or -errno. */
static inline int ps_reopen(int fd, uint32_t flags)
{
	struct pinseal_reopen arg = { .flags = flags };

	return ps_ioctl(fd, PINSEAL_IOC_REOPEN, &arg);
}

/* A descriptor of the object's memory, or -errno. */
static inline int ps_export(int fd, uint32_t flags)
{
	struct pinseal_export arg = { .flags = flags };

	return ps_ioctl(fd, PINSEAL_IOC_EXPORT, &arg);
}

/* Makes a file the memory of the object @fd. */
static inline int ps_import(int fd, int file)
{
	struct pinseal_import arg = { .fd = file };

	return ps_ioctl(fd, PINSEAL_IOC_IMPORT, &arg);
}

/* A handle that has @count pages pinned, or -errno. */
static inline int ps_pin(int fd, uint64_t start, uint64_t count, uint32_t flags)
{
	struct pinseal_pin arg = { .start = start, .count = count, .flags = flags };

	return ps_ioctl(fd, PINSEAL_IOC_PIN, &arg);
}

/* A handle that mirrors @count pages, of which the first is mapped at @p, or -errno. */
static inline int ps_mirror(int fd, uint64_t start, uint64_t count, uint32_t flags, const void *p)
{
	struct pinseal_pin arg = {
		.start = start,
		.count = count,
		.flags = flags | PINSEAL_PIN_MIRROR,
		.address = (uintptr_t)p,
	};

	return ps_ioctl(fd, PINSEAL_IOC_PIN, &arg);
}

/* A pin handle on a lease. */
static inline int ps_lease(int fd, uint64_t start, uint64_t count, uint64_t grace_ns)
{
	struct pinseal_pin arg = {
		.start = start,
		.count = count,
		.grace_ns = grace_ns,
		.flags = PINSEAL_PIN_LEASED,
	};

	return ps_ioctl(fd, PINSEAL_IOC_PIN, &arg);
}

/* How a pin handle stands. */
static inline int ps_lease_state(int pin, struct pinseal_lease *lease)
{
	memset(lease, 0xcc, sizeof(*lease));
	return ps_ioctl(pin, PINSEAL_PIN_IOC_LEASE, lease);
}

/* The seals set, or -errno. */
static inline int ps_get_seals(int fd)
{
	uint32_t seals = 0xcccccccc;
	int ret = ps_ioctl(fd, PINSEAL_IOC_GET_SEALS, &seals);

	return ret < 0 ? ret : (int)seals;
}

static inline int ps_info(int fd, struct pinseal_info *info)
{
	memset(info, 0xcc, sizeof(*info));
	return ps_ioctl(fd, PINSEAL_IOC_INFO, info);
}

/* Lists folios with extra references of the whole object, from page @start. */
static inline int ps_pins(int fd, uint64_t start, struct pinseal_page *vec,
			  uint64_t vec_len, struct pinseal_pins *arg)
{
	*arg = (struct pinseal_pins){
		.start = start,
		.vec = (uintptr_t)vec,
		.vec_len = vec_len,
	};
	return ps_ioctl(fd, PINSEAL_IOC_PINS, arg);
}

static inline int ps_set_name(int fd, const char *name)
{
	struct pinseal_name arg = { 0 };

	strncpy(arg.name, name, sizeof(arg.name) - 1);
	return ps_ioctl(fd, PINSEAL_IOC_SET_NAME, &arg);
}

/* Size of the object in bytes, or -errno. */
static inline int64_t ps_size(int fd)
{
	struct pinseal_info info;
	int ret = ps_info(fd, &info);

	return ret < 0 ? ret : (int64_t)info.size;
}

/* Whole object mapped, or MAP_FAILED. */
static inline void *ps_map(int fd, size_t len, int prot, int flags)
{
	return mmap(NULL, len, prot, flags, fd, 0);
}

/* Whether the first @len bytes can be mapped like this: 0, or -errno. */
static inline int ps_try_map(int fd, size_t len, int prot, int flags)
{
	void *p = ps_map(fd, len, prot, flags);

	if (p == MAP_FAILED)
		return -errno;
	munmap(p, len);
	return 0;
}

static sigjmp_buf ps_touch_env;

static inline void ps_touch_handler(int sig)
{
	siglongjmp(ps_touch_env, sig);
}

/*
 * Reads the byte at @p, and writes it back when @write is set: 0, or the signal
 * that this raised. Not for several threads at once.
 */
static inline int ps_touch(volatile char *p, bool write)
{
	struct sigaction sa = { .sa_handler = ps_touch_handler };
	struct sigaction old_segv, old_bus;
	int sig;

	sigaction(SIGSEGV, &sa, &old_segv);
	sigaction(SIGBUS, &sa, &old_bus);
	sig = sigsetjmp(ps_touch_env, 1);
	if (!sig) {
		char c = *p;

		if (write)
			*p = c;
	}
	sigaction(SIGSEGV, &old_segv, NULL);
	sigaction(SIGBUS, &old_bus, NULL);
	return sig;
}

/*
 * fork() whose child dies with the parent, so that a failed test leaves nobody
 * behind who still holds an object.
 */
static inline pid_t ps_fork(void)
{
	pid_t pid = fork();

	if (!pid)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

/* Waits for a child: its exit status, or 128 + the signal that ended it. */
static inline int ps_wait(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Ends a child that would wait for ever, and waits until it is gone. */
static inline void ps_kill(pid_t pid)
{
	kill(pid, SIGKILL);
	ps_wait(pid);
}

/* A line of /proc/meminfo, by its name without the colon, in KiB; or -1. */
static inline long ps_meminfo_kb(const char *name)
{
	FILE *f = fopen("/proc/meminfo", "re");
	char line[128];
	long kb = -1;

	if (!f)
		return -1;
	while (kb < 0 && fgets(line, sizeof(line), f)) {
		size_t len = strlen(name);

		if (!strncmp(line, name, len) && line[len] == ':')
			kb = atol(line + len + 1);
	}
	fclose(f);
	return kb;
}

#endif /* PINSEAL_TEST_H */

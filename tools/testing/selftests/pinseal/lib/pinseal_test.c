// SPDX-License-Identifier: GPL-2.0-only
#include <libgen.h>
#include <limits.h>

#include "pinseal_test.h"

uint64_t test_rounds(uint64_t shorter, uint64_t longer)
{
	const char *wanted = getenv("PINSEAL_TEST_LONG");

	return wanted && !strcmp(wanted, "1") ? longer : shorter;
}

void sleep_ns(uint64_t ns)
{
	struct timespec ts = { ns / NSEC_PER_SEC, ns % NSEC_PER_SEC };

	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
}

#ifdef __x86_64__
bool has_32_bit_calls(void)
{
	/* A setting of theirs. */
	return !access("/proc/sys/abi/vsyscall32", F_OK);
}
#endif

int ps_open(int flags)
{
	int fd = open(PINSEAL_DEV, flags | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int ps_resize(int fd, uint64_t size)
{
	struct pinseal_resize arg = { .size = size };

	return ps_ioctl(fd, PINSEAL_IOC_RESIZE, &arg);
}

int ps_create(uint64_t size)
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

int ps_fallocate(int fd, uint32_t mode, uint64_t offset, uint64_t len)
{
	struct pinseal_fallocate arg = { .mode = mode, .offset = offset, .len = len };

	return ps_ioctl(fd, PINSEAL_IOC_FALLOCATE, &arg);
}

int ps_seal(int fd, struct pinseal_seal *arg)
{
	return ps_ioctl(fd, PINSEAL_IOC_SEAL, arg);
}

int ps_add_seals(int fd, uint32_t seals)
{
	struct pinseal_seal arg = {
		.seals = seals,
		.timeout_ns = SOON_NS,
	};

	return ps_seal(fd, &arg);
}

int ps_reopen(int fd, uint32_t flags)
{
	struct pinseal_reopen arg = { .flags = flags };

	return ps_ioctl(fd, PINSEAL_IOC_REOPEN, &arg);
}

int ps_export(int fd, uint32_t flags)
{
	struct pinseal_export arg = { .flags = flags };

	return ps_ioctl(fd, PINSEAL_IOC_EXPORT, &arg);
}

int ps_import(int fd, int file)
{
	struct pinseal_import arg = { .fd = file };

	return ps_ioctl(fd, PINSEAL_IOC_IMPORT, &arg);
}

int ps_pin(int fd, uint64_t start, uint64_t count, uint32_t flags)
{
	struct pinseal_pin arg = { .start = start, .count = count, .flags = flags };

	return ps_ioctl(fd, PINSEAL_IOC_PIN, &arg);
}

int ps_pin_wait(int fd, uint64_t start, uint64_t count, uint32_t flags, uint64_t timeout_ns)
{
	struct pinseal_pin arg = {
		.start = start,
		.count = count,
		.flags = flags | PINSEAL_PIN_WAIT,
		.timeout_ns = timeout_ns,
	};

	return ps_ioctl(fd, PINSEAL_IOC_PIN, &arg);
}

int ps_mirror(int fd, uint64_t start, uint64_t count, uint32_t flags, const void *p)
{
	struct pinseal_pin arg = {
		.start = start,
		.count = count,
		.flags = flags | PINSEAL_PIN_MIRROR,
		.address = (uintptr_t)p,
	};

	return ps_ioctl(fd, PINSEAL_IOC_PIN, &arg);
}

int ps_lease(int fd, uint64_t start, uint64_t count, uint64_t grace_ns)
{
	struct pinseal_pin arg = {
		.start = start,
		.count = count,
		.grace_ns = grace_ns,
		.flags = PINSEAL_PIN_LEASED,
	};

	return ps_ioctl(fd, PINSEAL_IOC_PIN, &arg);
}

int ps_lease_state(int pin, struct pinseal_lease *lease)
{
	memset(lease, 0xcc, sizeof(*lease));
	return ps_ioctl(pin, PINSEAL_PIN_IOC_LEASE, lease);
}

int ps_get_seals(int fd)
{
	uint32_t seals = 0xcccccccc;
	int ret = ps_ioctl(fd, PINSEAL_IOC_GET_SEALS, &seals);

	return ret < 0 ? ret : (int)seals;
}

int ps_info(int fd, struct pinseal_info *info)
{
	memset(info, 0xcc, sizeof(*info));
	return ps_ioctl(fd, PINSEAL_IOC_INFO, info);
}

int ps_pins(int fd, uint64_t start, struct pinseal_page *vec,
	    uint64_t vec_len, struct pinseal_pins *arg)
{
	*arg = (struct pinseal_pins){
		.start = start,
		.vec = (uintptr_t)vec,
		.vec_len = vec_len,
	};
	return ps_ioctl(fd, PINSEAL_IOC_PINS, arg);
}

int ps_set_name(int fd, const char *name)
{
	struct pinseal_name arg = { 0 };

	strncpy(arg.name, name, sizeof(arg.name) - 1);
	return ps_ioctl(fd, PINSEAL_IOC_SET_NAME, &arg);
}

int64_t ps_size(int fd)
{
	struct pinseal_info info;
	int ret = ps_info(fd, &info);

	return ret < 0 ? ret : (int64_t)info.size;
}

void *ps_map(int fd, size_t len, int prot, int flags)
{
	return mmap(NULL, len, prot, flags, fd, 0);
}

int ps_try_map(int fd, size_t len, int prot, int flags)
{
	void *p = ps_map(fd, len, prot, flags);

	if (p == MAP_FAILED)
		return -errno;
	munmap(p, len);
	return 0;
}

static sigjmp_buf ps_touch_env;

static void ps_touch_handler(int sig)
{
	siglongjmp(ps_touch_env, sig);
}

int ps_touch(volatile char *p, bool write)
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

void path_beside(char *path, size_t len, const char *name)
{
	char exe[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	exe[n < 0 ? 0 : n] = '\0';
	snprintf(path, len, "%s/%s", dirname(exe), name);
}

pid_t ps_fork(void)
{
	pid_t pid = fork();

	if (!pid)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

int ps_wait(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void ps_kill(pid_t pid)
{
	kill(pid, SIGKILL);
	ps_wait(pid);
}

long ps_meminfo_kb(const char *name)
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

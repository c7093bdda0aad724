// SPDX-License-Identifier: GPL-2.0-only
/*
 * libpinseal-memfd.so: what it makes, and that its calls answer as the C library's do. The judges
 * preload it; here it is opened, and the calls of both are at hand.
 */
#include <dlfcn.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "harness.h"
#include "holders.h"
#include "object.h"

#define RW		(PROT_READ | PROT_WRITE)
#define SEALABLE	(MFD_CLOEXEC | MFD_ALLOW_SEALING)

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL	0x0008U
#endif

/* The calls that the library replaces. */
struct calls {
	int (*memfd_create)(const char *name, unsigned int flags);
	int (*fcntl)(int fd, int cmd, ...);
	long (*syscall)(long number, ...);
};

/* Those of the C library, and those of ours. */
static struct calls calls[] = {
	[MEMFD] = { memfd_create, fcntl, syscall },
	[PINSEAL] = {},
};

static int create(int kind, const char *name, unsigned int flags)
{
	return sys(calls[kind].memfd_create(name, flags));
}

static int add_seals(int kind, int fd, unsigned int seals)
{
	return sys(calls[kind].fcntl(fd, F_ADD_SEALS, seals));
}

/* The @n lowest numbers of free descriptors. */
static void lowest_free(int *numbers, int n)
{
	for (int i = 0; i < n; i++)
		numbers[i] = dup(0);
	for (int i = 0; i < n; i++)
		close(numbers[i]);
}

/* Whether descriptor @number is free, and no lower one. */
static bool is_lowest_free(int number)
{
	int lowest;

	lowest_free(&lowest, 1);
	return lowest == number;
}

FIXTURE(library) {};

FIXTURE_VARIANT(library) { int kind; };

FIXTURE_VARIANT_ADD(library, memfd) { .kind = MEMFD };
FIXTURE_VARIANT_ADD(library, pinseal) { .kind = PINSEAL };

FIXTURE_SETUP(library)
{
	ASSERT_NE(NULL, calls[variant->kind].memfd_create);
}

FIXTURE_TEARDOWN(library) {}

TEST_F(library, makes_objects_that_are_memfds)
{
	int fds[] = {
		create(variant->kind, "name", 0),
		sys(calls[variant->kind].syscall(SYS_memfd_create, "name", SEALABLE)),
	};

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		ASSERT_LE(0, fds[i]);
		EXPECT_EQ(variant->kind == PINSEAL, obj_is_pinseal(fds[i]));
		EXPECT_TRUE(obj_is_memfd(fds[i]));
	}
}

TEST_F(library, takes_the_lowest_number_and_no_other)
{
	static const unsigned int flags[] = { 0, MFD_CLOEXEC };

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		int free[2];

		lowest_free(free, 2);
		EXPECT_EQ(free[0], create(variant->kind, "name", flags[i]));
		EXPECT_TRUE(is_lowest_free(free[1]));
		EXPECT_EQ(flags[i] ? FD_CLOEXEC : 0, fcntl(free[0], F_GETFD));
	}
}

static int limit_descriptors(int limit)
{
	struct rlimit rlimit;

	getrlimit(RLIMIT_NOFILE, &rlimit);
	rlimit.rlim_cur = limit;
	return sys(setrlimit(RLIMIT_NOFILE, &rlimit));
}

TEST_F(library, leaves_no_descriptor_when_it_fails)
{
	int free[2];

	lowest_free(free, 2);
	EXPECT_EQ(-EFAULT, create(variant->kind, NULL, 0));
	EXPECT_TRUE(is_lowest_free(free[0]));
	ASSERT_EQ(0, limit_descriptors(free[0]));
	EXPECT_EQ(-EMFILE, create(variant->kind, "name", 0));
	/* An object takes a second one for a moment. */
	ASSERT_EQ(0, limit_descriptors(free[1]));
	if (variant->kind == PINSEAL) {
		EXPECT_EQ(-EMFILE, create(PINSEAL, "name", 0));
		EXPECT_TRUE(is_lowest_free(free[0]));
	}
	ASSERT_EQ(0, limit_descriptors(free[1] + 1));
	EXPECT_EQ(free[0], create(variant->kind, "name", 0));
	EXPECT_TRUE(is_lowest_free(free[1]));
}

TEST_F(library, leaves_other_calls_alone)
{
	struct flock lock = { .l_type = F_WRLCK, .l_start = 1, .l_len = 1 };
	int fd = create(variant->kind, "name", 0);
	int copy;

	ASSERT_LE(0, fd);
	EXPECT_EQ(0, sys(calls[variant->kind].fcntl(fd, F_SETLK, &lock)));
	EXPECT_EQ(0, sys(calls[variant->kind].fcntl(fd, F_SETOWN, -getpgrp())));
	EXPECT_EQ(-getpgrp(), calls[variant->kind].fcntl(fd, F_GETOWN));
	copy = calls[variant->kind].fcntl(fd, F_DUPFD_CLOEXEC, 100);
	EXPECT_EQ(100, copy);
	EXPECT_EQ(getpid(), sys(calls[variant->kind].syscall(SYS_getpid)));
	EXPECT_EQ(-EBADF, sys(calls[variant->kind].syscall(SYS_close, -1)));
}

/* A page with an extra reference is not waited for, or copied. */
TEST_F(library, reads_its_environment_when_it_seals)
{
	int fd = create(variant->kind, "name", SEALABLE);
	struct hold hold;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, sys(ftruncate(fd, page_size())));
	ASSERT_EQ(0, hold_begin(&hold, HOLD_VMSPLICE, fd, 0, 1));
	setenv("PINSEAL_TIMEOUT_MS", "0", 1);
	EXPECT_EQ(-EBUSY, add_seals(variant->kind, fd, F_SEAL_WRITE));
	setenv("PINSEAL_ISOLATE", "0", 1);
	EXPECT_EQ(-EBUSY, add_seals(variant->kind, fd, F_SEAL_WRITE));
	setenv("PINSEAL_ISOLATE", "1", 1);
	EXPECT_EQ(variant->kind == PINSEAL ? 0 : -EBUSY,
		  add_seals(variant->kind, fd, F_SEAL_WRITE));
	EXPECT_EQ(variant->kind == PINSEAL ? F_SEAL_WRITE : 0,
		  calls[variant->kind].fcntl(fd, F_GET_SEALS));
	hold_end(&hold);
}

static void on_alarm(int sig) {}

TEST_F(library, signals_do_not_end_its_wait)
{
	struct itimerval often = { { 0, 20000 }, { 0, 20000 } }, never = {};
	int fd = create(variant->kind, "name", SEALABLE);
	struct sigaction action = { .sa_handler = on_alarm };
	struct hold hold;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, sys(ftruncate(fd, page_size())));
	ASSERT_EQ(0, hold_begin(&hold, HOLD_VMSPLICE, fd, 0, 1));
	ASSERT_EQ(0, sys(sigaction(SIGALRM, &action, NULL)));
	ASSERT_EQ(0, sys(setitimer(ITIMER_REAL, &often, NULL)));
	EXPECT_EQ(-EBUSY, add_seals(variant->kind, fd, F_SEAL_WRITE));
	setitimer(ITIMER_REAL, &never, NULL);
	hold_end(&hold);
}

/* A file system of its own without the device, or with another one in its place. */
static int hide_device(bool other)
{
	int ret = sys(unshare(CLONE_NEWNS)) ?:
		  sys(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));

	if (!ret && other)
		ret = sys(mount("/dev/null", PINSEAL_DEV, NULL, MS_BIND, NULL));
	else if (!ret)
		ret = sys(mount("none", "/dev", "tmpfs", 0, NULL));
	return ret;
}

/* Makes memfds without the device; what that prints, for the caller to free. */
static char *output_without_device(struct __test_metadata *_metadata, int kind, bool other)
{
	int output = memfd_open(), err = dup(2);
	char *text = calloc(1, 4096);

	ASSERT_EQ(0, hide_device(other));
	dup2(output, 2);
	for (int i = 0; i < 2; i++) {
		int fd = create(kind, "name", SEALABLE);

		EXPECT_LE(0, fd);
		EXPECT_TRUE(obj_is_memfd(fd));
		EXPECT_FALSE(obj_is_pinseal(fd));
		EXPECT_EQ(0, add_seals(kind, fd, F_SEAL_WRITE));
		EXPECT_EQ(F_SEAL_WRITE, calls[kind].fcntl(fd, F_GET_SEALS));
	}
	dup2(err, 2);
	pread(output, text, 4095, 0);
	return text;
}

TEST_F(library, is_quiet_without_the_device)
{
	char *text = output_without_device(_metadata, variant->kind, false);

	EXPECT_STREQ("", text);
	free(text);
}

TEST_F(library, is_quiet_with_another_device)
{
	char *text = output_without_device(_metadata, variant->kind, true);

	EXPECT_STREQ("", text);
	free(text);
}

TEST_F(library, says_so_once_when_asked)
{
	char *text;

	setenv("PINSEAL_MEMFD_VERBOSE", "1", 1);
	text = output_without_device(_metadata, variant->kind, false);
	if (variant->kind == MEMFD) {
		EXPECT_STREQ("", text);
	} else {
		EXPECT_NE(NULL, strstr(text, PINSEAL_DEV ": No such file or directory"));
		EXPECT_EQ(text + strlen(text) - 1, strchr(text, '\n'));
	}
	free(text);
}

/* Both answer alike */

static mode_t mode_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? 0 : st.st_mode;
}

/* Makes a memfd and an object: whether all that shows of them is the same. Closes them. */
static bool are_alike(const char *name, unsigned int flags)
{
	int fd[2] = { create(MEMFD, name, flags), create(PINSEAL, name, flags) };
	bool alike;

	if (fd[MEMFD] < 0 || fd[PINSEAL] < 0) {
		alike = fd[MEMFD] == fd[PINSEAL];
	} else {
		alike = fcntl(fd[MEMFD], F_GETFD) == fcntl(fd[PINSEAL], F_GETFD) &&
			fcntl(fd[MEMFD], F_GETFL) == fcntl(fd[PINSEAL], F_GETFL) &&
			fcntl(fd[MEMFD], F_GET_SEALS) == fcntl(fd[PINSEAL], F_GET_SEALS) &&
			mode_of(fd[MEMFD]) == mode_of(fd[PINSEAL]);
	}
	for (int i = 0; i < 2; i++)
		if (fd[i] >= 0)
			close(fd[i]);
	return alike;
}

TEST(flags)
{
	for (unsigned int flags = 0; flags < 64; flags++) {
		EXPECT_TRUE(are_alike("name", flags)) TH_LOG("flags %#x", flags);
	}
	for (unsigned int bit = 6; bit < 32; bit++) {
		EXPECT_TRUE(are_alike("name", 1U << bit)) TH_LOG("bit %u", bit);
		EXPECT_TRUE(are_alike("name", 1U << bit | MFD_HUGETLB)) TH_LOG("huge, bit %u", bit);
	}
}

/* With that sysctl, in a PID namespace of its own, memfds must not be executable. */
TEST(memfd_noexec)
{
	pid_t pid;

	ASSERT_EQ(0, sys(unshare(CLONE_NEWPID)));
	pid = ps_fork();
	if (!pid) {
		int fd = open("/proc/sys/vm/memfd_noexec", O_WRONLY);
		bool alike = write(fd, "2", 1) == 1;

		for (unsigned int flags = 0; flags < 32; flags++)
			alike = alike && are_alike("name", flags);
		_exit(!alike);
	}
	EXPECT_EQ(0, ps_wait(pid));
}

TEST(names)
{
	char name[300];

	for (size_t len = 0; len < sizeof(name) - 1; len++) {
		memset(name, 'n', len);
		name[len] = '\0';
		EXPECT_TRUE(are_alike(name, 0)) TH_LOG("length %zu", len);
	}
	for (int byte = 1; byte < 256; byte++) {
		snprintf(name, sizeof(name), "%cname", byte);
		EXPECT_TRUE(are_alike(name, 0)) TH_LOG("byte %#x", byte);
	}
}

TEST(names_that_cannot_be_read)
{
	size_t page = page_size();
	char *p = mmap(NULL, 2 * page, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, sys(munmap(p + page, page)));
	memset(p, 'n', page);
	EXPECT_TRUE(are_alike(NULL, 0));
	EXPECT_TRUE(are_alike((char *)1, 0));
	EXPECT_TRUE(are_alike(p + page, 0));
	EXPECT_TRUE(are_alike(p + page - 10, 0));
	EXPECT_TRUE(are_alike(p + page - 100, 0));
	EXPECT_TRUE(are_alike(NULL, 1U << 20));
	p[page - 1] = '\0';
	EXPECT_TRUE(are_alike(p + page - 10, 0));
	EXPECT_TRUE(are_alike(p + page - 100, 0));
}

/* The name that an object gets from that of a memfd. */
static bool is_named(const char *name, const char *expected)
{
	int fd = create(PINSEAL, name, 0);
	char link[64], path[512], whole[512];
	ssize_t len;
	bool is;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	snprintf(whole, sizeof(whole), "/memfd:%s (deleted)", expected);
	len = readlink(link, path, sizeof(path) - 1);
	path[len < 0 ? 0 : len] = '\0';
	is = obj_is_pinseal(fd) && !strcmp(path, whole);
	if (!is)
		printf("# \"%s\", not \"%s\"\n", path, whole);
	close(fd);
	return is;
}

TEST(names_of_objects)
{
	/* 10 bytes, and 60. */
	#define TEN		"0123456789"
	#define SIXTY		TEN TEN TEN TEN TEN TEN

	EXPECT_TRUE(is_named("", ""));
	EXPECT_TRUE(is_named("frames", "frames"));
	EXPECT_TRUE(is_named(SIXTY "abc", SIXTY "abc"));
	EXPECT_TRUE(is_named(SIXTY "abcd", SIXTY "abc"));
	EXPECT_TRUE(is_named("\u00e4\u20ac\U0001f600", "\u00e4\u20ac\U0001f600"));
	EXPECT_TRUE(is_named(SIXTY "a\u00e4", SIXTY "a\u00e4"));
	EXPECT_TRUE(is_named(SIXTY "ab\u00e4", SIXTY "ab"));
	EXPECT_TRUE(is_named(SIXTY "\U0001f600", SIXTY));
	EXPECT_TRUE(is_named("a\nb\x7f", "a?b?"));
	EXPECT_TRUE(is_named("a\xffz", "a?z"));
	EXPECT_TRUE(is_named("a\xc2\x85z", "a??z"));
}

/* Adds seals to a memfd and an object that are made and used alike. */
static bool seals_are_alike(unsigned int flags, unsigned int before, unsigned int seals,
			    bool mapped)
{
	int ret[2], present[2];

	for (int i = 0; i < 2; i++) {
		int fd = create(i, "name", flags);
		void *p = MAP_FAILED;

		if (ftruncate(fd, page_size()) || (before && add_seals(i, fd, before)))
			return false;
		if (mapped)
			p = ps_map(fd, page_size(), RW, MAP_SHARED);
		ret[i] = add_seals(i, fd, seals);
		present[i] = calls[i].fcntl(fd, F_GET_SEALS);
		if (p != MAP_FAILED)
			munmap(p, page_size());
		close(fd);
	}
	return ret[MEMFD] == ret[PINSEAL] && present[MEMFD] == present[PINSEAL];
}

TEST(seals)
{
	for (unsigned int seals = 0; seals < 128; seals++) {
		EXPECT_TRUE(seals_are_alike(SEALABLE, 0, seals, false)) TH_LOG("%#x", seals);
		EXPECT_TRUE(seals_are_alike(SEALABLE, 0, seals, true)) TH_LOG("mapped, %#x", seals);
		EXPECT_TRUE(seals_are_alike(0, 0, seals, false)) TH_LOG("unsealable, %#x", seals);
		EXPECT_TRUE(seals_are_alike(MFD_NOEXEC_SEAL, 0, seals, false)) {
			TH_LOG("noexec, %#x", seals);
		}
		EXPECT_TRUE(seals_are_alike(SEALABLE, F_SEAL_SEAL, seals, false)) {
			TH_LOG("again, %#x", seals);
		}
	}
	for (int bit = 7; bit < 32; bit++) {
		EXPECT_TRUE(seals_are_alike(SEALABLE, 0, 1U << bit, false)) TH_LOG("bit %d", bit);
	}
}

TEST(seals_of_other_descriptors)
{
	int fds[8], n = 0, memory = create(PINSEAL, "name", SEALABLE);

	fds[n++] = open_by_proc(memory, O_RDONLY);
	fds[n++] = open_by_proc(memory, O_RDWR);
	fds[n++] = open_by_proc(memory, O_PATH);
	fds[n++] = ps_reopen(memory, O_RDONLY);
	fds[n++] = open("/dev/null", O_RDWR | O_CLOEXEC);
	fds[n++] = ps_open(O_RDWR);
	fds[n++] = -1;
	for (int i = 0; i < n; i++) {
		EXPECT_EQ(add_seals(MEMFD, fds[i], F_SEAL_GROW),
			  add_seals(PINSEAL, fds[i], F_SEAL_GROW)) {
			TH_LOG("descriptor %d", i);
	}
		}
}

int main(int argc, char **argv)
{
	void *library = dlopen("libpinseal-memfd.so", RTLD_NOW);

	if (library)
		calls[PINSEAL] = (struct calls){
			dlsym(library, "memfd_create"),
			dlsym(library, "fcntl"),
			dlsym(library, "syscall"),
		};
	else
		printf("# %s\n", dlerror());
	return test_harness_run(argc, argv);
}

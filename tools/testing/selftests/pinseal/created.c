// SPDX-License-Identifier: GPL-2.0-only
/*
 * PINSEAL_IOC_CREATE: what it takes, refuses and returns, as memfd_create() does. Commands on
 * what it returns: created_commands.c. System calls: created_memfd.c, created_exec.c.
 */
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "harness.h"
#include "bytes.h"
#include "object.h"
#include "state.h"
#include "sysfile.h"

#define ALLOW		PINSEAL_CREATE_ALLOW_SEALING
#define EXEC		PINSEAL_CREATE_EXEC
#define NOEXEC		PINSEAL_CREATE_NOEXEC_SEAL
#define ALL_FLAGS	(ALLOW | EXEC | NOEXEC)

static int mode_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? -errno : st.st_mode & 07777;
}

/* Whether it is in /proc/self/maps, before the end of a line. */
static bool maps_show(const char *what)
{
	FILE *f = fopen("/proc/self/maps", "re");
	char line[512];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f)) {
		char *p = strstr(line, what);

		found = p && p[strlen(what)] == '\n';
	}
	if (f)
		fclose(f);
	return found;
}

/* Flags and names, as memfd_create() has them */

FIXTURE(creation) {
	int device;
};

ON_MEMFDS(creation);

FIXTURE_SETUP(creation)
{
	self->device = ps_open(O_RDWR);
	ASSERT_LE(0, self->device);
}

FIXTURE_TEARDOWN(creation)
{
	close(self->device);
}

/* By memfd_create(), or by CREATE on @device. */
static int make(enum object_kind kind, int device, uint32_t flags, const char *name)
{
	unsigned int mfd = MFD_CLOEXEC;

	if (kind == CREATED)
		return created_by(device, flags, name);
	mfd |= flags & ALLOW ? MFD_ALLOW_SEALING : 0;
	mfd |= flags & EXEC ? MFD_EXEC : 0;
	mfd |= flags & NOEXEC ? MFD_NOEXEC_SEAL : 0;
	return sys(memfd_create(name, mfd));
}

/* Checks one with @flags while the sysctl vm.memfd_noexec is @noexec: 0, or the wrong step. */
static int check_flags(enum object_kind kind, int device, uint32_t flags, int noexec)
{
	bool sealed = flags & NOEXEC || (!(flags & EXEC) && noexec);
	int seals = sealed ? F_SEAL_EXEC : flags & ALLOW ? 0 : F_SEAL_SEAL;
	int fd = make(kind, device, flags, "flags"), ret = 0;

	if (flags & EXEC && flags & NOEXEC)
		return fd != -EINVAL;
	if (flags & EXEC && noexec == 2)
		return fd == -EACCES ? 0 : 2;
	if (fd < 0)
		return 3;
	if (mode_of(fd) != (sealed ? 0666 : 0777))
		ret = 4;
	else if (fcntl(fd, F_GET_SEALS) != seals)
		ret = 5;
	else if (kind == CREATED && ps_get_seals(fd) != (seals & ~F_SEAL_SEAL))
		ret = 6;
	else if (memfd_add_seals(fd, F_SEAL_GROW) != (seals & F_SEAL_SEAL ? -EPERM : 0))
		ret = 7;
	else if (sealed && fchmod(fd, 0777) != -1)
		ret = 8;
	close(fd);
	return ret;
}

TEST_F(creation, follows_the_flags)
{
	for (uint32_t flags = 0; flags <= ALL_FLAGS; flags++) {
		EXPECT_EQ(0, check_flags(variant->kind, self->device, flags, 0)) {
			TH_LOG("flags %#x", flags);
		}
	}
}

/* vm.memfd_noexec, in a PID namespace. It can only be raised. */
TEST_F(creation, follows_the_rule_of_the_pid_namespace)
{
	pid_t pid = ps_fork();
	int ret;

	if (!pid) {
		if (unshare(CLONE_NEWPID))
			_exit(100);
		pid = ps_fork();
		if (pid)
			_exit(ps_wait(pid));
		for (int noexec = 0; noexec <= 2; noexec++) {
			char text[] = { '0' + noexec, '\0' };

			if (write_text("/proc/sys/vm/memfd_noexec", text))
				_exit(101);
			for (uint32_t flags = 0; flags <= ALL_FLAGS; flags++) {
				if (check_flags(variant->kind, self->device, flags, noexec))
					_exit(1 + noexec * (ALL_FLAGS + 1) + flags);
			}
		}
		_exit(0);
	}
	ret = ps_wait(pid);
	EXPECT_EQ(0, ret) {
		if (ret < 100)
			TH_LOG("memfd_noexec %d, flags %#x", (ret - 1) / 8, (ret - 1) % 8);
	}
}

TEST_F(creation, shows_its_name)
{
	char longest[PINSEAL_NAME_MAX], target[256], what[256];
	const char *const names[] = {
		"frames", "", "frame buffer 1", "a/b\\c", "\xc3\xa9t\xc3\xa9 \xe5\xb0\x81", longest,
	};

	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		int fd = make(variant->kind, self->device, 0, names[i]);
		char *p = ps_map(fd, page_size(), PROT_READ, MAP_SHARED);

		ASSERT_NE(MAP_FAILED, p);
		snprintf(what, sizeof(what), "/memfd:%s (deleted)", names[i]);
		ASSERT_EQ(0, proc_link(fd, target, sizeof(target)));
		EXPECT_STREQ(what, target);
		EXPECT_TRUE(maps_show(what)) {
			TH_LOG("name %s", names[i]);
		}
		if (variant->kind == CREATED) {
			ASSERT_EQ(0, fdinfo_value(fd, "name", target, sizeof(target)));
			EXPECT_STREQ(names[i], target);
		}
		munmap(p, page_size());
		close(fd);
	}
}

TEST_F(creation, belongs_to_the_caller)
{
	struct stat st;
	pid_t pid = ps_fork();

	if (!pid) {
		if (setresgid(65533, 65533, 65533) || setresuid(65534, 65534, 65534))
			_exit(1);
		_exit(fstat(make(variant->kind, self->device, ALLOW, "user"), &st) ? 2 :
		      st.st_uid == 65534 && st.st_gid == 65533 ? 0 : 3);
	}
	EXPECT_EQ(0, ps_wait(pid));
}

TEST_F(creation, makes_no_descriptor_too_many)
{
	struct rlimit limit, none;
	int ret;

	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &limit));
	none = limit;
	none.rlim_cur = 0;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
	ret = make(variant->kind, self->device, 0, "one");
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	EXPECT_EQ(-EMFILE, ret);
}

/* CREATE: refused */

FIXTURE(refusal) {
	int device;
	int next;		/* the lowest free descriptor */
};

FIXTURE_SETUP(refusal)
{
	self->device = ps_open(O_RDWR);
	ASSERT_LE(0, self->device);
	self->next = dup(self->device);
	close(self->next);
}

FIXTURE_TEARDOWN(refusal)
{
	/* Nothing was left behind. */
	EXPECT_EQ(self->next, dup(self->device));
	EXPECT_EQ(0, ps_set_name(self->device, "unused"));
}

TEST_F(refusal, of_unknown_flags_and_padding)
{
	for (int bit = 0; bit < 32; bit++) {
		struct pinseal_create flag = { .flags = 1U << bit }, pad = { .pad = 1U << bit };

		if (!(flag.flags & ALL_FLAGS)) {
			EXPECT_EQ(-EINVAL, ps_ioctl(self->device, PINSEAL_IOC_CREATE, &flag)) {
				TH_LOG("flag bit %d", bit);
			}
		}
		EXPECT_EQ(-EINVAL, ps_ioctl(self->device, PINSEAL_IOC_CREATE, &pad)) {
			TH_LOG("pad bit %d", bit);
		}
	}
}

TEST_F(refusal, of_control_characters)
{
	for (int c = 1; c <= 0x7f; c++) {
		char name[] = { 'a', c, 'b', '\0' };

		if (c >= ' ' && c != 0x7f)
			continue;
		EXPECT_EQ(-EINVAL, created_by(self->device, ALLOW, name)) {
			TH_LOG("character %#x", c);
		}
		EXPECT_EQ(-EINVAL, created_by(self->device, ALLOW, name + 1)) {
			TH_LOG("character %#x first", c);
		}
	}
}

TEST_F(refusal, of_what_is_not_utf8)
{
	static const char *const names[] = {
		"\xff", "a\x80", "\xc3", "\xc3(", "\xc0\xaf", "\xed\xa0\x80", "\xf5\x80\x80\x80",
		"\xe5\xb0",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		EXPECT_EQ(-EINVAL, created_by(self->device, ALLOW, names[i])) {
			TH_LOG("row %zu", i);
		}
	}
}

TEST_F(refusal, of_a_name_without_end)
{
	struct pinseal_create arg = { .flags = ALLOW };

	memset(arg.name, 'x', sizeof(arg.name));
	EXPECT_EQ(-EINVAL, ps_ioctl(self->device, PINSEAL_IOC_CREATE, &arg));
}

/* CREATE: on any descriptor */

TEST(name_ends_at_the_first_nul)
{
	struct pinseal_create arg;
	int device = ps_open(O_RDONLY), fd;
	char target[64];

	memset(&arg, 0xcc, sizeof(arg));
	arg.flags = arg.pad = 0;
	strcpy(arg.name, "short");
	fd = ps_ioctl(device, PINSEAL_IOC_CREATE, &arg);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, proc_link(fd, target, sizeof(target)));
	EXPECT_STREQ("/memfd:short (deleted)", target);
}

/* Checks that a new object of @fd is empty and not @fd's: 0, or the wrong step. */
static int check_create(int fd)
{
	int new = created_by(fd, ALLOW | EXEC, "new"), ret = 0;
	char c;

	if (new < 0)
		return 1;
	if (obj_size(new) || ps_size(new) || ps_get_seals(new) || fcntl(new, F_GET_SEALS))
		ret = 2;
	else if (fcntl(new, F_GETFD) != FD_CLOEXEC)
		ret = 3;
	else if ((fcntl(new, F_GETFL) & (O_ACCMODE | O_NONBLOCK | O_APPEND)) != O_RDWR)
		ret = 4;
	else if (pwrite(new, "c", 1, 0) != 1 || pread(new, &c, 1, 0) != 1 || c != 'c')
		ret = 5;
	else if (ps_add_seals(new, F_SEAL_WRITE) || pwrite(new, "x", 1, 0) != -1)
		ret = 6;
	close(new);
	return ret;
}

TEST(works_on_any_descriptor)
{
	int unused = ps_open(O_RDWR), created = obj_create(CREATED, page_size());
	int sealed = ps_create(page_size()), flagged = ps_open(O_RDWR);
	const int fds[] = {
		ps_open(O_RDONLY), ps_open(O_WRONLY), unused, created,
		ps_reopen(created, O_RDONLY), sealed, ps_reopen(sealed, O_RDONLY),
		import_open(memfd_open()), flagged,
	};

	ASSERT_EQ(0, ps_add_seals(sealed, ALL_SEALS));
	ASSERT_EQ(0, ps_add_seals(created, ALL_SEALS));
	ASSERT_EQ(0, fcntl(flagged, F_SETFL, O_NONBLOCK | O_APPEND));
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		ASSERT_LE(0, fds[i]);
		EXPECT_EQ(0, check_create(fds[i])) {
			TH_LOG("row %zu", i);
		}
	}
	/* That was no use of them. */
	EXPECT_EQ(0, ps_set_name(unused, "unused"));
	EXPECT_EQ(ALL_SEALS, ps_get_seals(sealed));
	EXPECT_EQ(page_size(), ps_size(created));
}

TEST(does_not_work_on_pin_handles)
{
	int fd = obj_create(CREATED, page_size());
	char *p = ps_map(fd, page_size(), RW, MAP_SHARED);
	int mirror = ps_mirror(fd, 0, 1, 0, p), pin = ps_pin(fd, 0, 1, 0);

	ASSERT_LE(0, pin);
	EXPECT_EQ(-ENOTTY, created_by(pin, 0, "pin"));
	if (mirror >= 0) {
		EXPECT_EQ(-ENOTTY, created_by(mirror, 0, "mirror"));
	}
}

/* Neither the device nor /proc can be opened there. */
TEST(works_without_any_path)
{
	char dir[] = "/tmp/empty-XXXXXX";
	int device = ps_open(O_RDONLY);
	pid_t pid;

	ASSERT_NE(NULL, mkdtemp(dir));
	ASSERT_EQ(0, chmod(dir, 0755));
	pid = ps_fork();
	if (!pid) {
		if (unshare(CLONE_NEWNS) || chroot(dir) || chdir("/"))
			_exit(100);
		if (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534))
			_exit(101);
		if (ps_open(O_RDONLY) != -ENOENT)
			_exit(102);
		_exit(check_create(device));
	}
	EXPECT_EQ(0, ps_wait(pid));
	rmdir(dir);
}

TEST_HARNESS_MAIN

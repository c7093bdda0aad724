// SPDX-License-Identifier: GPL-2.0-only
/*
 * The device file: permissions, open(), access modes of a descriptor, and the system calls
 * that a character device does not have.
 */
#include <grp.h>
#include <poll.h>
#include <sys/stat.h>

#include <linux/falloc.h>

#include "harness.h"
#include "object.h"
#include "state.h"

/* An object of a few pages. */
FIXTURE(object) {
	int fd;
	size_t page;
	struct state before;
};

FIXTURE_SETUP(object)
{
	self->page = page_size();
	self->fd = ps_create(4 * self->page);
	ASSERT_LE(0, self->fd);
	self->before = get_state(self->fd);
}

FIXTURE_TEARDOWN(object)
{
	close(self->fd);
}

TEST(device_node_is_accessible_to_all)
{
	struct stat st;

	ASSERT_EQ(0, stat(PINSEAL_DEV, &st));
	EXPECT_EQ(S_IFCHR | 0666, st.st_mode);
}

/* Everything that a program does with an object: 0, or the number of the failed step. */
static int whole_life(void)
{
	struct pinseal_info info;
	struct pinseal_pins pins;
	int fd = ps_open(O_RDWR);
	char *p;

	if (fd < 0)
		return 1;
	if (ps_set_name(fd, "life"))
		return 2;
	if (ps_resize(fd, 2 * page_size()) || ps_fallocate(fd, 0, 0, page_size()))
		return 3;
	if (pwrite(fd, "x", 1, 0) != 1)
		return 4;
	p = ps_map(fd, 2 * page_size(), PROT_READ | PROT_WRITE, MAP_SHARED);
	if (p == MAP_FAILED || p[0] != 'x')
		return 5;
	p[1] = 'y';
	munmap(p, 2 * page_size());
	if (ps_info(fd, &info) || ps_pins(fd, 0, NULL, 0, &pins))
		return 6;
	if (ps_add_seals(fd, ALL_SEALS))
		return 7;
	return ps_get_seals(fd) == ALL_SEALS ? 0 : 8;
}

TEST(root_can_use_it)
{
	EXPECT_EQ(0, whole_life());
}

TEST(any_user_can_use_it)
{
	pid_t pid = ps_fork();

	if (!pid) {
		if (setgroups(0, NULL) || setresgid(65534, 65534, 65534) ||
		    setresuid(65534, 65534, 65534))
			_exit(100);
		_exit(whole_life());
	}
	EXPECT_EQ(0, ps_wait(pid));
}

TEST(every_open_makes_an_object)
{
	int one = ps_create(100);
	int two = ps_open(O_RDWR);
	char path[64];
	int three;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", one);
	three = open(path, O_RDWR | O_CLOEXEC);
	EXPECT_EQ(0, ps_size(two));
	EXPECT_EQ(0, ps_size(three));
	close(one);
	close(two);
	close(three);
}

TEST(dup_is_the_same_object)
{
	int one = ps_open(O_RDWR);
	int two = dup(one);

	ASSERT_EQ(0, ps_resize(one, 100));
	EXPECT_EQ(100, ps_size(two));
	close(one);
	close(two);
}

TEST(o_cloexec_is_kept)
{
	int fd = open(PINSEAL_DEV, O_RDWR | O_CLOEXEC);

	EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	close(fd);
}

TEST_F(object, poll_says_ready_for_both)
{
	struct pollfd pfd = { .fd = self->fd, .events = POLLIN | POLLOUT | POLLPRI };

	ASSERT_EQ(1, poll(&pfd, 1, 0));
	EXPECT_EQ(POLLIN | POLLOUT, pfd.revents);
}

TEST_F(object, ftruncate_is_refused)
{
	EXPECT_EQ(-EINVAL, sys(ftruncate(self->fd, 0)));
	EXPECT_TRUE(same_state(self->fd, &self->before));
}

TEST_F(object, fallocate_system_call_is_refused)
{
	EXPECT_EQ(-ENODEV, sys(fallocate(self->fd, 0, 0, 8 * self->page)));
	EXPECT_EQ(-ENODEV, sys(fallocate(self->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					 0, self->page)));
	EXPECT_TRUE(same_state(self->fd, &self->before));
}

TEST_F(object, fcntl_seals_are_refused)
{
	EXPECT_EQ(-EINVAL, sys(fcntl(self->fd, F_ADD_SEALS, F_SEAL_SHRINK)));
	EXPECT_EQ(-EINVAL, sys(fcntl(self->fd, F_ADD_SEALS, 0)));
	EXPECT_EQ(-EINVAL, sys(fcntl(self->fd, F_GET_SEALS)));
	EXPECT_TRUE(same_state(self->fd, &self->before));
}

/* A descriptor opened for reading; its object stays empty. */
FIXTURE(read_only) {
	int fd;
};

FIXTURE_SETUP(read_only)
{
	self->fd = ps_open(O_RDONLY);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(read_only)
{
	close(self->fd);
}

TEST_F(read_only, resize_is_einval_like_ftruncate)
{
	EXPECT_EQ(-EINVAL, ps_resize(self->fd, 0));
	EXPECT_EQ(-EINVAL, ps_resize(self->fd, 100));
	EXPECT_EQ(0, ps_size(self->fd));
}

TEST_F(read_only, fallocate_is_ebadf)
{
	EXPECT_EQ(-EBADF, ps_fallocate(self->fd, 0, 0, page_size()));
	EXPECT_EQ(-EBADF, ps_fallocate(self->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				       0, page_size()));
	EXPECT_EQ(0, ps_size(self->fd));
}

TEST_F(read_only, seal_is_eperm)
{
	EXPECT_EQ(-EPERM, ps_add_seals(self->fd, 0));
	EXPECT_EQ(-EPERM, ps_add_seals(self->fd, F_SEAL_SEAL));
	EXPECT_EQ(-EPERM, ps_add_seals(self->fd, F_SEAL_WRITE));
	EXPECT_EQ(0, ps_get_seals(self->fd));
}

TEST_F(read_only, queries_are_answered)
{
	struct pinseal_info info;
	struct pinseal_pins pins;

	EXPECT_EQ(0, ps_info(self->fd, &info));
	EXPECT_EQ(0, ps_get_seals(self->fd));
	EXPECT_EQ(0, ps_pins(self->fd, 0, NULL, 0, &pins));
}

TEST_F(read_only, write_is_ebadf)
{
	EXPECT_EQ(-EBADF, sys(write(self->fd, "x", 1)));
	EXPECT_EQ(-EBADF, sys(pwrite(self->fd, "x", 1, 0)));
}

TEST_F(read_only, read_works)
{
	char c;

	EXPECT_EQ(0, sys(read(self->fd, &c, 1)));
}

TEST_F(read_only, writable_shared_map_is_eacces)
{
	EXPECT_EQ(-EACCES, ps_try_map(self->fd, page_size(), PROT_READ | PROT_WRITE, MAP_SHARED));
}

TEST_F(read_only, other_maps_work)
{
	EXPECT_EQ(0, ps_try_map(self->fd, page_size(), PROT_READ, MAP_SHARED));
	EXPECT_EQ(0, ps_try_map(self->fd, page_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE));
}

TEST_F(read_only, map_cannot_be_made_writable)
{
	char *p = ps_map(self->fd, page_size(), PROT_READ, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(-EACCES, sys(mprotect(p, page_size(), PROT_READ | PROT_WRITE)));
	munmap(p, page_size());
}

/* A descriptor opened for writing. */
FIXTURE(write_only) {
	int fd;
};

FIXTURE_SETUP(write_only)
{
	self->fd = ps_open(O_WRONLY);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(write_only)
{
	close(self->fd);
}

TEST_F(write_only, read_is_ebadf)
{
	char c;

	EXPECT_EQ(-EBADF, sys(read(self->fd, &c, 1)));
}

TEST_F(write_only, maps_are_eacces)
{
	EXPECT_EQ(-EACCES, ps_try_map(self->fd, page_size(), PROT_READ, MAP_SHARED));
	EXPECT_EQ(-EACCES, ps_try_map(self->fd, page_size(), PROT_WRITE, MAP_SHARED));
	EXPECT_EQ(-EACCES, ps_try_map(self->fd, page_size(), PROT_READ, MAP_PRIVATE));
}

TEST_F(write_only, everything_that_writes_works)
{
	EXPECT_EQ(0, ps_set_name(self->fd, "w"));
	EXPECT_EQ(1, sys(write(self->fd, "x", 1)));
	EXPECT_EQ(0, ps_resize(self->fd, 2 * page_size()));
	EXPECT_EQ(0, ps_fallocate(self->fd, 0, 0, page_size()));
	EXPECT_EQ(0, ps_add_seals(self->fd, F_SEAL_WRITE | F_SEAL_SHRINK));
	EXPECT_EQ(F_SEAL_WRITE | F_SEAL_SHRINK, ps_get_seals(self->fd));
}

/*
 * A descriptor of access mode 3: for ioctl() alone, neither for reading nor for writing,
 * though its flags are not those of O_RDONLY.
 */
FIXTURE(ioctl_only) {
	int fd;
};

FIXTURE_SETUP(ioctl_only)
{
	self->fd = ps_open(O_ACCMODE);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(ioctl_only)
{
	close(self->fd);
}

TEST_F(ioctl_only, nothing_that_writes_works)
{
	EXPECT_EQ(-EBADF, sys(write(self->fd, "x", 1)));
	EXPECT_EQ(-EINVAL, ps_resize(self->fd, 100));
	EXPECT_EQ(-EBADF, ps_fallocate(self->fd, 0, 0, page_size()));
	EXPECT_EQ(-EPERM, ps_add_seals(self->fd, F_SEAL_SHRINK));
	EXPECT_EQ(-EPERM, ps_set_name(self->fd, "x"));
	EXPECT_EQ(0, ps_size(self->fd));
	EXPECT_EQ(0, ps_get_seals(self->fd));
}

TEST_F(ioctl_only, nothing_that_reads_works)
{
	char c;

	EXPECT_EQ(-EBADF, sys(read(self->fd, &c, 1)));
	EXPECT_EQ(-EACCES, ps_try_map(self->fd, page_size(), PROT_READ, MAP_SHARED));
	EXPECT_EQ(-EACCES, ps_try_map(self->fd, page_size(), PROT_READ, MAP_PRIVATE));
}

TEST_F(ioctl_only, memfd_agrees)
{
	int memfd = obj_open(MEMFD);
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", memfd);
	fd = sys(open(path, O_ACCMODE | O_CLOEXEC));
	ASSERT_LE(0, fd);
	EXPECT_EQ(-EINVAL, sys(ftruncate(fd, 100)));
	EXPECT_EQ(-EBADF, sys(fallocate(fd, 0, 0, page_size())));
	EXPECT_EQ(-EPERM, sys(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK)));
	close(fd);
	close(memfd);
}

TEST_HARNESS_MAIN

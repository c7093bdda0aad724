// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel's tools/testing/selftests/memfd/memfd_test.c, check by check: see judge.h.
 */
#define main memfd_test_main
#include "memfd_test.c"
#undef main

#include "harness.h"
#include "judge.h"

#define PLAIN(test)		static void check_##test(int argc, char **argv) { test_##test(); }
#define SHARE(test)								\
	static void check_##test(int argc, char **argv) { test_##test("", ""); }	\
	static void check_##test##_in_threads(int argc, char **argv)		\
	{									\
		pid_t pid = spawn_idle_thread(CLONE_FILES | CLONE_FS | CLONE_VM); \
										\
		test_##test("", SHARED_FT_STR);					\
		join_idle_thread(pid);						\
	}

PLAIN(create)
PLAIN(basic)
PLAIN(exec_seal)
PLAIN(exec_no_seal)
PLAIN(noexec_seal)
PLAIN(seal_write)
PLAIN(seal_future_write)
PLAIN(seal_write_map_read_shared)
PLAIN(seal_shrink)
PLAIN(seal_grow)
PLAIN(seal_resize)
PLAIN(sysctl_simple)
PLAIN(sysctl_nested)
SHARE(share_dup)
SHARE(share_mmap)
SHARE(share_open)
SHARE(share_fork)

/*
 * Of the preloaded library: what it cannot do for a descriptor opened for reading, it must
 * not do to the device, whose inode all objects share.
 */
static void check_reader(int argc, char **argv)
{
	struct stat before, after, st;
	int fd, reader;

	if (stat(PINSEAL_DEV, &before))
		abort();
	fd = mfd_assert_new("reader", mfd_def_size, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	reader = mfd_assert_open(fd, O_RDONLY, 0);
	mfd_assert_size(reader, mfd_def_size);
	if (fstat(reader, &st) || !S_ISREG(st.st_mode))
		abort();
	/* Allowed to the owner of a memfd. */
	fchmod(reader, 0600);
	fchown(reader, 1, 1);
	if (stat(PINSEAL_DEV, &after) || after.st_mode != before.st_mode ||
	    after.st_uid != before.st_uid || after.st_gid != before.st_gid) {
		printf("the device has been changed\n");
		chmod(PINSEAL_DEV, before.st_mode & 07777);
		chown(PINSEAL_DEV, before.st_uid, before.st_gid);
		abort();
	}
}

#define CHECK(test)		{ #test, check_##test }
#define CHECKS(test)		CHECK(test), CHECK(test##_in_threads)

/*
 * Reopens a read-only descriptor for writing through /proc. The mode of a memfd allows that;
 * a descriptor of an object gives no more access than it has.
 */
#define OPENED_FOR_READING	"failed: Operation not permitted"

static const struct check checks[] = {
	CHECK(create),
	CHECK(basic),
	CHECK(exec_seal),
	CHECK(exec_no_seal),
	CHECK(noexec_seal),
	CHECK(seal_write),
	CHECK(seal_future_write),
	CHECK(seal_write_map_read_shared),
	CHECK(seal_shrink),
	CHECK(seal_grow),
	CHECK(seal_resize),
	CHECK(sysctl_simple),
	CHECK(sysctl_nested),
	CHECKS(share_dup),
	CHECKS(share_mmap),
	{ "share_open", check_share_open, OPENED_FOR_READING },
	{ "share_open_in_threads", check_share_open_in_threads, OPENED_FOR_READING },
	CHECKS(share_fork),
	CHECK(reader),
};

FIXTURE(on) {};

FIXTURE_VARIANT(on) {
	bool preload;
};

FIXTURE_VARIANT_ADD(on, memfd) { .preload = false };
FIXTURE_VARIANT_ADD(on, pinseal) { .preload = true };

FIXTURE_SETUP(on) {}
FIXTURE_TEARDOWN(on) {}

#define TEST_OF(test)								\
TEST_F(on, test)								\
{										\
	const struct check *check = check_of(checks, ARRAY_SIZE(checks), #test); \
	struct verdict v = check_run(#test, NULL, variant->preload);		\
										\
	/* 150 ms are not always enough for a memfd on a busy machine. */	\
	for (int i = 0; i < 5 && !variant->preload && check_was_busy(&v); i++)	\
		v = check_run(#test, NULL, variant->preload);			\
	if (check->differs && variant->preload) {				\
		EXPECT_TRUE(WIFSIGNALED(v.status) && WTERMSIG(v.status) == SIGABRT); \
		EXPECT_NE(NULL, strstr(v.last_line, check->differs));		\
	} else {								\
		EXPECT_EQ(0, v.status);						\
	}									\
}

TEST_OF(create)
TEST_OF(basic)
TEST_OF(exec_seal)
TEST_OF(exec_no_seal)
TEST_OF(noexec_seal)
TEST_OF(seal_write)
TEST_OF(seal_future_write)
TEST_OF(seal_write_map_read_shared)
TEST_OF(seal_shrink)
TEST_OF(seal_grow)
TEST_OF(seal_resize)
TEST_OF(sysctl_simple)
TEST_OF(sysctl_nested)
TEST_OF(share_dup)
TEST_OF(share_dup_in_threads)
TEST_OF(share_mmap)
TEST_OF(share_mmap_in_threads)
TEST_OF(share_open)
TEST_OF(share_open_in_threads)
TEST_OF(share_fork)
TEST_OF(share_fork_in_threads)
TEST_OF(reader)

int main(int argc, char **argv)
{
	check_main(checks, ARRAY_SIZE(checks), argc, argv);
	return test_harness_run(argc, argv);
}

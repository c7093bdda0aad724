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

#define CHECK(test)		{ #test, check_##test }
#define CHECKS(test)		CHECK(test), CHECK(test##_in_threads)

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
	CHECKS(share_open),
	CHECKS(share_fork),
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
	struct verdict v = check_run(#test, NULL, variant->preload);		\
										\
	/* 150 ms are not always enough for a memfd on a busy machine. */	\
	for (int i = 0; i < 5 && !variant->preload && check_was_busy(&v); i++)	\
		v = check_run(#test, NULL, variant->preload);			\
	EXPECT_EQ(0, v.status);							\
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

int main(int argc, char **argv)
{
	check_main(checks, ARRAY_SIZE(checks), argc, argv);
	return test_harness_run(argc, argv);
}

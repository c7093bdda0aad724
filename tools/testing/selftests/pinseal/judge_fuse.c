// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel's tools/testing/selftests/memfd/fuse_test.c: a seal during a slow read from a
 * FUSE file into the memory. See judge.h.
 */
#define main fuse_test_main
#include "fuse_test.c"
#undef main

#include "harness.h"
#include "fuse_server.h"
#include "judge.h"

static void check_fuse(int argc, char **argv)
{
	exit(fuse_test_main(argc, argv));
}

static const struct check checks[] = {
	{ "fuse", check_fuse },
};

FIXTURE(on) {};

FIXTURE_VARIANT(on) {
	bool preload, isolate;
};

FIXTURE_VARIANT_ADD(on, memfd) { .preload = false };
FIXTURE_VARIANT_ADD(on, pinseal) { .preload = true };
/* The test foresaw this in 2014: no wait, and the read does not reach the memory. */
FIXTURE_VARIANT_ADD(on, pinseal_isolating) { .preload = true, .isolate = true };

FIXTURE_SETUP(on) {}
FIXTURE_TEARDOWN(on) {}

/* Between the first seal of the check, after 0.2 s, and its last one, a second later. */
#define READ_NS		(700 * NSEC_PER_MSEC)

static void *answer_late(void *data)
{
	struct fuse_server *server = data;

	if (!fuse_server_wait_held(server, 1))
		sleep_ns(READ_NS);
	fuse_server_release(server);
	return NULL;
}

/* Runs the check on a file of a new server: 0, or -errno. */
static int run_check(bool preload, struct verdict *v)
{
	struct fuse_server server;
	pthread_t thread;
	char path[64];
	int ret = fuse_server_start(&server);

	if (ret)
		return ret;
	/* Inherited by the check, which finds it by its number. */
	fcntl(server.file, F_SETFD, 0);
	ret = -pthread_create(&thread, NULL, answer_late, &server);
	if (!ret) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", server.file);
		*v = check_run("fuse", path, preload);
		pthread_join(thread, NULL);
	}
	fuse_server_stop(&server);
	return ret;
}

/*
 * The check sleeps for a second instead of waiting for the read. On a busy machine it may seal
 * after the read, or too early again; then it is run once more.
 */
TEST_F(on, fuse)
{
	struct verdict v;
	bool too_slow = true;

	if (variant->isolate) {
		setenv("PINSEAL_ISOLATE", "1", 1);
		setenv("PINSEAL_TIMEOUT_MS", "1", 1);
	}
	for (int i = 0; i < 5 && too_slow; i++) {
		ASSERT_EQ(0, run_check(variant->preload, &v));
		too_slow = !variant->isolate && (strstr(v.text, "HURRAY") || check_was_busy(&v));
	}
	EXPECT_EQ(0, v.status);
	EXPECT_STREQ("fuse: DONE", v.last_line);
	EXPECT_EQ(variant->isolate, !!strstr(v.text, "HURRAY"));
}

int main(int argc, char **argv)
{
	check_main(checks, ARRAY_SIZE(checks), argc, argv);
	return test_harness_run(argc, argv);
}

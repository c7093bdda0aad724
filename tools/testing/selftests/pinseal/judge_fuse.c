// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel's tools/testing/selftests/memfd/fuse_test.c: a seal while a read from a
 * file in FUSE, which takes a second, is under way into the memory. See judge.h.
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

FIXTURE(on) {
	struct fuse_server server;
	pthread_t thread;
};

FIXTURE_VARIANT(on) {
	bool preload, isolate;
};

FIXTURE_VARIANT_ADD(on, memfd) { .preload = false };
FIXTURE_VARIANT_ADD(on, pinseal) { .preload = true };
/* The test foresaw this in 2014: no wait, and what the read brings is not in the memory. */
FIXTURE_VARIANT_ADD(on, pinseal_isolating) { .preload = true, .isolate = true };

/* Each read takes a second. */
static void *answer_late(void *data)
{
	FIXTURE_DATA(on) *self = data;

	if (!fuse_server_wait_held(&self->server, 1))
		sleep(1);
	fuse_server_release(&self->server);
	return NULL;
}

FIXTURE_SETUP(on)
{
	ASSERT_EQ(0, fuse_server_start(&self->server));
	/* For the check, which finds it by its number. */
	ASSERT_EQ(0, fcntl(self->server.file, F_SETFD, 0));
	ASSERT_EQ(0, pthread_create(&self->thread, NULL, answer_late, self));
}

FIXTURE_TEARDOWN(on)
{
	pthread_join(self->thread, NULL);
	fuse_server_stop(&self->server);
}

TEST_F(on, fuse)
{
	struct verdict v;
	char path[64];

	if (variant->isolate) {
		setenv("PINSEAL_ISOLATE", "1", 1);
		setenv("PINSEAL_TIMEOUT_MS", "1", 1);
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", self->server.file);
	v = check_run("fuse", path, variant->preload);
	EXPECT_EQ(0, v.status);
	EXPECT_STREQ("fuse: DONE", v.last_line);
	EXPECT_EQ(variant->isolate, !!strstr(v.text, "HURRAY"));
}

int main(int argc, char **argv)
{
	check_main(checks, ARRAY_SIZE(checks), argc, argv);
	return test_harness_run(argc, argv);
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * The faults of the kernel that Documentation/upstream describes, shown by the programs in upstream/,
 * which need nothing of pinseal. They are beside this one. A skipped test says that the page about it
 * has to be looked at: the fault is mended in this kernel, or the race was not met in time.
 */
#include <limits.h>
#include <stdio.h>
#include <sys/wait.h>

#include "harness.h"
#include "pinseal_test.h"

/* Exit status of these programs. */
enum outcome { SEEN = 0, NOT_SEEN = 1, CANNOT_TRY = 4 };

/* Runs the program beside this one, and shows what it says: its exit status, or -errno. */
static int show(struct __test_metadata *_metadata, const char *name, const char *argument)
{
	char path[PATH_MAX], line[256];
	int out[2], status;
	pid_t child;
	FILE *f;

	if (pipe2(out, O_CLOEXEC))
		return -errno;
	path_beside(path, sizeof(path), name);
	child = fork();
	if (child < 0)
		return -errno;
	if (!child) {
		dup2(out[1], STDOUT_FILENO);
		execl(path, name, argument, NULL);
		_exit(126);
	}
	close(out[1]);
	f = fdopen(out[0], "r");
	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		TH_LOG("%s", line);
	}
	if (f)
		fclose(f);
	if (waitpid(child, &status, 0) != child)
		return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -EIO;
}

FIXTURE(fault) {};

FIXTURE_VARIANT(fault) {
	const char *program;
	bool race;
};

FIXTURE_VARIANT_ADD(fault, sealed_pinned) { "upstream_sealed_pinned", true };
FIXTURE_VARIANT_ADD(fault, sealed_swapped) { "upstream_sealed_swapped", true };
FIXTURE_VARIANT_ADD(fault, sealed_iommufd) { "upstream_sealed_iommufd" };
FIXTURE_VARIANT_ADD(fault, rust_mayshare) { "upstream_rust_mayshare" };
FIXTURE_VARIANT_ADD(fault, dropped_pages) { "upstream_dropped_pages" };

FIXTURE_SETUP(fault) {}
FIXTURE_TEARDOWN(fault) {}

TEST_F(fault, is_there)
{
	char seconds[16];
	int outcome;

	snprintf(seconds, sizeof(seconds), "%llu", (unsigned long long)test_rounds(30, 200));
	outcome = show(_metadata, variant->program, seconds);
	if (outcome == CANNOT_TRY)
		SKIP(return, "it cannot be tried here");
	if (outcome == NOT_SEEN)
		SKIP(return, "mended here%s", variant->race ? ", or not met in time" : "");
	EXPECT_EQ(SEEN, outcome);
}

TEST_HARNESS_MAIN

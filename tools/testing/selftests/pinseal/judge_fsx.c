// SPDX-License-Identifier: GPL-2.0-only
/*
 * fsx, the file system exerciser, unmodified, on stacked objects: random operations, each checked against
 * a copy in memory, with fsync() among them. What fsx closes and opens again is another object over the
 * same file, which gets its pages from there. In the end that file is compared. The build links fsx with
 * fsx/wrapped.c; it is beside this program, or this is skipped.
 */
#include <limits.h>
#include <sys/stat.h>

#include "harness.h"
#include "disk.h"
#include "pinseal_test.h"
#include "stacked.h"
#include "sysfile.h"

#define LARGE_FOLIOS	"/sys/kernel/mm/transparent_hugepage/shmem_enabled"

#define CONFIG	"/tmp/fsx.toml"
#define END	"/tmp/fsx.end"

static const char config[] =
	"flen = 1048576\n"
	/* It may allocate nothing, which is EINVAL, and ends it. */
	"[opsize]\n"
	"min = 1\n"
	"[weights]\n"
	"close_open = 2\n"
	"read = 10\n"
	"write = 10\n"
	"mapread = 10\n"
	"mapwrite = 10\n"
	"invalidate = 1\n"
	"truncate = 5\n"
	"fsync = 3\n"
	"fdatasync = 1\n"
	"posix_fallocate = 2\n"
	"punch_hole = 5\n"
	"sendfile = 3\n";

/* Where fsx is: beside this program. */
static const char *fsx_path(void)
{
	static char path[PATH_MAX];

	path_beside(path, sizeof(path), "fsx");
	return path;
}

FIXTURE(fsx) {
	int lower;
	struct disk disk;
	char setting[32];
};

FIXTURE_VARIANT(fsx) { const char *dir, *disk; bool large; };
FIXTURE_VARIANT_ADD(fsx, over_memfd) {};
/* Shmem allocates large folios, above and below. */
FIXTURE_VARIANT_ADD(fsx, over_large_memfd) { .large = true };
FIXTURE_VARIANT_ADD(fsx, over_tmpfs) { .dir = "/tmp" };
FIXTURE_VARIANT_ADD(fsx, over_ext4) { .disk = "ext4" };
FIXTURE_VARIANT_ADD(fsx, over_xfs) { .disk = "xfs" };
FIXTURE_VARIANT_ADD(fsx, over_btrfs) { .disk = "btrfs" };

FIXTURE_SETUP(fsx)
{
	int fd;

	if (access(fsx_path(), X_OK))
		SKIP(return, "there is no fsx here");
	if (variant->disk && !disk_is_there(variant->disk))
		SKIP(return, "there is no disk with %s", variant->disk);
	if (variant->large) {
		if (read_setting(LARGE_FOLIOS, self->setting, sizeof(self->setting)))
			SKIP(return, "no large folios");
		ASSERT_EQ(0, write_text(LARGE_FOLIOS, "always"));
	}
	self->lower = open_lower(&self->disk, variant->disk, variant->dir);
	ASSERT_LE(0, self->lower);
	ASSERT_EQ(0, fill_lower(self->lower, 600000));
	fd = open(CONFIG, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ASSERT_EQ(sizeof(config) - 1, write(fd, config, sizeof(config) - 1));
	close(fd);
}

FIXTURE_TEARDOWN(fsx)
{
	close(self->lower);
	disk_unmount(&self->disk);
	if (self->setting[0])
		write_text(LARGE_FOLIOS, self->setting);
}

TEST_F_TIMEOUT(fsx, finds_nothing, 3600)
{
	char operations[16], descriptor[16], seed[16];
	pid_t child;
	int status, end;

	/* Where a disk is not waited for, a million. */
	snprintf(operations, sizeof(operations), "%llu",
		 (unsigned long long)test_rounds(3000, variant->disk ? 200000 : 1000000));
	snprintf(descriptor, sizeof(descriptor), "%d", fcntl(self->lower, F_DUPFD, 50));
	snprintf(seed, sizeof(seed), "%u", (unsigned int)now_ns());
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		setenv("PINSEAL_FSX_LOWER", descriptor, 1);
		setenv("PINSEAL_FSX_END", END, 1);
		if (chdir("/tmp"))
			_exit(125);
		execl(fsx_path(), "fsx", "-f", CONFIG, "-N", operations, "-S", seed, "object", NULL);
		_exit(126);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status) TH_LOG("fsx -N %s -S %s, seed %s", operations, seed, seed);
	end = open(END, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, end);
	EXPECT_EQ(-1, differs_from_lower(end, self->lower));
	close(end);
	unlink(END);
}

TEST_HARNESS_MAIN

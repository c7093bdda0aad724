// SPDX-License-Identifier: GPL-2.0-only
/*
 * Results of the module's KUnit suites, which ran when it was loaded, one TAP result per
 * test. Skipped without CONFIG_KUNIT.
 */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "kselftest.h"

#define SUITES	"/sys/kernel/debug/kunit"
#define OURS	"pinseal_"

static unsigned int count, failed;

/* A line of KTAP; tests of a suite are indented once. */
static void take_line(const char *suite, const char *line, bool print)
{
	bool bad = !strncmp(line, "    not ok ", 11);
	const char *name;

	if (!bad && strncmp(line, "    ok ", 7))
		return;
	name = strchr(line + (bad ? 11 : 7), ' ');
	count++;
	failed += bad;
	if (print)
		printf("%sok %u %s.%s", bad ? "not " : "", count, suite + strlen(OURS),
		       name ? name + 1 : "?\n");
}

static void take_suites(bool print)
{
	struct dirent *entry;
	DIR *dir = opendir(SUITES);

	count = failed = 0;
	while (dir && (entry = readdir(dir))) {
		char path[512], line[512];
		FILE *f;

		if (strncmp(entry->d_name, OURS, strlen(OURS)))
			continue;
		snprintf(path, sizeof(path), SUITES "/%s/results", entry->d_name);
		f = fopen(path, "re");
		while (f && fgets(line, sizeof(line), f))
			take_line(entry->d_name, line, print);
		if (f)
			fclose(f);
	}
	if (dir)
		closedir(dir);
}

int main(void)
{
	struct stat st;

	printf("TAP version 13\n");
	if (stat(SUITES, &st)) {
		printf("1..0 # SKIP this kernel has no KUnit\n");
		return KSFT_SKIP;
	}
	take_suites(false);
	printf("1..%u\n", count ?: 1);
	if (!count) {
		printf("not ok 1 there are no suites of the module's\n");
		return KSFT_FAIL;
	}
	take_suites(true);
	return failed ? KSFT_FAIL : KSFT_PASS;
}

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel's tests of memfds as judges. Their source is compiled as it is (make KSRC=). Each
 * check runs in a process of its own, on memfds, and with libpinseal-memfd.so preloaded, on
 * objects. No check may differ.
 */
#ifndef JUDGE_H
#define JUDGE_H

#include <limits.h>

#include "pinseal_test.h"

struct check {
	const char *name;
	void (*run)(int argc, char **argv);
};

/* Status and output of a check. */
struct verdict {
	int status;		/* of waitpid() */
	char last_line[256];
	char text[4096];	/* the beginning */
};

/*
 * check_run() - runs a check in a process of its own. Its output becomes comments; processes
 * that it leaves are killed.
 */
struct verdict check_run(const char *name, const char *arg, bool preload);

/* check_was_busy() - whether the check failed with EBUSY. */
bool check_was_busy(const struct verdict *v);

/* judge_preloaded() - executes this program with the library preloaded, if it is not. */
void judge_preloaded(char **argv);

/* check_main() - runs the check that @argv names, and exits; returns if it names none. */
void check_main(const struct check *checks, size_t n, int argc, char **argv);

#endif /* JUDGE_H */

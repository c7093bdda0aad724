/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * memfd's own test programs as judges: their source is the kernel's, taken as it is
 * (make KSRC=), and each check of them runs in a process of its own, on memfds, and with
 * libpinseal-memfd.so preloaded, on objects.
 *
 * A check that must fail on an object, because pinseal is not like memfd there on purpose,
 * is listed with what it says then: it has to fail, and in that way.
 */
#ifndef JUDGE_H
#define JUDGE_H

#include <libgen.h>
#include <limits.h>

#include "pinseal_test.h"

struct check {
	const char *name;
	void (*run)(int argc, char **argv);
	const char *differs;	/* the line with which it ends on an object, or NULL: it passes */
};

/* How a check ended, and what it printed. */
struct verdict {
	int status;		/* as waitpid() has it */
	char last_line[256];
	char text[4096];	/* the beginning */
};

/*
 * Runs a check in a process of its own. What it prints is shown as comments. Whoever it has
 * started and left is ended with it.
 */
struct verdict check_run(const char *name, const char *arg, bool preload);

const struct check *check_of(const struct check *checks, size_t n, const char *name);

/* When this process is to be a check, it is that and no more. */
void check_main(const struct check *checks, size_t n, int argc, char **argv);

#endif /* JUDGE_H */

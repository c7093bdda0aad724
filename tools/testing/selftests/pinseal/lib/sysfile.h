/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Settings and counters that the kernel shows as files, in /proc, /sys and cgroups:
 * one value each.
 */
#ifndef SYSFILE_H
#define SYSFILE_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Sets it: 0, or -errno. */
int write_text(const char *path, const char *text);

/*
 * What it says, without the line's end: 0, or -errno. In one read(2), for there are
 * files that do something each time they are read.
 */
int read_text(const char *path, char *text, size_t size);

/* What is set, where a choice shows as "one [this] another"; elsewhere what it says. */
int read_setting(const char *path, char *text, size_t size);

/* The number that it says, or -errno. */
long read_number(const char *path);

/* References to the module, by files and mappings, or -errno. */
long module_users(void);

#endif /* SYSFILE_H */

/* SPDX-License-Identifier: GPL-2.0-only */
/* Files of one value in /proc, /sys and cgroups. */
#ifndef SYSFILE_H
#define SYSFILE_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* write_text() - 0, or -errno. */
int write_text(const char *path, const char *text);

/*
 * read_text() - the first line: 0, or -errno. With one read(2), as reading some files has an
 * effect.
 */
int read_text(const char *path, char *text, size_t size);

/* read_setting() - the selected value of "one [this] another", or the first line. */
int read_setting(const char *path, char *text, size_t size);

/* read_number() - the number, or -errno. */
long read_number(const char *path);

/* module_users() - references to the module, or -errno; -ENOENT if it is built in. */
long module_users(void);

#endif /* SYSFILE_H */

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
static inline int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int ret;

	if (fd < 0)
		return -errno;
	ret = write(fd, text, strlen(text)) < 0 ? -errno : 0;
	close(fd);
	return ret;
}

/*
 * What it says, without the line's end: 0, or -errno. In one read(2), for there are
 * files that do something each time they are read.
 */
static inline int read_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;
	int ret;

	text[0] = '\0';
	if (fd < 0)
		return -errno;
	n = read(fd, text, size - 1);
	ret = n < 0 ? -errno : 0;
	close(fd);
	text[n < 0 ? 0 : n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return ret;
}

/* What is set, where a choice shows as "one [this] another"; elsewhere what it says. */
static inline int read_setting(const char *path, char *text, size_t size)
{
	char all[160], *p;
	int ret = read_text(path, all, sizeof(all));

	p = strchr(all, '[');
	if (p) {
		p++;
		p[strcspn(p, "]")] = '\0';
	}
	snprintf(text, size, "%s", p ?: all);
	return ret;
}

/* The number that it says, or -errno. */
static inline long read_number(const char *path)
{
	char text[32];
	int ret = read_text(path, text, sizeof(text));

	return ret ? ret : atol(text);
}

/* References to the module, by files and mappings, or -errno. */
static inline long module_users(void)
{
	return read_number("/sys/module/pinseal/refcnt");
}

#endif /* SYSFILE_H */

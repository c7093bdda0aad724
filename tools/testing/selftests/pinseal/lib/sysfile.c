// SPDX-License-Identifier: GPL-2.0-only
#include "sysfile.h"

int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int ret;

	if (fd < 0)
		return -errno;
	ret = write(fd, text, strlen(text)) < 0 ? -errno : 0;
	close(fd);
	return ret;
}

int read_text(const char *path, char *text, size_t size)
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

int read_setting(const char *path, char *text, size_t size)
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

long read_number(const char *path)
{
	char text[32];
	int ret = read_text(path, text, sizeof(text));

	return ret ? ret : atol(text);
}

long module_users(void)
{
	return read_number("/sys/module/pinseal/refcnt");
}

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Making the n-th allocation or user copy of this task fail, by the kernel's fault
 * injection (CONFIG_FAULT_INJECTION; Documentation/fault-injection).
 */
#ifndef FAULT_INJECTION_H
#define FAULT_INJECTION_H

#include "pinseal_test.h"

static int fault_fd = -1;

/* What is to fail, and nothing said about it in the kernel's log. */
static inline int fault_setting(const char *name, const char *value)
{
	char path[128];
	int fd, ret;

	snprintf(path, sizeof(path), "/sys/kernel/debug/%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = write(fd, value, strlen(value)) < 0 ? -errno : 0;
	close(fd);
	return ret;
}

/* Once for all tasks: 0, or -ENOENT if this kernel cannot do it. */
static inline int faults_init(void)
{
	static const char *const settings[][2] = {
		{ "failslab/ignore-gfp-wait", "N" },
		{ "failslab/verbose", "0" },
		{ "fail_page_alloc/ignore-gfp-wait", "N" },
		{ "fail_page_alloc/ignore-gfp-highmem", "N" },
		{ "fail_page_alloc/min-order", "0" },
		{ "fail_page_alloc/verbose", "0" },
		{ "fail_usercopy/verbose", "0" },
	};
	unsigned int i;
	int ret;

	for (i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		ret = fault_setting(settings[i][0], settings[i][1]);
		if (ret)
			return ret;
	}
	return 0;
}

/* To be called by the task whose calls are to fail. */
static inline int faults_begin(void)
{
	fault_fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	return fault_fd < 0 ? -errno : 0;
}

/* From now on the @nth thing that can fail fails, once; with 0, nothing does. */
static inline void fault_arm(unsigned int nth)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", nth);

	/* When one is armed, it may hit this very call. */
	if (pwrite(fault_fd, text, len, 0) != len && pwrite(fault_fd, text, len, 0) != len)
		abort();
}

/* No more: whether something has failed. */
static inline bool fault_disarm(void)
{
	char text[16] = "";
	/* When this copy is what fails, nothing had failed before. */
	bool failed = pread(fault_fd, text, sizeof(text) - 1, 0) > 0 && !atoi(text);

	fault_arm(0);
	return failed;
}

#endif /* FAULT_INJECTION_H */

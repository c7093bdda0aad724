// SPDX-License-Identifier: GPL-2.0-only
#include "fault_injection.h"

static int fault_fd = -1;

/* A setting of fault injection in debugfs. */
static int fault_setting(const char *name, const char *value)
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

int faults_init(void)
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

int faults_begin(void)
{
	fault_fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	return fault_fd < 0 ? -errno : 0;
}

void fault_arm(unsigned int nth)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", nth);

	/* When one is armed, it may hit this very call. */
	if (pwrite(fault_fd, text, len, 0) != len && pwrite(fault_fd, text, len, 0) != len)
		abort();
}

bool fault_disarm(void)
{
	char text[16] = "";
	/* When this copy is what fails, nothing had failed before. */
	bool failed = pread(fault_fd, text, sizeof(text) - 1, 0) > 0 && !atoi(text);

	fault_arm(0);
	return failed;
}

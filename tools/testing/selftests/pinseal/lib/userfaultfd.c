// SPDX-License-Identifier: GPL-2.0-only
#include "userfaultfd.h"

int uffd_open(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (uffd >= 0 && ioctl(uffd, UFFDIO_API, &api)) {
		close(uffd);
		return -1;
	}
	return uffd;
}

int uffd_register(int uffd, void *p, size_t len, uint64_t mode)
{
	struct uffdio_register reg = {
		.range = { (uintptr_t)p, len },
		.mode = mode,
	};

	return sys(ioctl(uffd, UFFDIO_REGISTER, &reg));
}

int uffd_copy(int uffd, void *to, void *from, size_t len)
{
	struct uffdio_copy copy = {
		.dst = (uintptr_t)to,
		.src = (uintptr_t)from,
		.len = len,
	};

	return ioctl(uffd, UFFDIO_COPY, &copy) ? -errno : 0;
}

int uffd_write_protect(int uffd, void *p, size_t len, bool is_protected)
{
	struct uffdio_writeprotect change = {
		.range = { (uintptr_t)p, len },
		.mode = is_protected ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};

	return sys(ioctl(uffd, UFFDIO_WRITEPROTECT, &change));
}

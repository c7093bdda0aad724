// SPDX-License-Identifier: GPL-2.0-only
#include "udmabuf.h"

bool udmabuf_is_there(void)
{
	return !access(UDMABUF_DEV, R_OK | W_OK);
}

int udmabuf_make(int file, uint64_t from, uint64_t to)
{
	struct udmabuf_create arg = {
		.memfd = file,
		.flags = UDMABUF_FLAGS_CLOEXEC,
		.offset = from,
		.size = to - from,
	};
	int dev = open(UDMABUF_DEV, O_RDWR | O_CLOEXEC);
	int ret = dev < 0 ? -errno : sys(ioctl(dev, UDMABUF_CREATE, &arg));

	close(dev);
	return ret;
}

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DMA buffers made of a shmem file's pages (udmabuf): they pin them without a mapping.
 */
#ifndef UDMABUF_H
#define UDMABUF_H

#include <linux/udmabuf.h>

#include "pinseal_test.h"

#define UDMABUF_DEV	"/dev/udmabuf"

/* Whether they can be made here. */
static inline bool udmabuf_is_there(void)
{
	return !access(UDMABUF_DEV, R_OK | W_OK);
}

/*
 * Makes one of the bytes @from to @to of a shmem file, which must have F_SEAL_SHRINK and not
 * F_SEAL_WRITE: its descriptor, or -errno.
 */
static inline int udmabuf_make(int file, uint64_t from, uint64_t to)
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

#endif /* UDMABUF_H */

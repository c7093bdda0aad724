/* SPDX-License-Identifier: GPL-2.0-only */
/* udmabuf: DMA buffers of pages of a shmem file, pinned without a mapping. */
#ifndef UDMABUF_H
#define UDMABUF_H

#include <linux/udmabuf.h>

#include "pinseal_test.h"

#define UDMABUF_DEV	"/dev/udmabuf"

/* udmabuf_is_there() - whether buffers can be made. */
bool udmabuf_is_there(void);

/*
 * udmabuf_make() - a buffer of bytes @from to @to of a shmem file that has F_SEAL_SHRINK and not
 * F_SEAL_WRITE: its descriptor, or -errno.
 */
int udmabuf_make(int file, uint64_t from, uint64_t to);

#endif /* UDMABUF_H */

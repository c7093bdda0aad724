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
bool udmabuf_is_there(void);

/*
 * Makes one of the bytes @from to @to of a shmem file, which must have F_SEAL_SHRINK and not
 * F_SEAL_WRITE: its descriptor, or -errno.
 */
int udmabuf_make(int file, uint64_t from, uint64_t to);

#endif /* UDMABUF_H */

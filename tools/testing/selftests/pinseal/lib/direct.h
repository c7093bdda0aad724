/* SPDX-License-Identifier: GPL-2.0-only */
/* A file whose I/O pins the pages of the caller's buffer (O_DIRECT). */
#ifndef DIRECT_H
#define DIRECT_H

#include "disk.h"

#define DIRECT_BYTE	'd'	/* every byte of a new file */

/*
 * direct_open() - a new file of @size bytes on a disk with ext4, without a name: its descriptor, or
 * -errno; -ENODEV without such a disk. To be closed before disk_unmount().
 */
int direct_open(struct disk *d, size_t size);

#endif /* DIRECT_H */

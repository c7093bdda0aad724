/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Disks with a file system: virtio disks with the serial number "pinseal-TYPE", which the project's
 * guests have. Below the file system is a linear target of device mapper, so that a disk can fail.
 */
#ifndef DISK_H
#define DISK_H

#include <stdbool.h>
#include <sys/types.h>

/* disk_find() - the device of the disk "pinseal-@type". */
bool disk_find(const char *type, char device[32]);

/* disk_is_there() - whether there is a disk with a file system of @type, and device mapper. */
bool disk_is_there(const char *type);

struct disk {
	char device[32];	/* the virtio disk */
	char mapped[32];	/* the linear target; "" before it is there */
	char dir[64];		/* where it is mounted; "" if it is not */
};

/* disk_mount() - mounts the disk of @type in a new folder of /tmp: 0, or -errno. */
int disk_mount(struct disk *d, const char *type);

/* disk_unmount() - also after a failure. What the file system has open must be closed. */
void disk_unmount(struct disk *d);

/*
 * disk_fail_page() - has I/O of the page at @at of @file fail with EIO from now on: 0, or -errno. The
 * file must have been synced.
 */
int disk_fail_page(struct disk *d, int file, off_t at);

/* disk_heal() - has no I/O fail any more. */
int disk_heal(struct disk *d);

/* disk_stall() - has I/O wait until disk_resume(). */
int disk_stall(struct disk *d);

int disk_resume(struct disk *d);

#endif /* DISK_H */

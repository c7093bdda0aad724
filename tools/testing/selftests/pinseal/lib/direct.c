// SPDX-License-Identifier: GPL-2.0-only
#include "content.h"
#include "direct.h"
#include "stacked.h"

int direct_open(struct disk *d, size_t size)
{
	int fd, ret;

	*d = (struct disk){};
	if (!disk_is_there("ext4"))
		return -ENODEV;
	fd = open_lower(d, "ext4", NULL);
	ret = fd < 0 ? fd : fill_file(fd, size, DIRECT_BYTE);
	if (!ret)
		ret = sys(fsync(fd)) ?: sys(fcntl(fd, F_SETFL, O_DIRECT));
	if (!ret)
		return fd;
	if (fd >= 0)
		close(fd);
	disk_unmount(d);
	return ret;
}

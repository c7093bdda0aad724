// SPDX-License-Identifier: GPL-2.0-only
#include "zram_swap.h"

bool zram_is_there(void)
{
	return !access(ZRAM_CONTROL "/hot_add", R_OK);
}

int swap_format(const char *path, uint64_t size)
{
	size_t page = page_size();
	char *header = calloc(1, page);
	uint32_t *info = (uint32_t *)(header + 1024);
	int fd = open(path, O_RDWR | O_CLOEXEC);
	int ret = -errno;

	if (fd >= 0) {
		info[0] = 1;			/* version */
		info[1] = size / page - 1;	/* last page */
		memcpy(header + page - 10, "SWAPSPACE2", 10);
		ret = pwrite(fd, header, page, 0) == (ssize_t)page ? 0 : -EIO;
		close(fd);
	}
	free(header);
	return ret;
}

void zram_swap_end(struct zram_swap *z)
{
	char id[16];

	if (z->id < 0)
		return;
	swapoff(z->dev);
	snprintf(id, sizeof(id), "%d", z->id);
	/* udev may have it open for a moment. */
	for (int i = 0; i < 100; i++) {
		if (write_text(ZRAM_CONTROL "/hot_remove", id) != -EBUSY)
			break;
		sleep_ns(20 * NSEC_PER_MSEC);
	}
	z->id = -1;
}

int zram_swap_begin(struct zram_swap *z, uint64_t size)
{
	char path[64], text[32];
	int ret;

	z->id = read_number(ZRAM_CONTROL "/hot_add");
	if (z->id < 0)
		return z->id;
	snprintf(z->dev, sizeof(z->dev), "/dev/zram%d", z->id);
	snprintf(path, sizeof(path), "/sys/block/zram%d/disksize", z->id);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)size);
	ret = write_text(path, text);
	if (!ret)
		ret = swap_format(z->dev, size);
	if (!ret)
		ret = sys(swapon(z->dev, 0));
	if (ret)
		zram_swap_end(z);
	return ret;
}

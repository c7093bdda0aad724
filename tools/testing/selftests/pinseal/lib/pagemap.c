// SPDX-License-Identifier: GPL-2.0-only
#include "pagemap.h"

/* Word @index of a file in /proc, or 0. */
static uint64_t proc_word(const char *path, uint64_t index)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t word;

	if (pread(fd, &word, sizeof(word), index * sizeof(word)) != sizeof(word))
		word = 0;
	close(fd);
	return word;
}

uint64_t page_frame(const void *p)
{
	uint64_t entry = proc_word("/proc/self/pagemap", (uintptr_t)p / page_size());

	/* Bit 63: present. */
	return entry >> 63 ? entry & ((1ULL << 55) - 1) : 0;
}

bool page_is_locked(const void *p)
{
	uint64_t frame = page_frame(p);

	/* KPF_MLOCKED, in linux/kernel-page-flags.h of the kernel only, is 33. */
	return frame && proc_word("/proc/kpageflags", frame) >> 33 & 1;
}

// SPDX-License-Identifier: GPL-2.0-only
#include "protect.h"

int ps_protect(int fd, const void *p, size_t len, int prot)
{
	struct pinseal_protect arg = {
		.addr = (uintptr_t)p,
		.len = len,
		.prot = prot,
	};

	return ps_ioctl(fd, PINSEAL_IOC_PROTECT, &arg);
}

int ps_remap(int fd, const void *p, size_t len, uint64_t pgoff, int prot)
{
	struct pinseal_protect arg = {
		.addr = (uintptr_t)p,
		.len = len,
		.pgoff = pgoff,
		.prot = prot,
		.flags = PINSEAL_PROTECT_REMAP,
	};

	return ps_ioctl(fd, PINSEAL_IOC_PROTECT, &arg);
}

int ps_protect_ranges(int fd, const struct pinseal_protect_range *ranges, uint64_t nr)
{
	struct pinseal_protect arg = {
		.flags = PINSEAL_PROTECT_RANGES,
		.ranges = (uintptr_t)ranges,
		.nr = nr,
	};

	return ps_ioctl(fd, PINSEAL_IOC_PROTECT, &arg);
}

int ps_protections(int fd, const void *p, size_t len, struct pinseal_protect_range *ranges,
		   uint64_t nr)
{
	struct pinseal_protect arg = {
		.addr = (uintptr_t)p,
		.len = len,
		.flags = PINSEAL_PROTECT_QUERY,
		.ranges = (uintptr_t)ranges,
		.nr = nr,
	};

	return ps_ioctl(fd, PINSEAL_IOC_PROTECT, &arg);
}

struct pinseal_protect_range a_range(const void *p, size_t len, int prot)
{
	return (struct pinseal_protect_range){
		.addr = (uintptr_t)p,
		.len = len,
		.prot = prot,
	};
}

int protect_pages(enum object_kind kind, int fd, void *p, size_t len, int prot)
{
	if (kind == MEMFD)
		return sys(mprotect(p, len, prot));
	return ps_protect(fd, p, len, prot);
}

long count_mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	long lines = 0;
	int c;

	if (!maps)
		return -errno;
	while ((c = getc(maps)) != EOF)
		lines += c == '\n';
	fclose(maps);
	return lines;
}

bool mapping_has_flag(const void *p, const char *flag)
{
	FILE *smaps = fopen("/proc/self/smaps", "r");
	bool inside = false, found = false;
	unsigned long start, end;
	char line[512];

	while (smaps && !found && fgets(line, sizeof(line), smaps)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			inside = start <= (uintptr_t)p && (uintptr_t)p < end;
		else if (inside && !strncmp(line, "VmFlags:", 8))
			found = strstr(line, flag);
	}
	if (smaps)
		fclose(smaps);
	return found;
}

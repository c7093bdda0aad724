// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommufd maps a sealed memfd for writing, and one whose descriptor is open for reading only: see
 * Documentation/upstream/sealed-iommufd.rst. No device is attached, so nothing is written; the page
 * says what follows when one is.
 *
 * Exit status: 0 the fault was seen, 1 it was not, 4 it cannot be tried here.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SEEN = 0, NOT_SEEN = 1, CANNOT_TRY = 4 };

/* Of linux/iommufd.h, whose version in user space may lack the command. */
struct ioas_alloc {
	uint32_t size, flags, out_ioas_id;
};

struct ioas_map_file {
	uint32_t size, flags, ioas_id;
	int32_t fd;
	uint64_t start, length, iova;
};

#define IOAS_ALLOC	_IO(';', 0x81)
#define IOAS_MAP_FILE	_IO(';', 0x8f)
#define MAP_WRITEABLE	(1 << 1)
#define MAP_READABLE	(1 << 2)

static int map_for_writing(int iommu, uint32_t ioas, int fd, const char *what)
{
	struct ioas_map_file arg = {
		.size = sizeof(arg),
		.flags = MAP_WRITEABLE | MAP_READABLE,
		.ioas_id = ioas,
		.fd = fd,
		.length = sysconf(_SC_PAGESIZE),
	};
	int ret = ioctl(iommu, IOAS_MAP_FILE, &arg) ? errno : 0;

	printf("IOMMU_IOAS_MAP_FILE for writing, %s: %s\n", what, ret ? strerror(ret) : "succeeds");
	return ret;
}

int main(void)
{
	struct ioas_alloc ioas = { .size = sizeof(ioas) };
	int iommu = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	size_t page = sysconf(_SC_PAGESIZE);
	int plain = memfd_create("plain", MFD_CLOEXEC);
	int sealed = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	char path[64];
	int readonly, wrong;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (iommu < 0) {
		printf("/dev/iommu: %s (CONFIG_IOMMUFD)\n", strerror(errno));
		return CANNOT_TRY;
	}
	if (ioctl(iommu, IOAS_ALLOC, &ioas)) {
		printf("IOMMU_IOAS_ALLOC: %s\n", strerror(errno));
		return CANNOT_TRY;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", plain);
	readonly = open(path, O_RDONLY | O_CLOEXEC);
	if (plain < 0 || sealed < 0 || readonly < 0 || ftruncate(plain, page) || ftruncate(sealed, page) ||
	    fcntl(sealed, F_ADD_SEALS, F_SEAL_WRITE)) {
		printf("memfd_create: %s\n", strerror(errno));
		return CANNOT_TRY;
	}
	if (map_for_writing(iommu, ioas.out_ioas_id, plain, "an ordinary memfd"))
		return CANNOT_TRY;
	wrong = !map_for_writing(iommu, ioas.out_ioas_id, sealed, "F_SEAL_WRITE");
	wrong += !map_for_writing(iommu, ioas.out_ioas_id, readonly, "a read-only descriptor");
	return wrong ? SEEN : NOT_SEEN;
}

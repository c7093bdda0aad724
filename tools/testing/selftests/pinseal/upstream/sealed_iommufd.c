// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommufd maps a sealed memfd for writing, and one whose descriptor is open for reading only: see
 * Documentation/upstream/sealed-iommufd.rst. With CONFIG_IOMMUFD_TEST, an access of the kernel's own
 * tests then writes there, as an emulated device does.
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

/* Of drivers/iommu/iommufd/iommufd_test.h; what the kernel does not know at the end has to be zero. */
struct test_cmd {
	uint32_t size, op, id, reserved;
	union {
		struct {
			uint32_t out_access_fd, flags;
		} create_access;
		struct {
			uint64_t iova, length, uptr;
			uint32_t flags;
		} access_rw;
		char room[240];
	};
};

#define IOAS_ALLOC		_IO(';', 0x81)
#define IOAS_MAP_FILE		_IO(';', 0x8f)
#define MAP_WRITEABLE		(1 << 1)
#define MAP_READABLE		(1 << 2)
#define TEST_CMD		_IO(';', 0xa0)
#define TEST_CREATE_ACCESS	5
#define TEST_ACCESS_RW		8
#define ACCESS_RW_WRITE		(1 << 0)

/* Returns 0 or an errno. *iova is where the memory is for devices. */
static int map_for_writing(int iommu, uint32_t ioas, int fd, const char *what, uint64_t *iova)
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
	*iova = arg.iova;
	return ret;
}

/* The descriptor of what stands for a device, or -1 if this kernel does not have the kernel's own tests. */
static int create_access(int iommu, uint32_t ioas)
{
	struct test_cmd arg = { .size = sizeof(arg), .op = TEST_CREATE_ACCESS, .id = ioas };

	return ioctl(iommu, TEST_CMD, &arg) ? -1 : (int)arg.create_access.out_access_fd;
}

/* The device writes a byte there: whether the file has it now. */
static int written(int iommu, int access, uint64_t iova, int fd, const char *what)
{
	char sent = 'b', seen = 0;
	struct test_cmd arg = {
		.size = sizeof(arg),
		.op = TEST_ACCESS_RW,
		.id = access,
		.access_rw = {
			.iova = iova,
			.length = 1,
			.uptr = (uintptr_t)&sent,
			.flags = ACCESS_RW_WRITE,
		},
	};
	int ret = ioctl(iommu, TEST_CMD, &arg) ? errno : 0;

	if (ret)
		printf("A device's write, %s: %s\n", what, strerror(ret));
	else if (pread(fd, &seen, 1, 0) == 1 && seen == sent)
		printf("A device's write, %s: the file has changed\n", what);
	else
		printf("A device's write, %s: the file has not changed\n", what);
	return !ret && seen == sent;
}

int main(void)
{
	struct ioas_alloc ioas = { .size = sizeof(ioas) };
	int iommu = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	size_t page = sysconf(_SC_PAGESIZE);
	int plain = memfd_create("plain", MFD_CLOEXEC);
	int sealed = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int sealed_later = memfd_create("sealed_later", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	uint64_t iova, iova_sealed = 0, iova_readonly = 0, iova_later = 0;
	int readonly, access, wrong = 0;
	char path[64];

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
	if (plain < 0 || sealed < 0 || sealed_later < 0 || readonly < 0 || ftruncate(plain, page) ||
	    ftruncate(sealed, page) || ftruncate(sealed_later, page) ||
	    fcntl(sealed, F_ADD_SEALS, F_SEAL_WRITE)) {
		printf("memfd_create: %s\n", strerror(errno));
		return CANNOT_TRY;
	}
	if (map_for_writing(iommu, ioas.out_ioas_id, plain, "an ordinary memfd", &iova))
		return CANNOT_TRY;
	if (!map_for_writing(iommu, ioas.out_ioas_id, sealed, "F_SEAL_WRITE", &iova_sealed))
		wrong++;
	if (!map_for_writing(iommu, ioas.out_ioas_id, readonly, "a read-only descriptor", &iova_readonly))
		wrong++;
	if (!map_for_writing(iommu, ioas.out_ioas_id, sealed_later, "a memfd without seals", &iova_later)) {
		int ret = fcntl(sealed_later, F_ADD_SEALS, F_SEAL_WRITE) ? errno : 0;

		printf("F_SEAL_WRITE after that: %s\n", ret ? strerror(ret) : "succeeds");
		if (ret)
			iova_later = 0;
		else
			wrong++;
	}
	access = create_access(iommu, ioas.out_ioas_id);
	if (access < 0) {
		printf("No device is tried (CONFIG_IOMMUFD_TEST)\n");
		return wrong ? SEEN : NOT_SEEN;
	}
	if (iova_sealed && !written(iommu, access, iova_sealed, sealed, "F_SEAL_WRITE"))
		return NOT_SEEN;
	if (iova_readonly && !written(iommu, access, iova_readonly, readonly, "a read-only descriptor"))
		return NOT_SEEN;
	if (iova_later && !written(iommu, access, iova_later, sealed_later, "F_SEAL_WRITE since it was mapped"))
		return NOT_SEEN;
	return wrong ? SEEN : NOT_SEEN;
}

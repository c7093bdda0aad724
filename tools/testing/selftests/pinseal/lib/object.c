// SPDX-License-Identifier: GPL-2.0-only
#include "object.h"

#define MEMFD_TRIES	20

int memfd_open(void)
{
	return sys(memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC));
}

int import_open(int file)
{
	int fd = ps_open(O_RDWR);
	int ret = fd < 0 ? fd : ps_import(fd, file);

	if (ret && fd >= 0)
		close(fd);
	return ret ?: fd;
}

int created_by(int fd, uint32_t flags, const char *name)
{
	struct pinseal_create arg = { .flags = flags };

	snprintf(arg.name, sizeof(arg.name), "%s", name);
	return ps_ioctl(fd, PINSEAL_IOC_CREATE, &arg);
}

int created_open(uint32_t flags, const char *name)
{
	int device = ps_open(O_RDONLY);
	int fd;

	if (device < 0)
		return device;
	fd = created_by(device, flags, name);
	close(device);
	return fd;
}

int obj_open(enum object_kind kind)
{
	int memfd, fd;

	if (kind == PINSEAL)
		return ps_open(O_RDWR);
	if (kind == CREATED)
		return created_open(PINSEAL_CREATE_ALLOW_SEALING | PINSEAL_CREATE_EXEC, "test");
	memfd = memfd_open();
	if (kind == MEMFD || memfd < 0)
		return memfd;
	fd = import_open(memfd);
	close(memfd);
	return fd;
}

bool obj_is_pinseal(int fd)
{
	return ps_get_seals(fd) >= 0;
}

bool obj_is_memfd(int fd)
{
	return fcntl(fd, F_GET_SEALS) >= 0;
}

int obj_resize(int fd, uint64_t size)
{
	return obj_is_memfd(fd) ? sys(ftruncate(fd, size)) : ps_resize(fd, size);
}

int obj_create(enum object_kind kind, uint64_t size)
{
	int fd = obj_open(kind);
	int ret;

	if (fd < 0)
		return fd;
	ret = obj_resize(fd, size);
	if (ret) {
		close(fd);
		return ret;
	}
	return fd;
}

int obj_fallocate(int fd, uint32_t mode, uint64_t offset, uint64_t len)
{
	if (obj_is_memfd(fd))
		return sys(fallocate(fd, mode, offset, len));
	return ps_fallocate(fd, mode, offset, len);
}

int obj_allocate(int fd, uint32_t mode, uint64_t offset, uint64_t len)
{
	int ret = -ENOMEM;

	for (int tries = 0; ret == -ENOMEM && tries < 100; tries++)
		ret = obj_fallocate(fd, mode, offset, len);
	return ret;
}

int memfd_add_seals(int fd, uint32_t seals)
{
	return sys(fcntl(fd, F_ADD_SEALS, seals));
}

int fcntl_add_seals(int fd, uint32_t seals)
{
	int ret = -EBUSY;

	for (int i = 0; i < MEMFD_TRIES && ret == -EBUSY; i++)
		ret = memfd_add_seals(fd, seals);
	return ret;
}

int obj_add_seals(int fd, uint32_t seals)
{
	return obj_is_pinseal(fd) ? ps_add_seals(fd, seals) : fcntl_add_seals(fd, seals);
}

int obj_get_seals(int fd)
{
	return obj_is_pinseal(fd) ? ps_get_seals(fd) : sys(fcntl(fd, F_GET_SEALS));
}

int64_t obj_size(int fd)
{
	struct stat st;

	if (!obj_is_memfd(fd))
		return ps_size(fd);
	return fstat(fd, &st) ? -errno : st.st_size;
}

int open_by_proc(int fd, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return sys(open(path, flags | O_CLOEXEC));
}

int proc_link(int fd, char *target, size_t len)
{
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, target, len - 1);
	target[n < 0 ? 0 : n] = '\0';
	return n < 0 ? -errno : 0;
}

int open_mapped_file(const void *p, size_t len, int flags)
{
	char path[128];

	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (unsigned long)p,
		 (unsigned long)p + len);
	return sys(open(path, flags | O_CLOEXEC));
}

long obj_pages(int fd)
{
	void *p = ps_map(fd, page_size(), PROT_READ, MAP_PRIVATE);
	int file = p == MAP_FAILED ? -errno : open_mapped_file(p, page_size(), O_RDONLY);
	struct stat st;
	long ret = file;

	if (file >= 0) {
		ret = fstat(file, &st) ? -errno : st.st_blocks * 512 / (long)page_size();
		close(file);
	}
	if (p != MAP_FAILED)
		munmap(p, page_size());
	return ret;
}

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One object, made by memfd or by pinseal or by both (an imported memfd), and the
 * operations for which these have different calls. A test written with them takes the
 * same steps on each; what memfd answers is what pinseal has to answer.
 *
 * Every function returns 0 (or what it says), or -errno.
 */
#ifndef OBJECT_H
#define OBJECT_H

#include <sys/stat.h>

#include "pinseal_test.h"

#ifndef F_ADD_SEALS
#define F_ADD_SEALS	(1024 + 9)
#define F_GET_SEALS	(1024 + 10)
#endif

#ifndef MFD_EXEC
#define MFD_EXEC	0x0010U
#endif

enum object_kind {
	MEMFD,
	PINSEAL,
	IMPORTED,
};

#define ALL_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | \
		   F_SEAL_FUTURE_WRITE)

/* Fixture variants: every test of @fixture on a memfd and on an object. */
#define ON_BOTH_KINDS(fixture)						\
	FIXTURE_VARIANT(fixture) { enum object_kind kind; };		\
	FIXTURE_VARIANT_ADD(fixture, memfd) { .kind = MEMFD };		\
	FIXTURE_VARIANT_ADD(fixture, pinseal) { .kind = PINSEAL }

/* The same, and on an imported memfd. */
#define ON_EVERY_KIND(fixture)						\
	ON_BOTH_KINDS(fixture);						\
	FIXTURE_VARIANT_ADD(fixture, imported) { .kind = IMPORTED }

/* A new empty memfd: its descriptor. */
static inline int memfd_open(void)
{
	return sys(memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC));
}

/* A new object whose memory is @file: its descriptor. */
static inline int import_open(int file)
{
	int fd = ps_open(O_RDWR);
	int ret = fd < 0 ? fd : ps_import(fd, file);

	if (ret && fd >= 0)
		close(fd);
	return ret ?: fd;
}

/* A new empty object, read-write: its descriptor. */
static inline int obj_open(enum object_kind kind)
{
	int memfd, fd;

	if (kind == PINSEAL)
		return ps_open(O_RDWR);
	memfd = memfd_open();
	if (kind == MEMFD || memfd < 0)
		return memfd;
	fd = import_open(memfd);
	close(memfd);
	return fd;
}

static inline bool obj_is_pinseal(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && S_ISCHR(st.st_mode);
}

static inline int obj_resize(int fd, uint64_t size)
{
	return obj_is_pinseal(fd) ? ps_resize(fd, size) : sys(ftruncate(fd, size));
}

/* A new object of @size bytes, read-write: its descriptor. */
static inline int obj_create(enum object_kind kind, uint64_t size)
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

static inline int obj_fallocate(int fd, uint32_t mode, uint64_t offset, uint64_t len)
{
	if (obj_is_pinseal(fd))
		return ps_fallocate(fd, mode, offset, len);
	return sys(fallocate(fd, mode, offset, len));
}

/*
 * Allocates what punches no hole: 0, or -errno. shmem gives up when the kernel wants to
 * swap out what it has just allocated, for lack of memory, and then it is tried again.
 */
static inline int obj_allocate(int fd, uint32_t mode, uint64_t offset, uint64_t len)
{
	int ret = -ENOMEM;

	for (int tries = 0; ret == -ENOMEM && tries < 100; tries++)
		ret = obj_fallocate(fd, mode, offset, len);
	return ret;
}

static inline int obj_add_seals(int fd, uint32_t seals)
{
	if (obj_is_pinseal(fd))
		return ps_add_seals(fd, seals);
	return sys(fcntl(fd, F_ADD_SEALS, seals));
}

/* The seals set. */
static inline int obj_get_seals(int fd)
{
	return obj_is_pinseal(fd) ? ps_get_seals(fd) : sys(fcntl(fd, F_GET_SEALS));
}

/* The size in bytes. */
static inline int64_t obj_size(int fd)
{
	struct stat st;

	if (obj_is_pinseal(fd))
		return ps_size(fd);
	return fstat(fd, &st) ? -errno : st.st_size;
}

/* Opens the file behind a mapping, as root can: its descriptor, or -errno. */
static inline int open_mapped_file(const void *p, size_t len, int flags)
{
	char path[128];

	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (unsigned long)p,
		 (unsigned long)p + len);
	return sys(open(path, flags | O_CLOEXEC));
}

/* The pages that the object has, in memory or in swap, or -errno. For root. */
static inline long obj_pages(int fd)
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

#endif /* OBJECT_H */

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An object of any kind, from a memfd to /dev/pinseal, and the operations for which these have
 * different calls: a test takes the same steps on each, and pinseal must answer as memfd does.
 *
 * Functions return 0 (or what they say), or -errno.
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
#define MFD_NOEXEC_SEAL	0x0008U
#define MFD_EXEC	0x0010U
#endif

enum object_kind {
	MEMFD,
	PINSEAL,	/* /dev/pinseal */
	IMPORTED,	/* the same, with a memfd as its memory */
	CREATED,	/* PINSEAL_IOC_CREATE: a memfd that knows the commands */
};

#define ALL_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | \
		   F_SEAL_FUTURE_WRITE)

/* Fixture variants: each test of @fixture on a memfd and on an object. */
#define ON_BOTH_KINDS(fixture)						\
	FIXTURE_VARIANT(fixture) { enum object_kind kind; };		\
	FIXTURE_VARIANT_ADD(fixture, memfd) { .kind = MEMFD };		\
	FIXTURE_VARIANT_ADD(fixture, pinseal) { .kind = PINSEAL }

/* The same, and on an imported and a created memfd. */
#define ON_EVERY_KIND(fixture)						\
	ON_BOTH_KINDS(fixture);						\
	FIXTURE_VARIANT_ADD(fixture, imported) { .kind = IMPORTED };	\
	FIXTURE_VARIANT_ADD(fixture, created) { .kind = CREATED }

/* On memfds alone: plain, and created. */
#define ON_MEMFDS(fixture)						\
	FIXTURE_VARIANT(fixture) { enum object_kind kind; };		\
	FIXTURE_VARIANT_ADD(fixture, memfd) { .kind = MEMFD };		\
	FIXTURE_VARIANT_ADD(fixture, created) { .kind = CREATED }

/* memfd_open() - a new empty memfd. */
int memfd_open(void);

/* import_open() - a new object whose memory is @file. */
int import_open(int file);

/* obj_open() - a new empty object, read-write. */
int obj_open(enum object_kind kind);

/* created_by() - a new empty object by PINSEAL_IOC_CREATE on @fd: its descriptor, or -errno. */
int created_by(int fd, uint32_t flags, const char *name);

/* created_open() - the same on a new descriptor of the device. */
int created_open(uint32_t flags, const char *name);

/* obj_is_pinseal() - whether @fd is of an object, not of a plain memfd. */
bool obj_is_pinseal(int fd);

/* obj_is_memfd() - whether @fd is of a memfd, of an object or not. */
bool obj_is_memfd(int fd);

int obj_resize(int fd, uint64_t size);

/* obj_create() - a new object of @size bytes, read-write. */
int obj_create(enum object_kind kind, uint64_t size);

int obj_fallocate(int fd, uint32_t mode, uint64_t offset, uint64_t len);

/*
 * obj_allocate() - fallocate() without PUNCH_HOLE, tried again when shmem gives up because
 * reclaim took new pages.
 */
int obj_allocate(int fd, uint32_t mode, uint64_t offset, uint64_t len);

/* memfd_add_seals() - F_ADD_SEALS, once: 0, or -errno. */
int memfd_add_seals(int fd, uint32_t seals);

/*
 * fcntl_add_seals() - F_ADD_SEALS, waiting some seconds for references to go: 0, or -errno.
 *
 * memfd waits 150 ms, which a busy machine exceeds with references that reclaim, migration and
 * LRU batches hold for a moment. After EBUSY it is tried again; with a writable mapping that
 * fails at once, so it costs nothing.
 */
int fcntl_add_seals(int fd, uint32_t seals);

/* obj_add_seals() - the same as its kind does it: SEAL of an object, F_ADD_SEALS of a memfd. */
int obj_add_seals(int fd, uint32_t seals);

/* obj_get_seals() - the seals set. */
int obj_get_seals(int fd);

/* obj_size() - the size in bytes. */
int64_t obj_size(int fd);

/* open_by_proc() - opens what @fd refers to by /proc/self/fd. */
int open_by_proc(int fd, int flags);

/* proc_link() - what /proc/self/fd shows of @fd: 0, or -errno. */
int proc_link(int fd, char *target, size_t len);

/* open_mapped_file() - opens the file behind a mapping through map_files, for root. */
int open_mapped_file(const void *p, size_t len, int flags);

/* obj_pages() - pages of the object, in memory or in swap. For root. */
long obj_pages(int fd);

#endif /* OBJECT_H */

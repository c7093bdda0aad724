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
int memfd_open(void);

/* A new object whose memory is @file: its descriptor. */
int import_open(int file);

/* A new empty object, read-write: its descriptor. */
int obj_open(enum object_kind kind);

bool obj_is_pinseal(int fd);

int obj_resize(int fd, uint64_t size);

/* A new object of @size bytes, read-write: its descriptor. */
int obj_create(enum object_kind kind, uint64_t size);

int obj_fallocate(int fd, uint32_t mode, uint64_t offset, uint64_t len);

/*
 * Allocates what punches no hole: 0, or -errno. shmem gives up when the kernel wants to
 * swap out what it has just allocated, for lack of memory, and then it is tried again.
 */
int obj_allocate(int fd, uint32_t mode, uint64_t offset, uint64_t len);

int obj_add_seals(int fd, uint32_t seals);

/* The seals set. */
int obj_get_seals(int fd);

/* The size in bytes. */
int64_t obj_size(int fd);

/* Opens the file behind a mapping, as root can: its descriptor, or -errno. */
int open_mapped_file(const void *p, size_t len, int flags);

/* The pages that the object has, in memory or in swap, or -errno. For root. */
long obj_pages(int fd);

#endif /* OBJECT_H */

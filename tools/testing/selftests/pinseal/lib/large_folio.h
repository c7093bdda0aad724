/* SPDX-License-Identifier: GPL-2.0-only */
/* Files that consist of one large folio. */
#ifndef LARGE_FOLIO_H
#define LARGE_FOLIO_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "content.h"
#include "madvise.h"

/* What a read fault maps around its page: fault_around_bytes. */
#define FAULT_BYTES	(64 * 1024)

/* Set for programs under memory pressure, where allocation may fail (under_pressure.h). */
#define UNDER_PRESSURE	"PINSEAL_UNDER_PRESSURE"

bool is_under_pressure(void);

/* large_folio_size() - the size of folios of MADV_COLLAPSE, or 0. */
size_t large_folio_size(void);

/* map_aligned() - a shared mapping of @len bytes, aligned to large folios of @size. */
char *map_aligned(int fd, size_t len, size_t size, int prot);

/* collapse_into_large_folio() - of a file of that size: 0, or -errno. */
int collapse_into_large_folio(int fd, size_t size);

/* make_large_folio() - fills the file first. */
int make_large_folio(int fd, size_t size);

#endif /* LARGE_FOLIO_H */

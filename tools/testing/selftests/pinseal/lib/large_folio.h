/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Files that consist of one large folio.
 */
#ifndef LARGE_FOLIO_H
#define LARGE_FOLIO_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "content.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

/* What one read fault maps of a folio around it, if no more is mapped: fault_around_bytes. */
#define FAULT_BYTES	(64 * 1024)

/* Set for programs that run where there may be no memory for any (under_pressure.h). */
#define UNDER_PRESSURE	"PINSEAL_UNDER_PRESSURE"

bool is_under_pressure(void);

/* The size of the folios that MADV_COLLAPSE makes, or 0. */
size_t large_folio_size(void);

/* A shared mapping of the first @len bytes of @fd where large folios of @size fit. */
char *map_aligned(int fd, size_t len, size_t size, int prot);

/* Makes one folio of all that @fd, of large_folio_size(), holds: 0, or -errno. */
int collapse_into_large_folio(int fd, size_t size);

/* Fills @fd, of that size, too. */
int make_large_folio(int fd, size_t size);

#endif /* LARGE_FOLIO_H */

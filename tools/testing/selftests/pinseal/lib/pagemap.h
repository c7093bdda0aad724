/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where a page of the process is in the machine's memory, and what the kernel says of that
 * page (Documentation/admin-guide/mm/pagemap.rst). For root.
 */
#ifndef PAGEMAP_H
#define PAGEMAP_H

#include <fcntl.h>
#include <unistd.h>

#include "pinseal_test.h"

/* The number of the page frame at @p, or 0 when none is in the page tables. */
uint64_t page_frame(const void *p);

/* Whether a page is in the process' page tables, and kept in memory. */
bool is_there_and_locked(const void *p);

#endif /* PAGEMAP_H */

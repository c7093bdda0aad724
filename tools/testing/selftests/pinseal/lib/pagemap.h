/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page frames of the process and their flags (Documentation/admin-guide/mm/pagemap.rst). For
 * root.
 */
#ifndef PAGEMAP_H
#define PAGEMAP_H

#include <fcntl.h>
#include <unistd.h>

#include "pinseal_test.h"

/* page_frame() - the frame number of the page at @p, or 0 if it is not mapped. */
uint64_t page_frame(const void *p);

/* page_is_locked() - whether the page at @p is mapped and mlocked. */
bool page_is_locked(const void *p);

#endif /* PAGEMAP_H */

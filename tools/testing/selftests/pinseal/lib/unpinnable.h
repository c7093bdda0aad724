/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Pages in memory that cannot be pinned for long: ZONE_MOVABLE and CMA, of which a guest has some
 * with movablecore= or cma= (qemu/flavours). The kernel does not say where a page is. But while a
 * pipe holds such a page, a pin without PINSEAL_PIN_WAIT fails.
 */
#ifndef UNPINNABLE_H
#define UNPINNABLE_H

#include "holders.h"

/* unpinnable_machine() - whether the machine must have such memory. */
bool unpinnable_machine(void);

/*
 * unpinnable_pages() - the first of @count adjacent pages of the object @fd, all in such memory;
 * -ENOENT if no such pages are found among the last of its @pages. The pages must have content,
 * and not be in use.
 */
long unpinnable_pages(int fd, size_t pages, size_t count);

#endif /* UNPINNABLE_H */

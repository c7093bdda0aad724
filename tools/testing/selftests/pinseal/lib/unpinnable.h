/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Pages in memory that cannot be pinned for long: ZONE_MOVABLE and CMA, of which a guest has some
 * with movablecore= or cma= (qemu/flavours). The kernel does not say where a page is. But while a
 * pipe holds such a page, a pin without PINSEAL_PIN_WAIT fails.
 */
#ifndef UNPINNABLE_H
#define UNPINNABLE_H

#include "bytes.h"
#include "content.h"
#include "holders.h"

/* unpinnable_machine() - whether the machine must have such memory. */
bool unpinnable_machine(void);

/*
 * unpinnable_fill() - fills @pages pages of the object @fd with @c, and finds @count adjacent ones
 * that are in such memory: the first of these, or -errno (-ENOENT: none are found). The object
 * must not be in use.
 */
long unpinnable_fill(int fd, size_t pages, char c, size_t count);

#endif /* UNPINNABLE_H */

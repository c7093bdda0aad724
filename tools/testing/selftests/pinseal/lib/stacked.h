/* SPDX-License-Identifier: GPL-2.0-only */
/* Objects that are stacked on a lower file, and the content of that. */
#ifndef STACKED_H
#define STACKED_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "disk.h"

/* ps_attach() - stacks the object on a file: 0, or -errno. */
int ps_attach(int fd, int lower, uint32_t flags);

/* lower_byte() - what byte @at of a lower file is at first. */
char lower_byte(size_t at);

/* fill_lower() - gives a file @size such bytes: 0, or -errno. */
int fill_lower(int fd, size_t size);

/*
 * open_lower() - a new file on the disk of @type, which is mounted; in @dir if that is NULL; or a memfd if
 * both are. The descriptor, or -errno.
 */
int open_lower(struct disk *disk, const char *type, const char *dir);

/* new_lower() - a new file without a name, on the disk if it is mounted, else in @dir. */
int new_lower(struct disk *disk, const char *dir);

/* differs() - the first byte of [from, to) of @p that is not as in the lower file at first, or -1. */
long differs(const char *p, size_t from, size_t to);

/* not_zero() - the first byte of [from, to) of @p that is not 0, or -1. */
long not_zero(const char *p, size_t from, size_t to);

/* byte_of() - the byte at @at of a file, or -1. */
char byte_of(int fd, off_t at);

/*
 * differs_from_lower() - the first byte at which the object, or another file, and the lower file differ, also
 * in size; or -1.
 */
off_t differs_from_lower(int fd, int lower);

/* differs_up_to() - the same of the first @most bytes. */
off_t differs_up_to(int fd, int lower, off_t most);

/* poison_page() - poisons a page that is mapped at @p: whether that can be done here. */
bool poison_page(char *p);

#endif /* STACKED_H */

/* SPDX-License-Identifier: GPL-2.0-only */
/* Filling a file, and checksums that change when any byte does. */
#ifndef CONTENT_H
#define CONTENT_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pinseal_test.h"

/* fill_file() - writes @size bytes @c: 0, or -errno. */
int fill_file(int fd, size_t size, char c);

uint64_t sum_bytes(const unsigned char *p, size_t len);

/* checksum() - of the first @size bytes as read(2) has them; 0 if it fails. */
uint64_t checksum(int fd, size_t size);

/* checksum_mapped() - as a new shared mapping shows them; for sealed objects. */
uint64_t checksum_mapped(int fd, size_t size);

#endif /* CONTENT_H */

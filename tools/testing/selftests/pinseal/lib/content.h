/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is in a file: filling it, and sums that change when any byte does.
 */
#ifndef CONTENT_H
#define CONTENT_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pinseal_test.h"

/* Fills @size bytes of @fd with write(2), with the byte @c: 0, or -errno. */
int fill_file(int fd, size_t size, char c);

uint64_t sum_bytes(const unsigned char *p, size_t len);

/* What read(2) gives: the sum of the first @size bytes, or 0 if they cannot be had. */
uint64_t checksum(int fd, size_t size);

/* The same as a new mapping shows it; for sealed objects. */
uint64_t checksum_mapped(int fd, size_t size);

#endif /* CONTENT_H */

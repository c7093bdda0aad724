/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Random reads and writes through a descriptor for pages of an object: a pin handle or a mirror.
 */
#ifndef FUZZER_TRANSFER_H
#define FUZZER_TRANSFER_H

#include "worker.h"

/* One read or write, and its result. */
struct transfer {
	unsigned char *memory;
	size_t at, len;
	size_t room;		/* the part of @len that lies within the pages */
	bool image;		/* the bytes read must match the sealed image */
	ssize_t ret;
};

/*
 * Reads through @fd, a descriptor for the bytes @from to @to of the object. @what is the format of
 * the log entry, for numbers only.
 */
struct transfer read_by(struct worker *w, const char *what, struct target *t, int fd,
			uint64_t from, uint64_t to);

/* Writes through @fd. If @readonly, checks that the write fails with EBADF. */
struct transfer write_by(struct worker *w, const char *what, struct target *t,
			 int fd, uint64_t from, uint64_t to, bool readonly);

#endif /* FUZZER_TRANSFER_H */

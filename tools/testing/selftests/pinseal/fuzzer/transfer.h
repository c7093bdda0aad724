/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reading and writing at random by a descriptor that stands for pages of an object: a pin
 * handle's, or a mirror's.
 */
#ifndef FUZZER_TRANSFER_H
#define FUZZER_TRANSFER_H

#include "worker.h"

struct transfer {
	unsigned char *memory;
	size_t at, len;
	size_t room;		/* of that, what lies within the pages */
	bool image;		/* what is read must be what is sealed */
	ssize_t ret;
};

/*
 * Reads by @fd, which stands for the bytes @from to @to of the object. @what is for the log,
 * which keeps numbers only.
 */
struct transfer read_by(struct worker *w, const char *what, struct target *t, int fd,
			uint64_t from, uint64_t to);

/* Writes. When it is for reading only, there is nothing more to be said. */
struct transfer write_by(struct worker *w, const char *what, struct target *t,
			 int fd, uint64_t from, uint64_t to, bool readonly);

#endif /* FUZZER_TRANSFER_H */

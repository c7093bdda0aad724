/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reading and writing at random by a descriptor that stands for pages of an object: a pin
 * handle's, or a mirror's.
 */
#ifndef FUZZ_TRANSFER_H
#define FUZZ_TRANSFER_H

#include "fuzz_io.h"
#include "fuzz_view.h"

struct transfer {
	unsigned char *memory;
	size_t at, len;
	size_t room;		/* of that, what lies within the pages */
	bool image;		/* what is read must be what is sealed */
	ssize_t ret;
};

static inline struct transfer random_transfer(struct worker *w, size_t size)
{
	struct transfer x = { .at = random_below(&w->r, size + size / 4), .len = random_len(w) };

	x.memory = random_memory(w, &x.len);
	x.room = x.at < size ? size - x.at : 0;
	if (x.room > x.len)
		x.room = x.len;
	return x;
}

/*
 * Reads by @fd, which stands for the bytes @from to @to of the object. @what is for the log,
 * which keeps numbers only.
 */
static inline struct transfer read_by(struct worker *w, const char *what, struct target *t, int fd,
				      uint64_t from, uint64_t to)
{
	struct transfer x = random_transfer(w, to - from);

	x.image = has_image(t);
	view_was_filled(w, x.memory);
	call_begin(w, t, what, t->number, from, address(x.memory), x.len, x.at);
	x.ret = call_end(w, sys(pread(fd, x.memory, x.len, x.at)));
	if (x.ret == -ENOSPC)
		break_rule(RULE_RESULTS, "object %lld: no room to read", t->number);
	return x;
}

/* Writes. When it is for reading only, there is nothing more to be said. */
static inline struct transfer write_by(struct worker *w, const char *what, struct target *t,
				       int fd, uint64_t from, uint64_t to, bool readonly)
{
	struct transfer x = random_transfer(w, to - from);

	if (x.memory == w->buf)
		memset(x.memory, 1 + random_below(&w->r, 255), x.len);
	call_begin(w, t, what, t->number, from, address(x.memory), x.len, x.at);
	x.ret = call_end(w, sys(pwrite(fd, x.memory, x.len, x.at)));
	if (readonly && x.ret != -EBADF)
		break_rule(RULE_RESULTS, "object %lld: what is for reading only gave %lld when it "
			   "was written to", t->number, (long long)x.ret);
	return x;
}

#endif /* FUZZ_TRANSFER_H */

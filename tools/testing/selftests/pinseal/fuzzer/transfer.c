// SPDX-License-Identifier: GPL-2.0-only
#include "transfer.h"
#include "io.h"
#include "log.h"
#include "model.h"
#include "page_rights.h"
#include "pinseal_test.h"
#include "random.h"
#include "worker.h"

/* Picks memory, offset and length, sometimes beyond the @size bytes of the descriptor. */
static struct transfer random_transfer(struct worker *w, size_t size)
{
	struct transfer x = { .at = random_below(&w->r, size + size / 4), .len = random_len(w) };

	x.memory = random_memory(w, &x.len);
	x.room = x.at < size ? size - x.at : 0;
	if (x.room > x.len)
		x.room = x.len;
	return x;
}

struct transfer read_by(struct worker *w, const char *what, struct target *t, int fd,
			uint64_t from, uint64_t to)
{
	struct transfer x = random_transfer(w, to - from);

	x.image = has_image(t);
	mapping_was_filled(w, x.memory);
	call_begin(w, t, what, t->number, from, address(x.memory), x.len, x.at);
	x.ret = call_end(w, sys(pread(fd, x.memory, x.len, x.at)));
	check_call_access(w, x.memory, x.len, x.ret, STORE, false);
	if (x.ret == -ENOSPC)
		break_rule(RULE_RESULTS, "object %lld: a read failed with ENOSPC", t->number);
	return x;
}

struct transfer write_by(struct worker *w, const char *what, struct target *t,
			 int fd, uint64_t from, uint64_t to, bool readonly)
{
	struct transfer x = random_transfer(w, to - from);

	if (x.memory == w->buf)
		memset(x.memory, 1 + random_below(&w->r, 255), x.len);
	call_begin(w, t, what, t->number, from, address(x.memory), x.len, x.at);
	x.ret = call_end(w, sys(pwrite(fd, x.memory, x.len, x.at)));
	check_call_access(w, x.memory, x.len, x.ret, LOAD, false);
	if (readonly && x.ret != -EBADF)
		break_rule(RULE_RESULTS, "object %lld: a write to a read-only descriptor returned "
			   "%lld", t->number, (long long)x.ret);
	return x;
}

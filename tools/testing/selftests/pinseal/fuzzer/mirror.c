// SPDX-License-Identifier: GPL-2.0-only
#include "mirror.h"
#include "async.h"
#include "bytes.h"
#include "ioctl.h"
#include "lease.h"
#include "log.h"
#include "mapping.h"
#include "model.h"
#include "page_rights.h"
#include "pinseal_test.h"
#include "random.h"
#include "transfer.h"
#include "worker.h"

/* The first mirror of @t; with @t NULL, a free slot. NULL if there is none. */
static struct mirror *find_mirror(struct worker *w, struct target *t)
{
	for (int i = 0; i < MIRRORS; i++)
		if (w->mirror[i].t == t)
			return &w->mirror[i];
	return NULL;
}

void close_mirror(struct worker *w, struct mirror *m)
{
	struct target *t = m->t;

	if (!t)
		return;
	m->t = NULL;
	call_begin(w, t, "close(mirror of %lld, %#llx)", t->number, m->from);
	call_end(w, sys(close(m->fd)));
}

/* Mirrors a part of @map. NULL if that fails or no slot is free. */
static struct mirror *make_mirror(struct worker *w, struct mapping *map)
{
	uint64_t page = page_size(), pages = map->len / page, first = random_below(&w->r, pages);
	struct pinseal_pin arg = {
		.start = map->offset / page + first,
		.count = 1 + random_below(&w->r, pages - first),
		.flags = PINSEAL_PIN_MIRROR | (once_in(&w->r, 4) ? PINSEAL_PIN_READONLY : 0),
		.address = (uintptr_t)map->at + first * page,
	};
	struct mirror *m = find_mirror(w, NULL);
	struct target *t = map->t;
	struct mirror new = {
		.t = t,
		.from = arg.start * page,
		.to = (arg.start + arg.count) * page,
		.at = map->at + first * page,
		.readonly = arg.flags & PINSEAL_PIN_READONLY,
	};
	enum form form = random_form(w);
	bool valid = !once_in(&w->r, 24);

	/* An object opened write-only can be neither mapped nor mirrored. */
	if (!m || t->access == O_WRONLY)
		return NULL;
	if (!valid)
		spoil_pin(w, &arg);
	choose_fd(w, t, false);
	call_begin(w, t, "PIN(%lld, page %lld, %lld pages, flags %#llx, mirrors %#llx)", t->number,
		   arg.start, arg.count, arg.flags, arg.address);
	new.fd = ioctl_as(w, form, PINSEAL_IOC_PIN, &arg);
	/* An old struct lacks the address, or a part of it. */
	check_pin(w, t, new.fd, form, &arg, valid && form != OLD);
	if (new.fd < 0)
		return NULL;
	if (!map->shared)
		break_rule(RULE_RESULTS, "worker %u: a mirror of a private mapping of object %lld",
			   w->number, t->number);
	note(N_MIRRORS);
	*m = new;
	return m;
}

/* The result of reading or writing. @room: bytes of the mirror at that offset. */
static void check_mirrored(struct worker *w, struct mirror *m, ssize_t ret, size_t room)
{
	struct target *t = m->t;

	/* A write to a read-only mapping, which may be read-only without any seal. */
	if (ret != -EPERM)
		call_allows(w, ret, EFAULT, ENOSPC, ENOMEM);
	if ((ret == -ENOSPC && room) || ret > (ssize_t)room)
		break_rule(RULE_RESULTS, "worker %u, object %lld: a mirror gave %lld of %lld bytes",
			   w->number, t->number, (long long)ret, (long long)room);
	if (ret > 0 && w->before.maps == w->before.unmaps && read_once(t->maps) == w->before.maps)
		break_rule(RULE_RESULTS, "worker %u: a mirror accessed object %lld, which is "
			   "not mapped", w->number, t->number);
}

static void read_mirror(struct worker *w, struct mirror *m)
{
	struct transfer x = read_by(w, "pread(mirror of %lld, %#llx, %#llx, %lld at %#llx)",
				    m->t, m->fd, m->from, m->to);

	if (x.ret == -EPERM)
		break_rule(RULE_RESULTS, "object %lld: a mirror gave EPERM to a read",
			   m->t->number);
	check_mirrored(w, m, x.ret, x.room);
	if (x.ret > 0)
		check_mirrored_access(w, m->t, m->from + x.at, m->at + x.at, x.ret, LOAD);
	if (x.ret > 0 && x.image && x.memory == w->buf)
		check_bytes(m->t, m->from + x.at, x.memory, x.ret, "read through a mirror");
}

static void write_mirror(struct worker *w, struct mirror *m)
{
	struct transfer x = write_by(w, "pwrite(mirror of %lld, %#llx, %#llx, %lld at %#llx)",
				     m->t, m->fd, m->from, m->to, m->readonly);

	if (m->readonly)
		return;
	check_mirrored(w, m, x.ret, x.room);
	if (x.ret <= 0)
		return;
	note(N_MIRRORED);
	check_mirrored_access(w, m->t, m->from + x.at, m->at + x.at, x.ret, STORE);
	if (w->before.known & F_SEAL_WRITE)
		break_rule(RULE_WRITERS, "worker %u wrote through a mirror to object %lld, "
			   "sealed with %#x", w->number, m->t->number, w->before.known);
}

/* A mirror pins nothing, so no break is ever requested. */
static void query_mirror(struct worker *w, struct mirror *m)
{
	uint32_t flags = PINSEAL_PIN_MIRROR | (m->readonly ? PINSEAL_PIN_READONLY : 0);
	struct pinseal_lease state;
	uint64_t page = page_size();
	int ready;

	call_begin(w, m->t, "poll(mirror of %lld, %#llx)", m->t->number, m->from);
	ready = call_end(w, ready_within(m->fd, ALWAYS_READY | POLLPRI, 0));
	if (ready >= 0 && ready & ~ALWAYS_READY)
		break_rule(RULE_RESULTS, "object %lld: poll() of a mirror gave %#x", m->t->number,
			   ready);
	call_begin(w, m->t, "LEASE(mirror of %lld, %#llx)", m->t->number, m->from);
	call_allows(w, call_end(w, ps_lease_state(m->fd, &state)), 0);
	if (state.start != m->from / page || state.count != (m->to - m->from) / page ||
	    state.flags != flags || state.state != PINSEAL_LEASE_HELD || state.grace_ns ||
	    state.until_ns || state.asker || state.pad)
		break_rule(RULE_RESULTS, "object %lld: a mirror of page %#llx, %llu pages, flags "
			   "%#x, in state %u", m->t->number, state.start, state.count, state.flags,
			   state.state);
}

static void use_mirror(struct worker *w, struct mirror *m)
{
	static void (*const use[])(struct worker *w, struct mirror *m) = {
		read_mirror, read_mirror, write_mirror, write_mirror, write_mirror, query_mirror,
	};

	for (unsigned int times = 1 + random_below(&w->r, 4); times; times--)
		use[random_below(&w->r, sizeof(use) / sizeof(use[0]))](w, m);
}

void op_mirror(struct worker *w, struct target *t)
{
	struct mirror *m = find_mirror(w, t);
	struct mapping *map = find_mapping(w, t);
	bool existed = map;

	if (m) {
		use_mirror(w, m);
		if (once_in(&w->r, 6))
			close_mirror(w, m);
		return;
	}
	if (!map)
		map = make_mapping(w, t);
	if (!map)
		return;
	m = make_mirror(w, map);
	if (m)
		use_mirror(w, m);
	if (!existed)
		unmap(w, map);
	if (m)
		use_mirror(w, m);
}

void child_store_by_mirror(struct worker *w, struct mirror *m)
{
	unsigned char byte = 'c';
	uint32_t known;

	if (!m->t || m->readonly)
		return;
	known = read_once(m->t->known);
	if (pwrite(m->fd, &byte, 1, 0) > 0 && known & F_SEAL_WRITE)
		break_rule(RULE_WRITERS, "a child of worker %u wrote through a mirror to object "
			   "%lld, sealed with %#x", w->number, m->t->number, known);
}

/*
 * The final check: a mirror without a mapping does not delay a seal.
 */

int make_final_mirror(struct worker *w, struct target *t)
{
	void *p = ps_map(t->fd, page_size(), RW, MAP_SHARED);
	int mirror, ret;

	if (p == MAP_FAILED)
		return -errno;
	call_begin(w, t, "final PIN(%lld), a mirror", t->number);
	mirror = call_end(w, ps_mirror(t->fd, 0, 1, 0, p));
	if (mirror >= 0) {
		call_begin(w, t, "final pwrite(mirror of %lld)", t->number);
		ret = call_end(w, sys(pwrite(mirror, "m", 1, 0)));
		if (ret != 1)
			break_rule(RULE_RESULTS, "object %lld: a mirror of a mapped page gave %d",
				   t->number, ret);
	}
	munmap(p, page_size());
	return mirror;
}

void check_final_mirror(struct worker *w, struct target *t, int mirror)
{
	int ret;

	call_begin(w, t, "final pwrite(mirror of %lld), sealed", t->number);
	ret = call_end(w, sys(pwrite(mirror, "m", 1, 0)));
	if (ret != -EFAULT)
		break_rule(RULE_WRITERS, "object %lld is sealed and not mapped, and its mirror "
			   "gave %d", t->number, ret);
}

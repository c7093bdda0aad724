// SPDX-License-Identifier: GPL-2.0-only
#include <sys/uio.h>

#include "view.h"
#include "bytes.h"
#include "large_folio.h"
#include "log.h"
#include "model.h"
#include "pinseal_test.h"
#include "random.h"
#include "worker.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ	22
#define MADV_POPULATE_WRITE	23
#endif

void check_views(struct worker *w)
{
	for (int i = 0; i < VIEWS; i++) {
		struct view *v = &w->view[i];

		if (v->t && v->writable && read_once(v->t->known) & F_SEAL_WRITE)
			break_rule(RULE_WRITERS, "object %lld was sealed while worker %u had a "
				   "writable mapping of it", v->t->number, w->number);
	}
}

struct view *find_view(struct worker *w, struct target *t)
{
	unsigned int first = random_below(&w->r, VIEWS);

	for (int i = 0; i < VIEWS; i++) {
		struct view *v = &w->view[(first + i) % VIEWS];

		if (v->t == t)
			return v;
	}
	return NULL;
}

void drop_view(struct worker *w, struct view *v)
{
	struct target *t = v->t;

	check_views(w);
	v->t = NULL;
	call_begin(w, t, "munmap(%lld, %#llx, %#llx)", t->number, address(v->at), v->len);
	call_end(w, sys(munmap(v->at, v->len)));
	if (v->shared)
		count_up(t->unmaps);
}

/* The result of a call that returns an address: the address, or -errno. */
static long long map_error(const void *at)
{
	return at == MAP_FAILED ? -errno : (long long)at;
}

/* Records what a new mapping permits. */
static void classify(struct worker *w, struct view *v)
{
	/* Without a seal, even a read-only shared mapping can be made writable. */
	v->writable = v->shared && v->t->access == O_RDWR &&
		      (v->prot & PROT_WRITE || !may_have(v->t, &w->before, WRITE_SEALS));
	v->after_future = w->before.known & F_SEAL_FUTURE_WRITE;
}

struct view *make_view(struct worker *w, struct target *t)
{
	uint64_t page = page_size(), pages = t->span / page;
	struct view *v = find_view(w, NULL);
	struct view new = {
		.t = t,
		.offset = once_in(&w->r, 2) ? 0 : random_below(&w->r, pages) * page,
		.shared = !once_in(&w->r, 4),
		.prot = one_of(&w->r, PROT_NONE, PROT_READ, PROT_READ, RW, RW, RW, PROT_WRITE),
	};
	int flags = new.shared ? MAP_SHARED : MAP_PRIVATE;
	long long ret;
	bool writes;

	if (!v)
		return NULL;
	new.len = once_in(&w->r, 2) ? t->span : page * (1 + random_below(&w->r, 4));
	if (once_in(&w->r, 4))
		flags |= MAP_POPULATE;
	if (once_in(&w->r, 8))
		flags |= MAP_NORESERVE;
	choose_fd(w, t, true);
	writes = new.shared && new.prot & PROT_WRITE;
	if (new.shared)
		count_up(t->maps);
	call_begin(w, t, "mmap(%lld, %#llx at %#llx, prot %lld, flags %#llx)", t->number,
		   new.len, new.offset, new.prot, flags);
	new.at = mmap(NULL, new.len, new.prot, flags, w->fd, new.offset);
	ret = call_end(w, map_error(new.at));
	call_allows(w, ret, EPERM, EBUSY, EACCES, ENOMEM, EINVAL);
	if (ret == -EPERM || ret == -EBUSY) {
		note(N_MAPS_REFUSED);
		if (!new.shared)
			break_rule(RULE_RESULTS, "object %lld: a private mapping was refused",
				   t->number);
		/* While a seal operation is under way, new writable mappings are refused. */
		call_forbidden_by(w, -EPERM, WRITE_SEALS);
	}
	if (ret < 0) {
		if (new.shared)
			count_up(t->unmaps);
		return NULL;
	}
	note(N_MAPS);
	write_once(t->used, true);
	if (writes)
		call_wrote_bytes(w, "a shared writable mapping was made");
	classify(w, &new);
	/* MAP_POPULATE copies the pages of a private writable mapping. */
	new.own_bytes = !new.shared && flags & MAP_POPULATE;
	*v = new;
	return v;
}

void op_map(struct worker *w, struct target *t)
{
	make_view(w, t);
}

void op_unmap(struct worker *w, struct target *t)
{
	struct view *v = find_view(w, t);

	if (v)
		drop_view(w, v);
}

/* The last call changed bytes through @v. */
static void view_was_written(struct worker *w, struct view *v)
{
	if (v->shared && (w->before.known & F_SEAL_WRITE || v->after_future))
		break_rule(RULE_WRITERS, "worker %u stored through a mapping of object %lld, "
			   "sealed with %#x", w->number, v->t->number, w->before.known);
}

static const char *fault_name(int sig)
{
	return sig == SIGBUS ? " SIGBUS" : sig == SIGSEGV ? " SIGSEGV" : "";
}

void store(struct worker *w, struct view *v, unsigned int times)
{
	unsigned char bytes[64];
	size_t at = 0, len = 0;
	int sig = 0;

	call_begin(w, v->t, "store(%lld, %#llx, %lld times)", v->t->number, address(v->at), times);
	while (times-- && !sig) {
		len = 1 + random_below(&w->r, sizeof(bytes));
		at = random_below(&w->r, v->len - len + 1);
		memset(bytes, 1 + random_below(&w->r, 255), len);
		sig = copy_with_faults(w, v->at + at, bytes, len);
	}
	call_end(w, 0);
	log_note(w->log, "last store: %zu bytes at %#zx%s", len, at, fault_name(sig));
	v->own_bytes |= !v->shared;
	if (sig == SIGSEGV && v->prot & PROT_WRITE)
		break_rule(RULE_RESULTS, "object %lld: a writable mapping is not writable",
			   v->t->number);
	if (!sig && len)
		view_was_written(w, v);
}

void op_store(struct worker *w, struct target *t)
{
	struct view *v = find_view(w, t);

	if (v)
		store(w, v, 1 + random_below(&w->r, 20));
}

void op_load(struct worker *w, struct target *t)
{
	struct view *v = find_view(w, t);
	bool image = has_image(t);
	int sig;

	if (!v || !(v->prot & PROT_READ))
		return;
	call_begin(w, t, "load(%lld, %#llx)", t->number, address(v->at));
	sig = copy_with_faults(w, w->buf, v->at, v->len < t->span ? v->len : t->span);
	call_end(w, 0);
	log_note(w->log, "%s", fault_name(sig));
	if (sig == SIGSEGV)
		break_rule(RULE_RESULTS, "object %lld: a mapping cannot be read", t->number);
	if (!sig && image && !v->own_bytes && v->offset < t->span)
		check_bytes(t, v->offset, w->buf, v->len < t->span ? v->len : t->span, "load");
}

void op_map_and_store(struct worker *w, struct target *t)
{
	unsigned int times = once_in(&w->r, 4) ? 1 + random_below(&w->r, 12) : 1;
	struct view *v;

	while (times-- && (v = make_view(w, t))) {
		store(w, v, random_below(&w->r, 4));
		drop_view(w, v);
	}
}

/*
 * Changes of a mapping
 */

static void change_prot(struct worker *w, struct view *v)
{
	int prot = one_of(&w->r, PROT_NONE, PROT_READ, RW, RW, PROT_WRITE);
	struct target *t = v->t;
	/* A part only splits the mapping. */
	size_t len = once_in(&w->r, 4) ? page_size() : v->len;
	int ret;

	call_begin(w, t, "mprotect(%lld, %#llx, %#llx, %lld)", t->number, address(v->at), len,
		   prot);
	ret = call_end(w, sys(mprotect(v->at, len, prot)));
	if (!ret && v->shared && prot & PROT_WRITE &&
	    (w->before.known & F_SEAL_WRITE || v->after_future))
		break_rule(RULE_WRITERS, "worker %u made a mapping of object %lld writable, sealed "
			   "with %#x", w->number, t->number, w->before.known);
	if (ret == -EACCES && v->writable)
		break_rule(RULE_RESULTS, "object %lld: a mapping cannot be made writable again",
			   t->number);
	if (ret)
		return;
	/* After a split, what both parts allow. */
	v->prot = len < v->len ? v->prot & prot : prot;
	/* The call proves that it can be made writable. */
	v->writable |= v->shared && prot & PROT_WRITE;
}

void move(struct worker *w, struct view *v)
{
	size_t page = page_size();
	size_t len = once_in(&w->r, 2) ? v->len : page * (1 + random_below(&w->r, 6));
	int flags = MREMAP_MAYMOVE;
	char *at;

	if (len == v->len && once_in(&w->r, 2))
		flags |= MREMAP_DONTUNMAP;
	call_begin(w, v->t, "mremap(%lld, %#llx, %#llx to %#llx, flags %lld)", v->t->number,
		   address(v->at), v->len, len, flags);
	at = mremap(v->at, v->len, len, flags);
	call_end(w, map_error(at));
	if (at == MAP_FAILED)
		return;
	/* The old mapping stays, without pages. */
	if (flags & MREMAP_DONTUNMAP)
		munmap(v->at, v->len);
	v->at = at;
	v->len = len;
}

void cut(struct worker *w, struct view *v)
{
	size_t page = page_size(), pages = v->len / page;
	size_t len = page * random_below(&w->r, pages);

	if (!len)
		return;
	call_begin(w, v->t, "munmap(%lld, %#llx, %#llx of %#llx)", v->t->number, address(v->at),
		   len, v->len);
	call_end(w, sys(munmap(v->at, len)));
	v->at += len;
	v->len -= len;
	v->offset += len;
}

static void remap(struct worker *w, struct view *v)
{
	size_t pages = v->len / page_size();
	uint64_t first = random_below(&w->r, pages);
	long long ret;

	call_begin(w, v->t, "remap_file_pages(%lld, %#llx, %#llx, page %lld)", v->t->number,
		   address(v->at), v->len, first);
	ret = call_end(w, sys(remap_file_pages(v->at, v->len, 0, first, 0)));
	if (ret < 0)
		return;
	if (v->prot & PROT_WRITE)
		call_wrote_bytes(w, "a shared writable mapping was made");
	/* The kernel replaced the mapping by a new one. */
	classify(w, v);
	v->offset = first * page_size();
}

static void advise(struct worker *w, struct view *v)
{
	int advice = one_of(&w->r, MADV_DONTNEED, MADV_DONTNEED, MADV_DONTNEED, MADV_WILLNEED,
			    MADV_COLD, MADV_PAGEOUT, MADV_FREE, MADV_SEQUENTIAL, MADV_RANDOM,
			    MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_POPULATE_READ, MADV_POPULATE_WRITE,
			    MADV_COLLAPSE, MADV_DONTFORK, MADV_DOFORK, MADV_MERGEABLE,
			    MADV_DONTDUMP, MADV_REMOVE);
	struct target *t = v->t;
	int ret;

	if (advice == MADV_REMOVE) {
		if (t->stays)
			return;
		taking_begins(t, v->offset, v->offset + v->len);
	}
	/* A private mapping may gain or lose copies of its own. */
	if (!v->shared && (advice == MADV_POPULATE_WRITE || advice == MADV_FREE))
		v->own_bytes = true;
	call_begin(w, t, "madvise(%lld, %#llx, %#llx, %lld)", t->number, address(v->at), v->len,
		   advice);
	ret = call_end(w, sys(madvise(v->at, v->len, advice)));
	if (advice == MADV_REMOVE)
		taking_ends(t, v->offset, v->offset + v->len, true);
	if (!ret && advice == MADV_REMOVE)
		call_wrote_bytes(w, "a hole was punched with madvise()");
	if (!ret && (advice == MADV_DONTFORK || advice == MADV_DOFORK))
		v->stays_here = advice == MADV_DONTFORK;
}

/* Stores through process_vm_writev(), or through /proc/self/mem, which ignores protection. */
static void poke(struct worker *w, struct view *v)
{
	size_t len = 1 + random_below(&w->r, 64), at = random_below(&w->r, v->len - len + 1);
	struct iovec from = { w->buf, len }, to = { v->at + at, len };
	bool forced = once_in(&w->r, 2);
	long long ret;

	memset(w->buf, 1 + random_below(&w->r, 255), len);
	v->own_bytes |= !v->shared;
	call_begin(w, v->t, forced ? "/proc/self/mem(%lld, %#llx, %lld)" :
		   "process_vm_writev(%lld, %#llx, %lld)", v->t->number, address(to.iov_base), len);
	if (forced)
		ret = sys(pwrite(w->mem, w->buf, len, (uintptr_t)to.iov_base));
	else
		ret = sys(process_vm_writev(getpid(), &from, 1, &to, 1, 0));
	call_end(w, ret);
	if (ret > 0)
		view_was_written(w, v);
}

void op_change_view(struct worker *w, struct target *t)
{
	struct view *v = find_view(w, t);

	if (!v)
		return;
	switch (random_below(&w->r, 12)) {
	case 0:
	case 1:
		change_prot(w, v);
		break;
	case 2:
		move(w, v);
		break;
	case 3:
		cut(w, v);
		break;
	case 4:
		remap(w, v);
		break;
	case 5:
	case 6:
		poke(w, v);
		break;
	case 7:
		v->own_bytes |= !v->shared;
		call_begin(w, t, "mlock(%lld, %#llx, %#llx)", t->number, address(v->at), v->len);
		call_end(w, sys(once_in(&w->r, 2) ? mlock(v->at, v->len) : munlock(v->at, v->len)));
		break;
	case 8:
		call_begin(w, t, "msync(%lld, %#llx, %#llx)", t->number, address(v->at), v->len);
		call_end(w, sys(msync(v->at, v->len, MS_SYNC)));
		break;
	default:
		advise(w, v);
	}
}

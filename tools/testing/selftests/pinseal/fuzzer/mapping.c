// SPDX-License-Identifier: GPL-2.0-only
#include <sys/uio.h>

#include "mapping.h"
#include "bytes.h"
#include "large_folio.h"
#include "log.h"
#include "madvise.h"
#include "model.h"
#include "page_rights.h"
#include "pinseal_test.h"
#include "random.h"
#include "worker.h"

void check_mappings(struct worker *w)
{
	for (int i = 0; i < MAPPINGS; i++) {
		struct mapping *map = &w->mapping[i];

		if (map->t && map->writable && read_once(map->t->known) & F_SEAL_WRITE)
			break_rule(RULE_WRITERS, "object %lld was sealed while worker %u had a "
				   "writable mapping of it", map->t->number, w->number);
	}
}

struct mapping *find_mapping(struct worker *w, struct target *t)
{
	unsigned int first = random_below(&w->r, MAPPINGS);

	for (int i = 0; i < MAPPINGS; i++) {
		struct mapping *map = &w->mapping[(first + i) % MAPPINGS];

		if (map->t == t)
			return map;
	}
	return NULL;
}

void unmap(struct worker *w, struct mapping *map)
{
	struct target *t = map->t;

	check_mappings(w);
	map->t = NULL;
	call_begin(w, t, "munmap(%lld, %#llx, %#llx)", t->number, address(map->at), map->len);
	call_end(w, sys(munmap(map->at, map->len)));
	if (map->shared)
		count_up(t->unmaps);
}

/* The result of a call that returns an address: the address, or -errno. */
static long long map_error(const void *at)
{
	return at == MAP_FAILED ? -errno : (long long)at;
}

/* Records what a new mapping permits. */
static void classify(struct worker *w, struct mapping *map)
{
	/* Without a seal, even a read-only shared mapping can be made writable. */
	map->writable = map->shared && map->t->access == O_RDWR &&
		      (mapping_prot(map) & PROT_WRITE || !may_have(map->t, &w->before, WRITE_SEALS));
	map->after_future = w->before.known & F_SEAL_FUTURE_WRITE;
}

struct mapping *make_mapping(struct worker *w, struct target *t)
{
	uint64_t page = page_size(), pages = t->span / page;
	struct mapping *map = find_mapping(w, NULL);
	struct mapping new = {
		.t = t,
		.offset = once_in(&w->r, 2) ? 0 : random_below(&w->r, pages) * page,
		.shared = !once_in(&w->r, 4),
	};
	int prot = one_of(&w->r, PROT_NONE, PROT_READ, PROT_READ, RW, RW, RW, PROT_WRITE);
	int flags = new.shared ? MAP_SHARED : MAP_PRIVATE;
	long long ret;
	bool writes;

	if (!map)
		return NULL;
	new.len = once_in(&w->r, 2) ? t->span : page * (1 + random_below(&w->r, 4));
	if (once_in(&w->r, 4))
		flags |= MAP_POPULATE;
	if (once_in(&w->r, 8))
		flags |= MAP_NORESERVE;
	choose_fd(w, t, true);
	writes = new.shared && prot & PROT_WRITE;
	if (new.shared)
		count_up(t->maps);
	call_begin(w, t, "mmap(%lld, %#llx at %#llx, prot %lld, flags %#llx)", t->number,
		   new.len, new.offset, prot, flags);
	new.at = mmap(NULL, new.len, prot, flags, w->fd, new.offset);
	ret = call_end(w, map_error(new.at));
	call_allows(w, ret, EPERM, EBUSY, EACCES, ENOMEM, EINVAL);
	if (ret == -EPERM || ret == -EBUSY) {
		note(N_MAPS_REFUSED);
		if (!new.shared)
			break_rule(RULE_RESULTS, "object %lld: a private mapping was refused",
				   t->number);
		/* While a seal operation is pending, new writable mappings are refused. */
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
	new.by_object = !w->inner || t->inner_is_object ? YES : NO;
	rights_init(&new, prot);
	classify(w, &new);
	/* MAP_POPULATE copies the pages of a private writable mapping. */
	new.own_bytes = !new.shared && flags & MAP_POPULATE;
	*map = new;
	return map;
}

void op_map(struct worker *w, struct target *t)
{
	make_mapping(w, t);
}

void op_unmap(struct worker *w, struct target *t)
{
	struct mapping *map = find_mapping(w, t);

	if (map)
		unmap(w, map);
}

/* The last call changed bytes through @map. */
static void mapping_was_written(struct worker *w, struct mapping *map)
{
	if (map->shared && (w->before.known & F_SEAL_WRITE || map->after_future))
		break_rule(RULE_WRITERS, "worker %u stored through a mapping of object %lld, "
			   "sealed with %#x", w->number, map->t->number, w->before.known);
}

static const char *fault_name(int sig)
{
	return sig == SIGBUS ? " SIGBUS" : sig == SIGSEGV ? " SIGSEGV" : "";
}

void store(struct worker *w, struct mapping *map, unsigned int times)
{
	unsigned char bytes[64];
	size_t at = 0, len = 0;
	int sig = 0;

	call_begin(w, map->t, "store(%lld, %#llx, %lld times)", map->t->number, address(map->at),
		   times);
	while (times-- && !sig) {
		len = 1 + random_below(&w->r, sizeof(bytes));
		at = random_below(&w->r, map->len - len + 1);
		memset(bytes, 1 + random_below(&w->r, 255), len);
		sig = copy_with_faults(w, map->at + at, bytes, len);
		check_access(w, map, map->at + at, len, STORE, sig);
	}
	call_end(w, 0);
	log_note(w->log, "last store: %zu bytes at %#zx%s", len, at, fault_name(sig));
	map->own_bytes |= !map->shared;
	if (!sig && len)
		mapping_was_written(w, map);
}

void op_store(struct worker *w, struct target *t)
{
	struct mapping *map = find_mapping(w, t);

	if (map)
		store(w, map, 1 + random_below(&w->r, 20));
}

void load_at(struct worker *w, struct mapping *map, size_t at, size_t len)
{
	struct target *t = map->t;
	bool image = has_image(t);
	int sig;

	call_begin(w, t, "load(%lld, %#llx, %lld at %#llx)", t->number, address(map->at), len, at);
	sig = copy_with_faults(w, w->buf, map->at + at, len);
	call_end(w, 0);
	log_note(w->log, "%s", fault_name(sig));
	check_access(w, map, map->at + at, len, LOAD, sig);
	if (!sig && image && !map->own_bytes)
		check_shown_bytes(map, map->at + at, w->buf, len, "load");
}

void load(struct worker *w, struct mapping *map)
{
	size_t len = map->len < map->t->span ? map->len : map->t->span, at = 0;

	/* Pages of a mapping may have different protections. */
	if (once_in(&w->r, 2)) {
		at = random_below(&w->r, len);
		len = 1 + random_below(&w->r, len - at < page_size() ? len - at : page_size());
	}
	load_at(w, map, at, len);
}

void op_load(struct worker *w, struct target *t)
{
	struct mapping *map = find_mapping(w, t);

	if (map)
		load(w, map);
}

void op_map_and_store(struct worker *w, struct target *t)
{
	unsigned int times = once_in(&w->r, 4) ? 1 + random_below(&w->r, 12) : 1;
	struct mapping *map;

	while (times-- && (map = make_mapping(w, t))) {
		store(w, map, random_below(&w->r, 4));
		unmap(w, map);
	}
}

/*
 * Changes of a mapping
 */

void change_prot(struct worker *w, struct mapping *map)
{
	int prot = one_of(&w->r, PROT_NONE, PROT_READ, RW, RW, PROT_WRITE);
	struct target *t = map->t;
	size_t page = page_size(), first = 0, n = map->len / page;
	int ret;

	/* A part only splits the mapping. */
	if (once_in(&w->r, 4)) {
		first = random_below(&w->r, n);
		n = 1 + random_below(&w->r, n - first);
	}
	call_begin(w, t, "mprotect(%lld, %#llx, page %lld, %lld pages, %lld)", t->number,
		   address(map->at), first, n, prot);
	ret = call_end(w, sys(mprotect(map->at + first * page, n * page, prot)));
	if (!ret && map->shared && prot & PROT_WRITE &&
	    (w->before.known & F_SEAL_WRITE || map->after_future))
		break_rule(RULE_WRITERS, "worker %u made a mapping of object %lld writable, sealed "
			   "with %#x", w->number, t->number, w->before.known);
	if (ret == -EACCES && map->writable)
		break_rule(RULE_RESULTS, "object %lld: a mapping cannot be made writable again",
			   t->number);
	/* Otherwise some parts may have it. No part can be made writable if one cannot. */
	map->unsure |= ret && ret != -EACCES;
	if (ret)
		return;
	rights_mprotect(map, first, n, prot);
	/* The call proves that it can be made writable. */
	map->writable |= map->shared && prot & PROT_WRITE;
}

void move(struct worker *w, struct mapping *map)
{
	size_t page = page_size();
	size_t len = once_in(&w->r, 2) ? map->len : page * (1 + random_below(&w->r, 6));
	int flags = MREMAP_MAYMOVE;
	char *at;

	if (len == map->len && once_in(&w->r, 2))
		flags |= MREMAP_DONTUNMAP;
	call_begin(w, map->t, "mremap(%lld, %#llx, %#llx to %#llx, flags %lld)", map->t->number,
		   address(map->at), map->len, len, flags);
	at = mremap(map->at, map->len, len, flags);
	call_end(w, map_error(at));
	if (at == MAP_FAILED)
		return;
	/* The old mapping stays, without pages. */
	if (flags & MREMAP_DONTUNMAP)
		munmap(map->at, map->len);
	rights_resize(map, len);
	map->at = at;
	map->len = len;
}

void cut(struct worker *w, struct mapping *map)
{
	size_t page = page_size(), pages = map->len / page;
	size_t len = page * random_below(&w->r, pages);
	bool at_end = once_in(&w->r, 2);
	char *at = at_end ? map->at + map->len - len : map->at;

	if (!len)
		return;
	call_begin(w, map->t, "munmap(%lld, %#llx, %#llx of %#llx)", map->t->number,
		   address(at), len, map->len);
	call_end(w, sys(munmap(at, len)));
	if (!at_end) {
		rights_cut(map, len / page);
		map->at += len;
		map->offset += len;
	}
	map->len -= len;
}

static void remap(struct worker *w, struct mapping *map)
{
	size_t pages = map->len / page_size();
	uint64_t first = random_below(&w->r, pages);
	struct target *t = map->t;
	long long ret;

	call_begin(w, map->t, "remap_file_pages(%lld, %#llx, %#llx, page %lld)", map->t->number,
		   address(map->at), map->len, first);
	ret = call_end(w, sys(remap_file_pages(map->at, map->len, 0, first, 0)));
	if (ret == -EBUSY) {
		/* A sealer waits for mappings. The kernel had removed the old one before it asked. */
		map->t = NULL;
		count_up(t->unmaps);
	}
	if (ret < 0)
		return;
	if (map->rights[0].mapping & PROT_WRITE)
		call_wrote_bytes(w, "a shared writable mapping was made");
	/* The kernel replaced the mapping by a new one, of the file that it has for it. */
	map->offset = first * page_size();
	rights_init(map, map->rights[0].mapping);
	if (!t->created && map->by_object == YES)
		map->by_object = MAYBE;
	classify(w, map);
}

static void advise(struct worker *w, struct mapping *map)
{
	int advice = one_of(&w->r, MADV_DONTNEED, MADV_DONTNEED, MADV_DONTNEED, MADV_WILLNEED,
			    MADV_COLD, MADV_PAGEOUT, MADV_FREE, MADV_SEQUENTIAL, MADV_RANDOM,
			    MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_POPULATE_READ, MADV_POPULATE_WRITE,
			    MADV_COLLAPSE, MADV_DONTFORK, MADV_DOFORK, MADV_MERGEABLE,
			    MADV_DONTDUMP, MADV_REMOVE);
	struct target *t = map->t;
	int ret;

	if (advice == MADV_REMOVE) {
		if (t->keeps_pages)
			return;
		removal_begins(t, map->offset, map->offset + map->len);
	}
	/* A private mapping may gain or lose copies of its own. */
	if (!map->shared && (advice == MADV_POPULATE_WRITE || advice == MADV_FREE))
		map->own_bytes = true;
	call_begin(w, t, "madvise(%lld, %#llx, %#llx, %lld)", t->number, address(map->at), map->len,
		   advice);
	ret = call_end(w, sys(madvise(map->at, map->len, advice)));
	if (advice == MADV_REMOVE)
		removal_ends(t, map->offset, map->offset + map->len, true);
	if (!ret && advice == MADV_REMOVE)
		call_wrote_bytes(w, "a hole was punched with madvise()");
	if (!ret && (advice == MADV_DONTFORK || advice == MADV_DOFORK))
		map->dontfork = advice == MADV_DONTFORK;
}

/* Loads through process_vm_readv(), or through /proc/self/mem, which ignores pages' protections. */
static void peek(struct worker *w, struct mapping *map)
{
	size_t len = 1 + random_below(&w->r, 64), at = random_below(&w->r, map->len - len + 1);
	struct iovec to = { w->buf, len }, from = { map->at + at, len };
	bool forced = once_in(&w->r, 2);
	long long ret;

	call_begin(w, map->t, forced ? "/proc/self/mem(%lld, %#llx, %lld to read)" :
		   "process_vm_readv(%lld, %#llx, %lld)", map->t->number,
		   address(from.iov_base), len);
	if (forced)
		ret = sys(pread(w->mem, w->buf, len, (uintptr_t)from.iov_base));
	else
		ret = sys(process_vm_readv(getpid(), &to, 1, &from, 1, 0));
	call_end(w, ret);
	check_exact_access(w, map, map->at + at, len, ret, forced ? PEEK : PIN_TO_LOAD);
}

/* Stores through process_vm_writev(), or through /proc/self/mem. */
static void poke(struct worker *w, struct mapping *map)
{
	size_t len = 1 + random_below(&w->r, 64), at = random_below(&w->r, map->len - len + 1);
	struct iovec from = { w->buf, len }, to = { map->at + at, len };
	bool forced = once_in(&w->r, 2);
	long long ret;

	memset(w->buf, 1 + random_below(&w->r, 255), len);
	map->own_bytes |= !map->shared;
	call_begin(w, map->t, forced ? "/proc/self/mem(%lld, %#llx, %lld)" :
		   "process_vm_writev(%lld, %#llx, %lld)", map->t->number,
		   address(to.iov_base), len);
	if (forced)
		ret = sys(pwrite(w->mem, w->buf, len, (uintptr_t)to.iov_base));
	else
		ret = sys(process_vm_writev(getpid(), &from, 1, &to, 1, 0));
	call_end(w, ret);
	check_exact_access(w, map, map->at + at, len, ret, forced ? POKE : PIN_TO_STORE);
	if (ret > 0)
		mapping_was_written(w, map);
}

static void lock(struct worker *w, struct mapping *map)
{
	bool locks = once_in(&w->r, 2);
	int ret;

	map->own_bytes |= !map->shared;
	call_begin(w, map->t, locks ? "mlock(%lld, %#llx, %#llx)" : "munlock(%lld, %#llx, %#llx)",
		   map->t->number, address(map->at), map->len);
	ret = call_end(w, sys(locks ? mlock(map->at, map->len) : munlock(map->at, map->len)));
	/* It fails as well if pages cannot be loaded. */
	map->locked = ret || (locks && (map->was_protected || map->t->lower >= 0)) ? MAYBE : locks ? YES : NO;
}

void op_change_mapping(struct worker *w, struct target *t)
{
	struct mapping *map = find_mapping(w, t);

	if (!map)
		return;
	switch (random_below(&w->r, 13)) {
	case 0:
	case 1:
		change_prot(w, map);
		break;
	case 2:
		move(w, map);
		break;
	case 3:
		cut(w, map);
		break;
	case 4:
		remap(w, map);
		break;
	case 5:
	case 6:
		poke(w, map);
		break;
	case 7:
		lock(w, map);
		break;
	case 8:
		peek(w, map);
		break;
	case 9:
		call_begin(w, t, "msync(%lld, %#llx, %#llx)", t->number, address(map->at),
			   map->len);
		call_end(w, sys(msync(map->at, map->len, MS_SYNC)));
		break;
	default:
		advise(w, map);
	}
}

// SPDX-License-Identifier: GPL-2.0-only
#include "page_rights.h"
#include "bytes.h"
#include "log.h"
#include "model.h"
#include "pinseal_test.h"
#include "worker.h"

static size_t pages_of(const struct mapping *map)
{
	return map->len / page_size();
}

/* The page of the object at the place of a page of @map. */
static uint64_t place(const struct mapping *map, size_t page)
{
	return map->offset / page_size() + page;
}

/* The pages from @first to @end are new. */
static void new_rights(struct mapping *map, size_t first, size_t end, int prot)
{
	for (size_t i = first; i < end; i++)
		map->rights[i] = (struct page_rights){
			.mapping = prot,
			.own = NOT_OWN,
			.shown = place(map, i),
		};
}

void rights_init(struct mapping *map, int prot)
{
	new_rights(map, 0, pages_of(map), prot);
}

void rights_mprotect(struct mapping *map, size_t first, size_t n, int prot)
{
	for (size_t i = first; i < first + n; i++) {
		map->rights[i].mapping = prot;
		map->rights[i].own = NOT_OWN;
	}
	map->rights[first].split = true;
	if (first + n < pages_of(map))
		map->rights[first + n].split = true;
}

void rights_cut(struct mapping *map, size_t n)
{
	memmove(map->rights, map->rights + n, (pages_of(map) - n) * sizeof(map->rights[0]));
}

void rights_resize(struct mapping *map, size_t len)
{
	size_t pages = pages_of(map);

	new_rights(map, pages, len / page_size(), map->rights[pages - 1].mapping);
}

int mapping_prot(const struct mapping *map)
{
	int prot = RW;

	for (size_t i = 0; i < pages_of(map); i++)
		prot &= map->rights[i].mapping;
	return prot;
}

int own_prot(const struct mapping *map, size_t page, int prot)
{
	int allowed = map->rights[page].mapping;

	if (prot & PROT_WRITE)
		prot |= PROT_READ & allowed;
	if (prot & ~allowed)
		return -EACCES;
	return prot == allowed ? NOT_OWN : prot;
}

int page_prot(const struct mapping *map, size_t page)
{
	const struct page_rights *rights = &map->rights[page];

	return rights->own == NOT_OWN ? rights->mapping : rights->own;
}

bool is_remapped(const struct mapping *map, size_t page)
{
	return map->rights[page].shown != place(map, page);
}

bool shows_elsewhere(struct worker *w, const struct target *t)
{
	for (int i = 0; i < MAPPINGS; i++) {
		const struct mapping *map = &w->mapping[i];

		if (map->t != t || map->unsure)
			continue;
		for (size_t page = 0; page < pages_of(map); page++)
			if (is_remapped(map, page))
				return true;
	}
	return false;
}

/* Whether an access by @access needs a struct page, which no entry of such a mapping has. */
static bool is_pinning(enum page_access access)
{
	return access == PIN_TO_LOAD || access == PIN_TO_STORE || access == POKE;
}

static bool is_allowed(const struct mapping *map, size_t page, enum page_access access)
{
	int prot = page_prot(map, page);

	if (is_pinning(access) && is_remapped(map, page))
		return false;
	switch (access) {
	case LOAD:
		/* Page tables know no page that can be stored to, but not loaded. */
		return prot & RW;
	case PIN_TO_LOAD:
		return prot & PROT_READ;
	case PEEK:
		/* What the mapping refuses is read by a debugger only, or by all (PROC_MEM_*_FORCE). */
		return map->rights[page].mapping & PROT_READ;
	default:
		return prot & PROT_WRITE;
	}
}

static size_t page_at(const struct mapping *map, const char *at)
{
	return (at - map->at) / page_size();
}

/* Bytes of [@at, @at + @len) before the first page whose rights are not @allowed. */
static size_t bytes_before(const struct mapping *map, const char *at, size_t len,
			   enum page_access access, bool allowed)
{
	for (size_t done = 0; done < len;) {
		size_t page = page_at(map, at + done), end;

		if (is_allowed(map, page, access) != allowed)
			return done;
		end = map->at + (page + 1) * page_size() - at;
		done = end < len ? end : len;
	}
	return len;
}

static bool all_allowed(const struct mapping *map, const char *at, size_t len,
			enum page_access access)
{
	return bytes_before(map, at, len, access, true) == len;
}

/* Whether the object certainly has the pages that are shown, so that no access is SIGBUS. */
static bool has_pages(const struct mapping *map, const char *at, size_t len)
{
	uint64_t pages = map->t->span / page_size();

	for (size_t i = page_at(map, at); i <= page_at(map, at + len - 1); i++)
		if (map->rights[i].shown >= pages)
			return false;
	return map->t->keeps_pages;
}

void check_shown_bytes(const struct mapping *map, const char *at, const unsigned char *bytes,
		       size_t len, const char *how)
{
	size_t size = page_size(), n;

	for (size_t done = 0; done < len; done += n) {
		size_t within = (at - map->at + done) % size;
		uint64_t shown = map->rights[page_at(map, at + done)].shown;

		n = len - done < size - within ? len - done : size - within;
		if (shown < map->t->span / size)
			check_bytes(map->t, shown * size + within, bytes + done, n, how);
	}
}

static void wrong_access(struct worker *w, const struct mapping *map, const char *at, size_t len,
			 enum page_access access, const char *what)
{
	static const char *const names[] = {
		[LOAD] = "load", [STORE] = "store", [PIN_TO_LOAD] = "pinning load",
		[PIN_TO_STORE] = "pinning store", [PEEK] = "forced load", [POKE] = "forced store",
	};
	size_t first = page_at(map, at), last = page_at(map, at + len - 1);

	break_rule(RULE_RIGHTS, "worker %u, object %lld: a %s of %zu bytes at %p, pages %zu (%#x, "
		   "shows %lld) to %zu (%#x, shows %lld) of the mapping: %s", w->number,
		   map->t->number, names[access], len, at, first, page_prot(map, first),
		   (long long)map->rights[first].shown, last, page_prot(map, last),
		   (long long)map->rights[last].shown, what);
}

void check_access(struct worker *w, struct mapping *map, const char *at, size_t len,
		  enum page_access access, int sig)
{
	bool all;

	if (map->unsure || !len)
		return;
	all = all_allowed(map, at, len, access);
	if (sig == SIGSEGV && !all)
		note(N_ACCESSES_REFUSED);
	if (!sig && is_remapped(map, page_at(map, at)))
		note(N_SHOWN);
	if (!sig && !all)
		wrong_access(w, map, at, len, access, "was let through");
	if (sig == SIGSEGV && all)
		wrong_access(w, map, at, len, access, "was refused");
	/* The protection is asked first. */
	if (sig == SIGBUS && bytes_before(map, at, len, access, false) == len)
		wrong_access(w, map, at, len, access, "was SIGBUS instead of SIGSEGV");
	if (sig == SIGBUS && has_pages(map, at, len))
		wrong_access(w, map, at, len, access, "was SIGBUS");
}

/* The worker's mapping that has @memory, if its rights are known. */
static struct mapping *mapping_at(struct worker *w, const void *memory)
{
	uintptr_t at = (uintptr_t)memory;

	for (int i = 0; i < MAPPINGS; i++) {
		struct mapping *map = &w->mapping[i];

		if (map->t && !map->unsure && at >= (uintptr_t)map->at &&
		    at < (uintptr_t)map->at + map->len)
			return map;
	}
	return NULL;
}

void check_call_access(struct worker *w, const void *memory, size_t len, long long ret,
		       enum page_access access, bool sole)
{
	struct mapping *map = mapping_at(w, memory);

	if (!map)
		return;
	if (ret > 0 && !all_allowed(map, memory, ret, access))
		wrong_access(w, map, memory, ret, access, "a system call made it");
	if (ret == -EFAULT && sole && has_pages(map, memory, len) &&
	    all_allowed(map, memory, len, access))
		wrong_access(w, map, memory, len, access, "a system call got EFAULT");
}

void check_mirrored_access(struct worker *w, struct target *t, uint64_t offset, const char *at,
			   size_t len, enum page_access access)
{
	struct mapping *map = mapping_at(w, at);

	/* The mirrored mapping may be gone, and another one there. */
	if (!map || map->t != t || !map->shared || map->offset + (at - map->at) != offset ||
	    at + len > map->at + map->len)
		return;
	for (size_t i = page_at(map, at); i <= page_at(map, at + len - 1); i++)
		if (is_remapped(map, i))
			wrong_access(w, map, at, len, access, "a mirror made it, of another page");
	if (!all_allowed(map, at, len, access))
		wrong_access(w, map, at, len, access, "a mirror made it");
}

void check_exact_access(struct worker *w, struct mapping *map, const char *at, size_t len,
			long long ret, enum page_access access)
{
	long long allowed;

	/* /proc/PID/mem gives a private mapping pages of its own. */
	if (map->unsure || !map->shared)
		return;
	allowed = bytes_before(map, at, len, access, true);
	if (ret > allowed && access != PEEK)
		wrong_access(w, map, at, len, access, "more was accessed than allowed");
	/* Whether a mapping shows all pages at their places again is known by VMAs only. */
	if (map->was_remapped && is_pinning(access))
		return;
	if ((ret > 0 ? ret : 0) < allowed && has_pages(map, at, len))
		wrong_access(w, map, at, len, access, "less was accessed than allowed");
}

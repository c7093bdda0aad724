// SPDX-License-Identifier: GPL-2.0-only
#include "protect_pages.h"
#include "bytes.h"
#include "ioctl.h"
#include "log.h"
#include "mapping.h"
#include "model.h"
#include "page_rights.h"
#include "pinseal_test.h"
#include "protect.h"
#include "random.h"
#include "worker.h"

/* Most ranges of one call. */
#define RANGES		16

/* Pages of one of the worker's mappings, or, without one, bad arguments. */
struct change {
	struct mapping *map;
	size_t first, n;
	struct pinseal_protect_range range;
	int error;			/* of the arguments: 0, or -errno */
};

/* What a call must return. */
struct expected {
	int ret;
	bool maybe_enomem;		/* or that: a mapping may not be the object's ... */
	bool maybe_eopnotsupp;		/* ... or be locked */
	bool maybe_ebusy;		/* the object's file may have been given to others */
	bool maybe_any;
};

/* A protection that all pages of @map may have, usually. */
static int random_prot(struct worker *w, const struct mapping *map)
{
	int prot = one_of(&w->r, PROT_NONE, PROT_NONE, PROT_READ, PROT_READ, PROT_READ, RW, RW,
			  PROT_WRITE);

	return once_in(&w->r, 8) ? prot : prot & mapping_prot(map);
}

/* Whether pages of @map can have protections of their own, as far as is known. */
static bool is_protectable(const struct mapping *map)
{
	return map->shared && map->by_object != NO && map->locked != YES;
}

/* Some pages of @map; all of them at times. */
static struct change change_of(struct worker *w, struct mapping *map, int prot)
{
	size_t page = page_size(), pages = map->len / page;
	size_t first = once_in(&w->r, 4) ? 0 : random_below(&w->r, pages);
	size_t n = once_in(&w->r, 3) ? pages - first : 1 + random_below(&w->r, pages - first);

	return (struct change){
		.map = map,
		.first = first,
		.n = n,
		.range = a_range(map->at + first * page, n * page, prot),
	};
}

/* Pages of an object, at most. */
static uint64_t most_pages(void)
{
	return INT64_MAX / page_size();
}

/* Has a change show other pages of the object, at times, and where that is possible usually. */
static void choose_target(struct worker *w, struct change *c)
{
	const struct target *t = c->map->t;
	uint64_t pages = t->span / page_size(), place = c->map->offset / page_size() + c->first;

	if (!once_in(&w->r, t->created || t->lower >= 0 || read_once(t->is_shared) ? 24 : 3))
		return;
	c->range.flags = PINSEAL_PROTECT_REMAP;
	c->range.pgoff = once_in(&w->r, 4) ? place : random_below(&w->r, pages);
	if (once_in(&w->r, 24))
		c->range.pgoff = once_in(&w->r, 2) ? pages - 1 + random_below(&w->r, 2) :
				 most_pages() - c->n;
}

/* Makes the arguments of a change bad. */
static void spoil_change(struct worker *w, struct change *c)
{
	size_t page = page_size();

	c->error = -EINVAL;
	switch (random_below(&w->r, 9)) {
	case 0:
		c->range.addr += 1 + random_below(&w->r, page - 1);
		break;
	case 1:
		c->range.len -= 1 + random_below(&w->r, page - 1);
		break;
	case 2:
		c->range.len = 0;
		break;
	case 3:
		c->range.prot |= 8U << random_below(&w->r, 29);
		break;
	case 4:
		c->range.pgoff = 1 + random_bits(&w->r) / 2;
		if (c->range.flags) {
			c->range.pgoff = once_in(&w->r, 2) ? most_pages() - c->n + 1 :
					 UINT64_MAX - random_below(&w->r, 2);
			c->error = -EOVERFLOW;
		}
		break;
	case 5:
		c->range.len = -page;
		c->error = -EOVERFLOW;
		break;
	/* No mapping at all, or one of something else. */
	case 6:
		c->range.addr = one_of(&w->r, 0, 1ULL << 60);
		c->map = NULL;
		c->error = 0;
		break;
	case 7:
		c->range.addr = (uintptr_t)w->buf;
		c->range.len = page;
		c->map = NULL;
		c->error = 0;
		break;
	default:
		c->range.prot |= PROT_EXEC;
		c->error = 0;
	}
}

/* The first error of @c for @t, whose arguments are good. */
static struct expected expect_change(const struct change *c, const struct target *t)
{
	const struct mapping *map = c->map;
	struct expected e = { 0 };

	if (!map || map->t != t || map->by_object == NO)
		return (struct expected){ .ret = -ENOMEM };
	e.maybe_any = map->unsure;
	e.maybe_enomem = map->by_object == MAYBE;
	e.maybe_eopnotsupp = map->shared && map->locked == MAYBE;
	if (!map->shared)
		e.ret = -EINVAL;
	else if (map->locked == YES)
		e.ret = -EOPNOTSUPP;
	for (size_t i = 0; i < c->n && !e.ret; i++)
		if (own_prot(map, c->first + i, c->range.prot) == -EACCES)
			e.ret = -EACCES;
	return e;
}

static bool has_targets(const struct change *c, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (c[i].range.flags)
			return true;
	return false;
}

/* Changes of protections would be made, but pages of @t are to be shown elsewhere. */
static void expect_remap(const struct target *t, struct expected *e)
{
	if (t->created)
		e->ret = -EOPNOTSUPP;
	else if (t->lower >= 0 || read_once(t->is_shared))
		e->ret = -EBUSY;
	else
		e->maybe_ebusy = read_once(t->may_be_shared);
}

static struct expected expect_changes(const struct change *c, size_t n, const struct target *t)
{
	struct expected e = { 0 };

	for (size_t i = 0; i < n; i++)
		if (c[i].error)
			return (struct expected){ .ret = c[i].error };
	/* Later errors may be the first if an earlier one is unsure. */
	for (size_t i = 0; i < n && !e.ret; i++) {
		struct expected of_one = expect_change(&c[i], t);

		e.ret = of_one.ret;
		e.maybe_any |= of_one.maybe_any;
		e.maybe_enomem |= of_one.maybe_enomem;
		e.maybe_eopnotsupp |= of_one.maybe_eopnotsupp;
	}
	if (!e.ret && has_targets(c, n))
		expect_remap(t, &e);
	return e;
}

/* All changes are made. */
static void changes_made(const struct change *c, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct mapping *map = c[i].map;

		if (!map)
			continue;
		for (size_t page = c[i].first; page < c[i].first + c[i].n; page++) {
			int own = own_prot(map, page, c[i].range.prot);

			if (own >= 0)
				map->rights[page].own = own;
			if (c[i].range.flags)
				map->rights[page].shown = c[i].range.pgoff + page - c[i].first;
		}
		map->was_protected = true;
		map->was_remapped |= c[i].range.flags;
		map->by_object = YES;
	}
}

/* The result of changes that were valid or not, other than by the form of the struct. */
static void check_changes(struct worker *w, struct target *t, const struct change *c, size_t n,
			  struct expected e, int ret)
{
	/* From now on it is known. */
	if (ret == -ENOMEM && e.maybe_enomem && n == 1)
		c->map->by_object = NO;
	if (ret == e.ret || e.maybe_any || (ret == -ENOMEM && e.maybe_enomem) ||
	    (ret == -EOPNOTSUPP && e.maybe_eopnotsupp))
		return;
	if (ret == -EBUSY && (e.maybe_ebusy || read_once(t->may_be_shared)) && has_targets(c, n))
		return;
	break_rule(RULE_RIGHTS, "worker %u, object %lld: PROTECT of %zu ranges returned %d instead "
		   "of %d", w->number, t->number, n, ret, e.ret);
}

/* Makes a call with @n changes: one without an array, if there is only one and @single. */
static void protect(struct worker *w, struct target *t, const struct change *c, size_t n,
		    bool single)
{
	struct pinseal_protect_range ranges[RANGES];
	struct pinseal_protect arg = { 0 };
	struct expected e = expect_changes(c, n, t);
	enum form form = random_form(w);
	bool remaps;
	int ret;

	if (single) {
		arg.addr = c->range.addr;
		arg.len = c->range.len;
		arg.pgoff = c->range.pgoff;
		arg.prot = c->range.prot;
		arg.flags = c->range.flags;
	} else {
		for (size_t i = 0; i < n; i++)
			ranges[i] = c[i].range;
		arg.flags = PINSEAL_PROTECT_RANGES;
		arg.ranges = (uintptr_t)ranges;
		arg.nr = n;
		/* An old struct lacks the array, or a part of its address. */
		if (form == OLD)
			form = PLAIN;
	}
	if (once_in(&w->r, 32)) {
		if (once_in(&w->r, 2))
			arg.flags |= one_of(&w->r, PINSEAL_PROTECT_QUERY | PINSEAL_PROTECT_RANGES,
					    8, 1U << 31);
		else
			arg.nr = one_of(&w->r, PINSEAL_PROTECT_MAX + 1, 1ULL << 32, UINT64_MAX);
		/* Neither is read from an old struct. */
		if (form == OLD)
			form = PLAIN;
		/* An array that a single range does not have. */
		e = (struct expected){
			.ret = arg.flags & ~PINSEAL_PROTECT_REMAP || !arg.nr ? -EINVAL : -E2BIG,
		};
	} else if (!single && n && once_in(&w->r, 32)) {
		arg.ranges = one_of(&w->r, 0, 8, 1ULL << 63);
		e = (struct expected){ .ret = -EFAULT };
	}
	remaps = has_targets(c, n);
	if (remaps)
		write_once(t->may_remap, true);
	choose_fd(w, t, false);
	call_begin(w, t, "PROTECT(%lld, %#llx, %#llx, prot %lld, shows %lld, flags %lld; %lld ranges)",
		   t->number, c->range.addr, c->range.len, c->range.prot, c->range.pgoff, arg.flags, n);
	ret = ioctl_as(w, form, PINSEAL_IOC_PROTECT, &arg);
	if (!ret) {
		note(remaps ? N_REMAPPED : N_PROTECTED);
		changes_made(c, n);
	} else {
		note(remaps ? N_REMAP_REFUSED : N_PROTECT_REFUSED);
	}
	if (ret == -EBADF && w->doomed)
		return;
	if (form_error(form, PINSEAL_IOC_PROTECT))
		e = (struct expected){ .ret = -form_error(form, PINSEAL_IOC_PROTECT) };
	check_changes(w, t, c, n, e, ret);
}

static void protect_one(struct worker *w, struct mapping *map, int prot)
{
	struct change c = change_of(w, map, prot);
	bool single = !once_in(&w->r, 4);

	choose_target(w, &c);
	if (once_in(&w->r, 16)) {
		spoil_change(w, &c);
	} else if (once_in(&w->r, 24)) {
		/* Those of other objects. */
		protect(w, &fuzz->target[random_below(&w->r, TARGETS)], &c, 1, single);
		return;
	}
	protect(w, map->t, &c, 1, single);
	if (c.range.flags)
		load_at(w, map, (c.first + random_below(&w->r, c.n)) * page_size(), page_size());
}

/* Many ranges, of all mappings of the object; one of them is bad at times. */
static void protect_many(struct worker *w, struct mapping *map)
{
	size_t n = 1 + random_below(&w->r, RANGES);
	struct change c[RANGES];

	for (size_t i = 0; i < n; i++) {
		struct mapping *of = once_in(&w->r, 2) ? find_mapping(w, map->t) : map;

		if (!is_protectable(of) && !once_in(&w->r, 8))
			of = map;
		c[i] = change_of(w, of, random_prot(w, of));
		choose_target(w, &c[i]);
	}
	if (once_in(&w->r, 4)) {
		struct change *bad = &c[random_below(&w->r, n)];
		struct mapping *other = &w->mapping[random_below(&w->r, MAPPINGS)];

		if (other->t && other->t != map->t && once_in(&w->r, 3))
			*bad = change_of(w, other, PROT_NONE);
		else
			spoil_change(w, bad);
	}
	protect(w, map->t, c, n, false);
}

/* The last pages become memory of something else, and are then unmapped. */
static void protect_past_end(struct worker *w, struct mapping *map)
{
	size_t page = page_size(), pages = map->len / page;
	size_t n = random_below(&w->r, pages), len = n * page;
	struct target *t = map->t;
	struct pinseal_protect_range range = a_range(map->at, map->len, random_prot(w, map));
	struct expected e;
	struct change c;
	char *end;
	int ret;

	if (!n)
		return;
	end = map->at + map->len - len;
	call_begin(w, t, "mmap(over the last %lld of %lld pages at %#llx)", n, pages,
		   address(map->at));
	ret = call_end(w, mmap(end, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
			  MAP_FAILED ? -errno : 0);
	map->unsure |= ret != 0;
	if (ret)
		return;
	map->len -= len;
	c = (struct change){ .map = map, .n = pages - n, .range = range };
	e = expect_change(&c, t);
	if (!e.ret)
		e.ret = -ENOMEM;
	choose_fd(w, t, false);
	call_begin(w, t, "PROTECT(%lld, %#llx, %#llx, prot %lld; past its end)", t->number,
		   range.addr, range.len, range.prot);
	ret = call_end(w, ps_protect(w->fd, map->at, range.len, range.prot));
	note(N_PROTECT_REFUSED);
	if (!(ret == -EBADF && w->doomed))
		check_changes(w, t, &c, 0, e, ret);
	munmap(end, len);
}

/* Whether a page has a protection of its own, or is shown elsewhere than at its place. */
static bool is_listed(const struct mapping *map, size_t page)
{
	return map->rights[page].own != NOT_OWN || is_remapped(map, page);
}

/* The list of protections of some pages is the model's. */
static void check_list(struct worker *w, const struct mapping *map, const struct change *asked,
		       const struct pinseal_protect_range *ranges, size_t n, bool complete)
{
	size_t size = page_size(), page = asked->first, end = page + asked->n;

	for (size_t i = 0; i < n; i++) {
		const struct pinseal_protect_range *r = &ranges[i];
		size_t first = (r->addr - (uintptr_t)map->at) / size, last = first + r->len / size;
		bool wrong = r->addr % size || r->len % size || !r->len ||
			     r->flags & ~PINSEAL_PROTECT_REMAP || first < page || last > end ||
			     last <= first;

		for (; !wrong && page < first; page++)
			wrong = is_listed(map, page);
		/* Ranges of one mapping are joined, if their pages are at their places. */
		wrong |= !wrong && i && r->addr == r[-1].addr + r[-1].len && !r->flags &&
			 !r[-1].flags && r->prot == r[-1].prot && !map->rights[first].split;
		for (; !wrong && page < last; page++)
			wrong = !is_listed(map, page) || page_prot(map, page) != (int)r->prot ||
				map->rights[page].shown != r->pgoff + page - first ||
				is_remapped(map, page) != !!r->flags;
		if (wrong) {
			const struct page_rights *rights = &map->rights[page < MAPPING_PAGES ? page : 0];

			break_rule(RULE_RIGHTS, "worker %u, object %lld: range %zu of %zu that PROTECT "
				   "lists, %#llx, %#llx, page %llu, prot %u, flags %u, is not what page "
				   "%zu (%#x, shows %llu) of the mapping has", w->number,
				   map->t->number, i, n, r->addr, r->len, r->pgoff, r->prot, r->flags,
				   page, rights->own, (unsigned long long)rights->shown);
			return;
		}
	}
	for (; complete && page < end; page++)
		if (is_listed(map, page)) {
			break_rule(RULE_RIGHTS, "worker %u, object %lld: PROTECT does not list page %zu "
				   "of the mapping, which has %#x", w->number, map->t->number, page,
				   map->rights[page].own);
			return;
		}
}

/* The least and the largest number of ranges of some pages. */
static void count_ranges(const struct mapping *map, const struct change *asked, int *least,
			 int *most)
{
	*least = *most = 0;
	for (size_t page = asked->first; page < asked->first + asked->n; page++) {
		const struct page_rights *rights = &map->rights[page];
		bool joined = page > asked->first && is_listed(map, page - 1) &&
			      rights->own == rights[-1].own && rights->shown == rights[-1].shown + 1;

		if (!is_listed(map, page))
			continue;
		*least += !joined;
		/* Remapped ranges are listed as they were made. */
		*most += !joined || rights->split || is_remapped(map, page);
	}
}

/* Lists or counts the protections of some pages of @map. */
static void query(struct worker *w, struct mapping *map)
{
	struct pinseal_protect_range ranges[2 * RANGES];
	struct change asked = change_of(w, map, 0);
	struct pinseal_protect arg = {
		.addr = asked.range.addr,
		.len = asked.range.len,
		.flags = PINSEAL_PROTECT_QUERY,
		.nr = once_in(&w->r, 4) ? 0 : 1 + random_below(&w->r, 2 * RANGES),
	};
	enum form form = random_form(w);
	struct target *t = map->t;
	int ret, least, most;

	arg.ranges = arg.nr ? (uintptr_t)ranges : 0;
	if (form == OLD)
		form = PLAIN;
	memset(ranges, 0xcc, sizeof(ranges));
	choose_fd(w, t, false);
	call_begin(w, t, "PROTECT(%lld, %#llx, %#llx, query of %lld)", t->number, arg.addr, arg.len,
		   arg.nr);
	ret = ioctl_as(w, form, PINSEAL_IOC_PROTECT, &arg);
	if (form_error(form, PINSEAL_IOC_PROTECT)) {
		call_allows(w, ret, EFAULT, EINVAL, E2BIG);
		return;
	}
	call_allows(w, ret, EBADF);
	if (ret < 0 || map->unsure)
		return;
	if (ret)
		note(N_PROTECTIONS_LISTED);
	count_ranges(map, &asked, &least, &most);
	if (!arg.nr && (ret < least || ret > most))
		break_rule(RULE_RIGHTS, "worker %u, object %lld: PROTECT counts %d ranges, not %d to "
			   "%d", w->number, t->number, ret, least, most);
	if (arg.nr && (size_t)ret > arg.nr)
		break_rule(RULE_RIGHTS, "worker %u, object %lld: PROTECT lists %d ranges in room for "
			   "%llu", w->number, t->number, ret, arg.nr);
	else if (arg.nr)
		check_list(w, map, &asked, ranges, ret, (size_t)ret < arg.nr);
}

static void use(struct worker *w, struct mapping *map)
{
	switch (random_below(&w->r, 20)) {
	case 0 ... 5:
		protect_one(w, map, random_prot(w, map));
		break;
	case 6:
	case 7:
		protect_many(w, map);
		break;
	case 8:
		/* A reset, unless some pages allow less. */
		protect_one(w, map, mapping_prot(map));
		break;
	case 9 ... 11:
		query(w, map);
		break;
	case 12 ... 15:
		store(w, map, 1 + random_below(&w->r, 4));
		break;
	case 16 ... 17:
		load(w, map);
		break;
	case 18:
		change_prot(w, map);
		break;
	default:
		if (once_in(&w->r, 4))
			protect_past_end(w, map);
		else
			query(w, map);
	}
}

void op_protect(struct worker *w, struct target *t)
{
	struct mapping *map = find_mapping(w, t);
	bool existed;

	/* Another one of the object, if there is one. */
	for (int i = 0; map && !is_protectable(map) && i < 4; i++)
		map = find_mapping(w, t);
	if (map && !is_protectable(map) && !once_in(&w->r, 4))
		map = NULL;
	existed = map;
	if (!map)
		map = make_mapping(w, t);
	if (!map)
		return;
	for (unsigned int times = 2 + random_below(&w->r, 8); times; times--)
		use(w, map);
	if (!existed)
		unmap(w, map);
}

void child_protect(struct worker *w, struct mapping *map)
{
	struct change c = change_of(w, map, random_prot(w, map));
	struct expected e;
	int ret;

	choose_target(w, &c);
	if (c.range.flags)
		write_once(map->t->may_remap, true);
	/* Locks are not inherited. */
	map->locked = NO;
	e = expect_changes(&c, 1, map->t);
	ret = ps_protect_ranges(map->t->fd, &c.range, 1);
	if (!ret)
		changes_made(&c, 1);
	check_changes(w, map->t, &c, 1, e, ret);
}

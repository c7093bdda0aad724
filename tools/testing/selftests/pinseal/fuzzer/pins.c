// SPDX-License-Identifier: GPL-2.0-only
#include "pins.h"
#include "extra_ref.h"
#include "ioctl.h"
#include "log.h"
#include "model.h"
#include "pinseal_test.h"
#include "random.h"
#include "worker.h"

#define LISTED	256

/* The entries are ordered and valid, and their sums match the counts. */
static void check_listed(struct target *t, const struct pinseal_pins *arg,
			 const struct pinseal_page *page)
{
	uint64_t pages = 0, dma_pages = 0, end = 0;

	for (uint64_t i = 0; i < arg->found; i++) {
		const struct pinseal_page *p = &page[i];
		bool large = p->flags & PINSEAL_PAGE_LARGE;

		if (p->index < end || p->index + p->pages <= arg->start ||
		    p->index >= arg->next || !p->pages || !p->extra || p->pad ||
		    p->flags & ~(LASTING_FLAGS | PINSEAL_PAGE_OFF_LRU | PINSEAL_PAGE_MLOCKED |
				 PINSEAL_PAGE_SWAPCACHE | PINSEAL_PAGE_WRITEBACK) ||
		    large != (p->pages > 1))
			break_rule(RULE_RESULTS, "PINS, object %lld: entry %lld: index %#llx, "
				   "pages %u, extra %u, flags %#x", t->number, (long long)i,
				   p->index, p->pages, p->extra, p->flags);
		if (!large && p->dma_pins > p->extra / 1024)
			break_rule(RULE_RESULTS, "PINS, object %lld: %u pins in %u references",
				   t->number, p->dma_pins, p->extra);
		end = p->index + p->pages;
		pages += p->pages;
		dma_pages += p->dma_pins ? p->pages : 0;
	}
	if (arg->vec && arg->vec_len &&
	    (pages != arg->pinned_pages || dma_pages != arg->dma_pinned_pages))
		break_rule(RULE_RESULTS, "PINS, object %lld: listed %llu pages, %llu of them "
			   "pinned, but counted %llu and %llu", t->number, (long long)pages,
			   (long long)dma_pages, arg->pinned_pages, arg->dma_pinned_pages);
}

/* Counts pinned pages of a range; in steps, as a caller with a small array does. */
static int count_pins(int fd, uint64_t from, uint64_t to, bool steps, uint64_t *pages,
		      uint64_t *dma_pages)
{
	struct pinseal_page page;
	struct pinseal_pins arg = { .next = from };
	int ret;

	*pages = *dma_pages = 0;
	do {
		arg.start = arg.next;
		arg.count = to - arg.start;
		arg.vec = steps ? (uintptr_t)&page : 0;
		arg.vec_len = steps;
		ret = ps_ioctl(fd, PINSEAL_IOC_PINS, &arg);
		if (ret)
			return ret;
		*pages += arg.pinned_pages;
		*dma_pages += arg.dma_pinned_pages;
	} while (arg.next > arg.start && arg.next < to);
	return 0;
}

/* A reference is missed only if all these listings were disturbed. */
#define LISTINGS	100

/*
 * The worker's own references must show, counted either way. One listing is an estimate: a
 * mapping made at that moment can hide a reference.
 */
static void check_own_pins(struct worker *w, struct target *t)
{
	struct extra_ref *ref = find_ref(w, t);
	uint64_t first, end, pages, dma_pages;
	bool all;

	if (!ref)
		return;
	first = ref->from / page_size();
	end = ref->to / page_size();
	for (int steps = 0; steps < 2; steps++) {
		int listings = LISTINGS;

		do {
			/* Held now, so it was held during the listing. */
			if (count_pins(t->fd, first, end, steps, &pages, &dma_pages) ||
			    !ref_is_held(ref))
				return;
			all = pages >= end - first &&
			      (!ref_is_dma(ref->kind) || dma_pages >= end - first);
		} while (!all && --listings);
		if (!all)
			break_rule(RULE_RESULTS, "PINS, object %lld: %llu pages, %llu of them "
				   "pinned; but worker %u holds %llu with its %s", t->number,
				   (long long)pages, (long long)dma_pages, w->number,
				   (long long)(end - first), ref_name(ref->kind));
	}
}

/* A page that one of the worker's handles pins must be listed with PINSEAL_PAGE_HANDLE. */
static void check_own_handles(struct worker *w, const struct pinseal_pins *arg,
			      const struct pinseal_page *page)
{
	uint64_t size = page_size();

	for (int i = 0; i < EXTRA_REFS; i++) {
		struct extra_ref *ref = &w->ref[i];

		if (ref->t != w->t || !is_handle(ref->kind) || !ref_is_held(ref))
			continue;
		for (uint64_t n = 0; n < arg->found; n++) {
			const struct pinseal_page *p = &page[n];

			if (p->dma_pins && !(p->flags & PINSEAL_PAGE_HANDLE) &&
			    p->index < ref->to / size && p->index + p->pages > ref->from / size)
				break_rule(RULE_RESULTS, "PINS, object %lld: page %#llx is pinned "
					   "by no handle; but worker %u has one",
					   ref->t->number, p->index, w->number);
		}
	}
}

void op_pins(struct worker *w, struct target *t)
{
	uint64_t all = t->span / page_size();
	enum form form = random_form(w);
	/* The array ends where writable memory ends, so that an overrun faults. */
	struct pinseal_page *page = (void *)(w->arena.ro - LISTED * sizeof(*page));
	struct pinseal_pins in = {
		.start = once_in(&w->r, 2) ? 0 : random_below(&w->r, all + 2),
		.count = once_in(&w->r, 2) ? 0 : random_below(&w->r, all + 2),
		.vec = once_in(&w->r, 2) ? 0 : (uintptr_t)page,
		.vec_len = once_in(&w->r, 2) ? LISTED : random_below(&w->r, 8),
	}, out;
	bool valid, fits;
	int ret;

	if (once_in(&w->r, 24))
		in.start = random_bits(&w->r);
	if (once_in(&w->r, 24))
		in.count = UINT64_MAX - random_below(&w->r, 2);
	if (once_in(&w->r, 24))
		in.vec = one_of(&w->r, 1, 1ULL << 63, UINT64_MAX);
	if (once_in(&w->r, 24))
		in.vec_len = UINT64_MAX;
	if (once_in(&w->r, 32))
		in.flags = 1 << random_below(&w->r, 32);
	valid = !in.flags && in.start + in.count >= in.start;
	fits = !in.vec || (in.vec == (uintptr_t)page && in.vec_len <= LISTED);
	memset(page, 0xcc, LISTED * sizeof(*page));
	out = in;

	choose_fd(w, t, false);
	call_begin(w, t, "PINS(%lld, %#llx, count %#llx, vec %#llx, %lld)", t->number, in.start,
		   in.count, in.vec, in.vec_len);
	ret = ioctl_as(w, form, PINSEAL_IOC_PINS, &out);
	/* EINTR is for a task that is being killed. */
	call_allows(w, ret, EFAULT, E2BIG, EINVAL);
	if (valid && fits && !form_error(form, PINSEAL_IOC_PINS))
		call_was_valid(w, ret);
	if (ret)
		return;
	log_note(w->log, "found %llu, next %#llx, %llu pages, %llu pinned", out.found, out.next,
		 out.pinned_pages, out.dma_pinned_pages);
	if (!valid || out.start != in.start || out.count != in.count || out.vec != in.vec ||
	    out.vec_len != in.vec_len || out.flags || out.pad || out.next < in.start ||
	    (in.count && out.next > in.start + in.count) || out.found > (in.vec ? in.vec_len : 0) ||
	    out.dma_pinned_pages > out.pinned_pages)
		break_rule(RULE_RESULTS, "PINS, object %lld: found %llu, next %#llx, %llu pages, "
			   "%llu pinned", t->number, out.found, out.next, out.pinned_pages,
			   out.dma_pinned_pages);
	if (fits && in.vec) {
		check_listed(t, &out, page);
		check_own_handles(w, &out, page);
		for (unsigned char *p = (void *)&page[out.found]; (char *)p < w->arena.ro; p++)
			if (*p != 0xcc)
				break_rule(RULE_RESULTS, "PINS wrote behind the entries it found");
	}
	check_own_pins(w, t);
}

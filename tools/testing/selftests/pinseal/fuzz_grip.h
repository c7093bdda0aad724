/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fuzzer's pins: pages that a worker holds for a while without a mapping, stores
 * through such pins, and what PINS tells about them.
 */
#ifndef FUZZ_GRIP_H
#define FUZZ_GRIP_H

#include "fuzz_ioctl.h"
#include "udmabuf.h"

/* A way to hold pages that no mapping is needed for, but the file behind the device. */
#define HOLD_UDMABUF	(HOLD_HANDLE + 1)

static inline const char *grip_name(unsigned int kind)
{
	return kind == HOLD_UDMABUF ? "DMA buffer" : hold_name(kind);
}

static inline bool grip_is_dma(unsigned int kind)
{
	return kind == HOLD_UDMABUF || hold_is_dma(kind);
}

/* Whether the pages that were held at first still are the object's. */
static inline bool grip_is_whole(const struct grip *g)
{
	return g->sure && times_taken(g->t, g->from, g->to) == g->taken;
}

/* Nobody may hold a page of a sealed object: the seal would have had to wait. */
static inline void check_grips(struct worker *w)
{
	for (int i = 0; i < GRIPS; i++) {
		struct grip *g = &w->grip[i];

		if (!g->t || !(read_once(g->t->known) & F_SEAL_WRITE) || !grip_is_whole(g))
			continue;
		break_rule(RULE_WRITERS, "worker %u: object %lld was sealed with pages held by "
			   "its %s", w->number, g->t->number, grip_name(g->kind));
	}
}

static inline struct grip *find_grip(struct worker *w, struct target *t)
{
	for (int i = 0; i < GRIPS; i++)
		if (w->grip[i].t == t)
			return &w->grip[i];
	return NULL;
}

static inline int grip_begin(struct grip *g, struct target *t, int fd)
{
	if (g->kind != HOLD_UDMABUF)
		return hold_begin(&g->hold, g->kind, fd, g->from / page_size(),
				  (g->to - g->from) / page_size());
	g->dmabuf = udmabuf_make(t->inner, g->from, g->to);
	return g->dmabuf < 0 ? g->dmabuf : 0;
}

static inline int grip_end(struct grip *g)
{
	return g->kind == HOLD_UDMABUF ? sys(close(g->dmabuf)) : hold_end(&g->hold);
}

static inline void op_hold(struct worker *w, struct target *t)
{
	unsigned int kind = one_of(&w->r, HOLD_URING, HOLD_URING, HOLD_URING, HOLD_URING,
				   HOLD_VMSPLICE, HOLD_VMSPLICE, HOLD_VMSPLICE, HOLD_SPLICE,
				   HOLD_SPLICE, HOLD_VM_WRITEV, HOLD_DIRECT_READ, HOLD_UDMABUF,
				   HOLD_UDMABUF, HOLD_UDMABUF, HOLD_HANDLE, HOLD_HANDLE,
				   HOLD_HANDLE);
	uint64_t pages = 1 + random_below(&w->r, 3), all = t->span / page_size();
	uint64_t first = random_below(&w->r, all > pages ? all - pages : 1);
	struct grip *g = find_grip(w, NULL);
	int ret;

	if (!g || t->access != O_RDWR)
		return;
	/* These wait for a page that is not there. */
	if ((kind == HOLD_VM_WRITEV || kind == HOLD_DIRECT_READ) && !t->stays)
		kind = HOLD_URING;
	/* It wants F_SEAL_SHRINK, and the file behind the device. */
	if (t->inner >= 0 && read_once(t->known) & F_SEAL_SHRINK && once_in(&w->r, 3))
		kind = HOLD_UDMABUF;
	else if (kind == HOLD_UDMABUF && t->inner < 0)
		kind = HOLD_VMSPLICE;
	if (pages > all)
		pages = all;
	g->kind = kind;
	g->from = first * page_size();
	g->to = g->from + pages * page_size();
	g->taken = times_taken(t, g->from, g->to);
	/* A hole is spliced as a page of zeroes that is nobody's. */
	g->sure = kind != HOLD_SPLICE && !t->isolates && !may_be_taken(t, g->from, g->to);
	g->reading = false;

	hold_signals(true);
	choose_fd(w, t, true);
	count_up(t->maps);
	call_begin(w, t, "hold(%lld, page %lld, %lld pages, kind %lld)", t->number, first, pages,
		   kind);
	ret = call_end(w, grip_begin(g, t, w->fd));
	log_note(w->log, "%s", grip_name(kind));
	count_up(t->unmaps);
	hold_signals(false);
	if (ret) {
		/* Its mapping is one like any other. */
		if (ret == -EBUSY || ret == -EPERM)
			call_forbidden_by(w, -EPERM, WRITE_SEALS);
		return;
	}
	note(N_HOLDS);
	call_wrote_bytes(w, "pages were held");
	write_once(t->used, true);
	g->t = t;
}

/* What a request reads at most, and what is there for it to read then. */
#define FEED	64

static inline void feed(struct worker *w, char c)
{
	char text[FEED];

	memset(text, c, sizeof(text));
	if (write(w->source[1], text, sizeof(text)) != sizeof(text))
		perror("# feeding the pipe");
}

/*
 * Stores through a registered buffer: at once, when there is something in the pipe that
 * is read; or some time after more is written to it, in this worker's own task work.
 */
static inline void op_store_by_pin(struct worker *w, struct target *t)
{
	struct grip *g = find_grip(w, t);
	struct io_uring_sqe sqe = {
		.opcode = IORING_OP_READ_FIXED,
		.fd = w->source[0],
		.off = -1,
	};
	int ret;

	if (!g || g->kind != HOLD_URING || g->reading)
		return;
	sqe.len = 1 + random_below(&w->r, FEED);
	sqe.addr = (uintptr_t)g->hold.map + random_below(&w->r, g->hold.len - sqe.len);
	if (once_in(&w->r, 2))
		feed(w, 'p' + random_below(&w->r, 8));
	call_begin(w, t, "READ_FIXED(held page %#llx of %lld, %lld bytes)", g->from, t->number,
		   sqe.len);
	ret = call_end(w, uring_submit(&g->hold.ring, &sqe));
	g->reading = !ret;
}

/* Waits for a request that is under way. What it reads is written now. */
static inline void finish_reading(struct worker *w, struct grip *g)
{
	struct io_uring_cqe cqe;

	if (!g->reading)
		return;
	if (uring_reap(&g->hold.ring, &cqe) == -EAGAIN) {
		feed(w, 'f');
		uring_wait(&g->hold.ring, &cqe);
	}
	g->reading = false;
}

static inline void let_go(struct worker *w, struct grip *g)
{
	struct target *t = g->t;

	if (!t)
		return;
	/* The last moment at which it is held for sure. */
	check_grips(w);
	hold_signals(true);
	call_begin(w, t, "let go(%lld, %#llx)", t->number, g->from);
	finish_reading(w, g);
	g->t = NULL;
	call_end(w, grip_end(g));
	hold_signals(false);
}

static inline void op_let_go(struct worker *w, struct target *t)
{
	struct grip *g = find_grip(w, t);

	if (g)
		let_go(w, g);
}

/*
 * PINS
 */

#define LISTED	256

static inline void check_listed(struct target *t, const struct pinseal_pins *arg,
				const struct pinseal_page *page)
{
	uint64_t pages = 0, dma_pages = 0, end = 0;

	for (uint64_t i = 0; i < arg->found; i++) {
		const struct pinseal_page *p = &page[i];
		bool large = p->flags & PINSEAL_PAGE_LARGE;

		if (p->index < end || p->index + p->pages <= arg->start ||
		    p->index >= arg->next || !p->pages || !p->extra || p->pad ||
		    p->flags & ~PINSEAL_PAGE_LARGE || large != (p->pages > 1))
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
		break_rule(RULE_RESULTS, "PINS, object %lld: lists %llu pages, %llu of them "
			   "pinned, and counts %llu and %llu", t->number, (long long)pages,
			   (long long)dma_pages, arg->pinned_pages, arg->dma_pinned_pages);
}

/* Counts what is pinned in a range; in steps, as one does who has little room. */
static inline int count_pins(int fd, uint64_t from, uint64_t to, bool steps, uint64_t *pages,
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

/* Tries that must all have been disturbed to miss something that is there. */
#define LOOKS	100

/*
 * What the worker itself holds must show, in both ways to count. One look is an estimate:
 * somebody who maps the page at that moment can make up for a reference.
 */
static inline void check_own_pins(struct worker *w, struct target *t)
{
	struct grip *g = find_grip(w, t);
	uint64_t first, end, pages, dma_pages;
	bool all;

	if (!g)
		return;
	first = g->from / page_size();
	end = g->to / page_size();
	for (int steps = 0; steps < 2; steps++) {
		int looks = LOOKS;

		do {
			if (count_pins(t->fd, first, end, steps, &pages, &dma_pages) ||
			    !grip_is_whole(g))
				return;
			all = pages >= end - first &&
			      (!grip_is_dma(g->kind) || dma_pages >= end - first);
		} while (!all && --looks);
		if (!all)
			break_rule(RULE_RESULTS, "PINS, object %lld: %llu pages, %llu of them "
				   "pinned; but worker %u holds %llu by its %s", t->number,
				   (long long)pages, (long long)dma_pages, w->number,
				   (long long)(end - first), grip_name(g->kind));
	}
}

static inline void op_pins(struct worker *w, struct target *t)
{
	uint64_t all = t->span / page_size();
	enum form form = random_form(w);
	/* What is too much for it ends where memory does. */
	struct pinseal_page *page = (void *)(w->arena.ro - LISTED * sizeof(*page));
	struct pinseal_pins in = {
		.start = once_in(&w->r, 2) ? 0 : random_below(&w->r, all + 2),
		.count = once_in(&w->r, 2) ? 0 : random_below(&w->r, all + 2),
		.vec = once_in(&w->r, 2) ? 0 : (uintptr_t)page,
		.vec_len = once_in(&w->r, 2) ? LISTED : random_below(&w->r, 8),
	}, out;
	bool right, fits;
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
	right = !in.flags && in.start + in.count >= in.start;
	fits = !in.vec || (in.vec == (uintptr_t)page && in.vec_len <= LISTED);
	memset(page, 0xcc, LISTED * sizeof(*page));
	out = in;

	choose_fd(w, t, false);
	call_begin(w, t, "PINS(%lld, %#llx, count %#llx, vec %#llx, %lld)", t->number, in.start,
		   in.count, in.vec, in.vec_len);
	ret = ioctl_as(w, form, PINSEAL_IOC_PINS, &out);
	/* EINTR is for those who are being killed. */
	call_allows(w, ret, EFAULT, E2BIG, EINVAL);
	if (right && fits && !form_error(form, PINSEAL_IOC_PINS))
		call_was_right(w, ret);
	if (ret)
		return;
	log_note(w->log, "found %llu, next %#llx, %llu pages, %llu pinned", out.found, out.next,
		 out.pinned_pages, out.dma_pinned_pages);
	if (!right || out.start != in.start || out.count != in.count || out.vec != in.vec ||
	    out.vec_len != in.vec_len || out.flags || out.pad || out.next < in.start ||
	    (in.count && out.next > in.start + in.count) || out.found > (in.vec ? in.vec_len : 0) ||
	    out.dma_pinned_pages > out.pinned_pages)
		break_rule(RULE_RESULTS, "PINS, object %lld: found %llu, next %#llx, %llu pages, "
			   "%llu pinned", t->number, out.found, out.next, out.pinned_pages,
			   out.dma_pinned_pages);
	if (fits && in.vec) {
		check_listed(t, &out, page);
		for (unsigned char *p = (void *)&page[out.found]; (char *)p < w->arena.ro; p++)
			if (*p != 0xcc)
				break_rule(RULE_RESULTS, "PINS wrote behind what it found");
	}
	check_own_pins(w, t);
}

#endif /* FUZZ_GRIP_H */

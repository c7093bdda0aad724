// SPDX-License-Identifier: GPL-2.0-only
#include "grip.h"
#include "holders.h"
#include "log.h"
#include "model.h"
#include "pinseal_test.h"
#include "random.h"
#include "udmabuf.h"
#include "uring.h"
#include "worker.h"

bool is_handle(unsigned int kind)
{
	return kind == HOLD_HANDLE || kind == HOLD_LEASE;
}

const char *grip_name(unsigned int kind)
{
	return kind == HOLD_UDMABUF ? "DMA buffer" : kind == HOLD_LEASE ? "lease" : hold_name(kind);
}

bool grip_is_dma(unsigned int kind)
{
	return kind == HOLD_UDMABUF || kind == HOLD_LEASE || hold_is_dma(kind);
}

bool grip_is_whole(const struct grip *g)
{
	return g->sure && !takers(g->t, g->from, g->to) &&
	       times_taken(g->t, g->from, g->to) == g->taken;
}

bool grip_is_revoked(const struct grip *g)
{
	struct pinseal_lease lease;

	return g->kind == HOLD_LEASE &&
	       (g->revoked || (!ps_lease_state(g->hold.handle, &lease) &&
			       lease.state == PINSEAL_LEASE_REVOKED));
}

bool grip_is_held(const struct grip *g)
{
	return grip_is_whole(g) && !grip_is_revoked(g);
}

void check_grips(struct worker *w)
{
	for (int i = 0; i < GRIPS; i++) {
		struct grip *g = &w->grip[i];

		if (!g->t || !g->early || !(read_once(g->t->known) & F_SEAL_WRITE) ||
		    !grip_is_held(g))
			continue;
		break_rule(RULE_WRITERS, "worker %u: object %lld was sealed with pages held by "
			   "its %s", w->number, g->t->number, grip_name(g->kind));
	}
}

struct grip *find_grip(struct worker *w, struct target *t)
{
	for (int i = 0; i < GRIPS; i++)
		if (w->grip[i].t == t)
			return &w->grip[i];
	return NULL;
}

struct grip new_grip(struct target *t, unsigned int kind, uint64_t first,
		     uint64_t pages)
{
	struct grip g = {
		.kind = kind,
		.from = first * page_size(),
		.to = (first + pages) * page_size(),
		.sure = !t->isolates,
		.early = true,
		.since = now_ns(),
		.unaskers = read_once(t->unaskers),
	};

	g.taken = times_taken(t, g.from, g.to);
	return g;
}

static int grip_begin(struct grip *g, struct target *t, int fd)
{
	if (g->kind != HOLD_UDMABUF)
		return hold_begin(&g->hold, g->kind, fd, g->from / page_size(),
				  (g->to - g->from) / page_size());
	g->dmabuf = udmabuf_make(t->inner, g->from, g->to);
	return g->dmabuf < 0 ? g->dmabuf : 0;
}

static int grip_end(struct grip *g)
{
	return g->kind == HOLD_UDMABUF ? sys(close(g->dmabuf)) : hold_end(&g->hold);
}

void op_hold(struct worker *w, struct target *t)
{
	unsigned int kind = one_of(&w->r, HOLD_URING, HOLD_URING, HOLD_URING, HOLD_URING,
				   HOLD_VMSPLICE, HOLD_VMSPLICE, HOLD_VMSPLICE, HOLD_SPLICE,
				   HOLD_SPLICE, HOLD_VM_WRITEV, HOLD_DIRECT_READ, HOLD_UDMABUF,
				   HOLD_UDMABUF, HOLD_UDMABUF);
	uint64_t pages = 1 + random_below(&w->r, 3), all = t->span / page_size();
	uint64_t first = random_below(&w->r, all > pages ? all - pages : 1);
	struct grip *g = find_grip(w, NULL);
	int ret;

	if (!g || t->access != O_RDWR)
		return;
	/* These kinds block on a page that is missing. */
	if ((kind == HOLD_VM_WRITEV || kind == HOLD_DIRECT_READ) && !t->stays)
		kind = HOLD_URING;
	/* udmabuf needs F_SEAL_SHRINK and the shmem file behind the device. */
	if (t->inner >= 0 && read_once(t->known) & F_SEAL_SHRINK && once_in(&w->r, 3))
		kind = HOLD_UDMABUF;
	else if (kind == HOLD_UDMABUF && t->inner < 0)
		kind = HOLD_VMSPLICE;
	if (pages > all)
		pages = all;
	*g = new_grip(t, kind, first, pages);
	/* A hole is spliced as the zero page, which is not the object's. */
	g->sure &= kind != HOLD_SPLICE;

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
		/* Its mapping is refused like any other. */
		if (ret == -EBUSY || ret == -EPERM)
			call_forbidden_by(w, -EPERM, WRITE_SEALS);
		return;
	}
	note(N_HOLDS);
	call_wrote_bytes(w, "pages were pinned or referenced");
	write_once(t->used, true);
	g->t = t;
}

/* Bytes that a request reads at most, and bytes that one feed() writes. */
#define FEED	64

/* Writes FEED bytes into the pipe that requests read. */
static void feed(struct worker *w, char c)
{
	char text[FEED];

	memset(text, c, sizeof(text));
	if (write(w->source[1], text, sizeof(text)) != sizeof(text))
		perror("# feeding the pipe");
}

void op_store_by_pin(struct worker *w, struct target *t)
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

/* Waits for the request under way, and feeds the pipe if it has not completed. */
static void finish_reading(struct worker *w, struct grip *g)
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

void let_go(struct worker *w, struct grip *g)
{
	struct target *t = g->t;

	if (!t)
		return;
	/* From here on, the pages are no longer held for sure. */
	check_grips(w);
	hold_signals(true);
	call_begin(w, t, "let go(%lld, %#llx)", t->number, g->from);
	finish_reading(w, g);
	g->t = NULL;
	call_end(w, grip_end(g));
	hold_signals(false);
}

void op_let_go(struct worker *w, struct target *t)
{
	struct grip *g = find_grip(w, t);

	if (g)
		let_go(w, g);
}

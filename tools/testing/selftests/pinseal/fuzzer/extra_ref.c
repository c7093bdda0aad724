// SPDX-License-Identifier: GPL-2.0-only
#include "extra_ref.h"
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

const char *ref_name(unsigned int kind)
{
	return kind == HOLD_UDMABUF ? "DMA buffer" : kind == HOLD_LEASE ? "lease" : hold_name(kind);
}

bool ref_is_dma(unsigned int kind)
{
	return kind == HOLD_UDMABUF || kind == HOLD_LEASE || hold_is_dma(kind);
}

bool ref_is_current(const struct extra_ref *ref)
{
	return ref->sure && !removals_in_progress(ref->t, ref->from, ref->to) &&
	       times_removed(ref->t, ref->from, ref->to) == ref->times_removed;
}

bool ref_is_revoked(const struct extra_ref *ref)
{
	struct pinseal_lease lease;

	return ref->kind == HOLD_LEASE &&
	       (ref->revoked || (!ps_lease_state(ref->hold.handle, &lease) &&
				 lease.state == PINSEAL_LEASE_REVOKED));
}

bool ref_is_held(const struct extra_ref *ref)
{
	return ref_is_current(ref) && !ref_is_revoked(ref);
}

void check_refs(struct worker *w)
{
	for (int i = 0; i < EXTRA_REFS; i++) {
		struct extra_ref *ref = &w->ref[i];

		if (!ref->t || !ref->early || !(read_once(ref->t->known) & F_SEAL_WRITE) ||
		    !ref_is_held(ref))
			continue;
		break_rule(RULE_WRITERS, "worker %u: object %lld was sealed despite an extra "
			   "reference of its %s", w->number, ref->t->number, ref_name(ref->kind));
	}
}

struct extra_ref *find_ref(struct worker *w, struct target *t)
{
	for (int i = 0; i < EXTRA_REFS; i++)
		if (w->ref[i].t == t)
			return &w->ref[i];
	return NULL;
}

struct extra_ref new_ref(struct target *t, unsigned int kind, uint64_t first,
			 uint64_t pages)
{
	struct extra_ref ref = {
		.kind = kind,
		.from = first * page_size(),
		.to = (first + pages) * page_size(),
		.sure = !t->isolates,
		.early = true,
		.since = now_ns(),
		.breaks_ended = read_once(t->breaks_ended),
	};

	ref.times_removed = times_removed(t, ref.from, ref.to);
	return ref;
}

static int ref_begin(struct extra_ref *ref, struct target *t, int fd)
{
	if (ref->kind != HOLD_UDMABUF)
		return hold_begin(&ref->hold, ref->kind, fd, ref->from / page_size(),
				  (ref->to - ref->from) / page_size());
	ref->dmabuf = udmabuf_make(t->inner, ref->from, ref->to);
	return ref->dmabuf < 0 ? ref->dmabuf : 0;
}

static int ref_end(struct extra_ref *ref)
{
	return ref->kind == HOLD_UDMABUF ? sys(close(ref->dmabuf)) : hold_end(&ref->hold);
}

void op_take_ref(struct worker *w, struct target *t)
{
	unsigned int kind = one_of(&w->r, HOLD_URING, HOLD_URING, HOLD_URING, HOLD_URING,
				   HOLD_VMSPLICE, HOLD_VMSPLICE, HOLD_VMSPLICE, HOLD_SPLICE,
				   HOLD_SPLICE, HOLD_VM_WRITEV, HOLD_DIRECT_READ, HOLD_UDMABUF,
				   HOLD_UDMABUF, HOLD_UDMABUF);
	uint64_t pages = 1 + random_below(&w->r, 3), all = t->span / page_size();
	uint64_t first = random_below(&w->r, all > pages ? all - pages : 1);
	struct extra_ref *ref = find_ref(w, NULL);
	int ret;

	if (!ref || t->access != O_RDWR)
		return;
	/* These kinds block on a page that is missing. */
	if ((kind == HOLD_VM_WRITEV || kind == HOLD_DIRECT_READ) && !t->keeps_pages)
		kind = HOLD_URING;
	/* udmabuf needs F_SEAL_SHRINK and the inner file. */
	if (t->inner >= 0 && read_once(t->known) & F_SEAL_SHRINK && once_in(&w->r, 3))
		kind = HOLD_UDMABUF;
	else if (kind == HOLD_UDMABUF && t->inner < 0)
		kind = HOLD_VMSPLICE;
	if (pages > all)
		pages = all;
	*ref = new_ref(t, kind, first, pages);
	/* A hole is spliced as the zero page, which is not the object's. */
	ref->sure &= kind != HOLD_SPLICE;

	block_signals(true);
	choose_fd(w, t, true);
	count_up(t->maps);
	call_begin(w, t, "take reference(%lld, page %lld, %lld pages, kind %lld)", t->number,
		   first, pages, kind);
	ret = call_end(w, ref_begin(ref, t, w->fd));
	log_note(w->log, "%s", ref_name(kind));
	count_up(t->unmaps);
	block_signals(false);
	if (ret) {
		/* Its mapping is refused like any other. */
		if (ret == -EBUSY || ret == -EPERM)
			call_forbidden_by(w, -EPERM, WRITE_SEALS);
		return;
	}
	note(N_REFS);
	call_wrote_bytes(w, "pages were pinned or referenced");
	write_once(t->used, true);
	ref->t = t;
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
	struct extra_ref *ref = find_ref(w, t);
	struct io_uring_sqe sqe = {
		.opcode = IORING_OP_READ_FIXED,
		.fd = w->source[0],
		.off = -1,
	};
	int ret;

	if (!ref || ref->kind != HOLD_URING || ref->reading)
		return;
	sqe.len = 1 + random_below(&w->r, FEED);
	sqe.addr = (uintptr_t)ref->hold.map + random_below(&w->r, ref->hold.len - sqe.len);
	if (once_in(&w->r, 2))
		feed(w, 'p' + random_below(&w->r, 8));
	call_begin(w, t, "READ_FIXED(pinned page %#llx of %lld, %lld bytes)", ref->from, t->number,
		   sqe.len);
	ret = call_end(w, uring_submit(&ref->hold.ring, &sqe));
	ref->reading = !ret;
}

/* Waits for the request in flight, and feeds the pipe if it has not completed. */
static void finish_reading(struct worker *w, struct extra_ref *ref)
{
	struct io_uring_cqe cqe;

	if (!ref->reading)
		return;
	if (uring_reap(&ref->hold.ring, &cqe) == -EAGAIN) {
		feed(w, 'f');
		uring_wait(&ref->hold.ring, &cqe);
	}
	ref->reading = false;
}

void drop_ref(struct worker *w, struct extra_ref *ref)
{
	struct target *t = ref->t;

	if (!t)
		return;
	/* From here on, the reference may be gone. */
	check_refs(w);
	block_signals(true);
	call_begin(w, t, "drop reference(%lld, %#llx)", t->number, ref->from);
	finish_reading(w, ref);
	ref->t = NULL;
	call_end(w, ref_end(ref));
	block_signals(false);
}

void op_drop_ref(struct worker *w, struct target *t)
{
	struct extra_ref *ref = find_ref(w, t);

	if (ref)
		drop_ref(w, ref);
}

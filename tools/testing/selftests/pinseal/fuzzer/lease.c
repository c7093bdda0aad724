// SPDX-License-Identifier: GPL-2.0-only
#include "lease.h"
#include "async.h"
#include "grip.h"
#include "holders.h"
#include "ioctl.h"
#include "log.h"
#include "model.h"
#include "pinseal_test.h"
#include "random.h"
#include "transfer.h"
#include "worker.h"

/* The kernel may cap a longer grace period at what its clock can represent. */
#define LONGEST_NS	((uint64_t)INT64_MAX / 2)

/* Some pages of the object's span, which the object may lack. */
static void random_pages(struct worker *w, struct target *t, struct pinseal_pin *arg)
{
	uint64_t all = t->span / page_size();

	arg->count = 1 + random_below(&w->r, 3);
	if (arg->count > all)
		arg->count = all;
	arg->start = random_below(&w->r, all - arg->count + 1);
}

void spoil_pin(struct worker *w, struct pinseal_pin *arg)
{
	switch (random_below(&w->r, 6)) {
	case 0:
		arg->count = one_of(&w->r, 0, 1ULL << 52, UINT64_MAX);
		break;
	case 1:
		arg->start = one_of(&w->r, 1ULL << 52, 1ULL << 63, UINT64_MAX);
		break;
	case 2:
		arg->flags |= (PINSEAL_PIN_MIRROR << 1) << random_below(&w->r, 29);
		break;
	case 3:
		/* A mirror holds no page, so it cannot be leased. */
		arg->flags |= PINSEAL_PIN_LEASED | PINSEAL_PIN_MIRROR;
		break;
	case 4:
		arg->pad = 1U << random_below(&w->r, 32);
		break;
	default:
		/* A mirror without an address, or an address without a mirror. */
		arg->address = arg->flags & PINSEAL_PIN_MIRROR ? 0 : 1 + random_bits(&w->r) / 2;
	}
}

void check_pin(struct worker *w, struct target *t, int ret, enum form form,
	       const struct pinseal_pin *arg, bool right)
{
	bool readonly = arg->flags & PINSEAL_PIN_READONLY;
	bool mirror = arg->flags & PINSEAL_PIN_MIRROR;

	/* An old struct may lack the invalid field. */
	if (!right && form != OLD && ret >= 0)
		break_rule(RULE_RESULTS, "worker %u: PIN accepted an invalid argument", w->number);
	call_allows(w, ret, EPERM, EINVAL, EFAULT, E2BIG, ENOMEM, ENOSPC, EIO, EINTR, EAGAIN,
		    EOPNOTSUPP);
	/* Seals do not forbid pins for reading. */
	if (t->access == O_RDWR)
		call_forbidden_by(w, ret, readonly ? 0 : WRITE_SEALS);
	if (ret == -EOPNOTSUPP && (!mirror || fuzz->mirrors))
		break_rule(RULE_RESULTS, "object %lld: PIN is supported, and gave EOPNOTSUPP",
			   t->number);
	if (!right || form_error(form, PINSEAL_IOC_PIN))
		return;
	if (ret == -E2BIG || (ret == -EFAULT && !mirror) ||
	    (ret == -EINVAL && !may_lack(t, &w->before, (arg->start + arg->count) * page_size())))
		break_rule(RULE_RESULTS, "worker %u, object %lld: PIN gave %s for a valid argument",
			   w->number, t->number, strerrorname_np(-ret));
	if (ret >= 0 && !readonly)
		call_wrote_bytes(w, "pages were pinned for writing");
}

void op_pin(struct worker *w, struct target *t)
{
	struct pinseal_pin arg = {
		/* Ignored without PINSEAL_PIN_LEASED. */
		.grace_ns = one_of(&w->r, 0, 0, 5000, 100000, NSEC_PER_MSEC, 5 * NSEC_PER_MSEC,
				   NSEC_PER_SEC, UINT64_MAX),
		.flags = one_of(&w->r, 0, PINSEAL_PIN_LEASED, PINSEAL_PIN_LEASED,
				PINSEAL_PIN_LEASED),
	};
	struct grip *g = find_grip(w, NULL);
	enum form form = random_form(w);
	bool right = !once_in(&w->r, 24), leased;
	int ret;

	if (!g || t->access != O_RDWR)
		return;
	random_pages(w, t, &arg);
	if (once_in(&w->r, 4))
		arg.flags |= PINSEAL_PIN_READONLY;
	leased = arg.flags & PINSEAL_PIN_LEASED;
	*g = new_grip(t, leased ? HOLD_LEASE : HOLD_HANDLE, arg.start, arg.count);
	g->readonly = arg.flags & PINSEAL_PIN_READONLY;
	g->grace_ns = leased ? arg.grace_ns : 0;
	if (leased)
		leasing_begins(t, arg.count);
	if (!right)
		spoil_pin(w, &arg);

	choose_fd(w, t, false);
	call_begin(w, t, "PIN(%lld, page %lld, %lld pages, flags %#llx, %lld ns)", t->number,
		   arg.start, arg.count, arg.flags, arg.grace_ns);
	ret = ioctl_as(w, form, PINSEAL_IOC_PIN, &arg);
	check_pin(w, t, ret, form, &arg, right);
	if (ret < 0)
		return;
	note(leased ? N_LEASES : N_HOLDS);
	write_once(t->used, true);
	g->hold.kind = HOLD_HANDLE;
	g->hold.handle = ret;
	/* A pin for reading may have been made after the seal. */
	g->early = !g->readonly || !may_have(t, &w->before, F_SEAL_WRITE);
	g->t = t;
}

/*
 * What a handle shows
 */

/* A pin handle on @t, chosen at random, or NULL. */
static struct grip *find_handle(struct worker *w, struct target *t)
{
	unsigned int first = random_below(&w->r, GRIPS);

	for (int i = 0; i < GRIPS; i++) {
		struct grip *g = &w->grip[(first + i) % GRIPS];

		if (g->t == t && is_handle(g->kind))
			return g;
	}
	return NULL;
}

#define wrong_lease(g, what, ...)						\
	break_rule(RULE_LEASES, "the %s of page %#llx of object %lld " what,	\
		   grip_name((g)->kind), (long long)((g)->from / page_size()),	\
		   (g)->t->number, ##__VA_ARGS__)

/* The last call showed that the lease is revoked. */
static void saw_revoked(struct grip *g)
{
	uint64_t age = now_ns() - g->since;

	if (g->kind != HOLD_LEASE)
		wrong_lease(g, "is revoked without being a lease");
	if (!may_be_asked(g->t, g->unaskers))
		wrong_lease(g, "is revoked, and no break was requested");
	if (age < g->grace_ns)
		wrong_lease(g, "is revoked at an age of %lld ns, %lld ns too early",
			    (long long)age, (long long)(g->grace_ns - age));
	if (!g->revoked)
		note(N_REVOKED);
	g->revoked = true;
}

/* The last call showed that the lease is not revoked. */
static void saw_not_revoked(struct grip *g)
{
	if (g->revoked)
		wrong_lease(g, "was revoked, and is held again");
}

/* A break was requested at some time in the last call. */
static void saw_asked(struct worker *w, struct grip *g)
{
	note(N_ASKED);
	saw_not_revoked(g);
	if (g->kind != HOLD_LEASE || !may_be_asked(g->t, w->before.unaskers))
		wrong_lease(g, "shows a break request, and none was made");
}

/* The result of reading or writing. @room: bytes of the handle at that offset. */
static void check_transfer(struct worker *w, struct grip *g, ssize_t ret, size_t room,
			   const void *memory)
{
	if (ret == -ESTALE) {
		saw_revoked(g);
		return;
	}
	if (ret >= 0 || ret == -ENOSPC)
		saw_not_revoked(g);
	call_allows(w, ret, EFAULT, ENOSPC, ENOMEM);
	if ((ret == -EFAULT && memory == w->buf) || (ret == -ENOSPC && room) ||
	    ret > (ssize_t)room)
		break_rule(RULE_RESULTS, "worker %u, object %lld: a handle gave %lld of %lld bytes",
			   w->number, g->t->number, (long long)ret, (long long)room);
}

static void read_handle(struct worker *w, struct grip *g)
{
	struct transfer x = read_by(w, "pread(handle of %lld, %#llx, %#llx, %lld at %#llx)",
				    g->t, g->hold.handle, g->from, g->to);

	check_transfer(w, g, x.ret, x.room, x.memory);
	if (x.ret > 0 && x.image && x.memory == w->buf && grip_is_whole(g))
		check_bytes(g->t, g->from + x.at, x.memory, x.ret, "read through a handle");
}

static void write_handle(struct worker *w, struct grip *g)
{
	struct transfer x = write_by(w, "pwrite(handle of %lld, %#llx, %#llx, %lld at %#llx)",
				     g->t, g->hold.handle, g->from, g->to, g->readonly);

	if (g->readonly)
		return;
	check_transfer(w, g, x.ret, x.room, x.memory);
	/* A rule only while the pages are the object's. */
	if (x.ret > 0 && w->before.known & F_SEAL_WRITE && grip_is_whole(g))
		break_rule(RULE_WRITERS, "worker %u wrote through its %s to object %lld, sealed "
			   "with %#x", w->number, grip_name(g->kind), g->t->number,
			   w->before.known);
}

static void poll_handle(struct worker *w, struct grip *g)
{
	short events = once_in(&w->r, 2) ? POLLPRI : ALWAYS_READY | POLLPRI;
	int ms = once_in(&w->r, 3) ? random_below(&w->r, 4) : 0, ready;

	call_begin(w, g->t, "poll(handle of %lld, %#llx, %lld ms)", g->t->number, g->from, ms);
	ready = call_end(w, ready_within(g->hold.handle, events, ms));
	if (ready < 0)
		return;
	if (ready & ~(events | POLLHUP) || (ready & POLLPRI && ready & POLLHUP))
		break_rule(RULE_RESULTS, "object %lld: poll() of a handle gave %#x", g->t->number,
			   ready);
	if (ready & POLLHUP)
		saw_revoked(g);
	else
		saw_not_revoked(g);
	if (ready & POLLPRI)
		saw_asked(w, g);
}

/* The state is consistent in itself and with the terms of the pin. */
static void check_lease(struct worker *w, struct grip *g, const struct pinseal_lease *lease)
{
	uint32_t flags = (g->kind == HOLD_LEASE ? PINSEAL_PIN_LEASED : 0) |
			 (g->readonly ? PINSEAL_PIN_READONLY : 0);
	uint64_t size = page_size(), grace_ns = g->grace_ns, now = now_ns();

	if (lease->start != g->from / size || lease->count != (g->to - g->from) / size ||
	    lease->flags != flags || lease->pad || lease->grace_ns > grace_ns ||
	    (grace_ns <= LONGEST_NS && lease->grace_ns != grace_ns))
		wrong_lease(g, "is of page %#llx, %llu pages, %llu ns, flags %#x", lease->start,
			    lease->count, lease->grace_ns, lease->flags);
	switch (lease->state) {
	case PINSEAL_LEASE_HELD:
		saw_not_revoked(g);
		break;
	case PINSEAL_LEASE_ASKED:
		saw_asked(w, g);
		/* The deadline grants the grace period, and ends at most one period from now. */
		if (grace_ns <= LONGEST_NS && (lease->until_ns < g->since + grace_ns ||
					       lease->until_ns > now + grace_ns))
			wrong_lease(g, "is to be revoked in %lld ns",
				    (long long)(lease->until_ns - now));
		return;
	case PINSEAL_LEASE_REVOKED:
		saw_revoked(g);
		break;
	default:
		wrong_lease(g, "is in state %u", lease->state);
	}
	if (lease->until_ns || lease->asker)
		wrong_lease(g, "names requester %u and deadline %llu in state %u", lease->asker,
			    lease->until_ns, lease->state);
}

/* Queries the state of the lease. */
static void ask_handle(struct worker *w, struct grip *g)
{
	enum form form = random_form(w);
	struct pinseal_lease lease;
	int ret;

	memset(&lease, 0xcc, sizeof(lease));
	w->fd = g->hold.handle;
	call_begin(w, g->t, "LEASE(handle of %lld, %#llx)", g->t->number, g->from);
	ret = ioctl_as(w, form, PINSEAL_PIN_IOC_LEASE, &lease);
	call_allows(w, ret, EFAULT, EINVAL);
	if (!form_error(form, PINSEAL_PIN_IOC_LEASE))
		call_was_right(w, ret);
	if (ret)
		return;
	log_note(w->log, "state %u, until %llu, asker %u", lease.state, lease.until_ns,
		 lease.asker);
	check_lease(w, g, &lease);
}

void op_use_handle(struct worker *w, struct target *t)
{
	static void (*const use[])(struct worker *w, struct grip *g) = {
		read_handle, write_handle, write_handle, poll_handle, ask_handle,
	};
	struct grip *g = find_handle(w, t);

	for (unsigned int times = 1 + random_below(&w->r, 4); g && times; times--)
		use[random_below(&w->r, sizeof(use) / sizeof(use[0]))](w, g);
}

void child_store_by_handle(struct worker *w, struct grip *g)
{
	unsigned char byte = 'c';
	uint32_t known;

	if (!g->t || !is_handle(g->kind) || g->readonly)
		return;
	known = read_once(g->t->known);
	if (pwrite(g->hold.handle, &byte, 1, 0) > 0 && known & F_SEAL_WRITE && grip_is_whole(g))
		break_rule(RULE_WRITERS, "a child of worker %u wrote through a %s to object %lld, "
			   "sealed with %#x", w->number, grip_name(g->kind), g->t->number, known);
}

/*
 * The final check: a lease does not keep a seal with PINSEAL_SEAL_REVOKE waiting.
 */

int leave_lease(struct worker *w, struct target *t)
{
	int lease;

	leasing_begins(t, 1);
	call_begin(w, t, "PIN(%lld) on a lease finally", t->number);
	lease = call_end(w, ps_lease(t->fd, 0, 1, NSEC_PER_MSEC));
	call_forbidden_by(w, lease, WRITE_SEALS);
	return lease;
}

void watch_break(struct worker *w, struct target *t)
{
	struct pinseal_seal arg = seal_async(F_SEAL_WRITE, UINT64_MAX);
	struct pinseal_lease state;
	int lease, ready, ret;

	leasing_begins(t, 1);
	call_begin(w, t, "PIN(%lld) on a long lease finally", t->number);
	lease = call_end(w, ps_lease(t->fd, 0, 1, 600 * NSEC_PER_SEC));
	if (lease < 0)
		return;
	arg.flags |= PINSEAL_SEAL_REVOKE;
	seals_asked(t, F_SEAL_WRITE);
	asking_begins(t);
	call_begin(w, t, "SEAL(%lld, flags %#llx) finally", t->number, arg.flags);
	ret = call_end(w, ps_seal(t->fd, &arg));
	if (!ret && arg.outcome == PINSEAL_OUTCOME_PENDING) {
		ready = ready_within(lease, POLLPRI, SOON_NS / NSEC_PER_MSEC);
		if (ready != POLLPRI || ps_lease_state(lease, &state) ||
		    state.state != PINSEAL_LEASE_ASKED)
			break_rule(RULE_LEASES, "object %lld: no break of its lease is requested: "
				   "poll() gave %#x", t->number, ready);
		note(N_ASKED);
		call_begin(w, t, "SEAL(%lld), cancelled finally", t->number);
		ret = call_end(w, async_cancel(t->fd, &arg));
		if (ret || arg.outcome != PINSEAL_OUTCOME_CANCELLED)
			break_rule(RULE_LEASES, "object %lld: a seal that waits for a lease cannot "
				   "be cancelled: %d, outcome %u", t->number, ret, arg.outcome);
		if (ps_lease_state(lease, &state) || state.state != PINSEAL_LEASE_HELD)
			break_rule(RULE_LEASES, "object %lld: the break of its lease is still "
				   "requested", t->number);
	}
	seals_failed(t, F_SEAL_WRITE);
	asking_ends(t);
	close(lease);
}

void check_left_lease(struct worker *w, struct target *t, int lease, uint64_t revoked)
{
	struct pinseal_lease state;
	int ret;

	leases_were_taken(t, revoked);
	if (revoked)
		note(N_REVOKED);
	call_begin(w, t, "pwrite(lease of %lld) finally", t->number);
	ret = call_end(w, sys(pwrite(lease, "l", 1, 0)));
	if (ps_lease_state(lease, &state) || state.state != PINSEAL_LEASE_REVOKED ||
	    ret != -ESTALE || revoked != 1)
		break_rule(RULE_LEASES, "object %lld was sealed despite a lease: %lld pages "
			   "were revoked, the state is %u, pwrite() gave %d", t->number,
			   (long long)revoked, state.state, ret);
}

// SPDX-License-Identifier: GPL-2.0-only
#include "lease.h"
#include "async.h"
#include "extra_ref.h"
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
		arg->flags |= (PINSEAL_PIN_WAIT << 1) << random_below(&w->r, 28);
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
	       const struct pinseal_pin *arg, bool valid)
{
	bool readonly = arg->flags & PINSEAL_PIN_READONLY;
	bool mirror = arg->flags & PINSEAL_PIN_MIRROR;
	bool waits = arg->flags & PINSEAL_PIN_WAIT;

	/* An old struct may lack the invalid field. */
	if (!valid && form != OLD && ret >= 0)
		break_rule(RULE_RESULTS, "worker %u: PIN accepted an invalid argument", w->number);
	if (waits && ret == -EINTR) {
		/*
		 * Any handler interrupts the wait, even with SA_RESTART; and task work, if the time
		 * left cannot be written to the struct.
		 */
		if (signals_handled == w->handled && !form)
			break_rule(RULE_RESULTS, "worker %u, object %lld: PIN returned EINTR, but "
				   "no signal arrived", w->number, t->number);
		return;
	}
	call_allows(w, ret, EPERM, EINVAL, EFAULT, E2BIG, ENOMEM, ENOSPC, EIO, EINTR, EAGAIN,
		    EOPNOTSUPP, EBUSY);
	if (ret == -EBUSY && !waits)
		break_rule(RULE_RESULTS, "object %lld: PIN waited without being asked", t->number);
	/* Seals do not forbid pins for reading. */
	if (t->access == O_RDWR)
		call_forbidden_by(w, ret, readonly ? 0 : WRITE_SEALS);
	if (ret == -EOPNOTSUPP && (!mirror || fuzz->mirrors))
		break_rule(RULE_RESULTS, "object %lld: PIN is supported, and gave EOPNOTSUPP",
			   t->number);
	if (!valid || form_error(form, PINSEAL_IOC_PIN))
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
	struct extra_ref *ref = find_ref(w, NULL);
	enum form form = random_form(w);
	bool valid = !once_in(&w->r, 24), leased;
	int ret;

	if (!ref || t->access != O_RDWR)
		return;
	random_pages(w, t, &arg);
	if (once_in(&w->r, 4))
		arg.flags |= PINSEAL_PIN_READONLY;
	if (once_in(&w->r, 4)) {
		arg.flags |= PINSEAL_PIN_WAIT;
		arg.timeout_ns = one_of(&w->r, 0, 1, 300000, 3 * NSEC_PER_MSEC);
	}
	leased = arg.flags & PINSEAL_PIN_LEASED;
	*ref = new_ref(t, leased ? HOLD_LEASE : HOLD_HANDLE, arg.start, arg.count);
	ref->readonly = arg.flags & PINSEAL_PIN_READONLY;
	ref->grace_ns = leased ? arg.grace_ns : 0;
	if (leased)
		leasing_begins(t, arg.count);
	if (!valid)
		spoil_pin(w, &arg);

	choose_fd(w, t, false);
	call_begin(w, t, "PIN(%lld, page %lld, %lld pages, flags %#llx, %lld ns)", t->number,
		   arg.start, arg.count, arg.flags, arg.grace_ns);
	ret = ioctl_as(w, form, PINSEAL_IOC_PIN, &arg);
	check_pin(w, t, ret, form, &arg, valid);
	if (ret < 0)
		return;
	note(leased ? N_LEASES : N_REFS);
	write_once(t->used, true);
	ref->hold.kind = HOLD_HANDLE;
	ref->hold.handle = ret;
	/* A pin for reading may have been made after the seal. */
	ref->early = !ref->readonly || !may_have(t, &w->before, F_SEAL_WRITE);
	ref->t = t;
}

/*
 * What a handle shows
 */

/* A pin handle on @t, chosen at random, or NULL. */
static struct extra_ref *find_handle(struct worker *w, struct target *t)
{
	unsigned int first = random_below(&w->r, EXTRA_REFS);

	for (int i = 0; i < EXTRA_REFS; i++) {
		struct extra_ref *ref = &w->ref[(first + i) % EXTRA_REFS];

		if (ref->t == t && is_handle(ref->kind))
			return ref;
	}
	return NULL;
}

#define wrong_lease(ref, what, ...)						\
	break_rule(RULE_LEASES, "the %s of page %#llx of object %lld " what,	\
		   ref_name((ref)->kind), (long long)((ref)->from / page_size()),	\
		   (ref)->t->number, ##__VA_ARGS__)

/* The last call showed that the lease is revoked. */
static void saw_revoked(struct extra_ref *ref)
{
	uint64_t age = now_ns() - ref->since;

	if (ref->kind != HOLD_LEASE)
		wrong_lease(ref, "is revoked without being a lease");
	if (!break_may_be_requested(ref->t, ref->breaks_ended))
		wrong_lease(ref, "is revoked, and no break was requested");
	if (age < ref->grace_ns)
		wrong_lease(ref, "is revoked at an age of %lld ns, %lld ns too early",
			    (long long)age, (long long)(ref->grace_ns - age));
	if (!ref->revoked)
		note(N_REVOKED);
	ref->revoked = true;
}

/* The last call showed that the lease is not revoked. */
static void saw_not_revoked(struct extra_ref *ref)
{
	if (ref->revoked)
		wrong_lease(ref, "was revoked, and is held again");
}

/* A break was requested at some time in the last call. */
static void saw_break_requested(struct worker *w, struct extra_ref *ref)
{
	note(N_BREAK_REQUESTED);
	saw_not_revoked(ref);
	if (ref->kind != HOLD_LEASE || !break_may_be_requested(ref->t, w->before.breaks_ended))
		wrong_lease(ref, "shows a break request, and none was made");
}

/* The result of reading or writing. @room: bytes of the handle at that offset. */
static void check_transfer(struct worker *w, struct extra_ref *ref, ssize_t ret, size_t room,
			   const void *memory)
{
	if (ret == -ESTALE) {
		saw_revoked(ref);
		return;
	}
	if (ret >= 0 || ret == -ENOSPC)
		saw_not_revoked(ref);
	call_allows(w, ret, EFAULT, ENOSPC, ENOMEM);
	if ((ret == -EFAULT && memory == w->buf) || (ret == -ENOSPC && room) ||
	    ret > (ssize_t)room)
		break_rule(RULE_RESULTS, "worker %u, object %lld: a handle gave %lld of %lld bytes",
			   w->number, ref->t->number, (long long)ret, (long long)room);
}

static void read_handle(struct worker *w, struct extra_ref *ref)
{
	struct transfer x = read_by(w, "pread(handle of %lld, %#llx, %#llx, %lld at %#llx)",
				    ref->t, ref->hold.handle, ref->from, ref->to);

	check_transfer(w, ref, x.ret, x.room, x.memory);
	if (x.ret > 0 && x.image && x.memory == w->buf && ref_is_current(ref))
		check_bytes(ref->t, ref->from + x.at, x.memory, x.ret, "read through a handle");
}

static void write_handle(struct worker *w, struct extra_ref *ref)
{
	struct transfer x = write_by(w, "pwrite(handle of %lld, %#llx, %#llx, %lld at %#llx)",
				     ref->t, ref->hold.handle, ref->from, ref->to, ref->readonly);

	if (ref->readonly)
		return;
	check_transfer(w, ref, x.ret, x.room, x.memory);
	/* A rule only while the pages are the object's. */
	if (x.ret > 0 && w->before.known & F_SEAL_WRITE && ref_is_current(ref))
		break_rule(RULE_WRITERS, "worker %u wrote through its %s to object %lld, sealed "
			   "with %#x", w->number, ref_name(ref->kind), ref->t->number,
			   w->before.known);
}

static void poll_handle(struct worker *w, struct extra_ref *ref)
{
	short events = once_in(&w->r, 2) ? POLLPRI : ALWAYS_READY | POLLPRI;
	int ms = once_in(&w->r, 3) ? random_below(&w->r, 4) : 0, ready;

	call_begin(w, ref->t, "poll(handle of %lld, %#llx, %lld ms)", ref->t->number, ref->from,
		   ms);
	ready = call_end(w, ready_within(ref->hold.handle, events, ms));
	if (ready < 0)
		return;
	if (ready & ~(events | POLLHUP) || (ready & POLLPRI && ready & POLLHUP))
		break_rule(RULE_RESULTS, "object %lld: poll() of a handle gave %#x", ref->t->number,
			   ready);
	if (ready & POLLHUP)
		saw_revoked(ref);
	else
		saw_not_revoked(ref);
	if (ready & POLLPRI)
		saw_break_requested(w, ref);
}

/* The state is consistent in itself and with the terms of the pin. */
static void check_lease(struct worker *w, struct extra_ref *ref, const struct pinseal_lease *lease)
{
	uint32_t flags = (ref->kind == HOLD_LEASE ? PINSEAL_PIN_LEASED : 0) |
			 (ref->readonly ? PINSEAL_PIN_READONLY : 0);
	uint64_t size = page_size(), grace_ns = ref->grace_ns, now = now_ns();

	if (lease->start != ref->from / size || lease->count != (ref->to - ref->from) / size ||
	    lease->flags != flags || lease->pad || lease->grace_ns > grace_ns ||
	    (grace_ns <= LONGEST_NS && lease->grace_ns != grace_ns))
		wrong_lease(ref, "is of page %#llx, %llu pages, %llu ns, flags %#x", lease->start,
			    lease->count, lease->grace_ns, lease->flags);
	switch (lease->state) {
	case PINSEAL_LEASE_HELD:
		saw_not_revoked(ref);
		break;
	case PINSEAL_LEASE_ASKED:
		saw_break_requested(w, ref);
		/* The deadline grants the grace period, and ends at most one period from now. */
		if (grace_ns <= LONGEST_NS && (lease->until_ns < ref->since + grace_ns ||
					       lease->until_ns > now + grace_ns))
			wrong_lease(ref, "is to be revoked in %lld ns",
				    (long long)(lease->until_ns - now));
		return;
	case PINSEAL_LEASE_REVOKED:
		saw_revoked(ref);
		break;
	default:
		wrong_lease(ref, "is in state %u", lease->state);
	}
	if (lease->until_ns || lease->asker)
		wrong_lease(ref, "names requester %u and deadline %llu in state %u", lease->asker,
			    lease->until_ns, lease->state);
}

/* Queries the state of the lease. */
static void query_lease(struct worker *w, struct extra_ref *ref)
{
	enum form form = random_form(w);
	struct pinseal_lease lease;
	int ret;

	memset(&lease, 0xcc, sizeof(lease));
	w->fd = ref->hold.handle;
	call_begin(w, ref->t, "LEASE(handle of %lld, %#llx)", ref->t->number, ref->from);
	ret = ioctl_as(w, form, PINSEAL_PIN_IOC_LEASE, &lease);
	call_allows(w, ret, EFAULT, EINVAL);
	if (!form_error(form, PINSEAL_PIN_IOC_LEASE))
		call_was_valid(w, ret);
	if (ret)
		return;
	log_note(w->log, "state %u, until %llu, requester %u", lease.state, lease.until_ns,
		 lease.asker);
	check_lease(w, ref, &lease);
}

void op_use_handle(struct worker *w, struct target *t)
{
	static void (*const use[])(struct worker *w, struct extra_ref *ref) = {
		read_handle, write_handle, write_handle, poll_handle, query_lease,
	};
	struct extra_ref *ref = find_handle(w, t);

	for (unsigned int times = 1 + random_below(&w->r, 4); ref && times; times--)
		use[random_below(&w->r, sizeof(use) / sizeof(use[0]))](w, ref);
}

void child_store_by_handle(struct worker *w, struct extra_ref *ref)
{
	unsigned char byte = 'c';
	uint32_t known;

	if (!ref->t || !is_handle(ref->kind) || ref->readonly)
		return;
	known = read_once(ref->t->known);
	if (pwrite(ref->hold.handle, &byte, 1, 0) > 0 && known & F_SEAL_WRITE &&
	    ref_is_current(ref))
		break_rule(RULE_WRITERS, "a child of worker %u wrote through a %s to object %lld, "
			   "sealed with %#x", w->number, ref_name(ref->kind), ref->t->number,
			   known);
}

/*
 * The final check: a lease does not keep a seal with PINSEAL_SEAL_REVOKE waiting.
 */

int pin_final_lease(struct worker *w, struct target *t)
{
	int lease;

	leasing_begins(t, 1);
	call_begin(w, t, "final PIN(%lld), leased", t->number);
	lease = call_end(w, ps_lease(t->fd, 0, 1, NSEC_PER_MSEC));
	call_forbidden_by(w, lease, WRITE_SEALS);
	return lease;
}

void check_break_request(struct worker *w, struct target *t)
{
	struct pinseal_seal arg = seal_async(F_SEAL_WRITE, UINT64_MAX);
	struct pinseal_lease state;
	int lease, ready, ret;

	leasing_begins(t, 1);
	call_begin(w, t, "final PIN(%lld), with a long grace", t->number);
	lease = call_end(w, ps_lease(t->fd, 0, 1, 600 * NSEC_PER_SEC));
	if (lease < 0)
		return;
	arg.flags |= PINSEAL_SEAL_REVOKE;
	seals_requested(t, F_SEAL_WRITE);
	lease_break_begins(t);
	call_begin(w, t, "final SEAL(%lld, flags %#llx), asynchronous", t->number, arg.flags);
	ret = call_end(w, ps_seal(t->fd, &arg));
	if (!ret && arg.outcome == PINSEAL_OUTCOME_PENDING) {
		ready = ready_within(lease, POLLPRI, SOON_NS / NSEC_PER_MSEC);
		if (ready != POLLPRI || ps_lease_state(lease, &state) ||
		    state.state != PINSEAL_LEASE_ASKED)
			break_rule(RULE_LEASES, "object %lld: no break of its lease is requested: "
				   "poll() gave %#x", t->number, ready);
		note(N_BREAK_REQUESTED);
		call_begin(w, t, "final SEAL(%lld), cancelled", t->number);
		ret = call_end(w, async_cancel(t->fd, &arg));
		if (ret || arg.outcome != PINSEAL_OUTCOME_CANCELLED)
			break_rule(RULE_LEASES, "object %lld: a seal that waits for a lease cannot "
				   "be cancelled: %d, outcome %u", t->number, ret, arg.outcome);
		if (ps_lease_state(lease, &state) || state.state != PINSEAL_LEASE_HELD)
			break_rule(RULE_LEASES, "object %lld: the break of its lease is still "
				   "requested", t->number);
	}
	seals_failed(t, F_SEAL_WRITE);
	lease_break_ends(t);
	close(lease);
}

void check_final_lease(struct worker *w, struct target *t, int lease, uint64_t revoked)
{
	struct pinseal_lease state;
	int ret;

	leases_revoked(t, revoked);
	if (revoked)
		note(N_REVOKED);
	call_begin(w, t, "final pwrite(lease of %lld)", t->number);
	ret = call_end(w, sys(pwrite(lease, "l", 1, 0)));
	if (ps_lease_state(lease, &state) || state.state != PINSEAL_LEASE_REVOKED ||
	    ret != -ESTALE || revoked != 1)
		break_rule(RULE_LEASES, "object %lld was sealed despite a lease: %lld pages "
			   "were revoked, the state is %u, pwrite() gave %d", t->number,
			   (long long)revoked, state.state, ret);
}

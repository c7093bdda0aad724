// SPDX-License-Identifier: GPL-2.0-only
#include "seal.h"
#include "ioctl.h"
#include "log.h"
#include "model.h"
#include "object.h"
#include "pinseal_test.h"
#include "random.h"
#include "worker.h"

/* How long a NOWAIT call may wait for the kernel's own work. */
#define NOWAIT_NS	(10 * NSEC_PER_MSEC)

/* Upper bound on the pages that one call isolates. */
#define MOST_ISOLATED	1024ULL

struct pinseal_seal random_request(struct worker *w, struct target *t)
{
	struct random *r = &w->r;
	struct pinseal_seal arg = {
		.seals = one_of(r, 0, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_FUTURE_WRITE,
				F_SEAL_SHRINK | F_SEAL_GROW, F_SEAL_WRITE, F_SEAL_WRITE,
				F_SEAL_WRITE, F_SEAL_WRITE | F_SEAL_SHRINK,
				F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW),
		.timeout_ns = one_of(r, 1, 20000, 300000, NSEC_PER_MSEC, 3 * NSEC_PER_MSEC,
				     10 * NSEC_PER_MSEC, 0),
		.max_scans = one_of(r, 0, 0, 0, 1, 2, 5, 40),
		/* No value here may change what the call does. */
		.pinned_pages = random_bits(r),
		.first_pinned = random_bits(r),
		.isolated_pages = random_bits(r),
		.revoked_pages = random_bits(r),
		.outcome = random_bits(r),
	};

	if (once_in(r, 8))
		arg.seals |= F_SEAL_SEAL;
	arg.seals &= t->wanted;
	if (w->op < t->write_seal_op)
		arg.seals &= SIZE_SEALS;
	if (once_in(r, 5))
		arg.flags = PINSEAL_SEAL_NOWAIT;
	if (t->isolates && !once_in(r, 4))
		arg.flags |= PINSEAL_SEAL_ISOLATE;
	if (once_in(r, 3))
		arg.flags |= PINSEAL_SEAL_REVOKE;
	if (once_in(r, 3))
		arg.flags |= PINSEAL_SEAL_WAIT_MAPPED;
	/* Never times out: a signal or the release of the last pin ends the wait. */
	if (once_in(r, 16))
		arg.timeout_ns = UINT64_MAX - random_below(r, 3);
	/* Resumes an earlier call, or claims to. */
	if (once_in(r, 8)) {
		arg.scans = random_below(r, 50);
		arg.waited_ns = random_below(r, 2 * NSEC_PER_MSEC);
	}
	if (once_in(r, 48))
		arg.scans = UINT32_MAX - random_below(r, 3);
	if (once_in(r, 48))
		arg.waited_ns = UINT64_MAX - random_below(r, 3);
	/* Input of a resumed call: the pages revoked so far. */
	if (arg.scans || arg.waited_ns)
		arg.revoked_pages = 0;
	return arg;
}

/* Makes a request invalid. It must have no effect. */
static void spoil(struct worker *w, struct pinseal_seal *arg)
{
	uint32_t unknown;

	switch (random_below(&w->r, 3)) {
	case 0:
		/* A seal that neither the kernel nor the module knows. */
		arg->seals |= (F_SEAL_EXEC << 1) << random_below(&w->r, 10);
		break;
	case 1:
		/* An unknown flag, or one valid only for an asynchronous seal. */
		unknown = (PINSEAL_SEAL_WAIT_MAPPED << 1) << random_below(&w->r, 26);
		arg->flags |= once_in(&w->r, 2) ? unknown : PINSEAL_SEAL_CANCEL;
		break;
	default:
		arg->pad = 1U << random_below(&w->r, 32);
	}
}

static uint64_t timeout_of(const struct pinseal_seal *in)
{
	if (in->flags & PINSEAL_SEAL_NOWAIT)
		return NOWAIT_NS;
	return in->timeout_ns ?: DEFAULT_NS;
}

/* The pages isolated by this call alone: a resumed call also reports the earlier ones. */
static __u64 isolated_in_call(const struct pinseal_seal *in,
			      const struct pinseal_seal *out)
{
	bool resumed = in->scans || in->waited_ns;
	__u64 before = in->isolated_pages < MOST_ISOLATED ? in->isolated_pages : MOST_ISOLATED;

	if (!resumed || !(in->flags & PINSEAL_SEAL_ISOLATE))
		return out->isolated_pages;
	if (out->isolated_pages < before || out->isolated_pages > MOST_ISOLATED)
		wrong_report("%llu pages isolated in total, %llu before", out->isolated_pages,
			     before);
	return out->isolated_pages - before;
}

/* Checks the output fields against each other and against the request. */
static void check_report(struct worker *w, int ret, const struct pinseal_seal *in,
			 const struct pinseal_seal *out)
{
	uint64_t waited = out->waited_ns - in->waited_ns, took = log_last(w->log)->took;
	/* A call that must scan scans once, even if earlier calls used up max_scans. */
	uint32_t most = in->scans < in->max_scans ? in->max_scans : in->scans + 1;
	bool isolate = in->flags & PINSEAL_SEAL_ISOLATE;

	if (ret == 0 && out->outcome != PINSEAL_OUTCOME_SEALED)
		wrong_report("returned 0 with outcome %u", out->outcome);
	if (ret == -EBUSY && out->outcome != PINSEAL_OUTCOME_WRITABLE_MAPPING &&
	    out->outcome != PINSEAL_OUTCOME_PINNED &&
	    !(w->t->lower >= 0 && out->outcome == PINSEAL_OUTCOME_NOT_FILLED) &&
	    !(isolate && out->outcome == PINSEAL_OUTCOME_LARGE_FOLIO))
		wrong_report("EBUSY with outcome %u", out->outcome);
	if (ret == -EINTR && out->outcome != PINSEAL_OUTCOME_INTERRUPTED)
		wrong_report("EINTR with outcome %u", out->outcome);

	if (isolated_in_call(in, out) && (!isolate || !(in->seals & F_SEAL_WRITE)))
		wrong_report("%llu pages isolated without a request",
			     isolated_in_call(in, out));
	if (out->revoked_pages &&
	    (!(in->flags & PINSEAL_SEAL_REVOKE) || !(in->seals & F_SEAL_WRITE)))
		wrong_report("%llu pages revoked without a request", out->revoked_pages);
	leases_revoked(w->t, out->revoked_pages);
	if (out->pad || out->seals != in->seals || out->flags != in->flags ||
	    out->timeout_ns != in->timeout_ns || out->max_scans != in->max_scans)
		wrong_report("changed an input field");
	if (!out->pinned_pages != (out->first_pinned == PINSEAL_NO_PAGE))
		wrong_report("%llu pages are pinned, first_pinned is %#llx", out->pinned_pages,
			     out->first_pinned);
	if (!ret && out->pinned_pages)
		wrong_report("sealed with %llu pinned pages", out->pinned_pages);

	if (out->scans < in->scans)
		wrong_report("%u scans, after %u", out->scans, in->scans);
	if (in->max_scans && in->scans < UINT32_MAX && out->scans > most)
		wrong_report("%u scans, max_scans is %u (%u before)", out->scans, in->max_scans,
			     in->scans);
	if (out->waited_ns < in->waited_ns)
		wrong_report("waited %llu ns, after %llu", out->waited_ns, in->waited_ns);
	if (out->waited_ns < UINT64_MAX && waited > took)
		wrong_report("waited %llu ns, in a call of %llu", (long long)waited,
			     (long long)took);
	if ((out->outcome == PINSEAL_OUTCOME_PINNED ||
	     (out->outcome == PINSEAL_OUTCOME_WRITABLE_MAPPING &&
	      in->flags & PINSEAL_SEAL_WAIT_MAPPED)) && !(in->flags & PINSEAL_SEAL_NOWAIT) &&
	    out->waited_ns < timeout_of(in) && !(in->max_scans && out->scans >= in->max_scans))
		wrong_report("gave up after %llu ns and %u scans, before its wait bounds",
			     (long long)out->waited_ns, out->scans);
}

static void count_outcome(const struct window *before, const struct pinseal_seal *in,
			  const struct pinseal_seal *out, int ret)
{
	if (ret == -EPERM)
		note(N_FORBIDDEN);
	else if (ret == -EINTR)
		note(N_INTERRUPTED);
	else if (ret == -EBUSY)
		note(out->outcome == PINSEAL_OUTCOME_PINNED ? N_PINNED : N_MAPPED);
	else if (!ret)
		note(N_SEALED);
	if (!ret && out->seals & ~before->known & F_SEAL_WRITE)
		note(N_WRITE_SEALED);
	if ((!ret || ret == -EBUSY) && isolated_in_call(in, out))
		note(N_ISOLATED);
}

/* Checks the result of a valid call. */
static void check_seal(struct worker *w, struct target *t, int ret,
		       const struct pinseal_seal *in, const struct pinseal_seal *out)
{
	uint64_t timeout_ns = timeout_of(in);

	if (ret == -EINTR) {
		/* Any handler interrupts the wait, even with SA_RESTART. */
		if (signals_handled == w->handled)
			wrong_report("EINTR without a signal");
	} else {
		call_allows(w, ret, EPERM, EBUSY);
	}
	if (t->access != O_RDONLY)
		call_forbidden_by(w, ret, F_SEAL_SEAL);
	if (!ret && t->access == O_RDONLY)
		break_rule(RULE_STATE, "object %lld was sealed without write access", t->number);
	if (!ret && w->before.known & F_SEAL_SEAL)
		break_rule(RULE_STATE, "object %lld was sealed after F_SEAL_SEAL", t->number);

	if (ret == 0 || ret == -EBUSY || ret == -EINTR) {
		check_report(w, ret, in, out);
		write_once(t->used, true);
	} else if (ret != -EBADF && memcmp(in, out, sizeof(*in))) {
		/* Restarted for task work: the interrupted part has already reported. */
		if (out->outcome != PINSEAL_OUTCOME_INTERRUPTED)
			wrong_report("%s changed the struct", strerrorname_np(-ret));
		check_report(w, -EINTR, in, out);
	}
	if (ret == -EBUSY && out->outcome == PINSEAL_OUTCOME_WRITABLE_MAPPING) {
		if (!(in->seals & ~w->before.known & F_SEAL_WRITE))
			wrong_report("WRITABLE_MAPPING for the seals %#x", in->seals);
		if (w->before.maps == w->before.unmaps && read_once(t->maps) == w->before.maps)
			wrong_report("reported a writable mapping of object %lld, which has none",
				     t->number);
	}
	if (timeout_ns <= INT64_MAX)
		call_took_at_most(w, timeout_ns > in->waited_ns ? timeout_ns - in->waited_ns : 0);
}

int seal(struct worker *w, struct target *t, struct pinseal_seal in)
{
	enum form form = random_form(w);
	struct pinseal_seal out;
	bool valid = !once_in(&w->r, 24);
	/* Signals are blocked for some calls, so that the deadline ends them. */
	bool signals_blocked = in.timeout_ns < NSEC_PER_SEC && once_in(&w->r, 2);
	int ret;

	if (!valid)
		spoil(w, &in);
	out = in;
	choose_fd(w, t, false);
	valid = valid && !form_error(form, PINSEAL_IOC_SEAL);
	if (valid)
		seals_requested(t, in.seals);
	if (in.flags & PINSEAL_SEAL_REVOKE)
		lease_break_begins(t);
	call_begin(w, t, "SEAL(%lld, %#llx, flags %#llx, %lld ns of %lld, %lld scans of %lld)",
		   t->number, in.seals, in.flags, in.waited_ns, in.timeout_ns, in.scans,
		   in.max_scans);
	if (signals_blocked)
		block_signals(true);
	ret = ioctl_as(w, form, PINSEAL_IOC_SEAL, &out);
	if (signals_blocked)
		block_signals(false);
	if (in.flags & PINSEAL_SEAL_REVOKE)
		lease_break_ends(t);
	if (!valid) {
		call_allows(w, ret, EINVAL, EFAULT, E2BIG, EPERM);
		if (ret >= 0 || (form <= LONG_DIRTY && memcmp(&in, &out, sizeof(in))))
			wrong_report("worker %u: an invalid request had an effect", w->number);
		return ret;
	}
	if (ret)
		seals_failed(t, in.seals);
	else
		seals_known(t, in.seals);
	count_outcome(&w->before, &in, &out, ret);
	check_seal(w, t, ret, &in, &out);
	if (ret && ret != -EBUSY && ret != -EINTR)
		return ret;
	log_note(w->log, "outcome %u, %u scans, %llu ns, %llu from %#llx, %llu revoked%s%s",
		 out.outcome, out.scans, out.waited_ns, out.pinned_pages, out.first_pinned,
		 out.revoked_pages, form ? ", argument " : "", form ? form_names[form] : "");
	return out.outcome;
}

void op_seal(struct worker *w, struct target *t)
{
	unsigned int times = once_in(&w->r, 4) ? 1 + random_below(&w->r, 30) : 1;
	struct pinseal_seal in = random_request(w, t);

	while (times-- && seal(w, t, in) == PINSEAL_OUTCOME_WRITABLE_MAPPING)
		;
}

/*
 * The owner of an imported or created memfd seals it as well. Not for write: the pin check of fcntl() is
 * unreliable.
 */
static void seal_by_owner(struct worker *w, struct target *t)
{
	uint32_t seals = random_below(&w->r, 2 * F_SEAL_FUTURE_WRITE) & ~F_SEAL_WRITE & t->wanted;
	int ret;

	choose_fd(w, t, false);
	seals_requested(t, seals);
	call_begin(w, t, "F_ADD_SEALS(%lld, %#llx) by the owner of the memfd", t->number, seals);
	ret = call_end(w, sys(fcntl(t->inner, F_ADD_SEALS, seals)));
	call_allows(w, ret, EPERM);
	call_forbidden_by(w, ret, F_SEAL_SEAL);
	if (ret) {
		seals_failed(t, seals);
		return;
	}
	if (w->before.known & F_SEAL_SEAL)
		break_rule(RULE_STATE, "object %lld was sealed by its owner after F_SEAL_SEAL",
			   t->number);
	seals_known(t, seals);
	note(N_BY_OWNER);
}

void op_add_seals(struct worker *w, struct target *t)
{
	uint32_t seals = random_below(&w->r, 2 * F_SEAL_FUTURE_WRITE);
	int ret;

	if (t->owner_seals) {
		seal_by_owner(w, t);
		return;
	}
	choose_fd(w, t, true);
	call_begin(w, t, "F_ADD_SEALS(%lld, %#llx)", t->number, seals);
	ret = call_end(w, sys(fcntl(w->fd, F_ADD_SEALS, seals)));
	if (ret >= 0)
		break_rule(RULE_STATE, "object %lld was sealed with fcntl()", t->number);
}

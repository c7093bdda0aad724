// SPDX-License-Identifier: GPL-2.0-only
#include "async_seal.h"
#include "async.h"
#include "log.h"
#include "model.h"
#include "pinseal_test.h"
#include "random.h"
#include "seal.h"
#include "state.h"
#include "worker.h"

static void check_async(struct worker *w, struct target *t, int ret,
			const struct pinseal_seal *in, const struct pinseal_seal *out)
{
	bool cancel = in->flags & PINSEAL_SEAL_CANCEL;

	/* A stacked object is filled and synced in the call, which a signal may interrupt. */
	if (ret != -EINTR || t->lower < 0 || signals_handled == w->handled)
		call_allows(w, ret, EPERM, EBUSY, EALREADY, ENOENT);
	if (ret >= 0 && t->access == O_RDONLY)
		break_rule(RULE_STATE, "object %lld is sealed without write access", t->number);
	if (t->access != O_RDONLY)
		call_forbidden_by(w, ret, F_SEAL_SEAL);
	if (ret == -ENOENT && !cancel)
		wrong_report("ENOENT without CANCEL");
	call_took_at_most(w, 0);

	if (ret && ret != -EBUSY) {
		if (ret != -EBADF && memcmp(in, out, sizeof(*in)))
			wrong_report("%s changed the struct", strerrorname_np(-ret));
		return;
	}
	write_once(t->used, true);
	if (ret == -EBUSY && out->outcome != PINSEAL_OUTCOME_PINNED &&
	    !(w->t->lower >= 0 && out->outcome == PINSEAL_OUTCOME_NOT_FILLED) &&
	    out->outcome != PINSEAL_OUTCOME_WRITABLE_MAPPING &&
	    out->outcome != PINSEAL_OUTCOME_LARGE_FOLIO)
		wrong_report("EBUSY with outcome %u", out->outcome);
	if (!ret && out->outcome != PINSEAL_OUTCOME_SEALED &&
	    out->outcome != (cancel ? PINSEAL_OUTCOME_CANCELLED : PINSEAL_OUTCOME_PENDING))
		wrong_report("returned 0 with outcome %u", out->outcome);
	if (!out->pinned_pages != (out->first_pinned == PINSEAL_NO_PAGE))
		wrong_report("%llu pages are pinned, first_pinned is %#llx", out->pinned_pages,
			     out->first_pinned);
	if (!ret && out->outcome == PINSEAL_OUTCOME_SEALED && out->pinned_pages)
		wrong_report("sealed with %llu pinned pages", out->pinned_pages);
	if (out->isolated_pages && !t->isolates)
		wrong_report("%llu pages isolated without a request", out->isolated_pages);
	if (out->revoked_pages && !read_once(t->breaks_begun))
		wrong_report("%llu pages revoked without a request", out->revoked_pages);
	/*
	 * A pending operation reports the same pages again later, and concurrent cancels of one
	 * operation all get its result.
	 */
	leases_revoked(t, cancel || out->outcome == PINSEAL_OUTCOME_PENDING ? 0 :
			  out->revoked_pages);
	if (out->pad || out->seals != in->seals || out->flags != in->flags ||
	    out->timeout_ns != in->timeout_ns || out->max_scans != in->max_scans)
		wrong_report("changed an input field");
}

void async_seal(struct worker *w, struct target *t)
{
	struct pinseal_seal in = random_request(w, t), out;
	bool revokes, cancels;
	int ret;

	in.flags |= PINSEAL_SEAL_ASYNC;
	/* No signal ends the operation, and writers are blocked meanwhile. */
	if (in.timeout_ns > NSEC_PER_SEC)
		in.timeout_ns = 10 * NSEC_PER_MSEC;
	/* Only a request for the same seals collects another caller's result. */
	if (!once_in(&w->r, 3))
		in.seals = w->op < t->write_seal_op ? 0 : F_SEAL_WRITE;
	if (once_in(&w->r, 4))
		in.flags |= PINSEAL_SEAL_CANCEL;
	cancels = in.flags & PINSEAL_SEAL_CANCEL;
	revokes = !cancels && in.flags & PINSEAL_SEAL_REVOKE;
	out = in;
	choose_fd(w, t, false);
	if (!cancels)
		seals_requested(t, in.seals);
	if (revokes)
		lease_break_begins(t);
	call_begin(w, t, "SEAL(%lld, %#llx, flags %#llx, asynchronous, %lld ns)", t->number,
		   in.seals, in.flags, in.timeout_ns);
	ret = call_end(w, ps_seal(w->fd, &out));
	check_async(w, t, ret, &in, &out);
	/* A failed call started no operation. */
	if (ret && !cancels)
		seals_failed(t, in.seals);
	if (ret && revokes)
		lease_break_ends(t);
	if (ret)
		return;
	if (out.outcome == PINSEAL_OUTCOME_PENDING)
		note(N_PENDING);
	if (out.outcome == PINSEAL_OUTCOME_CANCELLED)
		note(N_CANCELLED);
	if (out.outcome == PINSEAL_OUTCOME_SEALED) {
		note(N_ASYNC_SEALED);
		seals_known(t, in.seals);
	}
}

void op_async_seal(struct worker *w, struct target *t)
{
	unsigned int times = 1 + random_below(&w->r, 4);
	int ready;

	if (!t->async)
		return;
	while (times--)
		async_seal(w, t);
	choose_fd(w, t, false);
	call_begin(w, t, "poll(%lld)", t->number);
	ready = call_end(w, ready_within(w->fd, ALWAYS_READY | POLLPRI, 0));
	if (ready >= 0 && !w->doomed && (ready & ~POLLPRI) != ALWAYS_READY)
		break_rule(RULE_RESULTS, "object %lld: poll() says %#x", t->number, ready);
}

void cancel_async_seal(struct target *t)
{
	struct pinseal_seal arg = seal_async(0, 0);
	char seals[32];

	if (fdinfo_value(t->fd, "sealing", seals, sizeof(seals)))
		return;
	arg.seals = strtoul(seals, NULL, 0);
	async_cancel(t->fd, &arg);
}

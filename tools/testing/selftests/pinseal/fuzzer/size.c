// SPDX-License-Identifier: GPL-2.0-only
#include "size.h"
#include "bytes.h"
#include "extra_ref.h"
#include "ioctl.h"
#include "log.h"
#include "model.h"
#include "object.h"
#include "pinseal_test.h"
#include "random.h"
#include "seal.h"
#include "worker.h"

/* Returns a random size, mostly close to the target's span. */
static uint64_t random_size(struct worker *w, struct target *t)
{
	uint64_t size;

	switch (random_below(&w->r, 16)) {
	case 0:
		size = 0;
		break;
	case 1:
		size = random_below(&w->r, 2 * t->span);
		break;
	case 2:
		/* Not larger: the time of PINS grows with the size, even over holes. */
		size = one_of(&w->r, 1ULL << 31, 1ULL << 32, 1ULL << 40);
		size += random_below(&w->r, 3) - 1;
		break;
	case 3:
		/* Often the current size. */
		size = read_once(t->size_min);
		break;
	case 4:
	case 5:
	case 6:
		size = t->span;
		break;
	default:
		size = t->span - random_below(&w->r, t->span / 2);
		if (!once_in(&w->r, 3))
			size -= size % page_size();
	}
	return t->keeps_pages && size < t->span ? t->span : size;
}

/* The fields about waiting that both structs share, before or after a call. */
struct wait_fields {
	uint64_t timeout_ns, waited_ns, pinned_pages, first_pinned, revoked_pages;
};

/* Returns random flags, mostly valid. */
static uint32_t random_removal_flags(struct worker *w)
{
	if (once_in(&w->r, 24))
		return 1U << random_below(&w->r, 32);
	return once_in(&w->r, 2) ? 0 : REMOVE_WAIT | (once_in(&w->r, 2) ? REMOVE_KEEP_LEASES : 0);
}

/* Whether the module accepts @flags. */
static bool removal_flags_are_valid(uint32_t flags)
{
	return !(flags & ~(REMOVE_WAIT | REMOVE_KEEP_LEASES)) && flags != REMOVE_KEEP_LEASES;
}

/* Returns random wait fields. The bounds are short, since a waiter blocks the other workers. */
static struct wait_fields random_wait_fields(struct worker *w, uint32_t flags)
{
	struct random *r = &w->r;
	struct wait_fields p = { .timeout_ns = random_bits(r) };

	/* Without the flag, the fields after timeout_ns must be 0. */
	if (!(flags & REMOVE_WAIT))
		return p;
	p = (struct wait_fields){
		.timeout_ns = one_of(r, 1, 20000, 300000, NSEC_PER_MSEC, 3 * NSEC_PER_MSEC,
				     10 * NSEC_PER_MSEC),
		/* Output only: the module must ignore these. */
		.pinned_pages = random_bits(r),
		.first_pinned = random_bits(r),
	};
	if (once_in(r, 24))
		p.timeout_ns = 0;
	/* Resumes an earlier call, or claims to. */
	if (once_in(r, 8))
		p.waited_ns = random_below(r, 2 * NSEC_PER_MSEC);
	if (once_in(r, 48))
		p.waited_ns = UINT64_MAX - random_below(r, 3);
	return p;
}

/* Returns the worker's own extra reference to these pages, or NULL. */
static struct extra_ref *find_own_ref(struct worker *w, struct target *t, uint64_t from,
				      uint64_t to)
{
	/* A punch within one page removes no page. */
	if (from >= to)
		return NULL;
	for (int i = 0; i < EXTRA_REFS; i++) {
		struct extra_ref *ref = &w->ref[i];

		if (ref->t == t && ref->from < to && ref->to > from && ref_is_held(ref))
			return ref;
	}
	return NULL;
}

/* Called before a call on the device that may remove the bytes [begin, end). */
static struct removal before_removal(struct worker *w, struct target *t, uint64_t begin,
				     uint64_t end, uint32_t flags)
{
	uint64_t page = page_size();
	struct removal removal = {
		.begin = begin,
		.end = end,
		.from = begin % page ? begin - begin % page + page : begin,
		.to = end - end % page,
		.flags = flags,
		.waits = !w->inner && flags & REMOVE_WAIT,
	};

	if (!removal.waits)
		return removal;
	removal.signals_blocked = once_in(&w->r, 2);
	removal.own_ref = find_own_ref(w, t, removal.from, removal.to);
	removal.stable = size_is_stable(t, &removal.sizing);
	removal.size = ps_size(t->fd);
	if (removal.signals_blocked)
		block_signals(true);
	/* Even if the call is otherwise invalid: this errs on the safe side. */
	if (!(flags & REMOVE_KEEP_LEASES))
		lease_break_begins(t);
	return removal;
}

/* Called after the call. The model still counts it as removing pages. */
static void after_removal(struct target *t, struct removal *removal, int ret)
{
	struct extra_ref *ref = removal->own_ref;
	unsigned int own;

	if (!removal->waits)
		return;
	if (!(removal->flags & REMOVE_KEEP_LEASES))
		lease_break_ends(t);
	if (removal->signals_blocked)
		block_signals(false);
	if (ret == -EBUSY) {
		int64_t size = ps_size(t->fd);

		note(N_WAIT_TIMED_OUT);
		if (removal->stable && size != removal->size &&
		    read_once(t->sizing) == removal->sizing + 1)
			break_rule(RULE_STATE, "object %lld had %#llx bytes, and has %#llx after a "
				   "call that failed", t->number, (long long)removal->size,
				   (long long)size);
	}
	if (ret || !ref)
		return;
	/* Unless another call removed the pages first, or revoked the lease. */
	own = parts_shared(t, ref->from, ref->to, removal->begin, removal->end);
	if (removals_in_progress(t, ref->from, ref->to) == own &&
	    times_removed(t, ref->from, ref->to) == ref->times_removed && !ref_is_revoked(ref))
		break_rule(RULE_STATE, "object %lld: pages from %#llx on were removed by a call "
			   "that waits for extra references; but a %s still has one", t->number,
			   (long long)ref->from, ref_name(ref->kind));
}

#define wrong_removal(what, ...)						\
	break_rule(RULE_RESULTS, "removing pages: " what, ##__VA_ARGS__)

/* Checks the report of a waiting call against itself and against the request. */
static void check_wait_fields(struct worker *w, struct target *t, int ret,
			      const struct removal *removal, const struct wait_fields *in,
			      const struct wait_fields *out)
{
	uint64_t waited = out->waited_ns - in->waited_ns, took = log_last(w->log)->took;
	uint64_t timeout_ns = in->timeout_ns ?: DEFAULT_NS;

	log_note(w->log, "%llu ns, %llu pages from %#llx, %llu revoked",
		 (unsigned long long)out->waited_ns, (unsigned long long)out->pinned_pages,
		 (unsigned long long)out->first_pinned, (unsigned long long)out->revoked_pages);
	if (!out->pinned_pages != (out->first_pinned == PINSEAL_NO_PAGE))
		wrong_removal("%lld pages are pinned, first_pinned is %#llx",
			      (long long)out->pinned_pages, (long long)out->first_pinned);
	if (!ret && out->pinned_pages)
		wrong_removal("succeeded with %lld pinned pages", (long long)out->pinned_pages);
	if (out->pinned_pages && out->first_pinned >= removal->to / page_size())
		wrong_removal("first_pinned %#llx is beyond the removed bytes up to %#llx",
			      (long long)out->first_pinned, (long long)removal->to);
	if (out->revoked_pages && removal->flags & REMOVE_KEEP_LEASES)
		wrong_removal("%lld pages revoked without a request",
			      (long long)out->revoked_pages);
	leases_revoked(t, out->revoked_pages);
	if (out->timeout_ns != in->timeout_ns || out->waited_ns < in->waited_ns)
		wrong_removal("waited %lld ns of %lld, after %lld", (long long)out->waited_ns,
			      (long long)out->timeout_ns, (long long)in->waited_ns);
	if (out->waited_ns < UINT64_MAX && waited > took)
		wrong_removal("waited %lld ns, in a call of %lld", (long long)waited,
			      (long long)took);
	if (ret == -EBUSY && out->waited_ns < timeout_ns && !read_once(t->nonblock))
		wrong_removal("gave up after %lld ns of %lld", (long long)out->waited_ns,
			      (long long)timeout_ns);
}

/* Whether waiting explains the error of a call. */
static bool wait_explains(struct worker *w, const struct removal *removal, enum form form,
			  int ret, const struct wait_fields *in)
{
	uint64_t timeout_ns = in->timeout_ns ?: DEFAULT_NS;
	/* An old struct has no waited_ns, or only a part of it. */
	uint64_t waited_ns = form == OLD ? 0 : in->waited_ns;

	if (!removal->waits)
		return false;
	if (ret == -EBUSY)
		call_took_at_most(w, timeout_ns > waited_ns ? timeout_ns - waited_ns : 0);
	/* Any handler interrupts the wait, even with SA_RESTART. */
	return ret == -EBUSY || (ret == -EINTR && signals_handled != w->handled);
}

/* Whether the call returned a complete report. */
static bool has_report(const struct removal *removal, enum form form, int ret)
{
	return removal->waits && form != OLD && form <= LONG_DIRTY &&
	       (!ret || ret == -EBUSY || ret == -EINTR);
}

/* Whether a valid argument must not be refused as invalid. */
static bool removal_is_valid(const struct removal *removal, enum form form, unsigned int cmd)
{
	/* The report of a waiting call needs a writable struct. */
	return !form_error(form, cmd) && !(removal->waits && form == READ_ONLY);
}

void op_resize(struct worker *w, struct target *t)
{
	struct pinseal_resize arg = { .size = random_size(w, t), .flags = random_removal_flags(w) };
	struct wait_fields in = random_wait_fields(w, arg.flags), out;
	enum form form = random_form(w);
	struct removal removal;
	bool valid, may;
	int ret;

	if (once_in(&w->r, 32))
		arg.size = one_of(&w->r, 1ULL << 63, UINT64_MAX);
	if (once_in(&w->r, 32))
		arg.pad = 1 << random_below(&w->r, 32);
	arg.timeout_ns = in.timeout_ns;
	arg.waited_ns = in.waited_ns;
	arg.pinned_pages = in.pinned_pages;
	arg.first_pinned = in.first_pinned;
	arg.revoked_pages = in.revoked_pages;
	valid = arg.size <= INT64_MAX && removal_flags_are_valid(arg.flags) && !arg.pad;

	choose_fd(w, t, true);
	may = w->inner ? arg.size <= INT64_MAX : valid;
	removal = before_removal(w, t, arg.size, UINT64_MAX, arg.flags);
	if (may)
		resizing_begins(t, arg.size);
	call_begin(w, t, "RESIZE(%lld, %#llx, flags %#llx, pad %#llx, %lld ns of %lld)", t->number,
		   arg.size, arg.flags, arg.pad, arg.waited_ns, arg.timeout_ns);
	if (w->inner) {
		ret = call_end(w, sys(ftruncate(w->fd, arg.size)));
	} else {
		ret = ioctl_as(w, form, PINSEAL_IOC_RESIZE, &arg);
		if (!wait_explains(w, &removal, form, ret, &in))
			call_allows(w, ret, EFAULT, E2BIG, EINVAL, EPERM, EFBIG, EINTR, EAGAIN);
		if (valid && removal_is_valid(&removal, form, PINSEAL_IOC_RESIZE) &&
		    t->access != O_RDONLY)
			call_was_valid(w, ret);
		if (!ret && !valid)
			break_rule(RULE_RESULTS, "worker %u: RESIZE accepted an invalid argument",
				   w->number);
	}
	after_removal(t, &removal, ret);
	if (may)
		resizing_ends(t, arg.size, ret != -EBUSY);
	if (has_report(&removal, form, ret)) {
		out = (struct wait_fields){ arg.timeout_ns, arg.waited_ns, arg.pinned_pages,
					    arg.first_pinned, arg.revoked_pages };
		check_wait_fields(w, t, ret, &removal, &in, &out);
	}
	call_forbidden_by(w, ret, SIZE_SEALS);
	if (ret == -EPERM && has_fixed_size(&w->before) && arg.size == w->before.size_min)
		break_rule(RULE_RESULTS, "worker %u, object %lld: may not be resized to its own "
			   "size", w->number, t->number);
	if (ret)
		return;
	note(N_RESIZES);
	write_once(t->used, true);
	check_size(t, &w->before, arg.size);
}

void op_fallocate(struct worker *w, struct target *t)
{
	struct pinseal_fallocate arg = {
		.mode = one_of(&w->r, 0, FALLOC_FL_KEEP_SIZE, PUNCH, PUNCH),
		.flags = random_removal_flags(w),
		.offset = random_below(&w->r, t->span + t->span / 8),
		.len = 1 + random_below(&w->r, 3 * page_size()),
	};
	struct wait_fields in = random_wait_fields(w, arg.flags), out;
	enum form form = random_form(w);
	struct removal removal;
	bool valid, punch;
	uint64_t end;
	int ret;

	if (t->keeps_pages && arg.mode == PUNCH)
		arg.mode = 0;
	if (arg.mode == PUNCH && once_in(&w->r, 8))
		arg.len = INT64_MAX - arg.offset;
	if (once_in(&w->r, 24))
		arg.mode = one_of(&w->r, FALLOC_FL_PUNCH_HOLE, FALLOC_FL_COLLAPSE_RANGE,
				  FALLOC_FL_ZERO_RANGE, FALLOC_FL_INSERT_RANGE, 1U << 31);
	if (once_in(&w->r, 24))
		arg.len = one_of(&w->r, 0, INT64_MAX, 1ULL << 63, UINT64_MAX);
	if (once_in(&w->r, 24))
		arg.offset = one_of(&w->r, INT64_MAX, 1ULL << 63, UINT64_MAX);
	arg.timeout_ns = in.timeout_ns;
	arg.waited_ns = in.waited_ns;
	arg.pinned_pages = in.pinned_pages;
	arg.first_pinned = in.first_pinned;
	arg.revoked_pages = in.revoked_pages;
	valid = arg.len && arg.len <= INT64_MAX && arg.offset <= INT64_MAX &&
		arg.offset + arg.len <= INT64_MAX && removal_flags_are_valid(arg.flags);
	/* A valid call must not fill the machine's memory. */
	if (valid && arg.mode != PUNCH && arg.len > t->span)
		arg.len = page_size();
	end = valid ? arg.offset + arg.len : 0;
	punch = valid && arg.mode == PUNCH;

	choose_fd(w, t, true);
	/* A call that removes no pages does not wait. */
	removal = before_removal(w, t, arg.offset, end, punch ? arg.flags : 0);
	sizing_begins(t);
	if (punch)
		removal_begins(t, arg.offset, end);
	call_begin(w, t, "FALLOCATE(%lld, mode %#llx, %#llx, len %#llx, flags %#llx, %lld ns of "
		   "%lld)", t->number, arg.mode, arg.offset, arg.len, arg.flags, arg.waited_ns,
		   arg.timeout_ns);
	if (w->inner && valid) {
		ret = call_end(w, sys(fallocate(w->fd, arg.mode, arg.offset, arg.len)));
	} else if (w->inner) {
		ret = call_end(w, -EINVAL);
	} else {
		ret = ioctl_as(w, form, PINSEAL_IOC_FALLOCATE, &arg);
		if (!wait_explains(w, &removal, form, ret, &in))
			call_allows(w, ret, EFAULT, E2BIG, EINVAL, EBADF, EFBIG, EOPNOTSUPP, EPERM,
				    ENOSPC, ENOMEM, EINTR, EAGAIN);
		if (valid && removal_is_valid(&removal, form, PINSEAL_IOC_FALLOCATE))
			call_was_valid(w, ret);
		if (!ret && !valid)
			break_rule(RULE_RESULTS, "worker %u: FALLOCATE accepted an invalid "
				   "argument", w->number);
	}
	after_removal(t, &removal, ret);
	if (punch)
		removal_ends(t, arg.offset, end, ret != -EBUSY);
	sizing_ends(t);
	if (has_report(&removal, form, ret)) {
		out = (struct wait_fields){ arg.timeout_ns, arg.waited_ns, arg.pinned_pages,
					    arg.first_pinned, arg.revoked_pages };
		check_wait_fields(w, t, ret, &removal, &in, &out);
	}
	call_forbidden_by(w, ret, arg.mode == PUNCH ? WRITE_SEALS : F_SEAL_GROW);
	if (ret)
		return;
	write_once(t->used, true);
	if (arg.mode == PUNCH)
		call_wrote_bytes(w, "a hole was punched");
	else if (w->before.known & F_SEAL_GROW && end > w->before.size_max)
		break_rule(RULE_STATE, "worker %u: allocated up to %#llx of object %lld, which "
			   "cannot grow", w->number, (long long)end, t->number);
}

/* From then on what is dirty cannot be written. References that others have for a moment prevent it. */
static void seal_lower(struct worker *w, struct target *t)
{
	int ret;

	call_begin(w, t, "F_ADD_SEALS(the lower file of %lld, F_SEAL_WRITE)", t->number);
	ret = call_end(w, memfd_add_seals(t->lower, F_SEAL_WRITE));
	call_allows(w, ret, EBUSY);
	if (!ret)
		note(N_LOWER_SEALED);
}

void op_sync(struct worker *w, struct target *t)
{
	bool data_only = once_in(&w->r, 2);
	int ret;

	if (t->lower_fails && once_in(&w->r, 3))
		seal_lower(w, t);
	choose_fd(w, t, false);
	call_begin(w, t, data_only ? "fdatasync(%lld)" : "fsync(%lld)", t->number);
	ret = call_end(w, sys(data_only ? fdatasync(w->fd) : fsync(w->fd)));
	write_once(t->used, true);
	if (ret && !(ret == -EPERM && t->lower_fails))
		call_allows(w, ret, EBADF);
}

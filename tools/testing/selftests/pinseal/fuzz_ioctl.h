/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fuzzer's simpler commands, and the forms in which all commands get their
 * argument: right ones, and such that nothing may happen.
 */
#ifndef FUZZ_IOCTL_H
#define FUZZ_IOCTL_H

#include "bytes.h"
#include "fuzz_worker.h"

/* Where the argument is, and how large the command word says it is. */
enum form {
	PLAIN,
	LONG,			/* and the tail is zero */
	LONG_DIRTY,		/* and the tail is not zero */
	SHORT,
	READ_ONLY,		/* it ends where memory ends, too */
	CUT,			/* the last bytes lie where no memory is */
	NOWHERE,
};

static const char *const form_names[] = {
	[PLAIN] = "plain", [LONG] = "long", [LONG_DIRTY] = "long and dirty", [SHORT] = "short",
	[READ_ONLY] = "read-only", [CUT] = "cut", [NOWHERE] = "nowhere",
};

static inline enum form random_form(struct worker *w)
{
	return once_in(&w->r, 8) ? random_below(&w->r, NOWHERE + 1) : PLAIN;
}

/* What a command whose struct is presented like that must fail with, or 0. */
static inline int form_error(enum form form, unsigned int cmd)
{
	switch (form) {
	case LONG_DIRTY:
		return _IOC_DIR(cmd) & _IOC_WRITE ? E2BIG : 0;
	case SHORT:
		return EINVAL;
	case READ_ONLY:
		return _IOC_DIR(cmd) & _IOC_READ ? EFAULT : 0;
	case CUT:
	case NOWHERE:
		return EFAULT;
	default:
		return 0;
	}
}

/* Makes the call that has begun. @data is the struct, in and out. */
static inline int ioctl_as(struct worker *w, enum form form, unsigned int cmd, void *data)
{
	size_t size = _IOC_SIZE(cmd), room = size;
	unsigned char *at = (unsigned char *)w->arena.rw;
	int ret;

	if (form != PLAIN)
		log_note(w->log, "argument %s", form_names[form]);
	switch (form) {
	case LONG:
	case LONG_DIRTY:
		room += 1 + random_below(&w->r, 300);
		memset(at + size, 0, room - size);
		if (form == LONG_DIRTY || !(_IOC_DIR(cmd) & _IOC_WRITE))
			at[size + random_below(&w->r, room - size)] = 1 + random_below(&w->r, 255);
		break;
	case SHORT:
		room = random_below(&w->r, size);
		break;
	case READ_ONLY:
		at = (unsigned char *)w->arena.none - size;
		break;
	case CUT:
		at = (unsigned char *)w->arena.none - random_below(&w->r, size);
		break;
	case NOWHERE:
		at = (unsigned char *)one_of(&w->r, 0, 1, 1ULL << 47, 1ULL << 63, UINT64_MAX);
		break;
	default:
		break;
	}
	if (form == READ_ONLY || form == CUT)
		arena_put(&w->arena, (char *)at, data, size);
	else if (form != NOWHERE)
		memcpy(at, data, size);

	cmd = _IOC(_IOC_DIR(cmd), _IOC_TYPE(cmd), _IOC_NR(cmd), room);
	ret = call_end(w, ps_ioctl(w->fd, cmd, at));

	if (form_error(form, cmd) && ret >= 0)
		break_rule(RULE_RESULTS, "worker %u, object %lld: command %#x took an argument "
			   "that is %s", w->number, w->t->number, cmd, form_names[form]);
	if (form <= LONG_DIRTY) {
		memcpy(data, at, size);
		if (ret >= 0 && _IOC_DIR(cmd) & _IOC_READ && !is_zero(at + size, room - size))
			break_rule(RULE_RESULTS, "worker %u, object %lld: command %#x left dirt "
				   "behind its struct", w->number, w->t->number, cmd);
	}
	return ret;
}

/* A call that is right for the module failed as if it were not. */
static inline void call_was_right(struct worker *w, int ret)
{
	if (ret == -EINVAL || ret == -EFAULT || ret == -E2BIG)
		break_rule(RULE_RESULTS, "worker %u, object %lld: %s for a right argument",
			   w->number, w->t->number, strerrorname_np(-ret));
}

static inline void op_info(struct worker *w, struct target *t)
{
	enum form form = random_form(w);
	struct pinseal_info info;
	int ret;

	memset(&info, 0xcc, sizeof(info));
	choose_fd(w, t, false);
	call_begin(w, t, "INFO(%lld)", t->number);
	ret = ioctl_as(w, form, PINSEAL_IOC_INFO, &info);
	call_allows(w, ret, EFAULT, EINVAL);
	if (!form_error(form, PINSEAL_IOC_INFO))
		call_was_right(w, ret);
	if (ret)
		return;
	log_note(w->log, "size %#llx", info.size);
	check_size(t, &w->before, info.size);
	if (info.version != PINSEAL_VERSION || info.features || !info.default_timeout_ns ||
	    info.seals != (ALL_SEALS | F_SEAL_EXEC | PINSEAL_F_SEAL_FUTURE_EXEC) ||
	    info.seal_flags != (PINSEAL_SEAL_NOWAIT | PINSEAL_SEAL_ISOLATE |
				PINSEAL_SEAL_ASYNC | PINSEAL_SEAL_CANCEL))
		break_rule(RULE_RESULTS, "worker %u: INFO told something else than the header",
			   w->number);
}

static inline void op_get_seals(struct worker *w, struct target *t)
{
	enum form form = random_form(w);
	uint32_t seals = 0xcccccccc;
	int ret;

	choose_fd(w, t, true);
	call_begin(w, t, "GET_SEALS(%lld)", t->number);
	if (w->inner) {
		ret = call_end(w, sys(fcntl(w->fd, F_GET_SEALS)));
		if (ret < 0)
			return;
		if (!t->imported) {
			if (!(ret & F_SEAL_SEAL))
				break_rule(RULE_STATE, "object %lld: others can add seals",
					   t->number);
			/* That one is always there; whether it is the object's, this cannot tell. */
			ret = (ret & ~F_SEAL_SEAL) | (w->before.known & F_SEAL_SEAL);
		}
		check_seals(t, &w->before, ret);
		/* It may be seen here a moment before it counts for the device. */
		return;
	}
	ret = ioctl_as(w, form, PINSEAL_IOC_GET_SEALS, &seals);
	call_allows(w, ret, EFAULT, EINVAL);
	if (!form_error(form, PINSEAL_IOC_GET_SEALS))
		call_was_right(w, ret);
	if (ret)
		return;
	log_note(w->log, "seals %#x", seals);
	check_seals(t, &w->before, seals);
	seals_known(t, seals);
}

/* A size that somebody may want. */
static inline uint64_t random_size(struct worker *w, struct target *t)
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
		/* Not more: PINS takes its time for each part of a size, be it empty. */
		size = one_of(&w->r, 1ULL << 31, 1ULL << 32, 1ULL << 40);
		size += random_below(&w->r, 3) - 1;
		break;
	case 3:
		/* What it is already. */
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
	return t->stays && size < t->span ? t->span : size;
}

static inline void op_resize(struct worker *w, struct target *t)
{
	struct pinseal_resize arg = { .size = random_size(w, t), .timeout_ns = random_bits(&w->r) };
	enum form form = random_form(w);
	bool right, may;
	int ret;

	if (once_in(&w->r, 32))
		arg.size = one_of(&w->r, 1ULL << 63, UINT64_MAX);
	if (once_in(&w->r, 32))
		arg.flags = 1 << random_below(&w->r, 32);
	if (once_in(&w->r, 32))
		arg.pad = 1 << random_below(&w->r, 32);
	right = arg.size <= INT64_MAX && !arg.flags && !arg.pad;

	choose_fd(w, t, true);
	may = w->inner ? arg.size <= INT64_MAX : right;
	if (may)
		resizing_begins(t, arg.size);
	call_begin(w, t, "RESIZE(%lld, %#llx, flags %#llx, pad %#llx)", t->number,
		   arg.size, arg.flags, arg.pad);
	if (w->inner) {
		ret = call_end(w, sys(ftruncate(w->fd, arg.size)));
	} else {
		ret = ioctl_as(w, form, PINSEAL_IOC_RESIZE, &arg);
		call_allows(w, ret, EFAULT, E2BIG, EINVAL, EPERM, EFBIG, EINTR, EAGAIN);
		if (right && !form_error(form, PINSEAL_IOC_RESIZE) && t->access != O_RDONLY)
			call_was_right(w, ret);
		if (!ret && !right)
			break_rule(RULE_RESULTS, "worker %u: RESIZE took a wrong argument",
				   w->number);
	}
	if (may)
		resizing_ends(t, arg.size);
	call_forbidden_by(w, ret, SIZE_SEALS);
	if (ret == -EPERM && has_fixed_size(&w->before) && arg.size == w->before.size_min)
		break_rule(RULE_RESULTS, "worker %u, object %lld: may not have the size that it "
			   "has", w->number, t->number);
	if (ret)
		return;
	note(N_RESIZES);
	write_once(t->used, true);
	check_size(t, &w->before, arg.size);
}

static inline void op_fallocate(struct worker *w, struct target *t)
{
	struct pinseal_fallocate arg = {
		.mode = one_of(&w->r, 0, FALLOC_FL_KEEP_SIZE, PUNCH, PUNCH),
		.offset = random_below(&w->r, t->span + t->span / 8),
		.len = 1 + random_below(&w->r, 3 * page_size()),
	};
	enum form form = random_form(w);
	uint64_t end;
	bool right;
	int ret;

	if (t->stays && arg.mode == PUNCH)
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
	if (once_in(&w->r, 24))
		arg.flags = 1 << random_below(&w->r, 32);
	right = arg.len && arg.len <= INT64_MAX && arg.offset <= INT64_MAX &&
		arg.offset + arg.len <= INT64_MAX && !arg.flags;
	/* What is right must not fill the machine's memory. */
	if (right && arg.mode != PUNCH && arg.len > t->span)
		arg.len = page_size();
	end = right ? arg.offset + arg.len : 0;

	choose_fd(w, t, true);
	if (right && arg.mode == PUNCH)
		taking_begins(t, arg.offset, end);
	call_begin(w, t, "FALLOCATE(%lld, mode %#llx, %#llx, len %#llx, flags %#llx)",
		   t->number, arg.mode, arg.offset, arg.len, arg.flags);
	if (w->inner && right) {
		ret = call_end(w, sys(fallocate(w->fd, arg.mode, arg.offset, arg.len)));
	} else if (w->inner) {
		call_end(w, 0);
		return;
	} else {
		ret = ioctl_as(w, form, PINSEAL_IOC_FALLOCATE, &arg);
		call_allows(w, ret, EFAULT, E2BIG, EINVAL, EBADF, EFBIG, EOPNOTSUPP, EPERM, ENOSPC,
			    ENOMEM, EINTR, EAGAIN);
		if (right && !form_error(form, PINSEAL_IOC_FALLOCATE))
			call_was_right(w, ret);
		if (!ret && !right)
			break_rule(RULE_RESULTS, "worker %u: FALLOCATE took a wrong argument",
				   w->number);
	}
	if (right && arg.mode == PUNCH)
		taking_ends(t, arg.offset, end);
	call_forbidden_by(w, ret, arg.mode == PUNCH ? WRITE_SEALS : F_SEAL_GROW);
	if (ret)
		return;
	write_once(t->used, true);
	if (arg.mode == PUNCH)
		call_wrote_bytes(w, "a hole was punched");
	else if (w->before.known & F_SEAL_GROW && end > w->before.size_max)
		break_rule(RULE_STATE, "worker %u: memory up to %#llx behind object %lld, which "
			   "cannot grow", w->number, (long long)end, t->number);
}

static inline void op_set_name(struct worker *w, struct target *t)
{
	struct pinseal_name arg;
	enum form form = random_form(w);
	bool used = read_once(t->used);
	int ret;

	memset(&arg, 0, sizeof(arg));
	switch (random_below(&w->r, 4)) {
	case 0:
		for (size_t i = 0; i < sizeof(arg.name); i++)
			arg.name[i] = random_bits(&w->r);
		break;
	case 1:
		memset(arg.name, 'n', sizeof(arg.name) - random_below(&w->r, 2));
		break;
	default:
		snprintf(arg.name, sizeof(arg.name), "w\xc3\xb6rker %u", w->number);
	}
	choose_fd(w, t, false);
	call_begin(w, t, "SET_NAME(%lld)", t->number);
	ret = ioctl_as(w, form, PINSEAL_IOC_SET_NAME, &arg);
	call_allows(w, ret, EFAULT, E2BIG, EBUSY, EINVAL, EPERM);
	if (ret == -EPERM && t->access != O_RDONLY)
		break_rule(RULE_RESULTS, "worker %u, object %lld: SET_NAME is not permitted",
			   w->number, t->number);
	if (!ret && used)
		break_rule(RULE_STATE, "worker %u: object %lld was named although it is in use",
			   w->number, t->number);
}

/* Numbers and types that are no command. */
static inline void op_unknown(struct worker *w, struct target *t)
{
	unsigned int nr = one_of(&w->r, 0x06, 0x0b, 0x0c, 0x10, 0x7f, 0xff);
	unsigned int type = PINSEAL_IOC_MAGIC;
	unsigned int cmd;
	int ret;

	if (once_in(&w->r, 4)) {
		type = one_of(&w->r, PINSEAL_IOC_MAGIC - 1, PINSEAL_IOC_MAGIC + 1);
		nr = random_below(&w->r, 16);
	}
	choose_fd(w, t, false);
	cmd = _IOC(random_below(&w->r, 4), type, nr, random_below(&w->r, 256));
	call_begin(w, t, "ioctl(%lld, %#llx)", t->number, cmd);
	ret = call_end(w, ps_ioctl(w->fd, cmd, w->arena.rw));
	call_allows(w, ret, ENOTTY);
	if (ret >= 0)
		break_rule(RULE_RESULTS, "worker %u: the unknown command %#x did something",
			   w->number, cmd);
}

#endif /* FUZZ_IOCTL_H */

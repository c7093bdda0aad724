// SPDX-License-Identifier: GPL-2.0-only
#include <stddef.h>

#include "ioctl.h"
#include "arena.h"
#include "bytes.h"
#include "log.h"
#include "model.h"
#include "object.h"
#include "pinseal_test.h"
#include "random.h"
#include "worker.h"

const char *const form_names[] = {
	[PLAIN] = "plain", [OLD] = "old", [LONG] = "long", [LONG_DIRTY] = "long and dirty",
	[SHORT] = "short", [READ_ONLY] = "read-only", [CUT] = "cut", [NOWHERE] = "nowhere",
};

enum form random_form(struct worker *w)
{
	return once_in(&w->r, 8) ? random_below(&w->r, NOWHERE + 1) : PLAIN;
}

/* Returns the size of the first version of a command's struct. */
static size_t first_size(unsigned int cmd)
{
	switch (cmd) {
	case PINSEAL_IOC_RESIZE:
		return offsetof(struct pinseal_resize, waited_ns);
	case PINSEAL_IOC_FALLOCATE:
		return offsetof(struct pinseal_fallocate, waited_ns);
	case PINSEAL_IOC_PIN:
		return offsetof(struct pinseal_pin, address);
	case PINSEAL_IOC_PROTECT:
		return offsetof(struct pinseal_protect, ranges);
	default:
		return _IOC_SIZE(cmd);
	}
}

int form_error(enum form form, unsigned int cmd)
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

int ioctl_as(struct worker *w, enum form form, unsigned int cmd, void *data)
{
	size_t first = first_size(cmd), size = _IOC_SIZE(cmd), room = size;
	unsigned char *at = (unsigned char *)w->arena.rw;
	int ret;

	if (form != PLAIN)
		log_note(w->log, "argument %s", form_names[form]);
	switch (form) {
	case OLD:
		room = first + random_below(&w->r, size - first);
		break;
	case LONG:
	case LONG_DIRTY:
		room += 1 + random_below(&w->r, 300);
		memset(at + size, 0, room - size);
		if (form == LONG_DIRTY || !(_IOC_DIR(cmd) & _IOC_WRITE))
			at[size + random_below(&w->r, room - size)] = 1 + random_below(&w->r, 255);
		break;
	case SHORT:
		room = random_below(&w->r, first);
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
		break_rule(RULE_RESULTS, "worker %u, object %lld: command %#x accepted an "
			   "argument of the form: %s", w->number, w->t->number, cmd,
			   form_names[form]);
	if (form <= LONG_DIRTY) {
		memcpy(data, at, size);
		if (ret >= 0 && _IOC_DIR(cmd) & _IOC_READ && !is_zero(at + size, room - size))
			break_rule(RULE_RESULTS, "worker %u, object %lld: command %#x left "
				   "non-zero bytes behind its struct", w->number, w->t->number,
				   cmd);
	}
	return ret;
}

void call_was_valid(struct worker *w, int ret)
{
	if (ret == -EINVAL || ret == -EFAULT || ret == -E2BIG)
		break_rule(RULE_RESULTS, "worker %u, object %lld: %s for a valid argument",
			   w->number, w->t->number, strerrorname_np(-ret));
}

void op_info(struct worker *w, struct target *t)
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
		call_was_valid(w, ret);
	if (ret)
		return;
	log_note(w->log, "size %#llx", info.size);
	check_size(t, &w->before, info.size);
	if (info.version != PINSEAL_VERSION || !info.default_timeout_ns ||
	    info.features != (PINSEAL_FEATURE_CREATE | PINSEAL_FEATURE_PROTECT |
			      PINSEAL_FEATURE_ATTACH | PINSEAL_FEATURE_LOOK |
			      (fuzz->mirrors ? PINSEAL_FEATURE_MIRROR : 0)) ||
	    info.seals != (ALL_SEALS | F_SEAL_EXEC | PINSEAL_F_SEAL_FUTURE_EXEC) ||
	    info.seal_flags != (PINSEAL_SEAL_NOWAIT | PINSEAL_SEAL_ISOLATE | PINSEAL_SEAL_REVOKE |
				PINSEAL_SEAL_ASYNC | PINSEAL_SEAL_CANCEL |
				PINSEAL_SEAL_WAIT_MAPPED))
		break_rule(RULE_RESULTS, "worker %u: INFO disagrees with the header",
			   w->number);
}

void op_get_seals(struct worker *w, struct target *t)
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
		if (!t->owner_seals) {
			if (!(ret & F_SEAL_SEAL))
				break_rule(RULE_STATE, "object %lld: its inner file can be sealed",
					   t->number);
			/* Always set on the inner file, so it says nothing about the object. */
			ret = (ret & ~F_SEAL_SEAL) | (w->before.known & F_SEAL_SEAL);
		}
		check_seals(t, &w->before, ret);
		/* A seal may be visible here before it takes effect for the device. */
		return;
	}
	ret = ioctl_as(w, form, PINSEAL_IOC_GET_SEALS, &seals);
	call_allows(w, ret, EFAULT, EINVAL);
	if (!form_error(form, PINSEAL_IOC_GET_SEALS))
		call_was_valid(w, ret);
	if (ret)
		return;
	log_note(w->log, "seals %#x", seals);
	check_seals(t, &w->before, seals);
	seals_known(t, seals);
}

void op_set_name(struct worker *w, struct target *t)
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
		break_rule(RULE_STATE, "worker %u: object %lld was named while in use",
			   w->number, t->number);
}

void op_create(struct worker *w, struct target *t)
{
	struct pinseal_create arg = {
		.flags = random_below(&w->r, 8),
		.name = "created",
	};
	uint32_t exec = PINSEAL_CREATE_EXEC | PINSEAL_CREATE_NOEXEC_SEAL;
	bool valid;
	int ret;

	if (once_in(&w->r, 8))
		arg.flags |= 1U << (3 + random_below(&w->r, 29));
	if (once_in(&w->r, 8))
		arg.pad = 1U << random_below(&w->r, 32);
	if (once_in(&w->r, 8))
		memset(arg.name, one_of(&w->r, 'n', '\n', 0xff), sizeof(arg.name));
	valid = arg.flags < 8 && (arg.flags & exec) != exec && !arg.pad && arg.name[0] == 'c';
	choose_fd(w, t, false);
	call_begin(w, t, "CREATE(%lld, flags %#llx)", t->number, arg.flags);
	ret = call_end(w, ps_ioctl(w->fd, PINSEAL_IOC_CREATE, &arg));
	call_allows(w, ret, EINVAL, EBADF);
	if (valid && ret < 0 && !w->doomed)
		break_rule(RULE_RESULTS, "worker %u: CREATE refused valid arguments", w->number);
	if (!valid && ret >= 0)
		break_rule(RULE_RESULTS, "worker %u: CREATE accepted an invalid argument",
			   w->number);
	if (ret < 0)
		return;
	if (ps_size(ret) || ps_resize(ret, 1) || fcntl(ret, F_GET_SEALS) < 0)
		break_rule(RULE_STATE, "worker %u: CREATE made no empty memfd", w->number);
	close(ret);
}

void op_unknown(struct worker *w, struct target *t)
{
	/* 0x20 is a command of pin handles only. */
	unsigned int nr = one_of(&w->r, 0x0e, 0x10, 0x20, 0x7f, 0xff);
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
		break_rule(RULE_RESULTS, "worker %u: the unknown command %#x succeeded",
			   w->number, cmd);
}

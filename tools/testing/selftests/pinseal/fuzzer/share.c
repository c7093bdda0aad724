// SPDX-License-Identifier: GPL-2.0-only
#include "share.h"
#include "bytes.h"
#include "log.h"
#include "model.h"
#include "page_rights.h"
#include "pinseal_test.h"
#include "random.h"
#include "worker.h"

/* Checks that a write seal holds for a new descriptor as well. */
static void check_descriptor(struct worker *w, struct target *t, int fd)
{
	int ret;

	if (!(w->before.known & WRITE_SEALS))
		return;
	sizing_begins(t);
	call_begin(w, t, "write(%lld, by a new descriptor)", t->number);
	ret = call_end(w, sys(pwrite(fd, "s", 1, 0)));
	sizing_ends(t);
	if (ret >= 0)
		call_wrote_bytes(w, "a new descriptor could be written to");
	ret = ps_try_map(fd, page_size(), RW, MAP_SHARED);
	if (!ret)
		call_wrote_bytes(w, "a new descriptor could be mapped writable");
}

void op_share(struct worker *w, struct target *t)
{
	bool export = once_in(&w->r, 2), readonly = once_in(&w->r, 2), may;
	int fd;

	choose_fd(w, t, false);
	if (export && t->lower < 0)
		write_once(t->may_be_shared, true);
	call_begin(w, t, export ? "EXPORT(%lld, %lld)" : "REOPEN(%lld, %lld)", t->number, readonly);
	if (export)
		fd = ps_export(w->fd, readonly ? PINSEAL_EXPORT_RDONLY : 0);
	else
		fd = ps_reopen(w->fd, readonly ? O_RDONLY : O_RDWR);
	call_end(w, fd);
	/* EPERM here is about access, not about seals. EBUSY: pages may be shown elsewhere. */
	if (export && t->lower >= 0) {
		if (fd != -EOPNOTSUPP && fd != -EPERM && fd != -EBADF)
			break_rule(RULE_STATE, "object %lld is stacked, and was exported", t->number);
		return;
	}
	if (fd != -EPERM && !(fd == -EBUSY && export && read_once(t->may_remap)))
		call_allows(w, fd, EBADF);
	may = t->access == O_RDWR || (t->access == O_RDONLY && !export && readonly);
	if (fd == -EPERM && may && !w->doomed)
		break_rule(RULE_RESULTS, "object %lld refuses a descriptor", t->number);
	if (fd >= 0 && !may)
		break_rule(RULE_STATE, "object %lld returned more access than its own", t->number);
	if (fd < 0)
		return;
	if (export) {
		if (shows_elsewhere(w, t))
			break_rule(RULE_STATE, "object %lld was exported while worker %u had "
				   "a mapping that shows its pages elsewhere", t->number, w->number);
		write_once(t->used, true);
		write_once(t->is_shared, true);
	}
	check_descriptor(w, t, fd);
	close(fd);
}

void op_import(struct worker *w, struct target *t)
{
	int files[] = { t->inner, t->fd, -1, w->source[0] };
	int file = files[random_below(&w->r, 4)], ret;

	/* As long as the call lasts; the model does not know that so exactly. */
	write_once(t->may_be_shared, true);
	choose_fd(w, t, false);
	call_begin(w, t, "IMPORT(%lld, %lld)", t->number, file);
	ret = call_end(w, ps_import(w->fd, file));
	if (ret != -EPERM && ret != -EBADF && ret != -EINVAL && ret != -EBUSY)
		break_rule(RULE_STATE, "object %lld: IMPORT of a wrong file returned %d", t->number,
			   ret);
}

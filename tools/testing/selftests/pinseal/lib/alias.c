// SPDX-License-Identifier: GPL-2.0-only
#include "alias.h"

void aliased_close(struct aliased *b)
{
	if (b->other >= 0)
		close(b->other);
	if (b->fd >= 0)
		close(b->fd);
}

int aliased_open(struct aliased *b, enum alias alias, uint64_t size)
{
	int memfd = -1, ret;

	*b = (struct aliased){ -1, -1 };
	if (alias == ALIAS_SOURCE || alias == ALIAS_SECOND_IMPORT) {
		memfd = memfd_open();
		b->fd = memfd < 0 ? memfd : import_open(memfd);
	} else if (alias >= ALIAS_CREATED_DUP) {
		b->fd = obj_open(CREATED);
	} else {
		b->fd = ps_open(O_RDWR);
	}
	if (b->fd < 0)
		return b->fd;
	switch (alias) {
	case ALIAS_DUP:
	case ALIAS_CREATED_DUP:
		b->other = sys(dup(b->fd));
		break;
	case ALIAS_REOPENED:
	case ALIAS_CREATED_REOPENED:
		b->other = ps_reopen(b->fd, O_RDWR);
		break;
	case ALIAS_EXPORTED:
		b->other = ps_export(b->fd, 0);
		break;
	case ALIAS_SOURCE:
		b->other = sys(dup(memfd));
		break;
	case ALIAS_SECOND_IMPORT:
		b->other = import_open(memfd);
		break;
	case ALIAS_CREATED_PLAIN:
		b->other = open_by_proc(b->fd, O_RDWR);
		break;
	case ALIAS_CREATED_IMPORT:
		b->other = import_open(b->fd);
		break;
	}
	if (memfd >= 0)
		close(memfd);
	ret = b->other < 0 ? b->other : ps_resize(b->fd, size);
	if (ret)
		aliased_close(b);
	return ret;
}

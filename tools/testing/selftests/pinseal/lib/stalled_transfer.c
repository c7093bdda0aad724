// SPDX-License-Identifier: GPL-2.0-only
#include "stalled_transfer.h"

static void *stalled_transfer_thread(void *data)
{
	struct stalled_transfer *t = data;

	if (t->writes)
		t->ret = sys(pwrite(t->fd, t->memory.page, page_size(), 0));
	else
		t->ret = sys(pread(t->fd, t->memory.page, page_size(), 0));
	return NULL;
}

int stalled_transfer_begin(struct stalled_transfer *t, int fd, bool writes)
{
	int ret;

	*t = (struct stalled_transfer){ .fd = fd, .writes = writes };
	ret = stalled_page_make(&t->memory);
	if (!ret)
		ret = -pthread_create(&t->thread, NULL, stalled_transfer_thread, t);
	return ret ?: stalled_page_wait(&t->memory);
}

int stalled_transfer_end(struct stalled_transfer *t)
{
	int ret = stalled_page_release(&t->memory);

	pthread_join(t->thread, NULL);
	stalled_page_free(&t->memory);
	return ret;
}

// SPDX-License-Identifier: GPL-2.0-only
#include "stalled_writev.h"

static void *stalled_writev_thread(void *data)
{
	struct stalled_writev *w = data;
	struct iovec source = { w->source.page, page_size() };

	w->written = sys(process_vm_writev(getpid(), &source, 1, &w->target, 1, 0));
	return NULL;
}

int stalled_writev_end(struct stalled_writev *w)
{
	int ret = stalled_page_release(&w->source);

	pthread_join(w->thread, NULL);
	stalled_page_free(&w->source);
	if (!ret && w->written < 0)
		ret = w->written;
	return ret;
}

int stalled_writev_begin(struct stalled_writev *w, void *target, size_t len)
{
	int ret;

	memset(w, 0, sizeof(*w));
	w->target = (struct iovec){ target, len };
	ret = stalled_page_make(&w->source);
	if (ret)
		return ret;
	ret = -pthread_create(&w->thread, NULL, stalled_writev_thread, w);
	if (ret) {
		stalled_page_release(&w->source);
		stalled_page_free(&w->source);
		return ret;
	}
	ret = stalled_page_wait(&w->source);
	if (ret)
		stalled_writev_end(w);
	return ret;
}

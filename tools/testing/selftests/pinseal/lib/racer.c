// SPDX-License-Identifier: GPL-2.0-only
#include "racer.h"

static void *racer_thread(void *data)
{
	struct racer *r = data;
	unsigned int round = 0;

	run_on_cpu(1);
	for (;;) {
		while (__atomic_load_n(&r->round, __ATOMIC_ACQUIRE) == round)
			;
		if (r->quit)
			return NULL;
		round++;
		r->move(r->data);
		__atomic_store_n(&r->done, round, __ATOMIC_RELEASE);
	}
}

int racer_start(struct racer *r, void (*move)(void *data), void *data)
{
	*r = (struct racer){ .move = move, .data = data };
	run_on_cpu(0);
	return pthread_create(&r->thread, NULL, racer_thread, r);
}

void racer_go(struct racer *r)
{
	__atomic_add_fetch(&r->round, 1, __ATOMIC_RELEASE);
}

void racer_wait(struct racer *r)
{
	while (__atomic_load_n(&r->done, __ATOMIC_ACQUIRE) != r->round)
		sched_yield();
}

void racer_stop(struct racer *r)
{
	r->quit = true;
	racer_go(r);
	pthread_join(r->thread, NULL);
}

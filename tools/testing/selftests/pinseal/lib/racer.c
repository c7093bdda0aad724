// SPDX-License-Identifier: GPL-2.0-only
#include "racer.h"

/* Between rounds it sleeps: a spinning CPU would slow down an emulated machine. */
#define IDLE_NS		(50 * 1000)

static void *racer_thread(void *data)
{
	struct racer *r = data;
	unsigned int round = 0;

	run_on_cpu(1);
	for (;;) {
		while (__atomic_load_n(&r->wanted, __ATOMIC_ACQUIRE) == round)
			sleep_ns(IDLE_NS);
		round++;
		__atomic_store_n(&r->ready, round, __ATOMIC_RELEASE);
		while (__atomic_load_n(&r->round, __ATOMIC_ACQUIRE) != round)
			;
		if (r->quit)
			return NULL;
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
	unsigned int round = __atomic_add_fetch(&r->wanted, 1, __ATOMIC_RELEASE);

	while (__atomic_load_n(&r->ready, __ATOMIC_ACQUIRE) != round)
		sched_yield();
	__atomic_store_n(&r->round, round, __ATOMIC_RELEASE);
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

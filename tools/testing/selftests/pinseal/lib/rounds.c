// SPDX-License-Identifier: GPL-2.0-only
#include "rounds.h"

static __thread struct worker *this_worker;

int new_object(void)
{
	int fd = ps_create(SIZE);

	if (fd >= 0 && fill_file(fd, SIZE, 'n')) {
		close(fd);
		return -EIO;
	}
	return fd;
}

void round_begin_by(struct round *r, int fd, int other)
{
	r->fd = fd;
	r->other = other;
	r->sealed = false;
	__atomic_add_fetch(&r->number, 1, __ATOMIC_RELEASE);
}

void round_wait_done(struct round *r, unsigned long n)
{
	unsigned long done = round_done(r);

	while (round_done(r) < done + n)
		sched_yield();
}

void round_end(struct round *r)
{
	__atomic_add_fetch(&r->number, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&r->inside, __ATOMIC_SEQ_CST))
		sched_yield();
}

/* Waits for a round and enters it: its number, or 0 to quit. */
static unsigned int round_enter(struct round *r)
{
	for (;;) {
		unsigned int number = __atomic_load_n(&r->number, __ATOMIC_SEQ_CST);

		if (__atomic_load_n(&r->quit, __ATOMIC_ACQUIRE))
			return 0;
		if (number & 1) {
			__atomic_add_fetch(&r->inside, 1, __ATOMIC_SEQ_CST);
			if (__atomic_load_n(&r->number, __ATOMIC_SEQ_CST) == number)
				return number;
			__atomic_sub_fetch(&r->inside, 1, __ATOMIC_SEQ_CST);
		}
		sched_yield();
	}
}

static void segv_handler(int sig)
{
	if (this_worker && this_worker->catch_segv)
		siglongjmp(this_worker->segv, 1);
	signal(sig, SIG_DFL);
}

static void round_leave(struct round *r)
{
	__atomic_sub_fetch(&r->inside, 1, __ATOMIC_SEQ_CST);
}

static void *worker_thread(void *data)
{
	struct worker *w = data;
	unsigned int number;

	this_worker = w;
	while ((number = round_enter(w->round))) {
		w->turns = 0;
		while (!round_is_over(w->round, number))
			w->turn(w, number), w->turns++;
		round_leave(w->round);
	}
	return NULL;
}

int workers_start(struct worker *w, unsigned int n, struct round *r,
		  void (*turn)(struct worker *, unsigned int))
{
	struct sigaction sa = { .sa_handler = segv_handler, .sa_flags = SA_NODEFER };
	unsigned int i;
	int ret = 0;

	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	for (i = 0; i < n && !ret; i++) {
		w[i] = (struct worker){
			.round = r,
			.random = { i + 1 },
			.turn = turn,
		};
		ret = -pthread_create(&w[i].thread, NULL, worker_thread, &w[i]);
	}
	return ret;
}

void workers_stop(struct worker *w, unsigned int n, struct round *r)
{
	unsigned int i;

	__atomic_store_n(&r->quit, true, __ATOMIC_RELEASE);
	for (i = 0; i < n; i++)
		pthread_join(w[i].thread, NULL);
}

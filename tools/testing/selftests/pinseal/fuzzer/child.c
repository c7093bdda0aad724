// SPDX-License-Identifier: GPL-2.0-only
#include "child.h"
#include "bytes.h"
#include "lease.h"
#include "log.h"
#include "mirror.h"
#include "model.h"
#include "page_rights.h"
#include "pinseal_test.h"
#include "protect_pages.h"
#include "random.h"
#include "seal.h"
#include "worker.h"

/* A child comes or goes: a user of every object. */
static void count_for_all(bool comes)
{
	for (int i = 0; i < TARGETS; i++)
		count_up(*(comes ? &fuzz->target[i].maps : &fuzz->target[i].unmaps));
}

static void child_store_by_mapping(struct worker *w, struct mapping *map, unsigned char byte)
{
	char *at = map->at + random_below(&w->r, map->len);
	int sig;

	if (!map->dontfork && once_in(&w->r, 8))
		child_protect(w, map);
	sig = copy_with_faults(w, at, &byte, 1);
	if (!map->dontfork)
		check_access(w, map, at, 1, STORE, sig);
}

/* Stores through all inherited mappings and handles until it must stop, but not for ever. */
static void __attribute__((noreturn)) child_store(struct worker *w)
{
	for (int i = 0; i < 2000 && !read_once(*w->child.stop); i++) {
		struct mapping *map = &w->mapping[i % MAPPINGS];
		unsigned char byte = 1 + i % 255;

		if (map->t && map->shared)
			child_store_by_mapping(w, map, byte);
		child_store_by_handle(w, &w->ref[i % EXTRA_REFS]);
		child_store_by_mirror(w, &w->mirror[i % MIRRORS]);
		if (i % 64 == 63)
			sched_yield();
	}
	while (!read_once(*w->child.stop))
		sleep_ns(100000);
	_exit(0);
}

void check_child(struct worker *w)
{
	for (int i = 0; w->child.pid && i < MAPPINGS; i++) {
		struct target *t = w->child.writable[i];

		if (t && read_once(t->known) & F_SEAL_WRITE)
			break_rule(RULE_WRITERS, "object %lld was sealed while a child of worker "
				   "%u had a writable mapping of it", t->number, w->number);
	}
}

void stop_child(struct worker *w)
{
	int status;

	if (!w->child.pid)
		return;
	check_child(w);
	call_begin(w, &fuzz->target[0], "end of child %lld", w->child.pid);
	write_once(*w->child.stop, 1);
	status = ps_wait(w->child.pid);
	call_end(w, status);
	w->child.pid = 0;
	count_for_all(false);
	if (status)
		break_rule(RULE_RESULTS, "worker %u: a child that only stores ended with %d",
			   w->number, status);
}

void op_fork(struct worker *w, struct target *t)
{
	pid_t pid;

	if (w->child.pid) {
		stop_child(w);
		return;
	}
	write_once(*w->child.stop, 0);
	count_for_all(true);
	block_signals(true);
	call_begin(w, t, "fork(to store)");
	pid = ps_fork();
	if (!pid)
		child_store(w);
	call_end(w, pid < 0 ? -errno : pid);
	block_signals(false);
	if (pid < 0) {
		count_for_all(false);
		return;
	}
	note(N_FORKS);
	w->child.pid = pid;
	for (int i = 0; i < MAPPINGS; i++) {
		struct mapping *map = &w->mapping[i];

		w->child.writable[i] = map->writable && !map->dontfork ? map->t : NULL;
	}
}

/*
 * A child that repeats one call is killed, and must end soon. Its last call is unknown, so the
 * seals that it requested may be set from then on.
 */
static void __attribute__((noreturn)) child_call(struct target *t, unsigned int what,
						 struct pinseal_seal request)
{
	for (;;) {
		struct pinseal_seal arg = request;
		char c = 'k';
		void *p;

		switch (what) {
		case 0:
			ps_seal(t->fd, &arg);
			break;
		case 1:
			p = ps_map(t->fd, t->span, RW, MAP_SHARED | MAP_POPULATE);
			if (p != MAP_FAILED)
				munmap(p, t->span);
			break;
		case 2:
			if (pwrite(t->fd, &c, 1, 0) < 0)
				sched_yield();
			break;
		default:
			ps_pins(t->fd, 0, NULL, 0, &(struct pinseal_pins){ 0 });
		}
	}
}

void op_kill(struct worker *w, struct target *t)
{
	unsigned int what = random_below(&w->r, 4);
	struct pinseal_seal request = random_request(w, t);
	uint64_t delay_ns = random_below(&w->r, 3 * NSEC_PER_MSEC);
	pid_t pid;

	if (once_in(&w->r, 2))
		request.timeout_ns = UINT64_MAX;
	if (what == 0)
		seals_requested(t, request.seals);
	/* Begun for all kinds of calls. */
	lease_break_begins(t);
	sizing_begins(t);
	count_for_all(true);
	block_signals(true);
	call_begin(w, t, "fork(to be killed, object %lld, call %lld, seals %#llx)", t->number, what,
		   request.seals);
	pid = ps_fork();
	if (!pid)
		child_call(t, what, request);
	call_end(w, pid < 0 ? -errno : pid);
	if (pid > 0) {
		sleep_ns(delay_ns);
		call_begin(w, t, "kill(%lld)", pid);
		ps_kill(pid);
		call_end(w, 0);
		call_took_at_most(w, 0);
	}
	block_signals(false);
	count_for_all(false);
	sizing_ends(t);
	lease_break_ends(t);
}

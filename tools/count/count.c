// SPDX-License-Identifier: GPL-2.0-only
/*
 * Does each operation between two marks, on memfds and on objects in turn, in a guest whose QEMU counts
 * what is executed between marks (plugin.c). For each pair of marks it prints a line
 *
 *   count OPERATION KIND
 *
 * in the order of the marks, from which the host (scripts/guest/count.py) learns what was counted.
 * Operations that memfd does not know are done on objects alone.
 */
#include <sched.h>
#include <sys/mman.h>

#include "contest.h"
#include "cpu.h"
#include "holders.h"
#include "marks.h"
#include "operations.h"

/* The first ones fill caches, and are not looked at. */
enum { ROUNDS = 21 };

static const char *const name_of[] = {
	[MEMFD] = "memfd", [PINSEAL] = "pinseal", [CREATED] = "created",
};

/* One operation on one new object. */
static void count(const struct operation *op, enum object_kind kind)
{
	struct subject s = subject_new(op, kind);

	if (op->prepare)
		op->prepare(&s);
	mark_begin();
	s.ret = op->run(&s);
	mark_end();
	if (s.ret < 0)
		die("%s of %s: %s", op->name, name_of[kind], strerror(-s.ret));
	subject_end(&s);
	printf("count %s %s\n", op->name, name_of[kind]);
}

int main(int argc, char **argv)
{
	static const enum object_kind kinds[] = { MEMFD, PINSEAL, CREATED };
	unsigned int i, round, kind;

	must(run_on_cpu(1), "CPU 1");
	/* Interrupts end without another task. */
	must(sys(sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){ .sched_priority = 1 })),
	     "sched_setscheduler");
	for (i = 0; i < operations_n; i++) {
		const struct operation *op = &operations[i];

		if (argc > 1 && strncmp(op->name, argv[1], strlen(argv[1])))
			continue;
		for (round = 0; round < ROUNDS; round++) {
			for (kind = 0; kind < ARRAY_SIZE(kinds); kind++) {
				if (op->kinds & 1U << kinds[kind])
					count(op, kinds[kind]);
			}
		}
	}
	return 0;
}

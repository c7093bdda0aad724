/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a busy machine does to everybody's pages at any time: moves them together
 * (compaction), makes large folios of them, swaps them out, and takes CPUs away that
 * had something to do with them.
 *
 * Here all of it happens all the time, to the processes of one memory cgroup where
 * that can be chosen, else to the machine. It is no load: who makes the noise runs with
 * the lowest priority and pauses. CPUs 0 and 1 stay, for tests run threads on them.
 */
#ifndef MACHINE_NOISE_H
#define MACHINE_NOISE_H

#include <dirent.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "large_folio.h"
#include "memcg.h"
#include "sysfile.h"

#define THP_SETTINGS	"/sys/kernel/mm/transparent_hugepage"
#define CPU_SETTINGS	"/sys/devices/system/cpu"

/* A setting that is changed for a while. */
struct setting {
	char path[112];
	char before[32];
};

#define MAX_SETTINGS	32
#define MAX_CPUS	64
#define NOISE_THREADS	5

struct machine_noise {
	const struct memcg *group;	/* whose processes are meant */
	bool over;
	struct setting settings[MAX_SETTINGS];
	unsigned int n_settings, first_thp, end_thp;
	unsigned int cpus[MAX_CPUS], n_cpus;
	bool was_online[MAX_CPUS];
	size_t large_folio;		/* the size that a collapse makes, or 0 */
	unsigned long compactions, collapses, reclaims, cpus_gone;	/* that there were */
	pthread_t threads[NOISE_THREADS];
	unsigned int n_threads;
};

/*
 * Begins to make all the noise that this machine can make, about the group. With
 * @large_folios, what is written is put into folios of any size: who has one page pinned
 * and counts then finds more.
 */
void machine_noise_begin(struct machine_noise *n, const struct memcg *group,
			 bool large_folios);

/* Whether there was some of every kind that there can be. */
bool machine_noise_was_heard(struct machine_noise *n);

/* Sets everything as it was, also when whoever made the noise was killed. */
void machine_noise_restore(struct machine_noise *n);

void machine_noise_end(struct machine_noise *n);

/* What noise changes while it lasts, with the swap and the groups that it is made in. */
struct machine_state {
	char folios[160], khugepaged[32], cpus[64];
	unsigned int swaps, groups;
};

struct machine_state machine_state(void);

#endif /* MACHINE_NOISE_H */

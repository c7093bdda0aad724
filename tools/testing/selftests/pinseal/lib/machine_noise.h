/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Noise of a busy machine: compaction, collapses into large folios, reclaim and CPU hotplug,
 * all the time, to the processes of a memory cgroup where possible, else to the machine.
 *
 * It is no load: the threads have the lowest priority and sleep often. CPUs 0 and 1 stay
 * online for the tests.
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

/* A setting and the value to restore. */
struct setting {
	char path[112];
	char before[32];
};

#define MAX_SETTINGS	32
#define MAX_CPUS	64
#define NOISE_THREADS	5

struct machine_noise {
	const struct memcg *group;	/* the processes concerned */
	bool over;
	struct setting settings[MAX_SETTINGS];
	unsigned int n_settings, first_thp, end_thp;
	unsigned int cpus[MAX_CPUS], n_cpus;
	bool was_online[MAX_CPUS];
	size_t large_folio;		/* of a collapse, or 0 */
	unsigned long compactions, collapses, reclaims, cpus_gone;	/* so far */
	pthread_t threads[NOISE_THREADS];
	unsigned int n_threads;
};

/*
 * machine_noise_begin() - all noise that this machine can make, for the group
 * @large_folios: new pages come in folios of all sizes, so that a pin of one page covers more
 */
void machine_noise_begin(struct machine_noise *n, const struct memcg *group,
			 bool large_folios);

/* machine_noise_was_heard() - whether there was some of each possible kind. */
bool machine_noise_was_heard(struct machine_noise *n);

/* machine_noise_restore() - restores settings, also after the noise was killed. */
void machine_noise_restore(struct machine_noise *n);

void machine_noise_end(struct machine_noise *n);

/* What noise changes, with its swap and groups. */
struct machine_state {
	char folios[160], khugepaged[32], cpus[64];
	unsigned int swaps, groups;
};

struct machine_state machine_state(void);

#endif /* MACHINE_NOISE_H */

/* SPDX-License-Identifier: GPL-2.0-only */
/* A crowd of asynchronous seals, each of an object with a held page, and what it costs. */
#ifndef CROWD_H
#define CROWD_H

#include "async.h"
#include "holders.h"

/* Scans of a seal that need not wait for a slot, and one more. */
#define CROWD_QUICK_SCANS	5

struct crowd {
	unsigned int n;
	int *fds;		/* -1 once it is closed */
	struct hold *holds;
	bool *held;
};

/* crowd_grow() - begins seals without deadline, up to @n in all: 0, or -errno. */
int crowd_grow(struct crowd *c, unsigned int n);

/* crowd_end() - closes what is left. */
void crowd_end(struct crowd *c);

/* crowd_release() - ends the hold of the @i-th: 0, or -errno. */
int crowd_release(struct crowd *c, unsigned int i);

/* crowd_query() - the @i-th seal's progress or result: what SEAL returns. */
int crowd_query(struct crowd *c, unsigned int i, struct pinseal_seal *arg);

/* crowd_wait_scans() - waits until the @i-th has scanned @scans more times: 0, or -errno. */
int crowd_wait_scans(struct crowd *c, unsigned int i, unsigned int scans);

/* crowd_settle() - waits until all wait for slots: 0, or -errno. */
int crowd_settle(struct crowd *c);

/*
 * crowd_newcomer() - begins another seal, and releases its page after @scans scans: the time
 * from the release, or without a @hold from the beginning, to the end, in ns, or -errno.
 */
int64_t crowd_newcomer(enum hold_kind hold, unsigned int scans);

/* In place of a kind of hold. */
#define CROWD_NO_HOLD	(HOLD_HANDLE + 1)

/* crowd_newcomers() - the median of @n, or -errno. */
int64_t crowd_newcomers(enum hold_kind hold, unsigned int scans, unsigned int n);

/* be_user() - makes @uid the real user ID: 0, or -errno. */
int be_user(uid_t uid);

/* crowd_cpu_ns() - CPU time that the kernel's workers take in @window_ns, or -errno. */
int64_t crowd_cpu_ns(uint64_t window_ns);

#endif /* CROWD_H */

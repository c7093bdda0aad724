/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fuzzer's pin handles, most of them leased: reads and writes through them, and what must
 * hold of a lease that any worker may break.
 *
 * A revoked lease stays revoked. None is revoked before a break was requested and the grace
 * has passed since.
 */
#ifndef FUZZER_LEASE_H
#define FUZZER_LEASE_H

#include "ioctl.h"
#include "worker.h"

/* Makes the argument of PIN invalid: the call must fail without effect. */
void spoil_pin(struct worker *w, struct pinseal_pin *arg);

/* The result of PIN fits its argument. @valid: the argument is valid. */
void check_pin(struct worker *w, struct target *t, int ret, enum form form,
	       const struct pinseal_pin *arg, bool valid);

/* Makes a pin handle. */
void op_pin(struct worker *w, struct target *t);

/* Reads, writes, polls or queries a pin handle of @t, some times in a row. */
void op_use_handle(struct worker *w, struct target *t);

/* A child writes through an inherited handle. It has no log. */
void child_store_by_handle(struct worker *w, struct extra_ref *ref);

/* Leases the first page of @t for the final check: the lease's descriptor, or -errno. */
int pin_final_lease(struct worker *w, struct target *t);

/*
 * A lease shows that its break is requested, while the request is pending. No other thread
 * uses the object.
 */
void check_break_request(struct worker *w, struct target *t);

/* The final seal for write revoked @lease and no other page; it reported @revoked pages. */
void check_final_lease(struct worker *w, struct target *t, int lease, uint64_t revoked);

#endif /* FUZZER_LEASE_H */

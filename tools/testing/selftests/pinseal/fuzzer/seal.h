/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fuzzer's synchronous SEAL: random requests, and checks that each report is consistent.
 */
#ifndef FUZZER_SEAL_H
#define FUZZER_SEAL_H

#include "pinseal_test.h"
#include "worker.h"

#define DEFAULT_NS	(150 * NSEC_PER_MSEC)

/* Returns a valid request. Objects are used for some operations before a write seal. */
struct pinseal_seal random_request(struct worker *w, struct target *t);

/* Reports an inconsistent SEAL result. */
#define wrong_report(...)	break_rule(RULE_RESULTS, "SEAL: " __VA_ARGS__)

/* Submits @in, sometimes spoiled. Returns the outcome, or -errno if there is none. */
int seal(struct worker *w, struct target *t, struct pinseal_seal in);

/* Seals @t. Sometimes retries after a writable mapping, since mappings come and go. */
void op_seal(struct worker *w, struct target *t);

/* F_ADD_SEALS: refused, except for the owner of an imported or created memfd. */
void op_add_seals(struct worker *w, struct target *t);

#endif /* FUZZER_SEAL_H */

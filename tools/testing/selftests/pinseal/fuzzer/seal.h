/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fuzzer's SEAL: random requests, and whether what came back fits together.
 */
#ifndef FUZZER_SEAL_H
#define FUZZER_SEAL_H

#include "pinseal_test.h"
#include "worker.h"

#define DEFAULT_NS	(150 * NSEC_PER_MSEC)

/* A request that is right. Objects are used for a while before they are sealed. */
struct pinseal_seal random_request(struct worker *w, struct target *t);

#define wrong_report(...)	break_rule(RULE_RESULTS, "SEAL: " __VA_ARGS__)

/* Makes a request: the outcome, or -errno if there is none. */
int seal(struct worker *w, struct target *t, struct pinseal_seal in);

/* Adds seals. Mappings come and go, so a call refused for one is sometimes repeated. */
void op_seal(struct worker *w, struct target *t);

/* fcntl() has no say: the device has no seals of its own, and its memory no more to give. */
void op_add_seals(struct worker *w, struct target *t);

#endif /* FUZZER_SEAL_H */

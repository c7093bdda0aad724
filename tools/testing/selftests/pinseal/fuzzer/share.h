/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fuzzer's other descriptors: REOPEN, EXPORT and IMPORT.
 */
#ifndef FUZZER_SHARE_H
#define FUZZER_SHARE_H

#include "worker.h"

/* Makes another descriptor with EXPORT or REOPEN and checks its access. */
void op_share(struct worker *w, struct target *t);

/* IMPORT of a file that must be refused: the object's own memory, itself, a pipe, a bad fd. */
void op_import(struct worker *w, struct target *t);

#endif /* FUZZER_SHARE_H */

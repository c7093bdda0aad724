/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fuzzer's other descriptors: REOPEN, EXPORT and IMPORT.
 */
#ifndef FUZZER_SHARE_H
#define FUZZER_SHARE_H

#include "worker.h"

void op_share(struct worker *w, struct target *t);

/* Nothing here can be imported: an object's own memory, another object, nothing at all. */
void op_import(struct worker *w, struct target *t);

#endif /* FUZZER_SHARE_H */

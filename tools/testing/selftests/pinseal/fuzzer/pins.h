/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fuzzer's PINS: the listing is consistent, and shows the worker's own references.
 */
#ifndef FUZZER_PINS_H
#define FUZZER_PINS_H

#include "worker.h"

/* Lists a random range, often with an invalid argument, and checks the result. */
void op_pins(struct worker *w, struct target *t);

#endif /* FUZZER_PINS_H */

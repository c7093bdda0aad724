/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fuzzer's PINS: whether it fits together, and tells of what the worker itself holds.
 */
#ifndef FUZZER_PINS_H
#define FUZZER_PINS_H

#include "worker.h"

void op_pins(struct worker *w, struct target *t);

#endif /* FUZZER_PINS_H */

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Fault injection: the n-th allocation or user copy of this task fails
 * (CONFIG_FAULT_INJECTION; Documentation/fault-injection).
 */
#ifndef FAULT_INJECTION_H
#define FAULT_INJECTION_H

#include "pinseal_test.h"

/* faults_init() - for all tasks: 0, or -ENOENT without fault injection. */
int faults_init(void);

/* faults_begin() - in the task whose calls are to fail. */
int faults_begin(void);

/* fault_arm() - makes the @nth allocation or copy from now on fail, once; 0: none. */
void fault_arm(unsigned int nth);

/* fault_disarm() - whether it has failed. */
bool fault_disarm(void);

#endif /* FAULT_INJECTION_H */

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Making the n-th allocation or user copy of this task fail, by the kernel's fault
 * injection (CONFIG_FAULT_INJECTION; Documentation/fault-injection).
 */
#ifndef FAULT_INJECTION_H
#define FAULT_INJECTION_H

#include "pinseal_test.h"

/* Once for all tasks: 0, or -ENOENT if this kernel cannot do it. */
int faults_init(void);

/* To be called by the task whose calls are to fail. */
int faults_begin(void);

/* From now on the @nth thing that can fail fails, once; with 0, nothing does. */
void fault_arm(unsigned int nth);

/* No more: whether something has failed. */
bool fault_disarm(void);

#endif /* FAULT_INJECTION_H */

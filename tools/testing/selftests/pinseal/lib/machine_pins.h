/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How many pins (FOLL_PIN) there are, by the kernel's own count.
 */
#ifndef MACHINE_PINS_H
#define MACHINE_PINS_H

#include <stdio.h>

#include "sysfile.h"

/* Pins (FOLL_PIN) that there are in the machine now. */
long machine_pins(void);

#endif /* MACHINE_PINS_H */

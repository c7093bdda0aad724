/* SPDX-License-Identifier: GPL-2.0-only */
/* Pins (FOLL_PIN) of the machine, by the kernel's count. */
#ifndef MACHINE_PINS_H
#define MACHINE_PINS_H

#include <stdio.h>

#include "sysfile.h"

/* machine_pins() - the present number. */
long machine_pins(void);

#endif /* MACHINE_PINS_H */

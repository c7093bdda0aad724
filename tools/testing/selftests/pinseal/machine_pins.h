/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How many pins (FOLL_PIN) there are, by the kernel's own count.
 */
#ifndef MACHINE_PINS_H
#define MACHINE_PINS_H

#include <stdio.h>

#include "sysfile.h"

/* Pins (FOLL_PIN) that there are in the machine now. */
static inline long machine_pins(void)
{
	FILE *f;
	char line[128];
	long acquired = 0, released = 0;

	/* CPUs keep some of their counts to themselves. */
	write_text("/proc/sys/vm/stat_refresh", "1");
	f = fopen("/proc/vmstat", "re");
	while (f && fgets(line, sizeof(line), f)) {
		sscanf(line, "nr_foll_pin_acquired %ld", &acquired);
		sscanf(line, "nr_foll_pin_released %ld", &released);
	}
	if (f)
		fclose(f);
	return acquired - released;
}

#endif /* MACHINE_PINS_H */

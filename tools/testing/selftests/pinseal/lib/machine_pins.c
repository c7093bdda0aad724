// SPDX-License-Identifier: GPL-2.0-only
#include "machine_pins.h"

long machine_pins(void)
{
	FILE *f;
	char line[128];
	long acquired = 0, released = 0;

	/* Adds up the counts of all CPUs. */
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

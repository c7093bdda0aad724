/* SPDX-License-Identifier: GPL-2.0-only */
/* Held pages and arguments of isolating seals. */
#ifndef ISOLATE_H
#define ISOLATE_H

#include "sealer.h"

#define PAGES		16
#define HELD_FROM	3
#define HELD		5

#define SEAL_ALL	(F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW)

static inline struct pinseal_seal isolate_at_once(void)
{
	struct pinseal_seal arg = seal_write(0);

	arg.seals = SEAL_ALL;
	arg.flags = PINSEAL_SEAL_NOWAIT | PINSEAL_SEAL_ISOLATE;
	return arg;
}

#endif /* ISOLATE_H */

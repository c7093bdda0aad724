/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fuzzer's PROTECT: protections of pages of a worker's mappings and which pages of the object
 * they show, of one range or of many, also where it must be refused and then changes nothing; and
 * the list of them.
 */
#ifndef FUZZER_PROTECT_PAGES_H
#define FUZZER_PROTECT_PAGES_H

#include "worker.h"

/* Gives pages of an inherited mapping protections, in a child. It has no log. */
void child_protect(struct worker *w, struct mapping *map);

/* Gives pages of a mapping of @t protections, and accesses it. Makes one if there is none. */
void op_protect(struct worker *w, struct target *t);

#endif /* FUZZER_PROTECT_PAGES_H */

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fuzzer's mappings: made, stored through, changed in every way, thrown away.
 */
#ifndef FUZZER_VIEW_H
#define FUZZER_VIEW_H

#include "worker.h"

/* A sealed object has no shared mapping that is writable, or could be made so. */
void check_views(struct worker *w);
struct view *find_view(struct worker *w, struct target *t);
void drop_view(struct worker *w, struct view *v);

/* Makes a mapping: NULL if it could not. */
struct view *make_view(struct worker *w, struct target *t);
void op_map(struct worker *w, struct target *t);
void op_unmap(struct worker *w, struct target *t);

/* Stores some bytes. */
void store(struct worker *w, struct view *v, unsigned int times);
void op_store(struct worker *w, struct target *t);

/* Compares what a mapping shows with what it must show. */
void op_load(struct worker *w, struct target *t);

/*
 * Maps, stores and unmaps: most mappings are short-lived, and delay a seal for a moment only.
 * Some times in a row, so that a sealer meets one that is being made.
 */
void op_map_and_store(struct worker *w, struct target *t);
void move(struct worker *w, struct view *v);
void cut(struct worker *w, struct view *v);
void op_change_view(struct worker *w, struct target *t);

#endif /* FUZZER_VIEW_H */

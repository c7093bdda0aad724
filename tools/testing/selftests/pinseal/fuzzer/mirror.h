/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fuzzer's mirrors of its own mappings, read and written while those change, go and are
 * replaced. A store through a mirror is one through the mapping. A mirror without a mapping
 * gives access to no page, and delays no seal.
 */
#ifndef FUZZER_MIRROR_H
#define FUZZER_MIRROR_H

#include "worker.h"

/* Closes @m, if it is in use, and frees its slot. */
void close_mirror(struct worker *w, struct mirror *m);

/*
 * Uses a mirror of @t, whatever became of its mapping. Without one, makes one: of an existing
 * mapping, or of one that is unmapped at once.
 */
void op_mirror(struct worker *w, struct target *t);

/* A child writes through an inherited mirror to its parent's mapping. It has no log. */
void child_store_by_mirror(struct worker *w, struct mirror *m);

/* Leaves a used mirror of a mapping that is then unmapped: its descriptor, or -errno. */
int make_final_mirror(struct worker *w, struct target *t);

/* The object was sealed for write since: the mirror must fault. */
void check_final_mirror(struct worker *w, struct target *t, int mirror);

#endif /* FUZZER_MIRROR_H */

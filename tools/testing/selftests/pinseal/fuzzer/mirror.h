/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fuzzer's mirrors of its own mappings, read and written while those change, go and are
 * replaced. A store through a mirror is one through the mapping. A mirror without a mapping
 * gives access to no page, and delays no seal.
 */
#ifndef FUZZER_MIRROR_H
#define FUZZER_MIRROR_H

#include "worker.h"

void drop_mirror(struct worker *w, struct mirror *m);

/*
 * Uses one, whatever has become of what it mirrors, or makes one: of a mapping that there is,
 * or of one that goes at once.
 */
void op_mirror(struct worker *w, struct target *t);

/* A child writes by what it inherited, to what its parent has mapped. It has no log. */
void child_store_by_mirror(struct worker *w, struct mirror *m);

/* A mirror by which was written, of a mapping that is gone: its descriptor, or -errno. */
int leave_mirror(struct worker *w, struct target *t);

/* The object was sealed for write since then. */
void check_left_mirror(struct worker *w, struct target *t, int mirror);

#endif /* FUZZER_MIRROR_H */

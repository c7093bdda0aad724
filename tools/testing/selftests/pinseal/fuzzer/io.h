/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fuzzer's reads, writes, seeks and splices, and other calls on a descriptor.
 */
#ifndef FUZZER_IO_H
#define FUZZER_IO_H

#include "worker.h"

size_t random_len(struct worker *w);

/* Memory for I/O: the worker's own, some object's, or none. */
void *random_memory(struct worker *w, size_t *len);

/* Bytes were read by the kernel into a view, if that is where @memory is. */
void view_was_filled(struct worker *w, const void *memory);
void op_read(struct worker *w, struct target *t);
void op_write(struct worker *w, struct target *t);
void op_seek(struct worker *w, struct target *t);
void op_splice(struct worker *w, struct target *t);

/* Opens or closes the number that others may be using. */
void op_reopen(struct worker *w, struct target *t);
void op_nonblock(struct worker *w, struct target *t);

/* Sends a descriptor through a socket, and perhaps lets it go while it is in there. */
void op_send(struct worker *w, struct target *t);

/* What the VFS refuses or answers by itself. */
void op_other(struct worker *w, struct target *t);

#endif /* FUZZER_IO_H */

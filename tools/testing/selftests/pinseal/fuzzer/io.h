/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fuzzer's reads, writes, seeks and splices, and other calls on a descriptor.
 */
#ifndef FUZZER_IO_H
#define FUZZER_IO_H

#include "worker.h"

/* Returns a random length for I/O: at most three pages, never 0. */
size_t random_len(struct worker *w);

/*
 * Returns memory for I/O: the worker's buffer, a mapping or a bad address. Shortens *@len to
 * fit.
 */
void *random_memory(struct worker *w, size_t *len);

/* Records that the kernel read bytes into the mapping that contains @memory, if one does. */
void mapping_was_filled(struct worker *w, const void *memory);

/* Makes a read() of one kind or another and checks the bytes of a sealed object. */
void op_read(struct worker *w, struct target *t);

/* Makes a write() of one kind or another and checks it against the seals. */
void op_write(struct worker *w, struct target *t);

/* Seeks, and checks the size and the data or hole that lseek() reports. */
void op_seek(struct worker *w, struct target *t);

/* Moves pages between the object and the worker's pipe. */
void op_splice(struct worker *w, struct target *t);

/* Opens or closes the target's doomed descriptor, which other workers may be using. */
void op_doomed_fd(struct worker *w, struct target *t);

/* Sets or clears O_NONBLOCK on the target's descriptor. */
void op_nonblock(struct worker *w, struct target *t);

/* Sends a descriptor through a socket; half the time closes the socket with it in flight. */
void op_pass_fd(struct worker *w, struct target *t);

/* Makes a call that the VFS refuses or handles on its own. */
void op_other(struct worker *w, struct target *t);

#endif /* FUZZER_IO_H */

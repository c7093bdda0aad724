/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef WRITE_BARRIER_H
#define WRITE_BARRIER_H

/* write_barriers() - rows of a garbage collector's write barrier. */
void write_barriers(void);

#endif /* WRITE_BARRIER_H */

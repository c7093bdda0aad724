/* SPDX-License-Identifier: GPL-2.0-only */
/* Functions in machine code, to be run from pages of an object. */
#ifndef MACHINE_CODE_H
#define MACHINE_CODE_H

#include "pinseal_test.h"

/* write_code() - writes a function that returns @value at @at of @fd: 0, or -errno. */
int write_code(int fd, off_t at, unsigned char value);

/* run_code() - in a child: what the function at @p returns, or 128 + the signal that this raised. */
int run_code(const void *p);

#endif /* MACHINE_CODE_H */

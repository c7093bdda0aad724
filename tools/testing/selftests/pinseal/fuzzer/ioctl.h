/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fuzzer's simpler commands, and the forms in which all commands get their
 * argument: right ones, and such that nothing may happen.
 */
#ifndef FUZZER_IOCTL_H
#define FUZZER_IOCTL_H

#include "worker.h"

/* Where the argument is, and how large the command word says it is. */
enum form {
	PLAIN,
	OLD,			/* of the first version of the struct, or not much longer */
	LONG,			/* and the tail is zero */
	LONG_DIRTY,		/* and the tail is not zero */
	SHORT,
	READ_ONLY,		/* it ends where memory ends, too */
	CUT,			/* the last bytes lie where no memory is */
	NOWHERE,
};

extern const char *const form_names[];

enum form random_form(struct worker *w);

/* What a command whose struct is presented like that must fail with, or 0. */
int form_error(enum form form, unsigned int cmd);

/* Makes the call that has begun. @data is the struct, in and out. */
int ioctl_as(struct worker *w, enum form form, unsigned int cmd, void *data);

/* A call that is right for the module failed as if it were not. */
void call_was_right(struct worker *w, int ret);
void op_info(struct worker *w, struct target *t);
void op_get_seals(struct worker *w, struct target *t);
void op_set_name(struct worker *w, struct target *t);

/* Numbers and types that are no command. */
void op_unknown(struct worker *w, struct target *t);

#endif /* FUZZER_IOCTL_H */

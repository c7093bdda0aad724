/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fuzzer's simpler commands, and the forms in which every command passes its argument. A
 * command must have no effect if the form is invalid.
 */
#ifndef FUZZER_IOCTL_H
#define FUZZER_IOCTL_H

#include "worker.h"

/* Location of the argument, and its size according to the command word. */
enum form {
	PLAIN,
	OLD,			/* at least as long as the first version of the struct */
	LONG,			/* larger than the struct, the tail is zero */
	LONG_DIRTY,		/* the same, but the tail is not zero */
	SHORT,			/* smaller than the first version */
	READ_ONLY,		/* in read-only memory, and ends where memory ends */
	CUT,			/* the last bytes are unmapped */
	NOWHERE,		/* a bad address */
};

/* Names for messages, indexed by enum form. */
extern const char *const form_names[];

/* Returns PLAIN mostly, otherwise a random form. */
enum form random_form(struct worker *w);

/* Returns the errno, as a positive number, that @cmd must fail with in this form, or 0. */
int form_error(enum form form, unsigned int cmd);

/* Makes the call that has begun, with @data as the struct. Copies the struct back to @data. */
int ioctl_as(struct worker *w, enum form form, unsigned int cmd, void *data);

/* Reports a valid call that failed as invalid. */
void call_was_valid(struct worker *w, int ret);

/* INFO: checks the size and the constants that it returns. */
void op_info(struct worker *w, struct target *t);

/* CREATE: an object that is closed at once. */
void op_create(struct worker *w, struct target *t);

/* GET_SEALS, or F_GET_SEALS on the inner file: checks the seals that it returns. */
void op_get_seals(struct worker *w, struct target *t);

/* SET_NAME: valid only until the object is in use. */
void op_set_name(struct worker *w, struct target *t);

/* Makes an ioctl() that is no command. It must fail with ENOTTY. */
void op_unknown(struct worker *w, struct target *t);

#endif /* FUZZER_IOCTL_H */

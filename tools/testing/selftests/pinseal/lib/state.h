/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The state of an object as one can ask for it: size, seals, name, what is being sealed. To see
 * that a call that failed has changed nothing.
 */
#ifndef STATE_H
#define STATE_H

#include "pinseal_test.h"

/* What a call that failed must not have changed. */
struct state {
	int64_t size;
	int seals;
	char name[256];
	char sealing[16];		/* in the background */
};

/* The rest of the line "@key:" of the descriptor's fdinfo: 0, or -errno. */
int fdinfo_value(int fd, const char *key, char *value, size_t len);

struct state get_state(int fd);

bool same_state(int fd, const struct state *before);

#endif /* STATE_H */

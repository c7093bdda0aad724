/* SPDX-License-Identifier: GPL-2.0-only */
/* Visible state of an object, which a failed call must not change. */
#ifndef STATE_H
#define STATE_H

#include "pinseal_test.h"

struct state {
	int64_t size;
	int seals;
	char name[256];
	char sealing[16];		/* of an asynchronous seal */
};

/* The rest of the line "@key:" of the descriptor's fdinfo: 0, or -errno. */
int fdinfo_value(int fd, const char *key, char *value, size_t len);

/* waiters_become() - whether fdinfo soon shows @want waiters. */
bool waiters_become(int fd, const char *want);

struct state get_state(int fd);

bool same_state(int fd, const struct state *before);

#endif /* STATE_H */

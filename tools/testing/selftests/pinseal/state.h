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
static inline int fdinfo_value(int fd, const char *key, char *value, size_t len)
{
	char path[64], line[256];
	size_t key_len = strlen(key);
	int ret = -ENOENT;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	while (ret && fgets(line, sizeof(line), f)) {
		char *p = line + key_len + 1;

		if (strncmp(line, key, key_len) || line[key_len] != ':')
			continue;
		p += strspn(p, " \t");
		p[strcspn(p, "\n")] = '\0';
		snprintf(value, len, "%s", p);
		ret = 0;
	}
	fclose(f);
	return ret;
}

static inline struct state get_state(int fd)
{
	struct state state = { .size = ps_size(fd), .seals = ps_get_seals(fd) };

	fdinfo_value(fd, "name", state.name, sizeof(state.name));
	fdinfo_value(fd, "sealing", state.sealing, sizeof(state.sealing));
	return state;
}

static inline bool same_state(int fd, const struct state *before)
{
	struct state now = get_state(fd);

	return now.size == before->size && now.seals == before->seals &&
	       !strcmp(now.name, before->name) && !strcmp(now.sealing, before->sealing);
}

#endif /* STATE_H */

// SPDX-License-Identifier: GPL-2.0-only
#include "state.h"

int fdinfo_value(int fd, const char *key, char *value, size_t len)
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

bool waiters_become(int fd, const char *want)
{
	uint64_t until = now_ns() + SOON_NS;
	char shown[32] = "";

	do {
		if (fdinfo_value(fd, "waiters", shown, sizeof(shown)))
			return false;
		if (!strcmp(want, shown))
			return true;
		sleep_ns(NSEC_PER_MSEC);
	} while (now_ns() < until);
	printf("# waiters: %s\n", shown);
	return false;
}

struct state get_state(int fd)
{
	struct state state = { .size = ps_size(fd), .seals = ps_get_seals(fd) };

	fdinfo_value(fd, "name", state.name, sizeof(state.name));
	fdinfo_value(fd, "sealing", state.sealing, sizeof(state.sealing));
	return state;
}

bool same_state(int fd, const struct state *before)
{
	struct state now = get_state(fd);

	return now.size == before->size && now.seals == before->seals &&
	       !strcmp(now.name, before->name) && !strcmp(now.sealing, before->sealing);
}

// SPDX-License-Identifier: GPL-2.0-only
#include "arena.h"

int arena_init(struct arena *arena)
{
	size_t page = page_size();
	size_t part = (MAX_SIZE + page) / page * page;
	char *p = mmap(NULL, 3 * part, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return -errno;
	arena->rw = p;
	arena->ro = p + part;
	arena->none = p + 2 * part;
	arena->part = part;
	return sys(mprotect(arena->none, part, PROT_NONE));
}

void arena_put(struct arena *arena, char *at, const void *data, size_t size)
{
	size_t room = arena->none - at;

	mprotect(arena->ro, arena->part, PROT_READ | PROT_WRITE);
	memcpy(at, data, size < room ? size : room);
	mprotect(arena->ro, arena->part, PROT_READ);
}

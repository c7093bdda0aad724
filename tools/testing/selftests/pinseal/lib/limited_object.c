// SPDX-License-Identifier: GPL-2.0-only
#include "limited_object.h"

size_t limited_object_limit(void)
{
	size_t least = 3 << 20, pages = 384 * page_size();

	return pages > least ? pages : least;
}

size_t limited_object_size(void)
{
	return 2 * limited_object_limit();
}

bool limited_object_possible(void)
{
	return zram_is_there() && memcg_is_there();
}

int limited_object_begin(struct limited_object *s, enum object_kind kind)
{
	int ret;

	s->shmem_before = shmem_pages();
	ret = zram_swap_begin(&s->swap, 4 * limited_object_size());
	if (!ret)
		ret = memcg_make(&s->group, NULL, "limited");
	if (!ret)
		ret = memcg_write_number(&s->group, "memory.max", limited_object_limit());
	/* The copy is not charged to the group. */
	if (!ret)
		ret = shadow_init(&s->object, limited_object_size());
	if (!ret)
		ret = memcg_join(&s->group);
	if (ret)
		return ret;
	s->object.fd = obj_open(kind);
	return s->object.fd < 0 ? s->object.fd : 0;
}

bool limited_object_end(struct limited_object *s)
{
	bool is_free = memcg_is_free(&s->group, &s->left, SOON_NS);

	s->shmem_left = shmem_pages() - s->shmem_before;
	memcg_remove(&s->group);
	zram_swap_end(&s->swap);
	return is_free && s->shmem_left <= SHMEM_NOISE;
}

bool limited_object_swap_out(struct limited_object *s)
{
	long few = s->object.size / page_size() / 8;

	for (int i = 0; i < 200; i++) {
		memcg_reclaim(&s->group, limited_object_limit());
		if (shadow_resident(&s->object) <= few)
			return true;
		sleep_ns(10 * NSEC_PER_MSEC);
	}
	return false;
}

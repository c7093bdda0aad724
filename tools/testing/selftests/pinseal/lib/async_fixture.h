/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Fixture of asynchronous seals: an object with a held page. To be included after harness.h.
 */
#ifndef ASYNC_FIXTURE_H
#define ASYNC_FIXTURE_H

#include "async.h"
#include "holders.h"
#include "object.h"
#include "rounds.h"

#define HELD		3		/* the held page */
#define FOR_EVER	UINT64_MAX

/* @memory: the exported memory of the object */
FIXTURE(async)
{
	int fd, memory;
	size_t len;
	struct hold hold;
	bool held;
};

FIXTURE_SETUP(async)
{
	self->len = PAGES * page_size();
	self->fd = ps_create(self->len);
	ASSERT_LE(0, self->fd);
	self->memory = ps_export(self->fd, 0);
	ASSERT_LE(0, self->memory);
	ASSERT_EQ(0, hold_begin(&self->hold, HOLD_VMSPLICE, self->fd, HELD, 1));
	self->held = true;
}

static int release_page(FIXTURE_DATA(async) *self)
{
	self->held = false;
	return hold_end(&self->hold);
}

FIXTURE_TEARDOWN(async)
{
	if (self->held)
		release_page(self);
	close(self->memory);
	if (self->fd >= 0)
		close(self->fd);
}

#endif /* ASYNC_FIXTURE_H */

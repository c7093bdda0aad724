/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tests of sealing in the background share: an object of which a page is held.
 *
 * To be included after harness.h.
 */
#ifndef ASYNC_FIXTURE_H
#define ASYNC_FIXTURE_H

#include "async.h"
#include "holders.h"
#include "object.h"
#include "rounds.h"

#define HELD		3		/* the page that is held */
#define FOR_EVER	UINT64_MAX

/* An object with one held page, and an exported descriptor that shows what becomes of it. */
FIXTURE(background)
{
	int fd, memory;
	size_t len;
	struct hold hold;
	bool holding;
};

FIXTURE_SETUP(background)
{
	self->len = PAGES * page_size();
	self->fd = ps_create(self->len);
	ASSERT_LE(0, self->fd);
	self->memory = ps_export(self->fd, 0);
	ASSERT_LE(0, self->memory);
	ASSERT_EQ(0, hold_begin(&self->hold, HOLD_VMSPLICE, self->fd, HELD, 1));
	self->holding = true;
}

static int let_go(FIXTURE_DATA(background) *self)
{
	self->holding = false;
	return hold_end(&self->hold);
}

FIXTURE_TEARDOWN(background)
{
	if (self->holding)
		let_go(self);
	close(self->memory);
	if (self->fd >= 0)
		close(self->fd);
}

#endif /* ASYNC_FIXTURE_H */

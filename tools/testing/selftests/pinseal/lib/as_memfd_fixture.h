/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Fixture of what a created descriptor must be: a memfd, or a created one, and a memfd to
 * compare it with. To be included after harness.h.
 */
#ifndef AS_MEMFD_FIXTURE_H
#define AS_MEMFD_FIXTURE_H

#include "bytes.h"
#include "object.h"

#define PAGES		4

/*
 * @fd: of the variant's kind, of PAGES pages, filled
 * @memfd: a memfd like it, to compare with where the result depends on the kernel
 */
FIXTURE(as_memfd) {
	int fd, memfd;
	size_t page, len;
	char *buf;
};

ON_MEMFDS(as_memfd);

FIXTURE_SETUP(as_memfd)
{
	self->page = page_size();
	self->len = PAGES * self->page;
	self->fd = obj_open(variant->kind);
	ASSERT_LE(0, self->fd);
	self->memfd = memfd_open();
	ASSERT_LE(0, self->memfd);
	self->buf = malloc(2 * self->len);
	ASSERT_NE(NULL, self->buf);
	fill(self->buf, self->len, 1);
	ASSERT_EQ(self->len, sys(pwrite(self->fd, self->buf, self->len, 0)));
	ASSERT_EQ(self->len, sys(pwrite(self->memfd, self->buf, self->len, 0)));
}

FIXTURE_TEARDOWN(as_memfd)
{
	close(self->fd);
	close(self->memfd);
	free(self->buf);
}

/* Whether the first bytes of @fd are the fixture's. */
static inline bool is_copy(FIXTURE_DATA(as_memfd) *self, int fd)
{
	memset(self->buf, 0, self->len);
	return pread(fd, self->buf, self->len, 0) == (ssize_t)self->len &&
	       is_filled(self->buf, self->len, 1);
}

#endif /* AS_MEMFD_FIXTURE_H */

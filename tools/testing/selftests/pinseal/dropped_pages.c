// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reclaim drops pages that are not dirty: shmem takes them for holes. A pin can write to a page that
 * nothing marks dirty: a load has mapped a hole, writable, and no store came before the pin. What a sealed
 * object has must not become zeros by that.
 */
#include "bytes.h"
#include "madvise.h"
#include "object.h"
#include "sealer.h"
#include "sysfile.h"
#include "udmabuf.h"
#include "uring.h"

#include "harness.h"

#define N	16

FIXTURE(dropped) {
	int fd;
	size_t page, len;
	char *content;
};

FIXTURE_VARIANT(dropped) { enum object_kind kind; };
FIXTURE_VARIANT_ADD(dropped, pinseal) { PINSEAL };
FIXTURE_VARIANT_ADD(dropped, imported) { IMPORTED };
FIXTURE_VARIANT_ADD(dropped, created) { CREATED };

FIXTURE_SETUP(dropped)
{
	self->page = page_size();
	self->len = N * self->page;
	self->fd = obj_create(variant->kind, self->len);
	ASSERT_LE(0, self->fd);
	self->content = malloc(self->len);
	ASSERT_NE(NULL, self->content);
	memset(self->content, 'B', self->len);
}

FIXTURE_TEARDOWN(dropped)
{
	free(self->content);
	close(self->fd);
}

/* The object is sealed, and its pages are not mapped: reads them before and after reclaim. */
static void check_content(struct __test_metadata *_metadata, FIXTURE_DATA(dropped) *self)
{
	char *is = calloc(1, self->len), *p;

	ASSERT_NE(NULL, is);
	ASSERT_EQ(self->len, sys(pread(self->fd, is, self->len, 0)));
	ASSERT_EQ(0, memcmp(is, self->content, self->len));
	p = ps_map(self->fd, self->len, PROT_READ, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(0, memcmp(p, self->content, self->len));
		EXPECT_EQ(0, sys(madvise(p, self->len, MADV_PAGEOUT)));
	}
	write_text("/proc/sys/vm/drop_caches", "1");
	munmap(p, self->len);
	write_text("/proc/sys/vm/drop_caches", "1");
	ASSERT_EQ(self->len, sys(pread(self->fd, is, self->len, 0)));
	EXPECT_EQ(0, memcmp(is, self->content, self->len));
	free(is);
}

/* Maps the object, and reads it: each page is there, clean, and may be stored to without a fault. */
static char *map_holes(int fd, size_t len)
{
	char *p = ps_map(fd, len, RW, MAP_SHARED);

	for (size_t at = 0; p != MAP_FAILED && at < len; at += page_size())
		(void)*(volatile char *)(p + at);
	return p;
}

static int read_fixed(struct uring *ring, char *p, const char *content, size_t len)
{
	int file = memfd_open(), ret;
	struct io_uring_cqe cqe;

	if (pwrite(file, content, len, 0) != (ssize_t)len)
		return -EIO;
	ret = uring_submit(ring, &(struct io_uring_sqe){
		.opcode = IORING_OP_READ_FIXED, .fd = file, .addr = (uintptr_t)p, .len = len,
	}) ?: uring_wait(ring, &cqe);
	close(file);
	return ret ?: cqe.res;
}

/* The ring still pins the pages, which are not mapped any more. */
static void write_by_ring(struct __test_metadata *_metadata, FIXTURE_DATA(dropped) *self,
			  struct uring *ring)
{
	char *p = map_holes(self->fd, self->len);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, uring_open(ring, 4, 0));
	ASSERT_EQ(0, uring_register_buffer(ring, p, self->len));
	ASSERT_EQ(self->len, read_fixed(ring, p, self->content, self->len));
	munmap(p, self->len);
}

TEST_F(dropped, what_io_uring_has_read_stays)
{
	struct uring ring;

	write_by_ring(_metadata, self, &ring);
	ASSERT_EQ(0, uring_unregister_buffers(&ring));
	uring_close(&ring);
	ASSERT_EQ(0, ps_add_seals(self->fd, F_SEAL_WRITE));
	check_content(_metadata, self);
}

/* The seal sees the pages while they are pinned, and once more when they are not. */
TEST_F(dropped, what_io_uring_has_read_during_a_seal_stays)
{
	struct sealer sealer;
	struct uring ring;

	write_by_ring(_metadata, self, &ring);
	ASSERT_EQ(0, sealer_start(&sealer, self->fd, seal_write(LONG_NS)));
	EXPECT_FALSE(sealer_done(&sealer));
	ASSERT_EQ(0, uring_unregister_buffers(&ring));
	uring_close(&ring);
	EXPECT_EQ(0, sealer_join(&sealer));
	check_content(_metadata, self);
}

TEST_F(dropped, what_a_device_has_written_stays)
{
	int memory = self->fd, buf;
	char *p;

	if (!udmabuf_is_there())
		SKIP(return, "no udmabuf");
	ASSERT_EQ(0, ps_add_seals(self->fd, F_SEAL_SHRINK));
	if (variant->kind != CREATED)
		memory = ps_export(self->fd, 0);
	buf = udmabuf_make(memory, 0, self->len);
	ASSERT_LE(0, buf);
	p = ps_map(buf, self->len, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	memset(p, 'B', self->len);
	munmap(p, self->len);
	close(buf);
	if (memory != self->fd)
		close(memory);
	ASSERT_EQ(0, ps_add_seals(self->fd, F_SEAL_WRITE));
	check_content(_metadata, self);
}

TEST_HARNESS_MAIN

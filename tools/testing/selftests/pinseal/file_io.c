// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reading, writing, splicing, seeking, sizes, holes and allocation.
 *
 * Runs on a memfd, an object and an imported memfd: the memfd variant proves what shmem
 * does, the others that the object does the same.
 */
#include <stddef.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#include "harness.h"
#include "bytes.h"
#include "object.h"

#define GIB		(1ULL << 30)
#define LLFS_MAX	0x7fffffffffffffffLL	/* 2^63 - 1 */

/* An empty object and a buffer of eight pages, filled. */
FIXTURE(file_io) {
	int fd;
	size_t page;
	char *buf;
};

ON_EVERY_KIND(file_io);

FIXTURE_SETUP(file_io)
{
	self->page = page_size();
	self->fd = obj_open(variant->kind);
	ASSERT_LE(0, self->fd);
	self->buf = malloc(8 * self->page);
	ASSERT_NE(NULL, self->buf);
	fill(self->buf, 8 * self->page, 1);
}

FIXTURE_TEARDOWN(file_io)
{
	close(self->fd);
	free(self->buf);
}

/* Reading and writing */

TEST_F(file_io, begins_empty)
{
	EXPECT_EQ(0, obj_size(self->fd));
	EXPECT_EQ(0, sys(read(self->fd, self->buf, 1)));
}

TEST_F(file_io, reads_what_was_written)
{
	char back[100];

	ASSERT_EQ(100, sys(pwrite(self->fd, self->buf, 100, 0)));
	ASSERT_EQ(100, sys(pread(self->fd, back, 100, 0)));
	EXPECT_EQ(0, memcmp(self->buf, back, 100));
}

TEST_F(file_io, read_and_write_move_the_position)
{
	char back[30];

	ASSERT_EQ(100, sys(write(self->fd, self->buf, 100)));
	EXPECT_EQ(100, sys(lseek(self->fd, 0, SEEK_CUR)));
	ASSERT_EQ(50, sys(lseek(self->fd, 50, SEEK_SET)));
	ASSERT_EQ(30, sys(read(self->fd, back, 30)));
	EXPECT_EQ(80, sys(lseek(self->fd, 0, SEEK_CUR)));
	EXPECT_EQ(0, memcmp(self->buf + 50, back, 30));
}

TEST_F(file_io, pread_and_pwrite_leave_the_position)
{
	ASSERT_EQ(7, sys(lseek(self->fd, 7, SEEK_SET)));
	ASSERT_EQ(100, sys(pwrite(self->fd, self->buf, 100, 20)));
	ASSERT_EQ(50, sys(pread(self->fd, self->buf, 50, 20)));
	EXPECT_EQ(7, sys(lseek(self->fd, 0, SEEK_CUR)));
}

TEST_F(file_io, vectors_are_gathered_and_scattered)
{
	char *buf = self->buf;
	size_t page = self->page;
	char back[3][200];
	struct iovec out[] = {
		{ buf, 10 }, { buf + 10, 0 }, { buf + 10, page }, { buf + 10 + page, 90 },
	};
	struct iovec in[] = { { back[0], 200 }, { back[1], 1 }, { back[2], 199 } };

	ASSERT_EQ(100 + page, sys(writev(self->fd, out, 4)));
	ASSERT_EQ(0, sys(lseek(self->fd, 0, SEEK_SET)));
	ASSERT_EQ(400, sys(readv(self->fd, in, 3)));
	EXPECT_EQ(0, memcmp(buf, back[0], 200));
	EXPECT_EQ(0, memcmp(buf + 200, back[1], 1));
	EXPECT_EQ(0, memcmp(buf + 201, back[2], 199));
}

TEST_F(file_io, vectors_work_at_an_offset)
{
	char back[2][50];
	struct iovec out[] = { { self->buf, 30 }, { self->buf + 30, 70 } };
	struct iovec in[] = { { back[0], 50 }, { back[1], 50 } };

	ASSERT_EQ(100, sys(pwritev(self->fd, out, 2, self->page - 40)));
	ASSERT_EQ(100, sys(preadv(self->fd, in, 2, self->page - 40)));
	EXPECT_EQ(0, memcmp(self->buf, back, 100));
	EXPECT_EQ(0, sys(lseek(self->fd, 0, SEEK_CUR)));
}

TEST_F(file_io, read_stops_at_the_end)
{
	ASSERT_EQ(0, obj_resize(self->fd, self->page + 10));
	EXPECT_EQ(11, sys(pread(self->fd, self->buf, 4 * self->page, self->page - 1)));
	EXPECT_EQ(0, sys(pread(self->fd, self->buf, 1, self->page + 10)));
	EXPECT_EQ(0, sys(pread(self->fd, self->buf, 1, 5 * self->page)));
}

TEST_F(file_io, nothing_is_read_or_written_with_length_zero)
{
	EXPECT_EQ(0, sys(pwrite(self->fd, self->buf, 0, 100)));
	EXPECT_EQ(0, sys(pread(self->fd, self->buf, 0, 0)));
	EXPECT_EQ(0, obj_size(self->fd));
}

TEST_F(file_io, write_past_the_end_grows)
{
	ASSERT_EQ(10, sys(pwrite(self->fd, self->buf, 10, 3 * self->page + 5)));
	EXPECT_EQ(3 * self->page + 15, obj_size(self->fd));
	ASSERT_EQ(3 * self->page + 5, sys(pread(self->fd, self->buf, 3 * self->page + 5, 0)));
	EXPECT_TRUE(is_zero(self->buf, 3 * self->page + 5));
}

TEST_F(file_io, write_inside_does_not_change_the_size)
{
	ASSERT_EQ(0, obj_resize(self->fd, 2 * self->page));
	ASSERT_EQ(10, sys(pwrite(self->fd, self->buf, 10, 5)));
	EXPECT_EQ(2 * self->page, obj_size(self->fd));
}

TEST_F(file_io, every_size_around_a_page_reads_zero_to_its_end)
{
	const size_t sizes[] = {
		0, 1, 2, self->page - 1, self->page, self->page + 1, 3 * self->page - 1,
		3 * self->page,
	};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		ASSERT_EQ(0, obj_resize(self->fd, sizes[i]));
		fill(self->buf, 8 * self->page, 1);
		EXPECT_EQ(sizes[i], sys(pread(self->fd, self->buf, 8 * self->page, 0)));
		EXPECT_TRUE(is_zero(self->buf, sizes[i])) {
			TH_LOG("size %zu", sizes[i]);
		}
		EXPECT_EQ(sizes[i], obj_size(self->fd));
	}
}

TEST_F(file_io, every_size_around_a_page_keeps_its_bytes)
{
	const size_t sizes[] = {
		1, 2, self->page - 1, self->page, self->page + 1, 3 * self->page - 1,
		3 * self->page,
	};
	char *back = malloc(8 * self->page);

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		ASSERT_EQ(0, obj_resize(self->fd, 0));
		ASSERT_EQ(sizes[i], sys(pwrite(self->fd, self->buf, sizes[i], 0)));
		ASSERT_EQ(sizes[i], sys(pread(self->fd, back, 8 * self->page, 0)));
		EXPECT_EQ(0, memcmp(self->buf, back, sizes[i])) {
			TH_LOG("size %zu", sizes[i]);
		}
	}
	free(back);
}

TEST_F(file_io, shrinking_drops_bytes)
{
	ASSERT_EQ(2 * self->page, sys(pwrite(self->fd, self->buf, 2 * self->page, 0)));
	ASSERT_EQ(0, obj_resize(self->fd, 100));
	ASSERT_EQ(0, obj_resize(self->fd, 2 * self->page));
	ASSERT_EQ(2 * self->page, sys(pread(self->fd, self->buf, 2 * self->page, 0)));
	EXPECT_TRUE(is_filled(self->buf, 100, 1));
	EXPECT_TRUE(is_zero(self->buf + 100, 2 * self->page - 100));
}

TEST_F(file_io, o_append_writes_at_the_end)
{
	ASSERT_EQ(100, sys(pwrite(self->fd, self->buf, 100, 0)));
	ASSERT_EQ(0, sys(fcntl(self->fd, F_SETFL, O_APPEND)));
	ASSERT_EQ(3, sys(lseek(self->fd, 3, SEEK_SET)));
	ASSERT_EQ(10, sys(write(self->fd, self->buf, 10)));
	EXPECT_EQ(110, obj_size(self->fd));
	EXPECT_EQ(110, sys(lseek(self->fd, 0, SEEK_CUR)));
}

TEST_F(file_io, o_append_makes_pwrite_append_too)
{
	ASSERT_EQ(100, sys(pwrite(self->fd, self->buf, 100, 0)));
	ASSERT_EQ(0, sys(fcntl(self->fd, F_SETFL, O_APPEND)));
	ASSERT_EQ(10, sys(pwrite(self->fd, self->buf, 10, 0)));
	EXPECT_EQ(110, obj_size(self->fd));
	EXPECT_EQ(0, sys(lseek(self->fd, 0, SEEK_CUR)));
}

TEST_F(file_io, rwf_append_writes_at_the_end)
{
	struct iovec iov = { self->buf, 10 };

	ASSERT_EQ(100, sys(pwrite(self->fd, self->buf, 100, 0)));
	ASSERT_EQ(10, sys(pwritev2(self->fd, &iov, 1, 0, RWF_APPEND)));
	EXPECT_EQ(110, obj_size(self->fd));
}

TEST_F(file_io, bad_buffers_fault)
{
	char *none = mmap(NULL, self->page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_EQ(100, sys(pwrite(self->fd, self->buf, 100, 0)));
	EXPECT_EQ(-EFAULT, sys(pread(self->fd, none, 100, 0)));
	EXPECT_EQ(-EFAULT, sys(pwrite(self->fd, none, 100, 0)));
	EXPECT_EQ(100, obj_size(self->fd));
}

TEST_F(file_io, half_bad_buffers_are_used_up_to_the_bad_page)
{
	char *p = mmap(NULL, 2 * self->page, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_EQ(0, sys(mprotect(p + self->page, self->page, PROT_NONE)));
	ASSERT_EQ(4 * self->page, sys(pwrite(self->fd, self->buf, 4 * self->page, 0)));
	EXPECT_EQ(self->page, sys(pread(self->fd, p, 2 * self->page, 0)));
	EXPECT_TRUE(is_filled(p, self->page, 1));
	EXPECT_EQ(self->page, sys(pwrite(self->fd, p, 2 * self->page, 2 * self->page)));
}

TEST_F(file_io, negative_offsets_are_einval)
{
	EXPECT_EQ(-EINVAL, sys(pread(self->fd, self->buf, 1, -1)));
	EXPECT_EQ(-EINVAL, sys(pwrite(self->fd, self->buf, 1, -1)));
	EXPECT_EQ(-EINVAL, sys(pread(self->fd, self->buf, 1, -LLFS_MAX - 1)));
	EXPECT_EQ(0, obj_size(self->fd));
}

TEST_F(file_io, write_from_its_own_mapping_works)
{
	char *p;

	ASSERT_EQ(2 * self->page, sys(pwrite(self->fd, self->buf, 2 * self->page, 0)));
	p = ps_map(self->fd, 4 * self->page, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(2 * self->page, sys(pwrite(self->fd, p, 2 * self->page, 2 * self->page)));
	EXPECT_TRUE(is_filled(p, 2 * self->page, 1));
	EXPECT_EQ(0, memcmp(p, p + 2 * self->page, 2 * self->page));
}

TEST_F(file_io, write_of_a_page_onto_itself_works)
{
	char *p;

	ASSERT_EQ(self->page, sys(pwrite(self->fd, self->buf, self->page, 0)));
	p = ps_map(self->fd, self->page, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(self->page, sys(pwrite(self->fd, p, self->page, 0)));
	EXPECT_TRUE(is_filled(p, self->page, 1));
}

TEST_F(file_io, read_into_its_own_mapping_works)
{
	char *p;

	ASSERT_EQ(self->page, sys(pwrite(self->fd, self->buf, self->page, 0)));
	ASSERT_EQ(0, obj_resize(self->fd, 2 * self->page));
	p = ps_map(self->fd, 2 * self->page, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(self->page, sys(pread(self->fd, p + self->page, self->page, 0)));
	EXPECT_TRUE(is_filled(p + self->page, self->page, 1));
}

/* A child that may write files up to @limit bytes, and ignores SIGXFSZ. */
static pid_t fork_with_fsize_limit(size_t limit)
{
	struct rlimit rlim = { limit, limit };
	pid_t pid = ps_fork();

	if (!pid) {
		signal(SIGXFSZ, SIG_IGN);
		if (setrlimit(RLIMIT_FSIZE, &rlim))
			_exit(100);
	}
	return pid;
}

TEST_F(file_io, rlimit_fsize_bounds_write)
{
	pid_t pid = fork_with_fsize_limit(2 * self->page);

	if (!pid) {
		if (sys(pwrite(self->fd, self->buf, 1, 2 * self->page)) != -EFBIG)
			_exit(1);
		_exit(sys(pwrite(self->fd, self->buf, 100, 2 * self->page - 10)) != 10);
	}
	EXPECT_EQ(0, ps_wait(pid));
	EXPECT_EQ(2 * self->page, obj_size(self->fd));
}

TEST_F(file_io, rlimit_fsize_bounds_resize_and_fallocate)
{
	pid_t pid = fork_with_fsize_limit(2 * self->page);

	if (!pid) {
		if (obj_resize(self->fd, 2 * self->page + 1) != -EFBIG)
			_exit(1);
		if (obj_fallocate(self->fd, 0, 0, 2 * self->page + 1) != -EFBIG)
			_exit(2);
		if (obj_fallocate(self->fd, FALLOC_FL_KEEP_SIZE, 0, 2 * self->page + 1) != -EFBIG)
			_exit(3);
		_exit(obj_resize(self->fd, 2 * self->page) ? 4 : 0);
	}
	EXPECT_EQ(0, ps_wait(pid));
	EXPECT_EQ(2 * self->page, obj_size(self->fd));
}

TEST_F(file_io, rlimit_fsize_sends_sigxfsz)
{
	struct rlimit rlim = { self->page, self->page };
	pid_t pid = ps_fork();

	if (!pid) {
		setrlimit(RLIMIT_CORE, &(struct rlimit){ 0 });
		setrlimit(RLIMIT_FSIZE, &rlim);
		obj_resize(self->fd, 2 * self->page);
		_exit(0);
	}
	EXPECT_EQ(128 + SIGXFSZ, ps_wait(pid));
}

/* Holes and allocation */

TEST_F(file_io, punch_reads_zero)
{
	size_t page = self->page;

	ASSERT_EQ(4 * page, sys(pwrite(self->fd, self->buf, 4 * page, 0)));
	ASSERT_EQ(0, obj_fallocate(self->fd, PUNCH, page, 2 * page));
	ASSERT_EQ(4 * page, sys(pread(self->fd, self->buf, 4 * page, 0)));
	EXPECT_TRUE(is_filled(self->buf, page, 1));
	EXPECT_TRUE(is_zero(self->buf + page, 2 * page));
	EXPECT_EQ(4 * page, obj_size(self->fd));
}

TEST_F(file_io, punch_zeroes_parts_of_pages)
{
	size_t page = self->page;
	char *copy = malloc(4 * page);

	memcpy(copy, self->buf, 4 * page);
	ASSERT_EQ(4 * page, sys(pwrite(self->fd, self->buf, 4 * page, 0)));
	ASSERT_EQ(0, obj_fallocate(self->fd, PUNCH, page - 3, page + 10));
	memset(copy + page - 3, 0, page + 10);
	ASSERT_EQ(4 * page, sys(pread(self->fd, self->buf, 4 * page, 0)));
	EXPECT_EQ(0, memcmp(copy, self->buf, 4 * page));
	free(copy);
}

TEST_F(file_io, punch_past_the_end_changes_nothing)
{
	ASSERT_EQ(100, sys(pwrite(self->fd, self->buf, 100, 0)));
	ASSERT_EQ(0, obj_fallocate(self->fd, PUNCH, 4 * self->page, self->page));
	EXPECT_EQ(100, obj_size(self->fd));
}

TEST_F(file_io, punch_is_seen_through_a_mapping)
{
	char *p;

	ASSERT_EQ(2 * self->page, sys(pwrite(self->fd, self->buf, 2 * self->page, 0)));
	p = ps_map(self->fd, 2 * self->page, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_TRUE(is_filled(p, 2 * self->page, 1));
	ASSERT_EQ(0, obj_fallocate(self->fd, PUNCH, 0, self->page));
	EXPECT_TRUE(is_zero(p, self->page));
	EXPECT_EQ(0, memcmp(self->buf + self->page, p + self->page, self->page));
}

TEST_F(file_io, punched_page_can_be_written_again)
{
	char *p;

	ASSERT_EQ(self->page, sys(pwrite(self->fd, self->buf, self->page, 0)));
	p = ps_map(self->fd, self->page, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	p[0] = 'x';
	ASSERT_EQ(0, obj_fallocate(self->fd, PUNCH, 0, self->page));
	p[1] = 'y';
	ASSERT_EQ(2, sys(pread(self->fd, self->buf, 2, 0)));
	EXPECT_EQ(0, memcmp("\0y", self->buf, 2));
}

TEST_F(file_io, fallocate_grows_and_reads_zero)
{
	ASSERT_EQ(0, obj_fallocate(self->fd, 0, self->page, 100));
	EXPECT_EQ(self->page + 100, obj_size(self->fd));
	ASSERT_EQ(self->page + 100, sys(pread(self->fd, self->buf, 2 * self->page, 0)));
	EXPECT_TRUE(is_zero(self->buf, self->page + 100));
}

TEST_F(file_io, fallocate_keeps_bytes)
{
	ASSERT_EQ(2 * self->page, sys(pwrite(self->fd, self->buf, 2 * self->page, 0)));
	ASSERT_EQ(0, obj_fallocate(self->fd, 0, 0, 4 * self->page));
	memset(self->buf, 0, 2 * self->page);
	ASSERT_EQ(2 * self->page, sys(pread(self->fd, self->buf, 2 * self->page, 0)));
	EXPECT_TRUE(is_filled(self->buf, 2 * self->page, 1));
}

TEST_F(file_io, keep_size_keeps_the_size)
{
	ASSERT_EQ(0, obj_resize(self->fd, 10));
	ASSERT_EQ(0, obj_fallocate(self->fd, FALLOC_FL_KEEP_SIZE, 0, 4 * self->page));
	EXPECT_EQ(10, obj_size(self->fd));
}

TEST_F(file_io, fallocate_takes_memory_and_punch_gives_it_back)
{
	size_t len = 8 * SHMEM_NOISE * self->page;
	long before = shmem_pages();

	ASSERT_EQ(0, obj_allocate(self->fd, 0, 0, len));
	EXPECT_EQ(8 * SHMEM_NOISE, obj_pages(self->fd));
	ASSERT_EQ(0, obj_fallocate(self->fd, PUNCH, 0, len));
	EXPECT_EQ(0, obj_pages(self->fd));
	EXPECT_GE(SHMEM_NOISE, shmem_pages() - before);
	EXPECT_EQ(len, obj_size(self->fd));
}

TEST_F(file_io, keep_size_takes_memory_past_the_end)
{
	ASSERT_EQ(0, obj_allocate(self->fd, FALLOC_FL_KEEP_SIZE, 0, 8 * SHMEM_NOISE * self->page));
	EXPECT_EQ(8 * SHMEM_NOISE, obj_pages(self->fd));
}

TEST_F(file_io, shrinking_gives_memory_back)
{
	long before = shmem_pages();

	ASSERT_EQ(0, obj_allocate(self->fd, 0, 0, 8 * SHMEM_NOISE * self->page));
	ASSERT_EQ(0, obj_resize(self->fd, self->page));
	EXPECT_GE(SHMEM_NOISE, shmem_pages() - before);
}

TEST_F(file_io, last_close_gives_memory_back)
{
	long before = shmem_pages();
	int fd = obj_open(variant->kind);

	ASSERT_EQ(0, obj_allocate(fd, 0, 0, 8 * SHMEM_NOISE * self->page));
	close(fd);
	EXPECT_GE(SHMEM_NOISE, shmem_pages() - before);
}

TEST_F(file_io, one_byte_at_the_end_of_a_gib_is_sparse)
{
	long before = shmem_pages();
	char *p;

	ASSERT_EQ(1, sys(pwrite(self->fd, "x", 1, GIB - 1)));
	EXPECT_EQ(GIB, obj_size(self->fd));
	EXPECT_EQ(GIB - self->page, sys(lseek(self->fd, 0, SEEK_DATA)));
	EXPECT_EQ(0, sys(lseek(self->fd, 0, SEEK_HOLE)));
	p = ps_map(self->fd, GIB, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ('x', p[GIB - 1]);
	EXPECT_EQ(0, p[GIB / 2]);
	p[GIB / 4] = 'y';
	ASSERT_EQ(1, sys(pread(self->fd, self->buf, 1, GIB / 4)));
	EXPECT_EQ('y', self->buf[0]);
	EXPECT_GE(SHMEM_NOISE, shmem_pages() - before);
	munmap(p, GIB);
}

TEST_F(file_io, offsets_past_2_and_4_gib_are_told_apart)
{
	static const int64_t at[] = { 0, 2 * GIB - 5, 4 * GIB - 5, 8 * GIB - 5, 1LL << 45 };
	char back[10];

	for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
		fill(self->buf, 10, i);
		ASSERT_EQ(10, sys(pwrite(self->fd, self->buf, 10, at[i])));
		EXPECT_EQ(at[i] + 10, obj_size(self->fd));
	}
	for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
		ASSERT_EQ(10, sys(pread(self->fd, back, 10, at[i])));
		EXPECT_TRUE(is_filled(back, 10, i)) {
			TH_LOG("offset %lld", (long long)at[i]);
		}
	}
}

TEST_F(file_io, maps_past_4_gib_see_their_own_bytes)
{
	char *p;

	ASSERT_EQ(self->page, sys(pwrite(self->fd, self->buf, self->page, 4 * GIB)));
	p = mmap(NULL, self->page, RW, MAP_SHARED, self->fd, 4 * GIB);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_TRUE(is_filled(p, self->page, 1));
	p[0] = 0;
	ASSERT_EQ(1, sys(pread(self->fd, self->buf, 1, 4 * GIB)));
	EXPECT_EQ(0, self->buf[0]);
}

/* Splicing */

TEST_F(file_io, splice_out_gives_the_bytes)
{
	int pipefd[2];
	loff_t offset = 10;
	char back[100];

	ASSERT_EQ(self->page, sys(pwrite(self->fd, self->buf, self->page, 0)));
	ASSERT_EQ(0, pipe(pipefd));
	ASSERT_EQ(100, sys(splice(self->fd, &offset, pipefd[1], NULL, 100, 0)));
	EXPECT_EQ(110, offset);
	ASSERT_EQ(100, sys(read(pipefd[0], back, 100)));
	EXPECT_EQ(0, memcmp(self->buf + 10, back, 100));
}

TEST_F(file_io, splice_out_of_a_hole_gives_zeroes)
{
	int pipefd[2];
	loff_t offset = 0;

	ASSERT_EQ(0, obj_resize(self->fd, 2 * self->page));
	ASSERT_EQ(0, pipe(pipefd));
	ASSERT_EQ(2 * self->page, sys(splice(self->fd, &offset, pipefd[1], NULL, 2 * self->page, 0)));
	ASSERT_EQ(2 * self->page, sys(read(pipefd[0], self->buf, 2 * self->page)));
	EXPECT_TRUE(is_zero(self->buf, 2 * self->page));
}

TEST_F(file_io, splice_out_ends_at_the_end)
{
	int pipefd[2];
	loff_t offset = 90;

	ASSERT_EQ(100, sys(pwrite(self->fd, self->buf, 100, 0)));
	ASSERT_EQ(0, pipe(pipefd));
	EXPECT_EQ(10, sys(splice(self->fd, &offset, pipefd[1], NULL, 50, 0)));
	EXPECT_EQ(0, sys(splice(self->fd, &offset, pipefd[1], NULL, 50, 0)));
}

TEST_F(file_io, splice_in_writes_the_bytes)
{
	int pipefd[2];
	loff_t offset = 50;
	char back[100];

	ASSERT_EQ(0, pipe(pipefd));
	ASSERT_EQ(100, sys(write(pipefd[1], self->buf, 100)));
	ASSERT_EQ(100, sys(splice(pipefd[0], NULL, self->fd, &offset, 100, 0)));
	EXPECT_EQ(150, obj_size(self->fd));
	ASSERT_EQ(100, sys(pread(self->fd, back, 100, 50)));
	EXPECT_EQ(0, memcmp(self->buf, back, 100));
}

TEST_F(file_io, splice_moves_the_position)
{
	int pipefd[2];

	ASSERT_EQ(100, sys(pwrite(self->fd, self->buf, 100, 0)));
	ASSERT_EQ(0, pipe(pipefd));
	ASSERT_EQ(60, sys(splice(self->fd, NULL, pipefd[1], NULL, 60, 0)));
	EXPECT_EQ(60, sys(lseek(self->fd, 0, SEEK_CUR)));
	ASSERT_EQ(60, sys(splice(pipefd[0], NULL, self->fd, NULL, 60, 0)));
	EXPECT_EQ(120, sys(lseek(self->fd, 0, SEEK_CUR)));
}

TEST_F(file_io, sendfile_copies_between_objects)
{
	int to = obj_open(variant->kind);
	char *back = malloc(4 * self->page);
	off_t offset = 0;

	ASSERT_EQ(4 * self->page, sys(pwrite(self->fd, self->buf, 4 * self->page, 0)));
	ASSERT_EQ(4 * self->page, sys(sendfile(to, self->fd, &offset, 4 * self->page)));
	ASSERT_EQ(4 * self->page, sys(pread(to, back, 4 * self->page, 0)));
	EXPECT_EQ(0, memcmp(self->buf, back, 4 * self->page));
	free(back);
	close(to);
}

TEST_F(file_io, sendfile_copies_to_and_from_memfd)
{
	int memfd = obj_open(MEMFD);
	off_t offset = 0;
	char back[100];

	ASSERT_EQ(100, sys(pwrite(memfd, self->buf, 100, 0)));
	ASSERT_EQ(100, sys(sendfile(self->fd, memfd, &offset, 100)));
	ASSERT_EQ(0, sys(ftruncate(memfd, 0)));
	ASSERT_EQ(0, sys(lseek(memfd, 0, SEEK_SET)));
	offset = 0;
	ASSERT_EQ(100, sys(sendfile(memfd, self->fd, &offset, 100)));
	ASSERT_EQ(100, sys(pread(memfd, back, 100, 0)));
	EXPECT_EQ(0, memcmp(self->buf, back, 100));
	close(memfd);
}

TEST_HARNESS_MAIN

// SPDX-License-Identifier: GPL-2.0-only
/*
 * The same calls on a memfd and on an object must give the same results. The last test makes
 * thousands of random calls.
 */
#include <sys/syscall.h>
#include <sys/uio.h>

#include "harness.h"
#include "bytes.h"
#include "object.h"

#define LLFS_MAX	0x7fffffffffffffffLL	/* 2^63 - 1 */

/* A memfd and an object. */
FIXTURE(pair) {
	int fd[2];
	size_t page;
	char *buf;
};

FIXTURE_SETUP(pair)
{
	self->page = page_size();
	self->fd[MEMFD] = obj_open(MEMFD);
	self->fd[PINSEAL] = obj_open(PINSEAL);
	ASSERT_LE(0, self->fd[MEMFD]);
	ASSERT_LE(0, self->fd[PINSEAL]);
	self->buf = malloc(8 * self->page);
	ASSERT_NE(NULL, self->buf);
	fill(self->buf, 8 * self->page, 1);
}

FIXTURE_TEARDOWN(pair)
{
	close(self->fd[MEMFD]);
	close(self->fd[PINSEAL]);
	free(self->buf);
}

TEST_F(pair, lseek)
{
	const int64_t page = self->page;
	const int64_t offsets[] = {
		-LLFS_MAX - 1, -LLFS_MAX, -6 * page, -5 * page - 101, -5 * page - 100, -11, -10,
		-1, 0, 1, page - 1, page, page + 1, 2 * page - 1, 2 * page, 2 * page + 5,
		3 * page, 4 * page - 1, 4 * page, 5 * page, 5 * page + 99, 5 * page + 100,
		5 * page + 101, 6 * page, 1LL << 40, LLFS_MAX - 10, LLFS_MAX - 9, LLFS_MAX - 1,
		LLFS_MAX,
	};

	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(page, sys(pwrite(self->fd[i], self->buf, page, page)));
		ASSERT_EQ(1, sys(pwrite(self->fd[i], self->buf, 1, 3 * page + 7)));
		ASSERT_EQ(0, obj_resize(self->fd[i], 5 * page + 100));
	}
	for (int whence = -1; whence <= 6; whence++) {
		for (size_t i = 0; i < ARRAY_SIZE(offsets); i++) {
			long ret[2], pos[2];

			for (int k = 0; k < 2; k++) {
				ASSERT_EQ(10, sys(lseek(self->fd[k], 10, SEEK_SET)));
				ret[k] = sys(lseek(self->fd[k], offsets[i], whence));
				pos[k] = sys(lseek(self->fd[k], 0, SEEK_CUR));
			}
			EXPECT_EQ(ret[MEMFD], ret[PINSEAL]) {
				TH_LOG("whence %d, offset %lld", whence, (long long)offsets[i]);
			}
			EXPECT_EQ(pos[MEMFD], pos[PINSEAL]) {
				TH_LOG("position: whence %d, offset %lld", whence,
				       (long long)offsets[i]);
			}
		}
	}
}

TEST_F(pair, seek_data_and_hole_with_fallocated_and_punched_pages)
{
	const size_t page = self->page;

	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(8 * page, sys(pwrite(self->fd[i], self->buf, 8 * page, 0)));
		ASSERT_EQ(0, obj_fallocate(self->fd[i], PUNCH, 2 * page, 3 * page));
		ASSERT_EQ(0, obj_fallocate(self->fd[i], 0, 10 * page, 2 * page));
		ASSERT_EQ(0, obj_resize(self->fd[i], 14 * page + 1));
	}
	for (size_t offset = 0; offset <= 15 * page; offset += page / 2) {
		EXPECT_EQ(sys(lseek(self->fd[MEMFD], offset, SEEK_DATA)),
			  sys(lseek(self->fd[PINSEAL], offset, SEEK_DATA))) {
			TH_LOG("offset %zu", offset);
		}
		EXPECT_EQ(sys(lseek(self->fd[MEMFD], offset, SEEK_HOLE)),
			  sys(lseek(self->fd[PINSEAL], offset, SEEK_HOLE))) {
			TH_LOG("offset %zu", offset);
		}
	}
}

TEST_F(pair, read_and_write_near_the_largest_offset)
{
	const int64_t page = self->page;
	const struct {
		int64_t offset;
		size_t len;
	} rows[] = {
		{ LLFS_MAX, 0 }, { LLFS_MAX, 1 }, { LLFS_MAX, 2 }, { LLFS_MAX - 1, 1 },
		{ LLFS_MAX - 1, 2 }, { LLFS_MAX - 1, 100 }, { LLFS_MAX - page, 1 },
		{ LLFS_MAX - page, page }, { LLFS_MAX - page, 2 * page },
		{ LLFS_MAX - 2 * page + 1, 4 * page },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		EXPECT_EQ(sys(pwrite(self->fd[MEMFD], self->buf, rows[i].len, rows[i].offset)),
			  sys(pwrite(self->fd[PINSEAL], self->buf, rows[i].len, rows[i].offset))) {
			TH_LOG("write, row %zu", i);
		}
		EXPECT_EQ(obj_size(self->fd[MEMFD]), obj_size(self->fd[PINSEAL])) {
			TH_LOG("size, row %zu", i);
		}
		EXPECT_EQ(sys(pread(self->fd[MEMFD], self->buf, rows[i].len, rows[i].offset)),
			  sys(pread(self->fd[PINSEAL], self->buf, rows[i].len, rows[i].offset))) {
			TH_LOG("read, row %zu", i);
		}
	}
}

TEST_F(pair, read_and_write_at_the_position_near_the_largest_offset)
{
	static const int64_t positions[] = { LLFS_MAX - 10, LLFS_MAX - 1, LLFS_MAX };

	for (size_t i = 0; i < ARRAY_SIZE(positions); i++) {
		long ret[2], pos[2];

		for (int k = 0; k < 2; k++) {
			lseek(self->fd[k], positions[i], SEEK_SET);
			ret[k] = sys(write(self->fd[k], self->buf, 100));
			pos[k] = sys(lseek(self->fd[k], 0, SEEK_CUR));
		}
		EXPECT_EQ(ret[MEMFD], ret[PINSEAL]) {
			TH_LOG("row %zu", i);
		}
		EXPECT_EQ(pos[MEMFD], pos[PINSEAL]) {
			TH_LOG("position, row %zu", i);
		}
	}
}

TEST_F(pair, write_across_a_grow_sealed_end)
{
	const size_t page = self->page;
	const size_t sizes[] = { 100, page, 4 * page, 4 * page + 100 };
	const size_t lens[] = { 20, page, 3 * page };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(lens); j++) {
			long ret[2], size[2];

			for (int k = 0; k < 2; k++) {
				int fd = obj_create(k, sizes[i]);

				ASSERT_EQ(0, obj_add_seals(fd, F_SEAL_GROW));
				ret[k] = sys(pwrite(fd, self->buf, lens[j], sizes[i] - 10));
				size[k] = obj_size(fd);
				close(fd);
			}
			EXPECT_EQ(ret[MEMFD], ret[PINSEAL]) {
				TH_LOG("size %zu, length %zu", sizes[i], lens[j]);
			}
			EXPECT_EQ(size[MEMFD], size[PINSEAL]);
		}
	}
}

/* Tries to map: 0, or -errno. */
static int try_map_at(int fd, size_t len, int prot, int flags, uint64_t offset)
{
	void *p = (void *)syscall(SYS_mmap, NULL, len, prot, flags, fd, offset);

	if (p == MAP_FAILED)
		return -errno;
	munmap(p, len);
	return 0;
}

TEST_F(pair, mmap_arguments)
{
	const uint64_t page = self->page;
	const struct {
		size_t len;
		int prot, flags;
		uint64_t offset;
	} rows[] = {
		{ 0, RW, MAP_SHARED, 0 },
		{ page, RW, MAP_SHARED, 1 },
		{ page, RW, MAP_SHARED, page },
		{ page, RW, 0, 0 },
		{ page, RW, MAP_SHARED_VALIDATE, 0 },
		{ page, RW, MAP_SHARED_VALIDATE | MAP_SYNC, 0 },
		{ page, RW, MAP_SHARED_VALIDATE | 1U << 30, 0 },
		{ page, RW, MAP_SHARED | MAP_SYNC, 0 },
		{ page, RW, MAP_SHARED | MAP_HUGETLB, 0 },
		{ page, RW, MAP_SHARED | MAP_NORESERVE, 0 },
		{ page, PROT_NONE, MAP_SHARED, 0 },
		{ page, PROT_WRITE, MAP_SHARED, 0 },
		{ page, PROT_READ, MAP_PRIVATE, 0 },
		{ page, RW, MAP_SHARED | MAP_GROWSDOWN, 0 },
		{ page, RW, MAP_PRIVATE | MAP_GROWSDOWN, 0 },
		{ page, RW, MAP_SHARED | MAP_LOCKED, 0 },
		{ page, RW, MAP_SHARED | MAP_STACK, 0 },
		{ SIZE_MAX / page * page, RW, MAP_SHARED, 0 },
		{ 1UL << 62, RW, MAP_SHARED, 0 },
	};

	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, obj_resize(self->fd[i], page));
	}
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		EXPECT_EQ(try_map_at(self->fd[MEMFD], rows[i].len, rows[i].prot, rows[i].flags,
				     rows[i].offset),
			  try_map_at(self->fd[PINSEAL], rows[i].len, rows[i].prot, rows[i].flags,
				     rows[i].offset)) {
			TH_LOG("row %zu", i);
		}
	}
}

TEST_F(pair, mmap_near_the_largest_offset)
{
	const uint64_t page = self->page;
	const uint64_t offsets[] = {
		1ULL << 62, (1ULL << 63) - 4 * page, (1ULL << 63) - 2 * page, (1ULL << 63) - page,
		1ULL << 63, (1ULL << 63) + page, 0 - 4 * page, 0 - page,
	};

	for (size_t i = 0; i < ARRAY_SIZE(offsets); i++) {
		EXPECT_EQ(try_map_at(self->fd[MEMFD], 2 * page, RW, MAP_SHARED, offsets[i]),
			  try_map_at(self->fd[PINSEAL], 2 * page, RW, MAP_SHARED, offsets[i])) {
			TH_LOG("offset %#llx", (unsigned long long)offsets[i]);
		}
	}
}

TEST_F(pair, bytes_stored_behind_the_end)
{
	size_t page = self->page;
	char back[2][10];

	for (int i = 0; i < 2; i++) {
		char *p;

		ASSERT_EQ(0, obj_resize(self->fd[i], 100));
		p = ps_map(self->fd[i], page, RW, MAP_SHARED);
		ASSERT_NE(MAP_FAILED, p);
		fill(p, page, 1);
		ASSERT_EQ(0, obj_resize(self->fd[i], page));
		ASSERT_EQ(10, sys(pread(self->fd[i], back[i], 10, 200)));
	}
	EXPECT_EQ(0, memcmp(back[0], back[1], 10));
}

TEST_F(pair, vector_calls_with_flags)
{
	struct iovec iov = { self->buf, 100 };
	static const int flags[] = {
		0, RWF_HIPRI, RWF_DSYNC, RWF_SYNC, RWF_NOWAIT, RWF_APPEND,
		RWF_NOWAIT | RWF_APPEND, 0x40, 0x80, 1 << 30,
	};

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		EXPECT_EQ(sys(pwritev2(self->fd[MEMFD], &iov, 1, 0, flags[i])),
			  sys(pwritev2(self->fd[PINSEAL], &iov, 1, 0, flags[i]))) {
			TH_LOG("write, flags %#x", flags[i]);
		}
		EXPECT_EQ(obj_size(self->fd[MEMFD]), obj_size(self->fd[PINSEAL])) {
			TH_LOG("size, flags %#x", flags[i]);
		}
		EXPECT_EQ(sys(preadv2(self->fd[MEMFD], &iov, 1, 0, flags[i])),
			  sys(preadv2(self->fd[PINSEAL], &iov, 1, 0, flags[i]))) {
			TH_LOG("read, flags %#x", flags[i]);
		}
	}
}

/* Random calls on both; PINSEAL_SEED in the environment selects another sequence. */
#define PAGES	32
#define STEPS	4000

static uint64_t random_state;

static uint64_t random_below(uint64_t bound)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state >> 11) % bound;
}

/* An operation and its arguments, drawn once for both objects. */
struct step {
	unsigned int op;
	uint64_t offset, len;
	uint64_t to;
	unsigned int seed;
};

enum {
	OP_PWRITE, OP_PREAD, OP_WRITE, OP_READ, OP_RESIZE, OP_PUNCH, OP_FALLOCATE,
	OP_FALLOCATE_KEEP, OP_STORE, OP_LOAD, OP_SEEK_SET, OP_SEEK_END, OP_SEEK_DATA,
	OP_SEEK_HOLE, OP_REMOVE, OP_DONTNEED, OP_SPLICE, OPS
};

static struct step draw_step(size_t page)
{
	struct step step = {
		.op = random_below(OPS),
		.offset = random_below(PAGES * page),
		.seed = random_below(250),
	};

	step.len = 1 + random_below(random_below(2) ? 3 * page : 50);
	if (step.offset + step.len > PAGES * page)
		step.len = PAGES * page - step.offset;
	/* Sizes of all magnitudes, often at a page boundary. */
	step.to = random_below(PAGES * page + 1);
	if (random_below(3) == 0)
		step.to -= step.to % page;
	return step;
}

/* Runs a step: its result; bytes that it read are left in @buf. */
static long do_step(int fd, char *map, int pipefd[2], const struct step *step, size_t page,
		    char *buf)
{
	uint64_t first = step->offset / page * page;
	uint64_t size = obj_size(fd);
	uint64_t len = step->len;
	loff_t offset = step->offset;
	long ret;

	switch (step->op) {
	case OP_PWRITE:
		fill(buf, len, step->seed);
		return sys(pwrite(fd, buf, len, offset));
	case OP_PREAD:
		return sys(pread(fd, buf, len, offset));
	case OP_WRITE:
		if (lseek(fd, 0, SEEK_CUR) > (off_t)((PAGES - 3) * page))
			return sys(lseek(fd, 0, SEEK_SET));
		fill(buf, len, step->seed);
		return sys(write(fd, buf, len));
	case OP_READ:
		return sys(read(fd, buf, len));
	case OP_RESIZE:
		return obj_resize(fd, step->to);
	case OP_PUNCH:
		return obj_fallocate(fd, PUNCH, offset, len);
	case OP_FALLOCATE:
		return obj_fallocate(fd, 0, offset, len);
	case OP_FALLOCATE_KEEP:
		return obj_fallocate(fd, FALLOC_FL_KEEP_SIZE, offset, len);
	case OP_STORE:
		if (step->offset + len > size)
			return 0;
		fill(map + offset, len, step->seed);
		return len;
	case OP_LOAD:
		if (step->offset + len > size)
			return 0;
		memcpy(buf, map + offset, len);
		return len;
	case OP_SEEK_SET:
		return sys(lseek(fd, offset, SEEK_SET));
	case OP_SEEK_END:
		return sys(lseek(fd, -(off_t)len, SEEK_END));
	case OP_SEEK_DATA:
		return sys(lseek(fd, offset, SEEK_DATA));
	case OP_SEEK_HOLE:
		return sys(lseek(fd, offset, SEEK_HOLE));
	case OP_REMOVE:
		return sys(madvise(map + first, page, MADV_REMOVE));
	case OP_DONTNEED:
		return sys(madvise(map + first, page, MADV_DONTNEED));
	case OP_SPLICE:
		ret = sys(splice(fd, &offset, pipefd[1], NULL, len, SPLICE_F_NONBLOCK));
		return ret <= 0 ? ret : sys(read(pipefd[0], buf, ret));
	}
	return 0;
}

TEST_F(pair, random_operations)
{
	const char *env = getenv("PINSEAL_SEED");
	uint64_t seed = env ? strtoull(env, NULL, 0) : 0x5ea1;
	size_t page = self->page;
	char *map[2], *buf[2];
	int pipefd[2];

	ASSERT_EQ(0, pipe(pipefd));
	for (int i = 0; i < 2; i++) {
		map[i] = ps_map(self->fd[i], PAGES * page, RW, MAP_SHARED);
		ASSERT_NE(MAP_FAILED, map[i]);
		buf[i] = calloc(PAGES, page);
		ASSERT_NE(NULL, buf[i]);
	}
	random_state = seed + 1;
	TH_LOG("PINSEAL_SEED=%#llx", (unsigned long long)seed);
	for (int n = 0; n < STEPS; n++) {
		struct step step = draw_step(page);
		long ret[2];

		for (int i = 0; i < 2; i++)
			ret[i] = do_step(self->fd[i], map[i], pipefd, &step, page, buf[i]);
		ASSERT_EQ(ret[MEMFD], ret[PINSEAL]) {
			TH_LOG("step %d, operation %u, offset %llu, length %llu", n, step.op,
			       (unsigned long long)step.offset, (unsigned long long)step.len);
		}
		ASSERT_EQ(0, memcmp(buf[0], buf[1], PAGES * page)) {
			TH_LOG("bytes of step %d, operation %u", n, step.op);
		}
		ASSERT_EQ(obj_size(self->fd[MEMFD]), obj_size(self->fd[PINSEAL])) {
			TH_LOG("size after step %d, operation %u", n, step.op);
		}
		if (n % 50 && n != STEPS - 1)
			continue;
		for (int i = 0; i < 2; i++)
			ret[i] = sys(pread(self->fd[i], buf[i], PAGES * page, 0));
		ASSERT_EQ(ret[MEMFD], ret[PINSEAL]);
		ASSERT_EQ(0, memcmp(buf[0], buf[1], PAGES * page)) {
			TH_LOG("whole object after step %d", n);
		}
	}
}

TEST_HARNESS_MAIN

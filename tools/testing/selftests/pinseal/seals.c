// SPDX-License-Identifier: GPL-2.0-only
/*
 * What seals forbid and allow, for each of the 32 sets of seals.
 *
 * Runs on a memfd, an object and an imported memfd: the memfd variant proves what memfd does,
 * the others that the object does the same.
 */
#include "harness.h"
#include "bytes.h"
#include "object.h"

#define ANY_WRITE	(F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)

FIXTURE(seals) {
	size_t page;
	char *buf;
};

ON_EVERY_KIND(seals);

FIXTURE_SETUP(seals)
{
	self->page = page_size();
	self->buf = malloc(4 * self->page);
	ASSERT_NE(NULL, self->buf);
	fill(self->buf, 4 * self->page, 1);
}

FIXTURE_TEARDOWN(seals)
{
	free(self->buf);
}

/* A new object of four pages, filled; or -errno. */
static int filled(enum object_kind kind, const char *buf)
{
	size_t len = 4 * page_size();
	int fd = obj_open(kind);

	if (fd >= 0 && pwrite(fd, buf, len, 0) != (ssize_t)len)
		return -EIO;
	return fd;
}

/* The same with @seals. */
static int sealed(enum object_kind kind, const char *buf, uint32_t seals)
{
	int fd = filled(kind, buf);
	int ret = fd < 0 ? fd : obj_add_seals(fd, seals);

	return ret ? ret : fd;
}

/* For each set of seals (the five lowest bits) a new object @fd with it. */
#define for_each_set(fd, seals)						\
	for (uint32_t seals = 0; seals <= ALL_SEALS; seals++)		\
		for (int fd = sealed(variant->kind, self->buf, seals),	\
		     once = 1; once; once = 0, close(fd))

TEST_F(seals, are_those_that_were_added)
{
	for_each_set(fd, seals) {
		ASSERT_LE(0, fd) {
			TH_LOG("seals %#x", seals);
		}
		EXPECT_EQ(seals, obj_get_seals(fd));
	}
}

TEST_F(seals, bytes_stay_readable)
{
	char *back = malloc(4 * self->page);

	for_each_set(fd, seals) {
		ASSERT_EQ(4 * self->page, sys(pread(fd, back, 4 * self->page, 0)));
		EXPECT_TRUE(is_filled(back, 4 * self->page, 1)) {
			TH_LOG("seals %#x", seals);
		}
	}
	free(back);
}

TEST_F(seals, write)
{
	for_each_set(fd, seals) {
		EXPECT_EQ(seals & ANY_WRITE ? -EPERM : 10, sys(pwrite(fd, self->buf, 10, 5))) {
			TH_LOG("seals %#x", seals);
		}
		EXPECT_EQ(seals & ANY_WRITE ? -EPERM : 10, sys(write(fd, self->buf, 10))) {
			TH_LOG("seals %#x", seals);
		}
	}
}

TEST_F(seals, refused_write_leaves_bytes_and_position)
{
	char back[10];
	int fd = sealed(variant->kind, self->buf, F_SEAL_WRITE);

	ASSERT_EQ(7, sys(lseek(fd, 7, SEEK_SET)));
	ASSERT_EQ(-EPERM, sys(write(fd, "xxxxxxxxxx", 10)));
	EXPECT_EQ(7, sys(lseek(fd, 0, SEEK_CUR)));
	ASSERT_EQ(10, sys(read(fd, back, 10)));
	EXPECT_EQ(0, memcmp(self->buf + 7, back, 10));
	close(fd);
}

TEST_F(seals, write_of_nothing)
{
	for_each_set(fd, seals) {
		EXPECT_EQ(0, sys(pwrite(fd, self->buf, 0, 5))) {
			TH_LOG("seals %#x", seals);
		}
	}
}

TEST_F(seals, write_past_the_end)
{
	for_each_set(fd, seals) {
		EXPECT_EQ(seals & (ANY_WRITE | F_SEAL_GROW) ? -EPERM : 10,
			  sys(pwrite(fd, self->buf, 10, 4 * self->page))) {
			TH_LOG("seals %#x", seals);
		}
	}
}

TEST_F(seals, write_across_the_end)
{
	/* Short or refused, as the folios of shmem go; but never past a sealed end. */
	for_each_set(fd, seals) {
		long ret = sys(pwrite(fd, self->buf, 20, 4 * self->page - 10));

		if (seals & ANY_WRITE) {
			EXPECT_EQ(-EPERM, ret) {
				TH_LOG("seals %#x", seals);
			}
		} else if (seals & F_SEAL_GROW) {
			EXPECT_TRUE(ret == 10 || ret == -EPERM) {
				TH_LOG("seals %#x: %ld", seals, ret);
			}
		} else {
			EXPECT_EQ(20, ret) {
				TH_LOG("seals %#x", seals);
			}
		}
		EXPECT_EQ(4 * self->page + (ret == 20 ? 10 : 0), obj_size(fd));
	}
}

TEST_F(seals, write_across_the_end_within_a_page)
{
	int fd = filled(variant->kind, self->buf);

	ASSERT_EQ(0, obj_resize(fd, 100));
	ASSERT_EQ(0, obj_add_seals(fd, F_SEAL_GROW));
	EXPECT_EQ(-EPERM, sys(pwrite(fd, self->buf, 20, 90)));
	EXPECT_EQ(10, sys(pwrite(fd, self->buf, 10, 90)));
	EXPECT_EQ(100, obj_size(fd));
	close(fd);
}

TEST_F(seals, append)
{
	for_each_set(fd, seals) {
		ASSERT_EQ(0, sys(fcntl(fd, F_SETFL, O_APPEND)));
		EXPECT_EQ(seals & (ANY_WRITE | F_SEAL_GROW) ? -EPERM : 10,
			  sys(write(fd, self->buf, 10))) {
			TH_LOG("seals %#x", seals);
		}
	}
}

TEST_F(seals, splice_in)
{
	int pipefd[2];

	ASSERT_EQ(0, pipe(pipefd));
	for_each_set(fd, seals) {
		char drain[10];
		loff_t offset = 5;

		ASSERT_EQ(10, sys(write(pipefd[1], self->buf, 10)));
		EXPECT_EQ(seals & ANY_WRITE ? -EPERM : 10,
			  sys(splice(pipefd[0], NULL, fd, &offset, 10, 0))) {
			TH_LOG("seals %#x", seals);
		}
		if (seals & ANY_WRITE) {
			ASSERT_EQ(10, sys(read(pipefd[0], drain, 10)));
		}
	}
}

TEST_F(seals, splice_out)
{
	int pipefd[2];
	char back[10];

	ASSERT_EQ(0, pipe(pipefd));
	for_each_set(fd, seals) {
		EXPECT_EQ(10, sys(splice(fd, NULL, pipefd[1], NULL, 10, 0))) {
			TH_LOG("seals %#x", seals);
		}
		ASSERT_EQ(10, sys(read(pipefd[0], back, 10)));
		EXPECT_EQ(0, memcmp(self->buf, back, 10));
	}
}

TEST_F(seals, shrink)
{
	for_each_set(fd, seals) {
		EXPECT_EQ(seals & F_SEAL_SHRINK ? -EPERM : 0, obj_resize(fd, self->page + 5)) {
			TH_LOG("seals %#x", seals);
		}
		EXPECT_EQ(seals & F_SEAL_SHRINK ? 4 * self->page : self->page + 5, obj_size(fd));
	}
}

TEST_F(seals, grow)
{
	for_each_set(fd, seals) {
		EXPECT_EQ(seals & F_SEAL_GROW ? -EPERM : 0, obj_resize(fd, 5 * self->page)) {
			TH_LOG("seals %#x", seals);
		}
		EXPECT_EQ((seals & F_SEAL_GROW ? 4 : 5) * self->page, obj_size(fd));
	}
}

TEST_F(seals, resize_to_the_same_size)
{
	for_each_set(fd, seals) {
		EXPECT_EQ(0, obj_resize(fd, 4 * self->page)) {
			TH_LOG("seals %#x", seals);
		}
	}
}

TEST_F(seals, fallocate_inside)
{
	for_each_set(fd, seals) {
		EXPECT_EQ(0, obj_fallocate(fd, 0, 0, 4 * self->page)) {
			TH_LOG("seals %#x", seals);
		}
	}
}

TEST_F(seals, fallocate_past_the_end)
{
	for_each_set(fd, seals) {
		EXPECT_EQ(seals & F_SEAL_GROW ? -EPERM : 0,
			  obj_fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 5 * self->page)) {
			TH_LOG("KEEP_SIZE, seals %#x", seals);
		}
		EXPECT_EQ(seals & F_SEAL_GROW ? -EPERM : 0, obj_fallocate(fd, 0, 0, 5 * self->page)) {
			TH_LOG("seals %#x", seals);
		}
	}
}

TEST_F(seals, punch)
{
	for_each_set(fd, seals) {
		EXPECT_EQ(seals & ANY_WRITE ? -EPERM : 0,
			  obj_fallocate(fd, PUNCH, self->page, self->page)) {
			TH_LOG("seals %#x", seals);
		}
	}
}

TEST_F(seals, map_shared_writable)
{
	for_each_set(fd, seals) {
		EXPECT_EQ(seals & ANY_WRITE ? -EPERM : 0,
			  ps_try_map(fd, 4 * self->page, RW, MAP_SHARED)) {
			TH_LOG("seals %#x", seals);
		}
		EXPECT_EQ(seals & ANY_WRITE ? -EPERM : 0,
			  ps_try_map(fd, 4 * self->page, PROT_WRITE, MAP_SHARED)) {
			TH_LOG("write only, seals %#x", seals);
		}
		EXPECT_EQ(seals & ANY_WRITE ? -EPERM : 0,
			  ps_try_map(fd, 4 * self->page, RW, MAP_SHARED_VALIDATE)) {
			TH_LOG("MAP_SHARED_VALIDATE, seals %#x", seals);
		}
	}
}

TEST_F(seals, map_shared_read_only)
{
	for_each_set(fd, seals) {
		char *p = ps_map(fd, 4 * self->page, PROT_READ, MAP_SHARED);

		ASSERT_NE(MAP_FAILED, p) {
			TH_LOG("seals %#x", seals);
		}
		EXPECT_TRUE(is_filled(p, 4 * self->page, 1));
		munmap(p, 4 * self->page);
	}
}

TEST_F(seals, map_shared_read_only_made_writable)
{
	for_each_set(fd, seals) {
		char *p = ps_map(fd, 4 * self->page, PROT_READ, MAP_SHARED);

		ASSERT_NE(MAP_FAILED, p);
		EXPECT_EQ(seals & ANY_WRITE ? -EACCES : 0, sys(mprotect(p, 4 * self->page, RW))) {
			TH_LOG("seals %#x", seals);
		}
		EXPECT_EQ(seals & ANY_WRITE ? SIGSEGV : 0, ps_touch(p, true));
		munmap(p, 4 * self->page);
	}
}

TEST_F(seals, map_shared_without_access_made_writable)
{
	for_each_set(fd, seals) {
		char *p = ps_map(fd, 4 * self->page, PROT_NONE, MAP_SHARED);

		ASSERT_NE(MAP_FAILED, p);
		EXPECT_EQ(seals & ANY_WRITE ? -EACCES : 0,
			  sys(mprotect(p, 4 * self->page, PROT_WRITE))) {
			TH_LOG("seals %#x", seals);
		}
		EXPECT_EQ(0, sys(mprotect(p, 4 * self->page, PROT_READ)));
		munmap(p, 4 * self->page);
	}
}

TEST_F(seals, map_private_writable)
{
	char *back = malloc(4 * self->page);

	for_each_set(fd, seals) {
		char *p = ps_map(fd, 4 * self->page, RW, MAP_PRIVATE);

		ASSERT_NE(MAP_FAILED, p) {
			TH_LOG("seals %#x", seals);
		}
		memset(p, 0, 4 * self->page);
		ASSERT_EQ(4 * self->page, sys(pread(fd, back, 4 * self->page, 0)));
		EXPECT_TRUE(is_filled(back, 4 * self->page, 1)) {
			TH_LOG("seals %#x", seals);
		}
		munmap(p, 4 * self->page);
	}
	free(back);
}

TEST_F(seals, map_private_read_only_made_writable)
{
	for_each_set(fd, seals) {
		char *p = ps_map(fd, 4 * self->page, PROT_READ, MAP_PRIVATE);

		ASSERT_NE(MAP_FAILED, p);
		EXPECT_EQ(0, sys(mprotect(p, 4 * self->page, RW))) {
			TH_LOG("seals %#x", seals);
		}
		munmap(p, 4 * self->page);
	}
}

/* Adding seals */

TEST_F(seals, add_none)
{
	for_each_set(fd, seals) {
		EXPECT_EQ(seals & F_SEAL_SEAL ? -EPERM : 0, obj_add_seals(fd, 0)) {
			TH_LOG("seals %#x", seals);
		}
	}
}

TEST_F(seals, add_every_other_set)
{
	for (uint32_t more = 0; more <= ALL_SEALS; more++) {
		for_each_set(fd, seals) {
			int ret = seals & F_SEAL_SEAL ? -EPERM : 0;

			EXPECT_EQ(ret, obj_add_seals(fd, more)) {
				TH_LOG("seals %#x and %#x", seals, more);
			}
			EXPECT_EQ(ret ? seals : seals | more, obj_get_seals(fd)) {
				TH_LOG("seals %#x and %#x", seals, more);
			}
		}
	}
}

TEST_F(seals, unknown_seals_are_einval_even_when_sealed)
{
	int fd = sealed(variant->kind, self->buf, F_SEAL_SEAL);

	EXPECT_EQ(-EINVAL, obj_add_seals(fd, 1U << 31));
	EXPECT_EQ(-EINVAL, obj_add_seals(fd, F_SEAL_WRITE | 0x40));
	close(fd);
}

TEST_F(seals, write_can_be_added_again_while_pages_are_read)
{
	int fd = sealed(variant->kind, self->buf, F_SEAL_WRITE);
	int pipefd[2];

	/* The references of the pipe would have delayed the first time. */
	ASSERT_EQ(0, pipe(pipefd));
	ASSERT_EQ(self->page, sys(splice(fd, NULL, pipefd[1], NULL, self->page, 0)));
	EXPECT_EQ(0, obj_add_seals(fd, F_SEAL_WRITE | F_SEAL_GROW));
	EXPECT_EQ(F_SEAL_WRITE | F_SEAL_GROW, obj_get_seals(fd));
	close(fd);
}

TEST_F(seals, are_the_object_s_not_the_descriptor_s)
{
	int fd = filled(variant->kind, self->buf);
	int copy = dup(fd);

	ASSERT_EQ(0, obj_add_seals(copy, F_SEAL_WRITE));
	close(copy);
	EXPECT_EQ(F_SEAL_WRITE, obj_get_seals(fd));
	EXPECT_EQ(-EPERM, sys(pwrite(fd, "x", 1, 0)));
	close(fd);
}

TEST_F(seals, work_on_an_empty_object)
{
	int fd = obj_open(variant->kind);

	EXPECT_EQ(0, obj_add_seals(fd, ALL_SEALS));
	EXPECT_EQ(-EPERM, sys(pwrite(fd, "x", 1, 0)));
	close(fd);
}

TEST_F(seals, work_on_a_sparse_object)
{
	int fd = obj_create(variant->kind, 1ULL << 45);

	ASSERT_EQ(1, sys(pwrite(fd, "x", 1, 1ULL << 44)));
	EXPECT_EQ(0, obj_add_seals(fd, F_SEAL_WRITE));
	EXPECT_EQ(-EPERM, sys(pwrite(fd, "x", 1, 1ULL << 44)));
	close(fd);
}

/* Mappings from before F_SEAL_FUTURE_WRITE */

TEST_F(seals, future_write_leaves_an_old_mapping_writable)
{
	int fd = filled(variant->kind, self->buf);
	char *p = ps_map(fd, 4 * self->page, RW, MAP_SHARED);
	char c;

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, obj_add_seals(fd, F_SEAL_FUTURE_WRITE));
	ASSERT_EQ(0, ps_touch(p, true));
	p[0] = 'n';
	ASSERT_EQ(1, sys(pread(fd, &c, 1, 0)));
	EXPECT_EQ('n', c);
}

TEST_F(seals, future_write_leaves_an_old_mapping_to_be_made_writable)
{
	int fd = filled(variant->kind, self->buf);
	char *p = ps_map(fd, 4 * self->page, PROT_READ, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, obj_add_seals(fd, F_SEAL_FUTURE_WRITE));
	EXPECT_EQ(0, sys(mprotect(p, 4 * self->page, RW)));
	EXPECT_EQ(0, ps_touch(p, true));
}

TEST_F(seals, future_write_lets_a_child_inherit_an_old_mapping)
{
	int fd = filled(variant->kind, self->buf);
	char *p = ps_map(fd, 4 * self->page, RW, MAP_SHARED);
	pid_t pid;

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, obj_add_seals(fd, F_SEAL_FUTURE_WRITE));
	pid = ps_fork();
	if (!pid) {
		p[0] = 'c';
		_exit(0);
	}
	ASSERT_EQ(0, ps_wait(pid));
	EXPECT_EQ('c', p[0]);
}

TEST_F(seals, future_write_lets_an_old_mapping_grow)
{
	int fd = filled(variant->kind, self->buf);
	char *p = ps_map(fd, self->page, RW, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, obj_add_seals(fd, F_SEAL_FUTURE_WRITE));
	p = mremap(p, self->page, 4 * self->page, MREMAP_MAYMOVE);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(0, ps_touch(p + 3 * self->page, true));
}

TEST_F(seals, future_write_forbids_madvise_remove)
{
	int fd = filled(variant->kind, self->buf);
	char *p = ps_map(fd, 4 * self->page, RW, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, obj_add_seals(fd, F_SEAL_FUTURE_WRITE));
	EXPECT_EQ(-EPERM, sys(madvise(p, self->page, MADV_REMOVE)));
	EXPECT_TRUE(is_filled(p, 4 * self->page, 1));
}

TEST_F(seals, future_write_then_write_waits_for_the_mapping_to_go)
{
	int fd = filled(variant->kind, self->buf);
	char *p = ps_map(fd, 4 * self->page, RW, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, obj_add_seals(fd, F_SEAL_FUTURE_WRITE));
	EXPECT_EQ(-EBUSY, obj_add_seals(fd, F_SEAL_WRITE));
	EXPECT_EQ(F_SEAL_FUTURE_WRITE, obj_get_seals(fd));
	munmap(p, 4 * self->page);
	EXPECT_EQ(0, obj_add_seals(fd, F_SEAL_WRITE));
}

TEST_HARNESS_MAIN

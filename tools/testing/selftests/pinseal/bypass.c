// SPDX-License-Identifier: GPL-2.0-only
/*
 * Access to the memory past the descriptor: none may write to an object that is sealed for
 * write, and each that may write keeps it from being sealed.
 *
 * Runs on a memfd, an object and an imported memfd, but for intended differences.
 */
#include <sys/uio.h>

#include "harness.h"
#include "bytes.h"
#include "object.h"
#include "tracee.h"

/* An object of four pages, filled, with nothing mapped. */
FIXTURE(bypass) {
	int fd;
	size_t page, len;
	char *buf;
};

ON_EVERY_KIND(bypass);

FIXTURE_SETUP(bypass)
{
	self->page = page_size();
	self->len = 4 * self->page;
	self->fd = obj_open(variant->kind);
	ASSERT_LE(0, self->fd);
	self->buf = malloc(self->len);
	ASSERT_NE(NULL, self->buf);
	fill(self->buf, self->len, 1);
	ASSERT_EQ(self->len, sys(pwrite(self->fd, self->buf, self->len, 0)));
}

FIXTURE_TEARDOWN(bypass)
{
	close(self->fd);
	free(self->buf);
}

static bool is_unchanged(FIXTURE_DATA(bypass) *self)
{
	memset(self->buf, 0, self->len);
	return pread(self->fd, self->buf, self->len, 0) == (ssize_t)self->len &&
	       is_filled(self->buf, self->len, 1);
}

TEST_F(bypass, map_files_of_a_sealed_object_cannot_be_written)
{
	char *p;
	int fd;

	ASSERT_EQ(0, obj_add_seals(self->fd, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW));
	p = ps_map(self->fd, self->len, PROT_READ, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	fd = open_mapped_file(p, self->len, O_RDWR);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-EPERM, sys(pwrite(fd, "x", 1, 0)));
	EXPECT_EQ(-EPERM, sys(ftruncate(fd, 0)));
	EXPECT_EQ(-EPERM, sys(ftruncate(fd, 2 * self->len)));
	EXPECT_EQ(-EPERM, sys(fallocate(fd, PUNCH, 0, self->page)));
	EXPECT_EQ(-EPERM, ps_try_map(fd, self->len, RW, MAP_SHARED));
	EXPECT_TRUE(is_unchanged(self));
	close(fd);
}

TEST_F(bypass, map_files_of_a_sealed_object_cannot_be_truncated_by_open)
{
	char *p;

	ASSERT_EQ(0, obj_add_seals(self->fd, F_SEAL_WRITE | F_SEAL_SHRINK));
	p = ps_map(self->fd, self->len, PROT_READ, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(-EPERM, open_mapped_file(p, self->len, O_RDWR | O_TRUNC));
	EXPECT_TRUE(is_unchanged(self));
}

TEST_F(bypass, map_files_shows_the_same_bytes)
{
	char *p = ps_map(self->fd, self->len, PROT_READ, MAP_SHARED);
	int fd;

	ASSERT_NE(MAP_FAILED, p);
	fd = open_mapped_file(p, self->len, O_RDONLY);
	ASSERT_LE(0, fd);
	ASSERT_EQ(self->len, sys(pread(fd, self->buf, self->len, 0)));
	EXPECT_TRUE(is_filled(self->buf, self->len, 1));
	close(fd);
}

TEST_F(bypass, mapping_made_through_map_files_blocks)
{
	char *p = ps_map(self->fd, self->len, PROT_READ, MAP_SHARED);
	char *q;
	int fd;

	ASSERT_NE(MAP_FAILED, p);
	fd = open_mapped_file(p, self->len, O_RDWR);
	ASSERT_LE(0, fd);
	munmap(p, self->len);
	q = ps_map(fd, self->len, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, q);
	close(fd);
	EXPECT_EQ(-EBUSY, obj_add_seals(self->fd, F_SEAL_WRITE));
	munmap(q, self->len);
	EXPECT_EQ(0, obj_add_seals(self->fd, F_SEAL_WRITE));
}

TEST_F(bypass, descriptor_from_map_files_is_bound_by_later_seals)
{
	char *p = ps_map(self->fd, self->len, PROT_READ, MAP_SHARED);
	int fd;

	ASSERT_NE(MAP_FAILED, p);
	fd = open_mapped_file(p, self->len, O_RDWR);
	ASSERT_LE(0, fd);
	munmap(p, self->len);
	ASSERT_EQ(0, obj_add_seals(self->fd, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW));
	EXPECT_EQ(-EPERM, sys(pwrite(fd, "x", 1, 0)));
	EXPECT_EQ(-EPERM, sys(ftruncate(fd, 0)));
	EXPECT_EQ(-EPERM, ps_try_map(fd, self->len, RW, MAP_SHARED));
	EXPECT_TRUE(is_unchanged(self));
	close(fd);
}

TEST_F(bypass, outsiders_cannot_add_seals)
{
	char *p = ps_map(self->fd, self->len, PROT_READ, MAP_SHARED);
	int fd;

	/* A memfd, also an imported one, can be sealed through any writable descriptor. */
	if (variant->kind != PINSEAL)
		return;
	ASSERT_NE(MAP_FAILED, p);
	fd = open_mapped_file(p, self->len, O_RDWR);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-EPERM, sys(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK)));
	EXPECT_EQ(0, obj_get_seals(self->fd));
	close(fd);
}

TEST_F(bypass, o_trunc_by_proc_fd_leaves_a_pinseal_object_alone)
{
	char path[64];
	int fd;

	/* A memfd is truncated; the device makes a new object. */
	if (variant->kind == MEMFD || variant->kind == CREATED)
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", self->fd);
	fd = sys(open(path, O_RDWR | O_TRUNC | O_CLOEXEC));
	ASSERT_LE(0, fd);
	EXPECT_TRUE(is_unchanged(self));
	EXPECT_EQ(0, obj_size(fd));
	close(fd);
}

TEST_F(bypass, proc_mem_does_not_write_to_a_sealed_object)
{
	char *p;
	int mem;

	ASSERT_EQ(0, obj_add_seals(self->fd, F_SEAL_WRITE));
	p = ps_map(self->fd, self->len, PROT_READ, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	mem = sys(open("/proc/self/mem", O_RDWR | O_CLOEXEC));
	ASSERT_LE(0, mem);
	EXPECT_EQ(-EIO, sys(pwrite(mem, "x", 1, (uintptr_t)p)));
	EXPECT_TRUE(is_unchanged(self));
	close(mem);
}

TEST_F(bypass, ptrace_does_not_write_to_a_sealed_object)
{
	char *p;
	pid_t pid;

	ASSERT_EQ(0, obj_add_seals(self->fd, F_SEAL_WRITE));
	p = ps_map(self->fd, self->len, PROT_READ, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	pid = trace_child(NULL, NULL);
	ASSERT_LT(0, pid);
	EXPECT_EQ(-EIO, sys(ptrace(PTRACE_POKEDATA, pid, p, (void *)0x5858UL)));
	EXPECT_TRUE(is_unchanged(self));
	ps_kill(pid);
}

TEST_F(bypass, ptrace_writes_to_private_copies_only)
{
	char *p;
	pid_t pid;

	/* A forced write makes a copy even of a read-only private page. */
	ASSERT_EQ(0, obj_add_seals(self->fd, F_SEAL_WRITE));
	p = ps_map(self->fd, self->len, PROT_READ, MAP_PRIVATE);
	ASSERT_NE(MAP_FAILED, p);
	pid = trace_child(NULL, NULL);
	ASSERT_LT(0, pid);
	ASSERT_EQ(0, sys(ptrace(PTRACE_POKEDATA, pid, p, (void *)0x5858UL)));
	EXPECT_EQ(0x5858, sys(ptrace(PTRACE_PEEKDATA, pid, p, NULL)));
	EXPECT_TRUE(is_unchanged(self));
	ps_kill(pid);
}

TEST_F(bypass, process_vm_writev_does_not_write_to_a_sealed_object)
{
	struct iovec local = { "x", 1 }, remote = { NULL, 1 };

	ASSERT_EQ(0, obj_add_seals(self->fd, F_SEAL_WRITE));
	remote.iov_base = ps_map(self->fd, self->len, PROT_READ, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, remote.iov_base);
	EXPECT_EQ(-EFAULT, sys(process_vm_writev(getpid(), &local, 1, &remote, 1, 0)));
	EXPECT_TRUE(is_unchanged(self));
}

TEST_F(bypass, read_does_not_write_to_a_sealed_object)
{
	char *p;
	int pipefd[2];

	ASSERT_EQ(0, obj_add_seals(self->fd, F_SEAL_WRITE));
	p = ps_map(self->fd, self->len, PROT_READ, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, pipe(pipefd));
	ASSERT_EQ(1, sys(write(pipefd[1], "x", 1)));
	EXPECT_EQ(-EFAULT, sys(read(pipefd[0], p, 1)));
	EXPECT_TRUE(is_unchanged(self));
}

TEST_F(bypass, madvise_remove_does_not_punch_a_sealed_object)
{
	char *p;

	ASSERT_EQ(0, obj_add_seals(self->fd, F_SEAL_WRITE));
	p = ps_map(self->fd, self->len, PROT_READ, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(-EACCES, sys(madvise(p, self->len, MADV_REMOVE)));
	EXPECT_TRUE(is_unchanged(self));
}

TEST_F(bypass, madvise_remove_does_not_punch_through_a_private_mapping)
{
	char *p;

	ASSERT_EQ(0, obj_add_seals(self->fd, F_SEAL_WRITE));
	p = ps_map(self->fd, self->len, RW, MAP_PRIVATE);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(-EACCES, sys(madvise(p, self->len, MADV_REMOVE)));
	EXPECT_TRUE(is_unchanged(self));
}

TEST_F(bypass, populate_write_does_not_make_a_sealed_object_writable)
{
	char *p;

	ASSERT_EQ(0, obj_add_seals(self->fd, F_SEAL_WRITE));
	p = ps_map(self->fd, self->len, PROT_READ, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(-EINVAL, sys(madvise(p, self->len, MADV_POPULATE_WRITE)));
	EXPECT_EQ(SIGSEGV, ps_touch(p, true));
}

TEST_F(bypass, mremap_keeps_a_sealed_object_s_mapping_read_only)
{
	char *p, *q;

	ASSERT_EQ(0, obj_add_seals(self->fd, F_SEAL_WRITE));
	p = ps_map(self->fd, self->page, PROT_READ, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	q = mremap(p, self->page, self->len, MREMAP_MAYMOVE);
	ASSERT_NE(MAP_FAILED, q);
	EXPECT_EQ(-EACCES, sys(mprotect(q, self->len, RW)));
	p = mremap(q, 0, self->len, MREMAP_MAYMOVE);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(-EACCES, sys(mprotect(p, self->len, RW)));
}

TEST_F(bypass, fork_keeps_a_sealed_object_s_mapping_read_only)
{
	char *p;
	pid_t pid;

	ASSERT_EQ(0, obj_add_seals(self->fd, F_SEAL_WRITE));
	p = ps_map(self->fd, self->len, PROT_READ, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	pid = ps_fork();
	if (!pid)
		_exit(sys(mprotect(p, self->len, RW)) == -EACCES ? 0 : 1);
	EXPECT_EQ(0, ps_wait(pid));
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

TEST_F(bypass, remap_file_pages_shows_another_page)
{
	char *p = ps_map(self->fd, self->len, RW, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, sys(remap_file_pages(p, self->page, 0, 2, 0)));
	EXPECT_EQ(0, memcmp(self->buf + 2 * self->page, p, self->page));
	EXPECT_EQ(0, ps_touch(p, true));
}

TEST_F(bypass, remapped_pages_block)
{
	char *p = ps_map(self->fd, self->len, RW, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, sys(remap_file_pages(p, self->page, 0, 2, 0)));
	munmap(p + self->page, self->len - self->page);
	EXPECT_EQ(-EBUSY, obj_add_seals(self->fd, F_SEAL_WRITE));
	munmap(p, self->page);
	EXPECT_EQ(0, obj_add_seals(self->fd, F_SEAL_WRITE));
}

TEST_F(bypass, remapped_pages_of_a_sealed_object_stay_read_only)
{
	char *p;

	ASSERT_EQ(0, obj_add_seals(self->fd, F_SEAL_WRITE));
	p = ps_map(self->fd, self->len, PROT_READ, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, sys(remap_file_pages(p, self->page, 0, 2, 0)));
	EXPECT_EQ(0, memcmp(self->buf + 2 * self->page, p, self->page));
	EXPECT_EQ(-EACCES, sys(mprotect(p, self->page, RW)));
	EXPECT_EQ(SIGSEGV, ps_touch(p, true));
}

TEST_F(bypass, remap_file_pages_of_a_future_write_sealed_object_is_refused)
{
	char *p = ps_map(self->fd, self->len, RW, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, obj_add_seals(self->fd, F_SEAL_FUTURE_WRITE));
	EXPECT_EQ(-EPERM, sys(remap_file_pages(p, self->page, 0, 2, 0)));
}

#pragma GCC diagnostic pop

TEST_HARNESS_MAIN

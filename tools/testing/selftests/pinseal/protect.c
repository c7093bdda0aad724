// SPDX-License-Identifier: GPL-2.0-only
/*
 * Protections of single pages: what loads, stores and system calls get.
 *
 * On a memfd the pages are given their protections by mprotect(): that variant proves what the
 * kernel does with real ones, the others that PINSEAL_IOC_PROTECT does the same.
 */
#include <linux/mman.h>
#include <sys/uio.h>

#include "harness.h"
#include "bytes.h"
#include "cpu.h"
#include "direct.h"
#include "large_folio.h"
#include "machine_code.h"
#include "madvise.h"
#include "pagemap.h"
#include "protect.h"
#include "random.h"
#include "state.h"
#include "sysfile.h"
#include "tracee.h"
#include "uring.h"
#include "userfaultfd.h"
#include "zram_swap.h"

#ifndef __NR_mseal
#define __NR_mseal		462
#endif

/* Pages of the mapping. */
#define N	16

/* A shared mapping of a filled object. */
FIXTURE(protect) {
	int fd;
	size_t page;
	char *p;
};

ON_EVERY_KIND(protect);

FIXTURE_SETUP(protect)
{
	char *buf;

	self->page = page_size();
	self->fd = obj_create(variant->kind, N * self->page);
	ASSERT_LE(0, self->fd);
	buf = malloc(N * self->page);
	ASSERT_NE(NULL, buf);
	fill(buf, N * self->page, 1);
	ASSERT_EQ(N * self->page, sys(pwrite(self->fd, buf, N * self->page, 0)));
	free(buf);
	self->p = ps_map(self->fd, N * self->page, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, self->p);
}

FIXTURE_TEARDOWN(protect)
{
	close(self->fd);
}

/* give() - gives @n pages from page @i on a protection. */
#define give(i, n, prot)							\
	protect_pages(variant->kind, self->fd, self->p + (i) * self->page,	\
		      (n) * self->page, prot)

#define load(i)		ps_touch(self->p + (i) * self->page, false)
#define store(i)	ps_touch(self->p + (i) * self->page, true)

#define EXPECT_PROT(i, prot) do {						\
	EXPECT_EQ((prot) & PROT_READ ? 0 : SIGSEGV, load(i));			\
	EXPECT_EQ((prot) & PROT_WRITE ? 0 : SIGSEGV, store(i));			\
} while (0)

TEST_F(protect, a_read_only_page_is_loaded_but_not_stored_to)
{
	ASSERT_EQ(0, give(5, 1, PROT_READ));
	EXPECT_PROT(4, RW);
	EXPECT_PROT(5, PROT_READ);
	EXPECT_PROT(6, RW);
}

TEST_F(protect, a_page_without_access_is_not_loaded)
{
	ASSERT_EQ(0, give(5, 1, PROT_NONE));
	EXPECT_PROT(4, RW);
	EXPECT_PROT(5, PROT_NONE);
	EXPECT_PROT(6, RW);
}

TEST_F(protect, pages_that_were_stored_to_before_get_protections)
{
	for (int i = 0; i < N; i++)
		ASSERT_EQ(0, store(i));
	ASSERT_EQ(0, give(3, 1, PROT_READ));
	ASSERT_EQ(0, give(4, 1, PROT_NONE));
	EXPECT_PROT(2, RW);
	EXPECT_PROT(3, PROT_READ);
	EXPECT_PROT(4, PROT_NONE);
	EXPECT_PROT(5, RW);
}

TEST_F(protect, a_refused_store_is_not_made)
{
	char old = self->p[5 * self->page];

	ASSERT_EQ(0, give(5, 1, PROT_READ));
	ASSERT_EQ(SIGSEGV, store(5));
	EXPECT_EQ(old, self->p[5 * self->page]);
}

TEST_F(protect, protections_alternate)
{
	for (int i = 0; i < N; i += 2)
		ASSERT_EQ(0, give(i, 1, PROT_READ));
	for (int i = 0; i < N; i++)
		EXPECT_PROT(i, i % 2 ? RW : PROT_READ);
	for (int i = 0; i < N; i += 4)
		ASSERT_EQ(0, give(i, 1, PROT_NONE));
	for (int i = 0; i < N; i++)
		EXPECT_PROT(i, i % 2 ? RW : i % 4 ? PROT_READ : PROT_NONE);
}

TEST_F(protect, a_page_gets_access_again)
{
	ASSERT_EQ(0, give(0, N, PROT_NONE));
	ASSERT_EQ(SIGSEGV, load(7));
	ASSERT_EQ(0, give(7, 1, PROT_READ));
	EXPECT_PROT(7, PROT_READ);
	ASSERT_EQ(0, give(7, 1, RW));
	EXPECT_PROT(7, RW);
	EXPECT_PROT(6, PROT_NONE);
	EXPECT_PROT(8, PROT_NONE);
}

TEST_F(protect, system_calls_get_efault)
{
	char *p = self->p + 5 * self->page, *none = p + self->page;
	struct iovec remote = { p, 8 }, remote_none = { none, 8 }, local;
	char buf[8] = "";
	int pipes[2];

	local = (struct iovec){ buf, sizeof(buf) };
	ASSERT_EQ(0, pipe(pipes));
	ASSERT_EQ(0, give(5, 1, PROT_READ));
	ASSERT_EQ(0, give(6, 1, PROT_NONE));

	EXPECT_EQ(8, sys(write(pipes[1], p, 8)));
	EXPECT_EQ(-EFAULT, sys(read(pipes[0], p, 8)));
	EXPECT_EQ(-EFAULT, sys(write(pipes[1], none, 8)));
	EXPECT_EQ(-EFAULT, sys(read(pipes[0], none, 8)));

	EXPECT_EQ(8, sys(process_vm_readv(getpid(), &local, 1, &remote, 1, 0)));
	EXPECT_EQ(-EFAULT, sys(process_vm_writev(getpid(), &local, 1, &remote, 1, 0)));
	EXPECT_EQ(-EFAULT, sys(process_vm_readv(getpid(), &local, 1, &remote_none, 1, 0)));
	EXPECT_EQ(-EFAULT, sys(process_vm_writev(getpid(), &local, 1, &remote_none, 1, 0)));
}

TEST_F(protect, io_uring_gets_efault)
{
	char *p = self->p + 5 * self->page;
	struct io_uring_cqe cqe;
	struct uring u;
	int pipes[2];
	struct io_uring_sqe sqe = { .opcode = IORING_OP_READ };

	ASSERT_EQ(0, pipe(pipes));
	ASSERT_EQ(0, give(5, 1, PROT_READ));
	ASSERT_EQ(0, uring_open(&u, 4, 0));
	ASSERT_EQ(8, write(pipes[1], "12345678", 8));
	sqe.fd = pipes[0];
	sqe.addr = (uintptr_t)p;
	sqe.len = 8;
	ASSERT_EQ(0, uring_submit(&u, &sqe));
	ASSERT_EQ(0, uring_wait(&u, &cqe));
	EXPECT_EQ(-EFAULT, cqe.res);
	/* Registered buffers are pinned for writing. */
	EXPECT_EQ(-EFAULT, uring_register_buffer(&u, p, self->page));
	uring_close(&u);
}

TEST_F(protect, direct_io_gets_efault)
{
	char *read_only = self->p + 5 * self->page, *none = self->p + 6 * self->page;
	char *rw = self->p + 7 * self->page, old = *read_only;
	struct disk disk;
	int file = direct_open(&disk, self->page);

	if (file == -ENODEV)
		SKIP(return, "no disk with ext4");
	ASSERT_LE(0, file);
	ASSERT_EQ(0, give(5, 1, PROT_READ));
	ASSERT_EQ(0, give(6, 1, PROT_NONE));
	/* The second time, the page is mapped read-only. */
	for (int i = 0; i < 2; i++) {
		EXPECT_EQ(-EFAULT, sys(pread(file, read_only, self->page, 0)));
		EXPECT_EQ(old, *read_only);
	}
	EXPECT_EQ(-EFAULT, sys(pread(file, none, self->page, 0)));
	EXPECT_EQ(-EFAULT, sys(pwrite(file, none, self->page, 0)));
	EXPECT_EQ(self->page, sys(pread(file, rw, self->page, 0)));
	EXPECT_EQ(DIRECT_BYTE, *rw);
	EXPECT_EQ(self->page, sys(pwrite(file, read_only, self->page, 0)));
	EXPECT_EQ(self->page, sys(pread(file, rw, self->page, 0)));
	EXPECT_EQ(old, *rw);
	close(file);
	disk_unmount(&disk);
}

TEST_F(protect, vmsplice_gets_efault)
{
	struct iovec read_only = { self->p + 5 * self->page, 8 }, none = { self->p + 6 * self->page, 8 };
	int pipes[2];

	ASSERT_EQ(0, pipe(pipes));
	ASSERT_EQ(0, give(5, 1, PROT_READ));
	ASSERT_EQ(0, give(6, 1, PROT_NONE));
	EXPECT_EQ(-EFAULT, sys(vmsplice(pipes[1], &none, 1, 0)));
	EXPECT_EQ(8, sys(vmsplice(pipes[1], &read_only, 1, 0)));
}

/* The kernel asks the mapping first, which mprotect() has changed, and then its pages. */
TEST_F(protect, populating_is_refused)
{
	int error = variant->kind == MEMFD ? -EINVAL : -EFAULT;
	char *p = self->p + 5 * self->page;

	ASSERT_EQ(0, give(5, 1, PROT_READ));
	for (int i = 0; i < 2; i++) {
		EXPECT_EQ(error, sys(madvise(p, self->page, MADV_POPULATE_WRITE)));
		EXPECT_EQ(0, sys(madvise(p, self->page, MADV_POPULATE_READ)));
	}
	ASSERT_EQ(0, give(5, 1, PROT_NONE));
	EXPECT_EQ(error, sys(madvise(p, self->page, MADV_POPULATE_READ)));
}

/* With FOLL_FORCE a shared mapping can be read, but not written. */
TEST_F(protect, a_debugger_reads_but_does_not_write)
{
	long *none = (long *)(self->p + 5 * self->page);
	long *read_only = (long *)(self->p + 6 * self->page);
	long expected = *none;
	pid_t pid;

	ASSERT_EQ(0, give(5, 1, PROT_NONE));
	ASSERT_EQ(0, give(6, 1, PROT_READ));
	pid = trace_child(NULL, NULL);
	ASSERT_LE(0, pid);
	EXPECT_EQ(expected, ptrace(PTRACE_PEEKDATA, pid, none, NULL));
	EXPECT_EQ(-EIO, sys(ptrace(PTRACE_POKEDATA, pid, none, 0)));
	EXPECT_EQ(*read_only, ptrace(PTRACE_PEEKDATA, pid, read_only, NULL));
	EXPECT_EQ(-EIO, sys(ptrace(PTRACE_POKEDATA, pid, read_only, 0)));
	ps_kill(pid);
}

TEST_F(protect, protections_outlive_the_page_table)
{
	ASSERT_EQ(0, give(5, 1, PROT_READ));
	ASSERT_EQ(0, give(6, 1, PROT_NONE));
	ASSERT_EQ(0, madvise(self->p, N * self->page, MADV_DONTNEED));
	EXPECT_PROT(4, RW);
	EXPECT_PROT(5, PROT_READ);
	EXPECT_PROT(6, PROT_NONE);
	ASSERT_EQ(0, obj_fallocate(self->fd, PUNCH, 0, N * self->page));
	EXPECT_PROT(4, RW);
	EXPECT_PROT(5, PROT_READ);
	EXPECT_PROT(6, PROT_NONE);
	ASSERT_EQ(0, obj_resize(self->fd, 0));
	ASSERT_EQ(0, obj_resize(self->fd, N * self->page));
	EXPECT_PROT(4, RW);
	EXPECT_PROT(5, PROT_READ);
	EXPECT_PROT(6, PROT_NONE);
}

/* Whether any page is in memory, mapped or not. */
static bool any_in_memory(FIXTURE_DATA(protect) *self)
{
	unsigned char there[N];

	if (mincore(self->p, N * self->page, there))
		return true;
	for (int i = 0; i < N; i++)
		if (there[i] & 1)
			return true;
	return false;
}

/* page_out() - pages out what either mapping has mapped: whether all pages are in swap then. */
static bool page_out(FIXTURE_DATA(protect) *self, char *q)
{
	for (int i = 0; i < 500; i++) {
		madvise(self->p, N * self->page, MADV_PAGEOUT);
		madvise(q, N * self->page, MADV_PAGEOUT);
		if (!any_in_memory(self))
			return true;
		sleep_ns(20 * NSEC_PER_MSEC);
	}
	return false;
}

TEST_F(protect, protections_outlive_swap)
{
	char *q = ps_map(self->fd, N * self->page, RW, MAP_SHARED);
	struct zram_swap swap;

	if (!zram_is_there())
		SKIP(return, "no zram");
	ASSERT_NE(MAP_FAILED, q);
	ASSERT_EQ(0, zram_swap_begin(&swap, 16 << 20));
	/* Pages in the LRU batch of another CPU cannot be paged out. */
	ASSERT_EQ(0, run_on_cpu(0));
	ASSERT_EQ(0, obj_fallocate(self->fd, PUNCH, 0, N * self->page));
	for (int i = 0; i < N; i++)
		ASSERT_EQ(0, store(i));
	ASSERT_EQ(0, give(5, 1, PROT_READ));
	ASSERT_EQ(0, give(6, 1, PROT_NONE));
	ASSERT_EQ(0, load(5));
	/* Pages that both have mapped are not paged out. A load would map the neighbours as well. */
	ASSERT_EQ(0, madvise(self->p + 6 * self->page, self->page, MADV_DONTNEED));
	q[6 * self->page] = 1;
	ASSERT_TRUE(page_out(self, q));
	EXPECT_PROT(4, RW);
	EXPECT_PROT(5, PROT_READ);
	EXPECT_PROT(6, PROT_NONE);
	munmap(q, N * self->page);
	zram_swap_end(&swap);
}

/* Soft offlining moves a page to another frame, and its page table entries with it. */
TEST_F(protect, protections_outlive_migration)
{
	char *q = ps_map(self->fd, N * self->page, RW, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, q);
	ASSERT_EQ(0, give(5, 1, PROT_READ));
	ASSERT_EQ(0, give(6, 1, PROT_NONE));
	ASSERT_EQ(0, load(5));
	for (int i = 5; i <= 6; i++) {
		char *page = q + i * self->page;
		uint64_t before;

		ASSERT_EQ(0, ps_touch(page, true));
		before = page_frame(page);
		ASSERT_NE(0, before);
		if (madvise(page, self->page, MADV_SOFT_OFFLINE))
			SKIP(return, "no MADV_SOFT_OFFLINE: %s", strerror(errno));
		ASSERT_EQ(0, ps_touch(page, false));
		if (page_frame(page) == before)
			SKIP(return, "the page was not moved");
	}
	EXPECT_EQ(page_frame(q + 5 * self->page), page_frame(self->p + 5 * self->page));
	EXPECT_PROT(4, RW);
	EXPECT_PROT(5, PROT_READ);
	EXPECT_PROT(6, PROT_NONE);
	munmap(q, N * self->page);
}

TEST_F(protect, a_child_has_the_same)
{
	pid_t pid;

	ASSERT_EQ(0, give(5, 1, PROT_READ));
	ASSERT_EQ(0, give(6, 1, PROT_NONE));
	pid = ps_fork();
	if (!pid) {
		_exit(!(load(4) == 0 && store(4) == 0 && load(5) == 0 && store(5) == SIGSEGV &&
			load(6) == SIGSEGV && store(6) == SIGSEGV));
	}
	EXPECT_EQ(0, ps_wait(pid));
}

TEST_F(protect, a_child_changes_its_own)
{
	pid_t pid;

	ASSERT_EQ(0, give(5, 1, PROT_READ));
	pid = ps_fork();
	if (!pid) {
		bool ok = !give(5, 1, PROT_NONE) && !give(7, 1, PROT_READ);

		_exit(!(ok && load(5) == SIGSEGV && store(7) == SIGSEGV));
	}
	EXPECT_EQ(0, ps_wait(pid));
	EXPECT_PROT(5, PROT_READ);
	EXPECT_PROT(7, RW);
}

TEST_F(protect, a_parent_changes_its_own)
{
	int go[2];
	pid_t pid;
	char c;

	ASSERT_EQ(0, pipe(go));
	ASSERT_EQ(0, give(5, 1, PROT_READ));
	pid = ps_fork();
	if (!pid) {
		if (read(go[0], &c, 1) != 1)
			_exit(2);
		_exit(!(load(5) == 0 && store(5) == SIGSEGV && store(7) == 0));
	}
	ASSERT_EQ(0, give(5, 1, RW));
	ASSERT_EQ(0, give(7, 1, PROT_NONE));
	ASSERT_EQ(1, write(go[1], "g", 1));
	EXPECT_EQ(0, ps_wait(pid));
	EXPECT_PROT(5, RW);
	EXPECT_PROT(7, PROT_NONE);
}

TEST_F(protect, partial_unmapping_keeps_the_rest)
{
	ASSERT_EQ(0, give(3, 1, PROT_READ));
	ASSERT_EQ(0, give(12, 1, PROT_NONE));
	ASSERT_EQ(0, munmap(self->p + 6 * self->page, 2 * self->page));
	EXPECT_PROT(2, RW);
	EXPECT_PROT(3, PROT_READ);
	EXPECT_PROT(11, RW);
	EXPECT_PROT(12, PROT_NONE);
	ASSERT_EQ(0, give(12, 1, PROT_READ));
	EXPECT_PROT(12, PROT_READ);
	EXPECT_PROT(3, PROT_READ);
}

/* Nothing is left of a protection of a page that was unmapped: the mapping is an ordinary one again. */
TEST_F(protect, partial_unmapping_leaves_none_of_the_rest)
{
	size_t half = N / 2 * self->page;

	ASSERT_EQ(0, give(N - 4, 1, PROT_READ));
	ASSERT_EQ(0, munmap(self->p + half, half));
	ASSERT_EQ(0, give(0, 1, PROT_NONE));
	ASSERT_EQ(0, give(0, 1, RW));
	EXPECT_NE(MAP_FAILED, mremap(self->p, half, half + self->page, MREMAP_MAYMOVE));
}

TEST_F(protect, what_is_mapped_again_has_none)
{
	size_t at = 5 * self->page;

	ASSERT_EQ(0, give(5, 1, PROT_NONE));
	ASSERT_EQ(0, munmap(self->p + at, self->page));
	ASSERT_EQ(self->p + at, mmap(self->p + at, self->page, RW, MAP_SHARED | MAP_FIXED,
				     self->fd, at));
	EXPECT_PROT(4, RW);
	EXPECT_PROT(5, RW);
	EXPECT_PROT(6, RW);
}

TEST_F(protect, protections_move_with_the_mapping)
{
	char *q = mmap(NULL, N * self->page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, q);
	ASSERT_EQ(0, give(5, 1, PROT_READ));
	ASSERT_EQ(0, give(6, 1, PROT_NONE));
	if (variant->kind == MEMFD)	/* One VMA at a time. */
		return;
	ASSERT_EQ(q, mremap(self->p, N * self->page, N * self->page,
			    MREMAP_MAYMOVE | MREMAP_FIXED, q));
	self->p = q;
	EXPECT_PROT(4, RW);
	EXPECT_PROT(5, PROT_READ);
	EXPECT_PROT(6, PROT_NONE);
	EXPECT_PROT(7, RW);
}

TEST_F(protect, advice_that_splits_the_mapping_keeps_protections)
{
	ASSERT_EQ(0, give(5, 1, PROT_READ));
	ASSERT_EQ(0, madvise(self->p + 4 * self->page, 3 * self->page, MADV_RANDOM));
	EXPECT_PROT(5, PROT_READ);
	ASSERT_EQ(0, give(6, 1, PROT_NONE));
	ASSERT_EQ(0, madvise(self->p + 4 * self->page, 3 * self->page, MADV_NORMAL));
	EXPECT_PROT(4, RW);
	EXPECT_PROT(5, PROT_READ);
	EXPECT_PROT(6, PROT_NONE);
}

TEST_F(protect, mprotect_wins_in_its_range)
{
	ASSERT_EQ(0, give(3, 6, PROT_READ));
	ASSERT_EQ(0, mprotect(self->p + 5 * self->page, self->page, RW));
	EXPECT_PROT(4, PROT_READ);
	EXPECT_PROT(5, RW);
	EXPECT_PROT(6, PROT_READ);
	ASSERT_EQ(0, mprotect(self->p + 6 * self->page, self->page, PROT_NONE));
	EXPECT_PROT(6, PROT_NONE);
	ASSERT_EQ(0, mprotect(self->p + 6 * self->page, self->page, RW));
	EXPECT_PROT(6, RW);
	EXPECT_PROT(7, PROT_READ);
	ASSERT_EQ(0, give(5, 2, PROT_NONE));
	EXPECT_PROT(5, PROT_NONE);
	EXPECT_PROT(6, PROT_NONE);
}

/*
 * Parent and child share what is known of the pages until one of them changes it. For an object,
 * mprotect() changes no flag of the mapping here.
 */
TEST_F(protect, mprotect_in_a_child_concerns_the_child)
{
	pid_t pid;

	ASSERT_EQ(0, give(5, 2, PROT_READ));
	pid = ps_fork();
	if (!pid)
		_exit(mprotect(self->p + 5 * self->page, self->page, RW) ||
		      store(5) || load(6) || store(6) != SIGSEGV);
	EXPECT_EQ(0, ps_wait(pid));
	EXPECT_PROT(5, PROT_READ);
	EXPECT_PROT(6, PROT_READ);
}

TEST_F(protect, mprotect_in_a_parent_concerns_the_parent)
{
	int go[2];
	pid_t pid;
	char c;

	ASSERT_EQ(0, pipe(go));
	ASSERT_EQ(0, give(5, 2, PROT_READ));
	pid = ps_fork();
	if (!pid) {
		if (read(go[0], &c, 1) != 1)
			_exit(2);
		_exit(load(5) || store(5) != SIGSEGV || load(6) || store(6) != SIGSEGV);
	}
	ASSERT_EQ(0, mprotect(self->p + 6 * self->page, self->page, RW));
	EXPECT_PROT(5, PROT_READ);
	EXPECT_PROT(6, RW);
	ASSERT_EQ(1, write(go[1], "g", 1));
	EXPECT_EQ(0, ps_wait(pid));
}

TEST_F(protect, another_mapping_is_not_changed)
{
	char *q = ps_map(self->fd, N * self->page, RW, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, q);
	ASSERT_EQ(0, give(5, 1, PROT_NONE));
	EXPECT_EQ(0, ps_touch(q + 5 * self->page, true));
	EXPECT_EQ(8, sys(pwrite(self->fd, "12345678", 8, 5 * self->page)));
	EXPECT_PROT(5, PROT_NONE);
}

TEST_F(protect, a_large_folio_is_mapped_page_by_page)
{
	size_t size = large_folio_size();
	int fd, ret;
	char *p;

	if (!size)
		SKIP(return, "no large folios");
	fd = obj_create(variant->kind, size);
	ASSERT_LE(0, fd);
	ret = make_large_folio(fd, size);
	if (ret && is_under_pressure())
		SKIP(return, "no memory for a large folio");
	ASSERT_EQ(0, ret);
	p = map_aligned(fd, size, size, RW);
	ASSERT_NE(NULL, p);
	ASSERT_EQ(0, ps_touch(p, true));
	ASSERT_EQ(0, protect_pages(variant->kind, fd, p + 5 * self->page, self->page, PROT_READ));
	ASSERT_EQ(0, protect_pages(variant->kind, fd, p + 6 * self->page, self->page, PROT_NONE));
	for (int round = 0; round < 2; round++) {
		EXPECT_EQ(0, ps_touch(p + 4 * self->page, true));
		EXPECT_EQ(0, ps_touch(p + 5 * self->page, false));
		EXPECT_EQ(SIGSEGV, ps_touch(p + 5 * self->page, true));
		EXPECT_EQ(SIGSEGV, ps_touch(p + 6 * self->page, false));
		EXPECT_EQ(0, ps_touch(p + 7 * self->page, true));
		ASSERT_EQ(0, madvise(p, size, MADV_DONTNEED));
	}
	munmap(p, size);
	close(fd);
}

/* The collapse is by a mapping without protections, and maps nothing in the other. */
TEST_F(protect, protections_outlive_a_collapse)
{
	size_t size = large_folio_size();
	int fd, ret;
	char *p;

	if (!size)
		SKIP(return, "no large folios");
	fd = obj_create(variant->kind, size);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fill_file(fd, size, 'c'));
	p = map_aligned(fd, size, size, RW);
	ASSERT_NE(MAP_FAILED, p);
	for (int i = 4; i < 8; i++)
		ASSERT_EQ(0, ps_touch(p + i * self->page, true));
	ASSERT_EQ(0, protect_pages(variant->kind, fd, p + 5 * self->page, self->page, PROT_READ));
	ASSERT_EQ(0, protect_pages(variant->kind, fd, p + 6 * self->page, self->page, PROT_NONE));
	ASSERT_EQ(0, ps_touch(p + 5 * self->page, false));
	ret = collapse_into_large_folio(fd, size);
	if (ret && is_under_pressure())
		SKIP(return, "no memory for a large folio");
	ASSERT_EQ(0, ret);
	EXPECT_EQ(0, ps_touch(p + 4 * self->page, true));
	EXPECT_EQ(0, ps_touch(p + 5 * self->page, false));
	EXPECT_EQ(SIGSEGV, ps_touch(p + 5 * self->page, true));
	EXPECT_EQ(SIGSEGV, ps_touch(p + 6 * self->page, false));
	EXPECT_EQ(0, ps_touch(p + 7 * self->page, true));
	munmap(p, size);
	close(fd);
}

TEST_F(protect, a_protection_only_narrows)
{
	char *p = ps_map(self->fd, self->page, PROT_READ, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, p);
	if (variant->kind == MEMFD)
		return;
	EXPECT_EQ(-EACCES, ps_protect(self->fd, p, self->page, RW));
	EXPECT_EQ(-EACCES, ps_protect(self->fd, p, self->page, PROT_READ | PROT_EXEC));
	EXPECT_EQ(0, ps_protect(self->fd, p, self->page, PROT_NONE));
	EXPECT_EQ(SIGSEGV, ps_touch(p, false));
}

TEST_F(protect, code_is_run_where_the_protection_allows_it)
{
	char *p = ps_map(self->fd, 2 * self->page, RW | PROT_EXEC, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, write_code(self->fd, 0, 1));
	ASSERT_EQ(0, write_code(self->fd, self->page, 2));
	for (int round = 0; round < 2; round++) {
		ASSERT_EQ(0, protect_pages(variant->kind, self->fd, p, self->page,
					   PROT_READ | PROT_EXEC));
		EXPECT_EQ(1, run_code(p));
		EXPECT_EQ(SIGSEGV, ps_touch(p, true));
		ASSERT_EQ(0, protect_pages(variant->kind, self->fd, p, self->page, PROT_NONE));
		EXPECT_EQ(128 + SIGSEGV, run_code(p));
		EXPECT_EQ(2, run_code(p + self->page));
	}
	munmap(p, 2 * self->page);
}

/* What a refused access does to the process that makes it. */
FIXTURE(refused) {
	int fd;
	size_t page;
	char *p, *at;
};

static void load_from(char *p)
{
	(void)*(volatile char *)p;
}

static void store_to(char *p)
{
	*(volatile char *)p = 1;
}

/* The page is mapped when it is stored to. */
static void load_and_store(char *p)
{
	load_from(p);
	store_to(p);
}

FIXTURE_VARIANT(refused) {
	enum object_kind kind;
	bool remaps;		/* the page is shown elsewhere */
	int prot;
	void (*access)(char *p);
};

#define REFUSED(name, ...)							\
	FIXTURE_VARIANT_ADD(refused, load_##name) {				\
		.prot = PROT_NONE, .access = load_from, __VA_ARGS__		\
	};									\
	FIXTURE_VARIANT_ADD(refused, store_##name) {				\
		.prot = PROT_READ, .access = store_to, __VA_ARGS__		\
	};									\
	FIXTURE_VARIANT_ADD(refused, store_after_load_##name) {			\
		.prot = PROT_READ, .access = load_and_store, __VA_ARGS__	\
	}

REFUSED(memfd, .kind = MEMFD);
REFUSED(pinseal, .kind = PINSEAL);
REFUSED(imported, .kind = IMPORTED);
REFUSED(created, .kind = CREATED);
REFUSED(remapped, .kind = PINSEAL, .remaps = true);

FIXTURE_SETUP(refused)
{
	char *page;

	self->page = page_size();
	self->fd = obj_create(variant->kind, N * self->page);
	ASSERT_LE(0, self->fd);
	self->p = ps_map(self->fd, N * self->page, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, self->p);
	page = self->p + 5 * self->page;
	self->at = page + 123;
	if (variant->remaps) {
		ASSERT_EQ(0, ps_remap(self->fd, page, self->page, 9, variant->prot));
	} else {
		ASSERT_EQ(0, give(5, 1, variant->prot));
	}
}

FIXTURE_TEARDOWN(refused)
{
	close(self->fd);
}

TEST_F(refused, the_signal_has_the_address)
{
	siginfo_t info;
	int status;
	pid_t pid;

	pid = trace_child(variant->access, self->at);
	ASSERT_LE(0, pid);
	ASSERT_EQ(0, ptrace(PTRACE_CONT, pid, NULL, NULL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFSTOPPED(status));
	EXPECT_EQ(SIGSEGV, WSTOPSIG(status));
	ASSERT_EQ(0, ptrace(PTRACE_GETSIGINFO, pid, NULL, &info));
	EXPECT_EQ(self->at, info.si_addr);
	/* What VM_FAULT_SIGSEGV gives. */
	EXPECT_EQ(variant->kind == MEMFD ? SEGV_ACCERR : SEGV_MAPERR, info.si_code);
	ps_kill(pid);
}

/* A signal that is blocked or ignored kills: the access is not tried for ever. */
TEST_F(refused, a_process_that_blocks_the_signal_dies)
{
	pid_t pid = ps_fork();

	if (!pid) {
		sigset_t set;

		sigemptyset(&set);
		sigaddset(&set, SIGSEGV);
		sigprocmask(SIG_BLOCK, &set, NULL);
		variant->access(self->at);
		_exit(0);
	}
	EXPECT_EQ(128 + SIGSEGV, ps_wait(pid));
}

TEST_F(refused, a_process_that_ignores_the_signal_dies)
{
	pid_t pid = ps_fork();

	if (!pid) {
		signal(SIGSEGV, SIG_IGN);
		variant->access(self->at);
		_exit(0);
	}
	EXPECT_EQ(128 + SIGSEGV, ps_wait(pid));
}

/* The commands, which only objects have. */
FIXTURE(protect_command) {
	int fd;
	size_t page;
	char *p;
};

FIXTURE_VARIANT(protect_command) { enum object_kind kind; };
FIXTURE_VARIANT_ADD(protect_command, pinseal) { .kind = PINSEAL };
FIXTURE_VARIANT_ADD(protect_command, imported) { .kind = IMPORTED };
FIXTURE_VARIANT_ADD(protect_command, created) { .kind = CREATED };

FIXTURE_SETUP(protect_command)
{
	self->page = page_size();
	self->fd = obj_create(variant->kind, N * self->page);
	ASSERT_LE(0, self->fd);
	self->p = ps_map(self->fd, N * self->page, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, self->p);
}

FIXTURE_TEARDOWN(protect_command)
{
	close(self->fd);
}

#define at(i)	(self->p + (i) * self->page)

TEST_F(protect_command, several_ranges_change_in_one_call)
{
	const struct pinseal_protect_range ranges[] = {
		a_range(at(1), 2 * self->page, PROT_READ),
		a_range(at(2), 1 * self->page, PROT_NONE),
		a_range(at(9), 3 * self->page, PROT_READ),
	};

	ASSERT_EQ(0, ps_protect_ranges(self->fd, ranges, 3));
	EXPECT_PROT(0, RW);
	EXPECT_PROT(1, PROT_READ);
	EXPECT_PROT(2, PROT_NONE);
	EXPECT_PROT(3, RW);
	EXPECT_PROT(10, PROT_READ);
	EXPECT_PROT(12, RW);
}

TEST_F(protect_command, all_or_none_of_the_ranges_change)
{
	char *read_only = ps_map(self->fd, self->page, PROT_READ, MAP_SHARED);
	const struct pinseal_protect_range refused[] = {
		a_range(at(1), self->page, PROT_NONE),
		a_range(read_only, self->page, RW),
	};
	const struct pinseal_protect_range unmapped[] = {
		a_range(at(1), self->page, PROT_NONE),
		a_range(at(N - 1), 2 * self->page, PROT_NONE),
	};

	ASSERT_NE(MAP_FAILED, read_only);
	ASSERT_EQ(0, munmap(at(N - 1), self->page));
	EXPECT_EQ(-EACCES, ps_protect_ranges(self->fd, refused, 2));
	EXPECT_EQ(-ENOMEM, ps_protect_ranges(self->fd, unmapped, 2));
	EXPECT_EQ(0, ps_protections(self->fd, self->p, N * self->page, NULL, 0));
	EXPECT_PROT(1, RW);
}

/* Some are copied before the one that cannot be. */
TEST_F(protect_command, an_array_that_is_not_all_there_changes_nothing)
{
	size_t n = self->page / sizeof(struct pinseal_protect_range);
	struct pinseal_protect_range *ranges;

	ranges = mmap(NULL, 2 * self->page, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, ranges);
	for (size_t i = 0; i < n; i++)
		ranges[i] = a_range(at(i % N), self->page, PROT_READ);
	ASSERT_EQ(0, mprotect((char *)ranges + self->page, self->page, PROT_NONE));
	EXPECT_EQ(-EFAULT, ps_protect_ranges(self->fd, ranges, n + 1));
	ranges[n - 1].flags = 2;
	EXPECT_EQ(-EINVAL, ps_protect_ranges(self->fd, ranges, n));
	EXPECT_EQ(0, ps_protections(self->fd, self->p, N * self->page, NULL, 0));
	EXPECT_PROT(1, RW);
}

/* Small ranges that follow each other, and long ones, in any order: later ones win. */
TEST_F(protect_command, an_array_is_as_its_ranges_one_by_one)
{
	enum { PAGES = 200, RANGES = 40 };
	struct random r = random_for(1, 0, 0, 0);
	struct pinseal_protect_range ranges[RANGES];
	int prot[PAGES];
	unsigned int i, round;
	char *p;

	ASSERT_EQ(0, obj_resize(self->fd, PAGES * self->page));
	/* Two mappings, side by side. */
	p = mmap(NULL, PAGES * self->page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, p);
	for (i = 0; i < PAGES; i++)
		prot[i] = RW;
	i = PAGES / 2 * self->page;
	ASSERT_EQ(p, mmap(p, i, RW, MAP_SHARED | MAP_FIXED, self->fd, i));
	ASSERT_EQ(p + i, mmap(p + i, i, RW, MAP_SHARED | MAP_FIXED, self->fd, 0));
	for (round = 0; round < test_rounds(20, 200); round++) {
		for (i = 0; i < RANGES; i++) {
			size_t start = (round * 7 + i + random_below(&r, 4)) % PAGES;
			size_t n = once_in(&r, 12) ? 1 + random_below(&r, PAGES) : 1;
			int new = one_of(&r, PROT_NONE, PROT_READ, RW);

			if (n > PAGES - start)
				n = PAGES - start;
			ranges[i] = a_range(p + start * self->page, n * self->page, new);
			while (n--)
				prot[start + n] = new;
		}
		ASSERT_EQ(0, ps_protect_ranges(self->fd, ranges, RANGES));
		for (i = 0; i < PAGES; i++) {
			char *page = p + i * self->page;

			ASSERT_EQ(prot[i] & PROT_READ ? 0 : SIGSEGV, ps_touch(page, false)) {
				TH_LOG("round %u, page %u", round, i);
			}
			ASSERT_EQ(prot[i] & PROT_WRITE ? 0 : SIGSEGV, ps_touch(page, true)) {
				TH_LOG("round %u, page %u", round, i);
			}
		}
	}
}

TEST_F(protect_command, it_costs_no_mapping)
{
	long before = count_mappings();

	for (int i = 0; i < N; i += 2)
		ASSERT_EQ(0, ps_protect(self->fd, at(i), self->page, PROT_READ));
	EXPECT_EQ(before, count_mappings());
}

TEST_F(protect_command, protections_can_be_asked_for)
{
	struct pinseal_protect_range got[4];

	ASSERT_EQ(0, ps_protect(self->fd, at(1), 2 * self->page, PROT_READ));
	ASSERT_EQ(0, ps_protect(self->fd, at(3), 1 * self->page, PROT_NONE));
	ASSERT_EQ(0, ps_protect(self->fd, at(9), 4 * self->page, PROT_READ));
	EXPECT_EQ(3, ps_protections(self->fd, self->p, N * self->page, NULL, 0));
	EXPECT_EQ(-EINVAL, ps_protections(self->fd, self->p, N * self->page, got, PINSEAL_PROTECT_MAX + 1));
	memset(got, 0xcc, sizeof(got));
	ASSERT_EQ(3, ps_protections(self->fd, self->p, N * self->page, got, 4));
	EXPECT_EQ((uintptr_t)at(1), got[0].addr);
	EXPECT_EQ(2 * self->page, got[0].len);
	EXPECT_EQ(1, got[0].pgoff);
	EXPECT_EQ(PROT_READ, got[0].prot);
	EXPECT_EQ(0, got[0].flags);
	EXPECT_EQ((uintptr_t)at(3), got[1].addr);
	EXPECT_EQ(PROT_NONE, got[1].prot);
	EXPECT_EQ(9, got[2].pgoff);
	EXPECT_EQ(4 * self->page, got[2].len);
	/* From the middle of one to the middle of another, and no more than there is room for. */
	ASSERT_EQ(1, ps_protections(self->fd, at(2), 8 * self->page, got, 1));
	EXPECT_EQ((uintptr_t)at(2), got[0].addr);
	EXPECT_EQ(self->page, got[0].len);
	/* All of the address space but its last page. */
	EXPECT_EQ(3, ps_protections(self->fd, NULL, SIZE_MAX - 2 * self->page + 1, got, 4));
}

static int fdinfo_protections(int fd)
{
	char value[32];

	return fdinfo_value(fd, "protections", value, sizeof(value)) ? -1 : atoi(value);
}

TEST_F(protect_command, fdinfo_counts_ranges)
{
	pid_t pid;

	EXPECT_EQ(0, fdinfo_protections(self->fd));
	ASSERT_EQ(0, ps_protect(self->fd, at(1), 2 * self->page, PROT_READ));
	ASSERT_EQ(0, ps_protect(self->fd, at(9), 4 * self->page, PROT_READ));
	EXPECT_EQ(2, fdinfo_protections(self->fd));
	pid = ps_fork();
	if (!pid)
		_exit(ps_protect(self->fd, at(1), self->page, PROT_NONE) ||
		      fdinfo_protections(self->fd) != 5);
	EXPECT_EQ(0, ps_wait(pid));
	EXPECT_EQ(2, fdinfo_protections(self->fd));
	ASSERT_EQ(0, munmap(self->p, N * self->page));
	EXPECT_EQ(0, fdinfo_protections(self->fd));
}

TEST_F(protect_command, without_protections_the_mapping_is_as_before)
{
	ASSERT_FALSE(mapping_has_flag(self->p, " de"));
	ASSERT_EQ(0, ps_protect(self->fd, at(1), self->page, PROT_READ));
	ASSERT_TRUE(mapping_has_flag(self->p, " de"));
	ASSERT_EQ(0, ps_protect(self->fd, at(1), self->page, RW));
	EXPECT_FALSE(mapping_has_flag(self->p, " de"));
	EXPECT_PROT(1, RW);
	EXPECT_NE(MAP_FAILED, mremap(self->p, N * self->page, (N + 1) * self->page,
				     MREMAP_MAYMOVE));
}

TEST_F(protect_command, a_mapping_with_protections_is_special)
{
	ASSERT_EQ(0, ps_protect(self->fd, at(1), self->page, PROT_READ));
	EXPECT_EQ(-EFAULT, sys(mremap(self->p, N * self->page, (N + 1) * self->page,
				      MREMAP_MAYMOVE)));
	EXPECT_EQ(-EFAULT, sys(mremap(self->p, 0, N * self->page, MREMAP_MAYMOVE)));
	ASSERT_EQ(0, mlock(self->p, N * self->page));
	EXPECT_FALSE(mapping_has_flag(self->p, " lo"));
}

TEST_F(protect_command, a_mapping_with_protections_is_not_collapsed)
{
	size_t size = large_folio_size();
	int fd;
	char *p;

	if (!size)
		SKIP(return, "no large folios");
	fd = obj_create(variant->kind, size);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fill_file(fd, size, 'c'));
	p = map_aligned(fd, size, size, RW);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, ps_protect(fd, p + 5 * self->page, self->page, PROT_NONE));
	EXPECT_EQ(-EINVAL, sys(madvise(p, size, MADV_COLLAPSE)));
	munmap(p, size);
	close(fd);
}

TEST_F(protect_command, a_mapping_that_cannot_be_written_to_is_narrowed)
{
	char *p = ps_map(self->fd, self->page, PROT_READ, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(-EACCES, ps_protect(self->fd, p, self->page, RW));
	EXPECT_EQ(-EACCES, ps_protect(self->fd, p, self->page, PROT_READ | PROT_EXEC));
	EXPECT_EQ(0, ps_protect(self->fd, p, self->page, PROT_NONE));
	EXPECT_EQ(SIGSEGV, ps_touch(p, false));
}

TEST_F(protect_command, pages_of_an_executable_mapping_keep_read_and_exec)
{
	char *p = ps_map(self->fd, 2 * self->page, RW | PROT_EXEC, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(-EOPNOTSUPP, ps_protect(self->fd, p, self->page, PROT_READ));
	EXPECT_EQ(-EOPNOTSUPP, ps_protect(self->fd, p, self->page, RW));
	EXPECT_EQ(-EOPNOTSUPP, ps_protect(self->fd, p, self->page, PROT_EXEC));
	EXPECT_EQ(0, ps_protect(self->fd, p, self->page, PROT_READ | PROT_EXEC));
	EXPECT_EQ(SIGSEGV, ps_touch(p, true));
	EXPECT_EQ(0, ps_protect(self->fd, p, self->page, PROT_NONE));
	EXPECT_EQ(SIGSEGV, ps_touch(p, false));
}

TEST_F(protect_command, what_can_be_written_to_can_be_read)
{
	ASSERT_EQ(0, ps_protect(self->fd, at(1), self->page, PROT_READ));
	ASSERT_EQ(0, ps_protect(self->fd, at(1), self->page, PROT_WRITE));
	EXPECT_PROT(1, RW);
	EXPECT_EQ(0, ps_protections(self->fd, self->p, N * self->page, NULL, 0));
}

TEST_F(protect_command, a_mapping_by_other_means_is_not_the_objects)
{
	int other = ps_create(self->page), exported = ps_export(self->fd, 0);
	char *p = ps_map(self->fd, self->page, RW, MAP_PRIVATE);
	char *q, *r;

	ASSERT_LE(0, other);
	ASSERT_LE(0, exported);
	q = ps_map(exported, self->page, RW, MAP_SHARED);
	r = ps_map(other, self->page, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_NE(MAP_FAILED, q);
	ASSERT_NE(MAP_FAILED, r);
	EXPECT_EQ(-EINVAL, ps_protect(self->fd, p, self->page, PROT_READ));
	EXPECT_EQ(-ENOMEM, ps_protect(self->fd, q, self->page, PROT_READ));
	EXPECT_EQ(-ENOMEM, ps_protect(self->fd, r, self->page, PROT_READ));
	EXPECT_EQ(0, ps_protect(other, r, self->page, PROT_READ));
	close(other);
	close(exported);
}

TEST_F(protect_command, another_descriptor_of_the_object_may_ask)
{
	int again = ps_reopen(self->fd, O_RDONLY);

	ASSERT_LE(0, again);
	ASSERT_EQ(0, ps_protect(again, at(1), self->page, PROT_READ));
	EXPECT_PROT(1, PROT_READ);
	close(again);
}

TEST_F(protect_command, locked_mappings_are_refused)
{
	ASSERT_EQ(0, mlock(at(0), self->page));
	EXPECT_EQ(-EOPNOTSUPP, ps_protect(self->fd, at(0), 2 * self->page, PROT_READ));
	ASSERT_EQ(0, munlock(at(0), self->page));
	EXPECT_EQ(0, ps_protect(self->fd, at(0), 2 * self->page, PROT_READ));
}

TEST_F(protect_command, sealed_mappings_are_refused)
{
	ASSERT_EQ(0, ps_protect(self->fd, at(1), self->page, PROT_READ));
	if (sys(syscall(__NR_mseal, at(0), self->page, 0)))
		SKIP(return, "no mseal(): %s", strerror(errno));
	EXPECT_EQ(-EPERM, ps_protect(self->fd, at(0), self->page, PROT_NONE));
	EXPECT_EQ(-EPERM, ps_remap(self->fd, at(0), self->page, 5, RW));
	/* All or none. */
	EXPECT_EQ(-EPERM, ps_protect(self->fd, at(0), 3 * self->page, PROT_NONE));
	EXPECT_PROT(0, RW);
	EXPECT_PROT(1, PROT_READ);
	EXPECT_PROT(2, RW);
	EXPECT_EQ(0, ps_protect(self->fd, at(2), self->page, PROT_NONE));
	/* Until the process ends, it stays as it was when it was sealed. */
	ASSERT_EQ(0, sys(syscall(__NR_mseal, at(1), 2 * self->page, 0)));
	EXPECT_EQ(-EPERM, ps_protect(self->fd, at(1), self->page, RW));
	EXPECT_EQ(-EPERM, sys(mprotect(at(1), self->page, RW)));
	EXPECT_PROT(1, PROT_READ);
}

/* Parts of a mapping share what is known of its pages, until one of them is changed. */
TEST_F(protect_command, what_mprotect_took_back_does_not_return)
{
	int pid;

	ASSERT_EQ(0, ps_protect(self->fd, at(0), 8 * self->page, PROT_NONE));
	ASSERT_EQ(0, mprotect(at(2), 3 * self->page, PROT_READ));
	pid = ps_fork();
	if (!pid)
		_exit(load(2) || ps_protect(self->fd, at(3), self->page, PROT_NONE) ||
		      load(2) || load(3) != SIGSEGV || load(1) != SIGSEGV);
	EXPECT_EQ(0, ps_wait(pid));
	EXPECT_PROT(3, PROT_READ);
	ASSERT_EQ(0, ps_protect(self->fd, at(3), self->page, PROT_NONE));
	EXPECT_PROT(1, PROT_NONE);
	EXPECT_PROT(2, PROT_READ);
	EXPECT_PROT(3, PROT_NONE);
	EXPECT_PROT(4, PROT_READ);
	EXPECT_PROT(5, PROT_NONE);
	/* Nor by another protection of the whole mapping. */
	ASSERT_EQ(0, mprotect(at(0), N * self->page, RW));
	EXPECT_PROT(1, RW);
	EXPECT_PROT(3, RW);
	EXPECT_PROT(5, RW);
	EXPECT_EQ(0, ps_protections(self->fd, self->p, N * self->page, NULL, 0));
}

#define MAP_LIMIT	"/proc/sys/vm/max_map_count"

static int limit_mappings(long limit)
{
	char text[24];

	snprintf(text, sizeof(text), "%ld", limit);
	return write_text(MAP_LIMIT, text);
}

/* It begins by asking the mapping, and fails later, when the mapping must be split. */
TEST_F(protect_command, mprotect_that_fails_changes_no_protection)
{
	long few = count_mappings() - 2, all = read_number(MAP_LIMIT);
	int ret = -ENOMEM, failed = 0;

	if (all <= 0)
		SKIP(return, "no " MAP_LIMIT);
	ASSERT_EQ(0, ps_protect(self->fd, at(1), 2 * self->page, PROT_READ));
	ASSERT_EQ(0, ps_protect(self->fd, at(3), self->page, PROT_NONE));
	/* It splits the mapping twice. The first may succeed. */
	for (long limit = few; ret == -ENOMEM; limit++) {
		ASSERT_EQ(0, limit_mappings(limit));
		ret = sys(mprotect(at(2), self->page, PROT_NONE));
		ASSERT_EQ(0, limit_mappings(all));
		if (ret)
			failed++;
		EXPECT_PROT(0, RW);
		EXPECT_PROT(1, PROT_READ);
		EXPECT_PROT(2, ret ? PROT_READ : PROT_NONE);
		EXPECT_PROT(3, PROT_NONE);
		EXPECT_LE(2, ps_protections(self->fd, self->p, N * self->page, NULL, 0));
	}
	EXPECT_LT(1, failed);
	ASSERT_EQ(0, ret);
	EXPECT_EQ(2, ps_protections(self->fd, self->p, N * self->page, NULL, 0));
	ASSERT_EQ(0, mprotect(at(2), self->page, RW));
	EXPECT_PROT(1, PROT_READ);
	EXPECT_PROT(2, RW);
	EXPECT_PROT(3, PROT_NONE);
	EXPECT_EQ(2, ps_protections(self->fd, self->p, N * self->page, NULL, 0));
}

TEST_F(protect_command, mappings_watched_by_userfaultfd_are_refused)
{
	int uffd = uffd_open();

	if (uffd < 0)
		SKIP(return, "no userfaultfd: %s", strerror(errno));
	ASSERT_EQ(0, uffd_register(uffd, at(0), 2 * self->page, UFFDIO_REGISTER_MODE_MISSING));
	EXPECT_EQ(-EOPNOTSUPP, ps_protect(self->fd, at(0), self->page, PROT_READ));
	EXPECT_EQ(-EOPNOTSUPP, ps_remap(self->fd, at(1), self->page, 5, RW));
	/* The other way round as well. */
	ASSERT_EQ(0, ps_protect(self->fd, at(4), self->page, PROT_READ));
	EXPECT_EQ(-EINVAL, uffd_register(uffd, at(4), self->page, UFFDIO_REGISTER_MODE_MISSING));
	close(uffd);
	EXPECT_EQ(0, ps_protect(self->fd, at(0), self->page, PROT_READ));
	EXPECT_PROT(0, PROT_READ);
}

TEST_F(protect_command, guard_regions_stay)
{
	if (sys(madvise(at(1), 2 * self->page, MADV_GUARD_INSTALL)))
		SKIP(return, "no guard regions: %s", strerror(errno));
	ASSERT_EQ(0, ps_protect(self->fd, at(0), 4 * self->page, PROT_READ));
	EXPECT_PROT(0, PROT_READ);
	EXPECT_PROT(1, PROT_NONE);
	EXPECT_PROT(3, PROT_READ);
	ASSERT_EQ(0, ps_protect(self->fd, at(0), 4 * self->page, RW));
	EXPECT_PROT(0, RW);
	EXPECT_PROT(2, PROT_NONE);
	/* As in any special mapping, they are not removed while there are protections. */
	ASSERT_EQ(0, ps_protect(self->fd, at(0), self->page, PROT_READ));
	EXPECT_EQ(-EINVAL, sys(madvise(at(1), 2 * self->page, MADV_GUARD_REMOVE)));
	ASSERT_EQ(0, ps_protect(self->fd, at(0), self->page, RW));
	ASSERT_EQ(0, sys(madvise(at(1), 2 * self->page, MADV_GUARD_REMOVE)));
	EXPECT_PROT(1, RW);
}

TEST_F(protect_command, bad_arguments)
{
	struct pinseal_protect good = {
		.addr = (uintptr_t)at(1),
		.len = self->page,
		.prot = PROT_READ,
	};
	struct pinseal_protect_range range = a_range(at(1), self->page, PROT_READ);

#define EXPECT_REFUSED(error, field, value) do {				\
	struct pinseal_protect arg = good;					\
										\
	arg.field = value;							\
	EXPECT_EQ(error, ps_ioctl(self->fd, PINSEAL_IOC_PROTECT, &arg))		\
		TH_LOG("%s", #field " = " #value);				\
} while (0)

	EXPECT_REFUSED(-EINVAL, addr, (uintptr_t)at(1) + 1);
	EXPECT_REFUSED(-EINVAL, len, 0);
	EXPECT_REFUSED(-EINVAL, len, self->page - 1);
	EXPECT_REFUSED(-EOVERFLOW, len, -self->page);
	EXPECT_REFUSED(-ENOMEM, len, N * self->page);
	EXPECT_REFUSED(-ENOMEM, addr, 0);
	EXPECT_REFUSED(-EINVAL, pgoff, 1);
	EXPECT_REFUSED(-EINVAL, prot, 8);
	EXPECT_REFUSED(-EINVAL, prot, 1U << 31);
	EXPECT_REFUSED(-EINVAL, flags, 8);
	EXPECT_REFUSED(-EINVAL, flags, 1U << 31);
	EXPECT_REFUSED(-E2BIG, ranges, 1);
	EXPECT_REFUSED(-E2BIG, nr, 1);

	good = (struct pinseal_protect){
		.flags = PINSEAL_PROTECT_RANGES,
		.ranges = (uintptr_t)&range,
		.nr = 1,
	};
	EXPECT_REFUSED(-EINVAL, addr, self->page);
	EXPECT_REFUSED(-EINVAL, len, self->page);
	EXPECT_REFUSED(-EINVAL, pgoff, 1);
	EXPECT_REFUSED(-EINVAL, prot, PROT_READ);
	EXPECT_REFUSED(-EINVAL, nr, PINSEAL_PROTECT_MAX + 1);
	EXPECT_REFUSED(-EINVAL, flags, PINSEAL_PROTECT_RANGES | PINSEAL_PROTECT_QUERY);
	EXPECT_REFUSED(-EFAULT, ranges, 8);
	EXPECT_REFUSED(0, nr, 0);
	range.flags = PINSEAL_PROTECT_QUERY;
	EXPECT_REFUSED(-EINVAL, nr, 1);
	range.flags = 0;
	range.pgoff = 1;
	EXPECT_REFUSED(-EINVAL, nr, 1);

	good = (struct pinseal_protect){
		.addr = (uintptr_t)self->p,
		.len = N * self->page,
		.flags = PINSEAL_PROTECT_QUERY,
		.ranges = (uintptr_t)&range,
		.nr = 1,
	};
	EXPECT_REFUSED(-EINVAL, prot, PROT_READ);
	EXPECT_REFUSED(-EINVAL, pgoff, 1);
	EXPECT_REFUSED(-EINVAL, len, 0);
	EXPECT_EQ(0, ps_protections(self->fd, self->p, N * self->page, NULL, 0));
	ASSERT_EQ(0, ps_protect(self->fd, at(1), self->page, PROT_READ));
	EXPECT_REFUSED(-EFAULT, ranges, 8);
}

TEST_F(protect_command, a_seal_asks_the_mapping_not_its_pages)
{
	struct pinseal_seal seal = { .seals = F_SEAL_WRITE, .timeout_ns = NSEC_PER_MSEC };

	ASSERT_EQ(0, ps_protect(self->fd, self->p, N * self->page, PROT_READ));
	EXPECT_EQ(-EBUSY, ps_seal(self->fd, &seal));
	EXPECT_EQ(PINSEAL_OUTCOME_WRITABLE_MAPPING, seal.outcome);
	ASSERT_EQ(0, munmap(self->p, N * self->page));
	EXPECT_EQ(0, ps_add_seals(self->fd, F_SEAL_WRITE));
}

TEST_F(protect_command, sealed_memory_is_narrowed_but_not_widened)
{
	char *p;

	ASSERT_EQ(0, munmap(self->p, N * self->page));
	ASSERT_EQ(0, ps_add_seals(self->fd, F_SEAL_WRITE));
	p = ps_map(self->fd, N * self->page, PROT_READ, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(-EACCES, ps_protect(self->fd, p, self->page, RW));
	EXPECT_EQ(0, ps_protect(self->fd, p, self->page, PROT_NONE));
	EXPECT_EQ(SIGSEGV, ps_touch(p, false));
	EXPECT_EQ(-EACCES, ps_protect(self->fd, p, self->page, RW));
	EXPECT_EQ(0, ps_protect(self->fd, p, self->page, PROT_READ));
	EXPECT_EQ(0, ps_touch(p, false));
	EXPECT_EQ(SIGSEGV, ps_touch(p, true));
}

/* Each of many ranges concerns each of many mappings. */
TEST_F(protect_command, too_many_visits_are_refused)
{
	const size_t n = 4000, len = n * self->page;
	struct pinseal_protect_range *ranges = calloc(PINSEAL_PROTECT_MAX, sizeof(*ranges));
	char *p;

	ASSERT_NE(NULL, ranges);
	ASSERT_EQ(0, obj_resize(self->fd, len));
	p = ps_map(self->fd, len, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	for (size_t i = 0; i < n; i += 2)
		ASSERT_EQ(0, mprotect(p + i * self->page, self->page, PROT_READ));
	for (size_t i = 0; i < PINSEAL_PROTECT_MAX; i++)
		ranges[i] = a_range(p, len, PROT_NONE);
	EXPECT_EQ(-ENOMEM, ps_protect_ranges(self->fd, ranges, PINSEAL_PROTECT_MAX));
	EXPECT_EQ(0, ps_touch(p, false));
	EXPECT_EQ(0, ps_protect_ranges(self->fd, ranges, 8));
	EXPECT_EQ(SIGSEGV, ps_touch(p, false));
	munmap(p, len);
	free(ranges);
}

/* An array of changes of a large map: hours of work. */
TEST_F(protect_command, a_call_that_takes_long_can_be_killed)
{
	const size_t n = 30000, stride = 128, len = n * stride * self->page;
	struct pinseal_protect_range *ranges = calloc(PINSEAL_PROTECT_MAX, sizeof(*ranges));
	uint64_t killed;
	pid_t pid;
	char *p;

	ASSERT_NE(NULL, ranges);
	ASSERT_EQ(0, obj_resize(self->fd, len));
	p = ps_map(self->fd, len, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	for (size_t i = 0; i < n; i++)
		ranges[i] = a_range(p + i * stride * self->page, self->page, PROT_READ);
	ASSERT_EQ(0, ps_protect_ranges(self->fd, ranges, n));
	for (size_t i = 0; i < PINSEAL_PROTECT_MAX; i++)
		ranges[i] = a_range(p, len, i % 2 ? PROT_READ : PROT_NONE);
	pid = ps_fork();
	if (!pid) {
		ps_protect_ranges(self->fd, ranges, PINSEAL_PROTECT_MAX);
		_exit(0);
	}
	sleep_ns(NSEC_PER_SEC);
	EXPECT_EQ(0, waitpid(pid, NULL, WNOHANG));
	killed = now_ns();
	ps_kill(pid);
	EXPECT_GT(LATE_NS, now_ns() - killed);
	/* The parent's map is as it was. */
	EXPECT_EQ(n, ps_protections(self->fd, p, len, NULL, 0));
	munmap(p, len);
	free(ranges);
}

TEST_HARNESS_MAIN

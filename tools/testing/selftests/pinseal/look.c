// SPDX-License-Identifier: GPL-2.0-only
/*
 * PINSEAL_IMPORT_LOOK: what can be seen of any memory, and that nothing else can be done with it, nor is
 * its owner hindered by it.
 */
#include <linux/memfd.h>
#include <sys/syscall.h>

#include "cpu.h"
#include "holders.h"
#include "madvise.h"
#include "object.h"
#include "stacked.h"
#include "state.h"
#include "zram_swap.h"

#include "harness.h"

#define PAGES	16
#define FIRST	5
#define HELD	3

static int look_at(int fd, int file)
{
	struct pinseal_import arg = { .fd = file, .flags = PINSEAL_IMPORT_LOOK };

	return ps_ioctl(fd, PINSEAL_IOC_IMPORT, &arg);
}

enum memory { SEALABLE, NOT_SEALABLE, READ_ONLY, TMPFS, CREATED_MEMFD };

static int open_memory(enum memory memory)
{
	int fd, reader;

	switch (memory) {
	case SEALABLE:
	case READ_ONLY:
		fd = memfd_open();
		break;
	case NOT_SEALABLE:
		fd = memfd_create("not sealable", MFD_CLOEXEC);
		break;
	case TMPFS:
		fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
		break;
	case CREATED_MEMFD:
		fd = created_open(0, "created");
		break;
	default:
		return -EINVAL;
	}
	if (fd < 0 || ftruncate(fd, PAGES * page_size()))
		return -errno;
	if (memory != READ_ONLY)
		return fd;
	reader = open_by_proc(fd, O_RDONLY);
	close(fd);
	return reader;
}

/* @fd: a descriptor of the device, for reading; @file: what it looks at; @writer: the same, for writing */
FIXTURE(look) {
	int fd, file, writer;
};

FIXTURE_VARIANT(look) { enum memory memory; };
FIXTURE_VARIANT_ADD(look, at_a_memfd) { .memory = SEALABLE };
FIXTURE_VARIANT_ADD(look, at_one_that_cannot_be_sealed) { .memory = NOT_SEALABLE };
FIXTURE_VARIANT_ADD(look, by_a_read_only_descriptor) { .memory = READ_ONLY };
FIXTURE_VARIANT_ADD(look, at_a_tmpfs_file) { .memory = TMPFS };
FIXTURE_VARIANT_ADD(look, at_a_created_memfd) { .memory = CREATED_MEMFD };

FIXTURE_SETUP(look)
{
	run_on_cpu(0);
	self->file = open_memory(variant->memory);
	ASSERT_LE(0, self->file);
	self->writer = open_by_proc(self->file, O_RDWR);
	ASSERT_LE(0, self->writer);
	ASSERT_EQ(0, fill_lower(self->writer, PAGES * page_size()));
	self->fd = ps_open(O_RDONLY);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, look_at(self->fd, self->file));
}

FIXTURE_TEARDOWN(look)
{
	close(self->fd);
	close(self->file);
	close(self->writer);
}

TEST_F(look, tells_of_size_seals_and_references)
{
	struct pinseal_page vec[PAGES];
	struct pinseal_info info;
	struct pinseal_pins pins;
	struct hold hold;
	char value[32];

	ASSERT_EQ(0, ps_info(self->fd, &info));
	EXPECT_TRUE(info.features & PINSEAL_FEATURE_LOOK);
	EXPECT_EQ(PAGES * page_size(), info.size);
	EXPECT_EQ(fcntl(self->file, F_GET_SEALS), ps_get_seals(self->fd));
	ASSERT_EQ(0, hold_begin(&hold, HOLD_URING, self->writer, FIRST, HELD));
	ASSERT_EQ(0, ps_pins(self->fd, 0, vec, PAGES, &pins));
	EXPECT_EQ(HELD, pins.dma_pinned_pages);
	ASSERT_EQ(0, hold_end(&hold));
	ASSERT_EQ(0, ps_pins(self->fd, 0, NULL, 0, &pins));
	EXPECT_EQ(0, pins.dma_pinned_pages);
	/* As it is now. */
	ASSERT_EQ(0, ftruncate(self->writer, page_size()));
	ASSERT_EQ(0, ps_info(self->fd, &info));
	EXPECT_EQ(page_size(), info.size);
	ASSERT_EQ(0, fdinfo_value(self->fd, "size", value, sizeof(value)));
	EXPECT_EQ(page_size(), strtoull(value, NULL, 10));
}

/* Also with a descriptor of the device that can write. */
TEST_F(look, allows_nothing_else)
{
	struct pinseal_seal seal = { .seals = F_SEAL_WRITE | F_SEAL_SHRINK };
	int fd = ps_open(O_RDWR), pipe_fd[2], seals, again;
	struct pinseal_info info;
	size_t page = page_size();
	char c = 'c';
	void *p;

	ASSERT_EQ(0, look_at(fd, self->file));
	seals = fcntl(self->file, F_GET_SEALS);
	EXPECT_EQ(-EPERM, ps_seal(fd, &seal));
	seal.flags = PINSEAL_SEAL_ASYNC;
	EXPECT_EQ(-EPERM, ps_seal(fd, &seal));
	seal = (struct pinseal_seal){ .flags = PINSEAL_SEAL_NOWAIT };
	EXPECT_EQ(-EPERM, ps_seal(fd, &seal));
	EXPECT_EQ(-EPERM, ps_resize(fd, 0));
	EXPECT_EQ(-EPERM, ps_fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, page));
	EXPECT_EQ(-EPERM, ps_pin(fd, 0, 1, 0));
	EXPECT_EQ(-EPERM, ps_pin(fd, 0, 1, PINSEAL_PIN_READONLY));
	EXPECT_EQ(-EPERM, ps_export(fd, 0));
	EXPECT_EQ(-EPERM, ps_export(fd, PINSEAL_EXPORT_RDONLY));
	EXPECT_EQ(-EPERM, sys(pread(fd, &c, 1, 0)));
	EXPECT_EQ(-EPERM, sys(pwrite(fd, &c, 1, 0)));
	EXPECT_EQ(-EPERM, sys(lseek(fd, 0, SEEK_END)));
	EXPECT_EQ(-EPERM, sys(lseek(fd, 0, SEEK_DATA)));
	EXPECT_EQ(-EPERM, sys(fsync(fd)));
	EXPECT_EQ(-EPERM, ps_try_map(fd, page, PROT_READ, MAP_SHARED));
	EXPECT_EQ(-EPERM, ps_try_map(fd, page, PROT_READ | PROT_WRITE, MAP_SHARED));
	EXPECT_EQ(-EPERM, ps_try_map(fd, page, PROT_READ, MAP_PRIVATE));
	ASSERT_EQ(0, pipe(pipe_fd));
	EXPECT_EQ(-EPERM, sys(splice(fd, NULL, pipe_fd[1], NULL, page, 0)));
	ASSERT_EQ(1, write(pipe_fd[1], "w", 1));
	EXPECT_EQ(-EPERM, sys(splice(pipe_fd[0], NULL, fd, NULL, 1, 0)));
	close(pipe_fd[0]);
	close(pipe_fd[1]);
	/* A mirror is of a mapping. */
	p = mmap(NULL, page, PROT_READ, MAP_SHARED, self->file, 0);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(-EPERM, ps_mirror(fd, 0, 1, PINSEAL_PIN_READONLY, p));
	munmap(p, page);
	/* Nothing was changed, and another descriptor does no more. */
	EXPECT_EQ(seals, fcntl(self->file, F_GET_SEALS));
	EXPECT_EQ(-1, differs_up_to(self->writer, self->file, PAGES * page));
	again = ps_reopen(fd, O_RDWR);
	ASSERT_LE(0, again);
	EXPECT_EQ(-EPERM, sys(pwrite(again, &c, 1, 0)));
	EXPECT_EQ(0, ps_info(again, &info));
	EXPECT_EQ(PAGES * page, info.size);
	close(again);
	close(fd);
}

TEST_F(look, is_of_an_unused_object)
{
	int fd = ps_open(O_RDWR), other = memfd_open();

	ASSERT_EQ(0, look_at(fd, self->file));
	EXPECT_EQ(-EBUSY, look_at(fd, self->file));
	EXPECT_EQ(-EBUSY, ps_import(fd, other));
	EXPECT_EQ(-EBUSY, ps_attach(fd, other, 0));
	EXPECT_EQ(-EBUSY, ps_set_name(fd, "name"));
	close(fd);
	fd = ps_create(page_size());
	EXPECT_EQ(-EBUSY, look_at(fd, self->file));
	EXPECT_EQ(page_size(), ps_size(fd));
	close(fd);
	close(other);
}

/* Its owner does what it does when there is no other user. */
TEST_F(look, is_in_no_ones_way)
{
	struct pinseal_seal seal = { .seals = F_SEAL_WRITE };
	char *const argv[] = { "program", NULL };
	char c = 'c';

	if (variant->memory == SEALABLE) {
		ASSERT_EQ(0, fcntl_add_seals(self->writer, F_SEAL_WRITE));
		EXPECT_EQ(F_SEAL_WRITE, ps_get_seals(self->fd));
	}
	if (variant->memory == CREATED_MEMFD) {
		ASSERT_EQ(0, ps_seal(self->file, &seal));
		EXPECT_EQ(fcntl(self->file, F_GET_SEALS), ps_get_seals(self->fd));
	}
	if (variant->memory == NOT_SEALABLE) {
		EXPECT_EQ(1, sys(pwrite(self->writer, &c, 1, 0)));
	}
	/* A lease for writing is for the one that has the file open, and execution for none that writes. */
	close(self->writer);
	if (variant->memory != READ_ONLY) {
		int reader = open_by_proc(self->file, O_RDONLY);

		close(self->file);
		self->file = reader;
	}
	ASSERT_EQ(0, sys(fcntl(self->file, F_SETLEASE, F_WRLCK)));
	ASSERT_EQ(0, sys(fcntl(self->file, F_SETLEASE, F_UNLCK)));
	fchmod(self->file, 0700);
	EXPECT_EQ(-ENOEXEC, sys(syscall(SYS_execveat, self->file, "", argv, environ, AT_EMPTY_PATH)));
	self->writer = open_by_proc(self->file, O_RDWR);
}

/* The memory is there as long as it is looked at. */
TEST_F(look, outlives_the_descriptors)
{
	struct pinseal_info info;
	struct pinseal_pins pins;

	close(self->file);
	close(self->writer);
	ASSERT_EQ(0, ps_info(self->fd, &info));
	EXPECT_EQ(PAGES * page_size(), info.size);
	EXPECT_EQ(0, ps_pins(self->fd, 0, NULL, 0, &pins));
	EXPECT_EQ(PAGES, pins.next);
	self->file = self->writer = open("/dev/null", O_RDWR | O_CLOEXEC);
}

TEST(look_is_refused)
{
	int fd = ps_open(O_RDWR), reader = ps_open(O_RDONLY), writer = ps_open(O_WRONLY);
	struct pinseal_import arg = { .flags = PINSEAL_IMPORT_LOOK };
	int memfd = memfd_open(), memfd_writer = open_by_proc(memfd, O_WRONLY), path, pipe_fd[2];
	int neither = open_by_proc(memfd, O_ACCMODE);

	ASSERT_EQ(0, pipe(pipe_fd));
	EXPECT_EQ(-EPERM, look_at(writer, memfd));
	EXPECT_EQ(-EPERM, look_at(fd, memfd_writer));
	ASSERT_LE(0, neither);
	EXPECT_EQ(-EPERM, look_at(fd, neither));
	close(neither);
	EXPECT_EQ(-EINVAL, look_at(fd, pipe_fd[0]));
	EXPECT_EQ(-EINVAL, look_at(fd, reader));
	EXPECT_EQ(-EINVAL, look_at(fd, fd));
	EXPECT_EQ(-EBADF, look_at(fd, -1));
	path = open("/tmp", O_PATH | O_CLOEXEC);
	EXPECT_EQ(-EBADF, look_at(fd, path));
	close(path);
	path = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	EXPECT_EQ(-EINVAL, look_at(fd, path));
	close(path);
	arg.fd = memfd;
	arg.flags |= 1U << 1;
	EXPECT_EQ(-EINVAL, ps_ioctl(fd, PINSEAL_IOC_IMPORT, &arg));
	/* What was refused has used nothing. */
	EXPECT_EQ(0, ps_import(fd, memfd));
	EXPECT_EQ(0, look_at(reader, memfd));
	close(pipe_fd[0]);
	close(pipe_fd[1]);
	close(memfd);
	close(memfd_writer);
	close(fd);
	close(reader);
	close(writer);
}

/*
 * Flags of reported pages
 */

FIXTURE(page_flags) {
	int fd;
	struct hold hold;
};

FIXTURE_SETUP(page_flags)
{
	run_on_cpu(0);
	self->fd = ps_create(PAGES * page_size());
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(page_flags)
{
	close(self->fd);
}

/* The flags of page @index, if it has extra references. */
static int flags_of(int fd, uint64_t index)
{
	struct pinseal_page vec;
	struct pinseal_pins pins;

	if (ps_pins(fd, index, &vec, 1, &pins) || !pins.found || vec.index != index)
		return -ENOENT;
	return vec.flags;
}

/* A new page has the reference of an LRU batch, which a seal drains. */
TEST_F(page_flags, off_lru)
{
	struct pinseal_seal seal = { .seals = F_SEAL_WRITE, .flags = PINSEAL_SEAL_NOWAIT };
	bool seen = false;

	/* A batch is drained when it is full, or by others. */
	for (int i = 0; i < PAGES && !seen; i++) {
		ASSERT_EQ(1, pwrite(self->fd, "w", 1, i * page_size()));
		seen = flags_of(self->fd, i) == PINSEAL_PAGE_OFF_LRU;
	}
	EXPECT_TRUE(seen);
	ASSERT_EQ(0, hold_begin(&self->hold, HOLD_SPLICE, self->fd, 0, 1));
	EXPECT_EQ(-EBUSY, ps_seal(self->fd, &seal));
	/* Unless reclaim, or the like, has it off for a moment. */
	seen = false;
	for (int i = 0; i < 1000 && !seen; i++)
		seen = flags_of(self->fd, 0) == 0;
	EXPECT_TRUE(seen);
	ASSERT_EQ(0, hold_end(&self->hold));
}

TEST_F(page_flags, mlocked)
{
	char *p = ps_map(self->fd, page_size(), PROT_READ | PROT_WRITE, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, p);
	*p = 'm';
	ASSERT_EQ(0, hold_begin(&self->hold, HOLD_SPLICE, self->fd, 0, 1));
	EXPECT_EQ(0, flags_of(self->fd, 0) & PINSEAL_PAGE_MLOCKED);
	ASSERT_EQ(0, mlock(p, page_size()));
	EXPECT_EQ(PINSEAL_PAGE_MLOCKED, flags_of(self->fd, 0) & PINSEAL_PAGE_MLOCKED);
	ASSERT_EQ(0, munlock(p, page_size()));
	EXPECT_EQ(0, flags_of(self->fd, 0) & PINSEAL_PAGE_MLOCKED);
	ASSERT_EQ(0, hold_end(&self->hold));
	munmap(p, page_size());
}

/* The flags that page 0 was seen with, until it had @wanted or time was up. */
static int flags_seen(int fd, int wanted, uint64_t for_ns)
{
	uint64_t until = now_ns() + for_ns;
	int seen = 0, flags;

	while (!(seen & wanted) && now_ns() < until) {
		flags = flags_of(fd, 0);
		if (flags >= 0)
			seen |= flags;
	}
	return seen;
}

/*
 * A page is in the object and in the swap cache for some instructions at each end of its stay in swap. It
 * goes there and back on another CPU until it is seen then. Without swap it only begins to go. shmem has
 * waited for its writeback before, so PINSEAL_PAGE_WRITEBACK is never seen.
 */
TEST_F(page_flags, swapcache)
{
	struct zram_swap swap;
	pid_t pid;
	char *p;
	int seen;

	if (!zram_is_there())
		SKIP(return, "no zram");
	if (run_on_cpu(1))
		SKIP(return, "no other CPU");
	run_on_cpu(0);
	p = ps_map(self->fd, page_size(), PROT_READ | PROT_WRITE, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	pid = ps_fork();
	if (!pid) {
		run_on_cpu(1);
		for (;;) {
			(*(volatile char *)p)++;
			madvise(p, page_size(), MADV_PAGEOUT);
		}
	}
	if (!ps_meminfo_kb("SwapTotal")) {
		seen = flags_seen(self->fd, PINSEAL_PAGE_SWAPCACHE, NSEC_PER_SEC);
		EXPECT_FALSE(seen & PINSEAL_PAGE_SWAPCACHE);
	}
	ASSERT_EQ(0, zram_swap_begin(&swap, 256 * page_size()));
	seen = flags_seen(self->fd, PINSEAL_PAGE_SWAPCACHE, SOON_NS);
	EXPECT_TRUE(seen & PINSEAL_PAGE_SWAPCACHE);
	EXPECT_FALSE(seen & PINSEAL_PAGE_WRITEBACK);
	ps_kill(pid);
	munmap(p, page_size());
	zram_swap_end(&swap);
}

TEST_HARNESS_MAIN

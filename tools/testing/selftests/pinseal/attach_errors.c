// SPDX-License-Identifier: GPL-2.0-only
/*
 * Errors of the lower file of a stacked object: full file systems, bad sectors, a disk that does not
 * answer. They are told, nothing is lost, and the next call tries again.
 */
#include <linux/ext4.h>
#include <linux/fs.h>
#include <pthread.h>
#include <sys/mount.h>
#include <sys/uio.h>

#include "harness.h"
#include "async.h"
#include "bytes.h"
#include "disk.h"
#include "memcg.h"
#include "object.h"
#include "sealer.h"
#include "stacked.h"
#include "zram_swap.h"

#define N	16

/* A full tmpfs: nothing is lost, and each descriptor is told once. */
TEST(a_full_tmpfs)
{
	char dir[] = "/tmp/attach-XXXXXX", path[64];
	size_t page = page_size();
	struct iovec byte = { "d", 1 };
	int lower, filler, fd, again, durable;
	char *p;

	ASSERT_NE(NULL, mkdtemp(dir));
	ASSERT_EQ(0, mount("none", dir, "tmpfs", 0, "size=1m"));
	snprintf(path, sizeof(path), "%s/lower", dir);
	lower = open(path, O_CREAT | O_RDWR, 0600);
	ASSERT_LE(0, lower);
	snprintf(path, sizeof(path), "%s/filler", dir);
	filler = open(path, O_CREAT | O_RDWR, 0600);
	ASSERT_LE(0, filler);
	ASSERT_EQ(0, ftruncate(lower, 4 * page));
	while (write(filler, &(char[4096]){ 0 }, 4096) > 0)
		;
	fd = ps_open(O_RDWR);
	ASSERT_EQ(0, ps_attach(fd, lower, 0));
	again = ps_reopen(fd, O_RDWR);
	ASSERT_LE(0, again);
	p = ps_map(fd, 4 * page, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	p[page] = 's';
	EXPECT_EQ(-ENOSPC, sys(fsync(fd)));
	EXPECT_EQ(-ENOSPC, sys(msync(p, 4 * page, MS_SYNC)));
	EXPECT_EQ('s', p[page]);
	durable = ps_reopen(fd, O_RDWR);
	ASSERT_LE(0, durable);
	EXPECT_EQ(-ENOSPC, sys(pwritev2(durable, &byte, 1, 2 * page, RWF_DSYNC)));
	ASSERT_EQ(0, ftruncate(filler, 0));
	EXPECT_EQ(0, sys(fsync(durable)));
	EXPECT_EQ(1, sys(pwritev2(durable, &byte, 1, 3 * page, RWF_DSYNC)));
	EXPECT_EQ('d', byte_of(lower, 3 * page));
	EXPECT_EQ(-ENOSPC, sys(fsync(again)));
	EXPECT_EQ(0, sys(fsync(again)));
	close(durable);
	EXPECT_EQ('s', byte_of(lower, page));
	munmap(p, 4 * page);
	close(again);
	close(fd);
	close(lower);
	close(filler);
	umount(dir);
	rmdir(dir);
}

/* An object over a file on a disk. */
FIXTURE(on_disk) {
	struct disk disk;
	int fd, lower;
	size_t page;
	char *p;
};

FIXTURE_VARIANT(on_disk) { const char *type; };
FIXTURE_VARIANT_ADD(on_disk, ext4) { "ext4" };
FIXTURE_VARIANT_ADD(on_disk, xfs) { "xfs" };
FIXTURE_VARIANT_ADD(on_disk, btrfs) { "btrfs" };

FIXTURE_SETUP(on_disk)
{
	self->page = page_size();
	if (!disk_is_there(variant->type))
		SKIP(return, "there is no disk with %s", variant->type);
	ASSERT_EQ(0, disk_mount(&self->disk, variant->type));
	self->lower = new_lower(&self->disk, NULL);
	ASSERT_LE(0, self->lower);
	/* It would write elsewhere, not to what fails. */
	if (!strcmp(variant->type, "btrfs")) {
		ASSERT_EQ(0, sys(ioctl(self->lower, FS_IOC_SETFLAGS, &(int){ FS_NOCOW_FL })));
	}
	ASSERT_EQ(0, fill_lower(self->lower, N * self->page));
	ASSERT_EQ(0, fsync(self->lower));
	self->fd = ps_open(O_RDWR);
	ASSERT_EQ(0, ps_attach(self->fd, self->lower, 0));
	self->p = ps_map(self->fd, N * self->page, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, self->p);
}

FIXTURE_TEARDOWN(on_disk)
{
	munmap(self->p, N * self->page);
	close(self->fd);
	close(self->lower);
	disk_unmount(&self->disk);
}

/* What the lower file has on the disk. */
static void forget_lower(FIXTURE_DATA(on_disk) *self)
{
	posix_fadvise(self->lower, 0, 0, POSIX_FADV_DONTNEED);
}

TEST_F(on_disk, what_cannot_be_read_is_tried_again)
{
	char c;

	forget_lower(self);
	ASSERT_EQ(0, disk_fail_page(&self->disk, self->lower, 5 * self->page));
	EXPECT_EQ(SIGBUS, ps_touch(self->p + 5 * self->page, false));
	EXPECT_EQ(SIGBUS, ps_touch(self->p + 5 * self->page, true));
	EXPECT_EQ(-EIO, sys(pread(self->fd, &c, 1, 5 * self->page)));
	EXPECT_EQ(-EIO, sys(pwrite(self->fd, "w", 1, 5 * self->page)));
	EXPECT_EQ(-EIO, ps_pin(self->fd, 5, 1, 0));
	EXPECT_EQ(lower_byte(6 * self->page), self->p[6 * self->page]);
	EXPECT_EQ(-EIO, ps_add_seals(self->fd, F_SEAL_GROW));
	ASSERT_EQ(0, disk_heal(&self->disk));
	EXPECT_EQ(0, ps_touch(self->p + 5 * self->page, false));
	EXPECT_EQ(-1, differs(self->p, 0, N * self->page));
}

TEST_F(on_disk, what_comes_before_it_can_be_read_and_written)
{
	char *buf = malloc(N * self->page);

	ASSERT_NE(NULL, buf);
	forget_lower(self);
	ASSERT_EQ(0, disk_fail_page(&self->disk, self->lower, 5 * self->page));
	EXPECT_EQ(5 * self->page - 100, sys(pread(self->fd, buf, 10 * self->page, 100)));
	EXPECT_EQ(0, memcmp(buf, self->p + 100, 5 * self->page - 100));
	EXPECT_EQ(-EIO, sys(pread(self->fd, buf, self->page, 5 * self->page)));
	memset(buf, 'w', N * self->page);
	EXPECT_EQ(2 * self->page, sys(pwrite(self->fd, buf, 10 * self->page, 3 * self->page)));
	EXPECT_EQ(-EIO, sys(pwrite(self->fd, buf, self->page, 5 * self->page)));
	ASSERT_EQ(0, disk_heal(&self->disk));
	EXPECT_EQ(-1, differs(self->p, 0, 3 * self->page));
	EXPECT_EQ(0, memcmp(buf, self->p + 3 * self->page, 2 * self->page));
	EXPECT_EQ(-1, differs(self->p, 5 * self->page, N * self->page));
	free(buf);
}

/* Reclaim takes a page without content. If it were dirty, it would come back as zeros. */
TEST_F(on_disk, what_cannot_be_read_is_not_swapped_out)
{
	struct pinseal_fallocate punch = {
		.mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		.flags = PINSEAL_FALLOCATE_WAIT,
		.offset = 5 * self->page,
		.len = 3 * self->page,
		.timeout_ns = 20 * NSEC_PER_MSEC,
	};
	int pin;
	struct zram_swap swap;
	struct memcg group;
	pid_t child;

	if (!zram_is_there() || !memcg_is_there())
		SKIP(return, "needs zram and cgroup2");
	ASSERT_EQ(0, zram_swap_begin(&swap, 8 << 20));
	ASSERT_EQ(0, memcg_make(&group, NULL, "unreadable"));
	forget_lower(self);
	ASSERT_EQ(0, disk_fail_page(&self->disk, self->lower, 5 * self->page));
	child = ps_fork();
	if (!child) {
		/* Its group pays for the page. */
		if (memcg_join(&group))
			_exit(1);
		_exit(ps_touch(self->p + 5 * self->page, false) != SIGBUS);
	}
	EXPECT_EQ(0, ps_wait(child));
	/* Nor do those who look for references to it take it for a page with content. */
	pin = ps_pin(self->fd, 7, 1, 0);
	ASSERT_LE(0, pin);
	EXPECT_EQ(-EBUSY, ps_ioctl(self->fd, PINSEAL_IOC_FALLOCATE, &punch));
	EXPECT_EQ(7, punch.first_pinned);
	close(pin);
	for (int i = 0; i < 100 && memcg_shmem_pages(&group) > 0; i++)
		memcg_reclaim(&group, 1 << 20);
	EXPECT_EQ(0, memcg_shmem_pages(&group));
	ASSERT_EQ(0, disk_heal(&self->disk));
	EXPECT_EQ(-1, differs(self->p, 0, N * self->page));
	munmap(self->p, N * self->page);
	close(self->fd);
	memcg_remove(&group);
	zram_swap_end(&swap);
	self->fd = ps_open(O_RDWR);
	self->p = ps_map(self->fd, N * self->page, RW, MAP_SHARED);
}

TEST_F(on_disk, a_bad_page_can_be_removed)
{
	forget_lower(self);
	ASSERT_EQ(0, disk_fail_page(&self->disk, self->lower, 5 * self->page));
	EXPECT_EQ(SIGBUS, ps_touch(self->p + 5 * self->page, false));
	EXPECT_EQ(0, ps_fallocate(self->fd, PUNCH, 5 * self->page, self->page));
	EXPECT_EQ(0, ps_touch(self->p + 5 * self->page, false));
	EXPECT_EQ(0, self->p[5 * self->page]);
	self->p[5 * self->page] = 's';
	EXPECT_EQ('s', byte_of(self->fd, 5 * self->page));
	ASSERT_EQ(0, disk_heal(&self->disk));
	EXPECT_EQ('s', byte_of(self->fd, 5 * self->page));
}

/* The file system takes the pages, and fails to write them. */
TEST_F(on_disk, what_cannot_be_written_stays_dirty)
{
	int again = ps_reopen(self->fd, O_RDWR);

	ASSERT_LE(0, again);
	self->p[5 * self->page] = 's';
	self->p[6 * self->page] = 's';
	ASSERT_EQ(0, disk_fail_page(&self->disk, self->lower, 5 * self->page));
	EXPECT_EQ(-EIO, sys(fsync(self->fd)));
	EXPECT_EQ(-EIO, sys(fsync(self->fd)));
	EXPECT_EQ(-EIO, sys(msync(self->p, N * self->page, MS_SYNC)));
	EXPECT_EQ('s', self->p[5 * self->page]);
	ASSERT_EQ(0, disk_heal(&self->disk));
	/* What others were told of. */
	EXPECT_EQ(-EIO, sys(fsync(again)));
	ASSERT_EQ(0, sys(fsync(again)));
	EXPECT_EQ(-EIO, sys(fsync(self->fd)));
	ASSERT_EQ(0, sys(fsync(self->fd)));
	forget_lower(self);
	EXPECT_EQ('s', byte_of(self->lower, 5 * self->page));
	EXPECT_EQ('s', byte_of(self->lower, 6 * self->page));
	EXPECT_EQ(-1, differs_from_lower(self->fd, self->lower));
	close(again);
}

/* That the owner of the file asks for errors as well does not hide them. */
TEST_F(on_disk, errors_are_not_taken_by_others)
{
	self->p[5 * self->page] = 's';
	ASSERT_EQ(0, sys(fsync(self->fd)));
	self->p[5 * self->page] = 't';
	ASSERT_EQ(0, disk_fail_page(&self->disk, self->lower, 5 * self->page));
	EXPECT_EQ(-EIO, sys(fsync(self->fd)));
	EXPECT_NE(0, sys(fsync(self->lower)));
	ASSERT_EQ(0, disk_heal(&self->disk));
	ASSERT_EQ(0, sys(fsync(self->fd)));
	forget_lower(self);
	EXPECT_EQ('t', byte_of(self->lower, 5 * self->page));
}

TEST_F(on_disk, a_descriptor_is_not_told_of_what_was_before)
{
	int again;

	self->p[5 * self->page] = 's';
	ASSERT_EQ(0, disk_fail_page(&self->disk, self->lower, 5 * self->page));
	EXPECT_EQ(-EIO, sys(fsync(self->fd)));
	ASSERT_EQ(0, disk_heal(&self->disk));
	ASSERT_EQ(0, sys(fsync(self->fd)));
	again = ps_reopen(self->fd, O_RDWR);
	ASSERT_LE(0, again);
	EXPECT_EQ(0, sys(fsync(again)));
	close(again);
}

/* While one waits for the disk, others can be killed, and do not wait for what is there. */
TEST_F(on_disk, a_disk_that_does_not_answer)
{
	struct pinseal_seal seal = { .seals = F_SEAL_SHRINK, .timeout_ns = 50 * NSEC_PER_MSEC };
	pid_t child[2];
	int status;

	self->p[5 * self->page] = 's';
	ASSERT_EQ(0, disk_stall(&self->disk));
	for (int i = 0; i < 2; i++) {
		child[i] = fork();
		ASSERT_LE(0, child[i]);
		if (!child[i])
			_exit(!!fsync(self->fd));
		ASSERT_TRUE(process_wait_asleep(child[i]));
	}
	self->p[5 * self->page] = 't';
	ASSERT_EQ(1, sys(pwrite(self->fd, "w", 1, 6 * self->page)));
	EXPECT_EQ(-EBUSY, ps_seal(self->fd, &seal));
	EXPECT_EQ(PINSEAL_OUTCOME_NOT_FILLED, seal.outcome);
	EXPECT_LE(seal.timeout_ns, seal.waited_ns);
	kill(child[1], SIGKILL);
	ASSERT_EQ(child[1], waitpid(child[1], &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	ASSERT_EQ(0, disk_resume(&self->disk));
	ASSERT_EQ(child[0], waitpid(child[0], &status, 0));
	EXPECT_EQ(0, status);
	ASSERT_EQ(0, sys(fsync(self->fd)));
	EXPECT_EQ(-1, differs_from_lower(self->fd, self->lower));
	EXPECT_EQ(0, ps_add_seals(self->fd, F_SEAL_SHRINK));
}

/* How far a seal in the background is can be asked while the disk does not answer. */
TEST_F(on_disk, a_seal_in_the_background_asks_the_disk_once)
{
	struct pinseal_seal seal = seal_async(F_SEAL_WRITE, LONG_NS);
	int pin = ps_pin(self->fd, 3, 1, 0);
	pid_t child;
	int status;

	ASSERT_LE(0, pin);
	munmap(self->p, N * self->page);
	ASSERT_EQ(0, ps_seal(self->fd, &seal));
	EXPECT_EQ(PINSEAL_OUTCOME_PENDING, seal.outcome);
	/* The pin has the page, and its write is one that a sync would wait for. */
	ASSERT_EQ(1, sys(pwrite(pin, "p", 1, 0)));
	ASSERT_EQ(0, disk_stall(&self->disk));
	child = fork();
	ASSERT_LE(0, child);
	if (!child)
		_exit(!!fsync(self->fd));
	ASSERT_TRUE(process_wait_asleep(child));
	EXPECT_EQ(0, ps_seal(self->fd, &seal));
	EXPECT_EQ(PINSEAL_OUTCOME_PENDING, seal.outcome);
	EXPECT_FALSE(async_ended(self->fd));
	ASSERT_EQ(0, disk_resume(&self->disk));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	close(pin);
	ASSERT_EQ(0, async_wait(self->fd, &seal));
	EXPECT_EQ(PINSEAL_OUTCOME_SEALED, seal.outcome);
	self->p = MAP_FAILED;
}

/* Each has its page: none waits for the other's. */
TEST_F(on_disk, pages_are_filled_side_by_side)
{
	/* One in the reach of the largest folio, and one that is not. */
	size_t pages = 1100, gone = 1050;
	int fd = ps_open(O_RDWR), lower;
	pid_t child;
	int status;

	if (self->page != 4096)
		SKIP(return, "the largest folio is too large");
	lower = new_lower(&self->disk, NULL);
	ASSERT_EQ(0, fill_lower(lower, pages * self->page));
	ASSERT_EQ(0, fsync(lower));
	ASSERT_EQ(0, ps_attach(fd, lower, 0));
	ASSERT_EQ(0, ps_fallocate(fd, PUNCH, gone * self->page, self->page));
	posix_fadvise(lower, 0, 0, POSIX_FADV_DONTNEED);
	ASSERT_EQ(0, disk_stall(&self->disk));
	child = fork();
	ASSERT_LE(0, child);
	if (!child)
		_exit(byte_of(fd, 5 * self->page) != lower_byte(5 * self->page));
	ASSERT_TRUE(process_wait_asleep(child));
	EXPECT_EQ(1, sys(pwrite(fd, "w", 1, gone * self->page)));
	EXPECT_EQ('w', byte_of(fd, gone * self->page));
	ASSERT_EQ(0, disk_resume(&self->disk));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	close(fd);
	close(lower);
}

/* A file system does not become read-only below an object that may write to it. */
TEST_F(on_disk, a_disk_that_becomes_read_only)
{
	const unsigned long read_only = MS_REMOUNT | MS_RDONLY;
	int named, fd = ps_open(O_RDWR);
	char path[80], c;

	/* An open file without a name is in the way, too. */
	munmap(self->p, N * self->page);
	close(self->fd);
	close(self->lower);
	snprintf(path, sizeof(path), "%s/named", self->disk.dir);
	named = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	ASSERT_EQ(0, fill_lower(named, N * self->page));
	ASSERT_EQ(0, ps_attach(fd, named, 0));
	close(named);
	ASSERT_EQ(1, sys(pwrite(fd, "w", 1, 5 * self->page)));
	EXPECT_EQ(-EBUSY, sys(mount(NULL, self->disk.dir, NULL, read_only, NULL)));
	ASSERT_EQ(0, sys(fsync(fd)));
	close(fd);
	ASSERT_EQ(0, sys(mount(NULL, self->disk.dir, NULL, read_only, NULL)));
	self->lower = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, self->lower);
	self->fd = ps_open(O_RDWR);
	EXPECT_EQ(-EBADF, ps_attach(self->fd, self->lower, 0));
	ASSERT_EQ(0, ps_attach(self->fd, self->lower, PINSEAL_ATTACH_RDONLY));
	ASSERT_EQ(1, sys(pread(self->fd, &c, 1, 5 * self->page)));
	EXPECT_EQ('w', c);
	ASSERT_EQ(1, sys(pwrite(self->fd, "x", 1, 5 * self->page)));
	EXPECT_EQ(-EROFS, sys(fsync(self->fd)));
	EXPECT_EQ('w', byte_of(self->lower, 5 * self->page));
	self->p = MAP_FAILED;
}

TEST_F(on_disk, a_full_disk)
{
	int filler = new_lower(&self->disk, NULL);
	size_t size = 64 << 20;
	off_t at = 0;

	if (strcmp(variant->type, "ext4"))
		SKIP(return, "it would take long to fill");
	ASSERT_LE(0, filler);
	ASSERT_EQ(0, ps_resize(self->fd, size));
	ASSERT_EQ(0, sys(fsync(self->fd)));
	while (!posix_fallocate(filler, at, 1 << 16))
		at += 1 << 16;
	while (!posix_fallocate(filler, at, 4096))
		at += 4096;
	for (at = N * self->page; at < (off_t)size; at += 64 * self->page)
		ASSERT_EQ(1, sys(pwrite(self->fd, "w", 1, at)));
	EXPECT_EQ(-ENOSPC, sys(fsync(self->fd)));
	EXPECT_EQ(-ENOSPC, sys(fsync(self->fd)));
	EXPECT_EQ('w', byte_of(self->fd, N * self->page));
	ASSERT_EQ(0, ftruncate(filler, 0));
	ASSERT_EQ(0, fsync(filler));
	ASSERT_EQ(0, sys(fsync(self->fd)));
	forget_lower(self);
	EXPECT_EQ(-1, differs_from_lower(self->fd, self->lower));
	close(filler);
}

/* A file system that others shut down, as after an error of its own, writes nothing any more. */
/* Pages of the lower file that are in memory, after those went that are on the disk. */
static int pages_not_on_disk(FIXTURE_DATA(on_disk) *self)
{
	char *p = ps_map(self->lower, N * self->page, PROT_READ, MAP_SHARED);
	unsigned char there[N] = { };
	int n = 0;

	if (p == MAP_FAILED)
		return -errno;
	forget_lower(self);
	if (mincore(p, N * self->page, there))
		n = -errno;
	munmap(p, N * self->page);
	for (int i = 0; i < N; i++)
		n += there[i] & 1;
	return n;
}

/* A page that cannot be had does not keep the others from the disk. */
TEST_F(on_disk, beside_a_poisoned_page_the_others_are_durable)
{
	for (int i = 3; i < 9; i++)
		self->p[i * self->page] = 's';
	if (!poison_page(self->p + 5 * self->page))
		SKIP(return, "no MADV_HWPOISON");
	EXPECT_EQ(-EIO, sys(fsync(self->fd)));
	EXPECT_EQ(0, pages_not_on_disk(self));
	EXPECT_EQ('s', byte_of(self->lower, 8 * self->page));
}

/* What a child tells of itself, and is told. */
struct closing {
	volatile bool is_ready, is_to_close, closes;
};

/* Changes an object that syncs when it is closed, and closes it by a descriptor, or by a mapping. */
static int change_and_close(FIXTURE_DATA(on_disk) *self, struct closing *c, bool by_mapping)
{
	int fd = ps_open(O_RDWR);
	char *p;

	if (ps_attach(fd, self->lower, PINSEAL_ATTACH_SYNC_ON_CLOSE))
		return 1;
	p = ps_map(fd, N * self->page, RW, MAP_SHARED);
	if (p == MAP_FAILED)
		return 1;
	if (by_mapping)
		close(fd);
	else
		munmap(p, N * self->page);
	if (by_mapping)
		p[5 * self->page] = 'c';
	else if (pwrite(fd, "c", 1, 5 * self->page) != 1)
		return 1;
	c->is_ready = true;
	while (!c->is_to_close)
		usleep(1000);
	c->closes = true;
	return by_mapping ? munmap(p, N * self->page) : close(fd);
}

static void try_killed_close(struct __test_metadata *_metadata, FIXTURE_DATA(on_disk) *self,
			     bool by_mapping)
{
	struct closing *c = mmap(NULL, self->page, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int dir = open(self->disk.dir, O_RDONLY | O_CLOEXEC), status;
	pid_t child;

	ASSERT_NE(MAP_FAILED, c);
	ASSERT_LE(0, dir);
	child = fork();
	ASSERT_LE(0, child);
	if (!child)
		_exit(change_and_close(self, c, by_mapping));
	while (!c->is_ready && !waitpid(child, &status, WNOHANG))
		usleep(1000);
	EXPECT_TRUE(c->is_ready);
	ASSERT_EQ(0, sys(ioctl(dir, FIFREEZE, 0)));
	c->is_to_close = true;
	while (!c->closes && !waitpid(child, &status, WNOHANG))
		usleep(1000);
	EXPECT_TRUE(process_wait_asleep(child));
	kill(child, SIGKILL);
	EXPECT_EQ(0, sys(ioctl(dir, FITHAW, 0)));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ('c', byte_of(self->lower, 5 * self->page));
	close(dir);
	munmap(c, self->page);
}

/* A task that is killed while it closes syncs nevertheless. */
TEST_F(on_disk, a_killed_close_syncs)
{
	try_killed_close(_metadata, self, false);
}

TEST_F(on_disk, a_killed_unmap_syncs)
{
	try_killed_close(_metadata, self, true);
}

TEST_F(on_disk, what_is_there_outlives_a_shutdown)
{
	/* The number is the same for all file systems. */
	uint32_t how = EXT4_GOING_FLAGS_NOLOGFLUSH;
	int again = ps_reopen(self->fd, O_RDWR);
	long ret;

	ASSERT_LE(0, again);
	EXPECT_EQ(-1, differs(self->p, 0, N * self->page));
	self->p[5 * self->page] = 's';
	ASSERT_EQ(0, sys(fsync(self->fd)));
	self->p[6 * self->page] = 's';
	ret = sys(ioctl(self->lower, EXT4_IOC_SHUTDOWN, &how));
	if (ret == -ENOTTY || ret == -EOPNOTSUPP) {
		close(again);
		SKIP(return, "it cannot be shut down");
	}
	ASSERT_EQ(0, ret);
	for (int i = 0; i < 3; i++) {
		self->p[7 * self->page] = 'a' + i;
		ret = sys(fsync(i == 1 ? again : self->fd));
		EXPECT_TRUE(ret == -EIO || ret == -EROFS) TH_LOG("fsync: %ld", ret);
		ret = sys(msync(self->p, N * self->page, MS_SYNC));
		EXPECT_TRUE(ret == -EIO || ret == -EROFS) TH_LOG("msync: %ld", ret);
	}
	EXPECT_EQ('s', self->p[5 * self->page]);
	EXPECT_EQ('s', byte_of(self->fd, 6 * self->page));
	EXPECT_EQ('c', byte_of(again, 7 * self->page));
	EXPECT_EQ(-1, differs(self->p, 8 * self->page, N * self->page));
	/* It cannot be sealed either: that syncs. */
	ret = ps_add_seals(self->fd, F_SEAL_SHRINK);
	EXPECT_TRUE(ret == -EIO || ret == -EROFS) TH_LOG("seal: %ld", ret);
	EXPECT_EQ(0, ps_get_seals(self->fd));
	close(again);
}

TEST_HARNESS_MAIN

// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mirror handles: they show what a mapping shows at any moment, and hold no page. Races:
 * mirror_races.c.
 */
#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "large_folio.h"
#include "mirror_fixture.h"
#include "pass_fd.h"
#include "random.h"
#include "sealer.h"
#include "userfaultfd.h"
#include "zram_swap.h"

TEST_F(mirror, reads_what_the_mapping_shows)
{
	size_t len = COUNT * self->page;
	char *buf = malloc(len);

	ASSERT_EQ(len, sys(pread(self->mirror, buf, len + 1, 0)));
	EXPECT_EQ(0, memcmp(mirrored(self), buf, len));
	mirrored(self)[self->page] ^= 1;
	EXPECT_EQ((unsigned char)mirrored(self)[self->page], mirror_byte(self->mirror, self->page));
	EXPECT_EQ(-ENODATA, mirror_byte(self->mirror, len));
	free(buf);
}

TEST_F(mirror, writes_to_the_object)
{
	char buf[4];

	/* Across two pages. */
	ASSERT_EQ(4, sys(pwrite(self->mirror, "abcd", 4, self->page - 2)));
	EXPECT_EQ(0, memcmp("abcd", mirrored(self) + self->page - 2, 4));
	EXPECT_EQ(4, sys(pread(self->fd, buf, 4, (FIRST + 1) * self->page - 2)));
	EXPECT_EQ(0, memcmp("abcd", buf, 4));
	EXPECT_EQ(-ENOSPC, mirror_set_byte(self->mirror, COUNT * self->page, 'x'));
	EXPECT_TRUE(is_filled(self->p, (FIRST + 1) * self->page - 2, 1));
}

TEST_F(mirror, behaves_like_a_file)
{
	size_t len = COUNT * self->page;
	char buf[8];

	EXPECT_EQ(len, sys(lseek(self->mirror, 0, SEEK_END)));
	EXPECT_EQ(self->page, sys(lseek(self->mirror, self->page, SEEK_SET)));
	EXPECT_EQ(8, sys(read(self->mirror, buf, 8)));
	EXPECT_EQ(0, memcmp(mirrored(self) + self->page, buf, 8));
	EXPECT_EQ(-ENODEV, sys(mmap(NULL, len, PROT_READ, MAP_SHARED, self->mirror, 0) ==
			       MAP_FAILED ? -1 : 0));
}

TEST_F(mirror, reports_its_terms)
{
	struct pinseal_lease lease;

	ASSERT_EQ(0, ps_ioctl(self->mirror, PINSEAL_PIN_IOC_LEASE, &lease));
	EXPECT_EQ(FIRST, lease.start);
	EXPECT_EQ(COUNT, lease.count);
	EXPECT_EQ(PINSEAL_PIN_MIRROR, lease.flags);
	EXPECT_EQ(PINSEAL_LEASE_HELD, lease.state);
	EXPECT_EQ(-ENOTTY, ps_ioctl(self->mirror, PINSEAL_IOC_SEAL, &lease));
}

TEST_F(mirror, holds_nothing)
{
	struct pinseal_seal arg = seal_write(1);
	struct pinseal_pins pins;

	EXPECT_EQ(1, mirror_set_byte(self->mirror, 0, 'w'));
	EXPECT_EQ(self->pins, machine_pins());
	/* The mapping does. */
	ASSERT_EQ(0, munmap(self->p, self->len));
	ASSERT_EQ(0, ps_pins(self->fd, 0, NULL, 0, &pins));
	EXPECT_EQ(0, pins.dma_pinned_pages);
	EXPECT_EQ(0, ps_seal(self->fd, &arg));
}

static int without_limit(FIXTURE_DATA(mirror) *self)
{
	struct rlimit none = { 0 };
	int mirror;

	if (setrlimit(RLIMIT_MEMLOCK, &none) || setresuid(65534, 65534, 65534))
		return 1;
	if (ps_pin(self->fd, 0, 1, 0) != -ENOMEM)
		return 2;
	mirror = ps_mirror(self->fd, 0, PAGES, 0, self->p);
	return mirror_byte(mirror, 0) == (unsigned char)self->p[0] ? 0 : 3;
}

TEST_F(mirror, needs_no_limit)
{
	pid_t pid = ps_fork();

	if (!pid)
		_exit(without_limit(self));
	EXPECT_EQ(0, ps_wait(pid));
}

/* More pages than it looks up at a time. */
TEST_F(mirror, works_with_many_pages)
{
	size_t pages = 300, len = pages * self->page;
	struct random random = { 8 };
	unsigned char *p;
	int mirror;

	ASSERT_EQ(0, obj_resize(self->fd, len));
	p = ps_map(self->fd, len, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	fill(p, len, 3);
	mirror = ps_mirror(self->fd, 0, pages, 0, p);
	ASSERT_LE(0, mirror);
	for (int i = 0; i < 3000 && !_metadata->exit_code; i++) {
		size_t at = random_below(&random, len);

		ASSERT_EQ(p[at], mirror_byte(mirror, at)) TH_LOG("byte %zu", at);
		ASSERT_EQ(1, mirror_set_byte(mirror, at, i));
		ASSERT_EQ((unsigned char)i, p[at]) TH_LOG("byte %zu", at);
	}
	close(mirror);
	munmap(p, len);
}

/* The right page of a large folio, also when that is made and split. */
TEST_F(mirror, works_with_a_large_folio)
{
	size_t huge = large_folio_size(), at;
	unsigned char *p;
	int mirror;

	if (!huge)
		SKIP(return, "no large folios here");
	ASSERT_EQ(0, obj_resize(self->fd, 2 * huge));
	p = (unsigned char *)map_aligned(self->fd, 2 * huge, huge, RW);
	ASSERT_NE(MAP_FAILED, p);
	fill(p, 2 * huge, 4);
	mirror = ps_mirror(self->fd, 0, 2 * huge / self->page, 0, p);
	ASSERT_LE(0, mirror);
	for (int i = 0; i < 3; i++) {
		int ret = i == 1 ? collapse_into_large_folio(self->fd, huge) : 0;

		if (ret)
			SKIP(break, "no large folio to be had: %s", strerror(-ret));
		for (at = 0; at < 2 * huge; at += 7 * self->page + 11) {
			ASSERT_EQ(p[at], mirror_byte(mirror, at)) TH_LOG("byte %zu", at);
			ASSERT_EQ(1, mirror_set_byte(mirror, at, i));
			ASSERT_EQ(i, p[at]) TH_LOG("byte %zu", at);
		}
		if (i == 1)
			ASSERT_EQ(0, obj_fallocate(self->fd, PUNCH, huge / 2, self->page));
	}
	close(mirror);
	munmap(p, 2 * huge);
}

TEST_F(mirror, reads_zeroes_from_a_hole)
{
	ASSERT_EQ(0, obj_fallocate(self->fd, PUNCH, 0, self->len));
	EXPECT_EQ(0, mirror_byte(self->mirror, 0));
	EXPECT_EQ(1, mirror_set_byte(self->mirror, 0, 'h'));
	EXPECT_EQ('h', mirrored(self)[0]);
}

TEST_F(mirror, follows_a_punch)
{
	EXPECT_EQ(1, mirror_set_byte(self->mirror, 5, 'o'));
	ASSERT_EQ(0, obj_fallocate(self->fd, PUNCH, FIRST * self->page, self->page));
	EXPECT_EQ(0, mirror_byte(self->mirror, 5));
	EXPECT_EQ(0, mirrored(self)[5]);
	EXPECT_LT(0, mirror_byte(self->mirror, self->page));
}

TEST_F(mirror, ends_where_the_object_does)
{
	off_t end = (COUNT - 1) * self->page;

	EXPECT_EQ(1, mirror_set_byte(self->mirror, end, 'e'));
	ASSERT_EQ(0, obj_resize(self->fd, (FIRST + COUNT - 1) * self->page));
	EXPECT_EQ(-EFAULT, mirror_byte(self->mirror, end));
	EXPECT_EQ(-EFAULT, mirror_set_byte(self->mirror, end, 'e'));
	EXPECT_LT(0, mirror_byte(self->mirror, end - 1));
	ASSERT_EQ(0, obj_resize(self->fd, self->len));
	EXPECT_EQ(0, mirror_byte(self->mirror, end));
}

TEST_F(mirror, ends_with_the_mapping)
{
	EXPECT_EQ(1, mirror_set_byte(self->mirror, 0, 'm'));
	ASSERT_EQ(0, munmap(self->p, self->len));
	EXPECT_EQ(-EFAULT, mirror_byte(self->mirror, 0));
	EXPECT_EQ(-EFAULT, mirror_set_byte(self->mirror, 0, 'x'));
	/* And works again with it. */
	ASSERT_TRUE(map_again(self, self->fd, RW, MAP_SHARED));
	EXPECT_EQ('m', mirror_byte(self->mirror, 0));
	EXPECT_EQ(1, mirror_set_byte(self->mirror, 0, 'x'));
}

TEST_F(mirror, shows_no_other_memory)
{
	int other = obj_create(variant->kind, self->len);

	ASSERT_LE(0, other);
	ASSERT_EQ(0, fill_file(other, self->len, 'o'));
	EXPECT_EQ(1, mirror_set_byte(self->mirror, 0, 'm'));

	ASSERT_TRUE(map_again(self, other, RW, MAP_SHARED));
	EXPECT_EQ(-EFAULT, mirror_byte(self->mirror, 0));
	EXPECT_EQ(-EFAULT, mirror_set_byte(self->mirror, 0, 'x'));
	ASSERT_TRUE(map_again(self, -1, RW, MAP_PRIVATE | MAP_ANONYMOUS));
	EXPECT_EQ(-EFAULT, mirror_byte(self->mirror, 0));
	ASSERT_TRUE(map_again(self, self->fd, RW, MAP_PRIVATE));
	EXPECT_EQ(-EFAULT, mirror_byte(self->mirror, 0));
	/* Nor other pages of the object. */
	ASSERT_EQ(self->p + self->page,
		  mmap(self->p + self->page, self->len - self->page, RW, MAP_SHARED | MAP_FIXED,
		       self->fd, 0));
	EXPECT_EQ(-EFAULT, mirror_byte(self->mirror, 0));
	EXPECT_EQ(0, mirrored(self)[0] == 'x');
	close(other);
}

TEST_F(mirror, stays_when_the_mapping_moves)
{
	char *q = ps_map(-1, self->len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS);

	ASSERT_NE(MAP_FAILED, q);
	EXPECT_EQ(1, mirror_set_byte(self->mirror, 0, 'm'));
	ASSERT_EQ(q, mremap(self->p, self->len, self->len, MREMAP_MAYMOVE | MREMAP_FIXED, q));
	EXPECT_EQ(-EFAULT, mirror_byte(self->mirror, 0));
	ASSERT_EQ(self->p, mremap(q, self->len, self->len, MREMAP_MAYMOVE | MREMAP_FIXED, self->p));
	EXPECT_EQ('m', mirror_byte(self->mirror, 0));
}

TEST_F(mirror, has_the_access_of_the_mapping)
{
	EXPECT_EQ(1, mirror_set_byte(self->mirror, 0, 'm'));
	ASSERT_EQ(0, mprotect(self->p, self->len, PROT_READ));
	EXPECT_EQ(-EPERM, mirror_set_byte(self->mirror, 0, 'x'));
	EXPECT_EQ('m', mirror_byte(self->mirror, 0));
	/* Also when the page is known. */
	EXPECT_EQ(-EPERM, mirror_set_byte(self->mirror, 0, 'x'));
	ASSERT_EQ(0, mprotect(self->p, self->len, PROT_NONE));
	EXPECT_EQ(-EFAULT, mirror_byte(self->mirror, 0));
	ASSERT_EQ(0, mprotect(self->p, self->len, RW));
	EXPECT_EQ(1, mirror_set_byte(self->mirror, 0, 'w'));
	EXPECT_EQ('w', mirrored(self)[0]);
}

TEST_F(mirror, cannot_change_a_sealed_object)
{
	EXPECT_EQ(1, mirror_set_byte(self->mirror, 0, 'm'));
	EXPECT_EQ(-EBUSY, ps_add_seals(self->fd, F_SEAL_WRITE));
	ASSERT_EQ(0, munmap(self->p, self->len));
	ASSERT_EQ(0, ps_add_seals(self->fd, F_SEAL_WRITE));
	EXPECT_EQ(-EFAULT, mirror_set_byte(self->mirror, 0, 'x'));
	ASSERT_TRUE(map_again(self, self->fd, PROT_READ, MAP_SHARED));
	EXPECT_EQ(-EPERM, mirror_set_byte(self->mirror, 0, 'x'));
	EXPECT_EQ('m', mirror_byte(self->mirror, 0));
	EXPECT_EQ(-EPERM, mirror_set_byte(self->mirror, 0, 'x'));
	EXPECT_EQ('m', mirrored(self)[0]);

	EXPECT_EQ(-EPERM, ps_mirror(self->fd, FIRST, COUNT, 0, mirrored(self)));
	close(self->mirror);
	self->mirror = ps_mirror(self->fd, FIRST, COUNT, PINSEAL_PIN_READONLY, mirrored(self));
	ASSERT_LE(0, self->mirror);
	EXPECT_EQ('m', mirror_byte(self->mirror, 0));
	EXPECT_EQ(-EBADF, mirror_set_byte(self->mirror, 0, 'x'));
}

/* A mirror of a read-only mapping does not delay a seal. */
TEST_F(mirror, does_not_delay_a_seal)
{
	struct pinseal_seal arg = seal_write(1);

	ASSERT_TRUE(map_again(self, self->fd, PROT_READ, MAP_SHARED));
	/* A mapping that may become writable counts as writable. */
	EXPECT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_WRITABLE_MAPPING, arg.outcome);
	close(self->mirror);
	munmap(self->p, self->len);
	self->mirror = ps_reopen(self->fd, O_RDONLY);
	ASSERT_LE(0, self->mirror);
	ASSERT_TRUE(map_again(self, self->mirror, PROT_READ, MAP_SHARED));
	close(self->mirror);
	self->mirror = ps_mirror(self->fd, FIRST, COUNT, PINSEAL_PIN_READONLY, mirrored(self));
	ASSERT_LE(0, self->mirror);
	for (int i = 0; i < COUNT; i++)
		EXPECT_LT(0, mirror_byte(self->mirror, i * self->page));
	arg = seal_write(NSEC_PER_SEC);
	EXPECT_EQ(0, ps_seal(self->fd, &arg));
	for (int i = 0; i < COUNT; i++)
		EXPECT_LT(0, mirror_byte(self->mirror, i * self->page));
}

TEST_F(mirror, swaps_pages_in)
{
	struct zram_swap swap;
	size_t len = COUNT * self->page;
	char *buf = malloc(len);
	int went = 0;

	if (!zram_is_there())
		SKIP(return, "no zram");
	ASSERT_EQ(0, zram_swap_begin(&swap, 64 * self->len));
	for (int i = 0; i < 20 && !_metadata->exit_code; i++) {
		EXPECT_EQ(0, obj_fallocate(self->fd, PUNCH, 0, self->len));
		/* Page tables may allow writing now, although no page is dirty. */
		EXPECT_EQ(0, *(volatile char *)mirrored(self));
		EXPECT_EQ(0, mirror_byte(self->mirror, 0));
		/* What it writes reaches swap. */
		fill(buf, len, i);
		EXPECT_EQ(len, sys(pwrite(self->mirror, buf, len, 0)));
		madvise(self->p, self->len, MADV_PAGEOUT);
		went += ps_meminfo_kb("SwapFree") < ps_meminfo_kb("SwapTotal");
		memset(buf, 0, len);
		EXPECT_EQ(len, sys(pread(self->mirror, buf, len, 0)));
		EXPECT_TRUE(is_filled(buf, len, i));
	}
	EXPECT_LT(0, went);
	zram_swap_end(&swap);
	free(buf);
}

TEST_F(mirror, is_not_filled_by_userfaultfd)
{
	int uffd = uffd_open();

	if (uffd < 0)
		SKIP(return, "no userfaultfd: %s", strerror(errno));
	ASSERT_EQ(0, uffd_register(uffd, self->p, self->len, UFFDIO_REGISTER_MODE_MISSING));
	/* No handler answers: the mirror must not fault there, so it reads nothing. */
	EXPECT_EQ(-EFAULT, mirror_byte(self->mirror, 0));
	ASSERT_EQ(0, obj_fallocate(self->fd, PUNCH, 0, self->page * (FIRST + 1)));
	EXPECT_EQ(-EFAULT, mirror_byte(self->mirror, 0));
	close(uffd);
	EXPECT_EQ(0, mirror_byte(self->mirror, 0));
	EXPECT_LT(0, mirror_byte(self->mirror, self->page));
}

TEST_F(mirror, uses_the_mapping_of_its_process)
{
	int sockets[2], mirror, status;
	pid_t pid;

	/* A child uses it, and with it its parent's mapping. */
	pid = ps_fork();
	if (!pid) {
		munmap(self->p, self->len);
		_exit(mirror_set_byte(self->mirror, 0, 'c') == 1 ? 0 : 1);
	}
	EXPECT_EQ(0, ps_wait(pid));
	EXPECT_EQ('c', mirrored(self)[0]);

	/* A parent uses that of a child, as long as the child lives. */
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets));
	pid = ps_fork();
	if (!pid) {
		mirror = ps_mirror(self->fd, FIRST, COUNT, 0, mirrored(self));
		_exit(send_fd(sockets[1], mirror) < 0 || pause() ? 1 : 0);
	}
	mirror = receive_fd(sockets[0]);
	ASSERT_LE(0, mirror);
	EXPECT_EQ('c', mirror_byte(mirror, 0));
	EXPECT_EQ(1, mirror_set_byte(mirror, 0, 'd'));
	EXPECT_EQ('d', mirrored(self)[0]);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	EXPECT_EQ(-EFAULT, mirror_byte(mirror, 0));
	EXPECT_EQ(-EFAULT, mirror_set_byte(mirror, 0, 'x'));
	EXPECT_EQ('d', mirrored(self)[0]);
	close(mirror);

	/* Until the child executes another program. */
	pid = ps_fork();
	if (!pid) {
		mirror = ps_mirror(self->fd, FIRST, COUNT, 0, mirrored(self));
		if (send_fd(sockets[1], mirror) < 0)
			_exit(1);
		execl("/proc/self/exe", "mirror", "--pause", NULL);
		_exit(1);
	}
	mirror = receive_fd(sockets[0]);
	ASSERT_LE(0, mirror);
	for (int i = 0; i < 6000 && mirror_byte(mirror, 0) == 'd'; i++)
		sleep_ns(10 * NSEC_PER_MSEC);
	EXPECT_EQ(-EFAULT, mirror_byte(mirror, 0));
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	close(mirror);
	close(sockets[0]);
	close(sockets[1]);
}

TEST_F(mirror, needs_a_mapping)
{
	char *q = ps_map(self->fd, self->len, RW, MAP_PRIVATE);
	int fd;

	ASSERT_NE(MAP_FAILED, q);
	EXPECT_EQ(-EFAULT, ps_mirror(self->fd, FIRST, COUNT, 0, self->p));
	EXPECT_EQ(-EFAULT, ps_mirror(self->fd, 0, COUNT, 0, q));
	EXPECT_EQ(-EFAULT, ps_mirror(self->fd, 0, COUNT, 0, NULL));
	EXPECT_EQ(-EINVAL, ps_mirror(self->fd, 0, COUNT, 0, self->p + 1));
	EXPECT_EQ(-EINVAL, ps_mirror(self->fd, 0, PAGES + 1, 0, self->p));
	EXPECT_EQ(-EINVAL, ps_mirror(self->fd, 0, 0, 0, self->p));
	EXPECT_EQ(-EFAULT, ps_mirror(self->fd, 0, COUNT, 0, (void *)-self->page));
	EXPECT_EQ(-EINVAL, ps_mirror(self->fd, 0, COUNT, PINSEAL_PIN_LEASED, self->p));
	EXPECT_EQ(-EINVAL, ps_mirror(self->fd, 0, COUNT, 1U << 31, self->p));
	/* A mapping with a gap. */
	ASSERT_EQ(0, munmap(self->p + self->page, self->page));
	EXPECT_EQ(-EFAULT, ps_mirror(self->fd, 0, COUNT, 0, self->p));
	fd = ps_mirror(self->fd, FIRST, COUNT, 0, mirrored(self));
	EXPECT_LE(0, fd);
	close(fd);
	munmap(q, self->len);
}

TEST_F(mirror, needs_a_descriptor_with_access)
{
	int fd = ps_reopen(self->fd, O_RDONLY), mirror;

	ASSERT_LE(0, fd);
	EXPECT_EQ(-EPERM, ps_mirror(fd, FIRST, COUNT, 0, mirrored(self)));
	mirror = ps_mirror(fd, FIRST, COUNT, PINSEAL_PIN_READONLY, mirrored(self));
	EXPECT_LE(0, mirror);
	close(mirror);
	close(fd);
}

TEST_F(mirror, alone_takes_an_address)
{
	struct pinseal_pin arg = { .count = 1, .address = (uintptr_t)self->p };

	EXPECT_EQ(-E2BIG, ps_ioctl(self->fd, PINSEAL_IOC_PIN, &arg));
	/* The first version of the struct has no address. */
	arg.flags = PINSEAL_PIN_MIRROR;
	EXPECT_EQ(-EFAULT, ps_ioctl(self->fd, _IOC(_IOC_WRITE, PINSEAL_IOC_MAGIC, 0x06, 32), &arg));
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "--pause"))
		pause();
	return test_harness_run(argc, argv);
}

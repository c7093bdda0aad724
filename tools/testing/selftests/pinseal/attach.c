// SPDX-License-Identifier: GPL-2.0-only
/*
 * PINSEAL_IOC_ATTACH: objects that are stacked on a file. Their pages come from it at first touch, and
 * fsync() and msync() write to it what changed.
 */
#include <pthread.h>
#include <sys/mount.h>

#include "harness.h"
#include "bytes.h"
#include "large_folio.h"
#include "object.h"
#include "protect.h"

/* Pages of the lower file, and bytes of its last one. */
#define N	16
#define TAIL	100

static int ps_attach(int fd, int lower, uint32_t flags)
{
	struct pinseal_attach arg = { .fd = lower, .flags = flags };

	return ps_ioctl(fd, PINSEAL_IOC_ATTACH, &arg);
}

/* What byte @at of a lower file is. */
static char lower_byte(size_t at)
{
	return 1 + at % 251;
}

FIXTURE(attach) {
	int fd, lower;
	size_t page, size;
	char *p;
};

FIXTURE_VARIANT(attach) { bool tmpfs; };
FIXTURE_VARIANT_ADD(attach, over_memfd) {};
FIXTURE_VARIANT_ADD(attach, over_tmpfs) { .tmpfs = true };

FIXTURE_SETUP(attach)
{
	char name[] = "/tmp/attach-XXXXXX", *buf;

	self->page = page_size();
	self->size = (N - 1) * self->page + TAIL;
	self->lower = variant->tmpfs ? mkstemp(name) : memfd_create("lower", MFD_CLOEXEC);
	ASSERT_LE(0, self->lower);
	unlink(name);
	buf = malloc(self->size);
	ASSERT_NE(NULL, buf);
	for (size_t i = 0; i < self->size; i++)
		buf[i] = lower_byte(i);
	ASSERT_EQ(self->size, sys(pwrite(self->lower, buf, self->size, 0)));
	free(buf);
	self->fd = ps_open(O_RDWR);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, ps_attach(self->fd, self->lower, 0));
	self->p = ps_map(self->fd, N * self->page, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, self->p);
}

FIXTURE_TEARDOWN(attach)
{
	munmap(self->p, N * self->page);
	close(self->fd);
	close(self->lower);
}

#define EXPECT_LOWER(from, to) EXPECT_EQ(-1, differs(self->p, from, to))

/* The first byte of [from, to) of @p that is not as in the lower file at first, or -1. */
static long differs(const char *p, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		if (p[i] != lower_byte(i))
			return i;
	return -1;
}

/* The first byte of [from, to) of @p that is not 0, or -1. */
static long not_zero(const char *p, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		if (p[i])
			return i;
	return -1;
}

static char byte_of(int fd, off_t at)
{
	char c = 0;

	return pread(fd, &c, 1, at) == 1 ? c : -1;
}

TEST_F(attach, has_size_and_content)
{
	char *buf = malloc(self->size);

	EXPECT_EQ(self->size, ps_size(self->fd));
	ASSERT_EQ(self->size, sys(pread(self->fd, buf, self->size, 0)));
	EXPECT_EQ(-1, differs(buf, 0, self->size));
	EXPECT_LOWER(0, self->size);
	EXPECT_EQ(-1, not_zero(self->p, self->size, N * self->page));
	free(buf);
}

TEST_F(attach, a_load_fills)
{
	EXPECT_LOWER(5 * self->page + 10, 5 * self->page + 20);
	EXPECT_LOWER(0, self->size);
}

TEST_F(attach, a_private_mapping_fills)
{
	char *q = ps_map(self->fd, N * self->page, RW, MAP_PRIVATE);

	ASSERT_NE(MAP_FAILED, q);
	q[3 * self->page] = 'x';
	EXPECT_EQ(-1, differs(q, 3 * self->page + 1, 5 * self->page));
	EXPECT_LOWER(0, self->size);
	munmap(q, N * self->page);
}

TEST_F(attach, a_write_to_a_part_keeps_the_rest)
{
	ASSERT_EQ(3, sys(pwrite(self->fd, "abc", 3, 2 * self->page + 5)));
	EXPECT_LOWER(0, 2 * self->page + 5);
	EXPECT_EQ(0, memcmp(self->p + 2 * self->page + 5, "abc", 3));
	EXPECT_LOWER(2 * self->page + 8, self->size);
}

TEST_F(attach, the_lower_file_changes_by_fsync_only)
{
	self->p[5 * self->page] = 's';
	ASSERT_EQ(1, sys(pwrite(self->fd, "w", 1, 7 * self->page)));
	EXPECT_EQ(lower_byte(5 * self->page), byte_of(self->lower, 5 * self->page));
	EXPECT_EQ(lower_byte(7 * self->page), byte_of(self->lower, 7 * self->page));
	ASSERT_EQ(0, sys(fsync(self->fd)));
	EXPECT_EQ('s', byte_of(self->lower, 5 * self->page));
	EXPECT_EQ('w', byte_of(self->lower, 7 * self->page));
	/* Stores are noticed again. */
	self->p[5 * self->page] = 't';
	ASSERT_EQ(0, msync(self->p + 5 * self->page, self->page, MS_SYNC));
	EXPECT_EQ('t', byte_of(self->lower, 5 * self->page));
}

TEST_F(attach, msync_writes_its_range)
{
	self->p[5 * self->page] = 's';
	self->p[7 * self->page] = 's';
	ASSERT_EQ(0, msync(self->p + 5 * self->page, self->page, MS_SYNC));
	EXPECT_EQ('s', byte_of(self->lower, 5 * self->page));
	EXPECT_EQ(lower_byte(7 * self->page), byte_of(self->lower, 7 * self->page));
}

TEST_F(attach, what_did_not_change_is_not_written)
{
	self->p[5 * self->page] = 's';
	EXPECT_LOWER(6 * self->page, self->size);
	ASSERT_EQ(2, sys(pwrite(self->lower, "ll", 2, 8 * self->page)));
	ASSERT_EQ(0, sys(fsync(self->fd)));
	ASSERT_EQ(0, sys(fsync(self->fd)));
	EXPECT_EQ('l', byte_of(self->lower, 8 * self->page));
	ASSERT_EQ(1, sys(pwrite(self->lower, "l", 1, 5 * self->page)));
	ASSERT_EQ(0, sys(fsync(self->fd)));
	EXPECT_EQ('l', byte_of(self->lower, 5 * self->page));
	/* Nor is it seen: the object is a copy. */
	EXPECT_LOWER(8 * self->page, 9 * self->page);
}

TEST_F(attach, its_size_goes_down)
{
	struct stat st;

	ASSERT_EQ(0, ps_resize(self->fd, 3 * self->page + 7));
	ASSERT_EQ(0, sys(fsync(self->fd)));
	ASSERT_EQ(0, fstat(self->lower, &st));
	EXPECT_EQ(3 * self->page + 7, st.st_size);
	ASSERT_EQ(0, ps_resize(self->fd, (N + 1) * self->page));
	EXPECT_LOWER(0, 3 * self->page + 7);
	EXPECT_EQ(-1, not_zero(self->p, 3 * self->page + 7, N * self->page));
	ASSERT_EQ(0, sys(fsync(self->fd)));
	ASSERT_EQ(0, fstat(self->lower, &st));
	EXPECT_EQ((N + 1) * self->page, st.st_size);
	EXPECT_EQ(0, byte_of(self->lower, 4 * self->page));
}

TEST_F(attach, a_hole_does_not_come_from_below)
{
	ASSERT_EQ(0, ps_fallocate(self->fd, PUNCH, 2 * self->page + 5, 3 * self->page));
	EXPECT_LOWER(0, 2 * self->page + 5);
	EXPECT_EQ(-1, not_zero(self->p, 2 * self->page + 5, 5 * self->page + 5));
	EXPECT_LOWER(5 * self->page + 5, self->size);
	ASSERT_EQ(0, sys(fsync(self->fd)));
	EXPECT_EQ(0, byte_of(self->lower, 3 * self->page));
	EXPECT_EQ(lower_byte(2 * self->page), byte_of(self->lower, 2 * self->page));
}

TEST_F(attach, a_truncated_lower_file_is_an_error_once_seen)
{
	EXPECT_LOWER(0, self->page);
	ASSERT_EQ(0, ftruncate(self->lower, 4 * self->page));
	EXPECT_EQ(0, ps_touch(self->p, false));
	EXPECT_EQ(SIGBUS, ps_touch(self->p + 6 * self->page, false));
	EXPECT_EQ(-EIO, sys(pread(self->fd, &(char){ 0 }, 1, 6 * self->page)));
	/* The next touch tries again. */
	ASSERT_EQ(0, ftruncate(self->lower, self->size));
	EXPECT_EQ(0, ps_touch(self->p + 6 * self->page, false));
	EXPECT_EQ(0, self->p[6 * self->page]);
}

TEST_F(attach, a_seal_fills_and_syncs)
{
	self->p[5 * self->page] = 's';
	munmap(self->p, N * self->page);
	ASSERT_EQ(0, ps_add_seals(self->fd, F_SEAL_WRITE));
	EXPECT_EQ('s', byte_of(self->lower, 5 * self->page));
	ASSERT_EQ(1, sys(pwrite(self->lower, "l", 1, 9 * self->page)));
	self->p = ps_map(self->fd, N * self->page, PROT_READ, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, self->p);
	EXPECT_LOWER(6 * self->page, self->size);
}

TEST_F(attach, a_pin_fills_and_its_stores_are_written)
{
	int pin = ps_pin(self->fd, 5, 2, 0);

	ASSERT_LE(0, pin);
	EXPECT_EQ(lower_byte(5 * self->page + 3), byte_of(pin, 3));
	ASSERT_EQ(0, sys(fsync(self->fd)));
	ASSERT_EQ(1, sys(pwrite(pin, "p", 1, 3)));
	ASSERT_EQ(0, sys(fsync(self->fd)));
	EXPECT_EQ('p', byte_of(self->lower, 5 * self->page + 3));
	ASSERT_EQ(1, sys(pwrite(pin, "q", 1, 3)));
	close(pin);
	ASSERT_EQ(0, sys(fsync(self->fd)));
	EXPECT_EQ('q', byte_of(self->lower, 5 * self->page + 3));
}

TEST_F(attach, a_used_object_is_refused)
{
	int other = ps_create(self->page), pipes[2], read_only;
	char path[64];

	EXPECT_EQ(-EBUSY, ps_attach(self->fd, self->lower, 0));
	EXPECT_EQ(-EBUSY, ps_attach(other, self->lower, 0));
	close(other);
	other = ps_open(O_RDWR);
	ASSERT_LE(0, other);
	EXPECT_EQ(-EINVAL, ps_attach(other, self->lower, 8));
	EXPECT_EQ(-EBADF, ps_attach(other, -1, 0));
	EXPECT_EQ(-EINVAL, ps_attach(other, self->fd, 0));
	ASSERT_EQ(0, pipe(pipes));
	EXPECT_EQ(-EINVAL, ps_attach(other, pipes[0], 0));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", self->lower);
	read_only = open(path, O_RDONLY);
	ASSERT_LE(0, read_only);
	EXPECT_EQ(-EBADF, ps_attach(other, read_only, 0));
	EXPECT_EQ(0, ps_attach(other, read_only, PINSEAL_ATTACH_RDONLY));
	EXPECT_EQ(lower_byte(0), byte_of(other, 0));
	EXPECT_EQ(0, sys(fsync(other)));
	ASSERT_EQ(1, sys(pwrite(other, "x", 1, 0)));
	EXPECT_EQ(-EROFS, sys(fsync(other)));
	EXPECT_EQ(0, ps_add_seals(other, F_SEAL_WRITE));
	EXPECT_EQ('x', byte_of(other, 0));
	EXPECT_EQ(lower_byte(0), byte_of(self->lower, 0));
	close(read_only);
	close(other);
	EXPECT_EQ(-EOPNOTSUPP, ps_export(self->fd, 0));
}

/*
 * Threads store while others sync: what was stored before the last sync is in the lower file. A
 * page that is written while a store is about to be noted is the window.
 */
struct storer {
	char *p;
	int fd;
	size_t page;
	bool by_write, quit;
	unsigned long n;
};

static void *store_on(void *data)
{
	struct storer *s = data;

	for (; !__atomic_load_n(&s->quit, __ATOMIC_ACQUIRE); s->n++) {
		size_t at = s->n % N * s->page + 8 * s->by_write;

		if (!s->by_write)
			*(volatile unsigned long *)(s->p + at) = s->n;
		else if (pwrite(s->fd, &s->n, sizeof(s->n), at) != sizeof(s->n))
			return (void *)1;
	}
	return NULL;
}

static void *sync_on(void *data)
{
	struct storer *s = data;

	for (; !__atomic_load_n(&s->quit, __ATOMIC_ACQUIRE); s->n++)
		if (s->by_write ? msync(s->p, N * s->page, MS_SYNC) : fsync(s->fd))
			return (void *)1;
	return NULL;
}

TEST_F(attach, pages_have_protections)
{
	ASSERT_EQ(0, ps_protect(self->fd, self->p + 4 * self->page, 2 * self->page, PROT_READ));
	EXPECT_EQ(SIGSEGV, ps_touch(self->p + 4 * self->page, true));
	EXPECT_LOWER(4 * self->page, 6 * self->page);
	self->p[6 * self->page] = 's';
	ASSERT_EQ(0, ps_protect(self->fd, self->p + 4 * self->page, self->page, RW));
	self->p[4 * self->page] = 's';
	ASSERT_EQ(0, sys(fsync(self->fd)));
	EXPECT_EQ('s', byte_of(self->lower, 4 * self->page));
	EXPECT_EQ('s', byte_of(self->lower, 6 * self->page));
	self->p[6 * self->page] = 't';
	ASSERT_EQ(0, sys(fsync(self->fd)));
	EXPECT_EQ('t', byte_of(self->lower, 6 * self->page));
	EXPECT_EQ(-EBUSY, ps_remap(self->fd, self->p, self->page, 3, RW));
	/* Without protections, the mapping is as it was: stores are noted, and it is special. */
	ASSERT_EQ(0, ps_protect(self->fd, self->p, N * self->page, RW));
	EXPECT_TRUE(mapping_has_flag(self->p, " de"));
	EXPECT_EQ(0, ps_touch(self->p + 9 * self->page, false));
	self->p[9 * self->page] = 'u';
	ASSERT_EQ(0, sys(fsync(self->fd)));
	EXPECT_EQ('u', byte_of(self->lower, 9 * self->page));
}

/* A pin is being made while another thread syncs: its note must not be dropped before it is there. */
TEST_F(attach, no_store_by_a_pin_is_lost)
{
	uint64_t until = now_ns() + test_rounds(1000, 8000) * NSEC_PER_MSEC;
	struct storer s = { self->p, self->fd, self->page };
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, sync_on, &s));
	for (unsigned char i = 1; now_ns() < until; i = i % 250 + 1) {
		int pin = ps_pin(self->fd, 5, 1, 0);

		ASSERT_LE(0, pin);
		ASSERT_EQ(1, sys(pwrite(pin, &i, 1, 0)));
		close(pin);
		ASSERT_EQ(0, sys(fsync(self->fd)));
		ASSERT_EQ((char)i, byte_of(self->lower, 5 * self->page));
	}
	__atomic_store_n(&s.quit, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
}

/* The kernel fills what is missing of a huge page with zeros. */
TEST_F(attach, a_huge_page_is_not_made_of_what_is_missing)
{
	size_t size = large_folio_size();
	int fd, lower;
	char *p;

	if (!size)
		SKIP(return, "no large folios");
	lower = memfd_create("lower", MFD_CLOEXEC);
	fd = ps_open(O_RDWR);
	ASSERT_LE(0, lower);
	ASSERT_EQ(0, ftruncate(lower, size));
	ASSERT_EQ(1, pwrite(lower, "x", 1, size - self->page));
	ASSERT_EQ(0, ps_attach(fd, lower, 0));
	p = map_aligned(fd, size, size, RW);
	ASSERT_NE(NULL, p);
	*p = 1;
	EXPECT_EQ(-EINVAL, sys(madvise(p, size, MADV_COLLAPSE)));
	EXPECT_EQ('x', p[size - self->page]);
	munmap(p, size);
	close(fd);
	close(lower);
}

TEST_F(attach, advice_that_removes_is_known)
{
	ASSERT_EQ(0, madvise(self->p + 5 * self->page, self->page, MADV_REMOVE));
	EXPECT_EQ(-1, not_zero(self->p, 5 * self->page, 6 * self->page));
	EXPECT_LOWER(6 * self->page, self->size);
	ASSERT_EQ(0, sys(fsync(self->fd)));
	EXPECT_EQ(0, byte_of(self->lower, 5 * self->page));
	/* The kernel makes it again, by the file that it has for it. */
	ASSERT_EQ(0, sys(remap_file_pages(self->p, self->page, 0, 9, 0)));
	EXPECT_EQ(lower_byte(9 * self->page), *self->p);
}

/* A full file system: nothing is lost, and each descriptor is told once. */
TEST(errors_are_reported_and_nothing_is_lost)
{
	char dir[] = "/tmp/attach-XXXXXX", path[64];
	size_t page = page_size();
	int lower, filler, fd, again;
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
	ASSERT_EQ(0, ftruncate(filler, 0));
	EXPECT_EQ(-ENOSPC, sys(fsync(again)));
	EXPECT_EQ(0, sys(fsync(again)));
	EXPECT_EQ('s', byte_of(lower, page));
	munmap(p, 4 * page);
	close(again);
	close(fd);
	close(lower);
	close(filler);
	umount(dir);
	rmdir(dir);
}

TEST_F(attach, no_store_is_lost)
{
	uint64_t until = now_ns() + test_rounds(1000, 8000) * NSEC_PER_MSEC;
	struct storer s[4];
	pthread_t threads[4];
	unsigned long rounds = 0;

	ASSERT_EQ(0, ps_resize(self->fd, N * self->page));
	while (rounds++ < 3 || now_ns() < until) {
		for (int i = 0; i < 4; i++) {
			s[i] = (struct storer){ self->p, self->fd, self->page, i % 2 };
			ASSERT_EQ(0, pthread_create(&threads[i], NULL, i < 2 ? store_on : sync_on,
						    &s[i]));
		}
		sleep_ns(20 * NSEC_PER_MSEC);
		for (int i = 0; i < 4; i++) {
			void *failed;

			/* The storers first. */
			__atomic_store_n(&s[i].quit, true, __ATOMIC_RELEASE);
			pthread_join(threads[i], &failed);
			ASSERT_EQ(NULL, failed);
		}
		ASSERT_EQ(0, sys(fsync(self->fd)));
		for (int i = 0; i < N; i++) {
			unsigned long above[2], below[2];

			memcpy(above, self->p + i * self->page, sizeof(above));
			ASSERT_EQ(sizeof(below), pread(self->lower, below, sizeof(below),
						       i * self->page));
			ASSERT_EQ(above[0], below[0]) TH_LOG("page %d", i);
			ASSERT_EQ(above[1], below[1]) TH_LOG("page %d", i);
		}
	}
}

TEST_HARNESS_MAIN

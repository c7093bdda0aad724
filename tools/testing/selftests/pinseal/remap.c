// SPDX-License-Identifier: GPL-2.0-only
/*
 * PINSEAL_PROTECT_REMAP: pages that a mapping shows elsewhere than at their place.
 */
#include <sys/resource.h>
#include <sys/uio.h>

#include "harness.h"
#include "async.h"
#include "bytes.h"
#include "cpu.h"
#include "direct.h"
#include "large_folio.h"
#include "limited_object.h"
#include "machine_code.h"
#include "madvise.h"
#include "protect.h"
#include "random.h"
#include "racer.h"
#include "state.h"
#include "sysfile.h"
#include "tracee.h"
#include "unpinnable.h"
#include "zram_swap.h"

/* Pages of the object, and of the mapping. */
#define N	16

/* A mapping of an object whose pages begin with their number. */
FIXTURE(remap) {
	int fd;
	size_t page;
	char *p;
};

#define at(i)		(self->p + (i) * self->page)
#define number_at(i)	(*(volatile uint32_t *)at(i))
#define remap(i, n, to, prot) \
	ps_remap(self->fd, at(i), (n) * self->page, to, prot)
#define load(i)		ps_touch(at(i), false)
#define store(i)	ps_touch(at(i), true)

static int number_pages(int fd, size_t page)
{
	for (uint32_t i = 0; i < N; i++)
		if (pwrite(fd, &i, sizeof(i), i * page) != sizeof(i))
			return -EIO;
	return 0;
}

static uint32_t number_of(int fd, size_t page, unsigned int i)
{
	uint32_t number = UINT32_MAX;

	return pread(fd, &number, sizeof(number), i * page) == sizeof(number) ? number : UINT32_MAX;
}

FIXTURE_SETUP(remap)
{
	self->page = page_size();
	self->fd = ps_create(N * self->page);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, number_pages(self->fd, self->page));
	self->p = ps_map(self->fd, N * self->page, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, self->p);
}

FIXTURE_TEARDOWN(remap)
{
	close(self->fd);
}

TEST_F(remap, a_page_is_shown_elsewhere)
{
	ASSERT_EQ(0, remap(3, 1, 9, RW));
	EXPECT_EQ(9, number_at(3));
	EXPECT_EQ(9, number_at(9));
	EXPECT_EQ(2, number_at(2));
	EXPECT_EQ(4, number_at(4));
	number_at(3) = 99;
	EXPECT_EQ(99, number_at(9));
	EXPECT_EQ(99, number_of(self->fd, self->page, 9));
	EXPECT_EQ(3, number_of(self->fd, self->page, 3));
}

TEST_F(remap, all_pages_change_places)
{
	for (int i = 0; i < N; i++)
		ASSERT_EQ(0, remap(i, 1, N - 1 - i, RW));
	for (int i = 0; i < N; i++)
		EXPECT_EQ(N - 1 - i, number_at(i));
}

TEST_F(remap, a_range_shows_pages_that_follow)
{
	ASSERT_EQ(0, remap(2, 4, 8, RW));
	for (int i = 0; i < N; i++)
		EXPECT_EQ(i >= 2 && i < 6 ? i + 6 : i, number_at(i));
}

TEST_F(remap, a_page_is_shown_several_times)
{
	for (int i = 0; i < N; i++)
		ASSERT_EQ(0, remap(i, 1, 5, RW));
	number_at(0) = 77;
	for (int i = 0; i < N; i++)
		EXPECT_EQ(77, number_at(i));
}

TEST_F(remap, a_remapped_page_has_its_own_protection)
{
	ASSERT_EQ(0, remap(3, 1, 9, PROT_READ));
	ASSERT_EQ(0, remap(4, 1, 9, PROT_NONE));
	ASSERT_EQ(0, remap(5, 1, 9, RW));
	for (int round = 0; round < 2; round++) {
		EXPECT_EQ(9, number_at(3));
		EXPECT_EQ(SIGSEGV, store(3));
		EXPECT_EQ(SIGSEGV, load(4));
		EXPECT_EQ(0, store(5));
	}
	/* Without a target, the page that is shown stays. */
	ASSERT_EQ(0, ps_protect(self->fd, at(3), self->page, RW));
	EXPECT_EQ(0, store(3));
	EXPECT_EQ(9, number_at(3));
	ASSERT_EQ(0, ps_protect(self->fd, at(5), self->page, PROT_READ));
	EXPECT_EQ(9, number_at(5));
	EXPECT_EQ(SIGSEGV, store(5));
}

/* As those at their place, which have it from the mapping. */
TEST_F(remap, pages_of_an_executable_mapping_keep_read_and_exec)
{
	char *p = ps_map(self->fd, N * self->page, RW | PROT_EXEC, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(-EOPNOTSUPP, ps_remap(self->fd, p, self->page, 9, PROT_READ));
	EXPECT_EQ(-EOPNOTSUPP, ps_remap(self->fd, p, self->page, 9, RW));
	EXPECT_EQ(-EOPNOTSUPP, ps_remap(self->fd, p, self->page, 9, PROT_EXEC));
	EXPECT_FALSE(mapping_has_flag(p, " pf"));
	EXPECT_EQ(0, *(uint32_t *)p);
	EXPECT_EQ(0, ps_remap(self->fd, p, self->page, 9, PROT_READ | PROT_EXEC));
	EXPECT_EQ(9, *(uint32_t *)p);
	EXPECT_EQ(SIGSEGV, ps_touch(p, true));
	EXPECT_EQ(0, ps_remap(self->fd, p, self->page, 9, RW | PROT_EXEC));
	EXPECT_EQ(0, ps_touch(p, true));
	EXPECT_EQ(0, ps_remap(self->fd, p, self->page, 9, PROT_NONE));
	EXPECT_EQ(SIGSEGV, ps_touch(p, false));
	/* Where the mapping does not allow it at all: */
	EXPECT_EQ(-EACCES, remap(3, 1, 9, PROT_READ | PROT_EXEC));
	munmap(p, N * self->page);
}

TEST_F(remap, code_is_run_where_its_page_is_shown)
{
	char *p = ps_map(self->fd, N * self->page, PROT_READ | PROT_EXEC, MAP_SHARED);
	char *place = p + 3 * self->page;

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, write_code(self->fd, 1 * self->page, 1));
	ASSERT_EQ(0, write_code(self->fd, 2 * self->page, 2));
	for (int i = 0; i < 4; i++) {
		int shown = 1 + i % 2;

		ASSERT_EQ(0, ps_remap(self->fd, place, self->page, shown, PROT_READ | PROT_EXEC));
		EXPECT_EQ(shown, ((int (*)(void))place)());
	}
	ASSERT_EQ(0, ps_remap(self->fd, place, self->page, 1, PROT_NONE));
	EXPECT_EQ(128 + SIGSEGV, run_code(place));
	munmap(p, N * self->page);
}

TEST_F(remap, mprotect_wins_but_the_page_stays)
{
	ASSERT_EQ(0, remap(3, 1, 9, PROT_READ));
	ASSERT_EQ(9, number_at(3));
	ASSERT_EQ(0, mprotect(at(3), self->page, RW));
	EXPECT_EQ(0, store(3));
	EXPECT_EQ(9, number_at(3));
	ASSERT_EQ(0, mprotect(at(3), self->page, PROT_READ));
	EXPECT_EQ(SIGSEGV, store(3));
	EXPECT_EQ(9, number_at(3));
}

TEST_F(remap, back_at_their_places_the_mapping_is_as_before)
{
	ASSERT_EQ(0, remap(3, 2, 9, RW));
	EXPECT_TRUE(mapping_has_flag(self->p, " pf"));
	ASSERT_EQ(0, remap(3, 2, 3, RW));
	EXPECT_FALSE(mapping_has_flag(self->p, " pf"));
	EXPECT_FALSE(mapping_has_flag(self->p, " de"));
	for (int i = 0; i < N; i++)
		EXPECT_EQ(i, number_at(i));
}

TEST_F(remap, remapped_pages_are_listed)
{
	struct pinseal_protect_range got[4];

	ASSERT_EQ(0, remap(3, 2, 9, RW));
	ASSERT_EQ(0, remap(8, 1, 1, PROT_READ));
	ASSERT_EQ(0, ps_protect(self->fd, at(12), self->page, PROT_NONE));
	ASSERT_EQ(3, ps_protections(self->fd, self->p, N * self->page, got, 4));
	EXPECT_EQ((uintptr_t)at(3), got[0].addr);
	EXPECT_EQ(2 * self->page, got[0].len);
	EXPECT_EQ(9, got[0].pgoff);
	EXPECT_EQ(RW, got[0].prot);
	EXPECT_EQ(PINSEAL_PROTECT_REMAP, got[0].flags);
	EXPECT_EQ(1, got[1].pgoff);
	EXPECT_EQ(PROT_READ, got[1].prot);
	EXPECT_EQ(12, got[2].pgoff);
	EXPECT_EQ(0, got[2].flags);
	/* What was listed restores it. */
	ASSERT_EQ(0, remap(0, N, 0, RW));
	ASSERT_EQ(5, number_at(5));
	got[2].pgoff = 0;
	ASSERT_EQ(0, ps_protect_ranges(self->fd, got, 3));
	EXPECT_EQ(9, number_at(3));
	EXPECT_EQ(10, number_at(4));
	EXPECT_EQ(1, number_at(8));
	EXPECT_EQ(SIGSEGV, load(12));
}

/* Ranges of all mappings that are shown elsewhere, as fdinfo tells. */
static int fdinfo_remapped(int fd)
{
	char value[32];

	return fdinfo_value(fd, "remapped", value, sizeof(value)) ? -1 : atoi(value);
}

TEST_F(remap, fdinfo_counts_ranges)
{
	pid_t pid;

	EXPECT_EQ(0, fdinfo_remapped(self->fd));
	ASSERT_EQ(0, remap(3, 2, 9, RW));
	ASSERT_EQ(0, remap(8, 1, 1, RW));
	EXPECT_EQ(2, fdinfo_remapped(self->fd));
	pid = ps_fork();
	if (!pid)
		/* Its own, but for the first of them. */
		_exit(remap(3, 2, 3, RW) || fdinfo_remapped(self->fd) != 3);
	EXPECT_EQ(0, ps_wait(pid));
	EXPECT_EQ(2, fdinfo_remapped(self->fd));
	ASSERT_EQ(0, remap(4, 1, 4, RW));
	ASSERT_EQ(0, remap(8, 1, 8, RW));
	EXPECT_EQ(1, fdinfo_remapped(self->fd));
	ASSERT_EQ(0, munmap(self->p, N * self->page));
	EXPECT_EQ(0, fdinfo_remapped(self->fd));
}

TEST_F(remap, an_array_protects_and_remaps)
{
	const struct pinseal_protect_range ranges[] = {
		a_range(at(1), self->page, PROT_READ),
		{ (uintptr_t)at(3), 2 * self->page, 9, RW, PINSEAL_PROTECT_REMAP },
		a_range(at(6), self->page, PROT_NONE),
		{ (uintptr_t)at(7), self->page, 1, PROT_READ, PINSEAL_PROTECT_REMAP },
	};

	ASSERT_EQ(0, ps_protect_ranges(self->fd, ranges, 4));
	EXPECT_EQ(1, number_at(1));
	EXPECT_EQ(SIGSEGV, store(1));
	EXPECT_EQ(9, number_at(3));
	EXPECT_EQ(10, number_at(4));
	EXPECT_EQ(SIGSEGV, load(6));
	EXPECT_EQ(1, number_at(7));
	EXPECT_EQ(SIGSEGV, store(7));
}

TEST_F(remap, a_child_sees_the_same_and_changes_its_own)
{
	pid_t pid;

	ASSERT_EQ(0, remap(3, 1, 9, RW));
	ASSERT_EQ(9, number_at(3));
	pid = ps_fork();
	if (!pid) {
		bool ok = number_at(3) == 9 && !remap(3, 1, 5, RW) && number_at(3) == 5 &&
			  !remap(4, 1, 1, PROT_READ) && store(4) == SIGSEGV;

		_exit(!ok);
	}
	EXPECT_EQ(0, ps_wait(pid));
	EXPECT_EQ(9, number_at(3));
	EXPECT_EQ(4, number_at(4));
	EXPECT_EQ(0, store(4));
	/* The child's mapping is gone, and this one still known. */
	ASSERT_EQ(0, ps_fallocate(self->fd, PUNCH, 9 * self->page, self->page));
	EXPECT_EQ(0, number_at(3));
}

/* A child that tells what its copy of the mapping shows. */
struct looker {
	pid_t pid;
	int ask[2], answer[2];
};

static int looker_start(struct looker *l, FIXTURE_DATA(remap) *self)
{
	unsigned char place;

	if (pipe(l->ask) || pipe(l->answer))
		return -errno;
	l->pid = ps_fork();
	if (l->pid)
		return l->pid < 0 ? -errno : 0;
	while (read(l->ask[0], &place, 1) == 1) {
		uint32_t number = number_at(place);

		if (write(l->answer[1], &number, sizeof(number)) != sizeof(number))
			break;
	}
	_exit(1);
}

/* look_at() - the number at a place of the child's, or UINT32_MAX if the child is dead. */
static uint32_t look_at(struct looker *l, unsigned char place)
{
	struct pollfd pfd = { .fd = l->answer[0], .events = POLLIN };
	uint32_t number;

	if (write(l->ask[1], &place, 1) != 1 || poll(&pfd, 1, SOON_NS / NSEC_PER_MSEC) != 1 ||
	    read(l->answer[0], &number, sizeof(number)) != sizeof(number))
		return UINT32_MAX;
	return number;
}

TEST_F(remap, a_removed_page_is_taken_from_a_child)
{
	struct looker child;

	ASSERT_EQ(0, remap(3, 1, 9, RW));
	ASSERT_EQ(9, number_at(3));
	ASSERT_EQ(0, looker_start(&child, self));
	ASSERT_EQ(9, look_at(&child, 3));
	ASSERT_EQ(0, ps_fallocate(self->fd, PUNCH, 9 * self->page, self->page));
	EXPECT_EQ(0, look_at(&child, 3));
	EXPECT_EQ(0, number_at(3));
	ps_kill(child.pid);
}

/* The copy of the mapping counts: while it shows pages, they have references, and are taken away. */
TEST_F(remap, a_child_outlives_the_mapping_of_its_parent)
{
	struct looker child;

	for (int i = 0; i < N; i++)
		ASSERT_EQ(0, remap(i, 1, N - 1 - i, RW));
	for (int i = 0; i < N; i++)
		ASSERT_EQ(N - 1 - i, number_at(i));
	ASSERT_EQ(0, looker_start(&child, self));
	ASSERT_EQ(0, munmap(self->p, N * self->page));
	for (int i = 0; i < N; i++)
		EXPECT_EQ(N - 1 - i, look_at(&child, i));
	ASSERT_EQ(0, ps_fallocate(self->fd, PUNCH, 9 * self->page, self->page));
	EXPECT_EQ(0, look_at(&child, N - 1 - 9));
	EXPECT_EQ(5, look_at(&child, N - 1 - 5));
	ps_kill(child.pid);
	EXPECT_EQ(0, ps_add_seals(self->fd, F_SEAL_WRITE));
}

TEST_F(remap, pages_past_the_end_are_sigbus)
{
	ASSERT_EQ(0, remap(3, 2, N - 1, RW));
	EXPECT_EQ(N - 1, number_at(3));
	EXPECT_EQ(SIGBUS, load(4));
	ASSERT_EQ(0, ps_resize(self->fd, (N + 1) * self->page));
	EXPECT_EQ(0, number_at(4));
}

TEST_F(remap, removed_pages_are_not_shown_any_more)
{
	ASSERT_EQ(0, remap(3, 1, 9, RW));
	ASSERT_EQ(0, remap(4, 1, 10, PROT_READ));
	ASSERT_EQ(9, number_at(3));
	ASSERT_EQ(10, number_at(4));
	ASSERT_EQ(0, ps_fallocate(self->fd, PUNCH, 10 * self->page, self->page));
	EXPECT_EQ(0, number_at(4));
	ASSERT_EQ(0, ps_resize(self->fd, 9 * self->page));
	EXPECT_EQ(SIGBUS, load(3));
	ASSERT_EQ(0, ps_resize(self->fd, N * self->page));
	EXPECT_EQ(0, number_at(3));
	number_at(3) = 5;
	EXPECT_EQ(5, number_of(self->fd, self->page, 9));
}

/* MADV_REMOVE by a mapping as others are: past the object. */
TEST_F(remap, a_page_that_was_removed_by_a_mapping_goes_when_another_is_shown)
{
	char *q = ps_map(self->fd, N * self->page, RW, MAP_SHARED);
	uint32_t new = 4321;

	ASSERT_NE(MAP_FAILED, q);
	ASSERT_EQ(0, remap(3, 1, 9, RW));
	ASSERT_EQ(0, remap(4, 1, 9, RW));
	ASSERT_EQ(9, number_at(3));
	ASSERT_EQ(0, madvise(q + 9 * self->page, self->page, MADV_REMOVE));
	ASSERT_EQ(sizeof(new), sys(pwrite(self->fd, &new, sizeof(new), 9 * self->page)));
	EXPECT_EQ(new, number_at(4));
	EXPECT_EQ(new, number_at(3));
	munmap(q, N * self->page);
}

/* For the core, such a mapping begins far behind the file; but not in bytes. */
TEST_F(remap, offsets_in_the_file_stay_right)
{
	char *p = mmap(NULL, N * self->page / 2, RW, MAP_SHARED, self->fd, 4 * self->page);
	unsigned long long start, offset;
	bool found = false;
	char line[256];
	FILE *maps;

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, ps_remap(self->fd, p + self->page, self->page, 9, RW));
	maps = fopen("/proc/self/maps", "r");
	ASSERT_NE(NULL, maps);
	while (!found && fgets(line, sizeof(line), maps))
		found = sscanf(line, "%llx-%*x %*s %llx", &start, &offset) == 2 &&
			start == (uintptr_t)p;
	fclose(maps);
	EXPECT_TRUE(found);
	EXPECT_EQ(4 * self->page, offset);
	/* Page 6 of the object, which is at its place. */
	ASSERT_EQ(0, madvise(p + 2 * self->page, self->page, MADV_REMOVE));
	EXPECT_EQ(0, number_of(self->fd, self->page, 6));
	EXPECT_EQ(9, number_of(self->fd, self->page, 9));
	EXPECT_EQ(0, msync(p, N * self->page / 2, MS_SYNC));
	munmap(p, N * self->page / 2);
}

TEST_F(remap, who_waits_for_references_does_not_wait_for_these)
{
	struct pinseal_resize resize = {
		.size = 8 * self->page,
		.flags = PINSEAL_RESIZE_WAIT,
		.timeout_ns = LONG_NS,
	};
	uint64_t start = now_ns();

	ASSERT_EQ(0, remap(3, 1, 9, RW));
	ASSERT_EQ(9, number_at(3));
	EXPECT_EQ(0, ps_ioctl(self->fd, PINSEAL_IOC_RESIZE, &resize));
	EXPECT_GT(LATE_NS, now_ns() - start);
	EXPECT_EQ(SIGBUS, load(3));
}

TEST_F(remap, who_removes_pages_does_not_wait_for_their_references)
{
	struct pinseal_fallocate punch = {
		.mode = PUNCH,
		.flags = PINSEAL_FALLOCATE_WAIT,
		.offset = 9 * self->page,
		.len = self->page,
		.timeout_ns = LONG_NS,
	};
	uint64_t start = now_ns();

	ASSERT_EQ(0, remap(3, 1, 9, RW));
	ASSERT_EQ(9, number_at(3));
	EXPECT_EQ(0, ps_ioctl(self->fd, PINSEAL_IOC_FALLOCATE, &punch));
	EXPECT_GT(LATE_NS, now_ns() - start);
	EXPECT_EQ(0, number_at(3));
}

/*
 * In memory from which pages must be moved before they are pinned for long, extra references prevent
 * that, and PINSEAL_PIN_WAIT would wait for them. Guests with such memory: qemu/flavours.
 */
TEST_F(remap, who_pins_does_not_wait_for_their_references)
{
	const size_t pages = 2048;

	/* A pin without the flag does not wait for what reclaim holds for a moment either. */
	for (int waits = is_under_pressure(); waits <= 1; waits++) {
		int fd = ps_create(pages * self->page), pin;
		uint32_t number = 1234 + waits;
		uint64_t start;
		long first;
		char *p;

		ASSERT_LE(0, fd);
		first = unpinnable_fill(fd, pages, 'p', 1);
		if (first < 0) {
			ASSERT_EQ(-ENOENT, first);
			ASSERT_FALSE(unpinnable_machine());
			first = 9;
		}
		p = ps_map(fd, self->page, RW, MAP_SHARED);
		ASSERT_NE(MAP_FAILED, p);
		ASSERT_EQ(0, ps_remap(fd, p, self->page, first, RW));
		ASSERT_EQ('p', *p);
		start = now_ns();
		pin = waits ? ps_pin_wait(fd, first, 1, 0, LONG_NS) : ps_pin(fd, first, 1, 0);
		EXPECT_LE(0, pin);
		EXPECT_GT(LATE_NS, now_ns() - start);
		/* The page that is pinned is shown, wherever it is now. */
		EXPECT_EQ(sizeof(number), sys(pwrite(pin, &number, sizeof(number), 0)));
		EXPECT_EQ(number, *(uint32_t *)p);
		munmap(p, self->page);
		close(pin);
		close(fd);
	}
}

/* extra_references() - to all pages: those of LRU batches, but for ours. */
static long extra_references(int fd)
{
	struct pinseal_page vec[N];
	struct pinseal_pins arg;
	long extra = 0;

	if (ps_pins(fd, 0, vec, N, &arg))
		return -1;
	for (unsigned int i = 0; i < arg.found; i++)
		extra += vec[i].extra;
	return extra;
}

TEST_F(remap, references_are_not_listed)
{
	long before = extra_references(self->fd);

	ASSERT_LE(0, before);
	for (int i = 0; i < N; i++)
		ASSERT_EQ(0, remap(i, 1, N - 1 - i, RW));
	for (int i = 0; i < N; i++)
		ASSERT_EQ(N - 1 - i, number_at(i));
	EXPECT_GE(before, extra_references(self->fd));
	for (int i = 0; i < N; i++)
		EXPECT_EQ(N - 1 - i, number_at(i));
}

/* By a read-only descriptor, whose mappings are in no seal's way. */
static char *map_read_only(int fd, size_t len)
{
	int read_only = ps_reopen(fd, O_RDONLY);
	char *p;

	if (read_only < 0)
		return MAP_FAILED;
	p = ps_map(read_only, len, PROT_READ, MAP_SHARED);
	close(read_only);
	return p;
}

TEST_F(remap, a_writable_mapping_shows_no_others_after_future_write)
{
	int reader = ps_reopen(self->fd, O_RDONLY);
	char *p = ps_map(reader, N * self->page, PROT_READ, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, p);
	munmap(at(1), (N - 1) * self->page);
	ASSERT_EQ(0, ps_add_seals(self->fd, F_SEAL_FUTURE_WRITE));
	EXPECT_EQ(-EPERM, remap(0, 1, 5, RW));
	EXPECT_EQ(-EPERM, remap(0, 1, 5, PROT_READ));
	EXPECT_EQ(0, number_at(0));
	EXPECT_EQ(0, store(0));
	/* Nor can it become writable. */
	EXPECT_EQ(0, ps_remap(reader, p, self->page, 5, PROT_READ));
	EXPECT_EQ(5, *(volatile uint32_t *)p);
	EXPECT_EQ(-EACCES, sys(mprotect(p, self->page, RW)));
	munmap(p, N * self->page);
	close(reader);
}

TEST_F(remap, a_seal_takes_the_pages_away)
{
	char *q = map_read_only(self->fd, N * self->page);

	ASSERT_NE(MAP_FAILED, q);
	ASSERT_EQ(0, munmap(self->p, N * self->page));
	self->p = q;
	for (int i = 0; i < N; i++)
		ASSERT_EQ(0, remap(i, 1, N - 1 - i, PROT_READ));
	for (int i = 0; i < N; i++)
		ASSERT_EQ(N - 1 - i, number_at(i));
	EXPECT_EQ(0, ps_add_seals(self->fd, F_SEAL_WRITE));
	for (int i = 0; i < N; i++)
		EXPECT_EQ(N - 1 - i, number_at(i));
	EXPECT_EQ(SIGSEGV, store(1));
	EXPECT_EQ(-EACCES, remap(1, 1, 5, RW));
}

/* One that is the file's no more is seen by no scan, and may be pinned: who has a way to write to it? */
TEST_F(remap, a_seal_takes_a_removed_page_away)
{
	char *q = map_read_only(self->fd, N * self->page);
	int pin, full = memfd_create("full", MFD_CLOEXEC);
	uint32_t nine = 9, other = 4321;

	ASSERT_EQ(0, run_on_cpu(0));
	ASSERT_NE(MAP_FAILED, q);
	ASSERT_EQ(0, ps_remap(self->fd, q + 3 * self->page, self->page, 9, PROT_READ));
	pin = ps_pin(self->fd, 9, 1, 0);
	ASSERT_LE(0, pin);
	ASSERT_EQ(9, *(volatile uint32_t *)(q + 3 * self->page));
	/* As a mapping of another process may: without the object's knowledge. */
	ASSERT_EQ(0, madvise(self->p, N * self->page, MADV_REMOVE));
	ASSERT_EQ(0, munmap(self->p, N * self->page));
	self->p = q;
	ASSERT_EQ(sizeof(nine), sys(pwrite(self->fd, &nine, sizeof(nine), 9 * self->page)));
	/* Leaves it in no LRU batch, which would be a reference. */
	for (int i = 0; i < 64; i++)
		ASSERT_EQ(1, sys(pwrite(full, "f", 1, i * self->page)));
	ASSERT_EQ(0, ps_add_seals(self->fd, F_SEAL_WRITE));
	/* The pin is of a page that no file has. */
	ASSERT_EQ(sizeof(other), sys(pwrite(pin, &other, sizeof(other), 0)));
	EXPECT_EQ(9, number_at(3));
	close(full);
	close(pin);
}

/* show_read_only() - page 9 at place 3, in a mapping that is in no seal's way: whether it is. */
static bool show_read_only(FIXTURE_DATA(remap) *self)
{
	char *q = map_read_only(self->fd, N * self->page);

	if (q == MAP_FAILED || munmap(self->p, N * self->page))
		return false;
	self->p = q;
	return !remap(3, 1, 9, PROT_READ) && number_at(3) == 9;
}

/* settle_pages() - new pages, in no LRU batch but this CPU's, which a scan drains: 0, or -errno. */
static int settle_pages(FIXTURE_DATA(remap) *self)
{
	return run_on_cpu(0) ?: ps_fallocate(self->fd, PUNCH, 0, N * self->page) ?:
	       number_pages(self->fd, self->page);
}

TEST_F(remap, a_seal_that_does_not_wait_succeeds)
{
	struct pinseal_seal seal = { .seals = F_SEAL_WRITE, .flags = PINSEAL_SEAL_NOWAIT };

	if (is_under_pressure())
		SKIP(return, "others hold pages");
	ASSERT_EQ(0, settle_pages(self));
	ASSERT_TRUE(show_read_only(self));
	EXPECT_EQ(0, ps_seal(self->fd, &seal));
	EXPECT_EQ(PINSEAL_OUTCOME_SEALED, seal.outcome);
	EXPECT_EQ(0, seal.pinned_pages);
	EXPECT_EQ(9, number_at(3));
}

TEST_F(remap, a_seal_in_the_background_succeeds)
{
	struct pinseal_seal seal = seal_async(F_SEAL_WRITE, LONG_NS);

	ASSERT_TRUE(show_read_only(self));
	ASSERT_EQ(0, ps_seal(self->fd, &seal));
	EXPECT_EQ(0, async_wait(self->fd, &seal));
	EXPECT_EQ(PINSEAL_OUTCOME_SEALED, seal.outcome);
	EXPECT_EQ(F_SEAL_WRITE, ps_get_seals(self->fd));
	EXPECT_EQ(9, number_at(3));
}

/* The page has two references that a sealer can end: the lease's, and that of the place. */
TEST_F(remap, a_seal_revokes_the_lease_of_a_page_that_is_shown)
{
	struct pinseal_seal seal = {
		.seals = F_SEAL_WRITE,
		.flags = PINSEAL_SEAL_REVOKE,
		.timeout_ns = LONG_NS,
	};
	int pin = ps_lease(self->fd, 9, 1, NSEC_PER_MSEC);
	uint64_t start = now_ns();
	char c;

	ASSERT_LE(0, pin);
	ASSERT_TRUE(show_read_only(self));
	EXPECT_EQ(0, ps_seal(self->fd, &seal));
	EXPECT_GT(LATE_NS, now_ns() - start);
	EXPECT_EQ(1, seal.revoked_pages);
	EXPECT_EQ(-ESTALE, sys(pread(pin, &c, 1, 0)));
	EXPECT_EQ(9, number_at(3));
	close(pin);
}

TEST_F(remap, an_isolated_page_is_shown_as_the_objects)
{
	struct pinseal_seal seal = {
		.seals = F_SEAL_WRITE,
		.flags = PINSEAL_SEAL_ISOLATE | PINSEAL_SEAL_NOWAIT,
	};
	char *q = map_read_only(self->fd, N * self->page);
	int pin = ps_pin(self->fd, 9, 1, 0);
	uint32_t changed = 1234;

	ASSERT_NE(MAP_FAILED, q);
	ASSERT_LE(0, pin);
	ASSERT_EQ(0, munmap(self->p, N * self->page));
	self->p = q;
	ASSERT_EQ(0, remap(3, 1, 9, PROT_READ));
	ASSERT_EQ(9, number_at(3));
	ASSERT_EQ(0, ps_seal(self->fd, &seal));
	/* Under memory pressure, others are busy as well. */
	EXPECT_LE(1, seal.isolated_pages);
	ASSERT_EQ(sizeof(changed), sys(pwrite(pin, &changed, sizeof(changed), 0)));
	EXPECT_EQ(9, number_at(3));
	EXPECT_EQ(9, number_at(9));
	close(pin);
}

TEST_F(remap, system_calls_that_pin_get_efault)
{
	uint32_t number;
	struct iovec local = { &number, sizeof(number) }, remote = { at(3), sizeof(number) };
	int pipes[2];

	ASSERT_EQ(0, pipe(pipes));
	ASSERT_EQ(0, remap(3, 1, 9, RW));
	EXPECT_EQ(sizeof(number), sys(write(pipes[1], at(3), sizeof(number))));
	EXPECT_EQ(sizeof(number), sys(read(pipes[0], &number, sizeof(number))));
	EXPECT_EQ(9, number);
	EXPECT_EQ(-EFAULT, sys(process_vm_readv(getpid(), &local, 1, &remote, 1, 0)));
	EXPECT_EQ(-EFAULT, sys(process_vm_writev(getpid(), &local, 1, &remote, 1, 0)));
}

/* Pages of the mapping that are at their place cannot be pinned by it either. */
TEST_F(remap, direct_io_gets_efault)
{
	struct disk disk;
	int file = direct_open(&disk, self->page);

	if (file == -ENODEV)
		SKIP(return, "no disk with ext4");
	ASSERT_LE(0, file);
	ASSERT_EQ(0, remap(3, 1, 9, RW));
	for (int i = 3; i <= 4; i++) {
		uint32_t number = number_at(i);

		EXPECT_EQ(-EFAULT, sys(pread(file, at(i), self->page, 0)));
		EXPECT_EQ(number, number_at(i));
		EXPECT_EQ(-EFAULT, sys(pwrite(file, at(i), self->page, 0)));
	}
	close(file);
	disk_unmount(&disk);
}

TEST_F(remap, vmsplice_gets_efault)
{
	struct iovec shown = { at(3), 8 };
	int pipes[2];

	ASSERT_EQ(0, pipe(pipes));
	ASSERT_EQ(0, remap(3, 1, 9, RW));
	ASSERT_EQ(9, number_at(3));
	EXPECT_EQ(-EFAULT, sys(vmsplice(pipes[1], &shown, 1, 0)));
}

TEST_F(remap, populating_is_refused)
{
	ASSERT_EQ(0, remap(3, 1, 9, RW));
	EXPECT_EQ(-EINVAL, sys(madvise(at(3), self->page, MADV_POPULATE_READ)));
	EXPECT_EQ(-EINVAL, sys(madvise(at(3), self->page, MADV_POPULATE_WRITE)));
}

/* As pages with protections at their place (protect.c), whatever the protection is. */
TEST_F(remap, a_debugger_reads_what_is_shown_but_does_not_write)
{
	static const int prots[] = { RW, PROT_READ, PROT_NONE };
	pid_t pid;

	for (int i = 0; i < ARRAY_SIZE(prots); i++)
		ASSERT_EQ(0, remap(i, 1, 9 + i, prots[i]));
	pid = trace_child(NULL, NULL);
	ASSERT_LE(0, pid);
	for (int i = 0; i < ARRAY_SIZE(prots); i++) {
		errno = 0;
		EXPECT_EQ(9 + i, ptrace(PTRACE_PEEKDATA, pid, at(i), NULL) & UINT32_MAX);
		EXPECT_EQ(0, errno);
		EXPECT_EQ(-EIO, sys(ptrace(PTRACE_POKEDATA, pid, at(i), 1234)));
		EXPECT_EQ(9 + i, number_of(self->fd, self->page, 9 + i));
		EXPECT_EQ(i, number_of(self->fd, self->page, i));
	}
	ps_kill(pid);
}

TEST_F(remap, memory_of_a_process_has_what_is_shown)
{
	char path[32], *two = malloc(2 * self->page);
	uint32_t number = 1234;
	pid_t pid;
	int fd;

	ASSERT_NE(NULL, two);
	ASSERT_EQ(0, remap(3, 1, 9, PROT_NONE));
	ASSERT_EQ(0, remap(4, 1, 1, PROT_READ));
	pid = trace_child(NULL, NULL);
	ASSERT_LE(0, pid);
	snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	fd = open(path, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fd);
	/* In one go, and from inside a page. */
	ASSERT_EQ(2 * self->page, sys(pread(fd, two, 2 * self->page, (uintptr_t)at(3))));
	EXPECT_EQ(9, *(uint32_t *)two);
	EXPECT_EQ(1, *(uint32_t *)(two + self->page));
	ASSERT_EQ(self->page, sys(pread(fd, two, self->page, (uintptr_t)at(3) + 8)));
	EXPECT_EQ(1, *(uint32_t *)(two + self->page - 8));
	EXPECT_EQ(-EIO, sys(pwrite(fd, &number, sizeof(number), (uintptr_t)at(3))));
	EXPECT_EQ(-EIO, sys(pwrite(fd, &number, sizeof(number), (uintptr_t)at(4))));
	EXPECT_EQ(9, number_of(self->fd, self->page, 9));
	EXPECT_EQ(1, number_of(self->fd, self->page, 1));
	close(fd);
	ps_kill(pid);
	free(two);
}

TEST_F(remap, protection_keys_hold)
{
	int key = pkey_alloc(0, 0);

	if (key < 0)
		SKIP(return, "no protection keys: %s", strerror(errno));
	ASSERT_EQ(0, remap(3, 1, 9, RW));
	ASSERT_EQ(0, pkey_mprotect(self->p, N * self->page, RW, key));
	EXPECT_EQ(9, number_at(3));
	EXPECT_EQ(5, number_at(5));
	ASSERT_EQ(0, pkey_set(key, PKEY_DISABLE_ACCESS));
	EXPECT_EQ(SIGSEGV, load(3));
	EXPECT_EQ(SIGSEGV, load(5));
	ASSERT_EQ(0, pkey_set(key, PKEY_DISABLE_WRITE));
	EXPECT_EQ(9, number_at(3));
	EXPECT_EQ(SIGSEGV, store(3));
	ASSERT_EQ(0, pkey_set(key, 0));
	EXPECT_EQ(0, store(3));
	pkey_free(key);
}

TEST_F(remap, a_poisoned_page_is_not_shown)
{
	pid_t pid = ps_fork();
	uint32_t number;

	if (!pid) {
		char *q = ps_map(self->fd, N * self->page, RW, MAP_SHARED);

		/* The kernel may kill who poisons it. */
		madvise(q + 9 * self->page, self->page, MADV_HWPOISON);
		_exit(0);
	}
	ps_wait(pid);
	if (pread(self->fd, &number, sizeof(number), 9 * self->page) >= 0 || errno != EIO)
		SKIP(return, "no MADV_HWPOISON");
	ASSERT_EQ(0, remap(3, 1, 9, RW));
	EXPECT_EQ(SIGBUS, load(3));
	EXPECT_EQ(0, load(4));
}

TEST_F(remap, the_mapping_is_split_moved_and_partly_unmapped)
{
	char *q = mmap(NULL, N * self->page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, q);
	for (int i = 0; i < N; i++)
		ASSERT_EQ(0, remap(i, 1, N - 1 - i, RW));
	for (int i = 0; i < N; i++)
		ASSERT_EQ(N - 1 - i, number_at(i));
	ASSERT_EQ(0, munmap(at(4), 2 * self->page));
	EXPECT_EQ(N - 1 - 3, number_at(3));
	EXPECT_EQ(N - 1 - 6, number_at(6));
	ASSERT_EQ(q + 6 * self->page, mremap(at(6), 4 * self->page, 4 * self->page,
					     MREMAP_MAYMOVE | MREMAP_FIXED, q + 6 * self->page));
	EXPECT_EQ(N - 1 - 3, number_at(3));
	EXPECT_EQ(N - 1 - 12, number_at(12));
	self->p = q;
	EXPECT_EQ(N - 1 - 6, number_at(6));
	ASSERT_EQ(0, remap(7, 1, 1, PROT_READ));
	EXPECT_EQ(1, number_at(7));
	EXPECT_EQ(SIGSEGV, store(7));
}

TEST_F(remap, memory_that_others_may_truncate_is_refused)
{
	int memfd = memfd_open(), imported = import_open(memfd);
	int created = obj_create(CREATED, self->page);
	int export;
	char *p;

	ASSERT_LE(0, imported);
	ASSERT_LE(0, created);
	ASSERT_EQ(0, ps_resize(imported, self->page));
	p = ps_map(imported, self->page, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(-EBUSY, ps_remap(imported, p, self->page, 1, RW));
	EXPECT_EQ(0, ps_protections(imported, p, self->page, NULL, 0));
	EXPECT_FALSE(mapping_has_flag(p, " de"));
	p = ps_map(created, self->page, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(-EOPNOTSUPP, ps_remap(created, p, self->page, 1, RW));
	EXPECT_FALSE(mapping_has_flag(p, " de"));

	ASSERT_EQ(0, remap(3, 1, 9, RW));
	EXPECT_EQ(-EBUSY, ps_export(self->fd, 0));
	ASSERT_EQ(0, munmap(self->p, N * self->page));
	export = ps_export(self->fd, 0);
	ASSERT_LE(0, export);
	close(export);
	self->p = ps_map(self->fd, N * self->page, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, self->p);
	EXPECT_EQ(-EBUSY, remap(3, 1, 9, RW));
	close(imported);
	close(memfd);
	close(created);
}

TEST_F(remap, calls_that_fail_to_give_others_access_forbid_nothing)
{
	int memfd = memfd_open();
	struct rlimit all, none;

	ASSERT_LE(0, memfd);
	EXPECT_EQ(-EBUSY, ps_import(self->fd, memfd));
	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &all));
	none = (struct rlimit){ 0, all.rlim_max };
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
	EXPECT_EQ(-EMFILE, ps_export(self->fd, 0));
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &all));
	EXPECT_EQ(0, remap(3, 1, 9, RW));
	EXPECT_EQ(9, number_at(3));
	close(memfd);
}

TEST_F(remap, targets_that_overflow_are_refused)
{
	EXPECT_EQ(-EOVERFLOW, remap(3, 1, UINT64_MAX, RW));
	EXPECT_EQ(-EOVERFLOW, remap(3, 1, INT64_MAX / self->page, RW));
	EXPECT_EQ(-EOVERFLOW, remap(3, 2, INT64_MAX / self->page - 1, RW));
	EXPECT_EQ(0, remap(3, 1, INT64_MAX / self->page - 1, RW));
	EXPECT_EQ(SIGBUS, load(3));
}

static long faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_minflt;
}

/* At the limit of locked memory, pages are taken away and shown anew. */
TEST_F(remap, more_pages_than_may_be_locked_are_shown_in_turns)
{
	pid_t pid = ps_fork();

	if (!pid) {
		struct rlimit none = {};

		_exit(!(!setrlimit(RLIMIT_MEMLOCK, &none) && !setuid(65534) &&
			remap(1, 1, 5, RW) == -ENOMEM && number_at(1) == 1));
	}
	EXPECT_EQ(0, ps_wait(pid));
	pid = ps_fork();
	if (!pid) {
		struct rlimit some = { 8 * self->page, 8 * self->page };
		long before;

		if (setrlimit(RLIMIT_MEMLOCK, &some) || setuid(65534))
			_exit(1);
		for (int i = 0; i < N; i++)
			if (remap(i, 1, N - 1 - i, RW))
				_exit(2);
		for (int round = 0; round < 3; round++)
			for (int i = 0; i < N; i++)
				if (number_at(i) != N - 1 - i)
					_exit(3);
		/* So each round faults most pages in again. */
		before = faults();
		for (int i = 0; i < N; i++)
			if (number_at(i) != N - 1 - i)
				_exit(4);
		_exit(faults() - before < N / 2 ? 5 : 0);
	}
	EXPECT_EQ(0, ps_wait(pid));
}

/* The limit is for as many pages as a mapping is charged for at least. */
TEST_F(remap, unmapping_gives_the_charge_back)
{
	struct rlimit some = { 8 * self->page, 8 * self->page };
	pid_t pid = ps_fork();

	if (!pid) {
		int fds[3];

		for (int i = 0; i < ARRAY_SIZE(fds); i++) {
			fds[i] = ps_create(N * self->page);
			if (fds[i] < 0 || number_pages(fds[i], self->page))
				_exit(1);
		}
		if (setrlimit(RLIMIT_MEMLOCK, &some) || setuid(65534))
			_exit(2);
		/* The objects stay, each with its pages. */
		for (int i = 0; i < 2 * ARRAY_SIZE(fds); i++) {
			int fd = fds[i / 2];
			char *p = ps_map(fd, N * self->page, RW, MAP_SHARED);

			if (p == MAP_FAILED || ps_remap(fd, p, self->page, 9, RW))
				_exit(3 + i);
			if (*(volatile uint32_t *)p != 9 || munmap(p, N * self->page))
				_exit(10 + i);
		}
		_exit(0);
	}
	EXPECT_EQ(0, ps_wait(pid));
}

TEST_F(remap, unmapping_gives_the_references_back)
{
	struct pinseal_seal seal = { .seals = F_SEAL_WRITE, .flags = PINSEAL_SEAL_NOWAIT };

	if (is_under_pressure())
		SKIP(return, "others hold pages");
	ASSERT_EQ(0, settle_pages(self));
	for (int i = 0; i < N; i++)
		ASSERT_EQ(0, remap(i, 1, N - 1 - i, RW));
	for (int i = 0; i < N; i++)
		ASSERT_EQ(N - 1 - i, number_at(i));
	ASSERT_EQ(0, munmap(self->p, N * self->page));
	EXPECT_EQ(0, ps_seal(self->fd, &seal));
	EXPECT_EQ(0, seal.pinned_pages);
	EXPECT_EQ(0, extra_references(self->fd));
}

/* Threads load and store by one place while it shows one page or another. */
struct switcher {
	char *place;
	bool quit;
	unsigned long loads, wrong;
};

static void *load_on(void *data)
{
	struct switcher *s = data;

	while (!__atomic_load_n(&s->quit, __ATOMIC_ACQUIRE)) {
		uint32_t number = *(volatile uint32_t *)s->place;

		if (number >= N)
			s->wrong++;
		s->loads++;
	}
	return NULL;
}

TEST_F(remap, a_switch_is_over_when_the_call_returns)
{
	uint64_t until = now_ns() + test_rounds(1000, 8000) * NSEC_PER_MSEC;
	struct switcher s = { .place = at(3) };
	struct random random = random_for(5, 0, 0, 0);
	pthread_t threads[2];

	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, load_on, &s));
	for (unsigned long i = 0; i < 50 || now_ns() < until; i++) {
		uint32_t to = random_below(&random, N);
		struct pinseal_pins pins;

		ASSERT_EQ(0, remap(3, 1, to, once_in(&random, 2) ? RW : PROT_READ));
		ASSERT_EQ(to, number_at(3)) TH_LOG("in round %lu", i);
		switch (random_below(&random, 8)) {
		case 0:
			/* Takes all pages away. */
			ASSERT_EQ(0, ps_pins(self->fd, 0, NULL, 0, &pins));
			break;
		case 1:
			ASSERT_EQ(0, ps_resize(self->fd, (N + i % 2) * self->page));
			break;
		case 2:
			sched_yield();
			break;
		}
		ASSERT_EQ(to, number_at(3)) TH_LOG("in round %lu", i);
	}
	__atomic_store_n(&s.quit, true, __ATOMIC_RELEASE);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	EXPECT_EQ(0, s.wrong);
	EXPECT_LT(0, s.loads);
}

/*
 * A page is removed while a fault is about to show it: afterwards no place shows the removed one,
 * which would be memory of nobody's.
 */
static void load_once(void *place)
{
	(void)*(volatile uint32_t *)place;
}

TEST_F(remap, no_removed_page_is_left_in_a_page_table)
{
	uint64_t until = now_ns() + test_rounds(1500, 10000) * NSEC_PER_MSEC;
	struct random random = random_for(6, 0, 0, 0);
	struct racer racer = {};

	ASSERT_EQ(0, remap(3, 1, 9, RW));
	ASSERT_EQ(0, racer_start(&racer, load_once, at(3)));
	for (unsigned long i = 0; i < 100 || now_ns() < until; i++) {
		volatile unsigned int delay = random_below(&random, 3000);
		uint32_t old = 1000 + i;

		ASSERT_EQ(sizeof(old), sys(pwrite(self->fd, &old, sizeof(old), 9 * self->page)));
		racer_go(&racer);
		while (delay)
			delay--;
		ASSERT_EQ(0, ps_fallocate(self->fd, PUNCH, 9 * self->page, self->page));
		racer_wait(&racer);
		ASSERT_EQ(0, number_at(3)) TH_LOG("in round %lu", i);
		number_at(3) = i + 1;
		ASSERT_EQ(i + 1, number_of(self->fd, self->page, 9)) TH_LOG("in round %lu", i);
	}
	racer_stop(&racer);
}

/* A pinned page is replaced by a copy while a fault is about to show it. */
static void load_place(void *place)
{
	load_once(*(void **)place);
}

TEST_F(remap, no_replaced_page_is_left_in_a_page_table)
{
	uint64_t until = now_ns() + test_rounds(1500, 10000) * NSEC_PER_MSEC;
	struct random random = random_for(7, 0, 0, 0);
	struct racer racer = {};
	char *p = self->p;

	ASSERT_EQ(0, racer_start(&racer, load_place, &p));
	for (unsigned long i = 0; i < 20 || now_ns() < until; i++) {
		struct pinseal_seal seal = {
			.seals = F_SEAL_WRITE,
			.flags = PINSEAL_SEAL_ISOLATE | PINSEAL_SEAL_NOWAIT,
		};
		volatile unsigned int delay = random_below(&random, 3000);
		int fd = ps_create(2 * self->page), pin;
		uint32_t changed = 1234;

		ASSERT_LE(0, fd);
		pin = ps_pin(fd, 1, 1, 0);
		ASSERT_LE(0, pin);
		p = map_read_only(fd, 2 * self->page);
		ASSERT_NE(MAP_FAILED, p);
		ASSERT_EQ(0, ps_remap(fd, p, self->page, 1, PROT_READ));
		racer_go(&racer);
		while (delay)
			delay--;
		ASSERT_EQ(0, ps_seal(fd, &seal));
		racer_wait(&racer);
		ASSERT_EQ(sizeof(changed), sys(pwrite(pin, &changed, sizeof(changed), 0)));
		ASSERT_EQ(0, *(volatile uint32_t *)p) TH_LOG("in round %lu", i);
		munmap(p, 2 * self->page);
		close(pin);
		close(fd);
	}
	racer_stop(&racer);
}

/*
 * Reclaim and migration find the entries of a page by its place in every mapping, and compare frame
 * numbers: they must not take a bare one for theirs, which holds neither count nor reference. It
 * would be removed instead of the entry of an ordinary mapping, with the reference of that.
 */
static void reclaim_by(char *p, size_t len)
{
	madvise(p, len, MADV_PAGEOUT);
	write_text("/proc/sys/vm/compact_memory", "1");
}

/* Whether a load makes no fault. */
static bool is_mapped(const volatile char *p)
{
	long before = faults();

	(void)*p;
	return faults() == before;
}

/* stays_shown() - whether @shown, where page @number of @fd is shown, outlives that. */
static bool stays_shown(int fd, char *shown, size_t page, size_t number)
{
	size_t len = (number + 1) * page;
	char *q = ps_map(fd, len, RW, MAP_SHARED), *ordinary = q + number * page;
	bool stays = true;

	if (q == MAP_FAILED)
		return false;
	for (char round = 0; stays && round < 3; round++) {
		*ordinary = round;
		reclaim_by(ordinary, page);
		stays = is_mapped(shown) && *shown == round;
	}
	/* The kernel would notice here that a count is wrong ... */
	munmap(q, len);
	/* ... or give the page to others, without a reference. */
	*shown = 's';
	reclaim_by(shown, page);
	return stays && is_mapped(shown) && *shown == 's';
}

TEST_F(remap, a_page_at_its_place_is_not_taken_for_a_page_of_the_file)
{
	struct zram_swap swap;

	if (!zram_is_there())
		SKIP(return, "no zram");
	ASSERT_EQ(0, zram_swap_begin(&swap, 16 << 20));
	ASSERT_EQ(0, remap(3, 1, 9, RW));
	number_at(5) = 55;
	EXPECT_TRUE(stays_shown(self->fd, at(5), self->page, 5));
	number_at(9) = 99;
	EXPECT_TRUE(stays_shown(self->fd, at(9), self->page, 9));
	zram_swap_end(&swap);
}

TEST_F(remap, nor_is_one_that_is_shown_where_another_of_its_folio_belongs)
{
	size_t size = large_folio_size();
	struct zram_swap swap;
	int fd, ret;
	char *p;

	if (!size)
		SKIP(return, "no large folios");
	if (!zram_is_there())
		SKIP(return, "no zram");
	fd = ps_create(size);
	ASSERT_LE(0, fd);
	ret = make_large_folio(fd, size);
	if (ret)
		SKIP(return, "no large folio: %s", strerror(-ret));
	ASSERT_EQ(0, zram_swap_begin(&swap, 16 << 20));
	p = map_aligned(fd, size, size, RW);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, ps_remap(fd, p + 3 * self->page, self->page, 5, RW));
	p[3 * self->page] = 'p';
	EXPECT_TRUE(stays_shown(fd, p + 3 * self->page, self->page, 5));
	zram_swap_end(&swap);
	close(fd);
}

/* Pages of an ordinary mapping are reclaimed all the time. */
struct reclaimer {
	char *p;
	size_t page;
	bool quit;
	unsigned long rounds;
};

static void *reclaim_on(void *data)
{
	struct reclaimer *r = data;

	for (; !__atomic_load_n(&r->quit, __ATOMIC_ACQUIRE); r->rounds++) {
		for (int i = 0; i < N; i++)
			(void)*(volatile char *)(r->p + i * r->page);
		madvise(r->p, N * r->page, MADV_PAGEOUT);
	}
	return NULL;
}

/* Meanwhile a mapping begins and ends to show pages elsewhere, and is copied and split so. */
TEST_F(remap, reclaim_may_look_for_pages_at_any_time)
{
	uint64_t until = now_ns() + test_rounds(1500, 10000) * NSEC_PER_MSEC;
	struct random random = random_for(8, 0, 0, 0);
	struct reclaimer r = { .page = self->page };
	struct zram_swap swap;
	pthread_t thread;

	if (!zram_is_there())
		SKIP(return, "no zram");
	ASSERT_EQ(0, zram_swap_begin(&swap, 16 << 20));
	r.p = ps_map(self->fd, N * self->page, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, r.p);
	ASSERT_EQ(0, pthread_create(&thread, NULL, reclaim_on, &r));
	for (unsigned long i = 0; i < 20 || now_ns() < until; i++) {
		uint32_t to = random_below(&random, N), here = random_below(&random, N);
		pid_t pid = 0;

		ASSERT_EQ(0, remap(3, 1, to, RW));
		number_at(3) = i;
		if (once_in(&random, 16)) {
			pid = ps_fork();
			if (!pid)
				_exit(number_at(3) != i || munmap(at(8), self->page));
		}
		if (once_in(&random, 4))
			ASSERT_EQ(0, mprotect(at(8), self->page, PROT_READ));
		if (here != 3 && here != to && here != 8)
			number_at(here) = ~i;
		ASSERT_EQ(i, number_at(3)) TH_LOG("in round %lu", i);
		if (pid > 0)
			ASSERT_EQ(0, ps_wait(pid));
		ASSERT_EQ(0, mprotect(self->p, N * self->page, RW));
		ASSERT_EQ(0, remap(0, N, 0, RW));
		ASSERT_EQ(i, number_at(to)) TH_LOG("in round %lu", i);
		if (here != 3 && here != to && here != 8)
			ASSERT_EQ((uint32_t)~i, number_at(here)) TH_LOG("in round %lu", i);
	}
	__atomic_store_n(&r.quit, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	EXPECT_LT(0, r.rounds);
	munmap(r.p, N * self->page);
	zram_swap_end(&swap);
}

/* Swapped out and back: stores by a bare frame number make no page dirty, and are not lost. */
TEST_F(remap, stores_survive_reclaim)
{
	char *q = ps_map(self->fd, N * self->page, RW, MAP_SHARED);
	struct zram_swap swap;

	ASSERT_NE(MAP_FAILED, q);
	if (!zram_is_there())
		SKIP(return, "no zram");
	ASSERT_EQ(0, zram_swap_begin(&swap, 16 << 20));
	for (int round = 1; round < 20; round++) {
		/* Holes, as their first store may be by a frame number. */
		ASSERT_EQ(0, ps_fallocate(self->fd, PUNCH, 0, N * self->page));
		for (int i = 0; i < N; i++)
			ASSERT_EQ(0, remap(i, 1, N - 1 - i, RW));
		for (int i = 0; i < N; i++)
			number_at(i) = 1000 * round + i;
		ASSERT_EQ(0, remap(0, N, 0, RW));
		for (int i = 0; i < N; i++)
			ASSERT_EQ(0, ps_touch(q + i * self->page, false));
		madvise(q, N * self->page, MADV_PAGEOUT);
		for (int i = 0; i < N; i++)
			EXPECT_EQ(1000 * round + i, number_at(N - 1 - i));
	}
	munmap(q, N * self->page);
	zram_swap_end(&swap);
}

/* An object of which some pages are always in swap: memory does not suffice. */
FIXTURE(remap_limited) {
	struct limited_object limited;
};

FIXTURE_SETUP(remap_limited)
{
	/* It is shared memory as well, which the group must not pay for. */
	memset(self, 0, sizeof(*self));
	if (!limited_object_possible())
		SKIP(return, "needs zram and cgroup2");
	ASSERT_EQ(0, limited_object_begin(&self->limited, PINSEAL));
}

FIXTURE_TEARDOWN_PARENT(remap_limited)
{
	EXPECT_TRUE(limited_object_end(&self->limited));
}

struct loader {
	void *place;
	bool quit;
	unsigned long loads;
};

static void *load_without_rest(void *data)
{
	struct loader *l = data;

	run_on_cpu(1);
	for (; !__atomic_load_n(&l->quit, __ATOMIC_ACQUIRE); l->loads++)
		load_once(l->place);
	return NULL;
}

/* Seals a new object of which a page is shown elsewhere, and read there without rest if @is_read. */
static int seal_limited(struct __test_metadata *_metadata, struct shadow *o, bool is_read,
			struct pinseal_seal *seal)
{
	struct loader loader = {};
	size_t page = page_size();
	pthread_t thread;
	char *p;
	int ret;

	ASSERT_EQ(0, shadow_fill(o, limited_object_size()));
	p = map_read_only(o->fd, o->size);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, ps_remap(o->fd, p + 3 * page, page, 9, PROT_READ));
	loader.place = p + 3 * page;
	if (is_read)
		ASSERT_EQ(0, pthread_create(&thread, NULL, load_without_rest, &loader));
	while (is_read && !__atomic_load_n(&loader.loads, __ATOMIC_RELAXED))
		sched_yield();
	ret = ps_seal(o->fd, seal);
	__atomic_store_n(&loader.quit, true, __ATOMIC_RELEASE);
	if (is_read)
		pthread_join(thread, NULL);
	EXPECT_EQ(SAME, first_difference(o->want + 9 * page, p + 3 * page, page));
	munmap(p, o->size);
	close(o->fd);
	o->fd = obj_open(PINSEAL);
	ASSERT_LE(0, o->fd);
	o->size = 0;
	return ret;
}

/*
 * Each scan swaps pages in. That takes long, and meanwhile a page is shown again. Several times, because
 * the reader's CPU may stand still in a virtual machine.
 */
TEST_F_TIMEOUT(remap_limited, a_seal_that_swaps_in_takes_the_pages_away, 240)
{
	struct shadow *o = &self->limited.object;
	struct pinseal_seal seal = seal_write(LONG_NS);
	uint64_t began = now_ns(), timeout;

	ASSERT_EQ(0, run_on_cpu(0));
	ASSERT_EQ(0, seal_limited(_metadata, o, false, &seal));
	timeout = 2 * NSEC_PER_SEC + 4 * (now_ns() - began);
	for (int round = 0; round < 4; round++) {
		seal = seal_write(timeout);
		EXPECT_EQ(0, seal_limited(_metadata, o, true, &seal));
		TH_LOG("%u scans, %llu of %llu ms, %llu pages with extra references", seal.scans,
		       seal.waited_ns / NSEC_PER_MSEC, (unsigned long long)timeout / NSEC_PER_MSEC,
		       seal.pinned_pages);
	}
}

TEST_HARNESS_MAIN

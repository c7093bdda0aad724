// SPDX-License-Identifier: GPL-2.0-only
/* Truncation and hole punching (RESIZE, FALLOCATE) that wait for extra references. */
#include "async.h"
#include "bytes.h"
#include "content.h"
#include "cpu.h"
#include "holders.h"
#include "large_folio.h"
#include "pagemap.h"
#include "rounds.h"
#include "stalled_transfer.h"

#include "harness.h"

#define HELD		5	/* the first held page, of PAGES */
#define HELD_PAGES	3

#define SHORT_NS	(20 * NSEC_PER_MSEC)

/* Fields that both structs have. */
struct wait {
	uint64_t timeout_ns;
	uint64_t waited_ns, pinned_pages, first_pinned, revoked_pages;
	bool keep;	/* leases */
};

FIXTURE(truncate) {
	int fd;
	struct hold hold;
	bool held;
};

FIXTURE_VARIANT(truncate) { bool punch; };
FIXTURE_VARIANT_ADD(truncate, resize) { .punch = false };
FIXTURE_VARIANT_ADD(truncate, punch) { .punch = true };

FIXTURE_SETUP(truncate)
{
	/* Pages that another CPU fills would be in its LRU batch. */
	run_on_cpu(0);
	self->fd = new_object();
	ASSERT_LE(0, self->fd);
}

static int release(FIXTURE_DATA(truncate) *self)
{
	self->held = false;
	return hold_end(&self->hold);
}

static int hold(FIXTURE_DATA(truncate) *self, enum hold_kind kind)
{
	int ret = hold_begin(&self->hold, kind, self->fd, HELD, HELD_PAGES);

	self->held = !ret;
	return ret;
}

FIXTURE_TEARDOWN(truncate)
{
	if (self->held)
		release(self);
	close(self->fd);
}

/* Removes everything from byte @from on. */
static int remove_from(FIXTURE_DATA(truncate) *self, const FIXTURE_VARIANT(truncate) *variant,
		uint64_t from, struct wait *w)
{
	struct pinseal_resize resize = {
		.size = from,
		.flags = PINSEAL_RESIZE_WAIT | (w->keep ? PINSEAL_RESIZE_KEEP_LEASES : 0),
		.timeout_ns = w->timeout_ns,
		.revoked_pages = w->revoked_pages,
	};
	struct pinseal_fallocate punch = {
		.mode = PUNCH,
		.offset = from,
		.len = SIZE - from,
		.flags = PINSEAL_FALLOCATE_WAIT | (w->keep ? PINSEAL_FALLOCATE_KEEP_LEASES : 0),
		.timeout_ns = w->timeout_ns,
		.revoked_pages = w->revoked_pages,
	};
	int ret;

	if (variant->punch) {
		ret = ps_ioctl(self->fd, PINSEAL_IOC_FALLOCATE, &punch);
		w->waited_ns = punch.waited_ns;
		w->pinned_pages = punch.pinned_pages;
		w->first_pinned = punch.first_pinned;
		w->revoked_pages = punch.revoked_pages;
	} else {
		ret = ps_ioctl(self->fd, PINSEAL_IOC_RESIZE, &resize);
		w->waited_ns = resize.waited_ns;
		w->pinned_pages = resize.pinned_pages;
		w->first_pinned = resize.first_pinned;
		w->revoked_pages = resize.revoked_pages;
	}
	return ret;
}

/* Whether the byte is there, not removed. */
static bool is_there(FIXTURE_DATA(truncate) *self, uint64_t at)
{
	char c = 0;

	return pread(self->fd, &c, 1, at) == 1 && c == 'n';
}

TEST_F(truncate, removes_pages_without_holders)
{
	struct wait w = { .timeout_ns = LONG_NS };
	char *p = ps_map(self->fd, SIZE, PROT_READ, MAP_PRIVATE);

	ASSERT_NE(MAP_FAILED, p);
	for (size_t at = 0; at < SIZE; at += page_size())
		EXPECT_EQ('n', p[at]);
	EXPECT_EQ(0, remove_from(self, variant, 100, &w));
	EXPECT_EQ(PINSEAL_NO_PAGE, w.first_pinned);
	EXPECT_EQ(0, w.pinned_pages);
	EXPECT_TRUE(is_there(self, 99));
	EXPECT_FALSE(is_there(self, 100));
	EXPECT_FALSE(is_there(self, SIZE - 1));
	munmap(p, SIZE);
}

TEST_F(truncate, fails_at_the_deadline)
{
	for (int kind = 0; kind <= HOLD_HANDLE; kind++) {
		struct wait w = { .timeout_ns = SHORT_NS };

		ASSERT_EQ(0, hold(self, kind)) TH_LOG("%s", hold_name(kind));
		EXPECT_EQ(-EBUSY, remove_from(self, variant, HELD * page_size(), &w)) {
			TH_LOG("%s", hold_name(kind));
		}
		EXPECT_EQ(HELD, w.first_pinned);
		EXPECT_LE(1, w.pinned_pages);
		EXPECT_LE(SHORT_NS, w.waited_ns);
		EXPECT_EQ(SIZE, ps_size(self->fd));
		EXPECT_TRUE(is_there(self, SIZE - 1));
		ASSERT_EQ(0, release(self));
		ASSERT_EQ(0, fill_file(self->fd, SIZE, 'n'));
	}
}

TEST_F(truncate, waits_for_the_release)
{
	for (int kind = 0; kind <= HOLD_HANDLE; kind++) {
		struct wait w = { .timeout_ns = LONG_NS };
		struct hold_ender ender;
		uint64_t removed;

		ASSERT_EQ(0, hold(self, kind));
		ASSERT_EQ(0, hold_end_later(&ender, &self->hold, SHORT_NS));
		self->held = false;
		EXPECT_EQ(0, remove_from(self, variant, HELD * page_size(), &w)) {
			TH_LOG("%s", hold_name(kind));
		}
		removed = now_ns();
		EXPECT_EQ(0, hold_ender_join(&ender));
		EXPECT_LE(ender.began, removed);
		EXPECT_EQ(0, w.pinned_pages);
		EXPECT_TRUE(is_there(self, HELD * page_size() - 1));
		EXPECT_FALSE(is_there(self, HELD * page_size()));
		ASSERT_EQ(0, ps_resize(self->fd, SIZE));
		ASSERT_EQ(0, fill_file(self->fd, SIZE, 'n'));
	}
}

TEST_F(truncate, ignores_holders_of_other_pages)
{
	struct wait w = { .timeout_ns = LONG_NS };

	ASSERT_EQ(0, hold(self, HOLD_URING));
	/* Also of a page that loses a part. */
	EXPECT_EQ(0, remove_from(self, variant, (HELD + HELD_PAGES) * page_size() - 1, &w));
	EXPECT_EQ(0, w.pinned_pages);
	EXPECT_FALSE(is_there(self, (HELD + HELD_PAGES) * page_size() - 1));
	EXPECT_TRUE(is_there(self, (HELD + HELD_PAGES) * page_size() - 2));
}

TEST_F(truncate, revokes_leases)
{
	struct wait w = { .timeout_ns = LONG_NS };
	int inside = ps_lease(self->fd, HELD, HELD_PAGES, SHORT_NS);
	int outside = ps_lease(self->fd, 0, 2, 0);
	char c;

	ASSERT_LE(0, inside);
	ASSERT_LE(0, outside);
	EXPECT_EQ(0, remove_from(self, variant, HELD * page_size(), &w));
	EXPECT_EQ(HELD_PAGES, w.revoked_pages);
	EXPECT_EQ(-ESTALE, sys(pread(inside, &c, 1, 0)));
	EXPECT_EQ(1, sys(pread(outside, &c, 1, 0)));
	close(inside);
	close(outside);
}

TEST_F(truncate, keeps_leases_on_request)
{
	struct wait w = { .timeout_ns = SHORT_NS, .keep = true };
	int pin = ps_lease(self->fd, HELD, HELD_PAGES, 0);
	char c;

	ASSERT_LE(0, pin);
	EXPECT_EQ(-EBUSY, remove_from(self, variant, HELD * page_size(), &w));
	EXPECT_EQ(HELD_PAGES, w.pinned_pages);
	EXPECT_EQ(1, sys(pread(pin, &c, 1, 0)));
	close(pin);
}

TEST_F(truncate, is_refused_by_seals)
{
	struct wait w = { .timeout_ns = LONG_NS };

	ASSERT_EQ(0, ps_add_seals(self->fd, variant->punch ? F_SEAL_WRITE : F_SEAL_SHRINK));
	EXPECT_EQ(-EPERM, remove_from(self, variant, 0, &w));
	EXPECT_TRUE(is_there(self, 0));
}

TEST_F(truncate, revokes_nothing_when_refused)
{
	struct wait w = { .timeout_ns = SHORT_NS };
	int pin;
	char c;

	ASSERT_EQ(0, ps_add_seals(self->fd, variant->punch ? F_SEAL_WRITE : F_SEAL_SHRINK));
	pin = ps_pin(self->fd, HELD, HELD_PAGES, PINSEAL_PIN_LEASED | PINSEAL_PIN_READONLY);
	ASSERT_LE(0, pin);
	EXPECT_EQ(-EPERM, remove_from(self, variant, 0, &w));
	EXPECT_EQ(1, sys(pread(pin, &c, 1, 0)));
	close(pin);
}

/* A restarted call continues with what the struct says. */
TEST_F(truncate, continues_the_count_of_revoked_pages)
{
	struct wait w = { .timeout_ns = LONG_NS, .revoked_pages = UINT64_MAX };
	int pin = ps_lease(self->fd, HELD, HELD_PAGES, 0);

	ASSERT_LE(0, pin);
	EXPECT_EQ(0, remove_from(self, variant, HELD * page_size(), &w));
	EXPECT_EQ(UINT64_MAX, w.revoked_pages);
	close(pin);
}

/* Pages of the object that are in page tables. */
static int pages_there(const char *p)
{
	int there = 0;

	for (int i = 0; i < PAGES; i++)
		there += !!page_frame(p + i * page_size());
	return there;
}

/* Locked pages are zapped for a scan, and come back. */
TEST_F(truncate, restores_locked_mappings)
{
	struct wait w = { .timeout_ns = SHORT_NS, .keep = true };
	char *p = ps_map(self->fd, SIZE, PROT_READ, MAP_SHARED);
	struct pinseal_lease lease;
	int pin;

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, sys(mlock(p, SIZE)));
	pin = ps_lease(self->fd, HELD, HELD_PAGES, 0);
	ASSERT_LE(0, pin);
	EXPECT_EQ(-EBUSY, remove_from(self, variant, HELD * page_size(), &w));
	EXPECT_EQ(0, ps_lease_state(pin, &lease));
	EXPECT_EQ(PINSEAL_LEASE_HELD, lease.state);
	EXPECT_EQ(PAGES, pages_there(p));
	close(pin);
	w = (struct wait){ .timeout_ns = LONG_NS };
	EXPECT_EQ(0, remove_from(self, variant, HELD * page_size(), &w));
	EXPECT_LE(HELD, pages_there(p));
	munmap(p, SIZE);
}

/* A writer holds the inode lock for as long as its memory takes. */
TEST_F(truncate, does_not_wait_longer_for_a_writer)
{
	struct wait w = { .timeout_ns = SHORT_NS };
	struct stalled_transfer writer;

	ASSERT_EQ(0, stalled_transfer_begin(&writer, self->fd, true));
	EXPECT_EQ(-EBUSY, remove_from(self, variant, HELD * page_size(), &w));
	EXPECT_LE(SHORT_NS, w.waited_ns);
	EXPECT_EQ(0, w.pinned_pages);
	EXPECT_EQ(PINSEAL_NO_PAGE, w.first_pinned);
	EXPECT_TRUE(is_there(self, SIZE - 1));
	ASSERT_EQ(0, stalled_transfer_end(&writer));
	EXPECT_EQ(page_size(), writer.ret);
	w = (struct wait){ .timeout_ns = LONG_NS };
	EXPECT_EQ(0, remove_from(self, variant, HELD * page_size(), &w));
	EXPECT_FALSE(is_there(self, SIZE - 1));
}

/* A holder of a part holds the whole large folio. */
TEST_F(truncate, revokes_leases_of_a_large_folio_removed_in_part)
{
	size_t size = large_folio_size(), from = size / 2 + page_size();
	struct pinseal_resize resize = {
		.size = from,
		.flags = PINSEAL_RESIZE_WAIT | PINSEAL_RESIZE_KEEP_LEASES,
		.timeout_ns = SHORT_NS,
	};
	struct pinseal_fallocate punch = {
		.mode = PUNCH,
		.offset = from,
		.len = size - from,
		.flags = PINSEAL_FALLOCATE_WAIT | PINSEAL_FALLOCATE_KEEP_LEASES,
		.timeout_ns = SHORT_NS,
	};
	unsigned int cmd = variant->punch ? PINSEAL_IOC_FALLOCATE : PINSEAL_IOC_RESIZE;
	void *arg = variant->punch ? (void *)&punch : &resize;
	__u64 *first = variant->punch ? &punch.first_pinned : &resize.first_pinned;
	__u64 *revoked = variant->punch ? &punch.revoked_pages : &resize.revoked_pages;
	int lease, fd;
	char c;

	if (!size)
		SKIP(return, "no large folios here");
	fd = ps_create(size);
	ASSERT_EQ(0, make_large_folio(fd, size));
	lease = ps_lease(fd, 1, 2, 0);
	ASSERT_LE(0, lease);
	EXPECT_EQ(-EBUSY, ps_ioctl(fd, cmd, arg));
	/* Of the range being removed. */
	EXPECT_EQ(from / page_size(), *first);
	EXPECT_EQ(0, *revoked);
	EXPECT_EQ(1, sys(pread(lease, &c, 1, 0)));

	resize.flags = PINSEAL_RESIZE_WAIT;
	punch.flags = PINSEAL_FALLOCATE_WAIT;
	resize.timeout_ns = punch.timeout_ns = LONG_NS;
	resize.waited_ns = punch.waited_ns = 0;
	EXPECT_EQ(0, ps_ioctl(fd, cmd, arg));
	EXPECT_EQ(2, *revoked);
	EXPECT_EQ(-ESTALE, sys(pread(lease, &c, 1, 0)));
	close(lease);
	close(fd);
}

TEST(growing_removes_nothing)
{
	size_t size = large_folio_size();
	struct pinseal_resize resize = {
		.size = size / 2 + page_size(),
		.flags = PINSEAL_RESIZE_WAIT,
		.timeout_ns = LONG_NS,
	};
	int fd, pin;

	if (!size)
		SKIP(return, "no large folios here");
	fd = ps_create(size);
	ASSERT_EQ(0, make_large_folio(fd, size));
	pin = ps_pin(fd, 1, 2, 0);
	ASSERT_LE(0, pin);
	/* Held, so it is not split. */
	ASSERT_EQ(0, ps_resize(fd, size / 2));
	EXPECT_EQ(0, ps_ioctl(fd, PINSEAL_IOC_RESIZE, &resize));
	EXPECT_EQ(0, resize.pinned_pages);
	EXPECT_EQ(resize.size, ps_size(fd));
	close(pin);
	close(fd);
}

/* The first versions of the structs, without a report. */
struct first_resize {
	uint64_t size, timeout_ns;
	uint32_t flags, pad;
};

struct first_fallocate {
	uint32_t mode, flags;
	uint64_t offset, len, timeout_ns;
};

/* Both, and what lies behind. */
struct first {
	struct first_resize resize;
	uint64_t behind_resize[4];
	struct first_fallocate punch;
	uint64_t behind_punch[4];
};

static struct first first_removing(uint64_t from, uint64_t timeout_ns)
{
	struct first first = {
		.resize = { .size = from, .timeout_ns = timeout_ns, .flags = PINSEAL_RESIZE_WAIT },
		.punch = {
			.mode = PUNCH,
			.flags = PINSEAL_FALLOCATE_WAIT,
			.offset = from,
			.len = SIZE - from,
			.timeout_ns = timeout_ns,
		},
	};

	memset(first.behind_resize, 0xcc, sizeof(first.behind_resize));
	memset(first.behind_punch, 0xcc, sizeof(first.behind_punch));
	return first;
}

static int remove_by_first(FIXTURE_DATA(truncate) *self, const FIXTURE_VARIANT(truncate) *variant,
			 struct first *first)
{
	return variant->punch ?
	       ps_ioctl(self->fd, _IOW(PINSEAL_IOC_MAGIC, 2, struct first_fallocate),
			&first->punch) :
	       ps_ioctl(self->fd, _IOW(PINSEAL_IOC_MAGIC, 1, struct first_resize), &first->resize);
}

TEST_F(truncate, waits_with_the_first_version_of_the_struct)
{
	struct first first = first_removing(HELD * page_size(), SHORT_NS), before = first;
	uint64_t began = now_ns();
	struct hold_ender ender;
	int lease;
	char c;

	ASSERT_EQ(0, hold(self, HOLD_URING));
	EXPECT_EQ(-EBUSY, remove_by_first(self, variant, &first));
	EXPECT_LE(began + SHORT_NS, now_ns());
	EXPECT_TRUE(is_there(self, SIZE - 1));
	EXPECT_EQ(0, memcmp(&before, &first, sizeof(first)));

	first = before = first_removing(HELD * page_size(), LONG_NS);
	lease = ps_lease(self->fd, HELD, HELD_PAGES, SHORT_NS);
	ASSERT_LE(0, lease);
	ASSERT_EQ(0, hold_end_later(&ender, &self->hold, SHORT_NS));
	self->held = false;
	EXPECT_EQ(0, remove_by_first(self, variant, &first));
	EXPECT_EQ(0, hold_ender_join(&ender));
	EXPECT_FALSE(is_there(self, SIZE - 1));
	EXPECT_EQ(-ESTALE, sys(pread(lease, &c, 1, 0)));
	EXPECT_EQ(0, memcmp(&before, &first, sizeof(first)));
	close(lease);
}

/* However often it is restarted, here by SIGSTOP and SIGCONT. */
TEST_F(truncate, ends_in_time_with_the_first_version_of_the_struct)
{
	uint64_t until = now_ns() + SOON_NS;
	unsigned int stops = 0;
	int status = 0;
	pid_t pid;

	ASSERT_EQ(0, hold(self, HOLD_VMSPLICE));
	pid = ps_fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		struct first first = first_removing(HELD * page_size(), 50 * NSEC_PER_MSEC);
		struct first before = first;

		if (remove_by_first(self, variant, &first) != -EBUSY)
			_exit(1);
		/* Only the time may have changed. */
		first.resize.timeout_ns = before.resize.timeout_ns;
		first.punch.timeout_ns = before.punch.timeout_ns;
		_exit(memcmp(&before, &first, sizeof(first)) ? 2 : 0);
	}
	for (; now_ns() < until; stops++) {
		kill(pid, SIGSTOP);
		ASSERT_EQ(pid, waitpid(pid, &status, WUNTRACED));
		if (!WIFSTOPPED(status))
			break;
		kill(pid, SIGCONT);
		/* Shorter than the timeout, but long enough for progress. */
		sleep_ns((stops < 72 ? 2 + stops / 4 : 20) * NSEC_PER_MSEC);
	}
	EXPECT_TRUE(WIFEXITED(status)) {
		ps_kill(pid);
	}
	EXPECT_EQ(0, WEXITSTATUS(status));
	TH_LOG("stopped %u times", stops);
}

TEST(flags_are_checked)
{
	struct pinseal_resize resize = { .flags = PINSEAL_RESIZE_KEEP_LEASES };
	struct pinseal_fallocate punch = {
		.mode = PUNCH,
		.len = 1,
		.flags = PINSEAL_FALLOCATE_KEEP_LEASES,
	};
	int fd = new_object();

	EXPECT_EQ(-EINVAL, ps_ioctl(fd, PINSEAL_IOC_RESIZE, &resize));
	EXPECT_EQ(-EINVAL, ps_ioctl(fd, PINSEAL_IOC_FALLOCATE, &punch));
	for (int bit = 2; bit < 32; bit++) {
		resize.flags = punch.flags = 1U << bit;
		EXPECT_EQ(-EINVAL, ps_ioctl(fd, PINSEAL_IOC_RESIZE, &resize));
		EXPECT_EQ(-EINVAL, ps_ioctl(fd, PINSEAL_IOC_FALLOCATE, &punch));
	}
	EXPECT_EQ(SIZE, ps_size(fd));
	close(fd);
}

TEST_HARNESS_MAIN

// SPDX-License-Identifier: GPL-2.0-only
/* Pin handles: what they hold, allow and cost, and when they release it. */
#include <sys/resource.h>

#include "async.h"
#include "bytes.h"
#include "content.h"
#include "cpu.h"
#include "machine_pins.h"
#include "object.h"
#include "pass_fd.h"

#include "harness.h"

#define PAGES		8
#define FIRST		2	/* what is pinned */
#define COUNT		3

FIXTURE(pin_handle) {
	int fd, pin;
	size_t page, len;
	long pins;		/* in the machine, before */
};

FIXTURE_VARIANT(pin_handle) {
	enum object_kind kind;
};

FIXTURE_VARIANT_ADD(pin_handle, pinseal) { .kind = PINSEAL };
FIXTURE_VARIANT_ADD(pin_handle, imported) { .kind = IMPORTED };
FIXTURE_VARIANT_ADD(pin_handle, created) { .kind = CREATED };

FIXTURE_SETUP(pin_handle)
{
	/* Pages that another CPU fills would be in its LRU batch. */
	run_on_cpu(0);
	self->page = page_size();
	self->len = PAGES * self->page;
	self->pins = machine_pins();
	self->fd = obj_create(variant->kind, self->len);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, fill_file(self->fd, self->len, 'p'));
	self->pin = ps_pin(self->fd, FIRST, COUNT, 0);
	ASSERT_LE(0, self->pin);
}

FIXTURE_TEARDOWN(pin_handle)
{
	if (self->pin >= 0)
		close(self->pin);
	close(self->fd);
	EXPECT_EQ(self->pins, machine_pins());
}

TEST_F(pin_handle, is_counted_by_the_kernel)
{
	EXPECT_EQ(self->pins + COUNT, machine_pins());
}

TEST_F(pin_handle, is_listed_as_pins)
{
	struct pinseal_page pages[PAGES];
	struct pinseal_pins pins;

	ASSERT_EQ(0, ps_pins(self->fd, 0, pages, PAGES, &pins));
	ASSERT_EQ(COUNT, pins.found);
	EXPECT_EQ(COUNT, pins.dma_pinned_pages);
	for (int i = 0; i < COUNT; i++) {
		EXPECT_EQ(FIRST + i, pages[i].index);
		EXPECT_EQ(1, pages[i].dma_pins);
		EXPECT_EQ(PINSEAL_PAGE_HANDLE, pages[i].flags & LASTING_FLAGS);
	}
	close(self->pin);
	self->pin = -1;
	ASSERT_EQ(0, ps_pins(self->fd, 0, pages, PAGES, &pins));
	EXPECT_EQ(0, pins.found);
}

TEST_F(pin_handle, prevents_a_seal)
{
	struct pinseal_seal arg = seal_write(5 * NSEC_PER_MSEC);

	EXPECT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_PINNED, arg.outcome);
	EXPECT_EQ(COUNT, arg.pinned_pages);
	EXPECT_EQ(FIRST, arg.first_pinned);
	close(self->pin);
	self->pin = -1;
	EXPECT_EQ(0, ps_add_seals(self->fd, F_SEAL_WRITE));
}

TEST_F(pin_handle, reads_and_writes_the_pages)
{
	char buf[4] = "";
	char *p = ps_map(self->fd, self->len, PROT_READ, MAP_PRIVATE);

	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(4, sys(pread(self->pin, buf, 4, self->page - 2)));
	EXPECT_EQ(0, memcmp("pppp", buf, 4));
	/* Across two pages. */
	EXPECT_EQ(4, sys(pwrite(self->pin, "abcd", 4, self->page - 2)));
	EXPECT_EQ(4, sys(pread(self->fd, buf, 4, (FIRST + 1) * self->page - 2)));
	EXPECT_EQ(0, memcmp("abcd", buf, 4));
	EXPECT_EQ('c', p[(FIRST + 1) * self->page]);
	EXPECT_EQ(1, sys(pwrite(self->fd, "x", 1, FIRST * self->page)));
	EXPECT_EQ(1, sys(pread(self->pin, buf, 1, 0)));
	EXPECT_EQ('x', buf[0]);
	/* Nothing else changed. */
	EXPECT_EQ('p', p[FIRST * self->page - 1]);
	EXPECT_EQ('p', p[(FIRST + COUNT) * self->page]);
	munmap(p, self->len);
}

TEST_F(pin_handle, has_a_position_and_an_end)
{
	size_t size = COUNT * self->page;
	char *buf = malloc(2 * size), *nowhere = ps_map(-1, self->page, PROT_NONE,
							 MAP_PRIVATE | MAP_ANONYMOUS);

	EXPECT_EQ(size, sys(read(self->pin, buf, 2 * size)));
	EXPECT_EQ(0, sys(read(self->pin, buf, 1)));
	EXPECT_EQ(size, sys(lseek(self->pin, 0, SEEK_CUR)));
	EXPECT_EQ(-ENOSPC, sys(write(self->pin, "x", 1)));
	EXPECT_EQ(size - 1, sys(lseek(self->pin, -1, SEEK_END)));
	EXPECT_EQ(1, sys(write(self->pin, "xyz", 3)));
	EXPECT_EQ(-EINVAL, sys(lseek(self->pin, -1, SEEK_SET)));
	EXPECT_EQ(-EINVAL, sys(lseek(self->pin, size + 1, SEEK_SET)));
	EXPECT_EQ(0, sys(pread(self->pin, buf, 1, INT64_MAX - 1)));
	EXPECT_EQ(-ENOSPC, sys(pwrite(self->pin, buf, 1, INT64_MAX - 1)));
	EXPECT_EQ(-EFAULT, sys(pread(self->pin, nowhere, 1, 0)));
	EXPECT_EQ(-EFAULT, sys(pwrite(self->pin, nowhere, 1, 0)));
	EXPECT_EQ(0, sys(pread(self->pin, buf, 0, 0)));
	EXPECT_EQ(0, sys(pwrite(self->pin, buf, 0, 0)));
	EXPECT_EQ(-ENOTTY, sys(ioctl(self->pin, PINSEAL_IOC_INFO, buf)));
	EXPECT_EQ(-ENODEV, ps_try_map(self->pin, self->page, PROT_READ, MAP_SHARED));
	munmap(nowhere, self->page);
	free(buf);
}

/* The object gets other pages; the handle keeps its own. */
TEST_F(pin_handle, outlives_the_pages_in_the_object)
{
	char c = 0;

	ASSERT_EQ(0, ps_fallocate(self->fd, PUNCH, FIRST * self->page, self->page));
	EXPECT_EQ(1, sys(pread(self->pin, &c, 1, 0)));
	EXPECT_EQ('p', c);
	EXPECT_EQ(1, sys(pwrite(self->pin, "q", 1, 0)));
	EXPECT_EQ(1, sys(pread(self->fd, &c, 1, FIRST * self->page)));
	EXPECT_EQ(0, c);
	ASSERT_EQ(0, ps_resize(self->fd, 0));
	EXPECT_EQ(1, sys(pread(self->pin, &c, 1, self->page)));
	EXPECT_EQ('p', c);
	EXPECT_EQ(0, ps_add_seals(self->fd, F_SEAL_WRITE));
	EXPECT_EQ(1, sys(pwrite(self->pin, "r", 1, 0)));
}

TEST_F(pin_handle, keeps_isolated_pages)
{
	struct pinseal_seal arg = seal_write(0);
	char c = 0;

	arg.flags = PINSEAL_SEAL_NOWAIT | PINSEAL_SEAL_ISOLATE;
	ASSERT_EQ(0, ps_seal(self->fd, &arg));
	EXPECT_EQ(COUNT, arg.isolated_pages);
	EXPECT_EQ(1, sys(pwrite(self->pin, "q", 1, 0)));
	EXPECT_EQ(1, sys(pread(self->fd, &c, 1, FIRST * self->page)));
	EXPECT_EQ('p', c);
}

TEST_F(pin_handle, belongs_to_all_descriptors)
{
	struct pinseal_seal arg = seal_write(NSEC_PER_MSEC);
	int other = sys(dup(self->pin)), socks[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, socks));
	ASSERT_EQ(1, send_fd(socks[0], other));
	close(self->pin);
	close(other);
	EXPECT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	self->pin = receive_fd(socks[1]);
	ASSERT_LE(0, self->pin);
	EXPECT_EQ(1, sys(pwrite(self->pin, "d", 1, 0)));
	other = ps_pin(self->fd, 0, 1, 0);
	EXPECT_EQ(FD_CLOEXEC, fcntl(other, F_GETFD));
	close(other);
	close(socks[0]);
	close(socks[1]);
}

TEST_F(pin_handle, outlives_the_object)
{
	long users = module_users();
	char c = 0;

	close(self->fd);
	if (users != -ENOENT) {
		EXPECT_LT(0, module_users());
		EXPECT_GT(users, module_users());
	}
	EXPECT_EQ(1, sys(pread(self->pin, &c, 1, 0)));
	EXPECT_EQ('p', c);
	self->fd = sys(dup(self->pin));
}

TEST_F(pin_handle, can_be_made_repeatedly)
{
	for (int i = 0; i < 100; i++) {
		int pin = ps_pin(self->fd, i % PAGES, 1, i % 2 ? PINSEAL_PIN_READONLY : 0);

		ASSERT_LE(0, pin);
		close(pin);
	}
	close(self->pin);
	self->pin = -1;
	EXPECT_EQ(self->pins, machine_pins());
	EXPECT_EQ(0, ps_add_seals(self->fd, F_SEAL_WRITE));
}

TEST(holes_are_filled)
{
	int fd = ps_create(4 * page_size()), pin;
	char *p = ps_map(fd, page_size(), PROT_READ, MAP_PRIVATE), c = 1;

	ASSERT_LE(0, fd);
	EXPECT_EQ(0, obj_pages(fd));
	pin = ps_pin(fd, 1, 2, 0);
	ASSERT_LE(0, pin);
	EXPECT_EQ(2, obj_pages(fd));
	EXPECT_EQ(1, sys(pread(pin, &c, 1, 0)));
	EXPECT_EQ(0, c);
	EXPECT_EQ(1, sys(pwrite(pin, "h", 1, page_size())));
	close(pin);
	EXPECT_EQ(1, sys(pread(fd, &c, 1, 2 * page_size())));
	EXPECT_EQ('h', c);
	munmap(p, page_size());
	close(fd);
}

TEST(bad_ranges_are_refused)
{
	static const struct { uint64_t start, count; } wrong[] = {
		{ 0, 0 }, { 0, 5 }, { 4, 1 }, { 3, 2 }, { UINT64_MAX, 1 }, { 1, UINT64_MAX },
		{ 0, UINT64_MAX }, { 1ULL << 63, 1 }, { 0, 1ULL << 52 },
	};
	int fd = ps_create(4 * page_size() - 10), pin;

	ASSERT_LE(0, fd);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		pin = ps_pin(fd, wrong[i].start, wrong[i].count, 0);
		/* A count beyond any limit is refused by the limit. */
		EXPECT_TRUE(pin == -EINVAL || (pin == -ENOMEM && wrong[i].count > 5)) {
			TH_LOG("%zu: %d", i, pin);
		}
	}
	for (int bit = 4; bit < 32; bit++)
		EXPECT_EQ(-EINVAL, ps_pin(fd, 0, 1, 1U << bit));
	/* A partial last page. */
	pin = ps_pin(fd, 3, 1, 0);
	EXPECT_LE(0, pin);
	close(pin);
	close(fd);
}

TEST(access_is_checked)
{
	int fd = ps_create(page_size()), reader = ps_reopen(fd, O_RDONLY), writer = ps_open(O_WRONLY);
	int pin;

	ASSERT_LE(0, reader);
	EXPECT_EQ(-EPERM, ps_pin(reader, 0, 1, 0));
	pin = ps_pin(reader, 0, 1, PINSEAL_PIN_READONLY);
	EXPECT_LE(0, pin);
	EXPECT_EQ(-EBADF, sys(pwrite(pin, "x", 1, 0)));
	close(pin);
	ASSERT_EQ(0, ps_resize(writer, page_size()));
	EXPECT_EQ(-EPERM, ps_pin(writer, 0, 1, 0));
	EXPECT_EQ(-EPERM, ps_pin(writer, 0, 1, PINSEAL_PIN_READONLY));
	close(writer);

	ASSERT_EQ(0, ps_add_seals(fd, F_SEAL_FUTURE_WRITE));
	EXPECT_EQ(-EPERM, ps_pin(fd, 0, 1, 0));
	ASSERT_EQ(0, ps_add_seals(fd, F_SEAL_WRITE));
	EXPECT_EQ(-EPERM, ps_pin(fd, 0, 1, 0));
	pin = ps_pin(fd, 0, 1, PINSEAL_PIN_READONLY);
	EXPECT_LE(0, pin);
	close(pin);
	close(reader);
	close(fd);
}

/* Pinning waits for the sealer. */
TEST_F(pin_handle, waits_for_the_sealer)
{
	struct pinseal_seal arg = seal_async(F_SEAL_WRITE, UINT64_MAX);

	ASSERT_EQ(0, async_wait_scan(self->fd, &arg));
	ASSERT_EQ(0, fcntl(self->fd, F_SETFL, O_NONBLOCK));
	EXPECT_EQ(-EAGAIN, ps_pin(self->fd, 0, 1, 0));
	close(self->pin);
	self->pin = -1;
	EXPECT_EQ(0, async_wait(self->fd, &arg));
	EXPECT_EQ(-EPERM, ps_pin(self->fd, 0, 1, 0));
}

/* Memory that was only allocated has no content: pins must not show what was there before. */
TEST_F(pin_handle, reads_zeroes_from_allocated_memory)
{
	size_t len = 32 * self->page;
	char *buf = malloc(len);
	int pin;

	memset(buf, 'z', len);
	ASSERT_EQ(0, ps_resize(self->fd, 2 * len));
	ASSERT_EQ(0, ps_fallocate(self->fd, 0, len, len));
	pin = ps_pin(self->fd, 32, 32, 0);
	ASSERT_LE(0, pin);
	EXPECT_EQ(len, sys(pread(pin, buf, len, 0)));
	EXPECT_TRUE(is_zero(buf, len));
	EXPECT_EQ(1, sys(pwrite(pin, "w", 1, len - 1)));
	EXPECT_EQ(len, sys(pread(self->fd, buf, len, len)));
	EXPECT_TRUE(is_zero(buf, len - 1));
	EXPECT_EQ('w', buf[len - 1]);
	close(pin);
	free(buf);
}

/* More than are pinned in one batch. */
TEST_F(pin_handle, works_with_many_pages)
{
	size_t pages = 1500, len = pages * self->page, step = self->page - 5, at;
	char byte;
	int pin;

	ASSERT_EQ(0, ps_resize(self->fd, len));
	pin = ps_pin(self->fd, 0, pages, 0);
	ASSERT_LE(0, pin);
	EXPECT_EQ(self->pins + COUNT + pages, machine_pins());
	for (at = 0; at < len; at += step) {
		byte = at / step;
		ASSERT_EQ(1, sys(pwrite(pin, &byte, 1, at)));
	}
	for (at = 0; at < len; at += step) {
		ASSERT_EQ(1, sys(pread(self->fd, &byte, 1, at)));
		ASSERT_EQ((char)(at / step), byte);
	}
	close(pin);
}

/* RLIMIT_MEMLOCK */

/* What a process has pinned, in pages, as /proc/self/status shows it. */
static long pinned_pages(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[128];
	long kb = -1;

	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "VmPin: %ld", &kb);
	if (f)
		fclose(f);
	return kb * 1024 / (long)page_size();
}

static int within_the_limit(int fd)
{
	struct rlimit limit = { 4 * page_size(), 4 * page_size() };
	long before = pinned_pages();
	int a, b;

	if (setrlimit(RLIMIT_MEMLOCK, &limit) || setresuid(65534, 65534, 65534))
		return 1;
	if (ps_pin(fd, 0, 5, 0) != -ENOMEM)
		return 2;
	a = ps_pin(fd, 0, 3, 0);
	if (a < 0 || pinned_pages() != before + 3)
		return 3;
	if (ps_pin(fd, 0, 2, PINSEAL_PIN_READONLY) != -ENOMEM)
		return 4;
	b = ps_pin(fd, 0, 1, 0);
	if (b < 0 || ps_pin(fd, 0, 1, 0) != -ENOMEM)
		return 5;
	/* A failed call is not charged. */
	close(b);
	if (ps_pin(fd, PAGES, 1, 0) != -EINVAL || pinned_pages() != before + 3)
		return 6;
	if (ps_pin(fd, 0, 1ULL << 50, 0) != -EINVAL || pinned_pages() != before + 3)
		return 9;
	if (ps_resize(fd, 1ULL << 60) || ps_pin(fd, 0, (1ULL << 60) / page_size(), 0) != -ENOMEM ||
	    pinned_pages() != before + 3)
		return 10;
	close(a);
	if (pinned_pages() != before)
		return 7;
	a = ps_pin(fd, 0, 4, 0);
	return a < 0 ? 8 : 0;
}

TEST_F(pin_handle, is_charged)
{
	pid_t child = ps_fork();

	if (!child)
		_exit(within_the_limit(self->fd));
	EXPECT_EQ(0, ps_wait(child));
	close(self->pin);
	self->pin = -1;
	EXPECT_EQ(0, ps_add_seals(self->fd, F_SEAL_WRITE));
}

/* The charged process is gone when the last descriptor is closed. */
TEST_F(pin_handle, outlives_the_charged_process)
{
	int socks[2], pin;
	pid_t child;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, socks));
	child = ps_fork();
	if (!child)
		_exit(send_fd(socks[1], ps_pin(self->fd, 0, PAGES, 0)) != 1);
	EXPECT_EQ(0, ps_wait(child));
	pin = receive_fd(socks[0]);
	ASSERT_LE(0, pin);
	EXPECT_EQ(1, sys(pwrite(pin, "c", 1, 0)));
	close(pin);
	close(socks[0]);
	close(socks[1]);
}

TEST_HARNESS_MAIN

// SPDX-License-Identifier: GPL-2.0-only
/*
 * How often a page can be pinned. The kernel counts pins in the page's reference count, 1024
 * for each, and takes no notice when that overflows; so a pin handle must be refused long
 * before. io_uring is the quickest way to get there: 16384 buffers a ring, all the same page.
 */
#include "bytes.h"
#include "content.h"
#include "machine_pins.h"
#include "uring.h"

#include "harness.h"

#define BUFFERS		16384
#define RINGS		80	/* more than it takes for 2^30 references, far less than 2^31 */
#define PAGES		3
#define PINNED		1	/* the page */

static struct iovec buffers[BUFFERS];
static struct uring rings[RINGS];

static int pin_often(struct uring *ring, void *page)
{
	int ret = uring_open(ring, 4, 0);

	if (ret)
		return ret;
	for (int i = 0; i < BUFFERS; i++)
		buffers[i] = (struct iovec){ page, page_size() };
	return sys(syscall(__NR_io_uring_register, ring->fd, IORING_REGISTER_BUFFERS, buffers,
			   BUFFERS));
}

/* What somebody without privileges is told who pins all pages: 0 or an errno. */
static int pin_as_nobody(int fd)
{
	pid_t pid = ps_fork();

	if (!pid) {
		int pin = setresuid(65534, 65534, 65534) ? -errno : ps_pin(fd, 0, PAGES, 0);

		_exit(pin < 0 ? -pin : 0);
	}
	return ps_wait(pid);
}

/* Pages other than the one that have references. */
static int others_held(int fd)
{
	struct pinseal_page pages[PAGES];
	struct pinseal_pins pins;
	int others = 0;

	if (ps_pins(fd, 0, pages, PAGES, &pins))
		return -1;
	for (unsigned int i = 0; i < pins.found; i++)
		others += pages[i].index != PINNED;
	return others;
}

TEST(is_kept)
{
	size_t page = page_size();
	long before = machine_pins();
	int fd, used;
	char *p;

	if (!access("/sys/kernel/debug/kmemleak", F_OK))
		SKIP(return, "kmemleak does not cope with a million of buffers");
	fd = ps_create(PAGES * page);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fill_file(fd, PAGES * page, 'l'));
	p = ps_map(fd, PAGES * page, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(0, pin_as_nobody(fd));
	for (used = 0; used < RINGS; used++) {
		int ret = pin_often(&rings[used], p + PINNED * page);

		ASSERT_EQ(0, ret);
		ret = pin_as_nobody(fd);
		if (ret) {
			ASSERT_EQ(ENOMEM, ret);
			break;
		}
	}
	TH_LOG("refused with %d pins", (used + 1) * BUFFERS);
	ASSERT_GT(RINGS, used);
	/* Nothing is left half-pinned. */
	EXPECT_EQ(before + (used + 1) * BUFFERS, machine_pins());
	munmap(p + (PINNED + 1) * page, page);
	munmap(p, page);
	EXPECT_EQ(0, others_held(fd));

	uring_close(&rings[used]);
	/* A ring is gone some time after it was closed. */
	for (int i = 0; i < 500 && pin_as_nobody(fd); i++)
		sleep_ns(10 * NSEC_PER_MSEC);
	EXPECT_EQ(0, pin_as_nobody(fd));
	while (used--)
		uring_close(&rings[used]);
	munmap(p + PINNED * page, page);
	EXPECT_EQ(0, ps_add_seals(fd, F_SEAL_WRITE));
	for (int i = 0; i < 500 && machine_pins() != before; i++)
		sleep_ns(10 * NSEC_PER_MSEC);
	EXPECT_EQ(before, machine_pins());
	close(fd);
}

TEST_HARNESS_MAIN

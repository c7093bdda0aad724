// SPDX-License-Identifier: GPL-2.0-only
/*
 * The limit of pins of a page. A pin adds 1024 to the page's reference count, which the kernel
 * lets overflow, so a pin handle must be refused long before. Registered buffers of io_uring
 * over many mappings of one page reach the limit fastest.
 */
#include "bytes.h"
#include "content.h"
#include "machine_pins.h"
#include "uring.h"

#include "harness.h"

#define RINGS		80	/* more than it takes for 2^30 references, far less than 2^31 */
#define BUFFERS		32	/* of a ring */
#define WINDOW		512	/* mappings of the page, side by side: a buffer */
#define PINS		(BUFFERS * WINDOW)
#define PAGES		3
#define PINNED		1	/* the page */

static struct uring rings[RINGS];

/* Maps page PINNED of the object WINDOW times in a row, or returns MAP_FAILED. */
static char *map_window(int fd)
{
	size_t page = page_size();
	char *p = ps_map(-1, WINDOW * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS);

	for (int i = 0; p != MAP_FAILED && i < WINDOW; i++) {
		if (mmap(p + i * page, page, RW, MAP_SHARED | MAP_FIXED, fd, PINNED * page) ==
		    MAP_FAILED)
			return MAP_FAILED;
	}
	return p;
}

static int pin_often(struct uring *ring, char *window)
{
	struct iovec buffers[BUFFERS];
	int ret = uring_open(ring, 4, 0);

	if (ret)
		return ret;
	for (int i = 0; i < BUFFERS; i++)
		buffers[i] = (struct iovec){ window, WINDOW * page_size() };
	return sys(syscall(__NR_io_uring_register, ring->fd, IORING_REGISTER_BUFFERS, buffers,
			   BUFFERS));
}

/* Pins all pages without privileges: 0, or an errno. */
static int pin_unprivileged(int fd)
{
	pid_t pid = ps_fork();

	if (!pid) {
		int pin = setresuid(65534, 65534, 65534) ? -errno : ps_pin(fd, 0, PAGES, 0);

		_exit(pin < 0 ? -pin : 0);
	}
	return ps_wait(pid);
}

/* Pages with references other than the pinned one. */
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

TEST(pins_are_refused_before_the_count_overflows)
{
	size_t page = page_size();
	long before = machine_pins();
	int fd, used;
	char *window;

	if (!access("/sys/kernel/debug/kmemleak", F_OK))
		SKIP(return, "kmemleak is too slow for a million pins");
	fd = ps_create(PAGES * page);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fill_file(fd, PAGES * page, 'l'));
	window = map_window(fd);
	ASSERT_NE(MAP_FAILED, window);
	EXPECT_EQ(0, pin_unprivileged(fd));
	for (used = 0; used < RINGS; used++) {
		int ret = pin_often(&rings[used], window);

		ASSERT_EQ(0, ret);
		ret = pin_unprivileged(fd);
		if (ret) {
			ASSERT_EQ(ENOMEM, ret);
			break;
		}
	}
	TH_LOG("refused with %d pins", (used + 1) * PINS);
	ASSERT_GT(RINGS, used);
	/* The refused calls left no pins. */
	EXPECT_EQ(before + (used + 1) * PINS, machine_pins());
	EXPECT_EQ(0, others_held(fd));

	uring_close(&rings[used]);
	/* Pins of a closed ring are dropped later. */
	for (int i = 0; i < 6000 && pin_unprivileged(fd); i++)
		sleep_ns(10 * NSEC_PER_MSEC);
	EXPECT_EQ(0, pin_unprivileged(fd));
	while (used--)
		uring_close(&rings[used]);
	munmap(window, WINDOW * page);
	EXPECT_EQ(0, ps_add_seals(fd, F_SEAL_WRITE));
	for (int i = 0; i < 6000 && machine_pins() != before; i++)
		sleep_ns(10 * NSEC_PER_MSEC);
	EXPECT_EQ(before, machine_pins());
	close(fd);
}

TEST_HARNESS_MAIN

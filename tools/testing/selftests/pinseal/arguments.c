// SPDX-License-Identifier: GPL-2.0-only
/* Arguments of each command: bounds, flags, padding, vectors, and output. */
#include <linux/falloc.h>

#include "harness.h"
#include "arena.h"
#include "object.h"
#include "state.h"

#define LLFS_MAX	0x7fffffffffffffffULL	/* 2^63 - 1 */
#define JUNK		0xcc
#define JUNK64		0xccccccccccccccccULL

/* An object of a few pages. */
FIXTURE(object) {
	int fd;
	size_t page;
	struct state before;
};

FIXTURE_SETUP(object)
{
	self->page = page_size();
	self->fd = ps_create(4 * self->page);
	ASSERT_LE(0, self->fd);
	self->before = get_state(self->fd);
}

FIXTURE_TEARDOWN(object)
{
	close(self->fd);
}

/* INFO */

TEST_F(object, info_overwrites_every_field)
{
	struct pinseal_info info;

	memset(&info, JUNK, sizeof(info));
	ASSERT_EQ(0, ps_ioctl(self->fd, PINSEAL_IOC_INFO, &info));
	EXPECT_EQ(PINSEAL_VERSION, info.version);
	EXPECT_EQ(0, info.features & ~(PINSEAL_FEATURE_MIRROR | PINSEAL_FEATURE_CREATE |
				       PINSEAL_FEATURE_PROTECT | PINSEAL_FEATURE_ATTACH |
				       PINSEAL_FEATURE_LOOK));
	EXPECT_EQ(4 * self->page, info.size);
	EXPECT_EQ(150 * NSEC_PER_MSEC, info.default_timeout_ns);
}

TEST_F(object, info_shows_the_seals_of_memfd)
{
	struct pinseal_info info;

	ASSERT_EQ(0, ps_info(self->fd, &info));
	EXPECT_EQ(ALL_SEALS, info.seals & ALL_SEALS);
}

TEST_F(object, info_shows_seal_flag_nowait)
{
	struct pinseal_info info;

	ASSERT_EQ(0, ps_info(self->fd, &info));
	EXPECT_EQ(PINSEAL_SEAL_NOWAIT, info.seal_flags & PINSEAL_SEAL_NOWAIT);
}

TEST_F(object, info_follows_the_size)
{
	static const uint64_t sizes[] = { 0, 1, 4095, 4096, 65537, 1ULL << 40, LLFS_MAX, 3 };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		ASSERT_EQ(0, ps_resize(self->fd, sizes[i]));
		EXPECT_EQ(sizes[i], ps_size(self->fd));
	}
}

/* RESIZE */

TEST_F(object, resize_refuses_sizes_over_the_maximum)
{
	static const uint64_t sizes[] = {
		LLFS_MAX + 1, LLFS_MAX + 2, LLFS_MAX + 4096, ~0ULL - 4095, ~0ULL - 1, ~0ULL,
	};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		EXPECT_EQ(-EINVAL, ps_resize(self->fd, sizes[i]))
			TH_LOG("size %#llx", (unsigned long long)sizes[i]);
	}
	EXPECT_TRUE(same_state(self->fd, &self->before));
}

TEST_F(object, resize_takes_sizes_up_to_the_maximum)
{
	static const uint64_t sizes[] = { LLFS_MAX, LLFS_MAX - 1, LLFS_MAX - 4095, 1ULL << 62 };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		EXPECT_EQ(0, ps_resize(self->fd, sizes[i]))
			TH_LOG("size %#llx", (unsigned long long)sizes[i]);
	}
}

/* Bit 0 is PINSEAL_RESIZE_WAIT: truncate.c. */
TEST_F(object, resize_refuses_every_flag_and_pad_bit)
{
	for (int bit = 1; bit < 32; bit++) {
		struct pinseal_resize flags = { .size = 1, .flags = 1U << bit };
		struct pinseal_resize pad = { .size = 1, .pad = 1U << bit };

		EXPECT_EQ(-EINVAL, ps_ioctl(self->fd, PINSEAL_IOC_RESIZE, &flags))
			TH_LOG("flag bit %d", bit);
		EXPECT_EQ(-EINVAL, ps_ioctl(self->fd, PINSEAL_IOC_RESIZE, &pad))
			TH_LOG("pad bit %d", bit);
	}
	EXPECT_TRUE(same_state(self->fd, &self->before));
}

/* FALLOCATE */

TEST_F(object, fallocate_checks_offset_and_length)
{
	const uint64_t page = self->page;
	const struct {
		uint64_t offset, len;
		int ret;
	} rows[] = {
		{ 0, 0, -EINVAL },
		{ page, 0, -EINVAL },
		{ LLFS_MAX, 0, -EINVAL },
		{ 0, LLFS_MAX + 1, -EINVAL },
		{ 0, LLFS_MAX + 2, -EINVAL },
		{ 0, ~0ULL - page + 1, -EINVAL },
		{ 0, ~0ULL, -EINVAL },
		{ page, ~0ULL - page + 1, -EINVAL },
		{ LLFS_MAX, 1, -EFBIG },
		{ LLFS_MAX, LLFS_MAX, -EFBIG },
		{ LLFS_MAX - 1, 2, -EFBIG },
		{ 1, LLFS_MAX, -EFBIG },
		{ page, LLFS_MAX - page + 1, -EFBIG },
		{ 1ULL << 62, 1ULL << 62, -EFBIG },
		{ LLFS_MAX + 1, 1, -EINVAL },
		{ LLFS_MAX + 1, LLFS_MAX, -EINVAL },
		{ ~0ULL, 1, -EINVAL },
		{ ~0ULL, LLFS_MAX, -EINVAL },
		{ ~0ULL - page + 1, page, -EINVAL },
		{ ~0ULL - page + 1, 2 * page, -EINVAL },
	};
	static const uint32_t modes[] = {
		0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
	};
	int memfd = obj_create(MEMFD, 4 * page);

	for (size_t m = 0; m < ARRAY_SIZE(modes); m++) {
		for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
			EXPECT_EQ(rows[i].ret, ps_fallocate(self->fd, modes[m], rows[i].offset, rows[i].len)) {
				TH_LOG("mode %#x, row %zu", modes[m], i);
			}
			EXPECT_EQ(rows[i].ret, obj_fallocate(memfd, modes[m], rows[i].offset, rows[i].len)) {
				TH_LOG("memfd, mode %#x, row %zu", modes[m], i);
			}
		}
	}
	EXPECT_TRUE(same_state(self->fd, &self->before));
	close(memfd);
}

TEST_F(object, fallocate_in_the_last_pages_agrees_with_memfd)
{
	const uint64_t page = self->page;
	const struct {
		uint32_t mode;
		uint64_t offset, len;
	} rows[] = {
		{ 0, LLFS_MAX - 1, 1 },
		{ 0, LLFS_MAX - page, 1 },
		{ 0, LLFS_MAX - page, page },
		{ 0, LLFS_MAX + 1 - 2 * page, page },
		{ FALLOC_FL_KEEP_SIZE, LLFS_MAX - 1, 1 },
		{ FALLOC_FL_KEEP_SIZE, LLFS_MAX + 1 - 2 * page, page },
		{ FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, LLFS_MAX - 1, 1 },
		{ FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, LLFS_MAX - page, page },
		{ FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, LLFS_MAX },
		{ FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, page, LLFS_MAX - page },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int memfd = obj_create(MEMFD, 4 * page);

		EXPECT_EQ(obj_fallocate(memfd, rows[i].mode, rows[i].offset, rows[i].len),
			  ps_fallocate(self->fd, rows[i].mode, rows[i].offset, rows[i].len))
			TH_LOG("row %zu", i);
		EXPECT_EQ(obj_size(memfd), ps_size(self->fd)) TH_LOG("row %zu", i);
		ps_resize(self->fd, 4 * page);
		close(memfd);
	}
}

TEST_F(object, fallocate_knows_three_modes)
{
	for (int bit = -1; bit < 32; bit++) {
		uint32_t mode = bit < 0 ? 0 : 1U << bit;
		static const uint32_t with[] = {
			0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE,
			FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE,
		};

		for (size_t i = 0; i < ARRAY_SIZE(with); i++) {
			uint32_t both = mode | with[i];
			bool known = both == 0 || both == FALLOC_FL_KEEP_SIZE ||
				     both == (FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE);

			EXPECT_EQ(known ? 0 : -EOPNOTSUPP, ps_fallocate(self->fd, both, 0, self->page))
				TH_LOG("mode %#x", both);
		}
	}
	EXPECT_TRUE(same_state(self->fd, &self->before));
}

TEST_F(object, fallocate_refuses_every_flag_bit)
{
	for (int bit = 1; bit < 32; bit++) {
		struct pinseal_fallocate arg = { .len = 8 * self->page, .flags = 1U << bit };

		EXPECT_EQ(-EINVAL, ps_ioctl(self->fd, PINSEAL_IOC_FALLOCATE, &arg))
			TH_LOG("flag bit %d", bit);
	}
	EXPECT_TRUE(same_state(self->fd, &self->before));
}

/* SEAL */

TEST_F(object, seal_refuses_unknown_seals)
{
	struct pinseal_info info;

	ASSERT_EQ(0, ps_info(self->fd, &info));
	for (int bit = 0; bit < 32; bit++) {
		if (info.seals & 1U << bit)
			continue;
		EXPECT_EQ(-EINVAL, ps_add_seals(self->fd, 1U << bit)) TH_LOG("bit %d", bit);
		EXPECT_EQ(-EINVAL, ps_add_seals(self->fd, F_SEAL_SHRINK | 1U << bit))
			TH_LOG("F_SEAL_SHRINK and bit %d", bit);
	}
	EXPECT_TRUE(same_state(self->fd, &self->before));
}

TEST_F(object, seal_refuses_unknown_flags)
{
	struct pinseal_info info;

	ASSERT_EQ(0, ps_info(self->fd, &info));
	for (int bit = 0; bit < 32; bit++) {
		struct pinseal_seal arg = { .seals = F_SEAL_SHRINK, .flags = 1U << bit };

		if (info.seal_flags & 1U << bit)
			continue;
		EXPECT_EQ(-EINVAL, ps_seal(self->fd, &arg)) TH_LOG("bit %d", bit);
	}
	EXPECT_TRUE(same_state(self->fd, &self->before));
}

TEST_F(object, seal_refuses_every_pad_bit)
{
	for (int bit = 0; bit < 32; bit++) {
		struct pinseal_seal arg = { .seals = F_SEAL_SHRINK, .pad = 1U << bit };

		EXPECT_EQ(-EINVAL, ps_seal(self->fd, &arg)) TH_LOG("bit %d", bit);
	}
	EXPECT_TRUE(same_state(self->fd, &self->before));
}

TEST_F(object, seal_leaves_a_refused_struct_alone)
{
	struct pinseal_seal arg, copy;

	memset(&arg, JUNK, sizeof(arg));
	copy = arg;
	ASSERT_EQ(-EINVAL, ps_seal(self->fd, &arg));
	EXPECT_EQ(0, memcmp(&copy, &arg, sizeof(arg)));

	ASSERT_EQ(0, ps_add_seals(self->fd, F_SEAL_SEAL));
	memset(&arg, JUNK, sizeof(arg));
	arg.seals = F_SEAL_SHRINK;
	arg.flags = 0;
	arg.pad = 0;
	copy = arg;
	ASSERT_EQ(-EPERM, ps_seal(self->fd, &arg));
	EXPECT_EQ(0, memcmp(&copy, &arg, sizeof(arg)));
}

TEST_F(object, seal_takes_any_numbers_in_its_bounds)
{
	static const uint64_t values[] = { 0, 1, LLFS_MAX, LLFS_MAX + 1, ~0ULL - 1, ~0ULL };

	/* The pages of a new object have no extra references: one scan is enough. */
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(values); j++) {
			struct pinseal_seal arg = {
				.seals = F_SEAL_WRITE,
				.timeout_ns = values[i],
				.waited_ns = values[j],
				.max_scans = values[j],
				.scans = values[i],
			};
			int fd = ps_create(4 * self->page);

			EXPECT_EQ(0, ps_seal(fd, &arg))
				TH_LOG("timeout %#llx, waited %#llx",
				       (unsigned long long)values[i],
				       (unsigned long long)values[j]);
			close(fd);
		}
	}
}

/* GET_SEALS */

TEST_F(object, get_seals_begins_with_none)
{
	EXPECT_EQ(0, ps_get_seals(self->fd));
}

TEST_F(object, get_seals_writes_four_bytes)
{
	uint32_t seals[2] = { 0xcccccccc, 0xcccccccc };

	ASSERT_EQ(0, ps_ioctl(self->fd, PINSEAL_IOC_GET_SEALS, seals));
	EXPECT_EQ(0, seals[0]);
	EXPECT_EQ(0xcccccccc, seals[1]);
}

/* PINS */

/* A pipe that holds references to pages 1 and 3 of the object. */
static int hold_pages(int fd, size_t page, int pipefd[2])
{
	char *data = calloc(1, 4 * page);
	loff_t offsets[] = { page, 3 * page };

	if (!data || pwrite(fd, data, 4 * page, 0) != (ssize_t)(4 * page) || pipe(pipefd))
		return -1;
	free(data);
	for (size_t i = 0; i < ARRAY_SIZE(offsets); i++)
		if (splice(fd, &offsets[i], pipefd[1], NULL, page, 0) != (ssize_t)page)
			return -1;
	return 0;
}

static bool lists_page(const struct pinseal_page *vec, uint64_t found, uint64_t index)
{
	for (uint64_t i = 0; i < found; i++)
		if (vec[i].index <= index && index < vec[i].index + vec[i].pages)
			return vec[i].extra > 0;
	return false;
}

TEST_F(object, pins_lists_held_pages)
{
	struct pinseal_page vec[8];
	struct pinseal_pins arg;
	int pipefd[2];

	ASSERT_EQ(0, hold_pages(self->fd, self->page, pipefd));
	memset(vec, JUNK, sizeof(vec));
	ASSERT_EQ(0, ps_pins(self->fd, 0, vec, ARRAY_SIZE(vec), &arg));
	EXPECT_TRUE(lists_page(vec, arg.found, 1));
	EXPECT_TRUE(lists_page(vec, arg.found, 3));
	EXPECT_LE(2, arg.pinned_pages);
	EXPECT_EQ(4, arg.next);
}

TEST_F(object, pins_overwrites_every_out_field)
{
	struct pinseal_pins arg = {
		.found = JUNK64, .next = JUNK64, .pinned_pages = JUNK64, .dma_pinned_pages = JUNK64,
	};

	ASSERT_EQ(0, ps_ioctl(self->fd, PINSEAL_IOC_PINS, &arg));
	EXPECT_EQ(0, arg.found);
	EXPECT_EQ(4, arg.next);
	EXPECT_EQ(0, arg.pinned_pages);
	EXPECT_EQ(0, arg.dma_pinned_pages);
}

TEST_F(object, pins_writes_whole_elements_and_no_more_than_found)
{
	struct pinseal_page vec[8];
	struct pinseal_pins arg;
	int pipefd[2];

	ASSERT_EQ(0, hold_pages(self->fd, self->page, pipefd));
	memset(vec, JUNK, sizeof(vec));
	ASSERT_EQ(0, ps_pins(self->fd, 0, vec, ARRAY_SIZE(vec), &arg));
	for (uint64_t i = 0; i < arg.found; i++) {
		EXPECT_EQ(0, vec[i].flags & ~(PINSEAL_PAGE_LARGE | PINSEAL_PAGE_OFF_LRU));
		EXPECT_EQ(0, vec[i].pad);
		EXPECT_EQ(0, vec[i].mapped);
		EXPECT_EQ(0, vec[i].dma_pins);
	}
	for (uint64_t i = arg.found; i < ARRAY_SIZE(vec); i++) {
		EXPECT_EQ(JUNK64, vec[i].index);
	}
}

TEST_F(object, pins_lists_only_pages_with_references_and_counts_those)
{
	struct pinseal_page vec[8];
	struct pinseal_pins arg;
	uint64_t pages = 0;
	int pipefd[2];

	ASSERT_EQ(0, hold_pages(self->fd, self->page, pipefd));
	ASSERT_EQ(0, ps_pins(self->fd, 0, vec, ARRAY_SIZE(vec), &arg));
	for (uint64_t i = 0; i < arg.found; i++) {
		EXPECT_LT(0, vec[i].extra);
		EXPECT_EQ(1, vec[i].pages);
		EXPECT_GT(4, vec[i].index);
		pages += vec[i].pages;
	}
	EXPECT_EQ(pages, arg.pinned_pages);
}

TEST_F(object, pins_does_not_list_clean_pages)
{
	/* The LRU batch of each CPU holds the last pages that it made, at most 31. */
	uint64_t pages = 64 * (sysconf(_SC_NPROCESSORS_CONF) + 1);
	struct pinseal_page *vec = calloc(pages, sizeof(*vec));
	char *buf = calloc(pages, self->page);
	struct pinseal_pins arg;

	ASSERT_EQ(pages * self->page, sys(pwrite(self->fd, buf, pages * self->page, 0)));
	ASSERT_EQ(0, ps_pins(self->fd, 0, vec, pages, &arg));
	EXPECT_GT(pages / 2, arg.found);
	EXPECT_GT(pages / 2, arg.pinned_pages);
	EXPECT_EQ(pages, arg.next);
	for (uint64_t i = 0; i < arg.found; i++) {
		EXPECT_LT(0, vec[i].extra);
	}
	free(buf);
	free(vec);
}

TEST_F(object, pins_continues_from_next)
{
	struct pinseal_page vec;
	struct pinseal_pins arg;
	uint64_t start = 0, pinned = 0;
	bool one = false, three = false;
	int pipefd[2];

	ASSERT_EQ(0, hold_pages(self->fd, self->page, pipefd));
	while (start < 4) {
		ASSERT_EQ(0, ps_pins(self->fd, start, &vec, 1, &arg));
		ASSERT_LT(start, arg.next);
		ASSERT_GE(1, arg.found);
		one |= lists_page(&vec, arg.found, 1);
		three |= lists_page(&vec, arg.found, 3);
		pinned += arg.pinned_pages;
		start = arg.next;
	}
	EXPECT_TRUE(one);
	EXPECT_TRUE(three);
	EXPECT_LE(2, pinned);
}

TEST_F(object, pins_without_a_vector_counts_only)
{
	struct pinseal_pins arg;
	int pipefd[2];

	ASSERT_EQ(0, hold_pages(self->fd, self->page, pipefd));
	ASSERT_EQ(0, ps_pins(self->fd, 0, NULL, 0, &arg));
	EXPECT_EQ(0, arg.found);
	EXPECT_LE(2, arg.pinned_pages);
	EXPECT_EQ(0, arg.dma_pinned_pages);
	EXPECT_EQ(4, arg.next);
}

TEST_F(object, pins_ignores_vec_len_without_a_vector)
{
	struct pinseal_pins arg;
	int pipefd[2];

	ASSERT_EQ(0, hold_pages(self->fd, self->page, pipefd));
	ASSERT_EQ(0, ps_pins(self->fd, 0, NULL, 100, &arg));
	EXPECT_EQ(0, arg.found);
	EXPECT_LE(2, arg.pinned_pages);
}

TEST_F(object, pins_writes_nothing_to_a_vector_of_length_zero)
{
	struct pinseal_page vec;
	struct pinseal_pins arg;
	int pipefd[2];

	ASSERT_EQ(0, hold_pages(self->fd, self->page, pipefd));
	memset(&vec, JUNK, sizeof(vec));
	ASSERT_EQ(0, ps_pins(self->fd, 0, &vec, 0, &arg));
	EXPECT_EQ(0, arg.found);
	EXPECT_EQ(JUNK64, vec.index);
}

TEST_F(object, pins_scans_its_range_only)
{
	struct pinseal_page vec[8];
	struct pinseal_pins arg = {
		.start = 2, .count = 2, .vec = (uintptr_t)vec, .vec_len = ARRAY_SIZE(vec),
	};
	int pipefd[2];

	ASSERT_EQ(0, hold_pages(self->fd, self->page, pipefd));
	ASSERT_EQ(0, ps_ioctl(self->fd, PINSEAL_IOC_PINS, &arg));
	EXPECT_FALSE(lists_page(vec, arg.found, 1));
	EXPECT_TRUE(lists_page(vec, arg.found, 3));
	EXPECT_EQ(4, arg.next);
}

TEST_F(object, pins_scans_nothing_past_the_end)
{
	static const uint64_t starts[] = { 4, 5, 1ULL << 40, LLFS_MAX, ~0ULL };

	for (size_t i = 0; i < ARRAY_SIZE(starts); i++) {
		struct pinseal_pins arg = { .start = starts[i] };

		EXPECT_EQ(0, ps_ioctl(self->fd, PINSEAL_IOC_PINS, &arg)) TH_LOG("row %zu", i);
		EXPECT_EQ(0, arg.found);
		EXPECT_EQ(0, arg.pinned_pages);
	}
}

TEST_F(object, pins_takes_a_range_that_ends_past_the_end)
{
	static const uint64_t counts[] = { 4, 5, 1ULL << 40, ~0ULL - 1, ~0ULL };

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		struct pinseal_pins arg = { .start = 0, .count = counts[i] };

		EXPECT_EQ(0, ps_ioctl(self->fd, PINSEAL_IOC_PINS, &arg)) TH_LOG("row %zu", i);
		EXPECT_EQ(4, arg.next) TH_LOG("row %zu", i);
	}
}

TEST_F(object, pins_refuses_a_range_that_overflows)
{
	static const struct {
		uint64_t start, count;
	} rows[] = {
		{ 1, ~0ULL }, { 2, ~0ULL }, { ~0ULL, 1 }, { ~0ULL, ~0ULL },
		{ ~0ULL - 1, 2 }, { 1ULL << 63, 1ULL << 63 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct pinseal_pins arg = { .start = rows[i].start, .count = rows[i].count };

		EXPECT_EQ(-EINVAL, ps_ioctl(self->fd, PINSEAL_IOC_PINS, &arg))
			TH_LOG("row %zu", i);
	}
}

TEST_F(object, pins_faults_on_a_bad_vector)
{
	struct arena arena = { 0 };
	struct pinseal_pins arg;
	int pipefd[2];

	ASSERT_EQ(0, arena_init(&arena));
	mprotect(arena.ro, arena.part, PROT_READ);
	ASSERT_EQ(0, hold_pages(self->fd, self->page, pipefd));
	EXPECT_EQ(-EFAULT, ps_pins(self->fd, 0, (void *)arena.none, 8, &arg));
	EXPECT_EQ(-EFAULT, ps_pins(self->fd, 0, (void *)arena.ro, 8, &arg));
	EXPECT_EQ(-EFAULT, ps_pins(self->fd, 0, (void *)(arena.ro - 8), 8, &arg));
	EXPECT_EQ(-EFAULT, ps_pins(self->fd, 0, (void *)~0UL, 8, &arg));
}

TEST_F(object, pins_takes_a_vector_longer_than_memory)
{
	struct pinseal_page vec[8];
	struct pinseal_pins arg;
	int pipefd[2];

	/* As long as the vector has room for what is found. */
	ASSERT_EQ(0, hold_pages(self->fd, self->page, pipefd));
	ASSERT_EQ(0, ps_pins(self->fd, 0, vec, ~0ULL, &arg));
	EXPECT_TRUE(lists_page(vec, arg.found, 1));
}

TEST_F(object, pins_refuses_every_flag_and_pad_bit)
{
	for (int bit = 0; bit < 32; bit++) {
		struct pinseal_pins flags = { .flags = 1U << bit };
		struct pinseal_pins pad = { .pad = 1U << bit };

		EXPECT_EQ(-EINVAL, ps_ioctl(self->fd, PINSEAL_IOC_PINS, &flags))
			TH_LOG("flag bit %d", bit);
		EXPECT_EQ(-EINVAL, ps_ioctl(self->fd, PINSEAL_IOC_PINS, &pad))
			TH_LOG("pad bit %d", bit);
	}
}

/* PIN: the rest is in pin_handle.c and pin_wait.c. */

TEST_F(object, pin_takes_a_timeout_with_its_flag_only)
{
	static const uint64_t values[] = { 0, 1, LLFS_MAX, LLFS_MAX + 1, ~0ULL };

	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		struct pinseal_pin arg = { .count = 4, .timeout_ns = values[i] };
		int pin = ps_ioctl(self->fd, PINSEAL_IOC_PIN, &arg);

		EXPECT_TRUE(values[i] ? pin == -E2BIG : pin >= 0) TH_LOG("%d", pin);
		close(pin);
		arg.flags = PINSEAL_PIN_WAIT;
		pin = ps_ioctl(self->fd, PINSEAL_IOC_PIN, &arg);
		EXPECT_LE(0, pin) TH_LOG("timeout %#llx", (unsigned long long)values[i]);
		EXPECT_EQ(values[i], arg.timeout_ns);
		close(pin);
	}
	EXPECT_TRUE(same_state(self->fd, &self->before));
}

TEST_F(object, pin_takes_the_flag_in_an_old_struct)
{
	for (size_t size = 32; size < sizeof(struct pinseal_pin); size++) {
		struct pinseal_pin arg = { .count = 4, .flags = PINSEAL_PIN_WAIT };
		int pin = ps_ioctl(self->fd, _IOC(_IOC_WRITE, PINSEAL_IOC_MAGIC, 0x06, size), &arg);

		EXPECT_LE(0, pin) TH_LOG("size %zu", size);
		close(pin);
	}
}

TEST_F(object, pin_does_not_wait_for_a_mirror)
{
	char *p = ps_map(self->fd, self->page, PROT_READ | PROT_WRITE, MAP_SHARED);
	struct pinseal_pin arg = {
		.count = 1, .flags = PINSEAL_PIN_MIRROR | PINSEAL_PIN_WAIT, .address = (uintptr_t)p,
	};

	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(-EINVAL, ps_ioctl(self->fd, PINSEAL_IOC_PIN, &arg));
	arg.timeout_ns = 1;
	EXPECT_EQ(-EINVAL, ps_ioctl(self->fd, PINSEAL_IOC_PIN, &arg));
	arg.flags = PINSEAL_PIN_MIRROR;
	EXPECT_EQ(-E2BIG, ps_ioctl(self->fd, PINSEAL_IOC_PIN, &arg));
	arg.flags = PINSEAL_PIN_WAIT;
	EXPECT_EQ(-E2BIG, ps_ioctl(self->fd, PINSEAL_IOC_PIN, &arg));
	munmap(p, self->page);
}

TEST_HARNESS_MAIN

// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rules of every command of /dev/pinseal: numbers, struct sizes, tails, pointers, and the
 * layout that programs are compiled with.
 */
#include <stddef.h>

#include "harness.h"
#include "arena.h"
#include "state.h"

#define JUNK		0xcc
#define ALL_DIRS	(_IOC_READ | _IOC_WRITE)

static void fill_info(void *p)
{
}

static void fill_resize(void *p)
{
	struct pinseal_resize *arg = p;

	arg->size = page_size();
	arg->flags = 0;
	arg->pad = 0;
}

static void fill_fallocate(void *p)
{
	struct pinseal_fallocate *arg = p;

	arg->mode = 0;
	arg->flags = 0;
	arg->offset = 0;
	arg->len = page_size();
}

static void fill_seal(void *p)
{
	struct pinseal_seal *arg = p;

	arg->seals = F_SEAL_SHRINK;
	arg->flags = 0;
	arg->timeout_ns = 0;
	arg->max_scans = 0;
	arg->scans = 0;
	arg->waited_ns = 0;
	arg->pad = 0;
}

static void fill_get_seals(void *p)
{
}

static void fill_pins(void *p)
{
	struct pinseal_pins *arg = p;

	arg->start = 0;
	arg->count = 0;
	arg->vec = 0;
	arg->vec_len = 0;
	arg->flags = 0;
	arg->pad = 0;
}

static void fill_set_name(void *p)
{
	struct pinseal_name *arg = p;

	memset(arg, 0, sizeof(*arg));
	strcpy(arg->name, "changed");
}

static void fill_create(void *p)
{
	struct pinseal_create *arg = p;

	memset(arg, 0, sizeof(*arg));
	strcpy(arg->name, "created");
}

static void fill_import(void *p)
{
	struct pinseal_import *arg = p;
	static int memfd = -1;

	if (memfd < 0)
		memfd = memfd_create("abi", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	arg->fd = memfd;
	arg->flags = 0;
}

static void fill_attach(void *p)
{
	struct pinseal_attach *arg = p;
	static int lower = -1;

	if (lower < 0)
		lower = memfd_create("lower", MFD_CLOEXEC);
	arg->fd = lower;
	arg->flags = 0;
}

static void fill_export(void *p)
{
	struct pinseal_export *arg = p;

	arg->flags = 0;
	arg->pad = 0;
}

static void fill_reopen(void *p)
{
	struct pinseal_reopen *arg = p;

	arg->flags = O_RDWR;
	arg->pad = 0;
}

static void fill_pin(void *p)
{
	struct pinseal_pin *arg = p;

	arg->start = 0;
	arg->count = 1;
	arg->flags = 0;
	arg->pad = 0;
}

/* Where an object is mapped whose mapping the command needs. Aligned for all sizes of pages. */
static char place[1 << 16] __attribute__((aligned(1 << 16)));

static void fill_protect(void *p)
{
	struct pinseal_protect *arg = p;

	arg->addr = (uintptr_t)place;
	arg->len = page_size();
	arg->pgoff = 0;
	arg->prot = PROT_READ;
	arg->flags = 0;
}

/* Rules of every command, tried on each. */
FIXTURE(command) {
	int fd;
	struct state before;
	struct arena arena;
	/* A valid argument; bytes that the command ignores are junk. */
	char arg[MAX_SIZE + 1];
};

FIXTURE_VARIANT(command) {
	unsigned int nr;
	size_t size;
	bool in;	/* the kernel reads the struct */
	bool out;	/* the kernel writes the struct */
	bool makes_fd;	/* it returns a descriptor */
	bool needs_a_page;	/* of the object */
	bool needs_a_mapping;	/* of it, at place */
	void (*fill)(void *arg);
};

FIXTURE_VARIANT_ADD(command, info) {
	.nr = 0x00, .size = 32, .out = true, .fill = fill_info,
};

FIXTURE_VARIANT_ADD(command, resize) {
	.nr = 0x01, .size = 24, .in = true, .fill = fill_resize,
};

FIXTURE_VARIANT_ADD(command, fallocate) {
	.nr = 0x02, .size = 32, .in = true, .fill = fill_fallocate,
};

FIXTURE_VARIANT_ADD(command, seal) {
	.nr = 0x03, .size = 72, .in = true, .out = true, .fill = fill_seal,
};

FIXTURE_VARIANT_ADD(command, get_seals) {
	.nr = 0x04, .size = 4, .out = true, .fill = fill_get_seals,
};

FIXTURE_VARIANT_ADD(command, pins) {
	.nr = 0x05, .size = 72, .in = true, .out = true, .fill = fill_pins,
};

FIXTURE_VARIANT_ADD(command, pin) {
	.nr = 0x06, .size = 32, .in = true, .makes_fd = true, .needs_a_page = true,
	.fill = fill_pin,
};

FIXTURE_VARIANT_ADD(command, import) {
	.nr = 0x07, .size = 8, .in = true, .fill = fill_import,
};

FIXTURE_VARIANT_ADD(command, export) {
	.nr = 0x08, .size = 8, .in = true, .makes_fd = true, .fill = fill_export,
};

FIXTURE_VARIANT_ADD(command, reopen) {
	.nr = 0x09, .size = 8, .in = true, .makes_fd = true, .fill = fill_reopen,
};

FIXTURE_VARIANT_ADD(command, protect) {
	.nr = 0x0b, .size = 32, .in = true, .needs_a_page = true, .needs_a_mapping = true,
	.fill = fill_protect,
};

FIXTURE_VARIANT_ADD(command, set_name) {
	.nr = 0x0a, .size = 64, .in = true, .fill = fill_set_name,
};

FIXTURE_VARIANT_ADD(command, attach) {
	.nr = 0x0c, .size = 8, .in = true, .fill = fill_attach,
};

FIXTURE_VARIANT_ADD(command, create) {
	.nr = 0x0d, .size = 72, .in = true, .makes_fd = true, .fill = fill_create,
};

/* An object that the command can work on. */
static int open_for(const FIXTURE_VARIANT(command) *variant)
{
	int fd = variant->needs_a_page ? ps_create(page_size()) : ps_open(O_RDWR);

	if (variant->needs_a_mapping)
		mmap(place, page_size(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	return fd;
}

FIXTURE_SETUP(command)
{
	self->fd = open_for(variant);
	ASSERT_LE(0, self->fd);
	self->before = get_state(self->fd);
	ASSERT_EQ(0, arena_init(&self->arena));
	memset(self->arg, JUNK, sizeof(self->arg));
	variant->fill(self->arg);
}

FIXTURE_TEARDOWN(command)
{
	close(self->fd);
}

/* Runs the command on @fd: 0, or -errno. A descriptor that it returns must be O_CLOEXEC. */
static int call_on(int fd, const FIXTURE_VARIANT(command) *variant, unsigned int dir,
		   size_t size, void *arg)
{
	int ret = ps_ioctl(fd, _IOC(dir, PINSEAL_IOC_MAGIC, variant->nr, size), arg);

	if (!variant->makes_fd || ret < 0)
		return ret;
	fd = ret;
	ret = fcntl(fd, F_GETFD) == FD_CLOEXEC ? 0 : -EBADFD;
	close(fd);
	return ret;
}

static int call(FIXTURE_DATA(command) *self, const FIXTURE_VARIANT(command) *variant,
		size_t size, void *arg)
{
	return call_on(self->fd, variant, ALL_DIRS, size, arg);
}

TEST_F(command, accepts_its_struct)
{
	EXPECT_EQ(0, call(self, variant, variant->size, self->arg));
}

TEST_F(command, is_found_whatever_the_direction_bits)
{
	for (unsigned int dir = 0; dir <= ALL_DIRS; dir++) {
		int fd = open_for(variant);

		EXPECT_EQ(0, call_on(fd, variant, dir, variant->size, self->arg))
			TH_LOG("direction bits %u", dir);
		close(fd);
		/* In and out fields must start anew. */
		variant->fill(self->arg);
	}
}

TEST_F(command, refuses_every_shorter_struct)
{
	for (size_t size = 0; size < variant->size; size++) {
		EXPECT_EQ(-EINVAL, call(self, variant, size, self->arg))
			TH_LOG("size %zu", size);
	}
	EXPECT_TRUE(same_state(self->fd, &self->before));
}

TEST_F(command, accepts_a_longer_struct_with_zero_tail)
{
	static const size_t more[] = { 1, 2, 3, 4, 7, 8, 9, 64, 1000, 4096 };
	size_t size;

	memset(self->arg + variant->size, 0, sizeof(self->arg) - variant->size);
	for (size_t i = 0; i <= ARRAY_SIZE(more); i++) {
		int fd = self->fd;

		size = i < ARRAY_SIZE(more) ? variant->size + more[i] : MAX_SIZE;
		self->fd = open_for(variant);
		EXPECT_EQ(0, call(self, variant, size, self->arg))
			TH_LOG("size %zu", size);
		close(self->fd);
		self->fd = fd;
		variant->fill(self->arg);
	}
}

TEST_F(command, refuses_a_longer_struct_with_a_tail)
{
	static const size_t more[] = { 1, 4, 8, 13, 200, 4096, 5000 };

	/* The tail of a struct that is only written is not checked. */
	if (!variant->in)
		return;

	for (size_t i = 0; i <= ARRAY_SIZE(more); i++) {
		size_t size = i < ARRAY_SIZE(more) ? variant->size + more[i] : MAX_SIZE;
		size_t at[] = {
			variant->size, variant->size + 1, variant->size + 7,
			variant->size + 8, (variant->size + size) / 2, size - 2, size - 1,
		};

		for (size_t j = 0; j < ARRAY_SIZE(at); j++) {
			if (at[j] < variant->size || at[j] >= size)
				continue;
			memset(self->arg + variant->size, 0, sizeof(self->arg) - variant->size);
			self->arg[at[j]] = 1;
			EXPECT_EQ(-E2BIG, call(self, variant, size, self->arg))
				TH_LOG("size %zu, byte %zu", size, at[j]);
		}
	}
	EXPECT_TRUE(same_state(self->fd, &self->before));
}

TEST_F(command, zeroes_the_tail_of_a_longer_output_struct)
{
	size_t size = variant->size + 100;

	if (!variant->out)
		return;
	if (variant->in)
		memset(self->arg + variant->size, 0, 100);
	ASSERT_EQ(0, call(self, variant, size, self->arg));
	for (size_t i = variant->size; i < size; i++) {
		EXPECT_EQ(0, self->arg[i]) TH_LOG("byte %zu", i);
	}
}

TEST_F(command, writes_nothing_behind_the_struct)
{
	for (size_t more = 0; more <= 8; more++) {
		size_t size = variant->size + more;

		memset(self->arg, JUNK, sizeof(self->arg));
		variant->fill(self->arg);
		memset(self->arg + variant->size, 0, more);
		call(self, variant, size, self->arg);
		for (size_t i = size; i < size + 256; i++) {
			EXPECT_EQ(JUNK, (unsigned char)self->arg[i])
				TH_LOG("size %zu, byte %zu", size, i);
		}
	}
}

TEST_F(command, writes_nothing_when_it_is_input)
{
	char copy[sizeof(self->arg)];

	if (variant->out)
		return;
	memcpy(copy, self->arg, sizeof(copy));
	call(self, variant, variant->size, self->arg);
	EXPECT_EQ(0, memcmp(copy, self->arg, sizeof(copy)));
}

TEST_F(command, faults_on_null)
{
	EXPECT_EQ(-EFAULT, call(self, variant, variant->size, NULL));
	EXPECT_TRUE(same_state(self->fd, &self->before));
}

TEST_F(command, faults_on_an_unmapped_struct)
{
	EXPECT_EQ(-EFAULT, call(self, variant, variant->size, self->arena.none));
	EXPECT_TRUE(same_state(self->fd, &self->before));
}

TEST_F(command, faults_on_kernel_addresses)
{
	static const unsigned long addresses[] = {
		~0UL, ~0UL - 4095, 1UL << 63, ~0UL << 47, ~0UL << 48, ~0UL << 52,
	};

	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
		EXPECT_EQ(-EFAULT, call(self, variant, variant->size, (void *)addresses[i]))
			TH_LOG("address %lx", addresses[i]);
	}
	EXPECT_TRUE(same_state(self->fd, &self->before));
}

TEST_F(command, faults_on_a_struct_cut_by_an_unmapped_page)
{
	for (size_t cut = 1; cut < variant->size; cut++) {
		char *at = self->arena.none - cut;

		mprotect(self->arena.ro, self->arena.part, PROT_READ | PROT_WRITE);
		memcpy(at, self->arg, cut);
		EXPECT_EQ(-EFAULT, call(self, variant, variant->size, at))
			TH_LOG("cut after %zu bytes", cut);
	}
	EXPECT_TRUE(same_state(self->fd, &self->before));
}

TEST_F(command, faults_on_a_tail_cut_by_an_unmapped_page)
{
	size_t size = variant->size + 64;

	for (size_t cut = variant->size; cut < size; cut++) {
		char *at = self->arena.none - cut;

		mprotect(self->arena.ro, self->arena.part, PROT_READ | PROT_WRITE);
		memset(at, 0, cut);
		memcpy(at, self->arg, variant->size);
		EXPECT_EQ(-EFAULT, call(self, variant, size, at))
			TH_LOG("cut after %zu bytes", cut);
	}
	EXPECT_TRUE(same_state(self->fd, &self->before));
}

TEST_F(command, accepts_a_struct_that_ends_at_an_unmapped_page)
{
	char *at = self->arena.none - variant->size;

	mprotect(self->arena.ro, self->arena.part, PROT_READ | PROT_WRITE);
	memcpy(at, self->arg, variant->size);
	EXPECT_EQ(0, call(self, variant, variant->size, at));
}

TEST_F(command, accepts_a_misaligned_struct)
{
	memmove(self->arg + 1, self->arg, variant->size);
	EXPECT_EQ(0, call(self, variant, variant->size, self->arg + 1));
}

TEST_F(command, needs_a_writable_struct_only_for_output)
{
	int ret;

	arena_put(&self->arena, self->arena.ro, self->arg, variant->size);
	ret = call(self, variant, variant->size, self->arena.ro);
	if (!variant->out) {
		EXPECT_EQ(0, ret);
		return;
	}
	EXPECT_EQ(-EFAULT, ret);
	EXPECT_TRUE(same_state(self->fd, &self->before));
}

TEST_F(command, faults_on_an_output_struct_that_becomes_read_only)
{
	if (!variant->out)
		return;
	for (size_t cut = 1; cut < variant->size; cut++) {
		char *at = self->arena.ro - cut;

		arena_put(&self->arena, at, self->arg, variant->size);
		EXPECT_EQ(-EFAULT, call(self, variant, variant->size, at))
			TH_LOG("read-only from byte %zu", cut);
	}
	EXPECT_TRUE(same_state(self->fd, &self->before));
}

#ifdef __x86_64__
TEST_F(command, works_for_32_bit_callers)
{
	char *low = mmap(NULL, page_size(), PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	int ret;

	if (!has_32_bit_calls())
		SKIP(return, "no 32-bit programs");
	ASSERT_NE(MAP_FAILED, low);
	memcpy(low, self->arg, variant->size);
	ret = ioctl_32(self->fd, _IOC(ALL_DIRS, PINSEAL_IOC_MAGIC, variant->nr, variant->size), low);
	if (variant->makes_fd) {
		EXPECT_EQ(0, sys(close(ret)));
	} else {
		EXPECT_EQ(0, ret);
	}
	/* The same bytes come back as for a 64-bit caller. */
	if (variant->nr == 0x00) {
		EXPECT_EQ(PINSEAL_VERSION, ((struct pinseal_info *)low)->version);
	}
	if (variant->nr == 0x03) {
		EXPECT_EQ(PINSEAL_OUTCOME_SEALED, ((struct pinseal_seal *)low)->outcome);
		EXPECT_EQ(PINSEAL_NO_PAGE, ((struct pinseal_seal *)low)->first_pinned);
	}
}
#endif

/* The header */

TEST(command_words_match_the_contract)
{
	EXPECT_EQ(_IOC(_IOC_READ, 0xB9, 0x00, 32), PINSEAL_IOC_INFO);
	EXPECT_EQ(_IOC(_IOC_WRITE, 0xB9, 0x01, 56), PINSEAL_IOC_RESIZE);
	EXPECT_EQ(_IOC(_IOC_WRITE, 0xB9, 0x02, 64), PINSEAL_IOC_FALLOCATE);
	EXPECT_EQ(_IOC(_IOC_READ | _IOC_WRITE, 0xB9, 0x03, 72), PINSEAL_IOC_SEAL);
	EXPECT_EQ(_IOC(_IOC_READ, 0xB9, 0x04, 4), PINSEAL_IOC_GET_SEALS);
	EXPECT_EQ(_IOC(_IOC_READ | _IOC_WRITE, 0xB9, 0x05, 72), PINSEAL_IOC_PINS);
	EXPECT_EQ(_IOC(_IOC_WRITE, 0xB9, 0x06, 48), PINSEAL_IOC_PIN);
	EXPECT_EQ(_IOC(_IOC_WRITE, 0xB9, 0x0a, 64), PINSEAL_IOC_SET_NAME);
	EXPECT_EQ(_IOC(_IOC_WRITE, 0xB9, 0x0d, 72), PINSEAL_IOC_CREATE);
}

TEST(structs_have_the_layout_of_the_contract)
{
	EXPECT_EQ(32, sizeof(struct pinseal_info));
	EXPECT_EQ(16, offsetof(struct pinseal_info, size));
	EXPECT_EQ(56, sizeof(struct pinseal_resize));
	EXPECT_EQ(24, offsetof(struct pinseal_resize, waited_ns));
	EXPECT_EQ(16, offsetof(struct pinseal_resize, flags));
	EXPECT_EQ(64, sizeof(struct pinseal_fallocate));
	EXPECT_EQ(32, offsetof(struct pinseal_fallocate, waited_ns));
	EXPECT_EQ(8, offsetof(struct pinseal_fallocate, offset));
	EXPECT_EQ(72, sizeof(struct pinseal_seal));
	EXPECT_EQ(16, offsetof(struct pinseal_seal, max_scans));
	EXPECT_EQ(24, offsetof(struct pinseal_seal, waited_ns));
	EXPECT_EQ(64, offsetof(struct pinseal_seal, outcome));
	EXPECT_EQ(32, sizeof(struct pinseal_page));
	EXPECT_EQ(72, sizeof(struct pinseal_pins));
	EXPECT_EQ(64, offsetof(struct pinseal_pins, flags));
	EXPECT_EQ(64, sizeof(struct pinseal_name));
	EXPECT_EQ(48, sizeof(struct pinseal_protect));
	EXPECT_EQ(32, offsetof(struct pinseal_protect, ranges));
	EXPECT_EQ(32, sizeof(struct pinseal_protect_range));
	EXPECT_EQ(72, sizeof(struct pinseal_create));
	EXPECT_EQ(8, offsetof(struct pinseal_create, name));
}

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

TEST_F(object, unknown_numbers_are_enotty)
{
	static const size_t sizes[] = { 0, 4, 64, MAX_SIZE };
	char arg[MAX_SIZE] = { 0 };

	for (unsigned int nr = 0; nr <= 0xff; nr++) {
		if (nr <= 0x0d)
			continue;
		for (unsigned int dir = 0; dir <= ALL_DIRS; dir++) {
			for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
				EXPECT_EQ(-ENOTTY, ps_ioctl(self->fd, _IOC(dir, PINSEAL_IOC_MAGIC,
									   nr, sizes[i]), arg))
					TH_LOG("number %#x, size %zu", nr, sizes[i]);
			}
		}
	}
}

TEST_F(object, unknown_numbers_are_enotty_even_with_a_bad_pointer)
{
	EXPECT_EQ(-ENOTTY, ps_ioctl(self->fd, _IOWR(PINSEAL_IOC_MAGIC, 0xff, __u64), NULL));
}

TEST_F(object, other_types_are_enotty)
{
	char arg[256] = { 0 };

	/* 256 bytes: the VFS has no command of that size. */
	for (unsigned int type = 0; type <= 0xff; type++) {
		if (type == PINSEAL_IOC_MAGIC)
			continue;
		for (unsigned int nr = 0; nr <= 0x0d; nr++) {
			EXPECT_EQ(-ENOTTY, ps_ioctl(self->fd, _IOC(ALL_DIRS, type, nr, 256), arg))
				TH_LOG("type %#x, number %#x", type, nr);
		}
	}
	EXPECT_TRUE(same_state(self->fd, &self->before));
}

TEST_HARNESS_MAIN

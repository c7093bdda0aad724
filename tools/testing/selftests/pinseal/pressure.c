// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory pressure: objects larger than the memory for them keep every byte while they are
 * swapped out and in, also when they are sealed, punched, resized or pinned meanwhile.
 *
 *	pressure			these tests
 *	pressure NAME [ARG...]		the test program NAME under pressure: under_pressure.h
 *
 * Runs on a memfd and an object: the memfd variant proves what shmem does, the other that the
 * object does the same. After each test the memory cgroup must be free of shared memory and
 * swap, and the machine must use no more shared memory than before.
 */
#include <pthread.h>

#include "holders.h"
#include "reader.h"
#include "limited_object.h"
#include "under_pressure.h"

#include "harness.h"

/* An object that fits into memory. */
#define SMALL		(128 * page_size())

/* The least duration of a test. */
#define WHILE_NS	(NSEC_PER_SEC)

/* The most seconds of a test, on the slowest machine. */
#define SECONDS		100

#define WRITE_AND_SIZE	(F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW)

FIXTURE(pressure) {
	struct limited_object limited;
	struct machine_noise noise;
};

ON_BOTH_KINDS(pressure);

#define SETUP(self, kind)							\
	do {									\
		if (!limited_object_possible())						\
			SKIP(return, "needs zram and cgroup2");			\
		ASSERT_EQ(0, limited_object_begin(&(self)->limited, kind));		\
	} while (0)

#define EXPECT_NOTHING_LEFT(self)						\
	do {									\
		struct limited_object *s = &(self)->limited;				\
										\
		EXPECT_TRUE(limited_object_end(s)) {					\
			TH_LOG("left in the group: %ld bytes shared, %ld of files, %ld in swap; " \
			       "in the machine: %ld pages shared", s->left.shmem,	\
			       s->left.file, s->left.swap, s->shmem_left);	\
		}								\
	} while (0)

FIXTURE_SETUP(pressure)
{
	/* It is shared memory as well, which the group must not pay for. */
	memset(self, 0, sizeof(*self));
	SETUP(self, variant->kind);
}

FIXTURE_TEARDOWN_PARENT(pressure)
{
	machine_noise_restore(&self->noise);
	EXPECT_NOTHING_LEFT(self);
}

#define ASSERT_SWAPPED_OUT(s)							\
	ASSERT_TRUE(limited_object_swap_out(s)) {						\
		TH_LOG("%ld pages in memory", shadow_resident(&(s)->object));	\
	}

/* Each makes every page come from swap, as memory does not suffice. */
#define EXPECT_SAME_READ(o)	EXPECT_EQ(SAME, shadow_compare_read(o))

#define EXPECT_SAME(o)								\
	do {									\
		EXPECT_SAME_READ(o);						\
		EXPECT_EQ(SAME, shadow_compare_mapped(o, MAP_SHARED));		\
		EXPECT_EQ(SAME, shadow_compare_mapped(o, MAP_PRIVATE));		\
	} while (0)

/* No change is possible, nor was any made. */
#define EXPECT_SEALED(o)							\
	do {									\
		EXPECT_EQ(-EPERM, sys(pwrite((o)->fd, "x", 1, (o)->size / 2)));	\
		EXPECT_EQ(-EPERM, obj_fallocate((o)->fd, PUNCH, 0, (o)->size));	\
		EXPECT_EQ(-EPERM, obj_resize((o)->fd, 0));			\
		EXPECT_EQ(-EPERM, obj_resize((o)->fd, 2 * (o)->size));		\
		EXPECT_EQ(-EPERM, ps_try_map((o)->fd, (o)->size, RW, MAP_SHARED));	\
		EXPECT_SAME_READ(o);						\
	} while (0)

/*
 * Seals an object without holders. Reclaim and migration hold pages meanwhile: a memfd, which
 * times out after 150 ms, is tried again.
 */
static int seal(int fd)
{
	uint64_t until = now_ns() + SECONDS / 2 * NSEC_PER_SEC;
	struct pinseal_seal arg = {
		.seals = WRITE_AND_SIZE,
		.timeout_ns = SECONDS / 2 * NSEC_PER_SEC,
	};
	int ret;

	if (!obj_is_pinseal(fd)) {
		do
			ret = obj_add_seals(fd, WRITE_AND_SIZE);
		while (ret == -EBUSY && now_ns() < until);
		return ret;
	}
	ret = ps_seal(fd, &arg);
	if (ret)
		printf("# outcome %u after %u scans in %llu ms: %llu pages, the first is %lld\n",
		       arg.outcome, arg.scans, (unsigned long long)arg.waited_ns / NSEC_PER_MSEC,
		       (unsigned long long)arg.pinned_pages, (long long)arg.first_pinned);
	return ret;
}

TEST_F_TIMEOUT(pressure, bytes_come_back, SECONDS)
{
	struct limited_object *s = &self->limited;
	struct shadow *o = &s->object;

	ASSERT_EQ(0, shadow_fill(o, limited_object_size()));
	/* Most is in swap already. */
	EXPECT_GE(limited_object_limit() / page_size(), shadow_resident(o));
	EXPECT_SAME(o);
	ASSERT_SWAPPED_OUT(s);
	EXPECT_SAME_READ(o);
}

TEST_F_TIMEOUT(pressure, changed_bytes_come_back, SECONDS)
{
	struct limited_object *s = &self->limited;
	struct shadow *o = &s->object;
	size_t step = page_size() - 11, from;

	ASSERT_EQ(0, shadow_fill(o, limited_object_size()));
	ASSERT_SWAPPED_OUT(s);
	/* Parts of pages, of which the rest must come from swap; some across two pages. */
	for (from = 0; from + 100 < o->size; from += step) {
		shadow_new_bytes(o, o->want + from, 100);
		ASSERT_EQ(0, from / step % 2 ? shadow_write(o, from, 100) :
					       shadow_store(o, from, 100));
	}
	ASSERT_SWAPPED_OUT(s);
	EXPECT_SAME(o);
}

TEST_F_TIMEOUT(pressure, private_copies_come_back, SECONDS)
{
	struct limited_object *s = &self->limited;
	struct shadow *o = &s->object;
	size_t page = page_size(), i;
	char *p;

	ASSERT_EQ(0, shadow_fill(o, limited_object_size()));
	ASSERT_SWAPPED_OUT(s);
	p = ps_map(o->fd, o->size, RW, MAP_PRIVATE);
	ASSERT_NE(MAP_FAILED, p);
	for (i = 0; i < o->size; i += 3 * page)
		p[i + 1] = ~o->want[i + 1];
	memcg_reclaim(&s->group, limited_object_limit());
	/* A copy differs in that byte; other pages are the object's. */
	for (i = 0; i < o->size; i += page) {
		if (i / page % 3 == 0) {
			ASSERT_EQ((char)~o->want[i + 1], p[i + 1]) TH_LOG("page %zu", i / page);
			p[i + 1] = o->want[i + 1];
		}
		ASSERT_EQ(SAME, first_difference(o->want + i, p + i, page)) {
			TH_LOG("page %zu", i / page);
		}
	}
	munmap(p, o->size);
	EXPECT_SAME_READ(o);
}

/* Seals */

TEST_F_TIMEOUT(pressure, sealed_while_swapped_out, SECONDS)
{
	struct limited_object *s = &self->limited;
	struct shadow *o = &s->object;

	ASSERT_EQ(0, shadow_fill(o, limited_object_size()));
	ASSERT_SWAPPED_OUT(s);
	ASSERT_EQ(0, seal(o->fd));
	EXPECT_SEALED(o);
	ASSERT_SWAPPED_OUT(s);
	EXPECT_SAME(o);
}

/* Sends the group's memory to swap, bit by bit. */
struct swapper {
	const struct memcg *group;
	bool over;
	pthread_t thread;
};

static void *swapper_thread(void *data)
{
	struct swapper *s = data;

	while (!__atomic_load_n(&s->over, __ATOMIC_ACQUIRE))
		memcg_reclaim(s->group, SMALL);
	return NULL;
}

TEST_F_TIMEOUT(pressure, sealed_while_going_to_swap, SECONDS)
{
	struct limited_object *s = &self->limited;
	struct swapper swapper = { .group = &s->group };
	uint64_t until = now_ns() + WHILE_NS;
	unsigned int rounds = 0, partly = 0;
	struct shadow *o = &s->object;

	ASSERT_EQ(0, pthread_create(&swapper.thread, NULL, swapper_thread, &swapper));
	for (; !_metadata->exit_code && (rounds < 10 || now_ns() < until); rounds++) {
		ASSERT_EQ(0, shadow_fill(o, SMALL));
		/* Another moment each time. */
		sleep_ns(rounds % 16 * 200 * 1000);
		ASSERT_EQ(0, seal(o->fd)) TH_LOG("round %u", rounds);
		partly += shadow_resident(o) < (long)(SMALL / page_size());
		EXPECT_SEALED(o);
		EXPECT_SAME(o);
		close(o->fd);
		o->size = 0;
		o->fd = obj_open(variant->kind);
		ASSERT_LE(0, o->fd);
	}
	__atomic_store_n(&swapper.over, true, __ATOMIC_RELEASE);
	pthread_join(swapper.thread, NULL);
	TH_LOG("%u objects sealed, %u of them when pages were in swap", rounds, partly);
	EXPECT_LT(0, partly);
}

/*
 * Reading all of the object swaps it in, and other pages of it out, while a reader reads a
 * part of it again and again. Not all of it: with all memory mapped and in use the kernel
 * would kill.
 */
TEST_F_TIMEOUT(pressure, sealed_while_coming_from_swap, SECONDS)
{
	struct limited_object *s = &self->limited;
	struct shadow *o = &s->object;
	struct reader reader;

	ASSERT_EQ(0, shadow_fill(o, limited_object_size()));
	ASSERT_SWAPPED_OUT(s);
	ASSERT_EQ(0, reader_start(&reader, 1, 0));
	ASSERT_EQ(0, reader_follow(&reader, o->fd, o->size / 3));
	ASSERT_EQ(0, seal(o->fd));
	EXPECT_SEALED(o);
	/* Without memory the reader would have been killed. */
	EXPECT_EQ(0, waitpid(reader.pid, NULL, WNOHANG));
	reader_stop(&reader);
}

struct writer {
	struct shadow *object;
	unsigned long written;
	int error;		/* why it ended */
	pthread_t thread;
};

/* Writes random pages until it is refused. */
static void *writer_thread(void *data)
{
	struct writer *w = data;
	struct shadow *o = w->object;
	size_t page = page_size();

	while (!w->error) {
		size_t at = random_below(&o->random, o->size / page) * page;

		shadow_new_bytes(o, o->buf, page);
		if (pwrite(o->fd, o->buf, page, at) == (ssize_t)page) {
			memcpy(o->want + at, o->buf, page);
			__atomic_add_fetch(&w->written, 1, __ATOMIC_RELEASE);
		} else {
			w->error = errno;
		}
	}
	return NULL;
}

/* The object has exactly the writes that succeeded, all of them from before the seal. */
TEST_F_TIMEOUT(pressure, sealed_while_written_to, SECONDS)
{
	uint64_t until = now_ns() + SECONDS / 2 * NSEC_PER_SEC;
	struct limited_object *s = &self->limited;
	struct shadow *o = &s->object;
	struct writer writer = { .object = o };

	ASSERT_EQ(0, shadow_fill(o, limited_object_size()));
	ASSERT_EQ(0, pthread_create(&writer.thread, NULL, writer_thread, &writer));
	while (__atomic_load_n(&writer.written, __ATOMIC_ACQUIRE) < 500 && now_ns() < until)
		sleep_ns(NSEC_PER_MSEC);
	ASSERT_EQ(0, seal(o->fd));
	pthread_join(writer.thread, NULL);
	EXPECT_EQ(EPERM, writer.error);
	EXPECT_LE(500, writer.written);
	EXPECT_SEALED(o);
}

/* Changes */

/* For a while, and until @enough. */
#define ASSERT_CHANGES(s, enough)						\
	do {									\
		uint64_t until = now_ns() + WHILE_NS;				\
		struct shadow *o = &(s)->object;				\
		unsigned int changes;						\
										\
		ASSERT_EQ(0, shadow_fill(o, o->max));				\
		for (changes = 0; changes < 100 || now_ns() < until || !(enough); changes++) { \
			ASSERT_EQ(0, shadow_change_somehow(o)) {		\
				TH_LOG("change %u", changes);			\
			}							\
			if (!(changes % 32))					\
				memcg_reclaim(&(s)->group, limited_object_limit() / 2);	\
		}								\
		TH_LOG("%u changes, to a size of %zu", changes, o->size);	\
		EXPECT_SAME_READ(o);						\
	} while (0)

TEST_F_TIMEOUT(pressure, changed_at_random, SECONDS)
{
	struct limited_object *s = &self->limited;
	struct shadow *o = &s->object;

	ASSERT_CHANGES(s, true);
	ASSERT_EQ(0, shadow_resize(o, o->max));
	ASSERT_SWAPPED_OUT(s);
	ASSERT_EQ(0, seal(o->fd));
	EXPECT_SEALED(o);
	EXPECT_SAME(o);
}

/* With folios of all sizes, migrated all the time. */
TEST_F_TIMEOUT(pressure, changed_at_random_under_noise, SECONDS)
{
	struct machine_noise *noise = &self->noise;
	struct limited_object *s = &self->limited;
	struct shadow *o = &s->object;
	char *p = ps_map(o->fd, o->max, PROT_READ, MAP_PRIVATE);
	uint64_t late;

	/* A collapse needs two large folios, which cannot be reclaimed meanwhile. */
	ASSERT_EQ(0, memcg_write_number(&s->group, "memory.max", under_pressure_limit()));
	/* Collapses need a mapping. */
	ASSERT_NE(MAP_FAILED, p);
	machine_noise_begin(noise, &s->group, true);
	late = now_ns() + SECONDS / 5 * NSEC_PER_SEC;
	ASSERT_CHANGES(s, machine_noise_was_heard(noise) || now_ns() > late);
	ASSERT_EQ(0, shadow_resize(o, o->max));
	ASSERT_EQ(0, seal(o->fd));
	EXPECT_SEALED(o);
	EXPECT_EQ(SAME, first_difference(o->want, p, o->max));
	machine_noise_end(noise);
	TH_LOG("%lu reclaims, %lu compactions, %lu collapses, %lu CPUs gone", noise->reclaims,
	       noise->compactions, noise->collapses, noise->cpus_gone);
	EXPECT_SAME(o);
}

/* Pins on pages that come from swap */

#define HELD		37
#define HELD_PAGES	16

FIXTURE(hold) {
	struct limited_object limited;
};

FIXTURE_VARIANT(hold) {
	enum object_kind kind;
	enum hold_kind how;
};

FIXTURE_VARIANT_ADD(hold, memfd_uring)		{ MEMFD, HOLD_URING };
FIXTURE_VARIANT_ADD(hold, memfd_direct_read)	{ MEMFD, HOLD_DIRECT_READ };
FIXTURE_VARIANT_ADD(hold, memfd_vm_writev)	{ MEMFD, HOLD_VM_WRITEV };
FIXTURE_VARIANT_ADD(hold, memfd_vmsplice)	{ MEMFD, HOLD_VMSPLICE };
FIXTURE_VARIANT_ADD(hold, pinseal_uring)	{ PINSEAL, HOLD_URING };
FIXTURE_VARIANT_ADD(hold, pinseal_direct_read)	{ PINSEAL, HOLD_DIRECT_READ };
FIXTURE_VARIANT_ADD(hold, pinseal_vm_writev)	{ PINSEAL, HOLD_VM_WRITEV };
FIXTURE_VARIANT_ADD(hold, pinseal_vmsplice)	{ PINSEAL, HOLD_VMSPLICE };

FIXTURE_SETUP(hold)
{
	SETUP(self, variant->kind);
}

FIXTURE_TEARDOWN_PARENT(hold)
{
	EXPECT_NOTHING_LEFT(self);
}

/* Zeroes the held pages through the registered buffer: 0, or -errno. */
static int zero_registered_buffer(struct hold *h)
{
	struct io_uring_sqe sqe = {
		.opcode = IORING_OP_READ_FIXED,
		.fd = open("/dev/zero", O_RDONLY | O_CLOEXEC),
		.addr = (uintptr_t)h->map,
		.len = h->len,
	};
	struct io_uring_cqe cqe;
	int ret = uring_submit(&h->ring, &sqe) ?: uring_wait(&h->ring, &cqe);

	close(sqe.fd);
	return ret ?: cqe.res == (int)h->len ? 0 : cqe.res < 0 ? cqe.res : -EIO;
}

/* Lets the holder write to the pages and go: the object must show it. */
static int hold_end_writing(struct hold *h, struct shadow *o)
{
	char *held = o->want + HELD * page_size();
	int ret = 0;

	switch (h->kind) {
	case HOLD_URING:
		ret = zero_registered_buffer(h);
		memset(held, 0, h->len);
		break;
	case HOLD_DIRECT_READ:
		memset(held, FUSE_SERVER_BYTE, h->len);
		break;
	case HOLD_VM_WRITEV:
		memset(held, 0, page_size());
		break;
	default:
		break;
	}
	return ret ?: hold_end(h);
}

TEST_F_TIMEOUT(hold, of_pages_from_swap, SECONDS)
{
	struct pinseal_seal arg = {
		.seals = WRITE_AND_SIZE,
		.timeout_ns = 100 * NSEC_PER_MSEC,
	};
	struct limited_object *s = &self->limited;
	struct shadow *o = &s->object;
	struct hold h;

	ASSERT_EQ(0, shadow_fill(o, limited_object_size()));
	ASSERT_SWAPPED_OUT(s);
	ASSERT_EQ(0, hold_begin(&h, variant->how, o->fd, HELD, HELD_PAGES));

	/* Held pages stay in memory. */
	ASSERT_SWAPPED_OUT(s);
	EXPECT_LE(HELD_PAGES, shadow_resident(o));
	EXPECT_SAME_READ(o);
	if (variant->kind != MEMFD) {
		EXPECT_EQ(-EBUSY, ps_seal(o->fd, &arg));
		EXPECT_EQ(PINSEAL_OUTCOME_PINNED, arg.outcome);
		EXPECT_EQ(HELD, arg.first_pinned);
		EXPECT_EQ(HELD_PAGES, arg.pinned_pages);
	} else {
		EXPECT_EQ(-EBUSY, memfd_add_seals(o->fd, WRITE_AND_SIZE));
	}

	ASSERT_EQ(0, hold_end_writing(&h, o));
	ASSERT_EQ(0, seal(o->fd));
	EXPECT_SEALED(o);
}

/* Other programs under pressure */

/* Runs this program with @option, its output to @fd: the exit status. See under_pressure(). */
static int run_under_pressure(const char *option, int fd, uint64_t timeout_ns)
{
	pid_t pid = ps_fork();

	if (!pid) {
		char *argv[] = { "pressure", (char *)option, NULL };

		dup2(fd, 1);
		dup2(fd, 2);
		_exit(under_pressure(argv, timeout_ns));
	}
	return ps_wait(pid);
}

/* The state of the machine at start, which a run must restore. */
static struct machine_state found;

FIXTURE(program) {
	int fd;
};

FIXTURE_SETUP(program)
{
	if (!limited_object_possible())
		SKIP(return, "needs zram and cgroup2");
	self->fd = memfd_create("output", MFD_CLOEXEC);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(program)
{
	struct machine_state now = machine_state();

	EXPECT_STREQ(found.folios, now.folios);
	EXPECT_STREQ(found.khugepaged, now.khugepaged);
	EXPECT_STREQ(found.cpus, now.cpus);
	EXPECT_EQ(found.swaps, now.swaps);
	EXPECT_EQ(found.groups, now.groups);
	close(self->fd);
}

TEST_F_TIMEOUT(program, ends_as_it_would_elsewhere, SECONDS)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	EXPECT_EQ(KSFT_SKIP, run_under_pressure("-l", null, SOON_NS));
	EXPECT_EQ(KSFT_FAIL, run_under_pressure("-?", null, SOON_NS));
	close(null);
}

TEST_F_TIMEOUT(program, fails_when_it_leaves_memory_behind, SECONDS)
{
	/* Its output, whose pages its group pays for: no wait helps. */
	EXPECT_EQ(1, run_under_pressure("-l", self->fd, NSEC_PER_SEC));
	EXPECT_LT(0, lseek(self->fd, 0, SEEK_END));
}

int main(int argc, char **argv)
{
	if (argc > 1 && argv[1][0] != '-')
		return under_pressure(argv + 1, SOON_NS);
	found = machine_state();
	return test_harness_run(argc, argv);
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * PINSEAL_SEAL_WAIT_MAPPED: a seal waits for shared writable mappings, within its bounds.
 *
 * Runs on objects of every kind, with the mapping made through the object's own descriptor, whose
 * unmap wakes the sealer, and through a plain descriptor of the memory.
 */
#include <signal.h>

#include "async.h"
#include "holders.h"
#include "object.h"
#include "protect.h"
#include "sealer.h"

#include "harness.h"

#define PAGES		4
#define RW		(PROT_READ | PROT_WRITE)

static struct pinseal_seal wait_mapped(uint64_t timeout_ns)
{
	return (struct pinseal_seal){
		.seals = F_SEAL_WRITE,
		.flags = PINSEAL_SEAL_WAIT_MAPPED,
		.timeout_ns = timeout_ns,
	};
}

FIXTURE(mapped)
{
	int fd;
	int mapped;		/* a descriptor of the same memory, through which it is mapped */
	size_t len;
	char *p;
};

FIXTURE_VARIANT(mapped)
{
	enum object_kind kind;
	bool plain;
};

FIXTURE_VARIANT_ADD(mapped, pinseal) { PINSEAL };
FIXTURE_VARIANT_ADD(mapped, pinseal_exported) { PINSEAL, true };
FIXTURE_VARIANT_ADD(mapped, imported) { IMPORTED };
FIXTURE_VARIANT_ADD(mapped, imported_exported) { IMPORTED, true };
FIXTURE_VARIANT_ADD(mapped, created) { CREATED };
FIXTURE_VARIANT_ADD(mapped, created_exported) { CREATED, true };

FIXTURE_SETUP(mapped)
{
	self->len = PAGES * page_size();
	self->fd = obj_create(variant->kind, self->len);
	ASSERT_LE(0, self->fd);
	self->mapped = variant->plain ? ps_export(self->fd, 0) : ps_reopen(self->fd, O_RDWR);
	ASSERT_LE(0, self->mapped);
	self->p = ps_map(self->mapped, self->len, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, self->p);
	memset(self->p, 'm', self->len);
}

FIXTURE_TEARDOWN(mapped)
{
	if (self->p)
		munmap(self->p, self->len);
	close(self->mapped);
	close(self->fd);
}

#define UNMAP(self)						\
	do {							\
		ASSERT_EQ(0, munmap((self)->p, (self)->len));	\
		(self)->p = NULL;				\
	} while (0)

/* No seal is set, and what is mapped can be written to, and mapped once more. */
#define EXPECT_UNCHANGED(self)							\
	do {									\
		EXPECT_EQ(0, ps_get_seals((self)->fd));				\
		EXPECT_EQ(0, ps_touch((self)->p, true));			\
		EXPECT_EQ(0, ps_try_map((self)->fd, (self)->len, RW, MAP_SHARED)); \
		EXPECT_EQ(0, ps_try_map((self)->mapped, (self)->len, RW, MAP_SHARED)); \
	} while (0)

TEST_F(mapped, without_the_flag_the_seal_fails_at_once)
{
	struct pinseal_seal arg = seal_write(LONG_NS);
	uint64_t began = now_ns();

	EXPECT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	EXPECT_GE(LATE_NS, now_ns() - began);
	EXPECT_EQ(PINSEAL_OUTCOME_WRITABLE_MAPPING, arg.outcome);
	EXPECT_EQ(0, arg.scans);
	EXPECT_EQ(0, arg.waited_ns);
	EXPECT_UNCHANGED(self);
}

TEST_F(mapped, the_seal_waits_for_the_timeout)
{
	struct pinseal_seal arg = wait_mapped(30 * NSEC_PER_MSEC);
	uint64_t began = now_ns();

	EXPECT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	EXPECT_LE(27 * NSEC_PER_MSEC, now_ns() - began);
	EXPECT_EQ(PINSEAL_OUTCOME_WRITABLE_MAPPING, arg.outcome);
	EXPECT_LE(2, arg.scans);
	EXPECT_LE(27 * NSEC_PER_MSEC, arg.waited_ns);
	EXPECT_EQ(0, arg.pinned_pages);
	EXPECT_EQ(PINSEAL_NO_PAGE, arg.first_pinned);
	EXPECT_UNCHANGED(self);
}

TEST_F(mapped, scans_bound_the_wait)
{
	struct pinseal_seal arg = wait_mapped(LONG_NS);
	uint64_t began = now_ns();

	arg.max_scans = 5;
	EXPECT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	EXPECT_GE(LATE_NS, now_ns() - began);
	EXPECT_EQ(PINSEAL_OUTCOME_WRITABLE_MAPPING, arg.outcome);
	EXPECT_EQ(5, arg.scans);
	EXPECT_UNCHANGED(self);
}

TEST_F(mapped, nowait_does_not_wait)
{
	struct pinseal_seal arg = wait_mapped(LONG_NS);

	arg.flags |= PINSEAL_SEAL_NOWAIT;
	EXPECT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_WRITABLE_MAPPING, arg.outcome);
	EXPECT_EQ(1, arg.scans);
	EXPECT_UNCHANGED(self);
}

/* Seals that do not end writing do not care. */
TEST_F(mapped, other_seals_do_not_wait)
{
	struct pinseal_seal arg = wait_mapped(LONG_NS);

	arg.seals = F_SEAL_SHRINK | F_SEAL_FUTURE_WRITE;
	EXPECT_EQ(0, ps_seal(self->fd, &arg));
	EXPECT_EQ(F_SEAL_SHRINK | F_SEAL_FUTURE_WRITE, ps_get_seals(self->fd));
	EXPECT_EQ(0, ps_touch(self->p, true));
}

TEST_F(mapped, an_unmap_ends_the_wait)
{
	struct sealer sealer;

	ASSERT_EQ(0, sealer_start(&sealer, self->fd, wait_mapped(LONG_NS)));
	sleep_ns(20 * NSEC_PER_MSEC);
	EXPECT_FALSE(sealer_done(&sealer));
	EXPECT_EQ(0, ps_get_seals(self->fd));
	EXPECT_EQ(0, ps_touch(self->p, true));
	UNMAP(self);
	EXPECT_EQ(0, sealer_join(&sealer));
	EXPECT_EQ(PINSEAL_OUTCOME_SEALED, sealer.arg.outcome);
	EXPECT_GE(LATE_NS, sealer.ended - sealer.began);
	EXPECT_EQ(F_SEAL_WRITE, ps_get_seals(self->fd));
	EXPECT_EQ(-EPERM, ps_try_map(self->mapped, self->len, RW, MAP_SHARED));
	EXPECT_EQ(-EPERM, sys(pwrite(self->mapped, "x", 1, 0)));
}

/* It could be made writable. */
TEST_F(mapped, a_read_only_protection_is_waited_for)
{
	struct sealer sealer;

	ASSERT_EQ(0, mprotect(self->p, self->len, PROT_READ));
	ASSERT_EQ(0, sealer_start(&sealer, self->fd, wait_mapped(LONG_NS)));
	EXPECT_FALSE(sealer_done(&sealer));
	/* In parts, which are mappings of their own. */
	ASSERT_EQ(0, munmap(self->p, page_size()));
	sleep_ns(5 * NSEC_PER_MSEC);
	EXPECT_FALSE(sealer_done(&sealer));
	ASSERT_EQ(0, munmap(self->p + page_size(), self->len - page_size()));
	self->p = NULL;
	EXPECT_EQ(0, sealer_join(&sealer));
}

TEST_F(mapped, a_mapping_over_it_ends_the_wait)
{
	struct sealer sealer;

	ASSERT_EQ(0, sealer_start(&sealer, self->fd, wait_mapped(LONG_NS)));
	ASSERT_EQ(self->p, mmap(self->p, self->len, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
				-1, 0));
	EXPECT_EQ(0, sealer_join(&sealer));
}

/* The child has the mapping until it calls exec() or exits. */
static void child_ends(FIXTURE_DATA(mapped) *self, struct __test_metadata *_metadata, bool execs)
{
	struct sealer sealer;
	int go[2], status;
	char c;
	pid_t pid;

	ASSERT_EQ(0, pipe(go));
	pid = ps_fork();
	if (!pid) {
		close(go[1]);
		if (read(go[0], &c, 1) < 0)
			_exit(1);
		if (!execs)
			_exit(0);
		/* The harness prints its options. */
		close(STDOUT_FILENO);
		close(STDERR_FILENO);
		execl("/proc/self/exe", "wait_mapped", "-h", NULL);
		_exit(127);
	}
	ASSERT_LT(0, pid);
	UNMAP(self);
	ASSERT_EQ(0, sealer_start(&sealer, self->fd, wait_mapped(LONG_NS)));
	sleep_ns(20 * NSEC_PER_MSEC);
	EXPECT_FALSE(sealer_done(&sealer));
	close(go[1]);
	EXPECT_EQ(0, sealer_join(&sealer));
	EXPECT_EQ(PINSEAL_OUTCOME_SEALED, sealer.arg.outcome);
	status = ps_wait(pid);
	EXPECT_NE(127, status);
	EXPECT_NE(1, execs ? 0 : status);
	close(go[0]);
}

TEST_F(mapped, a_child_that_exits)
{
	child_ends(self, _metadata, false);
}

TEST_F(mapped, a_child_that_calls_exec)
{
	child_ends(self, _metadata, true);
}

TEST_F(mapped, new_ones_are_refused_meanwhile)
{
	struct sealer sealer;

	ASSERT_EQ(0, sealer_start(&sealer, self->fd, wait_mapped(LONG_NS)));
	EXPECT_EQ(-EBUSY, ps_try_map(self->fd, self->len, RW, MAP_SHARED));
	EXPECT_EQ(-EBUSY, ps_try_map(self->fd, self->len, PROT_READ, MAP_SHARED));
	EXPECT_EQ(0, ps_try_map(self->fd, self->len, RW, MAP_PRIVATE));
	if (variant->plain) {
		EXPECT_EQ(0, ps_try_map(self->mapped, self->len, RW, MAP_SHARED));
	}
	/* Nothing else is. */
	EXPECT_EQ(1, sys(pwrite(self->fd, "w", 1, 0)));
	EXPECT_EQ(0, obj_resize(self->mapped, self->len));
	EXPECT_FALSE(sealer_done(&sealer));
	UNMAP(self);
	EXPECT_EQ(0, sealer_join(&sealer));
	EXPECT_EQ(-EPERM, ps_try_map(self->fd, self->len, RW, MAP_SHARED));
}

TEST_F(mapped, new_ones_are_allowed_after_a_failure)
{
	struct pinseal_seal arg = wait_mapped(5 * NSEC_PER_MSEC);

	for (int i = 0; i < 5; i++) {
		EXPECT_EQ(-EBUSY, ps_seal(self->fd, &arg));
		arg.scans = 0;
		arg.waited_ns = 0;
		EXPECT_UNCHANGED(self);
	}
	UNMAP(self);
	/* LRU batches may take longer than the deadline before. */
	arg = wait_mapped(LONG_NS);
	EXPECT_EQ(0, ps_seal(self->fd, &arg));
}

static void ignore(int sig)
{
}

TEST_F(mapped, a_signal_ends_the_wait)
{
	struct sigaction action = { .sa_handler = ignore };
	struct sealer sealer;

	ASSERT_EQ(0, sigaction(SIGUSR1, &action, NULL));
	ASSERT_EQ(0, sealer_start(&sealer, self->fd, wait_mapped(LONG_NS)));
	EXPECT_FALSE(sealer_done(&sealer));
	ASSERT_EQ(0, pthread_kill(sealer.thread, SIGUSR1));
	EXPECT_EQ(-EINTR, sealer_join(&sealer));
	EXPECT_EQ(PINSEAL_OUTCOME_INTERRUPTED, sealer.arg.outcome);
	EXPECT_LE(1, sealer.arg.scans);
	EXPECT_UNCHANGED(self);
}

/* The bounds are those of one wait. */
TEST_F(mapped, pins_are_waited_for_afterwards)
{
	struct sealer sealer;
	struct hold hold;

	ASSERT_EQ(0, hold_begin(&hold, HOLD_VMSPLICE, self->mapped, 1, 1));
	ASSERT_EQ(0, sealer_start(&sealer, self->fd, wait_mapped(LONG_NS)));
	EXPECT_FALSE(sealer_done(&sealer));
	UNMAP(self);
	sleep_ns(20 * NSEC_PER_MSEC);
	EXPECT_FALSE(sealer_done(&sealer));
	ASSERT_EQ(0, hold_end(&hold));
	EXPECT_EQ(0, sealer_join(&sealer));
}

TEST_F(mapped, isolation_does_not_help)
{
	struct pinseal_seal arg = wait_mapped(10 * NSEC_PER_MSEC);

	arg.flags |= PINSEAL_SEAL_ISOLATE;
	EXPECT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_WRITABLE_MAPPING, arg.outcome);
	EXPECT_EQ(0, arg.isolated_pages);
	EXPECT_UNCHANGED(self);
}

TEST_F(mapped, in_the_background)
{
	struct pinseal_seal arg = wait_mapped(LONG_NS);

	arg.flags |= PINSEAL_SEAL_ASYNC;
	ASSERT_EQ(0, ps_seal(self->fd, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_PENDING, arg.outcome);
	ASSERT_EQ(0, async_wait_scan(self->fd, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_PENDING, arg.outcome);
	EXPECT_FALSE(async_ended(self->fd));
	UNMAP(self);
	EXPECT_EQ(0, async_wait(self->fd, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_SEALED, arg.outcome);
	EXPECT_EQ(F_SEAL_WRITE, ps_get_seals(self->fd));
}

TEST_F(mapped, in_the_background_until_the_deadline_or_a_cancel)
{
	struct pinseal_seal arg = wait_mapped(5 * NSEC_PER_MSEC);

	arg.flags |= PINSEAL_SEAL_ASYNC;
	ASSERT_EQ(0, ps_seal(self->fd, &arg));
	EXPECT_EQ(-EBUSY, async_wait(self->fd, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_WRITABLE_MAPPING, arg.outcome);

	arg = wait_mapped(LONG_NS);
	arg.flags |= PINSEAL_SEAL_ASYNC;
	ASSERT_EQ(0, ps_seal(self->fd, &arg));
	EXPECT_EQ(0, async_cancel(self->fd, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_CANCELLED, arg.outcome);
	EXPECT_UNCHANGED(self);
}

/* The copy is writable as a whole, whatever its pages may be accessed for. */
static void child_outlives(FIXTURE_DATA(mapped) *self, struct __test_metadata *_metadata)
{
	struct pinseal_seal arg = seal_write(LONG_NS);
	struct sealer sealer;
	int go[2];
	pid_t pid;
	char c;

	ASSERT_EQ(0, pipe(go));
	pid = ps_fork();
	if (!pid) {
		close(go[1]);
		_exit(read(go[0], &c, 1) != 0);
	}
	ASSERT_LT(0, pid);
	UNMAP(self);
	EXPECT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_WRITABLE_MAPPING, arg.outcome);
	ASSERT_EQ(0, sealer_start(&sealer, self->fd, wait_mapped(LONG_NS)));
	sleep_ns(20 * NSEC_PER_MSEC);
	EXPECT_FALSE(sealer_done(&sealer));
	close(go[1]);
	EXPECT_EQ(0, sealer_join(&sealer));
	EXPECT_EQ(PINSEAL_OUTCOME_SEALED, sealer.arg.outcome);
	EXPECT_GE(LATE_NS, sealer.ended - sealer.began);
	EXPECT_EQ(0, ps_wait(pid));
	close(go[0]);
}

TEST_F(mapped, a_child_with_protections_of_pages)
{
	if (variant->plain)
		SKIP(return, "a plain descriptor has no protections of pages");
	ASSERT_EQ(0, ps_protect(self->fd, self->p, 2 * page_size(), PROT_READ));
	child_outlives(self, _metadata);
}

TEST_F(mapped, a_child_without_access)
{
	if (variant->plain)
		SKIP(return, "a plain descriptor has no protections of pages");
	ASSERT_EQ(0, ps_protect(self->fd, self->p, self->len, PROT_NONE));
	child_outlives(self, _metadata);
}

TEST_F(mapped, a_child_that_is_shown_other_pages)
{
	if (variant->plain || variant->kind != PINSEAL)
		SKIP(return, "memory that others may truncate is not remapped");
	ASSERT_EQ(0, ps_remap(self->fd, self->p, page_size(), 2, PROT_READ));
	ASSERT_EQ(0, ps_touch(self->p, false));
	child_outlives(self, _metadata);
}

/* Maps, writes and unmaps without rest. */
struct mapper {
	int fd;
	size_t len;
	bool over;
	unsigned long mapped, refused;
	unsigned char value;
	pthread_t thread;
};

static void *mapper_thread(void *data)
{
	struct mapper *m = data;

	while (!__atomic_load_n(&m->over, __ATOMIC_ACQUIRE)) {
		char *p = ps_map(m->fd, m->len, RW, MAP_SHARED);

		if (p == MAP_FAILED) {
			m->refused++;
			continue;
		}
		m->mapped++;
		memset(p, ++m->value, m->len);
		munmap(p, m->len);
	}
	return NULL;
}

/*
 * The sealer is not starved, and when it returns 0 no byte changes any more. Mappers through a plain
 * descriptor are not refused while the seal waits, so there they rest between mappings.
 */
TEST_F(mapped, against_mappers_without_rest)
{
	uint64_t until = now_ns() + test_rounds(500, 5000) * NSEC_PER_MSEC;
	unsigned int rounds = 0;

	UNMAP(self);
	if (variant->plain)
		return;
	while (rounds < 5 || (rounds < 1000 && now_ns() < until)) {
		struct pinseal_seal arg = wait_mapped(LONG_NS);
		struct mapper m[2] = { 0 };
		char *before = malloc(self->len), *after = malloc(self->len);
		int fd = obj_create(variant->kind, self->len);

		ASSERT_LE(0, fd);
		for (size_t i = 0; i < ARRAY_SIZE(m); i++) {
			m[i].fd = fd;
			m[i].len = self->len;
			ASSERT_EQ(0, pthread_create(&m[i].thread, NULL, mapper_thread, &m[i]));
		}
		while (!__atomic_load_n(&m[0].mapped, __ATOMIC_RELAXED) ||
		       !__atomic_load_n(&m[1].mapped, __ATOMIC_RELAXED))
			sched_yield();
		EXPECT_EQ(0, ps_seal(fd, &arg)) {
			TH_LOG("outcome %u after %u scans", arg.outcome, arg.scans);
		}
		EXPECT_EQ(self->len, sys(pread(fd, before, self->len, 0)));
		sleep_ns(200000);
		EXPECT_EQ(self->len, sys(pread(fd, after, self->len, 0)));
		EXPECT_EQ(0, memcmp(before, after, self->len));
		for (size_t i = 0; i < ARRAY_SIZE(m); i++) {
			__atomic_store_n(&m[i].over, true, __ATOMIC_RELEASE);
			pthread_join(m[i].thread, NULL);
		}
		EXPECT_EQ(self->len, sys(pread(fd, after, self->len, 0)));
		EXPECT_EQ(0, memcmp(before, after, self->len));
		EXPECT_EQ(-EPERM, ps_try_map(fd, self->len, RW, MAP_SHARED));
		close(fd);
		free(before);
		free(after);
		rounds++;
	}
}

/* Children that exit race the seal: the last one's unmap is what ends the wait. */
TEST_F(mapped, against_forks)
{
	for (unsigned int i = 0; i < test_rounds(10, 100); i++) {
		struct pinseal_seal arg = wait_mapped(LONG_NS);
		pid_t pids[3];
		int fd = obj_create(variant->kind, self->len);
		int mapped = variant->plain ? ps_export(fd, 0) : ps_reopen(fd, O_RDWR);
		char *p = ps_map(mapped, self->len, RW, MAP_SHARED), byte;

		ASSERT_NE(MAP_FAILED, p);
		for (size_t j = 0; j < ARRAY_SIZE(pids); j++) {
			pids[j] = ps_fork();
			if (!pids[j]) {
				for (int k = 0; k < 1000; k++)
					__atomic_add_fetch(&p[k], 1, __ATOMIC_RELAXED);
				_exit(0);
			}
			ASSERT_LT(0, pids[j]);
		}
		ASSERT_EQ(0, munmap(p, self->len));
		EXPECT_EQ(0, ps_seal(fd, &arg));
		/* Every child has written all of its bytes, or would now fault. */
		EXPECT_EQ(1, pread(fd, &byte, 1, 999));
		EXPECT_EQ(ARRAY_SIZE(pids), byte);
		for (size_t j = 0; j < ARRAY_SIZE(pids); j++)
			EXPECT_EQ(0, ps_wait(pids[j]));
		close(mapped);
		close(fd);
	}
}

TEST_HARNESS_MAIN

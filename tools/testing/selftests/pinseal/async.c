// SPDX-License-Identifier: GPL-2.0-only
/*
 * Asynchronous seals: results, bounds, cancellation, and that nothing of one is left when it
 * ends.
 */
#include "pass_fd.h"
#include "state.h"

#include "harness.h"
#include "async_fixture.h"

/* What F_SEAL_EXEC implies. */
#define WX_SEALS	(F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)

TEST(clean_object_is_sealed)
{
	static const uint32_t seals[] = {
		0, F_SEAL_WRITE, F_SEAL_GROW, F_SEAL_SHRINK, F_SEAL_FUTURE_WRITE, F_SEAL_EXEC,
		F_SEAL_SEAL | F_SEAL_WRITE, PINSEAL_F_SEAL_FUTURE_EXEC,
	};

	for (size_t i = 0; i < ARRAY_SIZE(seals); i++) {
		struct pinseal_seal arg = seal_async(seals[i], 0);
		int fd = ps_create(page_size());

		ASSERT_LE(0, fd);
		EXPECT_EQ(0, ps_seal(fd, &arg));
		EXPECT_EQ(PINSEAL_OUTCOME_PENDING, arg.outcome);
		EXPECT_EQ(0, async_wait(fd, &arg));
		EXPECT_EQ(PINSEAL_OUTCOME_SEALED, arg.outcome);
		/* An executable object becomes unchangeable. */
		EXPECT_EQ(seals[i] | (seals[i] & F_SEAL_EXEC ? WX_SEALS : 0), ps_get_seals(fd));
		EXPECT_EQ(0, arg.pinned_pages);
		EXPECT_EQ(PINSEAL_NO_PAGE, arg.first_pinned);
		/* Reported once. */
		EXPECT_FALSE(async_ended(fd));
		close(fd);
	}
}

TEST(unused_object_is_sealed)
{
	struct pinseal_seal arg = seal_async(F_SEAL_WRITE, 0);
	int fd = ps_open(O_RDWR);

	ASSERT_LE(0, fd);
	EXPECT_EQ(ALWAYS_READY, ready_within(fd, ALWAYS_READY | POLLPRI, 0));
	EXPECT_EQ(0, ps_seal(fd, &arg));
	EXPECT_EQ(0, async_wait(fd, &arg));
	EXPECT_EQ(F_SEAL_WRITE, ps_get_seals(fd));
	close(fd);
}

TEST_F(async, shows_waiters)
{
	struct pinseal_seal arg = seal_async(F_SEAL_WRITE, FOR_EVER);
	struct sealer s;

	EXPECT_TRUE(waiters_become(self->fd, "0"));
	ASSERT_EQ(0, ps_seal(self->fd, &arg));
	EXPECT_TRUE(waiters_become(self->fd, "1"));
	/* Waits for the seal exclusion, and then for the page. */
	ASSERT_EQ(0, sealer_start(&s, self->fd, seal_write(FOR_EVER)));
	EXPECT_TRUE(waiters_become(self->fd, "2"));
	EXPECT_EQ(0, async_cancel(self->fd, &arg));
	EXPECT_TRUE(waiters_become(self->fd, "1"));
	ASSERT_EQ(0, release_page(self));
	EXPECT_EQ(0, sealer_join(&s));
	EXPECT_TRUE(waiters_become(self->fd, "0"));
}

TEST_F(async, is_pending_until_the_page_is_released)
{
	struct pinseal_seal arg = seal_async(F_SEAL_WRITE, FOR_EVER);
	uint32_t scans;

	ASSERT_EQ(0, ps_seal(self->fd, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_PENDING, arg.outcome);
	EXPECT_EQ(ALWAYS_READY, ready_within(self->fd, ALWAYS_READY | POLLPRI, 0));
	EXPECT_EQ(0, ready_within(self->fd, POLLPRI, 50));
	EXPECT_EQ(0, ps_get_seals(self->fd));

	/* A query reports the progress and changes nothing. */
	ASSERT_EQ(0, async_wait_scan(self->fd, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_PENDING, arg.outcome);
	EXPECT_EQ(1, arg.pinned_pages);
	EXPECT_EQ(HELD, arg.first_pinned);
	EXPECT_LE(1, arg.scans);
	scans = arg.scans;

	/* As with any seal, writable mappings are refused. */
	EXPECT_EQ(-EBUSY, ps_try_map(self->fd, page_size(), PROT_READ | PROT_WRITE, MAP_SHARED));

	ASSERT_EQ(0, release_page(self));
	ASSERT_EQ(0, async_wait(self->fd, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_SEALED, arg.outcome);
	EXPECT_LT(scans, arg.scans);
	EXPECT_EQ(F_SEAL_WRITE, ps_get_seals(self->fd));
	EXPECT_EQ(-EPERM, sys(pwrite(self->memory, "x", 1, 0)));
	EXPECT_EQ(ALWAYS_READY, ready_within(self->fd, ALWAYS_READY | POLLPRI, 0));
}

TEST_F(async, keeps_to_its_bounds)
{
	struct pinseal_seal by_time = seal_async(F_SEAL_WRITE, 30 * NSEC_PER_MSEC);
	struct pinseal_seal by_scans = seal_async(F_SEAL_WRITE, FOR_EVER);
	struct pinseal_seal by_default = seal_async(F_SEAL_WRITE, 0);
	struct pinseal_seal at_once = seal_async(F_SEAL_WRITE, FOR_EVER);

	ASSERT_EQ(0, ps_seal(self->fd, &by_time));
	ASSERT_EQ(-EBUSY, async_wait(self->fd, &by_time));
	EXPECT_EQ(PINSEAL_OUTCOME_PINNED, by_time.outcome);
	EXPECT_EQ(1, by_time.pinned_pages);
	EXPECT_EQ(HELD, by_time.first_pinned);
	EXPECT_LE(30 * NSEC_PER_MSEC, by_time.waited_ns);
	EXPECT_UNTOUCHED(self->memory);

	by_scans.max_scans = 7;
	ASSERT_EQ(0, ps_seal(self->fd, &by_scans));
	ASSERT_EQ(-EBUSY, async_wait(self->fd, &by_scans));
	EXPECT_EQ(PINSEAL_OUTCOME_PINNED, by_scans.outcome);
	EXPECT_EQ(7, by_scans.scans);
	EXPECT_UNTOUCHED(self->memory);

	ASSERT_EQ(0, ps_seal(self->fd, &by_default));
	ASSERT_EQ(-EBUSY, async_wait(self->fd, &by_default));
	EXPECT_LE(150 * NSEC_PER_MSEC, by_default.waited_ns);

	at_once.flags |= PINSEAL_SEAL_NOWAIT;
	ASSERT_EQ(0, ps_seal(self->fd, &at_once));
	ASSERT_EQ(-EBUSY, async_wait(self->fd, &at_once));
	EXPECT_EQ(PINSEAL_OUTCOME_PINNED, at_once.outcome);
	EXPECT_UNTOUCHED(self->memory);

	ASSERT_EQ(0, release_page(self));
	EXPECT_EQ(0, ps_add_seals(self->fd, F_SEAL_WRITE));
}

TEST(writable_mapping_is_refused)
{
	struct pinseal_seal arg = seal_async(F_SEAL_WRITE, FOR_EVER);
	int fd = ps_create(page_size());
	char *p = ps_map(fd, page_size(), PROT_READ | PROT_WRITE, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(0, ps_seal(fd, &arg));
	EXPECT_EQ(-EBUSY, async_wait(fd, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_WRITABLE_MAPPING, arg.outcome);
	EXPECT_EQ(0, ps_get_seals(fd));
	*p = 'w';
	munmap(p, page_size());
	arg = seal_async(F_SEAL_WRITE, FOR_EVER);
	EXPECT_EQ(0, ps_seal(fd, &arg));
	EXPECT_EQ(0, async_wait(fd, &arg));
	close(fd);
}

/* What an earlier call left in the struct does not count. */
TEST_F(async, starts_anew)
{
	struct pinseal_seal arg = seal_async(F_SEAL_WRITE, LONG_NS);

	arg.max_scans = 3;
	arg.scans = 1000;
	arg.waited_ns = FOR_EVER;
	ASSERT_EQ(0, ps_seal(self->fd, &arg));
	ASSERT_EQ(-EBUSY, async_wait(self->fd, &arg));
	EXPECT_EQ(3, arg.scans);
	EXPECT_GT(LONG_NS, arg.waited_ns);
}

TEST_F(async, isolates)
{
	struct pinseal_seal arg = seal_async(F_SEAL_WRITE, FOR_EVER);

	arg.flags |= PINSEAL_SEAL_NOWAIT | PINSEAL_SEAL_ISOLATE;
	ASSERT_EQ(0, ps_seal(self->fd, &arg));
	ASSERT_EQ(0, async_wait(self->fd, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_SEALED, arg.outcome);
	EXPECT_EQ(1, arg.isolated_pages);
	EXPECT_EQ(F_SEAL_WRITE, ps_get_seals(self->fd));
}

/* Other sealers */

TEST_F(async, owns_the_seal_exclusion)
{
	struct pinseal_seal arg = seal_async(F_SEAL_WRITE, FOR_EVER), other = seal_write(1000);

	ASSERT_EQ(0, ps_seal(self->fd, &arg));
	ASSERT_EQ(0, async_wait_scan(self->fd, &arg));
	EXPECT_EQ(-EBUSY, ps_seal(self->fd, &other));
	EXPECT_EQ(PINSEAL_OUTCOME_PINNED, other.outcome);
	EXPECT_EQ(HELD, other.first_pinned);
	ASSERT_EQ(0, release_page(self));
	EXPECT_EQ(0, async_wait(self->fd, &arg));
	/* The seal exclusion is released. */
	EXPECT_EQ(0, ps_add_seals(self->fd, F_SEAL_GROW));
	EXPECT_EQ(F_SEAL_WRITE | F_SEAL_GROW, ps_get_seals(self->fd));
}

TEST_F(async, waits_for_the_seal_exclusion)
{
	struct pinseal_seal arg = seal_async(F_SEAL_GROW, FOR_EVER);
	struct pinseal_seal late = seal_async(F_SEAL_SHRINK, 20 * NSEC_PER_MSEC);
	struct sealer s;

	ASSERT_EQ(0, sealer_start(&s, self->fd, seal_write(FOR_EVER)));
	ASSERT_EQ(0, ps_seal(self->fd, &late));
	EXPECT_EQ(-EBUSY, async_wait(self->fd, &late));
	EXPECT_EQ(PINSEAL_OUTCOME_PINNED, late.outcome);
	EXPECT_EQ(HELD, late.first_pinned);
	EXPECT_EQ(0, ps_get_seals(self->fd));

	ASSERT_EQ(0, ps_seal(self->fd, &arg));
	EXPECT_EQ(0, ready_within(self->fd, POLLPRI, 20));
	ASSERT_EQ(0, release_page(self));
	EXPECT_EQ(0, sealer_join(&s));
	EXPECT_EQ(0, async_wait(self->fd, &arg));
	EXPECT_EQ(F_SEAL_WRITE | F_SEAL_GROW, ps_get_seals(self->fd));
}

TEST_F(async, is_refused_after_seal_seal)
{
	struct pinseal_seal arg = seal_async(F_SEAL_GROW, FOR_EVER), before;
	struct pinseal_seal end = seal_write(FOR_EVER);
	struct sealer s;

	end.seals |= F_SEAL_SEAL;
	ASSERT_EQ(0, sealer_start(&s, self->fd, end));
	ASSERT_EQ(0, ps_seal(self->fd, &arg));
	before = arg;
	ASSERT_EQ(0, release_page(self));
	EXPECT_EQ(0, sealer_join(&s));
	EXPECT_EQ(-EPERM, async_wait(self->fd, &arg));
	EXPECT_EQ(0, memcmp(&before, &arg, sizeof(arg)));
	EXPECT_EQ(F_SEAL_WRITE | F_SEAL_SEAL, ps_get_seals(self->fd));
	/* Reported once; from now on the call itself fails. */
	EXPECT_FALSE(async_ended(self->fd));
	EXPECT_EQ(-EPERM, ps_seal(self->fd, &arg));
}

TEST_F(async, is_one_at_a_time)
{
	struct pinseal_seal arg = seal_async(F_SEAL_WRITE, FOR_EVER);
	struct pinseal_seal other = seal_async(F_SEAL_WRITE | F_SEAL_GROW, FOR_EVER);

	ASSERT_EQ(0, ps_seal(self->fd, &arg));
	EXPECT_EQ(-EALREADY, ps_seal(self->fd, &other));
	EXPECT_EQ(-EALREADY, async_cancel(self->fd, &other));
	ASSERT_EQ(0, release_page(self));
	ASSERT_EQ(POLLPRI, ready_within(self->fd, POLLPRI, SOON_NS / NSEC_PER_MSEC));
	/* Nor before the result is fetched. */
	EXPECT_EQ(-EALREADY, ps_seal(self->fd, &other));
	EXPECT_EQ(0, ps_seal(self->fd, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_SEALED, arg.outcome);
	EXPECT_EQ(0, ps_seal(self->fd, &other));
	EXPECT_EQ(0, async_wait(self->fd, &other));
	EXPECT_EQ(F_SEAL_WRITE | F_SEAL_GROW, ps_get_seals(self->fd));
}

TEST_F(async, belongs_to_the_object)
{
	struct pinseal_seal arg = seal_async(F_SEAL_WRITE, FOR_EVER);
	int other = ps_reopen(self->fd, O_RDWR), reader = ps_reopen(self->fd, O_RDONLY);

	ASSERT_LE(0, other);
	ASSERT_LE(0, reader);
	ASSERT_EQ(0, ps_seal(self->fd, &arg));
	EXPECT_EQ(-EPERM, ps_seal(reader, &arg));
	EXPECT_EQ(-EPERM, async_cancel(reader, &arg));
	ASSERT_EQ(0, ps_seal(other, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_PENDING, arg.outcome);
	ASSERT_EQ(0, release_page(self));
	/* Any descriptor polls; only one that may seal fetches. */
	EXPECT_EQ(POLLPRI, ready_within(reader, POLLPRI, SOON_NS / NSEC_PER_MSEC));
	EXPECT_EQ(-EPERM, ps_seal(reader, &arg));
	EXPECT_TRUE(async_ended(self->fd));
	EXPECT_EQ(0, ps_seal(other, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_SEALED, arg.outcome);
	EXPECT_FALSE(async_ended(self->fd));
	close(reader);
	close(other);
}

TEST_F(async, is_shown_in_fdinfo)
{
	struct pinseal_seal arg = seal_async(F_SEAL_WRITE | F_SEAL_GROW, FOR_EVER);
	char shown[32];

	EXPECT_EQ(-ENOENT, fdinfo_value(self->fd, "sealing", shown, sizeof(shown)));
	ASSERT_EQ(0, ps_seal(self->fd, &arg));
	EXPECT_EQ(0, fdinfo_value(self->fd, "sealing", shown, sizeof(shown)));
	EXPECT_EQ(arg.seals, strtoul(shown, NULL, 0));
	ASSERT_EQ(0, async_cancel(self->fd, &arg));
	EXPECT_EQ(-ENOENT, fdinfo_value(self->fd, "sealing", shown, sizeof(shown)));
	/* Also after the end, for others that know the request. */
	arg = seal_async(F_SEAL_GROW, 0);
	ASSERT_EQ(0, ps_seal(self->fd, &arg));
	ASSERT_EQ(POLLPRI, ready_within(self->fd, POLLPRI, SOON_NS / NSEC_PER_MSEC));
	EXPECT_EQ(0, fdinfo_value(self->fd, "sealing", shown, sizeof(shown)));
	EXPECT_EQ(arg.seals, strtoul(shown, NULL, 0));
	EXPECT_EQ(0, ps_seal(self->fd, &arg));
	EXPECT_EQ(-ENOENT, fdinfo_value(self->fd, "sealing", shown, sizeof(shown)));
}

/* Cancellation */

TEST_F(async, is_cancelled)
{
	struct pinseal_seal arg = seal_async(F_SEAL_WRITE, FOR_EVER);

	EXPECT_EQ(-ENOENT, async_cancel(self->fd, &arg));
	for (int i = 0; i < 20; i++) {
		arg = seal_async(F_SEAL_WRITE, FOR_EVER);
		ASSERT_EQ(0, ps_seal(self->fd, &arg));
		sleep_ns(i * NSEC_PER_MSEC / 10);
		ASSERT_EQ(0, async_cancel(self->fd, &arg));
		EXPECT_EQ(PINSEAL_OUTCOME_CANCELLED, arg.outcome);
		EXPECT_UNTOUCHED(self->memory);
		EXPECT_FALSE(async_ended(self->fd));
		EXPECT_EQ(-ENOENT, async_cancel(self->fd, &arg));
	}
	arg = seal_async(F_SEAL_WRITE, FOR_EVER);
	ASSERT_EQ(0, async_wait_scan(self->fd, &arg));
	ASSERT_EQ(0, async_cancel(self->fd, &arg));
	/* The first scan may meet others, in LRU batches. */
	EXPECT_LE(1, arg.pinned_pages);
	EXPECT_GE(HELD, arg.first_pinned);
	ASSERT_EQ(0, release_page(self));
	/* No worker is left that could seal it now. */
	sleep_ns(20 * NSEC_PER_MSEC);
	EXPECT_UNTOUCHED(self->memory);
	EXPECT_EQ(0, ps_add_seals(self->fd, F_SEAL_WRITE));
}

TEST_F(async, cannot_be_cancelled_where_nothing_is_asynchronous)
{
	struct pinseal_seal arg = seal_write(FOR_EVER);

	arg.flags = PINSEAL_SEAL_CANCEL;
	EXPECT_EQ(-EINVAL, ps_seal(self->fd, &arg));
	EXPECT_UNTOUCHED(self->memory);
}

TEST_F(async, is_cancelled_too_late)
{
	struct pinseal_seal arg = seal_async(F_SEAL_WRITE, NSEC_PER_MSEC);

	ASSERT_EQ(0, ps_seal(self->fd, &arg));
	ASSERT_EQ(POLLPRI, ready_within(self->fd, POLLPRI, SOON_NS / NSEC_PER_MSEC));
	EXPECT_EQ(-EBUSY, async_cancel(self->fd, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_PINNED, arg.outcome);
	EXPECT_FALSE(async_ended(self->fd));

	ASSERT_EQ(0, release_page(self));
	arg = seal_async(F_SEAL_WRITE, FOR_EVER);
	ASSERT_EQ(0, ps_seal(self->fd, &arg));
	ASSERT_EQ(POLLPRI, ready_within(self->fd, POLLPRI, SOON_NS / NSEC_PER_MSEC));
	EXPECT_EQ(0, async_cancel(self->fd, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_SEALED, arg.outcome);
	EXPECT_EQ(F_SEAL_WRITE, ps_get_seals(self->fd));
}

TEST_F(async, ends_with_the_last_descriptor)
{
	struct pinseal_seal arg = seal_async(F_SEAL_WRITE, FOR_EVER);
	int others[] = { sys(dup(self->fd)), ps_reopen(self->fd, O_RDONLY) };

	ASSERT_LE(0, others[0]);
	ASSERT_LE(0, others[1]);
	ASSERT_EQ(0, async_wait_scan(self->fd, &arg));
	close(self->fd);
	self->fd = -1;
	close(others[0]);
	/* Denied to other descriptors of the memory as well. */
	EXPECT_EQ(-EPERM, ps_try_map(self->memory, page_size(), PROT_READ | PROT_WRITE,
				     MAP_SHARED));
	close(others[1]);
	EXPECT_UNTOUCHED(self->memory);
	ASSERT_EQ(0, release_page(self));
	sleep_ns(20 * NSEC_PER_MSEC);
	EXPECT_UNTOUCHED(self->memory);
}

/* An object that is still mapped is not released. */
TEST_F(async, is_pending_while_there_is_a_mapping)
{
	struct pinseal_seal arg = seal_async(F_SEAL_WRITE, FOR_EVER);
	char *p = ps_map(self->fd, self->len, PROT_READ, MAP_PRIVATE);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, async_wait_scan(self->fd, &arg));
	close(self->fd);
	self->fd = -1;
	EXPECT_EQ(-EPERM, ps_try_map(self->memory, page_size(), PROT_READ | PROT_WRITE,
				     MAP_SHARED));
	munmap(p, self->len);
	EXPECT_UNTOUCHED(self->memory);
}

/* A child seals its object, of which the parent has the memory and holds a page. */
TEST_F(async, ends_with_its_process)
{
	for (int i = 0; i < 10; i++) {
		struct hold hold;
		int memory, socks[2];
		pid_t child;
		char byte;

		ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, socks));
		child = ps_fork();
		ASSERT_LE(0, child);
		if (!child) {
			struct pinseal_seal arg = seal_async(F_SEAL_WRITE, FOR_EVER);
			int fd = ps_create(self->len);

			if (send_fd(socks[1], ps_export(fd, 0)) != 1 ||
			    read(socks[1], &byte, 1) != 1 || ps_seal(fd, &arg) ||
			    write(socks[1], "s", 1) != 1)
				_exit(1);
			for (;;)
				pause();
		}
		memory = receive_fd(socks[0]);
		ASSERT_LE(0, memory);
		ASSERT_EQ(0, hold_begin(&hold, HOLD_VMSPLICE, memory, HELD, 1));
		ASSERT_EQ(1, write(socks[0], "g", 1));
		ASSERT_EQ(1, read(socks[0], &byte, 1));
		sleep_ns(i * NSEC_PER_MSEC);
		ps_kill(child);
		EXPECT_UNTOUCHED(memory);
		ASSERT_EQ(0, hold_end(&hold));
		close(memory);
		close(socks[0]);
		close(socks[1]);
	}
}

TEST_HARNESS_MAIN

// SPDX-License-Identifier: GPL-2.0-only
/* Leased pin handles: a sealer requests the pages, and revokes the lease after its grace. */
#include "async.h"
#include "bytes.h"
#include "content.h"
#include "cpu.h"
#include "object.h"
#include "rounds.h"
#include "stalled_transfer.h"
#include "state.h"

#include "harness.h"

#define FIRST		3	/* what is leased */
#define COUNT		4

#define SHORT_NS	(20 * NSEC_PER_MSEC)
#define WHILE_NS	(500 * NSEC_PER_MSEC)

static struct pinseal_seal seal_revoking(uint64_t timeout_ns)
{
	struct pinseal_seal arg = seal_write(timeout_ns);

	arg.flags = PINSEAL_SEAL_REVOKE;
	return arg;
}

/* An object without extra references. */
FIXTURE(lease) {
	int fd;
};

FIXTURE_SETUP(lease)
{
	/* Pages that another CPU fills would be in its LRU batch. */
	run_on_cpu(0);
	self->fd = new_object();
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(lease)
{
	close(self->fd);
}

#define EXPECT_HELD(pin)							\
	do {									\
		struct pinseal_lease __lease;					\
		char __c;							\
										\
		EXPECT_EQ(0, ps_lease_state(pin, &__lease));			\
		EXPECT_EQ(PINSEAL_LEASE_HELD, __lease.state);			\
		EXPECT_EQ(0, __lease.until_ns);					\
		EXPECT_EQ(0, __lease.asker);					\
		EXPECT_EQ(ALWAYS_READY, ready_within(pin, ALWAYS_READY | POLLPRI, 0));	\
		EXPECT_EQ(1, sys(pread(pin, &__c, 1, 0)));			\
		EXPECT_EQ(1, sys(pwrite(pin, &__c, 1, 0)));			\
	} while (0)

#define EXPECT_REVOKED(pin)							\
	do {									\
		struct pinseal_lease __lease;					\
		char __c = 0;							\
										\
		EXPECT_EQ(0, ps_lease_state(pin, &__lease));			\
		EXPECT_EQ(PINSEAL_LEASE_REVOKED, __lease.state);		\
		EXPECT_EQ(POLLHUP, ready_within(pin, POLLPRI, 0));		\
		EXPECT_EQ(-ESTALE, sys(pread(pin, &__c, 1, 0)));		\
		EXPECT_EQ(-ESTALE, sys(pwrite(pin, &__c, 1, 0)));		\
	} while (0)

TEST_F(lease, reports_its_terms)
{
	int leased = ps_lease(self->fd, FIRST, COUNT, 12345), pin = ps_pin(self->fd, 0, 2, 0);
	struct pinseal_lease lease;
	char shown[32];

	ASSERT_LE(0, leased);
	EXPECT_EQ(0, ps_lease_state(leased, &lease));
	EXPECT_EQ(FIRST, lease.start);
	EXPECT_EQ(COUNT, lease.count);
	EXPECT_EQ(12345, lease.grace_ns);
	EXPECT_EQ(PINSEAL_PIN_LEASED, lease.flags);
	EXPECT_EQ(0, lease.pad);
	EXPECT_HELD(leased);
	EXPECT_EQ(0, ps_lease_state(pin, &lease));
	EXPECT_EQ(0, lease.grace_ns);
	EXPECT_EQ(0, lease.flags);
	EXPECT_EQ(-EFAULT, ps_ioctl(leased, PINSEAL_PIN_IOC_LEASE, NULL));
	EXPECT_EQ(-ENOTTY, ps_ioctl(self->fd, PINSEAL_PIN_IOC_LEASE, &lease));
	EXPECT_EQ(0, fdinfo_value(leased, "lease", shown, sizeof(shown)));
	EXPECT_STREQ("held", shown);
	EXPECT_EQ(-ENOENT, fdinfo_value(pin, "lease", shown, sizeof(shown)));
	EXPECT_EQ(0, fdinfo_value(self->fd, "pins", shown, sizeof(shown)));
	EXPECT_STREQ("2", shown);
	EXPECT_EQ(0, fdinfo_value(self->fd, "leases", shown, sizeof(shown)));
	EXPECT_STREQ("1", shown);
	close(leased);
	close(pin);
	EXPECT_EQ(0, fdinfo_value(self->fd, "pins", shown, sizeof(shown)));
	EXPECT_STREQ("0", shown);
}

TEST_F(lease, is_requested_and_revoked)
{
	int pin = ps_lease(self->fd, FIRST, COUNT, WHILE_NS);
	struct pinseal_lease lease;
	struct sealer s;
	uint64_t before = now_ns();

	ASSERT_LE(0, pin);
	ASSERT_EQ(0, sealer_start(&s, self->fd, seal_revoking(LONG_NS)));
	ASSERT_NE(0, ready_within(pin, POLLPRI, SOON_NS / NSEC_PER_MSEC) & (POLLPRI | POLLHUP));
	if (!ps_lease_state(pin, &lease) && lease.state == PINSEAL_LEASE_ASKED) {
		EXPECT_EQ(getpid(), lease.asker);
		EXPECT_LE(before + WHILE_NS, lease.until_ns);
		EXPECT_GE(now_ns() + WHILE_NS, lease.until_ns);
	}
	EXPECT_EQ(0, sealer_join(&s));
	EXPECT_LE(before + WHILE_NS, now_ns());
	EXPECT_EQ(COUNT, s.arg.revoked_pages);
	EXPECT_EQ(0, s.arg.pinned_pages);
	EXPECT_EQ(F_SEAL_WRITE, ps_get_seals(self->fd));
	EXPECT_REVOKED(pin);
	close(pin);
}

TEST_F(lease, is_not_revoked_when_released_in_time)
{
	int pin = ps_lease(self->fd, FIRST, COUNT, LONG_NS);
	struct sealer s;

	ASSERT_LE(0, pin);
	ASSERT_EQ(0, sealer_start(&s, self->fd, seal_revoking(LONG_NS)));
	ASSERT_EQ(POLLPRI, ready_within(pin, POLLPRI, SOON_NS / NSEC_PER_MSEC));
	close(pin);
	EXPECT_EQ(0, sealer_join(&s));
	EXPECT_EQ(0, s.arg.revoked_pages);
}

TEST_F(lease, is_left_alone_without_revoke)
{
	struct pinseal_seal arg = seal_write(SHORT_NS);
	int pin = ps_lease(self->fd, FIRST, COUNT, 0);

	ASSERT_LE(0, pin);
	EXPECT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_PINNED, arg.outcome);
	EXPECT_EQ(COUNT, arg.pinned_pages);
	EXPECT_HELD(pin);
	close(pin);
}

TEST_F(lease, is_not_needed_by_plain_pins)
{
	struct pinseal_seal arg = seal_revoking(SHORT_NS);
	int pin = ps_pin(self->fd, FIRST, COUNT, 0);

	ASSERT_LE(0, pin);
	EXPECT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_PINNED, arg.outcome);
	EXPECT_EQ(0, arg.revoked_pages);
	EXPECT_HELD(pin);
	close(pin);
}

TEST_F(lease, stays_when_the_requester_times_out)
{
	struct pinseal_seal arg = seal_revoking(SHORT_NS);
	int pin = ps_lease(self->fd, FIRST, COUNT, LONG_NS);

	ASSERT_LE(0, pin);
	EXPECT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_PINNED, arg.outcome);
	EXPECT_EQ(0, arg.revoked_pages);
	EXPECT_HELD(pin);
	close(pin);
}

/* After a sealer has timed out, the grace that passed does not count. */
TEST_F(lease, has_full_grace_at_a_new_request)
{
	struct pinseal_seal arg = seal_revoking(SHORT_NS);
	int pin = ps_lease(self->fd, FIRST, COUNT, LONG_NS);
	struct pinseal_lease lease;
	uint64_t again;

	ASSERT_LE(0, pin);
	ASSERT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	again = now_ns();
	arg = seal_revoking(LONG_NS);
	arg.flags |= PINSEAL_SEAL_ASYNC;
	ASSERT_EQ(0, ps_seal(self->fd, &arg));
	ASSERT_EQ(POLLPRI, ready_within(pin, POLLPRI, SOON_NS / NSEC_PER_MSEC));
	ASSERT_EQ(0, ps_lease_state(pin, &lease));
	EXPECT_LE(again + LONG_NS, lease.until_ns);
	ASSERT_EQ(0, async_cancel(self->fd, &arg));
	close(pin);
}

/*
 * A call that is restarted, here because its process is stopped for a moment, keeps the
 * request of before. On a slow machine the moment may be too long, but not each time.
 */
TEST_F(lease, keeps_its_grace_when_the_call_is_restarted)
{
	int pin = ps_lease(self->fd, FIRST, COUNT, LONG_NS), status;
	unsigned int rounds = 0, same = 0;
	struct pinseal_lease before, now;
	pid_t sealer;

	ASSERT_LE(0, pin);
	sealer = ps_fork();
	ASSERT_LE(0, sealer);
	if (!sealer) {
		struct pinseal_seal arg = seal_revoking(LONG_NS);

		/* What it inherited is the handle itself. */
		close(pin);
		_exit(ps_seal(self->fd, &arg) ? 1 : 0);
	}
	ASSERT_EQ(POLLPRI, ready_within(pin, POLLPRI, SOON_NS / NSEC_PER_MSEC));
	ASSERT_EQ(0, ps_lease_state(pin, &before));
	for (; rounds < 200 && !same; rounds++, before = now) {
		ASSERT_EQ(0, kill(sealer, SIGSTOP));
		ASSERT_EQ(sealer, waitpid(sealer, &status, WUNTRACED));
		ASSERT_TRUE(WIFSTOPPED(status)) TH_LOG("status %#x", status);
		EXPECT_HELD(pin);
		ASSERT_EQ(0, kill(sealer, SIGCONT));
		ASSERT_EQ(POLLPRI, ready_within(pin, POLLPRI, SOON_NS / NSEC_PER_MSEC));
		ASSERT_EQ(0, ps_lease_state(pin, &now));
		EXPECT_LE(before.until_ns, now.until_ns);
		same += before.until_ns == now.until_ns;
	}
	EXPECT_LT(0, same);
	TH_LOG("the same time after %u restarts", rounds);
	close(pin);
	EXPECT_EQ(0, ps_wait(sealer));
}

TEST_F(lease, is_revoked_at_once_without_grace)
{
	struct pinseal_seal arg = seal_revoking(0);
	int pins[] = { ps_lease(self->fd, 0, 1, 0), ps_lease(self->fd, FIRST, COUNT, 0) };

	ASSERT_LE(0, pins[0]);
	ASSERT_LE(0, pins[1]);
	arg.flags |= PINSEAL_SEAL_NOWAIT;
	EXPECT_EQ(0, ps_seal(self->fd, &arg));
	EXPECT_EQ(1 + COUNT, arg.revoked_pages);
	EXPECT_REVOKED(pins[0]);
	EXPECT_REVOKED(pins[1]);
	close(pins[0]);
	close(pins[1]);
}

TEST_F(lease, is_not_revoked_in_the_last_scan)
{
	struct pinseal_seal arg = seal_revoking(LONG_NS);
	int pin = ps_lease(self->fd, FIRST, COUNT, 0);

	ASSERT_LE(0, pin);
	arg.max_scans = 1;
	EXPECT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	EXPECT_EQ(0, arg.revoked_pages);
	EXPECT_HELD(pin);
	arg = seal_revoking(LONG_NS);
	arg.max_scans = 2;
	EXPECT_EQ(0, ps_seal(self->fd, &arg));
	EXPECT_EQ(COUNT, arg.revoked_pages);
	close(pin);
}

TEST_F(lease, does_not_delay_other_seals)
{
	struct pinseal_seal arg = seal_revoking(LONG_NS);
	int pin = ps_lease(self->fd, FIRST, COUNT, 0);

	ASSERT_LE(0, pin);
	arg.seals = F_SEAL_GROW | F_SEAL_SHRINK;
	EXPECT_EQ(0, ps_seal(self->fd, &arg));
	EXPECT_EQ(0, arg.revoked_pages);
	EXPECT_HELD(pin);
	close(pin);
}

TEST_F(lease, is_not_revoked_by_nowait)
{
	struct pinseal_seal arg = seal_revoking(0);
	int pin = ps_lease(self->fd, FIRST, COUNT, LONG_NS);

	ASSERT_LE(0, pin);
	arg.flags |= PINSEAL_SEAL_NOWAIT;
	EXPECT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	EXPECT_EQ(0, arg.revoked_pages);
	EXPECT_HELD(pin);
	close(pin);
}

/* An isolated page is not revoked, a revoked one not charged. */
TEST_F(lease, of_an_isolated_page_is_kept)
{
	struct pinseal_seal arg = seal_revoking(0);
	int pin = ps_lease(self->fd, FIRST, COUNT, LONG_NS);
	char c = 'i';

	ASSERT_LE(0, pin);
	arg.flags |= PINSEAL_SEAL_NOWAIT | PINSEAL_SEAL_ISOLATE;
	EXPECT_EQ(0, ps_seal(self->fd, &arg));
	EXPECT_EQ(COUNT, arg.isolated_pages);
	EXPECT_EQ(0, arg.revoked_pages);
	EXPECT_EQ(1, sys(pwrite(pin, &c, 1, 0)));
	EXPECT_EQ(1, sys(pread(self->fd, &c, 1, FIRST * page_size())));
	EXPECT_EQ('n', c);
	close(pin);
}

/* Leases are revoked though a plain pin remains. */
TEST_F(lease, is_revoked_though_a_pin_remains)
{
	struct pinseal_seal arg = seal_revoking(LONG_NS);
	int leased = ps_lease(self->fd, FIRST, COUNT, 1), pin = ps_pin(self->fd, 0, 1, 0);

	ASSERT_LE(0, leased);
	ASSERT_LE(0, pin);
	/* One scan to request, one to revoke, and the last. */
	arg.max_scans = 3;
	EXPECT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	EXPECT_EQ(COUNT, arg.revoked_pages);
	EXPECT_EQ(1, arg.pinned_pages);
	EXPECT_EQ(0, arg.first_pinned);
	EXPECT_REVOKED(leased);
	EXPECT_HELD(pin);
	close(leased);
	close(pin);
}

TEST_F(lease, is_revoked_asynchronously)
{
	struct pinseal_seal arg = seal_revoking(LONG_NS);
	int pin = ps_lease(self->fd, FIRST, COUNT, SHORT_NS);
	struct pinseal_lease lease;

	ASSERT_LE(0, pin);
	arg.flags |= PINSEAL_SEAL_ASYNC;
	ASSERT_EQ(0, ps_seal(self->fd, &arg));
	/* It may be over by now. */
	ASSERT_NE(0, ready_within(pin, POLLPRI, SOON_NS / NSEC_PER_MSEC) & (POLLPRI | POLLHUP));
	if (!ps_lease_state(pin, &lease) && lease.state == PINSEAL_LEASE_ASKED)
		EXPECT_EQ(getpid(), lease.asker);
	EXPECT_EQ(0, async_wait(self->fd, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_SEALED, arg.outcome);
	EXPECT_EQ(COUNT, arg.revoked_pages);
	EXPECT_REVOKED(pin);
	close(pin);
}

TEST_F(lease, request_is_withdrawn_by_cancel)
{
	struct pinseal_seal arg = seal_revoking(LONG_NS);
	int pin = ps_lease(self->fd, FIRST, COUNT, LONG_NS);

	ASSERT_LE(0, pin);
	arg.flags |= PINSEAL_SEAL_ASYNC;
	ASSERT_EQ(0, ps_seal(self->fd, &arg));
	ASSERT_EQ(POLLPRI, ready_within(pin, POLLPRI, SOON_NS / NSEC_PER_MSEC));
	ASSERT_EQ(0, async_cancel(self->fd, &arg));
	EXPECT_EQ(PINSEAL_OUTCOME_CANCELLED, arg.outcome);
	EXPECT_HELD(pin);
	close(pin);
}

/* A transfer may take long to get at the caller's memory. */

FIXTURE(stalled) {
	int fd;
};
FIXTURE_VARIANT(stalled) { bool writes; };
FIXTURE_VARIANT_ADD(stalled, read) { .writes = false };
FIXTURE_VARIANT_ADD(stalled, write) { .writes = true };

FIXTURE_SETUP(stalled)
{
	self->fd = new_object();
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(stalled)
{
	close(self->fd);
}

TEST_F(stalled, does_not_delay_revocation)
{
	struct pinseal_seal arg = seal_revoking(LONG_NS);
	int pin = ps_lease(self->fd, FIRST, COUNT, 0);
	struct stalled_transfer t;
	uint64_t before;

	ASSERT_LE(0, pin);
	ASSERT_EQ(0, stalled_transfer_begin(&t, pin, variant->writes));
	EXPECT_EQ(0, ps_seal(self->fd, &arg));
	EXPECT_EQ(COUNT, arg.revoked_pages);
	before = checksum(self->fd, SIZE);
	EXPECT_EQ(0, stalled_transfer_end(&t));
	/* What was read came from before. */
	EXPECT_EQ(variant->writes ? -ESTALE : (ssize_t)page_size(), t.ret);
	EXPECT_EQ(before, checksum(self->fd, SIZE));
	close(pin);
}

/*
 * Leases are revoked while others read and write through them, release them and take new
 * ones.
 */
static void lease_and_write(struct worker *w, unsigned int number)
{
	uint32_t value = random_bits(&w->random);
	/* Where pages must be moved first, holders are in each other's way. */
	struct pinseal_pin arg = {
		.start = value % PAGES,
		.count = 1,
		.grace_ns = value % (NSEC_PER_MSEC / 2),
		.flags = PINSEAL_PIN_LEASED | PINSEAL_PIN_WAIT,
		.timeout_ns = LONG_NS,
	};
	int pin = ps_ioctl(w->round->fd, PINSEAL_IOC_PIN, &arg), ret;
	bool was_sealed;
	char c;

	if (pin < 0) {
		count(pin == -EPERM ? &w->round->refused : &w->round->violations);
		return;
	}
	for (unsigned int i = value >> 26; i; i--) {
		was_sealed = is_sealed(w->round);
		if (i & 1)
			ret = sys(pwrite(pin, &value, 1, value % page_size()));
		else
			ret = sys(pread(pin, &c, 1, value % page_size()));
		if (ret != (was_sealed ? -ESTALE : 1) && ret != -ESTALE)
			count(&w->round->violations);
		if (ret < 0) {
			count(&w->round->done);
			break;
		}
	}
	close(pin);
}

TEST(revocation_against_holders)
{
	uint64_t until = now_ns() + test_rounds(500, 2000) * NSEC_PER_MSEC;
	unsigned int rounds, revoked = 0;
	struct round r = { 0 };
	struct worker w[3];

	ASSERT_EQ(0, workers_start(w, ARRAY_SIZE(w), &r, lease_and_write));
	for (rounds = 0; rounds < ENOUGH || revoked < ENOUGH || now_ns() < until; rounds++) {
		struct pinseal_seal arg = seal_revoking(LONG_NS);
		uint64_t before;
		int fd = new_object();

		ASSERT_LE(0, fd);
		round_begin(&r, fd);
		sleep_ns(rounds % 8 * NSEC_PER_MSEC / 4);
		ASSERT_EQ(0, ps_seal(fd, &arg));
		__atomic_store_n(&r.sealed, true, __ATOMIC_SEQ_CST);
		revoked += arg.revoked_pages;
		before = checksum(fd, SIZE);
		sleep_ns(NSEC_PER_MSEC);
		EXPECT_EQ(before, checksum(fd, SIZE));
		round_end(&r);
		close(fd);
		ASSERT_EQ(0, r.violations);
	}
	workers_stop(w, ARRAY_SIZE(w), &r);
	TH_LOG("%u objects sealed, %u pages revoked, noticed by %lu holders", rounds, revoked,
	       r.done);
	EXPECT_EQ(0, r.violations);
}

TEST_HARNESS_MAIN

// SPDX-License-Identifier: GPL-2.0-only
/* Trace events, read through tracefs: events of an object, in order, with its number. */
#include <sys/mount.h>

#include "async.h"
#include "cpu.h"
#include "holders.h"
#include "rounds.h"
#include "state.h"
#include "sysfile.h"
#include "unpinnable.h"

#include "harness.h"

#define TRACEFS		"/sys/kernel/tracing"
#define EVENTS		TRACEFS "/events/pinseal"

FIXTURE(trace) {
	int fd;
	char object[32];	/* its number */
	char *text;		/* the trace */
	char *at;		/* the position in it */
};

static bool can_trace(void)
{
	if (access(EVENTS, F_OK))
		mount("tracefs", TRACEFS, "tracefs", 0, NULL);
	return !access(TRACEFS "/trace", W_OK);
}

FIXTURE_SETUP(trace)
{
	if (!can_trace())
		SKIP(return, "no tracefs");
	self->text = calloc(1, 1 << 20);
	ASSERT_NE(NULL, self->text);
	ASSERT_EQ(0, access(EVENTS "/enable", W_OK));
	/* Pages that another CPU fills would be in its LRU batch. */
	run_on_cpu(0);
	self->fd = new_object();
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, fdinfo_value(self->fd, "object", self->object, sizeof(self->object)));
	ASSERT_EQ(0, write_text(TRACEFS "/trace", ""));
	ASSERT_EQ(0, write_text(EVENTS "/enable", "1"));
}

FIXTURE_TEARDOWN(trace)
{
	if (!self->text)
		return;
	write_text(EVENTS "/enable", "0");
	close(self->fd);
	free(self->text);
}

/* Ends tracing and reads the trace. */
static int collect(FIXTURE_DATA(trace) *self)
{
	int fd = open(TRACEFS "/trace", O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	write_text(EVENTS "/enable", "0");
	while ((n = read(fd, self->text + len, (1 << 20) - 1 - len)) > 0)
		len += n;
	close(fd);
	self->at = self->text;
	return n < 0 ? -errno : 0;
}

/* Whether an event of the object with these arguments comes next; others are skipped. */
static bool comes(FIXTURE_DATA(trace) *self, const char *event, const char *arguments)
{
	char want[256];
	char *found;

	snprintf(want, sizeof(want), "pinseal_%s: object=%s %s", event, self->object, arguments);
	found = strstr(self->at, want);
	if (!found)
		return false;
	self->at = found + strlen(want);
	return true;
}

#define EXPECT_EVENT(self, event, arguments)					\
	EXPECT_TRUE(comes(self, event, arguments)) {				\
		TH_LOG("no " event " %s in:\n%s", arguments, (self)->text);	\
	}

TEST_F(trace, of_a_seal)
{
	struct pinseal_seal arg = seal_write(123456);

	arg.flags = PINSEAL_SEAL_NOWAIT;
	ASSERT_EQ(0, ps_seal(self->fd, &arg));
	ASSERT_EQ(0, collect(self));
	EXPECT_EVENT(self, "seal_begin", "seals=0x8 flags=0x1 timeout_ns=123456");
	EXPECT_EVENT(self, "seal_scan", "scans=1 pinned_pages=0 first_pinned=-1");
	EXPECT_EVENT(self, "seal_end", "outcome=0 scans=");
}

TEST_F(trace, of_a_seal_that_fails)
{
	struct pinseal_seal arg = seal_write(LONG_NS);
	struct hold hold;

	arg.max_scans = 2;
	ASSERT_EQ(0, hold_begin(&hold, HOLD_VMSPLICE, self->fd, 2, 3));
	ASSERT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	ASSERT_EQ(0, hold_end(&hold));
	ASSERT_EQ(0, collect(self));
	EXPECT_EVENT(self, "seal_begin", "seals=0x8 flags=0x0 ");
	EXPECT_EVENT(self, "seal_scan", "scans=1 pinned_pages=");
	EXPECT_EVENT(self, "seal_scan", "scans=2 pinned_pages=3 first_pinned=2");
	EXPECT_EVENT(self, "seal_end", "outcome=2 ");
}

TEST_F(trace, of_a_seal_that_is_refused)
{
	struct pinseal_seal arg = seal_write(0);
	void *p = ps_map(self->fd, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	munmap(p, SIZE);
	ASSERT_EQ(0, collect(self));
	EXPECT_EVENT(self, "seal_begin", "");
	EXPECT_EVENT(self, "seal_end", "outcome=1 scans=0 waited_ns=0 isolated_pages=0 revoked_pages=0");
}

TEST_F(trace, of_handles)
{
	struct pinseal_seal arg = seal_write(LONG_NS);
	int pin = ps_pin(self->fd, 1, 2, PINSEAL_PIN_READONLY);
	int lease = ps_lease(self->fd, 4, 3, 0);

	ASSERT_LE(0, pin);
	ASSERT_LE(0, lease);
	close(pin);
	arg.flags = PINSEAL_SEAL_REVOKE;
	ASSERT_EQ(0, ps_seal(self->fd, &arg));
	close(lease);
	ASSERT_EQ(0, collect(self));
	EXPECT_EVENT(self, "pin", "start=1 count=2 flags=0x1 grace_ns=0");
	EXPECT_EVENT(self, "pin", "start=4 count=3 flags=0x2 grace_ns=0");
	EXPECT_EVENT(self, "unpin", "start=1 count=2 held_ns=");
	EXPECT_EVENT(self, "seal_begin", "seals=0x8 flags=0x4 ");
	EXPECT_EVENT(self, "lease_asked", "start=4 count=3 until_ns=");
	EXPECT_EVENT(self, "lease_revoked", "start=4 count=3 held_ns=");
	EXPECT_EVENT(self, "seal_end", "outcome=0 ");
	EXPECT_EVENT(self, "unpin", "start=4 count=3 held_ns=");
}

TEST_F(trace, of_a_pin_that_waits)
{
	const size_t pages = 2048;
	struct hold hold;
	char want[64];
	long first;

	ASSERT_EQ(0, ps_resize(self->fd, pages * page_size()));
	first = unpinnable_fill(self->fd, pages, 't', 1);
	if (first < 0) {
		ASSERT_EQ(-ENOENT, first);
		write_text(EVENTS "/enable", "0");
		ASSERT_FALSE(unpinnable_machine());
		SKIP(return, "no pages in ZONE_MOVABLE or CMA");
	}
	ASSERT_EQ(0, hold_begin(&hold, HOLD_SPLICE, self->fd, first, 1));
	EXPECT_EQ(-EBUSY, ps_pin_wait(self->fd, 0, pages, 0, NSEC_PER_MSEC));
	ASSERT_EQ(0, hold_end(&hold));
	ASSERT_EQ(0, collect(self));
	snprintf(want, sizeof(want), "index=%ld left_ns=", first);
	EXPECT_EVENT(self, "pin_wait", want);
}

/* A sealer that may not wait requests nothing. */
TEST_F(trace, of_a_lease_that_is_not_requested)
{
	struct pinseal_seal arg = seal_write(0);
	int lease = ps_lease(self->fd, 4, 3, LONG_NS);

	ASSERT_LE(0, lease);
	arg.flags = PINSEAL_SEAL_NOWAIT | PINSEAL_SEAL_REVOKE;
	ASSERT_EQ(-EBUSY, ps_seal(self->fd, &arg));
	close(lease);
	ASSERT_EQ(0, collect(self));
	EXPECT_EVENT(self, "seal_end", "outcome=2 ");
	self->at = self->text;
	EXPECT_FALSE(comes(self, "lease_asked", "")) {
		TH_LOG("break requested in:\n%s", self->text);
	}
}

TEST_F(trace, of_isolation)
{
	struct pinseal_seal arg = seal_write(0);
	int pin = ps_pin(self->fd, 1, 2, 0);

	ASSERT_LE(0, pin);
	arg.flags = PINSEAL_SEAL_NOWAIT | PINSEAL_SEAL_ISOLATE;
	ASSERT_EQ(0, ps_seal(self->fd, &arg));
	close(pin);
	ASSERT_EQ(0, collect(self));
	EXPECT_EVENT(self, "isolate", "pages=2");
	EXPECT_EVENT(self, "seal_end", "outcome=0 ");
}

TEST_HARNESS_MAIN

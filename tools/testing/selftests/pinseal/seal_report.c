// SPDX-License-Identifier: GPL-2.0-only
/* The report of a seal without pins: success, and writable mappings. */
#include "harness.h"
#include "bytes.h"
#include "object.h"

#define JUNK		0xcc

/* An object of four pages, filled. */
FIXTURE(report) {
	int fd;
	size_t page, len;
	struct pinseal_seal arg;
};

FIXTURE_SETUP(report)
{
	char *buf;

	self->page = page_size();
	self->len = 4 * self->page;
	self->fd = ps_open(O_RDWR);
	ASSERT_LE(0, self->fd);
	buf = malloc(self->len);
	fill(buf, self->len, 1);
	ASSERT_EQ(self->len, sys(pwrite(self->fd, buf, self->len, 0)));
	free(buf);

	memset(&self->arg, JUNK, sizeof(self->arg));
	self->arg.seals = F_SEAL_WRITE;
	self->arg.flags = 0;
	self->arg.timeout_ns = LONG_NS;
	self->arg.max_scans = 0;
	self->arg.scans = 0;
	self->arg.waited_ns = 0;
	self->arg.pad = 0;
}

FIXTURE_TEARDOWN(report)
{
	close(self->fd);
}

TEST_F(report, of_success_says_sealed)
{
	ASSERT_EQ(0, ps_seal(self->fd, &self->arg));
	EXPECT_EQ(PINSEAL_OUTCOME_SEALED, self->arg.outcome);
}

TEST_F(report, of_success_names_no_page)
{
	ASSERT_EQ(0, ps_seal(self->fd, &self->arg));
	EXPECT_EQ(0, self->arg.pinned_pages);
	EXPECT_EQ(PINSEAL_NO_PAGE, self->arg.first_pinned);
	EXPECT_EQ(0, self->arg.isolated_pages);
	EXPECT_EQ(0, self->arg.revoked_pages);
}

TEST_F(report, of_success_counts_scans)
{
	ASSERT_EQ(0, ps_seal(self->fd, &self->arg));
	EXPECT_LE(1, self->arg.scans);
}

TEST_F(report, continues_the_count_of_scans)
{
	self->arg.scans = 1000;
	ASSERT_EQ(0, ps_seal(self->fd, &self->arg));
	EXPECT_LE(1001, self->arg.scans);
}

TEST_F(report, continues_the_time)
{
	self->arg.waited_ns = 1000000;
	ASSERT_EQ(0, ps_seal(self->fd, &self->arg));
	EXPECT_LE(1000000, self->arg.waited_ns);
}

TEST_F(report, counts_less_time_than_passed)
{
	uint64_t start = now_ns();

	ASSERT_EQ(0, ps_seal(self->fd, &self->arg));
	EXPECT_GE(now_ns() - start, self->arg.waited_ns);
}

TEST_F(report, leaves_the_in_fields)
{
	self->arg.max_scans = 77;
	self->arg.flags = PINSEAL_SEAL_NOWAIT;
	ASSERT_EQ(0, ps_seal(self->fd, &self->arg));
	EXPECT_EQ(F_SEAL_WRITE, self->arg.seals);
	EXPECT_EQ(PINSEAL_SEAL_NOWAIT, self->arg.flags);
	EXPECT_EQ(LONG_NS, self->arg.timeout_ns);
	EXPECT_EQ(77, self->arg.max_scans);
	EXPECT_EQ(0, self->arg.pad);
}

TEST_F(report, of_seals_that_need_no_scan_says_sealed)
{
	int pipefd[2];

	/* References matter to F_SEAL_WRITE alone. */
	ASSERT_EQ(0, pipe(pipefd));
	ASSERT_EQ(self->page, sys(splice(self->fd, NULL, pipefd[1], NULL, self->page, 0)));
	self->arg.seals = ALL_SEALS & ~(F_SEAL_WRITE | F_SEAL_SEAL);
	ASSERT_EQ(0, ps_seal(self->fd, &self->arg));
	EXPECT_EQ(PINSEAL_OUTCOME_SEALED, self->arg.outcome);
	EXPECT_EQ(0, self->arg.pinned_pages);
	EXPECT_EQ(PINSEAL_NO_PAGE, self->arg.first_pinned);
}

TEST_F(report, of_no_seals_says_sealed)
{
	self->arg.seals = 0;
	ASSERT_EQ(0, ps_seal(self->fd, &self->arg));
	EXPECT_EQ(PINSEAL_OUTCOME_SEALED, self->arg.outcome);
	EXPECT_EQ(0, ps_get_seals(self->fd));
}

TEST_F(report, of_seals_already_there_says_sealed)
{
	ASSERT_EQ(0, ps_add_seals(self->fd, F_SEAL_WRITE));
	ASSERT_EQ(0, ps_seal(self->fd, &self->arg));
	EXPECT_EQ(PINSEAL_OUTCOME_SEALED, self->arg.outcome);
	EXPECT_EQ(0, self->arg.pinned_pages);
	EXPECT_EQ(PINSEAL_NO_PAGE, self->arg.first_pinned);
}

TEST_F(report, of_an_empty_object_says_sealed)
{
	int fd = ps_open(O_RDWR);

	ASSERT_EQ(0, ps_seal(fd, &self->arg));
	EXPECT_EQ(PINSEAL_OUTCOME_SEALED, self->arg.outcome);
	EXPECT_EQ(PINSEAL_NO_PAGE, self->arg.first_pinned);
	close(fd);
}

TEST_F(report, succeeds_with_one_scan_and_nowait)
{
	self->arg.max_scans = 1;
	self->arg.flags = PINSEAL_SEAL_NOWAIT;
	ASSERT_EQ(0, ps_seal(self->fd, &self->arg));
	EXPECT_EQ(F_SEAL_WRITE, ps_get_seals(self->fd));
}

TEST_F(report, scans_once_though_the_bounds_are_used_up)
{
	self->arg.max_scans = 1;
	self->arg.scans = 1;
	self->arg.waited_ns = self->arg.timeout_ns;
	EXPECT_EQ(0, ps_seal(self->fd, &self->arg));
}

TEST_F(report, of_a_writable_mapping_says_so)
{
	ASSERT_NE(MAP_FAILED, ps_map(self->fd, self->len, RW, MAP_SHARED));
	ASSERT_EQ(-EBUSY, ps_seal(self->fd, &self->arg));
	EXPECT_EQ(PINSEAL_OUTCOME_WRITABLE_MAPPING, self->arg.outcome);
}

TEST_F(report, of_a_writable_mapping_overwrites_the_out_fields)
{
	ASSERT_NE(MAP_FAILED, ps_map(self->fd, self->len, RW, MAP_SHARED));
	ASSERT_EQ(-EBUSY, ps_seal(self->fd, &self->arg));
	EXPECT_EQ(0, self->arg.pinned_pages);
	EXPECT_EQ(PINSEAL_NO_PAGE, self->arg.first_pinned);
	EXPECT_EQ(0, self->arg.isolated_pages);
	EXPECT_EQ(0, self->arg.revoked_pages);
}

TEST_F(report, of_a_writable_mapping_comes_at_once)
{
	uint64_t start = now_ns();

	ASSERT_NE(MAP_FAILED, ps_map(self->fd, self->len, RW, MAP_SHARED));
	ASSERT_EQ(-EBUSY, ps_seal(self->fd, &self->arg));
	EXPECT_EQ(0, self->arg.waited_ns);
	EXPECT_GT(self->arg.timeout_ns, now_ns() - start);
}

TEST_F(report, of_a_mapping_that_could_be_made_writable_says_so)
{
	ASSERT_NE(MAP_FAILED, ps_map(self->fd, self->len, PROT_READ, MAP_SHARED));
	self->arg.flags = PINSEAL_SEAL_NOWAIT;
	ASSERT_EQ(-EBUSY, ps_seal(self->fd, &self->arg));
	EXPECT_EQ(PINSEAL_OUTCOME_WRITABLE_MAPPING, self->arg.outcome);
}

TEST_F(report, of_a_failure_is_followed_by_success)
{
	void *p = ps_map(self->fd, self->len, RW, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(-EBUSY, ps_seal(self->fd, &self->arg));
	munmap(p, self->len);
	/* The struct as it came back: the counts continue. */
	ASSERT_EQ(0, ps_seal(self->fd, &self->arg));
	EXPECT_EQ(PINSEAL_OUTCOME_SEALED, self->arg.outcome);
}

TEST_HARNESS_MAIN

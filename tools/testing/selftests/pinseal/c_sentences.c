// SPDX-License-Identifier: GPL-2.0-only
/* pinseal_explain() of <pinseal.h>: the sentence about each kind of report. */
#include <errno.h>
#include <string.h>

#include <pinseal.h>

#include "harness.h"

/* A report, and what it says. */
struct sentence {
	const char *text;
	struct pinseal_report report;
};

static const struct sentence explained[] = {
	{ "sealed after 0.0 ms and 1 scan",
	  { .seal = { .scans = 1, .first_pinned = PINSEAL_NO_PAGE } } },
	{ "sealed",
	  { .seal = { .first_pinned = PINSEAL_NO_PAGE } } },
	{ "sealed after 12.3 ms and 40 scans, 1 leased page was revoked, 2 pages were replaced by copies",
	  { .seal = { .waited_ns = 12345678, .scans = 40, .revoked_pages = 1, .isolated_pages = 2 } } },
	{ "sealed after 0.0 ms and 2 scans, 4 leased pages were revoked",
	  { .seal = { .scans = 2, .revoked_pages = 4 } } },
	{ "sealed after 0.0 ms and 2 scans, 1 page was replaced by a copy",
	  { .seal = { .scans = 2, .isolated_pages = 1 } } },
	{ "sealed by F_ADD_SEALS, without pinseal, after 310.0 ms and 2 calls",
	  { .method = PINSEAL_BY_FCNTL, .seal = { .waited_ns = 310000000, .scans = 2 } } },
	{ "being sealed: 16 pages are in use after 5.0 ms and 7 scans, from page 100",
	  { .error = EINPROGRESS, .seal = { .outcome = PINSEAL_OUTCOME_PENDING, .pinned_pages = 16,
	    .first_pinned = 100, .waited_ns = 5000000, .scans = 7 } } },
	{ "being sealed: it has just begun, or waits for a mapping, a write or another sealer",
	  { .error = EINPROGRESS, .seal = { .outcome = PINSEAL_OUTCOME_PENDING,
	    .first_pinned = PINSEAL_NO_PAGE } } },
	{ "not sealed: cancelled after 5.0 ms and 7 scans",
	  { .error = ECANCELED, .seal = { .outcome = PINSEAL_OUTCOME_CANCELLED, .waited_ns = 5000000,
	    .scans = 7 } } },
	{ "not sealed: 16 pages are in use after 50.1 ms and 219 scans, from page 100; have them released, "
	  "wait longer, revoke leases (PINSEAL_SEAL_REVOKE), or copy them (PINSEAL_SEAL_ISOLATE)",
	  { .error = EBUSY, .seal = { .outcome = PINSEAL_OUTCOME_PINNED, .pinned_pages = 16,
	    .first_pinned = 100, .waited_ns = 50100000, .scans = 219 } } },
	{ "not sealed: 1 page is in use after 0.0 ms and 1 scan, page 3; have it released, wait, or "
	  "copy it (PINSEAL_SEAL_ISOLATE)",
	  { .error = EBUSY, .seal = { .outcome = PINSEAL_OUTCOME_PINNED, .pinned_pages = 1, .scans = 1,
	    .first_pinned = 3, .flags = PINSEAL_SEAL_REVOKE | PINSEAL_SEAL_NOWAIT } } },
	{ "not sealed: 5 pages are in use after 0.0 ms and 2 scans, from page 3; have them released, "
	  "wait longer, revoke leases (PINSEAL_SEAL_REVOKE), or call again, because a call copies at "
	  "most 1024 pages",
	  { .error = EBUSY, .seal = { .outcome = PINSEAL_OUTCOME_PINNED, .pinned_pages = 5, .scans = 2,
	    .first_pinned = 3, .flags = PINSEAL_SEAL_ISOLATE } } },
	{ "not sealed: a write or another sealer was under way after 150.0 ms and 9 scans; wait longer",
	  { .error = EBUSY, .seal = { .outcome = PINSEAL_OUTCOME_PINNED, .waited_ns = 150000000,
	    .scans = 9, .first_pinned = PINSEAL_NO_PAGE } } },
	{ "not sealed: a shared mapping is writable, or can be made so; unmap it, or wait until it is "
	  "gone (PINSEAL_SEAL_WAIT_MAPPED)",
	  { .error = EBUSY, .seal = { .outcome = PINSEAL_OUTCOME_WRITABLE_MAPPING, .scans = 1 } } },
	{ "not sealed: a shared mapping is writable, or can be made so, still after 20.0 ms and 9 scans; unmap "
	  "it, or wait longer",
	  { .error = EBUSY, .seal = { .outcome = PINSEAL_OUTCOME_WRITABLE_MAPPING, .scans = 9,
	    .waited_ns = 20000000, .flags = PINSEAL_SEAL_WAIT_MAPPED } } },
	{ "not sealed: a signal ended the wait after 20.0 ms and 9 scans; seal again to go on",
	  { .error = EINTR, .seal = { .outcome = PINSEAL_OUTCOME_INTERRUPTED, .scans = 9,
	    .waited_ns = 20000000 } } },
	{ "not sealed: there is no memory for copies of pages in use, or to swap pages in; free some, or "
	  "raise the limit of the memory cgroup",
	  { .error = ENOMEM, .seal = { .outcome = PINSEAL_OUTCOME_NO_MEMORY } } },
	{ "not sealed: 512 pages are in use after 20.0 ms and 9 scans, from page 512, in a large folio, "
	  "which cannot be replaced by a copy; have them released, or wait longer",
	  { .error = EBUSY, .seal = { .outcome = PINSEAL_OUTCOME_LARGE_FOLIO, .pinned_pages = 512,
	    .first_pinned = 512, .scans = 9, .waited_ns = 20000000 } } },
	{ "not sealed: the time did not suffice to read the lower file, or to write to it; seal again to "
	  "go on from there",
	  { .error = EBUSY, .seal = { .outcome = PINSEAL_OUTCOME_NOT_FILLED } } },
	{ "not sealed: F_ADD_SEALS found pages in use, or a shared writable mapping, and does not say "
	  "which, after 160.0 ms and 1 call; the pinseal module would tell",
	  { .error = EBUSY, .method = PINSEAL_BY_FCNTL, .seal = { .scans = 1, .waited_ns = 160000000 } } },
	{ "not sealed: the descriptor is not open for writing, or the seals are final (F_SEAL_SEAL), as "
	  "those of a memfd without MFD_ALLOW_SEALING",
	  { .error = EPERM } },
	{ "not sealed: a seal or a flag is unknown (see pinseal_info()), or the descriptor is of no shared "
	  "memory",
	  { .error = EINVAL } },
	{ "not sealed: the descriptor is of no object; pinseal_seal_fd() seals any memfd",
	  { .error = ENOTTY } },
	{ "not sealed: other seals are being added in the background, or their result was not taken",
	  { .error = EALREADY } },
	{ "not sealed: there is no seal in the background to cancel",
	  { .error = ENOENT } },
	/* Without a reason, and with one of a later kernel. */
	{ "not sealed: Cannot allocate memory",
	  { .error = ENOMEM } },
	{ "not sealed: Device or resource busy",
	  { .error = EBUSY, .seal = { .outcome = 4711 } } },
	{ "not sealed: Bad file descriptor",
	  { .error = EBADF } },
};

TEST(sentences)
{
	char text[PINSEAL_SENTENCE];

	for (size_t i = 0; i < ARRAY_SIZE(explained); i++) {
		memset(text, 'x', sizeof(text));
		EXPECT_EQ(strlen(explained[i].text), pinseal_explain(text, sizeof(text),
								    &explained[i].report));
		EXPECT_STREQ(explained[i].text, text);
	}
}

/* With the longest numbers. */
TEST(sentences_fit)
{
	for (size_t i = 0; i < ARRAY_SIZE(explained); i++) {
		struct pinseal_report report = explained[i].report;

		report.seal.pinned_pages = report.seal.waited_ns = ~0ULL;
		report.seal.first_pinned = ~0ULL - 1;
		report.seal.isolated_pages = report.seal.revoked_pages = ~0ULL;
		report.seal.scans = ~0U;
		EXPECT_GT(PINSEAL_SENTENCE, pinseal_explain(NULL, 0, &report)) {
			TH_LOG("%s", explained[i].text);
		}
	}
}

TEST(sentences_are_cut_as_by_snprintf)
{
	const struct sentence *whole = &explained[8];
	int length = strlen(whole->text);
	char text[PINSEAL_SENTENCE];

	for (int size = 0; size < PINSEAL_SENTENCE; size++) {
		memset(text, 'x', sizeof(text));
		EXPECT_EQ(length, pinseal_explain(text, size, &whole->report));
		if (size) {
			EXPECT_EQ(size <= length ? size - 1 : length, strnlen(text, sizeof(text)));
			EXPECT_EQ(0, strncmp(text, whole->text, size - 1));
		}
		EXPECT_EQ('x', text[size <= length ? size : length + 1]);
	}
}

TEST_HARNESS_MAIN

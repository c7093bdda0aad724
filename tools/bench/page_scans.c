// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a clean seal takes for each page, in place of pinseal, against reading one cold cache line for
 * each page in order, in place of memfd: a scan reads the state of each folio, and so cannot take less.
 * Only at the speed of real hardware does this say anything.
 */
#include "bytes.h"
#include "content.h"
#include "page_scans.h"
#include "report.h"
#include "sealer.h"

#define LINE		64
/* What is written between two rounds, so that no line is in a cache any more. */
#define CACHES		(128 * MIB)

static void chill(void)
{
	static char *p;

	if (!p)
		p = malloc(CACHES);
	if (!p)
		die("no memory");
	memset(p, 'c', CACHES);
}

/* Reads a line for each page, in nanoseconds for one. */
static double read_lines(const char *lines, uint64_t pages)
{
	uint64_t began, i;

	chill();
	began = now_ns();
	for (i = 0; i < pages; i++)
		(void)*(const volatile uint64_t *)(lines + i * LINE);
	return (double)(now_ns() - began) / pages;
}

/* Seals an object, less what another call takes, in nanoseconds for a page. */
static double scan_pages(uint64_t pages)
{
	int fd = must(obj_create(PINSEAL, pages * page_size()), "an object");
	struct timed_seal sealed;
	uint64_t began, call;

	must(fill_file(fd, pages * page_size(), 's'), "fill");
	/* The first one may wait for LRU batches of other CPUs. */
	chill();
	began = now_ns();
	must(ps_get_seals(fd), "get seals");
	call = now_ns() - began;
	sealed = seal_object(PINSEAL, fd, 0, 0);
	must(sealed.error, "sealing without extra references");
	close(fd);
	return ((double)(sealed.ended - sealed.began) - call) / pages;
}

void page_scans(void)
{
	static const uint64_t sizes[] = { 16 * MIB, 256 * MIB };
	enum { ROUNDS = 7 };
	unsigned int i, n;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct text name = format_text("page_scan_%lluk", (unsigned long long)(sizes[i] / KIB));
		uint64_t pages = sizes[i] / page_size();
		static struct samples time[KINDS];
		char *lines;

		if (!is_wanted(name.s))
			continue;
		memset(time, 0, sizeof(time));
		lines = aligned_alloc(LINE, pages * LINE);
		if (!lines)
			die("no memory");
		memset(lines, 'l', pages * LINE);
		for (n = 0; n < ROUNDS; n++) {
			add_sample(&time[MEMFD], read_lines(lines, pages));
			add_sample(&time[PINSEAL], scan_pages(pages));
		}
		free(lines);
		result_number(name.s, format_text("ns a page, of %s", format_size(sizes[i]).s).s, "ns",
			      median(&time[MEMFD]), median(&time[PINSEAL]));
	}
}

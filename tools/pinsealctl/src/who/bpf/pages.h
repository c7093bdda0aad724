/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Pages of the memory that an owner holds, as one record for each run of them.
 */
#ifndef PAGES_H
#define PAGES_H

#include "record.h"

#define NOT_OURS	(~0ULL)

/* An owner with more pages than this is not looked at in full: the reader waits meanwhile. */
#define MOST_PAGES	(4 << 20)

/* The head of the folio of @page: a tail page has its address or, masked, its own. */
static __always_inline __u64 head_of(__u64 page)
{
	__u64 info = BPF_CORE_READ((struct page *)page, compound_info);

	if (!(info & 1))
		return page;
	/* No struct page is in the last GiB of the address space, where the masks are. */
	return (__s64)info > -(1LL << 30) ? page & info : info - 1;
}

/* page_index() - the index of @page in the memory, or NOT_OURS. */
__noinline __u64 page_index(__u64 page)
{
	__u64 head, mapping;
	struct inode *host;

	if (!page)
		return NOT_OURS;
	head = head_of(page);
	mapping = (__u64)BPF_CORE_READ((struct folio *)head, mapping);
	/* Low bits: no file's. */
	if (!mapping || mapping & 3)
		return NOT_OURS;
	host = BPF_CORE_READ((struct address_space *)mapping, host);
	if (BPF_CORE_READ(host, i_ino) != question.ino || BPF_CORE_READ(host, i_sb, s_dev) != question.dev)
		return NOT_OURS;
	return BPF_CORE_READ((struct folio *)head, index) + (page - head) / bpf_core_type_size(struct page);
}

/* The run that is not reported yet; the pages of the owner that were looked at, and those found. */
static struct record run;
static __u64 looked;
static __u64 found;

static __noinline void end_run(void)
{
	struct record record = run;

	if (record.pages)
		report(&record);
	run.pages = 0;
}

static __always_inline void begin_owner(enum kind kind, __u64 owner)
{
	run = (struct record){ .what = WHAT_PAGES, .kind = kind, .owner = owner };
	looked = 0;
	found = 0;
}

/* Returns the number of pages of the memory that the owner holds. */
static __always_inline __u64 end_owner(void)
{
	end_run();
	if (looked > MOST_PAGES) {
		struct record record = { .what = WHAT_PARTIAL, .kind = run.kind, .owner = run.owner };

		report(&record);
	}
	return found;
}

/*
 * hold_pages() - the owner has one reference, which is for @pages pages from @page on. @slot and @hold
 * are as in struct record. Returns false when it was looked at for long enough.
 */
__noinline bool hold_pages(__u64 page, __u32 pages, __u64 slot, __u64 hold)
{
	__u64 index = page_index(page);

	looked++;
	if (index != NOT_OURS) {
		found += pages;
		if (pages == 1 && run.pages && run.pages == run.refs && run.slot == slot &&
		    run.hold == hold && run.first + run.pages == index) {
			run.pages++;
			run.refs++;
		} else {
			end_run();
			run.slot = slot;
			run.hold = hold;
			run.first = index;
			run.pages = pages;
			run.refs = 1;
		}
	}
	return looked <= MOST_PAGES;
}

/* Element @i of the kernel's array @array of pointers. */
static __always_inline void *element(const void *array, __u32 i)
{
	void *value = NULL;

	bpf_probe_read_kernel(&value, sizeof(value), (void *)array + i * sizeof(value));
	return value;
}

#endif /* PAGES_H */

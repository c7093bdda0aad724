// SPDX-License-Identifier: GPL-2.0-only
/*
 * The trace events, and the function that Rust calls for each.
 */

#define CREATE_TRACE_POINTS
#include <trace/events/pinseal.h>

#include "../helpers.h"

void pinseal_trace_seal_begin(u64 object, u32 seals, u32 flags, u64 timeout_ns)
{
	trace_pinseal_seal_begin(object, seals, flags, timeout_ns);
}

void pinseal_trace_seal_scan(u64 object, u32 scans, u64 pinned_pages, u64 first_pinned)
{
	trace_pinseal_seal_scan(object, scans, pinned_pages, first_pinned);
}

void pinseal_trace_seal_mapped(u64 object, u32 scans)
{
	trace_pinseal_seal_mapped(object, scans);
}

void pinseal_trace_seal_end(u64 object, s32 outcome, u32 scans, u64 waited_ns, u64 isolated_pages,
			    u64 revoked_pages)
{
	trace_pinseal_seal_end(object, outcome, scans, waited_ns, isolated_pages, revoked_pages);
}

void pinseal_trace_isolate(u64 object, u64 pages)
{
	trace_pinseal_isolate(object, pages);
}

void pinseal_trace_pin(u64 object, u64 start, u64 count, u32 flags, u64 grace_ns)
{
	trace_pinseal_pin(object, start, count, flags, grace_ns);
}

void pinseal_trace_pin_wait(u64 object, u64 index, u64 left_ns)
{
	trace_pinseal_pin_wait(object, index, left_ns);
}

void pinseal_trace_unpin(u64 object, u64 start, u64 count, u64 held_ns)
{
	trace_pinseal_unpin(object, start, count, held_ns);
}

void pinseal_trace_lease_asked(u64 object, u64 start, u64 count, u64 until_ns)
{
	trace_pinseal_lease_asked(object, start, count, until_ns);
}

void pinseal_trace_lease_revoked(u64 object, u64 start, u64 count, u64 held_ns)
{
	trace_pinseal_lease_revoked(object, start, count, held_ns);
}

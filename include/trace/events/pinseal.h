/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Trace events of pinseal. object is the number in the line "object:" of
 * /proc/PID/fdinfo/FD. Pages are indices in the object, times are in nanoseconds.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM pinseal

#if !defined(_TRACE_PINSEAL_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_PINSEAL_H

#include <linux/tracepoint.h>

/* A seal operation begins. @seals and @flags are those of struct pinseal_seal. */
TRACE_EVENT(pinseal_seal_begin,
	TP_PROTO(u64 object, u32 seals, u32 flags, u64 timeout_ns),
	TP_ARGS(object, seals, flags, timeout_ns),
	TP_STRUCT__entry(
		__field(u64, object)
		__field(u32, seals)
		__field(u32, flags)
		__field(u64, timeout_ns)
	),
	TP_fast_assign(
		__entry->object = object;
		__entry->seals = seals;
		__entry->flags = flags;
		__entry->timeout_ns = timeout_ns;
	),
	TP_printk("object=%llu seals=%#x flags=%#x timeout_ns=%llu", __entry->object,
		  __entry->seals, __entry->flags, __entry->timeout_ns)
);

/* A scan. @first_pinned is ~0 if no page had extra references. */
TRACE_EVENT(pinseal_seal_scan,
	TP_PROTO(u64 object, u32 scans, u64 pinned_pages, u64 first_pinned),
	TP_ARGS(object, scans, pinned_pages, first_pinned),
	TP_STRUCT__entry(
		__field(u64, object)
		__field(u32, scans)
		__field(u64, pinned_pages)
		__field(u64, first_pinned)
	),
	TP_fast_assign(
		__entry->object = object;
		__entry->scans = scans;
		__entry->pinned_pages = pinned_pages;
		__entry->first_pinned = first_pinned;
	),
	TP_printk("object=%llu scans=%u pinned_pages=%llu first_pinned=%lld", __entry->object,
		  __entry->scans, __entry->pinned_pages, (s64)__entry->first_pinned)
);

/* The operation waits for shared writable mappings (PINSEAL_SEAL_WAIT_MAPPED). */
TRACE_EVENT(pinseal_seal_mapped,
	TP_PROTO(u64 object, u32 scans),
	TP_ARGS(object, scans),
	TP_STRUCT__entry(
		__field(u64, object)
		__field(u32, scans)
	),
	TP_fast_assign(
		__entry->object = object;
		__entry->scans = scans;
	),
	TP_printk("object=%llu scans=%u", __entry->object, __entry->scans)
);

/* The operation ended. @outcome is that of struct pinseal_seal, else -errno. */
TRACE_EVENT(pinseal_seal_end,
	TP_PROTO(u64 object, s32 outcome, u32 scans, u64 waited_ns, u64 isolated_pages,
		 u64 revoked_pages),
	TP_ARGS(object, outcome, scans, waited_ns, isolated_pages, revoked_pages),
	TP_STRUCT__entry(
		__field(u64, object)
		__field(s32, outcome)
		__field(u32, scans)
		__field(u64, waited_ns)
		__field(u64, isolated_pages)
		__field(u64, revoked_pages)
	),
	TP_fast_assign(
		__entry->object = object;
		__entry->outcome = outcome;
		__entry->scans = scans;
		__entry->waited_ns = waited_ns;
		__entry->isolated_pages = isolated_pages;
		__entry->revoked_pages = revoked_pages;
	),
	TP_printk("object=%llu outcome=%d scans=%u waited_ns=%llu isolated_pages=%llu revoked_pages=%llu",
		  __entry->object, __entry->outcome, __entry->scans, __entry->waited_ns,
		  __entry->isolated_pages, __entry->revoked_pages)
);

/* An operation replaced pages by copies. */
TRACE_EVENT(pinseal_isolate,
	TP_PROTO(u64 object, u64 pages),
	TP_ARGS(object, pages),
	TP_STRUCT__entry(
		__field(u64, object)
		__field(u64, pages)
	),
	TP_fast_assign(
		__entry->object = object;
		__entry->pages = pages;
	),
	TP_printk("object=%llu pages=%llu", __entry->object, __entry->pages)
);

/* A handle pins pages. @flags are those of struct pinseal_pin. */
TRACE_EVENT(pinseal_pin,
	TP_PROTO(u64 object, u64 start, u64 count, u32 flags, u64 grace_ns),
	TP_ARGS(object, start, count, flags, grace_ns),
	TP_STRUCT__entry(
		__field(u64, object)
		__field(u64, start)
		__field(u64, count)
		__field(u32, flags)
		__field(u64, grace_ns)
	),
	TP_fast_assign(
		__entry->object = object;
		__entry->start = start;
		__entry->count = count;
		__entry->flags = flags;
		__entry->grace_ns = grace_ns;
	),
	TP_printk("object=%llu start=%llu count=%llu flags=%#x grace_ns=%llu", __entry->object,
		  __entry->start, __entry->count, __entry->flags, __entry->grace_ns)
);

/* A pin waits until page @index can be moved, for @left_ns at most. */
TRACE_EVENT(pinseal_pin_wait,
	TP_PROTO(u64 object, u64 index, u64 left_ns),
	TP_ARGS(object, index, left_ns),
	TP_STRUCT__entry(
		__field(u64, object)
		__field(u64, index)
		__field(u64, left_ns)
	),
	TP_fast_assign(
		__entry->object = object;
		__entry->index = index;
		__entry->left_ns = left_ns;
	),
	TP_printk("object=%llu index=%llu left_ns=%llu", __entry->object, __entry->index,
		  __entry->left_ns)
);

/* The pages of a handle, and how long ago they were pinned. */
DECLARE_EVENT_CLASS(pinseal_held,
	TP_PROTO(u64 object, u64 start, u64 count, u64 held_ns),
	TP_ARGS(object, start, count, held_ns),
	TP_STRUCT__entry(
		__field(u64, object)
		__field(u64, start)
		__field(u64, count)
		__field(u64, held_ns)
	),
	TP_fast_assign(
		__entry->object = object;
		__entry->start = start;
		__entry->count = count;
		__entry->held_ns = held_ns;
	),
	TP_printk("object=%llu start=%llu count=%llu held_ns=%llu", __entry->object,
		  __entry->start, __entry->count, __entry->held_ns)
);

/* The handle was closed, and its pages unpinned unless they were revoked before. */
DEFINE_EVENT(pinseal_held, pinseal_unpin,
	TP_PROTO(u64 object, u64 start, u64 count, u64 held_ns),
	TP_ARGS(object, start, count, held_ns)
);

/* The break of a lease is requested. @until_ns is its deadline (CLOCK_MONOTONIC). */
TRACE_EVENT(pinseal_lease_asked,
	TP_PROTO(u64 object, u64 start, u64 count, u64 until_ns),
	TP_ARGS(object, start, count, until_ns),
	TP_STRUCT__entry(
		__field(u64, object)
		__field(u64, start)
		__field(u64, count)
		__field(u64, until_ns)
	),
	TP_fast_assign(
		__entry->object = object;
		__entry->start = start;
		__entry->count = count;
		__entry->until_ns = until_ns;
	),
	TP_printk("object=%llu start=%llu count=%llu until_ns=%llu", __entry->object,
		  __entry->start, __entry->count, __entry->until_ns)
);

/* A lease was broken: its pages were revoked. */
DEFINE_EVENT(pinseal_held, pinseal_lease_revoked,
	TP_PROTO(u64 object, u64 start, u64 count, u64 held_ns),
	TP_ARGS(object, start, count, held_ns)
);

#endif /* _TRACE_PINSEAL_H */

#include <trace/define_trace.h>

// SPDX-License-Identifier: GPL-2.0-only

//! Trace events. One that is disabled costs a call and a jump.
//!
//! C header: `include/trace/events/pinseal.h`, which documents them.

use crate::bindings;
use core::ops::Range;
use kernel::time::{
    Instant,
    Monotonic, //
};

/// A seal operation begins.
pub(crate) fn seal_begin(object: u64, seals: u32, flags: u32, timeout_ns: u64) {
    // SAFETY: The arguments are integers.
    unsafe { bindings::pinseal_trace_seal_begin(object, seals, flags, timeout_ns) };
}

/// The pages were scanned.
pub(crate) fn seal_scan(object: u64, scans: u32, pinned_pages: u64, first_pinned: Option<usize>) {
    let first_pinned = first_pinned.map_or(u64::MAX, |index| index as u64);
    // SAFETY: The arguments are integers.
    unsafe { bindings::pinseal_trace_seal_scan(object, scans, pinned_pages, first_pinned) };
}

/// A seal operation waits for shared writable mappings.
pub(crate) fn seal_mapped(object: u64, scans: u32) {
    // SAFETY: The arguments are integers.
    unsafe { bindings::pinseal_trace_seal_mapped(object, scans) };
}

/// A seal operation has ended.
pub(crate) fn seal_end(
    object: u64,
    outcome: i32,
    scans: u32,
    waited_ns: u64,
    isolated_pages: usize,
    revoked_pages: u64,
) {
    // SAFETY: The arguments are integers.
    unsafe {
        bindings::pinseal_trace_seal_end(
            object,
            outcome,
            scans,
            waited_ns,
            isolated_pages as u64,
            revoked_pages,
        )
    };
}

/// Pages were isolated.
pub(crate) fn isolate(object: u64, pages: usize) {
    // SAFETY: The arguments are integers.
    unsafe { bindings::pinseal_trace_isolate(object, pages as u64) };
}

/// A handle pins pages.
pub(crate) fn pin(object: u64, pages: &Range<usize>, flags: u32, grace_ns: u64) {
    let (start, count) = (pages.start as u64, pages.len() as u64);
    // SAFETY: The arguments are integers.
    unsafe { bindings::pinseal_trace_pin(object, start, count, flags, grace_ns) };
}

/// Pinning waits for the references to a page, for `left_ns` at most.
pub(crate) fn pin_wait(object: u64, index: usize, left_ns: u64) {
    // SAFETY: The arguments are integers.
    unsafe { bindings::pinseal_trace_pin_wait(object, index as u64, left_ns) };
}

/// A pin handle was closed.
pub(crate) fn unpin(object: u64, pages: &Range<usize>, since: Instant<Monotonic>) {
    let (start, count) = (pages.start as u64, pages.len() as u64);
    // SAFETY: The arguments are integers.
    unsafe { bindings::pinseal_trace_unpin(object, start, count, ns_since(since)) };
}

/// The break of a lease is requested.
pub(crate) fn lease_asked(object: u64, pages: &Range<usize>, until_ns: u64) {
    let (start, count) = (pages.start as u64, pages.len() as u64);
    // SAFETY: The arguments are integers.
    unsafe { bindings::pinseal_trace_lease_asked(object, start, count, until_ns) };
}

/// A lease was revoked.
pub(crate) fn lease_revoked(object: u64, pages: &Range<usize>, since: Instant<Monotonic>) {
    let (start, count) = (pages.start as u64, pages.len() as u64);
    // SAFETY: The arguments are integers.
    unsafe { bindings::pinseal_trace_lease_revoked(object, start, count, ns_since(since)) };
}

fn ns_since(since: Instant<Monotonic>) -> u64 {
    // CAST: The clock is monotonic, so the time is not negative.
    since.elapsed().as_nanos() as u64
}

// SPDX-License-Identifier: GPL-2.0-only

//! How long to sleep between two looks. No kernel state.

/// First sleep, in nanoseconds.
const FIRST_NS: u64 = 20_000;

/// Longest sleep because of patience alone, in nanoseconds. A release is noticed half of this late
/// on average.
const LONGEST_NS: u64 = 100_000;

/// A schedule of sleeps: short first, doubling up to a cap, and never shorter than what a look
/// costs, so that waiting takes at most half of a CPU however many pages are pinned.
pub(crate) struct Backoff {
    next_ns: u64,
}

impl Backoff {
    /// A schedule from its start.
    pub(crate) fn new() -> Self {
        Self { next_ns: FIRST_NS }
    }

    /// How long to sleep now, in nanoseconds, when the last look took `look_ns` and `left_ns` are
    /// left until the deadline.
    pub(crate) fn next(&mut self, look_ns: u64, left_ns: u64) -> u64 {
        let sleep_ns = self.next_ns.max(look_ns).min(left_ns);
        self.next_ns = (self.next_ns * 2).min(LONGEST_NS);
        sleep_ns
    }
}

// SPDX-License-Identifier: GPL-2.0-only

//! How long to sleep between two looks. No kernel state.

use kernel::prelude::*;

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

#[kunit_tests(pinseal_backoff)]
mod tests {
    use super::*;

    const FAR: u64 = u64::MAX;

    #[test]
    fn it_begins_short_and_doubles_to_the_cap() {
        let mut backoff = Backoff::new();
        let mut last = backoff.next(0, FAR);

        assert!(last == FIRST_NS);
        for _ in 0..20 {
            let next = backoff.next(0, FAR);

            assert!(next == (2 * last).min(LONGEST_NS));
            last = next;
        }
        assert!(last == LONGEST_NS);
    }

    #[test]
    fn it_never_passes_the_deadline() {
        let mut backoff = Backoff::new();

        for left in [1, FIRST_NS, LONGEST_NS, 10 * LONGEST_NS] {
            assert!(backoff.next(0, left) <= left);
            assert!(backoff.next(100 * LONGEST_NS, left) <= left);
        }
    }

    #[test]
    fn an_expensive_look_makes_longer_sleeps() {
        let mut backoff = Backoff::new();

        assert!(backoff.next(7 * LONGEST_NS, FAR) == 7 * LONGEST_NS);
        // But once only, when it was one.
        assert!(backoff.next(0, FAR) <= LONGEST_NS);
    }
}

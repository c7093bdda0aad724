// SPDX-License-Identifier: GPL-2.0-only

//! Backoff: how long to sleep between two scans. No kernel state.

use kernel::prelude::*;

/// First sleep, in nanoseconds.
const FIRST_NS: u64 = 20_000;

/// Pace of the scans, by whose CPU time they take.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// A task that wants to know soon. It spends at most half of a CPU.
    Task,
    /// A worker, whose CPU time is no caller's. Many seals may be pending, and for long.
    Worker,
}

impl Pace {
    /// Longest sleep after `waited_ns`, in nanoseconds, unless scans are expensive. A release is
    /// noticed half of it late on average.
    fn max_ns(self, waited_ns: u64) -> u64 {
        match self {
            Pace::Task => 100_000,
            Pace::Worker => (waited_ns / 256).clamp(500_000, 4_000_000),
        }
    }

    /// Shortest sleep, in multiples of what the last scan took.
    fn min_sleep_scans(self) -> u64 {
        match self {
            Pace::Task => 1,
            Pace::Worker => 8,
        }
    }
}

/// A schedule of sleeps: short first, doubling up to a cap, never shorter than what a scan costs. So
/// the wait takes a bounded share of a CPU, however many pages are pinned.
pub(super) struct Backoff {
    pace: Pace,
    next_ns: u64,
}

impl Backoff {
    /// A schedule from its start.
    pub(super) fn new(pace: Pace) -> Self {
        Self {
            pace,
            next_ns: FIRST_NS,
        }
    }

    /// The next sleep in nanoseconds, when the last scan took `scan_ns`, `waited_ns` have passed, and
    /// `left_ns` are left until the deadline.
    pub(super) fn next(&mut self, scan_ns: u64, waited_ns: u64, left_ns: u64) -> u64 {
        let sleep_ns = self
            .next_ns
            .max(scan_ns.saturating_mul(self.pace.min_sleep_scans()));
        self.next_ns = (self.next_ns * 2).min(self.pace.max_ns(waited_ns));
        sleep_ns.min(left_ns)
    }
}

#[kunit_tests(pinseal_backoff)]
mod tests {
    use super::*;

    const FAR: u64 = u64::MAX;
    const PACES: [Pace; 2] = [Pace::Task, Pace::Worker];

    #[test]
    fn sleeps_double_up_to_the_cap() {
        for pace in PACES {
            let mut backoff = Backoff::new(pace);
            let mut last = backoff.next(0, 0, FAR);

            assert!(last == FIRST_NS);
            for _ in 0..20 {
                let next = backoff.next(0, 0, FAR);

                assert!(next == (2 * last).min(pace.max_ns(0)));
                last = next;
            }
            assert!(last == pace.max_ns(0));
        }
    }

    #[test]
    fn no_sleep_passes_the_deadline() {
        for pace in PACES {
            let mut backoff = Backoff::new(pace);

            for left in [1, FIRST_NS, 100_000, 1_000_000] {
                assert!(backoff.next(0, 0, left) <= left);
                assert!(backoff.next(FAR, FAR, left) <= left);
            }
        }
    }

    #[test]
    fn an_expensive_scan_makes_a_longer_sleep() {
        for pace in PACES {
            let mut backoff = Backoff::new(pace);
            let scan = 10 * pace.max_ns(FAR);

            assert!(backoff.next(scan, 0, FAR) == scan * pace.min_sleep_scans());
            // But only the one after it.
            assert!(backoff.next(0, 0, FAR) <= pace.max_ns(0));
        }
    }

    #[test]
    fn only_workers_slow_down() {
        let second = 1_000_000_000;

        assert!(Pace::Task.max_ns(FAR) == Pace::Task.max_ns(0));
        assert!(Pace::Worker.max_ns(0) < Pace::Worker.max_ns(second));
        assert!(Pace::Worker.max_ns(FAR) == Pace::Worker.max_ns(2 * second));
    }
}

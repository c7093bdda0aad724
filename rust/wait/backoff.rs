// SPDX-License-Identifier: GPL-2.0-only

//! How long to sleep between two looks. No kernel state.

use kernel::prelude::*;

/// First sleep, in nanoseconds.
const FIRST_NS: u64 = 20_000;

/// Who looks, and so pays for it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// A task that waits for it and wants to know soon. Waiting takes at most half of a CPU.
    Waiting,
    /// The kernel, for somebody who does something else meanwhile: however many there are who let it
    /// work for them, and for long, it is not to do much else.
    Background,
}

impl Pace {
    /// Longest sleep because of patience alone, in nanoseconds, after so much time. A release is
    /// noticed half of this late on average.
    fn longest_ns(self, waited_ns: u64) -> u64 {
        match self {
            Pace::Waiting => 100_000,
            Pace::Background => (waited_ns / 256).clamp(500_000, 4_000_000),
        }
    }

    /// How many times longer than a look sleeps are at least.
    fn looks(self) -> u64 {
        match self {
            Pace::Waiting => 1,
            Pace::Background => 8,
        }
    }
}

/// A schedule of sleeps: short first, doubling up to a cap, and never shorter than what a look
/// costs, so that waiting takes its share of a CPU only, however many pages are pinned.
pub(crate) struct Backoff {
    pace: Pace,
    next_ns: u64,
}

impl Backoff {
    /// A schedule from its start.
    pub(crate) fn new(pace: Pace) -> Self {
        Self {
            pace,
            next_ns: FIRST_NS,
        }
    }

    /// How long to sleep now, in nanoseconds, when the last look took `look_ns`, `waited_ns` have
    /// passed so far, and `left_ns` are left until the deadline.
    pub(crate) fn next(&mut self, look_ns: u64, waited_ns: u64, left_ns: u64) -> u64 {
        let sleep_ns = self.next_ns.max(look_ns.saturating_mul(self.pace.looks()));
        self.next_ns = (self.next_ns * 2).min(self.pace.longest_ns(waited_ns));
        sleep_ns.min(left_ns)
    }
}

#[kunit_tests(pinseal_backoff)]
mod tests {
    use super::*;

    const FAR: u64 = u64::MAX;
    const PACES: [Pace; 2] = [Pace::Waiting, Pace::Background];

    #[test]
    fn it_begins_short_and_doubles_to_the_cap() {
        for pace in PACES {
            let mut backoff = Backoff::new(pace);
            let mut last = backoff.next(0, 0, FAR);

            assert!(last == FIRST_NS);
            for _ in 0..20 {
                let next = backoff.next(0, 0, FAR);

                assert!(next == (2 * last).min(pace.longest_ns(0)));
                last = next;
            }
            assert!(last == pace.longest_ns(0));
        }
    }

    #[test]
    fn it_never_passes_the_deadline() {
        for pace in PACES {
            let mut backoff = Backoff::new(pace);

            for left in [1, FIRST_NS, 100_000, 1_000_000] {
                assert!(backoff.next(0, 0, left) <= left);
                assert!(backoff.next(FAR, FAR, left) <= left);
            }
        }
    }

    #[test]
    fn an_expensive_look_makes_longer_sleeps() {
        for pace in PACES {
            let mut backoff = Backoff::new(pace);
            let look = 10 * pace.longest_ns(FAR);

            assert!(backoff.next(look, 0, FAR) == look * pace.looks());
            // But once only, when it was one.
            assert!(backoff.next(0, 0, FAR) <= pace.longest_ns(0));
        }
    }

    #[test]
    fn only_the_background_becomes_slower() {
        let second = 1_000_000_000;

        assert!(Pace::Waiting.longest_ns(FAR) == Pace::Waiting.longest_ns(0));
        assert!(Pace::Background.longest_ns(0) < Pace::Background.longest_ns(second));
        assert!(Pace::Background.longest_ns(FAR) == Pace::Background.longest_ns(2 * second));
    }
}

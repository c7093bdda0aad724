// SPDX-License-Identifier: GPL-2.0-only

//! How long and how often a caller wants to wait.

use kernel::{
    prelude::*,
    time::{
        Instant,
        Monotonic, //
    }, //
};

/// What somebody waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum WaitFor {
    /// Others who hold pages. How long that takes is up to them.
    Holders,
    /// What is under way in the kernel and will be over soon: another system call on the object,
    /// CPUs draining their LRU batches.
    Kernel,
}

/// How long somebody who does not want to wait waits for [`WaitFor::Kernel`], in nanoseconds.
const KERNEL_PATIENCE_NS: u64 = 10_000_000;

/// The bounds of one seal call, which may be made of several system calls: when task work has to run
/// in between, what was used up so far comes back with the restarted call.
pub(crate) struct Budget {
    timeout_ns: u64,
    nowait: bool,
    max_scans: u32,
    scans: u32,
    /// Waited in system calls before this one.
    waited_before_ns: u64,
    /// When waiting began in this system call.
    waiting_since: Option<Instant<Monotonic>>,
}

impl Budget {
    /// Bounds of `timeout_ns` nanoseconds and `max_scans` looks, 0 being no bound, of which some
    /// are used up.
    ///
    /// With `nowait` nobody is waited for, and the kernel's own work for [`KERNEL_PATIENCE_NS`].
    pub(crate) fn new(
        timeout_ns: u64,
        nowait: bool,
        max_scans: u32,
        waited_ns: u64,
        scans: u32,
    ) -> Self {
        Self {
            timeout_ns,
            nowait,
            max_scans,
            scans,
            waited_before_ns: waited_ns,
            // A call that goes on lets the time run from its start: what it does before it sleeps
            // would else be for free each time.
            waiting_since: (scans > 0 || waited_ns > 0).then(Instant::now),
        }
    }

    /// Counts a look at the pages.
    pub(crate) fn count_scan(&mut self) {
        self.scans = self.scans.saturating_add(1);
    }

    /// Takes back the last [`Budget::count_scan`]: a look that was cut short is none.
    pub(crate) fn uncount_scan(&mut self) {
        self.scans = self.scans.saturating_sub(1);
    }

    /// Lets the time run, if it does not yet.
    pub(crate) fn start_clock(&mut self) {
        self.waiting_since.get_or_insert_with(Instant::now);
    }

    /// Looks taken.
    pub(crate) fn scans(&self) -> u32 {
        self.scans
    }

    /// Time waited, in nanoseconds.
    pub(crate) fn waited_ns(&self) -> u64 {
        let now = match self.waiting_since {
            // CAST: The clock is monotonic, so this is never negative.
            Some(since) => since.elapsed().as_nanos() as u64,
            None => 0,
        };
        self.waited_before_ns.saturating_add(now)
    }

    /// Time left to wait for something, in nanoseconds; 0 when the deadline has passed.
    pub(crate) fn left_ns(&self, what: WaitFor) -> u64 {
        let timeout_ns = match (self.nowait, what) {
            (false, _) => self.timeout_ns,
            (true, WaitFor::Kernel) => KERNEL_PATIENCE_NS,
            (true, WaitFor::Holders) => 0,
        };
        timeout_ns.saturating_sub(self.waited_ns())
    }

    /// The longest wait, in nanoseconds.
    pub(crate) fn timeout_ns(&self) -> u64 {
        self.timeout_ns
    }

    /// Whether others who hold pages are waited for.
    pub(crate) fn waits_for_holders(&self) -> bool {
        !self.nowait
    }

    /// Whether waiting for something in the kernel can be of use.
    pub(crate) fn may_wait(&self) -> bool {
        self.allows_scan() && self.left_ns(WaitFor::Kernel) != 0
    }

    /// Whether another look is allowed.
    pub(crate) fn allows_scan(&self) -> bool {
        self.max_scans == 0 || self.scans < self.max_scans
    }
}

#[kunit_tests(pinseal_budget)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn scans_bound_a_call_across_restarts() {
        let mut budget = Budget::new(SECOND, false, 3, 0, 1);

        assert!(budget.allows_scan());
        budget.count_scan();
        assert!(budget.allows_scan());
        budget.count_scan();
        assert!(!budget.allows_scan() && !budget.may_wait());
        assert!(budget.scans() == 3);
    }

    #[test]
    fn no_bound_on_scans_is_none() {
        let mut budget = Budget::new(SECOND, false, 0, 0, u32::MAX);

        budget.count_scan();
        assert!(budget.scans() == u32::MAX && budget.allows_scan());
    }

    #[test]
    fn time_of_calls_before_counts() {
        let budget = Budget::new(SECOND, false, 0, SECOND / 2, 1);

        assert!(budget.waited_ns() >= SECOND / 2);
        assert!(budget.left_ns(WaitFor::Holders) <= SECOND / 2);
        assert!(Budget::new(SECOND, false, 0, u64::MAX, 1).left_ns(WaitFor::Holders) == 0);
    }

    #[test]
    fn the_clock_stands_until_somebody_waits() {
        let mut budget = Budget::new(SECOND, false, 0, 0, 0);

        assert!(budget.waited_ns() == 0);
        budget.start_clock();
        assert!(budget.left_ns(WaitFor::Kernel) <= SECOND);
    }

    #[test]
    fn who_does_not_wait_gives_the_kernel_a_moment() {
        let budget = Budget::new(SECOND, true, 0, 0, 0);

        assert!(!budget.waits_for_holders());
        assert!(budget.left_ns(WaitFor::Holders) == 0);
        assert!(budget.left_ns(WaitFor::Kernel) == KERNEL_PATIENCE_NS);
    }
}

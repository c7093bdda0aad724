// SPDX-License-Identifier: GPL-2.0-only

//! The bounds of a wait: deadline and number of scans.

use kernel::{
    prelude::*,
    time::{
        Instant,
        Monotonic, //
    }, //
};

/// Timeout of a caller that passes 0, in nanoseconds: that of memfd.
pub(crate) const DEFAULT_TIMEOUT_NS: u64 = 150_000_000;

/// Timeout for [`WaitReason::Kernel`] of a caller that does not wait, in nanoseconds.
const KERNEL_TIMEOUT_NS: u64 = 10_000_000;

/// What a wait is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum WaitReason {
    /// Page references. How long they last is up to their holders.
    References,
    /// Work of the kernel that is over soon: another system call on the object, a drain of LRU
    /// batches.
    Kernel,
}

/// The bounds of one call. The call may be restarted for task work; what was used up before comes back
/// with it.
pub(crate) struct WaitBounds {
    timeout_ns: u64,
    nowait: bool,
    max_scans: u32,
    scans: u32,
    /// Waited before the restart.
    waited_before_ns: u64,
    /// When the clock was started.
    waiting_since: Option<Instant<Monotonic>>,
}

impl WaitBounds {
    /// Bounds of `timeout_ns` nanoseconds and `max_scans` scans, 0 being no bound, of which
    /// `waited_ns` and `scans` are used up.
    ///
    /// With `nowait` references are not waited for, and the kernel for [`KERNEL_TIMEOUT_NS`].
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
            // The clock of a restarted call runs from its start. Otherwise what the call does before
            // it sleeps would be free each time.
            waiting_since: (scans > 0 || waited_ns > 0).then(Instant::now),
        }
    }

    /// Counts a scan.
    pub(super) fn count_scan(&mut self) {
        self.scans = self.scans.saturating_add(1);
    }

    /// Takes back the last [`WaitBounds::count_scan`].
    pub(super) fn uncount_scan(&mut self) {
        self.scans = self.scans.saturating_sub(1);
    }

    /// Starts the clock, if it does not run.
    pub(crate) fn start_clock(&mut self) {
        self.waiting_since.get_or_insert_with(Instant::now);
    }

    /// Number of scans.
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

    /// Time left for work of the kernel, in nanoseconds.
    pub(crate) fn left_for_kernel_ns(&self) -> u64 {
        self.left_ns(WaitReason::Kernel)
    }

    /// Time left to wait for `reason`, in nanoseconds; 0 when the deadline has passed.
    pub(super) fn left_ns(&self, reason: WaitReason) -> u64 {
        let timeout_ns = match (self.nowait, reason) {
            (false, _) => self.timeout_ns,
            (true, WaitReason::Kernel) => KERNEL_TIMEOUT_NS,
            (true, WaitReason::References) => 0,
        };
        timeout_ns.saturating_sub(self.waited_ns())
    }

    /// The timeout, in nanoseconds.
    pub(crate) fn timeout_ns(&self) -> u64 {
        self.timeout_ns
    }

    /// Whether page references are waited for.
    pub(crate) fn waits_for_references(&self) -> bool {
        !self.nowait
    }

    /// Whether the bounds leave a scan after a wait for the kernel.
    pub(super) fn may_wait(&self) -> bool {
        self.allows_scan() && self.left_ns(WaitReason::Kernel) != 0
    }

    /// Whether another scan is allowed.
    pub(crate) fn allows_scan(&self) -> bool {
        self.max_scans == 0 || self.scans < self.max_scans
    }
}

#[kunit_tests(pinseal_wait_bounds)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn scans_bound_a_call_across_restarts() {
        let mut bounds = WaitBounds::new(SECOND, false, 3, 0, 1);

        assert!(bounds.allows_scan());
        bounds.count_scan();
        assert!(bounds.allows_scan());
        bounds.count_scan();
        assert!(!bounds.allows_scan() && !bounds.may_wait());
        assert!(bounds.scans() == 3);
    }

    #[test]
    fn zero_scans_is_no_bound() {
        let mut bounds = WaitBounds::new(SECOND, false, 0, 0, u32::MAX);

        bounds.count_scan();
        assert!(bounds.scans() == u32::MAX && bounds.allows_scan());
    }

    #[test]
    fn time_before_a_restart_counts() {
        let bounds = WaitBounds::new(SECOND, false, 0, SECOND / 2, 1);

        assert!(bounds.waited_ns() >= SECOND / 2);
        assert!(bounds.left_ns(WaitReason::References) <= SECOND / 2);
        assert!(
            WaitBounds::new(SECOND, false, 0, u64::MAX, 1).left_ns(WaitReason::References) == 0
        );
    }

    #[test]
    fn the_clock_runs_from_its_start() {
        let mut bounds = WaitBounds::new(SECOND, false, 0, 0, 0);

        assert!(bounds.waited_ns() == 0);
        bounds.start_clock();
        assert!(bounds.left_ns(WaitReason::Kernel) <= SECOND);
    }

    #[test]
    fn nowait_still_waits_for_the_kernel() {
        let bounds = WaitBounds::new(SECOND, true, 0, 0, 0);

        assert!(!bounds.waits_for_references());
        assert!(bounds.left_ns(WaitReason::References) == 0);
        assert!(bounds.left_ns(WaitReason::Kernel) == KERNEL_TIMEOUT_NS);
    }
}

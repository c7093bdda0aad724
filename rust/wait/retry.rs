// SPDX-License-Identifier: GPL-2.0-only

//! Retry policy of a wait for page references: when to rescan, when to drain LRU batches, when to
//! block new readers.

use super::{
    backoff::Backoff,
    bounds::{
        WaitBounds,
        WaitReason, //
    },
    context::Context, //
};
use crate::mm::lru::LruDrain;
use core::mem::take;
use kernel::{
    alloc::Flags,
    prelude::*,
    time::{
        Delta,
        Instant,
        Monotonic, //
    }, //
};

/// How long a wait blocks readers at its beginning, sleeps included, in nanoseconds.
const BLOCK_READERS_NS: u64 = 2_000_000;

/// After that, readers are blocked during the first [`BLOCK_READERS_SCANS`] of each period of
/// [`BLOCK_READERS_PERIOD`] scans.
const BLOCK_READERS_PERIOD: u32 = 16;
const BLOCK_READERS_SCANS: u32 = 2;

/// LRU batches are drained after this many failed scans: each power of two below the period, then each
/// multiple of the period.
const DRAIN_PERIOD: u32 = 64;

/// Bounds, in nanoseconds, of how long a scan that swapped pages in rescans what failed. Writers by
/// other descriptors wait for the inode lock meanwhile.
const MIN_RESCAN_NS: i64 = 2_000_000;
const MAX_RESCAN_NS: u64 = 1_000_000_000;

/// How long to sleep after a drain of LRU batches began, in nanoseconds, unless it ends sooner. A scan
/// before its end fails; but a CPU that does not get to its drain must not hold up the scan.
pub(crate) const DRAIN_NS: u64 = 300_000;

/// The retry policy of one wait.
pub(crate) struct RetryPolicy {
    context: Context,
    bounds: WaitBounds,
    /// Since the first retry.
    backoff: Option<Backoff>,
    failed_scans: u32,
    /// The drain of all CPUs' LRU batches, while it is under way.
    drain: Option<LruDrain>,
    /// Whether the last scan started the drain.
    drain_just_started: bool,
    /// What the last scan found to wait for.
    reason: WaitReason,
}

impl RetryPolicy {
    /// The policy before the first scan.
    pub(crate) fn new(context: Context, bounds: WaitBounds) -> Self {
        Self {
            context,
            bounds,
            backoff: None,
            failed_scans: 0,
            drain: None,
            drain_just_started: false,
            reason: WaitReason::References,
        }
    }

    /// The context of the wait.
    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    /// The bounds, and how much of them is used up.
    pub(crate) fn bounds(&self) -> &WaitBounds {
        &self.bounds
    }

    /// Counts a scan that begins now.
    pub(crate) fn begin_scan(&mut self) {
        self.bounds.count_scan();
        // Before the scan: a drain that is over by now does not show in it.
        if self.is_drained() {
            self.drain = None;
        }
        self.reason = match self.drain {
            None => WaitReason::References,
            Some(_) => WaitReason::Kernel,
        };
    }

    /// Takes the last count back, for a scan that was cut short.
    pub(crate) fn uncount_scan(&mut self) {
        self.bounds.uncount_scan();
    }

    /// The scan found extra references, or the inode lock was not free.
    pub(crate) fn scan_failed(&mut self) {
        self.failed_scans = self.failed_scans.saturating_add(1);
    }

    /// Whether no scan has failed.
    pub(crate) fn is_first(&self) -> bool {
        self.failed_scans == 0
    }

    /// Says what there is to wait for.
    pub(crate) fn set_reason(&mut self, reason: WaitReason) {
        self.reason = reason;
    }

    /// Whether there is work of the kernel to wait for, which is over soon.
    pub(crate) fn waits_for_kernel(&self) -> bool {
        self.reason == WaitReason::Kernel
    }

    /// When a scan starts, for its cost. `None` for the first scan, which is to be quick.
    pub(crate) fn scan_start(&self) -> Option<Instant<Monotonic>> {
        self.backoff.is_some().then(Instant::now)
    }

    /// Begins the backoff anew.
    pub(crate) fn reset_backoff(&mut self) {
        self.backoff = None;
    }

    /// The next backoff in nanoseconds, when `left_ns` are left and the last scan started at `start`.
    pub(crate) fn next_backoff(&mut self, left_ns: u64, start: Option<Instant<Monotonic>>) -> u64 {
        let backoff = self
            .backoff
            .get_or_insert_with(|| Backoff::new(self.context.pace()));
        match take(&mut self.drain_just_started) {
            true => DRAIN_NS.min(left_ns),
            false => {
                // CAST: The clock is monotonic, so this is never negative.
                let scan_ns = start.map_or(0, |start| start.elapsed().as_nanos() as u64);
                backoff.next(scan_ns, self.bounds.waited_ns(), left_ns)
            }
        }
    }

    /// How long a scan that took `took` is to rescan what failed, before it counts as failed.
    pub(crate) fn rescan_time(&mut self, took: Delta) -> Delta {
        self.bounds.start_clock();
        let left_ns = self.bounds.left_ns(WaitReason::Kernel).min(MAX_RESCAN_NS);
        // CAST: At most `MAX_RESCAN_NS`.
        let ns = took.as_nanos().min(left_ns as i64).max(MIN_RESCAN_NS);
        Delta::from_nanos(ns)
    }

    /// Starts the clock, if it does not run. Returns the time left in nanoseconds, `None` when the
    /// bounds are used up.
    pub(crate) fn left_ns(&mut self) -> Option<u64> {
        self.bounds.start_clock();
        let left_ns = self.bounds.left_ns(self.reason);
        (left_ns != 0 && self.bounds.allows_scan()).then_some(left_ns)
    }

    /// As [`RetryPolicy::left_ns`], while another sealer owns the seal exclusion.
    pub(crate) fn left_for_exclusion_ns(&mut self) -> Option<u64> {
        self.bounds.start_clock();
        let left_ns = self.bounds.left_ns(WaitReason::Kernel);
        (left_ns != 0).then_some(left_ns)
    }

    /// Whether to block new readers when a scan may have failed because of them.
    ///
    /// At first, and then now and then: while pages stay pinned for long, readers should hardly
    /// notice; and a reader that never rests should not hold up the seal for long.
    pub(crate) fn should_block_readers(&self) -> bool {
        self.bounds.waited_ns() < BLOCK_READERS_NS
            || self.failed_scans % BLOCK_READERS_PERIOD < BLOCK_READERS_SCANS
    }

    /// Has all CPUs drain their LRU batches, if that is due.
    ///
    /// An extra reference may be that of a batch, on a CPU that has no reason to drain it. A late
    /// writer or swap-in fills batches again, so the drain repeats, but ever less often.
    pub(crate) fn drain_if_due(&mut self) {
        let due = if !self.bounds.waits_for_references() {
            self.failed_scans == 1
        } else if self.failed_scans < DRAIN_PERIOD {
            self.failed_scans.is_power_of_two()
        } else {
            self.failed_scans % DRAIN_PERIOD == 0
        };
        if due {
            self.drain(GFP_KERNEL_ACCOUNT);
        }
    }

    /// Has all CPUs drain their LRU batches, if the bounds leave a scan to profit from it. Allocates with
    /// `flags`.
    pub(crate) fn drain(&mut self, flags: Flags) {
        if self.drain.is_none() && self.bounds.may_wait() {
            self.start_drain(flags);
            self.drain_just_started = self.drain.is_some();
            self.reason = WaitReason::Kernel;
        }
    }

    /// Has all CPUs drain their LRU batches, whatever the bounds.
    pub(crate) fn drain_unbounded(&mut self) {
        if self.drain.is_none() {
            self.start_drain(GFP_KERNEL_ACCOUNT);
        }
    }

    fn start_drain(&mut self, flags: Flags) {
        // Without memory for it, the scans go on.
        self.drain = LruDrain::start(self.context.sleeping_task(), flags).ok();
    }

    /// Forgets the drain.
    pub(crate) fn stop_drain(&mut self) {
        self.drain = None;
    }

    /// Whether a drain was started and is over.
    pub(crate) fn is_drained(&self) -> bool {
        self.drain.as_ref().is_some_and(LruDrain::is_done)
    }
}

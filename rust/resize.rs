// SPDX-License-Identifier: GPL-2.0-only

//! Removes pages from an object (truncation, hole punching) once none of them has extra references.
//!
//! The owner of a reference keeps its page when the page is removed. So nothing depends on the wait but
//! whether that owner knows. It ends with a scan that finds all pages clean; a descriptor that is not
//! ours may make new references after that.

use crate::{
    fs::memfd_inode::MemfdInode,
    mm::lru::drain_local,
    object::{
        HasSealExclusion,
        Object,
        SealGuard, //
    },
    sync::sleep::{
        signal_pending,
        SleepState, //
    },
    wait::{
        Context,
        LeaseBreak,
        RetryPolicy,
        Scan,
        WaitBounds,
        WaitReason,
        ZappedRange, //
    }, //
};
use core::ops::Range;
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// How to wait for the references.
pub(crate) struct WaitRequest {
    /// Bounds of the wait.
    pub(crate) bounds: WaitBounds,
    /// Whether to break leases; and how many pages were revoked before the call was restarted.
    pub(crate) revoke: Option<u64>,
}

/// Why the wait ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum WaitOutcome {
    /// No page has extra references.
    Unpinned,
    /// Pages had extra references until the deadline.
    Pinned,
    /// A signal or task work is pending.
    Interrupted,
}

/// How the wait ended.
pub(crate) struct WaitReport {
    /// Why.
    pub(crate) outcome: WaitOutcome,
    /// Time waited, with that before a restart, in nanoseconds.
    pub(crate) waited_ns: u64,
    /// Pages with extra references at the last scan.
    pub(crate) pinned_pages: u64,
    /// The lowest index of such a page.
    pub(crate) first_pinned: Option<usize>,
    /// Leased pages that were revoked.
    pub(crate) revoked_pages: u64,
}

/// Waits until pages of an object have no extra references, then calls `remove`, with writers and new
/// pins still blocked. Unless the wait succeeds, `remove` is not called.
///
/// `pages` tells which pages will be removed. It is called when the seal exclusion is owned. When it
/// fails, nothing is waited for, and no lease broken.
///
/// Context: sleeps. The caller must hold no lock.
///
/// # Errors
///
/// Those of `pages` and `remove`, and of [`Object::memory`].
pub(crate) fn remove_unpinned(
    object: &Arc<Object>,
    request: WaitRequest,
    pages: impl Fn() -> Result<Range<usize>>,
    remove: impl FnOnce() -> Result,
) -> Result<WaitReport> {
    let mut wait = RangeWait {
        object,
        pages: 0..0,
        policy: RetryPolicy::new(Context::Task, request.bounds),
        revoke: request.revoke,
        lease_break: None,
        scan: None,
        zapped: ZappedRange::new(),
    };
    let memory = object.memory()?;
    let (outcome, guard) = wait.run(memory, &pages)?;
    let revoked_pages = match (&wait.lease_break, request.revoke) {
        (Some(lease_break), _) => lease_break.revoked_pages(),
        (None, before) => before.unwrap_or(0),
    };
    if let (Some(lease_break), WaitOutcome::Interrupted) = (&mut wait.lease_break, outcome) {
        lease_break.keep_for_restart();
    }
    if let Some(guard) = &guard {
        guard.unblock_reads();
    }
    let removed = match outcome {
        WaitOutcome::Unpinned => {
            let removed = remove();
            // Mappings that show a removed page elsewhere.
            object.take_remapped_away();
            removed
        }
        _ => Ok(()),
    };
    // Withdrawn before the exclusion is released: there is one requester at a time.
    drop(wait.lease_break.take());
    drop(guard);
    // After the release: the owner of an mlocked VMA may be blocked by it.
    wait.zapped.remap_mlocked(memory.pages());
    removed?;
    let scan = wait
        .scan
        .as_ref()
        .filter(|_| outcome != WaitOutcome::Unpinned);
    Ok(WaitReport {
        outcome,
        waited_ns: wait.policy.bounds().waited_ns(),
        pinned_pages: scan.map_or(0, Scan::pinned_pages),
        // A large folio may begin before the range.
        first_pinned: scan
            .and_then(Scan::first_pinned)
            .map(|first| first.max(wait.pages.start)),
        revoked_pages,
    })
}

/// A wait for the references to a range of pages.
struct RangeWait<'a> {
    object: &'a Arc<Object>,
    pages: Range<usize>,
    policy: RetryPolicy,
    /// As in [`WaitRequest`].
    revoke: Option<u64>,
    /// From the first scan on that found extra references.
    lease_break: Option<LeaseBreak>,
    scan: Option<Scan>,
    zapped: ZappedRange,
}

impl<'a> RangeWait<'a> {
    /// Waits. Returns why the wait ended, and the exclusion if it was acquired.
    fn run(
        &mut self,
        memory: &MemfdInode,
        range: &impl Fn() -> Result<Range<usize>>,
    ) -> Result<(WaitOutcome, Option<SealGuard<&'a Arc<Object>>>)> {
        let pages = memory.pages();
        let guard = loop {
            if let Some(guard) = SealGuard::try_acquire(self.object) {
                break guard;
            }
            let Some(ns) = self.policy.left_for_exclusion_ns() else {
                self.pages = range()?;
                self.scan = Some(Scan::range(pages, self.pages.clone(), GFP_KERNEL_ACCOUNT));
                return Ok((WaitOutcome::Pinned, None));
            };
            if signal_pending() {
                return Ok((WaitOutcome::Interrupted, None));
            }
            self.object.exclusion().wait_released(ns);
        };
        guard.block_writes();
        self.pages = range()?;
        loop {
            guard.begin_scan();
            let start = self.policy.scan_start();
            self.policy.begin_scan();
            drain_local();
            let scan = Scan::range(pages, self.pages.clone(), GFP_KERNEL_ACCOUNT);
            let scan = if scan.may_be_readers() && self.policy.should_block_readers() {
                guard.block_reads();
                self.object.take_remapped_away();
                let context = self.policy.context();
                let stop = || context.stop().is_some();
                scan.rescan_zapped(pages, &mut self.zapped, GFP_KERNEL_ACCOUNT, stop)
            } else {
                scan
            };
            let is_clean = scan.is_clean_in_memory();
            let pinned_span = scan.span();
            self.scan = Some(scan);
            if is_clean {
                // `remove` waits for the inode lock without bound. While another task owns it, it is
                // not called.
                if memory.try_lock().is_some() {
                    return Ok((WaitOutcome::Unpinned, Some(guard)));
                }
                guard.block_seeks();
                self.policy.set_reason(WaitReason::Kernel);
            }
            self.policy.scan_failed();
            self.policy.drain_if_due();
            let left_ns = self.policy.left_ns();
            if let (Some(revoked), false) = (self.revoke, is_clean) {
                let lease_break = self.lease_break.get_or_insert_with(|| {
                    // A pin of any part of a large folio pins all of it.
                    let range = match pinned_span {
                        Some(span) => {
                            self.pages.start.min(span.start)..self.pages.end.max(span.end)
                        }
                        None => self.pages.clone(),
                    };
                    LeaseBreak::new(current!().group_leader().into(), range, revoked)
                });
                let may_wait = left_ns.is_some() && self.policy.bounds().waits_for_references();
                if lease_break.request_and_revoke(self.object.pins(), may_wait) {
                    continue;
                }
            }
            let Some(left_ns) = left_ns else {
                return Ok((WaitOutcome::Pinned, Some(guard)));
            };
            if !self.policy.should_block_readers() {
                guard.unblock_reads();
            }
            if signal_pending() {
                return Ok((WaitOutcome::Interrupted, Some(guard)));
            }
            let ns = self.policy.next_backoff(left_ns, start);
            guard.sleep(SleepState::Interruptible, ns, || self.policy.is_drained());
        }
    }
}

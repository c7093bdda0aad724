// SPDX-License-Identifier: GPL-2.0-only

//! One attempt to commit seals: scan the pages under the inode lock and, when all are clean, set the
//! seals under the same hold of it. What an attempt learns speeds up the next.

use super::{
    isolate::{
        isolate,
        IsolateError,
        MAX_ISOLATED, //
    },
    request::Outcome, //
};
use crate::{
    fs::memfd_inode::{
        LockedMemfd,
        MemfdInode, //
    },
    mm::{
        address_space::AddressSpace,
        lru::drain_local,
        memcg::gfp_nowait_account, //
    },
    object::{
        Object,
        SealGuard,
        SealSet, //
    },
    trampolines::trace,
    wait::{
        Context,
        RetryPolicy,
        Scan,
        ScanError,
        Stop,
        WaitBounds,
        WaitReason,
        ZappedRange, //
    }, //
};
use kernel::{
    prelude::*,
    sync::Arc,
    time::{
        delay::{
            fsleep,
            udelay, //
        },
        Delta,
        Instant,
        Monotonic, //
    }, //
};

/// How often the inode lock is tried in a row, and the delay in between, in microseconds. Most owners
/// release it in that time.
const LOCK_TRIES: u32 = 8;
const LOCK_DELAY_US: i64 = 3;

/// Sleep between rescans of pages that were swapped in, in microseconds.
const SWAP_RESCAN_US: i64 = 100;

/// Longest time to replace pages in one attempt, in milliseconds.
const ISOLATE_MS: i64 = 1_000;

/// The seal exclusion of the object that is sealed.
type Guard = SealGuard<Arc<Object>>;

/// Result of an attempt.
#[must_use]
pub(super) enum Commit {
    /// The seals are set.
    Sealed,
    /// Another attempt may succeed. Without one, this is the outcome.
    Blocked(Outcome),
    /// The seals imply some that end writing: the pages have to be scanned.
    NeedsScan,
    /// Another attempt would fail as well.
    Failed(Outcome),
}

/// Blocks new readers, and takes the pages away that mappings show elsewhere than at their place.
#[cold]
fn block_reads(guard: &Guard) {
    guard.block_reads();
    guard.object().take_remapped_away();
}

/// The attempts of one seal operation.
pub(super) struct SealCommit {
    seals: SealSet,
    policy: RetryPolicy,
    isolated_pages: usize,
    zapped: ZappedRange,
    scan: Option<Scan>,
    /// That of an attempt before the first one.
    hint: Option<Scan>,
}

impl SealCommit {
    /// Before the first attempt. `isolated_pages` were isolated before the call was restarted.
    pub(super) fn new(
        context: Context,
        seals: SealSet,
        bounds: WaitBounds,
        isolated_pages: usize,
    ) -> Self {
        Self {
            seals,
            policy: RetryPolicy::new(context, bounds),
            isolated_pages: isolated_pages.min(MAX_ISOLATED),
            zapped: ZappedRange::new(),
            scan: None,
            hint: None,
        }
    }

    /// Has the first attempt look again at what a scan before it found.
    pub(super) fn set_hint(&mut self, scan: Option<Scan>) {
        self.hint = scan;
    }

    /// Whether it is to do that.
    pub(super) fn has_hint(&self) -> bool {
        self.hint.is_some()
    }

    /// Forgets that: time has passed since.
    pub(super) fn forget_hint(&mut self) {
        self.hint = None;
    }

    /// The last scan.
    pub(super) fn last_scan(&self) -> Option<&Scan> {
        self.scan.as_ref()
    }

    /// Whether the last scan found extra references.
    pub(super) fn found_references(&self) -> bool {
        self.scan
            .as_ref()
            .is_some_and(|scan| !scan.is_clean_in_memory())
    }

    /// Number of isolated pages.
    pub(super) fn isolated_pages(&self) -> usize {
        self.isolated_pages
    }

    /// Pages that were zapped.
    pub(super) fn zapped(&self) -> &ZappedRange {
        &self.zapped
    }

    /// The retry policy.
    pub(super) fn policy(&mut self) -> &mut RetryPolicy {
        &mut self.policy
    }

    /// Whether a drain of LRU batches was started and is over.
    pub(super) fn is_drained(&self) -> bool {
        self.policy.is_drained()
    }

    /// The bounds, and how much of them is used up.
    pub(super) fn bounds(&self) -> &WaitBounds {
        self.policy.bounds()
    }

    /// Emits the trace event of the last scan.
    pub(super) fn trace(&self, object: u64) {
        let scan = self.scan.as_ref();
        trace::seal_scan(
            object,
            self.bounds().scans(),
            scan.map_or(0, Scan::pinned_pages),
            scan.and_then(Scan::first_pinned),
        );
    }

    /// Scans for the report only.
    #[cold]
    pub(super) fn scan_for_report(&mut self, memory: &MemfdInode) {
        self.policy.begin_scan();
        self.scan = Some(Scan::all(memory.pages(), GFP_KERNEL_ACCOUNT));
    }

    /// Adds the seals that are implied for the file as it is now. Returns whether writing ends with
    /// them.
    pub(super) fn ends_writing(&mut self, object: &Object, memory: &MemfdInode) -> bool {
        self.seals = self.seals.with_implied(memory.is_executable());
        object.adding_ends_writing(self.seals)
    }

    /// Sets seals that do not depend on the pages.
    pub(super) fn set_seals(&mut self, memory: &MemfdInode, guard: &Guard) -> Result<Commit> {
        let Some(locked) = self.try_lock(memory, guard) else {
            self.policy.scan_failed();
            return Ok(Commit::Blocked(Outcome::Pinned));
        };
        // The file may have become executable since this was planned.
        if self.ends_writing(guard.object(), memory) {
            return Ok(Commit::NeedsScan);
        }
        guard.object().lock_seals(&locked).add(self.seals)?;
        Ok(Commit::Sealed)
    }

    /// Sets seals that end writing, and those implied for the file as it is under the lock.
    fn set(&mut self, locked: &LockedMemfd<'_>, guard: &Guard) -> Result {
        self.seals = self.seals.with_implied(locked.is_executable());
        guard.object().lock_seals(locked).add(self.seals)
    }

    /// Scans the pages and, when all are clean, sets the seals.
    pub(super) fn scan_and_commit(&mut self, memory: &MemfdInode, guard: &Guard) -> Result<Commit> {
        self.policy.begin_scan();
        if let Some(hint) = self.hint.take() {
            self.scan = Some(hint);
        }
        if self.scan.is_some() && !self.candidates_are_clean(memory, guard) {
            // The inode lock is not what the seal waits for now. While another task owns it, seeks
            // would wait anyhow, and that task may be the one with the references.
            if guard.blocks_seeks() && memory.try_lock().is_some() {
                guard.unblock_seeks();
            }
        } else {
            match self.scan_all_and_commit(memory, guard)? {
                Commit::Blocked(Outcome::Pinned) => (),
                commit => return Ok(commit),
            }
        }
        self.policy.scan_failed();
        self.policy.drain_if_due();
        Ok(Commit::Blocked(Outcome::Pinned))
    }

    /// Rescans the pages that were not clean. Returns whether all are now.
    #[cold]
    fn candidates_are_clean(&mut self, memory: &MemfdInode, guard: &Guard) -> bool {
        let Some(scan) = self.scan.take() else {
            return true;
        };
        let pages = memory.pages();
        if self.drain_first(&scan, pages) && self.policy.waits_for_kernel() {
            self.scan = Some(scan);
            return false;
        }
        let scan = if scan.may_be_readers() && self.policy.should_block_readers() {
            block_reads(guard);
            let context = self.policy.context();
            let stop = || context.stop().is_some();
            scan.rescan_zapped(pages, &mut self.zapped, GFP_KERNEL_ACCOUNT, stop)
        } else {
            scan.rescan(pages, GFP_KERNEL_ACCOUNT)
        };
        let is_clean = scan.is_clean_in_memory();
        self.scan = Some(scan);
        is_clean
    }

    /// Scans all pages under the inode lock and, when all are clean, sets the seals under the same
    /// hold of it. Otherwise the scan is left in `self.scan`.
    fn scan_all_and_commit(&mut self, memory: &MemfdInode, guard: &Guard) -> Result<Commit> {
        let pages = memory.pages();
        let Some(locked) = self.try_lock(memory, guard) else {
            self.scan = Some(Scan::all(pages, GFP_KERNEL_ACCOUNT));
            return Ok(Commit::Blocked(Outcome::Pinned));
        };

        // A mapping may show a page elsewhere that is the file's no more: no scan sees it. While the inode is
        // locked, none is removed.
        guard.object().take_remapped_away();
        drain_local();
        let mut scan = Scan::all(pages, gfp_nowait_account());
        if !self.drain_first(&scan, pages) && scan.may_be_readers() {
            block_reads(guard);
            let context = self.policy.context();
            let stop = || context.stop().is_some();
            scan = scan.rescan_zapped(pages, &mut self.zapped, gfp_nowait_account(), stop);
        }
        self.commit_if_clean(&locked, guard, scan)
    }

    /// Has all CPUs drain their LRU batches after the first scan, if one of these is likelier than a reader
    /// to have the references, so that the other CPUs start at once. Returns whether that is so.
    fn drain_first(&mut self, scan: &Scan, pages: &AddressSpace) -> bool {
        let is_likely = self.policy.is_first() && scan.may_be_batched() && !pages.is_mapped();
        if is_likely {
            // The inode may be locked. Without memory now, it is tried again when it is not.
            self.policy.drain(gfp_nowait_account());
        }
        is_likely
    }

    /// Sets the seals when all pages are clean in a scan under this hold of the inode lock, and those
    /// swapped out are when they come back. Otherwise the scan is left in `self.scan`.
    fn commit_if_clean(
        &mut self,
        locked: &LockedMemfd<'_>,
        guard: &Guard,
        mut scan: Scan,
    ) -> Result<Commit> {
        if scan.is_clean_in_memory() && !scan.is_clean() {
            // This may take long. Writers by other descriptors wait for the inode lock; those by ours
            // wait interruptibly.
            guard.block_writes();
            guard.unblock_reads();
            scan = match self.scan_swapped_in(locked, guard) {
                Ok(scan) => scan,
                Err(ScanError::NoMemory) => return Ok(Commit::Blocked(Outcome::NoMemory)),
                Err(ScanError::Stopped) => {
                    return Ok(match self.policy.context().stop() {
                        Some(stop) => {
                            if stop == Stop::Interrupted {
                                // The restarted call should be allowed the scan again.
                                self.policy.uncount_scan();
                            }
                            Commit::Failed(stop.into())
                        }
                        None => Commit::Blocked(Outcome::Pinned),
                    });
                }
            };
        }
        if scan.is_clean() {
            self.set(locked, guard)?;
            return Ok(Commit::Sealed);
        }
        self.scan = Some(scan);
        Ok(Commit::Blocked(Outcome::Pinned))
    }

    /// Scans all pages, and swaps in those that are swapped out.
    ///
    /// This takes so long that the kernel has a reference to one page or another at any time, for
    /// reclaim or to collapse a huge page. So that the scan is not in vain, pages that were not clean
    /// are rescanned for about as long again, within the bounds. Readers are blocked during each rescan:
    /// they had time to get references while nothing blocked them.
    #[cold]
    fn scan_swapped_in(
        &mut self,
        locked: &LockedMemfd<'_>,
        guard: &Guard,
    ) -> Result<Scan, ScanError> {
        let start = Instant::<Monotonic>::now();
        let context = self.policy.context();
        let stop = || context.ends_scan(start.elapsed());
        let mut scan = Scan::all_swapped_in(locked, &mut self.zapped, stop)?;
        if scan.is_clean() {
            return Ok(scan);
        }

        let took = start.elapsed();
        let until = took + self.policy.rescan_time(took);
        let context = self.policy.context();
        let stop = || context.ends_scan(start.elapsed());
        while !scan.is_clean() && start.elapsed() < until {
            fsleep(Delta::from_micros(SWAP_RESCAN_US));
            block_reads(guard);
            let rescan = scan.rescan_swapped_in(locked, &mut self.zapped, stop);
            guard.unblock_reads();
            match rescan {
                Ok(rescan) => scan = rescan,
                // The scan before is the result.
                Err(_) => break,
            }
        }
        Ok(scan)
    }

    /// Isolates pinned pages and, when all pages are clean then, sets the seals.
    ///
    /// A reader may have a reference to a copy already, or another task the inode lock. So it is worth
    /// another attempt while the result is [`Commit::Blocked`].
    #[cold]
    pub(super) fn isolate_and_commit(
        &mut self,
        memory: &MemfdInode,
        guard: &Guard,
    ) -> Result<Commit> {
        block_reads(guard);
        let pages = memory.pages();
        let Some(locked) = self.try_lock(memory, guard) else {
            return Ok(Commit::Blocked(Outcome::Pinned));
        };

        let max = MAX_ISOLATED - self.isolated_pages;
        let Ok(indices) = Scan::pinned_indices(pages, max) else {
            return Ok(Commit::Failed(Outcome::NoMemory));
        };
        let start = Instant::<Monotonic>::now();
        let context = self.policy.context();
        let stop = || start.elapsed().as_millis() >= ISOLATE_MS || context.is_cancelled();
        let isolated = isolate(
            &locked,
            &indices,
            &mut self.isolated_pages,
            &mut self.zapped,
            stop,
        );
        // A fault that was under way may have shown a page that is replaced by now.
        block_reads(guard);
        // The copies are in an LRU batch.
        drain_local();
        let context = self.policy.context();
        let stop = || context.stop().is_some();
        let flags = gfp_nowait_account();
        let scan = Scan::all(pages, flags).rescan_zapped(pages, &mut self.zapped, flags, stop);
        match self.commit_if_clean(&locked, guard, scan)? {
            Commit::Blocked(Outcome::Pinned) => (),
            // It was blocked before, when there was time left.
            Commit::Blocked(outcome) => return Ok(Commit::Failed(outcome)),
            commit => return Ok(commit),
        }
        Ok(match isolated {
            Err(IsolateError::NoMemory) => Commit::Failed(Outcome::NoMemory),
            Err(IsolateError::LargeFolio) => Commit::Blocked(Outcome::LargeFolio),
            Ok(()) if self.isolated_pages >= MAX_ISOLATED => Commit::Failed(Outcome::Pinned),
            Ok(()) => Commit::Blocked(Outcome::Pinned),
        })
    }

    /// Locks the inode, if its owner releases it soon.
    ///
    /// Otherwise the owner writes or seeks. It will end, and new ones are blocked.
    fn try_lock<'a>(&mut self, memory: &'a MemfdInode, guard: &Guard) -> Option<LockedMemfd<'a>> {
        let mut locked = memory.try_lock();
        if locked.is_none() {
            guard.block_writes();
            guard.block_seeks();
        }
        for _ in 0..LOCK_TRIES {
            if locked.is_some() {
                break;
            }
            udelay(Delta::from_micros(LOCK_DELAY_US));
            locked = memory.try_lock();
        }
        match locked {
            Some(_) => guard.unblock_seeks(),
            None => self.policy.set_reason(WaitReason::Kernel),
        }
        locked
    }

    /// Unblocks readers, unless the next attempt is to block them anyhow.
    pub(super) fn unblock_reads_between_attempts(&self, guard: &Guard) {
        if !self.policy.should_block_readers() {
            guard.unblock_reads();
        }
    }
}

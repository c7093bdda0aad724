// SPDX-License-Identifier: GPL-2.0-only

//! Scans for extra references to the pages of a file.
//!
//! A folio is clean when its reference count equals the page cache's own references at one instant.
//! Once it was clean while writable mappings and `write()` are denied, no new reference can be
//! written through: references that appear later are readers'. So each folio must be clean at some
//! instant, not all at the same. At that instant it is marked dirty, or reclaim might drop what a pin has
//! written.
//!
//! A swapped-out page is not known to be clean. `memfd_pin_folios()` may have pinned its folio on the
//! way to swap; the folio is then still in memory, and is what a swap-in finds. So the page is
//! swapped in and scanned.

use super::ranges::{
    for_each_group,
    Ranges, //
};
use crate::{
    fs::memfd_inode::LockedMemfd,
    mm::{
        address_space::AddressSpace,
        entries::Entry,
        lru::{
            drain_local,
            MigrateDisabled, //
        }, //
    }, //
};
use core::{
    ops::{
        ControlFlow,
        Range, //
    },
    slice::from_ref, //
};
use kernel::{
    alloc::Flags,
    page::PAGE_SIZE,
    prelude::*,
    time::{
        delay::udelay,
        Delta,
        Instant,
        Monotonic, //
    }, //
};

/// Every page that a file can have.
const ALL_PAGES: Range<usize> = 0..usize::MAX;

/// How often [`Scan::scan_swapped_page`] swaps a page in that is swapped out again.
const SWAP_IN_TRIES: u32 = 16;

/// How often [`Scan::rescan_zapped`] scans, and the delay in between, in microseconds. A fault or TLB
/// flush that is under way on another CPU ends in that time.
const ZAP_TRIES: u32 = 4;
const ZAP_DELAY_US: i64 = 5;

/// After this time, in microseconds, it may be stopped.
const ZAP_US: i64 = 1_000;

/// With more pages than this, or where each scan covers everything, [`Scan::rescan_zapped`] scans once: more would
/// take too long.
const MAX_ZAP_RETRY_PAGES: u64 = 1024;

/// With more ranges than this, [`Scan::rescan_zapped`] zaps groups of them: as many again, or more while that
/// does not take more visits to mappings. Each zap visits every mapping of its range, and others can make
/// thousands of these.
const MAX_ZAPPED_RANGES: usize = 16;
const MAX_ZAP_VISITS: usize = 256;

/// Where a rescan has to look.
enum Candidates {
    Nowhere,
    Listed(Ranges),
    /// There were too many ranges, or no memory to list them.
    Everywhere,
}

impl Candidates {
    fn ranges(&self) -> &[Range<usize>] {
        match self {
            Candidates::Nowhere => &[],
            Candidates::Listed(ranges) => ranges.as_slice(),
            Candidates::Everywhere => from_ref(&ALL_PAGES),
        }
    }
}

/// Extends a range, so that it has `pages` as well.
fn extend(range: &mut Option<Range<usize>>, pages: &Range<usize>) {
    *range = Some(match range {
        Some(old) => old.start.min(pages.start)..old.end.max(pages.end),
        None => pages.clone(),
    });
}

/// The range of pages that were zapped: removed from page tables.
pub(crate) struct ZappedRange {
    pages: Option<Range<usize>>,
    /// That of those which were replaced by copies.
    replaced: Option<Range<usize>>,
}

impl ZappedRange {
    /// An empty range.
    pub(crate) fn new() -> Self {
        Self {
            pages: None,
            replaced: None,
        }
    }

    /// Zaps pages, and extends the range.
    pub(crate) fn zap(&mut self, file: &AddressSpace, pages: &Range<usize>) {
        file.zap(pages);
        extend(&mut self.pages, pages);
    }

    /// A zapped page was replaced by a copy.
    pub(crate) fn add_replaced(&mut self, index: usize) {
        extend(&mut self.replaced, &(index..index + 1));
    }

    /// Maps the pages again in mlocked VMAs, those first that were replaced, as far as that takes a bounded
    /// time.
    ///
    /// Context: sleeps, and takes mmap locks.
    pub(crate) fn remap_mlocked(&self, pages: &AddressSpace) {
        let ranges = [&self.replaced, &self.pages].into_iter().flatten();
        // Without memory for it, they fault in again.
        let _ = pages.remap_mlocked(ranges);
    }
}

/// The first page of a range that is swapped out, or not clean.
fn first_not_clean(pages: &AddressSpace, range: Range<usize>) -> Option<usize> {
    let mut first = None;
    pages.for_each_entry(range.clone(), |entry| {
        first = match entry {
            Entry::Folio(folio) if folio.keep_if_clean() => None,
            // A folio may begin before the range.
            Entry::Folio(folio) => Some(folio.range().start.max(range.start)),
            Entry::Swapped(index) => Some(index),
        };
        match first {
            Some(_) => ControlFlow::Break(()),
            None => ControlFlow::Continue(()),
        }
    });
    first
}

/// Result of a scan.
///
/// Scans take allocation flags for the list of pages that were not clean, which should charge. Without
/// memory for it, a rescan covers everything. While the inode is locked, they are not to sleep.
pub(crate) struct Scan {
    pinned_pages: u64,
    first_pinned: Option<usize>,
    may_be_readers: bool,
    may_be_batched: bool,
    /// Whether pages are swapped out that neither this scan nor the one it rescans has seen.
    has_swapped: bool,
    candidates: Candidates,
}

/// Why a scan ended early.
pub(crate) enum ScanError {
    /// No memory to swap a page in.
    NoMemory,
    /// The context stopped it.
    Stopped,
}

impl Scan {
    fn empty() -> Self {
        Self {
            pinned_pages: 0,
            first_pinned: None,
            may_be_readers: false,
            may_be_batched: false,
            has_swapped: false,
            candidates: Candidates::Nowhere,
        }
    }

    /// Scans all pages in memory.
    ///
    /// Context: may sleep.
    pub(crate) fn all(pages: &AddressSpace, flags: Flags) -> Self {
        let mut scan = Self::empty();
        scan.walk(pages, ALL_PAGES, flags);
        scan
    }

    /// Scans all pages in memory. Returns `None` when all are clean, and none is swapped out: found at
    /// one pass.
    ///
    /// Context: may sleep.
    #[inline]
    pub(crate) fn not_clean(pages: &AddressSpace, flags: Flags) -> Option<Self> {
        let first = first_not_clean(pages, ALL_PAGES)?;
        // Those before it were clean.
        Some(Self::range(pages, first..ALL_PAGES.end, flags))
    }

    /// Scans the pages of a range that are in memory.
    ///
    /// Context: may sleep.
    pub(crate) fn range(pages: &AddressSpace, range: Range<usize>, flags: Flags) -> Self {
        let mut scan = Self::empty();
        scan.walk(pages, range, flags);
        scan
    }

    /// Scans all pages, and swaps in those that are swapped out, one by one. Takes as long as that
    /// takes, unless `stop` ends it.
    ///
    /// Context: sleeps. Takes folio locks, and `i_mmap_rwsem` of the mapping.
    ///
    /// # Errors
    ///
    /// See [`ScanError`].
    pub(crate) fn all_swapped_in(
        locked: &LockedMemfd<'_>,
        zapped: &mut ZappedRange,
        stop: impl Fn() -> bool,
    ) -> Result<Self, ScanError> {
        let mut scan = Self::empty();
        scan.scan_swapped(locked, ALL_PAGES, zapped, &stop)?;
        Ok(scan)
    }

    /// The same for the pages that this scan, under the same hold of the lock, did not find clean.
    pub(crate) fn rescan_swapped_in(
        &self,
        locked: &LockedMemfd<'_>,
        zapped: &mut ZappedRange,
        stop: impl Fn() -> bool,
    ) -> Result<Self, ScanError> {
        let mut scan = Self::empty();
        for range in self.candidates.ranges() {
            scan.scan_swapped(locked, range.clone(), zapped, &stop)?;
        }
        Ok(scan)
    }

    /// Scans a range, and swaps pages in. Ranges must come in ascending order.
    #[cold]
    fn scan_swapped(
        &mut self,
        locked: &LockedMemfd<'_>,
        range: Range<usize>,
        zapped: &mut ZappedRange,
        stop: &impl Fn() -> bool,
    ) -> Result<(), ScanError> {
        let pages = locked.pages();
        // Swapped-out pages beyond the end cannot be swapped in. They cannot be pinned either: pins
        // are taken within the size, and shrinking frees what was beyond it.
        //
        // CAST: In pages, a size fits.
        let size = locked.size().div_ceil(PAGE_SIZE as u64) as usize;
        let end = size.clamp(range.start, range.end);
        let mut from = range.start;
        while let Some(index) = first_not_clean(pages, from..end) {
            if stop() {
                return Err(ScanError::Stopped);
            }
            from = self.scan_swapped_page(locked, index, zapped)?;
        }
        self.walk(pages, from.max(end)..range.end, GFP_KERNEL_ACCOUNT);
        self.has_swapped = false;
        Ok(())
    }

    /// Swaps one folio in, zaps it and scans it. Returns the index to go on from.
    fn scan_swapped_page(
        &mut self,
        locked: &LockedMemfd<'_>,
        index: usize,
        zapped: &mut ZappedRange,
    ) -> Result<usize, ScanError> {
        let pages = locked.pages();
        let mut range = index..index + 1;
        for _ in 0..SWAP_IN_TRIES {
            // The swap-in adds the folio to an LRU batch, which must be this CPU's to be drained.
            let _same_cpu = MigrateDisabled::new();
            let Some(folio) = pages.lock_folio(index) else {
                match locked.swap_in(index) {
                    Ok(()) => continue,
                    // It has no content left that could change.
                    Err(EIO) => return Ok(index + 1),
                    Err(ENOMEM) => return Err(ScanError::NoMemory),
                    Err(_) => break,
                }
            };
            range = folio.range();
            drain_local();
            if !folio.is_clean() && pages.is_mapped() {
                zapped.zap(pages, &range);
                drain_local();
            }
            if folio.keep_if_clean() {
                return Ok(range.end);
            }
            break;
        }
        let end = range.end;
        self.may_be_readers = true;
        self.may_be_batched = true;
        // What was swapped in was allocated sleeping, too.
        self.record(range, GFP_KERNEL_ACCOUNT);
        Ok(end)
    }

    /// Rescans the pages that were not clean.
    ///
    /// Context: may sleep.
    pub(crate) fn rescan(&self, pages: &AddressSpace, flags: Flags) -> Self {
        let mut scan = Self::empty();
        scan.has_swapped = self.has_swapped;
        for range in self.candidates.ranges() {
            scan.walk(pages, range.clone(), flags);
        }
        scan
    }

    /// Zaps and rescans the pages that were not clean, and gives readers that are under way time to
    /// end, unless that takes long and `stop` tells to stop. To be used while new readers are blocked.
    ///
    /// Context: may sleep. Takes `i_mmap_rwsem` of the mapping.
    #[cold]
    pub(crate) fn rescan_zapped(
        mut self,
        pages: &AddressSpace,
        zapped: &mut ZappedRange,
        flags: Flags,
        stop: impl Fn() -> bool,
    ) -> Self {
        let start = Instant::<Monotonic>::now();
        let stop = || start.elapsed().as_micros_ceil() >= ZAP_US && stop();
        for _ in 0..ZAP_TRIES {
            if pages.is_mapped() {
                self.zap(pages, zapped);
            }
            self = self.rescan(pages, flags);
            let is_long = match self.candidates {
                Candidates::Everywhere => true,
                _ => self.pinned_pages > MAX_ZAP_RETRY_PAGES,
            };
            if !self.may_be_readers || is_long || stop() {
                break;
            }
            udelay(Delta::from_micros(ZAP_DELAY_US));
        }
        self
    }

    /// Zaps the pages that were not clean.
    fn zap(&self, pages: &AddressSpace, zapped: &mut ZappedRange) {
        let ranges = self.candidates.ranges();
        if ranges.len() <= MAX_ZAPPED_RANGES {
            ranges.iter().for_each(|range| zapped.zap(pages, range));
            return;
        }
        let groups = MAX_ZAP_VISITS / pages.count_vmas().max(1);
        for_each_group(ranges, groups.max(MAX_ZAPPED_RANGES), |group| {
            zapped.zap(pages, group)
        });
    }

    /// Indices of pages that are not clean now, in ascending order, `max` at most. Of a large folio it
    /// is the first page.
    ///
    /// Context: may sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn pinned_indices(pages: &AddressSpace, max: usize) -> Result<KVec<usize>> {
        let mut indices = KVec::with_capacity(max, GFP_KERNEL)?;
        pages.for_each_folio(ALL_PAGES, |folio| {
            if !folio.is_clean() && indices.push_within_capacity(folio.range().start).is_err() {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        Ok(indices)
    }

    /// Whether all pages were clean.
    pub(crate) fn is_clean(&self) -> bool {
        self.is_clean_in_memory() && !self.has_swapped
    }

    /// Whether all pages in memory were clean.
    pub(crate) fn is_clean_in_memory(&self) -> bool {
        self.first_pinned.is_none()
    }

    /// Whether extra references may be those of readers.
    pub(crate) fn may_be_readers(&self) -> bool {
        self.may_be_readers
    }

    /// Whether extra references may be those of LRU batches.
    pub(crate) fn may_be_batched(&self) -> bool {
        self.may_be_batched
    }

    /// Pages of folios with extra references.
    pub(crate) fn pinned_pages(&self) -> u64 {
        self.pinned_pages
    }

    /// The lowest index of such a page.
    pub(crate) fn first_pinned(&self) -> Option<usize> {
        self.first_pinned
    }

    /// From the first such page to the last, if they are listed.
    pub(crate) fn span(&self) -> Option<Range<usize>> {
        match &self.candidates {
            Candidates::Listed(list) => {
                let list = list.as_slice();
                Some(list.first()?.start..list.last()?.end)
            }
            Candidates::Nowhere | Candidates::Everywhere => None,
        }
    }

    /// Records pages that are not clean, if there is room.
    fn try_record(&mut self, range: Range<usize>) -> Result<(), Range<usize>> {
        let new_pages = match &mut self.candidates {
            Candidates::Nowhere => return Err(range),
            Candidates::Listed(list) => match list.push(range.clone()) {
                Ok(new_pages) => new_pages,
                Err(_) => return Err(range),
            },
            Candidates::Everywhere => range.len(),
        };
        self.pinned_pages += new_pages as u64;
        self.first_pinned.get_or_insert(range.start);
        Ok(())
    }

    /// Records pages that are not clean. Allocates room.
    #[cold]
    fn record(&mut self, range: Range<usize>, flags: Flags) {
        let Err(range) = self.try_record(range) else {
            return;
        };
        if let Candidates::Nowhere = self.candidates {
            self.candidates = Candidates::Listed(Ranges::new());
        }
        if let Candidates::Listed(list) = &mut self.candidates {
            if list.grow(flags).is_err() {
                self.candidates = Candidates::Everywhere;
            }
        }
        // There is room now, or none is needed.
        let _ = self.try_record(range);
    }

    /// Records the folios of a range that are not clean. Ranges must come in ascending order.
    #[inline]
    fn walk(&mut self, pages: &AddressSpace, range: Range<usize>, flags: Flags) {
        let mut from = range.start;
        loop {
            let mut no_room_for = None;
            pages.for_each_entry(from..range.end, |entry| {
                let folio = match entry {
                    Entry::Folio(folio) => folio,
                    Entry::Swapped(_) => {
                        self.has_swapped = true;
                        return ControlFlow::Continue(());
                    }
                };
                if folio.keep_if_clean() {
                    return ControlFlow::Continue(());
                }
                let references = folio.references();
                self.may_be_readers |= references.may_be_readers();
                self.may_be_batched |= references.may_be_batched();
                match self.try_record(folio.range()) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(range) => {
                        no_room_for = Some(range);
                        ControlFlow::Break(())
                    }
                }
            });
            let Some(range) = no_room_for else { return };
            from = range.end;
            self.record(range, flags);
        }
    }
}

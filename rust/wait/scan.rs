// SPDX-License-Identifier: GPL-2.0-only

//! Looking for extra references to the pages of a file.
//!
//! A folio passes when its reference count equals the page cache's own references at one instant.
//! Once it has passed while nobody can map the file writable nor write to it, nobody can get a
//! reference to write through any more: what is seen later of that folio are readers. So it is
//! enough that each folio passes at some instant, not all at the same.
//!
//! A page in swap is not known to have passed: `memfd_pin_folios()` may have pinned it while it went
//! there, and then it is still in memory, and is what comes back. So it is brought back and looked
//! at.

use crate::{
    fs::shmem::LockedShmem,
    mm::{
        address_space::{
            AddressSpace,
            Entry, //
        },
        lru::{
            drain_this_cpu,
            SameCpu, //
        }, //
    },
    wait::ranges::Ranges, //
};
use core::{
    ops::{
        ControlFlow,
        Range, //
    },
    slice::from_ref, //
};
use kernel::{
    page::PAGE_SIZE,
    prelude::*,
    time::{
        delay::udelay,
        Delta, //
    }, //
};

/// Every page that a file can have.
const ALL_PAGES: Range<usize> = 0..usize::MAX;

/// How many times [`Look::closer`] has a page come back that has gone to swap again.
const CLOSER_TRIES: u32 = 16;

/// How many times [`Look::again_without_readers`] looks, and how long it lets readers get on in
/// between, in microseconds. A fault or a TLB flush that is under way on another CPU is over then.
const TRIES: u32 = 4;
const TRY_US: i64 = 5;

/// With more pages than this, [`Look::again_without_readers`] looks once: it would take too long.
const TRY_PAGES: u64 = 1024;

/// Where a later look has to look.
enum Candidates {
    /// Nowhere.
    Nowhere,
    /// In these ranges.
    Listed(Ranges),
    /// Everywhere: there were too many ranges, or no memory to list them.
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

/// Pages that were removed from page tables.
pub(crate) struct Unmapped {
    within: Option<Range<usize>>,
}

impl Unmapped {
    /// None.
    pub(crate) fn new() -> Self {
        Self { within: None }
    }

    /// Adds some.
    pub(crate) fn add(&mut self, pages: &Range<usize>) {
        self.within = Some(match &self.within {
            Some(within) => within.start.min(pages.start)..within.end.max(pages.end),
            None => pages.clone(),
        });
    }

    /// Maps them again where they were locked in memory.
    ///
    /// Context: sleeps, and takes mmap locks.
    pub(crate) fn map_where_locked(&self, pages: &AddressSpace) {
        if let Some(within) = &self.within {
            // Without memory for it, they come back when they are used.
            let _ = pages.map_where_locked(within.clone());
        }
    }
}

/// The first page in a range that does not pass, or is in swap.
fn first_not_passing(pages: &AddressSpace, range: Range<usize>) -> Option<usize> {
    let mut first = None;
    pages.for_each_entry(range.clone(), |entry| {
        first = match entry {
            Entry::Folio(folio) if folio.is_clean() => None,
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

/// What a look at the pages found.
pub(crate) struct Look {
    pinned_pages: u64,
    first_pinned: Option<usize>,
    may_be_readers: bool,
    may_be_batched: bool,
    /// Whether pages were in swap, which this look, or one before of which it is a part, did not see.
    has_swapped: bool,
    candidates: Candidates,
}

/// Why a look was not taken to its end.
pub(crate) enum CutShort {
    /// There is no memory for what is to come back from swap.
    NoMemory,
    /// The one who looks was asked to stop.
    Stopped,
}

impl Look {
    fn nothing() -> Self {
        Self {
            pinned_pages: 0,
            first_pinned: None,
            may_be_readers: false,
            may_be_batched: false,
            has_swapped: false,
            candidates: Candidates::Nowhere,
        }
    }

    /// Looks at every page in memory.
    ///
    /// Context: may sleep.
    pub(crate) fn everywhere(pages: &AddressSpace) -> Self {
        let mut look = Self::nothing();
        look.sweep(pages, ALL_PAGES);
        look
    }

    /// Looks at the pages of a range that are in memory.
    ///
    /// Context: may sleep.
    pub(crate) fn within(pages: &AddressSpace, range: Range<usize>) -> Self {
        let mut look = Self::nothing();
        look.sweep(pages, range);
        look
    }

    /// Looks at every page, and has those in swap come back for that, one by one. Takes as long as
    /// that takes, unless `stop` says so.
    ///
    /// Context: sleeps. Takes folio locks, and `i_mmap_rwsem` of the mapping.
    ///
    /// # Errors
    ///
    /// See [`CutShort`].
    pub(crate) fn everywhere_and_in_swap(
        locked: &LockedShmem<'_>,
        unmapped: &mut Unmapped,
        stop: impl Fn() -> bool,
    ) -> Result<Self, CutShort> {
        let mut look = Self::nothing();
        look.closely(locked, ALL_PAGES, unmapped, &stop)?;
        Ok(look)
    }

    /// The same for what did not pass in this look, which was taken under the same hold of the lock.
    pub(crate) fn again_and_in_swap(
        &self,
        locked: &LockedShmem<'_>,
        unmapped: &mut Unmapped,
        stop: impl Fn() -> bool,
    ) -> Result<Self, CutShort> {
        let mut look = Self::nothing();
        for range in self.candidates.ranges() {
            look.closely(locked, range.clone(), unmapped, &stop)?;
        }
        Ok(look)
    }

    /// Looks at the pages of a range, and has those in swap come back. Ranges must come in ascending
    /// order.
    #[cold]
    fn closely(
        &mut self,
        locked: &LockedShmem<'_>,
        range: Range<usize>,
        unmapped: &mut Unmapped,
        stop: &impl Fn() -> bool,
    ) -> Result<(), CutShort> {
        let pages = locked.file().pages();
        // What is beyond the end in swap cannot come back, and nobody could pin it: who pins is
        // within the size, and shrinking frees what was.
        //
        // CAST: In pages, a size fits.
        let size = locked.file().size().div_ceil(PAGE_SIZE as u64) as usize;
        let end = size.clamp(range.start, range.end);
        let mut from = range.start;
        while let Some(index) = first_not_passing(pages, from..end) {
            if stop() {
                return Err(CutShort::Stopped);
            }
            from = self.closer(locked, index, unmapped)?;
        }
        self.sweep(pages, from.max(end)..range.end);
        self.has_swapped = false;
        Ok(())
    }

    /// Looks at one folio that did not pass: has it come back from swap, and removes it from page
    /// tables. Returns the index to go on from.
    fn closer(
        &mut self,
        locked: &LockedShmem<'_>,
        index: usize,
        unmapped: &mut Unmapped,
    ) -> Result<usize, CutShort> {
        let pages = locked.file().pages();
        let mut range = index..index + 1;
        for _ in 0..CLOSER_TRIES {
            // It may be on its way to an LRU list then, but on no other CPU's.
            let _same_cpu = SameCpu::stay();
            let Some(folio) = pages.lock_folio(index) else {
                match locked.bring_back(index) {
                    Ok(()) => continue,
                    // It has no content any more that could change.
                    Err(EIO) => return Ok(index + 1),
                    Err(ENOMEM) => return Err(CutShort::NoMemory),
                    Err(_) => break,
                }
            };
            range = folio.range();
            drain_this_cpu();
            if !folio.is_clean() && pages.is_mapped() {
                folio.unmap();
                unmapped.add(&range);
                drain_this_cpu();
            }
            if folio.is_clean() {
                return Ok(range.end);
            }
            break;
        }
        let end = range.end;
        self.may_be_readers = true;
        self.may_be_batched = true;
        self.record(range);
        Ok(end)
    }

    /// Looks again at what did not pass.
    ///
    /// Context: may sleep.
    pub(crate) fn again(&self, pages: &AddressSpace) -> Self {
        let mut look = Self::nothing();
        look.has_swapped = self.has_swapped;
        for range in self.candidates.ranges() {
            look.sweep(pages, range.clone());
        }
        look
    }

    /// Looks again at what did not pass, after it was removed from page tables, and gives readers
    /// who are at it time to be through. To be used while new ones are held up.
    ///
    /// Context: may sleep. Takes `i_mmap_rwsem` of the mapping.
    #[cold]
    pub(crate) fn again_without_readers(
        mut self,
        pages: &AddressSpace,
        unmapped: &mut Unmapped,
    ) -> Self {
        for _ in 0..TRIES {
            if pages.is_mapped() {
                for range in self.candidates.ranges() {
                    pages.unmap(range);
                    unmapped.add(range);
                }
            }
            self = self.again(pages);
            if !self.may_be_readers || self.pinned_pages > TRY_PAGES {
                break;
            }
            udelay(Delta::from_micros(TRY_US));
        }
        self
    }

    /// The indices of pages that do not pass now, in ascending order, `most` of them at most. Of a
    /// large folio it is the first one.
    ///
    /// Context: may sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn held(pages: &AddressSpace, most: usize) -> Result<KVec<usize>> {
        let mut held = KVec::with_capacity(most, GFP_KERNEL)?;
        pages.for_each_folio(ALL_PAGES, |folio| {
            if !folio.is_clean() && held.push_within_capacity(folio.range().start).is_err() {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        Ok(held)
    }

    /// Whether all pages passed.
    pub(crate) fn is_clean(&self) -> bool {
        self.is_clean_in_memory() && !self.has_swapped
    }

    /// Whether all pages in memory passed.
    pub(crate) fn is_clean_in_memory(&self) -> bool {
        self.first_pinned.is_none()
    }

    /// Whether what did not pass may be due to readers.
    pub(crate) fn may_be_readers(&self) -> bool {
        self.may_be_readers
    }

    /// Whether what did not pass may be on its way to the LRU lists.
    pub(crate) fn may_be_batched(&self) -> bool {
        self.may_be_batched
    }

    /// Pages of folios that did not pass.
    pub(crate) fn pinned_pages(&self) -> u64 {
        self.pinned_pages
    }

    /// The lowest index of a page that did not pass.
    pub(crate) fn first_pinned(&self) -> Option<usize> {
        self.first_pinned
    }

    /// From the first page to the last that did not pass, if it is known which ones those are.
    pub(crate) fn span(&self) -> Option<Range<usize>> {
        match &self.candidates {
            Candidates::Listed(list) => {
                let list = list.as_slice();
                Some(list.first()?.start..list.last()?.end)
            }
            Candidates::Nowhere | Candidates::Everywhere => None,
        }
    }

    /// Remembers pages that did not pass, if there is room.
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

    /// Remembers pages that did not pass. Sleeps for room.
    #[cold]
    fn record(&mut self, range: Range<usize>) {
        let Err(range) = self.try_record(range) else {
            return;
        };
        if let Candidates::Nowhere = self.candidates {
            self.candidates = Candidates::Listed(Ranges::new());
        }
        if let Candidates::Listed(list) = &mut self.candidates {
            if list.make_room().is_err() {
                self.candidates = Candidates::Everywhere;
            }
        }
        // There is room now, or none is needed.
        let _ = self.try_record(range);
    }

    /// Remembers the folios of a range that do not pass. Ranges must come in ascending order.
    #[inline]
    fn sweep(&mut self, pages: &AddressSpace, range: Range<usize>) {
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
                if folio.is_clean() {
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
            self.record(range);
        }
    }
}

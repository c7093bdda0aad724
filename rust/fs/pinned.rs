// SPDX-License-Identifier: GPL-2.0-only

//! Long-term pins (`FOLL_PIN | FOLL_LONGTERM`) of the pages of a shmem file.
//!
//! C source: [`mm/gup.c`](srctree/mm/gup.c)

use crate::{
    bindings,
    fs::{
        memfd_file::MemfdFile,
        memfd_inode::ReadLockedInode, //
    }, //
};
use core::{
    ops::{
        ControlFlow,
        Range, //
    },
    ptr::null_mut, //
};
use kernel::{
    alloc::AllocError,
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*, //
};

/// Most folios that are pinned in one call.
pub(crate) const PIN_BATCH: usize = 512;

/// Limit of the reference count of a folio that is pinned. `memfd_pin_folios()` does not check for
/// overflow, so this leaves room for as many references again, by concurrent callers and by other
/// ways.
const MAX_FOLIO_REFS: u32 = 1 << 30;

/// A pin of a folio, for some of its pages.
///
/// # Invariants
///
/// `self` owns one pin of `folio`, which has these pages.
struct FolioPin {
    folio: *mut bindings::folio,
    /// First of these pages in the folio.
    first: u32,
    /// Number of these pages.
    count: u32,
    /// Offset of the first one in the pinned range.
    offset: usize,
}

impl FolioPin {
    /// Offset in the pinned range after the last page.
    fn end(&self) -> usize {
        self.offset + self.count as usize
    }

    /// Reference count of the folio.
    fn folio_refs(&self) -> u32 {
        // CAST: A count that overflows stays large.
        //
        // SAFETY: By the type invariants.
        unsafe { bindings::pinseal_folio_ref_count(self.folio) as u32 }
    }

    /// Number of pages of the folio, which is not split while it is pinned.
    fn folio_pages(&self) -> usize {
        // SAFETY: By the type invariants.
        unsafe { bindings::pinseal_folio_nr_pages(self.folio) }
    }
}

impl Drop for FolioPin {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, `self` owns the pin.
        unsafe { bindings::unpin_folio(self.folio) };
    }
}

/// Why pages were not pinned.
pub(crate) enum PinError {
    /// There is no memory; or a page must be moved to be pinned for long (from `ZONE_MOVABLE` or
    /// CMA), and could not be. The kernel's `ENOMEM` is for both.
    NoMemoryOrNotMoved,
    /// Another reason.
    Other(Error),
}

impl From<Error> for PinError {
    fn from(error: Error) -> Self {
        PinError::Other(error)
    }
}

impl From<AllocError> for PinError {
    fn from(_: AllocError) -> Self {
        PinError::Other(ENOMEM)
    }
}

/// A pinned range of a file. The pages stay pinned until drop, even if the file has other pages
/// there by then.
///
/// # Invariants
///
/// `pins` are those of pages `0..len` of the range, in ascending order.
pub(crate) struct PinnedPages {
    pins: KVVec<FolioPin>,
    len: usize,
    /// Number of pins that were confirmed.
    confirmed: usize,
}

// SAFETY: Any thread may release a pin.
unsafe impl Send for PinnedPages {}
// SAFETY: The pages are shared memory, to which no references are made: bytes are copied from and
// to them.
unsafe impl Sync for PinnedPages {}

impl PinnedPages {
    /// Creates an empty range.
    pub(crate) fn new() -> Self {
        Self {
            pins: KVVec::new(),
            len: 0,
            confirmed: 0,
        }
    }

    /// Number of pages that are pinned, from the start of the range.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Pins more pages of `range`, those of `max_folios` folios at most and of [`PIN_BATCH`], and
    /// fills holes as a fault does. Until [`PinnedPages::confirm`], the file may have other folios
    /// there.
    ///
    /// Pages that cannot be pinned for long where they are are moved first. That takes time, so the
    /// inode should not be locked.
    ///
    /// Context: sleeps.
    ///
    /// # Errors
    ///
    /// `EINVAL` when the range extends beyond the end of the file; `ENOMEM`, also when a folio has
    /// too many references; `ENOSPC`; `EIO` when a page is poisoned, or cannot be swapped in.
    pub(crate) fn pin_more(
        &mut self,
        file: &MemfdFile,
        range: &Range<usize>,
        max_folios: usize,
    ) -> Result<(), PinError> {
        let rest = range.start + self.len..range.end;
        let max_folios = rest.len().min(max_folios).min(PIN_BATCH);
        if max_folios == 0 {
            return Err(EINVAL.into());
        }
        check_not_poisoned(file, rest.clone(), max_folios)?;
        let mut folios = KVVec::from_elem(null_mut(), max_folios, GFP_KERNEL)?;
        // Reserved first: nothing fails while pins have no owner.
        self.pins.reserve(folios.len(), GFP_KERNEL_ACCOUNT)?;
        self.pin_batch(file, rest, &mut folios)
    }

    /// Pins the next folios of the range, at least one. `self.pins` must have room for them.
    fn pin_batch(
        &mut self,
        file: &MemfdFile,
        pages: Range<usize>,
        folios: &mut [*mut bindings::folio],
    ) -> Result<(), PinError> {
        let size = file.inode().size();
        if pages.end as u64 > size.div_ceil(PAGE_SIZE as u64) {
            return Err(EINVAL.into());
        }
        // CAST: The size of a file in bytes fits.
        let first_byte = (pages.start << PAGE_SHIFT) as bindings::loff_t;
        let end = (pages.end << PAGE_SHIFT) as u64;
        let last_byte = end.min(size) as bindings::loff_t - 1;
        let mut offset = 0;

        // SAFETY: The file is open; `folios` has room for `folios.len()` pointers.
        let found = unsafe {
            bindings::memfd_pin_folios(
                file.as_ptr(),
                first_byte,
                last_byte,
                folios.as_mut_ptr(),
                // CAST: At most `PIN_BATCH`.
                folios.len() as u32,
                &mut offset,
            )
        };
        let found = match found {
            // The range was valid. If it still is, a folio has too many references.
            _ if found == EINVAL.to_errno() as isize => {
                return Err(match file.inode().size() < size {
                    true => EINVAL.into(),
                    false => ENOMEM.into(),
                });
            }
            _ if found == ENOMEM.to_errno() as isize => return Err(PinError::NoMemoryOrNotMoved),
            // CAST: An errno.
            _ if found < 0 => return Err(Error::from_errno(found as i32).into()),
            // Not reached.
            0 => return Err(ENOMEM.into()),
            // CAST: Not negative.
            _ => found as usize,
        };
        // Only the first folio can begin before the range, and only the last extend beyond it. (If
        // the file changes meanwhile, another folio may overlap those before it. They are stale
        // then.)
        let limit = self.len + pages.len();
        let mut first = offset >> PAGE_SHIFT;
        let mut has_too_many_refs = false;
        for &folio in folios.iter().take(found) {
            // INVARIANT: The folio was pinned above.
            let mut pin = FolioPin {
                folio,
                // CAST: The number of pages of a folio fits.
                first: first as u32,
                count: 0,
                offset: self.len,
            };
            // CAST: As above.
            pin.count = (limit - self.len).min(pin.folio_pages() - first) as u32;
            self.len = pin.end();
            first = 0;
            has_too_many_refs |= pin.folio_refs() > MAX_FOLIO_REFS;
            // There is room: see above.
            let _ = self.pins.push_within_capacity(pin);
        }
        match has_too_many_refs {
            true => Err(ENOMEM.into()),
            false => Ok(()),
        }
    }

    /// Confirms that the folios pinned since the last time are the file's, and have content. Drops
    /// the first pin of another folio and those after it: [`PinnedPages::pin_more`] will pin these
    /// pages anew.
    ///
    /// `inode` is locked, and seals are committed under the same lock. While it is held, the pinned
    /// folios are those in the page cache, so a later scan finds the pins.
    ///
    /// `memfd_pin_folios()` may also find and pin a folio that is being swapped out at that moment.
    /// A swap-in makes it the file's again. A folio that is the file's and is pinned is not swapped
    /// out any more.
    ///
    /// Context: sleeps, for memory and swap if a folio is not the file's.
    ///
    /// # Errors
    ///
    /// `EINVAL` when the range extends beyond the end of the file; `ENOMEM`; `EIO` when a page
    /// cannot be swapped in.
    pub(crate) fn confirm(&mut self, inode: &ReadLockedInode<'_>, range: &Range<usize>) -> Result {
        if range.end as u64 > inode.size().div_ceil(PAGE_SIZE as u64) {
            return Err(EINVAL);
        }
        for (number, pin) in self.pins.iter().enumerate().skip(self.confirmed) {
            if !inode.has_folio(range.start + pin.offset, pin.folio)? {
                self.len = pin.offset;
                self.pins.truncate(number);
                break;
            }
        }
        self.confirmed = self.pins.len();
        Ok(())
    }

    /// Number of pages of the pinned folios, which may extend beyond the range.
    pub(crate) fn folio_pages_total(&self) -> usize {
        self.pins.iter().map(FolioPin::folio_pages).sum()
    }

    /// Copies bytes from position `at` of the range, at most to the end of a page. Returns the
    /// number of bytes.
    ///
    /// # Errors
    ///
    /// `EIO` when the page is poisoned.
    pub(crate) fn read(&self, at: usize, bytes: &mut [u8]) -> Result<usize> {
        let Some((page, offset)) = self.page_at(at)? else {
            return Ok(0);
        };
        let len = bytes.len().min(PAGE_SIZE - offset);
        // SAFETY: The page is pinned; both sides have `len` bytes. A concurrent write makes the
        // copy inconsistent, as with any shared memory.
        unsafe { bindings::pinseal_memcpy_from_page(bytes.as_mut_ptr(), page, offset, len) };
        Ok(len)
    }

    /// Copies bytes to position `at` of the range, at most to the end of a page. Returns the number
    /// of bytes.
    ///
    /// # Errors
    ///
    /// `EIO` when the page is poisoned.
    pub(crate) fn write(&self, at: usize, bytes: &[u8]) -> Result<usize> {
        let Some((page, offset)) = self.page_at(at)? else {
            return Ok(0);
        };
        let len = bytes.len().min(PAGE_SIZE - offset);
        // SAFETY: As above.
        unsafe { bindings::pinseal_memcpy_to_page(page, offset, bytes.as_ptr(), len) };
        Ok(len)
    }

    /// The page with byte `at` of the range, and the offset in that page.
    fn page_at(&self, at: usize) -> Result<Option<(*mut bindings::page, usize)>> {
        let (number, offset) = (at >> PAGE_SHIFT, at & (PAGE_SIZE - 1));
        let pin = self.pins.partition_point(|pin| pin.end() <= number);
        let Some(pin) = self.pins.get(pin) else {
            return Ok(None);
        };
        let index = pin.first as usize + (number - pin.offset);
        // SAFETY: By the invariants of `FolioPin`, the folio has that page.
        let page = unsafe { bindings::pinseal_folio_page(pin.folio, index) };
        // SAFETY: The page is pinned.
        match unsafe { bindings::pinseal_page_is_poisoned(page) } {
            true => Err(EIO),
            false => Ok(Some((page, offset))),
        }
    }

    /// Marks the pages dirty, as they may have been written to: reclaim drops clean ones like
    /// holes.
    pub(crate) fn mark_dirty(&self) {
        for pin in &self.pins {
            // SAFETY: The folio is pinned.
            unsafe { bindings::folio_mark_dirty_lock(pin.folio) };
        }
    }
}

/// Checks that no folio of the range is poisoned, of the first `max` in memory.
///
/// The kernel takes a poisoned folio off the LRU lists, but shmem keeps it. Where it cannot be
/// pinned for long, `memfd_pin_folios()` would try for ever to take it off a list and move it.
///
/// Context: may sleep.
///
/// # Errors
///
/// `EIO`.
fn check_not_poisoned(file: &MemfdFile, pages: Range<usize>, max: usize) -> Result {
    let mut is_poisoned = false;
    let mut left = max;
    file.inode().pages().for_each_folio(pages, |folio| {
        is_poisoned = folio.is_poisoned();
        left -= 1;
        match is_poisoned || left == 0 {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    match is_poisoned {
        true => Err(EIO),
        false => Ok(()),
    }
}

// SPDX-License-Identifier: GPL-2.0-only

//! Long-term pins (`FOLL_PIN | FOLL_LONGTERM`) of the pages of a shmem file.
//!
//! C source: [`mm/gup.c`](srctree/mm/gup.c)

use crate::{
    bindings,
    fs::memfd_file::ReadLockedMemfd, //
};
use core::{
    ops::Range,
    ptr::null_mut, //
};
use kernel::{
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*, //
};

/// Folios that are pinned in one call.
const PIN_BATCH: usize = 512;

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

/// A pinned range of a file. The pages stay pinned until drop, even if the file has other pages
/// there by then.
///
/// # Invariants
///
/// `pins` are those of pages `0..len` of the range, in ascending order.
pub(crate) struct PinnedPages {
    pins: KVVec<FolioPin>,
    len: usize,
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
        }
    }

    /// Number of pages that are pinned, from the start of the range.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Pins more pages of `range`, and fills holes as a fault does.
    ///
    /// `file` is locked, and seals are committed under the same lock. While it is held, the pinned
    /// folios are those in the page cache, so a later scan finds the pins.
    ///
    /// Context: sleeps.
    ///
    /// # Errors
    ///
    /// `EINVAL` when the range extends beyond the end of the file; `ENOMEM`, also when a folio has
    /// too many references; `ENOSPC`; `EIO` when a page cannot be swapped in.
    pub(crate) fn pin_more(&mut self, file: &ReadLockedMemfd<'_>, range: &Range<usize>) -> Result {
        let rest = range.start + self.len..range.end;
        if rest.is_empty() || rest.end as u64 > file.inode().size().div_ceil(PAGE_SIZE as u64) {
            return Err(EINVAL);
        }
        let mut folios = KVVec::from_elem(null_mut(), rest.len().min(PIN_BATCH), GFP_KERNEL)?;
        // Reserved first: nothing fails while pins have no owner.
        self.pins.reserve(folios.len(), GFP_KERNEL_ACCOUNT)?;
        let first_new = self.pins.len();
        self.pin_batch(file, rest, &mut folios)?;
        self.drop_stale(file, range.start, first_new)
    }

    /// Pins the next folios of the range, at least one. `self.pins` must have room for them.
    fn pin_batch(
        &mut self,
        file: &ReadLockedMemfd<'_>,
        pages: Range<usize>,
        folios: &mut [*mut bindings::folio],
    ) -> Result {
        // CAST: The size of a file in bytes fits.
        let first_byte = (pages.start << PAGE_SHIFT) as bindings::loff_t;
        let end = (pages.end << PAGE_SHIFT) as u64;
        let last_byte = end.min(file.inode().size()) as bindings::loff_t - 1;
        let mut offset = 0;

        // SAFETY: The file is open; `folios` has room for `folios.len()` pointers.
        let found = unsafe {
            bindings::memfd_pin_folios(
                file.file().as_ptr(),
                first_byte,
                last_byte,
                folios.as_mut_ptr(),
                // CAST: At most `PIN_BATCH`.
                folios.len() as u32,
                &mut offset,
            )
        };
        let found = match found {
            // The range is valid, for the inode is locked. So a folio has too many references.
            _ if found == EINVAL.to_errno() as isize => return Err(ENOMEM),
            // CAST: An errno.
            _ if found < 0 => return Err(Error::from_errno(found as i32)),
            // Not reached.
            0 => return Err(ENOMEM),
            // CAST: Not negative.
            _ => found as usize,
        };
        // Only the first folio can begin before the range, and only the last extend beyond it.
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
            true => Err(ENOMEM),
            false => Ok(()),
        }
    }

    /// Checks, for the pins from `self.pins[from]` on, that the folio is still the file's, and has
    /// content. Drops the first pin of another folio and those after it. `first` is the index of
    /// the range in the file.
    ///
    /// `memfd_pin_folios()` may find and pin a folio that is being swapped out at that moment. A
    /// swap-in makes it the file's again. A folio that is the file's and is pinned is not swapped out
    /// any more.
    fn drop_stale(&mut self, file: &ReadLockedMemfd<'_>, first: usize, from: usize) -> Result {
        for (number, pin) in self.pins.iter().enumerate().skip(from) {
            if !file.inode().has_folio(first + pin.offset, pin.folio)? {
                self.len = pin.offset;
                self.pins.truncate(number);
                break;
            }
        }
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

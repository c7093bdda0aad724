// SPDX-License-Identifier: GPL-2.0-only

//! Pages of a shmem file that are pinned for long (`FOLL_PIN | FOLL_LONGTERM`), as for a device that
//! reads and writes them whenever it likes.
//!
//! C source: [`mm/gup.c`](srctree/mm/gup.c)

use crate::{
    bindings,
    fs::shmem::SharedShmem, //
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

/// How many folios are pinned in one go.
const FOLIOS_AT_ONCE: usize = 512;

/// How many references a folio may have once it is pinned. The kernel takes no notice of a count that
/// overflows, so this leaves room for as many again, by whoever comes at the same time or by other
/// ways.
const MAX_REFERENCES: u32 = 1 << 30;

/// A pin, of some pages of a folio.
///
/// # Invariants
///
/// It holds one pin of `folio`, which has those pages.
struct Pin {
    folio: *mut bindings::folio,
    /// The first page of the folio that is meant.
    from: u32,
    /// How many are.
    len: u32,
    /// The number of the first in the range that was asked for.
    start: usize,
}

impl Pin {
    /// The number of the page after those that are meant.
    fn end(&self) -> usize {
        self.start + self.len as usize
    }

    /// How many references the folio has.
    fn folio_references(&self) -> u32 {
        // CAST: A count that overflows stays "many".
        //
        // SAFETY: By the type invariants.
        unsafe { bindings::pinseal_folio_ref_count(self.folio) as u32 }
    }

    /// How many pages the folio has. It does not change its size while it is pinned.
    fn folio_pages(&self) -> usize {
        // SAFETY: By the type invariants.
        unsafe { bindings::pinseal_folio_nr_pages(self.folio) }
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        // SAFETY: By the type invariants the pin is ours.
        unsafe { bindings::unpin_folio(self.folio) };
    }
}

/// Pinned pages of a file. They stay pinned until this is dropped, whatever becomes of the file: it
/// may have other pages then.
///
/// # Invariants
///
/// `pins` are of pages 0 to `len` of the range, in order.
pub(crate) struct PinnedPages {
    pins: KVVec<Pin>,
    len: usize,
}

// SAFETY: Pins may be dropped by another thread than the one that took them.
unsafe impl Send for PinnedPages {}
// SAFETY: The pages are shared memory anyhow: they are copied from and to, and not referred to.
unsafe impl Sync for PinnedPages {}

impl PinnedPages {
    /// None so far.
    pub(crate) fn new() -> Self {
        Self {
            pins: KVVec::new(),
            len: 0,
        }
    }

    /// How many pages of the range are pinned, from the first on.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Pins some more pages of the range. Holes are filled, as by a fault.
    ///
    /// While `file` is locked, under which the seals are decided, the pins are of folios that are in
    /// the page cache, and so are seen by who looks there.
    ///
    /// Context: sleeps.
    ///
    /// # Errors
    ///
    /// `EINVAL` when the file does not have those pages, `ENOMEM` (also when a page cannot be pinned
    /// more often), `ENOSPC`, `EIO` when a page cannot be read back from swap.
    pub(crate) fn pin_more(&mut self, file: &SharedShmem<'_>, range: &Range<usize>) -> Result {
        let left = range.start + self.len..range.end;
        if left.is_empty() || left.end as u64 > file.size().div_ceil(PAGE_SIZE as u64) {
            return Err(EINVAL);
        }
        let mut folios = KVVec::from_elem(null_mut(), left.len().min(FOLIOS_AT_ONCE), GFP_KERNEL)?;
        // First room, so that nothing can fail while there are pins that nobody owns.
        self.pins.reserve(folios.len(), GFP_KERNEL_ACCOUNT)?;
        let first_new = self.pins.len();
        self.pin_some(file, left, &mut folios)?;
        self.drop_stale(file, range.start, first_new)
    }

    /// Pins the next folios of the range, at least one. There must be room for them.
    fn pin_some(
        &mut self,
        file: &SharedShmem<'_>,
        pages: Range<usize>,
        folios: &mut [*mut bindings::folio],
    ) -> Result {
        // CAST: A file has no more bytes than fit into this.
        let first_byte = (pages.start << PAGE_SHIFT) as bindings::loff_t;
        let end = (pages.end << PAGE_SHIFT) as u64;
        let last_byte = end.min(file.size()) as bindings::loff_t - 1;
        let mut offset = 0;

        // SAFETY: The file is open; `folios` has room for as many as we say.
        let found = unsafe {
            bindings::memfd_pin_folios(
                file.as_ptr(),
                first_byte,
                last_byte,
                folios.as_mut_ptr(),
                // CAST: At most `FOLIOS_AT_ONCE`.
                folios.len() as u32,
                &mut offset,
            )
        };
        let found = match found {
            // The range is right, for the inode is locked: so a folio has too many references.
            _ if found == EINVAL.to_errno() as isize => return Err(ENOMEM),
            // CAST: Errno.
            _ if found < 0 => return Err(Error::from_errno(found as i32)),
            // It does not do that.
            0 => return Err(ENOMEM),
            // CAST: Not negative.
            _ => found as usize,
        };
        // Only the first folio may begin before the range, and only the last end after it.
        let limit = self.len + pages.len();
        let mut from = offset >> PAGE_SHIFT;
        let mut is_too_often = false;
        for &folio in folios.iter().take(found) {
            // INVARIANT: It was pinned above.
            let mut pin = Pin {
                folio,
                // CAST: Folios have less pages than this has room for.
                from: from as u32,
                len: 0,
                start: self.len,
            };
            // CAST: As above.
            pin.len = (limit - self.len).min(pin.folio_pages() - from) as u32;
            self.len = pin.end();
            from = 0;
            is_too_often |= pin.folio_references() > MAX_REFERENCES;
            // There is room.
            let _ = self.pins.push_within_capacity(pin);
        }
        match is_too_often {
            true => Err(ENOMEM),
            false => Ok(()),
        }
    }

    /// Looks whether the pins from number `from` on are of what the file has at their pages, and drops
    /// them from the first on that is not. Of the others the content is there, if it was not.
    ///
    /// `memfd_pin_folios()` pins what it finds, also when that is on its way to swap at this moment. It
    /// is the file's again when it was read back; and what is the file's, and pinned, stays there.
    fn drop_stale(&mut self, file: &SharedShmem<'_>, first: usize, from: usize) -> Result {
        for (number, pin) in self.pins.iter().enumerate().skip(from) {
            if !file.has_folio(first + pin.start, pin.folio)? {
                self.len = pin.start;
                self.pins.truncate(number);
                break;
            }
        }
        Ok(())
    }

    /// How many pages the folios have. It may be more than was asked for.
    pub(crate) fn folio_pages_total(&self) -> usize {
        self.pins.iter().map(Pin::folio_pages).sum()
    }

    /// Copies bytes from `at` of the range on. Returns how many: not beyond the end of a page.
    ///
    /// # Errors
    ///
    /// `EIO` when the memory is broken.
    pub(crate) fn read(&self, at: usize, bytes: &mut [u8]) -> Result<usize> {
        let Some((page, offset)) = self.page_at(at)? else {
            return Ok(0);
        };
        let len = bytes.len().min(PAGE_SIZE - offset);
        // SAFETY: The page is pinned, and there are so many bytes on both sides. Who writes to the
        // page meanwhile makes the copy a mixture, as with any shared memory.
        unsafe { bindings::pinseal_memcpy_from_page(bytes.as_mut_ptr(), page, offset, len) };
        Ok(len)
    }

    /// Copies bytes to `at` of the range on. Returns how many: not beyond the end of a page.
    ///
    /// # Errors
    ///
    /// `EIO` when the memory is broken.
    pub(crate) fn write(&self, at: usize, bytes: &[u8]) -> Result<usize> {
        let Some((page, offset)) = self.page_at(at)? else {
            return Ok(0);
        };
        let len = bytes.len().min(PAGE_SIZE - offset);
        // SAFETY: As above.
        unsafe { bindings::pinseal_memcpy_to_page(page, offset, bytes.as_ptr(), len) };
        Ok(len)
    }

    /// The page that has byte `at` of the range, and where in it.
    fn page_at(&self, at: usize) -> Result<Option<(*mut bindings::page, usize)>> {
        let (number, offset) = (at >> PAGE_SHIFT, at & (PAGE_SIZE - 1));
        let pin = self.pins.partition_point(|pin| pin.end() <= number);
        let Some(pin) = self.pins.get(pin) else {
            return Ok(None);
        };
        let index = pin.from as usize + (number - pin.start);
        // SAFETY: By the invariants of `Pin` the folio has that page.
        let page = unsafe { bindings::pinseal_folio_page(pin.folio, index) };
        // SAFETY: It is alive as long as it is pinned.
        match unsafe { bindings::pinseal_page_is_poisoned(page) } {
            true => Err(EIO),
            false => Ok(Some((page, offset))),
        }
    }

    /// Says that somebody may have written to the pages: so they are not dropped as if they were
    /// holes.
    pub(crate) fn mark_dirty(&self) {
        for pin in &self.pins {
            // SAFETY: The folio is pinned.
            unsafe { bindings::folio_mark_dirty_lock(pin.folio) };
        }
    }
}

// SPDX-License-Identifier: GPL-2.0-only

//! Locked folios of a shmem file whose contents come from elsewhere.
//!
//! C headers: [`include/linux/shmem_fs.h`](srctree/include/linux/shmem_fs.h),
//! [`include/linux/rmap.h`](srctree/include/linux/rmap.h)

use super::{
    address_space::AddressSpace,
    folio::folio_index, //
};
use crate::bindings;
use core::{
    mem::ManuallyDrop,
    ops::Range,
    ptr::{
        null_mut,
        NonNull, //
    },
    slice::from_raw_parts_mut, //
};
use kernel::{
    error::to_result,
    page::PAGE_SIZE,
    prelude::*, //
};

/// The pages of the folio that has `page`, as indices in its file.
///
/// # Safety
///
/// `page` must be in the page cache, and locked.
pub(crate) unsafe fn pages_of_locked(page: *mut bindings::page) -> Range<usize> {
    // SAFETY: By the safety requirements.
    unsafe {
        let folio = bindings::pinseal_page_folio(page);
        let first = folio_index(folio);
        first..first + bindings::pinseal_folio_nr_pages(folio)
    }
}

/// A folio of a shmem file, locked.
///
/// # Invariants
///
/// `self` owns a reference to the folio, and its lock. The folio is in the page cache.
pub(crate) struct StackedFolio(NonNull<bindings::folio>);

impl StackedFolio {
    /// The folio that has the page at `index` of `file`, a shmem file, swapped in or allocated if
    /// necessary. A new one is not up to date, so it is not mapped, and shmem does not read it.
    ///
    /// Context: sleeps for swap and for memory.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, `EIO`.
    pub(crate) fn get(file: &AddressSpace, index: usize) -> Result<Self> {
        let mut folio = null_mut();
        // SAFETY: It is the mapping of a shmem file.
        to_result(unsafe {
            bindings::pinseal_shmem_get_folio_to_write(file.as_ptr(), index, &mut folio)
        })?;
        // INVARIANT: The folio came locked, and with a reference that we own.
        NonNull::new(folio).map(Self).ok_or(ENOMEM)
    }

    /// The folio that has the page at `index` of `file`, if it is no hole, swapped in if necessary.
    ///
    /// Context: sleeps for swap.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, `EIO`. `EINVAL` behind the end of the file, and when the swap device is gone.
    pub(crate) fn get_existing(file: &AddressSpace, index: usize) -> Result<Option<Self>> {
        let mut folio = null_mut();
        // SAFETY: It is the mapping of a shmem file.
        let ret =
            unsafe { bindings::pinseal_shmem_get_folio_to_read(file.as_ptr(), index, &mut folio) };
        match to_result(ret) {
            // INVARIANT: The folio, if any, came locked, and with a reference that we own.
            Ok(()) => Ok(NonNull::new(folio).map(Self)),
            Err(err) => Err(err),
        }
    }

    fn as_ptr(&self) -> *mut bindings::folio {
        self.0.as_ptr()
    }

    /// Its pages, as indices in the file.
    pub(crate) fn pages(&self) -> Range<usize> {
        // SAFETY: By the type invariants.
        let (first, len) = unsafe {
            (
                folio_index(self.as_ptr()),
                bindings::pinseal_folio_nr_pages(self.as_ptr()),
            )
        };
        first..first + len
    }

    /// Whether it has its contents.
    pub(crate) fn is_uptodate(&self) -> bool {
        // SAFETY: By the type invariants.
        unsafe { bindings::pinseal_folio_test_uptodate(self.as_ptr()) }
    }

    /// Fills one of its pages: `fill` returns how many bytes it has set; the rest is zeroed.
    ///
    /// The caller must be the only one who fills it: nobody else reads a folio that is not up to date.
    ///
    /// # Errors
    ///
    /// Those of `fill`.
    pub(crate) fn fill(
        &mut self,
        page: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<usize>,
    ) -> Result {
        // SAFETY: The folio has the page. It is locked, and others do not access a page of a folio that
        // is not up to date.
        let bytes = unsafe { from_raw_parts_mut(self.page_bytes(page), PAGE_SIZE) };
        let len = fill(bytes)?;
        bytes[len..].fill(0);
        Ok(())
    }

    /// Copies the beginning of one of its pages.
    pub(crate) fn copy_to(&self, page: usize, buf: &mut [u8]) {
        let len = buf.len().min(PAGE_SIZE);
        // SAFETY: The folio has the page, which is that large. Others may write to it meanwhile, as to a page that
        // is read from.
        unsafe {
            self.page_bytes(page)
                .copy_to_nonoverlapping(buf.as_mut_ptr(), len)
        };
    }

    /// The contents of one of its pages.
    fn page_bytes(&self, page: usize) -> *mut u8 {
        // SAFETY: By the type invariants, and the folio has the page. The kernel maps all memory.
        unsafe { bindings::pinseal_page_address(self.page(page)).cast() }
    }

    /// It has its contents, which are not in swap.
    pub(crate) fn finish(self) {
        // SAFETY: By the type invariants.
        unsafe {
            bindings::pinseal_folio_mark_uptodate(self.as_ptr());
            bindings::folio_mark_dirty(self.as_ptr());
        }
    }

    /// Has stores by mappings fault from now on.
    ///
    /// Context: sleeps. Takes `i_mmap_rwsem`.
    pub(crate) fn write_protect(&self) {
        // SAFETY: By the type invariants.
        unsafe { bindings::pinseal_folio_mkclean(self.as_ptr()) };
    }

    /// Whether others have references, other than by page tables: they may store to it without a fault.
    ///
    /// Pins count (`FOLL_PIN`), and others: a debugger's, for the time of its copy, and what LRU batches
    /// hold. No store is missed: who gets a reference after [`StackedFolio::write_protect`] has to
    /// fault, for which the folio is locked.
    pub(crate) fn has_other_references(&self) -> bool {
        // A mapping that comes or goes between two reads must not hide a reference. Few come, by `fork()`
        // alone: a fault locks the folio.
        //
        // SAFETY: By the type invariants.
        let (before, refs, after) = unsafe {
            let before = bindings::pinseal_folio_expected_ref_count(self.as_ptr());
            bindings::pinseal_smp_rmb();
            let refs = bindings::pinseal_folio_ref_count(self.as_ptr());
            bindings::pinseal_smp_rmb();
            let after = bindings::pinseal_folio_expected_ref_count(self.as_ptr());
            (before, refs, after)
        };
        // Ours is one. Pins of a large folio have an account of their own.
        refs > before.min(after) + 1 || self.is_pinned_as_large()
    }

    fn is_pinned_as_large(&self) -> bool {
        // SAFETY: By the type invariants. A folio with such a count is asked for it.
        unsafe {
            bindings::pinseal_folio_has_pincount(self.as_ptr())
                && bindings::pinseal_folio_pincount(self.as_ptr()) != 0
        }
    }

    /// Whether one of its pages is poisoned.
    pub(crate) fn is_poisoned(&self, pages: &Range<usize>) -> bool {
        pages.clone().any(|page| {
            // SAFETY: By the type invariants, and the folio has the pages.
            unsafe { bindings::pinseal_page_hwpoison(self.page(page)) }
        })
    }

    /// One of its pages, the first of those that follow it in memory.
    pub(super) fn page(&self, page: usize) -> *mut bindings::page {
        // SAFETY: By the type invariants, and the folio has the page.
        unsafe { bindings::pinseal_folio_file_page(self.as_ptr(), page) }
    }

    /// Unlocks it. Returns the folio with its reference.
    pub(super) fn into_unlocked(self) -> NonNull<bindings::folio> {
        let folio = ManuallyDrop::new(self).0;
        // SAFETY: By the type invariants; it is not dropped.
        unsafe { bindings::folio_unlock(folio.as_ptr()) };
        folio
    }
}

impl Drop for StackedFolio {
    fn drop(&mut self) {
        // SAFETY: By the type invariants.
        unsafe {
            bindings::folio_unlock(self.as_ptr());
            bindings::pinseal_folio_put(self.as_ptr());
        }
    }
}

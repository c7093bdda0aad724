// SPDX-License-Identifier: GPL-2.0-only

//! References to pages of a file.
//!
//! C header: [`include/linux/pagemap.h`](srctree/include/linux/pagemap.h)

use super::address_space::AddressSpace;
use crate::bindings;
use core::ptr::{
    null_mut,
    NonNull, //
};
use kernel::{
    error::to_result,
    prelude::*, //
};

/// A reference to a page. The page may be removed from its file meanwhile.
///
/// # Invariants
///
/// `self` owns a reference to `page`.
pub(crate) struct PageRef {
    page: NonNull<bindings::page>,
}

// SAFETY: Any thread may drop a reference to a page.
unsafe impl Send for PageRef {}
// SAFETY: `&self` gives access to what never changes, and to atomic state.
unsafe impl Sync for PageRef {}

impl PageRef {
    /// Its frame number.
    pub(super) fn frame(&self) -> usize {
        // SAFETY: By the type invariants.
        unsafe { bindings::pinseal_page_to_pfn(self.page.as_ptr()) }
    }
}

impl Clone for PageRef {
    fn clone(&self) -> Self {
        // SAFETY: By the type invariants.
        unsafe { bindings::pinseal_get_page(self.page.as_ptr()) };
        // INVARIANT: The reference was taken above.
        Self { page: self.page }
    }
}

impl Drop for PageRef {
    fn drop(&mut self) {
        // SAFETY: By the type invariants.
        unsafe { bindings::pinseal_put_page(self.page.as_ptr()) };
    }
}

/// A page whose folio is locked: it is not removed from its file.
///
/// # Invariants
///
/// The folio is locked, by the owner of `self`.
pub(super) struct LockedPage(PageRef);

impl LockedPage {
    /// The page at `index` of `file`, a shmem file, swapped in or allocated if necessary.
    ///
    /// Context: sleeps for swap and for memory.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, `EIO`. `EINVAL` beyond the end of the file.
    pub(super) fn read(file: &AddressSpace, index: usize) -> Result<Self> {
        let mut folio = null_mut();
        // SAFETY: It is the mapping of a shmem file.
        to_result(unsafe { bindings::pinseal_shmem_get_folio(file.as_ptr(), index, &mut folio) })?;
        // SAFETY: The folio has the page at `index`.
        let page = unsafe { bindings::pinseal_folio_file_page(folio, index) };
        // INVARIANT: The folio came locked, and with a reference that we own.
        Ok(Self(PageRef {
            page: NonNull::new(page).ok_or(ENOMEM)?,
        }))
    }

    /// The page.
    pub(super) fn page(&self) -> &PageRef {
        &self.0
    }

    /// Whether the page's memory is broken.
    pub(super) fn is_poisoned(&self) -> bool {
        // SAFETY: By the type invariants.
        unsafe { bindings::pinseal_page_hwpoison(self.0.page.as_ptr()) }
    }

    /// Has instruction caches see the page's contents.
    pub(super) fn flush_icache(&self) {
        // SAFETY: By the type invariants. The kernel maps all memory.
        unsafe { bindings::pinseal_flush_icache_page(self.0.page.as_ptr()) };
    }

    /// Marks the page dirty: its content differs from what is in swap.
    pub(super) fn mark_dirty(&self) {
        // SAFETY: By the type invariants.
        unsafe { bindings::pinseal_mark_page_dirty(self.0.page.as_ptr()) };
    }
}

impl Drop for LockedPage {
    fn drop(&mut self) {
        // SAFETY: By the type invariants.
        unsafe { bindings::unlock_page(self.0.page.as_ptr()) };
    }
}

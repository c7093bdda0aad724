// SPDX-License-Identifier: GPL-2.0-only

//! Folios of the page cache that are locked, and replacing one by a copy.
//!
//! C headers: [`include/linux/pagemap.h`](srctree/include/linux/pagemap.h),
//! [`include/linux/swap.h`](srctree/include/linux/swap.h)

use super::{
    address_space::AddressSpace,
    folio::index_of, //
};
use crate::bindings;
use core::{
    ops::Range,
    ptr::NonNull, //
};
use kernel::{
    error::{
        from_err_ptr,
        to_result, //
    },
    prelude::*,
    types::NotThreadSafe, //
};

impl AddressSpace {
    /// Locks the folio at `index`. `None` when there is none in memory.
    ///
    /// Context: sleeps.
    pub(crate) fn lock_folio(&self, index: usize) -> Option<LockedFolio<'_>> {
        // SAFETY: The mapping is alive by the type invariants.
        let folio = unsafe { bindings::pinseal_filemap_lock_folio(self.as_ptr(), index) };
        // INVARIANT: It was returned locked, with a reference.
        Some(LockedFolio {
            folio: NonNull::new(from_err_ptr(folio).ok()?)?,
            mapping: self,
            _not_send: NotThreadSafe,
        })
    }
}

/// A folio in the page cache that is locked: it stays there, and nobody maps it.
///
/// # Invariants
///
/// The folio is in the page cache of `mapping` and locked, by this thread, which has a reference to
/// it.
pub(crate) struct LockedFolio<'a> {
    folio: NonNull<bindings::folio>,
    mapping: &'a AddressSpace,
    _not_send: NotThreadSafe,
}

impl LockedFolio<'_> {
    fn as_ptr(&self) -> *mut bindings::folio {
        self.folio.as_ptr()
    }

    /// Whether the folio has more than one page.
    pub(crate) fn is_large(&self) -> bool {
        self.pages() != 1
    }

    fn pages(&self) -> usize {
        // SAFETY: We have a reference to the folio.
        unsafe { bindings::pinseal_folio_nr_pages(self.as_ptr()) }
    }

    /// The folio's pages, as indices in its file.
    pub(crate) fn range(&self) -> Range<usize> {
        // SAFETY: By the type invariants.
        let index = unsafe { index_of(self.as_ptr()) };
        index..index + self.pages()
    }

    /// Removes the folio from every page table. Nobody maps it again while it is locked.
    pub(crate) fn zap(&self) {
        self.mapping.zap(&self.range());
    }

    /// Whether, at this instant, nobody but the page cache and us has a reference.
    pub(crate) fn is_clean(&self) -> bool {
        // SAFETY: We have a reference to the folio.
        let refs = unsafe { bindings::pinseal_folio_ref_count(self.as_ptr()) };
        // CAST: A count that overflows stays "many".
        refs as u32 as usize == self.pages() + 1
    }

    /// Puts a copy in the folio's place, which must have one page and be in no page table. The folio
    /// lives on for those who have references, detached from the file.
    ///
    /// # Errors
    ///
    /// `EBUSY` (it is in a page table, on its way to or from swap, or broken), `EHWPOISON` (it breaks
    /// now).
    pub(crate) fn replace(self, copy: NewFolio) -> Result {
        let (old, new) = (self.as_ptr(), copy.folio.as_ptr());

        // SAFETY: We have a reference to the folio, and it is locked.
        unsafe { bindings::folio_wait_writeback(old) };
        // SAFETY: As above.
        if unsafe { bindings::pinseal_folio_is_elsewhere(old) } {
            return Err(EBUSY);
        }
        // SAFETY: Both have one page. The new one is ours alone.
        unsafe {
            if bindings::pinseal_folio_test_uptodate(old) {
                to_result(bindings::folio_mc_copy(new, old))?;
                bindings::pinseal_folio_mark_uptodate(new);
            }
            // By this the statistics know it for shared memory.
            bindings::pinseal_folio_set_swapbacked(new);
        }
        // SAFETY: Both are locked and have one page, and the old one is in the page cache, in no page
        // table, and has no private data: shmem has none. It must become dirty after that, for
        // reclaim drops what is clean as if it had never been written to. The LRU takes a reference
        // of its own.
        unsafe {
            bindings::replace_page_cache_folio(old, new);
            bindings::folio_mark_dirty(new);
            bindings::folio_add_lru(new);
        }
        // This unlocks both. The page cache has its own reference to the new one.
        Ok(())
    }
}

impl Drop for LockedFolio<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants the folio is locked, and the reference is ours.
        unsafe {
            bindings::folio_unlock(self.as_ptr());
            bindings::pinseal_folio_put(self.as_ptr());
        }
    }
}

/// A new folio of one page, zeroed, locked, that nobody else knows.
///
/// # Invariants
///
/// The folio has one page, is locked, and there is one reference to it, which is this one's.
pub(crate) struct NewFolio {
    folio: NonNull<bindings::folio>,
    _not_send: NotThreadSafe,
}

impl NewFolio {
    /// A folio from where the pages of `mapping` are to come from.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn for_mapping(mapping: &AddressSpace) -> Result<Self> {
        // SAFETY: The mapping is alive by the type invariants.
        let folio = unsafe { bindings::pinseal_folio_alloc_for(mapping.as_ptr()) };
        let folio = NonNull::new(folio).ok_or(ENOMEM)?;
        // SAFETY: Nobody else knows the folio.
        unsafe { bindings::pinseal_folio_set_locked(folio.as_ptr()) };
        // INVARIANT: It was made so.
        Ok(Self {
            folio,
            _not_send: NotThreadSafe,
        })
    }
}

impl Drop for NewFolio {
    fn drop(&mut self) {
        // SAFETY: By the type invariants the folio is locked, and the reference is ours.
        unsafe {
            bindings::folio_unlock(self.folio.as_ptr());
            bindings::pinseal_folio_put(self.folio.as_ptr());
        }
    }
}

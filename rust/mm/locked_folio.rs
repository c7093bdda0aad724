// SPDX-License-Identifier: GPL-2.0-only

//! Locked folios of the page cache, and their replacement by a copy.
//!
//! C headers: [`include/linux/pagemap.h`](srctree/include/linux/pagemap.h),
//! [`include/linux/swap.h`](srctree/include/linux/swap.h)

use super::{
    address_space::AddressSpace,
    folio::folio_index,
    memcg::is_beyond_limit, //
};
use crate::bindings;
use core::{
    marker::PhantomData,
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
        // INVARIANT: The folio was returned locked, with a reference.
        Some(LockedFolio {
            folio: NonNull::new(from_err_ptr(folio).ok()?)?,
            _mapping: PhantomData,
            _not_send: NotThreadSafe,
        })
    }
}

/// A locked folio in the page cache. It stays there, and is not mapped by faults.
///
/// # Invariants
///
/// The folio is in the page cache, and locked by this thread, which has a reference to it.
pub(crate) struct LockedFolio<'a> {
    folio: NonNull<bindings::folio>,
    _mapping: PhantomData<&'a AddressSpace>,
    _not_send: NotThreadSafe,
}

impl LockedFolio<'_> {
    fn as_ptr(&self) -> *mut bindings::folio {
        self.folio.as_ptr()
    }

    /// Whether the folio has more than one page.
    pub(crate) fn is_large(&self) -> bool {
        self.nr_pages() != 1
    }

    fn nr_pages(&self) -> usize {
        // SAFETY: By the type invariants, there is a reference to the folio.
        unsafe { bindings::pinseal_folio_nr_pages(self.as_ptr()) }
    }

    /// The pages, as indices in the file.
    pub(crate) fn range(&self) -> Range<usize> {
        // SAFETY: By the type invariants.
        let index = unsafe { folio_index(self.as_ptr()) };
        index..index + self.nr_pages()
    }

    /// Whether it is in page tables. It cannot be mapped again while it is locked.
    pub(crate) fn is_mapped(&self) -> bool {
        // SAFETY: By the type invariants, there is a reference to the folio.
        unsafe { bindings::pinseal_folio_mapped(self.as_ptr()) }
    }

    /// Whether a memory cgroup that it is charged to has reached its limit, and so many `pages` more.
    pub(crate) fn is_beyond_limit(&self, pages: usize) -> bool {
        // SAFETY: By the type invariants, the folio is locked.
        unsafe { is_beyond_limit(self.as_ptr(), pages) }
    }

    /// Whether, at this instant, only the page cache and `self` have references.
    pub(crate) fn is_clean(&self) -> bool {
        // SAFETY: By the type invariants, there is a reference to the folio.
        let refs = unsafe { bindings::pinseal_folio_ref_count(self.as_ptr()) };
        // CAST: A count that overflows stays large.
        refs as u32 as usize == self.nr_pages() + 1
    }

    /// The same. If so, reclaim does not drop what the folio has from now on, as
    /// [`CachedFolio::keep_if_clean`](super::folio::CachedFolio::keep_if_clean) says.
    pub(crate) fn keep_if_clean(&self) -> bool {
        let is_clean = self.is_clean();
        // SAFETY: By the type invariants, there is a reference to the folio, and it is locked.
        unsafe {
            if is_clean && bindings::pinseal_folio_test_uptodate(self.as_ptr()) {
                bindings::folio_mark_dirty(self.as_ptr());
            }
        }
        is_clean
    }

    /// Replaces the folio in the page cache by a copy. It must have one page, and must have been
    /// zapped. Extra references to it stay valid, but it is no longer the file's.
    ///
    /// # Errors
    ///
    /// `EBUSY` when it is mapped, in the swap cache, or poisoned. `EHWPOISON` when copying it finds
    /// it poisoned.
    pub(crate) fn replace(self, copy: NewFolio) -> Result {
        let (old, new) = (self.as_ptr(), copy.folio.as_ptr());

        // SAFETY: By the type invariants, the folio is locked, and there is a reference to it.
        unsafe { bindings::folio_wait_writeback(old) };
        // SAFETY: As above.
        if unsafe { bindings::pinseal_folio_is_busy(old) } {
            return Err(EBUSY);
        }
        // SAFETY: Both have one page. The new one has no other user.
        unsafe {
            if bindings::pinseal_folio_test_uptodate(old) {
                to_result(bindings::folio_mc_copy(new, old))?;
                bindings::pinseal_folio_mark_uptodate(new);
            }
            // Statistics count it as shared memory by this flag.
            bindings::pinseal_folio_set_swapbacked(new);
        }
        // SAFETY: Both are locked and have one page. The old one is in the page cache, is not
        // mapped, and has no private data. The new one must become dirty only after that, and must:
        // reclaim drops a clean one like a hole. The LRU takes its own reference.
        unsafe {
            bindings::replace_page_cache_folio(old, new);
            bindings::folio_mark_dirty(new);
            bindings::folio_add_lru(new);
        }
        // Both are unlocked on drop. The page cache has its own reference to the new one.
        Ok(())
    }
}

impl Drop for LockedFolio<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, the folio is locked, and there is a reference to drop.
        unsafe {
            bindings::folio_unlock(self.as_ptr());
            bindings::pinseal_folio_put(self.as_ptr());
        }
    }
}

/// A new, zeroed folio.
///
/// # Invariants
///
/// The folio has one page and is locked. `self` has the only reference to it.
pub(crate) struct NewFolio {
    folio: NonNull<bindings::folio>,
    _not_send: NotThreadSafe,
}

impl NewFolio {
    /// Allocates a folio as the mapping allocates its own.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn for_mapping(mapping: &AddressSpace) -> Result<Self> {
        // SAFETY: The mapping is alive by the type invariants.
        let folio = unsafe { bindings::pinseal_folio_alloc_for(mapping.as_ptr()) };
        let folio = NonNull::new(folio).ok_or(ENOMEM)?;
        // SAFETY: The folio has no other user.
        unsafe { bindings::pinseal_folio_set_locked(folio.as_ptr()) };
        // INVARIANT: The folio was allocated with one page, and locked above.
        Ok(Self {
            folio,
            _not_send: NotThreadSafe,
        })
    }
}

impl Drop for NewFolio {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, the folio is locked, and there is a reference to drop.
        unsafe {
            bindings::folio_unlock(self.folio.as_ptr());
            bindings::pinseal_folio_put(self.folio.as_ptr());
        }
    }
}

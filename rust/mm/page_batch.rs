// SPDX-License-Identifier: GPL-2.0-only

//! Contents of consecutive pages of a shmem file, to be written elsewhere at once.
//!
//! C headers: [`include/linux/bvec.h`](srctree/include/linux/bvec.h),
//! [`include/linux/uio.h`](srctree/include/linux/uio.h)

use super::stacked_folio::StackedFolio;
use crate::bindings;
use core::{
    mem::MaybeUninit,
    ops::Range,
    ptr::NonNull, //
};
use kernel::{
    ffi::c_uint,
    page::PAGE_SIZE,
    prelude::*, //
};

/// The contents, which may change until they are written.
///
/// # Invariants
///
/// `parts` have bytes of `folios`, or of the zero page. `self` owns a reference to each folio. The
/// parts have `len` bytes, or more.
pub(crate) struct PageBatch {
    folios: KVec<NonNull<bindings::folio>>,
    parts: KVec<bindings::bio_vec>,
    len: usize,
}

impl PageBatch {
    /// An empty batch, with room for so many pages.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(pages: usize) -> Result<Self> {
        // INVARIANT: It is empty.
        Ok(Self {
            folios: KVec::with_capacity(pages, GFP_KERNEL)?,
            parts: KVec::with_capacity(pages, GFP_KERNEL)?,
            len: 0,
        })
    }

    /// Length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Adds zeros for a page.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn push_zeros(&mut self) -> Result {
        // INVARIANT: These are bytes of the zero page.
        //
        // SAFETY: There are no requirements.
        let page = unsafe { bindings::pinseal_zero_page() };
        self.push_part(page, PAGE_SIZE)
    }

    /// Adds pages of a folio, which is unlocked then.
    ///
    /// # Errors
    ///
    /// `ENOMEM`. `EIO` when a page is poisoned.
    pub(crate) fn push(&mut self, folio: StackedFolio, pages: &Range<usize>) -> Result {
        if folio.is_poisoned(pages) {
            return Err(EIO);
        }
        let page = folio.page(pages.start);
        let folio = folio.into_unlocked();
        // INVARIANT: The reference is that of `folio`.
        if let Err(err) = self.folios.push(folio, GFP_KERNEL) {
            // SAFETY: We own the reference.
            unsafe { bindings::pinseal_folio_put(folio.as_ptr()) };
            return Err(err.into());
        }
        self.push_part(page, pages.len() * PAGE_SIZE)
    }

    fn push_part(&mut self, page: *mut bindings::page, len: usize) -> Result {
        // INVARIANT: The callers have a reference to the folio, if it needs one.
        self.parts.push(
            bindings::bio_vec {
                bv_page: page,
                // CAST: No folio is that large.
                bv_len: len as c_uint,
                bv_offset: 0,
            },
            GFP_KERNEL,
        )?;
        self.len += len;
        Ok(())
    }

    /// Cuts the end off.
    pub(crate) fn truncate(&mut self, len: usize) {
        // INVARIANT: Iterators do not go beyond `len`.
        self.len = self.len.min(len);
    }

    /// An iterator over the contents from the byte at `start` on, as the source of a write.
    pub(crate) fn iter_from(&self, start: usize) -> MaybeUninit<bindings::iov_iter> {
        let mut iter = MaybeUninit::uninit();

        // SAFETY: `iter` is valid for writing. By the type invariants, the parts are valid, and have `len`
        // bytes at least.
        unsafe {
            bindings::iov_iter_bvec(
                iter.as_mut_ptr(),
                bindings::pinseal_ITER_SOURCE,
                self.parts.as_ptr(),
                self.parts.len(),
                self.len,
            );
            bindings::iov_iter_advance(iter.as_mut_ptr(), start);
        }
        iter
    }
}

impl Drop for PageBatch {
    fn drop(&mut self) {
        for folio in &self.folios {
            // SAFETY: By the type invariants.
            unsafe { bindings::pinseal_folio_put(folio.as_ptr()) };
        }
    }
}

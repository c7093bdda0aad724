// SPDX-License-Identifier: GPL-2.0-only

//! Folios of the page cache and their references.
//!
//! C headers: [`include/linux/mm_types.h`](srctree/include/linux/mm_types.h),
//! [`include/linux/page_ref.h`](srctree/include/linux/page_ref.h)

use crate::bindings;
use core::ops::Range;
use kernel::types::Opaque;

/// How much one pin (`FOLL_PIN`) adds to the reference count of a folio of one page.
///
/// C: `GUP_PIN_COUNTING_BIAS` in [`include/linux/mm.h`](srctree/include/linux/mm.h).
const PIN_BIAS: u32 = 1 << 10;

/// Index of a folio's first page in its file, in pages.
///
/// # Safety
///
/// The folio must be in the page cache, and something must keep it there: a lock.
#[inline]
pub(super) unsafe fn index_of(folio: *mut bindings::folio) -> usize {
    // SAFETY: By the safety requirements; the index does not change then.
    unsafe {
        (*folio)
            .__bindgen_anon_1
            .__bindgen_anon_1
            .__bindgen_anon_2
            .index
    }
}

/// A folio in the page cache, seen under the `i_pages` lock.
///
/// Its reference count may change at any time, but not become zero.
///
/// # Invariants
///
/// The folio is in the page cache of a mapping whose `i_pages` lock is held.
#[repr(transparent)]
pub(crate) struct CachedFolio {
    inner: Opaque<bindings::folio>,
}

impl CachedFolio {
    /// Creates a reference from an entry of `i_pages`.
    ///
    /// # Safety
    ///
    /// `ptr` must point to a folio in the page cache, and for the duration of `'a` the `i_pages`
    /// lock of its mapping must be held.
    #[inline]
    pub(super) unsafe fn from_raw<'a>(ptr: *mut bindings::folio) -> &'a Self {
        // SAFETY: The caller keeps the folio in the page cache, and thus alive. `CachedFolio` is
        // `repr(transparent)` over `struct folio`.
        unsafe { &*ptr.cast() }
    }

    #[inline]
    fn as_ptr(&self) -> *mut bindings::folio {
        self.inner.get()
    }

    #[inline]
    fn is_large(&self) -> bool {
        // SAFETY: The folio is alive by the type invariants. Flags change under us, but `PG_head`
        // does not while the folio is in the page cache; the volatile read is a `READ_ONCE`.
        let flags = unsafe {
            (&raw const (*self.as_ptr()).__bindgen_anon_1.__bindgen_anon_1.flags.f).read_volatile()
        };
        flags & (1 << bindings::pageflags_PG_head) != 0
    }

    /// The folio's reference count, `folio_ref_count()` in C.
    ///
    /// As unsigned number: a count that overflows stays "many".
    #[inline]
    fn refs(&self) -> u32 {
        // SAFETY: The folio is alive by the type invariants; the volatile read is an `atomic_read`.
        let refs = unsafe {
            (&raw const (*self.as_ptr())
                .__bindgen_anon_1
                .__bindgen_anon_1
                ._refcount
                .counter)
                .read_volatile()
        };
        // CAST: See above.
        refs as u32
    }

    /// Number of pages in the folio. The page cache holds one reference for each.
    #[inline]
    fn pages(&self) -> usize {
        if self.is_large() {
            // SAFETY: The folio is alive by the type invariants.
            unsafe { bindings::pinseal_folio_nr_pages(self.as_ptr()) }
        } else {
            1
        }
    }

    /// Index of the folio's first page in its file, in pages.
    #[inline]
    fn index(&self) -> usize {
        // SAFETY: By the type invariants.
        unsafe { index_of(self.as_ptr()) }
    }

    /// The folio's pages, as indices in its file.
    #[inline]
    pub(crate) fn range(&self) -> Range<usize> {
        let index = self.index();
        index..index + self.pages()
    }

    /// Whether, at this instant, nobody but the page cache holds a reference.
    ///
    /// It is one read of one counter on purpose. A sum with the map count, read apart from it,
    /// lets a mapping that comes or goes between the two reads hide somebody's reference.
    #[inline]
    pub(crate) fn is_clean(&self) -> bool {
        self.refs() as usize == self.pages()
    }

    /// How many times pages of the folio are mapped into page tables.
    #[inline]
    fn mapped(&self) -> u32 {
        // SAFETY: The folio is alive by the type invariants.
        let count = unsafe { bindings::pinseal_folio_mapcount(self.as_ptr()) };
        // A negative count would be a corrupt folio.
        count.try_into().unwrap_or(0)
    }

    /// Who holds references, as far as counters tell.
    ///
    /// The counters are read one after the other: this is for reports, not for decisions.
    pub(crate) fn references(&self) -> References {
        let pages = self.pages();
        let refs = self.refs();
        let mapped = self.mapped();
        let extra = refs
            .saturating_sub(pages.try_into().unwrap_or(u32::MAX))
            .saturating_sub(mapped);
        // SAFETY: The folio is alive by the type invariants.
        let dma_pins = if unsafe { bindings::pinseal_folio_has_pincount(self.as_ptr()) } {
            // SAFETY: As above, and the folio has a pin count of its own.
            unsafe { bindings::pinseal_folio_pincount(self.as_ptr()) }
        } else {
            extra / PIN_BIAS
        };

        References {
            index: self.index(),
            pages,
            mapped,
            extra,
            dma_pins,
            is_large: pages > 1,
        }
    }
}

/// A snapshot of who holds references to a folio.
#[derive(Clone, Copy)]
pub(crate) struct References {
    /// Index of the folio's first page, in pages.
    pub(crate) index: usize,
    /// Number of pages in the folio.
    pub(crate) pages: usize,
    /// Times that pages of it are mapped into page tables.
    pub(crate) mapped: u32,
    /// References beyond those of the page cache and of page tables.
    pub(crate) extra: u32,
    /// Pins (`FOLL_PIN`) among them. Each is `GUP_PIN_COUNTING_BIAS` of `extra` in a folio of one
    /// page, 1 in a large one.
    pub(crate) dma_pins: u32,
    /// Whether the folio has more than one page.
    pub(crate) is_large: bool,
}

impl References {
    /// Whether some of them may be of readers, who will be through in a moment or can be made to
    /// let go: page tables, and references that are no pins.
    pub(crate) fn may_be_readers(&self) -> bool {
        let pins = if self.is_large {
            self.dma_pins
        } else {
            self.dma_pins * PIN_BIAS
        };
        self.mapped != 0 || self.extra > pins
    }

    /// Whether what looks like an extra reference may be that of an LRU batch, into which only
    /// folios of one page get. Those that are mapped more likely have a reader.
    pub(crate) fn may_be_batched(&self) -> bool {
        !self.is_large && self.mapped == 0 && self.extra % PIN_BIAS != 0
    }
}

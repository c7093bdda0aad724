// SPDX-License-Identifier: GPL-2.0-only

//! Folios of the page cache, and their references.
//!
//! C headers: [`include/linux/mm_types.h`](srctree/include/linux/mm_types.h),
//! [`include/linux/page_ref.h`](srctree/include/linux/page_ref.h)

use crate::bindings;
use core::ops::Range;
use kernel::types::Opaque;

/// What one pin (`FOLL_PIN`) adds to the reference count of an order-0 folio.
///
/// C: [`include/linux/mm.h`](srctree/include/linux/mm.h).
const GUP_PIN_COUNTING_BIAS: u32 = 1 << 10;

/// Returns the index of a folio's first page in its file.
///
/// # Safety
///
/// The folio must be in the page cache, and a lock must keep it there.
#[inline]
pub(super) unsafe fn folio_index(folio: *mut bindings::folio) -> usize {
    // SAFETY: By the safety requirements. So the index does not change.
    unsafe {
        (*folio)
            .__bindgen_anon_1
            .__bindgen_anon_1
            .__bindgen_anon_2
            .index
    }
}

/// Tells folios that exist at the same time from each other.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct FolioId(usize);

/// A folio in the page cache, under the `i_pages` lock.
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
    /// `ptr` must point to a folio in the page cache, and the `i_pages` lock of its mapping must be
    /// held for `'a`.
    #[inline]
    pub(super) unsafe fn from_raw<'a>(ptr: *mut bindings::folio) -> &'a Self {
        // SAFETY: The caller keeps the folio in the page cache, and so alive. The type is
        // `repr(transparent)`.
        unsafe { &*ptr.cast() }
    }

    #[inline]
    fn as_ptr(&self) -> *mut bindings::folio {
        self.inner.get()
    }

    /// `PG_*` of the first page. They may change at any time, but `PG_head` does not while the folio is
    /// in the page cache.
    #[inline]
    fn flag_bits(&self) -> usize {
        // SAFETY: The folio is alive by the type invariants; the volatile read is a `READ_ONCE`.
        unsafe {
            (&raw const (*self.as_ptr()).__bindgen_anon_1.__bindgen_anon_1.flags.f).read_volatile()
        }
    }

    #[inline]
    fn is_large(&self) -> bool {
        self.flag_bits() & (1 << bindings::pageflags_PG_head) != 0
    }

    /// Returns the flags that tell what the kernel does with the folio.
    pub(crate) fn flags(&self) -> FolioFlags {
        let bits = self.flag_bits();
        let has = |bit: bindings::pageflags| bits & (1 << bit) != 0;
        FolioFlags {
            is_on_lru: has(bindings::pageflags_PG_lru),
            is_mlocked: has(bindings::pageflags_PG_mlocked),
            is_in_swap_cache: has(bindings::pageflags_PG_swapbacked)
                && has(bindings::pageflags_PG_swapcache),
            is_under_writeback: has(bindings::pageflags_PG_writeback),
        }
    }

    /// Tells the folio from others, as long as it exists.
    pub(crate) fn id(&self) -> FolioId {
        FolioId(self.as_ptr().addr())
    }

    /// Returns the reference count, `folio_ref_count()` in C.
    ///
    /// It is unsigned: a count that overflows stays large.
    #[inline]
    fn ref_count(&self) -> u32 {
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

    /// Number of pages. The page cache has one reference for each.
    #[inline]
    fn nr_pages(&self) -> usize {
        if self.is_large() {
            // SAFETY: The folio is alive by the type invariants.
            unsafe { bindings::pinseal_folio_nr_pages(self.as_ptr()) }
        } else {
            1
        }
    }

    /// Index of the first page in the file.
    #[inline]
    fn index(&self) -> usize {
        // SAFETY: By the type invariants.
        unsafe { folio_index(self.as_ptr()) }
    }

    /// The pages, as indices in the file.
    #[inline]
    pub(crate) fn range(&self) -> Range<usize> {
        let index = self.index();
        index..index + self.nr_pages()
    }

    /// Whether, at this instant, only the page cache has references.
    ///
    /// This is one read of one counter. With a sum of reference count and map count, which are read
    /// one after the other, a mapping that comes or goes in between could hide an extra reference.
    #[inline]
    pub(crate) fn is_clean(&self) -> bool {
        self.ref_count() as usize == self.nr_pages()
    }

    /// The same. If so, reclaim does not drop what the folio has from now on: it is marked dirty.
    ///
    /// Reclaim takes a folio of shmem that is not dirty for a hole, and a hole has zeros. A load makes such a
    /// folio, which a pin may write to and not mark, as io_uring's and udmabuf's do.
    // A folio that is on its way to swap, and not dirty for that time, has an extra reference.
    #[inline]
    pub(crate) fn keep_if_clean(&self) -> bool {
        const HEAD: usize = 1 << bindings::pageflags_PG_head;
        const DIRTY: usize = 1 << bindings::pageflags_PG_dirty;
        // Most folios, by one test more than the look at the count.
        match self.flag_bits() & (HEAD | DIRTY) {
            DIRTY => self.ref_count() == 1,
            _ => self.keep_unusual_if_clean(),
        }
    }

    #[inline(never)]
    fn keep_unusual_if_clean(&self) -> bool {
        let is_clean = self.is_clean();
        // Between the two reads a reader may give it zeros. One that has no contents has none to lose, and must
        // not go to swap as if it had.
        //
        // SAFETY: There are no requirements.
        unsafe { bindings::pinseal_smp_rmb() };
        if is_clean && self.is_uptodate() {
            // SAFETY: The folio is in the page cache by the type invariants. For files of memory, this sets a
            // bit.
            unsafe { bindings::folio_mark_dirty(self.as_ptr()) };
        }
        is_clean
    }

    /// Whether it has its contents.
    pub(crate) fn is_uptodate(&self) -> bool {
        // SAFETY: The folio is alive by the type invariants.
        unsafe { bindings::pinseal_folio_test_uptodate(self.as_ptr()) }
    }

    /// Whether the folio's (first) page is poisoned.
    pub(crate) fn is_poisoned(&self) -> bool {
        // SAFETY: The folio is alive by the type invariants.
        unsafe { bindings::pinseal_folio_test_hwpoison(self.as_ptr()) }
    }

    /// Number of times that pages of the folio are mapped.
    #[inline]
    fn mapcount(&self) -> u32 {
        // SAFETY: The folio is alive by the type invariants.
        let count = unsafe { bindings::pinseal_folio_mapcount(self.as_ptr()) };
        // Only a corrupt folio has a negative count.
        count.try_into().unwrap_or(0)
    }

    /// Returns the references by kind, as far as the counters tell.
    ///
    /// The counters are read one after the other, so this is for reports and heuristics, not for
    /// decisions.
    pub(crate) fn references(&self) -> References {
        let pages = self.nr_pages();
        let refs = self.ref_count();
        let mapped = self.mapcount();
        let extra = refs
            .saturating_sub(pages.try_into().unwrap_or(u32::MAX))
            .saturating_sub(mapped);
        // SAFETY: The folio is alive by the type invariants.
        let dma_pins = if unsafe { bindings::pinseal_folio_has_pincount(self.as_ptr()) } {
            // SAFETY: As above, and the folio has a pin count.
            unsafe { bindings::pinseal_folio_pincount(self.as_ptr()) }
        } else {
            extra / GUP_PIN_COUNTING_BIAS
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

/// What the kernel does with a folio.
pub(crate) struct FolioFlags {
    /// Whether it is on an LRU list. Else an LRU batch, or a task that moves it, may have a reference.
    pub(crate) is_on_lru: bool,
    /// Whether a mapping has it locked into memory.
    pub(crate) is_mlocked: bool,
    /// Whether it is in the swap cache, on its way to or from swap.
    pub(crate) is_in_swap_cache: bool,
    /// Whether it is being written to swap.
    pub(crate) is_under_writeback: bool,
}

/// The references to a folio by kind, at about one time.
#[derive(Clone, Copy)]
pub(crate) struct References {
    /// Index of the folio's first page.
    pub(crate) index: usize,
    /// Number of pages of the folio.
    pub(crate) pages: usize,
    /// Number of times that pages of the folio are mapped.
    pub(crate) mapped: u32,
    /// References other than those of the page cache and of page tables.
    pub(crate) extra: u32,
    /// Pins (`FOLL_PIN`). Each is `GUP_PIN_COUNTING_BIAS` of `extra` in an order-0 folio, and 1 in
    /// a large folio.
    pub(crate) dma_pins: u32,
    /// Whether the folio has more than one page.
    pub(crate) is_large: bool,
}

impl References {
    /// Whether some may be those of readers, which are transient: mappings, and references that are
    /// not pins.
    pub(crate) fn may_be_readers(&self) -> bool {
        let pins = if self.is_large {
            self.dma_pins
        } else {
            self.dma_pins * GUP_PIN_COUNTING_BIAS
        };
        self.mapped != 0 || self.extra > pins
    }

    /// Whether an extra reference may be that of an LRU batch. Only order-0 folios are batched; a
    /// mapped folio more likely has a reader.
    pub(crate) fn may_be_batched(&self) -> bool {
        !self.is_large && self.mapped == 0 && self.extra % GUP_PIN_COUNTING_BIAS != 0
    }
}

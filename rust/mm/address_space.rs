// SPDX-License-Identifier: GPL-2.0-only

//! The page cache of one file, `struct address_space`.
//!
//! C headers: [`include/linux/fs.h`](srctree/include/linux/fs.h),
//! [`include/linux/pagemap.h`](srctree/include/linux/pagemap.h)

use super::folio::CachedFolio;
use crate::bindings;
use core::{
    mem::ManuallyDrop,
    ops::{
        ControlFlow,
        Range, //
    },
    slice::from_ref,
};
use kernel::{
    ffi::c_void,
    mm::virt::VmaRef,
    page::PAGE_SHIFT,
    types::Opaque, //
};

/// Nodes, of up to 64 entries, to look at before the lock is dropped for a moment. C has
/// `XA_CHECK_SCHED`, 4096 entries.
const NODES_PER_LOCK: u32 = 64;

/// The page cache of a file.
///
/// # Invariants
///
/// References point to the mapping of an inode that stays alive as long as they do.
#[repr(transparent)]
pub(crate) struct AddressSpace {
    inner: Opaque<bindings::address_space>,
}

impl AddressSpace {
    /// Creates a reference from a raw pointer.
    ///
    /// # Safety
    ///
    /// `ptr` must point to the mapping of an inode that stays alive for `'a`.
    #[inline]
    pub(crate) unsafe fn from_raw<'a>(ptr: *mut bindings::address_space) -> &'a Self {
        // SAFETY: The caller keeps the mapping alive; the type is `repr(transparent)`.
        unsafe { &*ptr.cast() }
    }

    #[inline]
    pub(crate) fn as_ptr(&self) -> *mut bindings::address_space {
        self.inner.get()
    }

    /// Counts a shared writable VMA that is about to be made. `None` when they are denied.
    ///
    /// The core counts a VMA when it links it to its file, but it asks whether that is allowed at
    /// the beginning of `mmap()`, and asks the file that was given there. Who makes a VMA of another
    /// file's must ask this one, and keep the count for as long as there is the VMA.
    pub(crate) fn admit_writable(&self) -> Option<WritableAdmitted<'_>> {
        // SAFETY: The mapping is alive by the type invariants.
        let ret = unsafe { bindings::pinseal_mapping_map_writable(self.as_ptr()) };
        // INVARIANT: The VMA was counted.
        (ret == 0).then(|| WritableAdmitted { mapping: self })
    }

    /// Counts a shared writable VMA that is a copy of one that is counted.
    pub(crate) fn writable_copied(&self) {
        // SAFETY: The mapping is alive by the type invariants. There is that other VMA, so nobody
        // denies them.
        unsafe { bindings::pinseal_mapping_allow_writable(self.as_ptr()) };
    }

    /// No longer counts a shared writable VMA, which the core must have unlinked.
    pub(crate) fn writable_gone(&self) {
        // SAFETY: The mapping is alive by the type invariants.
        unsafe { bindings::pinseal_mapping_unmap_writable(self.as_ptr()) };
    }

    /// Refuses shared writable mappings, unless there are some: then it returns `false`. Denials are
    /// counted.
    pub(crate) fn deny_writable(&self) -> bool {
        // SAFETY: The mapping is alive by the type invariants.
        unsafe { bindings::pinseal_mapping_deny_writable(self.as_ptr()) == 0 }
    }

    /// Takes back one [`AddressSpace::deny_writable`], which the caller must have made.
    pub(crate) fn allow_writable(&self) {
        // SAFETY: The mapping is alive by the type invariants.
        unsafe { bindings::pinseal_mapping_allow_writable(self.as_ptr()) };
    }

    /// Whether a VMA shows the page with that index at `address`, and the kernel alone brings it
    /// there, not user space (userfaultfd).
    pub(crate) fn is_shown_by(&self, vma: &VmaRef, address: usize, index: usize) -> bool {
        let vma_ptr = vma.as_ptr();
        // SAFETY: The VMA is locked against changes, as we have a `VmaRef`. It keeps its file open.
        unsafe {
            let file = (*vma_ptr).vm_file;
            !file.is_null()
                && (*file).f_mapping == self.as_ptr()
                && !bindings::pinseal_userfaultfd_armed(vma_ptr)
                && (*vma_ptr).vm_pgoff + ((address - vma.start()) >> PAGE_SHIFT) == index
        }
    }

    /// Whether any VMA maps the file.
    pub(crate) fn is_mapped(&self) -> bool {
        // SAFETY: The mapping is alive by the type invariants. The tree's root is read without its
        // lock, as `mapping_mapped()` is meant to be used.
        unsafe { bindings::pinseal_mapping_mapped(self.as_ptr()) != 0 }
    }

    /// Removes pages from every page table that maps them. They fault back in on access; private
    /// copies stay.
    ///
    /// Context: sleeps.
    pub(crate) fn zap(&self, pages: &Range<usize>) {
        if pages.is_empty() {
            return;
        }
        // SAFETY: The mapping is alive by the type invariants.
        unsafe { bindings::unmap_mapping_pages(self.as_ptr(), pages.start, pages.len(), false) };
    }

    /// Calls `visit` for each folio in the range that is in memory, as
    /// [`AddressSpace::for_each_entry`] does.
    #[inline]
    pub(crate) fn for_each_folio(
        &self,
        pages: Range<usize>,
        mut visit: impl FnMut(&CachedFolio) -> ControlFlow<()>,
    ) {
        self.for_each_entry(pages, |entry| match entry {
            Entry::Folio(folio) => visit(folio),
            Entry::Swapped(_) => ControlFlow::Continue(()),
        });
    }

    /// Calls `visit` for what there is in the range, in order of the index, under the `i_pages` lock,
    /// until it breaks.
    ///
    /// Between batches the lock is dropped. Folios that are replaced meanwhile (migration, huge
    /// pages) may be seen twice or in their new form, but a page that stays is not missed. A folio
    /// that the range cuts is visited as a whole.
    ///
    /// Context: may sleep, but `visit` may not: it runs in atomic context.
    #[inline]
    pub(crate) fn for_each_entry(
        &self,
        pages: Range<usize>,
        mut visit: impl FnMut(Entry<'_>) -> ControlFlow<()>,
    ) {
        if pages.is_empty() {
            return;
        }
        let mut from = pages.start;
        let last = pages.end - 1;
        // SAFETY: `i_pages` lives as long as `self`.
        let i_pages = unsafe { &raw mut (*self.as_ptr()).i_pages };
        let xas = Opaque::<bindings::xa_state>::uninit();
        let xas = xas.get();
        let mut nodes = 0;

        // SAFETY: `xas` is valid for writing.
        unsafe { bindings::pinseal_xas_init(xas, i_pages, from) };
        // SAFETY: `xas` was initialised above.
        unsafe { bindings::pinseal_xas_lock_irq(xas) };
        loop {
            // SAFETY: The lock is held.
            let entry = unsafe { bindings::xas_find(xas, last) };
            if entry.is_null() {
                break;
            }
            // SAFETY: The lock is held, and `xas` has just found something.
            let leaf = unsafe { leaf(xas) };
            // A node at a time: that is what makes looking at many pages cheap.
            let (start, entries) = match &leaf {
                Some(leaf) => (leaf.start, leaf.entries_up_to(last)),
                // SAFETY: The lock is held, and `xas` has just found something.
                None => (unsafe { (*xas).xa_index }, from_ref(&entry)),
            };
            let visited = entries.iter().enumerate().try_for_each(|(i, &entry)| {
                if is_pointer(entry) {
                    // SAFETY: Entries of `i_pages` that are pointers are folios, in the page cache.
                    // The lock is held until after the call.
                    return visit(Entry::Folio(unsafe { CachedFolio::from_raw(entry.cast()) }));
                }
                match is_value(entry) {
                    // What went as one may begin before the range.
                    true => visit(Entry::Swapped((start + i).max(from))),
                    false => ControlFlow::Continue(()),
                }
            });
            if visited.is_break() {
                break;
            }
            if let Some(leaf) = leaf {
                from = leaf.end();
                // SAFETY: `xas` is valid for writing, and needs no cleaning up.
                unsafe { bindings::pinseal_xas_init(xas, i_pages, from) };
            }

            nodes += 1;
            if nodes == NODES_PER_LOCK {
                nodes = 0;
                // SAFETY: The lock is held, and is taken again before `xas` is used; after
                // `xas_pause` nothing in it refers to a node.
                unsafe {
                    bindings::xas_pause(xas);
                    bindings::pinseal_xas_unlock_irq(xas);
                    bindings::pinseal_cond_resched();
                    bindings::pinseal_xas_lock_irq(xas);
                }
            }
        }
        // SAFETY: The lock is held.
        unsafe { bindings::pinseal_xas_unlock_irq(xas) };
    }
}

/// What there is of a file at some index.
pub(crate) enum Entry<'a> {
    /// A folio in memory.
    Folio(&'a CachedFolio),
    /// A page that went to swap, at this index. More may have gone with it, also from before.
    Swapped(usize),
}

/// What a lowest node of `i_pages` has from some index on.
struct Leaf<'a> {
    /// Index of the first of `entries`.
    start: usize,
    entries: &'a [*mut c_void],
}

impl<'a> Leaf<'a> {
    fn entries_up_to(&self, last: usize) -> &'a [*mut c_void] {
        // There is at least the one that was found, which is not after `last`.
        let most = last.saturating_sub(self.start).saturating_add(1);
        &self.entries[..most.min(self.entries.len())]
    }

    /// The index after all entries. A file cannot be so large that this overflows.
    fn end(&self) -> usize {
        self.start.saturating_add(self.entries.len())
    }
}

/// The node in which `xas` has found something, from there on, if it is a lowest one.
///
/// # Safety
///
/// `xas` must have found something, and the lock must have been held since, and for `'a`.
unsafe fn leaf<'a>(xas: *mut bindings::xa_state) -> Option<Leaf<'a>> {
    // SAFETY: By the safety requirements.
    let (node, index, offset) =
        unsafe { ((*xas).xa_node, (*xas).xa_index, (*xas).xa_offset as usize) };
    // What has its low bits set is no node but a state, and a lone entry at index 0 has none.
    if node.is_null() || node.addr() & 3 != 0 {
        return None;
    }
    // SAFETY: It is a node, which stays as it is while the lock is held.
    let (shift, slots) = unsafe { ((*node).shift, &(*node).slots) };
    if shift != 0 {
        return None;
    }
    Some(Leaf {
        // The index may be inside of a large folio, whose entry is at its beginning.
        start: (index & !(slots.len() - 1)) + offset,
        entries: slots.get(offset..)?,
    })
}

/// Whether an entry of `i_pages` is a pointer: not nothing, not a value, and not internal (what
/// follows the beginning of a large folio).
///
/// C: `xa_is_value()`, `xa_is_internal()` in
/// [`include/linux/xarray.h`](srctree/include/linux/xarray.h).
#[inline]
pub(super) fn is_pointer(entry: *mut c_void) -> bool {
    !entry.is_null() && entry.addr() & 3 == 0
}

/// Whether an entry of `i_pages` is a value, which is what pages leave there that are swapped out.
///
/// C: `xa_is_value()` in [`include/linux/xarray.h`](srctree/include/linux/xarray.h).
#[inline]
fn is_value(entry: *mut c_void) -> bool {
    entry.addr() & 1 != 0
}

/// A shared writable VMA that is being made. Not counted any more when dropped, unless
/// [`WritableAdmitted::made`] was called.
///
/// # Invariants
///
/// It is counted in `i_mmap_writable` of the mapping.
pub(crate) struct WritableAdmitted<'a> {
    mapping: &'a AddressSpace,
}

impl WritableAdmitted<'_> {
    /// The VMA was made: [`AddressSpace::writable_gone`] is to be called when it goes.
    pub(crate) fn made(self) {
        let _ = ManuallyDrop::new(self);
    }
}

impl Drop for WritableAdmitted<'_> {
    fn drop(&mut self) {
        self.mapping.writable_gone();
    }
}

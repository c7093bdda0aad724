// SPDX-License-Identifier: GPL-2.0-only

//! The entries of a page cache, `i_pages`: one is found, or all in a range are visited.
//!
//! C headers: [`include/linux/xarray.h`](srctree/include/linux/xarray.h),
//! [`include/linux/fs.h`](srctree/include/linux/fs.h)

use super::{
    address_space::AddressSpace,
    folio::CachedFolio, //
};
use crate::bindings;
use core::{
    ops::{
        ControlFlow,
        Range, //
    },
    slice::from_ref,
};
use kernel::{
    ffi::c_void,
    prelude::*,
    types::Opaque, //
};

/// Nodes of `i_pages`, of up to 64 entries each, that are visited under one hold of its lock. The C
/// counterpart is `XA_CHECK_SCHED`, 4096 entries.
const NODES_PER_BATCH: u32 = 64;

/// What an entry that points to a node adds to its address.
const NODE_TAG: usize = 2;

/// The largest entry with that tag that points to no node. C: `xa_is_node()`.
const MAX_INTERNAL: usize = 4096;

/// Two cache lines, in bytes: CPUs fetch the line beside one, or the one after it, by themselves.
const PREFETCH_STEP: usize = 128;

impl AddressSpace {
    /// Returns the first index in the range that has a page, which is not swapped out if
    /// `in_memory`.
    pub(crate) fn next_page(&self, pages: Range<usize>, in_memory: bool) -> Option<usize> {
        let mut index = pages.start;
        while index < pages.end {
            // SAFETY: The mapping is alive by the type invariants. The entry is not dereferenced.
            let entry = unsafe {
                let i_pages = &raw mut (*self.as_ptr()).i_pages;
                bindings::xa_find(i_pages, &mut index, pages.end - 1, bindings::XA_PRESENT)
            };
            if entry.is_null() {
                return None;
            }
            if is_pointer(entry) || !in_memory {
                return Some(index);
            }
            index += 1;
        }
        None
    }

    /// Calls `visit` for each folio in the range, as [`AddressSpace::for_each_entry`] does.
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

    /// Calls `visit` for each entry in the range, in ascending order, under the `i_pages` lock,
    /// until it breaks.
    ///
    /// The lock is dropped now and then. Folios that are replaced at that time (migration,
    /// collapse) may be visited twice or as the new folio. A page that stays is not missed. A folio
    /// that extends beyond the range is visited as a whole.
    ///
    /// Context: may sleep. `visit` must not: it is called in atomic context.
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
        // SAFETY: `i_pages` is valid as long as `self`.
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
            // SAFETY: The lock is held, and `xas` has just found an entry.
            let leaf = unsafe { leaf(xas, last) };
            // Visiting all entries of a node is much cheaper than finding them one by one.
            let (start, entries) = match &leaf {
                Some(leaf) => (leaf.start, leaf.entries_up_to(last)),
                // SAFETY: The lock is held, and `xas` has just found an entry.
                None => (unsafe { (*xas).xa_index }, from_ref(&entry)),
            };
            let visited = entries.iter().enumerate().try_for_each(|(i, &entry)| {
                if is_pointer(entry) {
                    // SAFETY: Pointer entries of `i_pages` are folios in the page cache. The lock
                    // is held until after the call.
                    return visit(Entry::Folio(unsafe { CachedFolio::from_raw(entry.cast()) }));
                }
                match is_value(entry) {
                    // The entry of a large folio may begin before the range.
                    true => visit(Entry::Swapped((start + i).max(from))),
                    false => ControlFlow::Continue(()),
                }
            });
            if visited.is_break() {
                break;
            }
            if let Some(leaf) = leaf {
                from = leaf.end();
                // SAFETY: `xas` is valid for writing, and needs no cleanup.
                unsafe { bindings::pinseal_xas_init(xas, i_pages, from) };
            }

            nodes += 1;
            if nodes == NODES_PER_BATCH {
                nodes = 0;
                // SAFETY: The lock is held, and acquired again before `xas` is used. After
                // `xas_pause`, `xas` refers to no node.
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

/// An entry of the page cache.
pub(crate) enum Entry<'a> {
    /// A folio in memory.
    Folio(&'a CachedFolio),
    /// A swapped-out page at this index. The same entry may cover more pages, on both sides.
    Swapped(usize),
}

/// Entries of a leaf node of `i_pages`.
struct Leaf<'a> {
    /// Index of the first of `entries`.
    start: usize,
    entries: &'a [*mut c_void],
}

impl<'a> Leaf<'a> {
    fn entries_up_to(&self, last: usize) -> &'a [*mut c_void] {
        // At least the entry that was found, whose index is at most `last`.
        let max = last.saturating_sub(self.start).saturating_add(1);
        &self.entries[..max.min(self.entries.len())]
    }

    /// Index after the last entry. No file is large enough for an overflow.
    fn end(&self) -> usize {
        self.start.saturating_add(self.entries.len())
    }
}

/// Returns the entries from the one that `xas` has found to the end of its node, if that is a leaf. A scan that
/// goes on behind it, up to the index `last`, has the next node on its way to the CPU.
///
/// # Safety
///
/// `xas` must have found an entry. The lock must have been held since, and be held for `'a`.
unsafe fn leaf<'a>(xas: *mut bindings::xa_state, last: usize) -> Option<Leaf<'a>> {
    // SAFETY: By the safety requirements.
    let (node, index, offset) =
        unsafe { ((*xas).xa_node, (*xas).xa_index, (*xas).xa_offset as usize) };
    // A value with low bits set is a state of `xas`, no node. A single entry at index 0 has no
    // node.
    if node.is_null() || node.addr() & 3 != 0 {
        return None;
    }
    // SAFETY: It is a node, which does not change while the lock is held.
    let (shift, slots) = unsafe { ((*node).shift, &(*node).slots) };
    if shift != 0 {
        return None;
    }
    let leaf = Leaf {
        // `index` may be inside of a large folio, whose entry is at its first index.
        start: (index & !(slots.len() - 1)) + offset,
        entries: slots.get(offset..)?,
    };
    if leaf.end() <= last {
        // SAFETY: As above.
        unsafe { prefetch_next(node) };
    }
    Some(leaf)
}

/// Asks the CPU for the node behind `node`. Else a scan waits for memory twice at each node: for its entries,
/// and then for the folios that these lead to.
///
/// # Safety
///
/// `node` must be a node of a tree whose lock is held.
// Inlined, it takes registers from the loop over a node's entries.
#[inline(never)]
unsafe fn prefetch_next(node: *mut bindings::xa_node) {
    // SAFETY: By the safety requirements, neither the node nor its parent changes.
    let (parent, offset) = unsafe { ((*node).parent.as_ref(), usize::from((*node).offset)) };
    let next = parent.and_then(|parent| parent.slots.get(offset + 1));
    let Some(&entry) = next.filter(|entry| is_node(**entry)) else {
        return;
    };
    let next = entry.cast::<u8>().wrapping_sub(NODE_TAG);
    for line in (0..size_of::<bindings::xa_node>()).step_by(PREFETCH_STEP) {
        // SAFETY: A prefetch changes nothing and does not fault, whatever the address.
        unsafe { bindings::pinseal_prefetch(next.wrapping_add(line).cast()) };
    }
}

/// Whether an entry of `i_pages` is a pointer to a node.
///
/// C: `xa_is_node()` in [`include/linux/xarray.h`](srctree/include/linux/xarray.h).
#[inline]
fn is_node(entry: *mut c_void) -> bool {
    entry.addr() & 3 == NODE_TAG && entry.addr() > MAX_INTERNAL
}

/// Whether an entry of `i_pages` is a pointer: neither empty, nor a value, nor internal (the
/// sibling entries of a large folio).
///
/// C: `xa_is_value()`, `xa_is_internal()` in
/// [`include/linux/xarray.h`](srctree/include/linux/xarray.h).
#[inline]
fn is_pointer(entry: *mut c_void) -> bool {
    !entry.is_null() && entry.addr() & 3 == 0
}

/// Whether an entry of `i_pages` is a value, which stands for swapped-out pages.
///
/// C: `xa_is_value()` in [`include/linux/xarray.h`](srctree/include/linux/xarray.h).
#[inline]
fn is_value(entry: *mut c_void) -> bool {
    entry.addr() & 1 != 0
}

// SPDX-License-Identifier: GPL-2.0-only

//! Mappings that are locked in memory (`mlock()`): bringing pages back that were taken from them.
//!
//! C headers: [`include/linux/fs.h`](srctree/include/linux/fs.h),
//! [`include/linux/mm.h`](srctree/include/linux/mm.h)

use super::address_space::AddressSpace;
use crate::{
    bindings,
    sync::nap::{
        is_dying,
        nap, //
    }, //
};
use core::{
    ops::Range,
    ptr::null_mut, //
};
use kernel::{
    container_of,
    mm::{
        Mm,
        MmWithUser, //
    },
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::aref::ARef, //
};

/// Where a locked VMA had a part of a file when it was looked at.
struct LockedPart {
    mm: ARef<MmWithUser>,
    /// Address of the first page of the part.
    address: usize,
    /// Indices in the file, in pages.
    pages: Range<usize>,
}

/// How many times a mmap lock is tried, and how long to sleep in between, in nanoseconds. User space
/// can hold one up for as long as it likes; whoever does that to its own gets its pages back when it
/// uses them.
const LOCK_TRIES: u32 = 50;
const LOCK_NAP_NS: u64 = 100_000;

impl AddressSpace {
    /// Maps those of `pages` again that locked VMAs show, of whatever process. Returns when they are
    /// there, or cannot be.
    ///
    /// Context: sleeps. Takes mmap locks.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: not all could be looked at.
    pub(crate) fn map_where_locked(&self, pages: Range<usize>) -> Result {
        for part in self.locked_parts(pages)?.iter() {
            for (n, index) in part.pages.clone().enumerate() {
                if self.has_page(index) && !part.fault_in(n) {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Whether there is a page at `index`, in memory or in swap.
    fn has_page(&self, index: usize) -> bool {
        // SAFETY: The mapping is alive by the type invariants. The entry is not looked into.
        unsafe { !bindings::xa_load(&raw mut (*self.as_ptr()).i_pages, index).is_null() }
    }

    /// The parts of locked VMAs that show some of `pages`.
    fn locked_parts(&self, pages: Range<usize>) -> Result<KVec<LockedPart>> {
        let mut parts = KVec::new();
        loop {
            let mut without_room = 0;
            self.for_each_vma(|vma| {
                let Some(part) = vma.locked_part(&pages) else {
                    return;
                };
                if parts.len() == parts.capacity() {
                    // What a dropped reference to an `mm` may have to do takes the lock that is
                    // held here: so there is none yet.
                    without_room += 1;
                } else if let Some(part) = part.get() {
                    // There is room.
                    let _ = parts.push_within_capacity(part);
                }
            });
            if without_room == 0 {
                return Ok(parts);
            }
            // Outside of the lock, for making room may have to wait for somebody who wants it.
            let room = parts.len() + 2 * without_room;
            parts.clear();
            parts.reserve(room, GFP_KERNEL)?;
        }
    }

    /// Calls `visit` for each VMA that maps the file.
    ///
    /// Context: sleeps for `i_mmap_rwsem`, which `visit` is called under.
    fn for_each_vma(&self, mut visit: impl FnMut(LinkedVma<'_>)) {
        let mapping = self.as_ptr();

        // SAFETY: The mapping is alive by the type invariants.
        unsafe { bindings::pinseal_i_mmap_lock_read(mapping) };
        // SAFETY: The lock is held.
        let mut node = unsafe { (*mapping).i_mmap.rb_leftmost };
        while !node.is_null() {
            // SAFETY: What is in this tree are the nodes of VMAs, which stay while the lock is held.
            let vma = unsafe { &*container_of!(node, bindings::vm_area_struct, shared.rb) };
            visit(LinkedVma { vma });
            // SAFETY: As above.
            node = unsafe { bindings::rb_next(node) };
        }
        // SAFETY: The lock is held.
        unsafe { bindings::pinseal_i_mmap_unlock_read(mapping) };
    }
}

impl LockedPart {
    /// Maps the page with that number. Returns whether there is any use in going on.
    fn fault_in(&self, n: usize) -> bool {
        for _ in 0..LOCK_TRIES {
            if is_dying() {
                return false;
            }
            if let Some(_guard) = self.mm.mmap_read_trylock() {
                let address = self.address + n * PAGE_SIZE;
                // What has been unmapped since it was looked at gives an error, which is fine.
                //
                // SAFETY: The mmap lock is held, and stays held as no retry is allowed.
                unsafe { bindings::fixup_user_fault(self.mm.as_raw(), address, 0, null_mut()) };
                return true;
            }
            nap(LOCK_NAP_NS, || false);
        }
        false
    }
}

/// A VMA that is linked to a file.
///
/// # Invariants
///
/// The `i_mmap_rwsem` of the file's mapping is held.
struct LinkedVma<'a> {
    vma: &'a bindings::vm_area_struct,
}

impl<'a> LinkedVma<'a> {
    /// What the VMA shows of `pages`, if it is locked and does show some.
    fn locked_part(&self, pages: &Range<usize>) -> Option<UncountedPart<'a>> {
        // It may be locked or unlocked at this moment. Then either answer is right.
        //
        // SAFETY: The VMA is linked.
        let is_locked = unsafe { bindings::pinseal_vma_is_locked(self.vma) };
        // SAFETY: What a VMA covers changes under the lock that is held, by the type invariants.
        let (start, end) = unsafe {
            let range = &self.vma.__bindgen_anon_1.__bindgen_anon_1;
            (range.vm_start, range.vm_end)
        };
        let shown = self.vma.vm_pgoff..self.vma.vm_pgoff + ((end - start) >> PAGE_SHIFT);
        let part = shown.start.max(pages.start)..shown.end.min(pages.end);
        if !is_locked || part.is_empty() {
            return None;
        }
        Some(UncountedPart {
            // SAFETY: The `mm` of a linked VMA is not freed before the VMA is unlinked.
            mm: unsafe { Mm::from_raw(self.vma.vm_mm) },
            address: start + ((part.start - shown.start) << PAGE_SHIFT),
            pages: part,
        })
    }
}

/// A [`LockedPart`] for which the `mm` is not kept.
struct UncountedPart<'a> {
    mm: &'a Mm,
    address: usize,
    pages: Range<usize>,
}

impl UncountedPart<'_> {
    /// Keeps the `mm`, unless it is on its way out.
    fn get(self) -> Option<LockedPart> {
        Some(LockedPart {
            mm: self.mm.mmget_not_zero()?,
            address: self.address,
            pages: self.pages,
        })
    }
}

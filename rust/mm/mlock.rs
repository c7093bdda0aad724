// SPDX-License-Identifier: GPL-2.0-only

//! Mappings that are locked in memory (`mlock()`): bringing pages back that were taken from them.
//!
//! The mappings are other people's as well, and what they do with theirs must not hold us up. So mmap
//! locks are only tried, nothing is faulted but pages of the very file, and nobody's address space is
//! torn down here.
//!
//! C headers: [`include/linux/fs.h`](srctree/include/linux/fs.h),
//! [`include/linux/mm.h`](srctree/include/linux/mm.h)

use super::address_space::{
    is_pointer,
    AddressSpace, //
};
use crate::{
    bindings,
    sync::sleep::fatal_signal_pending, //
};
use core::{
    ops::Range,
    ptr::null_mut, //
};
use kernel::{
    container_of,
    mm::{
        virt::VmaRef,
        Mm,
        MmWithUser,
        MmWithUserAsync,
        MmapReadGuard, //
    },
    page::PAGE_SHIFT,
    prelude::*,
    sync::aref::ARef,
    time::{
        delay::fsleep,
        Delta, //
    }, //
};

/// How long to sleep before a mmap lock is tried again, in microseconds, and how many times in one
/// call, for all address spaces together. Whoever keeps its own locked for longer has its pages back
/// when it uses them.
const LOCK_NAP_US: i64 = 100;
const LOCK_NAPS: u32 = 50;

/// Where a locked VMA had a part of a file when it was looked at.
struct LockedPart {
    /// Not to be torn down by us: that may have to wait for I/O.
    mm: ARef<MmWithUserAsync>,
    /// Address of the first page of the part.
    address: usize,
    /// Indices in the file, in pages.
    pages: Range<usize>,
    /// Whether it locks pages when they are used, and not before.
    on_fault: bool,
}

impl AddressSpace {
    /// Maps those of `pages` again that locked VMAs show, of whatever process.
    ///
    /// Context: sleeps. Takes mmap locks.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: none could be looked at.
    pub(crate) fn remap_mlocked(&self, pages: Range<usize>) -> Result {
        let mut naps = LOCK_NAPS;
        for part in self.locked_parts(pages)?.iter() {
            let mut from = part.pages.start;
            while let Some(index) = self.next_page(from..part.pages.end, part.on_fault) {
                if !self.map_page(part, index, &mut naps) {
                    break;
                }
                from = index + 1;
            }
        }
        Ok(())
    }

    /// The first index of a page in the range; not in swap, if it must be `in_memory`.
    fn next_page(&self, pages: Range<usize>, in_memory: bool) -> Option<usize> {
        let mut index = pages.start;
        while index < pages.end {
            // SAFETY: The mapping is alive by the type invariants. The entry is not looked into.
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

    /// Maps one page of a part. Returns whether there is any use in going on.
    fn map_page(&self, part: &LockedPart, index: usize, naps: &mut u32) -> bool {
        let address = part.address + ((index - part.pages.start) << PAGE_SHIFT);
        let Some(guard) = try_lock(&part.mm, naps) else {
            return false;
        };
        // Something else may be there by now, for which a fault could take as long as user space
        // likes.
        if guard
            .vma_lookup(address)
            .is_none_or(|vma| !self.is_locked_page(vma, address, index))
        {
            return false;
        }
        // SAFETY: The mmap lock is held, and stays held as no retry is allowed.
        unsafe { bindings::fixup_user_fault(part.mm.as_raw(), address, 0, null_mut()) };
        true
    }

    /// Whether a locked VMA shows the page with that index at `address`, and the kernel alone brings
    /// it there.
    fn is_locked_page(&self, vma: &VmaRef, address: usize, index: usize) -> bool {
        // SAFETY: The VMA is locked against changes by the mmap lock, as we have a `VmaRef`.
        let is_locked = unsafe { bindings::pinseal_vma_is_locked(vma.as_ptr()) };
        is_locked && self.is_mapped_by(vma, address, index)
    }

    /// The parts of locked VMAs that show some of `pages`.
    fn locked_parts(&self, pages: Range<usize>) -> Result<KVVec<LockedPart>> {
        let mut parts = KVVec::new();
        loop {
            let mut without_room = 0;
            self.for_each_vma(|vma| {
                let Some(part) = vma.locked_part(&pages) else {
                    return;
                };
                if parts.len() == parts.capacity() {
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

/// Locks an address space, for which it sleeps `naps` times at most.
fn try_lock<'a>(mm: &'a MmWithUser, naps: &mut u32) -> Option<MmapReadGuard<'a>> {
    loop {
        if fatal_signal_pending() {
            return None;
        }
        // SAFETY: There are no requirements.
        unsafe { bindings::pinseal_cond_resched() };
        let guard = mm.mmap_read_trylock();
        if guard.is_some() || *naps == 0 {
            return guard;
        }
        *naps -= 1;
        fsleep(Delta::from_micros(LOCK_NAP_US));
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
            // SAFETY: The VMA is linked.
            on_fault: unsafe { bindings::pinseal_vma_is_locked_on_fault(self.vma) },
        })
    }
}

/// A [`LockedPart`] for which the `mm` is not kept.
struct UncountedPart<'a> {
    mm: &'a Mm,
    address: usize,
    pages: Range<usize>,
    on_fault: bool,
}

impl UncountedPart<'_> {
    /// Keeps the `mm`, unless it is on its way out.
    fn get(self) -> Option<LockedPart> {
        Some(LockedPart {
            mm: MmWithUser::into_mmput_async(self.mm.mmget_not_zero()?),
            address: self.address,
            pages: self.pages,
            on_fault: self.on_fault,
        })
    }
}

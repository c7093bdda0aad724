// SPDX-License-Identifier: GPL-2.0-only

//! VMAs of a file that the kernel does not find by a page of the file.
//!
//! The kernel finds the page table entries of a page by the place of the page in each VMA of the file
//! (rmap). It compares nothing but frame numbers there, so it takes a bare frame number for an entry
//! that counts as a mapping and holds a reference, whatever the flags of the VMA are: reclaim and
//! migration then drop a count and a reference that are not the entry's. It looks at all places of a
//! folio, so it is not enough that no page is shown at its own.
//!
//! A hidden VMA is in the file's tree of VMAs at pages behind all that a file can have. So what
//! concerns single pages does not find it; what concerns all of the file (truncation to nothing), or what
//! is behind it, does. The distance is 2^64 bytes: offsets in bytes are those of before.
//!
//! C headers: [`include/linux/mm.h`](srctree/include/linux/mm.h),
//! [`include/linux/interval_tree_generic.h`](srctree/include/linux/interval_tree_generic.h)

use super::address_space::AddressSpace;
use crate::bindings;
use kernel::page::PAGE_SHIFT;

/// The distance in pages, which is more than a file has.
const BEHIND: usize = 1 << (usize::BITS as usize - PAGE_SHIFT);

/// The page of the file at a page offset of a VMA, hidden or not.
#[inline]
pub(crate) fn page_at_offset(offset: usize) -> usize {
    offset % BEHIND
}

/// Hides a VMA.
///
/// Context: sleeps. Takes `i_mmap_rwsem`.
///
/// # Safety
///
/// `vma` must be a VMA of `file` that is not hidden, and be locked for writing, with the mmap lock held
/// for writing. It must map nothing.
pub(crate) unsafe fn hide(vma: *mut bindings::vm_area_struct, file: &AddressSpace) {
    // SAFETY: By the safety requirements.
    unsafe { move_to(vma, file, (*vma).vm_pgoff + BEHIND) };
}

/// Undoes [`hide`].
///
/// Context: sleeps. Takes `i_mmap_rwsem`.
///
/// # Safety
///
/// As for [`hide`], with a VMA that is hidden.
pub(crate) unsafe fn unhide(vma: *mut bindings::vm_area_struct, file: &AddressSpace) {
    // SAFETY: By the safety requirements.
    unsafe { move_to(vma, file, page_at_offset((*vma).vm_pgoff)) };
}

/// Zaps all that hidden VMAs of `file` map, and nothing else.
///
/// Context: sleeps. Takes `i_mmap_rwsem`.
pub(super) fn zap_hidden(file: &AddressSpace) {
    // SAFETY: The mapping is alive by the invariants of `AddressSpace`. 0 pages are all from there on.
    unsafe { bindings::unmap_mapping_pages(file.as_ptr(), BEHIND, 0, false) };
}

/// # Safety
///
/// `vma` must be a VMA of `file` that maps nothing, and be locked for writing, with the mmap lock held
/// for writing.
unsafe fn move_to(vma: *mut bindings::vm_area_struct, file: &AddressSpace, offset: usize) {
    let file = file.as_ptr();
    // SAFETY: A VMA of the file is in its tree, which changes under this lock. By the safety requirements,
    // nothing uses the offset otherwise.
    unsafe {
        bindings::pinseal_i_mmap_lock_write(file);
        bindings::pinseal_rmap_tree_remove(vma, file);
        (*vma).vm_pgoff = offset;
        bindings::pinseal_rmap_tree_insert(vma, file);
        bindings::pinseal_i_mmap_unlock_write(file);
    }
}

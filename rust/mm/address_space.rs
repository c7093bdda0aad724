// SPDX-License-Identifier: GPL-2.0-only

//! The page cache of a file, `struct address_space`, as a whole.
//!
//! C headers: [`include/linux/fs.h`](srctree/include/linux/fs.h),
//! [`include/linux/pagemap.h`](srctree/include/linux/pagemap.h)

use crate::bindings;
use core::{
    mem::ManuallyDrop,
    ops::Range, //
};
use kernel::{
    mm::virt::VmaRef,
    page::PAGE_SHIFT,
    prelude::*,
    types::Opaque, //
};

/// The page cache of a file.
///
/// # Invariants
///
/// A reference is to the mapping of an inode that outlives it.
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

    /// Size of the file in bytes.
    pub(crate) fn size(&self) -> u64 {
        // SAFETY: The inode is alive by the type invariants.
        let size = unsafe { bindings::pinseal_i_size_read((*self.as_ptr()).host) };
        // CAST: A size is never negative.
        size as u64
    }

    /// Notes that writing has failed. Each open file is told of it once.
    ///
    /// C: `filemap_set_wb_err()` in [`include/linux/pagemap.h`](srctree/include/linux/pagemap.h).
    pub(crate) fn note_write_error(&self, err: Error) {
        // SAFETY: The mapping is alive by the type invariants.
        unsafe { bindings::pinseal_filemap_set_wb_err(self.as_ptr(), err.to_errno()) };
    }

    /// Counts a shared writable VMA that is being set up. `None` when such mappings are denied.
    ///
    /// At the beginning of `mmap()`, the core checks and counts the VMA for the file that was
    /// passed; at the end, it counts the VMA for the file to which it links it, without a check. So
    /// the count of a VMA that gets another file is checked here, and kept for the life of the VMA.
    ///
    /// C: `mapping_map_writable()` in [`include/linux/fs.h`](srctree/include/linux/fs.h).
    pub(crate) fn map_writable(&self) -> Option<WritableMapping<'_>> {
        // SAFETY: The mapping is alive by the type invariants.
        let ret = unsafe { bindings::pinseal_mapping_map_writable(self.as_ptr()) };
        // INVARIANT: The VMA was counted above.
        (ret == 0).then(|| WritableMapping { mapping: self })
    }

    /// Counts a shared writable VMA that is a copy of a counted one.
    pub(crate) fn dup_writable(&self) {
        // SAFETY: The mapping is alive by the type invariants. The other VMA is counted, so the
        // count is positive: mappings are not denied.
        unsafe { bindings::pinseal_mapping_allow_writable(self.as_ptr()) };
    }

    /// Uncounts a shared writable VMA, which must not be linked.
    ///
    /// C: `mapping_unmap_writable()` in [`include/linux/fs.h`](srctree/include/linux/fs.h).
    pub(crate) fn unmap_writable(&self) {
        // SAFETY: The mapping is alive by the type invariants.
        unsafe { bindings::pinseal_mapping_unmap_writable(self.as_ptr()) };
    }

    /// Denies shared writable mappings. Returns `false` when there are some. Denials nest.
    pub(crate) fn deny_writable(&self) -> bool {
        // SAFETY: The mapping is alive by the type invariants.
        unsafe { bindings::pinseal_mapping_deny_writable(self.as_ptr()) == 0 }
    }

    /// Drops one denial of [`AddressSpace::deny_writable`], which the caller owns.
    pub(crate) fn allow_writable(&self) {
        // SAFETY: The mapping is alive by the type invariants.
        unsafe { bindings::pinseal_mapping_allow_writable(self.as_ptr()) };
    }

    /// Whether `vma` maps the page at `index` of the file at `address`, and user space cannot delay
    /// a fault there (userfaultfd).
    pub(super) fn is_mapped_by(&self, vma: &VmaRef, address: usize, index: usize) -> bool {
        let vma_ptr = vma.as_ptr();
        // SAFETY: By the invariants of `VmaRef`, the VMA is locked against changes. It keeps its
        // file open.
        unsafe {
            let file = (*vma_ptr).vm_file;
            !file.is_null()
                && (*file).f_mapping == self.as_ptr()
                && !bindings::pinseal_userfaultfd_armed(vma_ptr)
                && (*vma_ptr).vm_pgoff + ((address - vma.start()) >> PAGE_SHIFT) == index
        }
    }

    /// Whether a VMA maps the file.
    pub(crate) fn is_mapped(&self) -> bool {
        // SAFETY: The mapping is alive by the type invariants. `mapping_mapped()` reads the root of
        // the tree without its lock.
        unsafe { bindings::pinseal_mapping_mapped(self.as_ptr()) != 0 }
    }

    /// Whether it is the page cache of a shmem file.
    fn is_shmem(&self) -> bool {
        // SAFETY: The mapping is alive by the type invariants.
        unsafe { bindings::shmem_mapping(self.as_ptr()) }
    }

    /// Zaps pages: removes them from page tables. Private copies stay. Does nothing for files that are
    /// not shmem's: `unmap_mapping_pages()` of hugetlbfs takes `i_mmap_rwsem`, which it holds.
    ///
    /// Context: sleeps.
    pub(crate) fn zap(&self, pages: &Range<usize>) {
        if pages.is_empty() || !self.is_shmem() {
            return;
        }
        // SAFETY: The mapping is alive by the type invariants.
        unsafe { bindings::unmap_mapping_pages(self.as_ptr(), pages.start, pages.len(), false) };
    }
}

/// A shared writable VMA that is being set up. Uncounted on drop, unless
/// [`WritableMapping::dismiss`] was called.
///
/// # Invariants
///
/// The VMA is counted in `i_mmap_writable` of the mapping.
pub(crate) struct WritableMapping<'a> {
    mapping: &'a AddressSpace,
}

impl WritableMapping<'_> {
    /// Keeps the count, for the VMA: it calls [`AddressSpace::unmap_writable`] when it is closed.
    pub(crate) fn dismiss(self) {
        let _ = ManuallyDrop::new(self);
    }
}

impl Drop for WritableMapping<'_> {
    fn drop(&mut self) {
        self.mapping.unmap_writable();
    }
}

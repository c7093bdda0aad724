// SPDX-License-Identifier: GPL-2.0-only

//! The VMAs that map a file, of all processes.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use super::address_space::AddressSpace;
use crate::bindings;
use kernel::container_of;

impl AddressSpace {
    /// Number of VMAs that map the file.
    ///
    /// Context: sleeps for `i_mmap_rwsem`.
    pub(crate) fn count_vmas(&self) -> usize {
        let mut count = 0;
        self.for_each_vma(|_| count += 1);
        count
    }

    /// Calls `visit` for each VMA that maps the file.
    ///
    /// Context: sleeps for `i_mmap_rwsem`, under which `visit` is called.
    pub(super) fn for_each_vma(&self, mut visit: impl FnMut(LinkedVma<'_>)) {
        let mapping = self.as_ptr();

        // SAFETY: The mapping is alive by the type invariants.
        unsafe { bindings::pinseal_i_mmap_lock_read(mapping) };
        // SAFETY: The lock is held.
        let mut node = unsafe { (*mapping).i_mmap.rb_leftmost };
        while !node.is_null() {
            // SAFETY: The nodes of this tree are those of VMAs, which stay while the lock is held.
            let vma = unsafe { &*container_of!(node, bindings::vm_area_struct, shared.rb) };
            // INVARIANT: The lock is held while `visit` runs.
            visit(LinkedVma { vma });
            // SAFETY: As above.
            node = unsafe { bindings::rb_next(node) };
        }
        // SAFETY: The lock is held.
        unsafe { bindings::pinseal_i_mmap_unlock_read(mapping) };
    }
}

/// A VMA that is linked to a file.
///
/// # Invariants
///
/// The `i_mmap_rwsem` of the file's mapping is held.
pub(super) struct LinkedVma<'a> {
    vma: &'a bindings::vm_area_struct,
}

impl<'a> LinkedVma<'a> {
    /// The VMA. Its bounds do not change.
    pub(super) fn get(&self) -> &'a bindings::vm_area_struct {
        self.vma
    }
}

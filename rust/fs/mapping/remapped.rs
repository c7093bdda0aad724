// SPDX-License-Identifier: GPL-2.0-only

//! VMAs that show pages elsewhere than at their place, and their operations.
//!
//! All their page table entries are bare frame numbers with exactly the protection of the page; see
//! [`RemappedPages`](crate::mm::remapped_pages::RemappedPages) for what keeps the pages. A fault never
//! returns a page to the core, which would map it as one of the file, and could not unmap it.
//!
//! C header: [`include/linux/mm.h`](srctree/include/linux/mm.h)

use super::{
    operations::{
        count_copy,
        pages_of,
        uncount, //
    },
    protected::ProtectedMapping, //
};
use crate::{
    bindings,
    fs::memory_file::MemoryOwner,
    mm::{
        hidden_vma::page_at_offset,
        protections::PageAccess, //
    }, //
};
use kernel::mm::virt::{
    flags,
    vm_flags_t,
    VmaRef, //
};

impl<T: MemoryOwner> ProtectedMapping<T> {
    /// Returns the operations of VMAs of device files that show pages elsewhere.
    pub(super) fn remapped_operations(
        shmem_ops: bindings::vm_operations_struct,
    ) -> bindings::vm_operations_struct {
        bindings::vm_operations_struct {
            open: Some(Self::open_remapped),
            close: Some(Self::close_remapped),
            fault: Some(Self::fault_remapped),
            pfn_mkwrite: Some(Self::pfn_mkwrite),
            page_mkwrite: None,
            // They would be for the pages that the core takes this VMA to have.
            #[cfg(CONFIG_NUMA)]
            set_policy: None,
            #[cfg(CONFIG_NUMA)]
            get_policy: None,
            ..Self::operations(shmem_ops)
        }
    }

    /// # Safety
    ///
    /// `vma` must be a copy of such a VMA, with the mmap lock held for writing.
    unsafe extern "C" fn open_remapped(vma: *mut bindings::vm_area_struct) {
        // SAFETY: By the safety requirements.
        unsafe {
            Self::share(vma);
            count_copy(vma);
            Self::of(vma).owner().remapped_pages().add_copy();
        }
    }

    /// # Safety
    ///
    /// `vma` must be such a VMA, which is being removed: it has no page table entries any more.
    unsafe extern "C" fn close_remapped(vma: *mut bindings::vm_area_struct) {
        // SAFETY: By the safety requirements.
        unsafe {
            let mapping = Self::take(vma);
            let owner = mapping.owner();
            owner.remapped_pages().remove_mapping();
            uncount(vma, &*owner);
            Self::end(mapping);
        }
    }

    /// # Safety
    ///
    /// `vmf` must be a fault on such a VMA, as the core passes it to `fault`.
    unsafe extern "C" fn fault_remapped(vmf: *mut bindings::vm_fault) -> bindings::vm_fault_t {
        // SAFETY: By the safety requirements.
        let Some((mapping, owner)) = (unsafe { Self::begin_fault(vmf) }) else {
            return bindings::vm_fault_reason_VM_FAULT_SIGSEGV;
        };
        // SAFETY: By the safety requirements, the VMA is valid and locked.
        let (vma, page, address) = unsafe {
            let fault = &(*vmf).__bindgen_anon_1;
            (fault.vma, page_at_offset(fault.pgoff), fault.address)
        };
        // SAFETY: As above.
        let vma_flags = unsafe { VmaRef::from_raw(vma) }.flags();
        let map = mapping.pages();
        let entry_flags = match map.protection(page, vma_flags) {
            None => vma_flags,
            Some(access) => vma_flags & (!ACCESS_FLAGS | flags_of(access)),
        };
        // SAFETY: There are no requirements.
        let protection = unsafe { bindings::pinseal_vm_get_page_prot(entry_flags | flags::SHARED) };
        // SAFETY: As above.
        let file = unsafe { pages_of(vma) };
        let may_write = vma_flags & flags::MAYWRITE != 0;
        let executes = entry_flags & flags::EXEC != 0;
        let target = map.targets.get(page);
        owner
            .remapped_pages()
            .show(file, target, may_write, executes, |frame| {
                // SAFETY: The VMA is locked, has `VM_PFNMAP`, and is no private one. The caller keeps
                // the page as long as it may be shown.
                unsafe { bindings::vmf_insert_pfn_prot(vma, address, frame, protection) }
            })
    }

    /// # Safety
    ///
    /// `vmf` must be a fault on such a VMA, as the core passes it to `pfn_mkwrite`.
    unsafe extern "C" fn pfn_mkwrite(vmf: *mut bindings::vm_fault) -> bindings::vm_fault_t {
        // SAFETY: By the safety requirements.
        match unsafe { Self::allows_store(vmf) } {
            true => 0,
            false => bindings::vm_fault_reason_VM_FAULT_SIGSEGV,
        }
    }
}

/// The flags of a VMA that say what it may be accessed for.
const ACCESS_FLAGS: vm_flags_t = flags::READ | flags::WRITE | flags::EXEC;

fn flags_of(access: PageAccess) -> vm_flags_t {
    [
        (PageAccess::READ, flags::READ),
        (PageAccess::WRITE, flags::WRITE),
        (PageAccess::EXEC, flags::EXEC),
    ]
    .into_iter()
    .filter(|(one, _)| access.contains(*one))
    .fold(0, |all, (_, flag)| all | flag)
}

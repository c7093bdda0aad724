// SPDX-License-Identifier: GPL-2.0-only

//! The operations of VMAs of stacked files: a copy of shmem's. A fault fills its page, and the first
//! store to a page after it was written to the lower file is noted.
//!
//! C header: [`include/linux/mm.h`](srctree/include/linux/mm.h)

use super::{
    operations::stack_of_raw,
    stack::pages_with,
    stop_on::StopOn, //
};
use crate::{
    bindings,
    mm::{
        address_space::AddressSpace,
        page_set::PageSetRoom, //
    },
    sync::once::get_or_try_init, //
};
use core::ops::Range;
use kernel::{
    prelude::*,
    sync::SetOnce, //
};

type Fault = unsafe extern "C" fn(*mut bindings::vm_fault) -> bindings::vm_fault_t;

struct Table {
    ops: bindings::vm_operations_struct,
    shmem_fault: Fault,
}

// SAFETY: The struct never changes, and its pointers are to statics.
unsafe impl Send for Table {}
// SAFETY: As above.
unsafe impl Sync for Table {}

static TABLE: SetOnce<Table> = SetOnce::new();

/// Returns the operations, copies of `shmem_ops` that are created at the first call.
///
/// # Errors
///
/// None that is known.
pub(super) fn vm_ops(
    shmem_ops: &bindings::vm_operations_struct,
) -> Result<&'static bindings::vm_operations_struct> {
    let table = get_or_try_init(&TABLE, || {
        Ok(Table {
            ops: bindings::vm_operations_struct {
                fault: Some(fault),
                page_mkwrite: Some(page_mkwrite),
                ..*shmem_ops
            },
            shmem_fault: shmem_ops.fault.ok_or(EINVAL)?,
        })
    })?;
    Ok(&table.ops)
}

/// The pages of a fault's folio, if it has one.
///
/// # Safety
///
/// `vmf` must be a fault whose page is locked.
unsafe fn pages_of_fault(vmf: *mut bindings::vm_fault) -> Range<usize> {
    // SAFETY: By the safety requirements.
    unsafe { crate::mm::stacked_folio::pages_of_locked((*vmf).page) }
}

/// # Safety
///
/// `vmf` must be a fault on a VMA of a stacked file, as the core passes it to `fault`.
unsafe extern "C" fn fault(vmf: *mut bindings::vm_fault) -> bindings::vm_fault_t {
    // SAFETY: By the safety requirements, the VMA is locked, and keeps its file open.
    let (stack, pages, page) = unsafe {
        let fault = &(*vmf).__bindgen_anon_1;
        let file = (*fault.vma).vm_file;
        let pages = AddressSpace::from_raw((*file).f_mapping);
        (stack_of_raw(file), pages, fault.pgoff)
    };
    // Not left to shmem: if the file grows meanwhile, that allocates a folio that may have zeros for pages
    // that come from below.
    if page >= pages_with(0, pages.size()).end {
        return bindings::vm_fault_reason_VM_FAULT_SIGBUS;
    }
    let result = stack.fill_and_allocate(pages, page..page + 1, StopOn::FatalSignal);
    match result {
        Ok(()) => (),
        Err(ENOMEM) => return bindings::vm_fault_reason_VM_FAULT_OOM,
        Err(_) => return bindings::vm_fault_reason_VM_FAULT_SIGBUS,
    }
    let Some(table) = TABLE.as_ref() else {
        return bindings::vm_fault_reason_VM_FAULT_SIGBUS;
    };
    // SAFETY: By the safety requirements; it is a VMA of a shmem file.
    unsafe { (table.shmem_fault)(vmf) }
}

/// # Safety
///
/// As for [`fault`], as the core passes it to `page_mkwrite`.
unsafe extern "C" fn page_mkwrite(vmf: *mut bindings::vm_fault) -> bindings::vm_fault_t {
    let Ok(room) = PageSetRoom::new() else {
        return bindings::vm_fault_reason_VM_FAULT_OOM;
    };
    // It sets the time of modification, and locks the page.
    //
    // SAFETY: By the safety requirements.
    let result = unsafe { bindings::filemap_page_mkwrite(vmf) };
    if result & bindings::vm_fault_reason_VM_FAULT_LOCKED != 0 {
        // SAFETY: The VMA is locked, and keeps its file open.
        let stack = unsafe { stack_of_raw((*(*vmf).__bindgen_anon_1.vma).vm_file) };
        // With the lock, which is held until the page can be stored to: who writes the page to the
        // lower file takes it after it has removed the note. All pages: the core may map the folio.
        //
        // SAFETY: The page is locked.
        stack.mark_dirty(unsafe { pages_of_fault(vmf) }, room);
    }
    result
}

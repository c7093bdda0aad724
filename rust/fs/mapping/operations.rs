// SPDX-License-Identifier: GPL-2.0-only

//! The operations of VMAs: a copy of shmem's. Overridden are:
//!
//! - `fault` and `map_pages`, which can be blocked for a moment;
//! - `mprotect`, which can be refused;
//! - for device files, `open` and `close`, which hold a reference to the device file, and thereby to
//!   the module, and count shared writable VMAs from before they are linked until they are closed; and
//!   `close` tells a sealer. For a memfd, `vm_file` is that reference, and the core counts; it does not
//!   merge VMAs that have a `close`.

use super::{
    is_shared_maywrite,
    protected::ProtectedMapping, //
};
use crate::{
    bindings,
    fs::memory_file::MemoryOwner,
    mm::address_space::AddressSpace,
    sync::once::get_or_try_init, //
};
use core::{
    marker::PhantomData,
    ptr, //
};
use kernel::{
    container_of,
    ffi::{
        c_int,
        c_ulong, //
    },
    mm::virt::{
        flags,
        vm_flags_t,
        VmaRef, //
    },
    prelude::*,
    sync::{
        Arc,
        ArcBorrow,
        SetOnce, //
    },
    types::ForeignOwnable, //
};

/// How a VMA was made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// By `mmap()` of a device file, to which it holds a reference. It is counted by its operations.
    Device,
    /// By `mmap()` of a memfd, its `vm_file`.
    Memfd,
}

/// Copies of shmem's VMA operations, partly overridden, in a static for each type of owner.
///
/// They are filled in at the first mapping: shmem's operations are reached by its `mmap` only.
pub(crate) struct ShmemVmOps<T> {
    device: SetOnce<Tables>,
    /// For device files whose shmem file is stacked on another.
    stacked: SetOnce<Tables>,
    memfd: SetOnce<Tables>,
    _owner: PhantomData<fn() -> T>,
}

/// The operations of VMAs of one kind.
pub(super) struct Tables {
    pub(super) kind: Kind,
    /// Their private data is the memory file.
    pub(super) plain: VmOps,
    /// Their private data is a [`ProtectedMapping`].
    pub(super) protected: VmOps,
    /// So is that of VMAs that show pages elsewhere, which those of memfds do not.
    pub(super) remapped: Option<VmOps>,
}

/// Which of the operations of its kind a VMA has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Its pages have its protection.
    Plain,
    /// Its pages have protections of their own.
    Protected,
    /// It shows pages elsewhere.
    Remapped,
}

/// The operations of a VMA, and those of shmem's that they use.
pub(super) struct VmOps {
    pub(super) ops: bindings::vm_operations_struct,
    pub(super) shmem_fault: unsafe extern "C" fn(*mut bindings::vm_fault) -> bindings::vm_fault_t,
    /// `filemap_page_mkwrite()`, or that of stacked files.
    pub(super) page_mkwrite: unsafe extern "C" fn(*mut bindings::vm_fault) -> bindings::vm_fault_t,
    shmem_map_pages:
        unsafe extern "C" fn(*mut bindings::vm_fault, c_ulong, c_ulong) -> bindings::vm_fault_t,
}

// SAFETY: The struct never changes, and its pointers are to statics.
unsafe impl Send for VmOps {}
// SAFETY: As above.
unsafe impl Sync for VmOps {}

impl VmOps {
    /// Creates a copy of shmem's operations.
    ///
    /// # Errors
    ///
    /// `EINVAL` when they lack `fault` or `map_pages`, which they do not.
    fn new(
        shmem_ops: &bindings::vm_operations_struct,
        overridden: impl FnOnce(bindings::vm_operations_struct) -> bindings::vm_operations_struct,
    ) -> Result<Self> {
        Ok(Self {
            ops: overridden(*shmem_ops),
            shmem_fault: shmem_ops.fault.ok_or(EINVAL)?,
            page_mkwrite: shmem_ops
                .page_mkwrite
                .unwrap_or(bindings::filemap_page_mkwrite),
            shmem_map_pages: shmem_ops.map_pages.ok_or(EINVAL)?,
        })
    }

    /// The operations of the VMA of a fault.
    ///
    /// # Safety
    ///
    /// `vmf` must be a fault on a VMA whose operations are a `VmOps`.
    pub(super) unsafe fn of_fault(vmf: *mut bindings::vm_fault) -> &'static Self {
        // SAFETY: The VMA of a fault is locked, and so valid.
        let ops = unsafe { (*(*vmf).__bindgen_anon_1.vma).vm_ops }.cast_mut();
        // SAFETY: They are those of a `VmOps`, which is static.
        unsafe { &*container_of!(ops, Self, ops) }
    }
}

impl<T: MemoryOwner> ShmemVmOps<T> {
    /// Creates empty tables.
    pub(crate) const fn new() -> Self {
        Self {
            device: SetOnce::new(),
            stacked: SetOnce::new(),
            memfd: SetOnce::new(),
            _owner: PhantomData,
        }
    }

    /// Returns the operations for device files, copies of `shmem_ops` that are created at the first
    /// call.
    ///
    /// # Errors
    ///
    /// None that is known.
    pub(super) fn for_device(
        &'static self,
        shmem_ops: &bindings::vm_operations_struct,
    ) -> Result<&'static Tables> {
        // Those of a stacked file want to know of stores.
        let tables = match shmem_ops.page_mkwrite {
            None => &self.device,
            Some(_) => &self.stacked,
        };
        get_or_try_init(tables, || {
            Ok(Tables {
                kind: Kind::Device,
                plain: VmOps::new(shmem_ops, |ops| bindings::vm_operations_struct {
                    open: Some(Self::open),
                    close: Some(Self::close),
                    ..Self::plain(ops)
                })?,
                protected: VmOps::new(shmem_ops, |ops| bindings::vm_operations_struct {
                    open: Some(ProtectedMapping::<T>::open_device),
                    close: Some(ProtectedMapping::<T>::close_device),
                    ..ProtectedMapping::<T>::operations(ops)
                })?,
                remapped: Some(VmOps::new(
                    shmem_ops,
                    ProtectedMapping::<T>::remapped_operations,
                )?),
            })
        })
    }

    /// Returns the operations for memfds, as [`ShmemVmOps::for_device`].
    pub(super) fn for_memfd(
        &'static self,
        shmem_ops: &bindings::vm_operations_struct,
    ) -> Result<&'static Tables> {
        get_or_try_init(&self.memfd, || {
            Ok(Tables {
                kind: Kind::Memfd,
                // Without `close`, the core merges what was split, as in mappings of a memfd.
                plain: VmOps::new(shmem_ops, Self::plain)?,
                protected: VmOps::new(shmem_ops, |ops| bindings::vm_operations_struct {
                    open: Some(ProtectedMapping::<T>::open_memfd),
                    close: Some(ProtectedMapping::<T>::close_memfd),
                    ..ProtectedMapping::<T>::operations(ops)
                })?,
                remapped: None,
            })
        })
    }

    /// Returns the tables that a VMA has its operations from, if it is one of this type, and which it
    /// has.
    pub(super) fn of(&'static self, vma: &VmaRef) -> Option<(&'static Tables, State)> {
        // SAFETY: The VMA is valid, and its operations do not change while it is borrowed.
        let ops = unsafe { (*vma.as_ptr()).vm_ops };
        [&self.device, &self.stacked, &self.memfd]
            .into_iter()
            .filter_map(SetOnce::as_ref)
            .find_map(|tables| match tables {
                _ if ptr::eq(ops, &tables.plain.ops) => Some((tables, State::Plain)),
                _ if ptr::eq(ops, &tables.protected.ops) => Some((tables, State::Protected)),
                Tables {
                    remapped: Some(remapped),
                    ..
                } if ptr::eq(ops, &remapped.ops) => Some((tables, State::Remapped)),
                _ => None,
            })
    }

    fn plain(shmem_ops: bindings::vm_operations_struct) -> bindings::vm_operations_struct {
        bindings::vm_operations_struct {
            mprotect: Some(Self::mprotect),
            fault: Some(Self::fault),
            map_pages: Some(Self::map_pages),
            ..shmem_ops
        }
    }

    /// # Safety
    ///
    /// `vma` must be a copy of a VMA that was set up by `NewDeviceVma::map_shmem`, or of its
    /// copy, with the mmap lock held for writing.
    unsafe extern "C" fn open(vma: *mut bindings::vm_area_struct) {
        // SAFETY: `map_shmem` stored the device file, and the VMA that this one is a copy of holds
        // a reference to it.
        let device = unsafe { (*vma).vm_private_data.cast::<bindings::file>() };

        // SAFETY: As above, so the reference count is not zero.
        unsafe { bindings::get_file(device) };
        // SAFETY: By the safety requirements.
        unsafe { count_copy(vma) };
    }

    /// # Safety
    ///
    /// `vma` must be a VMA that was set up by `NewDeviceVma::map_shmem` or `NewMemfdVma::prepare`,
    /// or its copy, and be valid for `'a`.
    unsafe fn owner<'a>(vma: *mut bindings::vm_area_struct) -> ArcBorrow<'a, T> {
        // SAFETY: `map_shmem` or `prepare` stored the memory file, which the VMA keeps open.
        unsafe { owner_of_file((*vma).vm_private_data.cast::<bindings::file>()) }
    }

    /// # Safety
    ///
    /// As for [`Self::owner`]; the mmap lock must be held.
    unsafe extern "C" fn mprotect(
        vma: *mut bindings::vm_area_struct,
        _start: c_ulong,
        _end: c_ulong,
        new_flags: c_ulong,
    ) -> c_int {
        // SAFETY: By the safety requirements.
        match unsafe { check_executable(vma, new_flags, &*Self::owner(vma)) } {
            Ok(()) => 0,
            Err(err) => err.to_errno(),
        }
    }

    /// # Safety
    ///
    /// `vmf` must be a fault on a VMA as for [`Self::owner`].
    unsafe fn owner_of_fault<'a>(vmf: *mut bindings::vm_fault) -> ArcBorrow<'a, T> {
        // SAFETY: The VMA of a fault is locked, and so valid.
        unsafe { Self::owner((*vmf).__bindgen_anon_1.vma) }
    }

    /// # Safety
    ///
    /// As for [`Self::owner_of_fault`]; `vmf` must be as the core passes it to `fault`.
    unsafe extern "C" fn fault(vmf: *mut bindings::vm_fault) -> bindings::vm_fault_t {
        // SAFETY: By the safety requirements.
        unsafe { Self::owner_of_fault(vmf) }.wait_read_unblocked();
        // SAFETY: By the safety requirements; `vm_file` is a shmem file.
        unsafe { (VmOps::of_fault(vmf).shmem_fault)(vmf) }
    }

    /// # Safety
    ///
    /// As for [`Self::owner_of_fault`]; the arguments must be as the core passes them to
    /// `map_pages`.
    unsafe extern "C" fn map_pages(
        vmf: *mut bindings::vm_fault,
        start: c_ulong,
        end: c_ulong,
    ) -> bindings::vm_fault_t {
        // This must not sleep. Without fault-around the core calls `fault`, which may.
        //
        // SAFETY: By the safety requirements.
        if unsafe { Self::owner_of_fault(vmf) }.blocks_reads() {
            return 0;
        }
        // SAFETY: By the safety requirements; `vm_file` is a shmem file.
        unsafe { (VmOps::of_fault(vmf).shmem_map_pages)(vmf, start, end) }
    }

    /// # Safety
    ///
    /// `vma` must be a VMA that was set up by `NewDeviceVma::map_shmem`, or its copy, and is
    /// being removed.
    unsafe extern "C" fn close(vma: *mut bindings::vm_area_struct) {
        // SAFETY: `map_shmem` or `open` took a reference to the device file for this VMA.
        let device = unsafe { (*vma).vm_private_data.cast::<bindings::file>() };

        // SAFETY: By the safety requirements.
        unsafe { uncount(vma, &*Self::owner(vma)) };
        // The last reference does not run `release` here, but in task work or a worker: this code
        // no longer runs when the module can be unloaded.
        //
        // SAFETY: The reference is this VMA's, which does not use it any more.
        unsafe { bindings::fput(device) };
    }
}

/// Returns the owner of a memory file.
///
/// # Safety
///
/// `file` must be a file of an owner of type `T` that stays open for `'a`.
pub(super) unsafe fn owner_of_file<'a, T: MemoryOwner>(
    file: *mut bindings::file,
) -> ArcBorrow<'a, T> {
    // SAFETY: By the safety requirements, its private data is an `Arc<T>`.
    unsafe { <Arc<T>>::borrow((*file).private_data) }
}

/// Returns the page cache that a VMA maps.
///
/// # Safety
///
/// `vma` must be a VMA of this folder that is valid for `'a`.
pub(super) unsafe fn pages_of<'a>(vma: *mut bindings::vm_area_struct) -> &'a AddressSpace {
    // SAFETY: The VMA keeps its `vm_file` open, which is the shmem file.
    unsafe { AddressSpace::from_raw((*(*vma).vm_file).f_mapping) }
}

/// Counts a copy of a VMA of a device file.
///
/// # Safety
///
/// `vma` must be such a copy, with the mmap lock held for writing.
pub(super) unsafe fn count_copy(vma: *mut bindings::vm_area_struct) {
    // SAFETY: By the safety requirements, the VMA is valid and its mmap lock held.
    if is_shared_maywrite(unsafe { VmaRef::from_raw(vma) }.flags()) {
        // SAFETY: By the safety requirements.
        unsafe { pages_of(vma) }.dup_writable();
    }
}

/// Uncounts a VMA of a device file, and tells its owner.
///
/// # Safety
///
/// `vma` must be such a VMA, which is being removed.
pub(super) unsafe fn uncount<T: MemoryOwner>(vma: *mut bindings::vm_area_struct, owner: &T) {
    // SAFETY: By the safety requirements, the VMA is valid and has no other user.
    if is_shared_maywrite(unsafe { VmaRef::from_raw(vma) }.flags()) {
        // SAFETY: By the safety requirements; the core drops `vm_file` later.
        unsafe { pages_of(vma) }.unmap_writable();
        owner.notify_unmap();
    }
}

/// Tells the owner of a VMA of a memfd that it is gone: the core has unlinked it, and counts it no
/// more.
///
/// # Safety
///
/// `vma` must be such a VMA, which is being removed.
pub(super) unsafe fn notify_unmap<T: MemoryOwner>(vma: *mut bindings::vm_area_struct, owner: &T) {
    // SAFETY: By the safety requirements, the VMA is valid and has no other user.
    if is_shared_maywrite(unsafe { VmaRef::from_raw(vma) }.flags()) {
        owner.notify_unmap();
    }
}

/// Checks whether a VMA may get flags by `mprotect()`.
///
/// # Safety
///
/// `vma` must be valid, and its mmap lock held.
///
/// # Errors
///
/// `EACCES` when it would become executable, and must not.
pub(super) unsafe fn check_executable<T: MemoryOwner>(
    vma: *mut bindings::vm_area_struct,
    new_flags: c_ulong,
    owner: &T,
) -> Result {
    // SAFETY: By the safety requirements.
    let old_flags = unsafe { VmaRef::from_raw(vma) }.flags();
    // CAST: The kernel crate's type of the flags.
    let becomes_executable = new_flags as vm_flags_t & !old_flags & flags::EXEC != 0;
    match becomes_executable && owner.forbids_executable() {
        true => Err(EACCES),
        false => Ok(()),
    }
}

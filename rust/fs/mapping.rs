// SPDX-License-Identifier: GPL-2.0-only

//! Mappings of memory files: of memfds, and of device files, which map their shmem file.
//!
//! Pages, faults, swap and huge pages of such a VMA are shmem's: its `vm_file` is a shmem file, and
//! its operations are a copy of shmem's. Overridden are:
//!
//! - `fault` and `map_pages`, which can be blocked for a moment;
//! - `mprotect`, which can be refused;
//! - `close`, which tells a sealer that a shared writable VMA is gone;
//! - for device files, `open` and `close`, which hold a reference to the device file, and thereby to
//!   the module, and count shared writable VMAs from before they are linked until they are closed.
//!   For a memfd, `vm_file` is that reference, and the core counts.
//!
//! C header: [`include/linux/mm.h`](srctree/include/linux/mm.h)

use crate::{
    bindings,
    fs::{
        memfd_file::MemfdFile,
        memfd_inode::MemfdInode, //
        memory_file::{
            MemoryFile,
            MemoryOwner, //
        },
    },
    mm::address_space::AddressSpace,
    sync::once::get_or_try_init, //
};
use core::{
    marker::PhantomData,
    ops::Deref, //
};
use kernel::{
    container_of,
    error::to_result,
    ffi::{
        c_int,
        c_ulong, //
    },
    fs::File,
    mm::virt::{
        flags,
        vm_flags_t,
        VmaNew,
        VmaRef, //
    },
    page::PAGE_SHIFT,
    prelude::*,
    sync::{
        aref::ARef,
        Arc,
        ArcBorrow,
        SetOnce, //
    },
    types::ForeignOwnable, //
};

/// Whether a VMA is shared, and is or may become writable. Constant for the life of a VMA.
///
/// C: `is_shared_maywrite()` in [`include/linux/mm.h`](srctree/include/linux/mm.h), by which the
/// core counts `i_mmap_writable`.
fn is_shared_maywrite(vma_flags: vm_flags_t) -> bool {
    vma_flags & (flags::SHARED | flags::MAYWRITE) == flags::SHARED | flags::MAYWRITE
}

/// The owner of files that can be mapped.
pub(crate) trait MappingOwner: Sized + Send + Sync + 'static {
    /// Returns the VMA operations of mappings of this type.
    fn vm_ops() -> &'static ShmemVmOps<Self>;

    /// Whether mappings must not become executable any more.
    fn forbids_executable(&self) -> bool;

    /// Whether new shared writable mappings are to be refused.
    fn blocks_mappings(&self) -> bool;

    /// Called when a shared writable mapping is gone, and not counted any more.
    ///
    /// Context: the mmap lock is held for writing, or the address space has no other user.
    fn notify_unmap(&self);

    /// Whether faults should call [`MappingOwner::wait_read_unblocked`].
    ///
    /// Context: must not sleep.
    fn blocks_reads(&self) -> bool;

    /// Called before a fault takes references.
    ///
    /// Context: may sleep, but briefly: the mmap lock is held.
    fn wait_read_unblocked(&self);
}

/// Result of [`NewDeviceVma::map_shmem`].
#[must_use]
pub(crate) enum Mapped {
    /// The VMA maps the memory.
    Done,
    /// The VMA is shared and writable, and such mappings are denied. It is unchanged.
    Denied,
}

/// A VMA that is being set up for a file of an owner of type `T`.
pub(crate) struct NewDeviceVma<'a, T> {
    vma: &'a VmaNew,
    device: MemoryFile<'a, T>,
}

impl<'a, T: MemoryOwner> NewDeviceVma<'a, T> {
    /// Creates a `NewDeviceVma` in the file's `mmap` operation.
    pub(super) fn new(vma: &'a VmaNew, device: MemoryFile<'a, T>) -> Self {
        Self { vma, device }
    }

    /// Makes the VMA a mapping of `memory`. Nothing must fail after that until the VMA is linked.
    ///
    /// # Errors
    ///
    /// `ENODEV` when the memory is hugetlbfs', whose VMAs the core sets up in a different way.
    /// `EOVERFLOW` when the VMA extends beyond the maximum size of a file: the core checks that for
    /// regular files, but not for devices.
    pub(crate) fn map_shmem(&self, memory: &MemfdFile) -> Result<Mapped> {
        if memory.inode().is_hugetlb() {
            return Err(ENODEV);
        }
        // SAFETY: The VMA is undergoing setup.
        let first_page = unsafe { (*self.vma.as_ptr()).vm_pgoff };
        let pages = (self.vma.end() - self.vma.start()) >> PAGE_SHIFT;
        if first_page
            .checked_add(pages)
            .is_none_or(|end| end > MemfdInode::MAX_PAGES)
        {
            return Err(EOVERFLOW);
        }

        let writable = match is_shared_maywrite(self.flags()) {
            false => None,
            true if self.device.owner().blocks_mappings() => return Ok(Mapped::Denied),
            true => match memory.inode().pages().map_writable() {
                Some(writable) => Some(writable),
                None => return Ok(Mapped::Denied),
            },
        };

        // The reference of the VMA, in its private data. It replaces that of `vm_file`, which
        // `vma_set_file` drops.
        let device = ARef::<File>::from(self.device.file());
        let vma = self.vma.as_ptr();

        // SAFETY: The VMA is undergoing setup, so its file may be replaced. On failure, the core
        // drops the reference that `vm_file` then has.
        unsafe { bindings::vma_set_file(vma, memory.as_ptr()) };
        // SAFETY: As above. shmem does its part of the setup.
        to_result(unsafe { bindings::pinseal_vfs_mmap(memory.as_ptr(), vma) })?;

        // SAFETY: The VMA is undergoing setup, and has no other user. shmem has set its operations,
        // which are static.
        let shmem_ops = unsafe { &*(*vma).vm_ops };
        let ops = &raw const T::vm_ops().for_device(shmem_ops)?.ops;
        // SAFETY: The VMA is undergoing setup. `ops` is static; `close` drops the reference to the
        // device file.
        unsafe {
            (*vma).vm_ops = ops;
            (*vma).vm_private_data = ARef::into_raw(device).as_ptr().cast();
        }
        if let Some(writable) = writable {
            writable.dismiss();
        }
        Ok(Mapped::Done)
    }
}

impl<T> Deref for NewDeviceVma<'_, T> {
    type Target = VmaNew;

    fn deref(&self) -> &VmaNew {
        self.vma
    }
}

/// A VMA of a memfd of an owner of type `T`, before it exists.
///
/// # Invariants
///
/// `desc` describes a new VMA of `file`, and is not accessed by others.
pub(super) struct NewMemfdVma<'a, T> {
    desc: *mut bindings::vm_area_desc,
    file: MemoryFile<'a, T>,
}

impl<'a, T: MemoryOwner> NewMemfdVma<'a, T> {
    /// Creates a `NewMemfdVma` in the file's `mmap_prepare` operation.
    ///
    /// # Safety
    ///
    /// `desc` must describe a new VMA of `file`, and not be accessed by others during `'a`.
    pub(super) unsafe fn new(desc: *mut bindings::vm_area_desc, file: MemoryFile<'a, T>) -> Self {
        // INVARIANT: By the safety requirements.
        Self { desc, file }
    }

    /// Sets the operations of the VMA. The core has asked the seals of the file, and counts the VMA if
    /// it is shared and writable.
    ///
    /// # Errors
    ///
    /// `EPERM` when it is executable, and must not be. `EBUSY` when it is shared and writable, and a
    /// sealer waits for such mappings. Those of `shmem`, shmem's file operations.
    pub(super) fn prepare(self, shmem: &bindings::file_operations) -> Result {
        let owner = self.file.owner();
        // SAFETY: By the type invariants.
        let vma_flags = unsafe { bindings::pinseal_vma_desc_flags(self.desc) };
        if is_shared_maywrite(vma_flags) && owner.blocks_mappings() {
            return Err(EBUSY);
        }
        if owner.forbids_executable() {
            if vma_flags & flags::EXEC != 0 {
                return Err(EPERM);
            }
            // Nor can it be made executable later.
            //
            // SAFETY: By the type invariants.
            unsafe { bindings::pinseal_vma_desc_clear_mayexec(self.desc) };
        }
        let prepare = shmem.mmap_prepare.ok_or(EINVAL)?;
        // SAFETY: The operation is that of a shmem file, as `file` is; the rest are the type
        // invariants.
        to_result(unsafe { prepare(self.desc) })?;
        // SAFETY: By the type invariants. shmem has set its VMA operations, which are static.
        let shmem_ops = unsafe { &*(*self.desc).vm_ops };
        let ops = &raw const T::vm_ops().for_memfd(shmem_ops)?.ops;
        // SAFETY: By the type invariants. `ops` is static; the VMA keeps its file open.
        unsafe {
            (*self.desc).vm_ops = ops;
            (*self.desc).private_data = self.file.file().as_ptr().cast();
        }
        Ok(())
    }
}

/// Copies of shmem's VMA operations, partly overridden, in a static for each type of owner.
///
/// They are filled in at the first mapping: shmem's operations are reached by its `mmap` only.
pub(crate) struct ShmemVmOps<T> {
    device: SetOnce<VmOps>,
    memfd: SetOnce<VmOps>,
    _owner: PhantomData<fn() -> T>,
}

struct VmOps {
    ops: bindings::vm_operations_struct,
    shmem_fault: unsafe extern "C" fn(*mut bindings::vm_fault) -> bindings::vm_fault_t,
    shmem_map_pages:
        unsafe extern "C" fn(*mut bindings::vm_fault, c_ulong, c_ulong) -> bindings::vm_fault_t,
}

// SAFETY: The struct never changes, and its pointers are to statics.
unsafe impl Send for VmOps {}
// SAFETY: As above.
unsafe impl Sync for VmOps {}

impl<T: MemoryOwner> ShmemVmOps<T> {
    /// Creates empty tables.
    pub(crate) const fn new() -> Self {
        Self {
            device: SetOnce::new(),
            memfd: SetOnce::new(),
            _owner: PhantomData,
        }
    }

    /// Returns the operations for device files, a copy of `shmem_ops` that is created at the first
    /// call.
    ///
    /// # Errors
    ///
    /// `EINVAL` when they lack `fault` or `map_pages`, which they do not.
    fn for_device(
        &'static self,
        shmem_ops: &bindings::vm_operations_struct,
    ) -> Result<&'static VmOps> {
        get_or_try_init(&self.device, || {
            let mut table = Self::copy(shmem_ops)?;
            table.ops.open = Some(Self::open);
            table.ops.close = Some(Self::close);
            Ok(table)
        })
    }

    /// Returns the operations for memfds, as [`ShmemVmOps::for_device`].
    fn for_memfd(
        &'static self,
        shmem_ops: &bindings::vm_operations_struct,
    ) -> Result<&'static VmOps> {
        get_or_try_init(&self.memfd, || {
            let mut table = Self::copy(shmem_ops)?;
            table.ops.close = Some(Self::close_memfd);
            Ok(table)
        })
    }

    fn copy(shmem_ops: &bindings::vm_operations_struct) -> Result<VmOps> {
        Ok(VmOps {
            ops: bindings::vm_operations_struct {
                mprotect: Some(Self::mprotect),
                fault: Some(Self::fault),
                map_pages: Some(Self::map_pages),
                ..*shmem_ops
            },
            shmem_fault: shmem_ops.fault.ok_or(EINVAL)?,
            shmem_map_pages: shmem_ops.map_pages.ok_or(EINVAL)?,
        })
    }

    /// # Safety
    ///
    /// `vma` must be a copy of a VMA that was set up by [`NewDeviceVma::map_shmem`], or of its
    /// copy, with the mmap lock held for writing.
    unsafe extern "C" fn open(vma: *mut bindings::vm_area_struct) {
        // SAFETY: By the safety requirements, the VMA is valid and its mmap lock held.
        let vma_ref = unsafe { VmaRef::from_raw(vma) };
        // SAFETY: `map_shmem` stored the device file, and the VMA that this one is a copy of holds
        // a reference to it.
        let device = unsafe { (*vma).vm_private_data.cast::<bindings::file>() };

        // SAFETY: As above, so the reference count is not zero.
        unsafe { bindings::get_file(device) };
        if is_shared_maywrite(vma_ref.flags()) {
            // SAFETY: By the safety requirements.
            unsafe { Self::pages(vma) }.dup_writable();
        }
    }

    /// # Safety
    ///
    /// `vma` must be a VMA that was set up by [`NewDeviceVma::map_shmem`] or
    /// [`NewMemfdVma::prepare`], or its copy, and be valid for `'a`.
    unsafe fn pages<'a>(vma: *mut bindings::vm_area_struct) -> &'a AddressSpace {
        // SAFETY: The VMA keeps its `vm_file` open, which is the shmem file.
        unsafe { AddressSpace::from_raw((*(*vma).vm_file).f_mapping) }
    }

    /// # Safety
    ///
    /// As for [`Self::pages`].
    unsafe fn owner<'a>(vma: *mut bindings::vm_area_struct) -> ArcBorrow<'a, T> {
        // SAFETY: `map_shmem` or `prepare` stored the memory file.
        let file = unsafe { (*vma).vm_private_data.cast::<bindings::file>() };
        // SAFETY: The VMA keeps that file open, whose private data is an `Arc<T>`.
        unsafe { <Arc<T>>::borrow((*file).private_data) }
    }

    /// # Safety
    ///
    /// As for [`Self::pages`]; the mmap lock must be held.
    unsafe extern "C" fn mprotect(
        vma: *mut bindings::vm_area_struct,
        _start: c_ulong,
        _end: c_ulong,
        new_flags: c_ulong,
    ) -> c_int {
        // SAFETY: The VMA is valid, and its mmap lock held.
        let old_flags = unsafe { VmaRef::from_raw(vma) }.flags();
        // CAST: The kernel crate's type of the flags.
        let becomes_executable = new_flags as vm_flags_t & !old_flags & flags::EXEC != 0;
        // SAFETY: By the safety requirements.
        if becomes_executable && unsafe { Self::owner(vma) }.forbids_executable() {
            return EACCES.to_errno();
        }
        0
    }

    /// # Safety
    ///
    /// `vmf` must be a fault on a VMA as for [`Self::pages`].
    unsafe fn owner_of_fault<'a>(vmf: *mut bindings::vm_fault) -> ArcBorrow<'a, T> {
        // SAFETY: The VMA of a fault is locked, and so valid.
        unsafe { Self::owner((*vmf).__bindgen_anon_1.vma) }
    }

    /// # Safety
    ///
    /// As for [`Self::owner_of_fault`].
    unsafe fn table_of_fault(vmf: *mut bindings::vm_fault) -> &'static VmOps {
        // SAFETY: The VMA of a fault is locked, and so valid.
        let ops = unsafe { (*(*vmf).__bindgen_anon_1.vma).vm_ops }.cast_mut();
        // SAFETY: They are those of a `VmOps`, which is static.
        unsafe { &*container_of!(ops, VmOps, ops) }
    }

    /// # Safety
    ///
    /// As for [`Self::owner_of_fault`]; `vmf` must be as the core passes it to `fault`.
    unsafe extern "C" fn fault(vmf: *mut bindings::vm_fault) -> bindings::vm_fault_t {
        // SAFETY: By the safety requirements.
        unsafe { Self::owner_of_fault(vmf) }.wait_read_unblocked();
        // SAFETY: By the safety requirements; `vm_file` is a shmem file.
        unsafe { (Self::table_of_fault(vmf).shmem_fault)(vmf) }
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
        unsafe { (Self::table_of_fault(vmf).shmem_map_pages)(vmf, start, end) }
    }

    /// # Safety
    ///
    /// `vma` must be a VMA that was set up by [`NewDeviceVma::map_shmem`], or its copy, and is
    /// being removed.
    unsafe extern "C" fn close(vma: *mut bindings::vm_area_struct) {
        // SAFETY: By the safety requirements, the VMA is valid and has no other user.
        let vma_ref = unsafe { VmaRef::from_raw(vma) };
        // SAFETY: `map_shmem` or `open` took a reference to the device file for this VMA.
        let device = unsafe { (*vma).vm_private_data.cast::<bindings::file>() };

        if is_shared_maywrite(vma_ref.flags()) {
            // SAFETY: By the safety requirements; the core drops `vm_file` later.
            unsafe { Self::pages(vma) }.unmap_writable();
            // SAFETY: As above.
            unsafe { Self::owner(vma) }.notify_unmap();
        }
        // The last reference does not run `release` here, but in task work or a worker: this code
        // no longer runs when the module can be unloaded.
        //
        // SAFETY: The reference is this VMA's, which does not use it any more.
        unsafe { bindings::fput(device) };
    }

    /// # Safety
    ///
    /// `vma` must be a VMA that was set up by [`NewMemfdVma::prepare`], or its copy, and is being
    /// removed.
    unsafe extern "C" fn close_memfd(vma: *mut bindings::vm_area_struct) {
        // SAFETY: By the safety requirements, the VMA is valid and has no other user.
        if is_shared_maywrite(unsafe { VmaRef::from_raw(vma) }.flags()) {
            // The core has unlinked the VMA, and counts it no more.
            //
            // SAFETY: By the safety requirements; the core drops `vm_file` later.
            unsafe { Self::owner(vma) }.notify_unmap();
        }
    }
}

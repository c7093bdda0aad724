// SPDX-License-Identifier: GPL-2.0-only

//! VMAs that map the shmem file under a device file.
//!
//! The pages, faults, swap and huge pages of such a VMA are shmem's own: its `vm_file` is the shmem
//! file, and its operations are a copy of shmem's. `open` and `close` are ours: they keep the device
//! file open while anything maps it (and thereby the module loaded), and count shared writable VMAs
//! from before they exist until they are gone. Before faults the owner is asked whether it wants them
//! to wait a moment, and before `mprotect()` whether that may make them executable.
//!
//! C headers: [`include/linux/mm.h`](srctree/include/linux/mm.h)

use crate::{
    bindings,
    fs::{
        device_file::DeviceFile,
        shmem::ShmemFile, //
    },
    mm::address_space::AddressSpace,
    sync::once::get_or_try_init, //
};
use core::{
    marker::PhantomData,
    ops::Deref, //
};
use kernel::{
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

/// Whether a VMA is shared and may be written, now or after `mprotect()`.
///
/// C: `is_shared_maywrite()` in [`include/linux/mm.h`](srctree/include/linux/mm.h), by which the
/// core counts `i_mmap_writable`. It does not change in the life of a VMA.
fn is_shared_maywrite(vma: &VmaRef) -> bool {
    vma.flags() & (flags::SHARED | flags::MAYWRITE) == flags::SHARED | flags::MAYWRITE
}

/// Who owns device files whose mappings show a shmem file.
pub(crate) trait MappingOwner: Sized + Send + Sync + 'static {
    /// Where the operations of its VMAs are kept.
    fn vm_ops() -> &'static ShmemVmOps<Self>;

    /// Whether mappings may not be made executable any more.
    fn forbids_executable(&self) -> bool;

    /// Whether a fault should go through [`MappingOwner::wait_read_unblocked`].
    ///
    /// Context: may not sleep.
    fn blocks_reads(&self) -> bool;

    /// Called before a fault takes references.
    ///
    /// Context: may sleep, for a short time: the mmap lock is held.
    fn wait_read_unblocked(&self);
}

/// What became of [`NewDeviceVma::map_shmem`].
#[must_use]
pub(crate) enum Mapped {
    /// The VMA shows the memory.
    Done,
    /// It would be shared and writable, and somebody denies that. Nothing has changed.
    Denied,
}

/// A VMA that is being created for a device file of `T`.
pub(crate) struct NewDeviceVma<'a, T> {
    vma: &'a VmaNew,
    device: DeviceFile<'a, T>,
}

impl<'a, T: MappingOwner> NewDeviceVma<'a, T> {
    /// The two together.
    pub(crate) fn new(vma: &'a VmaNew, device: DeviceFile<'a, T>) -> Self {
        Self { vma, device }
    }

    /// Makes the VMA a mapping of `memory`. When it succeeds, nothing can fail any more until the VMA
    /// is linked.
    ///
    /// # Errors
    ///
    /// `EOVERFLOW` when the VMA reaches beyond what a file can be: the core checks that for regular
    /// files, but not for devices.
    pub(crate) fn map_shmem(&self, memory: &ShmemFile) -> Result<Mapped> {
        // SAFETY: The VMA is undergoing setup.
        let first_page = unsafe { (*self.vma.as_ptr()).vm_pgoff };
        let pages = (self.vma.end() - self.vma.start()) >> PAGE_SHIFT;
        if first_page
            .checked_add(pages)
            .is_none_or(|end| end > ShmemFile::MAX_PAGES)
        {
            return Err(EOVERFLOW);
        }

        let admitted = match is_shared_maywrite(self) {
            false => None,
            true => match memory.pages().admit_writable() {
                Some(admitted) => Some(admitted),
                None => return Ok(Mapped::Denied),
            },
        };

        // The reference that the VMA holds in its private data. It replaces the one of `vm_file`,
        // which `vma_set_file` drops.
        let device = ARef::<File>::from(self.device.file());
        let vma = self.vma.as_ptr();

        // SAFETY: The VMA is undergoing setup, so its file may be replaced. The core drops whatever
        // `vm_file` is when we fail.
        unsafe { bindings::vma_set_file(vma, memory.as_ptr()) };
        // SAFETY: As above; this lets shmem do its part of the setup.
        to_result(unsafe { bindings::pinseal_vfs_mmap(memory.as_ptr(), vma) })?;

        // SAFETY: The VMA is undergoing setup, nobody else looks at it. shmem has set its
        // operations, which are static.
        let shmem_ops = unsafe { &*(*vma).vm_ops };
        let ops = &raw const T::vm_ops().hooked(shmem_ops)?.ours;
        // SAFETY: The VMA is undergoing setup. `ops` is static; the reference to the device file is
        // given back in `close`.
        unsafe {
            (*vma).vm_ops = ops;
            (*vma).vm_private_data = ARef::into_raw(device).as_ptr().cast();
        }
        if let Some(admitted) = admitted {
            admitted.made();
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

/// A copy of shmem's VMA operations with some of our own.
///
/// There is one for each type of owner, in a static. It is filled at the first mapping: shmem shows
/// its operations only there.
pub(crate) struct ShmemVmOps<T> {
    ops: SetOnce<VmOps>,
    _owner: PhantomData<fn() -> T>,
}

struct VmOps {
    ours: bindings::vm_operations_struct,
    shmem_fault: unsafe extern "C" fn(*mut bindings::vm_fault) -> bindings::vm_fault_t,
    shmem_map_pages:
        unsafe extern "C" fn(*mut bindings::vm_fault, c_ulong, c_ulong) -> bindings::vm_fault_t,
}

// SAFETY: The struct is never changed, and what it points to is static.
unsafe impl Send for VmOps {}
// SAFETY: As above.
unsafe impl Sync for VmOps {}

impl<T: MappingOwner> ShmemVmOps<T> {
    /// Nothing copied yet.
    pub(crate) const fn new() -> Self {
        Self {
            ops: SetOnce::new(),
            _owner: PhantomData,
        }
    }

    /// The copy of shmem's operations. `EINVAL` if they lack what ours need, which they do not.
    fn hooked(&'static self, shmem_ops: &bindings::vm_operations_struct) -> Result<&'static VmOps> {
        get_or_try_init(&self.ops, || {
            Ok(VmOps {
                ours: bindings::vm_operations_struct {
                    open: Some(Self::open),
                    close: Some(Self::close),
                    mprotect: Some(Self::mprotect),
                    fault: Some(Self::fault),
                    map_pages: Some(Self::map_pages),
                    ..*shmem_ops
                },
                shmem_fault: shmem_ops.fault.ok_or(EINVAL)?,
                shmem_map_pages: shmem_ops.map_pages.ok_or(EINVAL)?,
            })
        })
    }

    /// # Safety
    ///
    /// `vma` must be a VMA that was copied from one made by [`NewDeviceVma::map_shmem`], its mmap lock held for
    /// writing.
    unsafe extern "C" fn open(vma: *mut bindings::vm_area_struct) {
        // SAFETY: By the contract of `open`, the VMA is valid and we hold its mmap lock.
        let vma_ref = unsafe { VmaRef::from_raw(vma) };
        // SAFETY: `show` put the device file there, and the VMA that this one was copied from holds
        // a reference to it.
        let device = unsafe { (*vma).vm_private_data.cast::<bindings::file>() };

        // SAFETY: As above, so the count is not zero.
        unsafe { bindings::get_file(device) };
        if is_shared_maywrite(vma_ref) {
            // SAFETY: By the safety requirements.
            unsafe { Self::pages(vma) }.writable_copied();
        }
    }

    /// # Safety
    ///
    /// `vma` must be a VMA that was made by [`NewDeviceVma::map_shmem`], or copied from one. It must not
    /// go during `'a`.
    unsafe fn pages<'a>(vma: *mut bindings::vm_area_struct) -> &'a AddressSpace {
        // SAFETY: The VMA holds its file, which is the shmem file, open.
        unsafe { AddressSpace::from_raw((*(*vma).vm_file).f_mapping) }
    }

    /// # Safety
    ///
    /// As for [`Self::pages`].
    unsafe fn owner<'a>(vma: *mut bindings::vm_area_struct) -> ArcBorrow<'a, T> {
        // SAFETY: `show` put the device file there.
        let device = unsafe { (*vma).vm_private_data.cast::<bindings::file>() };
        // SAFETY: The VMA holds the device file open, and its private data is an `Arc<T>`.
        unsafe { <Arc<T>>::borrow((*device).private_data) }
    }

    /// # Safety
    ///
    /// As for [`Self::pages`], and what the core promises `mprotect`.
    unsafe extern "C" fn mprotect(
        vma: *mut bindings::vm_area_struct,
        _start: c_ulong,
        _end: c_ulong,
        new_flags: c_ulong,
    ) -> c_int {
        // SAFETY: The VMA is valid; we hold its mmap lock.
        let old_flags = unsafe { VmaRef::from_raw(vma) }.flags();
        // CAST: The type that the kernel crate has for the flags.
        let becomes_executable = new_flags as vm_flags_t & !old_flags & flags::EXEC != 0;
        // SAFETY: By the safety requirements.
        if becomes_executable && unsafe { Self::owner(vma) }.forbids_executable() {
            return EACCES.to_errno();
        }
        0
    }

    /// # Safety
    ///
    /// `vmf` must be of a fault on a VMA that was made by [`NewDeviceVma::map_shmem`], or copied from
    /// one.
    unsafe fn owner_of_fault<'a>(vmf: *mut bindings::vm_fault) -> ArcBorrow<'a, T> {
        // SAFETY: The VMA of a fault is locked against going.
        unsafe { Self::owner((*vmf).__bindgen_anon_1.vma) }
    }

    /// # Safety
    ///
    /// As for [`Self::owner_of_fault`], and what the core promises `fault`.
    unsafe extern "C" fn fault(vmf: *mut bindings::vm_fault) -> bindings::vm_fault_t {
        // SAFETY: By the safety requirements.
        unsafe { Self::owner_of_fault(vmf) }.wait_read_unblocked();
        match T::vm_ops().ops.as_ref() {
            // SAFETY: By the safety requirements; the VMA's file is a shmem file.
            Some(ops) => unsafe { (ops.shmem_fault)(vmf) },
            // Not reached: this function is only known through them.
            None => bindings::vm_fault_reason_VM_FAULT_SIGBUS,
        }
    }

    /// # Safety
    ///
    /// As for [`Self::owner_of_fault`], and what the core promises `map_pages`.
    unsafe extern "C" fn map_pages(
        vmf: *mut bindings::vm_fault,
        start: c_ulong,
        end: c_ulong,
    ) -> bindings::vm_fault_t {
        // This cannot wait. When nothing is mapped around, the fault itself comes, which can.
        //
        // SAFETY: By the safety requirements.
        if unsafe { Self::owner_of_fault(vmf) }.blocks_reads() {
            return 0;
        }
        match T::vm_ops().ops.as_ref() {
            // SAFETY: By the safety requirements; the VMA's file is a shmem file.
            Some(ops) => unsafe { (ops.shmem_map_pages)(vmf, start, end) },
            None => 0,
        }
    }

    /// # Safety
    ///
    /// `vma` must be a VMA that was made by [`NewDeviceVma::map_shmem`], or copied from one, and is going.
    unsafe extern "C" fn close(vma: *mut bindings::vm_area_struct) {
        // SAFETY: By the contract of `close`, the VMA is valid and nobody else uses it.
        let vma_ref = unsafe { VmaRef::from_raw(vma) };
        // SAFETY: `show` or `open` took a reference to the device file for this VMA.
        let device = unsafe { (*vma).vm_private_data.cast::<bindings::file>() };

        if is_shared_maywrite(vma_ref) {
            // SAFETY: By the safety requirements; the core has not dropped `vm_file` yet.
            unsafe { Self::pages(vma) }.writable_gone();
        }
        // The last reference does not run `release` here, but as task work or from a worker: this
        // code is not running any more when the module may go.
        //
        // SAFETY: The reference of this VMA, which is not used after this.
        unsafe { bindings::fput(device) };
    }
}

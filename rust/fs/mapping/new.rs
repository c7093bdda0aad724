// SPDX-License-Identifier: GPL-2.0-only

//! VMAs that are being set up.

use super::is_shared_maywrite;
use crate::{
    bindings,
    fs::{
        memfd_file::MemfdFile,
        memfd_inode::MemfdInode, //
        memory_file::{
            MemoryFile,
            MemoryOwner, //
        },
    }, //
};
use core::ops::Deref;
use kernel::{
    error::to_result,
    fs::File,
    mm::virt::{
        flags,
        VmaNew, //
    },
    page::PAGE_SHIFT,
    prelude::*,
    sync::aref::ARef, //
};

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
    pub(in crate::fs) fn new(vma: &'a VmaNew, device: MemoryFile<'a, T>) -> Self {
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
        let ops = &raw const T::vm_ops().for_device(shmem_ops)?.plain.ops;
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
pub(in crate::fs) struct NewMemfdVma<'a, T> {
    desc: *mut bindings::vm_area_desc,
    file: MemoryFile<'a, T>,
}

impl<'a, T: MemoryOwner> NewMemfdVma<'a, T> {
    /// Creates a `NewMemfdVma` in the file's `mmap_prepare` operation.
    ///
    /// # Safety
    ///
    /// `desc` must describe a new VMA of `file`, and not be accessed by others during `'a`.
    pub(in crate::fs) unsafe fn new(
        desc: *mut bindings::vm_area_desc,
        file: MemoryFile<'a, T>,
    ) -> Self {
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
    pub(in crate::fs) fn prepare(self, shmem: &bindings::file_operations) -> Result {
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
        let ops = &raw const T::vm_ops().for_memfd(shmem_ops)?.plain.ops;
        // SAFETY: By the type invariants. `ops` is static; the VMA keeps its file open.
        unsafe {
            (*self.desc).vm_ops = ops;
            (*self.desc).private_data = self.file.file().as_ptr().cast();
        }
        Ok(())
    }
}

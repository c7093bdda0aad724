// SPDX-License-Identifier: GPL-2.0-only

//! Address spaces whose mmap lock is held. Unlike the kernel crate's, the lock is not awaited by a task
//! that is being killed, and can be held for writing.
//!
//! C header: [`include/linux/mmap_lock.h`](srctree/include/linux/mmap_lock.h)

use crate::bindings;
use core::ops::Deref;
use kernel::{
    error::to_result,
    mm::{
        virt::{
            vm_flags_t,
            VmaRef, //
        },
        MmWithUser, //
    },
    prelude::*,
    types::NotThreadSafe, //
};

/// `VM_MAYSHARE`: the mapping is shared, writable or not. In the kernel crate of 7.2,
/// `flags::MAYSHARE` has the value of `VM_MAYEXEC`.
const MAYSHARE: vm_flags_t = bindings::pinseal_VM_MAYSHARE as vm_flags_t;

/// Whether `vma` is a shared mapping, writable or not.
pub(crate) fn is_shared(vma: &VmaRef) -> bool {
    vma.flags() & MAYSHARE != 0
}

/// An address space whose mmap lock is held, for reading at least.
///
/// # Invariants
///
/// The current task holds the lock of `mm`.
pub(crate) struct LockedMm<'a> {
    mm: &'a MmWithUser,
    _nts: NotThreadSafe,
}

impl LockedMm<'_> {
    /// Returns the VMA at an address.
    pub(crate) fn vma(&self, address: usize) -> Option<&VmaRef> {
        // SAFETY: The mmap lock is held while the VMA is borrowed.
        unsafe {
            let vma = bindings::vma_lookup(self.mm.as_raw(), address);
            (!vma.is_null()).then(|| VmaRef::from_raw(vma))
        }
    }

    /// Returns the VMA at an address or, if there is none, the next one.
    pub(crate) fn vma_from(&self, address: usize) -> Option<&VmaRef> {
        // SAFETY: The mmap lock is held while the VMA is borrowed.
        unsafe {
            let vma = bindings::find_vma(self.mm.as_raw(), address);
            (!vma.is_null()).then(|| VmaRef::from_raw(vma))
        }
    }
}

/// An address space whose mmap lock is held for reading.
///
/// # Invariants
///
/// The current task holds the lock for reading.
pub(crate) struct ReadLockedMm<'a>(LockedMm<'a>);

impl<'a> ReadLockedMm<'a> {
    /// Locks an address space.
    ///
    /// # Errors
    ///
    /// `EINTR` for a fatal signal.
    pub(crate) fn lock(mm: &'a MmWithUser) -> Result<Self> {
        // SAFETY: `mm` is valid.
        to_result(unsafe { bindings::pinseal_mmap_read_lock_killable(mm.as_raw()) })
            .map_err(|_| EINTR)?;
        // INVARIANT: The lock was acquired above.
        Ok(Self(LockedMm {
            mm,
            _nts: NotThreadSafe,
        }))
    }
}

impl<'a> Deref for ReadLockedMm<'a> {
    type Target = LockedMm<'a>;

    fn deref(&self) -> &LockedMm<'a> {
        &self.0
    }
}

impl Drop for ReadLockedMm<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, the current task holds the lock for reading.
        unsafe { bindings::mmap_read_unlock(self.0.mm.as_raw()) };
    }
}

/// An address space whose mmap lock is held for writing: no VMA is added, changed or removed by
/// others. Faults that hold the lock of their VMA go on.
///
/// # Invariants
///
/// The current task holds the lock for writing.
pub(crate) struct WriteLockedMm<'a>(LockedMm<'a>);

impl<'a> WriteLockedMm<'a> {
    /// Locks an address space.
    ///
    /// # Errors
    ///
    /// `EINTR` for a fatal signal.
    pub(crate) fn lock(mm: &'a MmWithUser) -> Result<Self> {
        // SAFETY: `mm` is valid.
        to_result(unsafe { bindings::pinseal_mmap_write_lock_killable(mm.as_raw()) })
            .map_err(|_| EINTR)?;
        // INVARIANT: The lock was acquired above.
        Ok(Self(LockedMm {
            mm,
            _nts: NotThreadSafe,
        }))
    }
}

impl<'a> Deref for WriteLockedMm<'a> {
    type Target = LockedMm<'a>;

    fn deref(&self) -> &LockedMm<'a> {
        &self.0
    }
}

impl Drop for WriteLockedMm<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, the current task holds the lock for writing.
        unsafe { bindings::pinseal_mmap_write_unlock(self.0.mm.as_raw()) };
    }
}

// SPDX-License-Identifier: GPL-2.0-only

//! Open device files.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use crate::{
    bindings,
    fs::shmem::reopen_file, //
};
use core::marker::PhantomData;
use kernel::{
    fs::{
        file::flags,
        File, //
    },
    prelude::*,
    sync::{
        aref::ARef,
        Arc,
        ArcBorrow, //
    },
    types::ForeignOwnable, //
};

/// An open file of a device whose files belong to owners of type `T`.
///
/// # Invariants
///
/// From open to release, the private data of the file, and of every file of that device, is an
/// `Arc<T>`.
pub(crate) struct DeviceFile<'a, T> {
    file: &'a File,
    _owner: PhantomData<T>,
}

impl<T> Clone for DeviceFile<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for DeviceFile<'_, T> {}

impl<'a, T: Send + Sync + 'static> DeviceFile<'a, T> {
    /// Creates a `DeviceFile` from a file.
    ///
    /// # Safety
    ///
    /// From open to release, the private data of the file, and of every file of that device, must
    /// be an `Arc<T>`.
    pub(super) unsafe fn new(file: &'a File) -> Self {
        // INVARIANT: By the safety requirements.
        Self {
            file,
            _owner: PhantomData,
        }
    }

    /// Returns the file.
    pub(super) fn file(&self) -> &'a File {
        self.file
    }

    /// Returns the owner of the file. Files that were reopened have the same owner.
    pub(crate) fn owner(&self) -> ArcBorrow<'a, T> {
        // SAFETY: The file is open; by the type invariants, its private data is an `Arc<T>`.
        unsafe { <Arc<T>>::borrow((*self.file.as_ptr()).private_data) }
    }

    /// Returns the module that the file keeps loaded.
    pub(super) fn module(&self) -> *mut bindings::module {
        // SAFETY: The file is open; its operations never change.
        unsafe { (*(*self.file.as_ptr()).f_op).owner }
    }

    /// Returns the access mode: `O_RDONLY`, `O_WRONLY` or `O_RDWR`.
    pub(crate) fn access(&self) -> u32 {
        self.file.flags() & flags::O_ACCMODE
    }

    /// Whether the file was opened for writing.
    pub(crate) fn is_writable(&self) -> bool {
        matches!(self.access(), flags::O_WRONLY | flags::O_RDWR)
    }

    /// Whether the file was opened for reading.
    pub(crate) fn is_readable(&self) -> bool {
        matches!(self.access(), flags::O_RDONLY | flags::O_RDWR)
    }

    /// Whether `O_NONBLOCK` is set. It may change at any time.
    pub(crate) fn is_nonblocking(&self) -> bool {
        self.file.flags() & flags::O_NONBLOCK != 0
    }

    /// Opens the device again, as a file of the same owner. `access` is `O_RDONLY` or `O_RDWR`.
    ///
    /// # Errors
    ///
    /// Those of opening the device.
    pub(crate) fn reopen(&self, access: u32) -> Result<ARef<File>> {
        // SAFETY: The file is open.
        let opened = unsafe { reopen_file(self.file.as_ptr(), access) }?;
        // SAFETY: By the type invariants, the private data is an `Arc<T>`, of a new owner. The file
        // has no other user yet.
        unsafe {
            let private_data = &raw mut (*opened.as_ptr()).private_data;
            drop(<Arc<T>>::from_foreign(private_data.read()));
            private_data.write(Arc::from(self.owner()).into_foreign());
        }
        Ok(opened)
    }
}

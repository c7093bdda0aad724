// SPDX-License-Identifier: GPL-2.0-only

//! An open device file, and whom it belongs to.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use crate::{
    bindings,
    fs::shmem::open_again, //
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

/// A device file.
///
/// # Invariants
///
/// From open to release the private data of the file, and of every file of that device, is an
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
    /// The file of a device of `T`.
    ///
    /// # Safety
    ///
    /// From open to release the private data of the file, and of every file of that device, must be
    /// an `Arc<T>`.
    pub(super) unsafe fn new(file: &'a File) -> Self {
        // INVARIANT: By the safety requirements.
        Self {
            file,
            _owner: PhantomData,
        }
    }

    /// The file itself.
    pub(crate) fn file(&self) -> &'a File {
        self.file
    }

    /// Whom the file shows.
    pub(crate) fn owner(&self) -> ArcBorrow<'a, T> {
        // SAFETY: The file is open; by the type invariants its private data is an `Arc<T>`.
        unsafe { <Arc<T>>::borrow((*self.file.as_ptr()).private_data) }
    }

    /// The module that the file belongs to.
    pub(super) fn module(&self) -> *mut bindings::module {
        // SAFETY: The file is open; its operations never change.
        unsafe { (*(*self.file.as_ptr()).f_op).owner }
    }

    /// How the file was opened: one of `O_RDONLY`, `O_WRONLY`, `O_RDWR`.
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

    /// Whether calls on this file are not to wait, at this moment.
    pub(crate) fn is_nonblocking(&self) -> bool {
        self.file.flags() & flags::O_NONBLOCK != 0
    }

    /// Opens the device once more, so that the new file shows the same owner. `access` is one of
    /// `O_RDONLY`, `O_RDWR`.
    ///
    /// # Errors
    ///
    /// Those of opening the device.
    pub(crate) fn reopen(&self, access: u32) -> Result<ARef<File>> {
        // SAFETY: The file is open.
        let opened = unsafe { open_again(self.file.as_ptr(), access) }?;
        // SAFETY: By the type invariants the private data is an `Arc<T>`, that of a new owner; it is
        // exchanged before anybody knows the file.
        unsafe {
            let private_data = &raw mut (*opened.as_ptr()).private_data;
            drop(<Arc<T>>::from_foreign(private_data.read()));
            private_data.write(Arc::from(self.owner()).into_foreign());
        }
        Ok(opened)
    }
}

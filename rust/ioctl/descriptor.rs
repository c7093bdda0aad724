// SPDX-License-Identifier: GPL-2.0-only

//! Sharing an object: other descriptors of it, its memory for who knows only memfds, and somebody
//! else's memory for an object of ours.

use crate::{
    fs::{
        device_file::DeviceFile,
        shmem::ShmemFile, //
    },
    object::Object,
    open_object::OpenObject, //
};
use kernel::{
    fs::{
        file::{
            flags::{
                O_CLOEXEC,
                O_RDWR, //
            },
            FileDescriptorReservation, //
        },
        File,
        LocalFile, //
    },
    prelude::*,
    sync::aref::ARef, //
};

/// Opens an object once more, with a position and flags of its own. `access` is `O_RDONLY` or
/// `O_RDWR`. Returns a descriptor.
///
/// # Errors
///
/// `EPERM` when `device` was not opened for all of that, `EMFILE`, those of opening the device.
pub(crate) fn reopen(device: DeviceFile<'_, OpenObject>, access: u32) -> Result<isize> {
    check_access(device, access)?;
    new_descriptor(|| device.reopen(access))
}

/// Opens the memory of an object. `access` is `O_RDONLY` or `O_RDWR`. Returns a descriptor.
///
/// With that, and `/proc/self/fd`, whoever the file's mode allows can open it for writing, so it is
/// not for those who may only read.
///
/// # Errors
///
/// `EPERM` when `device` was not opened for reading and writing, `EMFILE`, those of opening it.
pub(crate) fn export(device: DeviceFile<'_, OpenObject>, access: u32) -> Result<isize> {
    check_access(device, O_RDWR)?;
    new_descriptor(|| device.owner().memory()?.open_again(access))
}

/// Makes the file behind `descriptor` the memory of an object.
///
/// # Errors
///
/// `EBADF` when there is none, `EINVAL` when it is no file in shared memory, `EPERM` when it was not
/// opened for reading and writing or is not to be sealed, `EBUSY` when the object has been used.
pub(crate) fn import(object: &Object, descriptor: i32) -> Result {
    // CAST: What is negative is no descriptor, and is none afterwards.
    let file = LocalFile::fget(descriptor as u32)?;
    object.adopt(ShmemFile::of(&file)?)
}

/// A descriptor gives no access that the one it is made from does not give.
fn check_access(device: DeviceFile<'_, OpenObject>, access: u32) -> Result {
    if !device.is_readable() || (access == O_RDWR && !device.is_writable()) {
        return Err(EPERM);
    }
    Ok(())
}

/// Makes a descriptor, with `O_CLOEXEC`, of the file that `open` opens.
///
/// # Errors
///
/// `EMFILE`, and those of `open`.
pub(crate) fn new_descriptor(open: impl FnOnce() -> Result<ARef<File>>) -> Result<isize> {
    let reservation = FileDescriptorReservation::get_unused_fd_flags(O_CLOEXEC)?;
    let file = open()?;
    // CAST: Descriptors are small.
    let descriptor = reservation.reserved_fd() as isize;
    reservation.fd_install(file);
    Ok(descriptor)
}

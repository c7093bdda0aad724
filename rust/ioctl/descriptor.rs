// SPDX-License-Identifier: GPL-2.0-only

//! `PINSEAL_IOC_REOPEN`, `PINSEAL_IOC_EXPORT` and `PINSEAL_IOC_IMPORT`: other descriptors of an object
//! or its memory, and an existing memfd as its memory.

use super::argument::{
    check_zero,
    Argument, //
};
use crate::{
    fs::{
        device_file::DeviceFile,
        shmem::ShmemFile, //
    },
    open_object::OpenObject,
    uapi, //
};
use kernel::{
    fs::{
        file::{
            flags::{
                O_CLOEXEC,
                O_RDONLY,
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

/// `PINSEAL_IOC_REOPEN`. Returns a descriptor.
#[inline(never)]
pub(super) fn reopen(device: DeviceFile<'_, OpenObject>, arg: Argument) -> Result<isize> {
    let request: uapi::pinseal_reopen = arg.read()?;
    check_zero(request.pad)?;
    if !matches!(request.flags, O_RDONLY | O_RDWR) {
        return Err(EINVAL);
    }
    check_access(device, request.flags)?;
    new_descriptor(|| device.reopen(request.flags))
}

/// `PINSEAL_IOC_EXPORT`. Returns a descriptor.
///
/// Its holder can open it for writing by `/proc/self/fd`, so a descriptor that gives less access cannot
/// be exported.
#[inline(never)]
pub(super) fn export(device: DeviceFile<'_, OpenObject>, arg: Argument) -> Result<isize> {
    let request: uapi::pinseal_export = arg.read()?;
    check_zero(request.pad | (request.flags & !uapi::PINSEAL_EXPORT_RDONLY))?;
    let access = if request.flags & uapi::PINSEAL_EXPORT_RDONLY != 0 {
        O_RDONLY
    } else {
        device.access()
    };
    check_access(device, O_RDWR)?;
    new_descriptor(|| device.owner().memory()?.reopen(access))
}

/// `PINSEAL_IOC_IMPORT`.
#[inline(never)]
pub(super) fn import(device: DeviceFile<'_, OpenObject>, arg: Argument) -> Result {
    let request: uapi::pinseal_import = arg.read()?;
    check_zero(request.flags)?;
    if !device.is_writable() {
        return Err(EPERM);
    }
    // CAST: A negative number is no descriptor, and is none after the cast.
    let file = LocalFile::fget(request.fd as u32)?;
    device.owner().adopt(ShmemFile::from_file(&file)?)
}

/// Checks that `device` gives the access that a new descriptor will give.
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
pub(super) fn new_descriptor(open: impl FnOnce() -> Result<ARef<File>>) -> Result<isize> {
    let reservation = FileDescriptorReservation::get_unused_fd_flags(O_CLOEXEC)?;
    let file = open()?;
    // CAST: Descriptors are small.
    let descriptor = reservation.reserved_fd() as isize;
    reservation.fd_install(file);
    Ok(descriptor)
}

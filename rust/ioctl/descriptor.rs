// SPDX-License-Identifier: GPL-2.0-only

//! `PINSEAL_IOC_CREATE`, `PINSEAL_IOC_REOPEN`, `PINSEAL_IOC_EXPORT` and `PINSEAL_IOC_IMPORT`:
//! descriptors of a new object, other ones of an object or its memory, and an existing memfd as its
//! memory.

use super::{
    argument::{
        check_zero,
        Argument, //
    },
    checked_name, //
};
use crate::{
    compat::eopnotsupp,
    fs::{
        memfd_file::{
            MemfdFile, //
            MemfdFlags,
        }, //
        memfd_look::MemfdLook,
        memory_file::MemoryFile,
        stacked::{
            AttachFlags,
            LowerFile, //
        }, //
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

const CREATE_FLAGS: u32 = uapi::PINSEAL_CREATE_ALLOW_SEALING
    | uapi::PINSEAL_CREATE_EXEC
    | uapi::PINSEAL_CREATE_NOEXEC_SEAL;

/// `PINSEAL_IOC_CREATE`. Returns a descriptor.
#[inline(never)]
pub(super) fn create(file: MemoryFile<'_, OpenObject>, arg: Argument) -> Result<isize> {
    let request: uapi::pinseal_create = arg.read()?;
    let has = |flag| request.flags & flag != 0;
    check_zero(request.pad | (request.flags & !CREATE_FLAGS))?;
    let flags = MemfdFlags {
        allow_sealing: has(uapi::PINSEAL_CREATE_ALLOW_SEALING),
        executable: match (
            has(uapi::PINSEAL_CREATE_EXEC),
            has(uapi::PINSEAL_CREATE_NOEXEC_SEAL),
        ) {
            (true, true) => return Err(EINVAL),
            (false, false) => None,
            (exec, _) => Some(exec),
        },
    };
    let name = checked_name(request.name.as_bytes())?;
    new_descriptor(|| {
        let (object, memfd) = file.owner().new_memfd(name, flags)?;
        memfd.with_owner(object, file)
    })
}

/// `PINSEAL_IOC_REOPEN`. Returns a descriptor.
#[inline(never)]
pub(super) fn reopen(file: MemoryFile<'_, OpenObject>, arg: Argument) -> Result<isize> {
    let request: uapi::pinseal_reopen = arg.read()?;
    check_zero(request.pad)?;
    if !matches!(request.flags, O_RDONLY | O_RDWR) {
        return Err(EINVAL);
    }
    check_access(file, request.flags)?;
    new_descriptor(|| file.reopen(request.flags))
}

/// `PINSEAL_IOC_EXPORT`. Returns a descriptor.
///
/// Its holder can open it for writing by `/proc/self/fd`, so a descriptor that gives less access cannot
/// be exported.
#[inline(never)]
pub(super) fn export(file: MemoryFile<'_, OpenObject>, arg: Argument) -> Result<isize> {
    let request: uapi::pinseal_export = arg.read()?;
    check_zero(request.pad | (request.flags & !uapi::PINSEAL_EXPORT_RDONLY))?;
    let access = if request.flags & uapi::PINSEAL_EXPORT_RDONLY != 0 {
        O_RDONLY
    } else {
        file.access()
    };
    check_access(file, O_RDWR)?;
    let owner = file.owner();
    let memory = owner.file_of(file)?;
    // Its holder would get zeros for pages that are not filled. From here on, nothing is stacked.
    if owner.is_stacked() {
        return Err(eopnotsupp());
    }
    // Its holder may truncate the file.
    let ban = owner.remapped_pages().forbid()?;
    let descriptor = new_descriptor(|| memory.reopen(access))?;
    ban.keep();
    Ok(descriptor)
}

/// `PINSEAL_IOC_IMPORT`.
#[inline(never)]
pub(super) fn import(file: MemoryFile<'_, OpenObject>, arg: Argument) -> Result {
    let request: uapi::pinseal_import = arg.read()?;
    check_zero(request.flags & !uapi::PINSEAL_IMPORT_LOOK)?;
    let looks = request.flags & uapi::PINSEAL_IMPORT_LOOK != 0;
    let is_permitted = match looks {
        true => file.is_readable(),
        false => file.is_writable(),
    };
    if !is_permitted {
        return Err(EPERM);
    }
    // CAST: A negative number is no descriptor, and is none after the cast.
    let memfd = LocalFile::fget(request.fd as u32)?;
    match looks {
        true => file.owner().look_at(MemfdLook::new(&memfd)?),
        false => file.owner().adopt(MemfdFile::from_file(&memfd)?),
    }
}

/// `PINSEAL_IOC_ATTACH`.
#[inline(never)]
pub(super) fn attach(file: MemoryFile<'_, OpenObject>, arg: Argument) -> Result {
    let request: uapi::pinseal_attach = arg.read()?;
    let flags = AttachFlags::from_bits(request.flags)?;
    if !file.is_writable() {
        return Err(EPERM);
    }
    // CAST: A negative number is no descriptor, and is none after the cast.
    let lower = LocalFile::fget(request.fd as u32)?;
    let lower = LowerFile::new::<OpenObject>(lower, flags.is_read_only())?;
    file.owner().attach(lower, flags, file)
}

/// Checks that `file` gives the access that a new descriptor will give.
fn check_access(file: MemoryFile<'_, OpenObject>, access: u32) -> Result {
    if !file.is_readable() || (access == O_RDWR && !file.is_writable()) {
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

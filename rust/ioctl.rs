// SPDX-License-Identifier: GPL-2.0-only

//! Commands: from command words and user memory to typed requests, and back.
//!
//! | File         | Its one job                                                      |
//! |--------------|------------------------------------------------------------------|
//! | `argument`   | the struct of a command: sizes, flags, padding                   |
//! | `seal`       | `PINSEAL_IOC_SEAL`                                               |
//! | `resize`     | `PINSEAL_IOC_RESIZE` and `_FALLOCATE`                            |
//! | `list`       | `PINSEAL_IOC_PINS`                                               |
//! | `pin`        | `PINSEAL_IOC_PIN`, and the commands of handles                   |
//! | `protect`    | `PINSEAL_IOC_PROTECT`                                            |
//! | `descriptor` | `PINSEAL_IOC_CREATE`, `_REOPEN`, `_EXPORT`, `_IMPORT`, `_ATTACH` |
//!
//! The first comment of `include/uapi/linux/pinseal.h` has the rules for all commands. The form is
//! checked here: sizes, flags, padding, ranges that overflow. The meaning is for the modules below.

mod argument;
mod descriptor;
mod list;
mod pin;
mod protect;
mod resize;
mod seal;

use self::argument::Argument;
use crate::{
    fs::memory_file::MemoryFile,
    mm::mirror::Mirror,
    object::{
        Object,
        SealSet, //
    },
    open_object::OpenObject,
    uapi,
    wait::DEFAULT_TIMEOUT_NS, //
};
use kernel::{
    ioctl::{
        _IOC_NR,
        _IOC_TYPE, //
    },
    prelude::*, //
};
use zerocopy::IntoBytes;

/// Features of this build.
const FEATURES: u32 = uapi::PINSEAL_FEATURE_CREATE
    | uapi::PINSEAL_FEATURE_PROTECT
    | uapi::PINSEAL_FEATURE_ATTACH
    | uapi::PINSEAL_FEATURE_LOOK
    | match Mirror::IS_SUPPORTED {
        true => uapi::PINSEAL_FEATURE_MIRROR,
        false => 0,
    };

/// Runs a command of an open file. Returns 0 or, where the command makes one, a descriptor.
///
/// The commands are not inlined, so that each takes only its own stack.
pub(crate) fn dispatch(file: MemoryFile<'_, OpenObject>, cmd: u32, arg: usize) -> Result<isize> {
    if _IOC_TYPE(cmd) != uapi::PINSEAL_IOC_MAGIC {
        return Err(ENOTTY);
    }
    let arg = Argument::new(cmd, arg);
    // The header defines these by `_IOR` and the like, whose values bindgen does not fold; and only
    // the number counts.
    match _IOC_NR(cmd) {
        0x00 => info(&file.owner(), arg)?,
        0x01 => resize::resize(file, arg)?,
        0x02 => resize::fallocate(file, arg)?,
        0x03 => seal::seal(file, arg)?,
        0x04 => get_seals(&file.owner(), arg)?,
        0x05 => list::list(&file.owner(), arg)?,
        0x06 => return pin::pin(file, arg),
        0x07 => descriptor::import(file, arg)?,
        0x08 => return descriptor::export(file, arg),
        0x09 => return descriptor::reopen(file, arg),
        0x0a => set_name(file, arg)?,
        0x0b => return protect::protect(file.owner(), arg),
        0x0c => descriptor::attach(file, arg)?,
        0x0d => return descriptor::create(file, arg),
        _ => return Err(ENOTTY),
    }
    Ok(0)
}

/// `PINSEAL_IOC_INFO`.
#[inline(never)]
fn info(object: &Object, arg: Argument) -> Result {
    arg.write(&uapi::pinseal_info {
        version: uapi::PINSEAL_VERSION,
        features: FEATURES,
        seals: SealSet::SUPPORTED,
        seal_flags: seal::FLAGS,
        size: object.size(),
        default_timeout_ns: DEFAULT_TIMEOUT_NS,
    })
}

/// `PINSEAL_IOC_GET_SEALS`.
#[inline(never)]
fn get_seals(object: &Object, arg: Argument) -> Result {
    arg.write(&object.seals().bits())
}

/// `PINSEAL_IOC_SET_NAME`.
#[inline(never)]
fn set_name(file: MemoryFile<'_, OpenObject>, arg: Argument) -> Result {
    let request: uapi::pinseal_name = arg.read()?;
    let name = checked_name(request.name.as_bytes())?;
    if !file.is_writable() {
        return Err(EPERM);
    }
    file.owner().set_name(name)
}

/// The name in a field of a struct.
///
/// # Errors
///
/// `EINVAL` when it has no NUL or a control character, or is not UTF-8.
fn checked_name(field: &[u8]) -> Result<&str> {
    let name = CStr::from_bytes_until_nul(field)
        .map_err(|_| EINVAL)?
        .to_str()
        .map_err(|_| EINVAL)?;
    match name.chars().any(char::is_control) {
        true => Err(EINVAL),
        false => Ok(name),
    }
}

// SPDX-License-Identifier: GPL-2.0-only

//! From command words and user memory to typed requests, and back.
//!
//! The rules for all commands are in the first comment of `include/uapi/linux/pinseal.h`. What is
//! checked here is form: sizes, flags, padding, ranges that overflow. What a command means is for
//! the modules below.

mod argument;
mod descriptor;
pub(crate) mod pin;
mod resize;

use self::argument::{
    check_zero,
    Argument,
    NO_PAGE, //
};
use crate::{
    fs::device_file::DeviceFile,
    mm::{
        folio::References,
        mirror::Mirror, //
    },
    object::seals::SealSet,

    object::Object,
    open_object::OpenObject,
    seal::add_seals,
    seal::request::{
        Outcome,
        SealReport,
        SealRequest,
        DEFAULT_TIMEOUT_NS, //
    },
    uapi, //
    wait::bounds::Budget,
    wait::listing,
};
use kernel::{
    fs::file::flags,
    ioctl::{
        _IOC_NR,
        _IOC_TYPE, //
    },
    prelude::*,
    uaccess::{
        UserPtr,
        UserSlice, //
    }, //
};
use zerocopy::IntoBytes;

/// Features that this build has.
const FEATURES: u32 = match Mirror::IS_THERE {
    true => uapi::PINSEAL_FEATURE_MIRROR,
    false => 0,
};

/// Flags of `struct pinseal_seal` that this build knows.
const SEAL_FLAGS: u32 = uapi::PINSEAL_SEAL_NOWAIT
    | uapi::PINSEAL_SEAL_ISOLATE
    | uapi::PINSEAL_SEAL_REVOKE
    | uapi::PINSEAL_SEAL_ASYNC
    | uapi::PINSEAL_SEAL_CANCEL;

/// Only what is asynchronous can be cancelled.
const ASYNC_CANCEL: u32 = uapi::PINSEAL_SEAL_ASYNC | uapi::PINSEAL_SEAL_CANCEL;

/// Runs a command of an open file. Returns 0 or, where the command makes one, a descriptor.
///
/// The commands are not inlined: of the stack each takes only what it needs itself.
pub(crate) fn dispatch(device: DeviceFile<'_, OpenObject>, cmd: u32, arg: usize) -> Result<isize> {
    if _IOC_TYPE(cmd) != uapi::PINSEAL_IOC_MAGIC {
        return Err(ENOTTY);
    }
    let arg = Argument::new(cmd, arg);
    // The header defines these with `_IOR` and the like, whose values bindgen does not fold, and
    // only the number counts.
    match _IOC_NR(cmd) {
        0x00 => info(&device.owner(), arg)?,
        0x01 => resize::resize(device, arg)?,
        0x02 => resize::fallocate(device, arg)?,
        0x03 => seal(device, arg)?,
        0x04 => get_seals(&device.owner(), arg)?,
        0x05 => list_pins(&device.owner(), arg)?,
        0x06 => return pin::pin(device, arg),
        0x07 => import(device, arg)?,
        0x08 => return export(device, arg),
        0x09 => return reopen(device, arg),
        0x0a => set_name(device, arg)?,
        _ => return Err(ENOTTY),
    }
    Ok(0)
}

#[inline(never)]
fn info(object: &Object, arg: Argument) -> Result {
    arg.write(&uapi::pinseal_info {
        version: uapi::PINSEAL_VERSION,
        features: FEATURES,
        seals: SealSet::SUPPORTED,
        seal_flags: SEAL_FLAGS,
        size: object.size(),
        default_timeout_ns: DEFAULT_TIMEOUT_NS,
    })
}

#[inline(never)]
fn seal(device: DeviceFile<'_, OpenObject>, arg: Argument) -> Result {
    let mut request: uapi::pinseal_seal = arg.read()?;
    check_zero(request.pad | (request.flags & !SEAL_FLAGS))?;
    if request.flags & ASYNC_CANCEL == uapi::PINSEAL_SEAL_CANCEL {
        return Err(EINVAL);
    }
    let seals = SealSet::from_bits(request.seals)?;
    if !device.is_writable() {
        return Err(EPERM);
    }
    // A struct that cannot be written must be noticed while nothing has happened yet.
    arg.write(&request)?;

    let timeout_ns = match request.timeout_ns {
        0 => DEFAULT_TIMEOUT_NS,
        timeout_ns => timeout_ns,
    };
    // What goes on in the background is not restarted: nothing was used up before.
    let (waited_ns, scans) = match request.flags & uapi::PINSEAL_SEAL_ASYNC {
        0 => (request.waited_ns, request.scans),
        _ => (0, 0),
    };
    // Out only, unless the call is restarted.
    let before = |pages| match (waited_ns, scans) {
        (0, 0) => 0,
        _ => pages,
    };
    let opened = device.owner();
    let wanted = SealRequest {
        seals,
        flags: request.flags,
        budget: Budget::new(
            timeout_ns,
            request.flags & uapi::PINSEAL_SEAL_NOWAIT != 0,
            request.max_scans,
            waited_ns,
            scans,
        ),
        isolate: match request.flags & uapi::PINSEAL_SEAL_ISOLATE {
            0 => None,
            _ => Some(
                before(request.isolated_pages)
                    .try_into()
                    .unwrap_or(usize::MAX),
            ),
        },
        revoke: match request.flags & uapi::PINSEAL_SEAL_REVOKE {
            0 => None,
            _ => Some(before(request.revoked_pages)),
        },
    };
    let report = if request.flags & uapi::PINSEAL_SEAL_CANCEL != 0 {
        opened.used_background().ok_or(ENOENT)?.cancel(seals)?
    } else if request.flags & uapi::PINSEAL_SEAL_ASYNC != 0 {
        let background = opened.background()?;
        background.as_arc_borrow().seal(opened.object(), wanted)?
    } else {
        add_seals(opened.object().clone(), wanted)?
    };
    fill_in(&mut request, &report);
    let written = arg.write(&request);

    match report.outcome {
        // What is done is done, also when the caller has unmapped the struct since it was found to
        // be writable. Then there is nobody to read a report, but a call that failed would have
        // changed something.
        Outcome::Sealed | Outcome::Pending | Outcome::Cancelled => Ok(()),
        _ if written.is_err() => written,
        Outcome::WritableMapping | Outcome::Pinned | Outcome::LargeFolio => Err(EBUSY),
        Outcome::NoMemory => Err(ENOMEM),
        // EINTR where a handler runs. What runs none (task work, a debugger, the freezer) restarts
        // the call unseen, with the bounds as they stand now.
        Outcome::Interrupted => Err(ERESTARTNOHAND),
    }
}

fn fill_in(request: &mut uapi::pinseal_seal, report: &SealReport) {
    request.scans = report.scans;
    request.waited_ns = report.waited_ns;
    request.pinned_pages = report.pinned_pages;
    request.first_pinned = report.first_pinned.map_or(NO_PAGE, |index| index as u64);
    request.isolated_pages = report.isolated_pages as u64;
    request.revoked_pages = report.revoked_pages;
    request.outcome = report.outcome.number();
}

#[inline(never)]
fn get_seals(object: &Object, arg: Argument) -> Result {
    arg.write(&object.seals().bits())
}

#[inline(never)]
fn list_pins(object: &Object, arg: Argument) -> Result {
    let mut request: uapi::pinseal_pins = arg.read()?;
    check_zero(request.flags | request.pad)?;
    let end = match request.count {
        0 => u64::MAX,
        count => request.start.checked_add(count).ok_or(EINVAL)?,
    };
    let entry_size = size_of::<uapi::pinseal_page>() as u64;
    let mut vec = UserSlice::new(
        UserPtr::from_addr(request.vec.try_into().map_err(|_| EFAULT)?),
        // The caller may say "as many as there are".
        request
            .vec_len
            .saturating_mul(entry_size)
            .try_into()
            .unwrap_or(usize::MAX),
    )
    .writer();
    let most = (request.vec != 0).then_some(request.vec_len);

    // Asking is not using.
    let summary = match object.used_memory() {
        Some(memory) => listing::list(memory, request.start..end, most, |found| {
            found.iter().try_for_each(|references| {
                vec.write_slice(page_entry(object, references).as_bytes())
            })
        })?,
        None => listing::Summary::nothing(request.start),
    };
    request.found = summary.found;
    request.next = summary.next;
    request.pinned_pages = summary.pinned_pages;
    request.dma_pinned_pages = summary.dma_pinned_pages;
    arg.write(&request)
}

fn page_entry(object: &Object, references: &References) -> uapi::pinseal_page {
    let large = match references.is_large {
        true => uapi::PINSEAL_PAGE_LARGE,
        false => 0,
    };
    let pages = references.index..references.index + references.pages;
    let handle = match references.dma_pins > 0 && object.holdings().hold_any(&pages) {
        true => uapi::PINSEAL_PAGE_HANDLE,
        false => 0,
    };
    uapi::pinseal_page {
        index: references.index as u64,
        pages: references.pages.try_into().unwrap_or(u32::MAX),
        mapped: references.mapped,
        extra: references.extra,
        dma_pins: references.dma_pins,
        flags: large | handle,
        pad: 0,
    }
}

#[inline(never)]
fn set_name(device: DeviceFile<'_, OpenObject>, arg: Argument) -> Result {
    let request: uapi::pinseal_name = arg.read()?;
    let name = CStr::from_bytes_until_nul(request.name.as_bytes())
        .map_err(|_| EINVAL)?
        .to_str()
        .map_err(|_| EINVAL)?;
    if name.chars().any(char::is_control) {
        return Err(EINVAL);
    }
    if !device.is_writable() {
        return Err(EPERM);
    }
    device.owner().set_name(name)
}

#[inline(never)]
fn import(device: DeviceFile<'_, OpenObject>, arg: Argument) -> Result {
    let request: uapi::pinseal_import = arg.read()?;
    check_zero(request.flags)?;
    if !device.is_writable() {
        return Err(EPERM);
    }
    descriptor::import(&device.owner(), request.fd)
}

#[inline(never)]
fn export(device: DeviceFile<'_, OpenObject>, arg: Argument) -> Result<isize> {
    let request: uapi::pinseal_export = arg.read()?;
    check_zero(request.pad | (request.flags & !uapi::PINSEAL_EXPORT_RDONLY))?;
    let access = if request.flags & uapi::PINSEAL_EXPORT_RDONLY != 0 {
        flags::O_RDONLY
    } else {
        device.access()
    };
    descriptor::export(device, access)
}

#[inline(never)]
fn reopen(device: DeviceFile<'_, OpenObject>, arg: Argument) -> Result<isize> {
    let request: uapi::pinseal_reopen = arg.read()?;
    check_zero(request.pad)?;
    if !matches!(request.flags, flags::O_RDONLY | flags::O_RDWR) {
        return Err(EINVAL);
    }
    descriptor::reopen(device, request.flags)
}

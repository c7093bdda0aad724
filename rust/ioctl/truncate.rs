// SPDX-License-Identifier: GPL-2.0-only

//! `PINSEAL_IOC_RESIZE` and `PINSEAL_IOC_FALLOCATE`, which can wait for who holds what goes.

use super::argument::{
    check_unused,
    check_zero,
    Argument,
    NO_PAGE, //
};
use crate::{
    budget::Budget,
    fs::device_file::DeviceFile,
    gate::HasGate,
    opened::OpenObject,
    request::DEFAULT_TIMEOUT_NS,
    truncate::{
        once_free,
        WaitOutcome,
        WaitRequest, //
    },
    uapi, //
};
use core::{
    mem::offset_of,
    ops::Range, //
};
use kernel::{
    page::PAGE_SIZE,
    prelude::*, //
};

/// Size of the first version of `struct pinseal_resize`.
const RESIZE_FIRST: usize = offset_of!(uapi::pinseal_resize, waited_ns);

/// Size of the first version of `struct pinseal_fallocate`.
const FALLOCATE_FIRST: usize = offset_of!(uapi::pinseal_fallocate, waited_ns);

/// The mode that punches a hole.
const PUNCH: u32 = uapi::FALLOC_FL_PUNCH_HOLE | uapi::FALLOC_FL_KEEP_SIZE;

/// `PINSEAL_IOC_RESIZE`.
pub(super) fn resize(device: DeviceFile<'_, OpenObject>, arg: Argument) -> Result {
    let mut request: uapi::pinseal_resize = arg.read_grown(RESIZE_FIRST)?;
    check_zero(request.pad)?;
    let waits = wait_flags(
        request.flags,
        uapi::PINSEAL_RESIZE_WAIT,
        uapi::PINSEAL_RESIZE_REVOKE,
    )?;
    let size: i64 = request.size.try_into().map_err(|_| EINVAL)?;
    if !device.is_writable() {
        return Err(EINVAL);
    }
    let object = device.owner();
    if !waits {
        check_unused(&[
            request.waited_ns,
            request.pinned_pages,
            request.first_pinned,
            request.revoked_pages,
        ])?;
        object.gate().wait_for_sealer(device.is_nonblocking())?;
        return object.memory()?.resize(size);
    }
    // Nobody is to lose a lease for what is refused.
    if object.seals().forbid_size(object.size(), request.size) {
        return Err(EPERM);
    }
    // What is beyond the old end may have been allocated, and goes as well.
    let goes = pages_within(request.size, u64::MAX);
    let wait = WaitRequest {
        budget: wait_budget(device, request.timeout_ns, request.waited_ns),
        revoke: (request.flags & uapi::PINSEAL_RESIZE_REVOKE != 0).then_some(request.revoked_pages),
        restarts: arg.has_all_of::<uapi::pinseal_resize>(),
    };
    let report = once_free(object.object(), goes, wait, || {
        object.memory()?.resize(size)
    })?;
    request.waited_ns = report.waited_ns;
    request.pinned_pages = report.pinned_pages;
    request.first_pinned = report.first_pinned.map_or(NO_PAGE, |index| index as u64);
    request.revoked_pages = report.revoked_pages;
    waited(report.outcome, arg.write_grown(&request))
}

/// `PINSEAL_IOC_FALLOCATE`.
pub(super) fn fallocate(device: DeviceFile<'_, OpenObject>, arg: Argument) -> Result {
    let mut request: uapi::pinseal_fallocate = arg.read_grown(FALLOCATE_FIRST)?;
    let waits = wait_flags(
        request.flags,
        uapi::PINSEAL_FALLOCATE_WAIT,
        uapi::PINSEAL_FALLOCATE_REVOKE,
    )?;
    let offset: i64 = request.offset.try_into().map_err(|_| EINVAL)?;
    let len: i64 = request.len.try_into().map_err(|_| EINVAL)?;
    // CAST: Bits.
    let mode = request.mode as i32;
    if !device.is_writable() {
        return Err(EBADF);
    }
    let object = device.owner();
    if !waits {
        check_unused(&[
            request.waited_ns,
            request.pinned_pages,
            request.first_pinned,
            request.revoked_pages,
        ])?;
    }
    let is_punch = request.mode == PUNCH && len > 0 && offset.checked_add(len).is_some();
    if !waits || !is_punch {
        // Nothing goes.
        object.gate().wait_for_sealer(device.is_nonblocking())?;
        return object.memory()?.fallocate(mode, offset, len);
    }
    // As above.
    if object.seals().forbid_writing() {
        return Err(EPERM);
    }
    let goes = pages_within(request.offset, request.offset + request.len);
    let wait = WaitRequest {
        budget: wait_budget(device, request.timeout_ns, request.waited_ns),
        revoke: (request.flags & uapi::PINSEAL_FALLOCATE_REVOKE != 0)
            .then_some(request.revoked_pages),
        restarts: arg.has_all_of::<uapi::pinseal_fallocate>(),
    };
    let report = once_free(object.object(), goes, wait, || {
        object.memory()?.fallocate(mode, offset, len)
    })?;
    request.waited_ns = report.waited_ns;
    request.pinned_pages = report.pinned_pages;
    request.first_pinned = report.first_pinned.map_or(NO_PAGE, |index| index as u64);
    request.revoked_pages = report.revoked_pages;
    waited(report.outcome, arg.write_grown(&request))
}

/// Whether it is to wait for who holds the pages that go.
///
/// # Errors
///
/// `EINVAL` for unknown flags, and for revoking without waiting.
fn wait_flags(flags: u32, wait: u32, revoke: u32) -> Result<bool> {
    check_zero(flags & !(wait | revoke))?;
    match (flags & wait != 0, flags & revoke != 0) {
        (false, true) => Err(EINVAL),
        (waits, _) => Ok(waits),
    }
}

/// The pages that lie within a range of bytes with their whole length.
fn pages_within(start: u64, end: u64) -> Range<usize> {
    // CAST: In pages, everything fits.
    let (start, end) = (
        start.div_ceil(PAGE_SIZE as u64) as usize,
        (end / PAGE_SIZE as u64) as usize,
    );
    start..end.max(start)
}

fn wait_budget(device: DeviceFile<'_, OpenObject>, timeout_ns: u64, waited_ns: u64) -> Budget {
    let timeout_ns = match timeout_ns {
        0 => DEFAULT_TIMEOUT_NS,
        timeout_ns => timeout_ns,
    };
    Budget::new(timeout_ns, device.is_nonblocking(), 0, waited_ns, 0)
}

/// What a call that waited comes to.
fn waited(outcome: WaitOutcome, written: Result) -> Result {
    match outcome {
        // What is done is done, also when nobody can read the report.
        WaitOutcome::Free => Ok(()),
        _ if written.is_err() => written,
        WaitOutcome::Held => Err(EBUSY),
        WaitOutcome::Interrupted => Err(ERESTARTNOHAND),
    }
}

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
use zerocopy::{
    Immutable,
    IntoBytes, //
};

/// Size of the first version of `struct pinseal_resize`.
const RESIZE_FIRST: usize = offset_of!(uapi::pinseal_resize, waited_ns);

/// Size of the first version of `struct pinseal_fallocate`.
const FALLOCATE_FIRST: usize = offset_of!(uapi::pinseal_fallocate, waited_ns);

/// The mode that punches a hole.
const PUNCH: u32 = uapi::FALLOC_FL_PUNCH_HOLE | uapi::FALLOC_FL_KEEP_SIZE;

/// A struct of a call that can wait for who holds pages.
trait Waits: IntoBytes + Immutable {
    fn timeout_ns(&self) -> u64;

    /// What the struct has grown by.
    fn grown(&mut self) -> Grown<'_>;
}

/// What only a call that waits has a use for.
struct Grown<'a> {
    waited_ns: &'a mut u64,
    pinned_pages: &'a mut u64,
    first_pinned: &'a mut u64,
    revoked_pages: &'a mut u64,
}

macro_rules! impl_waits {
    ($struct:ty) => {
        impl Waits for $struct {
            fn timeout_ns(&self) -> u64 {
                self.timeout_ns
            }

            fn grown(&mut self) -> Grown<'_> {
                Grown {
                    waited_ns: &mut self.waited_ns,
                    pinned_pages: &mut self.pinned_pages,
                    first_pinned: &mut self.first_pinned,
                    revoked_pages: &mut self.revoked_pages,
                }
            }
        }
    };
}

impl_waits!(uapi::pinseal_resize);
impl_waits!(uapi::pinseal_fallocate);

impl Grown<'_> {
    fn check_unused(&self) -> Result {
        check_unused(&[
            *self.waited_ns,
            *self.pinned_pages,
            *self.first_pinned,
            *self.revoked_pages,
        ])
    }
}

/// `PINSEAL_IOC_RESIZE`.
#[inline(never)]
pub(super) fn resize(device: DeviceFile<'_, OpenObject>, arg: Argument) -> Result {
    let mut request: uapi::pinseal_resize = arg.read_grown(RESIZE_FIRST)?;
    check_zero(request.pad)?;
    let (waits, revokes) = wait_flags(
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
        request.grown().check_unused()?;
        object.gate().wait_for_sealer(device.is_nonblocking())?;
        return object.memory()?.resize(size);
    }
    // What is beyond the old end may have been allocated, and goes as well.
    let goes = pages_within(request.size, u64::MAX);
    let is_forbidden = || object.seals().forbid_size(object.size(), size as u64);
    wait_and(device, arg, request, goes, revokes, is_forbidden, || {
        object.memory()?.resize(size)
    })
}

/// `PINSEAL_IOC_FALLOCATE`.
#[inline(never)]
pub(super) fn fallocate(device: DeviceFile<'_, OpenObject>, arg: Argument) -> Result {
    let mut request: uapi::pinseal_fallocate = arg.read_grown(FALLOCATE_FIRST)?;
    let (waits, revokes) = wait_flags(
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
        request.grown().check_unused()?;
    }
    let is_punch = request.mode == PUNCH && len > 0 && offset.checked_add(len).is_some();
    if !waits || !is_punch {
        // Nothing goes.
        object.gate().wait_for_sealer(device.is_nonblocking())?;
        return object.memory()?.fallocate(mode, offset, len);
    }
    let goes = pages_within(request.offset, request.offset + request.len);
    let is_forbidden = || object.seals().forbid_writing();
    wait_and(device, arg, request, goes, revokes, is_forbidden, || {
        object.memory()?.fallocate(mode, offset, len)
    })
}

/// Waits until nobody holds the pages that go, does `act`, and reports. Nobody is to lose a lease for
/// what is refused: what seals forbid, or for a report that cannot be written.
fn wait_and<T: Waits>(
    device: DeviceFile<'_, OpenObject>,
    arg: Argument,
    mut request: T,
    goes: Range<usize>,
    revokes: bool,
    is_forbidden: impl Fn() -> bool,
    act: impl FnOnce() -> Result,
) -> Result {
    // The first version of the struct will not do: a call that is restarted must find what it has used
    // up.
    arg.write(&request)?;
    let timeout_ns = match request.timeout_ns() {
        0 => DEFAULT_TIMEOUT_NS,
        timeout_ns => timeout_ns,
    };
    let grown = request.grown();
    let wait = WaitRequest {
        budget: Budget::new(timeout_ns, device.is_nonblocking(), 0, *grown.waited_ns, 0),
        revoke: revokes.then_some(*grown.revoked_pages),
    };
    let allowed = || match is_forbidden() {
        true => Err(EPERM),
        false => Ok(()),
    };
    let report = once_free(device.owner().object(), goes, wait, allowed, act)?;
    *grown.waited_ns = report.waited_ns;
    *grown.pinned_pages = report.pinned_pages;
    *grown.first_pinned = report.first_pinned.map_or(NO_PAGE, |index| index as u64);
    *grown.revoked_pages = report.revoked_pages;
    let written = arg.write(&request);
    match report.outcome {
        // What is done is done, also when nobody can read the report.
        WaitOutcome::Free => Ok(()),
        _ if written.is_err() => written,
        WaitOutcome::Held => Err(EBUSY),
        WaitOutcome::Interrupted => Err(ERESTARTNOHAND),
    }
}

/// Whether it is to wait for who holds the pages that go, and to take them from who has a lease.
///
/// # Errors
///
/// `EINVAL` for unknown flags, and for revoking without waiting.
fn wait_flags(flags: u32, wait: u32, revoke: u32) -> Result<(bool, bool)> {
    check_zero(flags & !(wait | revoke))?;
    match (flags & wait != 0, flags & revoke != 0) {
        (false, true) => Err(EINVAL),
        (waits, revokes) => Ok((waits, revokes)),
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

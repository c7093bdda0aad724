// SPDX-License-Identifier: GPL-2.0-only

//! `PINSEAL_IOC_RESIZE` and `PINSEAL_IOC_FALLOCATE`, which can wait for who holds what goes.

use super::argument::{
    check_unused,
    check_zero,
    Argument,
    NO_PAGE, //
};
use crate::{
    fs::device_file::DeviceFile,
    object::exclusion::HasGate,
    open_object::OpenObject,
    resize::{
        once_free,
        WaitOutcome,
        WaitRequest, //
    },
    seal::request::DEFAULT_TIMEOUT_NS,
    uapi, //
    wait::bounds::Budget,
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
    fn timeout_ns(&mut self) -> &mut u64;

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
            fn timeout_ns(&mut self) -> &mut u64 {
                &mut self.timeout_ns
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
    let wait = wait_flags(
        request.flags,
        uapi::PINSEAL_RESIZE_WAIT,
        uapi::PINSEAL_RESIZE_KEEP_LEASES,
    )?;
    let size: i64 = request.size.try_into().map_err(|_| EINVAL)?;
    if !device.is_writable() {
        return Err(EINVAL);
    }
    let object = device.owner();
    let Some(leases) = wait else {
        request.grown().check_unused()?;
        object.gate().wait_for_sealer(device.is_nonblocking())?;
        return object.memory()?.resize(size);
    };
    let new_size = request.size;
    let goes = || match object.size() {
        old_size if object.seals().forbid_size(old_size, new_size) => Err(EPERM),
        old_size if old_size < new_size => Ok(0..0),
        // What is beyond the old end may have been allocated, and goes as well.
        _ => Ok(pages_within(new_size, u64::MAX)),
    };
    wait_and(device, arg, request, leases, goes, || {
        object.memory()?.resize(size)
    })
}

/// `PINSEAL_IOC_FALLOCATE`.
#[inline(never)]
pub(super) fn fallocate(device: DeviceFile<'_, OpenObject>, arg: Argument) -> Result {
    let mut request: uapi::pinseal_fallocate = arg.read_grown(FALLOCATE_FIRST)?;
    let wait = wait_flags(
        request.flags,
        uapi::PINSEAL_FALLOCATE_WAIT,
        uapi::PINSEAL_FALLOCATE_KEEP_LEASES,
    )?;
    let offset: i64 = request.offset.try_into().map_err(|_| EINVAL)?;
    let len: i64 = request.len.try_into().map_err(|_| EINVAL)?;
    // CAST: Bits.
    let mode = request.mode as i32;
    if !device.is_writable() {
        return Err(EBADF);
    }
    let object = device.owner();
    if wait.is_none() {
        request.grown().check_unused()?;
    }
    let is_punch = request.mode == PUNCH && len > 0 && offset.checked_add(len).is_some();
    let (Some(leases), true) = (wait, is_punch) else {
        // Nothing goes, or nobody is to be waited for.
        object.gate().wait_for_sealer(device.is_nonblocking())?;
        return object.memory()?.fallocate(mode, offset, len);
    };
    let hole = pages_within(request.offset, request.offset + request.len);
    let goes = || match object.seals().forbid_writing() {
        true => Err(EPERM),
        false => Ok(hole.clone()),
    };
    wait_and(device, arg, request, leases, goes, || {
        object.memory()?.fallocate(mode, offset, len)
    })
}

/// Waits until nobody holds the pages that go, does `act`, and reports. Nobody is to lose a lease for
/// what is refused: what seals forbid, or for a report that cannot be written.
fn wait_and<T: Waits>(
    device: DeviceFile<'_, OpenObject>,
    arg: Argument,
    mut request: T,
    leases: Leases,
    goes: impl Fn() -> Result<Range<usize>>,
    act: impl FnOnce() -> Result,
) -> Result {
    // The first version of the struct has no room for a report.
    let reports = arg.has_room_for::<T>();
    if reports {
        arg.write(&request)?;
    }
    let timeout_ns = match *request.timeout_ns() {
        0 => DEFAULT_TIMEOUT_NS,
        timeout_ns => timeout_ns,
    };
    let grown = request.grown();
    let mut budget = Budget::new(timeout_ns, device.is_nonblocking(), 0, *grown.waited_ns, 0);
    if !reports {
        // A call that is restarted cannot say that it is.
        budget.start_clock();
    }
    let wait = WaitRequest {
        budget,
        revoke: match leases {
            Leases::Keep => None,
            Leases::Revoke => Some(*grown.revoked_pages),
        },
    };
    let report = once_free(device.owner().object(), wait, goes, act)?;
    let written = if reports {
        *grown.waited_ns = report.waited_ns;
        *grown.pinned_pages = report.pinned_pages;
        *grown.first_pinned = report.first_pinned.map_or(NO_PAGE, |index| index as u64);
        *grown.revoked_pages = report.revoked_pages;
        arg.write(&request)
    } else if report.outcome == WaitOutcome::Interrupted {
        // As `select()` does: a call that is restarted must find what it has used up. When it cannot,
        // it is not restarted.
        if device.is_nonblocking() {
            return Err(EBUSY);
        }
        *grown.waited_ns = 0;
        *request.timeout_ns() = timeout_ns.saturating_sub(report.waited_ns).max(1);
        arg.write_what_fits(&request).map_err(|_| EINTR)
    } else {
        Ok(())
    };
    match report.outcome {
        // What is done is done, also when nobody can read the report.
        WaitOutcome::Free => Ok(()),
        _ if written.is_err() => written,
        WaitOutcome::Held => Err(EBUSY),
        WaitOutcome::Interrupted => Err(ERESTARTNOHAND),
    }
}

/// What becomes of the leases of pages that go.
#[derive(Clone, Copy)]
enum Leases {
    /// They are waited for like other pins.
    Keep,
    /// They are asked for, and taken.
    Revoke,
}

/// If it is to wait for who holds the pages that go: what is to become of leases.
///
/// # Errors
///
/// `EINVAL` for unknown flags, and for one that says something of leases without waiting.
fn wait_flags(flags: u32, wait: u32, keep_leases: u32) -> Result<Option<Leases>> {
    check_zero(flags & !(wait | keep_leases))?;
    match (flags & wait != 0, flags & keep_leases != 0) {
        (false, false) => Ok(None),
        (false, true) => Err(EINVAL),
        (true, false) => Ok(Some(Leases::Revoke)),
        (true, true) => Ok(Some(Leases::Keep)),
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

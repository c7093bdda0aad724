// SPDX-License-Identifier: GPL-2.0-only

//! `PINSEAL_IOC_PIN`, and the commands of the handles that it makes.

use super::{
    argument::{
        check_unused,
        check_zero,
        Argument, //
    },
    descriptor::new_descriptor, //
};
use crate::{
    fs::{
        handle_file::HandleCommands, //
        memory_file::MemoryFile,
    },
    handle::{
        self,
        MirrorHandle,
        PinHandle, //
    },
    object::{
        BreakRequest,
        LeaseState,
        PinAccess,
        PinTerms,
        PinnedRange, //
    },
    open_object::OpenObject,
    uapi,
    wait::{
        MoveWait,
        WaitBounds,
        DEFAULT_TIMEOUT_NS, //
    }, //
};
use core::{
    mem::offset_of,
    ops::Range, //
};
use kernel::{
    ioctl::{
        _IOC_NR,
        _IOC_TYPE, //
    },
    prelude::*,
    time::Delta, //
};

/// Size of the first version of `struct pinseal_pin`.
const PIN_FIRST: usize = offset_of!(uapi::pinseal_pin, address);

/// Flags of `struct pinseal_pin` that this build knows.
const PIN_FLAGS: u32 = uapi::PINSEAL_PIN_READONLY
    | uapi::PINSEAL_PIN_LEASED
    | uapi::PINSEAL_PIN_MIRROR
    | uapi::PINSEAL_PIN_WAIT;

/// A mirror pins nothing that could be revoked, or must be moved before.
const NOT_MIRROR: u32 = uapi::PINSEAL_PIN_LEASED | uapi::PINSEAL_PIN_WAIT;

/// Longest grace, in nanoseconds: a deadline after it does not overflow.
const MAX_GRACE_NS: i64 = i64::MAX / 2;

/// `PINSEAL_IOC_PIN`. Returns a descriptor.
#[inline(never)]
pub(super) fn pin(file: MemoryFile<'_, OpenObject>, arg: Argument) -> Result<isize> {
    let request: uapi::pinseal_pin = arg.read_grown(PIN_FIRST)?;
    check_zero(request.pad | (request.flags & !PIN_FLAGS))?;
    let waits = request.flags & uapi::PINSEAL_PIN_WAIT != 0;
    if !waits {
        check_unused(&[request.timeout_ns])?;
    }
    let end = request.start.checked_add(request.count).ok_or(EINVAL)?;
    let start = request.start.try_into().map_err(|_| EINVAL)?;
    let end = end.try_into().map_err(|_| EINVAL)?;
    let access = match request.flags & uapi::PINSEAL_PIN_READONLY {
        0 => PinAccess::Write,
        _ => PinAccess::Read,
    };
    if request.flags & uapi::PINSEAL_PIN_MIRROR != 0 {
        check_zero(request.flags & NOT_MIRROR)?;
        let address = request.address.try_into().map_err(|_| EFAULT)?;
        return new_descriptor(|| handle::mirror(file, start..end, address, access));
    }
    check_unused(&[request.address])?;
    let terms = match request.flags & uapi::PINSEAL_PIN_LEASED {
        // `grace_ns` has no meaning without the flag.
        0 => PinTerms::Unleased,
        _ => PinTerms::Leased(Delta::from_nanos(
            request
                .grace_ns
                .try_into()
                .map_or(MAX_GRACE_NS, |ns: i64| ns.min(MAX_GRACE_NS)),
        )),
    };
    if !waits {
        return new_descriptor(|| handle::pin(file, start..end, access, terms, None));
    }
    let timeout_ns = match request.timeout_ns {
        0 => DEFAULT_TIMEOUT_NS,
        timeout_ns => timeout_ns,
    };
    let bounds = WaitBounds::new(timeout_ns, file.is_nonblocking(), 0, 0, 0);
    let mut wait = MoveWait::new(bounds);
    match new_descriptor(|| handle::pin(file, start..end, access, terms, Some(&mut wait))) {
        Err(ERESTARTSYS) => Err(interrupted(arg, request, wait.left_for_restart_ns())),
        result => result,
    }
}

/// The error of a call that a signal or task work interrupted `left_ns` before the deadline.
///
/// As with `select()`, the struct keeps the time left for the restarted call. Otherwise a ring that
/// produces task work all the time would extend the deadline for ever. When it cannot be written,
/// the call is not restarted.
fn interrupted(arg: Argument, mut request: uapi::pinseal_pin, left_ns: u64) -> Error {
    request.timeout_ns = left_ns.max(1);
    match arg.write(&request) {
        Ok(()) => ERESTARTNOHAND,
        Err(_) => EINTR,
    }
}

impl HandleCommands for PinHandle {
    fn ioctl(&self, cmd: u32, arg: usize) -> Result<isize> {
        dispatch_on_handle(cmd, arg, || pin_state(self.range()))
    }
}

impl HandleCommands for MirrorHandle {
    fn ioctl(&self, cmd: u32, arg: usize) -> Result<isize> {
        dispatch_on_handle(cmd, arg, || mirror_state(self.pages(), self.access()))
    }
}

/// Runs a command of a handle, whose state is `state`. Returns 0.
fn dispatch_on_handle(
    cmd: u32,
    arg: usize,
    state: impl FnOnce() -> uapi::pinseal_lease,
) -> Result<isize> {
    if _IOC_TYPE(cmd) != uapi::PINSEAL_IOC_MAGIC {
        return Err(ENOTTY);
    }
    let arg = Argument::new(cmd, arg);
    match _IOC_NR(cmd) {
        0x20 => arg.write(&state())?,
        _ => return Err(ENOTTY),
    }
    Ok(0)
}

/// The state of a mirror handle.
fn mirror_state(pages: &Range<usize>, access: PinAccess) -> uapi::pinseal_lease {
    uapi::pinseal_lease {
        start: pages.start as u64,
        count: pages.len() as u64,
        grace_ns: 0,
        until_ns: 0,
        asker: 0,
        state: uapi::pinseal_lease_state_PINSEAL_LEASE_HELD,
        flags: uapi::PINSEAL_PIN_MIRROR | access.flags(),
        pad: 0,
    }
}

/// The state of a pin handle.
fn pin_state(range: &PinnedRange) -> uapi::pinseal_lease {
    let (state, request) = match range.lease_state() {
        LeaseState::Held => (uapi::pinseal_lease_state_PINSEAL_LEASE_HELD, None),
        LeaseState::Breaking(request) => {
            (uapi::pinseal_lease_state_PINSEAL_LEASE_ASKED, Some(request))
        }
        LeaseState::Revoked => (uapi::pinseal_lease_state_PINSEAL_LEASE_REVOKED, None),
    };
    uapi::pinseal_lease {
        start: range.pages().start as u64,
        count: range.pages().len() as u64,
        grace_ns: range.grace_ns(),
        until_ns: request.as_ref().map_or(0, BreakRequest::deadline_ns),
        // CAST: A process has a positive number, or 0 outside of the reader's namespace.
        asker: request
            .as_ref()
            .map_or(0, |request| request.by.tgid_nr_ns(None) as u32),
        state,
        flags: range.flags(),
        pad: 0,
    }
}

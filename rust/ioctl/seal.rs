// SPDX-License-Identifier: GPL-2.0-only

//! `PINSEAL_IOC_SEAL`.

use super::argument::{
    check_zero,
    Argument,
    NO_PAGE, //
};
use crate::{
    fs::memory_file::MemoryFile,
    object::{
        ObjectFile,
        SealSet, //
    },
    open_object::OpenObject,
    seal::{
        add_seals,
        prepare,
        Outcome,
        SealReport,
        SealRequest, //
    },
    uapi,
    wait::{
        WaitBounds,
        DEFAULT_TIMEOUT_NS, //
    }, //
};
use kernel::prelude::*;

/// Flags of `struct pinseal_seal` that this build knows.
pub(super) const FLAGS: u32 = uapi::PINSEAL_SEAL_NOWAIT
    | uapi::PINSEAL_SEAL_ISOLATE
    | uapi::PINSEAL_SEAL_REVOKE
    | uapi::PINSEAL_SEAL_ASYNC
    | uapi::PINSEAL_SEAL_CANCEL
    | uapi::PINSEAL_SEAL_WAIT_MAPPED;

/// Only an asynchronous seal can be cancelled.
const ASYNC_CANCEL: u32 = uapi::PINSEAL_SEAL_ASYNC | uapi::PINSEAL_SEAL_CANCEL;

/// `PINSEAL_IOC_SEAL`.
#[inline(never)]
pub(super) fn seal(file: MemoryFile<'_, OpenObject>, arg: Argument) -> Result {
    let mut request: uapi::pinseal_seal = arg.read()?;
    check_zero(request.pad | (request.flags & !FLAGS))?;
    if request.flags & ASYNC_CANCEL == uapi::PINSEAL_SEAL_CANCEL {
        return Err(EINVAL);
    }
    let seals = SealSet::from_bits(request.seals)?;
    if !file.is_writable() {
        return Err(EPERM);
    }
    // A struct that cannot be written must be noticed before anything has happened.
    arg.write(&request)?;

    let timeout_ns = match request.timeout_ns {
        0 => DEFAULT_TIMEOUT_NS,
        timeout_ns => timeout_ns,
    };
    // An asynchronous seal is not restarted: nothing was used up before.
    let (waited_ns, scans) = match request.flags & uapi::PINSEAL_SEAL_ASYNC {
        0 => (request.waited_ns, request.scans),
        _ => (0, 0),
    };
    // Out fields, unless the call is restarted.
    let before = |pages| match (waited_ns, scans) {
        (0, 0) => 0,
        _ => pages,
    };
    let opened = file.owner();
    let mut wanted = SealRequest {
        seals,
        flags: request.flags,
        bounds: WaitBounds::new(
            timeout_ns,
            request.flags & uapi::PINSEAL_SEAL_NOWAIT != 0,
            request.max_scans,
            waited_ns,
            scans,
        ),
        wait_mapped: request.flags & uapi::PINSEAL_SEAL_WAIT_MAPPED != 0,
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
    let is_cancel = request.flags & uapi::PINSEAL_SEAL_CANCEL != 0;
    let prepared = match is_cancel {
        true => None,
        false => prepare(opened.object(), &mut wanted)?,
    };
    let is_async = request.flags & uapi::PINSEAL_SEAL_ASYNC != 0;
    if let (true, Some(Outcome::Interrupted)) = (is_async, prepared.as_ref().map(|r| r.outcome)) {
        // A restarted call starts anew: there is nothing to report.
        return Err(ERESTARTNOHAND);
    }
    let report = if is_cancel {
        opened.used_background().ok_or(ENOENT)?.cancel(seals)?
    } else if let Some(report) = prepared {
        report
    } else if is_async {
        let background = opened.background()?;
        background.as_arc_borrow().seal(opened.object(), wanted)?
    } else {
        add_seals(opened.object().clone(), wanted)?
    };
    fill_in(&mut request, &report);
    let written = arg.write(&request);

    match report.outcome {
        // The result stands, also when the caller has unmapped the struct meanwhile. It gets no
        // report, but an error would say that nothing changed.
        Outcome::Sealed | Outcome::Pending | Outcome::Cancelled => Ok(()),
        _ if written.is_err() => written,
        Outcome::WritableMapping | Outcome::Pinned | Outcome::LargeFolio | Outcome::NotFilled => {
            Err(EBUSY)
        }
        Outcome::NoMemory => Err(ENOMEM),
        // EINTR where a handler runs. Without one (task work, a debugger, the freezer) the call is
        // restarted unseen, with the bounds as they are now.
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

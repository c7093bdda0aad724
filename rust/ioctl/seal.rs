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
        Object,
        ObjectFile,
        SealSet, //
    },
    open_object::OpenObject,
    seal::{
        add_seals,
        prepare,
        try_add_seals,
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
use kernel::{
    prelude::*,
    sync::Arc, //
};

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

    let opened = file.owner();
    let object = opened.object();
    let is_restarted = request.waited_ns != 0 || request.scans != 0;
    let is_cancel = request.flags & uapi::PINSEAL_SEAL_CANCEL != 0;
    if !is_cancel {
        // An ATTACH that comes later fails: whether the object is stacked is known from here on.
        object.memory()?;
    }
    let report = match request.flags & ASYNC_CANCEL {
        0 if !is_restarted && !object.is_stacked() => {
            match try_add_seals(object, seals, request.flags, timeout_ns(&request))? {
                Ok(report) => report,
                Err(contended) => {
                    let wanted = wanted(&request, seals);
                    add_seals(object.clone(), wanted, Some(contended))?
                }
            }
        }
        0 => seal_in_steps(object, wanted(&request, seals))?,
        uapi::PINSEAL_SEAL_ASYNC => seal_async(&opened, wanted(&request, seals))?,
        _ => opened.used_background().ok_or(ENOENT)?.cancel(seals)?,
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

fn timeout_ns(request: &uapi::pinseal_seal) -> u64 {
    match request.timeout_ns {
        0 => DEFAULT_TIMEOUT_NS,
        timeout_ns => timeout_ns,
    }
}

/// What the caller asks for.
#[cold]
fn wanted(request: &uapi::pinseal_seal, seals: SealSet) -> SealRequest {
    let has = |flag| request.flags & flag != 0;
    // An asynchronous seal is not restarted: nothing was used up before.
    let (waited_ns, scans) = match has(uapi::PINSEAL_SEAL_ASYNC) {
        false => (request.waited_ns, request.scans),
        true => (0, 0),
    };
    // Out fields, unless the call is restarted.
    let before = |pages| match (waited_ns, scans) {
        (0, 0) => 0,
        _ => pages,
    };
    SealRequest {
        seals,
        flags: request.flags,
        bounds: WaitBounds::new(
            timeout_ns(request),
            has(uapi::PINSEAL_SEAL_NOWAIT),
            request.max_scans,
            waited_ns,
            scans,
        ),
        wait_mapped: has(uapi::PINSEAL_SEAL_WAIT_MAPPED),
        isolate: has(uapi::PINSEAL_SEAL_ISOLATE).then(|| {
            before(request.isolated_pages)
                .try_into()
                .unwrap_or(usize::MAX)
        }),
        revoke: has(uapi::PINSEAL_SEAL_REVOKE).then(|| before(request.revoked_pages)),
    }
}

/// Seals a stacked object, or goes on with a call that was restarted.
#[cold]
fn seal_in_steps(object: &Arc<Object>, mut wanted: SealRequest) -> Result<SealReport> {
    match prepare(object, &mut wanted)? {
        Some(report) => Ok(report),
        None => add_seals(object.clone(), wanted, None),
    }
}

/// Begins to seal in the background, or reports on the seal that was begun.
#[cold]
fn seal_async(opened: &OpenObject, mut wanted: SealRequest) -> Result<SealReport> {
    let object = opened.object();
    // A seal that was begun needs no preparation, and allows none once `F_SEAL_SEAL` is set.
    if object.is_stacked() {
        if let Some(background) = opened.used_background() {
            if let Some(report) = background.report(wanted.seals)? {
                return Ok(report);
            }
        }
    }
    match prepare(object, &mut wanted)? {
        // A restarted call starts anew: there is nothing to report.
        Some(report) if report.outcome == Outcome::Interrupted => Err(ERESTARTNOHAND),
        Some(report) => Ok(report),
        None => opened.background()?.as_arc_borrow().seal(object, wanted),
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

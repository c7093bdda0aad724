// SPDX-License-Identifier: GPL-2.0-only

//! A seal that nothing is in the way of, which is the common case: one attempt, all of it under one hold
//! of the inode lock. It allocates nothing unless something is in its way, reads no clock, and refuses
//! only shared writable mappings meanwhile.
//!
//! Why this is sound is argued in `Documentation/design.rst`.

use super::request::{
    Outcome,
    SealReport, //
};
use crate::{
    mm::{
        lru::drain_local,
        memcg::gfp_nowait_account, //
    },
    object::{
        Object,
        SealGuard,
        SealSet, //
    },
    trampolines::trace,
    wait::Scan, //
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// An attempt that failed: a sealer, a lock, a mapping or references were in the way. Nothing has changed.
#[must_use]
pub(crate) struct Contended {
    /// The seal exclusion, unless a sealer owns it.
    pub(super) guard: Option<SealGuard<Arc<Object>>>,
    /// What the scan found, if there was one.
    pub(super) scan: Option<Scan>,
}

/// What an attempt meets.
enum Obstacle {
    /// Something that may go away. With what the scan found, if there was one.
    Contention(Option<Scan>),
    /// No seals can be added.
    Final(Error),
}

/// Tries to add seals at once. `flags` and `timeout_ns` are for the trace event.
///
/// Context: may sleep, but waits for nothing. The caller must have opened the object for writing, and
/// hold no lock. The object must have memory, and not be stacked: see [`prepare`](super::prepare()).
///
/// # Errors
///
/// `EPERM` when no seals can be added (any more).
pub(crate) fn try_add_seals(
    object: &Arc<Object>,
    seals: SealSet,
    flags: u32,
    timeout_ns: u64,
) -> Result<Result<SealReport, Contended>> {
    trace::seal_begin(object.number(), seals.bits(), flags, timeout_ns);
    let Some(guard) = SealGuard::try_acquire(object) else {
        return Ok(Err(Contended {
            guard: None,
            scan: None,
        }));
    };
    match attempt(&guard, seals) {
        Ok(scans) => {
            drop(guard);
            // CAST: Small.
            let outcome = Outcome::Sealed.number() as i32;
            trace::seal_end(object.number(), outcome, scans, 0, 0, 0);
            Ok(Ok(SealReport {
                outcome: Outcome::Sealed,
                scans,
                waited_ns: 0,
                pinned_pages: 0,
                first_pinned: None,
                isolated_pages: 0,
                revoked_pages: 0,
            }))
        }
        Err(Obstacle::Contention(scan)) => Ok(Err(Contended {
            guard: Some(guard.into_owned()),
            scan,
        })),
        Err(Obstacle::Final(err)) => {
            trace::seal_end(object.number(), err.to_errno(), 0, 0, 0, 0);
            Err(err)
        }
    }
}

/// Sets the seals. Returns the number of scans.
#[inline]
fn attempt(guard: &SealGuard<&Arc<Object>>, seals: SealSet) -> Result<u32, Obstacle> {
    let contention = || Obstacle::Contention(None);
    let object = guard.object();
    let memory = object.used_memory().ok_or_else(contention)?;
    let locked = memory.try_lock().ok_or_else(contention)?;
    let old = object.lock_seals(&locked);
    old.check_addable().map_err(Obstacle::Final)?;
    let seals = seals.with_implied(locked.is_executable());
    let denied = match old.adding_ends_writing(seals) {
        false => None,
        // Readers would have to be blocked, and their mappings zapped.
        true if locked.pages().is_mapped() => return Err(contention()),
        true => {
            let denied = locked.deny_writable_briefly().ok_or_else(contention)?;
            drain_local();
            if let Some(scan) = Scan::not_clean(locked.pages(), gfp_nowait_account()) {
                return Err(Obstacle::Contention(Some(scan)));
            }
            Some(denied)
        }
    };
    old.add(seals).map_err(Obstacle::Final)?;
    Ok(match denied {
        None => 0,
        Some(denied) => {
            denied.make_permanent();
            trace::seal_scan(object.number(), 1, 0, None);
            1
        }
    })
}

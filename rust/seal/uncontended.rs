// SPDX-License-Identifier: GPL-2.0-only

//! A seal that nothing is in the way of, which is the common case: one attempt, all of it under one hold
//! of the inode lock. It allocates nothing, reads no clock, and blocks no other access.
//!
//! Why this is sound is argued in `Documentation/design.rst`.

use super::request::{
    Outcome,
    SealReport, //
};
use crate::{
    mm::lru::drain_local,
    object::{
        HasSealExclusion,
        Object,
        SealSet, //
    },
    trampolines::trace,
    wait::Scan, //
};

/// An attempt that failed: a lock, a mapping or references were in the way. Nothing has changed.
#[must_use]
pub(crate) struct Contended {
    /// What the scan found, if there was one.
    pub(super) scan: Option<Scan>,
}

/// Tries to add seals at once. `flags` and `timeout_ns` are for the trace event.
///
/// Context: may sleep, but waits for nothing. The caller must have opened the object for writing, and
/// hold no lock. A stacked object must be ready (see [`prepare`](super::prepare)).
pub(crate) fn try_add_seals(
    object: &Object,
    seals: SealSet,
    flags: u32,
    timeout_ns: u64,
) -> Result<SealReport, Contended> {
    trace::seal_begin(object.number(), seals.bits(), flags, timeout_ns);
    let scans = attempt(object, seals)?;
    trace::seal_end(
        object.number(),
        // CAST: Small.
        Outcome::Sealed.number() as i32,
        scans,
        0,
        0,
        0,
    );
    Ok(SealReport {
        outcome: Outcome::Sealed,
        scans,
        waited_ns: 0,
        pinned_pages: 0,
        first_pinned: None,
        isolated_pages: 0,
        revoked_pages: 0,
    })
}

/// Sets the seals. Returns the number of scans.
#[inline]
fn attempt(object: &Object, seals: SealSet) -> Result<u32, Contended> {
    let contended = || Contended { scan: None };
    // A sealer that waits is not overtaken. The attempt does not depend on that: it keeps others away
    // by the inode lock alone.
    if object.exclusion().is_owned() {
        return Err(contended());
    }
    let memory = object.memory().map_err(|_| contended())?;
    let locked = memory.try_lock().ok_or_else(contended)?;
    let seals = seals.with_implied(locked.is_executable());
    let denied = match object.adding_ends_writing(seals) {
        false => None,
        // Readers would have to be blocked, and their mappings zapped.
        true if locked.pages().is_mapped() => return Err(contended()),
        true => {
            let denied = locked.deny_writable_briefly().ok_or_else(contended)?;
            drain_local();
            if let Some(scan) = Scan::not_clean(locked.pages()) {
                return Err(Contended { scan: Some(scan) });
            }
            Some(denied)
        }
    };
    object.add_seals(&locked, seals).map_err(|_| contended())?;
    Ok(match denied {
        None => 0,
        Some(denied) => {
            denied.make_permanent();
            trace::seal_scan(object.number(), 1, 0, None);
            1
        }
    })
}

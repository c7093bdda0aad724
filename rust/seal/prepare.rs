// SPDX-License-Identifier: GPL-2.0-only

//! Gets an object ready to be sealed: a stacked one gets all pages from its lower file, and what changed is
//! written to that.
//!
//! What the caller's bounds do not suffice for is not undone: the next call goes on from there.

use super::{
    isolate::MAX_ISOLATED,
    request::{
        Outcome,
        SealReport,
        SealRequest, //
    }, //
};
use crate::{
    fs::stacked::StopOn,
    object::Object, //
};
use kernel::{
    prelude::*,
    time::{
        Instant,
        Monotonic, //
    }, //
};

/// Gets `object`, which must have memory, ready, in the bounds of `request`. Returns how the call has ended,
/// if it has.
///
/// Context: sleeps. The caller must hold no lock.
///
/// # Errors
///
/// `EPERM` when no seals can be added (any more). Those of [`Object::fill_and_sync`].
pub(crate) fn prepare(object: &Object, request: &mut SealRequest) -> Result<Option<SealReport>> {
    if !object.is_stacked() {
        return Ok(None);
    }
    object.seals().check_addable()?;
    let bounds = &mut request.bounds;
    bounds.start_clock();
    let stop = StopOn::SignalOrTimeout(Instant::<Monotonic>::now(), bounds.left_for_kernel_ns());
    let outcome = match object.fill_and_sync(stop) {
        Ok(()) => return Ok(None),
        Err(ETIMEDOUT) => Outcome::NotFilled,
        Err(ERESTARTSYS) => Outcome::Interrupted,
        Err(err) => return Err(err),
    };
    Ok(Some(SealReport {
        outcome,
        scans: bounds.scans(),
        waited_ns: bounds.waited_ns(),
        pinned_pages: 0,
        first_pinned: None,
        isolated_pages: request.isolate.unwrap_or(0).min(MAX_ISOLATED),
        revoked_pages: request.revoke.unwrap_or(0),
    }))
}

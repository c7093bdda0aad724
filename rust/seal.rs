// SPDX-License-Identifier: GPL-2.0-only

//! Adding seals, and waiting for that.
//!
//! What is done is in [`crate::attempt`]. Who does not want to wait has it done in the background,
//! [`crate::async_seal`].

pub(crate) mod async_seal;
pub(crate) mod commit;
pub(crate) mod isolate;
pub(crate) mod operation;
pub(crate) mod request;

use crate::{
    object::Object,
    seal::operation::{
        Attempt,
        Pause,
        Progress, //
    },
    seal::request::{
        Outcome,
        SealReport,
        SealRequest, //
    },
    sync::sleep::is_pending, //
    wait::context::Driver,
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// Adds seals to an object, and waits for that.
///
/// Context: sleeps. The caller must have opened the object for writing and hold no lock.
///
/// # Errors
///
/// `EPERM` when no seals can be added (any more), `ENOMEM`. How the attempt ended is no error but
/// [`SealReport::outcome`]; unless that is [`Outcome::Sealed`], nothing changed that anybody could
/// see.
pub(crate) fn add_seals(object: Arc<Object>, request: SealRequest) -> Result<SealReport> {
    let mut attempt = Attempt::new(object, request, Driver::Caller);
    let ended = loop {
        let pause = match attempt.step() {
            Err(err) => break Err(err),
            Ok(Progress::Ended(outcome)) => break Ok(outcome),
            Ok(Progress::NotYet(pause)) => pause,
        };
        // The bounds came first: a task that always finds work to do still meets its deadline.
        if is_pending() && !matches!(pause, Pause::BetweenLastTries(_)) {
            break Ok(Outcome::Interrupted);
        }
        attempt.pause(pause);
    };
    attempt.end(ended)
}

// SPDX-License-Identifier: MIT OR Apache-2.0

//! `pinsealctl hold`: what `new --background` leaves behind.

use crate::{
    exit::{Exit, Result},
    signals::{Signals, Woken},
};

/// Holds inherited descriptors until it is killed
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args) -> Result<Exit> {
    until_killed(&Signals::catch()?)
}

/// Waits for a signal. An end that was asked for by `kill` is a good one.
pub(super) fn until_killed(signals: &Signals) -> Result<Exit> {
    loop {
        match signals.wait(None, None)? {
            Woken::Interrupted => return Ok(Exit::Interrupted),
            Woken::Terminated => return Ok(Exit::Done),
            Woken::Ready | Woken::Timeout => (),
        }
    }
}

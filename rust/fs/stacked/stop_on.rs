// SPDX-License-Identifier: GPL-2.0-only

//! What ends filling and syncing early.

use crate::sync::sleep::{
    fatal_signal_pending,
    signal_pending,
    task_sigpending, //
};
use kernel::{
    prelude::*,
    time::{
        Instant,
        Monotonic, //
    }, //
};

/// What ends filling and syncing early, between two of their steps.
#[derive(Clone, Copy)]
pub(crate) enum StopOn {
    /// Nothing.
    Nothing,
    /// A fatal signal.
    FatalSignal,
    /// A signal. Task work is none: not every call that fills could begin again without a trace.
    Signal,
    /// A signal or task work, or that so many nanoseconds have passed since then.
    SignalOrTimeout(Instant<Monotonic>, u64),
}

impl StopOn {
    /// # Errors
    ///
    /// `EINTR` for a fatal signal.
    pub(super) fn check_fatal(self) -> Result {
        match self {
            Self::Nothing => Ok(()),
            _ if fatal_signal_pending() => Err(EINTR),
            _ => Ok(()),
        }
    }

    /// # Errors
    ///
    /// `EINTR` for a fatal signal, `ERESTARTSYS` for another one, `ETIMEDOUT` when the time is over.
    pub(super) fn check(self) -> Result {
        self.check_fatal()?;
        match self {
            Self::Nothing | Self::FatalSignal => Ok(()),
            Self::Signal if task_sigpending() => Err(ERESTARTSYS),
            Self::SignalOrTimeout(..) if signal_pending() => Err(ERESTARTSYS),
            // CAST: Time does not run backwards.
            Self::SignalOrTimeout(start, ns) if start.elapsed().as_nanos() as u64 >= ns => {
                Err(ETIMEDOUT)
            }
            Self::Signal | Self::SignalOrTimeout(..) => Ok(()),
        }
    }
}

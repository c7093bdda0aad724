// SPDX-License-Identifier: GPL-2.0-only

//! Who takes the steps of an attempt to add seals, and what follows from that.

use crate::{
    seal::request::Outcome,
    sync::sleep::is_signalled, //
    wait::backoff::Pace,
};
use kernel::{
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    },
    task::Task,
    time::Delta, //
};

/// How long a look may take in the background, in milliseconds. Freezing gives up after 20 s.
const BACKGROUND_LOOK_MS: i64 = 5_000;

/// Who takes the steps of an attempt.
pub(crate) enum Driver {
    /// Always the same task, which sleeps in between.
    Caller,
    /// Whoever comes when a pause is over, until it is cancelled.
    Background(Arc<Cancellation>),
}

impl Driver {
    /// How often it may look.
    pub(crate) fn pace(&self) -> Pace {
        match self {
            Driver::Caller => Pace::Waiting,
            Driver::Background(_) => Pace::Background,
        }
    }

    /// Whether a look that waits for swap, and has taken this long, is to end before it is through.
    ///
    /// In the background others wait for their turn on the queue meanwhile, and so does a machine that
    /// is to be suspended. What has come back is there when the next look comes.
    pub(crate) fn ends_look(&self, so_far: Delta) -> bool {
        self.gives_up().is_some()
            || match self {
                Driver::Caller => false,
                Driver::Background(_) => so_far.as_millis() >= BACKGROUND_LOOK_MS,
            }
    }

    /// Who sleeps between steps, and is to be woken up when there is no reason to sleep on.
    pub(crate) fn sleeper(&self) -> Option<ARef<Task>> {
        match self {
            Driver::Caller => Some((&**current!()).into()),
            Driver::Background(_) => None,
        }
    }

    /// How the attempt is to end at once, if it is. What takes long asks now and then.
    ///
    /// Task work is no reason: what takes long would begin anew when it is done.
    pub(crate) fn gives_up(&self) -> Option<Outcome> {
        match self {
            Driver::Caller => is_signalled().then_some(Outcome::Interrupted),
            Driver::Background(cancellation) => {
                cancellation.is_wanted().then_some(Outcome::Cancelled)
            }
        }
    }
}

/// Whether somebody wants what goes on in the background to end.
pub(crate) struct Cancellation(Atomic<bool>);

impl Cancellation {
    /// Nobody does.
    pub(crate) fn new() -> Self {
        Self(Atomic::new(false))
    }

    /// Somebody does, or nobody any more.
    pub(crate) fn set(&self, wanted: bool) {
        self.0.store(wanted, Relaxed);
    }

    /// Whether somebody does.
    pub(crate) fn is_wanted(&self) -> bool {
        self.0.load(Relaxed)
    }
}

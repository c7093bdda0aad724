// SPDX-License-Identifier: GPL-2.0-only

//! The context that a wait runs in, and what stops it early.

use super::backoff::Pace;
use crate::sync::sleep::task_sigpending;
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

/// Longest scan of a worker, in milliseconds. The freezer gives up after 20 s.
const WORKER_SCAN_MS: i64 = 5_000;

/// The context of a wait.
pub(crate) enum Context {
    /// The calling task, which sleeps between scans.
    Task,
    /// A worker for each step, until the token is cancelled.
    Worker(Arc<CancelToken>),
}

/// Why a wait stops before its bounds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The task has a signal.
    Interrupted,
    /// The token is cancelled.
    Cancelled,
}

impl Context {
    /// Pace of the scans.
    pub(super) fn pace(&self) -> Pace {
        match self {
            Context::Task => Pace::Task,
            Context::Worker(_) => Pace::Worker,
        }
    }

    /// Whether a scan that waits for swap is to end early, after `elapsed`.
    ///
    /// Other objects wait for the worker, and a system that is being suspended waits for all workers.
    /// The pages that were swapped in by then are there for the next scan.
    pub(crate) fn ends_scan(&self, elapsed: Delta) -> bool {
        self.stop().is_some()
            || match self {
                Context::Task => false,
                Context::Worker(_) => elapsed.as_millis() >= WORKER_SCAN_MS,
            }
    }

    /// The task that sleeps between scans, to be woken when there is no reason to sleep on.
    pub(super) fn sleeping_task(&self) -> Option<ARef<Task>> {
        match self {
            Context::Task => Some((&**current!()).into()),
            Context::Worker(_) => None,
        }
    }

    /// Whether what a worker does is cancelled. A task goes on with what is bounded.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.stop() == Some(Stop::Cancelled)
    }

    /// Whether to stop now, and why. To be polled by what takes long.
    ///
    /// Task work is no reason: the restarted call would begin anew.
    pub(crate) fn stop(&self) -> Option<Stop> {
        match self {
            Context::Task => task_sigpending().then_some(Stop::Interrupted),
            Context::Worker(token) => token.is_cancelled().then_some(Stop::Cancelled),
        }
    }
}

/// Cancels what a worker does.
pub(crate) struct CancelToken(Atomic<bool>);

impl CancelToken {
    /// Not cancelled.
    pub(crate) fn new() -> Self {
        Self(Atomic::new(false))
    }

    /// Cancels, or takes that back.
    pub(crate) fn set(&self, cancelled: bool) {
        self.0.store(cancelled, Relaxed);
    }

    /// Whether it is cancelled.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.0.load(Relaxed)
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0

//! Seals in the background.

use crate::{Object, SealError, SealReport, Sealed, abi};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};
use std::{
    fs,
    os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
    time::{Duration, Instant},
};

/// How long to wait before the descriptor is polled again when the kernel had no memory to watch it.
const AGAIN: Duration = Duration::from_millis(10);

/// How long to sleep before looking whether there is a seal at all: the descriptor does not become ready
/// when another caller cancels it, or takes its result.
const LOOK: Duration = Duration::from_secs(1);

/// A seal that goes on in the background, with its object.
///
/// The descriptor reports `POLLPRI` when it has ended, so it can be waited for together with others:
/// call [`poll`](Self::poll) first, and again whenever the descriptor is ready. Dropping it cancels the
/// seal.
///
/// Several callers may [`start`](crate::Sealing::start) the same seals, and share one seal then. Its
/// result is returned once: a caller that polls later begins anew, and one that waits is told within a
/// second that the seal was cancelled ([`Outcome::Cancelled`](crate::Outcome::Cancelled)).
///
/// ```no_run
#[doc = include_str!("../examples/doc_pending.rs")]
/// ```
///
/// With the feature `tokio` it is a future: `sealing.start()?.await`.
#[must_use = "a pending seal is cancelled when it is dropped"]
#[derive(Debug)]
pub struct Pending {
    /// There until the seal has ended, or is left alone.
    object: Option<Object>,
    argument: abi::Seal,
}

/// How far a pending seal is.
#[derive(Debug)]
pub enum Progress {
    /// It has not ended; the report has the counts so far.
    Pending(Pending, SealReport),
    /// It has ended.
    Done(Result<Sealed, SealError>),
}

impl Pending {
    /// Begins a seal with the bounds of `argument`. If one with the same seals goes on already, this is
    /// it.
    pub(crate) fn start(object: Object, mut argument: abi::Seal) -> Result<Self, SealError> {
        argument.flags |= abi::SEAL_ASYNC;
        match object.descriptor().call(&mut argument) {
            Ok(()) => Ok(Self {
                object: Some(object),
                argument,
            }),
            Err(error) => Err(SealError::new(object, error, argument)),
        }
    }

    /// A seal that another call may have begun.
    pub(crate) fn found(object: Object, mut argument: abi::Seal) -> Self {
        argument.flags |= abi::SEAL_ASYNC;
        argument.outcome = abi::OUTCOME_PENDING;
        Self {
            object: Some(object),
            argument,
        }
    }

    /// Whether the last call has returned that it goes on, and not its result.
    fn is_pending(&self) -> bool {
        self.argument.outcome == abi::OUTCOME_PENDING
    }

    /// Calls the kernel once more: the result, or none if the seal goes on.
    fn call(&mut self, flags: u32) -> Option<Result<Sealed, SealError>> {
        let object = self.object.take()?;
        self.argument.flags |= flags;
        let called = match self.is_pending() {
            true => object.descriptor().call(&mut self.argument),
            false => Ok(()),
        };
        match called {
            Ok(()) if self.is_pending() => {
                self.object = Some(object);
                None
            }
            Ok(()) => Some(Sealed::new(object, self.argument)),
            Err(error) => {
                // Without a report, the struct still has that of the last call.
                if self.is_pending() {
                    self.argument.outcome = 0;
                }
                Some(Err(SealError::new(object, error, self.argument)))
            }
        }
    }

    /// The counts so far.
    pub fn report(&self) -> SealReport {
        SealReport::new(&self.argument)
    }

    /// Collects the result, if the seal has ended. Does not wait.
    pub fn poll(mut self) -> Progress {
        match self.call(0) {
            Some(result) => Progress::Done(result),
            None => {
                let report = self.report();
                Progress::Pending(self, report)
            }
        }
    }

    /// Waits for the end.
    ///
    /// # Errors
    ///
    /// Those of [`Sealing::run`](crate::Sealing::run);
    /// [`Outcome::Cancelled`](crate::Outcome::Cancelled) if another caller has cancelled the seal, or has
    /// taken its result. A signal does not end the wait.
    pub fn wait(mut self) -> Result<Sealed, SealError> {
        loop {
            if let Some(gone) = self.sleep(LOOK) {
                return Err(gone);
            }
            if let Some(result) = self.call(0) {
                return result;
            }
        }
    }

    /// Waits for the end, or that long.
    pub fn wait_timeout(mut self, timeout: Duration) -> Progress {
        let start = Instant::now();
        loop {
            let left = timeout.saturating_sub(start.elapsed());
            if let Some(gone) = self.sleep(left.min(LOOK)) {
                return Progress::Done(Err(gone));
            }
            if let Some(result) = self.call(0) {
                return Progress::Done(result);
            }
            if left.is_zero() {
                let report = self.report();
                return Progress::Pending(self, report);
            }
        }
    }

    /// Sleeps until the descriptor is ready, that long, or until a signal. The error is that of a seal
    /// that has gone: to ask for it would begin another one.
    fn sleep(&mut self, timeout: Duration) -> Option<SealError> {
        if !self.is_pending() {
            return None;
        }
        let timeout = Timespec::try_from(timeout).ok();
        let mut fds = [PollFd::new(self, PollFlags::PRI)];
        let (ready, failed) = match poll(&mut fds, timeout.as_ref()) {
            Ok(_) => (
                fds[0].revents().contains(PollFlags::PRI),
                fds[0].revents().contains(PollFlags::ERR),
            ),
            Err(error) => (false, error != Errno::INTR),
        };
        if failed {
            std::thread::sleep(AGAIN);
        }
        if ready || !self.has_gone() {
            return None;
        }
        self.argument.outcome = abi::OUTCOME_CANCELLED;
        Some(SealError::cancelled(self.object.take()?, self.argument))
    }

    /// Whether it neither goes on nor has a result. Where /proc does not tell, it has not gone.
    fn has_gone(&self) -> bool {
        let path = format!("/proc/thread-self/fdinfo/{}", self.as_raw_fd());
        let info = fs::read_to_string(path).unwrap_or_default();
        let mut numbers = info
            .lines()
            .filter_map(|line| line.strip_prefix("sealing:\t0x"));
        info.contains("\nobject:")
            && !numbers.any(|seals| u32::from_str_radix(seals, 16) == Ok(self.argument.seals))
    }

    /// Cancels the seal.
    ///
    /// # Errors
    ///
    /// [`Outcome::Cancelled`](crate::Outcome::Cancelled), with the object, as it was. If the seal has
    /// ended before, its result is returned.
    pub fn cancel(mut self) -> Result<Sealed, SealError> {
        loop {
            if let Some(result) = self.call(abi::SEAL_CANCEL) {
                return result;
            }
        }
    }

    /// Lets the seal go on, and returns the object. A call of [`Sealing::start`](crate::Sealing::start)
    /// with the same seals, on any descriptor of the object, finds it again. It ends without a trace
    /// when the last descriptor is closed and the last mapping is gone.
    pub fn detach(mut self) -> Object {
        self.object.take().expect(THERE)
    }
}

/// Only what consumes a pending seal takes its object.
const THERE: &str = "the seal has not ended";

impl AsFd for Pending {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.object.as_ref().expect(THERE).as_fd()
    }
}

impl AsRawFd for Pending {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if self.object.is_some() && self.is_pending() {
            let _ = self.call(abi::SEAL_CANCEL);
        }
    }
}

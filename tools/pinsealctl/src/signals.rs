// SPDX-License-Identifier: MIT OR Apache-2.0

//! Ctrl-C and its like, as something to be polled.

use crate::exit::{Failure, Result};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::{
    io,
    os::{fd::BorrowedFd, unix::net::UnixStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// The signals that end a program, once this is made.
pub(crate) struct Signals {
    /// Becomes readable when one arrives.
    arrived: UnixStream,
    last: Arc<AtomicUsize>,
}

/// What a wait was ended by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    /// SIGINT: Ctrl-C.
    Interrupted,
    /// Another signal that ends programs.
    Terminated,
    /// The descriptor is ready.
    Ready,
    /// Nothing happened in that time.
    Timeout,
}

impl Signals {
    /// Catches the signals from here on.
    pub(crate) fn catch() -> Result<Self> {
        Self::register().map_err(|error| Failure::of("signals cannot be caught", &error))
    }

    fn register() -> io::Result<Self> {
        let (arrived, wake) = UnixStream::pair()?;
        let last = Arc::new(AtomicUsize::new(0));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // Actions are taken in this order.
            signal_hook::flag::register_usize(signal, last.clone(), signal as usize)?;
            signal_hook::low_level::pipe::register(signal, wake.try_clone()?)?;
        }
        Ok(Self { arrived, last })
    }

    /// Waits for a signal, for events of the descriptor, or that long; without a time, for ever.
    pub(crate) fn wait(
        &self,
        fd: Option<(BorrowedFd<'_>, PollFlags)>,
        timeout: Option<Duration>,
    ) -> Result<Woken> {
        // One that is too long is none.
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let mut fds = vec![PollFd::new(&self.arrived, PollFlags::IN)];
        if let Some((fd, events)) = &fd {
            fds.push(PollFd::new(fd, *events));
        }
        match poll(&mut fds, timeout.as_ref()) {
            Err(Errno::INTR) => (),
            Err(errno) => return Err(Failure::of("poll", &errno.into())),
            Ok(_) => (),
        }
        Ok(match self.last.load(Ordering::SeqCst) as i32 {
            SIGINT => Woken::Interrupted,
            SIGTERM | SIGHUP => Woken::Terminated,
            _ if fds.get(1).is_some_and(|fd| !fd.revents().is_empty()) => Woken::Ready,
            _ => Woken::Timeout,
        })
    }
}

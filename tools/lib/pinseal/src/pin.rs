// SPDX-License-Identifier: MIT OR Apache-2.0

//! Pin handles: pages that are pinned as for a device, leased, or mirrored.

use crate::{Mapping, Object, WrongDescriptor, abi, sealing::nanoseconds};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    time::{ClockId, clock_gettime},
};
use std::{
    io,
    ops::Range,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
        unix::fs::FileExt,
    },
    time::{Duration, Instant},
};

/// How pages are pinned. Nothing happens until [`take`](Self::take).
#[must_use = "nothing is pinned until take()"]
#[derive(Debug)]
pub struct Pinning<'a> {
    object: &'a Object,
    argument: abi::Pin,
}

impl<'a> Pinning<'a> {
    pub(crate) fn new(object: &'a Object, pages: Range<u64>) -> Self {
        Self {
            object,
            argument: abi::Pin {
                start: pages.start,
                count: pages.end.saturating_sub(pages.start),
                ..Default::default()
            },
        }
    }

    /// Makes a handle that cannot be written to. An object that is sealed for writing can be pinned in
    /// no other way.
    pub fn read_only(mut self) -> Self {
        self.argument.flags |= abi::PIN_READONLY;
        self
    }

    /// Takes a lease: a sealer that asks for it ([`Sealing::revoke`](crate::Sealing::revoke)), or who
    /// removes the pages, gets the pages back after this time at the latest. The holder learns of that by
    /// [`PinHandle::wait`], or by `POLLPRI`.
    pub fn leased(mut self, grace: Duration) -> Self {
        self.argument.flags |= abi::PIN_LEASED;
        // No grace is a grace of 0.
        self.argument.grace_ns = u64::try_from(grace.as_nanos()).unwrap_or(u64::MAX);
        self
    }

    /// Waits at most that long for extra references that keep a page from being moved to where it may
    /// be pinned for long. Without this call, they are an error.
    pub fn wait(mut self, timeout: Duration) -> Self {
        self.argument.flags |= abi::PIN_WAIT;
        self.argument.timeout_ns = nanoseconds(timeout);
        self
    }

    /// Pins the pages until the handle is dropped.
    ///
    /// # Errors
    ///
    /// `EPERM` if the descriptor is not open for that, or a seal forbids writing; `EINVAL` if the object
    /// does not have these pages; `ENOMEM`, also for `RLIMIT_MEMLOCK`, and if a page that must be moved
    /// is in use; `EBUSY` with [`wait`](Self::wait) if it was until the deadline; `EOPNOTSUPP` for an
    /// imported memfd of hugetlbfs. A signal does not end the wait.
    pub fn take(mut self) -> io::Result<PinHandle> {
        loop {
            // What is left of the wait is in the argument then.
            match self.object.descriptor().open_by(&mut self.argument) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                result => return Ok(PinHandle(result?)),
            }
        }
    }
}

pub(crate) fn mirror(
    object: &Object,
    mapping: &Mapping,
    pages: Range<u64>,
) -> io::Result<PinHandle> {
    let mut argument = abi::Pin {
        flags: abi::PIN_MIRROR,
        address: mapping.addresses(&pages)?.start,
        ..Pinning::new(object, pages).argument
    };
    Ok(PinHandle(object.descriptor().open_by(&mut argument)?))
}

/// A handle of pages: dropping it releases them, and wakes sealers that wait for them.
///
/// It reads and writes those very pages, from byte 0 of the first one on, also if the object has others
/// by then. A mirror reads and writes what its mapping shows.
#[derive(Debug)]
pub struct PinHandle(abi::Descriptor);

/// State of a pin handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LeaseState {
    /// The pages are held.
    Held,
    /// A sealer, or who removes the pages, has asked for them; they are revoked when the grace is over.
    Asked,
    /// The pages were revoked: reads and writes fail with `ESTALE`.
    Revoked,
}

/// State and terms of a pin handle.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeaseInfo {
    /// The pages.
    pub pages: Range<u64>,
    /// The state.
    pub state: LeaseState,
    /// Whether the handle is a lease.
    pub is_leased: bool,
    /// Whether it can only be read.
    pub is_read_only: bool,
    /// Whether it mirrors a mapping, and pins nothing.
    pub is_mirror: bool,
    /// The time from a request until the pages are revoked.
    pub grace: Duration,
    /// When they are, if they were asked for.
    pub until: Option<Instant>,
    /// The process that asks, if it has a number in this PID namespace.
    pub asker: Option<u32>,
}

impl PinHandle {
    /// State and terms.
    ///
    /// # Errors
    ///
    /// [`InvalidData`](io::ErrorKind::InvalidData) if the answer is no handle's.
    pub fn info(&self) -> io::Result<LeaseInfo> {
        let mut lease = abi::Lease::default();
        self.0.call(&mut lease)?;
        let end = lease.start.checked_add(lease.count).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                "more pages than an object can have",
            )
        })?;
        let has = |flag| lease.flags & flag != 0;
        Ok(LeaseInfo {
            pages: lease.start..end,
            state: match lease.state {
                abi::LEASE_HELD => LeaseState::Held,
                abi::LEASE_ASKED => LeaseState::Asked,
                _ => LeaseState::Revoked,
            },
            is_leased: has(abi::PIN_LEASED),
            is_read_only: has(abi::PIN_READONLY),
            is_mirror: has(abi::PIN_MIRROR),
            grace: Duration::from_nanos(lease.grace_ns),
            until: (lease.until_ns != 0).then(|| instant(lease.until_ns)),
            asker: (lease.asker != 0).then_some(lease.asker),
        })
    }

    /// The state.
    ///
    /// # Errors
    ///
    /// As for [`info`](Self::info).
    pub fn state(&self) -> io::Result<LeaseState> {
        Ok(self.info()?.state)
    }

    /// Waits until the pages are asked for or revoked, or that long; without a time, for ever. Returns
    /// the state.
    ///
    /// # Errors
    ///
    /// [`Interrupted`](io::ErrorKind::Interrupted) if a signal arrives.
    pub fn wait(&self, timeout: Option<Duration>) -> io::Result<LeaseState> {
        // One that is too long is none.
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        // POLLHUP is always reported.
        let mut fds = [PollFd::new(self, PollFlags::PRI)];
        poll(&mut fds, timeout.as_ref())?;
        self.state()
    }

    /// Reads from the pages, at an offset from the first one.
    ///
    /// # Errors
    ///
    /// `ESTALE` if the pages were revoked. Of a mirror, `EFAULT` if they are not mapped any more.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.file().read_at(buffer, offset)
    }

    /// Writes to the pages, at an offset from the first one.
    ///
    /// # Errors
    ///
    /// As for [`read_at`](Self::read_at); `EBADF` if the handle is read-only; `ENOSPC` behind the last
    /// page. Of a mirror, `EPERM` if the mapping is not writable any more.
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.0.file().write_at(bytes, offset)
    }

    /// Writes all of it.
    ///
    /// # Errors
    ///
    /// As for [`write_at`](Self::write_at).
    pub fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.file().write_all_at(bytes, offset)
    }
}

/// A time of CLOCK_MONOTONIC, which is the clock of [`Instant`].
fn instant(monotonic_ns: u64) -> Instant {
    let now = clock_gettime(ClockId::Monotonic);
    let now = Duration::new(now.tv_sec as u64, now.tv_nsec as u32);
    let then = Duration::from_nanos(monotonic_ns);
    match then.checked_sub(now) {
        Some(left) => Instant::now() + left,
        None => Instant::now() - (now - then),
    }
}

impl AsFd for PinHandle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.file().as_fd()
    }
}

impl AsRawFd for PinHandle {
    fn as_raw_fd(&self) -> RawFd {
        self.0.file().as_raw_fd()
    }
}

/// Takes a descriptor that another program has passed, if it answers like a pin handle. Other than with
/// an [`Object`], it is not checked that the kernel answers: a file of FUSE can say what it likes.
impl TryFrom<OwnedFd> for PinHandle {
    type Error = WrongDescriptor;

    fn try_from(fd: OwnedFd) -> Result<Self, WrongDescriptor> {
        match abi::Descriptor::check_handle(fd) {
            Ok(descriptor) => Ok(Self(descriptor)),
            Err((fd, error)) => Err(WrongDescriptor { fd, error }),
        }
    }
}

impl From<PinHandle> for OwnedFd {
    fn from(handle: PinHandle) -> Self {
        handle.0.into_fd()
    }
}

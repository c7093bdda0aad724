// SPDX-License-Identifier: MIT OR Apache-2.0

//! Removing pages of an object once they are not in use.

use crate::{Object, abi, sealing};
use std::{fmt, io, ops::Range, time::Duration};

const FALLOC_FL_KEEP_SIZE: u32 = 1;
const FALLOC_FL_PUNCH_HOLE: u32 = 2;

/// How pages are removed. Nothing happens until [`run`](Self::run).
#[must_use = "nothing is removed until run()"]
#[derive(Debug)]
pub struct Removal<'a> {
    object: &'a Object,
    argument: Argument,
}

#[derive(Clone, Copy, Debug)]
enum Argument {
    Size(abi::Resize),
    Range(abi::Fallocate),
}

impl<'a> Removal<'a> {
    pub(crate) fn of_size(object: &'a Object, size: u64) -> Self {
        Self {
            object,
            argument: Argument::Size(abi::Resize {
                size,
                flags: abi::RESIZE_WAIT,
                ..Default::default()
            }),
        }
    }

    pub(crate) fn of_range(object: &'a Object, bytes: Range<u64>) -> Self {
        Self {
            object,
            argument: Argument::Range(abi::Fallocate {
                mode: FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                flags: abi::FALLOCATE_WAIT,
                offset: bytes.start,
                len: bytes.end.saturating_sub(bytes.start),
                ..Default::default()
            }),
        }
    }

    /// Sets the longest wait, 150 ms without this call.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        *match &mut self.argument {
            Argument::Size(argument) => &mut argument.timeout_ns,
            Argument::Range(argument) => &mut argument.timeout_ns,
        } = sealing::nanoseconds(timeout);
        self
    }

    /// Waits for leases as for other pins, and does not break them.
    pub fn keep_leases(mut self) -> Self {
        match &mut self.argument {
            Argument::Size(argument) => argument.flags |= abi::RESIZE_KEEP_LEASES,
            Argument::Range(argument) => argument.flags |= abi::FALLOCATE_KEEP_LEASES,
        }
        self
    }

    /// Waits until the pages are not in use, and removes them.
    ///
    /// # Errors
    ///
    /// Then the object is as it was, but for leases that were revoked. `EBUSY` if pages were in use until
    /// the deadline, `EINTR` if a signal arrived: both with a [report](RemovalError::report). `EPERM` if
    /// a seal forbids it; `EINVAL` if the descriptor is not open for writing.
    pub fn run(mut self) -> Result<RemovalReport, RemovalError> {
        let fd = self.object.descriptor();
        let result = match &mut self.argument {
            Argument::Size(argument) => fd.call(argument),
            Argument::Range(argument) => fd.call(argument),
        };
        let report = self.argument.report();
        match result {
            Ok(()) => Ok(report),
            Err(error) => Err(RemovalError {
                report: matches!(
                    error.kind(),
                    io::ErrorKind::ResourceBusy | io::ErrorKind::Interrupted
                )
                .then_some(report),
                error,
                argument: Box::new(self.argument),
            }),
        }
    }
}

impl Argument {
    fn report(&self) -> RemovalReport {
        let (waited_ns, pinned_pages, first_pinned, revoked_pages) = match *self {
            Self::Size(abi::Resize {
                waited_ns,
                pinned_pages,
                first_pinned,
                revoked_pages,
                ..
            })
            | Self::Range(abi::Fallocate {
                waited_ns,
                pinned_pages,
                first_pinned,
                revoked_pages,
                ..
            }) => (waited_ns, pinned_pages, first_pinned, revoked_pages),
        };
        RemovalReport {
            waited: Duration::from_nanos(waited_ns),
            pinned_pages,
            first_pinned: sealing::page(first_pinned),
            revoked_pages,
        }
    }
}

/// How a removal ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RemovalReport {
    /// Time waited.
    pub waited: Duration,
    /// Pages to be removed that were in use at the last scan.
    pub pinned_pages: u64,
    /// The first of them.
    pub first_pinned: Option<u64>,
    /// Leased pages that were revoked.
    pub revoked_pages: u64,
}

/// Pages were not removed.
#[derive(Debug)]
pub struct RemovalError {
    error: io::Error,
    report: Option<RemovalReport>,
    argument: Box<Argument>,
}

impl RemovalError {
    /// How the wait ended, if there was one.
    pub fn report(&self) -> Option<&RemovalReport> {
        self.report.as_ref()
    }

    /// The kernel's error.
    pub fn io_error(&self) -> &io::Error {
        &self.error
    }

    /// A call that goes on where this one ended, with the same object: the time waited counts against
    /// the same timeout. For [`Interrupted`](io::ErrorKind::Interrupted), or with a longer
    /// [`timeout`](Removal::timeout).
    pub fn resume(self, object: &Object) -> Removal<'_> {
        Removal {
            object,
            argument: *self.argument,
        }
    }
}

impl fmt::Display for RemovalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the pages were not removed: ")?;
        match &self.report {
            Some(report) if self.error.kind() == io::ErrorKind::ResourceBusy => {
                sealing::pages_in_use(f, report.pinned_pages, report.first_pinned)?;
                write!(f, ", after {:.3?}; set a longer timeout", report.waited)
            }
            _ => self.error.fmt(f),
        }
    }
}

impl std::error::Error for RemovalError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// Drops the report.
impl From<RemovalError> for io::Error {
    fn from(error: RemovalError) -> Self {
        io::Error::new(error.error.kind(), error.to_string())
    }
}

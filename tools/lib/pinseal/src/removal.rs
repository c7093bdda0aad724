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
    what: What,
    timeout_ns: u64,
    keep_leases: bool,
}

#[derive(Debug)]
enum What {
    Size(u64),
    Range(Range<u64>),
}

impl<'a> Removal<'a> {
    fn new(object: &'a Object, what: What) -> Self {
        Self {
            object,
            what,
            timeout_ns: 0,
            keep_leases: false,
        }
    }

    pub(crate) fn of_size(object: &'a Object, size: u64) -> Self {
        Self::new(object, What::Size(size))
    }

    pub(crate) fn of_range(object: &'a Object, bytes: Range<u64>) -> Self {
        Self::new(object, What::Range(bytes))
    }

    /// Sets the longest wait, 150 ms without this call.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout_ns = sealing::nanoseconds(timeout);
        self
    }

    /// Waits for leases as for other pins, and does not break them.
    pub fn keep_leases(mut self) -> Self {
        self.keep_leases = true;
        self
    }

    /// Waits until the pages are not in use, and removes them.
    ///
    /// # Errors
    ///
    /// Then the object is as it was, but for leases that were revoked. `EBUSY` if pages were in use until
    /// the deadline, `EINTR` if a signal arrived: both with a [report](RemovalError::report). `EPERM` if
    /// a seal forbids it; `EINVAL` if the descriptor is not open for writing.
    pub fn run(self) -> Result<RemovalReport, RemovalError> {
        let fd = self.object.descriptor();
        let (result, report) = match &self.what {
            &What::Size(size) => {
                let mut argument = abi::Resize {
                    size,
                    timeout_ns: self.timeout_ns,
                    flags: abi::RESIZE_WAIT | self.flag(abi::RESIZE_KEEP_LEASES),
                    ..Default::default()
                };
                let result = fd.call(&mut argument);
                let abi::Resize {
                    waited_ns,
                    pinned_pages,
                    first_pinned,
                    revoked_pages,
                    ..
                } = argument;
                let report = (waited_ns, pinned_pages, first_pinned, revoked_pages);
                (result, report)
            }
            What::Range(bytes) => {
                let mut argument = abi::Fallocate {
                    mode: FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                    flags: abi::FALLOCATE_WAIT | self.flag(abi::FALLOCATE_KEEP_LEASES),
                    offset: bytes.start,
                    len: bytes.end.saturating_sub(bytes.start),
                    timeout_ns: self.timeout_ns,
                    ..Default::default()
                };
                let result = fd.call(&mut argument);
                let abi::Fallocate {
                    waited_ns,
                    pinned_pages,
                    first_pinned,
                    revoked_pages,
                    ..
                } = argument;
                let report = (waited_ns, pinned_pages, first_pinned, revoked_pages);
                (result, report)
            }
        };
        let (waited_ns, pinned_pages, first_pinned, revoked_pages) = report;
        let report = RemovalReport {
            waited: Duration::from_nanos(waited_ns),
            pinned_pages,
            first_pinned: sealing::page(first_pinned),
            revoked_pages,
        };
        match result {
            Ok(()) => Ok(report),
            Err(error) => Err(RemovalError {
                report: matches!(
                    error.kind(),
                    io::ErrorKind::ResourceBusy | io::ErrorKind::Interrupted
                )
                .then_some(report),
                error,
            }),
        }
    }

    fn flag(&self, flag: u32) -> u32 {
        match self.keep_leases {
            true => flag,
            false => 0,
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

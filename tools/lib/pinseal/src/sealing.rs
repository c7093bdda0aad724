// SPDX-License-Identifier: MIT OR Apache-2.0

//! A seal, from what the caller asks for to how it ended.

use crate::{Object, Pending, SealError, Sealed, Seals, abi};
use std::{fmt, time::Duration};

/// How to seal an object. Nothing happens until [`run`](Self::run) or [`start`](Self::start).
///
/// ```no_run
#[doc = include_str!("../examples/doc_seal.rs")]
/// ```
#[must_use = "nothing is sealed until run() or start()"]
#[derive(Debug)]
pub struct Sealing {
    object: Object,
    argument: abi::Seal,
}

impl Sealing {
    pub(crate) fn new(object: Object, seals: Seals) -> Self {
        Self {
            object,
            argument: abi::Seal {
                seals: seals.bits(),
                ..Default::default()
            },
        }
    }

    /// A call that goes on where another one ended. It is waited for, also if that one was in the
    /// background, and what ended that one is not why this one ends.
    pub(crate) fn resumed(object: Object, mut argument: abi::Seal) -> Self {
        argument.flags &= !(abi::SEAL_ASYNC | abi::SEAL_CANCEL);
        argument.outcome = abi::OUTCOME_SEALED;
        Self { object, argument }
    }

    /// Sets the longest wait for what is in the way, 150 ms without this call. A scan that has begun
    /// runs to its end. With [`Duration::ZERO`] the deadline has passed after one scan;
    /// [`no_wait`](Self::no_wait) has patience with what ends by itself.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.argument.timeout_ns = nanoseconds(timeout);
        self
    }

    /// Limits the number of scans. 0 sets no limit, as without this call.
    pub fn max_scans(mut self, scans: u32) -> Self {
        self.argument.max_scans = scans;
        self
    }

    /// Does not wait, except some milliseconds for what ends by itself: a write under way, another
    /// sealer.
    pub fn no_wait(self) -> Self {
        self.with(abi::SEAL_NOWAIT)
    }

    /// Requests to break all leases if pages are in use, and revokes those whose grace is over.
    pub fn revoke(self) -> Self {
        self.with(abi::SEAL_REVOKE)
    }

    /// At the deadline, replaces pages that are still in use by copies, at most 1024. Who uses them
    /// keeps the old ones: what is written there does not reach the object.
    pub fn isolate(self) -> Self {
        self.with(abi::SEAL_ISOLATE)
    }

    /// Waits for shared writable mappings too, within the same bounds. New ones are refused meanwhile.
    pub fn wait_mapped(self) -> Self {
        self.with(abi::SEAL_WAIT_MAPPED)
    }

    fn with(mut self, flag: u32) -> Self {
        self.argument.flags |= flag;
        self
    }

    /// Seals, and waits for that.
    ///
    /// # Errors
    ///
    /// Then the object is as it was, but for leases that were revoked; [`SealError`] has it, with the
    /// reason. A signal ends the wait ([`Outcome::Interrupted`]) if a handler runs for it; otherwise the
    /// kernel restarts the call, with what is left of its bounds.
    pub fn run(mut self) -> Result<Sealed, SealError> {
        match self.object.descriptor().call(&mut self.argument) {
            Ok(()) => Sealed::new(self.object, self.argument),
            Err(error) => Err(SealError::new(self.object, error, self.argument)),
        }
    }

    /// Seals in the background, within the same bounds. An object has one such seal at a time.
    ///
    /// # Errors
    ///
    /// Those that [`run`](Self::run) has before it waits; also `EALREADY` if other seals are being
    /// added in the background, or their result was not collected.
    pub fn start(mut self) -> Result<Pending, SealError> {
        self.argument.scans = 0;
        self.argument.waited_ns = 0;
        Pending::start(self.object, self.argument)
    }

    /// Cancels the seal in the background that adds these seals, whoever began it.
    ///
    /// # Errors
    ///
    /// [`Outcome::Cancelled`], with the object, as it was. If the seal has ended before, its result is
    /// returned. `ENOENT` if there is none; `EALREADY` if it adds other seals.
    pub fn cancel(self) -> Result<Sealed, SealError> {
        Pending::found(self.object, self.argument).cancel()
    }
}

/// A wait as the kernel has it: 0 is the default there, so no wait is the shortest one.
pub(crate) fn nanoseconds(wait: Duration) -> u64 {
    u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX).max(1)
}

/// Why a seal ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// The seals are set.
    Sealed,
    /// A shared mapping is, or could be made, writable.
    WritableMapping,
    /// Pages were in use until the bounds were used up; without such pages, a write or another sealer
    /// was under way all that time.
    Pinned,
    /// A signal handler ran.
    Interrupted,
    /// There was no memory for copies ([`Sealing::isolate`]), or to swap in pages.
    NoMemory,
    /// A large folio that is in use cannot be replaced by a copy.
    LargeFolio,
    /// The seal goes on in the background.
    Pending,
    /// It was cancelled.
    Cancelled,
    /// The object is over a file, and the timeout did not suffice to read the rest of it, or to write
    /// what changed. Another call goes on from there.
    NotFilled,
    /// What a newer kernel says.
    Other(u32),
}

impl Outcome {
    /// A name without spaces.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sealed => "sealed",
            Self::WritableMapping => "writable-mapping",
            Self::Pinned => "pinned",
            Self::Interrupted => "interrupted",
            Self::NoMemory => "no-memory",
            Self::LargeFolio => "large-folio",
            Self::Pending => "pending",
            Self::Cancelled => "cancelled",
            Self::NotFilled => "not-filled",
            Self::Other(_) => "other",
        }
    }
}

impl From<u32> for Outcome {
    fn from(outcome: u32) -> Self {
        match outcome {
            abi::OUTCOME_SEALED => Self::Sealed,
            abi::OUTCOME_WRITABLE_MAPPING => Self::WritableMapping,
            abi::OUTCOME_PINNED => Self::Pinned,
            abi::OUTCOME_INTERRUPTED => Self::Interrupted,
            abi::OUTCOME_NO_MEMORY => Self::NoMemory,
            abi::OUTCOME_LARGE_FOLIO => Self::LargeFolio,
            abi::OUTCOME_PENDING => Self::Pending,
            abi::OUTCOME_CANCELLED => Self::Cancelled,
            abi::OUTCOME_NOT_FILLED => Self::NotFilled,
            other => Self::Other(other),
        }
    }
}

/// How a seal ended, or how far it is.
///
/// It displays as a part of a sentence that says why: "3 pages are in use, the first of them page 100,
/// after 219 scans in 50.1 ms".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SealReport {
    /// Why it ended.
    pub outcome: Outcome,
    /// Number of scans.
    pub scans: u32,
    /// Time waited.
    pub waited: Duration,
    /// Pages that were in use (had extra references) at the last scan.
    pub pinned_pages: u64,
    /// The first of them.
    pub first_pinned: Option<u64>,
    /// Pages that were replaced by copies.
    pub isolated_pages: u64,
    /// Leased pages that were revoked.
    pub revoked_pages: u64,
}

impl SealReport {
    pub(crate) fn new(argument: &abi::Seal) -> Self {
        Self {
            outcome: argument.outcome.into(),
            scans: argument.scans,
            waited: Duration::from_nanos(argument.waited_ns),
            pinned_pages: argument.pinned_pages,
            first_pinned: page(argument.first_pinned),
            isolated_pages: argument.isolated_pages,
            revoked_pages: argument.revoked_pages,
        }
    }
}

/// A page index, if there is one.
pub(crate) fn page(index: u64) -> Option<u64> {
    (index != abi::NO_PAGE).then_some(index)
}

/// "3 pages are in use, the first of them page 100".
pub(crate) fn pages_in_use(
    f: &mut fmt::Formatter<'_>,
    pages: u64,
    first: Option<u64>,
) -> fmt::Result {
    match (pages, first) {
        (1, Some(first)) => write!(f, "page {first} is in use"),
        (_, Some(first)) => write!(
            f,
            "{pages} pages are in use, the first of them page {first}"
        ),
        (_, None) => write!(f, "a write or another sealer is under way"),
    }
}

impl fmt::Display for SealReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.outcome {
            Outcome::Sealed => write!(f, "the seals are set"),
            Outcome::WritableMapping => {
                write!(f, "a shared mapping is, or could be made, writable")
            }
            Outcome::Pending if self.first_pinned.is_none() => write!(
                f,
                "it has just begun, or waits for a mapping, a write or another sealer"
            ),
            Outcome::Pinned | Outcome::Pending => {
                pages_in_use(f, self.pinned_pages, self.first_pinned)
            }
            Outcome::Interrupted => write!(f, "a signal arrived"),
            Outcome::NoMemory => write!(
                f,
                "there is no memory to swap pages in, or to copy those in use"
            ),
            Outcome::LargeFolio => {
                write!(
                    f,
                    "a large folio is in use, which cannot be replaced by a copy"
                )
            }
            Outcome::Cancelled => write!(f, "the seal was cancelled"),
            Outcome::NotFilled => write!(
                f,
                "the timeout did not suffice to read the file below, or to write what changed"
            ),
            Outcome::Other(number) => {
                write!(f, "the kernel gives a reason that is unknown, {number}")
            }
        }?;
        match self.scans {
            0 if self.waited.is_zero() => Ok(()),
            0 => write!(f, ", after {:.3?}", self.waited),
            1 => write!(f, ", after 1 scan in {:.3?}", self.waited),
            scans => write!(f, ", after {scans} scans in {:.3?}", self.waited),
        }
    }
}

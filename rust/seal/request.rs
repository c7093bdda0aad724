// SPDX-License-Identifier: GPL-2.0-only

//! What a caller asks of a seal operation, and the report that it gets.

use crate::{
    object::SealSet,
    uapi,
    wait::{
        Stop,
        WaitBounds, //
    }, //
};

/// A request to add seals.
pub(crate) struct SealRequest {
    /// Seals to add.
    pub(crate) seals: SealSet,
    /// `PINSEAL_SEAL_*`, for trace events.
    pub(crate) flags: u32,
    /// Bounds of the wait.
    pub(crate) bounds: WaitBounds,
    /// Whether to wait for shared writable mappings, as for page references.
    pub(crate) wait_mapped: bool,
    /// Whether to isolate pages that are still pinned at the deadline; and how many were isolated
    /// before the call was restarted.
    pub(crate) isolate: Option<usize>,
    /// Whether to break leases; and how many pages were revoked before the call was restarted.
    pub(crate) revoke: Option<u64>,
}

/// Why a seal operation ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The seals are set.
    Sealed,
    /// A shared writable mapping exists; if those are waited for, existed until the deadline.
    WritableMapping,
    /// Pages had extra references until the deadline.
    Pinned,
    /// No memory to copy a pinned page, or to swap a page in.
    NoMemory,
    /// A large folio was pinned, which cannot be isolated.
    LargeFolio,
    /// The bounds did not suffice to fill the object from its lower file, and to write to that.
    NotFilled,
    /// A signal or task work is pending, and the bounds are not used up. Unless the signal has a
    /// handler, the call is restarted, unseen by the caller.
    Interrupted,
    /// The operation goes on in the background.
    Pending,
    /// The operation in the background was cancelled.
    Cancelled,
}

impl Outcome {
    /// Its number in `enum pinseal_outcome`.
    pub(crate) fn number(self) -> u32 {
        match self {
            Outcome::Sealed => uapi::pinseal_outcome_PINSEAL_OUTCOME_SEALED,
            Outcome::WritableMapping => uapi::pinseal_outcome_PINSEAL_OUTCOME_WRITABLE_MAPPING,
            Outcome::Pinned => uapi::pinseal_outcome_PINSEAL_OUTCOME_PINNED,
            Outcome::NoMemory => uapi::pinseal_outcome_PINSEAL_OUTCOME_NO_MEMORY,
            Outcome::LargeFolio => uapi::pinseal_outcome_PINSEAL_OUTCOME_LARGE_FOLIO,
            Outcome::NotFilled => uapi::pinseal_outcome_PINSEAL_OUTCOME_NOT_FILLED,
            Outcome::Interrupted => uapi::pinseal_outcome_PINSEAL_OUTCOME_INTERRUPTED,
            Outcome::Pending => uapi::pinseal_outcome_PINSEAL_OUTCOME_PENDING,
            Outcome::Cancelled => uapi::pinseal_outcome_PINSEAL_OUTCOME_CANCELLED,
        }
    }
}

impl From<Stop> for Outcome {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Interrupted => Outcome::Interrupted,
            Stop::Cancelled => Outcome::Cancelled,
        }
    }
}

/// How a seal operation ended, or how far it is.
#[derive(Clone, Copy)]
pub(crate) struct SealReport {
    /// Why it ended.
    pub(crate) outcome: Outcome,
    /// Number of scans, with those before a restart.
    pub(crate) scans: u32,
    /// Time waited, with that before a restart, in nanoseconds.
    pub(crate) waited_ns: u64,
    /// Pages with extra references at the last scan.
    pub(crate) pinned_pages: u64,
    /// The lowest index of such a page.
    pub(crate) first_pinned: Option<usize>,
    /// Pages that were isolated.
    pub(crate) isolated_pages: usize,
    /// Leased pages that were revoked.
    pub(crate) revoked_pages: u64,
}

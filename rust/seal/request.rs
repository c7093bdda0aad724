// SPDX-License-Identifier: GPL-2.0-only

//! What somebody wants sealed, and what becomes of it.

use crate::{
    object::seals::SealSet,
    uapi, //
    wait::bounds::Budget,
};

/// How long to wait when the caller does not say, in nanoseconds: as long as memfd waits.
pub(crate) const DEFAULT_TIMEOUT_NS: u64 = 150_000_000;

/// What somebody wants sealed, and how.
pub(crate) struct SealRequest {
    /// Seals to add.
    pub(crate) seals: SealSet,
    /// `PINSEAL_SEAL_*`, for traces.
    pub(crate) flags: u32,
    /// Bounds, and what of them was used up before.
    pub(crate) budget: Budget,
    /// Whether pages that are held when the bounds are used up are to be replaced by copies; and how
    /// many were, before the call was restarted.
    pub(crate) isolate: Option<usize>,
    /// Whether leased pages are to be asked for, and taken; and how many were, likewise.
    pub(crate) revoke: Option<u64>,
}

/// Why a seal call ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The seals are set.
    Sealed,
    /// There is a shared writable mapping.
    WritableMapping,
    /// Pages had extra references until the bounds were used up.
    Pinned,
    /// There was no memory to copy a page that was held, or for one to come back from swap.
    NoMemory,
    /// A folio of more than one page was held, which cannot be replaced.
    LargeFolio,
    /// A signal came, or task work has to run. Bounds are left: unless the signal has a handler, the
    /// call is to be made again, unseen by the caller.
    Interrupted,
    /// It has not ended, but goes on in the background.
    Pending,
    /// It went on in the background, and somebody put an end to it.
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
            Outcome::Interrupted => uapi::pinseal_outcome_PINSEAL_OUTCOME_INTERRUPTED,
            Outcome::Pending => uapi::pinseal_outcome_PINSEAL_OUTCOME_PENDING,
            Outcome::Cancelled => uapi::pinseal_outcome_PINSEAL_OUTCOME_CANCELLED,
        }
    }
}

/// How a seal call ended, or how far it got.
#[derive(Clone, Copy)]
pub(crate) struct SealReport {
    /// Why.
    pub(crate) outcome: Outcome,
    /// Looks taken, with those of calls before.
    pub(crate) scans: u32,
    /// Time waited, with that of calls before, in nanoseconds.
    pub(crate) waited_ns: u64,
    /// Pages with extra references at the last look.
    pub(crate) pinned_pages: u64,
    /// The lowest index of one, in pages.
    pub(crate) first_pinned: Option<usize>,
    /// Pages that were replaced by copies.
    pub(crate) isolated_pages: usize,
    /// Leased pages that were taken.
    pub(crate) revoked_pages: u64,
}

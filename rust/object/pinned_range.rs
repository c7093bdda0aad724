// SPDX-License-Identifier: GPL-2.0-only

//! Pages that one handle pins, and the state of their lease.
//!
//! # Lock order
//!
//! `PinnedRange::state` is taken with at most the seal exclusion and `PinTable::inner` held. No lock of
//! this module is taken under it, and nothing is copied from or to user space.

use crate::{
    compat::estale,
    fs::pinned::PinnedPages,
    mm::memlock::MemlockCharge,
    sync::poll::{
        PollQueue,
        Poller, //
    },
    trampolines::trace,
    uapi, //
};
use core::{
    mem::replace,
    ops::Range,
    ptr, //
};
use kernel::{
    new_mutex,
    prelude::*,
    static_lock_class,
    sync::{
        aref::ARef,
        Arc,
        Mutex, //
    },
    task::Task,
    time::{
        hrtimer::HrTimerExpires,
        Delta,
        Instant,
        Monotonic, //
    }, //
};

/// How long a withdrawn break request is remembered for a restarted call, in milliseconds.
const RESTART_MS: i64 = 50;

/// Access that pinned pages give.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum PinAccess {
    /// Read only.
    Read,
    /// Read and write.
    Write,
}

impl PinAccess {
    /// The `PINSEAL_PIN_*` flags of this access.
    pub(crate) fn flags(self) -> u32 {
        match self {
            PinAccess::Read => uapi::PINSEAL_PIN_READONLY,
            PinAccess::Write => 0,
        }
    }
}

/// Terms under which pages are pinned.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum PinTerms {
    /// Pinned until the handle is closed.
    Unleased,
    /// Revocable, this long after a break was requested.
    Leased(Delta),
}

/// A pending request to break a lease.
#[derive(Clone)]
pub(crate) struct BreakRequest {
    /// The requester. There is one at a time: it owns the object's seal exclusion.
    pub(crate) by: ARef<Task>,
    /// When the pages are revoked.
    pub(crate) deadline: Instant<Monotonic>,
}

impl BreakRequest {
    /// The deadline in nanoseconds of `CLOCK_MONOTONIC`.
    pub(crate) fn deadline_ns(&self) -> u64 {
        // CAST: The clock is never negative.
        HrTimerExpires::as_nanos(&self.deadline) as u64
    }
}

/// The pins, and their charge.
struct Pins {
    pages: PinnedPages,
    _charge: MemlockCharge,
}

/// A request that its requester has withdrawn, but repeats if its call is restarted.
struct Withdrawn {
    request: BreakRequest,
    at: Instant<Monotonic>,
}

enum State {
    /// Pinned.
    Held(Pins, Option<Withdrawn>),
    /// Pinned, and a break is requested.
    Breaking(Pins, BreakRequest),
    /// The lease was broken: unpinned.
    Revoked,
    /// The handle was closed: unpinned.
    Released,
}

/// State of a lease as its holder sees it.
pub(crate) enum LeaseState {
    /// Pinned.
    Held,
    /// Pinned, and a break is requested.
    Breaking(BreakRequest),
    /// Unpinned.
    Revoked,
}

/// Pages of an object that one handle pins.
#[pin_data]
pub(crate) struct PinnedRange {
    /// Number of the object, for trace events.
    object: u64,
    since: Instant<Monotonic>,
    pages: Range<usize>,
    access: PinAccess,
    terms: PinTerms,
    #[pin]
    state: Mutex<State>,
    /// Woken when a break is requested, and when the pages are revoked.
    #[pin]
    pollers: PollQueue,
}

impl PinnedRange {
    /// The range of pages that were pinned as `pinned`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(
        object: u64,
        pages: Range<usize>,
        access: PinAccess,
        terms: PinTerms,
        pinned: PinnedPages,
        charge: MemlockCharge,
    ) -> Result<Arc<Self>> {
        let pins = Pins {
            pages: pinned,
            _charge: charge,
        };
        Arc::pin_init(
            pin_init!(Self {
                object,
                since: Instant::now(),
                pages,
                access,
                terms,
                state <- new_mutex!(State::Held(pins, None), "pinseal::PinnedRange::state"),
                pollers <- PollQueue::new(c"pinseal::PinnedRange::pollers", static_lock_class!()),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// The pages, as indices in the object.
    pub(crate) fn pages(&self) -> &Range<usize> {
        &self.pages
    }

    /// Terms of the pins.
    pub(crate) fn terms(&self) -> PinTerms {
        self.terms
    }

    /// The `PINSEAL_PIN_*` flags of access and terms.
    pub(crate) fn flags(&self) -> u32 {
        let leased = match self.terms {
            PinTerms::Unleased => 0,
            PinTerms::Leased(_) => uapi::PINSEAL_PIN_LEASED,
        };
        leased | self.access.flags()
    }

    /// Time between a break request and the revocation, in nanoseconds; 0 without a lease.
    pub(crate) fn grace_ns(&self) -> u64 {
        match self.terms {
            PinTerms::Unleased => 0,
            // CAST: Never negative.
            PinTerms::Leased(grace) => grace.as_nanos() as u64,
        }
    }

    /// Emits the trace event of the pin.
    pub(crate) fn trace(&self) {
        trace::pin(self.object, &self.pages, self.flags(), self.grace_ns());
    }

    /// Calls `f` with the pages. They stay pinned until it returns. A revocation waits for that, so
    /// `f` must be short.
    ///
    /// # Errors
    ///
    /// `ESTALE` when they were revoked. Those of `f`.
    pub(crate) fn with_pages<R>(&self, f: impl FnOnce(&PinnedPages) -> Result<R>) -> Result<R> {
        match &*self.state.lock() {
            State::Held(pins, _) | State::Breaking(pins, _) => f(&pins.pages),
            State::Revoked | State::Released => Err(estale()),
        }
    }

    /// Whether the pages are pinned.
    pub(super) fn is_held(&self) -> bool {
        matches!(&*self.state.lock(), State::Held(..) | State::Breaking(..))
    }

    /// State of the lease.
    pub(crate) fn lease_state(&self) -> LeaseState {
        match &*self.state.lock() {
            State::Held(..) => LeaseState::Held,
            State::Breaking(_, request) => LeaseState::Breaking(request.clone()),
            State::Revoked | State::Released => LeaseState::Revoked,
        }
    }

    /// State of the lease. `poller` is woken when it changes.
    pub(crate) fn poll(&self, poller: &Poller<'_>) -> LeaseState {
        self.pollers.register(poller);
        self.lease_state()
    }

    /// Unpins the pages, because the handle is closed.
    pub(crate) fn release(&self) {
        let old = replace(&mut *self.state.lock(), State::Released);
        self.unpin(old);
        trace::unpin(self.object, &self.pages, self.since);
    }

    /// Unpins what `old` holds. Returns the number of pages.
    fn unpin(&self, old: State) -> u64 {
        let (State::Held(pins, _) | State::Breaking(pins, _)) = old else {
            return 0;
        };
        if self.access == PinAccess::Write {
            pins.pages.mark_dirty();
        }
        self.pages.len() as u64
    }

    /// Requests to break the lease, on behalf of `by`.
    ///
    /// A restarted call repeats its request; the grace that had run before the restart counts.
    pub(crate) fn request_break(&self, by: &ARef<Task>, grace: Delta) {
        let mut state = self.state.lock();
        *state = match replace(&mut *state, State::Released) {
            State::Held(pins, Some(withdrawn))
                if ptr::eq(&raw const *withdrawn.request.by, &raw const **by)
                    && withdrawn.at.elapsed().as_millis() < RESTART_MS =>
            {
                State::Breaking(pins, withdrawn.request)
            }
            State::Held(pins, _) => State::Breaking(
                pins,
                BreakRequest {
                    by: by.clone(),
                    deadline: Instant::now() + grace,
                },
            ),
            other => other,
        };
        if let State::Breaking(_, request) = &*state {
            trace::lease_asked(self.object, &self.pages, request.deadline_ns());
        }
        drop(state);
        self.pollers.wake();
    }

    /// Withdraws the request. If the call `restarts`, the request is remembered for a moment.
    pub(crate) fn withdraw_break(&self, restarts: bool) {
        let mut state = self.state.lock();
        *state = match replace(&mut *state, State::Released) {
            State::Breaking(pins, request) => {
                let at = Instant::now();
                State::Held(pins, restarts.then_some(Withdrawn { request, at }))
            }
            other => other,
        };
    }

    /// Revokes the pages if the deadline of the request has passed. Returns the number of pages.
    pub(crate) fn revoke_expired(&self, now: Instant<Monotonic>) -> u64 {
        let mut state = self.state.lock();
        let is_expired = match &*state {
            State::Breaking(_, request) => (request.deadline - now).as_nanos() <= 0,
            _ => false,
        };
        if !is_expired {
            return 0;
        }
        let old = replace(&mut *state, State::Revoked);
        drop(state);
        let revoked = self.unpin(old);
        trace::lease_revoked(self.object, &self.pages, self.since);
        self.pollers.wake();
        revoked
    }
}

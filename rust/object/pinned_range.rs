// SPDX-License-Identifier: GPL-2.0-only

//! Pages of an object that somebody holds pinned, and what becomes of them: they are let go of or, when
//! they are held on a lease, asked for and taken.
//!
//! # Lock order
//!
//! `Holding::state` is taken with nothing held but the turn to seal and, when the last file of an object
//! goes, `OpenObject::background`; and nothing of ours is taken under it. Nothing is copied from or to
//! user space under it.

use crate::{
    compat::estale,
    fs::pinned::PinnedPages,
    mm::memlock::LockedMemory,
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

/// How soon who gave up asks again when the call was restarted, in milliseconds.
const RESTART_MS: i64 = 50;

/// What one may do with pinned pages.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum PinAccess {
    /// Read them.
    Read,
    /// Read and write them.
    Write,
}

impl PinAccess {
    /// `PINSEAL_PIN_*` of it.
    pub(crate) fn flags(self) -> u32 {
        match self {
            PinAccess::Read => uapi::PINSEAL_PIN_READONLY,
            PinAccess::Write => 0,
        }
    }
}

/// How pages are held.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Terms {
    /// Until their holder lets go of them.
    ForGood,
    /// Until somebody wants them, and has waited for this long.
    Leased(Delta),
}

/// That somebody wants pages.
#[derive(Clone)]
pub(crate) struct Asked {
    /// Who. There is one at a time: who asks has the turn.
    pub(crate) by: ARef<Task>,
    /// When they are taken.
    pub(crate) until: Instant<Monotonic>,
}

impl Asked {
    /// When they are taken, in nanoseconds of `CLOCK_MONOTONIC`.
    pub(crate) fn until_ns(&self) -> u64 {
        // CAST: The clock is never negative.
        HrTimerExpires::as_nanos(&self.until) as u64
    }
}

/// The pins, and what they cost.
struct Pins {
    pages: PinnedPages,
    _charge: LockedMemory,
}

/// That somebody wanted pages, and may come back at once.
struct GaveUp {
    asked: Asked,
    at: Instant<Monotonic>,
}

enum State {
    /// Nobody wants them.
    Held(Pins, Option<GaveUp>),
    /// Somebody does.
    Asked(Pins, Asked),
    /// They were taken.
    Revoked,
    /// They were given back.
    LetGo,
}

/// What is known of pages from outside.
pub(crate) enum Standing {
    /// Nobody wants them.
    Held,
    /// Somebody does.
    Asked(Asked),
    /// They were taken.
    Revoked,
}

/// Pages of an object that somebody holds pinned.
#[pin_data]
pub(crate) struct Holding {
    /// The number of the object.
    object: u64,
    since: Instant<Monotonic>,
    /// Which.
    range: Range<usize>,
    access: PinAccess,
    terms: Terms,
    #[pin]
    state: Mutex<State>,
    /// Woken up when somebody wants the pages, and when they were taken.
    #[pin]
    pollers: PollQueue,
}

impl Holding {
    /// Holds pages of the range that were pinned.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(
        object: u64,
        range: Range<usize>,
        access: PinAccess,
        terms: Terms,
        pages: PinnedPages,
        charge: LockedMemory,
    ) -> Result<Arc<Self>> {
        let pins = Pins {
            pages,
            _charge: charge,
        };
        Arc::pin_init(
            pin_init!(Self {
                object,
                since: Instant::now(),
                range,
                access,
                terms,
                state <- new_mutex!(State::Held(pins, None), "pinseal::Holding::state"),
                pollers <- PollQueue::new(c"pinseal::Holding::pollers", static_lock_class!()),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// The pages, as indices in the object.
    pub(crate) fn range(&self) -> &Range<usize> {
        &self.range
    }

    /// How they are held.
    pub(crate) fn terms(&self) -> Terms {
        self.terms
    }

    /// `PINSEAL_PIN_*` of the access and terms.
    pub(crate) fn flags(&self) -> u32 {
        let leased = match self.terms {
            Terms::ForGood => 0,
            Terms::Leased(_) => uapi::PINSEAL_PIN_LEASED,
        };
        leased | self.access.flags()
    }

    /// How long who wants them waits, in nanoseconds; 0 when they are not on a lease.
    pub(crate) fn grace_ns(&self) -> u64 {
        match self.terms {
            Terms::ForGood => 0,
            // CAST: Made from what is not negative.
            Terms::Leased(grace) => grace.as_nanos() as u64,
        }
    }

    /// Tells who traces that they are pinned.
    pub(crate) fn trace(&self) {
        trace::pin(self.object, &self.range, self.flags(), self.grace_ns());
    }

    /// Calls `f` with the pages. They stay pinned until it returns, which is to be soon: who wants them
    /// waits for that.
    ///
    /// # Errors
    ///
    /// `ESTALE` when they were taken. Those of `f`.
    pub(crate) fn with_pages<R>(&self, f: impl FnOnce(&PinnedPages) -> Result<R>) -> Result<R> {
        match &*self.state.lock() {
            State::Held(pins, _) | State::Asked(pins, _) => f(&pins.pages),
            State::Revoked | State::LetGo => Err(estale()),
        }
    }

    /// Whether they are still held.
    pub(crate) fn is_there(&self) -> bool {
        matches!(&*self.state.lock(), State::Held(..) | State::Asked(..))
    }

    /// What somebody who holds them, or polls, may want to know.
    pub(crate) fn standing(&self) -> Standing {
        match &*self.state.lock() {
            State::Held(..) => Standing::Held,
            State::Asked(_, asked) => Standing::Asked(asked.clone()),
            State::Revoked | State::LetGo => Standing::Revoked,
        }
    }

    /// Has `poller` woken up when that changes.
    pub(crate) fn poll(&self, poller: &Poller<'_>) -> Standing {
        self.pollers.register(poller);
        self.standing()
    }

    /// Gives the pages back.
    pub(crate) fn let_go(&self) {
        let old = replace(&mut *self.state.lock(), State::LetGo);
        self.free(old);
        trace::unpin(self.object, &self.range, self.since);
    }

    /// Frees what a state holds. Returns how many pages were asked for once.
    fn free(&self, old: State) -> u64 {
        let (State::Held(pins, _) | State::Asked(pins, _)) = old else {
            return 0;
        };
        if self.access == PinAccess::Write {
            pins.pages.mark_dirty();
        }
        self.range.len() as u64
    }

    /// Wants the pages, on behalf of `by`.
    ///
    /// A call that was restarted asks anew, and the time that the holder had before counts.
    pub(crate) fn ask(&self, by: &ARef<Task>, grace: Delta) {
        let mut state = self.state.lock();
        *state = match replace(&mut *state, State::LetGo) {
            State::Held(pins, Some(before))
                if ptr::eq(&raw const *before.asked.by, &raw const **by)
                    && before.at.elapsed().as_millis() < RESTART_MS =>
            {
                State::Asked(pins, before.asked)
            }
            State::Held(pins, _) => State::Asked(
                pins,
                Asked {
                    by: by.clone(),
                    until: Instant::now() + grace,
                },
            ),
            other => other,
        };
        if let State::Asked(_, asked) = &*state {
            trace::lease_asked(self.object, &self.range, asked.until_ns());
        }
        drop(state);
        self.pollers.wake();
    }

    /// Does not want them any more, unless the call is restarted: then it is remembered for a moment.
    pub(crate) fn unask(&self, comes_back: bool) {
        let mut state = self.state.lock();
        *state = match replace(&mut *state, State::LetGo) {
            State::Asked(pins, asked) => {
                let at = Instant::now();
                State::Held(pins, comes_back.then_some(GaveUp { asked, at }))
            }
            other => other,
        };
    }

    /// Takes the pages if their time is up. Returns how many it took.
    pub(crate) fn take_if_due(&self, now: Instant<Monotonic>) -> u64 {
        let mut state = self.state.lock();
        let is_due = match &*state {
            State::Asked(_, asked) => (asked.until - now).as_nanos() <= 0,
            _ => false,
        };
        if !is_due {
            return 0;
        }
        let old = replace(&mut *state, State::Revoked);
        drop(state);
        let taken = self.free(old);
        trace::lease_revoked(self.object, &self.range, self.since);
        self.pollers.wake();
        taken
    }
}

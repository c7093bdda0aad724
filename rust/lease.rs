// SPDX-License-Identifier: GPL-2.0-only

//! Pages that somebody holds pinned, and those of them that are held on a lease: who wants them asks
//! for them first, and takes them when the time is up that was agreed on.
//!
//! # Lock order
//!
//! 1. the turn to seal, which is no lock
//! 2. `Holdings::list`
//! 3. `Holding::state`
//!
//! Nothing is copied from or to user space under any of these.

use crate::{
    mm::{
        locked_memory::LockedMemory,
        pinned::PinnedPages, //
    },
    sync::poll_queue::{
        PollQueue,
        Poller, //
    },
    sys::{
        compat::estale,
        trace, //
    },
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
    rbtree::{
        RBTree,
        RBTreeNodeReservation, //
    },
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
    /// Woken up when [`Standing`] changes.
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
    fn is_there(&self) -> bool {
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
    fn ask(&self, by: &ARef<Task>, grace: Delta) {
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
    fn unask(&self, comes_back: bool) {
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
    fn take_if_due(&self, now: Instant<Monotonic>) -> u64 {
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

/// What is held of an object.
#[pin_data]
pub(crate) struct Holdings {
    #[pin]
    list: Mutex<List>,
}

/// Where a holding is among the others: by its first page, and by a number, in the order in which
/// they came.
pub(crate) type Place = (usize, u64);

struct List {
    all: RBTree<Place, Arc<Holding>>,
    /// The number of the next.
    next: u64,
    /// How many pages one has at most, of all that there were since there was none.
    longest: usize,
    count: Count,
}

/// How many holdings there are.
#[derive(Clone, Copy)]
pub(crate) struct Count {
    /// All.
    pub(crate) all: usize,
    /// Those on a lease.
    pub(crate) leased: usize,
}

impl Count {
    fn of(holding: &Holding) -> Self {
        Self {
            all: 1,
            leased: (holding.terms != Terms::ForGood).into(),
        }
    }
}

impl Holdings {
    /// Nothing.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            list <- new_mutex!(
                List {
                    all: RBTree::new(),
                    next: 0,
                    longest: 0,
                    count: Count { all: 0, leased: 0 },
                },
                "pinseal::Holdings::list"
            ),
        })
    }

    /// Adds what somebody holds. Returns its place.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn add(&self, holding: &Arc<Holding>) -> Result<Place> {
        let node = RBTreeNodeReservation::new(GFP_KERNEL_ACCOUNT)?;
        let one = Count::of(holding);
        let mut list = self.list.lock();
        let place = (holding.range.start, list.next);
        list.next += 1;
        list.longest = list.longest.max(holding.range.len());
        list.all.insert(node.into_node(place, holding.clone()));
        list.count.all += one.all;
        list.count.leased += one.leased;
        Ok(place)
    }

    /// Whether any of the pages is held. (It may have been taken away from the object since then.)
    pub(crate) fn hold_any(&self, pages: &Range<usize>) -> bool {
        let mut list = self.list.lock();
        let from = (pages.start.saturating_sub(list.longest), 0);
        let mut cursor = list.all.cursor_lower_bound_mut(&from);
        while let Some(at) = cursor {
            let (&(start, _), holding) = at.current();
            if start >= pages.end {
                break;
            }
            if pages.start < holding.range.end && holding.is_there() {
                return true;
            }
            cursor = at.move_next();
        }
        false
    }

    /// Removes the one at that place.
    pub(crate) fn remove(&self, place: Place) {
        let mut list = self.list.lock();
        let removed = list.all.remove(&place);
        if let Some(holding) = &removed {
            let one = Count::of(holding);
            list.count.all -= one.all;
            list.count.leased -= one.leased;
        }
        if list.all.is_empty() {
            list.longest = 0;
        }
        drop(list);
        drop(removed);
    }

    /// How many there are.
    pub(crate) fn count(&self) -> Count {
        self.list.lock().count
    }
}

/// Somebody who wants leased pages, until it is dropped.
pub(crate) struct Asking {
    by: ARef<Task>,
    range: Range<usize>,
    asked: KVVec<Arc<Holding>>,
    /// The number of the first holding that was not there yet when it last asked.
    next: u64,
    taken: u64,
    /// Whether the call is restarted.
    comes_back: bool,
}

impl Asking {
    /// On behalf of `by`, who wants those of the range. Nobody was asked so far; `taken` pages were
    /// taken before the call was restarted.
    pub(crate) fn new(by: ARef<Task>, range: Range<usize>, taken: u64) -> Self {
        Self {
            by,
            range,
            asked: KVVec::new(),
            next: 0,
            taken,
            comes_back: false,
        }
    }

    /// Says that the call is restarted: what it asked for before counts then.
    pub(crate) fn comes_back(&mut self) {
        self.comes_back = true;
    }

    /// Asks who was not asked yet, and takes from those whose time is up. Returns whether there were
    /// any. Unless it `may_wait`, it asks those only who have no time.
    ///
    /// Context: sleeps, for moments.
    pub(crate) fn go_on(&mut self, holdings: &Holdings, may_wait: bool) -> bool {
        // Without memory for them, they are asked later.
        let _ = self.ask(holdings, may_wait);
        let now = Instant::now();
        let mut taken = 0;
        for holding in &self.asked {
            taken += holding.take_if_due(now);
        }
        // What there was before is what the caller says.
        self.taken = self.taken.saturating_add(taken);
        taken != 0
    }

    fn ask(&mut self, holdings: &Holdings, may_wait: bool) -> Result {
        let mut list = holdings.list.lock();
        if self.next == list.next {
            return Ok(());
        }
        let next = list.next;
        // First room for all, so that nobody is asked twice.
        self.asked.reserve(list.count.leased, GFP_KERNEL)?;
        let mut cursor = list.all.cursor_front_mut();
        while let Some(at) = cursor {
            let (&(_, number), holding) = at.current();
            let range = holding.range();
            if let (Terms::Leased(grace), true) = (holding.terms(), number >= self.next) {
                let is_wanted = range.start < self.range.end && self.range.start < range.end;
                if is_wanted && (may_wait || grace.is_zero()) {
                    // There is room.
                    if self.asked.push_within_capacity(holding.clone()).is_ok() {
                        holding.ask(&self.by, grace);
                    }
                }
            }
            cursor = at.move_next();
        }
        self.next = next;
        Ok(())
    }

    /// How many pages were taken.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        for holding in &self.asked {
            holding.unask(self.comes_back);
        }
    }
}

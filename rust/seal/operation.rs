// SPDX-License-Identifier: GPL-2.0-only

//! An attempt to add seals, as a sequence of steps none of which waits for what user space does.
//!
//! 1. Take the turn: sealers of one object come one after the other.
//! 2. Deny writable mappings of the memory: from here on nobody can make a shared writable mapping,
//!    and there is none.
//! 3. Look at all pages under the inode lock, and have those in swap come back for it. When all pass,
//!    set the seals under that same hold of the lock. This is the common case.
//! 4. When readers may be what does not pass, hold new ones up for a moment, clear page tables, and
//!    look again.
//! 5. Otherwise let go of the inode lock and look at those that did not pass, with pauses in between
//!    and without any lock, until they pass; then go to 3, because somebody with another way to the
//!    memory than ours may have come meanwhile.
//! 6. When the caller's bounds are used up, pages that are still held are replaced by copies, if the
//!    caller wants that, and the seals set under the same hold of the inode lock.
//! 7. When that is not wanted or cannot be done, or a signal comes, undo 2 and report.
//!
//! The turn and the denial belong to the attempt, whoever takes its steps. Why this is sound is
//! argued in `Documentation/design.rst`.

use crate::{
    fs::shmem::WritableDenied,
    object::exclusion::{
        HasGate,
        SealingTurn,
        Sleeper,
        Wake, //
    },
    object::Object,
    seal::commit::{
        Tried,
        Tries, //
    }, //
    seal::request::{
        Outcome,
        SealReport,
        SealRequest, //
    },
    sync::sleep::Nap,
    trampolines::trace,
    wait::context::Driver,
    wait::lease_break::Asking,
    wait::retry::DRAIN_NS,
    wait::scan::Look,
};
use kernel::{
    prelude::*,
    sync::Arc,
    time::{
        Instant,
        Monotonic, //
    }, //
};

/// How many times [`DRAIN_NS`] that may take before pages are isolated.
const DRAIN_PAUSES: u32 = 33;

/// How many times isolating is tried. In between there is one such pause at most.
const ISOLATE_TRIES: u32 = 50;

/// Where an attempt is after a step.
#[must_use]
pub(crate) enum Progress {
    /// It has ended.
    Ended(Outcome),
    /// The next step is to be taken when this is over.
    NotYet(Pause),
}

/// A pause between two steps. Times are in nanoseconds.
#[derive(Clone, Copy)]
pub(crate) enum Pause {
    /// Until the turn is free, but not longer than this.
    UntilTurn(u64),
    /// So long, within the bounds of the attempt.
    BetweenLooks(u64),
    /// So long. The bounds are used up: there are few of these, all short.
    BetweenLastTries(u64),
}

/// What an attempt is at, once it has the turn.
enum Phase {
    /// What the seals imply, and so what it takes to set them, is to be found out.
    Planning,
    /// They do not depend on the pages, and only have to be set.
    Setting,
    /// Pages are being looked at.
    Looking,
    /// In vain: once LRU batches are drained, what is held will be replaced. So many pauses are left
    /// for that, and so many tries.
    Draining { pauses: u32, tries: u32 },
    /// What is held is being replaced. So many tries are left, this one included.
    Isolating { tries: u32 },
}

/// An attempt to add seals.
pub(crate) struct Attempt {
    object: Arc<Object>,
    /// Whether to isolate pages in the end.
    isolate: bool,
    /// Who asks for leased pages, if that is wanted; from the first pause on.
    asking: Option<Asking>,
    phase: Phase,
    /// From [`Phase::Looking`] on.
    denied: Option<WritableDenied>,
    /// Since it came.
    turn: Option<SealingTurn<Object>>,
    /// Who is to be told when pages are let go of, until it has the turn.
    waker: Option<KBox<dyn Wake>>,
    tries: Tries,
}

impl Attempt {
    /// An attempt of which nothing is done yet.
    pub(crate) fn new(object: Arc<Object>, request: SealRequest, driver: Driver) -> Self {
        trace::seal_begin(
            object.number(),
            request.seals.bits(),
            request.flags,
            request.budget.timeout_ns(),
        );
        Self {
            object,
            isolate: request.isolate.is_some(),
            asking: request
                .revoke
                .map(|taken| Asking::new(current!().group_leader().into(), 0..usize::MAX, taken)),
            phase: Phase::Planning,
            denied: None,
            turn: None,
            waker: None,
            tries: Tries::new(
                driver,
                request.seals,
                request.budget,
                request.isolate.unwrap_or(0),
            ),
        }
    }

    /// Has `waker` told when it may be worth taking the next step before the pause is over.
    pub(crate) fn wake_by(mut self, waker: KBox<dyn Wake>) -> Self {
        self.waker = Some(waker);
        self
    }

    /// Takes a step. After it has ended, none is to be taken any more.
    ///
    /// Context: sleeps, but for nothing that takes long except for swap.
    ///
    /// # Errors
    ///
    /// `EPERM` when no seals can be added (any more); when this is the first use of the object, those
    /// of [`Object::memory`]. Then it has ended.
    pub(crate) fn step(&mut self) -> Result<Progress> {
        if self.turn.is_none() {
            self.turn = SealingTurn::try_take(&self.object);
            if let Some(turn) = &self.turn {
                if let Some(waker) = self.waker.take() {
                    turn.tell(|| Sleeper::Other(waker));
                }
            }
            // The holder of the turn, now or before, may have put an end to it.
            self.object.seals().check_addable()?;
        }
        let began = self.tries.patience().look_begins();
        if let Some(turn) = &self.turn {
            turn.begin_to_look();
        }
        loop {
            if let Some(progress) = self.advance(began)? {
                return Ok(progress);
            }
        }
    }

    /// Does the next thing. Returns what the step comes to, if it is over with that.
    fn advance(&mut self, began: Option<Instant<Monotonic>>) -> Result<Option<Progress>> {
        let object = &*self.object;
        let memory = object.memory()?;
        let tries = &mut self.tries;
        let Some(turn) = &self.turn else {
            return Ok(Some(match tries.patience().left_without_turn_ns() {
                Some(ns) => Progress::NotYet(Pause::UntilTurn(ns)),
                None => {
                    // Tell what that one waits for.
                    tries.only_look(memory);
                    Progress::Ended(Outcome::Pinned)
                }
            }));
        };

        let tried = match &mut self.phase {
            Phase::Planning => {
                tries.patience().start_anew();
                self.phase = match tries.ends_writing(object, memory) {
                    false => Phase::Setting,
                    true => Phase::Looking,
                };
                if let Phase::Looking = self.phase {
                    self.denied = memory.deny_writable();
                    if self.denied.is_none() {
                        return Ok(Some(Progress::Ended(Outcome::WritableMapping)));
                    }
                }
                return Ok(None);
            }
            Phase::Setting => tries.set_seals(memory, turn)?,
            Phase::Looking => {
                let tried = tries.look_and_set_seals(memory, turn)?;
                tries.trace(object.number());
                tried
            }
            Phase::Draining {
                pauses,
                tries: left,
            } => {
                let patience = tries.patience();
                if *pauses == 0 || patience.is_drained() {
                    patience.stop_draining();
                    self.phase = Phase::Isolating { tries: *left };
                    return Ok(None);
                }
                *pauses -= 1;
                return Ok(Some(Progress::NotYet(Pause::BetweenLastTries(DRAIN_NS))));
            }
            Phase::Isolating { .. } => {
                let before = tries.isolated_pages();
                let tried = tries.isolate_and_set_seals(memory, turn)?;
                trace::isolate(object.number(), tries.isolated_pages() - before);
                tried
            }
        };
        let outcome = match tried {
            Tried::Sealed => {
                if let Some(denied) = self.denied.take() {
                    denied.forever();
                }
                return Ok(Some(Progress::Ended(Outcome::Sealed)));
            }
            Tried::EndsWriting => {
                self.phase = Phase::Planning;
                return Ok(None);
            }
            Tried::Failed(outcome) => return Ok(Some(Progress::Ended(outcome))),
            Tried::InTheWay(outcome) => outcome,
        };
        turn.hold_writers();

        Ok(self.after(outcome, began))
    }

    /// What follows when something was in the way.
    #[cold]
    fn after(&mut self, outcome: Outcome, began: Option<Instant<Monotonic>>) -> Option<Progress> {
        if let Phase::Isolating { tries } = self.phase {
            if tries <= 1 {
                return Some(Progress::Ended(outcome));
            }
            // Copies may be on their way to the LRU lists, on a CPU that this ran on before.
            return self.drain_and_isolate(1, tries - 1);
        }
        let left_ns = self.tries.patience().left_ns();
        if let (Some(asking), true) = (&mut self.asking, self.tries.is_held_by_somebody()) {
            // Taken is only what one more look is left for.
            let budget = self.tries.budget();
            let may_wait = left_ns.is_some() && budget.waits_for_holders();
            if budget.allows_scan() && asking.go_on(self.object.holdings(), may_wait) {
                return None;
            }
        }
        let Some(left_ns) = left_ns else {
            if let (true, Phase::Looking) = (self.isolate, &self.phase) {
                // What is merely on its way to the LRU lists is not to be copied.
                return self.drain_and_isolate(DRAIN_PAUSES, ISOLATE_TRIES);
            }
            return Some(Progress::Ended(outcome));
        };
        if let Some(turn) = &self.turn {
            self.tries.release_readers_for_now(turn);
        }
        let ns = self.tries.patience().next_pause(left_ns, began);
        Some(Progress::NotYet(Pause::BetweenLooks(ns)))
    }

    fn drain_and_isolate(&mut self, pauses: u32, tries: u32) -> Option<Progress> {
        if let Some(turn) = &self.turn {
            // Until the next try.
            turn.release_readers();
        }
        self.tries.patience().drain_anyhow();
        self.phase = Phase::Draining { pauses, tries };
        None
    }

    /// Sleeps between two steps, until the time is up, what is waited for has come, or the current
    /// task should go back to user space.
    ///
    /// Context: sleeps.
    #[cold]
    pub(crate) fn pause(&self, pause: Pause) {
        match pause {
            Pause::UntilTurn(ns) => self.object.gate().wait_for_turn(ns),
            Pause::BetweenLooks(ns) => self.nap(Nap::Interruptible, ns),
            Pause::BetweenLastTries(ns) => self.nap(Nap::Uninterruptible, ns),
        }
    }

    fn nap(&self, nap: Nap, ns: u64) {
        if let Some(turn) = &self.turn {
            turn.nap(nap, ns, || self.tries.is_drained());
        }
    }

    /// How far it got.
    pub(crate) fn report(&self, outcome: Outcome) -> SealReport {
        let look = match outcome {
            Outcome::Sealed => None,
            _ => self.tries.last_look(),
        };
        SealReport {
            outcome,
            scans: self.tries.budget().scans(),
            waited_ns: self.tries.budget().waited_ns(),
            pinned_pages: look.map_or(0, Look::pinned_pages),
            first_pinned: look.and_then(Look::first_pinned),
            isolated_pages: self.tries.isolated_pages(),
            revoked_pages: self.asking.as_ref().map_or(0, Asking::taken),
        }
    }

    /// Lets go of the turn, and no longer denies mappings unless the seals are set; and reports. To be
    /// called once it has ended, or is to.
    ///
    /// Context: sleeps, and takes mmap locks.
    pub(crate) fn end(&mut self, ended: Result<Outcome>) -> Result<SealReport> {
        let report = self.report(ended.unwrap_or(Outcome::Pending));
        trace::seal_end(
            self.object.number(),
            match ended {
                // CAST: Small.
                Ok(outcome) => outcome.number() as i32,
                Err(err) => err.to_errno(),
            },
            report.scans,
            report.waited_ns,
            report.isolated_pages,
            report.revoked_pages,
        );
        if let (Some(asking), Ok(Outcome::Interrupted)) = (&mut self.asking, ended) {
            asking.comes_back();
        }
        // While nobody else can ask.
        self.asking = None;
        self.denied = None;
        self.turn = None;
        if let Some(memory) = self.object.used_memory() {
            self.tries.unmapped().map_where_locked(memory.pages());
        }
        ended.map(|_| report)
    }
}

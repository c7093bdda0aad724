// SPDX-License-Identifier: GPL-2.0-only

//! The procedure of adding seals.
//!
//! 1. Take the turn: sealers of one object come one after the other.
//! 2. Deny writable mappings of the memory: from here on nobody can make a shared writable mapping,
//!    and there is none.
//! 3. Look at all pages under the inode lock. When all pass, set the seals under that same hold of
//!    the lock. This is the common case.
//! 4. When readers may be what does not pass, hold new ones up for a moment, clear page tables, and
//!    look again.
//! 5. Otherwise let go of the inode lock and look at those that did not pass, sleeping in between
//!    without any lock, until they pass; then go to 3, because somebody with another way to the
//!    memory than ours may have come meanwhile.
//! 6. When the caller's bounds are used up, pages that are still held are replaced by copies, if the
//!    caller wants that, and the seals set under the same hold of the inode lock.
//! 7. When that is not wanted or cannot be done, or a signal comes, undo 2 and report.
//!
//! Why this is sound is argued in `Documentation/design.rst`.

use crate::{
    backoff::Backoff,
    budget::{
        Budget,
        WaitFor, //
    },
    fs::shmem::{
        LockedShmem,
        ShmemFile, //
    },
    gate::{
        NoTurn,
        SealingTurn, //
    },
    isolate::{
        isolate,
        Stopped,
        MOST_ISOLATED, //
    },
    mm::lru::{
        drain_this_cpu,
        Draining, //
    },
    object::Object,
    scan::{
        Look,
        Unmapped, //
    },
    seals::SealSet,
    sync::nap::{
        is_pending,
        nap, //
    }, //
};
use core::mem::take;
use kernel::{
    prelude::*,
    time::{
        delay::udelay,
        Delta,
        Instant,
        Monotonic, //
    }, //
};

/// How long to wait when the caller does not say, in nanoseconds: as long as memfd waits.
pub(crate) const DEFAULT_TIMEOUT_NS: u64 = 150_000_000;

/// For how long readers are held up at the beginning of a wait, sleeps included, in nanoseconds.
const READERS_HELD_NS: u64 = 2_000_000;

/// After that, readers are held up for the first [`READERS_HELD_LOOKS`] of so many looks.
const READERS_HELD_EVERY: u32 = 16;
const READERS_HELD_LOOKS: u32 = 2;

/// How many times the inode lock is tried in a row, and the time in between, in microseconds. Most
/// who hold it are through then.
const LOCK_TRIES: u32 = 8;
const LOCK_TRY_US: i64 = 3;

/// How long it may take to drain LRU batches before pages are isolated, in nanoseconds.
const DRAIN_PATIENCE_NS: u64 = 10_000_000;

/// How many times isolating is tried, and how long to sleep in between, in nanoseconds.
const ISOLATE_TRIES: u32 = 50;
const ISOLATE_NAP_NS: u64 = 100_000;

/// After how many looks that failed LRU batches are drained: the powers of two up to the period, and
/// then whenever the period is over.
const DRAIN_PERIOD: u32 = 64;

/// How long to sleep after LRU batches began to be drained, in nanoseconds, unless that is over sooner:
/// a look before would be in vain, but a CPU that does not get to it must not keep us from looking.
const DRAIN_NS: u64 = 300_000;

/// What somebody wants sealed, and how.
pub(crate) struct SealRequest {
    /// Seals to add.
    pub(crate) seals: SealSet,
    /// Bounds, and what of them was used up before.
    pub(crate) budget: Budget,
    /// Whether pages that are held when the bounds are used up are to be replaced by copies.
    pub(crate) isolate: bool,
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
    /// There was no memory to copy a page that was held.
    NoMemory,
    /// A folio of more than one page was held, which cannot be replaced.
    LargeFolio,
    /// A signal came, or task work has to run. Bounds are left: unless the signal has a handler, the
    /// call is to be made again, unseen by the caller.
    Interrupted,
}

/// What one try to set the seals came to.
enum Step {
    /// They are set.
    Sealed,
    /// Something was in the way.
    NotYet,
    /// They imply seals by which writing ends, which takes more than this.
    EndsWriting,
}

/// How trying ended.
enum Ended {
    /// With this outcome.
    With(Outcome),
    /// With [`Step::EndsWriting`].
    ToEndWriting,
}

/// How a seal call ended.
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
}

/// Adds seals to an object.
///
/// Context: sleeps. The caller must have opened the object for writing and hold no lock.
///
/// # Errors
///
/// `EPERM` when no seals can be added (any more), `ENOMEM`. How the attempt ended is no error but
/// [`SealReport::outcome`]; unless that is [`Outcome::Sealed`], nothing changed that anybody could
/// see.
pub(crate) fn add_seals(object: &Object, request: SealRequest) -> Result<SealReport> {
    object.seals().check_addable()?;

    let mut attempt = Attempt {
        object,
        memory: object.memory()?,
        seals: request.seals,
        budget: request.budget,
        isolate: request.isolate,
        isolated_pages: 0,
        unmapped: Unmapped::new(),
        look: None,
        failed_looks: 0,
        draining: None,
        just_draining: false,
        waiting_for: WaitFor::Holders,
    };
    let outcome = attempt.run();
    // In any case, and without any lock.
    attempt.unmapped.map_where_locked(attempt.memory.pages());
    let outcome = outcome?;
    let (pinned_pages, first_pinned) = match (&attempt.look, outcome) {
        (_, Outcome::Sealed) | (None, _) => (0, None),
        (Some(look), _) => (look.pinned_pages(), look.first_pinned()),
    };
    Ok(SealReport {
        outcome,
        scans: attempt.budget.scans(),
        waited_ns: attempt.budget.waited_ns(),
        pinned_pages,
        first_pinned,
        isolated_pages: attempt.isolated_pages,
    })
}

/// A seal call under way.
struct Attempt<'a> {
    object: &'a Object,
    memory: &'a ShmemFile,
    seals: SealSet,
    budget: Budget,
    /// Whether to isolate pages in the end.
    isolate: bool,
    /// How many were.
    isolated_pages: usize,
    /// What was removed from page tables so far.
    unmapped: Unmapped,
    /// The last look, when there was one.
    look: Option<Look>,
    /// How many times pages did not pass.
    failed_looks: u32,
    /// Every CPU's LRU batches, while they are being drained.
    draining: Option<Draining>,
    /// Whether that began with the last look.
    just_draining: bool,
    /// What was in the way the last time.
    waiting_for: WaitFor,
}

impl<'a> Attempt<'a> {
    fn run(&mut self) -> Result<Outcome> {
        let turn = match self.object.gate().take_turn(&mut self.budget) {
            Ok(turn) => turn,
            Err(NoTurn::Expired) => {
                // Somebody else seals. Tell what that one waits for.
                self.budget.count_scan();
                self.look = Some(Look::everywhere(self.memory.pages()));
                return Ok(Outcome::Pinned);
            }
            Err(NoTurn::Interrupted) => return Ok(Outcome::Interrupted),
        };
        // The holder of the turn before may have added seals.
        self.object.seals().check_addable()?;
        loop {
            self.seals = self.seals.with_implied(self.memory.is_executable());
            let ended = if self.ends_writing() {
                let Some(denied) = self.memory.pages().deny_writable() else {
                    return Ok(Outcome::WritableMapping);
                };
                let mut ended = self.repeat(&turn, Self::look_and_set_seals)?;
                if let (true, Ended::With(Outcome::Pinned)) = (self.isolate, &ended) {
                    ended = Ended::With(self.isolate_and_set_seals(&turn)?);
                }
                if let Ended::With(Outcome::Sealed) = ended {
                    denied.forever();
                }
                ended
            } else {
                self.repeat(&turn, Self::set_seals)?
            };
            if let Ended::With(outcome) = ended {
                return Ok(outcome);
            }
        }
    }

    fn ends_writing(&self) -> bool {
        self.object.adding_ends_writing(self.seals)
    }

    /// Calls `step` until it has set the seals, sleeping in between, within the bounds.
    fn repeat(
        &mut self,
        turn: &SealingTurn<'_>,
        step: impl Fn(&mut Self, &SealingTurn<'_>) -> Result<Step>,
    ) -> Result<Ended> {
        match step(self, turn)? {
            Step::Sealed => return Ok(Ended::With(Outcome::Sealed)),
            Step::EndsWriting => return Ok(Ended::ToEndWriting),
            Step::NotYet => {}
        }
        turn.hold_writers();
        self.budget.start_clock();

        let mut backoff = Backoff::new();
        let mut step_ns = 0;
        loop {
            // The bounds come first: a task that always finds work to do still meets its deadline.
            let left_ns = self.budget.left_ns(self.waiting_for);
            if left_ns == 0 || !self.budget.allows_scan() {
                return Ok(Ended::With(Outcome::Pinned));
            }
            if is_pending() {
                return Ok(Ended::With(Outcome::Interrupted));
            }
            if !self.should_hold_readers() {
                turn.release_readers();
            }
            let sleep_ns = match take(&mut self.just_draining) {
                true => DRAIN_NS.min(left_ns),
                false => backoff.next(step_ns, left_ns),
            };
            nap(sleep_ns, || self.is_drained());

            let began = Instant::<Monotonic>::now();
            match step(self, turn)? {
                Step::Sealed => return Ok(Ended::With(Outcome::Sealed)),
                Step::EndsWriting => return Ok(Ended::ToEndWriting),
                Step::NotYet => {}
            }
            // CAST: The clock is monotonic, so this is never negative.
            step_ns = began.elapsed().as_nanos() as u64;
        }
    }

    /// Sets seals that do not depend on the pages.
    fn set_seals(&mut self, turn: &SealingTurn<'_>) -> Result<Step> {
        let Some(locked) = self.try_lock(turn) else {
            self.failed_looks = self.failed_looks.saturating_add(1);
            return Ok(Step::NotYet);
        };
        // The file may have become executable since this was planned.
        self.seals = self.seals.with_implied(self.memory.is_executable());
        if self.ends_writing() {
            return Ok(Step::EndsWriting);
        }
        self.object.add_seals(&locked, self.seals)?;
        Ok(Step::Sealed)
    }

    /// Sets seals that end writing, with those that they imply for the file as it is now and will
    /// stay.
    fn set(&mut self, locked: &LockedShmem<'_>) -> Result {
        self.seals = self.seals.with_implied(locked.file().is_executable());
        self.object.add_seals(locked, self.seals)
    }

    /// Looks at the pages and, when all pass, sets the seals.
    fn look_and_set_seals(&mut self, turn: &SealingTurn<'_>) -> Result<Step> {
        self.budget.count_scan();
        // Asked before looking: what was drained by now does not show in this look.
        if self.is_drained() {
            self.draining = None;
        }
        self.waiting_for = match self.draining {
            None => WaitFor::Holders,
            Some(_) => WaitFor::Kernel,
        };
        if !self.candidates_pass(turn) {
            // The inode lock is not what this waits for now. But whoever has it, if somebody has,
            // keeps seekers waiting anyhow, and may be what did not pass.
            if turn.holds_seekers() && self.memory.try_lock().is_some() {
                turn.release_seekers();
            }
        } else if let Step::Sealed = self.confirm_and_set_seals(turn)? {
            return Ok(Step::Sealed);
        }
        self.failed_looks = self.failed_looks.saturating_add(1);
        self.drain_if_due();
        Ok(Step::NotYet)
    }

    /// Looks again at what did not pass before. Returns whether it does now.
    fn candidates_pass(&mut self, turn: &SealingTurn<'_>) -> bool {
        let Some(look) = self.look.take() else {
            return true;
        };
        let pages = self.memory.pages();
        let look = if look.may_be_readers() && self.should_hold_readers() {
            turn.hold_readers();
            look.again_without_readers(pages, &mut self.unmapped)
        } else {
            look.again(pages)
        };
        let passes = look.is_clean();
        self.look = Some(look);
        passes
    }

    /// Looks at all pages with the inode locked and, when all pass, sets the seals under that same
    /// lock. When not, the look is left in `self.look`.
    fn confirm_and_set_seals(&mut self, turn: &SealingTurn<'_>) -> Result<Step> {
        let pages = self.memory.pages();
        let Some(locked) = self.try_lock(turn) else {
            self.look = Some(Look::everywhere(pages));
            return Ok(Step::NotYet);
        };

        drain_this_cpu();
        let mut look = Look::everywhere(pages);
        if self.failed_looks == 0 && look.may_be_batched() && !pages.is_mapped() {
            // That is likelier than a reader then, and the other CPUs are to get at it at once.
            self.drain();
        } else if look.may_be_readers() {
            turn.hold_readers();
            look = look.again_without_readers(pages, &mut self.unmapped);
        }
        if look.is_clean() {
            self.set(&locked)?;
            return Ok(Step::Sealed);
        }
        self.look = Some(look);
        Ok(Step::NotYet)
    }

    /// Replaces pages that are held by copies and, when all pages pass then, sets the seals.
    ///
    /// A reader may have one of the copies already, or somebody the inode lock. So it is tried for a
    /// while, though the caller's time is over.
    fn isolate_and_set_seals(&mut self, turn: &SealingTurn<'_>) -> Result<Outcome> {
        // What is merely on its way to the LRU lists is not to be copied.
        if self.draining.is_none() {
            self.draining = Draining::start().ok();
        }
        nap(DRAIN_PATIENCE_NS, || self.is_drained());

        turn.hold_readers();
        let mut outcome = Outcome::Pinned;
        for _ in 0..ISOLATE_TRIES {
            outcome = self.try_isolate_and_set_seals(turn)?;
            match outcome {
                Outcome::Pinned if self.isolated_pages >= MOST_ISOLATED => break,
                Outcome::Pinned | Outcome::LargeFolio => nap(ISOLATE_NAP_NS, || false),
                _ => break,
            }
        }
        Ok(outcome)
    }

    fn try_isolate_and_set_seals(&mut self, turn: &SealingTurn<'_>) -> Result<Outcome> {
        let pages = self.memory.pages();
        let Some(locked) = self.try_lock(turn) else {
            return Ok(Outcome::Pinned);
        };

        let most = MOST_ISOLATED - self.isolated_pages.min(MOST_ISOLATED);
        let Ok(held) = Look::held(pages, most) else {
            return Ok(Outcome::NoMemory);
        };
        let stopped = isolate(&locked, &held, &mut self.isolated_pages, &mut self.unmapped);
        // Copies are on their way to the LRU lists.
        drain_this_cpu();
        let look = Look::everywhere(pages).again_without_readers(pages, &mut self.unmapped);
        if look.is_clean() {
            self.set(&locked)?;
            return Ok(Outcome::Sealed);
        }
        self.look = Some(look);
        Ok(match stopped {
            Err(Stopped::NoMemory) => Outcome::NoMemory,
            Err(Stopped::LargeFolio) => Outcome::LargeFolio,
            Ok(()) => Outcome::Pinned,
        })
    }

    /// Locks the inode, if whoever has it locked is soon through.
    ///
    /// Otherwise it is somebody who writes or seeks. They will be gone, and nobody new comes.
    fn try_lock(&mut self, turn: &SealingTurn<'_>) -> Option<LockedShmem<'a>> {
        let mut locked = self.memory.try_lock();
        if locked.is_none() {
            turn.hold_writers();
            turn.hold_seekers();
        }
        for _ in 0..LOCK_TRIES {
            if locked.is_some() {
                break;
            }
            udelay(Delta::from_micros(LOCK_TRY_US));
            locked = self.memory.try_lock();
        }
        match locked {
            Some(_) => turn.release_seekers(),
            None => self.waiting_for = WaitFor::Kernel,
        }
        locked
    }

    /// Whether new readers are to be held up when they may be in the way.
    ///
    /// At first, and then now and then: with pages that are held for long, readers should hardly
    /// notice; and those who never rest should not be in the way for long.
    fn should_hold_readers(&self) -> bool {
        self.budget.waited_ns() < READERS_HELD_NS
            || self.failed_looks % READERS_HELD_EVERY < READERS_HELD_LOOKS
    }

    /// Has every CPU drain its LRU batches, if it is time for that.
    ///
    /// What does not pass may merely be on its way to the LRU lists, on a CPU that has no reason to
    /// do anything about it. A writer who was not through yet, or pages that come back from swap,
    /// make it so again after it was mended; so it is mended again, but less often.
    fn drain_if_due(&mut self) {
        let due = if !self.budget.waits_for_holders() {
            self.failed_looks == 1
        } else if self.failed_looks < DRAIN_PERIOD {
            self.failed_looks.is_power_of_two()
        } else {
            self.failed_looks % DRAIN_PERIOD == 0
        };
        if due {
            self.drain();
        }
    }

    /// Has every CPU drain its LRU batches, if none is at it and it can be of use.
    fn drain(&mut self) {
        if self.draining.is_none() && self.budget.may_wait() {
            // Without memory for it, we look on. The next time is not far.
            self.draining = Draining::start().ok();
            self.just_draining = self.draining.is_some();
            self.waiting_for = WaitFor::Kernel;
        }
    }

    /// Whether LRU batches were being drained, and all are by now.
    fn is_drained(&self) -> bool {
        self.draining.as_ref().is_some_and(Draining::is_done)
    }
}

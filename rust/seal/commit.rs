// SPDX-License-Identifier: GPL-2.0-only

//! One try to set seals, and what is learned from it for the next.

use crate::{
    fs::shmem::{
        LockedShmem,
        ShmemFile, //
    },
    mm::lru::drain_this_cpu,
    object::exclusion::SealingTurn,
    object::seals::SealSet,
    object::Object,
    seal::isolate::{
        isolate,
        Stopped,
        MOST_ISOLATED, //
    },
    seal::request::Outcome,
    trampolines::trace, //
    wait::bounds::{
        Budget,
        WaitFor, //
    },
    wait::context::Driver,
    wait::retry::Patience,
    wait::scan::{
        CutShort,
        Look,
        Unmapped, //
    },
};
use kernel::{
    prelude::*,
    time::{
        delay::{
            fsleep,
            udelay, //
        },
        Delta,
        Instant,
        Monotonic, //
    }, //
};

/// How many times the inode lock is tried in a row, and the time in between, in microseconds. Most
/// who hold it are through then.
const LOCK_TRIES: u32 = 8;
const LOCK_TRY_US: i64 = 3;

/// How long a look at pages in swap pauses before it looks again at what did not pass, in
/// microseconds.
const AGAIN_US: i64 = 100;

/// The turn to seal the object that this is about.
type Turn = SealingTurn<Object>;

/// What one try to set the seals came to.
#[must_use]
pub(crate) enum Tried {
    /// They are set.
    Sealed,
    /// Something was in the way. When there is no other try, that is the outcome.
    InTheWay(Outcome),
    /// They imply seals by which writing ends, which takes more than this.
    EndsWriting,
    /// There is no use in trying further.
    Failed(Outcome),
}

/// The tries of an attempt, and what was learned from them.
pub(crate) struct Tries {
    seals: SealSet,
    patience: Patience,
    /// How many pages were replaced by copies.
    isolated_pages: usize,
    /// What was removed from page tables so far.
    unmapped: Unmapped,
    /// The last look, when there was one.
    look: Option<Look>,
}

impl Tries {
    /// None so far in this call, in which `isolated_pages` were replaced before it was restarted.
    pub(crate) fn new(
        driver: Driver,
        seals: SealSet,
        budget: Budget,
        isolated_pages: usize,
    ) -> Self {
        Self {
            seals,
            patience: Patience::new(driver, budget),
            isolated_pages: isolated_pages.min(MOST_ISOLATED),
            unmapped: Unmapped::new(),
            look: None,
        }
    }

    /// The last look, when there was one.
    pub(crate) fn last_look(&self) -> Option<&Look> {
        self.look.as_ref()
    }

    /// Whether pages did not pass in the last look.
    pub(crate) fn is_held_by_somebody(&self) -> bool {
        self.look
            .as_ref()
            .is_some_and(|look| !look.is_clean_in_memory())
    }

    /// How many pages were replaced by copies.
    pub(crate) fn isolated_pages(&self) -> usize {
        self.isolated_pages
    }

    /// What was removed from page tables.
    pub(crate) fn unmapped(&self) -> &Unmapped {
        &self.unmapped
    }

    /// How long there may be tries, and when the next is to come.
    pub(crate) fn patience(&mut self) -> &mut Patience {
        &mut self.patience
    }

    /// Whether LRU batches were being drained, and all are by now.
    pub(crate) fn is_drained(&self) -> bool {
        self.patience.is_drained()
    }

    /// The bounds, and what of them is used up.
    pub(crate) fn budget(&self) -> &Budget {
        self.patience.budget()
    }

    /// Tells who traces of the last look.
    pub(crate) fn trace(&self, object: u64) {
        let look = self.look.as_ref();
        trace::seal_scan(
            object,
            self.budget().scans(),
            look.map_or(0, Look::pinned_pages),
            look.and_then(Look::first_pinned),
        );
    }

    /// Looks at the pages for the sake of the report.
    #[cold]
    pub(crate) fn only_look(&mut self, memory: &ShmemFile) {
        self.patience.begin_look();
        self.look = Some(Look::everywhere(memory.pages()));
    }

    /// Adds what the seals imply for the file as it is now, and tells whether writing ends with them.
    pub(crate) fn ends_writing(&mut self, object: &Object, memory: &ShmemFile) -> bool {
        self.seals = self.seals.with_implied(memory.is_executable());
        object.adding_ends_writing(self.seals)
    }

    /// Sets seals that do not depend on the pages.
    pub(crate) fn set_seals(&mut self, memory: &ShmemFile, turn: &Turn) -> Result<Tried> {
        let Some(locked) = self.try_lock(memory, turn) else {
            self.patience.look_failed();
            return Ok(Tried::InTheWay(Outcome::Pinned));
        };
        // The file may have become executable since this was planned.
        if self.ends_writing(turn.owner(), memory) {
            return Ok(Tried::EndsWriting);
        }
        turn.owner().add_seals(&locked, self.seals)?;
        Ok(Tried::Sealed)
    }

    /// Sets seals that end writing, with those that they imply for the file as it is now and will
    /// stay.
    fn set(&mut self, locked: &LockedShmem<'_>, turn: &Turn) -> Result {
        self.seals = self.seals.with_implied(locked.file().is_executable());
        turn.owner().add_seals(locked, self.seals)
    }

    /// Looks at the pages and, when all pass, sets the seals.
    pub(crate) fn look_and_set_seals(&mut self, memory: &ShmemFile, turn: &Turn) -> Result<Tried> {
        self.patience.begin_look();
        if self.look.is_some() && !self.candidates_pass(memory, turn) {
            // The inode lock is not what this waits for now. But whoever has it, if somebody has,
            // keeps seekers waiting anyhow, and may be what did not pass.
            if turn.holds_seekers() && memory.try_lock().is_some() {
                turn.release_seekers();
            }
        } else {
            match self.confirm_and_set_seals(memory, turn)? {
                Tried::InTheWay(Outcome::Pinned) => (),
                tried => return Ok(tried),
            }
        }
        self.patience.look_failed();
        self.patience.drain_if_due();
        Ok(Tried::InTheWay(Outcome::Pinned))
    }

    /// Looks again at what did not pass before. Returns whether it does now.
    #[cold]
    fn candidates_pass(&mut self, memory: &ShmemFile, turn: &Turn) -> bool {
        let Some(look) = self.look.take() else {
            return true;
        };
        let pages = memory.pages();
        let look = if look.may_be_readers() && self.patience.should_hold_readers() {
            turn.hold_readers();
            look.again_without_readers(pages, &mut self.unmapped)
        } else {
            look.again(pages)
        };
        let passes = look.is_clean_in_memory();
        self.look = Some(look);
        passes
    }

    /// Looks at all pages with the inode locked and, when all pass, sets the seals under that same
    /// lock. When pages do not, that look is left in `self.look`.
    fn confirm_and_set_seals(&mut self, memory: &ShmemFile, turn: &Turn) -> Result<Tried> {
        let pages = memory.pages();
        let Some(locked) = self.try_lock(memory, turn) else {
            self.look = Some(Look::everywhere(pages));
            return Ok(Tried::InTheWay(Outcome::Pinned));
        };

        drain_this_cpu();
        let mut look = Look::everywhere(pages);
        if self.patience.is_first() && look.may_be_batched() && !pages.is_mapped() {
            // That is likelier than a reader then, and the other CPUs are to get at it at once.
            self.patience.drain();
        } else if look.may_be_readers() {
            turn.hold_readers();
            look = look.again_without_readers(pages, &mut self.unmapped);
        }
        self.set_if_clean(&locked, turn, look)
    }

    /// Sets the seals when all pages passed in a look under this hold of the inode lock, and those in
    /// swap do when they come back. When not, the look is left in `self.look`.
    fn set_if_clean(
        &mut self,
        locked: &LockedShmem<'_>,
        turn: &Turn,
        mut look: Look,
    ) -> Result<Tried> {
        if look.is_clean_in_memory() && !look.is_clean() {
            // This may take long. Who has another descriptor waits for the lock meanwhile, but we
            // need not make it worse.
            turn.hold_writers();
            turn.release_readers();
            look = match self.look_in_swap(locked) {
                Ok(look) => look,
                Err(CutShort::NoMemory) => return Ok(Tried::InTheWay(Outcome::NoMemory)),
                Err(CutShort::Stopped) => {
                    return Ok(match self.patience.driver().gives_up() {
                        Some(outcome) => {
                            if let Outcome::Interrupted = outcome {
                                // When the call is restarted, its bounds should allow it again.
                                self.patience.look_does_not_count();
                            }
                            Tried::Failed(outcome)
                        }
                        None => Tried::InTheWay(Outcome::Pinned),
                    });
                }
            };
        }
        if look.is_clean() {
            self.set(locked, turn)?;
            return Ok(Tried::Sealed);
        }
        self.look = Some(look);
        Ok(Tried::InTheWay(Outcome::Pinned))
    }

    /// Looks at all pages, those in swap as well.
    ///
    /// That may take so long that somebody is always at one page or another for a moment: the kernel,
    /// for a larger folio or its next victim. So that such a look is not for nothing, it is given
    /// about as long again for what did not pass, within the bounds.
    #[cold]
    fn look_in_swap(&mut self, locked: &LockedShmem<'_>) -> Result<Look, CutShort> {
        let began = Instant::<Monotonic>::now();
        let driver = self.patience.driver();
        let stop = || driver.ends_look(began.elapsed());
        let mut look = Look::everywhere_and_in_swap(locked, &mut self.unmapped, stop)?;
        if look.is_clean() {
            return Ok(look);
        }

        let took = began.elapsed();
        let until = took + self.patience.again(took);
        let driver = self.patience.driver();
        let stop = || driver.ends_look(began.elapsed());
        while !look.is_clean() && began.elapsed() < until {
            fsleep(Delta::from_micros(AGAIN_US));
            match look.again_and_in_swap(locked, &mut self.unmapped, stop) {
                Ok(again) => look = again,
                // Then there is that look.
                Err(_) => break,
            }
        }
        Ok(look)
    }

    /// Replaces pages that are held by copies and, when all pages pass then, sets the seals.
    ///
    /// A reader may have one of the copies already, or somebody the inode lock. So this is worth
    /// trying some times, as long as it comes to [`Tried::InTheWay`].
    #[cold]
    pub(crate) fn isolate_and_set_seals(
        &mut self,
        memory: &ShmemFile,
        turn: &Turn,
    ) -> Result<Tried> {
        turn.hold_readers();
        let pages = memory.pages();
        let Some(locked) = self.try_lock(memory, turn) else {
            return Ok(Tried::InTheWay(Outcome::Pinned));
        };

        let most = MOST_ISOLATED - self.isolated_pages;
        let Ok(held) = Look::held(pages, most) else {
            return Ok(Tried::Failed(Outcome::NoMemory));
        };
        let stopped = isolate(&locked, &held, &mut self.isolated_pages, &mut self.unmapped);
        // Copies are on their way to the LRU lists.
        drain_this_cpu();
        let look = Look::everywhere(pages).again_without_readers(pages, &mut self.unmapped);
        match self.set_if_clean(&locked, turn, look)? {
            Tried::InTheWay(Outcome::Pinned) => (),
            // It was tried before, with time left to the bounds.
            Tried::InTheWay(outcome) => return Ok(Tried::Failed(outcome)),
            tried => return Ok(tried),
        }
        Ok(match stopped {
            Err(Stopped::NoMemory) => Tried::Failed(Outcome::NoMemory),
            Err(Stopped::LargeFolio) => Tried::InTheWay(Outcome::LargeFolio),
            Ok(()) if self.isolated_pages >= MOST_ISOLATED => Tried::Failed(Outcome::Pinned),
            Ok(()) => Tried::InTheWay(Outcome::Pinned),
        })
    }

    /// Locks the inode, if whoever has it locked is soon through.
    ///
    /// Otherwise it is somebody who writes or seeks. They will be gone, and nobody new comes.
    fn try_lock<'a>(&mut self, memory: &'a ShmemFile, turn: &Turn) -> Option<LockedShmem<'a>> {
        let mut locked = memory.try_lock();
        if locked.is_none() {
            turn.hold_writers();
            turn.hold_seekers();
        }
        for _ in 0..LOCK_TRIES {
            if locked.is_some() {
                break;
            }
            udelay(Delta::from_micros(LOCK_TRY_US));
            locked = memory.try_lock();
        }
        match locked {
            Some(_) => turn.release_seekers(),
            None => self.patience.waits_for(WaitFor::Kernel),
        }
        locked
    }

    /// Lets readers go on, unless the next try is better off without.
    pub(crate) fn release_readers_for_now(&self, turn: &Turn) {
        if !self.patience.should_hold_readers() {
            turn.release_readers();
        }
    }
}

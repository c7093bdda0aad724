// SPDX-License-Identifier: GPL-2.0-only

//! How long somebody looks again and again at pages that others hold, when the next look is to come, and
//! what is done in between for it to be the last: LRU batches are drained, readers held up.

use crate::{
    mm::lru::Draining, //
    wait::backoff::Backoff,
    wait::bounds::{
        Budget,
        WaitFor, //
    },
    wait::context::Driver,
};
use core::mem::take;
use kernel::time::{
    Delta,
    Instant,
    Monotonic, //
};

/// For how long readers are held up at the beginning of a wait, sleeps included, in nanoseconds.
const READERS_HELD_NS: u64 = 2_000_000;

/// After that, readers are held up for the first [`READERS_HELD_LOOKS`] of so many looks.
const READERS_HELD_EVERY: u32 = 16;
const READERS_HELD_LOOKS: u32 = 2;

/// After how many looks that failed LRU batches are drained: the powers of two up to the period, and
/// then whenever the period is over.
const DRAIN_PERIOD: u32 = 64;

/// For how long a look at pages in swap looks again at what did not pass, in nanoseconds. Who has
/// another descriptor waits for the inode lock meanwhile.
const AGAIN_LEAST_NS: i64 = 2_000_000;
const AGAIN_MOST_NS: u64 = 1_000_000_000;

/// How long to sleep after LRU batches began to be drained, in nanoseconds, unless that is over sooner:
/// a look before would be in vain, but a CPU that does not get to it must not keep us from looking.
pub(crate) const DRAIN_NS: u64 = 300_000;

/// The looks that there were, and what is left of the time for more.
pub(crate) struct Patience {
    driver: Driver,
    budget: Budget,
    /// The pauses, since the first.
    backoff: Option<Backoff>,
    /// How many looks were in vain.
    failed_looks: u32,
    /// Every CPU's LRU batches, while they are being drained.
    draining: Option<Draining>,
    /// Whether that began with the last look.
    just_draining: bool,
    /// What was in the way the last time.
    waiting_for: WaitFor,
}

impl Patience {
    /// No looks so far.
    pub(crate) fn new(driver: Driver, budget: Budget) -> Self {
        Self {
            driver,
            budget,
            backoff: None,
            failed_looks: 0,
            draining: None,
            just_draining: false,
            waiting_for: WaitFor::Holders,
        }
    }

    /// Who looks.
    pub(crate) fn driver(&self) -> &Driver {
        &self.driver
    }

    /// The bounds, and what of them is used up.
    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Counts a look, which begins now.
    pub(crate) fn begin_look(&mut self) {
        self.budget.count_scan();
        // Asked before looking: what was drained by now does not show in this look.
        if self.is_drained() {
            self.draining = None;
        }
        self.waiting_for = match self.draining {
            None => WaitFor::Holders,
            Some(_) => WaitFor::Kernel,
        };
    }

    /// The look was cut short, and is to be none.
    pub(crate) fn look_does_not_count(&mut self) {
        self.budget.uncount_scan();
    }

    /// The look was in vain.
    pub(crate) fn look_failed(&mut self) {
        self.failed_looks = self.failed_looks.saturating_add(1);
    }

    /// Whether none was so far.
    pub(crate) fn is_first(&self) -> bool {
        self.failed_looks == 0
    }

    /// Says what is in the way.
    pub(crate) fn waits_for(&mut self, what: WaitFor) {
        self.waiting_for = what;
    }

    /// When a look begins that is not the first, from which pauses follow: the first is to be quick.
    pub(crate) fn look_begins(&self) -> Option<Instant<Monotonic>> {
        self.backoff.is_some().then(Instant::now)
    }

    /// Begins with short pauses again.
    pub(crate) fn start_anew(&mut self) {
        self.backoff = None;
    }

    /// How long to pause now, in nanoseconds, of the `left_ns` that are left, after a look that began
    /// then.
    pub(crate) fn next_pause(&mut self, left_ns: u64, began: Option<Instant<Monotonic>>) -> u64 {
        let backoff = self
            .backoff
            .get_or_insert_with(|| Backoff::new(self.driver.pace()));
        match take(&mut self.just_draining) {
            true => DRAIN_NS.min(left_ns),
            false => {
                // CAST: The clock is monotonic, so this is never negative.
                let look_ns = began.map_or(0, |began| began.elapsed().as_nanos() as u64);
                backoff.next(look_ns, self.budget.waited_ns(), left_ns)
            }
        }
    }

    /// For how long a look which took so long is to look again at what did not pass, before it is
    /// over.
    pub(crate) fn again(&mut self, took: Delta) -> Delta {
        self.budget.start_clock();
        let left_ns = self.budget.left_ns(WaitFor::Kernel).min(AGAIN_MOST_NS);
        // CAST: That is little.
        let ns = took.as_nanos().min(left_ns as i64).max(AGAIN_LEAST_NS);
        Delta::from_nanos(ns)
    }

    /// Lets the time run, if it does not yet. Returns what is left of it in nanoseconds, `None` when
    /// the bounds are used up.
    pub(crate) fn left_ns(&mut self) -> Option<u64> {
        self.budget.start_clock();
        let left_ns = self.budget.left_ns(self.waiting_for);
        (left_ns != 0 && self.budget.allows_scan()).then_some(left_ns)
    }

    /// The same, while somebody else has the turn.
    pub(crate) fn left_without_turn_ns(&mut self) -> Option<u64> {
        self.budget.start_clock();
        let left_ns = self.budget.left_ns(WaitFor::Kernel);
        (left_ns != 0).then_some(left_ns)
    }

    /// Whether new readers are to be held up when they may be in the way.
    ///
    /// At first, and then now and then: with pages that are held for long, readers should hardly
    /// notice; and those who never rest should not be in the way for long.
    pub(crate) fn should_hold_readers(&self) -> bool {
        self.budget.waited_ns() < READERS_HELD_NS
            || self.failed_looks % READERS_HELD_EVERY < READERS_HELD_LOOKS
    }

    /// Has every CPU drain its LRU batches, if it is time for that.
    ///
    /// What does not pass may merely be on its way to the LRU lists, on a CPU that has no reason to
    /// do anything about it. A writer who was not through yet, or pages that come back from swap,
    /// make it so again after it was mended; so it is mended again, but less often.
    pub(crate) fn drain_if_due(&mut self) {
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
    pub(crate) fn drain(&mut self) {
        if self.draining.is_none() && self.budget.may_wait() {
            self.drain_anyhow();
            self.just_draining = self.draining.is_some();
            self.waiting_for = WaitFor::Kernel;
        }
    }

    /// Has every CPU drain its LRU batches, if none is at it.
    pub(crate) fn drain_anyhow(&mut self) {
        if self.draining.is_none() {
            // Without memory for it, we look on.
            self.draining = Draining::start(self.driver.sleeper()).ok();
        }
    }

    /// No longer cares whether they are drained.
    pub(crate) fn stop_draining(&mut self) {
        self.draining = None;
    }

    /// Whether LRU batches were being drained, and all are by now.
    pub(crate) fn is_drained(&self) -> bool {
        self.draining.as_ref().is_some_and(Draining::is_done)
    }
}

// SPDX-License-Identifier: GPL-2.0-only

//! Asking for pages that are held on a lease, and taking them when the time is up that was agreed on.
//!
//! Who asks has the turn to seal, so there is one at a time.

use crate::{
    object::pin_table::Holdings, //
    object::pinned_range::{
        Holding,
        Terms, //
    },
};
use core::ops::Range;
use kernel::{
    prelude::*,
    sync::{
        aref::ARef,
        Arc, //
    },
    task::Task,
    time::Instant, //
};

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
        let mut new = KVVec::new();
        let next = holdings.leases(&self.range, self.next, &mut new)?;
        // First room for all, so that nobody is asked twice.
        self.asked.reserve(new.len(), GFP_KERNEL)?;
        self.next = next;
        for holding in new {
            let Terms::Leased(grace) = holding.terms() else {
                continue;
            };
            if may_wait || grace.is_zero() {
                holding.ask(&self.by, grace);
                // There is room.
                let _ = self.asked.push_within_capacity(holding);
            }
        }
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

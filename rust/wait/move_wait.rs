// SPDX-License-Identifier: GPL-2.0-only

//! Waiting for a page that must be moved to be pinned for long, and cannot be moved while it has
//! extra references.
//!
//! Which pages these are (`ZONE_MOVABLE`, CMA) the kernel does not tell a module, so the caller
//! tries each. While it sleeps here, it holds no lock, and tries nothing: a try takes references to
//! pages of which others may want to be rid, and drains the LRU batches of all CPUs.

use super::{
    bounds::WaitBounds,
    context::Context,
    retry::RetryPolicy, //
};
use crate::{
    mm::{
        address_space::AddressSpace,
        folio::FolioId,
        lru::drain_local, //
    },
    sync::sleep::{
        hrtimer_sleep,
        signal_pending,
        SleepState, //
    }, //
};
use core::ops::ControlFlow;
use kernel::{
    prelude::*,
    time::{
        Instant,
        Monotonic, //
    }, //
};

/// How many tries may fail in a row without an extra reference to be seen: the kernel's own come
/// and go. After more there is no memory to move the page to.
const MAX_UNEXPLAINED: u32 = 16;

/// A wait for the extra references to pages, one page after the other, within one deadline.
pub(crate) struct MoveWait {
    policy: RetryPolicy,
    /// When the call began to pin.
    began: Option<Instant<Monotonic>>,
    /// The folio that the last try was for, if it was in memory.
    tried: Option<FolioId>,
    /// Tries that failed without a reason to be seen.
    unexplained: u32,
}

impl MoveWait {
    /// A wait with these bounds.
    pub(crate) fn new(bounds: WaitBounds) -> Self {
        Self {
            policy: RetryPolicy::new(Context::Task, bounds),
            began: None,
            tried: None,
            unexplained: 0,
        }
    }

    /// The call begins to pin.
    pub(crate) fn begin(&mut self) {
        self.began = Some(Instant::now());
    }

    /// Time left until the deadline, in nanoseconds. The clock runs from the first wait.
    pub(crate) fn left_ns(&self) -> u64 {
        let bounds = self.policy.bounds();
        bounds.timeout_ns().saturating_sub(bounds.waited_ns())
    }

    /// Time left for the call if it is restarted now, in nanoseconds.
    ///
    /// The restarted call pins all pages anew, and may be interrupted before it waits. So all the
    /// time since it began counts, or restarts would extend the deadline for ever.
    pub(crate) fn left_for_restart_ns(&self) -> u64 {
        // CAST: The clock is monotonic, so this is never negative.
        let ran_ns = self
            .began
            .map_or(0, |began| began.elapsed().as_nanos() as u64);
        self.policy.bounds().timeout_ns().saturating_sub(ran_ns)
    }

    /// A try to pin the page at `index` alone follows.
    pub(crate) fn begin_try(&mut self, pages: &AddressSpace, index: usize) {
        self.tried = look(pages, index).map(|folio| folio.id);
    }

    /// A try has succeeded.
    pub(crate) fn succeeded(&mut self) {
        self.unexplained = 0;
        self.policy.reset_backoff();
    }

    /// Waits, after a try to pin the page at `index` alone has failed, until there is reason to try
    /// again: the page has no extra references, or is in another folio. (That one may have been
    /// moved already, and be pinned: another pin was made meanwhile.)
    ///
    /// Context: sleeps. The caller must hold no lock.
    ///
    /// # Errors
    ///
    /// `EBUSY` at the deadline; `ENOMEM` when it was no reference that made the try fail;
    /// `ERESTARTSYS` for a signal or task work.
    pub(crate) fn wait(&mut self, pages: &AddressSpace, index: usize) -> Result {
        let mut has_slept = false;
        loop {
            let start = self.policy.scan_start();
            self.policy.begin_scan();
            drain_local();
            match look(pages, index) {
                Some(folio) if folio.is_held && Some(folio.id) == self.tried => {
                    self.unexplained = 0
                }
                _ if has_slept => return Ok(()),
                Some(_) if self.unexplained < MAX_UNEXPLAINED => self.unexplained += 1,
                // A page that is not in memory could not be swapped in, or its hole filled.
                _ => return Err(ENOMEM),
            }
            self.policy.scan_failed();
            self.policy.drain_if_due();
            let left_ns = self.policy.left_ns().ok_or(EBUSY)?;
            if signal_pending() {
                return Err(ERESTARTSYS);
            }
            let ns = self.policy.next_backoff(left_ns, start);
            hrtimer_sleep(SleepState::Interruptible, ns, || self.policy.is_drained());
            has_slept = true;
        }
    }
}

/// What there is to see of a folio.
struct Folio {
    id: FolioId,
    /// Whether it has extra references. Page table entries are no reason not to move it.
    is_held: bool,
}

/// Looks at the page at `index`. `None` when it is not in memory.
fn look(pages: &AddressSpace, index: usize) -> Option<Folio> {
    let mut seen = None;
    pages.for_each_folio(index..index + 1, |folio| {
        seen = Some(Folio {
            id: folio.id(),
            is_held: folio.references().extra != 0,
        });
        ControlFlow::Break(())
    });
    seen
}

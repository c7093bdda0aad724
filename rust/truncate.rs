// SPDX-License-Identifier: GPL-2.0-only

//! Taking pages away from an object (making it smaller, punching a hole) once nobody holds them.
//!
//! Who holds a page keeps it when it is taken away, so nothing depends on waiting for that but whether
//! the holder knows. It ends when all have let go at the same look; somebody new may come after it who
//! has another way to the memory than through the device.

use crate::{
    budget::Budget,
    driver::Driver,
    gate::{
        Gate,
        HasGate,
        SealingTurn, //
    },
    lease::Asking,
    mm::lru::drain_this_cpu,
    object::Object,
    patience::Patience,
    scan::{
        Look,
        Unmapped, //
    },
    sync::nap::is_pending, //
};
use core::ops::Range;
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// How to wait for who holds the pages that go.
pub(crate) struct WaitRequest {
    /// How long, and what of it was used up before.
    pub(crate) budget: Budget,
    /// Whether leased pages are to be asked for, and taken; and how many were, before the call was
    /// restarted.
    pub(crate) revoke: Option<u64>,
}

/// Why the wait ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum WaitOutcome {
    /// Nobody holds any of the pages.
    Free,
    /// Somebody does, and the time is up.
    Held,
    /// A signal came, or task work has to run.
    Interrupted,
}

/// How the wait ended.
pub(crate) struct WaitReport {
    /// Why.
    pub(crate) outcome: WaitOutcome,
    /// Time waited, with that of calls before, in nanoseconds.
    pub(crate) waited_ns: u64,
    /// Pages with extra references at the last look.
    pub(crate) pinned_pages: u64,
    /// The lowest index of one.
    pub(crate) first_pinned: Option<usize>,
    /// Leased pages that were taken.
    pub(crate) revoked_pages: u64,
}

/// Waits until nobody holds pages of an object, then does `act`, with writers and new pins still held
/// up at the gate. Without success, `act` is not done. Nobody is waited for, nor asked, unless it is
/// `allowed` once no sealer is at it.
///
/// Context: sleeps. The caller must hold no lock.
///
/// # Errors
///
/// Those of `allowed` and `act`, and of [`Object::memory`].
pub(crate) fn once_free(
    object: &Arc<Object>,
    pages: Range<usize>,
    request: WaitRequest,
    allowed: impl Fn() -> Result,
    act: impl FnOnce() -> Result,
) -> Result<WaitReport> {
    let mut waiting = Waiting {
        object,
        pages: pages.clone(),
        patience: Patience::new(Driver::Caller, request.budget),
        asking: request
            .revoke
            .map(|taken| Asking::new(current!().group_leader().into(), pages, taken)),
        look: None,
        unmapped: Unmapped::new(),
    };
    let memory = object.memory()?;
    let (outcome, turn) = waiting.wait(&allowed)?;
    let taken = waiting.asking.as_ref().map_or(0, Asking::taken);
    if let (Some(asking), WaitOutcome::Interrupted) = (&mut waiting.asking, outcome) {
        asking.comes_back();
    }
    if let Some(turn) = &turn {
        turn.release_readers();
    }
    let done = match outcome {
        WaitOutcome::Free => act(),
        _ => Ok(()),
    };
    // While nobody else can ask.
    drop(waiting.asking.take());
    drop(turn);
    // Whose mapping it is may be held up by us no more.
    waiting.unmapped.map_where_locked(memory.pages());
    done?;
    let look = waiting
        .look
        .as_ref()
        .filter(|_| outcome != WaitOutcome::Free);
    Ok(WaitReport {
        outcome,
        waited_ns: waiting.patience.budget().waited_ns(),
        pinned_pages: look.map_or(0, Look::pinned_pages),
        first_pinned: look.and_then(Look::first_pinned),
        revoked_pages: taken,
    })
}

/// A wait that goes on.
struct Waiting<'a> {
    object: &'a Arc<Object>,
    pages: Range<usize>,
    patience: Patience,
    asking: Option<Asking>,
    look: Option<Look>,
    unmapped: Unmapped,
}

impl Waiting<'_> {
    /// Waits. Returns why it ended, and the turn if it came.
    fn wait(
        &mut self,
        allowed: &impl Fn() -> Result,
    ) -> Result<(WaitOutcome, Option<SealingTurn<Object>>)> {
        let pages = self.object.memory()?.pages();
        let turn = loop {
            if let Some(turn) = SealingTurn::try_take(self.object) {
                break turn;
            }
            let Some(ns) = self.patience.left_without_turn_ns() else {
                self.look = Some(Look::within(pages, self.pages.clone()));
                return Ok((WaitOutcome::Held, None));
            };
            if is_pending() {
                return Ok((WaitOutcome::Interrupted, None));
            }
            self.gate().wait_for_turn(ns);
        };
        allowed()?;
        turn.hold_writers();
        loop {
            turn.begin_to_look();
            let began = self.patience.look_begins();
            self.patience.begin_look();
            drain_this_cpu();
            let look = Look::within(pages, self.pages.clone());
            let look = if look.may_be_readers() && self.patience.should_hold_readers() {
                turn.hold_readers();
                look.again_without_readers(pages, &mut self.unmapped)
            } else {
                look
            };
            let is_free = look.is_clean_in_memory();
            self.look = Some(look);
            if is_free {
                return Ok((WaitOutcome::Free, Some(turn)));
            }
            self.patience.look_failed();
            self.patience.drain_if_due();
            let left_ns = self.patience.left_ns();
            if let Some(asking) = &mut self.asking {
                let may_wait = left_ns.is_some() && self.patience.budget().waits_for_holders();
                if asking.go_on(self.object.holdings(), may_wait) {
                    continue;
                }
            }
            let Some(left_ns) = left_ns else {
                return Ok((WaitOutcome::Held, Some(turn)));
            };
            if !self.patience.should_hold_readers() {
                turn.release_readers();
            }
            if is_pending() {
                return Ok((WaitOutcome::Interrupted, Some(turn)));
            }
            let ns = self.patience.next_pause(left_ns, began);
            turn.nap(ns, || self.patience.is_drained());
        }
    }

    fn gate(&self) -> &Gate {
        self.object.gate()
    }
}

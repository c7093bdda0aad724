// SPDX-License-Identifier: GPL-2.0-only

//! Taking pages away from an object (making it smaller, punching a hole) once nobody holds them.
//!
//! Who holds a page keeps it when it is taken away, so nothing depends on waiting for that but whether
//! the holder knows. It ends when all have let go at the same look; somebody new may come after it who
//! has another way to the memory than through the device.

use crate::{
    fs::shmem::ShmemFile,
    mm::lru::drain_this_cpu,
    object::exclusion::{
        Gate,
        HasGate,
        SealingTurn, //
    },
    object::Object,
    sync::sleep::{
        is_pending,
        Nap, //
    }, //
    wait::bounds::{
        Budget,
        WaitFor, //
    },
    wait::context::Driver,
    wait::lease_break::Asking,
    wait::retry::Patience,
    wait::scan::{
        Look,
        Unmapped, //
    },
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

/// Waits until nobody holds the pages of an object that go, then does `act`, with writers and new pins
/// still held up at the gate. Without success, `act` is not done.
///
/// `goes` says which pages that are. It is asked once no sealer is at it, and when it says that this is
/// not allowed, nobody is waited for, nor asked.
///
/// Context: sleeps. The caller must hold no lock.
///
/// # Errors
///
/// Those of `goes` and `act`, and of [`Object::memory`].
pub(crate) fn once_free(
    object: &Arc<Object>,
    request: WaitRequest,
    goes: impl Fn() -> Result<Range<usize>>,
    act: impl FnOnce() -> Result,
) -> Result<WaitReport> {
    let mut waiting = Waiting {
        object,
        pages: 0..0,
        patience: Patience::new(Driver::Caller, request.budget),
        revoke: request.revoke,
        asking: None,
        look: None,
        unmapped: Unmapped::new(),
    };
    let memory = object.memory()?;
    let (outcome, turn) = waiting.wait(memory, &goes)?;
    let taken = match (&waiting.asking, request.revoke) {
        (Some(asking), _) => asking.taken(),
        (None, before) => before.unwrap_or(0),
    };
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
        // A large folio may begin before what goes.
        first_pinned: look
            .and_then(Look::first_pinned)
            .map(|first| first.max(waiting.pages.start)),
        revoked_pages: taken,
    })
}

/// A wait that goes on.
struct Waiting<'a> {
    object: &'a Arc<Object>,
    /// What goes.
    pages: Range<usize>,
    patience: Patience,
    /// Whether leases are to be asked for, and taken; and how many were, before the call was
    /// restarted.
    revoke: Option<u64>,
    /// From the first look on that was in vain.
    asking: Option<Asking>,
    look: Option<Look>,
    unmapped: Unmapped,
}

impl Waiting<'_> {
    /// Waits. Returns why it ended, and the turn if it came.
    fn wait(
        &mut self,
        memory: &ShmemFile,
        goes: &impl Fn() -> Result<Range<usize>>,
    ) -> Result<(WaitOutcome, Option<SealingTurn<Object>>)> {
        let pages = memory.pages();
        let turn = loop {
            if let Some(turn) = SealingTurn::try_take(self.object) {
                break turn;
            }
            let Some(ns) = self.patience.left_without_turn_ns() else {
                self.pages = goes()?;
                self.look = Some(Look::within(pages, self.pages.clone()));
                return Ok((WaitOutcome::Held, None));
            };
            if is_pending() {
                return Ok((WaitOutcome::Interrupted, None));
            }
            self.gate().wait_for_turn(ns);
        };
        turn.hold_writers();
        self.pages = goes()?;
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
            let held = look.span();
            self.look = Some(look);
            if is_free {
                // What follows waits for the inode lock, however long: there are ways to have it for
                // long. While somebody writes, it is not worth to begin.
                if memory.try_lock().is_some() {
                    return Ok((WaitOutcome::Free, Some(turn)));
                }
                turn.hold_seekers();
                self.patience.waits_for(WaitFor::Kernel);
            }
            self.patience.look_failed();
            self.patience.drain_if_due();
            let left_ns = self.patience.left_ns();
            if let (Some(taken), false) = (self.revoke, is_free) {
                let asking = self.asking.get_or_insert_with(|| {
                    // Of a large folio that goes in part, whoever holds a part holds all.
                    let range = match held {
                        Some(held) => {
                            self.pages.start.min(held.start)..self.pages.end.max(held.end)
                        }
                        None => self.pages.clone(),
                    };
                    Asking::new(current!().group_leader().into(), range, taken)
                });
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
            turn.nap(Nap::Interruptible, ns, || self.patience.is_drained());
        }
    }

    fn gate(&self) -> &Gate {
        self.object.gate()
    }
}

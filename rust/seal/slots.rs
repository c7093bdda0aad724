// SPDX-License-Identifier: GPL-2.0-only

//! Slots: when the steps of a user's asynchronous seals may be taken, so that all together take a small
//! part of one CPU. No kernel state.
//!
//! A step reserves a slot and is charged for its CPU time, times [`SHARE`], times the number of users: by
//! so much later is the next slot. So the slots of a user's operations follow one another, and each of
//! many equal operations has every n-th.
//!
//! Steps that are to be quick (the first ones, those after an event) are charged elsewhere, where a burst
//! of [`BURST_NS`] is free. So a new operation need not wait for the slots of older ones; nor does an
//! endless row of new operations take more.
//!
//! Times are in nanoseconds since any one moment.

use kernel::prelude::*;

/// One part in so many of a CPU is for the steps of all users together that wait for slots, and as much
/// for those that are to be quick.
const SHARE: u64 = 50;

/// CPU time of steps that are to be quick before they have to wait.
const BURST_NS: u64 = 20_000_000;

/// What a step costs outside of itself: a timer interrupt and the wake-up of a worker. Estimated.
const WAKE_UP_NS: u64 = 5_000;

/// Largest charge for one step, as CPU time. What takes longer is a long scan of swapped-out pages; or the
/// machine stood still (a virtual one that does not know), for which no user should pay for long.
const MAX_COST_NS: u64 = 100_000_000;

/// What is taken leaks away at a constant rate.
struct Bucket {
    /// When it is empty.
    empty_at: u64,
}

impl Bucket {
    /// An empty bucket.
    const fn new() -> Self {
        Self { empty_at: 0 }
    }

    fn take(&mut self, now: u64, charge: u64) {
        self.empty_at = self.empty_at.max(now).saturating_add(charge);
    }

    fn adjust(&mut self, from: u64, to: u64) {
        self.empty_at = self.empty_at.saturating_sub(from).saturating_add(to);
    }
}

/// How soon a step is to be taken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Hurry {
    /// It is an operation's first: out of turn, or as soon as others of that kind allow.
    First,
    /// Out of turn while the burst lasts.
    Soon,
    /// It waits for a slot.
    None,
}

/// When an operation wants its next step.
#[derive(Clone, Copy)]
pub(super) struct Wish {
    pub(super) hurry: Hurry,
    /// Not before this time.
    pub(super) from: u64,
    /// At this time in any case.
    pub(super) until: u64,
}

/// A reserved step.
pub(super) struct Slot {
    at: u64,
    charge: u64,
    /// The buckets that it is charged to.
    paced: bool,
    quick: bool,
}

impl Slot {
    /// When the step may be taken.
    pub(super) fn at(&self) -> u64 {
        self.at
    }
}

/// The slots of one user.
///
/// `users` is everywhere the number of users that have operations.
pub(super) struct Slots {
    paced: Bucket,
    quick: Bucket,
    /// Estimate of an operation's first step: what the last one cost.
    first_ns: u64,
}

impl Slots {
    /// None is reserved.
    pub(super) const fn new() -> Self {
        Self {
            paced: Bucket::new(),
            quick: Bucket::new(),
            first_ns: 0,
        }
    }

    /// Whether they are as new.
    pub(super) fn are_free(&self, now: u64) -> bool {
        self.paced.empty_at.max(self.quick.empty_at) <= now
    }

    /// What a first step is estimated to cost.
    pub(super) fn first_ns(&self) -> u64 {
        self.first_ns
    }

    /// Says what a first step has cost.
    pub(super) fn set_first_ns(&mut self, cost_ns: u64) {
        self.first_ns = cost_ns;
    }

    /// When the next quick step may be taken.
    fn quick_at(&self) -> u64 {
        self.quick.empty_at.saturating_sub(BURST_NS * SHARE)
    }

    fn take(&mut self, now: u64, slot: Slot) -> Slot {
        if slot.paced {
            self.paced.take(now, slot.charge);
        }
        if slot.quick {
            self.quick.take(now, slot.charge);
        }
        slot
    }

    fn adjust(&mut self, slot: &Slot, charge: u64) {
        if slot.paced {
            self.paced.adjust(slot.charge, charge);
        }
        if slot.quick {
            self.quick.adjust(slot.charge, charge);
        }
    }

    /// Reserves a step that is estimated to cost `cost_ns`.
    ///
    /// One that cannot wait for its slot delays all later ones. There is at most a small number of these
    /// for each operation, whose first step had to wait for what was taken before.
    pub(super) fn reserve(&mut self, now: u64, wish: Wish, cost_ns: u64, users: u64) -> Slot {
        let quick_at = wish.from.max(self.quick_at());
        let paced_at = wish.from.max(self.paced.empty_at);
        let is_quick = match wish.hurry {
            Hurry::First => quick_at <= paced_at,
            Hurry::Soon => quick_at == wish.from,
            Hurry::None => false,
        };
        let at = if is_quick { quick_at } else { paced_at };
        let is_late = at > wish.until;
        let slot = Slot {
            at: at.min(wish.until),
            charge: charge(cost_ns, users),
            paced: !is_quick || is_late,
            quick: is_quick || is_late,
        };
        self.take(now, slot)
    }

    /// Reserves a quick step now in place of `slot`, if the burst allows.
    pub(super) fn advance(&mut self, now: u64, slot: &mut Slot) -> bool {
        if self.quick_at() > now {
            return false;
        }
        self.adjust(slot, 0);
        *slot = self.take(
            now,
            Slot {
                at: now,
                charge: slot.charge,
                paced: false,
                quick: true,
            },
        );
        true
    }

    /// Charges a step that was taken in its slot for what it has cost.
    pub(super) fn settle(&mut self, slot: Slot, cost_ns: u64, users: u64) {
        self.adjust(&slot, charge(cost_ns, users));
    }

    /// Gives a slot back.
    pub(super) fn release(&mut self, slot: Slot) {
        self.adjust(&slot, 0);
    }
}

fn charge(cost_ns: u64, users: u64) -> u64 {
    cost_ns
        .min(MAX_COST_NS)
        .saturating_add(WAKE_UP_NS)
        .saturating_mul(SHARE * users.max(1))
}

#[kunit_tests(pinseal_slots)]
mod tests {
    use super::*;

    const COST: u64 = 8_000;
    const BACKOFF: u64 = 4_000_000;
    const NEVER: u64 = u64::MAX;
    const SECOND: u64 = 1_000_000_000;

    /// What a step of this cost is charged, alone.
    const CHARGE: u64 = (COST + WAKE_UP_NS) * SHARE;

    fn wish(hurry: Hurry, from: u64) -> Wish {
        Wish {
            hurry,
            from,
            until: NEVER,
        }
    }

    /// Reserves a step that waits for its slot.
    fn paced(slots: &mut Slots, now: u64, users: u64) -> Slot {
        slots.reserve(now, wish(Hurry::None, now + BACKOFF), COST, users)
    }

    /// A user with so many operations that wait for slots, at time 0.
    fn crowd(operations: u64) -> Slots {
        let mut slots = Slots::new();
        for _ in 0..operations {
            let _ = paced(&mut slots, 0, 1);
        }
        slots
    }

    #[test]
    fn one_operation_is_not_delayed() {
        let mut slots = Slots::new();
        let mut now = 0;

        for _ in 0..100 {
            let slot = paced(&mut slots, now, 1);

            assert!(slot.at() == now + BACKOFF);
            now = slot.at();
            slots.settle(slot, COST, 1);
        }
    }

    #[test]
    fn an_expensive_step_makes_a_longer_pause() {
        let mut slots = Slots::new();
        let slot = paced(&mut slots, 0, 1);
        let now = slot.at();

        slots.settle(slot, 100 * COST, 1);
        assert!(paced(&mut slots, now, 1).at() >= 100 * COST * SHARE);
    }

    /// Takes steps of so many operations, for a hundred rounds. Returns the time that this takes.
    fn rounds(operations: usize, users: u64) -> Result<u64> {
        let mut slots = Slots::new();
        let mut reserved = KVec::with_capacity(operations, GFP_KERNEL)?;
        for _ in 0..operations {
            reserved.push(paced(&mut slots, 0, users), GFP_KERNEL)?;
        }
        let mut now = 0;
        for _ in 0..100 {
            for slot in &mut reserved {
                // Each has its turn before any has another.
                assert!(slot.at() >= now);
                now = slot.at();
                let next = slots.reserve(now, wish(Hurry::None, now + BACKOFF), COST, users);
                let taken = core::mem::replace(slot, next);
                slots.settle(taken, COST, users);
            }
        }
        Ok(now)
    }

    #[test]
    fn operations_share_the_time_of_their_user() -> Result {
        for operations in [100, 1000] {
            for users in [1, 7] {
                let steps = 100 * operations as u64;
                let took = rounds(operations, users)?;

                assert!(took + BACKOFF + CHARGE * users >= steps * CHARGE * users);
                // Nor is time lost.
                assert!(took <= (steps + operations as u64) * CHARGE * users + BACKOFF);
            }
        }
        Ok(())
    }

    #[test]
    fn a_first_step_overtakes_a_crowd() {
        let mut slots = crowd(10_000);

        assert!(paced(&mut slots, 0, 1).at() >= 10_000 * CHARGE);
        assert!(slots.reserve(0, wish(Hurry::First, 0), COST, 1).at() == 0);
        assert!(slots.reserve(0, wish(Hurry::Soon, 20), COST, 1).at() == 20);
    }

    #[test]
    fn new_operations_take_no_more_than_a_burst_and_two_shares() {
        let mut slots = Slots::new();
        let mut now = 0;
        let mut steps = 0;

        while now < 10 * SECOND {
            now = slots.reserve(now, wish(Hurry::First, now), COST, 1).at();
            steps += 1;
        }
        let taken = steps * (COST + WAKE_UP_NS);
        let allowed = BURST_NS + 2 * now / SHARE;
        assert!(taken <= allowed + 3 * (COST + WAKE_UP_NS) && taken >= allowed - allowed / 10);
        // What is not that urgent does not join them.
        let soon = slots.reserve(now, wish(Hurry::Soon, now), COST, 1);
        assert!(soon.paced && !soon.quick);
    }

    #[test]
    fn an_event_overtakes_while_the_burst_lasts() {
        let mut slots = crowd(1000);
        let mut slot = paced(&mut slots, 0, 1);
        let end = slots.paced.empty_at;

        assert!(slots.advance(10, &mut slot));
        assert!(slot.at() == 10);
        // Its own slot is given back.
        assert!(slots.paced.empty_at == end - CHARGE);
        slots.settle(slot, BURST_NS, 1);

        let mut slot = paced(&mut slots, 10, 1);
        let at = slot.at();
        assert!(!slots.advance(10, &mut slot));
        assert!(slot.at() == at);
        // The burst comes back.
        assert!(slots.advance(SECOND, &mut slot));
    }

    #[test]
    fn a_deadline_is_met_and_charged() {
        let mut slots = crowd(1000);
        let end = slots.paced.empty_at;
        let wish = Wish {
            hurry: Hurry::None,
            from: 10,
            until: 20,
        };
        let slot = slots.reserve(0, wish, COST, 1);

        assert!(slot.at() == 20);
        assert!(slots.paced.empty_at == end + CHARGE && slots.quick.empty_at == CHARGE);
        slots.settle(slot, SECOND, 1);
        assert!(slots.reserve(20, self::wish(Hurry::First, 20), 0, 1).at() > SECOND);
    }

    #[test]
    fn unused_slots_are_given_back() {
        let mut slots = Slots::new();
        let first = paced(&mut slots, 0, 1);
        let second = paced(&mut slots, 0, 3);
        let quick = slots.reserve(0, wish(Hurry::First, 0), COST, 2);

        assert!(!slots.are_free(0));
        slots.release(first);
        slots.release(quick);
        slots.release(second);
        assert!(slots.are_free(0));
    }

    #[test]
    fn no_step_makes_a_very_long_pause() {
        let mut slots = Slots::new();
        let slot = paced(&mut slots, 0, 1);

        slots.settle(slot, u64::MAX, 1);
        assert!(paced(&mut slots, 0, 1).at() < 6 * SECOND);
    }

    #[test]
    fn debts_outlive_operations() {
        let mut slots = Slots::new();
        let slot = slots.reserve(0, wish(Hurry::First, 0), 0, 1);

        slots.settle(slot, COST, 1);
        assert!(!slots.are_free(CHARGE - 1));
        assert!(slots.are_free(CHARGE));
    }
}

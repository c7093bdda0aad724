// SPDX-License-Identifier: GPL-2.0-only

//! What all asynchronous seals share: the queue of their steps, and the slots for these, by user.
//!
//! Steps take CPU time of workers, which is no caller's. [`slots`](super::slots) bounds it.
//!
//! `Workers::users` is taken under `AsyncSeal::state`. Nothing is waited for under it.

use super::slots::{
    Hurry,
    Slot,
    Slots,
    Wish, //
};
use crate::sync::{
    task::current_user,
    workqueue::OwnedQueue, //
};
use kernel::{
    new_mutex,
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNode, //
    },
    sync::{
        Arc,
        Mutex, //
    },
    time::{
        Instant,
        Monotonic, //
    }, //
};

/// Limit of asynchronous seals that take a step at the same time, and so of the CPUs that they use.
const MAX_ACTIVE_STEPS: i32 = 16;

/// Steps of an operation after the first that need not wait for a slot, if there are not many. A new
/// seal finds references of readers, LRU batches and short I/O, which are gone in a moment.
const SOON_STEPS: u32 = 3;

/// A user, until the last operation has ended and what it took is paid back.
struct User {
    slots: Slots,
    operations: u32,
}

struct Users {
    /// By number.
    users: RBTree<u32, User>,
    /// How many have operations.
    active: u64,
}

impl Users {
    /// Forgets users that have no operations, and no debts that new ones would have to pay.
    fn forget(&mut self, now: u64) {
        let mut cursor = self.users.cursor_front_mut();
        while let Some(at) = cursor {
            let (_, user) = at.current();
            cursor = match user.operations == 0 && user.slots.are_free(now) {
                true => at.remove_current().0,
                false => at.move_next(),
            };
        }
    }
}

/// The workers of all asynchronous seals.
#[pin_data]
pub(crate) struct Workers {
    queue: OwnedQueue,
    created: Instant<Monotonic>,
    #[pin]
    users: Mutex<Users>,
}

impl Workers {
    /// Workers without work.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new() -> Result<Arc<Self>> {
        let queue = OwnedQueue::new(c"pinseal", MAX_ACTIVE_STEPS)?;
        let users = Users {
            users: RBTree::new(),
            active: 0,
        };
        Arc::pin_init(
            pin_init!(Self {
                queue,
                created: Instant::now(),
                users <- new_mutex!(users, "pinseal::Workers::users"),
            }),
            GFP_KERNEL,
        )
    }

    /// The queue of the steps.
    pub(super) fn queue(&self) -> &OwnedQueue {
        &self.queue
    }

    /// The time of slots.
    fn now(&self) -> u64 {
        // CAST: The clock is monotonic, so this is never negative.
        self.created.elapsed().as_nanos() as u64
    }
}

/// The slots of one operation, which are its user's.
pub(super) struct OperationSlots {
    workers: Arc<Workers>,
    user: u32,
    /// That of the next step; `None` before the first one, and after a step.
    slot: Option<Slot>,
    /// What the last step has cost, if there was one.
    cost_ns: Option<u64>,
    soon_steps: u32,
}

impl OperationSlots {
    /// Slots of an operation of the current user.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn new(workers: Arc<Workers>) -> Result<Self> {
        let user = current_user();
        let new = User {
            slots: Slots::new(),
            operations: 0,
        };
        // Before the lock, which everybody's steps wait for.
        let node = RBTreeNode::new(user, new, GFP_KERNEL_ACCOUNT)?;
        let mut users = workers.users.lock();
        if users.users.get(&user).is_none() {
            users.forget(workers.now());
            users.users.insert(node);
        }
        if let Some(found) = users.users.get_mut(&user) {
            found.operations += 1;
            if found.operations == 1 {
                users.active += 1;
            }
        }
        drop(users);
        Ok(Self {
            workers,
            user,
            slot: None,
            cost_ns: None,
            soon_steps: SOON_STEPS,
        })
    }

    /// Calls `change` with the slots of the user, the number of users, and the time.
    fn change<R>(&self, change: impl FnOnce(&mut Slots, u64, u64) -> R) -> Option<R> {
        let users = &mut *self.workers.users.lock();
        // Not before the lock: time must not go back.
        let now = self.workers.now();
        let user = users.users.get_mut(&self.user)?;
        Some(change(&mut user.slots, users.active, now))
    }

    /// Reserves the next step: after `after_ns`, or later, but within `within_ns`. Returns when, in
    /// nanoseconds from now.
    ///
    /// With `soon` it waits for what the kernel does in a moment.
    pub(super) fn reserve(&mut self, after_ns: u64, within_ns: u64, soon: bool) -> u64 {
        let cost_ns = self.cost_ns;
        let hurry = match cost_ns {
            None => Hurry::First,
            Some(_) if soon || self.soon_steps != 0 => Hurry::Soon,
            Some(_) => Hurry::None,
        };
        if hurry == Hurry::Soon {
            self.soon_steps = self.soon_steps.saturating_sub(1);
        }
        let reserved = self.change(|slots, users, now| {
            let wish = Wish {
                hurry,
                from: now.saturating_add(after_ns),
                until: now.saturating_add(within_ns),
            };
            let cost_ns = cost_ns.unwrap_or(slots.first_ns());
            let slot = slots.reserve(now, wish, cost_ns, users);
            (slot.at().saturating_sub(now), slot)
        });
        match reserved {
            Some((pause_ns, slot)) => {
                self.slot = Some(slot);
                pause_ns
            }
            None => after_ns,
        }
    }

    /// How long it is until the step may be taken, in nanoseconds. After an event, which is what there is
    /// before that, it may be taken at once if there are not many.
    pub(super) fn left_ns(&mut self) -> Option<u64> {
        let mut slot = self.slot.take()?;
        let left_ns = self.change(|slots, _, now| {
            let left_ns = slot.at().saturating_sub(now);
            (left_ns != 0 && !slots.advance(now, &mut slot)).then_some(left_ns)
        });
        self.slot = Some(slot);
        left_ns.flatten()
    }

    /// Charges a step that took `cost_ns` of CPU time.
    pub(super) fn settle(&mut self, cost_ns: u64) {
        let is_first = self.cost_ns.replace(cost_ns).is_none();
        if let Some(slot) = self.slot.take() {
            self.change(|slots, users, _| {
                if is_first {
                    slots.set_first_ns(cost_ns);
                }
                slots.settle(slot, cost_ns, users);
            });
        }
    }
}

impl Drop for OperationSlots {
    fn drop(&mut self) {
        let slot = self.slot.take();
        let users = &mut *self.workers.users.lock();
        if let Some(user) = users.users.get_mut(&self.user) {
            if let Some(slot) = slot {
                user.slots.release(slot);
            }
            user.operations -= 1;
            if user.operations == 0 {
                users.active -= 1;
            }
        }
    }
}

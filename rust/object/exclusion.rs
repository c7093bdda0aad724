// SPDX-License-Identifier: GPL-2.0-only

//! The gate of an object: whose turn to seal it is, and who waits meanwhile.
//!
//! Writers, readers and those who seek are held at the gate, so that waiting for them comes to an
//! end. No seal depends on it: they may have another way to the memory.
//!
//! # Lock order
//!
//! Under `queue` nothing is slept for, and nothing taken but what waking somebody up takes: locks of
//! the scheduler, of a wait queue, of a work queue. It may be taken under the mmap lock (faults) and
//! under the inode lock (sealing).

use crate::sync::sleep::{
    is_pending,
    Nap, //
};
use kernel::{
    new_condvar,
    new_spinlock,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Full,
            Relaxed,
            Release, //
        },
        Arc,
        CondVar,
        SpinLock,
        SpinLockGuard, //
    },
    task::Task,
    time::{
        msecs_to_jiffies,
        Jiffies, //
    }, //
};

/// How long a reader waits for a moment to be over, in milliseconds. Moments are shorter; this is for
/// sealers who do not get a CPU.
const READER_PATIENCE_MS: u32 = 20;

/// Who comes to the gate, as a bit.
#[derive(Clone, Copy)]
#[repr(u32)]
enum Passer {
    /// Who writes, or changes the size.
    Writer = 1 << 0,
    /// Who takes a reference to read by. Held up for moments only.
    Reader = 1 << 1,
    /// Who locks the inode in order to read. Held up only while that lock is what the seal waits for.
    Seeker = 1 << 2,
}

/// The lock around [`Queue`], held.
type QueueGuard<'a> = SpinLockGuard<'a, Queue>;

/// Whose turn to seal it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Free,
    Taken,
}

/// The turn, and how many wait for something at the gate.
struct Queue {
    turn: Turn,
    waiters: u32,
    /// The holder of the turn, when that one waits for pages.
    sleeper: Option<Sleeper>,
}

/// How to tell somebody that pages were let go of, from whatever thread, and without sleeping.
pub(crate) trait Wake: Send + Sync {
    /// Tells.
    fn wake(&self);
}

/// Who wants to be told that pages were let go of.
pub(crate) enum Sleeper {
    /// A task that sleeps, perhaps.
    Task(ARef<Task>),
    /// Somebody who is told otherwise.
    Other(KBox<dyn Wake>),
}

impl Sleeper {
    fn wake(&self) {
        match self {
            Sleeper::Task(task) => task.wake_up(),
            Sleeper::Other(other) => other.wake(),
        }
    }
}

/// What has a gate.
pub(crate) trait HasGate {
    /// Its gate.
    fn gate(&self) -> &Gate;
}

/// The gate.
#[pin_data]
pub(crate) struct Gate {
    /// Who waits: one bit for each of [`Passer`]. Set by the hand of the holder of the turn only, and
    /// cleared with it.
    held: Atomic<u32>,
    /// Whether somebody let go of pages since the holder of the turn has begun to look.
    released: Atomic<bool>,
    #[pin]
    queue: SpinLock<Queue>,
    /// Somebody gave up the turn, or lets readers go on.
    #[pin]
    changed: CondVar,
}

impl Gate {
    /// An open gate.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            held: Atomic::new(0),
            released: Atomic::new(false),
            queue <- new_spinlock!(
                Queue {
                    turn: Turn::Free,
                    waiters: 0,
                    sleeper: None,
                },
                "pinseal::Gate::queue"
            ),
            changed <- new_condvar!("pinseal::Gate::changed"),
        })
    }

    /// How many are at it: who has the turn, and who waits at the gate, for the turn or for its end.
    pub(crate) fn waiters(&self) -> u32 {
        let queue = self.queue.lock();
        u32::from(queue.turn == Turn::Taken) + queue.waiters
    }

    /// Waits while somebody seals, before a write or a change of size.
    ///
    /// It is a courtesy: who passes may be held up by the inode lock a moment later. That lock is
    /// what keeps writers and the decision to seal apart.
    ///
    /// # Errors
    ///
    /// `EAGAIN` when it would wait and `nonblock` is set. `ERESTARTSYS` when there is a signal, or
    /// task work to do.
    pub(crate) fn wait_for_sealer(&self, nonblock: bool) -> Result {
        match (self.holds(Passer::Writer), nonblock) {
            (false, _) => Ok(()),
            (true, true) => Err(EAGAIN),
            (true, false) => self.wait_until_released(Passer::Writer, ERESTARTSYS),
        }
    }

    /// Waits, before a seek that locks the inode, while a sealer waits for that lock.
    ///
    /// In a large file a seek takes long. Two who seek all the time hand the lock to each other, and
    /// a sealer, who does not queue for it, would never find it free. They lose nothing: whoever has
    /// it would keep them waiting as well, but not interruptibly.
    ///
    /// # Errors
    ///
    /// `ERESTARTNOINTR` when there is a signal, or task work to do: user space does not notice.
    pub(crate) fn let_seeker_pass(&self) -> Result {
        match self.holds(Passer::Seeker) {
            false => Ok(()),
            true => self.wait_until_released(Passer::Seeker, ERESTARTNOINTR),
        }
    }

    /// Whether somebody who comes now has to wait.
    #[inline]
    fn holds(&self, passer: Passer) -> bool {
        // CAST: It is a bit of this type.
        self.held.load(Relaxed) & passer as u32 != 0
    }

    /// Waits while such as `passer` are held up. Fails with `interrupted` when the current task should
    /// go back to user space.
    #[cold]
    fn wait_until_released(&self, passer: Passer, interrupted: Error) -> Result {
        let mut queue = self.queue.lock();
        while self.holds(passer) {
            self.wait(&mut queue, Jiffies::MAX);
            if is_pending() {
                return Err(interrupted);
            }
        }
        Ok(())
    }

    /// Whether readers should wait in [`Gate::let_reader_pass`] before they take a reference.
    #[inline]
    pub(crate) fn holds_readers(&self) -> bool {
        self.holds(Passer::Reader)
    }

    /// Waits, before a fault or a read, while somebody who seals wants no new references for a
    /// moment.
    ///
    /// It is a courtesy of the reader's, and the reader goes on after [`READER_PATIENCE_MS`], or
    /// when it is signalled: nothing depends on it but how soon a seal comes.
    ///
    /// Context: sleeps. May be called under the mmap lock.
    #[inline]
    pub(crate) fn let_reader_pass(&self) {
        if self.holds_readers() {
            self.hold_reader();
        }
    }

    #[cold]
    fn hold_reader(&self) {
        let mut queue = self.queue.lock();
        if self.holds_readers() {
            self.wait(&mut queue, msecs_to_jiffies(READER_PATIENCE_MS));
        }
    }

    /// To be called after pages were let go of: who seals need not wait for the next look then.
    pub(crate) fn pages_released(&self) {
        let queue = self.queue.lock();
        if queue.turn == Turn::Free {
            return;
        }
        // ORDERING: Release, so that who sees this sees the pages without the references, too.
        self.released.store(true, Release);
        if let Some(sleeper) = &queue.sleeper {
            sleeper.wake();
        }
    }

    /// Waits while somebody seals: for `ns` nanoseconds at most, or until [`is_pending`].
    pub(crate) fn wait_for_turn(&self, ns: u64) {
        let mut queue = self.queue.lock();
        if queue.turn == Turn::Taken {
            // Rounded up: a turn that comes is noticed at once, only its absence a bit late.
            let ms = ns.div_ceil(1_000_000).try_into().unwrap_or(u32::MAX);
            self.wait(&mut queue, msecs_to_jiffies(ms));
        }
    }

    /// Waits until something changes, the time is up, or [`is_pending`].
    fn wait(&self, queue: &mut QueueGuard<'_>, timeout: Jiffies) {
        queue.waiters += 1;
        let _ = self.changed.wait_interruptible_timeout(queue, timeout);
        queue.waiters -= 1;
    }

    /// Changes something that others may wait for. It is done under the lock, so that nobody who
    /// saw it unchanged goes to sleep after the wake-up.
    fn change(&self, change: impl FnOnce(&mut Queue)) {
        let mut queue = self.queue.lock();
        change(&mut queue);
        let waiters = queue.waiters;
        drop(queue);
        if waiters != 0 {
            self.changed.notify_all();
        }
    }
}

/// The turn to seal: nobody else adds seals until it is dropped.
pub(crate) struct SealingTurn<T: HasGate> {
    owner: Arc<T>,
}

impl<T: HasGate> SealingTurn<T> {
    /// Takes the turn, if nobody has it.
    pub(crate) fn try_take(owner: &Arc<T>) -> Option<Self> {
        let mut queue = owner.gate().queue.lock();
        if queue.turn == Turn::Taken {
            return None;
        }
        queue.turn = Turn::Taken;
        drop(queue);
        Some(Self {
            owner: owner.clone(),
        })
    }

    /// Whose turn it is: what is sealed.
    pub(crate) fn owner(&self) -> &T {
        &self.owner
    }

    fn gate(&self) -> &Gate {
        self.owner.gate()
    }

    /// Has `sleeper` told when pages are let go of, until the turn is over, unless somebody is told
    /// already.
    pub(crate) fn tell(&self, sleeper: impl FnOnce() -> Sleeper) {
        let mut queue = self.gate().queue.lock();
        if queue.sleeper.is_none() {
            queue.sleeper = Some(sleeper());
        }
    }

    /// Whether pages were let go of since [`SealingTurn::begin_to_look`].
    fn pages_released(&self) -> bool {
        self.gate().released.load(Relaxed)
    }

    /// Sleeps for `ns` nanoseconds, until pages are let go of, or for another reason to look again:
    /// `is_over`, of which it is told by being woken up.
    ///
    /// Context: sleeps.
    pub(crate) fn nap(&self, nap: Nap, ns: u64, is_over: impl FnOnce() -> bool) {
        self.tell(|| Sleeper::Task((&**current!()).into()));
        nap.take(ns, || is_over() || self.pages_released());
    }

    /// What is let go of from now on does not show, perhaps, in the look that begins.
    pub(crate) fn begin_to_look(&self) {
        // ORDERING: Acquire (and more), see `Gate::pages_released`.
        self.gate().released.xchg(false, Full);
    }

    /// Lets writers and those who change the size wait until the turn is over.
    pub(crate) fn hold_writers(&self) {
        self.hold(Passer::Writer);
    }

    /// Lets readers wait until [`SealingTurn::release_readers`], or until the turn is over. To be
    /// used for moments.
    pub(crate) fn hold_readers(&self) {
        self.hold(Passer::Reader);
    }

    /// Lets readers go on.
    pub(crate) fn release_readers(&self) {
        self.release(Passer::Reader);
    }

    /// Lets those who lock the inode in order to read wait until [`SealingTurn::release_seekers`],
    /// or until the turn is over. To be used while somebody has it locked.
    pub(crate) fn hold_seekers(&self) {
        self.hold(Passer::Seeker);
    }

    /// Whether they wait.
    pub(crate) fn holds_seekers(&self) -> bool {
        self.gate().holds(Passer::Seeker)
    }

    /// Lets them go on.
    pub(crate) fn release_seekers(&self) {
        self.release(Passer::Seeker);
    }

    fn hold(&self, passer: Passer) {
        let held = &self.gate().held;
        // Nobody else changes it.
        //
        // CAST: It is a bit of this type.
        held.store(held.load(Relaxed) | passer as u32, Relaxed);
    }

    fn release(&self, passer: Passer) {
        if self.gate().holds(passer) {
            self.gate().change(|_| {
                let held = &self.gate().held;
                // Nobody else changes it.
                //
                // CAST: It is a bit of this type.
                held.store(held.load(Relaxed) & !(passer as u32), Relaxed);
            });
        }
    }
}

impl<T: HasGate> Drop for SealingTurn<T> {
    fn drop(&mut self) {
        let gate = self.gate();
        let mut sleeper = None;
        gate.change(|queue| {
            gate.held.store(0, Relaxed);
            queue.turn = Turn::Free;
            sleeper = queue.sleeper.take();
        });
    }
}

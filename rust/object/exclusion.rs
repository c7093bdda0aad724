// SPDX-License-Identifier: GPL-2.0-only

//! Serialises the sealers of an object and blocks other accesses while one is at work.
//!
//! Blocking bounds a sealer's wait: without new writers and readers, the references that exist run
//! out. No seal depends on it, because an exported or imported file is another way to the memory.
//!
//! # Lock order
//!
//! `SealExclusion::state` is taken under the mmap lock (faults) and under the inode lock (sealing).
//! Nothing sleeps under it. A wake-up under it takes locks of the scheduler, of a wait queue, of a
//! work queue.

use crate::sync::sleep::{
    hrtimer_sleep,
    signal_pending,
    SleepState, //
};
use core::{
    mem::ManuallyDrop,
    ops::Deref, //
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
        Instant,
        Jiffies,
        Monotonic, //
    }, //
};

/// Longest wait of a reader, in milliseconds. A sealer blocks readers for less; the bound is for a
/// sealer that gets no CPU.
const READ_TIMEOUT_MS: u32 = 20;

/// How long readers wait at all after the sealer has last blocked them, in milliseconds. A worker may have no
/// time for its next step, which would block or unblock them.
const READ_BLOCK_MS: i64 = 50;

/// A kind of access that a sealer can block, as a bit.
#[derive(Clone, Copy)]
#[repr(u32)]
enum Access {
    /// A write or a change of size.
    Write = 1 << 0,
    /// A read or a fault, which takes page references. Blocked for moments only.
    Read = 1 << 1,
    /// A seek that locks the inode. Blocked only while the sealer waits for the inode lock.
    Seek = 1 << 2,
    /// A new shared writable mapping, which is refused. Blocked while the sealer waits for those that
    /// exist.
    Map = 1 << 3,
}

type StateGuard<'a> = SpinLockGuard<'a, State>;

/// Whether a sealer owns the exclusion.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    None,
    Sealer,
}

struct State {
    owner: Owner,
    /// Tasks that wait for the exclusion or for a blocked access.
    waiters: u32,
    /// When the owner has last blocked reads.
    reads_blocked_at: Option<Instant<Monotonic>>,
    /// The owner, from its first wait for page references to the release.
    unpin_waiter: Option<Waiter>,
}

/// Wakes a waiter from any thread, without sleeping.
pub(crate) trait Wake: Send + Sync {
    /// Wakes the waiter.
    fn wake(&self);
}

/// A waiter for page references.
pub(crate) enum Waiter {
    /// A task that may be asleep.
    Task(ARef<Task>),
    /// Anything else, such as queued work.
    Other(KBox<dyn Wake>),
}

impl Waiter {
    fn wake(&self) {
        match self {
            Waiter::Task(task) => task.wake_up(),
            Waiter::Other(other) => other.wake(),
        }
    }
}

/// An owner of a [`SealExclusion`].
pub(crate) trait HasSealExclusion {
    /// The exclusion of this object.
    fn exclusion(&self) -> &SealExclusion;
}

impl<T: HasSealExclusion> HasSealExclusion for Arc<T> {
    fn exclusion(&self) -> &SealExclusion {
        (**self).exclusion()
    }
}

/// Mutual exclusion of sealers that can block other accesses.
#[pin_data]
pub(crate) struct SealExclusion {
    /// Blocked accesses, one bit for each [`Access`]. Only the owner sets bits; they are cleared when
    /// it releases the exclusion.
    blocked: Atomic<u32>,
    /// Whether a pin was released since the owner began its scan.
    unpinned: Atomic<bool>,
    #[pin]
    state: SpinLock<State>,
    /// The exclusion was released, or an access unblocked.
    #[pin]
    changed: CondVar,
}

impl SealExclusion {
    /// An exclusion that no sealer owns.
    pub(super) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            blocked: Atomic::new(0),
            unpinned: Atomic::new(false),
            state <- new_spinlock!(
                State {
                    owner: Owner::None,
                    waiters: 0,
                    reads_blocked_at: None,
                    unpin_waiter: None,
                },
                "pinseal::SealExclusion::state"
            ),
            changed <- new_condvar!("pinseal::SealExclusion::changed"),
        })
    }

    /// Number of tasks at it: the owner, those that wait for the exclusion, those whose access is
    /// blocked, and those counted by [`SealExclusion::count_waiter`].
    pub(crate) fn waiters(&self) -> u32 {
        let state = self.state.lock();
        u32::from(state.owner == Owner::Sealer) + state.waiters
    }

    /// Counts the calling task as a waiter, for what reports show, while it waits for page
    /// references without the exclusion.
    pub(crate) fn count_waiter(&self) -> CountedWaiter<'_> {
        self.state.lock().waiters += 1;
        CountedWaiter(self)
    }

    /// Waits until writes and changes of size are not blocked.
    ///
    /// A writer that has passed may still meet a sealer: the inode lock is what keeps writers and the
    /// decision to seal apart.
    ///
    /// # Errors
    ///
    /// `EAGAIN` when it would wait and `nonblock` is set. `ERESTARTSYS` for a signal or task work.
    pub(crate) fn wait_write_unblocked(&self, nonblock: bool) -> Result {
        match (self.is_blocked(Access::Write), nonblock) {
            (false, _) => Ok(()),
            (true, true) => Err(EAGAIN),
            (true, false) => self.wait_unblocked(Access::Write, ERESTARTSYS),
        }
    }

    /// The same of a writer that has page references until it has written, which the sealer may wait for.
    /// It goes on after [`READ_TIMEOUT_MS`], or for a signal.
    pub(crate) fn wait_write_briefly(&self) {
        let mut state = self.state.lock();
        if self.is_blocked(Access::Write) {
            self.wait(&mut state, msecs_to_jiffies(READ_TIMEOUT_MS));
        }
    }

    /// Waits until seeks that lock the inode are not blocked.
    ///
    /// Such a seek takes long in a large file. Two tasks that seek without pause hand the inode lock
    /// to each other, and the sealer, which only tries it, never finds it free. The seek loses
    /// nothing: the lock's owner keeps it waiting as well, and not interruptibly.
    ///
    /// # Errors
    ///
    /// `ERESTARTNOINTR` for a signal or task work: user space does not notice.
    pub(crate) fn wait_seek_unblocked(&self) -> Result {
        match self.is_blocked(Access::Seek) {
            false => Ok(()),
            true => self.wait_unblocked(Access::Seek, ERESTARTNOINTR),
        }
    }

    #[inline]
    fn is_blocked(&self, access: Access) -> bool {
        // CAST: A bit of this type.
        self.blocked.load(Relaxed) & access as u32 != 0
    }

    /// Waits until `access` is not blocked. Fails with `interrupted` for a signal or task work.
    #[cold]
    fn wait_unblocked(&self, access: Access, interrupted: Error) -> Result {
        let mut state = self.state.lock();
        while self.is_blocked(access) {
            self.wait(&mut state, Jiffies::MAX);
            if signal_pending() {
                return Err(interrupted);
            }
        }
        Ok(())
    }

    /// Whether a reader should call [`SealExclusion::wait_read_unblocked`] before it takes a
    /// reference.
    #[inline]
    pub(crate) fn blocks_reads(&self) -> bool {
        self.is_blocked(Access::Read)
    }

    /// Whether a new shared writable mapping is to be refused.
    pub(crate) fn blocks_mappings(&self) -> bool {
        self.is_blocked(Access::Map)
    }

    /// Waits, before a fault or a read, while the sealer wants no new references.
    ///
    /// The reader goes on after [`READ_TIMEOUT_MS`] or for a signal. Nothing depends on the wait but
    /// how soon the seal comes.
    ///
    /// Context: sleeps. May be called under the mmap lock.
    #[inline]
    pub(crate) fn wait_read_unblocked(&self) {
        if self.blocks_reads() {
            self.wait_read_unblocked_slow();
        }
    }

    #[cold]
    fn wait_read_unblocked_slow(&self) {
        let mut state = self.state.lock();
        let is_late = state
            .reads_blocked_at
            .is_some_and(|at| at.elapsed().as_millis() >= READ_BLOCK_MS);
        if self.blocks_reads() && !is_late {
            self.wait(&mut state, msecs_to_jiffies(READ_TIMEOUT_MS));
        }
    }

    /// Says that pins were released or a shared writable mapping removed, so that the sealer scans again
    /// without waiting for its backoff.
    pub(crate) fn notify_unpin(&self) {
        let state = self.state.lock();
        if state.owner == Owner::None {
            return;
        }
        // ORDERING: Release: a sealer that sees the flag sees the pages without the references.
        self.unpinned.store(true, Release);
        if let Some(waiter) = &state.unpin_waiter {
            waiter.wake();
        }
    }

    /// Waits until no sealer owns the exclusion: for `ns` nanoseconds at most, or until
    /// [`signal_pending`].
    pub(crate) fn wait_released(&self, ns: u64) {
        let mut state = self.state.lock();
        if state.owner == Owner::Sealer {
            // Rounded up: a release wakes the waiter at once, only a timeout comes late.
            let ms = ns.div_ceil(1_000_000).try_into().unwrap_or(u32::MAX);
            self.wait(&mut state, msecs_to_jiffies(ms));
        }
    }

    /// Waits for a change, the timeout, or [`signal_pending`].
    fn wait(&self, state: &mut StateGuard<'_>, timeout: Jiffies) {
        state.waiters += 1;
        let _ = self.changed.wait_interruptible_timeout(state, timeout);
        state.waiters -= 1;
    }

    /// Changes the state and wakes the waiters. The lock orders the change before the sleep of a
    /// waiter that saw the old state, so no wake-up is lost.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        change(&mut state);
        let waiters = state.waiters;
        drop(state);
        if waiters != 0 {
            self.changed.notify_all();
        }
    }
}

/// A task that [`SealExclusion::count_waiter`] counted, until drop.
pub(crate) struct CountedWaiter<'a>(&'a SealExclusion);

impl Drop for CountedWaiter<'_> {
    fn drop(&mut self) {
        self.0.state.lock().waiters -= 1;
    }
}

/// Ownership of a [`SealExclusion`]: no other task adds seals through this object until it is dropped. It
/// is no lock, and may be held across sleeps.
///
/// `P` is how the owner refers to the object: a reference does for an owner that ends with the borrow.
pub(crate) struct SealGuard<P: Deref<Target: HasSealExclusion>> {
    object: P,
}

impl<P: Deref<Target: HasSealExclusion>> SealGuard<P> {
    /// Acquires the exclusion, unless a sealer owns it. Pins that are released from now on are noted.
    #[inline]
    pub(crate) fn try_acquire(object: P) -> Option<Self> {
        let exclusion = object.exclusion();
        let mut state = exclusion.state.lock();
        if state.owner == Owner::Sealer {
            return None;
        }
        state.owner = Owner::Sealer;
        // `notify_unpin` takes the lock, too.
        exclusion.unpinned.store(false, Relaxed);
        drop(state);
        Some(Self { object })
    }

    /// The object whose exclusion is held.
    pub(crate) fn object(&self) -> &P::Target {
        &self.object
    }

    fn exclusion(&self) -> &SealExclusion {
        self.object.exclusion()
    }

    /// Has `waiter` woken by [`SealExclusion::notify_unpin`] until the exclusion is released. The
    /// first waiter stays.
    pub(crate) fn set_waiter(&self, waiter: impl FnOnce() -> Waiter) {
        let mut state = self.exclusion().state.lock();
        if state.unpin_waiter.is_none() {
            state.unpin_waiter = Some(waiter());
        }
    }

    /// Whether pins were released since [`SealGuard::begin_scan`].
    fn was_unpinned(&self) -> bool {
        self.exclusion().unpinned.load(Relaxed)
    }

    /// Sleeps for `ns` nanoseconds, or until pins are released or `is_over`. What makes `is_over` true
    /// must wake the task.
    ///
    /// Context: sleeps.
    pub(crate) fn sleep(&self, sleep: SleepState, ns: u64, is_over: impl FnOnce() -> bool) {
        self.set_waiter(|| Waiter::Task((&**current!()).into()));
        hrtimer_sleep(sleep, ns, || is_over() || self.was_unpinned());
    }

    /// To be called before a scan: pins released from now on may be missed by it.
    pub(crate) fn begin_scan(&self) {
        // ORDERING: Acquire (and more), see `SealExclusion::notify_unpin`.
        self.exclusion().unpinned.xchg(false, Full);
    }

    /// Blocks writes and changes of size until the exclusion is released.
    pub(crate) fn block_writes(&self) {
        self.block(Access::Write);
    }

    /// Has new shared writable mappings refused until the exclusion is released: mappers without rest
    /// would starve a sealer that waits for those that exist.
    pub(crate) fn block_mappings(&self) {
        self.block(Access::Map);
    }

    /// Blocks reads and faults until [`SealGuard::unblock_reads`] or the release. For moments only.
    pub(crate) fn block_reads(&self) {
        self.exclusion().state.lock().reads_blocked_at = Some(Instant::now());
        self.block(Access::Read);
    }

    /// Unblocks reads and faults.
    pub(crate) fn unblock_reads(&self) {
        self.unblock(Access::Read);
    }

    /// Blocks seeks that lock the inode until [`SealGuard::unblock_seeks`] or the release. For while
    /// the inode is locked by another task.
    pub(crate) fn block_seeks(&self) {
        self.block(Access::Seek);
    }

    /// Whether such seeks are blocked.
    pub(crate) fn blocks_seeks(&self) -> bool {
        self.exclusion().is_blocked(Access::Seek)
    }

    /// Unblocks them.
    pub(crate) fn unblock_seeks(&self) {
        self.unblock(Access::Seek);
    }

    fn block(&self, access: Access) {
        let blocked = &self.exclusion().blocked;
        // Only the owner changes it.
        //
        // CAST: A bit of this type.
        blocked.store(blocked.load(Relaxed) | access as u32, Relaxed);
    }

    fn unblock(&self, access: Access) {
        if self.exclusion().is_blocked(access) {
            self.exclusion().change(|_| {
                let blocked = &self.exclusion().blocked;
                // Only the owner changes it.
                //
                // CAST: A bit of this type.
                blocked.store(blocked.load(Relaxed) & !(access as u32), Relaxed);
            });
        }
    }
}

impl<T: HasSealExclusion> SealGuard<&Arc<T>> {
    /// The same ownership, for longer.
    pub(crate) fn into_owned(self) -> SealGuard<Arc<T>> {
        // The exclusion is not released.
        let guard = ManuallyDrop::new(self);
        SealGuard {
            object: guard.object.clone(),
        }
    }
}

impl<P: Deref<Target: HasSealExclusion>> Drop for SealGuard<P> {
    fn drop(&mut self) {
        let exclusion = self.exclusion();
        let mut waiter = None;
        exclusion.change(|state| {
            exclusion.blocked.store(0, Relaxed);
            state.owner = Owner::None;
            waiter = state.unpin_waiter.take();
        });
    }
}

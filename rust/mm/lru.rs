// SPDX-License-Identifier: GPL-2.0-only

//! Draining of the per-CPU batches of folios that are to be added to the LRU lists.
//!
//! A batch holds a reference to each of its folios, and an idle CPU keeps its batch for ever. The
//! kernel's `lru_add_drain()` and `lru_add_drain_all()` are not exported. `__folio_batch_release()`
//! is, and begins with the former.
//!
//! C source: [`mm/folio.c`](srctree/mm/folio.c)

use crate::bindings;
use core::mem::MaybeUninit;
use kernel::{
    alloc::Flags,
    cpu::nr_cpu_ids,
    ffi::c_int,
    prelude::*,
    static_lock_class,
    sync::{
        aref::ARef,
        atomic::{
            Acquire,
            Atomic,
            Relaxed,
            Release, //
        },
    },
    task::Task,
    types::{
        NotThreadSafe,
        Opaque, //
    }, //
};

/// Drains the batches of the current CPU.
pub(crate) fn drain_local() {
    let mut batch = MaybeUninit::uninit();

    // SAFETY: `batch` is valid for writing, and initialised as an empty batch: nothing is released,
    // but the drain comes first.
    unsafe {
        bindings::pinseal_folio_batch_init(batch.as_mut_ptr());
        bindings::__folio_batch_release(batch.as_mut_ptr());
    }
}

/// Disables migration of the current task: [`drain_local`] drains the batches to which it adds
/// folios, even if it sleeps in between.
pub(crate) struct MigrateDisabled {
    _not_send: NotThreadSafe,
}

impl MigrateDisabled {
    /// Disables migration until drop.
    pub(crate) fn new() -> Self {
        // SAFETY: Dropped by this task, which enables migration again.
        unsafe { bindings::pinseal_migrate_disable() };
        Self {
            _not_send: NotThreadSafe,
        }
    }
}

impl Drop for MigrateDisabled {
    fn drop(&mut self) {
        // SAFETY: By this task, which `new` has disabled migration for, once.
        unsafe { bindings::pinseal_migrate_enable() };
    }
}

/// The work item of a [`LruDrain`] for one CPU.
#[repr(C)]
struct DrainWork {
    work: Opaque<bindings::work_struct>,
    state: *const DrainState,
}

/// The state that the work items of a [`LruDrain`] share.
struct DrainState {
    /// Number of work items that are not done.
    pending: Atomic<u32>,
    /// The task that is woken when all are done.
    waiter: Option<ARef<Task>>,
}

/// # Safety
///
/// `work` must be that of a [`DrainWork`] whose [`LruDrain`] outlives this call.
unsafe extern "C" fn drain_work(work: *mut bindings::work_struct) {
    drain_local();
    // SAFETY: By the safety requirements; `work` is the first field of a `DrainWork`.
    let state = unsafe { &*(*work.cast::<DrainWork>()).state };
    // ORDERING: Release: a task that sees that nothing is pending sees the folios without the
    // references.
    if state.pending.fetch_sub(1, Release) == 1 {
        if let Some(waiter) = &state.waiter {
            waiter.wake_up();
        }
    }
}

/// A drain of the batches of all CPUs, by a work item on each.
///
/// No lock against CPU hotplug is needed: the kernel drains a CPU that goes offline.
///
/// On drop, items that have not begun are cancelled.
///
/// # Invariants
///
/// The items in `work_items` are initialised. They do not move, nor does `state`, while an item is
/// queued or runs.
pub(crate) struct LruDrain {
    work_items: KVVec<DrainWork>,
    state: KBox<DrainState>,
}

// SAFETY: Any thread may cancel a work item, and the shared state is `Sync`.
unsafe impl Send for LruDrain {}

impl LruDrain {
    /// Starts a drain without waiting for it: a CPU that runs a real-time task may not run the work
    /// item for long. `waiter` is woken when all are done. Allocates with `flags`, which should charge: an
    /// asynchronous seal keeps the drain during a pause.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn start(waiter: Option<ARef<Task>>, flags: Flags) -> Result<Self> {
        // Allocated first: a queued item must not move.
        let mut drain = Self {
            work_items: KVVec::with_capacity(nr_cpu_ids() as usize, flags)?,
            state: KBox::new(
                DrainState {
                    pending: Atomic::new(1),
                    waiter,
                },
                flags,
            )?,
        };

        for cpu in 0..nr_cpu_ids() {
            // SAFETY: `cpu` is below `nr_cpu_ids`.
            if !unsafe { bindings::pinseal_cpu_online(cpu) } {
                continue;
            }
            let item = DrainWork {
                work: Opaque::uninit(),
                state: &raw const *drain.state,
            };
            if drain.work_items.push_within_capacity(item).is_err() {
                break;
            }
            let Some(item) = drain.work_items.last() else {
                break;
            };
            drain.state.pending.fetch_add(1, Relaxed);
            // INVARIANT: The item is initialised here, and dropped with `drain` at the earliest.
            //
            // SAFETY: The item is valid for writing, and not queued. The queue always exists.
            unsafe {
                bindings::init_work_with_key(
                    item.work.get(),
                    Some(drain_work),
                    false,
                    c"pinseal_drain".as_char_ptr(),
                    static_lock_class!().as_ptr(),
                );
                bindings::queue_work_on(cpu as c_int, bindings::system_highpri_wq, item.work.get());
            }
        }
        // The initial count stood for the items that were not counted yet.
        drain.state.pending.fetch_sub(1, Relaxed);
        Ok(drain)
    }

    /// Whether all CPUs are drained.
    pub(crate) fn is_done(&self) -> bool {
        // ORDERING: Acquire, pairs with `drain_work`.
        self.state.pending.load(Acquire) == 0
    }
}

impl Drop for LruDrain {
    fn drop(&mut self) {
        for item in &self.work_items {
            // SAFETY: By the type invariants, the item is initialised. It is not queued again.
            unsafe { bindings::cancel_work_sync(item.work.get()) };
        }
    }
}

// SPDX-License-Identifier: GPL-2.0-only

//! LruDrain the per-CPU batches of folios on their way to the LRU lists.
//!
//! A batch holds a reference to each of its folios, and an idle CPU keeps its batch for ever. The
//! kernel's `lru_add_drain()` and `lru_add_drain_all()` are not exported; an exported function that
//! begins with the former is.
//!
//! C source: [`mm/folio.c`](srctree/mm/folio.c)

use crate::bindings;
use core::mem::MaybeUninit;
use kernel::{
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

/// Drains the batches of the CPU that this runs on.
pub(crate) fn drain_local() {
    let mut batch = MaybeUninit::uninit();

    // SAFETY: `batch` is valid for writing, and is made an empty batch: nothing is released, but
    // draining comes first.
    unsafe {
        bindings::pinseal_folio_batch_init(batch.as_mut_ptr());
        bindings::__folio_batch_release(batch.as_mut_ptr());
    }
}

/// While it lives, the current task stays on its CPU, also when it sleeps: what it puts into a batch
/// is in one that [`drain_local`] drains.
pub(crate) struct MigrateDisabled {
    _not_send: NotThreadSafe,
}

impl MigrateDisabled {
    /// Stays.
    pub(crate) fn new() -> Self {
        // SAFETY: It is undone when dropped, which is by this task.
        unsafe { bindings::pinseal_migrate_disable() };
        Self {
            _not_send: NotThreadSafe,
        }
    }
}

impl Drop for MigrateDisabled {
    fn drop(&mut self) {
        // SAFETY: By this task, which has called the counterpart once for this.
        unsafe { bindings::pinseal_migrate_enable() };
    }
}

/// One CPU's share of a [`LruDrain`].
#[repr(C)]
struct Share {
    work: Opaque<bindings::work_struct>,
    common: *const Common,
}

/// What the shares of a [`LruDrain`] have in common.
struct Common {
    /// Shares that are not done.
    left: Atomic<u32>,
    /// Who sleeps until then, if anybody does.
    waiter: Option<ARef<Task>>,
}

/// # Safety
///
/// `work` must be that of a [`Share`] whose [`LruDrain`] lives until this returns.
unsafe extern "C" fn drain_work(work: *mut bindings::work_struct) {
    drain_local();
    // SAFETY: By the safety requirements; `work` is the first field of a `Share`.
    let common = unsafe { &*(*work.cast::<Share>()).common };
    // ORDERING: Release, so that who sees that nothing is left sees folios without our references.
    if common.left.fetch_sub(1, Release) == 1 {
        if let Some(waiter) = &common.waiter {
            waiter.wake_up();
        }
    }
}

/// The batches of every CPU, being drained by work items on each.
///
/// A CPU that goes offline meanwhile is drained by the kernel's own hotplug callback, so no lock
/// against hotplug is needed.
///
/// Dropping it takes back the items that have not begun.
///
/// # Invariants
///
/// The items in `shares` are initialised, and stay where they are until none is queued any more;
/// so does what they point to.
pub(crate) struct LruDrain {
    shares: KVVec<Share>,
    common: KBox<Common>,
}

// SAFETY: Work items may be taken back by another thread than the one that queued them, and what
// they have in common is made for being shared.
unsafe impl Send for LruDrain {}

impl LruDrain {
    /// Begins to drain. Does not wait: a CPU that runs a real-time task may not get to it for long.
    /// `waiter` is woken up when all are done.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn start(waiter: Option<ARef<Task>>) -> Result<Self> {
        // Room for all is made first, for a queued item must not move.
        let mut draining = Self {
            shares: KVVec::with_capacity(nr_cpu_ids() as usize, GFP_KERNEL)?,
            common: KBox::new(
                Common {
                    left: Atomic::new(1),
                    waiter,
                },
                GFP_KERNEL,
            )?,
        };

        for cpu in 0..nr_cpu_ids() {
            // SAFETY: `cpu` is below `nr_cpu_ids`.
            if !unsafe { bindings::pinseal_cpu_online(cpu) } {
                continue;
            }
            let share = Share {
                work: Opaque::uninit(),
                common: &raw const *draining.common,
            };
            if draining.shares.push_within_capacity(share).is_err() {
                break;
            }
            let Some(share) = draining.shares.last() else {
                break;
            };
            draining.common.left.fetch_add(1, Relaxed);
            // INVARIANT: This initialises the item, which is dropped with `draining` at the
            // earliest.
            //
            // SAFETY: The item is valid for writing, and is not queued elsewhere. The queue always
            // exists.
            unsafe {
                bindings::init_work_with_key(
                    share.work.get(),
                    Some(drain_work),
                    false,
                    c"pinseal_drain".as_char_ptr(),
                    static_lock_class!().as_ptr(),
                );
                bindings::queue_work_on(
                    cpu as c_int,
                    bindings::system_highpri_wq,
                    share.work.get(),
                );
            }
        }
        // All are counted now; the one from the beginning stood for those that were not yet.
        draining.common.left.fetch_sub(1, Relaxed);
        Ok(draining)
    }

    /// Whether every CPU is done.
    pub(crate) fn is_done(&self) -> bool {
        // ORDERING: Acquire, see `drain_work`.
        self.common.left.load(Acquire) == 0
    }
}

impl Drop for LruDrain {
    fn drop(&mut self) {
        for share in &self.shares {
            // SAFETY: By the type invariants the item is initialised. It is not queued again.
            unsafe { bindings::cancel_work_sync(share.work.get()) };
        }
    }
}

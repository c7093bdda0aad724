// SPDX-License-Identifier: GPL-2.0-only

//! Draining the per-CPU batches of folios on their way to the LRU lists.
//!
//! A batch holds a reference to each of its folios, and an idle CPU keeps its batch for ever. The
//! kernel's `lru_add_drain()` and `lru_add_drain_all()` are not exported; an exported function that
//! begins with the former is.
//!
//! C source: [`mm/folio.c`](srctree/mm/folio.c)

use crate::bindings;
use kernel::{
    cpu::nr_cpu_ids,
    ffi::c_int,
    prelude::*,
    static_lock_class,
    types::Opaque, //
};

/// Drains the batches of the CPU that this runs on.
pub(crate) fn drain_this_cpu() {
    let mut batch: bindings::folio_batch = pin_init::zeroed();

    // SAFETY: `batch` is a valid empty batch: nothing is released, but draining comes first.
    unsafe { bindings::__folio_batch_release(&mut batch) };
}

extern "C" fn drain_work(_work: *mut bindings::work_struct) {
    drain_this_cpu();
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
/// The items in `works` are initialised, and stay where they are until none is queued any more.
pub(crate) struct Draining {
    works: KVVec<Opaque<bindings::work_struct>>,
}

impl Draining {
    /// Begins to drain. Does not wait: a CPU that runs a real-time task may not get to it for long.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn start() -> Result<Self> {
        // Room for all is made first, for a queued item must not move.
        let mut draining = Self {
            works: KVVec::with_capacity(nr_cpu_ids() as usize, GFP_KERNEL)?,
        };

        for cpu in 0..nr_cpu_ids() {
            // SAFETY: `cpu` is below `nr_cpu_ids`.
            if !unsafe { bindings::pinseal_cpu_online(cpu) } {
                continue;
            }
            let work = Opaque::<bindings::work_struct>::uninit();
            if draining.works.push_within_capacity(work).is_err() {
                break;
            }
            let Some(work) = draining.works.last() else {
                break;
            };
            // INVARIANT: This initialises the item, which is dropped with `draining` at the
            // earliest.
            //
            // SAFETY: The item is valid for writing, and is not queued elsewhere. The queue always
            // exists.
            unsafe {
                bindings::init_work_with_key(
                    work.get(),
                    Some(drain_work),
                    false,
                    c"pinseal_drain".as_char_ptr(),
                    static_lock_class!().as_ptr(),
                );
                bindings::queue_work_on(cpu as c_int, bindings::system_highpri_wq, work.get());
            }
        }
        Ok(draining)
    }

    /// Whether every CPU is done.
    pub(crate) fn is_done(&self) -> bool {
        self.works
            .iter()
            // SAFETY: By the type invariants the item is initialised.
            .all(|work| unsafe { bindings::work_busy(work.get()) } == 0)
    }
}

impl Drop for Draining {
    fn drop(&mut self) {
        for work in &self.works {
            // SAFETY: By the type invariants the item is initialised. It is not queued again.
            unsafe { bindings::cancel_work_sync(work.get()) };
        }
    }
}

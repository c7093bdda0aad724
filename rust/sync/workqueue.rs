// SPDX-License-Identifier: GPL-2.0-only

//! A workqueue of our own, and taking work items back.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)

use crate::bindings;
use core::{
    ops::Deref,
    ptr::NonNull, //
};
use kernel::{
    prelude::*,
    sync::Arc,
    workqueue::{
        HasWork,
        Queue,
        Work,
        WorkItem, //
    }, //
};

/// A workqueue whose items run on whatever CPU, and not while the system is being suspended.
///
/// # Invariants
///
/// It points to a workqueue that is ours to destroy.
pub(crate) struct OwnedQueue(NonNull<bindings::workqueue_struct>);

// SAFETY: A workqueue may be destroyed by another thread than the one that made it.
unsafe impl Send for OwnedQueue {}
// SAFETY: All that `&self` gives access to is a `Queue`, which is `Sync`.
unsafe impl Sync for OwnedQueue {}

impl OwnedQueue {
    /// A queue of which so many items run at a time.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(name: &'static CStr, max_active: i32) -> Result<Self> {
        // SAFETY: `name` is a C string that stays.
        let queue = unsafe { bindings::pinseal_alloc_workqueue(name.as_char_ptr(), max_active) };
        // INVARIANT: It was made for us.
        Ok(Self(NonNull::new(queue).ok_or(ENOMEM)?))
    }
}

impl Deref for OwnedQueue {
    type Target = Queue;

    fn deref(&self) -> &Queue {
        // SAFETY: By the type invariants it is a workqueue that lives as long as `self`.
        unsafe { Queue::from_raw(self.0.as_ptr()) }
    }
}

impl Drop for OwnedQueue {
    fn drop(&mut self) {
        // SAFETY: By the type invariants it is ours to destroy.
        unsafe { bindings::destroy_workqueue(self.0.as_ptr()) };
    }
}

/// Takes a work item out of its queue, and waits until its function has returned if it runs. Whoever
/// lets the module go needs that: a queued item keeps what it works on alive, but not its code.
///
/// Context: sleeps. Nobody may queue the item from then on; and not to be called by its function.
pub(crate) fn cancel_sync<T>(item: &Arc<T>)
where
    T: HasWork<T> + WorkItem<Pointer = Arc<T>>,
{
    let item = Arc::as_ptr(item);
    // SAFETY: `item` is valid, and stays so during the call. It was initialised with its work item.
    let was_queued =
        unsafe { bindings::cancel_work_sync(Work::raw_get(T::raw_get_work(item.cast_mut()))) };
    if was_queued {
        // SAFETY: It was queued by an `Arc` of it, which is for the function that will not run now.
        drop(unsafe { Arc::from_raw(item) });
    }
}

// SPDX-License-Identifier: GPL-2.0-only

//! A workqueue that Rust owns, and cancellation of work items.
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

/// An unbound, freezable workqueue that is destroyed on drop.
///
/// # Invariants
///
/// The pointer is to a workqueue that `self` owns.
pub(crate) struct OwnedQueue(NonNull<bindings::workqueue_struct>);

// SAFETY: Any thread may destroy a workqueue.
unsafe impl Send for OwnedQueue {}
// SAFETY: `&self` gives access to a `Queue` only, which is `Sync`.
unsafe impl Sync for OwnedQueue {}

impl OwnedQueue {
    /// Allocates a queue that runs up to `max_active` work items at a time.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(name: &'static CStr, max_active: i32) -> Result<Self> {
        // SAFETY: `name` is a C string. It is copied.
        let queue = unsafe { bindings::pinseal_alloc_workqueue(name.as_char_ptr(), max_active) };
        // INVARIANT: The queue was allocated above, and has no other owner.
        Ok(Self(NonNull::new(queue).ok_or(ENOMEM)?))
    }
}

impl Deref for OwnedQueue {
    type Target = Queue;

    fn deref(&self) -> &Queue {
        // SAFETY: By the type invariants, the workqueue is valid as long as `self`.
        unsafe { Queue::from_raw(self.0.as_ptr()) }
    }
}

impl Drop for OwnedQueue {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, `self` owns the workqueue.
        unsafe { bindings::destroy_workqueue(self.0.as_ptr()) };
    }
}

/// Cancels a work item, and waits until its function has returned.
///
/// To be called before the module's reference is dropped: a queued item keeps its data alive, but
/// not its code.
///
/// Context: sleeps. The item must not be queued again, and its function must not call this.
pub(crate) fn cancel_work_sync<T>(item: &Arc<T>)
where
    T: HasWork<T> + WorkItem<Pointer = Arc<T>>,
{
    let item = Arc::as_ptr(item);
    // SAFETY: `item` was initialised with its work item, and is valid during the call.
    let was_queued =
        unsafe { bindings::cancel_work_sync(Work::raw_get(T::raw_get_work(item.cast_mut()))) };
    if was_queued {
        // SAFETY: Queueing the item has leaked an `Arc`, for the function that will not run now.
        drop(unsafe { Arc::from_raw(item) });
    }
}

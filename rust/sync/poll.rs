// SPDX-License-Identifier: GPL-2.0-only

//! Those who poll a file.
//!
//! The kernel crate has `PollCondVar` for that, which waits for a grace period when it is dropped,
//! whether anybody polls then or not.
//!
//! C headers: [`include/linux/poll.h`](srctree/include/linux/poll.h),
//! [`include/linux/wait.h`](srctree/include/linux/wait.h)

use crate::bindings;
use core::{
    marker::PhantomData,
    ptr::null_mut, //
};
use kernel::{
    fs::File,
    prelude::*,
    sync::LockClassKey,
    types::Opaque, //
};

/// Somebody who polls a file.
pub(crate) struct Poller<'a> {
    file: &'a File,
    /// May be null: then it is only asked.
    table: *mut bindings::poll_table,
    _table: PhantomData<&'a bindings::poll_table>,
}

impl<'a> Poller<'a> {
    /// Whoever polls `file` with `table`.
    ///
    /// # Safety
    ///
    /// `table` must be null, or that of a `poll` operation of `file` that does not return during
    /// `'a`.
    pub(crate) unsafe fn new(file: &'a File, table: *mut bindings::poll_table) -> Self {
        Self {
            file,
            table,
            _table: PhantomData,
        }
    }
}

/// Where those who poll wait.
///
/// # Invariants
///
/// `head` is an initialised wait queue of pollers only.
#[pin_data(PinnedDrop)]
pub(crate) struct PollQueue {
    #[pin]
    head: Opaque<bindings::wait_queue_head>,
}

// SAFETY: A wait queue may be used by whatever thread.
unsafe impl Send for PollQueue {}
// SAFETY: It has a lock of its own.
unsafe impl Sync for PollQueue {}

impl PollQueue {
    /// Nobody polls. Each name has a lock class of its own.
    pub(crate) fn new(
        name: &'static CStr,
        class: Pin<&'static LockClassKey>,
    ) -> impl PinInit<Self> {
        pin_init!(Self {
            // INVARIANT: This initialises it.
            head <- Opaque::ffi_init(|slot| {
                // SAFETY: `slot` is valid for writing; the name and the lock class are static.
                unsafe {
                    bindings::__init_waitqueue_head(
                        slot,
                        name.as_char_ptr(),
                        class.as_ptr(),
                    )
                }
            }),
        })
    }

    /// Has `poller` woken up from now on.
    pub(crate) fn register(&self, poller: &Poller<'_>) {
        // SAFETY: The queue is initialised, file and table are valid. The queue is valid for as long
        // as it has pollers: see `drop`.
        unsafe {
            bindings::poll_wait(poller.file.as_ptr(), self.head.get(), poller.table);
        }
    }

    /// Wakes all.
    pub(crate) fn wake(&self) {
        // SAFETY: The queue is initialised.
        unsafe { bindings::__wake_up(self.head.get(), bindings::TASK_NORMAL, 0, null_mut()) };
    }
}

#[pinned_drop]
impl PinnedDrop for PollQueue {
    fn drop(self: Pin<&mut Self>) {
        let head = self.head.get();
        // Who polls has the file open. So when the queue goes with the last file, there is nobody.
        //
        // SAFETY: The queue is initialised. It is asked under its lock: who has just left has let go
        // of that, too.
        let is_active = unsafe {
            bindings::pinseal_wait_queue_lock(head);
            let is_active = bindings::pinseal_wait_queue_active(head);
            bindings::pinseal_wait_queue_unlock(head);
            is_active
        };
        if is_active {
            // SAFETY: There are only pollers in it. They are made to leave, and looked for by RCU.
            unsafe {
                bindings::__wake_up_pollfree(head);
                bindings::synchronize_rcu();
            }
        }
    }
}

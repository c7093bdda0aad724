// SPDX-License-Identifier: GPL-2.0-only

//! Poll support.
//!
//! The kernel crate's `PollCondVar` waits for a grace period whenever it is dropped. [`PollQueue`]
//! does so only if it has waiters then.
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

/// What a file reports to its pollers, besides that it can be read and written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum PollEvent {
    /// Nothing.
    None,
    /// `POLLPRI`: an exceptional condition.
    Priority,
    /// `POLLERR`: an error.
    Error,
    /// `POLLHUP`: nothing more can be read or written.
    HangUp,
}

impl PollEvent {
    /// The event mask that a `poll` operation returns.
    pub(crate) fn mask(self) -> bindings::__poll_t {
        bindings::POLLIN
            | bindings::POLLOUT
            | bindings::POLLRDNORM
            | bindings::POLLWRNORM
            | match self {
                PollEvent::None => 0,
                PollEvent::Priority => bindings::POLLPRI,
                PollEvent::Error => bindings::POLLERR,
                PollEvent::HangUp => bindings::POLLHUP,
            }
    }
}

/// A file that is being polled, and the poll table.
pub(crate) struct Poller<'a> {
    file: &'a File,
    /// Null if the caller does not want to be woken.
    table: *mut bindings::poll_table,
    _table: PhantomData<&'a bindings::poll_table>,
}

impl<'a> Poller<'a> {
    /// Creates the poller of a `poll` operation.
    ///
    /// # Safety
    ///
    /// `table` must be null, or the table of a `poll` operation of `file` that does not return
    /// during `'a`.
    pub(crate) unsafe fn new(file: &'a File, table: *mut bindings::poll_table) -> Self {
        Self {
            file,
            table,
            _table: PhantomData,
        }
    }
}

/// A wait queue of pollers.
///
/// # Invariants
///
/// `head` is an initialised wait queue, and all its entries are pollers.
#[pin_data(PinnedDrop)]
pub(crate) struct PollQueue {
    #[pin]
    head: Opaque<bindings::wait_queue_head>,
}

// SAFETY: Any thread may use a wait queue.
unsafe impl Send for PollQueue {}
// SAFETY: A wait queue has its own lock.
unsafe impl Sync for PollQueue {}

impl PollQueue {
    /// Creates an empty queue. `class` is the lock class of its lock.
    pub(crate) fn new(
        name: &'static CStr,
        class: Pin<&'static LockClassKey>,
    ) -> impl PinInit<Self> {
        pin_init!(Self {
            // INVARIANT: `head` is initialised here.
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

    /// Adds `poller` to the queue.
    pub(crate) fn register(&self, poller: &Poller<'_>) {
        // SAFETY: The queue is initialised; file and table are valid. The queue outlives its
        // pollers: see `drop`.
        unsafe {
            bindings::poll_wait(poller.file.as_ptr(), self.head.get(), poller.table);
        }
    }

    /// Wakes all pollers.
    pub(crate) fn wake(&self) {
        // SAFETY: The queue is initialised.
        unsafe { bindings::__wake_up(self.head.get(), bindings::TASK_NORMAL, 0, null_mut()) };
    }
}

#[pinned_drop]
impl PinnedDrop for PollQueue {
    fn drop(self: Pin<&mut Self>) {
        let head = self.head.get();
        // A poller has the file open. So a queue that is dropped with the last file is empty.
        //
        // SAFETY: The queue is initialised. It is checked under its lock: a poller that has just
        // left it has released the lock, too.
        let is_active = unsafe {
            bindings::pinseal_wait_queue_lock(head);
            let is_active = bindings::pinseal_wait_queue_active(head);
            bindings::pinseal_wait_queue_unlock(head);
            is_active
        };
        if is_active {
            // SAFETY: By the type invariants, all entries are pollers. This wake-up makes them leave.
            // One that leaves concurrently accesses the queue under RCU, hence the grace period.
            unsafe {
                bindings::__wake_up_pollfree(head);
                bindings::synchronize_rcu();
            }
        }
    }
}

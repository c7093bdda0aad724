// SPDX-License-Identifier: GPL-2.0-only

//! Memory that cannot be swapped out, counted against `RLIMIT_MEMLOCK`.
//!
//! It is counted as io_uring counts its registered buffers: what is limited is the user's, without the
//! mmap lock, which others may hold for long; and it shows in `VmPin` of `/proc/PID/status`.
//!
//! C headers: [`include/linux/sched/user.h`](srctree/include/linux/sched/user.h),
//! [`include/linux/mm_types.h`](srctree/include/linux/mm_types.h)

use crate::bindings;
use core::ptr::NonNull;
use kernel::{
    ffi::c_int,
    mm::Mm,
    page::PAGE_SHIFT,
    prelude::*,
    sync::aref::ARef, //
};

/// A user, as far as resources are limited.
///
/// # Invariants
///
/// It holds a reference to the user.
struct User(NonNull<bindings::user_struct>);

impl User {
    /// The current task's.
    fn current() -> Option<Self> {
        // INVARIANT: It comes with a reference.
        //
        // SAFETY: The current task has credentials with a user.
        NonNull::new(unsafe { bindings::pinseal_get_current_user() }).map(Self)
    }

    /// Counts more pages, if that does not make more than `limit`. Returns whether it did.
    fn add_locked(&self, pages: usize, limit: usize) -> bool {
        let mut locked = 0;
        loop {
            // What is there is never negative, and what is allowed fits.
            let new = match usize::try_from(locked)
                .ok()
                .and_then(|n| n.checked_add(pages))
            {
                Some(new) if new <= limit.min(isize::MAX as usize) => new,
                _ => return false,
            };
            // SAFETY: By the type invariants the user is there.
            let is_set = unsafe {
                // CAST: It was compared with what fits.
                bindings::pinseal_user_try_set_locked(self.0.as_ptr(), &mut locked, new as isize)
            };
            if is_set {
                return true;
            }
        }
    }

    /// Counts less.
    fn sub_locked(&self, pages: usize) {
        // SAFETY: By the type invariants the user is there.
        //
        // CAST: They were added.
        unsafe { bindings::pinseal_user_sub_locked(self.0.as_ptr(), pages as isize) };
    }
}

impl Drop for User {
    fn drop(&mut self) {
        // SAFETY: By the type invariants the reference is ours.
        unsafe { bindings::free_uid(self.0.as_ptr()) };
    }
}

/// How many pages a user may have locked, who asks for it by the current task. `None` when there is no
/// limit.
fn limit() -> Option<usize> {
    // SAFETY: There is such a capability.
    if unsafe { bindings::capable(bindings::CAP_IPC_LOCK as c_int) } {
        return None;
    }
    // SAFETY: The current task has limits.
    Some(unsafe { bindings::pinseal_rlimit_memlock() } >> PAGE_SHIFT)
}

/// Pages that somebody is charged for, until this is dropped.
///
/// # Invariants
///
/// `pages` are counted for `user`, if there is one, and in `pinned_vm` of `mm`.
pub(crate) struct MemlockCharge {
    user: Option<User>,
    mm: ARef<Mm>,
    pages: usize,
}

// SAFETY: A user is counted for, and let go of, by any thread.
unsafe impl Send for MemlockCharge {}
// SAFETY: Nothing can be done with a reference.
unsafe impl Sync for MemlockCharge {}

impl MemlockCharge {
    /// Charges the current task's user.
    ///
    /// # Errors
    ///
    /// `ENOMEM` when that is more than the limit allows, and for kernel threads.
    pub(crate) fn new(pages: usize) -> Result<Self> {
        // INVARIANT: None are counted.
        let mut memory = Self {
            user: match limit() {
                Some(_) => User::current(),
                None => None,
            },
            mm: (&**current!().mm().ok_or(ENOMEM)?).into(),
            pages: 0,
        };
        memory.grow(pages)?;
        Ok(memory)
    }

    /// Charges for more, `pages` in all, if that is more.
    ///
    /// # Errors
    ///
    /// `ENOMEM` when that is more than the limit allows.
    pub(crate) fn grow(&mut self, pages: usize) -> Result {
        let more = pages.saturating_sub(self.pages);
        if more == 0 {
            return Ok(());
        }
        if let Some(user) = &self.user {
            if !user.add_locked(more, limit().unwrap_or(usize::MAX)) {
                return Err(ENOMEM);
            }
        }
        // SAFETY: `mm` is there, if nothing else of it.
        unsafe { bindings::pinseal_mm_add_pinned(self.mm.as_raw(), more as isize) };
        // INVARIANT: They were counted.
        self.pages += more;
        Ok(())
    }
}

impl Drop for MemlockCharge {
    fn drop(&mut self) {
        if let Some(user) = &self.user {
            user.sub_locked(self.pages);
        }
        // SAFETY: `mm` is there, if nothing else of it.
        unsafe { bindings::pinseal_mm_add_pinned(self.mm.as_raw(), -(self.pages as isize)) };
    }
}

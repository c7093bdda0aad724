// SPDX-License-Identifier: GPL-2.0-only

//! Charges of pinned memory against `RLIMIT_MEMLOCK`.
//!
//! As io_uring does for its registered buffers, the limit is that of the user, which needs no mmap
//! lock, and pages show in `VmPin` of `/proc/PID/status`.
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

/// A reference to a `struct user_struct`.
///
/// # Invariants
///
/// `self` owns a reference to the user.
struct UserStruct(NonNull<bindings::user_struct>);

impl UserStruct {
    /// Returns the user of the current task.
    fn current() -> Option<Self> {
        // INVARIANT: The reference was taken by the call.
        //
        // SAFETY: The current task has credentials, with a user.
        NonNull::new(unsafe { bindings::pinseal_get_current_user() }).map(Self)
    }

    /// Charges pages, unless the total would exceed `limit`. Returns whether it has.
    fn try_charge(&self, pages: usize, limit: usize) -> bool {
        let mut total = 0;
        loop {
            // The total is never negative, and one that fits the limit fits the type.
            let new = match usize::try_from(total)
                .ok()
                .and_then(|n| n.checked_add(pages))
            {
                Some(new) if new <= limit.min(isize::MAX as usize) => new,
                _ => return false,
            };
            // SAFETY: By the type invariants, the user is valid.
            let is_set = unsafe {
                // CAST: At most `isize::MAX`, as checked above.
                bindings::pinseal_user_try_set_locked(self.0.as_ptr(), &mut total, new as isize)
            };
            if is_set {
                return true;
            }
        }
    }

    /// Uncharges pages.
    fn uncharge(&self, pages: usize) {
        // SAFETY: By the type invariants, the user is valid.
        //
        // CAST: They were charged, so they fit.
        unsafe { bindings::pinseal_user_sub_locked(self.0.as_ptr(), pages as isize) };
    }
}

impl Drop for UserStruct {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, `self` owns the reference.
        unsafe { bindings::free_uid(self.0.as_ptr()) };
    }
}

/// Returns the limit in pages of the current task. `None` when it has `CAP_IPC_LOCK`.
fn memlock_limit() -> Option<usize> {
    // SAFETY: `CAP_IPC_LOCK` is a valid capability.
    if unsafe { bindings::capable(bindings::CAP_IPC_LOCK as c_int) } {
        return None;
    }
    // SAFETY: The current task has resource limits.
    Some(unsafe { bindings::pinseal_rlimit_memlock() } >> PAGE_SHIFT)
}

/// A charge, until it is dropped.
///
/// # Invariants
///
/// `pages` are charged to `user`, if there is one, and to `pinned_vm` of `mm`.
pub(crate) struct MemlockCharge {
    user: Option<UserStruct>,
    mm: ARef<Mm>,
    pages: usize,
}

// SAFETY: Any thread may charge a user, and drop a reference to it.
unsafe impl Send for MemlockCharge {}
// SAFETY: `&self` gives access to nothing.
unsafe impl Sync for MemlockCharge {}

impl MemlockCharge {
    /// Charges the user of the current task.
    ///
    /// # Errors
    ///
    /// `ENOMEM` when it would exceed the limit, and for kernel threads.
    pub(crate) fn new(pages: usize) -> Result<Self> {
        // INVARIANT: No page is charged.
        let mut charge = Self {
            user: match memlock_limit() {
                Some(_) => UserStruct::current(),
                None => None,
            },
            mm: (&**current!().mm().ok_or(ENOMEM)?).into(),
            pages: 0,
        };
        charge.grow_to(pages)?;
        Ok(charge)
    }

    /// Shrinks the charge to `pages` in all, if that is less.
    pub(crate) fn shrink_to(&mut self, pages: usize) {
        let less = self.pages.saturating_sub(pages);
        if let Some(user) = &self.user {
            user.uncharge(less);
        }
        // SAFETY: The reference keeps the `mm_struct` allocated, whose counter is atomic.
        //
        // CAST: They were charged, so they fit.
        unsafe { bindings::pinseal_mm_add_pinned(self.mm.as_raw(), -(less as isize)) };
        // INVARIANT: The pages were uncharged above.
        self.pages -= less;
    }

    /// Grows the charge to `pages` in all, if that is more.
    ///
    /// # Errors
    ///
    /// `ENOMEM` when it would exceed the limit.
    pub(crate) fn grow_to(&mut self, pages: usize) -> Result {
        let more = pages.saturating_sub(self.pages);
        if more == 0 {
            return Ok(());
        }
        if let Some(user) = &self.user {
            if !user.try_charge(more, memlock_limit().unwrap_or(usize::MAX)) {
                return Err(ENOMEM);
            }
        }
        // SAFETY: The reference keeps the `mm_struct` allocated, whose counter is atomic.
        unsafe { bindings::pinseal_mm_add_pinned(self.mm.as_raw(), more as isize) };
        // INVARIANT: The pages were charged above.
        self.pages += more;
        Ok(())
    }
}

impl Drop for MemlockCharge {
    fn drop(&mut self) {
        if let Some(user) = &self.user {
            user.uncharge(self.pages);
        }
        // SAFETY: The reference keeps the `mm_struct` allocated, whose counter is atomic.
        unsafe { bindings::pinseal_mm_add_pinned(self.mm.as_raw(), -(self.pages as isize)) };
    }
}

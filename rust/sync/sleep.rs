// SPDX-License-Identifier: GPL-2.0-only

//! Short sleeps that end on time, and why they ended early.
//!
//! C headers: [`include/linux/sched/signal.h`](srctree/include/linux/sched/signal.h),
//! [`include/linux/hrtimer.h`](srctree/include/linux/hrtimer.h)

use crate::bindings;
use kernel::prelude::*;

/// Whether the current task should go back to user space: for a signal, or for work that runs on the
/// way there, io_uring's for one. A sleep that goes on may wait for something that only this work can
/// end.
pub(crate) fn is_pending() -> bool {
    current!().signal_pending()
}

/// Whether there is a signal for the current task.
pub(crate) fn is_signalled() -> bool {
    // SAFETY: The pointer of the current task is valid.
    unsafe { bindings::pinseal_task_sigpending(current!().as_ptr()) }
}

/// Whether the current task is being killed.
pub(crate) fn is_dying() -> bool {
    // SAFETY: The pointer of the current task is valid.
    unsafe { bindings::pinseal_fatal_signal_pending(current!().as_ptr()) }
}

/// Lets the timer fire this much late, in nanoseconds, so that timers can share an interrupt.
const SLACK_NS: u64 = 5_000;

/// A short sleep.
#[derive(Clone, Copy)]
pub(crate) enum Nap {
    /// Until [`is_pending`] at the latest.
    Interruptible,
    /// For the few and short ones that must not become a spin when something is pending.
    Uninterruptible,
}

impl Nap {
    /// Sleeps for `ns` nanoseconds by a high-resolution timer, or until the task is woken up. Does not
    /// sleep when `is_over` says so, which is asked after a wake-up can no longer be missed.
    ///
    /// Context: sleeps.
    pub(crate) fn take(self, ns: u64, is_over: impl FnOnce() -> bool) {
        let mut expires: bindings::ktime_t = ns.try_into().unwrap_or(i64::MAX);

        // SAFETY: It is the state of the current task, which becomes `TASK_RUNNING` again below.
        unsafe {
            match self {
                Nap::Interruptible => bindings::pinseal_set_current_state_interruptible(),
                Nap::Uninterruptible => bindings::pinseal_set_current_state_uninterruptible(),
            }
        }
        if is_over() {
            // SAFETY: As above.
            unsafe { bindings::pinseal_set_current_state_running() };
            return;
        }
        // SAFETY: `expires` is valid for the duration of the call. The task state that it wants is
        // set; it returns with the task running.
        unsafe {
            bindings::schedule_hrtimeout_range(
                &mut expires,
                SLACK_NS,
                bindings::hrtimer_mode_HRTIMER_MODE_REL,
            );
        }
    }
}

// SPDX-License-Identifier: GPL-2.0-only

//! Short sleeps by a high-resolution timer, and what ends a sleep early.
//!
//! C headers: [`include/linux/sched/signal.h`](srctree/include/linux/sched/signal.h),
//! [`include/linux/hrtimer.h`](srctree/include/linux/hrtimer.h)

use crate::bindings;
use kernel::prelude::*;

/// Whether the current task has a signal or task work pending, and should return to user space.
///
/// Task work counts: it runs on the way to user space, and the sleep may wait for what only that work
/// releases (an io_uring request's pin).
pub(crate) fn signal_pending() -> bool {
    current!().signal_pending()
}

/// Whether the current task has a signal pending. Task work is none.
pub(crate) fn task_sigpending() -> bool {
    // SAFETY: The pointer of the current task is valid.
    unsafe { bindings::pinseal_task_sigpending(current!().as_ptr()) }
}

/// Whether the current task is being killed.
pub(crate) fn fatal_signal_pending() -> bool {
    // SAFETY: The pointer of the current task is valid.
    unsafe { bindings::pinseal_fatal_signal_pending(current!().as_ptr()) }
}

/// # Errors
///
/// `EINTR` when the current task is being killed.
pub(crate) fn check_killed() -> Result {
    match fatal_signal_pending() {
        true => Err(EINTR),
        false => Ok(()),
    }
}

/// Timer slack, in nanoseconds: timers can share an interrupt.
const SLACK_NS: u64 = 5_000;

/// State of the task during a sleep.
#[derive(Clone, Copy)]
pub(crate) enum SleepState {
    /// [`signal_pending`] ends the sleep.
    Interruptible,
    /// For few, short sleeps that must not become a busy loop while a signal is pending.
    Uninterruptible,
}

/// Sleeps for `ns` nanoseconds or until a wake-up. Does not sleep when `is_over`, which is evaluated
/// after the task state is set, so that no wake-up is lost.
///
/// Context: sleeps.
pub(crate) fn hrtimer_sleep(state: SleepState, ns: u64, is_over: impl FnOnce() -> bool) {
    let mut expires: bindings::ktime_t = ns.try_into().unwrap_or(i64::MAX);

    // SAFETY: The state of the current task, which becomes `TASK_RUNNING` again below.
    unsafe {
        match state {
            SleepState::Interruptible => bindings::pinseal_set_current_state_interruptible(),
            SleepState::Uninterruptible => bindings::pinseal_set_current_state_uninterruptible(),
        }
    }
    if is_over() {
        // SAFETY: As above.
        unsafe { bindings::pinseal_set_current_state_running() };
        return;
    }
    // SAFETY: `expires` is valid for the duration of the call. The task state that the function needs
    // is set; it returns with the task running.
    unsafe {
        bindings::schedule_hrtimeout_range(
            &mut expires,
            SLACK_NS,
            bindings::hrtimer_mode_HRTIMER_MODE_REL,
        );
    }
}

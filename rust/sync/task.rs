// SPDX-License-Identifier: GPL-2.0-only

//! The current task: its user, and the CPU time that it takes.
//!
//! C headers: [`include/linux/cred.h`](srctree/include/linux/cred.h),
//! [`include/linux/sched.h`](srctree/include/linux/sched.h)

use crate::bindings;
use kernel::time::{
    Instant,
    Monotonic, //
};

/// How far the run time of a task lags behind while it runs, in nanoseconds: the scheduler adds to it at
/// each tick and switch.
const RUN_TIME_LAG_NS: u64 = 4_000_000;

/// The number of the current task's user, whatever the user namespace.
pub(crate) fn current_user() -> u32 {
    // SAFETY: The current task has credentials.
    unsafe { bindings::pinseal_current_uid() }
}

/// Measures CPU time that the current task takes.
pub(crate) struct CpuTime {
    since: Instant<Monotonic>,
    run_time_ns: u64,
}

impl CpuTime {
    /// Begins a measurement, which the same task has to end.
    pub(crate) fn begin() -> Self {
        Self {
            since: Instant::now(),
            run_time_ns: run_time_ns(),
        }
    }

    /// CPU time in nanoseconds since then.
    ///
    /// Exact for up to [`RUN_TIME_LAG_NS`], unless the task sleeps or is preempted. That counts for more
    /// than it took, by as much at most.
    pub(crate) fn elapsed_ns(&self) -> u64 {
        // CAST: The clock is monotonic, so this is never negative.
        let elapsed_ns = self.since.elapsed().as_nanos() as u64;
        let ran_ns = run_time_ns().saturating_sub(self.run_time_ns);
        elapsed_ns.min(ran_ns.saturating_add(RUN_TIME_LAG_NS))
    }
}

fn run_time_ns() -> u64 {
    // SAFETY: There is a current task.
    unsafe { bindings::pinseal_current_run_time() }
}

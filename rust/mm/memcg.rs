// SPDX-License-Identifier: GPL-2.0-only

//! Memory cgroups: to which one an allocation is charged, and their limits.
//!
//! C headers: [`include/linux/memcontrol.h`](srctree/include/linux/memcontrol.h),
//! [`include/linux/sched/mm.h`](srctree/include/linux/sched/mm.h)

use crate::bindings;
use kernel::{
    alloc::Flags,
    prelude::*,
    sync::rcu, //
};

/// As `GFP_KERNEL_ACCOUNT`, but does not sleep: it fails where the group is full. For what can be done
/// without, while others may wait for a lock of the task's.
#[inline]
pub(crate) fn gfp_nowait_account() -> Flags {
    (GFP_KERNEL_ACCOUNT & !GFP_KERNEL) | GFP_NOWAIT
}

/// A reference to a memory cgroup.
///
/// # Invariants
///
/// `self` owns a reference, unless the pointer is null: the kernel has no memory cgroups.
pub(crate) struct MemoryCgroup(*mut bindings::mem_cgroup);

// SAFETY: Any thread may charge a group, and drop a reference to it.
unsafe impl Send for MemoryCgroup {}

impl MemoryCgroup {
    /// The group of the current process.
    pub(crate) fn current() -> Self {
        // INVARIANT: The reference was taken by the call.
        //
        // SAFETY: There are no requirements.
        Self(unsafe { bindings::pinseal_get_current_mem_cgroup() })
    }

    /// Calls `f`, whose allocations with `__GFP_ACCOUNT` are charged to this group.
    pub(crate) fn charge<R>(&self, f: impl FnOnce() -> R) -> R {
        // SAFETY: `self` owns a reference until the old group is set again.
        let old = unsafe { bindings::pinseal_set_active_memcg(self.0) };
        let result = f();
        // SAFETY: The caller of this function keeps the old group.
        unsafe { bindings::pinseal_set_active_memcg(old) };
        result
    }
}

impl Drop for MemoryCgroup {
    fn drop(&mut self) {
        // SAFETY: By the type invariants.
        unsafe { bindings::pinseal_mem_cgroup_put(self.0) };
    }
}

/// Whether a group that a folio is charged to has reached its limit, and so many `pages` more.
///
/// # Safety
///
/// The folio must be locked.
pub(super) unsafe fn is_beyond_limit(folio: *mut bindings::folio, pages: usize) -> bool {
    let _rcu = rcu::read_lock();
    // SAFETY: By the safety requirements, the folio stays charged to its group or, when that is removed, to the
    // parent. RCU keeps the group, which keeps its ancestors.
    unsafe {
        let mut group = bindings::pinseal_folio_memcg(folio);
        while !group.is_null() {
            let limit = bindings::pinseal_mem_cgroup_max(group);
            if bindings::pinseal_mem_cgroup_size(group) >= limit.saturating_add(pages) {
                return true;
            }
            group = bindings::pinseal_parent_mem_cgroup(group);
        }
    }
    false
}

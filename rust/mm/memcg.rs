// SPDX-License-Identifier: GPL-2.0-only

//! Memory cgroups: to which one an allocation is charged.
//!
//! C headers: [`include/linux/memcontrol.h`](srctree/include/linux/memcontrol.h),
//! [`include/linux/sched/mm.h`](srctree/include/linux/sched/mm.h)

use crate::bindings;
use kernel::sync::rcu;

/// A reference to a memory cgroup.
///
/// # Invariants
///
/// `self` owns a reference, unless the pointer is null: the kernel has no memory cgroups.
#[derive(PartialEq, Eq)]
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

    /// The group that a folio is charged to. `None` when it is not, or the group is gone.
    ///
    /// # Safety
    ///
    /// The folio must be locked.
    pub(super) unsafe fn of_folio(folio: *mut bindings::folio) -> Option<Self> {
        let _rcu = rcu::read_lock();
        // SAFETY: By the safety requirements, it stays charged to this group or, when that is removed, to its
        // parent. RCU keeps the group.
        unsafe {
            let group = bindings::pinseal_folio_memcg(folio);
            // INVARIANT: The reference is taken here.
            (!group.is_null() && bindings::pinseal_mem_cgroup_tryget(group)).then_some(Self(group))
        }
    }

    /// Calls `f`, whose allocations with `GFP_KERNEL_ACCOUNT` are charged to this group.
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

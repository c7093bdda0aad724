// SPDX-License-Identifier: GPL-2.0-only

//! Room in a memory cgroup for copies of its pages.
//!
//! `replace_page_cache_folio()` charges the copy to the group of the old page, whatever its limit, because the
//! old one is to be freed soon. An isolated page is not: its holder keeps it. So the same memory is allocated,
//! charged and freed beforehand, which fails where the group is full and has nothing to reclaim.
//!
//! C source: [`mm/memcontrol.c`](srctree/mm/memcontrol.c)

use super::memcg::MemoryCgroup;
use crate::bindings;
use core::ptr::NonNull;
use kernel::prelude::*;

/// Copies that there is room for after one look.
const COPIES: usize = 64;

/// More than a CPU may have charged beforehand for what the group will allocate (`MEMCG_CHARGE_BATCH`): that
/// would pass for room again and again.
const STOCK: usize = 128;

/// Room for copies, of one group at a time.
pub(crate) struct CopyRoom {
    group: Option<MemoryCgroup>,
    /// Copies that there is room for.
    left: usize,
}

impl CopyRoom {
    /// No room.
    pub(crate) fn new() -> Self {
        Self {
            group: None,
            left: 0,
        }
    }

    /// Takes the room for one copy from `group`. Others may fill the group meanwhile.
    ///
    /// Context: sleeps. May reclaim.
    ///
    /// # Errors
    ///
    /// `ENOMEM` when the group is full.
    pub(crate) fn take(&mut self, group: MemoryCgroup) -> Result {
        let is_same = self.group.as_ref() == Some(&group);
        if self.left == 0 || !is_same {
            self.left = 0;
            group.charge(allocate_and_free)?;
            (self.group, self.left) = (Some(group), COPIES);
        }
        self.left -= 1;
        Ok(())
    }
}

fn allocate_and_free() -> Result {
    let mut folios = KVec::with_capacity(COPIES + STOCK, GFP_KERNEL)?;
    while folios.len() < COPIES + STOCK {
        folios.push(ChargedFolio::new()?, GFP_KERNEL)?;
    }
    Ok(())
}

/// A folio that is charged to the group of what is allocated.
///
/// # Invariants
///
/// `self` has the only reference to the folio.
struct ChargedFolio(NonNull<bindings::folio>);

impl ChargedFolio {
    fn new() -> Result<Self> {
        // SAFETY: There are no requirements.
        let folio = unsafe { bindings::pinseal_folio_alloc_charged() };
        // INVARIANT: The folio is new.
        NonNull::new(folio).map(Self).ok_or(ENOMEM)
    }
}

impl Drop for ChargedFolio {
    fn drop(&mut self) {
        // SAFETY: By the type invariants.
        unsafe { bindings::pinseal_folio_put(self.0.as_ptr()) };
    }
}

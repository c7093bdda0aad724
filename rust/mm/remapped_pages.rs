// SPDX-License-Identifier: GPL-2.0-only

//! Pages of a file that mappings show elsewhere than at their place.
//!
//! The kernel finds the page table entries of a file's page by its place in the mapping, so such an
//! entry must not be one of a file's. It is a bare frame number (`VM_PFNMAP`) in a VMA that the kernel
//! does not find by a page ([`hidden_vma`](super::hidden_vma)), and a reference of ours keeps the page:
//! one for each page, however often it is shown, which lasts until the pages are taken away, or no such
//! mapping is left.
//!
//! To take pages away is to zap all mappings of the file, and then to drop all references. A sealer, or
//! another waiter for references, takes pages away and does not wait for these. The next access shows a
//! page anew.
//!
//! # Lock order
//!
//! 1. the mmap lock, or a VMA's; the inode lock
//! 2. a folio lock
//! 3. `RemappedPages::state`
//! 4. `i_mmap_rwsem`, the locks of page tables
//!
//! Entry and reference are made under 2 and 3: no page is shown without a reference, because taking
//! pages away holds 3; and none that is not the file's any more, because removal from the file holds 2,
//! and pages are taken away after that.

use super::{
    address_space::AddressSpace,
    hidden_vma::zap_hidden,
    memlock::MemlockCharge,
    page_ref::{
        LockedPage,
        PageRef, //
    }, //
};
use crate::bindings;
use core::mem::{
    forget,
    take, //
};
use kernel::{
    new_mutex,
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNodeReservation, //
    },
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Mutex, //
    }, //
};

/// Pages that are charged at least: as many as one instruction may access, which would fault for ever
/// if one of them were taken away for another.
const LEAST_PAGES: usize = 8;

struct State {
    /// Number of mappings that show pages elsewhere.
    mappings: usize,
    /// Reasons why there must be no such mapping: others may remove pages of the file.
    bans: usize,
    /// The pages that may be shown, by their index.
    pages: RBTree<usize, PageRef>,
    held: usize,
    /// While there are such mappings. For `held` pages at least.
    charge: Option<MemlockCharge>,
}

/// Forbids mappings that show pages elsewhere, until it is dropped.
#[must_use]
pub(crate) struct Ban<'a>(&'a RemappedPages);

impl Ban<'_> {
    /// Forbids them for good.
    pub(crate) fn keep(self) {
        forget(self);
    }
}

impl Drop for Ban<'_> {
    fn drop(&mut self) {
        self.0.state.lock().bans -= 1;
    }
}

/// The pages of a file that are shown elsewhere.
#[pin_data]
pub(crate) struct RemappedPages {
    /// Whether there were such mappings. Never reset.
    is_used: Atomic<bool>,
    #[pin]
    state: Mutex<State>,
}

impl RemappedPages {
    /// Creates an empty set.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            is_used: Atomic::new(false),
            state <- new_mutex!(
                State {
                    mappings: 0,
                    bans: 0,
                    pages: RBTree::new(),
                    held: 0,
                    charge: None,
                },
                "pinseal::RemappedPages::state"
            ),
        })
    }

    /// Counts a mapping that is to show pages elsewhere, and charges some pages for it.
    ///
    /// # Errors
    ///
    /// `EBUSY` when that is forbidden. `ENOMEM` when it would exceed `RLIMIT_MEMLOCK`.
    pub(crate) fn add_mapping(&self) -> Result {
        let mut state = self.state.lock();
        if state.bans != 0 {
            return Err(EBUSY);
        }
        if state.charge.is_none() {
            state.charge = Some(MemlockCharge::new(LEAST_PAGES)?);
        }
        self.is_used.store(true, Relaxed);
        state.mappings += 1;
        Ok(())
    }

    /// Counts a copy of such a mapping.
    pub(crate) fn add_copy(&self) {
        self.state.lock().mappings += 1;
    }

    /// Uncounts a mapping, which has no entries any more.
    pub(crate) fn remove_mapping(&self) {
        let mut state = self.state.lock();
        state.mappings -= 1;
        if state.mappings == 0 {
            state.drop_pages();
            state.charge = None;
        }
    }

    /// Forbids such mappings: others are about to get access by which they may remove pages.
    ///
    /// # Errors
    ///
    /// `EBUSY` when there are some.
    pub(crate) fn forbid(&self) -> Result<Ban<'_>> {
        let mut state = self.state.lock();
        if state.mappings != 0 {
            return Err(EBUSY);
        }
        state.bans += 1;
        Ok(Ban(self))
    }

    /// Takes all pages away: no mapping shows them when this returns.
    ///
    /// Context: sleeps. Takes `i_mmap_rwsem`.
    #[inline]
    pub(crate) fn take_away(&self, file: &AddressSpace) {
        if self.is_used.load(Relaxed) {
            self.take_away_used(file);
        }
    }

    #[cold]
    fn take_away_used(&self, file: &AddressSpace) {
        let mut state = self.state.lock();
        if state.mappings != 0 {
            state.take_away(file);
        }
    }

    /// Has `insert` show the page at `index` of `file` in a page table, as a frame number. With
    /// `may_write`, the page may be stored to by the entry, now or later; with `executes`, be executed.
    ///
    /// Context: sleeps. In a fault.
    pub(crate) fn show(
        &self,
        file: &AddressSpace,
        index: usize,
        may_write: bool,
        executes: bool,
        insert: impl FnOnce(usize) -> bindings::vm_fault_t,
    ) -> bindings::vm_fault_t {
        let Ok(node) = RBTreeNodeReservation::new(GFP_KERNEL_ACCOUNT) else {
            return bindings::vm_fault_reason_VM_FAULT_OOM;
        };
        let locked = match LockedPage::read(file, index) {
            Ok(locked) => locked,
            Err(ENOMEM) => return bindings::vm_fault_reason_VM_FAULT_OOM,
            Err(_) => return bindings::vm_fault_reason_VM_FAULT_SIGBUS,
        };
        if locked.is_poisoned() {
            return bindings::vm_fault_reason_VM_FAULT_HWPOISON;
        }
        let frame = locked.page().frame();
        if may_write {
            // Stores by such an entry do not make the page dirty.
            locked.mark_dirty();
        }
        if executes {
            // For a bare frame number the core does not.
            locked.flush_icache();
        }
        let mut state = self.state.lock();
        let is_held = match state.pages.get(&index) {
            Some(held) => held.frame() == frame,
            None => false,
        };
        if !is_held {
            // The page of before was replaced, and may still be shown.
            if state.pages.get(&index).is_some() || !state.charge_one_more() {
                state.take_away(file);
                if !state.charge_one_more() {
                    return bindings::vm_fault_reason_VM_FAULT_SIGBUS;
                }
            }
            state
                .pages
                .insert(node.into_node(index, locked.page().clone()));
            state.held += 1;
        }
        insert(frame)
    }
}

impl State {
    /// Charges one more page than are held. Returns whether it could.
    fn charge_one_more(&mut self) -> bool {
        let wanted = self.held + 1;
        self.charge
            .as_mut()
            .is_some_and(|charge| charge.grow_to(wanted).is_ok())
    }

    fn take_away(&mut self, file: &AddressSpace) {
        zap_hidden(file);
        self.drop_pages();
        if let Some(charge) = &mut self.charge {
            charge.shrink_to(LEAST_PAGES);
        }
    }

    /// Drops the references to pages that no mapping shows.
    fn drop_pages(&mut self) {
        self.held = 0;
        drop(take(&mut self.pages));
    }
}

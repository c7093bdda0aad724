// SPDX-License-Identifier: GPL-2.0-only

//! Breaks the leases of pages that are waited for: requests the break, and revokes the pages when the
//! grace that the lease promises is over.
//!
//! The requester owns the object's seal exclusion, so there is one at a time.

use crate::object::{
    PinTable,
    PinTerms,
    PinnedRange, //
};
use core::ops::Range;
use kernel::{
    prelude::*,
    sync::{
        aref::ARef,
        Arc, //
    },
    task::Task,
    time::Instant, //
};

/// Break requests for the leases of a range. Dropping it withdraws those that are pending.
pub(crate) struct LeaseBreak {
    by: ARef<Task>,
    pages: Range<usize>,
    requested: KVVec<Arc<PinnedRange>>,
    /// Number of the first pinned range that is newer than the last request.
    next: u64,
    revoked_pages: u64,
    restarts: bool,
}

impl LeaseBreak {
    /// Will break leases of `pages` on behalf of `by`. `revoked_pages` were revoked before the call
    /// was restarted.
    pub(crate) fn new(by: ARef<Task>, pages: Range<usize>, revoked_pages: u64) -> Self {
        Self {
            by,
            pages,
            requested: KVVec::new(),
            next: 0,
            revoked_pages,
            restarts: false,
        }
    }

    /// Says that the call will be restarted, and the grace that has run is to count then.
    pub(crate) fn keep_for_restart(&mut self) {
        self.restarts = true;
    }

    /// Requests the break of leases that are new, and revokes expired ones. Returns whether pages were
    /// revoked. Unless the caller `may_wait`, only leases without grace are broken.
    ///
    /// Context: sleeps, but for nothing that takes long.
    pub(crate) fn request_and_revoke(&mut self, pins: &PinTable, may_wait: bool) -> bool {
        // Without memory for it, they are requested at the next call.
        let _ = self.request(pins, may_wait);
        let now = Instant::now();
        let mut revoked = 0;
        for range in &self.requested {
            revoked += range.revoke_expired(now);
        }
        // The caller's struct has the number before the restart, which may be anything.
        self.revoked_pages = self.revoked_pages.saturating_add(revoked);
        revoked != 0
    }

    fn request(&mut self, pins: &PinTable, may_wait: bool) -> Result {
        let mut new = KVVec::new();
        let next = pins.leases(&self.pages, self.next, &mut new)?;
        // Room for all first, so that no lease is requested twice. Charged, because an asynchronous
        // seal keeps the list.
        self.requested.reserve(new.len(), GFP_KERNEL_ACCOUNT)?;
        self.next = next;
        for range in new {
            let PinTerms::Leased(grace) = range.terms() else {
                continue;
            };
            if may_wait || grace.is_zero() {
                range.request_break(&self.by, grace);
                // There is room.
                let _ = self.requested.push_within_capacity(range);
            }
        }
        Ok(())
    }

    /// Number of pages that were revoked.
    pub(crate) fn revoked_pages(&self) -> u64 {
        self.revoked_pages
    }
}

impl Drop for LeaseBreak {
    fn drop(&mut self) {
        for range in &self.requested {
            range.withdraw_break(self.restarts);
        }
    }
}

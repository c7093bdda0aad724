// SPDX-License-Identifier: GPL-2.0-only

//! All pinned ranges of an object, ordered by page.
//!
//! # Lock order
//!
//! 1. `PinTable::inner`, taken with at most the seal exclusion held
//! 2. `PinnedRange::state`

use super::pinned_range::{
    PinTerms,
    PinnedRange, //
};
use core::ops::Range;
use kernel::{
    new_mutex,
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNodeReservation, //
    },
    sync::{
        Arc,
        Mutex, //
    }, //
};

/// The pinned ranges of an object.
#[pin_data]
pub(crate) struct PinTable {
    #[pin]
    inner: Mutex<Inner>,
}

/// Key of a pinned range in its table: its first page, and a number that grows with each range.
pub(crate) type PinKey = (usize, u64);

struct Inner {
    ranges: RBTree<PinKey, Arc<PinnedRange>>,
    /// Number of the next range.
    next: u64,
    /// An upper bound of the ranges' lengths, in pages. Reset when the table becomes empty.
    max_len: usize,
    count: PinCount,
}

/// Number of pinned ranges.
#[derive(Clone, Copy)]
pub(crate) struct PinCount {
    /// All ranges.
    pub(crate) all: usize,
    /// Leased ranges.
    pub(crate) leased: usize,
}

impl PinCount {
    fn of(range: &PinnedRange) -> Self {
        Self {
            all: 1,
            leased: (range.terms() != PinTerms::Unleased).into(),
        }
    }
}

impl PinTable {
    /// An empty table.
    pub(super) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            inner <- new_mutex!(
                Inner {
                    ranges: RBTree::new(),
                    next: 0,
                    max_len: 0,
                    count: PinCount { all: 0, leased: 0 },
                },
                "pinseal::PinTable::inner"
            ),
        })
    }

    /// Adds a range. Returns its key.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn add(&self, range: &Arc<PinnedRange>) -> Result<PinKey> {
        let node = RBTreeNodeReservation::new(GFP_KERNEL_ACCOUNT)?;
        let one = PinCount::of(range);
        let mut inner = self.inner.lock();
        let key = (range.pages().start, inner.next);
        inner.next += 1;
        inner.max_len = inner.max_len.max(range.pages().len());
        inner.ranges.insert(node.into_node(key, range.clone()));
        inner.count.all += one.all;
        inner.count.leased += one.leased;
        Ok(key)
    }

    /// Whether a handle pins any of the pages. The object may have other pages at these indices by
    /// now.
    pub(crate) fn pins_any(&self, pages: &Range<usize>) -> bool {
        let mut inner = self.inner.lock();
        let from = (pages.start.saturating_sub(inner.max_len), 0);
        let mut cursor = inner.ranges.cursor_lower_bound_mut(&from);
        while let Some(at) = cursor {
            let (&(start, _), range) = at.current();
            if start >= pages.end {
                break;
            }
            if pages.start < range.pages().end && range.is_held() {
                return true;
            }
            cursor = at.move_next();
        }
        false
    }

    /// Removes the range with that key.
    pub(crate) fn remove(&self, key: PinKey) {
        let mut inner = self.inner.lock();
        let removed = inner.ranges.remove(&key);
        if let Some(range) = &removed {
            let one = PinCount::of(range);
            inner.count.all -= one.all;
            inner.count.leased -= one.leased;
        }
        if inner.ranges.is_empty() {
            inner.max_len = 0;
        }
        drop(inner);
        drop(removed);
    }

    /// Adds to `found` the leased ranges with any of those pages and a number of `since` or more.
    /// Returns the number of the next range.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; then it adds none.
    pub(crate) fn leases(
        &self,
        pages: &Range<usize>,
        since: u64,
        found: &mut KVVec<Arc<PinnedRange>>,
    ) -> Result<u64> {
        let mut inner = self.inner.lock();
        let next = inner.next;
        if since == next {
            return Ok(next);
        }
        found.reserve(inner.count.leased, GFP_KERNEL)?;
        let mut cursor = inner.ranges.cursor_front_mut();
        while let Some(at) = cursor {
            let (&(start, number), range) = at.current();
            if start >= pages.end {
                break;
            }
            if number >= since
                && range.terms() != PinTerms::Unleased
                && pages.start < range.pages().end
            {
                // There is room.
                let _ = found.push_within_capacity(range.clone());
            }
            cursor = at.move_next();
        }
        Ok(next)
    }

    /// Number of ranges.
    pub(crate) fn count(&self) -> PinCount {
        self.inner.lock().count
    }
}

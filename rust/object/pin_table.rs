// SPDX-License-Identifier: GPL-2.0-only

//! All that is held of an object by handles, in the order of the pages.
//!
//! # Lock order
//!
//! `Holdings::list` is taken with no more held than `Holding::state` may be; that is taken under it.

use crate::object::pinned_range::{
    Holding,
    Terms, //
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

/// What is held of an object.
#[pin_data]
pub(crate) struct Holdings {
    #[pin]
    list: Mutex<List>,
}

/// Where a holding is among the others: by its first page, and by a number, in the order in which
/// they came.
pub(crate) type Place = (usize, u64);

struct List {
    all: RBTree<Place, Arc<Holding>>,
    /// The number of the next.
    next: u64,
    /// How many pages one has at most, of all that there were since there was none.
    longest: usize,
    count: Count,
}

/// How many holdings there are.
#[derive(Clone, Copy)]
pub(crate) struct Count {
    /// All.
    pub(crate) all: usize,
    /// Those on a lease.
    pub(crate) leased: usize,
}

impl Count {
    fn of(holding: &Holding) -> Self {
        Self {
            all: 1,
            leased: (holding.terms() != Terms::ForGood).into(),
        }
    }
}

impl Holdings {
    /// Nothing.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            list <- new_mutex!(
                List {
                    all: RBTree::new(),
                    next: 0,
                    longest: 0,
                    count: Count { all: 0, leased: 0 },
                },
                "pinseal::Holdings::list"
            ),
        })
    }

    /// Adds what somebody holds. Returns its place.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn add(&self, holding: &Arc<Holding>) -> Result<Place> {
        let node = RBTreeNodeReservation::new(GFP_KERNEL_ACCOUNT)?;
        let one = Count::of(holding);
        let mut list = self.list.lock();
        let place = (holding.range().start, list.next);
        list.next += 1;
        list.longest = list.longest.max(holding.range().len());
        list.all.insert(node.into_node(place, holding.clone()));
        list.count.all += one.all;
        list.count.leased += one.leased;
        Ok(place)
    }

    /// Whether any of the pages is held. (It may have been taken away from the object since then.)
    pub(crate) fn hold_any(&self, pages: &Range<usize>) -> bool {
        let mut list = self.list.lock();
        let from = (pages.start.saturating_sub(list.longest), 0);
        let mut cursor = list.all.cursor_lower_bound_mut(&from);
        while let Some(at) = cursor {
            let (&(start, _), holding) = at.current();
            if start >= pages.end {
                break;
            }
            if pages.start < holding.range().end && holding.is_there() {
                return true;
            }
            cursor = at.move_next();
        }
        false
    }

    /// Removes the one at that place.
    pub(crate) fn remove(&self, place: Place) {
        let mut list = self.list.lock();
        let removed = list.all.remove(&place);
        if let Some(holding) = &removed {
            let one = Count::of(holding);
            list.count.all -= one.all;
            list.count.leased -= one.leased;
        }
        if list.all.is_empty() {
            list.longest = 0;
        }
        drop(list);
        drop(removed);
    }

    /// Adds to `found` the leases of any of those pages that came with number `since` or later.
    /// Returns the number that the next one will have.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; then it adds none.
    pub(crate) fn leases(
        &self,
        pages: &Range<usize>,
        since: u64,
        found: &mut KVVec<Arc<Holding>>,
    ) -> Result<u64> {
        let mut list = self.list.lock();
        let next = list.next;
        if since == next {
            return Ok(next);
        }
        found.reserve(list.count.leased, GFP_KERNEL)?;
        let mut cursor = list.all.cursor_front_mut();
        while let Some(at) = cursor {
            let (&(start, number), holding) = at.current();
            if start >= pages.end {
                break;
            }
            if number >= since
                && holding.terms() != Terms::ForGood
                && pages.start < holding.range().end
            {
                // There is room.
                let _ = found.push_within_capacity(holding.clone());
            }
            cursor = at.move_next();
        }
        Ok(next)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> Count {
        self.list.lock().count
    }
}

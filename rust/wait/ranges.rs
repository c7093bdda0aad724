// SPDX-License-Identifier: GPL-2.0-only

//! Bounded lists of page ranges that take additions in atomic context. No kernel state.

use core::ops::Range;
use kernel::prelude::*;

/// Capacity of a list. With more ranges, a scan of everything is cheaper.
const MAX_RANGES: usize = 4096;

/// First allocation.
const MIN_RANGES: usize = 64;

/// The list has no room for another range.
pub(super) struct Full;

/// Ranges of page indices, in ascending order.
pub(super) struct Ranges {
    list: KVVec<Range<usize>>,
}

impl Ranges {
    /// An empty list. Allocates nothing.
    pub(super) fn new() -> Self {
        Self { list: KVVec::new() }
    }

    /// Adds a range, merging it with the last one where they touch. Ranges must come in ascending
    /// order. Never allocates.
    ///
    /// Returns the number of pages that are new.
    ///
    /// # Errors
    ///
    /// [`Full`]; nothing was added. [`Ranges::grow`] may help, where sleeping is allowed.
    pub(super) fn push(&mut self, range: Range<usize>) -> Result<usize, Full> {
        let len = range.len();
        if let Some(last) = self.list.last_mut() {
            if last.end >= range.start {
                let new = range.end.saturating_sub(last.end);
                last.end += new;
                return Ok(new);
            }
        }
        match self.list.push_within_capacity(range) {
            Ok(()) => Ok(len),
            Err(_) => Err(Full),
        }
    }

    /// Allocates room for more ranges.
    ///
    /// Context: sleeps.
    ///
    /// # Errors
    ///
    /// [`Full`] when the list is at its capacity, or there is no memory.
    pub(super) fn grow(&mut self) -> Result<(), Full> {
        let more = self.list.len().max(MIN_RANGES);
        if self.list.len() + more > MAX_RANGES {
            return Err(Full);
        }
        // Charged, because an asynchronous seal keeps the list.
        self.list
            .reserve(more, GFP_KERNEL_ACCOUNT)
            .map_err(|_| Full)
    }

    /// The ranges.
    pub(super) fn as_slice(&self) -> &[Range<usize>] {
        &self.list
    }
}

#[kunit_tests(pinseal_ranges)]
mod tests {
    use super::*;

    /// Room for a few.
    fn some() -> Ranges {
        let mut ranges = Ranges::new();
        assert!(ranges.grow().is_ok());
        ranges
    }

    #[test]
    fn without_room_nothing_is_added() {
        let mut ranges = Ranges::new();

        assert!(ranges.push(0..1).is_err());
        assert!(ranges.as_slice().is_empty());
    }

    #[test]
    fn neighbours_become_one() {
        let mut ranges = some();

        assert!(matches!(ranges.push(3..5), Ok(2)));
        assert!(matches!(ranges.push(5..9), Ok(4)));
        assert!(matches!(ranges.push(10..11), Ok(1)));
        assert!(ranges.as_slice() == [3..9, 10..11]);
    }

    #[test]
    fn what_overlaps_counts_once() {
        let mut ranges = some();

        assert!(matches!(ranges.push(0..8), Ok(8)));
        assert!(matches!(ranges.push(4..10), Ok(2)));
        assert!(matches!(ranges.push(5..6), Ok(0)));
        assert!(ranges.as_slice() == [0..10]);
    }

    #[test]
    fn a_full_list_still_takes_neighbours() {
        let mut ranges = some();
        let room = ranges.list.capacity();

        for i in 0..room {
            assert!(ranges.push(2 * i..2 * i + 1).is_ok());
        }
        assert!(ranges.push(2 * room..2 * room + 1).is_err());
        assert!(matches!(ranges.push(2 * room - 1..2 * room), Ok(1)));
    }

    #[test]
    fn the_list_is_bounded() {
        let mut ranges = Ranges::new();
        let mut next = 0;

        while ranges.grow().is_ok() {
            while ranges.push(next..next + 1).is_ok() {
                next += 2;
            }
        }
        assert!(ranges.as_slice().len() <= MAX_RANGES);
        assert!(ranges.as_slice().len() > MAX_RANGES / 4);
    }

    #[test]
    fn the_highest_index_fits() {
        let mut ranges = some();

        assert!(matches!(ranges.push(usize::MAX - 1..usize::MAX), Ok(1)));
        assert!(matches!(ranges.push(usize::MAX..usize::MAX), Ok(0)));
    }
}

// SPDX-License-Identifier: GPL-2.0-only

//! Bounded lists of page ranges that can be added to in atomic context. No kernel state.

use core::ops::Range;
use kernel::prelude::*;

/// Most ranges to remember. Who has more is better off with walking through everything.
const MOST: usize = 4096;

/// Room to begin with.
const FEW: usize = 64;

/// There is no room for another range.
pub(crate) struct Full;

/// Ranges of page indices, in the order in which they were added.
pub(crate) struct Ranges {
    list: KVVec<Range<usize>>,
}

impl Ranges {
    /// No ranges. Allocates nothing.
    pub(crate) fn new() -> Self {
        Self { list: KVVec::new() }
    }

    /// Adds a range, to the one added last if that reaches to where this begins. Ranges must come in
    /// ascending order. It never allocates.
    ///
    /// Returns how many pages were not in the list before.
    ///
    /// # Errors
    ///
    /// [`Full`]; nothing was added. [`Ranges::make_room`] may help, where sleeping is allowed.
    pub(crate) fn push(&mut self, range: Range<usize>) -> Result<usize, Full> {
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

    /// Makes room for more ranges.
    ///
    /// # Errors
    ///
    /// [`Full`] when there are too many already, or no memory.
    pub(crate) fn make_room(&mut self) -> Result<(), Full> {
        let more = self.list.len().max(FEW);
        if self.list.len() + more > MOST {
            return Err(Full);
        }
        self.list.reserve(more, GFP_KERNEL).map_err(|_| Full)
    }

    /// The ranges.
    pub(crate) fn as_slice(&self) -> &[Range<usize>] {
        &self.list
    }
}

#[kunit_tests(pinseal_ranges)]
mod tests {
    use super::*;

    /// Room for a few.
    fn some() -> Ranges {
        let mut ranges = Ranges::new();
        assert!(ranges.make_room().is_ok());
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

        while ranges.make_room().is_ok() {
            while ranges.push(next..next + 1).is_ok() {
                next += 2;
            }
        }
        assert!(ranges.as_slice().len() <= MOST);
        assert!(ranges.as_slice().len() > MOST / 4);
    }

    #[test]
    fn the_highest_index_fits() {
        let mut ranges = some();

        assert!(matches!(ranges.push(usize::MAX - 1..usize::MAX), Ok(1)));
        assert!(matches!(ranges.push(usize::MAX..usize::MAX), Ok(0)));
    }
}

// SPDX-License-Identifier: GPL-2.0-only

//! Bounded lists of page ranges that take additions in atomic context. No kernel state.

use core::ops::Range;
use kernel::{
    alloc::Flags,
    prelude::*, //
};

/// Capacity of a list. With more ranges, a scan of everything is cheaper.
const MAX_RANGES: usize = 4096;

/// First allocation.
const MIN_RANGES: usize = 64;

/// Ranges that are not further apart belong to one group: a fault maps about as many pages around its own.
const SMALL_GAP: usize = 16;

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
    /// [`Full`]; nothing was added. [`Ranges::grow`] may help.
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

    /// Allocates room for more ranges, with `flags`, which should charge: an asynchronous seal keeps the list.
    ///
    /// # Errors
    ///
    /// [`Full`] when the list is at its capacity, or there is no memory.
    pub(super) fn grow(&mut self, flags: Flags) -> Result<(), Full> {
        let more = self.list.len().max(MIN_RANGES);
        if self.list.len() + more > MAX_RANGES {
            return Err(Full);
        }
        self.list.reserve(more, flags).map_err(|_| Full)
    }

    /// The ranges.
    pub(super) fn as_slice(&self) -> &[Range<usize>] {
        &self.list
    }
}

/// Calls `visit` for groups of ranges: `most` of them at most, each from its first range to its last. The gaps
/// that are bridged are the small ones.
pub(super) fn for_each_group(
    ranges: &[Range<usize>],
    most: usize,
    mut visit: impl FnMut(&Range<usize>),
) {
    let gaps_above = |width: usize| {
        let gaps = ranges.iter().zip(ranges.iter().skip(1));
        gaps.filter(|(range, next)| next.start - range.end > width)
            .count()
    };
    let Some((first, others)) = ranges.split_first() else {
        return;
    };
    let most_gaps = most.saturating_sub(1);
    let (mut small, mut large) = (SMALL_GAP, SMALL_GAP);
    while gaps_above(large) > most_gaps {
        small = large;
        large = large.saturating_mul(2);
    }
    // Of the gaps between `small` and `large`, there may be many of one width.
    let mut spare = most_gaps - gaps_above(large);
    let mut group = first.clone();
    for range in others {
        let gap = range.start - group.end;
        let is_spared = gap > small && gap <= large && spare != 0;
        if is_spared {
            spare -= 1;
        }
        if is_spared || gap > large {
            visit(&group);
            group = range.clone();
        } else {
            group.end = range.end;
        }
    }
    visit(&group);
}

#[kunit_tests(pinseal_ranges)]
mod tests {
    use super::*;

    /// Room for a few.
    fn some() -> Ranges {
        let mut ranges = Ranges::new();
        assert!(ranges.grow(GFP_KERNEL).is_ok());
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

        while ranges.grow(GFP_KERNEL).is_ok() {
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

    /// The groups of `n` single pages, `distance` apart.
    fn groups(n: usize, distance: usize, most: usize) -> KVec<Range<usize>> {
        let mut ranges = KVec::new();
        let mut groups = KVec::new();

        for i in 0..n {
            assert!(ranges
                .push(i * distance..i * distance + 1, GFP_KERNEL)
                .is_ok());
        }
        for_each_group(&ranges, most, |group| {
            assert!(groups.push(group.clone(), GFP_KERNEL).is_ok())
        });
        groups
    }

    #[test]
    fn few_ranges_are_their_own_groups() {
        assert!(groups(0, 1000, 4).is_empty());
        assert!(groups(1, 1000, 4)[..] == [0..1]);
        assert!(groups(3, 1000, 4)[..] == [0..1, 1000..1001, 2000..2001]);
        assert!(groups(4, 1000, 4).len() == 4);
    }

    #[test]
    fn close_ranges_are_a_group() {
        assert!(groups(1000, 2, 4)[..] == [0..1999]);
        assert!(groups(3, SMALL_GAP + 1, 4).len() == 1);
        assert!(groups(3, SMALL_GAP + 2, 4).len() == 3);
    }

    #[test]
    fn of_many_ranges_no_gap_more_than_necessary_is_bridged() {
        for n in 4..100 {
            assert!(groups(n, 1000, 4).len() == 4);
        }
        assert!(groups(5, 1000, 1)[..] == [0..4001]);
    }

    #[test]
    fn small_gaps_are_bridged_first() {
        let ranges = [
            0..1,
            100..101,
            9000..9001,
            9100..9101,
            70000..70001,
            70200..70201,
        ];
        let mut expected = [0..101, 9000..9101, 70000..70201].iter();

        for_each_group(&ranges, 3, |group| assert!(expected.next() == Some(group)));
        assert!(expected.next().is_none());
    }

    #[test]
    fn the_widest_gap_is_kept() {
        let ranges = [0..1, usize::MAX - 1..usize::MAX];
        let mut n = 0;

        for_each_group(&ranges, 2, |_| n += 1);
        assert!(n == 2);
        for_each_group(&ranges, 1, |group| assert!(*group == (0..usize::MAX)));
    }
}

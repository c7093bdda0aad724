// SPDX-License-Identifier: GPL-2.0-only

//! Sets of pages of a file, as ranges, without kernel state.

use core::ops::Range;
use kernel::{
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNodeReservation, //
    }, //
};

/// A set of pages.
pub(crate) struct PageSet {
    /// The first page of each range, by its last. Ranges neither overlap nor touch.
    ranges: RBTree<usize, usize>,
}

/// Memory for one change of a [`PageSet`].
pub(crate) struct PageSetRoom(RBTreeNodeReservation<usize, usize>);

impl PageSetRoom {
    /// Allocates it.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(RBTreeNodeReservation::new(GFP_KERNEL_ACCOUNT)?))
    }
}

impl PageSet {
    /// An empty set.
    pub(crate) fn new() -> Self {
        Self {
            ranges: RBTree::new(),
        }
    }

    /// Whether a page is in it.
    pub(crate) fn contains(&self, page: usize) -> bool {
        self.range_from(page)
            .is_some_and(|(first, _)| first <= page)
    }

    /// The first range of `pages` that is in it.
    pub(crate) fn first_in(&self, pages: Range<usize>) -> Option<Range<usize>> {
        let (first, last) = self.range_from(pages.start)?;
        let found = first.max(pages.start)..pages.end.min(last.saturating_add(1));
        (!found.is_empty()).then_some(found)
    }

    /// Adds pages.
    pub(crate) fn insert(&mut self, pages: Range<usize>, room: PageSetRoom) {
        if pages.is_empty() {
            return;
        }
        let (mut first, mut last) = (pages.start, pages.end - 1);
        // Ranges that touch them become part of the new one.
        while let Some((old_first, old_last)) = self.range_from(first.saturating_sub(1)) {
            if old_first > last.saturating_add(1) {
                break;
            }
            self.ranges.remove(&old_last);
            first = first.min(old_first);
            last = last.max(old_last);
        }
        let PageSetRoom(room) = room;
        self.ranges.insert(room.into_node(last, first));
    }

    /// Removes pages.
    pub(crate) fn remove(&mut self, pages: Range<usize>, room: PageSetRoom) {
        let mut room = Some(room);
        while let Some((first, last)) = self.range_from(pages.start) {
            if first >= pages.end {
                break;
            }
            let Some(node) = self.ranges.remove_node(&last) else {
                break;
            };
            // What is left of it, on either side. Only the first range found has a left part.
            if last >= pages.end {
                self.ranges
                    .insert(node.into_reservation().into_node(last, pages.end));
            }
            if first < pages.start {
                if let Some(PageSetRoom(room)) = room.take() {
                    self.ranges.insert(room.into_node(pages.start - 1, first));
                }
            }
        }
    }

    /// Removes all pages.
    pub(crate) fn clear(&mut self) {
        self.ranges = RBTree::new();
    }

    /// Moves all pages to another set.
    pub(crate) fn move_to(&mut self, other: &mut Self) {
        while let Some((first, last)) = self.range_from(0) {
            let Some(node) = self.ranges.remove_node(&last) else {
                break;
            };
            other.insert(first..last + 1, PageSetRoom(node.into_reservation()));
        }
    }

    /// The range that has `page` or, if there is none, the next one: its first and last page.
    fn range_from(&self, page: usize) -> Option<(usize, usize)> {
        let cursor = self.ranges.cursor_lower_bound(&page)?;
        let (&last, &first) = cursor.current();
        Some((first, last))
    }
}

#[kunit_tests(pinseal_page_set)]
mod tests {
    use super::*;

    const PAGES: usize = 64;

    /// Whether the set has exactly the pages of the model, as ranges that do not touch.
    fn agrees(set: &PageSet, model: &[bool; PAGES]) -> bool {
        let mut page = 0;
        while let Some(range) = set.first_in(page..PAGES) {
            if model[page..range.start].contains(&true) || model[range.clone()].contains(&false) {
                return false;
            }
            if range.end < PAGES && set.contains(range.end) {
                return false;
            }
            page = range.end;
        }
        !model[page..].contains(&true) && (0..PAGES).all(|page| set.contains(page) == model[page])
    }

    #[test]
    fn it_agrees_with_a_model() {
        let mut set = PageSet::new();
        let mut model = [false; PAGES];
        let mut number = 1u32;
        let mut below = |end: usize| {
            number = number.wrapping_mul(1664525).wrapping_add(1013904223);
            (number >> 8) as usize % end
        };

        for _ in 0..2000 {
            let start = below(PAGES);
            let pages = start..start + 1 + below((PAGES - start).min(12));
            let room = PageSetRoom::new();
            assert!(room.is_ok());
            let Ok(room) = room else { return };
            let is_added = below(2) == 0;
            match is_added {
                true => set.insert(pages.clone(), room),
                false => set.remove(pages.clone(), room),
            }
            model[pages].fill(is_added);
            assert!(agrees(&set, &model));
        }
    }

    #[test]
    fn the_last_page_of_all_is_one() {
        let mut set = PageSet::new();
        let room = PageSetRoom::new();
        assert!(room.is_ok());
        let Ok(room) = room else { return };
        set.insert(10..usize::MAX, room);
        assert!(set.contains(usize::MAX - 1));
        assert!(set.first_in(0..usize::MAX) == Some(10..usize::MAX));
    }
}

// SPDX-License-Identifier: GPL-2.0-only

//! Which page of a file is shown at a page of a mapping, where that is not the one at the same place:
//! a map of ranges, without kernel state.

use crate::sync::sleep::fatal_signal_pending;
use core::ops::Range;
use kernel::{
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNode,
        RBTreeNodeReservation, //
    }, //
};

/// Limit of ranges, some 100 bytes each.
const MAX_RANGES: usize = 1 << 20;

/// A node of the tree. Its key is the last page of the range.
#[derive(Clone, Copy)]
struct Shown {
    /// The first page of the range.
    first: usize,
    /// The page that is shown there. Those behind it follow.
    target: usize,
}

impl Shown {
    /// The page that is shown at a page of the range.
    fn at(self, page: usize) -> usize {
        self.target + (page - self.first)
    }
}

/// Which pages are shown elsewhere. Every other page is shown at its own place.
pub(crate) struct Targets {
    /// By their last page. Ranges do not overlap.
    ranges: RBTree<usize, Shown>,
    nodes: usize,
}

/// Memory for one change of [`Targets`].
pub(crate) struct TargetsRoom([RBTreeNodeReservation<usize, Shown>; 2]);

impl TargetsRoom {
    /// Allocates it.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self([
            RBTreeNodeReservation::new(GFP_KERNEL_ACCOUNT)?,
            RBTreeNodeReservation::new(GFP_KERNEL_ACCOUNT)?,
        ]))
    }
}

impl Targets {
    /// Creates a map in which every page is shown at its own place.
    pub(crate) fn new() -> Self {
        Self {
            ranges: RBTree::new(),
            nodes: 0,
        }
    }

    /// Checks whether there may be as many ranges as `changes` make.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn check_room(&self, changes: usize) -> Result {
        match self.nodes.saturating_add(2 * changes) > MAX_RANGES {
            true => Err(ENOMEM),
            false => Ok(()),
        }
    }

    /// Copies the part of the map that has `pages`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`. `EINTR` for a fatal signal.
    pub(crate) fn try_clone(&self, pages: Range<usize>) -> Result<Self> {
        let mut clone = Self::new();
        let mut next = pages.start;
        while let Some((last, shown)) = self.range_from(next) {
            if shown.first >= pages.end {
                break;
            }
            if fatal_signal_pending() {
                return Err(EINTR);
            }
            let first = shown.first.max(pages.start);
            let part = Shown {
                first,
                target: shown.at(first),
            };
            let end = pages.end.min(last + 1);
            let node = RBTreeNode::new(end - 1, part, GFP_KERNEL_ACCOUNT)?;
            clone.ranges.insert(node);
            clone.nodes += 1;
            next = last + 1;
        }
        Ok(clone)
    }

    /// How many ranges there are.
    pub(crate) fn ranges(&self) -> usize {
        self.nodes
    }

    /// Whether every page is shown at its own place.
    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The page that is shown at `page`.
    pub(crate) fn get(&self, page: usize) -> usize {
        match self.range_from(page) {
            Some((_, shown)) if shown.first <= page => shown.at(page),
            _ => page,
        }
    }

    /// The end of the pages from `page` on of which the shown ones follow each other, at most `end`.
    pub(crate) fn end_of_run(&self, page: usize, end: usize) -> usize {
        match self.range_from(page) {
            Some((last, shown)) if shown.first <= page => end.min(last + 1),
            Some((_, shown)) => end.min(shown.first),
            None => end,
        }
    }

    /// Shows the pages from `target` on at `pages`.
    pub(crate) fn set(&mut self, pages: &Range<usize>, target: usize, room: TargetsRoom) {
        if pages.is_empty() {
            return;
        }
        let TargetsRoom([left, own]) = room;
        let mut left = Some(left);
        while let Some((last, shown)) = self.range_from(pages.start) {
            if shown.first >= pages.end {
                break;
            }
            let Some(node) = self.ranges.remove_node(&last) else {
                break;
            };
            self.nodes -= 1;
            // What is left of it, on either side. Only the first range found has a left part.
            if last >= pages.end {
                let rest = Shown {
                    first: pages.end,
                    target: shown.at(pages.end),
                };
                self.ranges
                    .insert(node.into_reservation().into_node(last, rest));
                self.nodes += 1;
            }
            if shown.first < pages.start {
                if let Some(room) = left.take() {
                    self.ranges.insert(room.into_node(pages.start - 1, shown));
                    self.nodes += 1;
                }
            }
        }
        if target != pages.start {
            let shown = Shown {
                first: pages.start,
                target,
            };
            self.ranges.insert(own.into_node(pages.end - 1, shown));
            self.nodes += 1;
        }
    }

    /// The range that has `page` or, if there is none, the next one, with its last page.
    fn range_from(&self, page: usize) -> Option<(usize, Shown)> {
        let cursor = self.ranges.cursor_lower_bound(&page)?;
        let (&last, &shown) = cursor.current();
        Some((last, shown))
    }
}

#[kunit_tests(pinseal_targets)]
mod tests {
    use super::*;

    const PAGES: usize = 64;

    /// A map, and its model: the page shown at each page.
    struct Modelled {
        map: Targets,
        model: [usize; PAGES],
    }

    impl Modelled {
        fn new() -> Self {
            Self {
                map: Targets::new(),
                model: core::array::from_fn(|page| page),
            }
        }

        fn set(&mut self, pages: Range<usize>, target: usize) {
            let room = TargetsRoom::new();
            assert!(room.is_ok());
            let Ok(room) = room else { return };
            self.map.set(&pages, target, room);
            for (i, page) in pages.enumerate() {
                self.model[page] = target + i;
            }
            assert!((0..PAGES).all(|page| self.map.get(page) == self.model[page]));
        }
    }

    #[test]
    fn it_agrees_with_a_model() {
        let mut modelled = Modelled::new();
        let mut number = 1u32;
        let mut below = |end: usize| {
            number = number.wrapping_mul(1664525).wrapping_add(1013904223);
            (number >> 8) as usize % end
        };

        for _ in 0..500 {
            let start = below(PAGES);
            let pages = start..start + 1 + below(PAGES - start);
            // Now and then at its own place again.
            let target = match below(4) {
                0 => start,
                _ => below(1000),
            };
            modelled.set(pages, target);
        }
        modelled.set(0..PAGES, 0);
        assert!(modelled.map.is_empty());
    }

    #[test]
    fn a_range_is_cut_in_the_middle() {
        let mut modelled = Modelled::new();
        modelled.set(10..20, 100);
        modelled.set(13..15, 7);

        assert!(modelled.map.end_of_run(5, 64) == 10);
        assert!(modelled.map.end_of_run(11, 64) == 13);
        assert!(modelled.map.end_of_run(13, 64) == 15);
        assert!(modelled.map.end_of_run(15, 64) == 20);
        assert!(modelled.map.end_of_run(20, 64) == 64);
    }

    #[test]
    fn a_copy_has_the_pages_asked_for() {
        let mut modelled = Modelled::new();
        modelled.set(10..20, 100);
        modelled.set(30..40, 200);

        let clone = modelled.map.try_clone(15..35);
        assert!(clone.is_ok());
        let Ok(clone) = clone else { return };
        assert!(clone.get(14) == 14);
        assert!(clone.get(15) == 105);
        assert!(clone.get(34) == 204);
        assert!(clone.get(35) == 35);
    }
}

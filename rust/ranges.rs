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

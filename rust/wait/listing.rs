// SPDX-License-Identifier: GPL-2.0-only

//! Lists the folios of a file that have extra references.
//!
//! A listing changes nothing: it takes no reference, and mapped pages stay mapped.

use crate::{
    fs::memfd_inode::MemfdInode,
    mm::{
        entries::Entry,
        folio::{
            FolioFlags,
            References, //
        }, //
    },
    sync::sleep::fatal_signal_pending, //
};
use core::ops::{
    ControlFlow,
    Range, //
};
use kernel::{
    page::PAGE_SHIFT,
    prelude::*, //
};

/// Folios that are collected in atomic context before they are reported, which may sleep.
const BATCH: usize = 32;

/// Page cache entries between two checks for a fatal signal. Holes have none, and cost nothing.
const ENTRIES_PER_CHECK: usize = 1 << 18;

/// A folio with extra references.
pub(crate) struct Listed {
    pub(crate) references: References,
    pub(crate) flags: FolioFlags,
}

/// Totals of a listing.
#[derive(Default)]
pub(crate) struct Summary {
    /// Folios that were reported.
    pub(crate) found: u64,
    /// The page that a next listing starts from.
    pub(crate) next: u64,
    /// Pages of folios with extra references before `next`.
    pub(crate) pinned_pages: u64,
    /// Pages of folios that are pinned (`FOLL_PIN`) before `next`.
    pub(crate) dma_pinned_pages: u64,
}

impl Summary {
    /// The totals of no folios before page `next`.
    pub(crate) fn empty(next: u64) -> Self {
        Self {
            next,
            ..Self::default()
        }
    }
}

/// Lists folios with extra references in a range of pages.
///
/// `max` is how many folios `report` takes in all, or `None` to only count. `report` is called in order
/// of the index, where sleeping is allowed.
///
/// # Errors
///
/// `EINTR` when the task is being killed. Those of `report`.
pub(crate) fn list_references(
    memory: &MemfdInode,
    range: Range<u64>,
    max: Option<u64>,
    mut report: impl FnMut(&[Listed]) -> Result,
) -> Result<Summary> {
    let end = range.end.min(memory.size().div_ceil(1 << PAGE_SHIFT));
    let mut batch = KVec::with_capacity(BATCH, GFP_KERNEL)?;
    let mut summary = Summary::empty(range.start);

    while summary.next < end {
        // CAST: At most `BATCH`.
        let room = max.map_or(BATCH as u64, |max| (max - summary.found).min(BATCH as u64)) as usize;
        if room == 0 {
            break;
        }
        if fatal_signal_pending() {
            return Err(EINTR);
        }

        // CAST: In pages, a size fits.
        let (from, to) = (summary.next as usize, end as usize);
        let mut next = to;
        let mut left = ENTRIES_PER_CHECK;
        batch.clear();
        memory.pages().for_each_entry(from..to, |entry| {
            let (index, listed) = match entry {
                Entry::Folio(folio) => {
                    let references = folio.references();
                    let listed = (references.extra != 0).then(|| Listed {
                        references,
                        flags: folio.flags(),
                    });
                    (references.index, listed)
                }
                Entry::Swapped(index) => (index, None),
            };
            let is_visited = left > 0
                && listed.is_none_or(|listed| {
                    batch.len() < room && batch.push_within_capacity(listed).is_ok()
                });
            if !is_visited {
                // A large folio may begin before this walk.
                next = index.max(from);
                return ControlFlow::Break(());
            }
            left -= 1;
            ControlFlow::Continue(())
        });

        for Listed { references, .. } in &batch {
            summary.pinned_pages += references.pages as u64;
            if references.dma_pins != 0 {
                summary.dma_pinned_pages += references.pages as u64;
            }
        }
        if max.is_some() {
            report(&batch)?;
            summary.found += batch.len() as u64;
        }
        summary.next = next as u64;
    }
    Ok(summary)
}

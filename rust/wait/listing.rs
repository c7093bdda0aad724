// SPDX-License-Identifier: GPL-2.0-only

//! Lists the folios of a file that have extra references.
//!
//! A listing changes nothing: it takes no reference, and mapped pages stay mapped.

use crate::{
    fs::shmem_inode::ShmemInode,
    mm::folio::References,
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

/// Pages between two checks for a fatal signal.
const PAGES_PER_CHECK: usize = 1 << 18;

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
    memory: &ShmemInode,
    range: Range<u64>,
    max: Option<u64>,
    mut report: impl FnMut(&[References]) -> Result,
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
        let from = summary.next as usize;
        let to = (end as usize).min(from.saturating_add(PAGES_PER_CHECK));
        let mut next = to;
        batch.clear();
        memory.pages().for_each_folio(from..to, |folio| {
            let references = folio.references();
            if references.extra == 0 {
                return ControlFlow::Continue(());
            }
            if batch.len() == room || batch.push_within_capacity(references).is_err() {
                // A large folio may begin before this walk.
                next = references.index.max(from);
                return ControlFlow::Break(());
            }
            // A large folio may reach further, and must not be reported twice.
            next = next.max(references.index + references.pages);
            ControlFlow::Continue(())
        });

        for references in &batch {
            summary.pinned_pages += references.pages as u64;
            if references.dma_pins != 0 {
                summary.dma_pinned_pages += references.pages as u64;
            }
        }
        if max.is_some() {
            report(&batch)?;
            summary.found += batch.len() as u64;
        }
        summary.next = (next as u64).min(end);
    }
    Ok(summary)
}

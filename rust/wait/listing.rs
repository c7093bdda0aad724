// SPDX-License-Identifier: GPL-2.0-only

//! Listing the folios of an object that have extra references.
//!
//! Nothing is changed by it and no reference taken: what is mapped stays mapped.

use crate::{
    fs::shmem::ShmemFile,
    mm::folio::References,
    sync::sleep::is_dying, //
};
use core::ops::{
    ControlFlow,
    Range, //
};
use kernel::{
    page::PAGE_SHIFT,
    prelude::*, //
};

/// Folios to collect before they are handed on, which may sleep.
const AT_ONCE: usize = 32;

/// Pages to look at between two checks of whether the task is being killed.
const PAGES_AT_ONCE: usize = 1 << 18;

/// What a listing found.
#[derive(Default)]
pub(crate) struct Summary {
    /// Folios that were taken.
    pub(crate) found: u64,
    /// The page to go on from.
    pub(crate) next: u64,
    /// Pages of folios with extra references before `next`.
    pub(crate) pinned_pages: u64,
    /// Pages of folios that are pinned (`FOLL_PIN`) before `next`.
    pub(crate) dma_pinned_pages: u64,
}

impl Summary {
    /// Nothing found before a page.
    pub(crate) fn nothing(next: u64) -> Self {
        Self {
            next,
            ..Self::default()
        }
    }
}

/// Lists folios with extra references in a range of pages.
///
/// `most` is how many folios `take` takes in all, or `None` to only count. `take` is called in order of the index,
/// where sleeping is allowed.
///
/// # Errors
///
/// `EINTR` when the task is being killed, and what `take` fails with.
pub(crate) fn list(
    memory: &ShmemFile,
    range: Range<u64>,
    most: Option<u64>,
    mut take: impl FnMut(&[References]) -> Result,
) -> Result<Summary> {
    let end = range.end.min(memory.size().div_ceil(1 << PAGE_SHIFT));
    let mut batch = KVec::with_capacity(AT_ONCE, GFP_KERNEL)?;
    let mut summary = Summary::nothing(range.start);

    while summary.next < end {
        // CAST: At most `AT_ONCE`.
        let room = most.map_or(AT_ONCE as u64, |most| {
            (most - summary.found).min(AT_ONCE as u64)
        }) as usize;
        if room == 0 {
            break;
        }
        if is_dying() {
            return Err(EINTR);
        }

        // CAST: Numbers of pages of a file fit.
        let from = summary.next as usize;
        let to = (end as usize).min(from.saturating_add(PAGES_AT_ONCE));
        let mut next = to;
        batch.clear();
        memory.pages().for_each_folio(from..to, |folio| {
            let references = folio.references();
            if references.extra == 0 {
                return ControlFlow::Continue(());
            }
            if batch.len() == room || batch.push_within_capacity(references).is_err() {
                // A large folio may begin before where this walk did.
                next = references.index.max(from);
                return ControlFlow::Break(());
            }
            // A large folio may reach further, and must not be met again.
            next = next.max(references.index + references.pages);
            ControlFlow::Continue(())
        });

        for references in &batch {
            summary.pinned_pages += references.pages as u64;
            if references.dma_pins != 0 {
                summary.dma_pinned_pages += references.pages as u64;
            }
        }
        if most.is_some() {
            take(&batch)?;
            summary.found += batch.len() as u64;
        }
        summary.next = (next as u64).min(end);
    }
    Ok(summary)
}

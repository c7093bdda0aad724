// SPDX-License-Identifier: GPL-2.0-only

//! Isolates pinned pages: the object gets a copy, and the pin keeps the old page.
//!
//! What the pin's owner writes after the copy does not reach the object. That is what the caller asks
//! for.

use crate::{
    fs::memfd_inode::LockedMemfd,
    mm::{
        address_space::AddressSpace,
        locked_folio::NewFolio,
        lru::drain_local, //
    },
    wait::ZappedRange, //
};
use kernel::prelude::*;

/// Limit of isolated pages of one call, which ends in bounded time.
pub(super) const MAX_ISOLATED: usize = 1024;

/// How far isolation may bring a memory cgroup beyond its limit, in pages. A copy is charged whatever the limit,
/// and the holder keeps the old page: calls that fail could replace pages again and again.
const MAX_BEYOND_LIMIT: usize = 1024;

/// Why isolation stopped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum IsolateError {
    /// No memory for a copy.
    NoMemory,
    /// A large folio is pinned, which cannot be replaced.
    LargeFolio,
}

/// Isolates the pages of these indices that are still pinned, in ascending order, until `stop` tells to stop.
/// Adds their number to `isolated`, and zapped and replaced pages to `zapped`.
///
/// The contents of the file are the same before, after, and when it stops in the middle.
///
/// Context: sleeps. `locked` excludes `write()`; writable mappings must be denied.
pub(super) fn isolate(
    locked: &LockedMemfd<'_>,
    indices: &[usize],
    isolated: &mut usize,
    zapped: &mut ZappedRange,
    stop: impl Fn() -> bool,
) -> Result<(), IsolateError> {
    let pages = locked.pages();
    // At once: others can make thousands of mappings, and each call visits all of them.
    if let (Some(&first), Some(&last), true) = (indices.first(), indices.last(), pages.is_mapped())
    {
        zapped.zap(pages, &(first..last + 1));
    }
    for &index in indices {
        if stop() {
            break;
        }
        if isolate_page(pages, index, zapped)? {
            *isolated += 1;
        }
    }
    Ok(())
}

/// Returns whether the page was replaced.
fn isolate_page(
    pages: &AddressSpace,
    index: usize,
    zapped: &mut ZappedRange,
) -> Result<bool, IsolateError> {
    // Before the folio is locked: reclaim may need that lock.
    let copy = NewFolio::for_mapping(pages).map_err(|_| IsolateError::NoMemory)?;
    let Some(folio) = pages.lock_folio(index) else {
        // A hole, or swapped out: the scan that follows swaps it in.
        return Ok(false);
    };
    if folio.is_mapped() {
        zapped.zap(pages, &folio.range());
    }
    if !folio.is_clean() {
        // Zapping an mlocked page puts it into an LRU batch.
        drain_local();
    }
    if folio.is_clean() {
        return Ok(false);
    }
    if folio.is_large() {
        return Err(IsolateError::LargeFolio);
    }
    if folio.is_beyond_limit(MAX_BEYOND_LIMIT) {
        return Err(IsolateError::NoMemory);
    }
    // On failure, the next scan tells whether it matters.
    let is_replaced = folio.replace(copy).is_ok();
    if is_replaced {
        zapped.add_replaced(index);
    }
    Ok(is_replaced)
}

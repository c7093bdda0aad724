// SPDX-License-Identifier: GPL-2.0-only

//! Isolating pages: who holds one keeps it, and the object gets a copy.
//!
//! What is written to a page after it was copied, by who has it pinned, does not reach the object
//! any more. That is what the caller asks for.

use crate::{
    fs::shmem::LockedShmem,
    mm::{
        address_space::AddressSpace,
        locked_folio::NewFolio,
        lru::drain_this_cpu, //
    },
    wait::scan::Unmapped, //
};
use kernel::prelude::*;

/// How many pages one call isolates at most. The memory cgroup is charged for a copy even when it
/// has no room, so that is not to be without bounds.
pub(crate) const MOST_ISOLATED: usize = 1024;

/// Why not all that was to be isolated is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// There is no memory for a copy.
    NoMemory,
    /// Somebody holds a folio of more than one page, which cannot be replaced.
    LargeFolio,
}

/// Isolates pages that are held: those of the indices in `held`. Adds to `isolated` how many it did,
/// and to `unmapped` what it removed from page tables.
///
/// Nobody sees a difference: the file has the same bytes before and after, also when it stops in the
/// middle.
///
/// Context: sleeps. `locked` excludes who writes to the file; writable mappings must be denied.
pub(crate) fn isolate(
    locked: &LockedShmem<'_>,
    held: &[usize],
    isolated: &mut usize,
    unmapped: &mut Unmapped,
) -> Result<(), Stopped> {
    for &index in held {
        if isolate_page(locked.file().pages(), index, unmapped)? {
            *isolated += 1;
        }
    }
    Ok(())
}

/// Returns whether the page was replaced.
fn isolate_page(
    pages: &AddressSpace,
    index: usize,
    unmapped: &mut Unmapped,
) -> Result<bool, Stopped> {
    // Before anything is locked: getting memory may have to wait for somebody who wants that folio.
    let copy = NewFolio::for_mapping(pages).map_err(|_| Stopped::NoMemory)?;
    let Some(folio) = pages.lock_folio(index) else {
        // A hole, or gone to swap: the look that follows has it come back.
        return Ok(false);
    };
    folio.unmap();
    unmapped.add(&folio.range());
    if !folio.is_clean() {
        // What was locked in memory is in a batch now.
        drain_this_cpu();
    }
    if folio.is_clean() {
        return Ok(false);
    }
    if folio.is_large() {
        return Err(Stopped::LargeFolio);
    }
    // When it fails, the next look tells whether that matters.
    Ok(folio.replace(copy).is_ok())
}

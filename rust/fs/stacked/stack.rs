// SPDX-License-Identifier: GPL-2.0-only

//! What is known of the pages of a stacked file: which are gone, which are to be written.
//!
//! A page comes from below if the lower file had it when the files were stacked, nothing has removed it
//! since, and it is not there yet. A page that is there is up to date and, for shmem, dirty, so that
//! reclaim swaps it out and never drops it.

use super::lower_file::LowerFile;
use crate::{
    bindings,
    mm::page_set::{
        PageSet,
        PageSetRoom, //
    },
    uapi, //
};
use core::ops::Range;
use kernel::{
    new_mutex,
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic, //
        },
        Arc,
        Mutex, //
    }, //
};

/// The pages that have some of the bytes from `start` to `end`.
pub(super) fn pages_with(start: u64, end: u64) -> Range<usize> {
    let size = PAGE_SIZE as u64;
    // CAST: A position in a file, in pages, fits.
    (start / size) as usize..end.div_ceil(size) as usize
}

/// `pages`, and all that a large folio may have together with some of them.
pub(super) fn with_neighbours(pages: &Range<usize>) -> Range<usize> {
    // SAFETY: There are no requirements.
    let mask = unsafe { bindings::pinseal_largest_folio() } as usize - 1;
    pages.start & !mask..pages.end.saturating_add(mask) & !mask
}

/// `PINSEAL_ATTACH_*`.
#[derive(Clone, Copy)]
pub(crate) struct AttachFlags(u32);

impl AttachFlags {
    /// # Errors
    ///
    /// `EINVAL` for unknown flags, and for both.
    pub(crate) fn from_bits(bits: u32) -> Result<Self> {
        match bits {
            0 | uapi::PINSEAL_ATTACH_RDONLY | uapi::PINSEAL_ATTACH_SYNC_ON_CLOSE => Ok(Self(bits)),
            _ => Err(EINVAL),
        }
    }

    /// Whether the lower file is only read.
    pub(crate) fn is_read_only(self) -> bool {
        self.0 & uapi::PINSEAL_ATTACH_RDONLY != 0
    }

    /// Whether to sync when a descriptor is closed.
    pub(super) fn syncs_on_close(self) -> bool {
        self.0 & uapi::PINSEAL_ATTACH_SYNC_ON_CLOSE != 0
    }
}

/// What has been written to the lower file.
pub(super) struct Written {
    /// Pages that were written since the lower file was last made durable.
    pub(super) unsynced: PageSet,
    /// The size of the stacked file that the lower file was given last. It may be larger: others have
    /// appended to it.
    pub(super) size: u64,
    /// How far syncs that ended early have written; not less than `size`.
    pub(super) reached: u64,
}

impl Written {
    fn new(size: u64) -> Self {
        Self {
            unsynced: PageSet::new(),
            size,
            reached: size,
        }
    }
}

/// A lower file, and what of it concerns the file above.
#[pin_data]
pub(crate) struct Stack {
    pub(super) lower: LowerFile,
    flags: AttachFlags,
    /// Size of the lower file when the files were stacked.
    pub(super) size: u64,
    /// Whether no page comes from below any more.
    pub(super) is_filled: Atomic<bool>,
    /// Pages that do not come from below: they were removed, or lay behind the end.
    #[pin]
    pub(super) gone: Mutex<PageSet>,
    /// Pages that may differ from the lower file. Those that are missing are zeros.
    #[pin]
    pub(super) dirty: Mutex<PageSet>,
    /// Pages that are about to change: what changes them notes that at its end, and a sync before it begins.
    #[pin]
    announced: Mutex<Range<usize>>,
    /// Serialises writing to the lower file.
    #[pin]
    pub(super) written: Mutex<Written>,
}

/// Pages that are about to change. To be dropped when they are noted.
pub(super) struct Announcement<'a>(&'a Stack);

impl Drop for Announcement<'_> {
    fn drop(&mut self) {
        *self.0.announced.lock() = 0..0;
    }
}

impl Stack {
    /// Stacks a file on `lower`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(lower: LowerFile, flags: AttachFlags) -> Result<Arc<Self>> {
        let size = lower.size();
        Arc::pin_init(
            pin_init!(Self {
                lower,
                flags,
                size,
                is_filled: Atomic::new(*size == 0),
                gone <- new_mutex!(PageSet::new(), "pinseal::Stack::gone"),
                dirty <- new_mutex!(PageSet::new(), "pinseal::Stack::dirty"),
                announced <- new_mutex!(0..0, "pinseal::Stack::announced"),
                written <- new_mutex!(Written::new(*size), "pinseal::Stack::written"),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// Whether the lower file may be written to.
    pub(crate) fn is_writable(&self) -> bool {
        self.lower.is_writable()
    }

    /// Whether closing a descriptor syncs.
    pub(crate) fn syncs_on_close(&self) -> bool {
        self.flags.syncs_on_close()
    }

    /// Size of the lower file when the files were stacked.
    pub(crate) fn initial_size(&self) -> u64 {
        self.size
    }

    /// Pages that may come from below.
    pub(super) fn lower_pages(&self) -> usize {
        pages_with(0, self.size).end
    }

    /// Whether no page comes from below any more.
    pub(crate) fn is_filled(&self) -> bool {
        self.is_filled.load(Acquire)
    }

    /// Notes that pages changed. A sync that comes later writes them.
    pub(crate) fn mark_dirty(&self, pages: Range<usize>, room: PageSetRoom) {
        self.dirty.lock().insert(pages, room);
    }

    /// Announces that pages are about to change, of which others may see a part before they are noted.
    ///
    /// The inode must be locked: so there is one announcement at a time.
    pub(super) fn announce(&self, pages: Range<usize>) -> Announcement<'_> {
        *self.announced.lock() = pages;
        Announcement(self)
    }

    /// The pages that are about to change.
    pub(super) fn announced(&self) -> Range<usize> {
        self.announced.lock().clone()
    }

    /// Notes that the file has grown. What mappings have stored behind the old end, in the last page, belongs
    /// to it from now on; and what others have appended to the lower file is not what it has there.
    pub(super) fn mark_grown(&self, old_size: u64, size: u64, room: PageSetRoom) {
        self.mark_dirty(pages_with(old_size, size), room);
    }
}

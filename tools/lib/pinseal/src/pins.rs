// SPDX-License-Identifier: MIT OR Apache-2.0

//! Which pages have extra references, and of which kind.

use crate::{abi, flags::flags};
use std::{io, ops::Range};

flags! {
    /// What is known of a folio with extra references.
    FolioFlags {
        /// It has more than one page; the numbers are the whole folio's.
        LARGE = abi::PAGE_LARGE, "large";
        /// A pin handle of the object has pins in the range.
        HANDLE = abi::PAGE_HANDLE, "handle";
        /// It is on no LRU list: an LRU batch, or a task that moves it, may have a reference.
        OFF_LRU = abi::PAGE_OFF_LRU, "off-lru";
        /// It is locked into memory.
        MLOCKED = abi::PAGE_MLOCKED, "mlocked";
        /// It is on its way to or from swap.
        SWAPCACHE = abi::PAGE_SWAPCACHE, "swapcache";
        /// It is being written to swap.
        WRITEBACK = abi::PAGE_WRITEBACK, "writeback";
    }
}

/// What one pin adds to the references of a folio of one page.
const PIN_REFERENCES: u32 = 1024;

/// A folio with extra references: those besides the page cache's and page tables'.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Folio {
    /// Its first page.
    pub index: u64,
    /// Number of pages.
    pub pages: u32,
    /// Number of page table entries that map them.
    pub mapped: u32,
    /// Pins: registered buffers of io_uring, direct I/O, RDMA, pin handles.
    pub pins: u32,
    /// Plain references: pipes, reads under way, LRU batches.
    pub plain: u32,
    /// What else is known.
    pub flags: FolioFlags,
}

impl From<&abi::Page> for Folio {
    fn from(page: &abi::Page) -> Self {
        let each = match page.pages {
            1 => PIN_REFERENCES,
            _ => 1,
        };
        Self {
            index: page.index,
            pages: page.pages,
            mapped: page.mapped,
            pins: page.dma_pins,
            plain: page
                .extra
                .saturating_sub(page.dma_pins.saturating_mul(each)),
            flags: FolioFlags::from_bits(page.flags),
        }
    }
}

/// The folios of an object, or a part of it, that have extra references. A snapshot: the numbers are read
/// one after the other, and may have changed since.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pins {
    /// The folios, in ascending order.
    pub folios: Vec<Folio>,
    /// Number of pages with extra references.
    pub pinned_pages: u64,
    /// Those of them with pins.
    pub dma_pinned_pages: u64,
}

/// How many folios are listed in one call.
const BATCH: usize = 1024;

pub(crate) fn list(fd: &abi::Descriptor, pages: Range<u64>) -> io::Result<Pins> {
    let mut pins = Pins::default();
    let mut start = pages.start;
    while start < pages.end {
        let mut argument = abi::Pins {
            start,
            count: pages.end - start,
            ..Default::default()
        };
        let mut batch = Vec::with_capacity(BATCH);
        fd.pins(&mut argument, &mut batch)?;
        pins.folios.extend(batch.iter().map(Folio::from));
        pins.pinned_pages += argument.pinned_pages;
        pins.dma_pinned_pages += argument.dma_pinned_pages;
        if batch.len() < BATCH || argument.next <= start {
            break;
        }
        start = argument.next;
    }
    Ok(pins)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_references_are_what_pins_leave() {
        let mut page = abi::Page {
            pages: 1,
            extra: 2 * 1024 + 3,
            dma_pins: 2,
            ..Default::default()
        };
        assert_eq!(Folio::from(&page).plain, 3);
        page.pages = 512;
        page.extra = 5;
        assert_eq!(Folio::from(&page).plain, 3);
        // A snapshot may be inconsistent.
        page.extra = 1;
        assert_eq!(Folio::from(&page).plain, 0);
    }
}

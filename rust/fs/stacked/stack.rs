// SPDX-License-Identifier: GPL-2.0-only

//! Which pages of a stacked file come from the lower file, and which are to be written to it.
//!
//! A page comes from below if the lower file had it when the files were stacked, nothing has removed it
//! since, and it is not there yet. A page that is there is up to date and, for shmem, dirty, so that
//! reclaim swaps it out and never drops it.

use super::lower_file::LowerFile;
use crate::{
    bindings,
    mm::{
        address_space::{
            AddressSpace,
            Entry, //
        },
        page_set::{
            PageSet,
            PageSetRoom, //
        },
        stacked_folio::StackedFolio, //
    },
    sync::sleep::{
        fatal_signal_pending,
        signal_pending, //
    }, //
};
use core::ops::{
    ControlFlow,
    Range, //
};
use kernel::{
    new_mutex,
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Release, //
        },
        Arc,
        Mutex, //
    }, //
};

/// `pages`, and all that a large folio may have together with some of them.
fn with_neighbours(pages: &Range<usize>) -> Range<usize> {
    // SAFETY: There are no requirements.
    let largest = unsafe { bindings::pinseal_largest_folio() } as usize;
    let start = pages.start - pages.start % largest;
    start
        ..pages
            .end
            .checked_next_multiple_of(largest)
            .unwrap_or(usize::MAX)
}

/// What ends filling early.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum FillState {
    /// A signal or task work.
    Interruptible,
    /// A fatal signal.
    Killable,
}

/// A lower file, and what of it concerns the file above.
#[pin_data]
pub(crate) struct Stack {
    lower: LowerFile,
    /// Size of the lower file when the files were stacked.
    size: u64,
    /// Whether no page comes from below any more.
    is_filled: Atomic<bool>,
    /// Pages that do not come from below: they were removed, or lay behind the end.
    #[pin]
    gone: Mutex<PageSet>,
    /// Pages that are there, but could not be read: they are not to be shown.
    #[pin]
    failed: Mutex<PageSet>,
    /// Pages that changed since they were written to the lower file.
    #[pin]
    dirty: Mutex<PageSet>,
    /// Serialises writing to the lower file.
    #[pin]
    sync: Mutex<()>,
}

impl Stack {
    /// Stacks a file on `lower`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(lower: LowerFile) -> Result<Arc<Self>> {
        let size = lower.size();
        Arc::pin_init(
            pin_init!(Self {
                lower,
                size,
                is_filled: Atomic::new(false),
                gone <- new_mutex!(PageSet::new(), "pinseal::Stack::gone"),
                failed <- new_mutex!(PageSet::new(), "pinseal::Stack::failed"),
                dirty <- new_mutex!(PageSet::new(), "pinseal::Stack::dirty"),
                sync <- new_mutex!((), "pinseal::Stack::sync"),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// Whether the lower file may be written to.
    pub(crate) fn is_writable(&self) -> bool {
        self.lower.is_writable()
    }

    /// Size of the lower file when the files were stacked.
    pub(crate) fn initial_size(&self) -> u64 {
        self.size
    }

    /// Pages that may come from below.
    fn lower_pages(&self) -> usize {
        self.size.div_ceil(PAGE_SIZE as u64) as usize
    }

    /// Fills pages of `upper`, as far as they come from below.
    ///
    /// Context: sleeps. Takes folio locks.
    ///
    /// # Errors
    ///
    /// `ENOMEM`. `EIO`, and what else reading the lower file gives; the next call tries again.
    /// `ERESTARTSYS` or `EINTR` for what `state` says.
    #[inline]
    pub(crate) fn fill(
        &self,
        upper: &AddressSpace,
        pages: Range<usize>,
        state: FillState,
    ) -> Result {
        match self.is_filled.load(Acquire) {
            true => Ok(()),
            false => self.fill_missing(upper, pages, state),
        }
    }

    /// Fills pages of `upper`, and allocates the others. If shmem allocated them, it might be by a large
    /// folio that has zeros for pages that come from below.
    ///
    /// # Errors
    ///
    /// Those of [`Stack::fill`].
    pub(crate) fn fill_and_allocate(
        &self,
        upper: &AddressSpace,
        pages: Range<usize>,
        state: FillState,
    ) -> Result {
        if self.is_filled.load(Acquire) || self.next_missing(upper, pages.clone()).is_none() {
            return Ok(());
        }
        self.fill_missing(upper, pages.clone(), state)?;
        // Behind the lower file there is nothing to be lost.
        let near = pages.start..pages.end.min(with_neighbours(&(0..self.lower_pages())).end);
        let mut next = near.start;
        while let Some(page) = self.next_missing(upper, next..near.end) {
            if fatal_signal_pending() {
                return Err(EINTR);
            }
            next = self.fill_folio(upper, page)?;
        }
        Ok(())
    }

    #[cold]
    fn fill_missing(&self, upper: &AddressSpace, pages: Range<usize>, state: FillState) -> Result {
        let end = pages.end.min(self.lower_pages());
        let mut next = pages.start;
        while let Some(page) = self.next_missing(upper, next..end) {
            if fatal_signal_pending() {
                return Err(EINTR);
            }
            if state == FillState::Interruptible && signal_pending() {
                return Err(ERESTARTSYS);
            }
            match self.gone_from(page) {
                // Nothing comes from below for these.
                Some(gone) if gone.start <= page => next = gone.end,
                _ => next = self.fill_folio(upper, page)?,
            }
        }
        Ok(())
    }

    /// Fills all pages.
    ///
    /// # Errors
    ///
    /// Those of [`Stack::fill`].
    pub(crate) fn fill_all(&self, upper: &AddressSpace) -> Result {
        self.fill(upper, 0..self.lower_pages(), FillState::Interruptible)?;
        self.is_filled.store(true, Release);
        Ok(())
    }

    /// The first of `pages` that is not there.
    fn next_missing(&self, upper: &AddressSpace, pages: Range<usize>) -> Option<usize> {
        if pages.is_empty() {
            return None;
        }
        if let Some(failed) = self.failed.lock().first_in(pages.clone()) {
            // Those before it may be missing as well.
            if failed.start == pages.start {
                return Some(failed.start);
            }
        }
        let mut next = pages.start;
        upper.for_each_entry(pages.clone(), |entry| {
            let found = match entry {
                Entry::Folio(folio) if folio.is_uptodate() => folio.range(),
                Entry::Folio(_) => return ControlFlow::Break(()),
                Entry::Swapped(page) => page..page + 1,
            };
            if found.start > next {
                return ControlFlow::Break(());
            }
            next = next.max(found.end);
            ControlFlow::Continue(())
        });
        (next < pages.end).then_some(next)
    }

    /// The first pages from `page` on that do not come from below.
    fn gone_from(&self, page: usize) -> Option<Range<usize>> {
        self.gone.lock().first_in(page..usize::MAX)
    }

    /// Fills the folio that has `page`, which was missing. Returns the page behind it.
    fn fill_folio(&self, upper: &AddressSpace, page: usize) -> Result<usize> {
        let room = PageSetRoom::new()?;
        let mut folio = StackedFolio::get(upper, page)?;
        let pages = folio.pages();
        let failed = || self.failed.lock().first_in(pages.clone());
        if folio.is_uptodate() && failed().is_none() {
            return Ok(pages.end);
        }
        // Who removes pages says so before it takes their folio's lock.
        let mut result = Ok(());
        for page in pages.clone() {
            result = match self.gone.lock().contains(page) {
                true => folio.fill(page, |_| Ok(0)),
                false => folio.fill(page, |buf| self.read(page, buf)),
            };
            if result.is_err() {
                break;
            }
        }
        let mut failed = self.failed.lock();
        match result {
            Ok(()) => {
                failed.remove(pages.clone(), room);
                folio.finish();
            }
            // Before others can lock it.
            Err(_) => failed.insert(pages.clone(), room),
        }
        result.map(|()| pages.end)
    }

    /// Reads a page of the lower file. Returns how many bytes it has.
    fn read(&self, page: usize, buf: &mut [u8]) -> Result<usize> {
        let pos = (page as u64) << PAGE_SHIFT;
        let len = self.size.saturating_sub(pos).min(PAGE_SIZE as u64) as usize;
        match self.lower.read(&mut buf[..len], pos)? {
            n if n == len => Ok(n),
            // It was truncated.
            _ => Err(EIO),
        }
    }

    /// Calls `remove`, which removes `pages` of the stacked file. Pages that it leaves are as before.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; those of `remove`.
    fn remove(&self, pages: Range<usize>, remove: impl FnOnce() -> Result) -> Result {
        let (room, undo) = (PageSetRoom::new()?, PageSetRoom::new()?);
        let is_new = {
            let mut gone = self.gone.lock();
            let is_new = gone.first_in(pages.clone()).is_none();
            gone.insert(pages.clone(), room);
            is_new
        };
        let result = remove();
        // It fails for seals only, and then all pages are there: that nothing comes from below for them
        // makes no difference.
        if result.is_err() && is_new {
            self.gone.lock().remove(pages, undo);
        }
        result
    }

    /// Calls `remove`, which removes the bytes from `start` to `end` of `upper`: pages, and parts of the
    /// first and the last one, which are filled before.
    ///
    /// # Errors
    ///
    /// Those of [`Stack::fill`] and [`Stack::remove`].
    pub(crate) fn remove_bytes(
        &self,
        upper: &AddressSpace,
        start: u64,
        end: u64,
        remove: impl FnOnce() -> Result,
    ) -> Result {
        let size = PAGE_SIZE as u64;
        // Pages that are removed in part; and neighbours, or a large folio that shmem allocates for removed
        // pages might have them.
        for edge in [start, end] {
            let page = (edge / size) as usize;
            let neighbours = with_neighbours(&(page..page + 1));
            self.fill(upper, neighbours, FillState::Interruptible)?;
        }
        let whole = start.div_ceil(size) as usize..(end / size) as usize;
        match whole.is_empty() {
            true => remove(),
            false => self.remove(whole, remove),
        }
    }

    /// Fills pages, and others that a large folio may have together with them.
    ///
    /// # Errors
    ///
    /// Those of [`Stack::fill`].
    pub(crate) fn fill_neighbours(&self, upper: &AddressSpace, pages: &Range<usize>) -> Result {
        self.fill(upper, with_neighbours(pages), FillState::Interruptible)
    }

    /// Whether no page comes from below any more.
    pub(crate) fn is_filled(&self) -> bool {
        self.is_filled.load(Acquire)
    }

    /// Notes that pages changed.
    pub(crate) fn mark_dirty(&self, pages: Range<usize>, room: PageSetRoom) {
        self.dirty.lock().insert(pages, room);
    }

    /// Writes what changed of `pages` of `upper`, which has `size` bytes, and makes it durable.
    ///
    /// # Errors
    ///
    /// Those of writing the lower file: what could not be written is still to be written. `EROFS` when it
    /// must not be written to.
    pub(crate) fn sync(
        &self,
        upper: &AddressSpace,
        size: u64,
        pages: Range<usize>,
        data_only: bool,
    ) -> Result {
        let _sync = self.sync.lock();
        if !self.lower.is_writable() {
            return match self.dirty.lock().first_in(pages) {
                Some(_) => Err(EROFS),
                None => Ok(()),
            };
        }
        if self.lower.size() > size {
            self.lower.resize(size)?;
        }
        let mut next = pages.start;
        loop {
            let (room, undo) = (PageSetRoom::new()?, PageSetRoom::new()?);
            let page = {
                let mut dirty = self.dirty.lock();
                let Some(found) = dirty.first_in(next..pages.end) else {
                    break;
                };
                // From here on a store is noted again.
                dirty.remove(found.start..found.start + 1, room);
                found.start
            };
            next = page + 1;
            match self.write(upper, size, page) {
                Ok(false) => (),
                // Others write to it without being noticed.
                Ok(true) => self.mark_dirty(page..page + 1, undo),
                Err(err) => {
                    self.mark_dirty(page..page + 1, undo);
                    return Err(err);
                }
            }
            if fatal_signal_pending() {
                return Err(EINTR);
            }
        }
        if self.lower.size() < size {
            self.lower.resize(size)?;
        }
        self.lower.sync(data_only)
    }

    /// Writes a page. Returns whether it is pinned, and so may change without being noticed.
    fn write(&self, upper: &AddressSpace, size: u64, page: usize) -> Result<bool> {
        let pos = (page as u64) << PAGE_SHIFT;
        let len = size.saturating_sub(pos).min(PAGE_SIZE as u64) as usize;
        if len == 0 {
            return Ok(false);
        }
        match StackedFolio::get_existing(upper, page)? {
            // A hole.
            None => {
                let zeros = KVec::from_elem(0u8, len, GFP_KERNEL)?;
                // SAFETY: As above.
                unsafe { self.lower.write(zeros.as_ptr(), len, pos) }?;
                Ok(false)
            }
            Some(folio) => {
                // Stores fault from here on.
                folio.write_protect();
                let is_pinned = folio.is_pinned();
                folio.with_page(page, |bytes| {
                    // SAFETY: The page has so many bytes.
                    unsafe { self.lower.write(bytes, len, pos) }
                })?;
                Ok(is_pinned)
            }
        }
    }
}

// SPDX-License-Identifier: GPL-2.0-only

//! Fills pages of a stacked file from the lower file.

use super::{
    stack::{
        pages_with,
        with_neighbours,
        Stack, //
    },
    stop_on::StopOn, //
};
use crate::mm::{
    address_space::AddressSpace,
    entries::Entry,
    stacked_folio::StackedFolio, //
};
use core::ops::{
    ControlFlow,
    Range, //
};
use kernel::{
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::atomic::Release, //
};

impl Stack {
    /// Fills pages of `upper`, as far as they come from below.
    ///
    /// Context: sleeps. Takes folio locks.
    ///
    /// # Errors
    ///
    /// `ENOMEM`. `EIO`, and what else reading the lower file gives; the next call tries again. Those of
    /// [`StopOn::check`].
    #[inline]
    pub(crate) fn fill(&self, upper: &AddressSpace, pages: Range<usize>, stop: StopOn) -> Result {
        if self.is_filled() {
            return Ok(());
        }
        match self.next_missing(upper, pages.clone()) {
            Some(first) => self.fill_missing(upper, first..pages.end, stop).map(|_| ()),
            None => Ok(()),
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
        stop: StopOn,
    ) -> Result {
        if self.is_filled() {
            return Ok(());
        }
        let Some(first) = self.next_missing(upper, pages.clone()) else {
            return Ok(());
        };
        let rest = self.fill_missing(upper, first..pages.end, stop)?;
        // Behind the lower file there is nothing to be lost.
        let near = rest.start..rest.end.min(with_neighbours(&(0..self.lower_pages())).end);
        let mut next = near.start;
        while let Some(page) = self.next_missing(upper, next..near.end) {
            stop.check()?;
            next = self.fill_folio(upper, page, stop)?;
        }
        Ok(())
    }

    /// Fills those of `pages` that come from below, of which the first is missing. Returns those that may be
    /// missing still.
    #[cold]
    fn fill_missing(
        &self,
        upper: &AddressSpace,
        pages: Range<usize>,
        stop: StopOn,
    ) -> Result<Range<usize>> {
        let size = pages_with(0, upper.size()).end;
        let end = pages.end.min(self.lower_pages()).min(size);
        let mut rest = end.max(pages.start)..pages.end;
        let mut missing = (pages.start < end).then_some(pages.start);
        // What is noted meanwhile is seen when a page is filled.
        let mut gone = self.gone_from(pages.start);
        while let Some(page) = missing {
            stop.check()?;
            if gone.end <= page {
                gone = self.gone_from(page);
            }
            let next = match gone.contains(&page) {
                // Nothing comes from below for these.
                true => {
                    rest.start = rest.start.min(page);
                    gone.end
                }
                false => self.fill_folio(upper, page, stop)?,
            };
            missing = self.next_missing(upper, next..end);
        }
        Ok(rest)
    }

    /// The first range of pages from `page` on that do not come from below any more; an empty one at the end if
    /// there is none.
    fn gone_from(&self, page: usize) -> Range<usize> {
        let gone = self.gone.lock().first_in(page..usize::MAX);
        gone.unwrap_or(usize::MAX..usize::MAX)
    }

    /// The first of `pages`, as far as none of them comes from below any more.
    #[cold]
    pub(super) fn filled_part(&self, upper: &AddressSpace, pages: Range<usize>) -> Range<usize> {
        let end = pages.end.min(self.lower_pages());
        let mut next = pages.start;
        while let Some(page) = self.next_missing(upper, next..end) {
            let gone = self.gone_from(page);
            if !gone.contains(&page) {
                return pages.start..page;
            }
            next = gone.end;
        }
        pages
    }

    /// Fills all pages.
    ///
    /// # Errors
    ///
    /// Those of [`Stack::fill`].
    pub(crate) fn fill_all(&self, upper: &AddressSpace, stop: StopOn) -> Result {
        self.fill(upper, 0..self.lower_pages(), stop)?;
        self.is_filled.store(true, Release);
        Ok(())
    }

    /// Fills pages, and others that a large folio may have together with them.
    ///
    /// # Errors
    ///
    /// Those of [`Stack::fill`].
    pub(super) fn fill_neighbours(&self, upper: &AddressSpace, pages: &Range<usize>) -> Result {
        self.fill(upper, with_neighbours(pages), StopOn::Signal)
    }

    /// The first of `pages` that is not there.
    fn next_missing(&self, upper: &AddressSpace, pages: Range<usize>) -> Option<usize> {
        if pages.is_empty() {
            return None;
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

    /// Fills the folio that has `page`, which was missing. Returns the page behind it.
    fn fill_folio(&self, upper: &AddressSpace, page: usize, stop: StopOn) -> Result<usize> {
        let mut folio = StackedFolio::get(upper, page)?;
        let pages = folio.pages();
        if folio.is_uptodate() {
            return Ok(pages.end);
        }
        // After an error it is not up to date, so it is missing still.
        for page in pages.clone() {
            self.fill_page(upper, &mut folio, page)?;
            if pages.len() > 1 {
                stop.check_fatal()?;
            }
        }
        folio.finish();
        Ok(pages.end)
    }

    /// Fills a page of a folio, which is locked. Who removes pages says so before it takes that lock, by a
    /// note or by the size.
    fn fill_page(&self, upper: &AddressSpace, folio: &mut StackedFolio, page: usize) -> Result {
        let is_gone = || {
            let is_behind = (page as u64) << PAGE_SHIFT >= upper.size();
            is_behind || self.gone.lock().contains(page)
        };
        folio.fill(page, |buf| match is_gone() {
            true => Ok(0),
            false => match self.read(page, buf) {
                // A sync has cut the lower file for a truncation that waits for the folio's lock.
                Err(_) if is_gone() => Ok(0),
                result => result,
            },
        })
    }

    /// Reads a page of the lower file. Returns how many bytes it has.
    fn read(&self, page: usize, buf: &mut [u8]) -> Result<usize> {
        let pos = (page as u64) << PAGE_SHIFT;
        let len = self.size.saturating_sub(pos).min(PAGE_SIZE as u64) as usize;
        match self.lower.read(page, &mut buf[..len])? {
            n if n == len => Ok(n),
            // It was truncated.
            _ => Err(EIO),
        }
    }
}

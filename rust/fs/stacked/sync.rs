// SPDX-License-Identifier: GPL-2.0-only

//! Writes what changed of a stacked file to the lower file.

use super::{
    stack::{
        pages_with,
        Stack,
        Written, //
    },
    stop_on::StopOn, //
};
use crate::{
    compat::eopnotsupp,
    mm::{
        address_space::AddressSpace,
        lru::drain_local,
        page_batch::PageBatch,
        page_set::PageSetRoom,
        stacked_folio::StackedFolio, //
    },
    sync::{
        mutex::lock_killable,
        sleep::{
            hrtimer_sleep,
            SleepState, //
        }, //
    }, //
};
use core::ops::Range;
use kernel::{
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::lock::{
        mutex::MutexBackend,
        Guard, //
    }, //
};

/// Most pages that are written at once.
const BATCH_PAGES: usize = 64;

/// After so many pages, the lower file system is told to write, so that the disk works beside the copying
/// of the rest.
const WRITEBACK_PAGES: usize = (8 << 20) >> PAGE_SHIFT;

/// How often the sync of another task is waited for until a deadline, in nanoseconds.
const SYNC_POLL_NS: u64 = 1_000_000;

/// How often a page may be cut off and be there again while it is looked for.
const MOST_TRUNCATIONS: u32 = 100;

/// What there is of dirty pages.
enum DirtyRun {
    /// Contents.
    Pages(Range<usize>),
    /// Nothing: a hole, or pages that come from below and were not touched.
    Missing(Range<usize>),
}

/// Memory to take dirty pages out of the notes.
struct TakeRoom {
    taken: PageSetRoom,
    put_back: PageSetRoom,
}

impl TakeRoom {
    fn new() -> Result<Self> {
        Ok(Self {
            taken: PageSetRoom::new()?,
            put_back: PageSetRoom::new()?,
        })
    }
}

/// The folio of a dirty page, if it is no hole. A page that a truncation has removed is one; that notes
/// it again.
fn get_folio(upper: &AddressSpace, page: usize) -> Result<Option<StackedFolio>> {
    for _ in 0..MOST_TRUNCATIONS {
        match StackedFolio::get_existing(upper, page) {
            Err(EINVAL) if (page as u64) << PAGE_SHIFT >= upper.size() => return Ok(None),
            // The file may have grown again.
            Err(EINVAL) => (),
            result => return result,
        }
    }
    Err(EIO)
}

/// Whether an error is the caller's own trouble, and not that of the lower file.
fn is_callers_own(err: Error) -> bool {
    matches!(err, EINTR | ERESTARTSYS | ETIMEDOUT | ENOMEM)
}

impl Stack {
    /// Writes what changed of `pages` of `upper`, and the size if it has changed, and makes that durable. Each
    /// descriptor is told of an error of the lower file.
    ///
    /// Context: sleeps. Takes folio locks, and locks of the lower file.
    ///
    /// # Errors
    ///
    /// `EROFS` when the lower file must not be written to. `ESTALE` when others have truncated it. Those of
    /// writing it, and of [`StopOn::check`]. What could not be written, or made durable, is still dirty.
    pub(crate) fn sync(
        &self,
        upper: &AddressSpace,
        pages: Range<usize>,
        data_only: bool,
        stop: StopOn,
    ) -> Result {
        let mut written = self.lock_written(stop)?;
        if !self.lower.is_writable() {
            let announced = self.announced();
            let is_announced = announced.start < pages.end && pages.start < announced.end;
            let is_dirty = is_announced || self.dirty.lock().first_in(pages).is_some();
            return match is_dirty || upper.size() != written.size {
                true => Err(EROFS),
                false => Ok(()),
            };
        }
        // What the current CPU's LRU batch holds would stay dirty.
        drain_local();
        // As far as syncs have written, and it is not to be cut.
        let size = written.size.max(written.reached.min(upper.size()));
        let result = self
            .lower
            .check_size(size)
            .and_then(|()| self.write_dirty(upper, pages, &mut written, stop));
        let result = match result {
            Err(err) if is_callers_own(err) => Err(err),
            // What one page cannot do does not concern the others.
            result => result.and(self.make_durable(&mut written, data_only)),
        };
        match result {
            Err(err) if !is_callers_own(err) => upper.note_write_error(err),
            _ => (),
        }
        result
    }

    /// Syncs all, with the credentials that the lower file was opened with.
    ///
    /// # Errors
    ///
    /// Those of [`Stack::sync`].
    pub(super) fn sync_as_opener(&self, upper: &AddressSpace) -> Result {
        let sync = || self.sync(upper, 0..usize::MAX, false, StopOn::Nothing);
        self.lower.as_opener(sync)
    }

    fn make_durable(&self, written: &mut Written, data_only: bool) -> Result {
        let result = self.lower.sync(data_only);
        match result {
            Ok(()) => written.unsynced.clear(),
            // The file system may have dropped what it could not write.
            Err(_) => written.unsynced.move_to(&mut self.dirty.lock()),
        }
        result
    }

    fn lock_written(&self, stop: StopOn) -> Result<Guard<'_, Written, MutexBackend>> {
        match stop {
            StopOn::Nothing => Ok(self.written.lock()),
            StopOn::FatalSignal => lock_killable(&self.written),
            StopOn::Signal | StopOn::SignalOrTimeout(..) => loop {
                if let Some(guard) = self.written.try_lock() {
                    return Ok(guard);
                }
                stop.check()?;
                hrtimer_sleep(SleepState::Interruptible, SYNC_POLL_NS, || false);
            },
        }
    }

    /// Writes dirty pages, and sets the size.
    fn write_dirty(
        &self,
        upper: &AddressSpace,
        pages: Range<usize>,
        written: &mut Written,
        stop: StopOn,
    ) -> Result {
        // What a change that is under way has changed by now. What it changes from now on, it notes at its end.
        let announced = self.announced();
        if !announced.is_empty() {
            self.mark_dirty(announced, PageSetRoom::new()?);
        }
        // Pages that are added meanwhile are for the next sync. Both look at one size: it may shrink, and grow again.
        let size = upper.size();
        let end = pages.end.min(pages_with(0, size).end);
        let mut next = pages.start;
        let (mut writeback_from, mut copied) = (next, 0);
        // What one page cannot do, others may.
        let mut first_error = Ok(());
        if size < written.reached {
            self.resize_lower(size, written)?;
        }
        while next < end {
            let room = TakeRoom::new()?;
            let (undo, unsynced) = (PageSetRoom::new()?, PageSetRoom::new()?);
            let Some(dirty) = self.take_dirty(upper, next..end, room) else {
                break;
            };
            let (result, run) = match dirty {
                DirtyRun::Pages(run) => (self.write_pages(upper, &run, written), run),
                DirtyRun::Missing(run) => (self.write_missing(upper, &run, written), run),
            };
            // Also after an error: a part may be written.
            written.unsynced.insert(run.clone(), unsynced);
            if let Err(err) = result {
                self.mark_dirty(run.clone(), undo);
                first_error = first_error.and(Err(err));
            }
            next = run.end;
            copied += run.len();
            if copied >= WRITEBACK_PAGES {
                self.lower.start_writeback(writeback_from..next);
                (writeback_from, copied) = (next, 0);
            }
            stop.check()?;
        }
        first_error?;
        let size = upper.size();
        if written.size != size || written.reached > size {
            self.resize_lower(size, written)?;
        }
        Ok(())
    }

    /// Gives the lower file its size.
    fn resize_lower(&self, size: u64, written: &mut Written) -> Result {
        let result = match self.lower.size() == size {
            true => Ok(()),
            false => self.lower.resize(size),
        };
        // A file system may fail when it has set the size already. After a success, others may have changed it.
        if result.is_ok() || self.lower.size() == size {
            (written.size, written.reached) = (size, size);
        }
        result
    }

    /// Takes the first of `pages` that are dirty out of the notes. Stores are noted again from here on; those
    /// that came before are seen when the pages are looked at after this.
    fn take_dirty(
        &self,
        upper: &AddressSpace,
        pages: Range<usize>,
        room: TakeRoom,
    ) -> Option<DirtyRun> {
        let next_page = |pages: Range<usize>| upper.next_page(pages, false);
        let mut dirty = self.dirty.lock();
        let found = dirty.first_in(pages)?;
        let guess = match next_page(found.clone()) {
            None => found,
            Some(page) if page > found.start => found.start..page,
            Some(_) => found.start..found.end.min(found.start + BATCH_PAGES),
        };
        dirty.remove(guess.clone(), room.taken);
        // A page of what seemed to be a hole may have come before that.
        let run = match next_page(guess.clone()) {
            None => DirtyRun::Missing(guess),
            Some(page) if page > guess.start => {
                dirty.insert(page..guess.end, room.put_back);
                DirtyRun::Missing(guess.start..page)
            }
            Some(_) => {
                let end = guess.end.min(guess.start + BATCH_PAGES);
                dirty.insert(end..guess.end, room.put_back);
                DirtyRun::Pages(guess.start..end)
            }
        };
        Some(run)
    }

    /// Whether a missing page comes from the lower file. That has what the page would be filled with, but
    /// for what [`Stack::fill_appended`] is about.
    fn comes_from_below(&self, page: usize) -> bool {
        page < self.lower_pages() && !self.gone.lock().contains(page)
    }

    /// The first of missing `pages` that are a hole: they do not come from below.
    fn hole_in(&self, pages: &Range<usize>) -> Option<Range<usize>> {
        let below = self.lower_pages();
        let gone = match pages.start < below {
            true => self.gone.lock().first_in(pages.start..pages.end.min(below)),
            false => None,
        };
        let behind = pages.start.max(below)..pages.end;
        gone.or_else(|| (!behind.is_empty()).then_some(behind))
    }

    /// Fills a missing page that comes from below, if it was the last one there, the file has grown, and
    /// others have appended to the lower file: what they have is not what the page is filled with. Returns
    /// whether it is filled.
    fn fill_appended(&self, upper: &AddressSpace, page: usize) -> Result<bool> {
        let is_last = page == (self.size / PAGE_SIZE as u64) as usize;
        if !is_last || upper.size() <= self.size || self.lower.size() <= self.size {
            return Ok(false);
        }
        self.fill(upper, page..page + 1, StopOn::FatalSignal)?;
        // A removal may have come meanwhile.
        Ok(upper.next_page(page..page + 1, false).is_some())
    }

    /// Notes pages again that a sync could not write as far as the lower file has them: those behind `size`,
    /// as a truncation came after the sync had taken the notes; and the one with the new end, if syncs have
    /// `reached` farther. Growth does not note all of them if its `write()` knows the size before the
    /// truncation.
    fn put_back(&self, pages: Range<usize>, size: u64, reached: u64) -> Result {
        let first = match size < reached {
            // CAST: A position in a file, in pages, fits.
            true => (size / PAGE_SIZE as u64) as usize,
            false => pages_with(0, size).end,
        };
        let start = pages.start.max(first);
        if start < pages.end {
            self.mark_dirty(start..pages.end, PageSetRoom::new()?);
        }
        Ok(())
    }

    /// Zeros missing pages that are a hole. Others are in the lower file as they are.
    fn write_missing(
        &self,
        upper: &AddressSpace,
        run: &Range<usize>,
        written: &mut Written,
    ) -> Result {
        let mut next = run.start;
        while let Some(hole) = self.hole_in(&(next..run.end)) {
            next = hole.end;
            let size = upper.size();
            self.put_back(hole.clone(), size, written.reached)?;
            let pos = (hole.start as u64) << PAGE_SHIFT;
            let end = size
                .min(self.lower.size())
                .min((hole.end as u64) << PAGE_SHIFT);
            if pos >= end {
                continue;
            }
            match self.lower.punch(pos, end - pos) {
                Err(err) if err == eopnotsupp() => {
                    let pages = hole.start..pages_with(pos, end).end;
                    self.write_pages(upper, &pages, written)?;
                }
                result => result?,
            }
        }
        let last = self.lower_pages().wrapping_sub(1);
        if run.contains(&last) && self.comes_from_below(last) && self.fill_appended(upper, last)? {
            self.write_pages(upper, &(last..last + 1), written)?;
        }
        Ok(())
    }

    /// Writes pages. Those that others may store to without a fault stay dirty.
    fn write_pages(
        &self,
        upper: &AddressSpace,
        run: &Range<usize>,
        written: &mut Written,
    ) -> Result {
        let mut next = run.start;
        // The page that was filled last: once.
        let mut filled = None;
        // What one page cannot do, others may.
        let mut first_error = Ok(());
        while next < run.end {
            let mut batch = PageBatch::new(BATCH_PAGES)?;
            let start = next;
            let (mut is_below, mut is_behind) = (false, false);
            let mut bad = None;
            // The size comes after the notes: who appends sets it before it notes its pages.
            while next < run.end && next - start < BATCH_PAGES {
                is_behind = (next as u64) << PAGE_SHIFT >= upper.size();
                if is_behind {
                    break;
                }
                let folio = match get_folio(upper, next) {
                    Ok(folio) => folio,
                    Err(err) => {
                        bad = Some((next..next + 1, err));
                        break;
                    }
                };
                let Some(folio) = folio else {
                    // Neither there nor gone: the lower file has it.
                    is_below = self.comes_from_below(next);
                    if is_below {
                        break;
                    }
                    batch.push_zeros()?;
                    next += 1;
                    continue;
                };
                // Stores fault from here on.
                folio.write_protect();
                let pages = next..folio.pages().end.min(run.end);
                if folio.has_other_references() {
                    self.mark_dirty(pages.clone(), PageSetRoom::new()?);
                }
                if let Err(err) = batch.push(folio, &pages) {
                    bad = Some((pages, err));
                    break;
                }
                next = pages.end;
            }
            let pos = (start as u64) << PAGE_SHIFT;
            let size = upper.size();
            self.put_back(start..run.end, size, written.reached)?;
            batch.truncate(size.saturating_sub(pos).try_into().unwrap_or(usize::MAX));
            if batch.len() != 0 {
                let result = self.lower.write(&batch, pos);
                // Also what a failed write has appended is to be cut off, if the file shrinks again.
                let end = self.lower.size().min(pos + batch.len() as u64);
                written.reached = written.reached.max(end);
                result?;
            }
            if is_behind {
                // Whatever the size is now.
                self.put_back(next..run.end, 0, 0)?;
                break;
            }
            if is_below {
                match self.fill_appended(upper, next) {
                    Ok(true) if filled != Some(next) => filled = Some(next),
                    Ok(_) => next += 1,
                    Err(err) => bad = Some((next..next + 1, err)),
                }
            }
            if let Some((pages, err)) = bad {
                first_error = first_error.and(Err(err));
                next = pages.end;
            }
        }
        first_error
    }
}

// SPDX-License-Identifier: GPL-2.0-only

//! Removes pages of a stacked file: truncates it, and punches holes.
//!
//! With the inode locked, a removal that has passed its checks does not fail, and no other one is under
//! way. So what is noted is what is removed.

use super::{
    stack::{
        pages_with,
        with_neighbours,
        Stack, //
    },
    stop_on::StopOn, //
};
use crate::{
    fs::{
        memfd_file::MemfdFile,
        memfd_inode::LockedMemfd,
        set_size::Privileges, //
    },
    mm::{
        address_space::AddressSpace,
        page_set::PageSetRoom, //
    }, //
};
use core::ops::Range;
use kernel::{
    page::PAGE_SIZE,
    prelude::*, //
};

/// Memory for the notes of one removal.
struct RemovalRoom {
    gone: PageSetRoom,
    dirty: PageSetRoom,
}

impl RemovalRoom {
    fn new() -> Result<Self> {
        Ok(Self {
            gone: PageSetRoom::new()?,
            dirty: PageSetRoom::new()?,
        })
    }
}

/// The pages that have only bytes from `start` to `end`.
fn whole_pages(start: u64, end: u64) -> Range<usize> {
    let size = PAGE_SIZE as u64;
    // CAST: A position in a file, in pages, fits.
    start.div_ceil(size) as usize..(end / size) as usize
}

impl Stack {
    /// Fills what stays when the bytes from `start` to `end` are removed: the rest of pages that are removed
    /// in part; and neighbours, or a large folio that shmem allocates for removed pages might have them.
    ///
    /// # Errors
    ///
    /// Those of [`Stack::fill`].
    fn fill_rest(&self, upper: &AddressSpace, start: u64, end: u64) -> Result {
        let touched = pages_with(start, end);
        let whole = whole_pages(start, end);
        let reach = with_neighbours(&touched);
        match whole.is_empty() {
            true => self.fill(upper, reach, StopOn::Signal),
            false => {
                self.fill(upper, reach.start..whole.start, StopOn::Signal)?;
                self.fill(upper, whole.end..reach.end, StopOn::Signal)
            }
        }
    }

    /// Sets the size of `file`.
    ///
    /// Context: sleeps. Locks the inode.
    ///
    /// # Errors
    ///
    /// `EINTR` for a fatal signal. Those of [`Stack::fill`] and `ftruncate()`.
    pub(in crate::fs) fn set_size(&self, file: &MemfdFile, size: u64) -> Result {
        let pages = file.inode().pages();
        if size < file.inode().size() {
            self.fill_rest(pages, size, u64::MAX)?;
        }
        let room = RemovalRoom::new()?;
        let locked = file.inode().lock_killable()?;
        let old_size = locked.size();
        if size > old_size {
            return self.grow_locked(file, &locked, size, room.dirty);
        }
        // Seldom more than above.
        self.fill_rest(pages, size, u64::MAX)?;
        let _announced = self.announce(pages_with(size, old_size));
        file.set_size_locked(&locked, size, Privileges::Keep)?;
        // Before that, pages behind the size do not come from below either, and it does not grow while the
        // inode is locked.
        self.note_gone(whole_pages(size, u64::MAX), room.gone);
        // Growth notes them, too, but for a write() that knows the old size.
        if size < old_size {
            self.mark_dirty(pages_with(size, old_size), room.dirty);
        }
        Ok(())
    }

    /// Grows `file` to a size, if it is smaller.
    ///
    /// Context: sleeps. Locks the inode.
    ///
    /// # Errors
    ///
    /// `EINTR` for a fatal signal. Those of `ftruncate()`.
    pub(super) fn grow(&self, file: &MemfdFile, size: u64, room: PageSetRoom) -> Result {
        let locked = file.inode().lock_killable()?;
        match size > locked.size() {
            true => self.grow_locked(file, &locked, size, room),
            false => Ok(()),
        }
    }

    fn grow_locked(
        &self,
        file: &MemfdFile,
        locked: &LockedMemfd<'_>,
        size: u64,
        room: PageSetRoom,
    ) -> Result {
        let old_size = locked.size();
        let _announced = self.announce(pages_with(old_size, size));
        file.set_size_locked(locked, size, Privileges::Keep)?;
        self.mark_grown(old_size, size, room);
        Ok(())
    }

    /// Punches a hole into `file`, from `start` to `end`.
    ///
    /// Context: sleeps. Locks the inode.
    ///
    /// # Errors
    ///
    /// `EPERM` when a seal forbids it. `EINTR` for a fatal signal. Those of [`Stack::fill`].
    pub(super) fn punch(&self, file: &MemfdFile, start: u64, end: u64) -> Result {
        let pages = file.inode().pages();
        self.fill_rest(pages, start, end)?;
        let room = RemovalRoom::new()?;
        let locked = file.inode().lock_killable()?;
        locked.check_punchable()?;
        self.fill_rest(pages, start, end)?;
        let _announced = self.announce(pages_with(start, end));
        // Before the pages are removed: who fills one later finds the note.
        self.note_gone(whole_pages(start, end), room.gone);
        locked.punch(start, end);
        self.mark_dirty(pages_with(start, end), room.dirty);
        Ok(())
    }

    /// Notes that pages do not come from below.
    fn note_gone(&self, pages: Range<usize>, room: PageSetRoom) {
        if !pages.is_empty() {
            self.gone.lock().insert(pages, room);
        }
    }
}

// SPDX-License-Identifier: GPL-2.0-only

//! Pin handles: files that keep pages of an object pinned, and give access to those pages as a device
//! has it, whatever pages the object has by then.

use super::{
    admit,
    copy,
    open_flags, //
};
use crate::{
    fs::{
        handle_file::{
            Handle,
            HandleOperations, //
        },
        memory_file::MemoryFile,
        pinned::{
            PinError,
            PinnedPages,
            PIN_BATCH, //
        }, //
    },
    mm::memlock::MemlockCharge,
    object::{
        HasSealExclusion,
        LeaseState,
        Object,
        ObjectFile,
        PinAccess,
        PinKey,
        PinTerms,
        PinnedRange, //
    },
    sync::{
        poll::{
            PollEvent,
            Poller, //
        },
        sleep::fatal_signal_pending, //
    },
    trampolines::trace,
    wait::MoveWait, //
};
use core::ops::Range;
use kernel::{
    fs::File,
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    page::PAGE_SHIFT,
    prelude::*,
    seq_file::{
        seq_print,
        SeqFile, //
    },
    sync::{
        aref::ARef,
        Arc, //
    }, //
};

/// A pin handle.
pub(crate) struct PinHandle {
    object: Arc<Object>,
    range: Arc<PinnedRange>,
    /// Key of `range` in the pin table of the object.
    key: PinKey,
}

/// Limit of pages of one handle: the array of its pins is still one allocation.
const MAX_PAGES: usize = 1 << 26;

/// Operations of all pin handles.
static OPERATIONS: HandleOperations<PinHandle> = HandleOperations::new();

/// Pins pages of an object, by their index. Returns the handle.
///
/// With `wait`, a page that must be moved, and has extra references, is waited for.
///
/// Context: sleeps. The caller must hold no lock.
///
/// # Errors
///
/// Those of [`admit`]; `EPERM` when a seal forbids it; `ENOMEM` (also for `RLIMIT_MEMLOCK`, when a
/// page has too many pins, or, without `wait`, when one cannot be moved); `EIO`; those of
/// [`MoveWait::wait`].
pub(crate) fn pin<T: ObjectFile>(
    file: MemoryFile<'_, T>,
    pages: Range<usize>,
    access: PinAccess,
    terms: PinTerms,
    mut wait: Option<&mut MoveWait>,
) -> Result<ARef<File>> {
    let object = admit(file, &pages, access)?;
    let memory = object.file_of(file)?;
    if pages.len() > MAX_PAGES {
        return Err(ENOMEM);
    }
    let mut charge = MemlockCharge::new(pages.len())?;
    let mut pinned = PinnedPages::new();
    let mut max_folios = PIN_BATCH;
    if let Some(wait) = &mut wait {
        wait.begin();
    }
    while pinned.len() < pages.len() {
        if fatal_signal_pending() {
            return Err(EINTR);
        }
        let index = pages.start + pinned.len();
        if let (1, Some(wait)) = (max_folios, &mut wait) {
            wait.begin_try(memory.inode().pages(), index);
        }
        match (
            pinned.pin_more(memory, &pages, max_folios),
            wait.as_deref_mut(),
        ) {
            (Ok(()), None) => (),
            (Ok(()), Some(wait)) => {
                wait.succeeded();
                max_folios = (2 * max_folios).min(PIN_BATCH);
            }
            (Err(PinError::NoMemoryOrNotMoved), Some(_)) if max_folios > 1 => {
                // One by one, to find the page.
                max_folios = 1;
                continue;
            }
            (Err(PinError::NoMemoryOrNotMoved), Some(wait)) => {
                trace::pin_wait(object.number(), index, wait.left_ns());
                let _counted = object.exclusion().count_waiter();
                wait.wait(memory.inode().pages(), index)?;
                continue;
            }
            (Err(PinError::NoMemoryOrNotMoved), None) => return Err(ENOMEM),
            (Err(PinError::Other(error)), _) => return Err(error),
        }
        // A seal is committed under the inode lock: either the sealer sees the pins, or this sees the
        // seal.
        let locked = memory.inode().read_lock()?;
        if access == PinAccess::Write && object.seals().forbid_writing() {
            return Err(EPERM);
        }
        pinned.confirm(&locked, &pages)?;
    }
    charge.grow_to(pinned.folio_pages_total())?;
    if access == PinAccess::Write {
        object.note_pinned(pages.clone())?;
    }

    let range = PinnedRange::new(object.number(), pages, access, terms, pinned, charge)?;
    let key = object.pins().add(&range)?;
    range.trace();
    let handle = PinHandle { object, range, key };
    OPERATIONS.open(
        file,
        Arc::new(handle, GFP_KERNEL_ACCOUNT)?,
        open_flags(access),
    )
}

impl PinHandle {
    /// The pages that it pins.
    pub(crate) fn range(&self) -> &PinnedRange {
        &self.range
    }

    /// Size in bytes.
    fn len(&self) -> usize {
        self.range.pages().len() << PAGE_SHIFT
    }
}

impl Handle for PinHandle {
    const NAME: &'static CStr = c"[pinseal-pin]";

    fn size(&self) -> i64 {
        // CAST: No file is so large that this does not fit.
        self.len() as i64
    }

    fn read(&self, at: i64, iov: &mut IovIterDest<'_>) -> Result<usize> {
        self.range.with_pages(|_| Ok(()))?;
        copy::read(self.len(), at, iov, |at, buffer| {
            self.range.with_pages(|pages| pages.read(at, buffer))
        })
    }

    fn write(&self, at: i64, iov: &mut IovIterSource<'_>) -> Result<usize> {
        self.range.with_pages(|_| Ok(()))?;
        copy::write(self.len(), at, iov, |at, bytes| {
            self.range.with_pages(|pages| pages.write(at, bytes))
        })
    }

    fn poll(&self, poller: &Poller<'_>) -> PollEvent {
        match self.range.poll(poller) {
            LeaseState::Held => PollEvent::None,
            LeaseState::Breaking(_) => PollEvent::Priority,
            LeaseState::Revoked => PollEvent::HangUp,
        }
    }

    fn show_fdinfo(&self, m: &SeqFile) {
        seq_print!(m, "object:\t{}\n", self.object.number());
        seq_print!(m, "start:\t{}\n", self.range.pages().start);
        seq_print!(m, "pages:\t{}\n", self.range.pages().len());
        if let PinTerms::Leased(_) = self.range.terms() {
            seq_print!(
                m,
                "lease:\t{}\n",
                match self.range.lease_state() {
                    LeaseState::Held => "held",
                    LeaseState::Breaking(_) => "asked",
                    LeaseState::Revoked => "revoked",
                }
            );
        }
    }
}

impl Drop for PinHandle {
    fn drop(&mut self) {
        self.object.pins().remove(self.key);
        self.range.release();
        self.object.exclusion().notify_unpin();
    }
}

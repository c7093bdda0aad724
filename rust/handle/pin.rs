// SPDX-License-Identifier: GPL-2.0-only

//! Pin handles: files that hold pages of an object pinned, and give access to them as a device has
//! it: to those pages, whatever the object shows by then.

use crate::{
    fs::pinned::PinnedPages,
    fs::{
        device_file::DeviceFile,
        handle_file::{
            Event,
            Handle,
            HandleOperations, //
        }, //
    },
    handle::copy, //
    mm::memlock::LockedMemory,
    object::exclusion::HasGate,
    object::pin_table::Place,
    object::pinned_range::{
        Holding,
        PinAccess,
        Standing,
        Terms, //
    },
    object::Object,
    open_object::OpenObject,
    sync::{
        poll::Poller, //
        sleep::is_dying,
    },
};
use core::ops::Range;
use kernel::{
    fs::{
        file::flags::{
            O_RDONLY,
            O_RDWR, //
        },
        File, //
    },
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    seq_file::{
        seq_print,
        SeqFile, //
    },
    sync::{
        aref::ARef,
        Arc,
        ArcBorrow, //
    }, //
};

/// A pin handle.
pub(crate) struct PinHandle {
    object: Arc<Object>,
    holding: Arc<Holding>,
    /// Its place among the holdings of the object.
    place: Place,
}

/// How many pages a handle has at most: what is to be remembered of so many is still allocated in one
/// piece.
const MOST_PAGES: usize = 1 << 26;

/// Operations of all pin handles.
static OPERATIONS: HandleOperations<PinHandle> = HandleOperations::new();

/// Pins pages of an object, by their index. Returns a file that holds them.
///
/// Context: sleeps.
///
/// # Errors
///
/// Those of [`admit`]; `EPERM` when a seal forbids it; `ENOMEM` (also by `RLIMIT_MEMLOCK`, or when a page
/// is pinned too often); `EIO`.
pub(crate) fn pin(
    device: DeviceFile<'_, OpenObject>,
    pages: Range<usize>,
    access: PinAccess,
    terms: Terms,
) -> Result<ARef<File>> {
    let object = admit(device, &pages, access)?;
    let memory = object.memory()?;
    if pages.len() > MOST_PAGES {
        return Err(ENOMEM);
    }
    let mut charge = LockedMemory::charge(pages.len())?;
    let mut pinned = PinnedPages::none();
    while pinned.len() < pages.len() {
        if is_dying() {
            return Err(EINTR);
        }
        // A seal is decided under the inode lock: either it sees the pins, or this sees the seal.
        let locked = memory.lock_shared()?;
        if access == PinAccess::Write && object.seals().forbid_writing() {
            return Err(EPERM);
        }
        pinned.pin_more(&locked, &pages)?;
    }
    charge.grow(pinned.pages_held())?;

    let holding = Holding::new(object.number(), pages, access, terms, pinned, charge)?;
    let place = object.holdings().add(&holding)?;
    holding.trace();
    let handle = PinHandle {
        object: object.object().clone(),
        holding,
        place,
    };
    OPERATIONS.open(
        device,
        Arc::new(handle, GFP_KERNEL_ACCOUNT)?,
        open_flags(access),
    )
}

/// Lets who has `device` have that access to pages of the object, as far as that does not change, and
/// when nobody seals. Returns the object.
///
/// Context: sleeps.
///
/// # Errors
///
/// `EPERM` when `device` was not opened for that access; `EINVAL` when the object does not have those
/// pages; `EINTR`; `EAGAIN` when somebody seals and the descriptor has `O_NONBLOCK`; those of
/// [`Object::memory`].
pub(crate) fn admit<'a>(
    device: DeviceFile<'a, OpenObject>,
    pages: &Range<usize>,
    access: PinAccess,
) -> Result<ArcBorrow<'a, OpenObject>> {
    if !device.is_readable() || (access == PinAccess::Write && !device.is_writable()) {
        return Err(EPERM);
    }
    let object = device.owner();
    let size = object.memory()?.size();
    if pages.is_empty() || pages.end > size.div_ceil(PAGE_SIZE as u64) as usize {
        return Err(EINVAL);
    }
    object.gate().wait_for_sealer(device.is_nonblocking())?;
    Ok(object)
}

/// How a handle with that access is open.
pub(crate) fn open_flags(access: PinAccess) -> u32 {
    match access {
        PinAccess::Read => O_RDONLY,
        PinAccess::Write => O_RDWR,
    }
}

impl PinHandle {
    /// What it holds.
    pub(crate) fn holding(&self) -> &Holding {
        &self.holding
    }

    /// Bytes that it gives access to.
    fn len(&self) -> usize {
        self.holding.range().len() << PAGE_SHIFT
    }
}

impl Handle for PinHandle {
    const NAME: &'static CStr = c"[pinseal-pin]";

    fn size(&self) -> i64 {
        // CAST: No file is so large that this does not fit.
        self.len() as i64
    }

    fn read(&self, at: i64, iov: &mut IovIterDest<'_>) -> Result<usize> {
        self.holding.with_pages(|_| Ok(()))?;
        copy::read(self.len(), at, iov, |at, buffer| {
            self.holding.with_pages(|pages| pages.read(at, buffer))
        })
    }

    fn write(&self, at: i64, iov: &mut IovIterSource<'_>) -> Result<usize> {
        self.holding.with_pages(|_| Ok(()))?;
        copy::write(self.len(), at, iov, |at, bytes| {
            self.holding.with_pages(|pages| pages.write(at, bytes))
        })
    }

    fn poll(&self, poller: &Poller<'_>) -> Event {
        match self.holding.poll(poller) {
            Standing::Held => Event::None,
            Standing::Asked(_) => Event::Urgent,
            Standing::Revoked => Event::HungUp,
        }
    }

    fn show(&self, m: &SeqFile) {
        seq_print!(m, "start:\t{}\n", self.holding.range().start);
        seq_print!(m, "pages:\t{}\n", self.holding.range().len());
        if let Terms::Leased(_) = self.holding.terms() {
            seq_print!(
                m,
                "lease:\t{}\n",
                match self.holding.standing() {
                    Standing::Held => "held",
                    Standing::Asked(_) => "asked",
                    Standing::Revoked => "revoked",
                }
            );
        }
    }
}

impl Drop for PinHandle {
    fn drop(&mut self) {
        self.object.holdings().remove(self.place);
        self.holding.let_go();
        self.object.gate().pages_released();
    }
}

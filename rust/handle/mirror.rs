// SPDX-License-Identifier: GPL-2.0-only

//! Mirror handles: files that give access to what a mapping of an object shows, as a device that can
//! fault has it. They pin nothing, so no sealer waits for them.

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
        }, //
        memory_file::MemoryFile,
    },
    mm::mirror::Mirror,
    object::{
        Object,
        ObjectFile,
        PinAccess, //
    },
    sync::poll::{
        PollEvent,
        Poller, //
    }, //
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

/// A mirror handle.
pub(crate) struct MirrorHandle {
    object: Arc<Object>,
    pages: Range<usize>,
    access: PinAccess,
    mirror: Pin<KBox<Mirror>>,
}

/// Operations of all mirror handles.
static OPERATIONS: HandleOperations<MirrorHandle> = HandleOperations::new();

/// Mirrors pages of an object that shared mappings of the current process show at `address`. Returns
/// the handle.
///
/// Context: sleeps.
///
/// # Errors
///
/// Those of [`admit`]; `EPERM` when a seal forbids it; `EFAULT` when the pages are not shown there;
/// `EINVAL` when `address` is not page-aligned; `ENOMEM`; `EOPNOTSUPP` when the kernel has no mirrors.
pub(crate) fn mirror<T: ObjectFile>(
    file: MemoryFile<'_, T>,
    pages: Range<usize>,
    address: usize,
    access: PinAccess,
) -> Result<ARef<File>> {
    let object = admit(file, &pages, access)?;
    if access == PinAccess::Write && object.seals().forbid_writing() {
        return Err(EPERM);
    }
    let end = address
        .checked_add(pages.len() << PAGE_SHIFT)
        .ok_or(EFAULT)?;
    let mirror = Mirror::new(address..end, object.memory()?.pages(), pages.start)?;
    let handle = MirrorHandle {
        object,
        pages,
        access,
        mirror,
    };
    OPERATIONS.open(
        file,
        Arc::new(handle, GFP_KERNEL_ACCOUNT)?,
        open_flags(access),
    )
}

impl MirrorHandle {
    /// The pages, as indices in the object.
    pub(crate) fn pages(&self) -> &Range<usize> {
        &self.pages
    }

    /// Access that it gives.
    pub(crate) fn access(&self) -> PinAccess {
        self.access
    }
}

impl Handle for MirrorHandle {
    const NAME: &'static CStr = c"[pinseal-mirror]";

    fn size(&self) -> i64 {
        // CAST: No address space is so large that this does not fit.
        self.mirror.len() as i64
    }

    fn read(&self, at: i64, iov: &mut IovIterDest<'_>) -> Result<usize> {
        let pages = self.object.memory()?.pages();
        copy::read(self.mirror.len(), at, iov, |at, buffer| {
            self.mirror.read(at, buffer, pages, self.pages.start)
        })
    }

    fn write(&self, at: i64, iov: &mut IovIterSource<'_>) -> Result<usize> {
        let pages = self.object.memory()?.pages();
        copy::write(self.mirror.len(), at, iov, |at, bytes| {
            self.mirror.write(at, bytes, pages, self.pages.start)
        })
    }

    fn poll(&self, _: &Poller<'_>) -> PollEvent {
        PollEvent::None
    }

    fn show_fdinfo(&self, m: &SeqFile) {
        seq_print!(m, "object:\t{}\n", self.object.number());
        seq_print!(m, "start:\t{}\n", self.pages.start);
        seq_print!(m, "pages:\t{}\n", self.pages.len());
        seq_print!(m, "mirror:\tyes\n");
    }
}

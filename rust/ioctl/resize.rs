// SPDX-License-Identifier: GPL-2.0-only

//! `PINSEAL_IOC_RESIZE` and `PINSEAL_IOC_FALLOCATE`, which can wait for references to the pages that
//! they remove.

use super::argument::{
    check_unused,
    check_zero,
    Argument,
    NO_PAGE, //
};
use crate::{
    fs::memory_file::MemoryFile,
    object::{
        HasSealExclusion,
        ObjectFile, //
    },
    open_object::OpenObject,
    resize::{
        remove_unpinned,
        WaitOutcome,
        WaitRequest, //
    },
    uapi,
    wait::{
        WaitBounds,
        DEFAULT_TIMEOUT_NS, //
    }, //
};
use core::{
    mem::offset_of,
    ops::Range, //
};
use kernel::{
    page::PAGE_SIZE,
    prelude::*, //
};
use zerocopy::{
    Immutable,
    IntoBytes, //
};

/// Size of the first version of `struct pinseal_resize`.
const RESIZE_FIRST: usize = offset_of!(uapi::pinseal_resize, waited_ns);

/// Size of the first version of `struct pinseal_fallocate`.
const FALLOCATE_FIRST: usize = offset_of!(uapi::pinseal_fallocate, waited_ns);

/// The mode of hole punching.
const PUNCH: u32 = uapi::FALLOC_FL_PUNCH_HOLE | uapi::FALLOC_FL_KEEP_SIZE;

/// The struct of a command that can wait for references.
trait WaitStruct: IntoBytes + Immutable {
    fn timeout_ns(&mut self) -> &mut u64;

    /// The fields that the first version lacks.
    fn grown(&mut self) -> Grown<'_>;
}

/// Fields that only a command that waits uses.
struct Grown<'a> {
    waited_ns: &'a mut u64,
    pinned_pages: &'a mut u64,
    first_pinned: &'a mut u64,
    revoked_pages: &'a mut u64,
}

macro_rules! impl_wait_struct {
    ($struct:ty) => {
        impl WaitStruct for $struct {
            fn timeout_ns(&mut self) -> &mut u64 {
                &mut self.timeout_ns
            }

            fn grown(&mut self) -> Grown<'_> {
                Grown {
                    waited_ns: &mut self.waited_ns,
                    pinned_pages: &mut self.pinned_pages,
                    first_pinned: &mut self.first_pinned,
                    revoked_pages: &mut self.revoked_pages,
                }
            }
        }
    };
}

impl_wait_struct!(uapi::pinseal_resize);
impl_wait_struct!(uapi::pinseal_fallocate);

impl Grown<'_> {
    fn check_unused(&self) -> Result {
        check_unused(&[
            *self.waited_ns,
            *self.pinned_pages,
            *self.first_pinned,
            *self.revoked_pages,
        ])
    }
}

/// `PINSEAL_IOC_RESIZE`.
#[inline(never)]
pub(super) fn resize(file: MemoryFile<'_, OpenObject>, arg: Argument) -> Result {
    let mut request: uapi::pinseal_resize = arg.read_grown(RESIZE_FIRST)?;
    check_zero(request.pad)?;
    let wait = wait_flags(
        request.flags,
        uapi::PINSEAL_RESIZE_WAIT,
        uapi::PINSEAL_RESIZE_KEEP_LEASES,
    )?;
    let size: i64 = request.size.try_into().map_err(|_| EINVAL)?;
    if !file.is_writable() {
        return Err(EINVAL);
    }
    let object = file.owner();
    let Some(leases) = wait else {
        request.grown().check_unused()?;
        object
            .exclusion()
            .wait_write_unblocked(file.is_nonblocking())?;
        let result = object.file_of(file)?.resize(size);
        object.take_remapped_away();
        return result;
    };
    let new_size = request.size;
    let removed = || match object.size() {
        old_size if object.seals().forbid_size(old_size, new_size) => Err(EPERM),
        old_size if old_size < new_size => Ok(0..0),
        // Pages beyond the old end may be allocated, and are removed as well.
        _ => Ok(pages_within(new_size, u64::MAX)),
    };
    wait_and_remove(file, arg, request, leases, removed, || {
        object.file_of(file)?.resize(size)
    })
}

/// `PINSEAL_IOC_FALLOCATE`.
#[inline(never)]
pub(super) fn fallocate(file: MemoryFile<'_, OpenObject>, arg: Argument) -> Result {
    let mut request: uapi::pinseal_fallocate = arg.read_grown(FALLOCATE_FIRST)?;
    let wait = wait_flags(
        request.flags,
        uapi::PINSEAL_FALLOCATE_WAIT,
        uapi::PINSEAL_FALLOCATE_KEEP_LEASES,
    )?;
    let offset: i64 = request.offset.try_into().map_err(|_| EINVAL)?;
    let len: i64 = request.len.try_into().map_err(|_| EINVAL)?;
    // CAST: Bits.
    let mode = request.mode as i32;
    if !file.is_writable() {
        return Err(EBADF);
    }
    let object = file.owner();
    if wait.is_none() {
        request.grown().check_unused()?;
    }
    let is_punch = request.mode == PUNCH && len > 0 && offset.checked_add(len).is_some();
    let (Some(leases), true) = (wait, is_punch) else {
        // Nothing is removed, or nothing is to be waited for.
        object
            .exclusion()
            .wait_write_unblocked(file.is_nonblocking())?;
        let result = object.file_of(file)?.fallocate(mode, offset, len);
        object.take_remapped_away();
        return result;
    };
    let hole = pages_within(request.offset, request.offset + request.len);
    let removed = || match object.seals().forbid_writing() {
        true => Err(EPERM),
        false => Ok(hole.clone()),
    };
    wait_and_remove(file, arg, request, leases, removed, || {
        object.file_of(file)?.fallocate(mode, offset, len)
    })
}

/// Waits for references to the pages of `removed`, calls `remove`, and reports. No lease is broken for a
/// call that fails: because of a seal, or of a report that cannot be written.
fn wait_and_remove<T: WaitStruct>(
    file: MemoryFile<'_, OpenObject>,
    arg: Argument,
    mut request: T,
    leases: Leases,
    removed: impl Fn() -> Result<Range<usize>>,
    remove: impl FnOnce() -> Result,
) -> Result {
    // The first version of the struct has no room for a report.
    let reports = arg.has_room_for::<T>();
    if reports {
        arg.write(&request)?;
    }
    let timeout_ns = match *request.timeout_ns() {
        0 => DEFAULT_TIMEOUT_NS,
        timeout_ns => timeout_ns,
    };
    let grown = request.grown();
    let mut bounds = WaitBounds::new(timeout_ns, file.is_nonblocking(), 0, *grown.waited_ns, 0);
    if !reports {
        // A restarted call cannot tell that it is one.
        bounds.start_clock();
    }
    let wait = WaitRequest {
        bounds,
        revoke: match leases {
            Leases::Keep => None,
            Leases::Revoke => Some(*grown.revoked_pages),
        },
    };
    let report = remove_unpinned(file.owner().object(), wait, removed, remove)?;
    let written = if reports {
        *grown.waited_ns = report.waited_ns;
        *grown.pinned_pages = report.pinned_pages;
        *grown.first_pinned = report.first_pinned.map_or(NO_PAGE, |index| index as u64);
        *grown.revoked_pages = report.revoked_pages;
        arg.write(&request)
    } else if report.outcome == WaitOutcome::Interrupted {
        // As `select()` does: the struct keeps the time left for the restarted call. When it cannot be
        // written, the call is not restarted.
        if file.is_nonblocking() {
            return Err(EBUSY);
        }
        *grown.waited_ns = 0;
        *request.timeout_ns() = timeout_ns.saturating_sub(report.waited_ns).max(1);
        arg.write_what_fits(&request).map_err(|_| EINTR)
    } else {
        Ok(())
    };
    match report.outcome {
        // The pages are removed, also when the report cannot be written.
        WaitOutcome::Unpinned => Ok(()),
        _ if written.is_err() => written,
        WaitOutcome::Pinned => Err(EBUSY),
        WaitOutcome::Interrupted => Err(ERESTARTNOHAND),
    }
}

/// What becomes of leases.
#[derive(Clone, Copy)]
enum Leases {
    /// Waited for, like other pins.
    Keep,
    /// Broken.
    Revoke,
}

/// What becomes of leases, if the command is to wait.
///
/// # Errors
///
/// `EINVAL` for unknown flags, and for the flag of leases without the one to wait.
fn wait_flags(flags: u32, wait: u32, keep_leases: u32) -> Result<Option<Leases>> {
    check_zero(flags & !(wait | keep_leases))?;
    match (flags & wait != 0, flags & keep_leases != 0) {
        (false, false) => Ok(None),
        (false, true) => Err(EINVAL),
        (true, false) => Ok(Some(Leases::Revoke)),
        (true, true) => Ok(Some(Leases::Keep)),
    }
}

/// The pages that lie completely within a range of bytes.
fn pages_within(start: u64, end: u64) -> Range<usize> {
    // CAST: In pages, a size fits.
    let (start, end) = (
        start.div_ceil(PAGE_SIZE as u64) as usize,
        (end / PAGE_SIZE as u64) as usize,
    );
    start..end.max(start)
}

// SPDX-License-Identifier: GPL-2.0-only

//! Handles: files that pin or mirror pages of an object, and give access to them.
//!
//! | File     | Its one job                                                         |
//! |----------|---------------------------------------------------------------------|
//! | `pin`    | handles that pin pages                                              |
//! | `mirror` | handles that mirror a mapping, and pin nothing                      |
//! | `copy`   | copies between user space and pages                                 |

mod copy;
mod mirror;
mod pin;

pub(crate) use self::{
    mirror::{
        mirror,
        MirrorHandle, //
    },
    pin::{
        pin,
        PinHandle, //
    }, //
};

use crate::{
    compat::eopnotsupp,
    fs::memory_file::MemoryFile,
    object::{
        HasSealExclusion,
        Object,
        ObjectFile,
        PinAccess, //
    }, //
};
use core::ops::Range;
use kernel::{
    fs::file::flags::{
        O_RDONLY,
        O_RDWR, //
    },
    page::PAGE_SIZE,
    prelude::*,
    sync::Arc, //
};

/// Admits a handle with that access to pages of an object: checks what cannot change later, and waits
/// for a sealer. Returns the object.
///
/// Context: sleeps.
///
/// # Errors
///
/// `EPERM` when `file` was not opened for that access; `EOPNOTSUPP` when the memory is hugetlbfs'; `EINVAL` when the object does not have those
/// pages; `ERESTARTSYS` for a signal or task work; `EAGAIN` when a sealer is at work and the descriptor
/// has `O_NONBLOCK`; those of [`Object::memory`].
fn admit<T: ObjectFile>(
    file: MemoryFile<'_, T>,
    pages: &Range<usize>,
    access: PinAccess,
) -> Result<Arc<Object>> {
    if !file.is_readable() || (access == PinAccess::Write && !file.is_writable()) {
        return Err(EPERM);
    }
    let owner = file.owner();
    let object = owner.object();
    let memory = object.memory()?;
    if memory.is_hugetlb() {
        return Err(eopnotsupp());
    }
    let size = memory.size();
    if pages.is_empty() || pages.end > size.div_ceil(PAGE_SIZE as u64) as usize {
        return Err(EINVAL);
    }
    object
        .exclusion()
        .wait_write_unblocked(file.is_nonblocking())?;
    object.fill(pages.clone())?;
    // With our own references, pages could not be moved before they are pinned.
    object.take_remapped_away();
    Ok(object.clone())
}

/// The flags that a handle with that access is opened with.
fn open_flags(access: PinAccess) -> u32 {
    match access {
        PinAccess::Read => O_RDONLY,
        PinAccess::Write => O_RDWR,
    }
}

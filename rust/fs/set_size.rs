// SPDX-License-Identifier: GPL-2.0-only

//! Sets a file's size with its inode locked, as `do_truncate()` does, which is not exported.
//!
//! C source: [`fs/open.c`](srctree/fs/open.c)

use crate::bindings;
use core::ptr::null_mut;
use kernel::{
    error::to_result,
    prelude::*, //
};

/// Sets the size of a file. The file system enforces seals.
///
/// # Safety
///
/// `file` must be open for writing, and its inode be locked for writing.
///
/// # Errors
///
/// `EPERM` when a seal forbids it, `EFBIG` beyond `RLIMIT_FSIZE`; those of the file system.
pub(super) unsafe fn set_size_locked(file: *mut bindings::file, size: i64) -> Result {
    let mut attributes: bindings::iattr = pin_init::zeroed();

    attributes.ia_valid = bindings::pinseal_ATTR_FTRUNCATE;
    attributes.ia_size = size;
    attributes.ia_file = file;
    // SAFETY: By the safety requirements. The file keeps its mount and its path alive.
    unsafe {
        let dentry = (*file).__bindgen_anon_1.f_path.dentry;
        to_result(bindings::notify_change(
            bindings::pinseal_file_mnt_idmap(file),
            dentry,
            &mut attributes,
            null_mut(),
        ))
    }
}

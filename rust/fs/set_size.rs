// SPDX-License-Identifier: GPL-2.0-only

//! Sets a file's size with its inode locked, as `do_truncate()` does, which is not exported.
//!
//! C source: [`fs/open.c`](srctree/fs/open.c)

use crate::bindings;
use core::ptr::null_mut;
use kernel::{
    error::to_result,
    ffi::c_uint,
    prelude::*, //
};

/// What becomes of setuid bits and capabilities of a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Privileges {
    /// They stay.
    Keep,
    /// They are dropped, as by any change of a file by a user who may not set them.
    Drop,
}

/// Sets the size of a file. The file system enforces seals.
///
/// # Safety
///
/// `file` must be open for writing, and its inode be locked for writing.
///
/// # Errors
///
/// `EPERM` when a seal forbids it, `EFBIG` beyond `RLIMIT_FSIZE`; those of the file system.
pub(super) unsafe fn set_size_locked(
    file: *mut bindings::file,
    size: i64,
    privileges: Privileges,
) -> Result {
    let mut attributes: bindings::iattr = pin_init::zeroed();

    attributes.ia_valid = bindings::pinseal_ATTR_FTRUNCATE;
    attributes.ia_size = size;
    attributes.ia_file = file;
    // SAFETY: By the safety requirements. The file keeps its mount and its path alive.
    unsafe {
        let dentry = (*file).__bindgen_anon_1.f_path.dentry;
        let idmap = bindings::pinseal_file_mnt_idmap(file);
        if privileges == Privileges::Drop {
            // CAST: Bits.
            let bits = bindings::setattr_should_drop_suidgid(idmap, (*file).f_inode) as c_uint;
            // Capabilities, if there are any.
            attributes.ia_valid |= bits | bindings::pinseal_ATTR_KILL_PRIV;
            if bits != 0 {
                // A writer need not be the owner.
                attributes.ia_valid |= bindings::pinseal_ATTR_FORCE;
            }
        }
        to_result(bindings::notify_change(
            idmap,
            dentry,
            &mut attributes,
            null_mut(),
        ))
    }
}

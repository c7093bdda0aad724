// SPDX-License-Identifier: GPL-2.0-only

//! What the kernel crate of the oldest kernel that this is built for, Linux 7.2, does not have: error
//! codes. (For what it has wrong see `MAYSHARE` in [`crate::mm::mirror`].)

use crate::uapi;
use kernel::{
    error::Error,
    ffi::c_int, //
};

/// `ESTALE`: Stale file handle.
pub(crate) fn estale() -> Error {
    errno(uapi::ESTALE)
}

/// `EALREADY`: Operation already in progress.
pub(crate) fn ealready() -> Error {
    errno(uapi::EALREADY)
}

/// `EOPNOTSUPP`: Operation not supported.
#[cfg_attr(CONFIG_HMM_MIRROR, expect(dead_code))]
pub(crate) fn eopnotsupp() -> Error {
    errno(uapi::EOPNOTSUPP)
}

fn errno(number: u32) -> Error {
    // CAST: A small positive number.
    Error::from_errno(-(number as c_int))
}

// SPDX-License-Identifier: GPL-2.0-only

//! What the kernel crate of the oldest kernel that this is built for, Linux 7.2, does not have: error
//! codes.

use crate::bindings;
use kernel::{
    error::Error,
    ffi::c_int, //
};

/// `ESTALE`: Stale file handle.
pub(crate) fn estale() -> Error {
    errno(bindings::ESTALE)
}

/// `EALREADY`: Operation already in progress.
pub(crate) fn ealready() -> Error {
    errno(bindings::EALREADY)
}

/// `EOPNOTSUPP`: Operation not supported.
#[cfg_attr(CONFIG_HMM_MIRROR, expect(dead_code))]
pub(crate) fn eopnotsupp() -> Error {
    errno(bindings::EOPNOTSUPP)
}

fn errno(number: u32) -> Error {
    // CAST: A small positive number.
    Error::from_errno(-(number as c_int))
}

// SPDX-License-Identifier: GPL-2.0-only

//! Error codes that the kernel crate of the oldest supported kernel, Linux 7.2, lacks. For a wrong
//! constant of that kernel crate, see `MAYSHARE` in [`crate::mm::locked_mm`].

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
pub(crate) fn eopnotsupp() -> Error {
    errno(uapi::EOPNOTSUPP)
}

fn errno(number: u32) -> Error {
    // CAST: An errno is small and positive.
    Error::from_errno(-(number as c_int))
}

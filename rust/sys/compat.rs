// SPDX-License-Identifier: GPL-2.0-only

//! What the kernel crate of the oldest kernel that this is built for, Linux 7.2, does not have.

use crate::bindings;
use kernel::{
    error::Error,
    ffi::c_int, //
};

/// Operation already in progress: `kernel::error::code::EALREADY`, since 7.3.
pub(crate) fn ealready() -> Error {
    // CAST: A small positive number.
    Error::from_errno(-(bindings::EALREADY as c_int))
}

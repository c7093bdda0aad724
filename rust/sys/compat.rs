// SPDX-License-Identifier: GPL-2.0-only

//! What the kernel crate of the oldest kernel that this is built for, Linux 7.2, does not have, or not
//! right: error codes, a flag.

use crate::bindings;
use kernel::{
    error::Error,
    ffi::c_int,
    mm::virt::vm_flags_t, //
};

/// `VM_MAYSHARE`: the VMA is of a shared mapping. In 7.2 the kernel crate's `flags::MAYSHARE` has the
/// value of `VM_MAYEXEC`.
pub(crate) const VM_MAYSHARE: vm_flags_t = bindings::pinseal_VM_MAYSHARE as vm_flags_t;

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

// SPDX-License-Identifier: GPL-2.0-only

//! Structs in user memory, read and written as a whole.
//!
//! C header: [`include/linux/uaccess.h`](srctree/include/linux/uaccess.h)

use crate::bindings;
use core::mem::MaybeUninit;
use kernel::{
    prelude::*,
    uaccess::UserPtr, //
};
use zerocopy::{
    FromBytes,
    Immutable,
    IntoBytes, //
};

/// Reads a struct.
///
/// As in C, where the compiler knows the size, and unlike [`kernel::uaccess`], nothing is looked up of the
/// memory that it is read to (`check_object_size()`).
///
/// # Errors
///
/// `EFAULT`.
#[inline]
pub(crate) fn read<T: FromBytes>(from: UserPtr) -> Result<T> {
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: `value` is valid for writing its size.
    let left = unsafe {
        bindings::pinseal_inline_copy_from_user(
            value.as_mut_ptr().cast(),
            from.as_const_ptr(),
            size_of::<T>(),
        )
    };
    match left {
        // SAFETY: All bytes were written, and any are a `T` by `FromBytes`.
        0 => Ok(unsafe { value.assume_init() }),
        _ => Err(EFAULT),
    }
}

/// Writes a struct. Nothing is looked up, as for [`read`].
///
/// # Errors
///
/// `EFAULT`.
#[inline]
pub(crate) fn write<T: IntoBytes + Immutable>(to: UserPtr, value: &T) -> Result {
    // SAFETY: `value` is valid for reading its size, and has no padding by `IntoBytes`.
    let left = unsafe {
        bindings::pinseal_inline_copy_to_user(
            to.as_mut_ptr(),
            (&raw const *value).cast(),
            size_of::<T>(),
        )
    };
    match left {
        0 => Ok(()),
        _ => Err(EFAULT),
    }
}

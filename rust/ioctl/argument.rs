// SPDX-License-Identifier: GPL-2.0-only

//! The struct that a command takes: how it is read and written, and what is checked of any.

use kernel::{
    ioctl::_IOC_SIZE,
    prelude::*,
    uaccess::{
        UserPtr,
        UserSlice,
        UserSliceReader, //
    }, //
};
use zerocopy::{
    FromBytes,
    Immutable,
    IntoBytes, //
};

/// `PINSEAL_NO_PAGE`, an expression that bindgen does not fold.
pub(super) const NO_PAGE: u64 = u64::MAX;

/// The caller's struct, of a size that the caller says.
#[derive(Clone, Copy)]
pub(super) struct Argument {
    address: UserPtr,
    size: usize,
}

impl Argument {
    /// The struct that the command word `cmd` is about.
    pub(super) fn new(cmd: u32, address: usize) -> Self {
        Self {
            address: UserPtr::from_addr(address),
            size: _IOC_SIZE(cmd),
        }
    }

    fn user_slice(self) -> UserSlice {
        UserSlice::new(self.address, self.size)
    }

    /// Reads the struct.
    ///
    /// # Errors
    ///
    /// `EINVAL` (too short), `EFAULT`, `E2BIG` (longer than `T`, and the rest not zero).
    pub(super) fn read<T: FromBytes + IntoBytes>(self) -> Result<T> {
        self.read_grown(size_of::<T>())
    }

    /// Reads a struct that has grown since its first version, of which the size is `first`. What the
    /// caller's does not have is zero.
    ///
    /// # Errors
    ///
    /// As for [`Argument::read`].
    pub(super) fn read_grown<T: FromBytes + IntoBytes>(self, first: usize) -> Result<T> {
        if self.size < first {
            return Err(EINVAL);
        }
        let mut value = T::new_zeroed();
        let mut reader = self.user_slice().reader();
        let bytes = value.as_mut_bytes();
        let len = bytes.len().min(self.size);
        reader.read_slice(&mut bytes[..len])?;
        check_rest_is_zero(reader)?;
        Ok(value)
    }

    /// Writes the struct, and zeroes to what the caller's has beyond it.
    ///
    /// # Errors
    ///
    /// `EINVAL` (too short), `EFAULT`.
    pub(super) fn write<T: IntoBytes + Immutable>(self, value: &T) -> Result {
        self.check_size::<T>()?;
        let mut writer = self.user_slice().writer();
        writer.write_slice(value.as_bytes())?;
        while !writer.is_empty() {
            let zeroes = [0; 64];
            writer.write_slice(&zeroes[..zeroes.len().min(writer.len())])?;
        }
        Ok(())
    }

    /// `T` is the first version of its struct. When a struct grows, this must go on to check
    /// against the size of the first.
    fn check_size<T>(self) -> Result {
        if self.size < size_of::<T>() {
            return Err(EINVAL);
        }
        Ok(())
    }
}

fn check_rest_is_zero(mut reader: UserSliceReader) -> Result {
    let mut chunk = [0; 64];
    while !reader.is_empty() {
        let len = chunk.len().min(reader.len());
        reader.read_slice(&mut chunk[..len])?;
        if chunk[..len].iter().any(|&byte| byte != 0) {
            return Err(E2BIG);
        }
    }
    Ok(())
}

/// Checks flags or padding of which nothing is defined.
pub(super) fn check_zero(bits: u32) -> Result {
    if bits == 0 {
        Ok(())
    } else {
        Err(EINVAL)
    }
}

/// Checks what a struct has grown by since its first version, and only flags that came with it have a
/// use for.
///
/// # Errors
///
/// `E2BIG`: what is not zero is from a version that this does not know.
pub(super) fn check_unused(fields: &[u64]) -> Result {
    match fields.iter().all(|&field| field == 0) {
        true => Ok(()),
        false => Err(E2BIG),
    }
}

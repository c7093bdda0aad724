// SPDX-License-Identifier: GPL-2.0-only

//! The struct of a command: how it is read and written, and the checks that all commands share.

use crate::mm::user_struct;
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

/// The caller's struct, of the size that the command word says.
#[derive(Clone, Copy)]
pub(super) struct Argument {
    address: UserPtr,
    size: usize,
}

impl Argument {
    /// The struct of command word `cmd`.
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

    /// Reads a struct that has grown since its first version, whose size is `first`. Fields that the
    /// caller's struct lacks are zero.
    ///
    /// # Errors
    ///
    /// As for [`Argument::read`].
    #[inline]
    pub(super) fn read_grown<T: FromBytes + IntoBytes>(self, first: usize) -> Result<T> {
        if self.size == size_of::<T>() {
            return user_struct::read(self.address);
        }
        let mut value = T::new_zeroed();
        self.read_part(value.as_mut_bytes(), first)?;
        Ok(value)
    }

    /// Reads as much as the caller's struct has of `bytes`, of which `first` are the least.
    #[cold]
    fn read_part(self, bytes: &mut [u8], first: usize) -> Result {
        if self.size < first {
            return Err(EINVAL);
        }
        let mut reader = self.user_slice().reader();
        let len = bytes.len().min(self.size);
        reader.read_slice(&mut bytes[..len])?;
        check_rest_is_zero(reader)
    }

    /// Whether the caller's struct has all fields: its version is not older than `T`.
    pub(super) fn has_room_for<T>(self) -> bool {
        self.size >= size_of::<T>()
    }

    /// Writes the struct, and zeroes to the rest of the caller's.
    ///
    /// # Errors
    ///
    /// `EINVAL` (too short), `EFAULT`.
    #[inline]
    pub(super) fn write<T: IntoBytes + Immutable>(self, value: &T) -> Result {
        if !self.has_room_for::<T>() {
            return Err(EINVAL);
        }
        self.write_what_fits(value)
    }

    /// Writes as much of the struct as the caller's has room for, and zeroes to the rest.
    ///
    /// # Errors
    ///
    /// `EFAULT`.
    #[inline]
    pub(super) fn write_what_fits<T: IntoBytes + Immutable>(self, value: &T) -> Result {
        if self.size == size_of::<T>() {
            return user_struct::write(self.address, value);
        }
        self.write_part(value.as_bytes())
    }

    /// Writes as much as the caller's struct has room for, and zeroes to the rest.
    #[cold]
    fn write_part(self, bytes: &[u8]) -> Result {
        let mut writer = self.user_slice().writer();
        writer.write_slice(&bytes[..bytes.len().min(self.size)])?;
        while !writer.is_empty() {
            let zeroes = [0; 64];
            writer.write_slice(&zeroes[..zeroes.len().min(writer.len())])?;
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

/// Checks that undefined flags and padding are zero.
///
/// # Errors
///
/// `EINVAL`.
pub(super) fn check_zero(bits: u32) -> Result {
    if bits == 0 {
        Ok(())
    } else {
        Err(EINVAL)
    }
}

/// Checks that fields which the given flags do not use, and the first version did not have, are zero.
///
/// # Errors
///
/// `E2BIG`: they belong to a version that this build does not know.
pub(super) fn check_unused(fields: &[u64]) -> Result {
    match fields.iter().all(|&field| field == 0) {
        true => Ok(()),
        false => Err(E2BIG),
    }
}

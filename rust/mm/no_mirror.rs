// SPDX-License-Identifier: GPL-2.0-only

//! Mirrors for a kernel without `CONFIG_HMM_MIRROR`, where none can be created.

use crate::{
    compat::eopnotsupp, //
    mm::address_space::AddressSpace,
};
use core::ops::Range;
use kernel::prelude::*;

/// A mirror, of which no value exists.
pub(crate) enum Mirror {}

impl Mirror {
    /// Whether the kernel supports mirrors.
    pub(crate) const IS_SUPPORTED: bool = false;

    /// Fails.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP`.
    pub(crate) fn new(_: Range<usize>, _: &AddressSpace, _: usize) -> Result<Pin<KBox<Self>>> {
        Err(eopnotsupp())
    }

    pub(crate) fn len(&self) -> usize {
        match *self {}
    }

    pub(crate) fn read(&self, _: usize, _: &mut [u8], _: &AddressSpace, _: usize) -> Result<usize> {
        match *self {}
    }

    pub(crate) fn write(&self, _: usize, _: &[u8], _: &AddressSpace, _: usize) -> Result<usize> {
        match *self {}
    }
}

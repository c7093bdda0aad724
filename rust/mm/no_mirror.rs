// SPDX-License-Identifier: GPL-2.0-only

//! Mirrors of addresses in a kernel that is built without them (`CONFIG_HMM_MIRROR`): there are none.

use crate::{
    compat::eopnotsupp, //
    mm::address_space::AddressSpace,
};
use core::ops::Range;
use kernel::prelude::*;

/// A mirror, which cannot be had.
pub(crate) enum Mirror {}

impl Mirror {
    /// Whether this kernel has them.
    pub(crate) const IS_SUPPORTED: bool = false;

    /// # Errors
    ///
    /// `EOPNOTSUPP`, always.
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

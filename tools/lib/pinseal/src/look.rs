// SPDX-License-Identifier: MIT OR Apache-2.0

//! Looking at memory that is not an object's.

use crate::{Info, Pins, Seals, abi, pins};
use std::{
    io,
    ops::Range,
    os::fd::{AsFd, AsRawFd},
};

/// A look at a memfd, or at a file of tmpfs: its seals, its size, and which pages have extra references.
///
/// The memory is not touched, and nothing is in its owner's way. It exists as long as this, though.
#[derive(Debug)]
pub struct Look(abi::Descriptor);

impl Look {
    /// Looks at the memory of a descriptor that is open for reading.
    ///
    /// # Errors
    ///
    /// Those of [`Options`](crate::Options). [`InvalidInput`](io::ErrorKind::InvalidInput) if it is not
    /// shared memory, or is an object of `/dev/pinseal`, or if the kernel's pinseal cannot do that;
    /// [`PermissionDenied`](io::ErrorKind::PermissionDenied) if it is not open for reading.
    pub fn new(memfd: impl AsFd) -> io::Result<Self> {
        let descriptor = abi::Descriptor::open(false)?;
        descriptor.call(&mut abi::Import {
            fd: memfd.as_fd().as_raw_fd(),
            flags: abi::IMPORT_LOOK,
        })?;
        Ok(Self(descriptor))
    }

    /// What the kernel supports, and the size.
    ///
    /// # Errors
    ///
    /// None is expected.
    pub fn info(&self) -> io::Result<Info> {
        Info::of(&self.0)
    }

    /// The seals that are set.
    ///
    /// # Errors
    ///
    /// None is expected.
    pub fn seals(&self) -> io::Result<Seals> {
        Ok(Seals::from_bits(self.0.seals()?))
    }

    /// Lists all folios that have extra references.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn pins(&self) -> io::Result<Pins> {
        pins::list(&self.0, 0..u64::MAX)
    }

    /// The same for a range of pages.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn pins_of(&self, pages: Range<u64>) -> io::Result<Pins> {
        pins::list(&self.0, pages)
    }
}

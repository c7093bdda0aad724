// SPDX-License-Identifier: MIT OR Apache-2.0

//! An object that was sealed.

use crate::{Object, SealError, SealReport, SealedMap, Seals, abi};
use rustix::io::Errno;
use std::io;

/// An object whose seals this program has added, or has had confirmed: a successful
/// [`Sealing::run`](crate::Sealing::run) or a [`Pending`](crate::Pending) that ended well returns it.
///
/// A receiver of an object seals it too. That is cheap if it is sealed already; and it is what makes
/// [`map`](Self::map) safe, because seals that a descriptor shows need not be pinseal's: a memfd's own
/// `F_ADD_SEALS` can succeed although a pin is left that writes.
#[derive(Debug)]
pub struct Sealed {
    object: Object,
    confirmed: Seals,
    report: SealReport,
}

impl Sealed {
    /// What a call has done that the kernel did not fail: not every outcome of it is a seal.
    pub(crate) fn new(object: Object, argument: abi::Seal) -> Result<Self, SealError> {
        match argument.outcome {
            abi::OUTCOME_SEALED => Ok(Self {
                object,
                confirmed: Seals::from_bits(argument.seals),
                report: SealReport::new(&argument),
            }),
            abi::OUTCOME_CANCELLED => Err(SealError::cancelled(object, argument)),
            _ => Err(SealError::new(object, Errno::BUSY.into(), argument)),
        }
    }

    /// How the seal went.
    pub fn report(&self) -> &SealReport {
        &self.report
    }

    /// The object.
    pub fn object(&self) -> &Object {
        &self.object
    }

    /// The object, to add more seals, say.
    pub fn into_object(self) -> Object {
        self.object
    }

    /// Maps the object: its bytes, which do not change any more.
    ///
    /// # Why this is safe
    ///
    /// A `&[u8]` promises that nothing changes the bytes while it lives. For a shared mapping that is a
    /// promise about all programs that have the object, and about devices. The kernel makes it:
    ///
    /// - [`Seals::WRITE`] was confirmed by pinseal, in this program. It is set only when no shared
    ///   mapping is or can become writable, no write is under way, and no page has an extra reference,
    ///   at one instant. From then on the kernel refuses `write()`, writable mappings, `mprotect()`,
    ///   pins for writing, and holes.
    /// - [`Seals::SHRINK`] is set. Without it the object could be cut, which is SIGBUS for the reader,
    ///   and extended again, which is other bytes.
    /// - The mapping is shared and read-only, and cannot be made writable. A private mapping could: a
    ///   debugger's write, or `/proc/PID/mem`, would change a copy of a page. Here the kernel refuses
    ///   both.
    /// - The mapping is made after the seal. A page that [`isolate`](crate::Sealing::isolate) replaced
    ///   is written to by its old users, but is not the object's any more, and is not mapped here.
    /// - A seal of an object over a file has read the whole file before.
    ///
    /// Outside of that promise is what can write to any memory: root by `/dev/mem`, and, in kernels up
    /// to 7.3, an owner of an IOMMU (iommufd looks at no seals when it is given a memfd). A page that
    /// the hardware has lost, or that swap cannot read back, is SIGBUS.
    ///
    /// So may be a hole: its bytes are zeroes, but the first access takes a page, which is accounted and
    /// charged only then. Without memory that is SIGBUS (`vm.overcommit_memory=2`), or the OOM killer in
    /// the reader's memory cgroup. A sender can make an object large and leave it empty: a receiver
    /// limits the size, or uses [`read_at`](Object::read_at), to which a hole costs nothing.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if `Seals::WRITE` was not among the seals that were
    /// added here, or `Seals::SHRINK` is not set; [`OutOfMemory`](io::ErrorKind::OutOfMemory); `ENODEV`
    /// for an imported memfd of hugetlbfs.
    pub fn map(&self) -> io::Result<SealedMap> {
        if !self.confirmed.contains(Seals::WRITE) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "only an object that was sealed with Seals::WRITE here can be mapped safely",
            ));
        }
        if !self.object.seals()?.contains(Seals::SHRINK) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "only an object that is sealed with Seals::SHRINK can be mapped safely: it could be \
                 cut off",
            ));
        }
        SealedMap::new(&self.object)
    }
}

impl From<Sealed> for Object {
    fn from(sealed: Sealed) -> Self {
        sealed.object
    }
}

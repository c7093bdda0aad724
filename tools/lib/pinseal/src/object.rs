// SPDX-License-Identifier: MIT OR Apache-2.0

//! An object, by one of its descriptors.

use crate::{
    Info, Mapping, Options, Pinning, Pins, Removal, Sealing, Seals, abi,
    mapping::Access,
    pin::{self, PinHandle},
    pins,
};
use rustix::fs::OFlags;
use std::{
    fmt,
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    ops::Range,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd},
        unix::fs::FileExt,
    },
};

/// A descriptor of an object of `/dev/pinseal`: shared memory that can be sealed.
///
/// It is read and written like a file ([`Read`], [`Write`], [`Seek`],
/// [`read_at`](Self::read_at), [`write_all_at`](Self::write_all_at)), or mapped ([`map`](Self::map)).
/// It is passed to other programs as any descriptor: [`AsFd`] and `Into<OwnedFd>` there,
/// `TryFrom<OwnedFd>` here.
///
/// All errors but those of seals are [`io::Error`], with the kernel's `errno`.
#[derive(Debug)]
pub struct Object(abi::Descriptor);

impl Object {
    /// Makes an object with memory of its own, of that size. [`Options`] knows more ways.
    ///
    /// # Errors
    ///
    /// Those of [`Options::create`].
    pub fn new(size: u64) -> io::Result<Self> {
        Options::new().size(size).create()
    }

    /// How an object is made.
    pub fn options() -> Options {
        Options::new()
    }

    pub(crate) fn descriptor(&self) -> &abi::Descriptor {
        &self.0
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

    /// The size in bytes.
    ///
    /// # Errors
    ///
    /// None is expected.
    pub fn len(&self) -> io::Result<u64> {
        Ok(self.info()?.size)
    }

    /// Whether the size is 0.
    ///
    /// # Errors
    ///
    /// None is expected.
    pub fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Sets the size, as [`File::set_len`] does. Pins of pages that go do not matter; see
    /// [`resize`](Self::resize).
    ///
    /// # Errors
    ///
    /// `EINVAL` if the descriptor is not open for writing; `EPERM` if a seal forbids it; `EFBIG`,
    /// `ENOMEM`.
    pub fn set_len(&self, size: u64) -> io::Result<()> {
        self.0.call(&mut abi::Resize {
            size,
            ..Default::default()
        })
    }

    /// Sets the size once no page that goes is in use.
    pub fn resize(&self, size: u64) -> Removal<'_> {
        Removal::of_size(self, size)
    }

    /// Frees the memory of a range of bytes, which is zeroes then, once no page of it is in use.
    pub fn punch_hole(&self, bytes: Range<u64>) -> Removal<'_> {
        Removal::of_range(self, bytes)
    }

    /// Reserves memory for a range of bytes, and makes the object as large as that.
    ///
    /// # Errors
    ///
    /// `EBADF` if the descriptor is not open for writing; `EINVAL` for an empty range; `EPERM` if a
    /// seal forbids it; `ENOSPC`, `ENOMEM`.
    pub fn allocate(&self, bytes: Range<u64>) -> io::Result<()> {
        self.0.call(&mut abi::Fallocate {
            offset: bytes.start,
            len: bytes.end.saturating_sub(bytes.start),
            ..Default::default()
        })
    }

    /// Reads at an offset, as [`FileExt::read_at`] does.
    ///
    /// # Errors
    ///
    /// As for a file.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.file().read_at(buffer, offset)
    }

    /// Fills the buffer from an offset on.
    ///
    /// # Errors
    ///
    /// As for a file; [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if the object ends before.
    pub fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.file().read_exact_at(buffer, offset)
    }

    /// Writes at an offset, as [`FileExt::write_at`] does.
    ///
    /// # Errors
    ///
    /// As for a file; `EPERM` if a seal forbids it. A write waits while the object is being sealed.
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.0.file().write_at(bytes, offset)
    }

    /// Writes all of it at an offset.
    ///
    /// # Errors
    ///
    /// As for [`write_at`](Self::write_at).
    pub fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.file().write_all_at(bytes, offset)
    }

    /// Writes what changed to the file below ([`Options::attach`]).
    ///
    /// # Errors
    ///
    /// Those of the file, once for each descriptor; `ESTALE` if the file was truncated by others;
    /// `EROFS` with [`Lower::ReadOnly`](crate::Lower::ReadOnly).
    pub fn sync(&self) -> io::Result<()> {
        self.0.file().sync_all()
    }

    /// Maps the object shared, for reading and writing. Such a mapping is in the way of a seal for
    /// writing until it is dropped.
    ///
    /// # Errors
    ///
    /// `EACCES` if the descriptor is not open for writing; `EPERM` if the object is sealed for
    /// writing; `EBUSY` while it is being sealed; `ENODEV` for an imported memfd of hugetlbfs.
    pub fn map(&self) -> io::Result<Mapping> {
        Mapping::new(self, Access::Write)
    }

    /// Maps the object shared, for reading. Through a descriptor that is open for writing, such a
    /// mapping is in the way of a seal too, since `mprotect()` could make it writable.
    ///
    /// # Errors
    ///
    /// As for [`map`](Self::map).
    pub fn map_read_only(&self) -> io::Result<Mapping> {
        Mapping::new(self, Access::Read)
    }

    /// Adds seals, once [`run`](Sealing::run) or [`start`](Sealing::start) is called on the value that is
    /// returned. Before that it takes a [`timeout`](Sealing::timeout), and says what happens to pages in
    /// use ([`revoke`](Sealing::revoke), [`isolate`](Sealing::isolate)) and to writable mappings
    /// ([`wait_mapped`](Sealing::wait_mapped)). The object is part of the result, also of an error.
    pub fn seal(self, seals: Seals) -> Sealing {
        Sealing::new(self, seals)
    }

    /// Lists all folios that have extra references: a snapshot.
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

    /// Pins pages as a device does, once [`take`](Pinning::take) is called on the value that is returned.
    /// Before that it takes the terms of a lease ([`leased`](Pinning::leased)), makes the pin
    /// [`read_only`](Pinning::read_only), or lets it [`wait`](Pinning::wait) for a page that must be moved.
    pub fn pin(&self, pages: Range<u64>) -> Pinning<'_> {
        Pinning::new(self, pages)
    }

    /// A handle that pins nothing, and gives access to what a mapping of the object shows of these
    /// pages at that moment.
    ///
    /// # Errors
    ///
    /// `EFAULT` if the mapping does not show the pages; `EOPNOTSUPP` if the kernel has no mirrors.
    pub fn mirror(&self, mapping: &Mapping, pages: Range<u64>) -> io::Result<PinHandle> {
        pin::mirror(self, mapping, pages)
    }

    /// Opens the memory as a descriptor that programs and the kernel take for one of a memfd. It shows
    /// the seals, and the kernel enforces them.
    ///
    /// # Errors
    ///
    /// `EPERM` if this descriptor is not open for reading and writing; `EOPNOTSUPP` for an object over
    /// a file; `EBUSY` while a mapping shows pages elsewhere than at their place.
    pub fn export(&self) -> io::Result<OwnedFd> {
        Ok(self.0.open_by(&mut abi::Export::default())?.into_fd())
    }

    /// The same, open for reading only.
    ///
    /// # Errors
    ///
    /// As for [`export`](Self::export).
    pub fn export_read_only(&self) -> io::Result<OwnedFd> {
        let mut export = abi::Export {
            flags: abi::EXPORT_RDONLY,
            pad: 0,
        };
        Ok(self.0.open_by(&mut export)?.into_fd())
    }

    /// Opens the object once more, with a position of its own.
    ///
    /// # Errors
    ///
    /// `EPERM` if this descriptor is not open for reading and writing; for a created memfd also
    /// `ETXTBSY` while it is executed.
    pub fn reopen(&self) -> io::Result<Self> {
        self.reopen_with(OFlags::RDWR)
    }

    /// Opens the object once more, for reading only.
    ///
    /// # Errors
    ///
    /// None is expected.
    pub fn reopen_read_only(&self) -> io::Result<Self> {
        self.reopen_with(OFlags::RDONLY)
    }

    fn reopen_with(&self, access: OFlags) -> io::Result<Self> {
        let mut reopen = abi::Reopen {
            flags: access.bits(),
            pad: 0,
        };
        Ok(Self(self.0.open_by(&mut reopen)?))
    }

    /// Another descriptor of the same open file, as `dup()` makes.
    ///
    /// # Errors
    ///
    /// `EMFILE`.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self(self.0.try_clone()?))
    }

    /// Whether this descriptor is open for writing.
    ///
    /// # Errors
    ///
    /// None is expected.
    pub fn is_writable(&self) -> io::Result<bool> {
        self.0.is_writable()
    }
}

impl From<abi::Descriptor> for Object {
    fn from(descriptor: abi::Descriptor) -> Self {
        Self(descriptor)
    }
}

impl AsFd for Object {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.file().as_fd()
    }
}

impl AsRawFd for Object {
    fn as_raw_fd(&self) -> RawFd {
        self.0.file().as_raw_fd()
    }
}

impl IntoRawFd for Object {
    fn into_raw_fd(self) -> RawFd {
        self.0.into_fd().into_raw_fd()
    }
}

impl From<Object> for OwnedFd {
    fn from(object: Object) -> Self {
        object.0.into_fd()
    }
}

impl From<Object> for File {
    fn from(object: Object) -> Self {
        object.0.into_fd().into()
    }
}

/// Takes a descriptor that another program has passed, if it is one of an object. A file of another
/// kind that only answers like an object is refused.
impl TryFrom<OwnedFd> for Object {
    type Error = WrongDescriptor;

    fn try_from(fd: OwnedFd) -> Result<Self, WrongDescriptor> {
        match abi::Descriptor::check(fd) {
            Ok(descriptor) => Ok(Self(descriptor)),
            Err((fd, error)) => Err(WrongDescriptor { fd, error }),
        }
    }
}

/// The descriptor is not one of an object, or of a pin handle. [`into_fd`](Self::into_fd) gives it back.
#[derive(Debug)]
pub struct WrongDescriptor {
    pub(crate) fd: OwnedFd,
    pub(crate) error: io::Error,
}

impl WrongDescriptor {
    /// The descriptor.
    pub fn into_fd(self) -> OwnedFd {
        self.fd
    }

    /// What is wrong.
    pub fn error(&self) -> &io::Error {
        &self.error
    }
}

impl fmt::Display for WrongDescriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for WrongDescriptor {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

impl From<WrongDescriptor> for io::Error {
    fn from(wrong: WrongDescriptor) -> Self {
        wrong.error
    }
}

impl Read for Object {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.file_mut().read(buffer)
    }
}

impl Write for Object {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.file_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Object {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.file_mut().seek(to)
    }
}

impl Read for &Object {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.file().read(buffer)
    }
}

impl Write for &Object {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.file().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for &Object {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.file().seek(to)
    }
}

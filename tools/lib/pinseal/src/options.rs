// SPDX-License-Identifier: MIT OR Apache-2.0

//! How an object is made.

use crate::{Object, abi};
use std::{
    io,
    os::fd::{AsFd, AsRawFd},
};

/// How an object is made: its name, its size, where its memory comes from.
///
/// ```no_run
#[doc = include_str!("../examples/doc_options.rs")]
/// ```
///
/// # Errors
///
/// All of the calls that make an object fail with [`NotFound`](io::ErrorKind::NotFound) where there is
/// no `/dev/pinseal`, with [`PermissionDenied`](io::ErrorKind::PermissionDenied) where it may not be
/// opened, and with [`InvalidInput`](io::ErrorKind::InvalidInput) for a name that is too long. As with
/// [`File::open`](std::fs::File::open), the error does not name the device: the caller adds that.
#[derive(Clone, Debug, Default)]
pub struct Options {
    name: Option<String>,
    size: u64,
    read_only: bool,
    memfd: Option<Memfd>,
}

/// What kind of memfd an object is; see *memfd_create(2)*.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memfd {
    /// Programs that know only memfd may add seals with `F_ADD_SEALS`.
    pub allow_sealing: bool,
    /// Whether it can be executed.
    pub exec: Exec,
}

/// Whether a memfd can be executed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Exec {
    /// As the system is set up (`vm.memfd_noexec`).
    #[default]
    Default,
    /// It can (`MFD_EXEC`).
    Allowed,
    /// It cannot, and never will (`MFD_NOEXEC_SEAL`). Others may add seals.
    Sealed,
}

/// How an object over a file treats the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lower {
    /// `fsync()` of the object writes what changed to the file.
    #[default]
    SyncOnDemand,
    /// So does closing a descriptor of the object.
    SyncOnClose,
    /// The file is only read.
    ReadOnly,
}

impl Options {
    /// An empty object without a name, for reading and writing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the name that shows in `/proc/PID/maps` and in fdinfo: at most 63 bytes, without control
    /// characters.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the size in bytes. Only [`create`](Self::create) uses it.
    pub fn size(mut self, size: u64) -> Self {
        self.size = size;
        self
    }

    /// Returns a descriptor that is open for reading only, once the object is made.
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// Makes an object that is a memfd to the kernel and to every program. All that this crate does
    /// works on it as well. Only [`create`](Self::create) can do that.
    pub fn memfd(mut self, memfd: Memfd) -> Self {
        self.memfd = Some(memfd);
        self
    }

    /// Makes an object with memory of its own.
    ///
    /// # Errors
    ///
    /// See [`Options`]; also [`OutOfMemory`](io::ErrorKind::OutOfMemory), and `EACCES` for
    /// [`Exec::Allowed`] where the system forbids that.
    pub fn create(&self) -> io::Result<Object> {
        match self.memfd {
            None => self.finish(self.open()?, |object| self.set_size(object)),
            Some(_) => self.create_memfd(&abi::Descriptor::open(false)?),
        }
    }

    /// Makes an object that is a memfd ([`memfd`](Self::memfd)) by a descriptor of any other object: a
    /// program without access to `/dev/pinseal` can do that with one that it was given.
    ///
    /// # Errors
    ///
    /// As for [`create`](Self::create).
    pub fn create_beside(&self, object: &Object) -> io::Result<Object> {
        self.create_memfd(object.descriptor())
    }

    /// Makes an object whose memory is an existing memfd, which must be open for reading and writing,
    /// and not have [`Seals::SEAL`](crate::Seals::SEAL). It counts for a seal what is done through other
    /// descriptors of the memfd, and they show its seals.
    ///
    /// # Errors
    ///
    /// See [`Options`]. [`InvalidInput`](io::ErrorKind::InvalidInput) if it is no memfd;
    /// [`PermissionDenied`](io::ErrorKind::PermissionDenied) if it cannot be sealed, or lies in a
    /// mounted file system; `ETXTBSY` while it is executed; `EAGAIN` while a file lease is held on it.
    pub fn import(&self, memfd: impl AsFd) -> io::Result<Object> {
        self.import_into(self.open()?, memfd)
    }

    /// The same with a new object.
    pub(crate) fn import_into(&self, object: Object, memfd: impl AsFd) -> io::Result<Object> {
        self.finish(object, |object| {
            object.descriptor().call(&mut abi::Import {
                fd: memfd.as_fd().as_raw_fd(),
                flags: 0,
            })
        })
    }

    /// Makes an object over a file on a disk or in tmpfs, with its size and content. Pages are read when
    /// they are touched, and are copies from then on.
    ///
    /// # Errors
    ///
    /// See [`Options`]. [`InvalidInput`](io::ErrorKind::InvalidInput) if it is no regular file;
    /// `EBADF` if it is not open for reading, or not for writing without [`Lower::ReadOnly`];
    /// [`Unsupported`](io::ErrorKind::Unsupported) for other file systems than ext4, XFS, btrfs and
    /// tmpfs, and if a program is asked before the file is read (fanotify).
    pub fn attach(&self, file: impl AsFd, lower: Lower) -> io::Result<Object> {
        self.finish(self.open()?, |object| {
            object.descriptor().call(&mut abi::Attach {
                fd: file.as_fd().as_raw_fd(),
                flags: match lower {
                    Lower::SyncOnDemand => 0,
                    Lower::SyncOnClose => abi::ATTACH_SYNC_ON_CLOSE,
                    Lower::ReadOnly => abi::ATTACH_RDONLY,
                },
            })
        })
    }

    /// A new object with the name.
    fn open(&self) -> io::Result<Object> {
        let descriptor = abi::Descriptor::open(true)?;
        if let Some(name) = &self.name {
            descriptor.call(&mut abi::Name {
                name: abi::name(name)?,
            })?;
        }
        Ok(Object::from(descriptor))
    }

    fn create_memfd(&self, by: &abi::Descriptor) -> io::Result<Object> {
        let memfd = self.memfd.unwrap_or_default();
        let mut flags = match memfd.exec {
            Exec::Default => 0,
            Exec::Allowed => abi::CREATE_EXEC,
            Exec::Sealed => abi::CREATE_NOEXEC_SEAL,
        };
        if memfd.allow_sealing {
            flags |= abi::CREATE_ALLOW_SEALING;
        }
        let descriptor = by.open_by(&mut abi::Create {
            flags,
            pad: 0,
            name: abi::name(self.name.as_deref().unwrap_or_default())?,
        })?;
        self.finish(Object::from(descriptor), |object| self.set_size(object))
    }

    fn set_size(&self, object: &Object) -> io::Result<()> {
        match self.size {
            0 => Ok(()),
            size => object.set_len(size),
        }
    }

    fn finish(
        &self,
        object: Object,
        fill: impl FnOnce(&Object) -> io::Result<()>,
    ) -> io::Result<Object> {
        fill(&object)?;
        match self.read_only {
            true => object.reopen_read_only(),
            false => Ok(object),
        }
    }
}

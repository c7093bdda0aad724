// SPDX-License-Identifier: MIT OR Apache-2.0

//! Sealing any memfd, with the module or without.

use crate::{Object, Options, SealError, Sealed, Seals, abi};
use rustix::{
    fs::{SealFlags, fcntl_add_seals},
    io::Errno,
};
use std::{
    fmt, io,
    os::fd::AsFd,
    thread,
    time::{Duration, Instant},
};

/// What a seal waits if its timeout is not set.
const DEFAULT_TIMEOUT: Duration = Duration::from_millis(150);

/// The pause between two tries of `F_ADD_SEALS`, which itself waits for pins up to 150 ms.
const PAUSE: Duration = Duration::from_millis(2);

/// Seals a memfd: by pinseal where there is the module, else by the kernel's `F_ADD_SEALS`, which is
/// tried again until the deadline. The result says which it was.
///
/// There is no module where `/dev/pinseal` cannot be opened, for whatever reason but a lack of
/// descriptors or memory, or is another device. Where there is one, what it refuses is an error.
///
/// ```no_run
#[doc = include_str!("../examples/doc_seal_fd.rs")]
/// ```
pub fn seal_fd<Fd: AsFd>(fd: Fd, seals: Seals) -> FdSealing<Fd> {
    FdSealing {
        fd,
        seals,
        timeout: DEFAULT_TIMEOUT,
    }
}

/// How to seal a memfd. Nothing happens until [`run`](Self::run). For all that the module can do, use
/// [`Options::import`] and [`Object::seal`].
#[must_use = "nothing is sealed until run()"]
#[derive(Debug)]
pub struct FdSealing<Fd> {
    fd: Fd,
    seals: Seals,
    timeout: Duration,
}

/// What sealed a memfd.
#[derive(Debug)]
pub enum SealedBy {
    /// Pinseal: nothing can write to it.
    Module(Sealed),
    /// `F_ADD_SEALS`. Its look at the pages can miss a pin, so there is no safe mapping of the memfd.
    /// Pinseal could not be used for this reason.
    Kernel(io::Error),
}

impl SealedBy {
    /// What pinseal sealed, to map it, say. It keeps the memfd in use: it cannot be executed meanwhile.
    pub fn module(self) -> Option<Sealed> {
        match self {
            Self::Module(sealed) => Some(sealed),
            Self::Kernel(_) => None,
        }
    }
}

/// Why a memfd was not sealed.
#[derive(Debug)]
#[non_exhaustive]
pub enum SealFdError {
    /// Pinseal says why.
    Module(SealError),
    /// `F_ADD_SEALS` failed, or pinseal has refused the memfd.
    Kernel(io::Error),
}

impl<Fd: AsFd> FdSealing<Fd> {
    /// Sets the longest wait, 150 ms without this call. A last try of `F_ADD_SEALS` may take 150 ms more.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Seals the memfd.
    ///
    /// # Errors
    ///
    /// [`SealFdError::Module`] with the report if pinseal has tried. [`SealFdError::Kernel`] with
    /// [`PermissionDenied`](io::ErrorKind::PermissionDenied) if the memfd cannot be sealed or is not open
    /// for writing; [`InvalidInput`](io::ErrorKind::InvalidInput) if it is none; `ETXTBSY` and `EAGAIN` as
    /// for [`Options::import`]; [`ResourceBusy`](io::ErrorKind::ResourceBusy) from `F_ADD_SEALS`, which
    /// does not say what is busy.
    pub fn run(self) -> Result<SealedBy, SealFdError> {
        let clone = self.fd.as_fd().try_clone_to_owned();
        let object = match Object::try_from(clone.map_err(SealFdError::Kernel)?) {
            Ok(object) => object,
            Err(_) => match abi::Descriptor::open(true) {
                Ok(device) => Options::new()
                    .import_into(device.into(), &self.fd)
                    .map_err(SealFdError::Kernel)?,
                Err(error) if is_lack(&error) => return Err(SealFdError::Kernel(error)),
                Err(reason) => {
                    self.add_seals().map_err(SealFdError::Kernel)?;
                    return Ok(SealedBy::Kernel(reason));
                }
            },
        };
        object
            .seal(self.seals)
            .timeout(self.timeout)
            .run()
            .map(SealedBy::Module)
            .map_err(SealFdError::Module)
    }

    fn add_seals(&self) -> io::Result<()> {
        let seals = SealFlags::from_bits_retain(self.seals.bits());
        let start = Instant::now();
        loop {
            match fcntl_add_seals(&self.fd, seals) {
                Err(Errno::BUSY) if start.elapsed() < self.timeout => thread::sleep(PAUSE),
                result => return Ok(result?),
            }
        }
    }
}

/// Whether the device could perhaps be opened later, and does not miss.
fn is_lack(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::INTR)
    )
}

impl fmt::Display for SealFdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Module(error) => error.fmt(f),
            Self::Kernel(error) => write!(f, "the memfd was not sealed: {error}"),
        }
    }
}

impl std::error::Error for SealFdError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(match self {
            Self::Module(error) => error,
            Self::Kernel(error) => error,
        })
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0

//! Descriptors of other processes.

use crate::exit::{Exit, Failure, Result};
use pinseal::{Info, Look, Object, Options, Pins, Seals};
use rustix::{
    fs::{OFlags, SealFlags, fcntl_get_seals, fcntl_getfl},
    io::Errno,
    process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open},
};
use std::{
    fmt, io,
    ops::Range,
    os::fd::{AsRawFd, OwnedFd, RawFd},
    str::FromStr,
};

/// `PIDFD_THREAD`: a thread may have descriptors of its own.
const THREAD: PidfdFlags = PidfdFlags::from_bits_retain(OFlags::EXCL.bits());

/// A descriptor of a process, PID:FD, or of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) pid: i32,
    pub(crate) fd: RawFd,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let numbers = text.split_once(':').and_then(|(pid, fd)| {
            let (pid, fd) = (pid.parse().ok()?, fd.parse().ok()?);
            (pid > 0 && fd >= 0).then_some(Self { pid, fd })
        });
        numbers.ok_or_else(|| "it is PID:FD, as `pinsealctl ls` shows them".to_owned())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.pid, self.fd)
    }
}

impl Target {
    /// A descriptor of this process.
    pub(crate) fn own(fd: &impl AsRawFd) -> Self {
        Self {
            pid: std::process::id() as i32,
            fd: fd.as_raw_fd(),
        }
    }

    /// A descriptor of the same open file.
    pub(crate) fn open(self) -> Result<OwnedFd> {
        let Self { pid, fd } = self;
        let open = || {
            let pid = Pid::from_raw(pid).ok_or(Errno::SRCH)?;
            // Before Linux 6.9, the number of a thread is none.
            let pidfd =
                pidfd_open(pid, THREAD).or_else(|_| pidfd_open(pid, PidfdFlags::empty()))?;
            pidfd_getfd(pidfd, fd, PidfdGetfdFlags::empty())
        };
        open().map_err(|errno| match errno {
            Errno::SRCH | Errno::INVAL => {
                Failure::new(Exit::System, format!("there is no process {pid}"))
            }
            Errno::BADF => Failure::new(
                Exit::System,
                format!("process {pid} has no descriptor {fd}"),
            ),
            Errno::PERM | Errno::ACCESS => Failure::new(
                Exit::NotPermitted,
                format!(
                    "process {pid} may not be looked into: do that as root, or as its user if \
                     kernel.yama.ptrace_scope is 0"
                ),
            ),
            errno => Failure::of(self, &errno.into()),
        })
    }

    /// The memory of the descriptor, to be looked at.
    pub(crate) fn memory(self) -> Result<Memory> {
        let fd = self.open()?;
        let refused = match Object::try_from(fd) {
            Ok(object) => return Ok(Memory::Object(object)),
            Err(refused) => refused,
        };
        let fd = refused.into_fd();
        match Look::new(&fd) {
            Ok(look) => Ok(Memory::Other(look, fd)),
            Err(error) => Err(self.refused(&error)),
        }
    }

    /// An object with the memory of the descriptor, to be sealed.
    pub(crate) fn object(self) -> Result<Object> {
        let fd = self.open()?;
        Object::try_from(fd).or_else(|refused| {
            let fd = refused.into_fd();
            Options::new()
                .import(&fd)
                .map_err(|error| match Errno::from_io_error(&error) {
                    Some(Errno::PERM) => Failure::new(Exit::NotPermitted, self.unsealable(&fd)),
                    _ => self.refused(&error),
                })
        })
    }

    /// The object that the descriptor is of, to be sealed in the background: an object that this
    /// process imports ends with it.
    pub(crate) fn existing_object(self) -> Result<Object> {
        Object::try_from(self.open()?).map_err(|_| {
            Failure::new(
                Exit::System,
                format!(
                    "{self} is no object, so it is not sealed in the background, but while this \
                     command runs: leave out --async and --cancel"
                ),
            )
        })
    }

    /// Why memory that is no object cannot be sealed.
    fn unsealable(self, fd: &OwnedFd) -> String {
        let seals = fcntl_get_seals(fd);
        let writable = fcntl_getfl(fd).is_ok_and(|flags| flags & OFlags::ACCMODE == OFlags::RDWR);
        match seals {
            Ok(seals) if seals.contains(SealFlags::SEAL) => format!(
                "{self} takes no seals: it has the seal \"seal\", as a memfd without \
                 MFD_ALLOW_SEALING and a file of tmpfs have from the beginning"
            ),
            Ok(_) if !writable => {
                format!("{self} is not open for reading and writing, as sealing needs it")
            }
            _ => format!("{self} may not be sealed"),
        }
    }

    /// Why it is no memory for us.
    fn refused(self, error: &io::Error) -> Failure {
        match Errno::from_io_error(error) {
            Some(Errno::INVAL) => Failure::new(
                Exit::System,
                format!("{self} is neither an object of /dev/pinseal nor a memfd"),
            ),
            Some(Errno::PERM) => Failure::new(
                Exit::NotPermitted,
                format!("{self} is not open for reading"),
            ),
            Some(Errno::TXTBSY | Errno::AGAIN) => Failure::of(self, error),
            _ => Failure::of_device(error),
        }
    }
}

/// Memory that can be looked at.
pub(crate) enum Memory {
    Object(Object),
    /// A memfd, or a file of tmpfs: its descriptor.
    Other(Look, OwnedFd),
}

impl Memory {
    /// The descriptor, as this process has it.
    pub(crate) fn own(&self) -> Target {
        match self {
            Self::Object(object) => Target::own(object),
            Self::Other(_, fd) => Target::own(fd),
        }
    }

    pub(crate) fn info(&self) -> io::Result<Info> {
        match self {
            Self::Object(object) => object.info(),
            Self::Other(look, _) => look.info(),
        }
    }

    pub(crate) fn seals(&self) -> io::Result<Seals> {
        match self {
            Self::Object(object) => object.seals(),
            Self::Other(look, _) => look.seals(),
        }
    }

    pub(crate) fn pins(&self, pages: Range<u64>) -> io::Result<Pins> {
        match self {
            Self::Object(object) => object.pins_of(pages),
            Self::Other(look, _) => look.pins_of(pages),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_two_numbers() {
        assert_eq!("12:3".parse(), Ok(Target { pid: 12, fd: 3 }));
        for wrong in [
            "", "12", "12:", ":3", "0:3", "-1:3", "12:-3", "1:2:3", "a:b",
        ] {
            assert!(wrong.parse::<Target>().is_err(), "{wrong}");
        }
    }
}

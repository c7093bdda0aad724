// SPDX-License-Identifier: MIT OR Apache-2.0

//! Exit codes, and errors that lead to them.

use pinseal::Outcome;
use rustix::io::Errno;
use std::{fmt, io, process::ExitCode};

/// How the program ends. Wrong usage, 2, is clap's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    Done = 0,
    System = 1,
    WritableMapping = 3,
    Held = 4,
    NoMemory = 5,
    Pending = 6,
    Cancelled = 7,
    NoDevice = 69,
    NotPermitted = 77,
    Interrupted = 130,
}

impl Exit {
    /// This end of a command that has printed something, also if no one reads that.
    pub(crate) fn after(self, printed: Result<()>) -> Result<Self> {
        match printed {
            Err(failure) if failure.exit != Exit::Done => Err(failure),
            _ => Ok(self),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

impl From<Outcome> for Exit {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Sealed => Exit::Done,
            Outcome::WritableMapping => Exit::WritableMapping,
            Outcome::Pinned | Outcome::LargeFolio => Exit::Held,
            Outcome::NoMemory => Exit::NoMemory,
            Outcome::Pending => Exit::Pending,
            Outcome::Cancelled => Exit::Cancelled,
            Outcome::Interrupted => Exit::Interrupted,
            _ => Exit::System,
        }
    }
}

/// Why a command could not do its work.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    /// One line; empty if all is said.
    message: String,
}

pub(crate) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
        }
    }

    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// An error of a call, and what it was about.
    pub(crate) fn of(what: impl fmt::Display, error: &io::Error) -> Self {
        Self::new(exit_of(error), format!("{what}: {error}"))
    }

    /// What was to be printed could not be.
    pub(crate) fn of_output(error: &io::Error) -> Self {
        match error.kind() {
            // Who reads has enough.
            io::ErrorKind::BrokenPipe => Self::new(Exit::Done, ""),
            _ => Self::of("output", error),
        }
    }

    /// An error of the device itself.
    pub(crate) fn of_device(error: &io::Error) -> Self {
        const DEVICE: &str = "/dev/pinseal";
        match Errno::from_io_error(error) {
            Some(Errno::NOENT | Errno::NODEV | Errno::NXIO) => Self::new(
                Exit::NoDevice,
                format!("there is no {DEVICE}: load the module (modprobe pinseal)"),
            ),
            Some(Errno::ACCESS) => Self::new(
                Exit::NotPermitted,
                format!("{DEVICE} may not be opened: its mode and owner say by whom"),
            ),
            None if error.kind() == io::ErrorKind::InvalidInput => {
                Self::new(Exit::NoDevice, format!("{DEVICE} is another device"))
            }
            _ => Self::of(DEVICE, error),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

fn exit_of(error: &io::Error) -> Exit {
    match error.kind() {
        io::ErrorKind::PermissionDenied => Exit::NotPermitted,
        io::ErrorKind::OutOfMemory => Exit::NoMemory,
        _ => Exit::System,
    }
}

/// Prints an error.
pub(crate) fn report(ended: Result<Exit>) -> Exit {
    match ended {
        Ok(exit) => exit,
        Err(failure) => {
            if !failure.message.is_empty() {
                anstream::eprintln!("pinsealctl: {failure}");
            }
            failure.exit
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_manual() {
        let code = |outcome| Exit::from(outcome) as u8;
        assert_eq!(code(Outcome::Sealed), 0);
        assert_eq!(code(Outcome::NotFilled), 1);
        assert_eq!(code(Outcome::WritableMapping), 3);
        assert_eq!(code(Outcome::Pinned), 4);
        assert_eq!(code(Outcome::LargeFolio), 4);
        assert_eq!(code(Outcome::NoMemory), 5);
        assert_eq!(code(Outcome::Pending), 6);
        assert_eq!(code(Outcome::Cancelled), 7);
        assert_eq!(code(Outcome::Interrupted), 130);
    }

    #[test]
    fn errors_of_calls_have_codes() {
        let code = |errno: Errno| Failure::of("a call", &errno.into()).exit() as u8;
        assert_eq!(code(Errno::NOMEM), 5);
        assert_eq!(code(Errno::PERM), 77);
        assert_eq!(code(Errno::ACCESS), 77);
        assert_eq!(code(Errno::IO), 1);
        let code = |errno: Errno| Failure::of_device(&errno.into()).exit() as u8;
        assert_eq!(code(Errno::NOENT), 69);
        assert_eq!(code(Errno::ACCESS), 77);
    }

    #[test]
    fn a_closed_pipe_changes_no_code() {
        let printed = |errno: Errno| Err(Failure::of_output(&errno.into()));
        let code = |printed| report(Exit::Held.after(printed)) as u8;
        assert_eq!(code(Ok(())), 4);
        assert_eq!(code(printed(Errno::PIPE)), 4);
        assert_eq!(code(printed(Errno::NOSPC)), 1);
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0

//! A tracefs instance with the module's events.

use crate::exit::{Exit, Failure, Result};
use rustix::fs::{FsWord, OFlags, statfs};
use std::{
    fs::{self, File},
    io::{self, ErrorKind, Read},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::OpenOptionsExt,
    },
    path::{Path, PathBuf},
};

/// Where tracefs may be mounted.
const PLACES: &[&str] = &["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// A tracefs instance. It is removed with this.
pub(super) struct Instance {
    folder: PathBuf,
    /// Closed before the folder is removed.
    pipe: Option<File>,
    /// The beginning of a line whose end was not read yet.
    rest: String,
}

impl Instance {
    /// Makes an instance, and turns the module's events on.
    pub(super) fn new() -> Result<Self> {
        let tracefs = tracefs()?;
        let folder = tracefs
            .join("instances")
            .join(format!("pinsealctl-{}", std::process::id()));
        fs::create_dir(&folder).map_err(|error| match error.kind() {
            ErrorKind::PermissionDenied => not_permitted(),
            _ => failed(&folder, &error),
        })?;
        let mut instance = Self {
            folder,
            pipe: None,
            rest: String::new(),
        };
        let events = instance.folder.join("events/pinseal");
        if !events.exists() {
            return Err(Failure::new(
                Exit::NoDevice,
                "the kernel has no trace events of pinseal: load the module (modprobe pinseal)",
            ));
        }
        // The clock of the times in events.
        instance.write("trace_clock", "mono")?;
        instance.write("events/pinseal/enable", "1")?;
        let path = instance.folder.join("trace_pipe");
        let pipe = File::options()
            .read(true)
            .custom_flags(OFlags::NONBLOCK.bits() as i32)
            .open(&path)
            .map_err(|error| failed(&path, &error))?;
        instance.pipe = Some(pipe);
        Ok(instance)
    }

    fn write(&self, file: &str, text: &str) -> Result<()> {
        let path = self.folder.join(file);
        fs::write(&path, text).map_err(|error| failed(&path, &error))
    }

    fn pipe(&self) -> &File {
        self.pipe.as_ref().expect("it is open until the end")
    }

    /// The lines that are there. Does not wait.
    pub(super) fn read(&mut self) -> Result<Vec<String>> {
        let mut buffer = [0; 65536];
        loop {
            match self.pipe().read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => self.rest += &String::from_utf8_lossy(&buffer[..n]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                Err(error) => return Err(failed(&self.folder, &error)),
            }
        }
        let end = self.rest.rfind('\n').map_or(0, |at| at + 1);
        let lines = self.rest[..end].lines().map(str::to_owned).collect();
        self.rest.drain(..end);
        Ok(lines)
    }
}

impl AsFd for Instance {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe().as_fd()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.pipe = None;
        let _ = fs::write(self.folder.join("events/pinseal/enable"), "0");
        if let Err(error) = fs::remove_dir(&self.folder) {
            anstream::eprintln!("pinsealctl: {}", failed(&self.folder, &error));
        }
    }
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    Failure::of(path.display(), error)
}

fn not_permitted() -> Failure {
    Failure::new(
        Exit::NotPermitted,
        "tracefs may not be used: do that as root",
    )
}

fn tracefs() -> Result<PathBuf> {
    let mut refused = None;
    for place in PLACES {
        match fs::metadata(Path::new(place).join("instances")) {
            Ok(_) => return Ok(place.into()),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                refused = Some(not_permitted());
            }
            Err(_) if is_tracefs(place) => {
                refused = Some(Failure::new(
                    Exit::NotPermitted,
                    "tracefs is empty: start the kernel without lockdown=confidentiality",
                ));
            }
            Err(_) => (),
        }
    }
    Err(refused.unwrap_or_else(|| {
        Failure::new(
            Exit::System,
            "tracefs is not mounted: mount -t tracefs tracefs /sys/kernel/tracing",
        )
    }))
}

/// Whether tracefs is mounted there.
fn is_tracefs(place: &str) -> bool {
    const TRACEFS_MAGIC: FsWord = 0x7472_6163;
    statfs(place).is_ok_and(|file_system| file_system.f_type == TRACEFS_MAGIC)
}

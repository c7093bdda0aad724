// SPDX-License-Identifier: MIT OR Apache-2.0

//! Processes, as `/proc` shows them.

use crate::proc;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The inode number of the first PID namespace, which has all processes.
const FIRST_NAMESPACE: &str = "pid:[4026531836]";

/// All processes that can be seen but this one, in ascending order.
pub(super) fn others() -> io::Result<Vec<i32>> {
    let mut pids = proc::numbers(Path::new("/proc"))?;
    pids.retain(|&pid| is_other(pid));
    pids.sort_unstable();
    Ok(pids)
}

/// Whether it is not this process.
pub(super) fn is_other(pid: i32) -> bool {
    pid.unsigned_abs() != std::process::id()
}

/// Whether there may be processes that `/proc` does not show.
pub(super) fn are_others_elsewhere() -> bool {
    fs::read_link("/proc/self/ns/pid").is_ok_and(|link| link != Path::new(FIRST_NAMESPACE))
}

/// A file of a process.
pub(super) fn path(pid: i32, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{name}"))
}

/// What the fdinfo of a descriptor says: lines "NAME: VALUE".
#[derive(Debug)]
pub(super) struct FdInfo(String);

impl FdInfo {
    pub(super) fn of(pid: i32, fd: i32) -> Option<Self> {
        let text = fs::read(path(pid, &format!("fdinfo/{fd}"))).ok()?;
        Some(Self(String::from_utf8_lossy(&text).into_owned()))
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.trim(), value.trim()))
    }

    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.lines().find(|line| line.0 == name).map(|line| line.1)
    }

    /// Whether the descriptor is open for writing.
    pub(super) fn is_writable(&self) -> bool {
        let flags = self.value("flags");
        let flags = flags.and_then(|flags| u32::from_str_radix(flags, 8).ok());
        flags.is_some_and(|flags| flags & 0o3 != 0)
    }
}

#[cfg(test)]
impl From<&str> for FdInfo {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fdinfo_is_read() {
        let info = FdInfo::from("pos:\t0\nflags:\t02100002\nexp_name:\ta: b\n");
        assert_eq!(info.value("exp_name"), Some("a: b"));
        assert_eq!(info.value("name"), None);
        assert!(info.is_writable());
        assert!(!FdInfo::from("flags:\t02100000\n").is_writable());
    }
}

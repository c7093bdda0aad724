// SPDX-License-Identifier: MIT OR Apache-2.0

//! Which objects, pin handles and memfds processes have, as `/proc` tells.

use crate::{
    exit::{Exit, Failure, Result},
    target::Target,
};
use pinseal::Seals;
use rustix::{
    fs::{fcntl_get_seals, fstat},
    io::Errno,
};
use std::{fs, io, path::Path};

/// What the fdinfo of a descriptor of an object says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ObjectInfo {
    pub(crate) object: u64,
    /// The inode number of its memory.
    pub(crate) memory: Option<u64>,
    /// The major and minor number of that one's file system.
    pub(crate) memory_dev: Option<(u32, u32)>,
    pub(crate) size: u64,
    pub(crate) seals: Seals,
    pub(crate) name: String,
    pub(crate) pins: u64,
    pub(crate) leases: u64,
    pub(crate) protections: u64,
    pub(crate) remapped: u64,
    pub(crate) waiters: u64,
    /// The seals that are being added in the background.
    pub(crate) sealing: Option<Seals>,
}

/// What a handle does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HandleKind {
    Pin,
    Lease,
    Mirror,
}

/// What the fdinfo of a handle says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HandleInfo {
    pub(crate) object: u64,
    pub(crate) start: u64,
    pub(crate) pages: u64,
    pub(crate) kind: HandleKind,
    /// The state of a lease.
    pub(crate) state: Option<String>,
}

/// A descriptor of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Descriptor {
    Object(ObjectInfo),
    Handle(HandleInfo),
}

impl Descriptor {
    /// Reads what fdinfo says; `None` for what is not ours.
    fn parse(fdinfo: &str) -> Option<Self> {
        let value = |key: &str| {
            fdinfo
                .lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix(":\t"))
        };
        let number = |key| value(key)?.parse::<u64>().ok();
        let seals = |key| {
            let digits = value(key)?.strip_prefix("0x")?;
            Some(Seals::from_bits(u32::from_str_radix(digits, 16).ok()?))
        };
        let device = |key| {
            let (major, minor) = value(key)?.split_once(':')?;
            Some((major.parse().ok()?, minor.parse().ok()?))
        };
        let object = number("object")?;
        if let (Some(start), Some(pages)) = (number("start"), number("pages")) {
            let state = value("lease").map(str::to_owned);
            return Some(Self::Handle(HandleInfo {
                object,
                start,
                pages,
                kind: match (&state, value("mirror")) {
                    (Some(_), _) => HandleKind::Lease,
                    (None, Some(_)) => HandleKind::Mirror,
                    (None, None) => HandleKind::Pin,
                },
                state,
            }));
        }
        Some(Self::Object(ObjectInfo {
            object,
            memory: number("memory"),
            memory_dev: device("memory-dev"),
            size: number("size")?,
            seals: seals("seals")?,
            name: value("name")?.to_owned(),
            pins: number("pins")?,
            leases: number("leases")?,
            protections: number("protections").unwrap_or(0),
            remapped: number("remapped").unwrap_or(0),
            waiters: number("waiters")?,
            sealing: seals("sealing"),
        }))
    }

    /// That of a descriptor; `None` if it is not ours, or cannot be looked at.
    pub(crate) fn of(target: Target) -> Option<Self> {
        let path = format!("/proc/{}/fdinfo/{}", target.pid, target.fd);
        Self::parse(&String::from_utf8_lossy(&fs::read(path).ok()?))
    }
}

/// What can be seen of a memfd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MemfdInfo {
    /// The inode number of its memory.
    pub(crate) memory: u64,
    pub(crate) size: u64,
    pub(crate) seals: Seals,
    pub(crate) name: String,
}

impl MemfdInfo {
    /// That of a descriptor; `None` if it is no memfd.
    pub(crate) fn of(target: Target) -> Result<Option<Self>> {
        let link = link(target);
        let Some(name) = memfd_name(&link) else {
            return Ok(None);
        };
        // A descriptor of the same open file: to open the file again would break leases of it.
        let fd = target.open()?;
        let failed = |errno: Errno| Failure::of(target, &errno.into());
        let stat = fstat(&fd).map_err(failed)?;
        Ok(Some(Self {
            memory: stat.st_ino,
            size: stat.st_size.try_into().unwrap_or(0),
            seals: Seals::from_bits(fcntl_get_seals(&fd).map_err(failed)?.bits()),
            name: name.to_owned(),
        }))
    }
}

/// What a descriptor is called; nothing if it cannot be looked at.
pub(crate) fn link(target: Target) -> String {
    fs::read_link(format!("/proc/{}/fd/{}", target.pid, target.fd))
        .map(|link| link.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// The name of a memfd that a link of `/proc/PID/fd` leads to.
fn memfd_name(link: &str) -> Option<&str> {
    let name = link.strip_prefix("/memfd:")?;
    Some(name.strip_suffix(" (deleted)").unwrap_or(name))
}

/// A descriptor, and the name of its process.
pub(crate) struct Found<T> {
    pub(crate) target: Target,
    pub(crate) command: String,
    pub(crate) what: T,
}

/// The descriptors that can be seen, as far as they are of interest.
pub(crate) struct Scan<T> {
    pub(crate) found: Vec<Found<T>>,
    /// Processes that may not be looked into.
    pub(crate) hidden: u64,
    /// Whether there may be more of them.
    pub(crate) hidepid: bool,
}

/// Looks at the descriptors of all processes, or of one. What ends meanwhile is left out.
pub(crate) fn scan<T>(
    pid: Option<i32>,
    look: impl Fn(Target) -> Result<Option<T>>,
) -> Result<Scan<T>> {
    let mut pids = match pid {
        Some(pid) => vec![pid],
        None => numbers(Path::new("/proc")).map_err(|error| Failure::of("/proc", &error))?,
    };
    pids.sort_unstable();
    let mut scan = Scan {
        found: Vec::new(),
        hidden: 0,
        hidepid: hides_processes(),
    };
    for pid in pids.into_iter().map(thread) {
        let folder = format!("/proc/{pid}/fd");
        let mut fds = match numbers(Path::new(&folder)) {
            Ok(fds) => fds,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                scan.hidden += 1;
                continue;
            }
            Err(_) => continue,
        };
        fds.sort_unstable();
        let mut refused = false;
        for fd in fds {
            let target = Target { pid, fd };
            match look(target) {
                Ok(Some(what)) => scan.found.push(Found {
                    target,
                    command: command(pid),
                    what,
                }),
                Ok(None) => (),
                Err(failure) => refused |= failure.exit() == Exit::NotPermitted,
            }
        }
        scan.hidden += u64::from(refused);
    }
    Ok(scan)
}

/// Whether `/proc` leaves out processes of other users: the option `hidepid` of its mount.
pub(crate) fn hides_processes() -> bool {
    !Path::new("/proc/1").exists()
}

/// Whether `/proc` has processes by the numbers of another PID namespace than that of this program.
pub(crate) fn is_strange() -> bool {
    match fs::read_link("/proc/self") {
        Ok(own) => own.to_str() != Some(&std::process::id().to_string()),
        // This one has no number there.
        Err(_) => Path::new("/proc/version").exists(),
    }
}

/// The thread of a process by which it is looked into: the first, which has its number, or another one if
/// that has ended before the rest.
pub(crate) fn thread(pid: i32) -> i32 {
    if !has_ended(pid) {
        return pid;
    }
    let mut threads = numbers(Path::new(&format!("/proc/{pid}/task"))).unwrap_or_default();
    threads.sort_unstable();
    let living = threads.into_iter().find(|&thread| !has_ended(thread));
    living.unwrap_or(pid)
}

/// "NUMBER (NAME) STATE ..."
fn has_ended(thread: i32) -> bool {
    let stat = fs::read(format!("/proc/{thread}/stat")).unwrap_or_default();
    let stat = String::from_utf8_lossy(&stat);
    stat.rsplit_once(") ")
        .is_none_or(|(_, state)| state.starts_with(['Z', 'X']))
}

/// The entries of a folder that are numbers.
pub(crate) fn numbers(folder: &Path) -> io::Result<Vec<i32>> {
    Ok(fs::read_dir(folder)?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect())
}

/// The name of a process.
pub(crate) fn command(pid: i32) -> String {
    let name = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    String::from_utf8_lossy(&name).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMON: &str = "pos:\t0\nflags:\t02100002\nmnt_id:\t15\nino:\t107\n";

    #[test]
    fn objects_are_read() {
        let text = format!(
            "{COMMON}object:\t17\nmemory:\t1043\nmemory-dev:\t0:1\nsize:\t1048576\nseals:\t0xe\nname:\tmy: frames\n\
             pins:\t2\nleases:\t1\nprotections:\t4\nremapped:\t5\nwaiters:\t1\n\
             sealing:\t0x8\n"
        );
        let Some(Descriptor::Object(info)) = Descriptor::parse(&text) else {
            panic!("not an object");
        };
        assert_eq!(
            (info.object, info.memory, info.size),
            (17, Some(1043), 1 << 20)
        );
        assert_eq!(info.seals, Seals::CONTENT);
        assert_eq!(info.name, "my: frames");
        assert_eq!(info.memory_dev, Some((0, 1)));
        assert_eq!((info.pins, info.leases, info.waiters), (2, 1, 1));
        assert_eq!((info.protections, info.remapped), (4, 5));
        assert_eq!(info.sealing, Some(Seals::WRITE));
    }

    #[test]
    fn handles_are_read() {
        let text = format!("{COMMON}object:\t17\nstart:\t4\npages:\t2\n");
        let kind = |rest: &str| match Descriptor::parse(&format!("{text}{rest}")) {
            Some(Descriptor::Handle(info)) => (info.kind, info.state),
            other => panic!("{other:?}"),
        };
        assert_eq!(kind(""), (HandleKind::Pin, None));
        assert_eq!(kind("mirror:\tyes\n"), (HandleKind::Mirror, None));
        let asked = Some("asked".to_owned());
        assert_eq!(kind("lease:\tasked\n"), (HandleKind::Lease, asked));
    }

    #[test]
    fn memfds_have_names() {
        assert_eq!(memfd_name("/memfd:frames (deleted)"), Some("frames"));
        assert_eq!(memfd_name("/memfd: (deleted)"), Some(""));
        assert_eq!(memfd_name("/dev/pinseal"), None);
    }

    #[test]
    fn others_are_left_alone() {
        assert_eq!(Descriptor::parse(COMMON), None);
        assert_eq!(Descriptor::parse("object:\t1\nother:\t2\n"), None);
    }
}

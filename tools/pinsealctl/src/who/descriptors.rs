// SPDX-License-Identifier: MIT OR Apache-2.0

//! The descriptors of a process that have to do with a memory, as `/proc/PID/fd` and fdinfo tell.

use super::{
    memory::Identity,
    process::{self, FdInfo},
};
use crate::{
    proc::{self, HandleInfo},
    target::Target,
};
use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
use std::{io, ops::Range};

/// A registered buffer of a ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Buffer {
    pub(super) slot: u64,
    /// Where the process had it mapped when it was registered.
    pub(super) addresses: Range<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The memory, or an object that has it.
    Memory {
        object: Option<u64>,
        writable: bool,
    },
    /// `None` if the kernel did not list its buffers.
    Ring(Option<Vec<Buffer>>),
    PinHandle(HandleInfo),
    Pipe,
    Udmabuf,
    Socket,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Descriptor {
    pub(super) pid: i32,
    pub(super) fd: i32,
    pub(super) kind: Kind,
}

pub(super) fn of(pid: i32, memory: Identity) -> io::Result<Vec<Descriptor>> {
    let mut fds = proc::numbers(&process::path(pid, "fd"))?;
    fds.sort_unstable();
    let all = fds.into_iter().filter_map(|fd| {
        let kind = kind(pid, fd, memory)?;
        Some(Descriptor { pid, fd, kind })
    });
    Ok(all.collect())
}

/// `None` if the descriptor has nothing to do with the memory, or is gone.
fn kind(pid: i32, fd: i32, memory: Identity) -> Option<Kind> {
    let link = proc::link(Target { pid, fd });
    match link.split_once(':') {
        Some(("pipe", _)) => Some(Kind::Pipe),
        Some(("socket", _)) => Some(Kind::Socket),
        Some(("/dmabuf", _)) => {
            let info = FdInfo::of(pid, fd)?;
            (info.value("exp_name")? == "udmabuf").then_some(Kind::Udmabuf)
        }
        Some(("anon_inode", "[io_uring]")) => Some(Kind::Ring(buffers(&FdInfo::of(pid, fd)?))),
        Some(("anon_inode", "[pinseal-pin]")) => match proc::Descriptor::of(Target { pid, fd })? {
            proc::Descriptor::Handle(handle) => Some(Kind::PinHandle(handle)),
            proc::Descriptor::Object(_) => None,
        },
        Some(("anon_inode", _)) => None,
        _ => memory_kind(pid, fd, memory),
    }
}

fn memory_kind(pid: i32, fd: i32, memory: Identity) -> Option<Kind> {
    let info = FdInfo::of(pid, fd)?;
    let object = match info.value("object").is_some() {
        true => proc::Descriptor::of(Target { pid, fd }),
        false => None,
    };
    // Of the device, any descriptor has the same inode.
    let object = match object {
        Some(proc::Descriptor::Handle(_)) => return None,
        Some(proc::Descriptor::Object(object)) if Identity::of_object(&object) == Some(memory) => {
            Some(object.object)
        }
        _ if is_file_of(pid, fd, &info, memory) => None,
        _ => return None,
    };
    Some(Kind::Memory {
        object,
        writable: info.is_writable(),
    })
}

/// Files of a network are not asked about: their server may not answer.
fn is_file_of(pid: i32, fd: i32, info: &FdInfo, memory: Identity) -> bool {
    let identity = || {
        let path = process::path(pid, &format!("fd/{fd}"));
        let stat = statx(CWD, path, AtFlags::STATX_DONT_SYNC, StatxFlags::INO).ok()?;
        Some(Identity {
            major: stat.stx_dev_major,
            minor: stat.stx_dev_minor,
            ino: stat.stx_ino,
        })
    };
    // Before Linux 5.14, fdinfo has no inode number.
    let may_be = info
        .value("ino")
        .is_none_or(|ino| ino.parse() == Ok(memory.ino));
    may_be && identity() == Some(memory)
}

/// "UserBufs: NUMBER", and a line "SLOT: ADDRESS/LENGTH" for each buffer. `None` if the ring is busy: then
/// the kernel leaves them out.
fn buffers(info: &FdInfo) -> Option<Vec<Buffer>> {
    let mut lines = info.lines();
    lines.find(|line| line.0 == "UserBufs")?;
    let buffers = lines
        .map_while(|(slot, range)| Some((slot.parse().ok()?, range)))
        .filter_map(|(slot, range)| {
            let (start, len) = range.split_once('/')?;
            let start = u64::from_str_radix(start.strip_prefix("0x")?, 16).ok()?;
            let end = start.checked_add(len.parse().ok()?)?;
            let addresses = start..end;
            Some(Buffer { slot, addresses })
        })
        .collect();
    Some(buffers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_read() {
        let info = FdInfo::from(
            "UserFiles:\t1\n    0: /x\nUserBufs:\t3\n    0: 0x7f00001000/8192\n    1: <none>\n    \
             2: 0x1000/1\nPollList:\nCqOverflowList:\n",
        );
        let expected = [(0, 0x7f_0000_1000..0x7f_0000_3000), (2, 0x1000..0x1001)];
        let expected = expected.map(|(slot, addresses)| Buffer { slot, addresses });
        assert_eq!(buffers(&info), Some(expected.into()));
        assert_eq!(buffers(&FdInfo::from("UserBufs:\t0\n")), Some(Vec::new()));
        assert_eq!(buffers(&FdInfo::from("SqMask:\t0x3\n")), None);
    }
}

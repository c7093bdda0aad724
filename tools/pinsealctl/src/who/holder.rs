// SPDX-License-Identifier: MIT OR Apache-2.0

//! What holds a memory: the kinds, how sure each is, and what would help.

use serde::Serialize;
use std::{fmt, ops::Range};

/// The most pages that one seal isolates.
pub(crate) const MAX_ISOLATED: u64 = 1024;

/// How sure it is that a holder holds what is listed with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Sure {
    /// The kernel says so.
    Exact,
    /// What the kernel says allows hardly anything else.
    Likely,
    /// It can be, and so can others.
    Candidate,
}

impl fmt::Display for Sure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Exact => "exact",
            Self::Likely => "likely",
            Self::Candidate => "candidate",
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum Kind {
    Mapping {
        protection: String,
        shared: bool,
        /// It is writable, or can be made so.
        may_write: bool,
        mseal: bool,
        /// Of huge pages, which no module can unmap.
        hugetlb: bool,
    },
    /// Without a number, any buffer of the ring.
    IoUring {
        buffer: Option<u64>,
    },
    /// The queues of a ring, or its registered memory.
    IoUringMemory,
    Udmabuf,
    PinHandle {
        leased: bool,
    },
    Pipe,
    Socket,
    Descriptor {
        writable: bool,
    },
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mapping {
                protection,
                mseal,
                hugetlb,
                ..
            } => {
                let mseal = if *mseal { ", mseal'ed" } else { "" };
                let hugetlb = if *hugetlb { ", hugetlb" } else { "" };
                write!(f, "mapping {protection}{mseal}{hugetlb}")
            }
            Self::IoUring {
                buffer: Some(number),
            } => write!(f, "io_uring registered buffer {number}"),
            Self::IoUring { buffer: None } => f.write_str("io_uring registered buffers"),
            Self::IoUringMemory => f.write_str("io_uring ring memory"),
            Self::Udmabuf => f.write_str("udmabuf"),
            Self::PinHandle { leased: false } => f.write_str("pin handle"),
            Self::PinHandle { leased: true } => f.write_str("leased pin handle"),
            Self::Pipe => f.write_str("pipe"),
            Self::Socket => f.write_str("socket queue"),
            Self::Descriptor { writable: true } => f.write_str("descriptor, read-write"),
            Self::Descriptor { writable: false } => f.write_str("descriptor, read-only"),
        }
    }
}

impl Kind {
    /// Whether the memory cannot be sealed for writing as long as this is there.
    pub(crate) fn stops_seal(&self) -> bool {
        match self {
            Self::Mapping {
                shared,
                may_write,
                hugetlb,
                ..
            } => *hugetlb || *shared && *may_write,
            Self::Descriptor { .. } => false,
            _ => true,
        }
    }

    /// What lets the memory be sealed. Not all pages can be isolated.
    fn help(&self, isolates: bool) -> Option<&'static str> {
        Some(match self {
            _ if !self.stops_seal() => return None,
            Self::Mapping { mseal: true, .. } => "end the process: mseal() forbids to unmap it",
            Self::Mapping { hugetlb: true, .. } => "unmap it",
            Self::Mapping { .. } => "unmap it, or seal with --wait-mapped",
            Self::IoUring { .. } if !isolates => "unregister the buffer",
            Self::IoUring { .. } => "unregister the buffer, or seal with --isolate",
            // With copies in its place, the ring would not work.
            Self::IoUringMemory => "close the ring everywhere",
            Self::Udmabuf if !isolates => "close the dma-buf everywhere",
            Self::Udmabuf => "close the dma-buf everywhere, or seal with --isolate",
            Self::PinHandle { leased: true } => "seal with --revoke, or close the handle",
            Self::PinHandle { leased: false } if !isolates => "close the handle",
            Self::PinHandle { leased: false } => "close the handle, or seal with --isolate",
            Self::Pipe if !isolates => "read the pipe empty, or close it",
            Self::Pipe => "read the pipe empty, or close it, or seal with --isolate",
            Self::Socket if !isolates => "receive what is queued, or close the socket",
            Self::Socket => "receive what is queued, or close the socket, or seal with --isolate",
            Self::Descriptor { .. } => return None,
        })
    }
}

/// How a process has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(untagged)]
pub(crate) enum Via {
    Descriptor {
        fd: i32,
    },
    /// The number of a ring that a task has registered, which needs no descriptor.
    Registered {
        registered_ring: u32,
    },
    /// The addresses, the end not among them.
    Mapping {
        start: u64,
        end: u64,
    },
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Descriptor { fd } => write!(f, "fd {fd}"),
            Self::Registered { registered_ring } => write!(f, "registered ring {registered_ring}"),
            Self::Mapping { start, end } => write!(f, "{start:x}-{end:x}"),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) via: Via,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) kind: Kind,
    pub(crate) sure: Sure,
    /// Empty if that is not known.
    pub(crate) pages: Vec<Range<u64>>,
    /// Some of the pages are of large folios.
    pub(crate) large: bool,
    /// None for a dma-buf that no process has.
    pub(crate) processes: Vec<Process>,
}

impl Holder {
    pub(crate) fn help(&self) -> Option<&'static str> {
        let pages = self.pages.iter().map(|pages| pages.end - pages.start);
        let isolates = !self.large && pages.sum::<u64>() <= MAX_ISOLATED;
        self.kind.help(isolates)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_fail_is_no_help() {
        let pipe = |pages: Range<u64>, large| Holder {
            kind: Kind::Pipe,
            sure: Sure::Exact,
            pages: vec![0..1, pages],
            large,
            processes: Vec::new(),
        };
        let isolates = |holder: Holder| holder.help().unwrap().contains("--isolate");
        assert!(isolates(pipe(1..1024, false)));
        assert!(!isolates(pipe(1..1025, false)));
        assert!(!isolates(pipe(1..2, true)));
    }
}

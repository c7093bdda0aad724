// SPDX-License-Identifier: MIT OR Apache-2.0

//! The mappings of a memory in a process, as `/proc/PID/maps` and `smaps` tell.

use super::{memory::Identity, process};
use std::{fs, io, ops::Range};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mapping {
    pub(super) pid: i32,
    pub(super) addresses: Range<u64>,
    /// The byte of the memory at its start.
    pub(super) offset: u64,
    /// As in maps, say "rw-s".
    pub(super) protection: String,
    pub(super) shared: bool,
    /// It is writable, or `mprotect()` can make it so.
    pub(super) may_write: bool,
    /// `mseal()`: it cannot be unmapped as long as the process lives.
    pub(super) mseal: bool,
    pub(super) hugetlb: bool,
}

impl Mapping {
    /// The bytes of the memory that these addresses show.
    pub(super) fn bytes(&self, addresses: &Range<u64>) -> Option<Range<u64>> {
        let start = addresses.start.max(self.addresses.start);
        let end = addresses.end.min(self.addresses.end);
        let at = |address: u64| address - self.addresses.start + self.offset;
        (start < end).then(|| at(start)..at(end))
    }
}

/// Those of a process, as one of its threads has them.
pub(super) fn of(pid: i32, thread: i32, memory: Identity) -> io::Result<Vec<Mapping>> {
    let read = |name| -> io::Result<Vec<Mapping>> {
        let text = fs::read(process::path(thread, name))?;
        Ok(parse(pid, &String::from_utf8_lossy(&text), memory))
    };
    let mappings = read("maps")?;
    // smaps costs a walk of all page tables, and is read only where it has something to tell.
    Ok(match mappings.is_empty() {
        true => mappings,
        // Not every kernel has it.
        false => read("smaps").unwrap_or(mappings),
    })
}

fn parse(pid: i32, text: &str, memory: Identity) -> Vec<Mapping> {
    let mut mappings = Vec::new();
    // Lines of smaps belong to the header before them.
    let mut current: Option<Mapping> = None;
    for line in text.lines() {
        if let Some(flags) = line.strip_prefix("VmFlags:") {
            if let Some(mapping) = &mut current {
                let has = |flag| flags.split_ascii_whitespace().any(|word| word == flag);
                mapping.may_write = has("mw");
                mapping.mseal = has("sl");
                mapping.hugetlb = has("ht");
            }
        } else if let Some((mapping, identity)) = header(pid, line) {
            mappings.extend(current.take());
            current = (identity == memory).then_some(mapping);
        }
    }
    mappings.extend(current);
    mappings
}

/// "START-END PROTECTION OFFSET MAJOR:MINOR INODE NAME"
fn header(pid: i32, line: &str) -> Option<(Mapping, Identity)> {
    let hex = |text| u64::from_str_radix(text, 16).ok();
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let protection = words.next()?;
    let offset = words.next()?;
    let (major, minor) = words.next()?.split_once(':')?;
    let ino = words.next()?.parse().ok()?;
    let mapping = Mapping {
        pid,
        addresses: hex(start)?..hex(end)?,
        offset: hex(offset)?,
        protection: protection.to_owned(),
        shared: protection.ends_with('s'),
        may_write: protection.contains('w'),
        mseal: false,
        hugetlb: false,
    };
    let identity = Identity {
        major: u32::from_str_radix(major, 16).ok()?,
        minor: u32::from_str_radix(minor, 16).ok()?,
        ino,
    };
    Some((mapping, identity))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMORY: Identity = Identity {
        major: 0,
        minor: 1,
        ino: 1043,
    };

    #[test]
    fn smaps_is_read() {
        let text = "7f0000000000-7f0000004000 r--s 00002000 00:01 1043 /memfd:a b (deleted)\n\
                    Size:                 16 kB\n\
                    VmFlags: rd sh mr mw me ms sl \n\
                    7f0000004000-7f0000005000 rw-p 00000000 00:00 0 \n\
                    VmFlags: rd wr mr mw me ac \n\
                    7f0000005000-7f0000006000 r--s 00000000 00:01 1043 /memfd:a b (deleted)\n\
                    VmFlags: rd sh mr me ms \n\
                    7f0000200000-7f0000400000 r--p 00000000 00:01 1043 /memfd:a b (deleted)\n\
                    VmFlags: rd mr mw me ht \n";
        let mappings = parse(7, text, MEMORY);
        assert_eq!(mappings.len(), 3);
        assert_eq!(
            [0, 1, 2].map(|i: usize| mappings[i].hugetlb),
            [false, false, true]
        );
        assert_eq!(mappings[0].addresses, 0x7f00_0000_0000..0x7f00_0000_4000);
        assert_eq!(mappings[0].offset, 0x2000);
        assert!(mappings[0].shared && mappings[0].may_write && mappings[0].mseal);
        assert!(!mappings[1].may_write && !mappings[1].mseal);
    }

    #[test]
    fn addresses_are_bytes_of_the_memory() {
        let text = "10000-14000 rw-s 00002000 00:01 1043 /memfd:x (deleted)\n";
        let mapping = parse(7, text, MEMORY).remove(0);
        assert_eq!(mapping.bytes(&(0x11000..0x20000)), Some(0x3000..0x6000));
        assert_eq!(mapping.bytes(&(0x14000..0x20000)), None);
    }
}

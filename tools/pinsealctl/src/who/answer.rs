// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the kernel's BPF programs answer: who holds which pages. The records are those of
//! `bpf/record.h`.

use std::ops::Range;

/// What may hold pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum OwnerKind {
    Ring,
    Pipe,
    Udmabuf,
    Socket,
}

/// An owner, the same wherever it is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Owner {
    pub(super) kind: OwnerKind,
    address: u64,
}

/// The slot of a ring's own memory.
pub(super) const SLOT_RING: u64 = u64::MAX;

/// Pages that an owner holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hold {
    pub(super) owner: Owner,
    pub(super) pages: Range<u64>,
    /// The references: as many as pages, or one for all of them.
    pub(super) references: u32,
    /// The registered buffer of a ring, or [`SLOT_RING`].
    pub(super) slot: u64,
    /// The same for references that several owners share.
    pub(super) shared: u64,
}

/// Where an owner is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Descriptor {
        pid: i32,
        fd: i32,
    },
    /// A ring that a task has registered, which needs no descriptor.
    Registered {
        pid: i32,
        slot: u32,
    },
    Mapping {
        pid: i32,
        start: u64,
        end: u64,
    },
    /// A dma-buf, which some driver may have.
    NoProcess,
}

/// A descriptor of the memory itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MemoryDescriptor {
    pub(super) pid: i32,
    pub(super) fd: i32,
    pub(super) writable: bool,
}

pub(super) enum Record {
    Hold(Hold),
    Place(Owner, Place),
    Memory(MemoryDescriptor),
    Partial(Owner),
}

const FMODE_WRITE: u64 = 2;

impl Record {
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let word = |i: usize| {
            Some(u32::from_ne_bytes(
                bytes.get(4 * i..)?.get(..4)?.try_into().ok()?,
            ))
        };
        let long = |i: usize| {
            Some(u64::from_ne_bytes(
                bytes.get(8 * i..)?.get(..8)?.try_into().ok()?,
            ))
        };
        let owner = || {
            let kind = match word(1)? {
                1 => OwnerKind::Ring,
                2 => OwnerKind::Pipe,
                3 => OwnerKind::Udmabuf,
                4 => OwnerKind::Socket,
                _ => return None,
            };
            Some(Owner {
                kind,
                address: long(1)?,
            })
        };
        // Where a record of pages has others.
        let (pid, number) = (word(8)? as i32, word(9)?);
        let fd = number as i32;
        let place = match word(0)? {
            1 => {
                let (first, pages) = (long(3)?, u64::from(word(8)?));
                return Some(Self::Hold(Hold {
                    owner: owner()?,
                    pages: first..first.checked_add(pages)?,
                    references: number,
                    slot: long(5)?,
                    shared: long(2)?,
                }));
            }
            2 => Place::Descriptor { pid, fd },
            3 => Place::Registered { pid, slot: number },
            4 => Place::Mapping {
                pid,
                start: long(2)?,
                end: long(3)?,
            },
            5 => Place::NoProcess,
            6 => {
                return Some(Self::Memory(MemoryDescriptor {
                    pid,
                    fd,
                    writable: long(5)? & FMODE_WRITE != 0,
                }));
            }
            7 => return Some(Self::Partial(owner()?)),
            _ => return None,
        };
        Some(Self::Place(owner()?, place))
    }
}

#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) holds: Vec<Hold>,
    pub(super) places: Vec<(Owner, Place)>,
    pub(super) memory: Vec<MemoryDescriptor>,
    /// Owners that were too large to be looked at in full.
    pub(super) partial: Vec<Owner>,
    /// Records that did not fit.
    pub(super) lost: u64,
}

impl Answer {
    pub(super) fn add(&mut self, record: Record) {
        match record {
            Record::Hold(hold) => self.holds.push(hold),
            Record::Place(owner, place) => self.places.push((owner, place)),
            Record::Memory(descriptor) => self.memory.push(descriptor),
            Record::Partial(owner) => self.partial.push(owner),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(what: u32, kind: u32, longs: [u64; 5]) -> Vec<u8> {
        let mut bytes = [what.to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend(longs.iter().flat_map(|long| long.to_ne_bytes()));
        bytes
    }

    /// Two 32-bit members, one after the other.
    fn pair(first: u32, second: u32) -> u64 {
        u64::from_ne_bytes(
            [first.to_ne_bytes(), second.to_ne_bytes()]
                .concat()
                .try_into()
                .unwrap(),
        )
    }

    #[test]
    fn records_are_read() {
        let owner = Owner {
            kind: OwnerKind::Ring,
            address: 17,
        };
        let Some(Record::Hold(hold)) = Record::read(&bytes(1, 1, [17, 99, 5, pair(3, 2), 7]))
        else {
            panic!();
        };
        let expected = Hold {
            owner,
            pages: 5..8,
            references: 2,
            slot: 7,
            shared: 99,
        };
        assert_eq!(hold, expected);
        let Some(Record::Place(at, place)) =
            Record::read(&bytes(2, 1, [17, 0, 0, pair(4711, 5), 0]))
        else {
            panic!();
        };
        assert_eq!((at, place), (owner, Place::Descriptor { pid: 4711, fd: 5 }));
        assert!(Record::read(&bytes(9, 1, [0; 5])).is_none());
        assert!(Record::read(&[1, 0, 0]).is_none());
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0

//! Who holds what: holders from what the kernel, `/proc` and the list of pages say, and the references
//! that none of them explains.

use super::{
    answer::{Answer, Hold, Owner, OwnerKind, Place, SLOT_RING},
    descriptors::{self, Buffer, Descriptor},
    holder::{Holder, Kind, Process, Sure, Via},
    mappings::Mapping,
    references::{Reference, References, join},
};
use crate::proc::{HandleInfo, HandleKind};
use pinseal::Seals;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Range,
};

/// What was found out.
pub(super) struct Evidence<'a> {
    pub(super) page_size: u64,
    pub(super) size: u64,
    pub(super) seals: Seals,
    /// None if it is not known which pages have references.
    pub(super) references: Option<References>,
    /// None if the kernel did not tell.
    pub(super) answer: Option<&'a Answer>,
    pub(super) descriptors: &'a [Descriptor],
    pub(super) mappings: &'a [Mapping],
}

pub(super) struct Verdict {
    pub(super) holders: Vec<Holder>,
    /// The references that are left.
    pub(super) unexplained: Option<References>,
}

pub(super) fn judge(evidence: Evidence<'_>) -> Verdict {
    let mut judge = Judge {
        left: evidence.references.clone(),
        evidence,
        holders: Vec::new(),
    };
    judge.mappings();
    judge.pin_handles();
    match judge.evidence.answer {
        Some(answer) => judge.owners(answer),
        None => judge.rings_by_address(),
    }
    judge.strange_pin_handles();
    if judge.evidence.answer.is_none() {
        judge.candidates();
    }
    judge.descriptors();
    // What is in no one's way is last.
    judge
        .holders
        .sort_by_key(|holder| !holder.kind.stops_seal());
    Verdict {
        holders: judge.holders,
        unexplained: judge.left,
    }
}

struct Judge<'a> {
    evidence: Evidence<'a>,
    left: Option<References>,
    holders: Vec<Holder>,
}

impl<'a> Judge<'a> {
    fn add(&mut self, kind: Kind, sure: Sure, pages: Vec<Range<u64>>, processes: Vec<Process>) {
        let references = self.evidence.references.as_ref();
        let large = references.is_some_and(|all| pages.iter().any(|pages| all.is_large(pages)));
        self.holders.push(Holder {
            kind,
            sure,
            pages,
            large,
            processes,
        });
    }

    fn take(&mut self, kind: Reference, pages: &Range<u64>, one_for_all: bool) {
        if let Some(left) = &mut self.left {
            left.take(kind, pages, one_for_all);
        }
    }

    fn pages(&self, bytes: Range<u64>) -> Range<u64> {
        let size = self.evidence.page_size;
        bytes.start / size..bytes.end.div_ceil(size)
    }

    fn mappings(&mut self) {
        for mapping in self.evidence.mappings {
            let length = mapping.addresses.end - mapping.addresses.start;
            let pages = self.pages(mapping.offset..mapping.offset + length);
            let kind = Kind::Mapping {
                protection: mapping.protection.clone(),
                shared: mapping.shared,
                may_write: mapping.may_write,
                mseal: mapping.mseal,
                hugetlb: mapping.hugetlb,
            };
            let process = Process {
                pid: mapping.pid,
                via: Via::Mapping {
                    start: mapping.addresses.start,
                    end: mapping.addresses.end,
                },
            };
            self.add(kind, Sure::Exact, vec![pages], vec![process]);
        }
    }

    /// Those of objects that have this memory.
    fn pin_handles(&mut self) {
        for (handle, processes) in self.handles_of_objects(true) {
            for pages in self.pinned(pages_of(handle)) {
                self.take(Reference::Pin, &pages, false);
            }
            self.add_pin_handle(handle, Sure::Exact, processes);
        }
    }

    /// Those of objects that no process seen here has: their memory is not known.
    fn strange_pin_handles(&mut self) {
        if !self.has(Reference::Pin) {
            return;
        }
        for (handle, processes) in self.handles_of_objects(false) {
            self.add_pin_handle(handle, Sure::Candidate, processes);
        }
    }

    fn add_pin_handle(&mut self, handle: &HandleInfo, sure: Sure, processes: Vec<Process>) {
        let leased = handle.kind == HandleKind::Lease;
        let pages = self.pinned(pages_of(handle));
        // After isolation or truncation, it has other pages.
        if !pages.is_empty() {
            self.add(Kind::PinHandle { leased }, sure, pages, processes);
        }
    }

    /// The parts of a range that have pins, or all of it if that is not known.
    fn pinned(&self, pages: Range<u64>) -> Vec<Range<u64>> {
        match &self.evidence.references {
            Some(references) => references.within(Reference::Pin, &pages),
            None => vec![pages],
        }
    }

    /// The handles of the objects that have this memory, or of those of which that is not known.
    fn handles_of_objects(&self, known: bool) -> Vec<(&'a HandleInfo, Vec<Process>)> {
        let of = |kind: &descriptors::Kind| match *kind {
            descriptors::Kind::Memory { object, .. } => object,
            _ => None,
        };
        let descriptors = self.evidence.descriptors;
        let objects: BTreeSet<u64> = descriptors.iter().filter_map(|it| of(&it.kind)).collect();
        let mut handles: Vec<(&HandleInfo, Vec<Process>)> = Vec::new();
        for descriptor in descriptors {
            let descriptors::Kind::PinHandle(handle) = &descriptor.kind else {
                continue;
            };
            let revoked = handle.state.as_deref() == Some("revoked");
            if revoked || objects.contains(&handle.object) != known {
                continue;
            }
            // Copies of a descriptor look the same. So may two handles: then there are more pins than
            // holders.
            match handles.iter_mut().find(|(other, _)| *other == handle) {
                Some((_, processes)) => processes.push(process(descriptor)),
                None => handles.push((handle, vec![process(descriptor)])),
            }
        }
        handles
    }

    /// What the kernel has said.
    fn owners(&mut self, answer: &Answer) {
        let mut places: BTreeMap<Owner, BTreeSet<Process>> = BTreeMap::new();
        for (owner, place) in &answer.places {
            let places = places.entry(*owner).or_default();
            let (pid, via) = match place {
                Place::Descriptor { pid, fd } => (*pid, Via::Descriptor { fd: *fd }),
                Place::Registered { pid, slot } => (
                    *pid,
                    Via::Registered {
                        registered_ring: *slot,
                    },
                ),
                Place::Mapping { pid, start, end } => (
                    *pid,
                    Via::Mapping {
                        start: *start,
                        end: *end,
                    },
                ),
                Place::NoProcess => continue,
            };
            places.insert(Process { pid, via });
        }
        // By owner and buffer.
        let mut held: BTreeMap<(Owner, u64), Vec<&Hold>> = BTreeMap::new();
        let mut counted: HashMap<u64, Owner> = HashMap::new();
        for hold in &answer.holds {
            held.entry((hold.owner, hold.slot)).or_default().push(hold);
            // What several owners share is one reference.
            if *counted.entry(hold.shared).or_insert(hold.owner) == hold.owner {
                let kind = match hold.owner.kind {
                    OwnerKind::Ring | OwnerKind::Udmabuf => Reference::Pin,
                    OwnerKind::Pipe | OwnerKind::Socket => Reference::Plain,
                };
                let pages = hold.pages.end - hold.pages.start;
                self.take(kind, &hold.pages, u64::from(hold.references) != pages);
            }
        }
        for ((owner, slot), holds) in held {
            let mut pages: Vec<Range<u64>> =
                holds.into_iter().map(|hold| hold.pages.clone()).collect();
            pages.sort_by_key(|pages| pages.start);
            let kind = match owner.kind {
                OwnerKind::Ring if slot == SLOT_RING => Kind::IoUringMemory,
                OwnerKind::Ring => Kind::IoUring { buffer: Some(slot) },
                OwnerKind::Pipe => Kind::Pipe,
                OwnerKind::Udmabuf => Kind::Udmabuf,
                OwnerKind::Socket => Kind::Socket,
            };
            let processes = places.get(&owner).into_iter().flatten().cloned().collect();
            self.add(kind, Sure::Exact, join(pages), without_needless(processes));
        }
    }

    /// Registered buffers at addresses where the process has the memory mapped now.
    fn rings_by_address(&mut self) {
        let evidence = &self.evidence;
        let mut found: Vec<(&Buffer, Vec<_>, Vec<Process>)> = Vec::new();
        for descriptor in evidence.descriptors {
            let descriptors::Kind::Ring(Some(buffers)) = &descriptor.kind else {
                continue;
            };
            for buffer in buffers {
                let mappings = evidence
                    .mappings
                    .iter()
                    .filter(|mapping| mapping.pid == descriptor.pid);
                let mut pages: Vec<Range<u64>> = mappings
                    .filter_map(|mapping| mapping.bytes(&buffer.addresses))
                    .map(|bytes| self.pages(bytes))
                    .collect();
                pages.sort_by_key(|pages| pages.start);
                // Mapped anew since, if they have no pins.
                let pages: Vec<_> = join(pages)
                    .into_iter()
                    .flat_map(|pages| self.pinned(pages))
                    .collect();
                if pages.is_empty() {
                    continue;
                }
                // After fork(), two processes have one ring.
                match found
                    .iter_mut()
                    .find(|(other, its, _)| *other == buffer && *its == pages)
                {
                    Some((_, _, processes)) => processes.push(process(descriptor)),
                    None => found.push((buffer, pages, vec![process(descriptor)])),
                }
            }
        }
        for (buffer, pages, processes) in found {
            for pages in &pages {
                self.take(Reference::Pin, pages, false);
            }
            let kind = Kind::IoUring {
                buffer: Some(buffer.slot),
            };
            self.add(kind, Sure::Likely, pages, processes);
        }
    }

    /// Whether there may be references of that kind that are not explained yet.
    fn has(&self, kind: Reference) -> bool {
        self.left.as_ref().is_none_or(|left| left.any(kind))
    }

    /// What may hold pages, where the kernel has not said what does.
    fn candidates(&mut self) {
        let evidence = &self.evidence;
        let users: BTreeSet<i32> = evidence
            .descriptors
            .iter()
            .filter(|descriptor| matches!(descriptor.kind, descriptors::Kind::Memory { .. }))
            .map(|descriptor| descriptor.pid)
            .chain(evidence.mappings.iter().map(|mapping| mapping.pid))
            .collect();
        let those = |is: &dyn Fn(&Descriptor) -> bool| -> Vec<Process> {
            evidence
                .descriptors
                .iter()
                .filter(|it| is(it))
                .map(process)
                .collect()
        };
        let (mut rings, mut udmabufs, mut pipes, mut sockets) = Default::default();
        if self.has(Reference::Pin) {
            rings = those(&|it| match &it.kind {
                descriptors::Kind::Ring(buffers) => {
                    buffers.as_ref().is_none_or(|buffers| !buffers.is_empty())
                        && !self.is_listed(it)
                }
                _ => false,
            });
            // A udmabuf is made of sealed memory alone.
            if evidence.seals.contains(Seals::SHRINK) {
                udmabufs = those(&|it| it.kind == descriptors::Kind::Udmabuf);
            }
        }
        if self.has(Reference::Plain) {
            let of_users =
                |kind| those(&|it: &Descriptor| it.kind == kind && users.contains(&it.pid));
            pipes = of_users(descriptors::Kind::Pipe);
            sockets = of_users(descriptors::Kind::Socket);
        }
        for (kind, processes) in [
            (Kind::IoUring { buffer: None }, rings),
            (Kind::Udmabuf, udmabufs),
            (Kind::Pipe, pipes),
            (Kind::Socket, sockets),
        ] {
            if !processes.is_empty() {
                self.add(kind, Sure::Candidate, Vec::new(), processes);
            }
        }
    }

    /// Whether a descriptor is among the holders.
    fn is_listed(&self, descriptor: &Descriptor) -> bool {
        let process = process(descriptor);
        self.holders
            .iter()
            .any(|holder| holder.processes.contains(&process))
    }

    /// Those of the memory itself, which are in no one's way, but can be used to map or pin it.
    fn descriptors(&mut self) {
        let mut found: BTreeMap<Process, bool> = BTreeMap::new();
        for descriptor in self.evidence.descriptors {
            if let descriptors::Kind::Memory { writable, .. } = descriptor.kind {
                found.insert(process(descriptor), writable);
            }
        }
        // Those of threads with descriptors of their own, too.
        for descriptor in self
            .evidence
            .answer
            .iter()
            .flat_map(|answer| &answer.memory)
        {
            let process = Process {
                pid: descriptor.pid,
                via: Via::Descriptor { fd: descriptor.fd },
            };
            found.entry(process).or_insert(descriptor.writable);
        }
        let whole = self.pages(0..self.evidence.size);
        for (process, writable) in found {
            let kind = Kind::Descriptor { writable };
            self.add(kind, Sure::Exact, vec![whole.clone()], vec![process]);
        }
    }
}

fn pages_of(handle: &HandleInfo) -> Range<u64> {
    handle.start..handle.start.saturating_add(handle.pages)
}

fn process(descriptor: &Descriptor) -> Process {
    Process {
        pid: descriptor.pid,
        via: Via::Descriptor { fd: descriptor.fd },
    }
}

/// A process that has a descriptor need not be named for its mappings.
fn without_needless(mut processes: Vec<Process>) -> Vec<Process> {
    let named: BTreeSet<i32> = processes
        .iter()
        .filter(|process| !matches!(process.via, Via::Mapping { .. }))
        .map(|process| process.pid)
        .collect();
    processes.retain(|process| {
        !matches!(process.via, Via::Mapping { .. }) || !named.contains(&process.pid)
    });
    processes
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: u64 = 4096;

    fn evidence<'a>(
        folios: &[(u64, u32, u32, u32)],
        descriptors: &'a [Descriptor],
        mappings: &'a [Mapping],
    ) -> Evidence<'a> {
        Evidence {
            page_size: PAGE,
            size: 16 * PAGE,
            seals: Seals::empty(),
            references: Some(References::of(folios)),
            answer: None,
            descriptors,
            mappings,
        }
    }

    /// All but descriptors of the memory itself.
    fn holders(verdict: &Verdict) -> Vec<&Holder> {
        let is_other = |it: &&Holder| !matches!(it.kind, Kind::Descriptor { .. });
        verdict.holders.iter().filter(is_other).collect()
    }

    fn descriptor(pid: i32, fd: i32, kind: descriptors::Kind) -> Descriptor {
        Descriptor { pid, fd, kind }
    }

    fn is_explained(verdict: &Verdict) -> bool {
        verdict
            .unexplained
            .as_ref()
            .is_some_and(References::is_empty)
    }

    #[test]
    fn a_handle_has_what_has_pins() {
        let memory = descriptors::Kind::Memory {
            object: Some(17),
            writable: true,
        };
        let handle = descriptors::Kind::PinHandle(HandleInfo {
            object: 17,
            start: 4,
            pages: 4,
            kind: HandleKind::Pin,
            state: None,
        });
        let descriptors = [descriptor(7, 3, memory), descriptor(7, 4, handle)];
        let verdict = judge(evidence(&[(5, 1, 1, 0), (9, 1, 1, 0)], &descriptors, &[]));
        assert_eq!(holders(&verdict)[0].pages[0], 5..6);
        let left = verdict.unexplained.unwrap().unexplained();
        assert_eq!((left.len(), &left[0].pages), (1, &(9..10)));
        // Its pages were isolated, or truncated.
        let verdict = judge(evidence(&[(9, 1, 0, 1)], &descriptors, &[]));
        assert!(holders(&verdict).is_empty());
    }

    fn mapping(pid: i32) -> Mapping {
        Mapping {
            pid,
            addresses: 0x10000..0x14000,
            offset: 0,
            protection: "rw-p".to_owned(),
            shared: false,
            may_write: true,
            mseal: false,
            hugetlb: false,
        }
    }

    #[test]
    fn a_ring_after_fork_is_one() {
        let ring = descriptors::Kind::Ring(Some(vec![Buffer {
            slot: 3,
            addresses: 0x11000..0x12000,
        }]));
        let descriptors = [descriptor(7, 5, ring.clone()), descriptor(8, 5, ring)];
        let mappings = [mapping(7), mapping(8)];
        // Another one has pinned the page as well.
        let verdict = judge(evidence(&[(1, 1, 2, 0)], &descriptors, &mappings));
        let holder = holders(&verdict)[0];
        assert_eq!((&holder.pages[0], holder.processes.len()), (&(1..2), 2));
        assert_eq!(verdict.unexplained.unwrap().unexplained()[0].pins, 1);
        let verdict = judge(evidence(&[(1, 1, 1, 0)], &descriptors, &mappings));
        assert!(is_explained(&verdict));
    }

    #[test]
    fn a_busy_ring_is_a_candidate() {
        for (buffers, found) in [(None, 1), (Some(Vec::new()), 0)] {
            let ring = [descriptor(7, 5, descriptors::Kind::Ring(buffers))];
            let verdict = judge(evidence(&[(1, 1, 1, 0)], &ring, &[]));
            assert_eq!(holders(&verdict).len(), found);
        }
    }

    #[test]
    fn huge_pages_are_not_to_be_mapped() {
        for (hugetlb, stops) in [(false, false), (true, true)] {
            let mapping = Mapping {
                hugetlb,
                ..mapping(7)
            };
            let mappings = [mapping];
            let verdict = judge(evidence(&[], &[], &mappings));
            assert_eq!(holders(&verdict)[0].kind.stops_seal(), stops);
        }
    }
}

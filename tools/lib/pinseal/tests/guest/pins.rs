// SPDX-License-Identifier: MIT OR Apache-2.0

//! Lists of pages in use, of objects and of other memory.

use crate::support::{assert_fails, filled, page};
use pinseal::{FolioFlags, Look, Object, Seals};
use rustix::{
    fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create},
    io::Errno,
    pipe::{SpliceFlags, pipe, splice},
};
use std::{
    fs::File,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::FileExt,
    },
};

/// Puts a page into a pipe: a plain reference.
fn piped(fd: impl AsFd, index: u64) -> (OwnedFd, OwnedFd) {
    let ends = pipe().unwrap();
    let mut offset = index * page();
    let moved = splice(
        fd,
        Some(&mut offset),
        &ends.1,
        None,
        page() as usize,
        SpliceFlags::empty(),
    );
    assert_eq!(moved.unwrap() as u64, page());
    ends
}

#[test]
fn kinds_are_told_apart() {
    let object = filled(16);
    let _pin = object.pin(3..5).take().unwrap();
    let _pipe = piped(&object, 9);
    let pins = object.pins().unwrap();
    let of = |index| {
        *pins
            .folios
            .iter()
            .find(|folio| folio.index <= index && index < folio.index + u64::from(folio.pages))
            .unwrap_or_else(|| panic!("page {index} is not in {pins:?}"))
    };
    assert_eq!(of(3).pins, 1);
    assert!(of(3).flags.contains(FolioFlags::HANDLE));
    assert_eq!(of(9).pins, 0);
    assert!(of(9).plain >= 1);
    assert!(pins.pinned_pages >= 3);
    assert!(pins.dma_pinned_pages >= 2);
}

#[test]
fn a_part_can_be_listed() {
    let object = filled(16);
    let _pin = object.pin(3..5).take().unwrap();
    let pins = object.pins_of(4..16).unwrap();
    assert_eq!(pins.dma_pinned_pages, 1);
    assert!(object.pins_of(8..8).unwrap().folios.is_empty());
}

#[test]
fn long_lists_are_complete() {
    let object = Object::new(3000 * page()).unwrap();
    let _pin = object.pin(0..3000).take().unwrap();
    let pins = object.pins().unwrap();
    let pages: u64 = pins.folios.iter().map(|folio| u64::from(folio.pages)).sum();
    assert_eq!(pages, 3000);
    assert_eq!(pins.dma_pinned_pages, 3000);
    let ordered = pins
        .folios
        .windows(2)
        .all(|two| two[0].index < two[1].index);
    assert!(ordered);
}

#[test]
fn other_memory_can_be_looked_at() {
    let memfd = memfd_create("theirs", MemfdFlags::ALLOW_SEALING).unwrap();
    let file = File::from(memfd.try_clone().unwrap());
    file.write_all_at(&vec![1; 4 * page() as usize], 0).unwrap();
    fcntl_add_seals(&memfd, SealFlags::GROW | SealFlags::SEAL).unwrap();
    let _pipe = piped(&memfd, 2);
    let look = Look::new(&memfd).unwrap();
    assert_eq!(look.info().unwrap().size, 4 * page());
    assert_eq!(look.seals().unwrap(), Seals::GROW | Seals::SEAL);
    let pins = look.pins().unwrap();
    let in_pipe = pins.folios.iter().find(|folio| folio.index == 2).unwrap();
    assert!(in_pipe.plain >= 1, "{in_pipe:?}");
    assert!(look.pins_of(0..1).unwrap().dma_pinned_pages == 0);
}

#[test]
fn what_is_no_memory_cannot_be_looked_at() {
    let null = File::open("/dev/null").unwrap();
    assert_fails(Look::new(null), Errno::INVAL);
}

// SPDX-License-Identifier: MIT OR Apache-2.0

//! Mappings, safe ones and shared ones.

use crate::support::{assert_fails, filled, page};
use pinseal::{Features, Object, Options, Protection, SealedMap, Seals};
use rustix::{
    fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create},
    io::Errno,
    mm::{MprotectFlags, mprotect},
};
use std::{fs::OpenOptions, io::ErrorKind, os::unix::fs::FileExt, thread};

fn sealed_map(pages: u64) -> SealedMap {
    let sealed = filled(pages).seal(Seals::CONTENT).run().unwrap();
    // It outlives the object's descriptors.
    sealed.map().unwrap()
}

#[test]
fn sealed_bytes_can_be_read_by_all_threads() {
    let map = sealed_map(3);
    assert_eq!(map.len() as u64, 3 * page());
    thread::scope(|scope| {
        for index in 0..3 {
            let map = &map;
            scope.spawn(move || {
                let bytes = &map[index * page() as usize..][..page() as usize];
                assert!(bytes.iter().all(|byte| *byte == index as u8));
            });
        }
    });
}

#[test]
fn an_empty_object_has_no_bytes() {
    let sealed = Object::new(0).unwrap().seal(Seals::CONTENT).run().unwrap();
    assert!(sealed.map().unwrap().is_empty());
}

#[test]
fn a_part_of_a_page_is_that_long() {
    let object = Object::new(5).unwrap();
    object.write_all_at(b"bytes", 0).unwrap();
    let sealed = object.seal(Seals::CONTENT).run().unwrap();
    assert_eq!(&*sealed.map().unwrap(), b"bytes");
}

#[test]
fn write_and_shrink_are_both_needed() {
    for seals in [Seals::WRITE, Seals::SHRINK | Seals::GROW, Seals::empty()] {
        let sealed = filled(1).seal(seals).run().unwrap();
        let refused = sealed.map().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{seals}");
    }
    // Set by two calls, the last of which confirms that nothing writes.
    let shrink = filled(1).seal(Seals::SHRINK).run().unwrap();
    let both = shrink.into_object().seal(Seals::WRITE).run().unwrap();
    both.map().unwrap();
}

#[test]
fn seals_of_others_have_to_be_confirmed() {
    let memfd = memfd_create("theirs", MemfdFlags::ALLOW_SEALING).unwrap();
    rustix::io::write(&memfd, b"theirs").unwrap();
    fcntl_add_seals(&memfd, SealFlags::WRITE | SealFlags::SHRINK).unwrap();
    let object = Options::new().import(&memfd).unwrap();
    let unconfirmed = object.seal(Seals::GROW).run().unwrap();
    assert!(unconfirmed.map().is_err());
    let confirmed = unconfirmed.into_object().seal(Seals::WRITE).run().unwrap();
    assert_eq!(&*confirmed.map().unwrap(), b"theirs");
}

#[test]
fn it_cannot_be_made_writable() {
    let map = sealed_map(1);
    let start = map.as_ptr().cast_mut().cast();
    // SAFETY: the kernel is to refuse it.
    let made = unsafe { mprotect(start, map.len(), MprotectFlags::READ | MprotectFlags::WRITE) };
    assert_fails(made.map_err(Into::into), Errno::ACCESS);
    let memory = OpenOptions::new()
        .write(true)
        .open("/proc/self/mem")
        .unwrap();
    assert!(memory.write_at(b"x", map.as_ptr().addr() as u64).is_err());
    assert_eq!(map[0], 0);
}

#[test]
fn read_only_descriptors_can_be_assumed_sealed() {
    let object = filled(1);
    let read_only = object.reopen_read_only().unwrap();
    object.seal(Seals::CONTENT | Seals::SEAL).run().unwrap();
    // SAFETY: it was sealed above, and is not imported.
    let map = unsafe { SealedMap::assume_sealed(&read_only) }.unwrap();
    assert_eq!(map.len() as u64, page());
}

#[test]
fn shared_mappings_show_each_other() {
    let object = filled(2);
    let (one, other) = (object.map().unwrap(), object.map_read_only().unwrap());
    one.write(page() as usize - 1, b"ab");
    let mut bytes = [0; 2];
    other.read(page() as usize - 1, &mut bytes);
    assert_eq!(&bytes, b"ab");
    object.read_exact_at(&mut bytes, page() - 1).unwrap();
    assert_eq!(&bytes, b"ab");
}

#[test]
#[should_panic(expected = "read-only")]
fn read_only_mappings_are_not_written_to() {
    filled(1).map_read_only().unwrap().write(0, b"x");
}

#[test]
#[should_panic(expected = "out of range")]
fn ranges_are_checked() {
    filled(1).map().unwrap().write(page() as usize, b"x");
}

#[test]
fn pages_have_protections_of_their_own() {
    let object = filled(8);
    let mapping = object.map().unwrap();
    if !object.info().unwrap().features.contains(Features::PROTECT) {
        println!("SKIP: no protections of single pages");
        return;
    }
    mapping.protect(&object, 1..2, Protection::Read).unwrap();
    mapping.protect(&object, 4..6, Protection::None).unwrap();
    let expected = vec![(1..2, Protection::Read), (4..6, Protection::None)];
    assert_eq!(mapping.protections(&object).unwrap(), expected);

    // The kernel refuses what the protection does.
    let pipe = rustix::pipe::pipe().unwrap();
    rustix::io::write(&pipe.1, b"x").unwrap();
    let at = mapping.as_ptr().wrapping_add(page() as usize);
    // SAFETY: the byte is shared memory, to which nobody has a reference.
    let byte = unsafe { std::slice::from_raw_parts_mut(at, 1) };
    assert_fails(
        rustix::io::read(&pipe.0, byte).map_err(Into::into),
        Errno::FAULT,
    );

    mapping
        .protect(&object, 0..8, Protection::ReadWrite)
        .unwrap();
    assert!(mapping.protections(&object).unwrap().is_empty());
    mapping.write(page() as usize, b"x");
    let refused = mapping.protect(&object, 7..9, Protection::Read);
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidInput);
}

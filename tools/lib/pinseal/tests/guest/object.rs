// SPDX-License-Identifier: MIT OR Apache-2.0

//! Making objects, and what a descriptor does.

use crate::support::{assert_fails, fdinfo, filled, page};
use pinseal::{Exec, Memfd, Object, Options, Seals};
use rustix::{
    fs::{MemfdFlags, SealFlags, fcntl_get_seals, memfd_create},
    io::Errno,
};
use std::{
    fs::{self, File},
    io::{ErrorKind, Read, Seek, SeekFrom, Write},
    os::fd::{AsRawFd, OwnedFd},
};

fn link(fd: &impl AsRawFd) -> String {
    fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()))
        .unwrap()
        .to_string_lossy()
        .into_owned()
}

#[test]
fn new_objects_are_zeroes_without_seals() {
    let object = Object::new(3 * page()).unwrap();
    let mut bytes = vec![1; 3 * page() as usize];
    object.read_exact_at(&mut bytes, 0).unwrap();
    assert!(bytes.iter().all(|byte| *byte == 0));
    assert_eq!(object.len().unwrap(), 3 * page());
    assert!(object.seals().unwrap().is_empty());
    assert!(object.is_writable().unwrap());
    assert!(Object::new(0).unwrap().is_empty().unwrap());
}

#[test]
fn info_tells_what_the_kernel_supports() {
    let info = Object::new(10).unwrap().info().unwrap();
    assert_eq!(info.version, 1);
    assert_eq!(info.size, 10);
    assert_eq!(info.seals, Seals::known());
    assert_eq!(info.seal_flags, pinseal::SealFlags::known());
    assert_eq!(info.default_timeout.as_millis(), 150);
}

#[test]
fn it_is_read_and_written_like_a_file() {
    let mut object = Object::new(0).unwrap();
    object.write_all(b"hello, world").unwrap();
    object.seek(SeekFrom::Start(7)).unwrap();
    let mut text = String::new();
    object.read_to_string(&mut text).unwrap();
    assert_eq!(text, "world");
    assert_eq!(object.write_at(b"H", 0).unwrap(), 1);
    let mut byte = [0];
    assert_eq!(object.read_at(&mut byte, 0).unwrap(), 1);
    assert_eq!(&byte, b"H");
}

#[test]
fn names_show() {
    let object = Options::new().name("frames").create().unwrap();
    assert_eq!(fdinfo(&object, "name").unwrap(), "frames");
    let long = "n".repeat(64);
    let refused = Options::new().name(&long).create().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
}

#[test]
fn memfds_are_memfds() {
    let memfd = Memfd {
        allow_sealing: true,
        exec: Exec::Allowed,
    };
    let options = Options::new().name("frames").size(page()).memfd(memfd);
    let object = options.create().unwrap();
    assert_eq!(link(&object), "/memfd:frames (deleted)");
    assert!(fcntl_get_seals(&object).unwrap().is_empty());
    assert_eq!(object.len().unwrap(), page());
    let beside = options.create_beside(&object).unwrap();
    assert_eq!(link(&beside), "/memfd:frames (deleted)");
    beside.write_all_at(b"other", 0).unwrap();
    let mut byte = [1];
    object.read_exact_at(&mut byte, 0).unwrap();
    assert_eq!(byte, [0]);
}

#[test]
fn memfds_have_the_flags() {
    let make = |memfd| Options::new().memfd(memfd).create().unwrap();
    let seals = |memfd| fcntl_get_seals(make(memfd)).unwrap();
    assert!(seals(Memfd::default()).contains(SealFlags::SEAL));
    let sealed = seals(Memfd {
        exec: Exec::Sealed,
        ..Memfd::default()
    });
    assert!(!sealed.contains(SealFlags::SEAL));
    assert_eq!(sealed.bits() & Seals::EXEC.bits(), Seals::EXEC.bits());
}

#[test]
fn read_only_descriptors_do_not_write() {
    let object = Options::new().size(10).read_only().create().unwrap();
    assert!(!object.is_writable().unwrap());
    assert_eq!(object.len().unwrap(), 10);
    assert_fails(object.write_at(b"x", 0), Errno::BADF);
    assert_fails(object.reopen(), Errno::PERM);
    assert!(object.map().is_err());
}

#[test]
fn reopened_descriptors_have_their_own_position() {
    let mut object = Object::new(0).unwrap();
    object.write_all(b"text").unwrap();
    let mut text = String::new();
    object.reopen().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "text");
    let read_only = object.reopen_read_only().unwrap();
    assert_fails(read_only.write_at(b"x", 0), Errno::BADF);
    let clone = object.try_clone().unwrap();
    let mut rest = String::new();
    (&clone).read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
}

#[test]
fn exported_memory_shows_seals() {
    let object = filled(1);
    let export = object.export().unwrap();
    let read_only = object.export_read_only().unwrap();
    object.seal(Seals::CONTENT).run().unwrap();
    let seals = fcntl_get_seals(&export).unwrap();
    assert!(seals.contains(SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW));
    assert!(File::from(export).write_all(b"x").is_err());
    assert_fails(File::from(read_only).write(b"x"), Errno::BADF);
}

#[test]
fn imported_memory_is_shared() {
    let memfd = memfd_create("theirs", MemfdFlags::ALLOW_SEALING).unwrap();
    File::from(memfd.try_clone().unwrap())
        .write_all(b"theirs")
        .unwrap();
    let object = Options::new().import(&memfd).unwrap();
    assert_eq!(object.len().unwrap(), 6);
    object.seal(Seals::WRITE).run().unwrap();
    assert!(fcntl_get_seals(&memfd).unwrap().contains(SealFlags::WRITE));
}

#[test]
fn what_cannot_be_sealed_is_not_imported() {
    let memfd = memfd_create("unsealable", MemfdFlags::empty()).unwrap();
    assert_fails(Options::new().import(memfd), Errno::PERM);
    let null = File::open("/dev/null").unwrap();
    assert_fails(Options::new().import(null), Errno::INVAL);
}

#[test]
fn descriptors_of_objects_are_recognized() {
    let object = filled(1);
    let fd: OwnedFd = object.try_clone().unwrap().into();
    let again = Object::try_from(fd).unwrap();
    again.write_all_at(b"through the other", 0).unwrap();
    let mut byte = [0];
    object.read_exact_at(&mut byte, 0).unwrap();
    assert_eq!(&byte, b"t");
    let memfd: OwnedFd = Options::new()
        .memfd(Memfd::default())
        .create()
        .unwrap()
        .into();
    Object::try_from(memfd).unwrap();
}

#[test]
fn other_descriptors_are_given_back() {
    let memfd = memfd_create("plain", MemfdFlags::ALLOW_SEALING).unwrap();
    let zero = File::open("/dev/zero").unwrap().into();
    // A device of the same kind as ours.
    let misc = File::open("/dev/hpet")
        .or_else(|_| File::open("/dev/mcelog"))
        .or_else(|_| File::open("/dev/rfkill"))
        .or_else(|_| File::open("/dev/cpu_dma_latency"))
        .or_else(|_| File::open("/dev/fuse"))
        .unwrap()
        .into();
    // Plain memory of an object takes no commands.
    let exported = filled(1).export().unwrap();
    for fd in [memfd, zero, misc, exported] {
        let number = fd.as_raw_fd();
        let refused = Object::try_from(fd).unwrap_err();
        assert!(
            refused.to_string().contains("not a descriptor of"),
            "{refused}"
        );
        assert_eq!(refused.into_fd().as_raw_fd(), number);
    }
}

#[test]
fn sizes_change() {
    let object = Object::new(10).unwrap();
    object.set_len(20).unwrap();
    assert_eq!(object.len().unwrap(), 20);
    object.allocate(0..3 * page()).unwrap();
    assert_eq!(object.len().unwrap(), 3 * page());
    let sealed = object.seal(Seals::SHRINK).run().unwrap();
    assert_fails(sealed.object().set_len(5), Errno::PERM);
}

#[test]
fn a_descriptor_for_writing_alone_is_writable() {
    let device = File::options().write(true).open("/dev/pinseal").unwrap();
    let object = Object::try_from(OwnedFd::from(device)).unwrap();
    assert!(object.is_writable().unwrap());
    object.write_all_at(b"bytes", 0).unwrap();
    let object = Options::new().read_only().create().unwrap();
    assert!(!object.is_writable().unwrap());
}

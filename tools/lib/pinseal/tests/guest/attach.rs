// SPDX-License-Identifier: MIT OR Apache-2.0

//! Objects over files.

use crate::support::assert_fails;
use pinseal::{Features, Lower, Object, Options, Seals};
use rustix::{
    fs::{MemfdFlags, memfd_create},
    io::Errno,
};
use std::{fs::File, os::unix::fs::FileExt};

fn lower() -> File {
    let file = File::from(memfd_create("lower", MemfdFlags::CLOEXEC).unwrap());
    file.write_all_at(b"lower", 0).unwrap();
    file
}

fn is_supported() -> bool {
    let info = Object::new(0).unwrap().info().unwrap();
    let supported = info.features.contains(Features::ATTACH);
    if !supported {
        println!("SKIP: no objects over files");
    }
    supported
}

#[test]
fn what_changes_is_written_on_demand() {
    if !is_supported() {
        return;
    }
    let file = lower();
    let object = Options::new().attach(&file, Lower::SyncOnDemand).unwrap();
    assert_eq!(object.len().unwrap(), 5);
    object.write_all_at(b"L", 0).unwrap();
    let mut bytes = [0; 5];
    file.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"lower");
    object.sync().unwrap();
    file.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"Lower");
}

#[test]
fn a_close_can_write_it() {
    if !is_supported() {
        return;
    }
    let file = lower();
    let object = Options::new().attach(&file, Lower::SyncOnClose).unwrap();
    object.write_all_at(b"L", 0).unwrap();
    drop(object);
    let mut bytes = [0; 5];
    file.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"Lower");
}

#[test]
fn a_file_can_be_read_only() {
    if !is_supported() {
        return;
    }
    let object = Options::new().attach(lower(), Lower::ReadOnly).unwrap();
    object.write_all_at(b"L", 0).unwrap();
    assert_fails(object.sync(), Errno::ROFS);
    let sealed = object.seal(Seals::CONTENT).run().unwrap();
    assert_eq!(&*sealed.map().unwrap(), b"Lower");
}

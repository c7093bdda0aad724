// SPDX-License-Identifier: MIT OR Apache-2.0

//! A file of FUSE that answers like an object is none: its server could change what a safe mapping
//! shows.

use pinseal::{Object, PinHandle};
use rustix::{
    ioctl::{Getter, ioctl, opcode},
    mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount},
    thread::{UnshareFlags, unshare_unsafe},
};
use std::{
    env,
    ffi::CString,
    fs::File,
    io::{ErrorKind, Read, Write},
    os::fd::{AsFd, AsRawFd, OwnedFd},
    thread,
};

/// Requests of the kernel, and the sizes of their structs, from <linux/fuse.h>.
const FORGET: u32 = 2;
const GETATTR: u32 = 3;
const OPEN: u32 = 14;
const INIT: u32 = 26;
const INTERRUPT: u32 = 36;
const IOCTL: u32 = 39;
const IN_HEADER: usize = 40;
const ENOSYS: i32 = 38;
const MODE: u32 = 0o100644;

/// The size of struct pinseal_info, which begins with the version.
const INFO: usize = 32;
/// The number of PINSEAL_PIN_IOC_LEASE, and the size of its struct.
const LEASE: (u32, usize) = (0x20, 48);

fn info(version: u32) -> [u8; INFO] {
    let mut info = [0; INFO];
    info[..4].copy_from_slice(&version.to_ne_bytes());
    info
}

/// What the server answers, without the header; an error for what it does not know. `number` is that of
/// a command.
fn answer(request: u32, number: u32) -> Result<Vec<u8>, i32> {
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    Ok(match request {
        // Version 7.31, the rest as the kernel likes it; 4096 bytes in a write.
        INIT => words(&[7, 31, 0, 0, 0, 4096, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        // An attribute: the mode is its 16th word, after 4 of its own.
        GETATTR => {
            let mut attribute = [0; 26];
            attribute[4] = 1;
            attribute[4 + 15] = MODE;
            attribute[4 + 16] = 1;
            words(&attribute)
        }
        OPEN => words(&[0; 4]),
        IOCTL if number == LEASE.0 => [vec![0; 16], vec![0xff; LEASE.1]].concat(),
        IOCTL => [vec![0; 16], info(1).to_vec()].concat(),
        _ => return Err(-ENOSYS),
    })
}

/// Answers until the file is unmounted.
fn serve(mut device: File) {
    let mut buffer = vec![0; 1 << 17];
    while let Ok(n) = device.read(&mut buffer) {
        assert!(n >= IN_HEADER);
        let word = |at: usize| u32::from_ne_bytes(buffer[at..at + 4].try_into().unwrap());
        let request = word(4);
        if request == FORGET || request == INTERRUPT {
            continue;
        }
        // The command is behind a handle and flags.
        let number = match request {
            IOCTL => word(IN_HEADER + 12) & 0xff,
            _ => 0,
        };
        let (error, body) = match answer(request, number) {
            Ok(body) => (0, body),
            Err(error) => (error, Vec::new()),
        };
        let mut reply = (16 + body.len() as u32).to_ne_bytes().to_vec();
        reply.extend(error.to_ne_bytes());
        reply.extend(&buffer[8..16]);
        reply.extend(body);
        let _ = device.write(&reply);
    }
}

/// Asks a descriptor what pinseal supports, without further checks: the version.
fn version(fd: impl AsFd) -> u32 {
    const OPCODE: u32 = opcode::read::<[u8; INFO]>(0xb9, 0);
    // SAFETY: the command writes a struct of that size.
    let info = unsafe { ioctl(fd, Getter::<OPCODE, [u8; INFO]>::new()) }.unwrap();
    u32::from_ne_bytes(info[..4].try_into().unwrap())
}

#[test]
fn a_file_that_answers_like_an_object_is_refused() {
    let Ok(device) = File::options().read(true).write(true).open("/dev/fuse") else {
        println!("SKIP: no FUSE");
        return;
    };
    // SAFETY: no other thread depends on what this one sees of file systems.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.unwrap();
    mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )
    .unwrap();
    let path = env::temp_dir().join(format!("pinseal-fake-{}", std::process::id()));
    File::create(&path).unwrap();
    let data = format!(
        "fd={},rootmode={MODE:o},user_id=0,group_id=0",
        device.as_raw_fd()
    );
    let data = CString::new(data).unwrap();
    mount(
        "fake",
        &path,
        "fuse",
        MountFlags::empty(),
        Some(data.as_c_str()),
    )
    .unwrap();
    let server = thread::spawn(move || serve(device));

    let fake = File::open(&path).unwrap();
    assert_eq!(version(&fake), 1);
    let refused = Object::try_from(OwnedFd::from(fake)).unwrap_err();
    assert!(
        refused.to_string().contains("not a descriptor of"),
        "{refused}"
    );

    // A pin handle cannot be told from it. What it says is no more than wrong.
    let handle = PinHandle::try_from(refused.into_fd()).unwrap();
    let refused = handle.info().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidData);

    drop(handle);
    unmount(&path, UnmountFlags::DETACH).unwrap();
    server.join().unwrap();
    std::fs::remove_file(&path).unwrap();
}

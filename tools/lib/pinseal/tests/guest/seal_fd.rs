// SPDX-License-Identifier: MIT OR Apache-2.0

//! Sealing any memfd, with the module and without.

use crate::support::{LONG, SHORT, filled};
use pinseal::{Outcome, SealFdError, SealedBy, Seals, seal_fd};
use rustix::{
    fs::{MemfdFlags, SealFlags, fcntl_get_seals, memfd_create},
    mm::{MapFlags, ProtFlags, mmap, munmap},
    mount::{MountFlags, MountPropagationFlags, mount, mount_change},
    thread::{UnshareFlags, unshare_unsafe},
};
use std::{
    io::ErrorKind,
    os::fd::OwnedFd,
    ptr::null_mut,
    thread,
    time::{Duration, Instant},
};

fn memfd() -> OwnedFd {
    let flags = MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC;
    let memfd = memfd_create("theirs", flags).unwrap();
    rustix::io::write(&memfd, b"theirs").unwrap();
    memfd
}

fn is_sealed(memfd: &OwnedFd) -> bool {
    fcntl_get_seals(memfd).unwrap().contains(SealFlags::WRITE)
}

/// Hides `/dev` from this thread.
fn hide_device() {
    // SAFETY: no other thread depends on what this one sees of file systems.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.unwrap();
    mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )
    .unwrap();
    mount("none", "/dev", "tmpfs", MountFlags::empty(), None).unwrap();
}

/// Maps a memfd writable for that long.
fn map_for(memfd: &OwnedFd, time: Duration) -> thread::JoinHandle<()> {
    let protection = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: the kernel chooses the address.
    let at = unsafe { mmap(null_mut(), 4096, protection, MapFlags::SHARED, memfd, 0) }.unwrap();
    let at = at.addr();
    thread::spawn(move || {
        thread::sleep(time);
        // SAFETY: nothing refers to the mapping.
        unsafe { munmap(std::ptr::with_exposed_provenance_mut(at), 4096) }.unwrap();
    })
}

#[test]
fn the_module_seals_a_memfd() {
    let memfd = memfd();
    let sealed = seal_fd(&memfd, Seals::CONTENT).run().unwrap();
    assert!(is_sealed(&memfd));
    let sealed = sealed.module().unwrap();
    assert_eq!(&*sealed.map().unwrap(), b"theirs");
}

#[test]
fn the_module_says_why_not() {
    let memfd = memfd();
    let mapped = map_for(&memfd, Duration::from_millis(100));
    match seal_fd(&memfd, Seals::WRITE).timeout(SHORT).run() {
        Err(SealFdError::Module(refused)) => {
            assert_eq!(refused.outcome(), Some(Outcome::WritableMapping));
        }
        other => panic!("{other:?}"),
    }
    assert!(!is_sealed(&memfd));
    mapped.join().unwrap();
}

#[test]
fn an_object_is_sealed_as_it_is() {
    let object = filled(1);
    let by = seal_fd(&object, Seals::WRITE).run().unwrap();
    assert!(matches!(by, SealedBy::Module(_)));
    assert_eq!(object.seals().unwrap(), Seals::WRITE);
}

#[test]
fn without_the_device_the_kernel_seals() {
    hide_device();
    let memfd = memfd();
    match seal_fd(&memfd, Seals::WRITE).run().unwrap() {
        SealedBy::Kernel(reason) => assert_eq!(reason.kind(), ErrorKind::NotFound),
        SealedBy::Module(_) => panic!("there is no device"),
    }
    assert!(is_sealed(&memfd));
}

#[test]
fn a_device_that_cannot_be_opened_is_none() {
    hide_device();
    let (memfd, device) = (memfd(), "/dev/pinseal");
    std::os::unix::fs::symlink(device, device).unwrap();
    let by = seal_fd(&memfd, Seals::WRITE).run().unwrap();
    assert!(matches!(by, SealedBy::Kernel(_)));
    std::fs::remove_file(device).unwrap();
    // Nor is a file of that name.
    std::fs::write(device, "").unwrap();
    let by = seal_fd(&memfd, Seals::GROW).run().unwrap();
    assert!(matches!(by, SealedBy::Kernel(_)));
}

#[test]
fn the_kernel_is_asked_again_until_the_deadline() {
    hide_device();
    let patient = memfd();
    let mapped = map_for(&patient, Duration::from_millis(50));
    let by = seal_fd(&patient, Seals::WRITE).timeout(LONG).run().unwrap();
    assert!(matches!(by, SealedBy::Kernel(_)));
    mapped.join().unwrap();

    let impatient = memfd();
    let mapped = map_for(&impatient, Duration::from_millis(500));
    let start = Instant::now();
    match seal_fd(&impatient, Seals::WRITE).timeout(4 * SHORT).run() {
        Err(SealFdError::Kernel(refused)) => assert_eq!(refused.kind(), ErrorKind::ResourceBusy),
        other => panic!("{other:?}"),
    }
    assert!(start.elapsed() >= 4 * SHORT);
    assert!(!is_sealed(&impatient));
    mapped.join().unwrap();
}

#[test]
fn what_cannot_be_sealed_is_refused() {
    let unsealable = memfd_create("unsealable", MemfdFlags::CLOEXEC).unwrap();
    match seal_fd(&unsealable, Seals::WRITE).run() {
        Err(SealFdError::Kernel(refused)) => {
            assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
        }
        other => panic!("{other:?}"),
    }
}

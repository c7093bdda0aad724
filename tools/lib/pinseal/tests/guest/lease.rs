// SPDX-License-Identifier: MIT OR Apache-2.0

//! Pin handles, leases and mirrors.

use crate::support::{LONG, SHORT, assert_fails, fdinfo, filled, page};
use pinseal::{Features, LeaseState, PinHandle, Seals};
use rustix::io::Errno;
use std::{
    os::fd::OwnedFd,
    thread,
    time::{Duration, Instant},
};

const GRACE: Duration = Duration::from_secs(30);

#[test]
fn a_handle_gives_access_to_its_pages() {
    let object = filled(8);
    let pin = object.pin(2..4).take().unwrap();
    let mut byte = [0];
    pin.read_at(&mut byte, page()).unwrap();
    assert_eq!(byte, [3]);
    pin.write_all_at(b"x", 0).unwrap();
    object.read_exact_at(&mut byte, 2 * page()).unwrap();
    assert_eq!(&byte, b"x");
    assert_fails(pin.write_at(b"x", 2 * page()), Errno::NOSPC);
    let info = pin.info().unwrap();
    assert_eq!((info.pages, info.state), (2..4, LeaseState::Held));
    assert!(!info.is_leased && !info.is_read_only && !info.is_mirror);
    assert_eq!((info.until, info.asker), (None, None));
}

#[test]
fn descriptors_of_handles_are_recognized() {
    let object = filled(2);
    let pin = object.pin(1..2).take().unwrap();
    let again = PinHandle::try_from(OwnedFd::from(pin)).unwrap();
    assert_eq!(again.info().unwrap().pages, 1..2);
    assert_eq!(fdinfo(&again, "object"), fdinfo(&object, "object"));
    let refused = PinHandle::try_from(OwnedFd::from(object)).unwrap_err();
    assert!(
        refused.to_string().contains("not a pin handle"),
        "{refused}"
    );
    refused.into_fd();
}

#[test]
fn pages_that_are_not_there_cannot_be_pinned() {
    let object = filled(2);
    for pages in [1..3, 2..3, 0..0] {
        assert_fails(object.pin(pages).take(), Errno::INVAL);
    }
}

#[test]
fn a_read_only_handle_works_on_a_sealed_object() {
    let object = filled(2);
    let object = object.seal(Seals::CONTENT).run().unwrap().into_object();
    assert_fails(object.pin(0..1).take(), Errno::PERM);
    let pin = object.pin(0..1).read_only().wait(SHORT).take().unwrap();
    assert!(pin.info().unwrap().is_read_only);
    assert_fails(pin.write_at(b"x", 0), Errno::BADF);
}

#[test]
fn a_holder_is_asked_and_releases() {
    let object = filled(4);
    let lease = object.pin(0..2).leased(GRACE).take().unwrap();
    assert!(lease.info().unwrap().is_leased);
    assert_eq!(lease.wait(Some(SHORT)).unwrap(), LeaseState::Held);
    let holder = thread::spawn(move || {
        assert_eq!(lease.wait(Some(LONG)).unwrap(), LeaseState::Asked);
        let info = lease.info().unwrap();
        assert_eq!(info.asker, Some(std::process::id()));
        assert_eq!(info.grace, GRACE);
        let left = info.until.unwrap() - Instant::now();
        assert!(left > GRACE / 2 && left <= GRACE, "{left:?}");
    });
    let sealed = object
        .seal(Seals::WRITE)
        .timeout(LONG)
        .revoke()
        .run()
        .unwrap();
    assert_eq!(sealed.report().revoked_pages, 0);
    holder.join().unwrap();
}

#[test]
fn a_lease_is_revoked_after_its_grace() {
    let object = filled(4);
    let lease = object.pin(0..2).leased(SHORT).take().unwrap();
    let sealed = object
        .seal(Seals::WRITE)
        .timeout(LONG)
        .revoke()
        .run()
        .unwrap();
    assert_eq!(sealed.report().revoked_pages, 2);
    assert_eq!(lease.wait(None).unwrap(), LeaseState::Revoked);
    assert_fails(lease.write_at(b"x", 0), Errno::STALE);
    assert_fails(lease.read_at(&mut [0], 0), Errno::STALE);
}

#[test]
fn a_lease_without_grace_goes_at_once() {
    let object = filled(4);
    let lease = object.pin(0..2).leased(Duration::ZERO).take().unwrap();
    object.seal(Seals::WRITE).no_wait().revoke().run().unwrap();
    assert_eq!(lease.state().unwrap(), LeaseState::Revoked);
}

#[test]
fn a_mirror_shows_its_mapping_and_delays_no_sealer() {
    let object = filled(4);
    if !object.info().unwrap().features.contains(Features::MIRROR) {
        println!("SKIP: the kernel has no mirrors");
        return;
    }
    let mapping = object.map().unwrap();
    let mirror = object.mirror(&mapping, 1..3).unwrap();
    assert!(mirror.info().unwrap().is_mirror);
    mirror.write_all_at(b"m", page()).unwrap();
    let mut byte = [0];
    mapping.read(2 * page() as usize, &mut byte);
    assert_eq!(&byte, b"m");
    drop(mapping);
    assert_fails(mirror.read_at(&mut byte, 0), Errno::FAULT);
    object.seal(Seals::WRITE).run().unwrap();
}

#[test]
fn a_mirror_needs_pages_of_its_mapping() {
    let object = filled(4);
    let mapping = object.map().unwrap();
    assert!(object.mirror(&mapping, 3..5).is_err());
}

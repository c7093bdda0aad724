// SPDX-License-Identifier: MIT OR Apache-2.0

//! Seals that a caller waits for.

use crate::support::{LONG, SHORT, assert_fails, filled};
use pinseal::{Outcome, Seals};
use rustix::io::Errno;
use std::{
    io, thread,
    time::{Duration, Instant},
};

#[test]
fn sealed_objects_cannot_be_changed() {
    let sealed = filled(4).seal(Seals::CONTENT).run().unwrap();
    assert_eq!(sealed.report().outcome, Outcome::Sealed);
    assert_eq!(sealed.report().first_pinned, None);
    let object = sealed.into_object();
    assert_eq!(object.seals().unwrap(), Seals::CONTENT);
    assert_fails(object.write_at(b"x", 0), Errno::PERM);
    assert_fails(object.set_len(1), Errno::PERM);
    assert_fails(object.set_len(1 << 20), Errno::PERM);
    assert_fails(object.map(), Errno::PERM);
}

#[test]
fn pinned_pages_are_reported_and_the_object_comes_back() {
    let object = filled(16);
    let pin = object.pin(3..6).take().unwrap();
    let refused = object.seal(Seals::WRITE).timeout(SHORT).run().unwrap_err();
    let report = refused.report().unwrap();
    assert_eq!(refused.outcome(), Some(Outcome::Pinned));
    assert_eq!((report.pinned_pages, report.first_pinned), (3, Some(3)));
    assert!(report.waited >= SHORT && report.scans > 1, "{report:?}");
    assert_eq!(refused.io_error().kind(), io::ErrorKind::ResourceBusy);
    let words = refused.to_string();
    assert!(
        words.contains("3 pages are in use, the first of them page 3"),
        "{words}"
    );

    let object = refused.into_object();
    assert!(object.seals().unwrap().is_empty());
    drop(pin);
    object.seal(Seals::WRITE).run().unwrap();
}

#[test]
fn a_pin_that_goes_is_waited_for() {
    let object = filled(4);
    let pin = object.pin(0..1).take().unwrap();
    let holder = thread::spawn(move || {
        thread::sleep(Duration::from_millis(20));
        drop(pin);
    });
    let sealed = object.seal(Seals::WRITE).timeout(LONG).run().unwrap();
    assert!(sealed.report().waited > Duration::ZERO);
    holder.join().unwrap();
}

#[test]
fn writable_mappings_are_not_waited_for() {
    let object = filled(4);
    let mapping = object.map().unwrap();
    let refused = object.seal(Seals::WRITE).timeout(LONG).run().unwrap_err();
    assert_eq!(refused.outcome(), Some(Outcome::WritableMapping));
    drop(mapping);
    refused.into_object().seal(Seals::WRITE).run().unwrap();
}

#[test]
fn writable_mappings_are_waited_for_on_request() {
    let object = filled(4);
    let mapping = object.map().unwrap();
    let holder = thread::spawn(move || {
        thread::sleep(Duration::from_millis(20));
        drop(mapping);
    });
    object
        .seal(Seals::WRITE)
        .timeout(LONG)
        .wait_mapped()
        .run()
        .unwrap();
    holder.join().unwrap();
}

#[test]
fn scans_are_limited() {
    let object = filled(4);
    let _pin = object.pin(0..1).take().unwrap();
    let refused = object
        .seal(Seals::WRITE)
        .timeout(LONG)
        .max_scans(2)
        .run()
        .unwrap_err();
    assert_eq!(refused.report().unwrap().scans, 2);
}

#[test]
fn no_wait_does_not_wait() {
    let object = filled(4);
    let _pin = object.pin(0..1).take().unwrap();
    let start = Instant::now();
    let refused = object
        .seal(Seals::WRITE)
        .timeout(LONG)
        .no_wait()
        .run()
        .unwrap_err();
    assert_eq!(refused.outcome(), Some(Outcome::Pinned));
    assert!(start.elapsed() < LONG / 2);
}

#[test]
fn isolated_pages_are_not_the_holders() {
    let object = filled(4);
    let pin = object.pin(1..3).take().unwrap();
    let sealed = object
        .seal(Seals::CONTENT)
        .no_wait()
        .isolate()
        .run()
        .unwrap();
    assert_eq!(sealed.report().isolated_pages, 2);
    pin.write_all_at(b"lost", 0).unwrap();
    let bytes = sealed.map().unwrap();
    let page = bytes.len() / 4;
    assert_eq!(bytes[page..page + 4], [1; 4]);
}

#[test]
fn a_resumed_seal_counts_on() {
    let object = filled(4);
    let _pin = object.pin(0..1).take().unwrap();
    let first = object.seal(Seals::WRITE).timeout(SHORT).run().unwrap_err();
    let scans = first.report().unwrap().scans;
    let second = first.resume().timeout(3 * SHORT).run().unwrap_err();
    let report = second.report().unwrap();
    assert!(report.scans > scans, "{report:?}");
    assert!(
        report.waited >= 3 * SHORT && report.waited < LONG,
        "{report:?}"
    );
}

#[test]
fn without_a_report_the_error_says_why() {
    let read_only = filled(1).reopen_read_only().unwrap();
    let refused = read_only.seal(Seals::WRITE).run().unwrap_err();
    assert!(refused.report().is_none());
    assert_eq!(refused.io_error().kind(), io::ErrorKind::PermissionDenied);

    let sealed = filled(1).seal(Seals::SEAL).run().unwrap();
    let refused = sealed.into_object().seal(Seals::WRITE).run().unwrap_err();
    assert!(refused.to_string().contains("Seals::SEAL"), "{refused}");

    let unknown = Seals::from_bits(1 << 30);
    let refused = filled(1).seal(unknown).run().unwrap_err();
    assert!(refused.to_string().contains("info() tells"), "{refused}");
}

#[test]
fn a_shortest_timeout_is_not_the_default() {
    let object = filled(4);
    let _pin = object.pin(0..1).take().unwrap();
    let refused = object
        .seal(Seals::WRITE)
        .timeout(Duration::ZERO)
        .run()
        .unwrap_err();
    assert!(refused.report().unwrap().waited < Duration::from_millis(100));
}

#[test]
fn the_reason_of_an_earlier_call_is_none_of_a_refusal() {
    let object = filled(4);
    let other = object.reopen().unwrap();
    let _pin = object.pin(0..1).take().unwrap();
    let first = object.seal(Seals::WRITE).timeout(SHORT).run().unwrap_err();
    assert_eq!(first.outcome(), Some(Outcome::Pinned));
    other.seal(Seals::SEAL).run().unwrap();
    let refused = first.resume().run().unwrap_err();
    assert_eq!(refused.io_error().kind(), io::ErrorKind::PermissionDenied);
    assert_eq!(refused.outcome(), None);
}

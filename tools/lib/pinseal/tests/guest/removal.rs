// SPDX-License-Identifier: MIT OR Apache-2.0

//! Removing pages once they are not in use.

use crate::support::{LONG, SHORT, filled, page};
use pinseal::Seals;
use std::{io, time::Duration};

#[test]
fn pages_in_use_are_not_cut_off() {
    let object = filled(8);
    let pin = object.pin(5..6).take().unwrap();
    let refused = object.resize(4 * page()).timeout(SHORT).run().unwrap_err();
    let report = refused.report().unwrap();
    assert_eq!((report.pinned_pages, report.first_pinned), (1, Some(5)));
    assert!(
        refused.to_string().contains("page 5 is in use"),
        "{refused}"
    );
    assert_eq!(object.len().unwrap(), 8 * page());
    drop(pin);
    object.resize(4 * page()).run().unwrap();
    assert_eq!(object.len().unwrap(), 4 * page());
}

#[test]
fn a_hole_waits_for_its_pages_only() {
    let object = filled(8);
    let _pin = object.pin(5..6).take().unwrap();
    object.punch_hole(0..4 * page()).run().unwrap();
    let mut byte = [1];
    object.read_exact_at(&mut byte, page()).unwrap();
    assert_eq!(byte, [0]);
    let refused = object.punch_hole(0..8 * page()).timeout(SHORT).run();
    assert_eq!(
        refused.unwrap_err().io_error().kind(),
        io::ErrorKind::ResourceBusy
    );
}

#[test]
fn leases_are_broken_unless_they_are_kept() {
    let object = filled(8);
    let _lease = object.pin(5..7).leased(Duration::ZERO).take().unwrap();
    let kept = object.resize(0).timeout(SHORT).keep_leases().run();
    assert!(kept.is_err());
    let removed = object.resize(0).timeout(LONG).run().unwrap();
    assert_eq!(removed.revoked_pages, 2);
}

#[test]
fn a_refusal_has_no_report() {
    let object = filled(8).seal(Seals::SHRINK).run().unwrap().into_object();
    let refused = object.resize(0).run().unwrap_err();
    assert!(refused.report().is_none());
    assert_eq!(refused.io_error().kind(), io::ErrorKind::PermissionDenied);
}

#[test]
fn a_resumed_removal_counts_on() {
    let timeout = 20 * SHORT;
    let object = filled(8);
    let _pin = object.pin(5..6).take().unwrap();
    for removal in [object.resize(0), object.punch_hole(0..8 * page())] {
        let first = removal.timeout(timeout).run().unwrap_err();
        let waited = first.report().unwrap().waited;
        // Nothing is left of the time.
        let second = first.resume(&object).run().unwrap_err();
        let more = second.report().unwrap().waited - waited;
        assert!(more < timeout / 2, "{more:?}");
        let third = second.resume(&object).timeout(2 * timeout).run();
        assert!(third.unwrap_err().report().unwrap().waited >= 2 * timeout);
    }
}

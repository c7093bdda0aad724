// SPDX-License-Identifier: MIT OR Apache-2.0

//! Seals in the background.

use crate::support::{LONG, SHORT, fdinfo, filled};
use pinseal::{Memfd, Object, Options, Outcome, Pending, PinHandle, Progress, Seals};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::{
    io::Write,
    thread,
    time::{Duration, Instant},
};

/// A pending seal of an object that is pinned, and another descriptor of it.
fn pending() -> (Pending, PinHandle, Object) {
    let object = filled(8);
    let pin = object.pin(2..3).take().unwrap();
    let other = object.reopen().unwrap();
    let pending = object.seal(Seals::WRITE).timeout(LONG).start().unwrap();
    (pending, pin, other)
}

#[test]
fn it_ends_when_the_pages_are_released() {
    let (pending, pin, other) = pending();
    let releaser = thread::spawn(move || {
        thread::sleep(Duration::from_millis(20));
        drop(pin);
    });
    let sealed = pending.wait().unwrap();
    assert_eq!(sealed.report().outcome, Outcome::Sealed);
    assert_eq!(other.seals().unwrap(), Seals::WRITE);
    releaser.join().unwrap();
}

#[test]
fn it_tells_how_far_it_is() {
    let (pending, pin, _other) = pending();
    let Progress::Pending(pending, report) = pending.wait_timeout(10 * SHORT) else {
        panic!("it has ended");
    };
    assert_eq!(report.outcome, Outcome::Pending);
    assert_eq!((report.pinned_pages, report.first_pinned), (1, Some(2)));
    drop(pin);
    pending.wait().unwrap();
}

#[test]
fn it_fails_at_its_deadline() {
    let object = filled(8);
    let _pin = object.pin(2..3).take().unwrap();
    let pending = object.seal(Seals::WRITE).timeout(SHORT).start().unwrap();
    let refused = pending.wait().unwrap_err();
    assert_eq!(refused.outcome(), Some(Outcome::Pinned));
    assert_eq!(refused.report().unwrap().first_pinned, Some(2));
}

#[test]
fn the_descriptor_becomes_ready() {
    let (pending, pin, _other) = pending();
    let Progress::Pending(pending, _) = pending.poll() else {
        panic!("it has ended");
    };
    let ready = |timeout: i64| {
        let timeout = Timespec {
            tv_sec: timeout,
            tv_nsec: 0,
        };
        let mut fds = [PollFd::new(&pending, PollFlags::PRI)];
        poll(&mut fds, Some(&timeout)).unwrap();
        fds[0].revents().contains(PollFlags::PRI)
    };
    assert!(!ready(0));
    drop(pin);
    assert!(ready(60));
    assert!(matches!(pending.poll(), Progress::Done(Ok(_))));
}

#[test]
fn a_cancelled_seal_gives_the_object_back() {
    let (pending, _pin, other) = pending();
    let cancelled = pending.cancel().unwrap_err();
    assert_eq!(cancelled.outcome(), Some(Outcome::Cancelled));
    assert!(cancelled.to_string().contains("the seal was cancelled"));
    let object = cancelled.into_object();
    object.write_all_at(b"x", 0).unwrap();
    assert!(other.seals().unwrap().is_empty());
    assert_eq!(fdinfo(&other, "sealing"), None);
}

#[test]
fn a_seal_that_has_ended_is_not_cancelled() {
    let (pending, pin, _other) = pending();
    drop(pin);
    let Progress::Pending(pending, _) = pending.poll() else {
        // It was quick.
        return;
    };
    thread::sleep(Duration::from_secs(1));
    pending.cancel().unwrap();
}

#[test]
fn dropping_cancels() {
    let (pending, pin, other) = pending();
    assert_eq!(fdinfo(&other, "sealing").as_deref(), Some("0x8"));
    drop(pending);
    assert_eq!(fdinfo(&other, "sealing"), None);
    drop(pin);
    assert!(other.seals().unwrap().is_empty());
}

#[test]
fn a_detached_seal_goes_on_and_is_found_again() {
    let (pending, pin, other) = pending();
    let object = pending.detach();
    assert_eq!(fdinfo(&object, "sealing").as_deref(), Some("0x8"));
    let again = other.seal(Seals::WRITE).start().unwrap();
    drop(pin);
    again.wait().unwrap();
    assert_eq!(object.seals().unwrap(), Seals::WRITE);
}

#[test]
fn one_seal_at_a_time() {
    let (pending, _pin, other) = pending();
    let refused = other.seal(Seals::GROW).start().unwrap_err();
    assert!(refused.report().is_none());
    assert!(
        refused.to_string().contains("other seals are being added"),
        "{refused}"
    );
    drop(pending);
}

#[test]
fn a_result_that_is_there_is_returned_by_the_first_call() {
    let (pending, pin, other) = pending();
    pending.detach();
    drop(pin);
    let mut fds = [PollFd::new(&other, PollFlags::PRI)];
    poll(&mut fds, None).unwrap();
    let found = other.seal(Seals::WRITE).start().unwrap();
    assert!(matches!(found.poll(), Progress::Done(Ok(_))));
}

#[test]
fn the_seal_of_another_caller_is_cancelled() {
    let (pending, _pin, other) = pending();
    let object = pending.detach();
    let cancelled = other.seal(Seals::WRITE).cancel().unwrap_err();
    assert_eq!(cancelled.outcome(), Some(Outcome::Cancelled));
    assert_eq!(fdinfo(&object, "sealing"), None);
    let refused = object.seal(Seals::WRITE).cancel().unwrap_err();
    assert!(refused.report().is_none());
    assert!(
        refused.to_string().contains("nothing is being sealed"),
        "{refused}"
    );
}

#[test]
fn a_resumed_seal_is_waited_for() {
    let object = filled(8);
    let pin = object.pin(2..3).take().unwrap();
    let pending = object.seal(Seals::CONTENT).timeout(SHORT).start().unwrap();
    let ended = pending.wait().unwrap_err();
    let refused = ended.resume().timeout(3 * SHORT).run().unwrap_err();
    assert_eq!(refused.outcome(), Some(Outcome::Pinned));
    assert!(refused.report().unwrap().waited >= 3 * SHORT);
    assert_eq!(fdinfo(refused.object(), "sealing"), None);

    let pending = refused.resume().timeout(LONG).start().unwrap();
    let cancelled = pending.cancel().unwrap_err();
    let refused = cancelled.resume().timeout(SHORT).run().unwrap_err();
    assert_eq!(refused.outcome(), Some(Outcome::Pinned));
    drop(pin);
    let sealed = refused.resume().timeout(LONG).run().unwrap();
    assert_eq!(sealed.object().seals().unwrap(), Seals::CONTENT);
}

/// Waits for a seal that another caller cancels meanwhile: how that ends, and how long it takes.
fn wait_while_cancelled<T>(object: Object, wait: impl FnOnce(Pending) -> T + Send) -> (T, Duration)
where
    T: Send,
{
    let _pin = object.pin(0..1).take().unwrap();
    let other = object.reopen().unwrap();
    let waited = object.seal(Seals::WRITE).timeout(LONG).start().unwrap();
    let start = Instant::now();
    let ended = thread::scope(|scope| {
        let waiter = scope.spawn(|| wait(waited));
        thread::sleep(10 * SHORT);
        let shared = other.seal(Seals::WRITE).timeout(LONG).start().unwrap();
        let cancelled = shared.cancel().unwrap_err();
        let ended = waiter.join().unwrap();
        assert_eq!(fdinfo(cancelled.object(), "sealing"), None);
        ended
    });
    (ended, start.elapsed())
}

#[test]
fn a_wait_ends_when_another_caller_cancels() {
    let mut memfd = Options::new().memfd(Memfd::default()).create().unwrap();
    memfd.write_all(b"bytes").unwrap();
    for object in [filled(8), memfd] {
        let (ended, time) = wait_while_cancelled(object, Pending::wait);
        let cancelled = ended.unwrap_err();
        assert_eq!(cancelled.outcome(), Some(Outcome::Cancelled));
        assert!(time < LONG / 2, "{time:?}");
        // The object is there, and can be sealed.
        cancelled.resume().timeout(LONG).run().unwrap();
    }
}

#[test]
fn so_does_one_with_a_timeout() {
    let (ended, time) = wait_while_cancelled(filled(8), |pending| pending.wait_timeout(LONG));
    let Progress::Done(Err(cancelled)) = ended else {
        panic!("{ended:?}");
    };
    assert_eq!(cancelled.outcome(), Some(Outcome::Cancelled));
    assert!(time < LONG / 2, "{time:?}");
}

#[test]
fn other_seals_are_not_those_waited_for() {
    let (pending, _pin, other) = pending();
    let waiter = thread::spawn(|| pending.wait());
    thread::sleep(10 * SHORT);
    let again = other.reopen().unwrap();
    other.seal(Seals::WRITE).cancel().unwrap_err();
    let both = Seals::WRITE | Seals::SHRINK;
    let others = again.seal(both).timeout(LONG).start().unwrap();
    let cancelled = waiter.join().unwrap().unwrap_err();
    assert_eq!(cancelled.outcome(), Some(Outcome::Cancelled));
    assert!(matches!(others.poll(), Progress::Pending(..)));
}

#[test]
fn a_long_seal_is_waited_for() {
    let (pending, pin, _other) = pending();
    let releaser = thread::spawn(move || {
        thread::sleep(Duration::from_millis(1500));
        drop(pin);
    });
    pending.wait().unwrap();
    releaser.join().unwrap();
}

// SPDX-License-Identifier: MIT OR Apache-2.0

//! seal

use crate::support::{
    assert_says, command, ctl, document, end, fdinfo, filled, json, page, run, signal, target,
    until,
};
use pinseal::{Lower, Object, Options, PinHandle, Seals};
use rustix::{
    fs::{MemfdFlags, SealFlags, fcntl_get_seals, memfd_create},
    process::Signal,
};
use serde_json::json as value;
use std::{
    fs::{self, File},
    os::{fd::AsRawFd, unix::fs::FileExt},
    process::Child,
    time::Duration,
};

fn pinned() -> (Object, PinHandle, String) {
    let object = filled(8);
    let pin = object.pin(3..5).take().unwrap();
    let target = target(&object);
    (object, pin, target)
}

/// Starts a seal that waits.
fn waiting(object: &Object, arguments: &[&str]) -> Child {
    let child = command(arguments).spawn().unwrap();
    until(|| fdinfo(object, "sealing").is_some());
    child
}

#[test]
fn an_object_is_sealed() {
    let object = filled(4);
    let text = ctl(0, &["seal", &target(&object)]).out;
    assert!(text.starts_with("sealed: shrink,grow,write"), "{text}");
    assert_eq!(object.seals().unwrap(), Seals::CONTENT);
    let document = json(
        0,
        &["seal", "--seals", "future-write,seal", &target(&object)],
    );
    assert_eq!(document["outcome"], "sealed");
    assert_eq!(document["seals"], value!(["seal", "future-write"]));
    assert!(document["error"].is_null() && document["first_pinned"].is_null());
    assert!(object.seals().unwrap().contains(Seals::SEAL));
}

#[test]
fn any_memfd_is_sealed() {
    let memfd = memfd_create("theirs", MemfdFlags::ALLOW_SEALING).unwrap();
    ctl(0, &["seal", "--seals", "write", &target(&memfd)]);
    assert!(fcntl_get_seals(&memfd).unwrap().contains(SealFlags::WRITE));
}

#[test]
fn a_writable_mapping_is_3() {
    let object = filled(4);
    let mapping = object.map().unwrap();
    let ended = ctl(3, &["seal", &target(&object)]);
    assert_says(
        &ended.err,
        "a shared mapping is, or could be made, writable",
    );
    assert_says(&ended.err, "try --wait-mapped");
    let document = json(
        3,
        &[
            "seal",
            "--wait-mapped",
            "--timeout",
            "5ms",
            &target(&object),
        ],
    );
    assert_eq!(document["outcome"], "writable-mapping");
    // What was tried is not advised.
    let ended = ctl(
        3,
        &[
            "seal",
            "--wait-mapped",
            "--timeout",
            "5ms",
            &target(&object),
        ],
    );
    assert_says(&ended.err, "try a longer --timeout");
    assert_says(&ended.err, &format!("pinsealctl who {}", target(&object)));

    let child = waiting(
        &object,
        &[
            "seal",
            "--wait-mapped",
            "--timeout",
            "60s",
            &target(&object),
        ],
    );
    drop(mapping);
    assert_eq!(end(child).code, 0);
}

#[test]
fn held_pages_are_4() {
    let (object, _pin, target) = pinned();
    let ended = ctl(4, &["seal", "--timeout", "5ms", &target]);
    assert_says(&ended.err, "2 pages are in use, the first of them page 3");
    assert_says(&ended.err, "--revoke for leases, or --isolate");
    assert_says(&ended.err, &format!("pinsealctl who {target}"));
    let document = json(
        4,
        &["seal", "--timeout", "5ms", "--max-scans", "2", &target],
    );
    assert_eq!(document["outcome"], "pinned");
    assert_eq!(document["scans"], 2);
    assert_eq!(
        (&document["pinned_pages"], &document["first_pinned"]),
        (&value!(2), &value!(3))
    );
    ctl(4, &["seal", "--no-wait", "--timeout", "60s", &target]);
    assert!(object.seals().unwrap().is_empty());
}

/// No one reads why.
#[test]
fn a_closed_pipe_is_no_success() {
    let (_object, _pin, target) = pinned();
    for (code, arguments) in [
        (4, &["--json", "seal", "--timeout", "5ms", &target][..]),
        (
            6,
            &["--json", "seal", "--async", "--timeout", "60s", &target],
        ),
    ] {
        let mut child = command(arguments).spawn().unwrap();
        drop(child.stdout.take());
        assert_eq!(end(child).code, code, "{arguments:?}");
    }
}

#[test]
fn pages_that_are_released_are_waited_for() {
    let (object, pin, target) = pinned();
    let child = waiting(&object, &["seal", "--timeout", "60s", &target]);
    drop(pin);
    let ended = end(child);
    assert_eq!(ended.code, 0, "{ended:?}");
    // The pages may have been released before the first scan.
    assert_says(&ended.out, "sealed: shrink,grow,write");
    assert_eq!(ended.err, "");
}

#[test]
fn pages_are_replaced_by_copies() {
    let (_object, _pin, target) = pinned();
    let document = json(0, &["seal", "--isolate", "--no-wait", &target]);
    assert_eq!(document["isolated_pages"], 2);
}

#[test]
fn leases_are_revoked() {
    let object = filled(8);
    let lease = object
        .pin(3..5)
        .leased(Duration::from_millis(5))
        .take()
        .unwrap();
    let text = ctl(
        0,
        &["seal", "--revoke", "--timeout", "60s", &target(&object)],
    )
    .out;
    assert_says(&text, "2 leased pages were revoked");
    assert!(lease.write_at(b"x", 0).is_err());
}

#[test]
fn ctrl_c_cancels() {
    for signal_sent in [Signal::INT, Signal::TERM] {
        let (object, _pin, target) = pinned();
        let child = waiting(&object, &["--json", "seal", "--timeout", "60s", &target]);
        signal(child.id(), signal_sent);
        let ended = end(child);
        assert_eq!(ended.code, 130, "{ended:?}");
        assert_eq!(document("seal", &ended.out)["outcome"], "cancelled");
        assert_eq!(fdinfo(&object, "sealing"), None);
        assert!(object.seals().unwrap().is_empty());
    }
}

/// Shared memory of the whole machine, in bytes.
fn shared_memory() -> u64 {
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap();
    let line = meminfo.lines().find(|line| line.starts_with("Shmem:"));
    let kib = line.unwrap().split_whitespace().nth(1).unwrap();
    kib.parse::<u64>().unwrap() << 10
}

/// A stacked object gets the content of the file below first, which takes a while here.
#[test]
fn ctrl_c_ends_the_filling() {
    const MIB: u64 = 1 << 20;
    let lower = File::from(memfd_create("lower", MemfdFlags::empty()).unwrap());
    let content = vec![1; MIB as usize];
    for i in 0..256 {
        lower.write_all_at(&content, i * MIB).unwrap();
    }
    let object = Options::new().attach(&lower, Lower::SyncOnDemand).unwrap();
    let before = shared_memory();
    let child = command(&["seal", "--timeout", "60s", &target(&object)])
        .spawn()
        .unwrap();
    // More than other tests have.
    until(|| shared_memory() > before + 32 * MIB);
    signal(child.id(), Signal::INT);
    let ended = end(child);
    assert_eq!(ended.code, 130, "{ended:?}");
    assert_says(&ended.err, "not sealed: Interrupted");
    assert!(object.seals().unwrap().is_empty());
}

#[test]
fn a_stacked_object_is_sealed_in_the_background() {
    let lower = File::from(memfd_create("lower", MemfdFlags::empty()).unwrap());
    lower.set_len(8 * page()).unwrap();
    let object = Options::new().attach(&lower, Lower::SyncOnDemand).unwrap();
    let seal = ["seal", "--async", "--seals", "seal,write", &target(&object)];
    let sealed = Seals::SEAL | Seals::WRITE;
    if run(command(&seal)).code == 6 {
        until(|| object.seals().unwrap() == sealed);
        // The result is there soon, though no seal can be added.
        until(|| run(command(&seal)).code == 0);
    }
    assert_eq!(object.seals().unwrap(), sealed);
    ctl(77, &seal);
}

#[test]
fn a_seal_in_the_background_is_6_until_it_ends() {
    let (object, pin, target) = pinned();
    let begin = [
        "seal",
        "--async",
        "--timeout",
        "60s",
        "--seals",
        "write",
        &target,
    ];
    assert_eq!(json(6, &begin)["outcome"], "pending");
    assert_says(&ctl(6, &begin).out, "pending: 2 pages are in use");
    // Other seals have to wait.
    let other = ctl(1, &["seal", "--async", "--seals", "grow", &target]);
    assert_says(&other.err, "already in progress");
    drop(pin);
    until(|| object.seals().unwrap() == Seals::WRITE);
    assert_eq!(json(0, &begin)["outcome"], "sealed");
}

#[test]
fn a_seal_in_the_background_is_not_joined() {
    let (object, pin, target) = pinned();
    ctl(6, &["seal", "--async", "--timeout", "1h", &target]);
    for arguments in [&["seal", "--timeout", "5ms"][..], &["seal"]] {
        let said = ctl(1, &[arguments, &[target.as_str()]].concat()).err;
        assert_says(&said, "is being sealed in the background");
        assert_says(&said, "--cancel ends it");
    }
    assert!(fdinfo(&object, "sealing").is_some());
    // Nor is a result that waits to be collected taken for one's own.
    drop(pin);
    until(|| object.seals().unwrap() == Seals::CONTENT);
    assert_says(&ctl(1, &["seal", &target]).err, "result was not collected");
    ctl(0, &["seal", "--async", &target]);
    ctl(0, &["seal", &target]);
}

#[test]
fn a_cancel_that_is_late_says_so() {
    let (object, pin, target) = pinned();
    ctl(6, &["seal", "--async", "--timeout", "1h", &target]);
    drop(pin);
    until(|| object.seals().unwrap() == Seals::CONTENT);
    let said = ctl(0, &["seal", "--cancel", &target]).out;
    assert_says(&said, "before it could be cancelled");
}

/// An object that the command imports ends with the command.
#[test]
fn only_objects_are_sealed_in_the_background() {
    let memfd = memfd_create("theirs", MemfdFlags::ALLOW_SEALING).unwrap();
    for option in ["--async", "--cancel"] {
        let said = ctl(1, &["seal", option, &target(&memfd)]).err;
        assert_says(&said, "is no object, so it is not sealed in the background");
    }
    assert!(fcntl_get_seals(&memfd).unwrap().is_empty());
}

#[test]
fn a_seal_in_the_background_is_cancelled() {
    let (object, _pin, target) = pinned();
    ctl(6, &["seal", "--async", "--timeout", "60s", &target]);
    assert_eq!(
        json(7, &["seal", "--cancel", &target])["outcome"],
        "cancelled"
    );
    assert_eq!(fdinfo(&object, "sealing"), None);
    ctl(1, &["seal", "--cancel", &target]);
    ctl(2, &["seal", "--cancel", "--async", &target]);
}

#[test]
fn what_may_not_be_sealed_is_77() {
    let object = filled(1);
    let read_only = object.reopen_read_only().unwrap();
    ctl(77, &["seal", &target(&read_only)]);
    let object = object.seal(Seals::SEAL).run().unwrap().into_object();
    let document = json(77, &["seal", &target(&object)]);
    assert!(document["outcome"].is_null());
    assert_says(document["error"].as_str().unwrap(), "not permitted");
    let unsealable = memfd_create("unsealable", MemfdFlags::empty()).unwrap();
    let said = ctl(77, &["seal", &target(&unsealable)]).err;
    assert_says(&said, "without MFD_ALLOW_SEALING");
    let memfd = memfd_create("theirs", MemfdFlags::ALLOW_SEALING).unwrap();
    let read_only = File::open(format!("/proc/self/fd/{}", memfd.as_raw_fd())).unwrap();
    let said = ctl(77, &["seal", &target(&read_only)]).err;
    assert_says(&said, "not open for reading and writing");
}

#[test]
fn wrong_words_are_2() {
    for wrong in [
        &["seal"][..],
        &["seal", "1"],
        &["seal", "1:2", "--timeout", "soon"],
        &["seal", "1:2", "--seals", "glue"],
        &["seal", "1:2", "--max-scans", "0"],
        &["unknown"],
        &[],
    ] {
        ctl(2, wrong);
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0

//! trace

use crate::support::{
    LONG, assert_says, command, ctl, document, end, fdinfo, filled, signal, until,
};
use pinseal::{Object, Seals};
use rustix::process::Signal;
use serde_json::json as value;
use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    process::{Child, Command},
    thread,
    time::Duration,
};

fn instance(child: &Child) -> PathBuf {
    format!("/sys/kernel/tracing/instances/pinsealctl-{}", child.id()).into()
}

/// Starts a trace, and waits until it is on.
fn tracing(mut command: Command) -> Child {
    let child = command.spawn().unwrap();
    let enable = instance(&child).join("events/pinseal/enable");
    until(|| fs::read_to_string(&enable).is_ok_and(|on| on.trim() == "1"));
    child
}

fn number(object: &Object) -> String {
    fdinfo(object, "object").unwrap()
}

#[test]
fn events_of_an_object_are_decoded() {
    let (object, other) = (filled(2), filled(2));
    let arguments = [
        "--json",
        "trace",
        "--object",
        &number(&object),
        "--count",
        "5",
    ];
    let child = tracing(command(&arguments));
    let folder = instance(&child);
    other.seal(Seals::WRITE).run().unwrap();
    drop(object.pin(0..1).read_only().take().unwrap());
    let number: u64 = number(&object).parse().unwrap();
    object.seal(Seals::WRITE).run().unwrap();

    let ended = end(child);
    assert_eq!(ended.code, 0, "{ended:?}");
    let events: Vec<_> = ended
        .out
        .lines()
        .map(|line| document("trace", line))
        .collect();
    let names: Vec<_> = events.iter().map(|event| event["event"].clone()).collect();
    assert_eq!(names[..4], ["pin", "unpin", "seal_begin", "seal_scan"]);
    assert!(events.iter().all(|event| event["object"] == number));
    assert_eq!(events[0]["flags"], value!(["read-only"]));
    assert_eq!(events[2]["seals"], value!(["write"]));
    assert_eq!(events[2]["timeout_ns"], 150_000_000);
    assert!(!folder.exists());
}

/// All that the kernel knows but pin_wait, for which pages must lie where they may not be pinned.
#[test]
fn each_event_is_decoded() {
    let child = tracing(command(&["--json", "trace"]));
    let known: BTreeSet<_> = fs::read_dir(instance(&child).join("events/pinseal"))
        .unwrap()
        .filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            name.strip_prefix("pinseal_").map(str::to_owned)
        })
        .filter(|name| name != "pin_wait")
        .collect();
    assert!(known.len() > 8, "{known:?}");

    let object = filled(1);
    let lease = object
        .pin(0..1)
        .leased(Duration::from_millis(1))
        .take()
        .unwrap();
    object.seal(Seals::WRITE).revoke().run().unwrap();
    drop(lease);

    let object = filled(1);
    let pin = object.pin(0..1).take().unwrap();
    object.seal(Seals::WRITE).isolate().run().unwrap();
    drop(pin);

    let object = filled(1);
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

    signal(child.id(), Signal::INT);
    let ended = end(child);
    assert_eq!(ended.code, 130, "{ended:?}");
    let shown: BTreeSet<_> = ended
        .out
        .lines()
        .map(|line| {
            document("trace", line)["event"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(shown, known);
}

#[test]
fn people_read_words() {
    let object = filled(2);
    let child = tracing(command(&[
        "trace",
        "--object",
        &number(&object),
        "--count",
        "1",
    ]));
    object.seal(Seals::CONTENT).run().unwrap();
    let ended = end(child);
    assert_says(&ended.out, "seal_begin");
    assert_says(
        &ended.out,
        "seals=shrink,grow,write flags=- timeout=150.000ms",
    );
}

#[test]
fn ctrl_c_ends_it_in_order() {
    let child = tracing(command(&["trace"]));
    let folder = instance(&child);
    signal(child.id(), Signal::INT);
    assert_eq!(end(child).code, 130);
    assert!(!folder.exists());
}

#[test]
fn it_ends_after_its_time() {
    ctl(0, &["trace", "--for", "50ms"]);
    ctl(2, &["trace", "--for", "soon"]);
}

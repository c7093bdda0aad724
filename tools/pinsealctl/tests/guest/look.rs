// SPDX-License-Identifier: MIT OR Apache-2.0

//! info, ls, show, pins, leases, watch

use crate::support::{
    LONG, assert_says, command, ctl, document, end, fdinfo, filled, json, next_line, page, signal,
    target,
};
use pinseal::{Memfd, Object, Options, Seals};
use rustix::{
    fs::{MemfdFlags, SealFlags, fcntl_add_seals, fstat, memfd_create},
    pipe::{SpliceFlags, pipe, splice},
    process::Signal,
};
use serde_json::json as value;
use std::{
    fs::File,
    os::fd::{AsFd, AsRawFd, OwnedFd},
};

fn number(object: &Object) -> u64 {
    fdinfo(object, "object").unwrap().parse().unwrap()
}

fn own_pid() -> String {
    std::process::id().to_string()
}

/// A memfd of two pages.
fn memfd() -> OwnedFd {
    let memfd = memfd_create("theirs", MemfdFlags::ALLOW_SEALING).unwrap();
    let bytes = vec![1; 2 * page() as usize];
    rustix::io::write(&memfd, &bytes).unwrap();
    memfd
}

/// Puts page 1 into a pipe.
fn piped(fd: impl AsFd) -> (OwnedFd, OwnedFd) {
    let ends = pipe().unwrap();
    let mut offset = page();
    let len = page() as usize;
    let flags = SpliceFlags::empty();
    splice(fd, Some(&mut offset), &ends.1, None, len, flags).unwrap();
    ends
}

#[test]
fn info_tells_what_is_supported() {
    let text = ctl(0, &["info"]).out;
    assert_says(&text, "shrink,grow,write");
    assert_says(&text, "default timeout:  150ms");
    let document = json(0, &["info"]);
    assert_eq!(document["version"], 1);
    assert_eq!(document["default_timeout_ns"], 150_000_000);
}

#[test]
fn ls_lists_objects() {
    let object = Options::new()
        .name("some frames")
        .size(8192)
        .create()
        .unwrap();
    let _lease = object.pin(0..1).leased(LONG).take().unwrap();
    let object = object.seal(Seals::GROW).run().unwrap().into_object();
    let found = json(0, &["ls", "--object", &number(&object).to_string()]);
    assert_eq!(found["hidden_processes"], 0);
    let line = &found["objects"][0];
    assert_eq!(line["pid"], std::process::id());
    assert_eq!(line["fd"], object.as_raw_fd());
    assert_eq!(line["object"], number(&object));
    assert_eq!(line["size"], 8192);
    assert_eq!(line["seals"], value!(["grow"]));
    assert_eq!((&line["pins"], &line["leases"]), (&value!(1), &value!(1)));
    assert_eq!(line["name"], "some frames");

    let text = ctl(0, &["ls", "--pid", &own_pid()]).out;
    let row = text
        .lines()
        .find(|line| line.ends_with("some frames"))
        .unwrap();
    let cells: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(cells[..2], [own_pid(), object.as_raw_fd().to_string()]);
    assert_eq!(cells[3..8], ["8K", "grow", "1", "1", "0"]);
    assert_says(text.lines().next().unwrap(), "OBJECT");
}

#[test]
fn ls_of_one_process_has_no_others() {
    let _object = filled(1);
    let init = json(0, &["ls", "--pid", "1"]);
    assert_eq!(init["objects"], value!([]));
    let own = json(0, &["ls", "--pid", &own_pid()]);
    assert_eq!(own["objects"].as_array().unwrap().len(), 1);
}

#[test]
fn ls_shows_what_is_being_added() {
    let object = filled(1);
    let _pin = object.pin(0..1).take().unwrap();
    let pending = object.seal(Seals::WRITE).timeout(LONG).start().unwrap();
    let own = json(0, &["ls", "--pid", &own_pid()]);
    assert_eq!(own["objects"][0]["sealing"], value!(["write"]));
    assert_says(&ctl(0, &["ls"]).out, "(adding write)");
    drop(pending);
}

#[test]
fn ls_lists_memfds_when_asked() {
    let object = filled(1);
    let memfd = memfd();
    fcntl_add_seals(&memfd, SealFlags::GROW).unwrap();
    let own = json(0, &["ls", "--pid", &own_pid(), "--memfds"]);
    let find = |list: &str, fd: i32| {
        let lines = own[list].as_array().unwrap();
        lines.iter().find(|line| line["fd"] == fd).cloned()
    };
    assert!(find("objects", object.as_raw_fd()).is_some());
    assert!(find("memfds", object.as_raw_fd()).is_none());
    let line = find("memfds", memfd.as_raw_fd()).unwrap();
    assert_eq!(line["size"], 2 * page());
    assert_eq!(line["seals"], value!(["grow"]));
    assert_eq!(line["memory"], fstat(&memfd).unwrap().st_ino);
    assert_eq!(line["name"], "theirs");

    let text = ctl(0, &["ls", "--pid", &own_pid(), "--memfds"]).out;
    let is_row = |line: &&str| line.ends_with("theirs");
    let row = text.lines().find(is_row).unwrap();
    let cells: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(
        cells[..3],
        [own_pid(), memfd.as_raw_fd().to_string(), "-".into()]
    );
    assert_eq!(cells[4..8], ["grow", "-", "-", "-"]);

    let unasked = json(0, &["ls", "--pid", &own_pid()]);
    assert!(unasked.get("memfds").is_none());
    ctl(2, &["ls", "--object", "1", "--memfds"]);
}

#[test]
fn names_are_any_bytes() {
    let memfd = memfd_create(c"a\xffb", MemfdFlags::empty()).unwrap();
    let own = json(0, &["ls", "--pid", &own_pid(), "--memfds"]);
    let memfds = own["memfds"].as_array().unwrap();
    let line = memfds.iter().find(|line| line["fd"] == memfd.as_raw_fd());
    assert_eq!(line.unwrap()["name"], "a\u{fffd}b");
}

#[test]
fn an_object_made_as_a_memfd_is_an_object() {
    let object = Options::new().memfd(Memfd::default()).create().unwrap();
    let own = json(0, &["ls", "--pid", &own_pid(), "--memfds"]);
    let has = |list: &str| {
        let lines = own[list].as_array().unwrap();
        lines.iter().any(|line| line["fd"] == object.as_raw_fd())
    };
    assert!(has("objects") && !has("memfds"));
}

#[test]
fn show_tells_all_of_an_object() {
    let object = Options::new()
        .name("frames")
        .size(2 * page())
        .create()
        .unwrap();
    let _pin = object.pin(1..2).take().unwrap();
    let document = json(0, &["show", &target(&object)]);
    assert_eq!(document["kind"], "object");
    assert_eq!(document["link"], "/dev/pinseal");
    assert_eq!(document["dma_pinned_pages"], 1);
    assert_eq!(document["object"]["name"], "frames");
    assert_eq!(document["object"]["pins"], 1);
    let text = ctl(0, &["show", &target(&object)]).out;
    assert_says(&text, "frames");
    assert_says(&text, "1 of them pinned");
}

#[test]
fn show_knows_any_memfd() {
    let memfd = memfd();
    let document = json(0, &["show", &target(&memfd)]);
    assert_eq!(document["kind"], "memory");
    assert_eq!(document["size"], 2 * page());
    assert!(document["object"].is_null());
    assert_says(
        &ctl(0, &["show", &target(&memfd)]).out,
        "/memfd:theirs (deleted)",
    );
}

#[test]
fn pins_tells_kinds() {
    let object = filled(8);
    let _pin = object.pin(5..7).take().unwrap();
    let document = json(0, &["pins", &target(&object)]);
    assert_eq!(document["dma_pinned_pages"], 2);
    let folios = document["folios"].as_array().unwrap();
    let pinned = folios.iter().find(|folio| folio["index"] == 5).unwrap();
    assert_eq!(pinned["pins"], 1);
    assert!(
        pinned["flags"]
            .as_array()
            .unwrap()
            .contains(&value!("handle"))
    );
    let text = ctl(0, &["pins", &target(&object)]).out;
    assert_says(&text, "2 of them pinned");
    assert_says(&text, "handle");

    let part = json(
        0,
        &["pins", &target(&object), "--start", "6", "--count", "1"],
    );
    assert_eq!(part["dma_pinned_pages"], 1);
}

#[test]
fn pins_knows_any_memfd() {
    let memfd = memfd();
    let _pipe = piped(&memfd);
    let document = json(0, &["pins", &target(&memfd)]);
    let folios = document["folios"].as_array().unwrap();
    let piped = folios.iter().find(|folio| folio["index"] == 1).unwrap();
    assert!(piped["plain"].as_u64().unwrap() >= 1);
    assert_eq!(piped["pins"], 0);
}

#[test]
fn leases_tells_holders_and_requests() {
    let object = filled(8);
    let lease = object.pin(2..4).leased(LONG).take().unwrap();
    let _pin = object.pin(0..1).take().unwrap();
    let target = target(&object);
    let held = json(0, &["leases", &target]);
    assert_eq!(held["handles"].as_array().unwrap().len(), 1);
    let handle = &held["handles"][0];
    assert_eq!(handle["fd"], lease.as_raw_fd());
    assert_eq!(
        (&handle["start"], &handle["pages"]),
        (&value!(2), &value!(2))
    );
    assert_eq!(handle["state"], "held");
    assert_eq!(handle["grace_ns"], LONG.as_nanos() as u64);
    assert!(handle["left_ns"].is_null() && handle["asker"].is_null());
    let all = json(0, &["leases", "--all", &target]);
    assert_eq!(all["handles"].as_array().unwrap().len(), 2);

    let other = object.reopen().unwrap();
    let sealing = other.seal(Seals::WRITE).revoke().timeout(LONG);
    let pending = sealing.start().unwrap();
    lease.wait(Some(LONG)).unwrap();
    let asked = &json(0, &["leases", &target])["handles"][0];
    assert_eq!(asked["state"], "asked");
    assert_eq!(asked["asker"], std::process::id());
    assert!(asked["left_ns"].as_u64().unwrap() < LONG.as_nanos() as u64);
    let text = ctl(0, &["leases", &target]).out;
    assert_says(&text, "asked");
    assert_says(&text, "60.000s");
    drop(pending);
}

#[test]
fn leases_are_of_objects_only() {
    let ended = ctl(1, &["leases", &target(&memfd())]);
    assert_says(&ended.err, "is no object of /dev/pinseal");
}

#[test]
fn watch_repeats() {
    let object = filled(2);
    let target = target(&object);
    let arguments = [
        "--json",
        "watch",
        "--interval",
        "10ms",
        "--count",
        "3",
        "pins",
        &target,
    ];
    let text = ctl(0, &arguments).out;
    assert_eq!(text.lines().count(), 3);
    for line in text.lines() {
        document("pins", line);
    }
    for what in ["show", "leases"] {
        ctl(0, &["watch", "--count", "1", what, &target]);
    }
    assert_says(&ctl(0, &["watch", "--count", "1", "ls"]).out, "OBJECT");
}

#[test]
fn watch_is_interrupted() {
    // Also if each round takes longer than the interval.
    for interval in ["1s", "0"] {
        let arguments = ["watch", "--interval", interval, "--count", "1000", "ls"];
        let mut child = command(&arguments).spawn().unwrap();
        // It catches signals before it prints.
        next_line(&mut child);
        signal(child.id(), Signal::INT);
        assert_eq!(end(child).code, 130);
    }
}

#[test]
fn what_is_not_there_is_said() {
    let null = File::open("/dev/null").unwrap();
    let said = ctl(1, &["show", &target(&null)]).err;
    assert_says(&said, "is neither an object of /dev/pinseal nor a memfd");
    let closed = format!("{}:999", std::process::id());
    assert_says(&ctl(1, &["pins", &closed]).err, "has no descriptor 999");
    assert_says(
        &ctl(1, &["show", "4000000:3"]).err,
        "there is no process 4000000",
    );
}

#[test]
fn nothing_is_printed_into_a_closed_pipe() {
    let mut child = command(&["watch", "--interval", "10ms", "ls"])
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ended = end(child);
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
}

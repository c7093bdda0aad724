// SPDX-License-Identifier: MIT OR Apache-2.0

//! new, run

use crate::support::{
    TempFile, assert_says, command, ctl, document, end, json, next_line, program, run, signal,
    until,
};
use rustix::{
    fs::{SealFlags, fcntl_get_seals},
    pipe::pipe,
    process::Signal,
};
use serde_json::json as value;
use std::{
    env, fs,
    io::{self, Write},
    os::unix::process::ExitStatusExt,
    process::{Child, Stdio},
    thread,
    time::Duration,
};

/// Starts `new`, and waits for what it prints.
fn new(arguments: &[&str]) -> (Child, String) {
    let mut child = command(&[&["new"], arguments].concat()).spawn().unwrap();
    let target = next_line(&mut child);
    (child, target)
}

fn has_memfd(child: &Child) -> bool {
    let is_memfd = |fd: io::Result<fs::DirEntry>| {
        fs::read_link(fd?.path()).map(|link| link.to_string_lossy().starts_with("/memfd:"))
    };
    let mut fds = fs::read_dir(format!("/proc/{}/fd", child.id())).unwrap();
    fds.any(|fd| is_memfd(fd).unwrap_or(false))
}

/// The path of PID:FD.
fn path(target: &str) -> String {
    let (pid, fd) = target.split_once(':').unwrap();
    format!("/proc/{pid}/fd/{fd}")
}

#[test]
fn new_holds_a_file() {
    let file = TempFile::new("new", b"content");
    let (child, target) = new(&[file.path(), "--name", "mine", "--seals", "write,shrink"]);
    assert_eq!(fs::read(path(&target)).unwrap(), b"content");
    let shown = json(0, &["show", &target]);
    assert_eq!(shown["size"], 7);
    assert_eq!(shown["object"]["name"], "mine");
    assert_eq!(shown["seals"], value!(["shrink", "write"]));
    assert_says(shown["link"].as_str().unwrap(), "/memfd:mine");
    signal(child.id(), Signal::TERM);
    assert_eq!(end(child).code, 0);
}

#[test]
fn new_reads_its_input() {
    let mut child = command(&["new", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"from a pipe").unwrap();
    drop(input);
    let target = next_line(&mut child);
    assert_eq!(fs::read(path(&target)).unwrap(), b"from a pipe");
    signal(child.id(), Signal::INT);
    assert_eq!(end(child).code, 130);
}

/// Its input has no end.
#[test]
fn new_is_killed_while_it_reads() {
    for sent in [Signal::INT, Signal::TERM] {
        let mut child = command(&["new", "-"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        // The object is made before its content is read.
        until(|| has_memfd(&child));
        signal(child.id(), sent);
        until(|| child.try_wait().unwrap().is_some());
        let status = child.wait().unwrap();
        assert_eq!(status.signal(), Some(sent.as_raw()));
        drop(input);
    }
}

#[test]
fn new_objects_have_a_size() {
    let (child, target) = new(&["--size", "64K", "--device"]);
    let shown = json(0, &["show", &target]);
    assert_eq!(shown["size"], 65536);
    assert_eq!(shown["link"], "/dev/pinseal");
    signal(child.id(), Signal::TERM);
    end(child);
}

#[test]
fn new_lets_others_seal() {
    for (arguments, sealed) in [(&["--allow-sealing"][..], false), (&[], true)] {
        let (child, target) = new(arguments);
        let memfd = fs::File::open(path(&target)).unwrap();
        let seals = fcntl_get_seals(&memfd).unwrap();
        assert_eq!(seals.contains(SealFlags::SEAL), sealed);
        signal(child.id(), Signal::TERM);
        end(child);
    }
}

/// No one reads what it says.
#[test]
fn new_holds_without_a_reader() {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let mut new = command(&["new"]);
    let child = new.stdout(writer).spawn().unwrap();
    until(|| has_memfd(&child));
    // Time to end, if it wanted to.
    thread::sleep(Duration::from_millis(100));
    assert!(has_memfd(&child));
    signal(child.id(), Signal::TERM);
    assert_eq!(end(child).code, 0);
}

#[test]
fn new_works_in_the_background() {
    let file = TempFile::new("background", b"content");
    let ended = ctl(0, &["--json", "new", "--background", file.path()]);
    let made = document("new", &ended.out);
    assert_eq!(made["size"], 7);
    let (pid, fd) = (made["pid"].as_u64().unwrap(), made["fd"].as_u64().unwrap());
    let target = format!("{pid}:{fd}");
    assert_eq!(fs::read(path(&target)).unwrap(), b"content");
    let shown = json(0, &["show", &target]);
    assert_eq!(shown["object"]["object"], made["object"]);
    assert_eq!(shown["command"], "pinsealctl");
    signal(pid as u32, Signal::TERM);
}

#[test]
fn new_is_stacked_on_a_file() {
    let file = TempFile::new("attach", b"lower");
    for how in ["sync", "sync-on-close", "read-only"] {
        let (child, target) = new(&[file.path(), "--attach", how, "--seals", "grow"]);
        assert_eq!(json(0, &["show", &target])["size"], 5);
        signal(child.id(), Signal::TERM);
        assert_eq!(end(child).code, 0, "{how}");
    }
}

#[test]
fn new_says_what_it_does_not_understand() {
    ctl(2, &["new", "--seals", "wrong"]);
    ctl(2, &["new", "--size", "1.5M"]);
    ctl(2, &["new", "--name", &"n".repeat(64)]);
    ctl(2, &["new", "--attach", "sync"]);
    assert_says(&ctl(1, &["new", "/none"]).err, "/none: No such file");
    ctl(1, &["new", "/dev/null", "--attach", "sync"]);
}

#[test]
fn run_passes_a_sealed_object() {
    let file = TempFile::new("run", b"sealed text");
    let this = env::current_exe().unwrap();
    let helper = ["--exact", "make::helper", "--ignored", "--nocapture"];
    let arguments = [
        &["run", "--file", file.path(), this.to_str().unwrap()],
        &helper[..],
    ]
    .concat();
    let ended = ctl(0, &arguments);
    assert_says(&ended.out, "helper has read: sealed text");
}

/// Runs as the command of `run`.
#[test]
#[ignore = "it is what run_passes_a_sealed_object runs"]
fn helper() {
    let fd = env::var("PINSEAL_FD").unwrap();
    let path = format!("/proc/self/fd/{fd}");
    let memfd = fs::File::open(&path).unwrap();
    let seals = fcntl_get_seals(&memfd).unwrap();
    let content = SealFlags::SEAL | SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW;
    assert!(seals.contains(content), "{seals:?}");
    println!("helper has read: {}", fs::read_to_string(path).unwrap());
}

#[test]
fn run_replaces_braces_and_reads_its_input() {
    let program = program();
    let program = program.to_str().unwrap();
    let arguments = [
        "run",
        program,
        "--json",
        "new",
        "--background",
        "/proc/self/fd/{}",
    ];
    let mut child = command(&arguments).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"copied").unwrap();
    let ended = end(child);
    let made = document("new", &ended.out);
    assert_eq!(made["size"], 6);
    signal(made["pid"].as_u64().unwrap() as u32, Signal::TERM);
}

#[test]
fn run_ends_as_its_command() {
    let program = program();
    let program = program.to_str().unwrap();
    ctl(2, &["run", program, "--wrong"]);
    ctl(1, &["run", program, "show", "4000000:3"]);
    assert_says(&ctl(1, &["run", "/none"]).err, "/none: No such file");
    ctl(2, &["run"]);
}

#[test]
fn run_has_seals_of_choice() {
    let program = program();
    let program = program.to_str().unwrap();
    let mut show = command(&["run", "--seals", "grow", "--name", "chosen", program, "ls"]);
    show.stdin(Stdio::null());
    let ended = run(show);
    let row = ended
        .out
        .lines()
        .find(|line| line.ends_with("chosen"))
        .unwrap();
    assert_says(row, " grow ");
}

// SPDX-License-Identifier: MIT OR Apache-2.0

//! Running pinsealctl, and what several tests need.

use crate::schema;
use pinseal::Object;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    os::fd::AsRawFd,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Longer than anything takes, also on a slow machine.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// The program: in a guest it is in the folder above that of the tests.
pub(crate) fn program() -> PathBuf {
    let beside = env::current_exe().unwrap().with_file_name("../pinsealctl");
    match beside.exists() {
        true => beside.canonicalize().unwrap(),
        false => env!("CARGO_BIN_EXE_pinsealctl").into(),
    }
}

pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// What the program has printed, and its exit code.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) fn end(child: Child) -> Ended {
    let output = child.wait_with_output().unwrap();
    Ended {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

pub(crate) fn run(mut command: Command) -> Ended {
    end(command.spawn().unwrap())
}

/// Runs it with this exit code.
#[track_caller]
pub(crate) fn ctl(code: i32, arguments: &[&str]) -> Ended {
    let ended = run(command(arguments));
    assert_eq!(ended.code, code, "{arguments:?}: {ended:?}");
    ended
}

/// Runs it with --json: the document, which is as the schema says.
#[track_caller]
pub(crate) fn json(code: i32, arguments: &[&str]) -> Value {
    let ended = ctl(code, &[&["--json"], arguments].concat());
    document(arguments[0], &ended.out)
}

#[track_caller]
pub(crate) fn document(schema: &str, text: &str) -> Value {
    let document = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    schema::check(schema, &document);
    document
}

#[track_caller]
pub(crate) fn assert_says(text: &str, what: &str) {
    assert!(text.contains(what), "no \"{what}\" in:\n{text}");
}

/// A descriptor of this process.
pub(crate) fn target(fd: &impl AsRawFd) -> String {
    format!("{}:{}", std::process::id(), fd.as_raw_fd())
}

pub(crate) fn page() -> u64 {
    rustix::param::page_size() as u64
}

pub(crate) fn filled(pages: u64) -> Object {
    let object = Object::new(0).unwrap();
    let bytes = vec![1; (pages * page()) as usize];
    object.write_all_at(&bytes, 0).unwrap();
    object
}

/// The value of a line of the descriptor's fdinfo.
pub(crate) fn fdinfo(fd: &impl AsRawFd, key: &str) -> Option<String> {
    fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd()))
        .unwrap()
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{key}:\t")))
        .map(str::to_owned)
}

/// Waits until something is so.
#[track_caller]
pub(crate) fn until(mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LONG, "it does not become so");
        thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn signal(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid as i32).unwrap(), signal).unwrap();
}

/// The next line that a running program prints.
pub(crate) fn next_line(child: &mut Child) -> String {
    let mut line = String::new();
    // One byte at a time: what follows is for others.
    BufReader::with_capacity(1, child.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    line.trim_end().to_owned()
}

/// A file with that content, removed in the end.
pub(crate) struct TempFile(pub(crate) PathBuf);

impl TempFile {
    pub(crate) fn new(name: &str, content: &[u8]) -> Self {
        let path = env::temp_dir().join(format!("pinsealctl-{}-{name}", std::process::id()));
        fs::File::create(&path).unwrap().write_all(content).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is for terminals only.

use crate::support::{LONG, assert_says, command, ctl, fdinfo, filled, target, until};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};
use std::{
    fs::File,
    os::fd::OwnedFd,
    process::Stdio,
    time::{Duration, Instant},
};

/// A terminal: our end, and that of a program.
fn terminal() -> (OwnedFd, File) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let path = ptsname(&ours, Vec::new()).unwrap();
    let theirs = File::options()
        .read(true)
        .write(true)
        .open(path.to_str().unwrap());
    (ours, theirs.unwrap())
}

/// What appears on the terminal until that.
fn read_until(terminal: &OwnedFd, what: &str) -> String {
    let start = Instant::now();
    let mut text = String::new();
    while !text.contains(what) {
        assert!(start.elapsed() < LONG, "no \"{what}\" in {text:?}");
        let mut fds = [PollFd::new(terminal, PollFlags::IN)];
        let second = Timespec::try_from(Duration::from_secs(1)).unwrap();
        if poll(&mut fds, Some(&second)).unwrap() == 1 {
            let mut buffer = [0; 4096];
            let n = rustix::io::read(terminal, &mut buffer).unwrap();
            text += &String::from_utf8_lossy(&buffer[..n]);
        }
    }
    text
}

/// What `ls` prints on a terminal.
fn ls(no_color: bool) -> String {
    let (ours, theirs) = terminal();
    let mut command = command(&["ls"]);
    command.stdout(Stdio::from(theirs)).env("TERM", "xterm");
    match no_color {
        true => command.env("NO_COLOR", "1"),
        false => command.env_remove("NO_COLOR"),
    };
    let mut child = command.spawn().unwrap();
    let text = read_until(&ours, "NAME");
    assert!(child.wait().unwrap().success());
    text
}

#[test]
fn colours_are_for_terminals() {
    let _object = filled(1);
    assert_says(&ls(false), "\x1b[1m");
    assert!(!ls(true).contains('\x1b'));
    assert!(!ctl(0, &["ls"]).out.contains('\x1b'));
}

#[test]
fn progress_is_shown() {
    let object = filled(4);
    let pin = object.pin(2..3).take().unwrap();
    let (ours, theirs) = terminal();
    let mut command = command(&["seal", "--timeout", "60s", &target(&object)]);
    command.stderr(Stdio::from(theirs));
    let mut child = command.spawn().unwrap();
    until(|| fdinfo(&object, "sealing").is_some());
    assert_says(&read_until(&ours, "page 2 is in use"), "waiting: ");
    drop(pin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn progress_is_one_row() {
    let object = filled(4);
    let pin = object.pin(2..3).take().unwrap();
    let (ours, theirs) = terminal();
    let size = Winsize {
        ws_row: 24,
        ws_col: 20,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&theirs, size).unwrap();
    let mut command = command(&["seal", "--timeout", "60s", &target(&object)]);
    command.stderr(Stdio::from(theirs));
    let mut child = command.spawn().unwrap();
    let text = read_until(&ours, "waiting: ") + &read_until(&ours, "waiting: ");
    drop(pin);
    assert!(child.wait().unwrap().success());
    let rows = text.split("\r\x1b[K");
    assert!(rows.clone().all(|row| row.len() <= 20), "{text:?}");
    assert!(rows.clone().any(|row| row.len() == 20), "{text:?}");
}

/// An emulated kernel takes longer to check the BPF programs.
#[test]
fn a_long_look_is_shown() {
    let object = filled(1);
    let (ours, theirs) = terminal();
    let mut command = command(&["who", &target(&object)]);
    command.stderr(Stdio::from(theirs)).stdout(Stdio::null());
    let start = Instant::now();
    assert!(command.status().unwrap().success());
    if start.elapsed() > Duration::from_secs(3) {
        read_until(&ours, "looking through /proc: 1 s");
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0

//! No device, and no permission.

use crate::support::{Ended, assert_says, command, ctl, filled, json, run, target, until};
use rustix::{
    fs::{CWD, FileType, MemfdFlags, Mode, OFlags, memfd_create, mknodat},
    mount::{MountFlags, MountPropagationFlags, mount, mount_bind, mount_change},
    system::{delete_module, finit_module},
    thread::{UnshareFlags, unshare_unsafe},
};
use std::{
    fs::File,
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::Path,
};

const NOBODY: u32 = 65534;

/// Gives this thread, and what it starts, file systems of its own.
pub(crate) fn own_mounts() {
    // SAFETY: no other thread depends on what this one sees of file systems.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.unwrap();
    mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )
    .unwrap();
}

/// Hides `/dev`, but for what every program needs.
pub(crate) fn no_device() {
    own_mounts();
    let null = std::fs::metadata("/dev/null").unwrap().rdev();
    mount("none", "/dev", "tmpfs", MountFlags::empty(), None).unwrap();
    make_device("/dev/null", 0o666, null);
}

pub(crate) fn make_device(path: &str, mode: u32, rdev: u64) {
    mknodat(
        CWD,
        path,
        FileType::CharacterDevice,
        Mode::from_raw_mode(mode),
        rdev,
    )
    .unwrap();
}

/// Runs it without any rights.
pub(crate) fn as_nobody(arguments: &[&str]) -> Ended {
    let mut command = command(arguments);
    command.uid(NOBODY).gid(NOBODY).current_dir("/");
    run(command)
}

#[track_caller]
fn assert_refused(ended: &Ended, code: i32, what: &str) {
    assert_eq!(ended.code, code, "{ended:?}");
    assert_says(&ended.err, what);
    assert_eq!(ended.err.lines().count(), 1, "{ended:?}");
}

#[test]
fn no_device_is_69() {
    let object = filled(1);
    no_device();
    let memfd = memfd_create("theirs", MemfdFlags::ALLOW_SEALING).unwrap();
    let memfd = target(&memfd);
    let own = std::process::id().to_string();
    for arguments in [
        &["info"][..],
        &["new"],
        &["new", "/proc/self/exe", "--attach", "read-only"],
        &["run", "/none"],
        &["ls", "--pid", "1"],
        &["show", &memfd],
        &["pins", &memfd],
        &["seal", &memfd],
    ] {
        assert_refused(&run(command(arguments)), 69, "load the module");
    }
    // An object needs no device.
    ctl(0, &["ls", "--pid", &own]);
    ctl(0, &["pins", &target(&object)]);
    ctl(0, &["seal", &target(&object)]);
}

#[test]
fn another_device_is_69() {
    own_mounts();
    mount_bind("/dev/null", "/dev/pinseal").unwrap();
    assert_refused(&run(command(&["info"])), 69, "is another device");
}

#[test]
fn other_users_processes_are_77() {
    let object = filled(1);
    let target = target(&object);
    for arguments in [
        &["show", &target][..],
        &["pins", &target],
        &["leases", &target],
        &["seal", &target],
        &["who", &target],
    ] {
        assert_refused(&as_nobody(arguments), 77, "do that as root, or as its user");
    }
}

#[test]
fn a_device_of_others_is_77() {
    let rdev = std::fs::metadata("/dev/pinseal").unwrap().rdev();
    no_device();
    make_device("/dev/pinseal", 0o600, rdev);
    for arguments in [&["info"][..], &["new"]] {
        assert_refused(&as_nobody(arguments), 77, "/dev/pinseal may not be opened");
    }
    ctl(0, &["info"]);
}

const TRACE: &[&str] = &["trace", "--for", "1ms"];

/// Hides both places of tracefs.
fn no_tracefs() {
    own_mounts();
    for place in ["/sys/kernel/debug", "/sys/kernel/tracing"] {
        mount("none", place, "tmpfs", MountFlags::empty(), None).unwrap();
    }
}

#[test]
fn a_trace_is_for_root() {
    let what = "tracefs may not be used: do that as root";
    assert_refused(&as_nobody(TRACE), 77, what);
    // One that others may look into.
    no_tracefs();
    std::fs::create_dir("/sys/kernel/tracing/instances").unwrap();
    assert_refused(&as_nobody(TRACE), 77, what);
}

#[test]
fn a_trace_needs_tracefs() {
    no_tracefs();
    let what = "mount -t tracefs tracefs /sys/kernel/tracing";
    assert_refused(&run(command(TRACE)), 1, what);
}

/// The tracefs of a kernel that is locked down has nothing in it.
#[test]
fn a_trace_under_lockdown_is_77() {
    own_mounts();
    mount(
        "none",
        "/sys/kernel/debug",
        "tmpfs",
        MountFlags::empty(),
        None,
    )
    .unwrap();
    mount_bind("/sys/kernel/tracing/instances", "/sys/kernel/tracing").unwrap();
    assert_refused(&run(command(TRACE)), 77, "lockdown=confidentiality");
}

#[test]
fn a_trace_without_the_module_is_69() {
    const MODULE_FILE: &str = "/pinseal.ko";
    /// Loads the module again, for the other tests.
    struct Unloaded;
    impl Drop for Unloaded {
        fn drop(&mut self) {
            finit_module(File::open(MODULE_FILE).unwrap(), c"", 0).unwrap();
        }
    }
    if !Path::new(MODULE_FILE).exists() {
        println!("SKIP: no {MODULE_FILE} to load again");
        return;
    }
    // Its last file may be closed in a moment.
    until(|| delete_module(c"pinseal", OFlags::NONBLOCK.bits() as i32).is_ok());
    let unloaded = Unloaded;
    assert_refused(
        &run(command(TRACE)),
        69,
        "load the module (modprobe pinseal)",
    );
    drop(unloaded);
    ctl(0, TRACE);
}

/// Mounts a `/proc` that shows no processes of other users.
pub(crate) fn hide_processes() {
    own_mounts();
    let options = c"hidepid=invisible";
    mount("proc", "/proc", "proc", MountFlags::empty(), Some(options)).unwrap();
}

#[test]
fn what_proc_hides_is_said() {
    assert_eq!(json(0, &["ls"])["hidepid"], false);
    hide_processes();
    let ended = as_nobody(&["ls"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_says(&ended.err, "/proc hides processes");
}

/// A child has a number of another PID namespace than that of `/proc`.
#[test]
fn a_strange_proc_is_said() {
    // SAFETY: no other thread depends on the namespace of this one's children.
    unsafe { unshare_unsafe(UnshareFlags::NEWPID) }.unwrap();
    let said = ctl(0, &["ls"]).err;
    assert_says(&said, "/proc is that of another PID namespace");
}

#[test]
fn hidden_processes_are_counted() {
    let ended = as_nobody(&["ls"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_says(
        &ended.err,
        "processes may not be looked into; root sees all",
    );
}

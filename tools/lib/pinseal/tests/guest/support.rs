// SPDX-License-Identifier: MIT OR Apache-2.0

//! What several tests need.

use pinseal::Object;
use rustix::io::Errno;
use std::{fs, io, os::fd::AsRawFd, time::Duration};

/// Longer than anything takes, also on a slow machine.
pub(crate) const LONG: Duration = Duration::from_secs(60);
pub(crate) const SHORT: Duration = Duration::from_millis(5);

pub(crate) fn page() -> u64 {
    rustix::param::page_size() as u64
}

/// An object of that many pages, each filled with its index.
pub(crate) fn filled(pages: u64) -> Object {
    let object = Object::new(pages * page()).unwrap();
    for index in 0..pages {
        let bytes = vec![index as u8; page() as usize];
        object.write_all_at(&bytes, index * page()).unwrap();
    }
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

#[track_caller]
pub(crate) fn assert_fails<T>(result: io::Result<T>, errno: Errno) {
    match result {
        Ok(_) => panic!("succeeded, and should fail with {errno}"),
        Err(error) => assert_eq!(error.raw_os_error(), Some(errno.raw_os_error()), "{error}"),
    }
}

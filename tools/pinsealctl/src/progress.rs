// SPDX-License-Identifier: MIT OR Apache-2.0

//! A line on the terminal that tells what a command is at, and is written over.

use rustix::termios::tcgetwinsize;
use std::{
    fmt,
    io::{IsTerminal, stderr},
    sync::mpsc::{RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

/// How often the time is shown that work has taken.
const SECOND: Duration = Duration::from_secs(1);

/// The line. It is shown on a terminal alone.
pub(crate) struct Line {
    start: Instant,
    /// What ends within this time is not shown.
    quiet: Duration,
    is_terminal: bool,
}

impl Line {
    pub(crate) fn new(quiet: Duration) -> Self {
        Self {
            start: Instant::now(),
            quiet,
            is_terminal: stderr().is_terminal(),
        }
    }

    pub(crate) fn show(&self, what: impl fmt::Display) {
        if self.is_terminal && self.start.elapsed() >= self.quiet {
            // What does not fit would begin another row, which is not written over.
            let width = tcgetwinsize(stderr()).map_or(0, |size| usize::from(size.ws_col));
            let mut what = what.to_string();
            if let Some((end, _)) = what.char_indices().nth(width).filter(|_| width > 0) {
                what.truncate(end);
            }
            eprint!("\r\x1b[K{what}");
        }
    }

    pub(crate) fn clear(&self) {
        if self.is_terminal {
            eprint!("\r\x1b[K");
        }
    }
}

/// Calls `work`, and shows what it is and how long it takes if that is more than a second.
pub(crate) fn during<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let line = Line::new(SECOND);
    if !line.is_terminal {
        return work();
    }
    thread::scope(|scope| {
        let (working, ended) = channel::<()>();
        scope.spawn(move || {
            while ended.recv_timeout(SECOND) == Err(RecvTimeoutError::Timeout) {
                line.show(format_args!("{what}: {} s", line.start.elapsed().as_secs()));
            }
            line.clear();
        });
        let result = work();
        drop(working);
        result
    })
}

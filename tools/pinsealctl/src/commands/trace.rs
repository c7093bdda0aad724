// SPDX-License-Identifier: MIT OR Apache-2.0

//! `pinsealctl trace`

mod event;
mod instance;

use self::{
    event::{Event, is_lost},
    instance::Instance,
};
use crate::{
    exit::{Exit, Result},
    output::Output,
    signals::{Signals, Woken},
    units,
};
use rustix::event::PollFlags;
use std::{
    os::fd::AsFd,
    time::{Duration, Instant},
};

/// What the module does: its trace events, decoded
///
/// They come from a tracefs instance of this program's own, so other tracers are not disturbed. With
/// --json each event is a document in one line.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only events of the object with this number
    #[arg(long, value_name = "NUMBER")]
    object: Option<u64>,

    /// For how long [default: until Ctrl-C]
    #[arg(long = "for", value_name = "TIME", value_parser = units::time)]
    time: Option<Duration>,

    /// End after so many events
    #[arg(long, value_name = "EVENTS", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit> {
    let signals = Signals::catch()?;
    let mut instance = Instance::new()?;
    let end = args.time.map(|time| Instant::now() + time);
    let mut left = args.count;
    output.line_by_line();
    let mut exit = None;
    loop {
        for line in instance.read()? {
            let Some(event) = Event::parse(&line) else {
                if is_lost(&line) {
                    anstream::eprintln!("pinsealctl: {line}");
                }
                continue;
            };
            if args.object.is_some_and(|object| object != event.object) {
                continue;
            }
            output.show(&event, |output| output.line(&event.to_string()))?;
            left = left.map(|left| left - 1);
            if left == Some(0) {
                return Ok(Exit::Done);
            }
        }
        // What came before the end has been shown.
        if let Some(exit) = exit {
            return Ok(exit);
        }
        let timeout = end.map(|end| end.saturating_duration_since(Instant::now()));
        let ready = Some((instance.as_fd(), PollFlags::IN));
        exit = match signals.wait(ready, timeout)? {
            Woken::Interrupted | Woken::Terminated => Some(Exit::Interrupted),
            // Also where events never stop.
            _ if timeout.is_some_and(|timeout| timeout.is_zero()) => Some(Exit::Done),
            Woken::Ready | Woken::Timeout => None,
        };
    }
}

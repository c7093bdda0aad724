// SPDX-License-Identifier: MIT OR Apache-2.0

//! `pinsealctl watch`

use super::{leases, ls, pins, show};
use crate::{
    exit::{Exit, Result},
    output::Output,
    signals::{Signals, Woken},
    units,
};
use clap::Subcommand;
use std::time::{Duration, Instant};

/// Repeats a command that shows something
///
/// On a terminal each result replaces the one before. With --json each is a document in one line.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The time from one to the next
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = units::time)]
    interval: Duration,

    /// How often [default: until Ctrl-C]
    #[arg(long, value_name = "TIMES", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    Ls(ls::Args),
    Show(show::Args),
    Pins(pins::Args),
    Leases(leases::Args),
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit> {
    let signals = Signals::catch()?;
    let mut left = args.count;
    output.line_by_line();
    loop {
        let start = Instant::now();
        output.new_screen()?;
        match &args.what {
            What::Ls(args) => ls::run(args, output),
            What::Show(args) => show::run(args, output),
            What::Pins(args) => pins::run(args, output),
            What::Leases(args) => leases::run(args, output),
        }?;
        left = left.map(|left| left - 1);
        if left == Some(0) {
            return Ok(Exit::Done);
        }
        // Signals are looked at here alone, so also where no time is left.
        loop {
            let rest = args.interval.saturating_sub(start.elapsed());
            match signals.wait(None, Some(rest))? {
                Woken::Interrupted | Woken::Terminated => return Ok(Exit::Interrupted),
                Woken::Ready | Woken::Timeout if rest.is_zero() => break,
                Woken::Ready | Woken::Timeout => (),
            }
        }
    }
}

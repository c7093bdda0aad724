// SPDX-License-Identifier: MIT OR Apache-2.0

//! `pinsealctl`: looks at shared memory of `/dev/pinseal`, makes it, and seals it.
//!
//! | Module     | Its one job                                                        |
//! |------------|--------------------------------------------------------------------|
//! | `cli`      | what can be typed                                                  |
//! | `commands` | a module for each command: its options, what it does, what it says |
//! | `target`   | descriptors of other processes: PID:FD                             |
//! | `proc`     | which objects and handles processes have, as `/proc` tells         |
//! | `who`      | who holds the pages of a memory                                    |
//! | `output`   | tables for people, JSON for programs                               |
//! | `progress` | a line that tells what a command is at                             |
//! | `exit`     | exit codes, and errors that lead to them                           |
//! | `signals`  | Ctrl-C, as something to be polled                                  |
//! | `units`    | times and sizes                                                    |

#![forbid(unsafe_code)]

mod cli;
mod commands;
mod exit;
mod output;
mod proc;
mod progress;
mod signals;
mod target;
mod units;
mod who;

use clap::{CommandFactory, Parser};
use std::process::ExitCode;

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let mut output = output::Output::new(cli.json);
    if proc::is_strange() {
        anstream::eprintln!(
            "pinsealctl: /proc is that of another PID namespace: mount one of this"
        );
    }
    let ended = commands::run(&cli.command, &mut output);
    exit::report(ended).into()
}

/// What can be typed, for man pages and completions.
pub fn command() -> clap::Command {
    cli::Cli::command()
}

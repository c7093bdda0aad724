// SPDX-License-Identifier: MIT OR Apache-2.0

//! `pinsealctl run`

use super::making;
use crate::exit::{Exit, Failure, Result};
use pinseal::{Memfd, Options, Seals};
use rustix::io::{FdFlags, fcntl_setfd};
use std::{
    os::{fd::AsRawFd, unix::process::CommandExt},
    path::PathBuf,
    process::Command,
};

/// Runs a command that is passed a sealed object
///
/// The command inherits a read-only descriptor of a memfd whose bytes nothing can change. Its number is
/// in the environment, as PINSEAL_FD, and replaces {} in the arguments. So with
/// /proc/self/fd/{} the command reads the content from a path. It takes the place of this
/// program, and its exit code is the command's.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What the object contains: a file, or - for the standard input, which the command then finds read
    /// to its end
    #[arg(long, default_value = "-")]
    file: PathBuf,

    /// The name that shows in /proc
    #[arg(long, default_value = "sealed", value_parser = making::object_name)]
    name: String,

    /// Seals, separated by commas
    #[arg(
        long,
        value_name = "SEALS",
        value_delimiter = ',',
        value_parser = making::seal_name(),
        default_values = ["seal", "shrink", "grow", "write"],
        hide_default_value = true,
        help = "Seals, separated by commas [default: seal,shrink,grow,write]"
    )]
    seals: Vec<Seals>,

    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true)]
    command: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<Exit> {
    let source = making::source(&args.file)?;
    let object = Options::new()
        .name(&args.name)
        .memfd(Memfd::default())
        .create()
        .map_err(|error| Failure::of_device(&error))?;
    making::fill(&object, source)?;
    let object = making::seal(object, making::set(&args.seals))?;

    let failed = |error| Failure::of("the object cannot be passed", &error);
    // A descriptor that is open for writing would keep the memfd from being executed.
    let passed = object.reopen_read_only().map_err(failed)?;
    drop(object);
    fcntl_setfd(&passed, FdFlags::empty()).map_err(|errno| failed(errno.into()))?;
    let number = passed.as_raw_fd().to_string();
    let words: Vec<String> = args
        .command
        .iter()
        .map(|word| word.replace("{}", &number))
        .collect();
    let error = Command::new(&words[0])
        .args(&words[1..])
        .env("PINSEAL_FD", &number)
        .exec();
    Err(Failure::of(&words[0], &error))
}

// SPDX-License-Identifier: MIT OR Apache-2.0

//! `pinsealctl new`

use super::{hold, making};
use crate::{
    exit::{Exit, Failure, Result},
    output::Output,
    proc::Descriptor,
    signals::Signals,
    target::Target,
    units,
};
use clap::ValueEnum;
use pinseal::{Lower, Memfd, Object, Options, Seals};
use rustix::io::{FdFlags, fcntl_setfd};
use serde::Serialize;
use std::{
    env,
    fs::File,
    os::{fd::AsRawFd, unix::process::CommandExt},
    path::PathBuf,
    process::{Command, Stdio},
};

/// Makes an object, and holds it until the program is killed
///
/// Prints PID:FD of the descriptor. The object is a memfd to other programs, unless it is to be one of
/// /dev/pinseal (--device, --attach).
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What the object contains: a file, or - for the standard input [default: nothing]
    file: Option<PathBuf>,

    /// The name that shows in /proc
    #[arg(long, value_parser = making::object_name)]
    name: Option<String>,

    /// The size in bytes, also with K, M or G [default: that of the content]
    #[arg(long, value_name = "BYTES", value_parser = units::size)]
    size: Option<u64>,

    /// Seals to add, separated by commas
    #[arg(long, value_name = "SEALS", value_delimiter = ',', value_parser = making::seal_name())]
    seals: Vec<Seals>,

    /// Let other programs add seals with F_ADD_SEALS
    #[arg(long, conflicts_with_all = ["device", "attach"])]
    allow_sealing: bool,

    /// Make an object of /dev/pinseal, which is no memfd
    #[arg(long)]
    device: bool,

    /// Stack the object on the file instead of copying it: how it is written to
    #[arg(long, value_name = "HOW", requires = "file", conflicts_with = "size")]
    attach: Option<Attach>,

    /// Hold the object in the background, and return
    #[arg(long)]
    background: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Attach {
    /// By fsync() of the object
    Sync,
    /// Also when a descriptor is closed
    SyncOnClose,
    /// Not at all
    ReadOnly,
}

#[derive(Serialize)]
struct Document {
    pid: i32,
    fd: i32,
    object: Option<u64>,
    size: u64,
    seals: Vec<&'static str>,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit> {
    let object = making::seal(make(args)?, making::set(&args.seals))?;
    // From here on, what kills the program ends it in order. Before, there is nothing to be ended, and
    // reads of the content would go on.
    let signals = Signals::catch()?;
    let fd = object.as_raw_fd();
    let pid = match args.background {
        true => holder(&object)?,
        false => std::process::id(),
    };
    let target = Target {
        pid: pid as i32,
        fd,
    };
    // It is held all the same.
    Exit::Done.after(show(target, &object, output))?;
    match args.background {
        true => Ok(Exit::Done),
        false => hold::until_killed(&signals),
    }
}

fn make(args: &Args) -> Result<Object> {
    let mut options = Options::new();
    if let Some(name) = &args.name {
        options = options.name(name);
    }
    if let (Some(path), Some(how)) = (&args.file, args.attach) {
        let (lower, writable) = match how {
            Attach::Sync => (Lower::SyncOnDemand, true),
            Attach::SyncOnClose => (Lower::SyncOnClose, true),
            Attach::ReadOnly => (Lower::ReadOnly, false),
        };
        let file = File::options()
            .read(true)
            .write(writable)
            .open(path)
            .map_err(|error| Failure::of(path.display(), &error))?;
        // What the device itself refuses comes first.
        options
            .create()
            .map_err(|error| Failure::of_device(&error))?;
        return options
            .attach(file, lower)
            .map_err(|error| Failure::of(path.display(), &error));
    }
    if !args.device {
        options = options.memfd(Memfd {
            allow_sealing: args.allow_sealing,
            ..Memfd::default()
        });
    }
    let source = args.file.as_deref().map(making::source).transpose()?;
    let object = options
        .create()
        .map_err(|error| Failure::of_device(&error))?;
    if let Some(source) = source {
        making::fill(&object, source)?;
    }
    if let Some(size) = args.size {
        object
            .set_len(size)
            .map_err(|error| Failure::of("the size cannot be set", &error))?;
    }
    Ok(object)
}

/// Starts a process that has the object's descriptor, under the same number.
fn holder(object: &Object) -> Result<u32> {
    let failed = |error| Failure::of("no process can hold the object", &error);
    fcntl_setfd(object, FdFlags::empty()).map_err(|errno| failed(errno.into()))?;
    let child = Command::new(env::current_exe().map_err(failed)?)
        .arg("hold")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(failed)?;
    Ok(child.id())
}

fn show(target: Target, object: &Object, output: &mut Output) -> Result<()> {
    let failed = |error| Failure::of(target, &error);
    let document = Document {
        pid: target.pid,
        fd: target.fd,
        object: match Descriptor::of(target) {
            Some(Descriptor::Object(info)) => Some(info.object),
            _ => None,
        },
        size: object.len().map_err(failed)?,
        seals: object.seals().map_err(failed)?.names().collect(),
    };
    output.line_by_line();
    output.show(&document, |output| output.line(&target.to_string()))
}

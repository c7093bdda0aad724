// SPDX-License-Identifier: MIT OR Apache-2.0

//! `pinsealctl doctor`

use crate::exit::{Exit, Failure, Result};
use std::{
    env,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
};

/// Says what keeps /dev/pinseal from being built, loaded or used here, and what mends it
///
/// It runs the script `doctor`, which is installed with this program, and in its source is
/// scripts/doctor. The exit code is 0 if the device can be used, and else 1.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Of the system that has this folder as its root
    #[arg(long, value_name = "FOLDER")]
    root: Option<PathBuf>,
    /// For this kernel, as `uname -r` says it, in place of the running one
    #[arg(long)]
    release: Option<String>,
}

pub(crate) fn run(args: &Args) -> Result<Exit> {
    let doctor = installed().ok_or_else(|| {
        let message = "doctor is not installed with this program; run scripts/doctor of its source";
        Failure::new(Exit::System, message)
    })?;
    let mut command = Command::new(&doctor);
    if let Some(root) = &args.root {
        command.arg("--root").arg(root);
    }
    if let Some(release) = &args.release {
        command.arg("--release").arg(release);
    }
    Err(Failure::of(doctor.display(), &command.exec()))
}

/// That in `../lib/pinseal`, as seen from this program's folder.
fn installed() -> Option<PathBuf> {
    let program = env::current_exe().ok()?;
    let doctor = program
        .parent()?
        .parent()?
        .join(Path::new("lib/pinseal/doctor"));
    doctor.exists().then_some(doctor)
}

// SPDX-License-Identifier: MIT OR Apache-2.0

//! `pinsealctl doctor`

use crate::{
    exit::{Exit, Failure, Result},
    output::Output,
};
use serde::Serialize;
use std::{
    env, io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
};

/// Says what keeps /dev/pinseal from being built, loaded or used here, and what mends it
///
/// It runs the script `doctor`, which packages and `make install` install, and which in the
/// source is scripts/doctor. The exit code is 0 if the device can be used, and else 1.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Of the system that has this folder as its root
    #[arg(long, value_name = "FOLDER")]
    root: Option<PathBuf>,
    /// For this kernel, as `uname -r` says it, in place of the running one
    #[arg(long)]
    release: Option<String>,
}

#[derive(Serialize)]
struct Document {
    /// Whether the device can be used.
    usable: bool,
    findings: Vec<Finding>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Finding {
    kind: Kind,
    text: String,
    /// What mends a fault.
    mend: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Ok,
    Note,
    Fault,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit> {
    let doctor = installed().ok_or_else(|| {
        let message = "doctor is not installed; run `make install` or scripts/doctor in its source";
        Failure::new(Exit::System, message)
    })?;
    let failed = |error: &io::Error| Failure::of(doctor.display(), error);
    let mut command = Command::new(&doctor);
    if let Some(root) = &args.root {
        command.arg("--root").arg(root);
    }
    if let Some(release) = &args.release {
        command.arg("--release").arg(release);
    }
    if !output.is_json() {
        return Err(failed(&command.exec()));
    }
    let said = command.output().map_err(|error| failed(&error))?;
    let usable = match said.status.code() {
        Some(0) => true,
        Some(1) => false,
        _ => {
            let said = String::from_utf8_lossy(&said.stderr);
            let line = said.lines().next().unwrap_or("it failed");
            return Err(Failure::new(
                Exit::System,
                format!("{}: {line}", doctor.display()),
            ));
        }
    };
    let document = Document {
        usable,
        findings: parse(&String::from_utf8_lossy(&said.stdout)),
    };
    let exit = if usable { Exit::Done } else { Exit::System };
    exit.after(output.show(&document, |_| Ok(())))
}

/// That of the folder which has this program's, else of one where `make install` or a package puts it:
/// `cargo install` has a folder of its own.
fn installed() -> Option<PathBuf> {
    let program = env::current_exe().ok();
    let own = program.as_deref().and_then(|path| path.parent()?.parent());
    own.into_iter()
        .chain(["/usr/local", "/usr"].map(Path::new))
        .map(|prefix| prefix.join("lib/pinseal/doctor"))
        .find(|doctor| doctor.exists())
}

/// What the script says: "KIND: TEXT" in each line, where "mend" belongs to the line before.
fn parse(said: &str) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    for line in said.lines() {
        let Some((word, text)) = line.trim_start().split_once(": ") else {
            continue;
        };
        let kind = match word {
            "ok" => Kind::Ok,
            "note" => Kind::Note,
            "fault" => Kind::Fault,
            "mend" => {
                if let Some(last) = findings.last_mut() {
                    last.mend = Some(text.to_owned());
                }
                continue;
            }
            _ => continue,
        };
        findings.push(Finding {
            kind,
            text: text.to_owned(),
            mend: None,
        });
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_doctor_says_is_read() {
        let found = parse(
            "   ok: /lib/modules/7.3.0/pinseal.ko\n note: a kernel: of its own\n\
             fault: the module is not loaded\n mend: modprobe pinseal\n",
        );
        let finding = |kind, text: &str, mend: Option<&str>| Finding {
            kind,
            text: text.to_owned(),
            mend: mend.map(str::to_owned),
        };
        assert_eq!(
            found,
            [
                finding(Kind::Ok, "/lib/modules/7.3.0/pinseal.ko", None),
                finding(Kind::Note, "a kernel: of its own", None),
                finding(
                    Kind::Fault,
                    "the module is not loaded",
                    Some("modprobe pinseal")
                ),
            ]
        );
    }
}

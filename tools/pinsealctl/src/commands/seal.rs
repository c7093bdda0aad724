// SPDX-License-Identifier: MIT OR Apache-2.0

//! `pinsealctl seal`

use super::making;
use crate::{
    exit::{Exit, Failure, Result},
    output::Output,
    proc::Descriptor,
    progress::{Line, during},
    signals::{Signals, Woken},
    target::Target,
    units,
    who::MAX_ISOLATED,
};
use pinseal::{Object, Outcome, Pending, Progress, SealError, SealReport, Sealed, Sealing, Seals};
use rustix::event::PollFlags;
use serde::Serialize;
use std::{io::ErrorKind, os::fd::AsFd, time::Duration};

/// How often the progress is shown, and what ends sooner shows none.
const SHOWN: Duration = Duration::from_millis(200);

/// Seals an object, or any memfd
///
/// It waits for pages that are in use, and shows what it waits for. Ctrl-C cancels the seal, and the
/// object is as it was. The exit code says why an object was not sealed.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The descriptor; it must be open for writing
    #[arg(value_name = "PID:FD")]
    target: Target,

    /// Seals to add, separated by commas
    #[arg(
        long,
        value_name = "SEALS",
        value_delimiter = ',',
        value_parser = making::seal_name(),
        default_values = ["shrink", "grow", "write"],
        hide_default_value = true,
        help = "Seals to add, separated by commas [default: shrink,grow,write]"
    )]
    seals: Vec<Seals>,

    /// The longest wait, such as 500ms, 2s or 1m; a bare number is seconds [default: 150ms]
    #[arg(long, value_name = "TIME", value_parser = units::time)]
    timeout: Option<Duration>,

    /// The most scans of the pages [default: no limit]
    #[arg(long, value_name = "SCANS", value_parser = clap::value_parser!(u32).range(1..))]
    max_scans: Option<u32>,

    /// Do not wait, but for what ends within milliseconds by itself
    #[arg(long)]
    no_wait: bool,

    /// Ask for leased pages, and revoke them when their grace is over
    #[arg(long)]
    revoke: bool,

    /// At the deadline, replace pages in use by copies; who uses them keeps the old ones
    #[arg(long)]
    isolate: bool,

    /// Wait for shared writable mappings too
    #[arg(long)]
    wait_mapped: bool,

    /// Return at once: with 6 while the seal goes on. The same call again tells how far it is, and then
    /// its result, once. For objects alone: any other memfd is sealed as long as this command runs
    #[arg(long = "async", conflicts_with = "cancel")]
    background: bool,

    /// Cancel the seal that adds these seals in the background
    #[arg(long)]
    cancel: bool,
}

#[derive(Serialize)]
struct Document {
    pid: i32,
    fd: i32,
    seals: Vec<&'static str>,
    outcome: Option<&'static str>,
    error: Option<String>,
    scans: u32,
    waited_ns: u64,
    pinned_pages: u64,
    first_pinned: Option<u64>,
    isolated_pages: u64,
    revoked_pages: u64,
}

/// How a seal ended, or that it has not.
enum End {
    Sealed(Sealed),
    Failed(SealError),
    /// It goes on in the background.
    Pending(SealReport),
    /// Ctrl-C has cancelled it.
    Interrupted(SealError),
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit> {
    let signals = Signals::catch()?;
    let object = object(args)?;
    let sealing = sealing(args, object);
    let end = if args.cancel {
        ended(sealing.cancel())
    } else {
        // A stacked object gets ready first.
        match during("reading the file below, and writing what changed", || {
            sealing.start()
        }) {
            Err(error) if error.io_error().kind() == ErrorKind::Interrupted => {
                End::Interrupted(error)
            }
            Err(error) => End::Failed(error),
            Ok(pending) if args.background => match pending.poll() {
                Progress::Done(result) => ended(result),
                Progress::Pending(pending, report) => {
                    pending.detach();
                    End::Pending(report)
                }
            },
            Ok(pending) => wait(pending, &signals)?,
        }
    };
    let exit = match &end {
        End::Sealed(_) => Exit::Done,
        End::Pending(_) => Exit::Pending,
        End::Interrupted(_) => Exit::Interrupted,
        End::Failed(error) => match error.outcome() {
            Some(outcome) => outcome.into(),
            None => making::not_sealed(error).exit(),
        },
    };
    exit.after(show(args, &end, output))
}

/// The object, if it can be sealed in this way.
fn object(args: &Args) -> Result<Object> {
    let (target, seals) = (args.target, making::set(&args.seals));
    if args.background || args.cancel {
        return target.existing_object();
    }
    let object = target.object()?;
    // With the same seals, this call would be one more of that seal: with its bounds, and Ctrl-C would
    // cancel it.
    match Descriptor::of(Target::own(&object)) {
        Some(Descriptor::Object(info)) if info.sealing == Some(seals) => Err(Failure::new(
            Exit::System,
            format!(
                "{target} is being sealed in the background, or the result was not collected: \
                     --async tells, --cancel ends it"
            ),
        )),
        _ => Ok(object),
    }
}

fn sealing(args: &Args, object: Object) -> Sealing {
    let mut sealing = object.seal(making::set(&args.seals));
    if let Some(timeout) = args.timeout {
        sealing = sealing.timeout(timeout);
    }
    if let Some(scans) = args.max_scans {
        sealing = sealing.max_scans(scans);
    }
    if args.no_wait {
        sealing = sealing.no_wait();
    }
    if args.revoke {
        sealing = sealing.revoke();
    }
    if args.isolate {
        sealing = sealing.isolate();
    }
    if args.wait_mapped {
        sealing = sealing.wait_mapped();
    }
    sealing
}

fn ended(result: std::result::Result<Sealed, SealError>) -> End {
    match result {
        Ok(sealed) => End::Sealed(sealed),
        Err(error) => End::Failed(error),
    }
}

/// Waits for the end, and shows the progress on a terminal.
fn wait(mut pending: Pending, signals: &Signals) -> Result<End> {
    let line = Line::new(SHOWN);
    loop {
        pending = match pending.poll() {
            Progress::Done(result) => {
                line.clear();
                return Ok(ended(result));
            }
            Progress::Pending(pending, report) => {
                line.show(format_args!("waiting: {report}"));
                pending
            }
        };
        let ready = Some((pending.as_fd(), PollFlags::PRI));
        match signals.wait(ready, Some(SHOWN))? {
            Woken::Interrupted | Woken::Terminated => {
                line.clear();
                return Ok(match pending.cancel() {
                    Ok(sealed) => End::Sealed(sealed),
                    Err(error) => match error.outcome() {
                        Some(Outcome::Cancelled) => End::Interrupted(error),
                        _ => End::Failed(error),
                    },
                });
            }
            Woken::Ready | Woken::Timeout => (),
        }
    }
}

fn show(args: &Args, end: &End, output: &mut Output) -> Result<()> {
    let (report, error) = match end {
        End::Sealed(sealed) => (Some(*sealed.report()), None),
        End::Pending(report) => (Some(*report), None),
        End::Failed(error) | End::Interrupted(error) => (error.report(), Some(error)),
    };
    let document = Document {
        pid: args.target.pid,
        fd: args.target.fd,
        seals: making::set(&args.seals).names().collect(),
        outcome: report.map(|report| report.outcome.name()),
        error: error.map(|error| match error.report() {
            Some(report) => report.to_string(),
            None => error.io_error().to_string(),
        }),
        scans: report.map_or(0, |report| report.scans),
        waited_ns: report.map_or(0, |report| report.waited.as_nanos() as u64),
        pinned_pages: report.map_or(0, |report| report.pinned_pages),
        first_pinned: report.and_then(|report| report.first_pinned),
        isolated_pages: report.map_or(0, |report| report.isolated_pages),
        revoked_pages: report.map_or(0, |report| report.revoked_pages),
    };
    if let Some(error) = error {
        let help = help(args, error).map_or(String::new(), |help| format!("; {help}"));
        anstream::eprintln!("pinsealctl: {}{help}", making::not_sealed(error));
    }
    output.show(&document, |output| match (end, report) {
        (End::Sealed(_), Some(report)) => output.line(&in_words(args, &report)),
        (End::Pending(_), Some(report)) => output.line(&format!("pending: {report}")),
        _ => Ok(()),
    })
}

fn in_words(args: &Args, report: &SealReport) -> String {
    let mut words = format!("sealed: {}", making::set(&args.seals));
    if args.cancel {
        words += ", before it could be cancelled";
    }
    if report.isolated_pages > 0 {
        words += &format!(", {} pages were replaced by copies", report.isolated_pages);
    }
    if report.revoked_pages > 0 {
        words += &format!(", {} leased pages were revoked", report.revoked_pages);
    }
    if !report.waited.is_zero() {
        words += &format!(", after {:.3?}", report.waited);
    }
    words
}

/// What would help, if this was not tried.
fn help(args: &Args, error: &SealError) -> Option<String> {
    let mut options = Vec::new();
    match error.outcome()? {
        Outcome::WritableMapping if !args.wait_mapped => options.push("--wait-mapped"),
        Outcome::WritableMapping | Outcome::Pinned | Outcome::LargeFolio | Outcome::NotFilled => {
            options.push("a longer --timeout");
        }
        _ => return None,
    }
    let pinned = error.report()?.pinned_pages;
    let in_use = error.outcome() == Some(Outcome::Pinned) && pinned > 0;
    if in_use && !args.revoke {
        options.push("--revoke for leases");
    }
    if in_use && !args.isolate && pinned <= MAX_ISOLATED {
        options.push("--isolate");
    }
    let has = match error.outcome() {
        Some(Outcome::WritableMapping) => "has it",
        _ if in_use => "has them",
        _ => return Some(format!("try {}", options.join(", or "))),
    };
    let see = format!(" (`pinsealctl who {}` says who {has})", args.target);
    Some(format!("try {}{see}", options.join(", or ")))
}

// SPDX-License-Identifier: MIT OR Apache-2.0

//! `pinsealctl leases`

use super::ls::say_hidden;
use crate::{
    exit::{Exit, Failure, Result},
    output::{Output, numbers, words},
    proc::{self, Descriptor, HandleInfo, HandleKind},
    target::Target,
};
use pinseal::{LeaseInfo, PinHandle};
use serde::Serialize;
use std::time::{Duration, Instant};

/// The leases of an object's pages: who holds them, and whether they were asked for
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A descriptor of the object
    #[arg(value_name = "PID:FD")]
    target: Target,

    /// All handles: also pins, which are not given back on request, and mirrors, which pin nothing
    #[arg(long)]
    all: bool,
}

#[derive(Serialize)]
struct Document {
    object: u64,
    handles: Vec<Line>,
    hidden_processes: u64,
    /// `/proc` may hide more.
    hidepid: bool,
}

#[derive(Clone, Serialize)]
struct Line {
    pid: i32,
    fd: i32,
    command: String,
    kind: &'static str,
    start: u64,
    pages: u64,
    state: Option<String>,
    grace_ns: Option<u64>,
    left_ns: Option<u64>,
    asker: Option<u32>,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit> {
    // This says why, if it is no object that may be looked at.
    let fd = args.target.open()?;
    let Some(Descriptor::Object(info)) = Descriptor::of(Target::own(&fd)) else {
        return Err(Failure::new(
            Exit::System,
            format!(
                "{} is no object of /dev/pinseal: leases are only of those",
                args.target
            ),
        ));
    };
    let scan = proc::scan(None, |target| Ok(Descriptor::of(target)))?;
    let handles: Vec<Line> = scan
        .found
        .iter()
        .filter_map(|found| match &found.what {
            Descriptor::Handle(handle) => Some((found, handle)),
            Descriptor::Object(_) => None,
        })
        .filter(|(_, handle)| handle.object == info.object)
        .filter(|(_, handle)| args.all || handle.kind == HandleKind::Lease)
        .map(|(found, handle)| line(found.target, &found.command, handle))
        .collect();
    let document = Document {
        object: info.object,
        handles: handles.clone(),
        hidden_processes: scan.hidden,
        hidepid: scan.hidepid,
    };
    output.show(&document, |output| {
        let columns = [
            numbers("PID"),
            numbers("FD"),
            words("KIND"),
            numbers("START"),
            numbers("PAGES"),
            words("STATE"),
            numbers("GRACE"),
            numbers("LEFT"),
            numbers("ASKER"),
            words("COMMAND"),
        ];
        let rows: Vec<_> = handles.iter().map(row).collect();
        output.table(columns, &rows)?;
        say_hidden(&scan);
        Ok(())
    })?;
    Ok(Exit::Done)
}

/// The terms of a handle, if its process may be looked into.
fn terms(target: Target) -> Option<LeaseInfo> {
    PinHandle::try_from(target.open().ok()?).ok()?.info().ok()
}

fn line(target: Target, command: &str, handle: &HandleInfo) -> Line {
    let terms = terms(target).filter(|terms| terms.is_leased);
    let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let until = terms.as_ref().and_then(|terms| terms.until);
    Line {
        pid: target.pid,
        fd: target.fd,
        command: command.to_owned(),
        kind: match handle.kind {
            HandleKind::Pin => "pin",
            HandleKind::Lease => "lease",
            HandleKind::Mirror => "mirror",
        },
        start: handle.start,
        pages: handle.pages,
        state: handle.state.clone(),
        grace_ns: terms.as_ref().map(|terms| ns(terms.grace)),
        left_ns: until.map(|until| ns(until.saturating_duration_since(Instant::now()))),
        asker: terms.and_then(|terms| terms.asker),
    }
}

fn row(line: &Line) -> [String; 10] {
    let time = |ns: Option<u64>| match ns {
        Some(ns) => format!("{:.3?}", Duration::from_nanos(ns)),
        None => "-".to_owned(),
    };
    [
        line.pid.to_string(),
        line.fd.to_string(),
        line.kind.to_owned(),
        line.start.to_string(),
        line.pages.to_string(),
        line.state.clone().unwrap_or_else(|| "-".to_owned()),
        time(line.grace_ns),
        time(line.left_ns),
        line.asker.map_or("-".to_owned(), |asker| asker.to_string()),
        line.command.clone(),
    ]
}

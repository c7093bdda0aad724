// SPDX-License-Identifier: MIT OR Apache-2.0

//! `pinsealctl ls`

use crate::{
    exit::{Exit, Failure, Result},
    output::{Output, numbers, words},
    proc::{self, Descriptor, ObjectInfo},
    target::Target,
    units::human_size,
};
use pinseal::Object;
use serde::Serialize;

/// All descriptors of objects, of the processes that may be looked into
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only those of this process
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(i32).range(1..))]
    pid: Option<i32>,

    /// Only those of the object with this number
    #[arg(long, value_name = "NUMBER")]
    object: Option<u64>,
}

#[derive(Serialize)]
struct Document {
    objects: Vec<Line>,
    hidden_processes: u64,
}

#[derive(Serialize)]
struct Line {
    pid: i32,
    fd: i32,
    command: String,
    object: u64,
    memory: Option<u64>,
    size: u64,
    seals: Vec<&'static str>,
    pins: u64,
    leases: u64,
    waiters: u64,
    sealing: Option<Vec<&'static str>>,
    name: String,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit> {
    let scan = proc::scan(args.pid).map_err(|error| Failure::of("/proc", &error))?;
    let objects: Vec<(Target, ObjectInfo)> = scan
        .found
        .into_iter()
        .filter_map(|found| match found.descriptor {
            Descriptor::Object(info) => Some((found.target, info)),
            Descriptor::Handle(_) => None,
        })
        .filter(|(_, info)| args.object.is_none_or(|number| number == info.object))
        .collect();
    if objects.is_empty() {
        // An empty list of what cannot exist would mislead.
        Object::new(0).map_err(|error| Failure::of_device(&error))?;
    }
    let document = Document {
        objects: objects.iter().map(line).collect(),
        hidden_processes: scan.hidden,
    };
    output.show(&document, |output| {
        let columns = [
            numbers("PID"),
            numbers("FD"),
            numbers("OBJECT"),
            numbers("SIZE"),
            words("SEALS"),
            numbers("PINS"),
            numbers("LEASES"),
            numbers("WAITERS"),
            words("COMMAND"),
            words("NAME"),
        ];
        let rows: Vec<_> = objects.iter().map(row).collect();
        output.table(columns, &rows)?;
        say_hidden(scan.hidden);
        Ok(())
    })?;
    Ok(Exit::Done)
}

fn line((target, info): &(Target, ObjectInfo)) -> Line {
    Line {
        pid: target.pid,
        fd: target.fd,
        command: proc::command(target.pid),
        object: info.object,
        memory: info.memory,
        size: info.size,
        seals: info.seals.names().collect(),
        pins: info.pins,
        leases: info.leases,
        waiters: info.waiters,
        sealing: info.sealing.map(|seals| seals.names().collect()),
        name: info.name.clone(),
    }
}

fn row((target, info): &(Target, ObjectInfo)) -> [String; 10] {
    [
        target.pid.to_string(),
        target.fd.to_string(),
        info.object.to_string(),
        human_size(info.size),
        match info.sealing {
            Some(sealing) => format!("{} (adding {sealing})", info.seals),
            None => info.seals.to_string(),
        },
        info.pins.to_string(),
        info.leases.to_string(),
        info.waiters.to_string(),
        proc::command(target.pid),
        info.name.clone(),
    ]
}

/// Says that a list may lack something.
pub(super) fn say_hidden(processes: u64) {
    if processes > 0 {
        anstream::eprintln!(
            "pinsealctl: {processes} processes may not be looked into; root sees them"
        );
    }
}

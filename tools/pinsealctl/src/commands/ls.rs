// SPDX-License-Identifier: MIT OR Apache-2.0

//! `pinsealctl ls`

use crate::{
    exit::{Exit, Failure, Result},
    output::{Output, numbers, words},
    proc::{self, Descriptor, Found, MemfdInfo, ObjectInfo, Scan},
    target::Target,
    units::{counted, human_size},
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

    /// Also memfds that are no objects, which `who` and `seal` take as well
    #[arg(long, conflicts_with = "object")]
    memfds: bool,
}

/// What a descriptor is of.
enum Shown {
    Object(ObjectInfo),
    Memfd(MemfdInfo),
}

#[derive(Serialize)]
struct Document {
    objects: Vec<ObjectLine>,
    /// If they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    memfds: Option<Vec<MemfdLine>>,
    hidden_processes: u64,
    /// `/proc` may hide more.
    hidepid: bool,
}

#[derive(Serialize)]
struct ObjectLine {
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

#[derive(Serialize)]
struct MemfdLine {
    pid: i32,
    fd: i32,
    command: String,
    memory: u64,
    size: u64,
    seals: Vec<&'static str>,
    name: String,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit> {
    let scan = proc::scan(args.pid, |target| look(args, target))?;
    if scan.found.is_empty() && !args.memfds {
        // An empty list of what cannot exist would mislead.
        Object::new(0).map_err(|error| Failure::of_device(&error))?;
    }
    let (mut objects, mut memfds) = (Vec::new(), Vec::new());
    for found in &scan.found {
        match &found.what {
            Shown::Object(info) => objects.push(object_line(found, info)),
            Shown::Memfd(info) => memfds.push(memfd_line(found, info)),
        }
    }
    let document = Document {
        objects,
        memfds: args.memfds.then_some(memfds),
        hidden_processes: scan.hidden,
        hidepid: scan.hidepid,
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
        let rows: Vec<_> = scan.found.iter().map(row).collect();
        output.table(columns, &rows)?;
        say_hidden(&scan);
        Ok(())
    })?;
    Ok(Exit::Done)
}

fn look(args: &Args, target: Target) -> Result<Option<Shown>> {
    Ok(match Descriptor::of(target) {
        Some(Descriptor::Object(info)) => args
            .object
            .is_none_or(|number| number == info.object)
            .then_some(Shown::Object(info)),
        Some(Descriptor::Handle(_)) => None,
        None if args.memfds => MemfdInfo::of(target)?.map(Shown::Memfd),
        None => None,
    })
}

fn object_line(found: &Found<Shown>, info: &ObjectInfo) -> ObjectLine {
    ObjectLine {
        pid: found.target.pid,
        fd: found.target.fd,
        command: found.command.clone(),
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

fn memfd_line(found: &Found<Shown>, info: &MemfdInfo) -> MemfdLine {
    MemfdLine {
        pid: found.target.pid,
        fd: found.target.fd,
        command: found.command.clone(),
        memory: info.memory,
        size: info.size,
        seals: info.seals.names().collect(),
        name: info.name.clone(),
    }
}

fn row(found: &Found<Shown>) -> [String; 10] {
    let none = || "-".to_owned();
    let (object, size, seals, [pins, leases, waiters], name) = match &found.what {
        Shown::Object(info) => (
            info.object.to_string(),
            info.size,
            match info.sealing {
                Some(sealing) => format!("{} (adding {sealing})", info.seals),
                None => info.seals.to_string(),
            },
            [info.pins, info.leases, info.waiters].map(|number| number.to_string()),
            &info.name,
        ),
        Shown::Memfd(info) => (
            none(),
            info.size,
            info.seals.to_string(),
            [none(), none(), none()],
            &info.name,
        ),
    };
    [
        found.target.pid.to_string(),
        found.target.fd.to_string(),
        object,
        human_size(size),
        seals,
        pins,
        leases,
        waiters,
        found.command.clone(),
        name.clone(),
    ]
}

/// Says that a list may lack something.
pub(super) fn say_hidden<T>(scan: &Scan<T>) {
    if scan.hidden > 0 {
        anstream::eprintln!(
            "pinsealctl: {} may not be looked into; root sees all",
            counted(scan.hidden, "process", "processes")
        );
    }
    if scan.hidepid {
        anstream::eprintln!("pinsealctl: /proc hides processes (hidepid); root sees all");
    }
}

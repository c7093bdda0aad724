// SPDX-License-Identifier: MIT OR Apache-2.0

//! `pinsealctl show`

use crate::{
    exit::{Exit, Failure, Result},
    output::Output,
    proc::{self, Descriptor, ObjectInfo},
    target::{Memory, Target},
    units::{counted, human_size},
};
use serde::Serialize;

/// One object, or any memfd
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The descriptor
    #[arg(value_name = "PID:FD")]
    target: Target,
}

#[derive(Serialize)]
struct Document {
    pid: i32,
    fd: i32,
    command: String,
    link: String,
    kind: &'static str,
    size: u64,
    seals: Vec<&'static str>,
    pinned_pages: u64,
    dma_pinned_pages: u64,
    object: Option<Details>,
}

/// What only objects have.
#[derive(Serialize)]
struct Details {
    object: u64,
    memory: Option<u64>,
    name: String,
    pins: u64,
    leases: u64,
    protections: u64,
    remapped: u64,
    waiters: u64,
    sealing: Option<Vec<&'static str>>,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit> {
    let Target { pid, fd } = args.target;
    let failed = |error| Failure::of(args.target, &error);

    let memory = args.target.memory()?;
    let command = proc::command(pid);
    let info = memory.info().map_err(failed)?;
    let seals = memory.seals().map_err(failed)?;
    let pins = memory.pins(0..u64::MAX).map_err(failed)?;
    // The process may have something else under that number by now.
    let own = memory.own();
    let link = proc::link(own);
    let details = match Descriptor::of(own) {
        Some(Descriptor::Object(details)) => Some(details),
        _ => None,
    };
    let kind = match memory {
        Memory::Object(_) => "object",
        Memory::Other(..) => "memory",
    };
    let document = Document {
        pid,
        fd,
        command: command.clone(),
        link: link.clone(),
        kind,
        size: info.size,
        seals: seals.names().collect(),
        pinned_pages: pins.pinned_pages,
        dma_pinned_pages: pins.dma_pinned_pages,
        object: details.as_ref().map(in_document),
    };
    output.show(&document, |output| {
        let mut rows = vec![
            ("process", format!("{pid} {command}")),
            ("descriptor", format!("{fd} {link}")),
            (
                "size",
                format!("{} ({} bytes)", human_size(info.size), info.size),
            ),
            ("seals", seals.to_string()),
            (
                "pages in use",
                format!(
                    "{}, {} of them pinned",
                    pins.pinned_pages, pins.dma_pinned_pages
                ),
            ),
        ];
        match &details {
            Some(details) => rows.extend(in_list(details)),
            None => rows.push(("object", "none, this is other memory".to_owned())),
        }
        output.list(&rows)
    })?;
    Ok(Exit::Done)
}

fn in_document(info: &ObjectInfo) -> Details {
    Details {
        object: info.object,
        memory: info.memory,
        name: info.name.clone(),
        pins: info.pins,
        leases: info.leases,
        protections: info.protections,
        remapped: info.remapped,
        waiters: info.waiters,
        sealing: info.sealing.map(|seals| seals.names().collect()),
    }
}

fn in_list(info: &ObjectInfo) -> Vec<(&'static str, String)> {
    let mut rows = vec![
        ("object", info.object.to_string()),
        ("name", info.name.clone()),
        (
            "pin handles",
            format!("{}, {} of them leases", info.pins, info.leases),
        ),
        ("waiters", info.waiters.to_string()),
    ];
    if let Some(memory) = info.memory {
        rows.push(("memory", format!("inode {memory}")));
    }
    if info.protections > 0 {
        rows.push(("protections", counted(info.protections, "range", "ranges")));
    }
    if info.remapped > 0 {
        rows.push(("remapped", counted(info.remapped, "range", "ranges")));
    }
    if let Some(seals) = info.sealing {
        rows.push(("adding", format!("{seals}, in the background")));
    }
    rows
}

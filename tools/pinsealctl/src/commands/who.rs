// SPDX-License-Identifier: MIT OR Apache-2.0

//! `pinsealctl who`

use crate::{
    exit::{Exit, Result},
    output::{Output, words},
    progress,
    target::Target,
    units::{counted, human_size},
    who::{self, Findings, Holder, Kind, Process, Sure, Unexplained, Via},
};
use pinseal::Seals;
use serde::Serialize;
use std::{collections::BTreeMap, fmt, ops::Range};

/// Who holds the pages of an object, or of any memfd, so that it cannot be sealed
///
/// Each line says how sure it is. Exact: the kernel says so. Likely: hardly anything else can be. A
/// candidate may hold pages, and so may others. Exact owners of pages take root, and a kernel with BTF.
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
    name: String,
    inode: u64,
    size: u64,
    page_size: u64,
    seals: Vec<&'static str>,
    /// Null if that is not known.
    pinned_pages: Option<u64>,
    dma_pinned_pages: Option<u64>,
    holders: Vec<HolderLine>,
    unexplained: Vec<UnexplainedLine>,
    unknown: Vec<String>,
}

#[derive(Serialize)]
struct HolderLine {
    #[serde(flatten)]
    kind: Kind,
    sure: Sure,
    stops_seal: bool,
    pages: Vec<Pages>,
    processes: Vec<ProcessLine>,
    help: Option<&'static str>,
}

#[derive(Serialize)]
struct ProcessLine {
    pid: i32,
    command: String,
    #[serde(flatten)]
    via: Via,
}

#[derive(Serialize)]
struct UnexplainedLine {
    pages: Pages,
    pins: u32,
    plain: u32,
    hint: &'static str,
}

#[derive(Serialize)]
struct Pages {
    first: u64,
    count: u64,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit> {
    let findings = progress::during("asking the kernel, and looking through /proc", || {
        who::who(args.target)
    })?;
    let document = document(args.target, &findings);
    output.show(&document, |output| {
        output.list(&[
            ("descriptor", format!("{} {}", args.target, document.name)),
            ("size", human_size(document.size)),
            ("seals", seals(findings.memory.seals)),
            ("pages in use", in_use(&document)),
        ])?;
        // What is in the way, and then the rest.
        let in_way = document.holders.iter().filter(|holder| holder.stops_seal);
        let mut rows: Vec<_> = in_way.map(row).collect();
        rows.extend(document.unexplained.iter().map(unexplained_row));
        let rest = document.holders.iter().filter(|holder| !holder.stops_seal);
        rows.extend(rest.map(row));
        if !rows.is_empty() {
            let columns = ["PAGES", "HELD BY", "PROCESS", "SURE", "WHAT HELPS"];
            output.line("")?;
            output.table(columns.map(words), &rows)?;
        }
        if !document.unknown.is_empty() {
            output.line("")?;
            output.line("Not known:")?;
        }
        for line in &document.unknown {
            output.line(&format!("  {line}"))?;
        }
        Ok(())
    })?;
    Ok(Exit::Done)
}

fn document(target: Target, findings: &Findings) -> Document {
    let memory = &findings.memory;
    let pins = findings.pins.as_ref();
    Document {
        pid: target.pid,
        fd: target.fd,
        name: memory.name.clone(),
        inode: memory.identity.ino,
        size: memory.size,
        page_size: rustix::param::page_size() as u64,
        seals: memory.seals.names().collect(),
        pinned_pages: pins.map(|pins| pins.pinned_pages),
        dma_pinned_pages: pins.map(|pins| pins.dma_pinned_pages),
        holders: findings
            .holders
            .iter()
            .map(|holder| line(findings, holder))
            .collect(),
        unexplained: findings.unexplained.iter().map(unexplained_line).collect(),
        unknown: findings.unknown.clone(),
    }
}

fn line(findings: &Findings, holder: &Holder) -> HolderLine {
    let process_line = |process: &Process| ProcessLine {
        pid: process.pid,
        command: findings.command(process.pid),
        via: process.via.clone(),
    };
    HolderLine {
        kind: holder.kind.clone(),
        sure: holder.sure,
        stops_seal: holder.kind.stops_seal(),
        pages: holder.pages.iter().map(Pages::from).collect(),
        processes: holder.processes.iter().map(process_line).collect(),
        help: holder.help(),
    }
}

fn unexplained_line(unexplained: &Unexplained) -> UnexplainedLine {
    UnexplainedLine {
        pages: Pages::from(&unexplained.pages),
        pins: unexplained.pins,
        plain: unexplained.plain,
        hint: unexplained.hint,
    }
}

impl From<&Range<u64>> for Pages {
    fn from(range: &Range<u64>) -> Self {
        Self {
            first: range.start,
            count: range.end - range.start,
        }
    }
}

/// "5", or "5-7" with the last page.
impl fmt::Display for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.count {
            0 => f.write_str("none"),
            1 => write!(f, "{}", self.first),
            count => write!(f, "{}-{}", self.first, self.first + count - 1),
        }
    }
}

fn seals(seals: Seals) -> String {
    match seals.contains(Seals::SEAL) {
        true => format!("{seals}: no more can be added"),
        false => seals.to_string(),
    }
}

fn in_use(document: &Document) -> String {
    match (document.pinned_pages, document.dma_pinned_pages) {
        (Some(all), Some(pinned)) => format!("{all}, {pinned} of them pinned"),
        _ => "not known".to_owned(),
    }
}

fn row(holder: &HolderLine) -> [String; 5] {
    [
        or_dash(&joined(&holder.pages)),
        holder.kind.to_string(),
        or_dash(&processes(&holder.processes)),
        holder.sure.to_string(),
        or_dash(holder.help.unwrap_or_default()),
    ]
}

fn unexplained_row(unexplained: &UnexplainedLine) -> [String; 5] {
    let pins = counted(u64::from(unexplained.pins), "pin", "pins");
    let references = match (unexplained.pins, unexplained.plain) {
        (0, plain) => format!("not found: {plain} plain"),
        (_, 0) => format!("not found: {pins}"),
        (_, plain) => format!("not found: {pins}, {plain} plain"),
    };
    [
        unexplained.pages.to_string(),
        references,
        or_dash(""),
        or_dash(""),
        unexplained.hint.to_owned(),
    ]
}

fn joined(pages: &[Pages]) -> String {
    let pages: Vec<String> = pages.iter().map(Pages::to_string).collect();
    pages.join(",")
}

/// Each process with all that it has.
fn processes(lines: &[ProcessLine]) -> String {
    let mut all: BTreeMap<(i32, &str), Vec<String>> = BTreeMap::new();
    for line in lines {
        let has = all.entry((line.pid, &line.command)).or_default();
        has.push(line.via.to_string());
    }
    let all = all
        .iter()
        .map(|((pid, command), has)| format!("{pid} {command} {}", has.join(", ")));
    all.collect::<Vec<_>>().join("; ")
}

fn or_dash(text: &str) -> String {
    if text.is_empty() { "-" } else { text }.to_owned()
}

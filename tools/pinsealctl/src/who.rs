// SPDX-License-Identifier: MIT OR Apache-2.0

//! Who holds the pages of a memory, so that it cannot be sealed.
//!
//! The module lists pages with extra references, `/proc` what processes have, and for root, BPF programs
//! in the kernel tell what has which page.

#[cfg_attr(not(feature = "bpf"), allow(dead_code))]
mod answer;
mod descriptors;
mod holder;
mod judge;
#[cfg_attr(not(feature = "bpf"), path = "who/no_kernel.rs")]
mod kernel;
mod mappings;
mod memory;
mod process;
mod references;

pub(crate) use self::{
    holder::{Holder, Kind, MAX_ISOLATED, Process, Sure, Via},
    memory::Memory,
    references::Unexplained,
};

use self::{
    answer::Answer,
    descriptors::Descriptor,
    judge::{Evidence, judge},
    mappings::Mapping,
    memory::Identity,
    references::References,
};
use crate::{
    exit::{Failure, Result},
    proc,
    target::Target,
};
use pinseal::Pins;
use std::{collections::BTreeMap, io, thread, time::Duration};

/// After that, most references that come and go by themselves have gone.
const MOMENT: Duration = Duration::from_millis(20);

pub(crate) struct Findings {
    pub(crate) memory: Memory,
    /// `None` if it is not known which pages have extra references.
    pub(crate) pins: Option<Pins>,
    pub(crate) holders: Vec<Holder>,
    /// References whose holder was not found.
    pub(crate) unexplained: Vec<Unexplained>,
    /// What could not be found out, and why: a line each.
    pub(crate) unknown: Vec<String>,
    /// The names of processes, as they were when these were looked into.
    commands: BTreeMap<i32, String>,
}

impl Findings {
    pub(crate) fn command(&self, pid: i32) -> String {
        let known = self.commands.get(&pid).cloned();
        known.unwrap_or_else(|| proc::command(pid))
    }
}

pub(crate) fn who(target: Target) -> Result<Findings> {
    let memory = Memory::of(target)?;
    let mut unknown = Vec::new();
    let mut answer = kernel::ask(memory.identity)
        .map_err(|why| unknown.push(format!("exact owners of page references: {why}")))
        .ok();
    if let Some(answer) = &mut answer {
        // This process looks at the memory.
        answer
            .memory
            .retain(|descriptor| process::is_other(descriptor.pid));
        unknown.extend(gaps(answer));
    }
    let scan = Scan::of(memory.identity).map_err(|error| Failure::of("/proc", &error))?;
    unknown.extend(scan.gaps());
    let pins = memory
        .pins()
        .map_err(|why| unknown.push(format!("which pages have extra references: {why}")))
        .ok();

    let verdict = judge(Evidence {
        page_size: rustix::param::page_size() as u64,
        size: memory.size,
        seals: memory.seals,
        references: pins.as_ref().map(References::from),
        answer: answer.as_ref(),
        descriptors: &scan.descriptors,
        mappings: &scan.mappings,
    });
    let mut unexplained = Vec::new();
    if let Some(left) = verdict.unexplained.filter(|left| !left.is_empty()) {
        thread::sleep(MOMENT);
        if let Ok(later) = memory.pins() {
            unexplained = left.still_in(&References::from(&later)).unexplained();
        }
    }
    Ok(Findings {
        memory,
        pins,
        holders: verdict.holders,
        unexplained,
        unknown,
        commands: scan.commands,
    })
}

/// What the kernel's answer lacks.
fn gaps(answer: &Answer) -> Vec<String> {
    let mut gaps = Vec::new();
    if answer.lost > 0 {
        gaps.push(format!("{} holds: they were too many to list", answer.lost));
    }
    if !answer.partial.is_empty() {
        gaps.push(format!(
            "the rest of {} rings or other owners, which have too many pages to look at",
            answer.partial.len()
        ));
    }
    gaps
}

/// What processes have that concerns a memory.
#[derive(Default)]
struct Scan {
    descriptors: Vec<Descriptor>,
    mappings: Vec<Mapping>,
    /// The names of processes.
    commands: BTreeMap<i32, String>,
    /// Processes that may not be looked into.
    hidden: u64,
}

impl Scan {
    fn of(memory: Identity) -> io::Result<Self> {
        let mut scan = Self::default();
        for pid in process::others()? {
            match scan.look_at(pid, memory) {
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => scan.hidden += 1,
                // If there is an error, it has ended.
                _ => {}
            }
        }
        Ok(scan)
    }

    fn look_at(&mut self, pid: i32, memory: Identity) -> io::Result<()> {
        let thread = proc::thread(pid);
        let (descriptors, mappings) = (self.descriptors.len(), self.mappings.len());
        self.descriptors.extend(descriptors::of(thread, memory)?);
        self.mappings.extend(mappings::of(pid, thread, memory)?);
        if (descriptors, mappings) != (self.descriptors.len(), self.mappings.len()) {
            let names = [pid, thread].map(|number| (number, proc::command(number)));
            self.commands.extend(names);
        }
        Ok(())
    }

    fn gaps(&self) -> Vec<String> {
        let mut gaps = Vec::new();
        if self.hidden > 0 {
            gaps.push(format!(
                "descriptors and mappings of {} processes: only root may look into them",
                self.hidden
            ));
        }
        if proc::hides_processes() {
            gaps.push("processes that /proc hides (hidepid)".to_owned());
        }
        if proc::is_strange() {
            gaps.push("processes of this PID namespace: /proc is that of another one".to_owned());
        }
        if process::are_others_elsewhere() {
            gaps.push("processes outside of this PID namespace".to_owned());
        }
        gaps
    }
}

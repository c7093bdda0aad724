// SPDX-License-Identifier: MIT OR Apache-2.0

//! Asks the kernel who holds pages of a memory, by the BPF programs of `bpf/`.

use super::{
    answer::{Answer, Record},
    memory::Identity,
};
use libbpf_rs::{ErrorKind, Iter, MapCore, MapFlags, ObjectBuilder, RingBufferBuilder};
use std::{cell::RefCell, io, io::Read, path::Path};

static PROGRAMS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/owners.bpf.o"));

/// The order matters: a holder that has a descriptor is known by that.
const ORDER: [&str; 4] = ["descriptors", "registered_rings", "mappings", "dmabufs"];

/// The kernel's types, for the programs.
const BTF: &str = "/sys/kernel/btf/vmlinux";

/// Returns why the kernel cannot tell, otherwise.
pub(super) fn ask(memory: Identity) -> Result<Answer, String> {
    if !Path::new(BTF).exists() {
        return Err(format!("the kernel has no {BTF} (CONFIG_DEBUG_INFO_BTF)"));
    }
    run(memory).map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied if rustix::process::geteuid().is_root() => {
            "this root may not run BPF programs: in a container it lacks CAP_BPF or CAP_PERFMON, or the \
             kernel is locked down"
                .into()
        }
        ErrorKind::PermissionDenied => "only root may run BPF programs".into(),
        _ => format!("the BPF programs do not work with this kernel: {error}"),
    })
}

fn run(memory: Identity) -> libbpf_rs::Result<Answer> {
    // What libbpf would print is in its errors.
    libbpf_rs::set_print(None);
    let mut opened = ObjectBuilder::default().open_memory(PROGRAMS)?;
    opened
        .maps_mut()
        .find(|map| map.name() == ".rodata.question")
        .ok_or_else(missing)?
        .set_initial_value(&question(memory))?;
    let object = opened.load()?;
    let map = |name: &str| {
        object
            .maps()
            .find(|map| map.name() == name)
            .ok_or_else(missing)
    };

    let answer = RefCell::new(Answer::default());
    let (records, lost) = (map("records")?, map("lost")?);
    let mut reader = RingBufferBuilder::new();
    reader.add(&records, |bytes| {
        if let Some(record) = Record::read(bytes) {
            answer.borrow_mut().add(record);
        }
        0
    })?;
    let reader = reader.build()?;
    for name in ORDER {
        let program = object
            .progs_mut()
            .find(|program| program.name() == name)
            .ok_or_else(missing)?;
        let link = program.attach()?;
        let mut iterator = Iter::new(&link)?;
        // The programs print nothing; each read goes on where the last one was cut short.
        while let Err(error) = iterator.read(&mut [0; 64]) {
            match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => reader.consume()?,
                _ => return Err(error.into()),
            }
        }
        reader.consume()?;
    }
    drop(reader);
    let mut answer = answer.into_inner();
    if let Some(n) = lost.lookup(&0u32.to_ne_bytes(), MapFlags::ANY)? {
        answer.lost = n.try_into().map_or(0, u64::from_ne_bytes);
    }
    Ok(answer)
}

/// `struct question` of `bpf/record.h`.
fn question(memory: Identity) -> [u8; 16] {
    let page_shift = rustix::param::page_size().trailing_zeros();
    // As the kernel has it inside.
    let dev = (memory.major << 20) | memory.minor;
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&memory.ino.to_ne_bytes());
    bytes[8..12].copy_from_slice(&dev.to_ne_bytes());
    bytes[12..].copy_from_slice(&page_shift.to_ne_bytes());
    bytes
}

fn missing() -> libbpf_rs::Error {
    io::Error::from(io::ErrorKind::NotFound).into()
}

// SPDX-License-Identifier: MIT OR Apache-2.0

//! `pinsealctl pins`

use crate::{
    exit::{Exit, Failure, Result},
    output::{Output, numbers, words},
    target::Target,
    units::counted,
};
use pinseal::Folio;
use serde::Serialize;

/// Which pages of an object, or of any memfd, are in use, and by what kind of reference
///
/// Pins are those of devices and direct I/O: registered buffers of io_uring, RDMA, pin handles. Plain
/// references are those of pipes, of reads under way, and of the kernel's LRU batches, which go by
/// themselves. It is a snapshot.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The descriptor
    #[arg(value_name = "PID:FD")]
    target: Target,

    /// The first page to look at
    #[arg(long, default_value_t = 0, value_name = "PAGE")]
    start: u64,

    /// How many pages to look at [default: all]
    #[arg(long, value_name = "PAGES")]
    count: Option<u64>,
}

#[derive(Serialize)]
struct Document {
    pid: i32,
    fd: i32,
    pinned_pages: u64,
    dma_pinned_pages: u64,
    folios: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    index: u64,
    pages: u32,
    mapped: u32,
    pins: u32,
    plain: u32,
    flags: Vec<&'static str>,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit> {
    let end = args
        .count
        .map_or(u64::MAX, |count| args.start.saturating_add(count));
    let pins = args
        .target
        .memory()?
        .pins(args.start..end)
        .map_err(|error| Failure::of(args.target, &error))?;
    let document = Document {
        pid: args.target.pid,
        fd: args.target.fd,
        pinned_pages: pins.pinned_pages,
        dma_pinned_pages: pins.dma_pinned_pages,
        folios: pins.folios.iter().map(line).collect(),
    };
    output.show(&document, |output| {
        if !pins.folios.is_empty() {
            let columns = [
                numbers("PAGE"),
                numbers("PAGES"),
                numbers("MAPPED"),
                numbers("PINS"),
                numbers("PLAIN"),
                words("FLAGS"),
            ];
            let rows: Vec<_> = pins.folios.iter().map(row).collect();
            output.table(columns, &rows)?;
        }
        output.line(&format!(
            "{}, {} of them pinned",
            counted(pins.pinned_pages, "page is in use", "pages are in use"),
            pins.dma_pinned_pages
        ))
    })?;
    Ok(Exit::Done)
}

fn line(folio: &Folio) -> Line {
    Line {
        index: folio.index,
        pages: folio.pages,
        mapped: folio.mapped,
        pins: folio.pins,
        plain: folio.plain,
        flags: folio.flags.names().collect(),
    }
}

fn row(folio: &Folio) -> [String; 6] {
    [
        folio.index.to_string(),
        folio.pages.to_string(),
        folio.mapped.to_string(),
        folio.pins.to_string(),
        folio.plain.to_string(),
        folio.flags.to_string(),
    ]
}

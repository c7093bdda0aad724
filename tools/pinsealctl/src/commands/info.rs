// SPDX-License-Identifier: MIT OR Apache-2.0

//! `pinsealctl info`

use crate::{
    exit::{Exit, Failure, Result},
    output::Output,
};
use pinseal::Object;
use serde::Serialize;

/// What the kernel's pinseal supports
#[derive(clap::Args)]
pub(crate) struct Args {}

#[derive(Serialize)]
struct Document {
    version: u32,
    features: Vec<&'static str>,
    seals: Vec<&'static str>,
    seal_flags: Vec<&'static str>,
    default_timeout_ns: u128,
}

pub(crate) fn run(_: &Args, output: &mut Output) -> Result<Exit> {
    let info = Object::new(0)
        .and_then(|object| object.info())
        .map_err(|error| Failure::of_device(&error))?;
    let document = Document {
        version: info.version,
        features: info.features.names().collect(),
        seals: info.seals.names().collect(),
        seal_flags: info.seal_flags.names().collect(),
        default_timeout_ns: info.default_timeout.as_nanos(),
    };
    output.show(&document, |output| {
        output.list(&[
            ("version", info.version.to_string()),
            ("features", info.features.to_string()),
            ("seals", info.seals.to_string()),
            ("ways to seal", info.seal_flags.to_string()),
            ("default timeout", format!("{:?}", info.default_timeout)),
        ])
    })?;
    Ok(Exit::Done)
}

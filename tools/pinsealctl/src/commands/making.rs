// SPDX-License-Identifier: MIT OR Apache-2.0

//! What commands that make or seal objects share.

use crate::exit::{Exit, Failure, Result};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use pinseal::{Object, SealError, Seals};
use std::{
    fs::File,
    io::{self, BufWriter, Read, Write},
    path::Path,
};

/// How much is copied at a time.
const CHUNK: usize = 1 << 20;

/// How long a name may be, in bytes.
const NAME_MAX: usize = 63;

/// Parses the name of a seal.
pub(super) fn seal_name() -> impl TypedValueParser<Value = Seals> {
    let names: Vec<&'static str> = Seals::known().names().collect();
    PossibleValuesParser::new(names)
        .try_map(|name| Seals::from_name(&name).ok_or("it is no name of a seal"))
}

/// Parses the name of an object.
pub(super) fn object_name(text: &str) -> std::result::Result<String, String> {
    match text.len() > NAME_MAX || text.chars().any(char::is_control) {
        true => Err(format!(
            "a name has at most {NAME_MAX} bytes, and no control character"
        )),
        false => Ok(text.to_owned()),
    }
}

/// The set of seals that were named.
pub(super) fn set(seals: &[Seals]) -> Seals {
    seals.iter().fold(Seals::empty(), |all, seal| all | *seal)
}

/// Opens a file to be copied; "-" is the standard input.
pub(super) fn source(path: &Path) -> Result<Box<dyn Read>> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin().lock()));
    }
    match File::open(path) {
        Ok(file) => Ok(Box::new(file)),
        Err(error) => Err(Failure::of(path.display(), &error)),
    }
}

/// Copies into an object.
pub(super) fn fill(object: &Object, mut from: impl Read) -> Result<()> {
    let mut to = BufWriter::with_capacity(CHUNK, object);
    io::copy(&mut from, &mut to)
        .and_then(|_| to.flush())
        .map_err(|error| Failure::of("the content cannot be copied", &error))
}

/// Adds seals to an object that nobody else has.
pub(super) fn seal(object: Object, seals: Seals) -> Result<Object> {
    match seals.is_empty() {
        true => Ok(object),
        false => match object.seal(seals).run() {
            Ok(sealed) => Ok(sealed.into_object()),
            Err(error) => Err(not_sealed(&error)),
        },
    }
}

/// Why an object was not sealed.
pub(super) fn not_sealed(error: &SealError) -> Failure {
    match error.report() {
        Some(report) => Failure::new(Exit::from(report.outcome), format!("not sealed: {report}")),
        None => Failure::of("not sealed", error.io_error()),
    }
}

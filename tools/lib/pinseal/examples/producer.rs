// SPDX-License-Identifier: MIT OR Apache-2.0

//! A producer: fills an object, and passes it to a consumer that need not trust it.
//!
//! ```text
//! producer SOCKET TEXT
//! ```
//!
//! It serves one consumer (see `consumer`), then tries to change the text, and cannot.

mod pass;

use pinseal::Options;
use std::{
    env,
    error::Error,
    fs,
    io::{ErrorKind, Read},
    os::unix::net::UnixListener,
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().collect();
    let [_, path, text] = &arguments[..] else {
        return Err("usage: producer SOCKET TEXT".into());
    };
    let object = Options::new()
        .name("message")
        .size(text.len() as u64)
        .create()?;
    object.write_all_at(text.as_bytes(), 0)?;

    // Renamed once it listens: a program that finds the name can connect.
    let new = format!("{path}.new");
    let listener = UnixListener::bind(&new)?;
    fs::rename(&new, path)?;
    let (mut consumer, _) = listener.accept()?;
    fs::remove_file(path)?;

    pass::send(&consumer, &object)?;
    // The consumer closes its end when it has sealed the object.
    consumer.read_to_end(&mut Vec::new())?;
    match object.write_all_at(b"changed", 0) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            println!("producer: the text cannot be changed any more");
            Ok(())
        }
        Err(error) => Err(error.into()),
        Ok(()) => Err("the text was changed".into()),
    }
}

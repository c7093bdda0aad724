// SPDX-License-Identifier: MIT OR Apache-2.0
use pinseal::{Object, Seals};
use std::{error::Error, time::Duration};

fn main() -> Result<(), Box<dyn Error>> {
    let object = Object::new(4096)?;
    object.write_all_at(b"what the receiver parses", 0)?;

    // From here on in the receiver, which was passed the descriptor.
    let sealed = object
        .seal(Seals::CONTENT)
        .timeout(Duration::from_millis(20))
        .run()?;
    let bytes = sealed.map()?;
    assert!(bytes.starts_with(b"what the receiver parses"));
    Ok(())
}

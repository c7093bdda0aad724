// SPDX-License-Identifier: MIT OR Apache-2.0

//! A consumer: seals what a producer passes before it looks at it, so that nothing changes between a
//! check and the use.
//!
//! ```text
//! consumer SOCKET
//! ```

mod pass;

use pinseal::{Object, Seals};
use std::{env, error::Error, os::unix::net::UnixStream, time::Duration};

fn main() -> Result<(), Box<dyn Error>> {
    let path = env::args().nth(1).ok_or("usage: consumer SOCKET")?;
    let producer = UnixStream::connect(path)?;
    let object = Object::try_from(pass::receive(&producer)?)?;

    let sealed = object
        .seal(Seals::CONTENT)
        .timeout(Duration::from_millis(500))
        .revoke()
        .wait_mapped()
        .run()?;
    let bytes = sealed.map()?;
    drop(producer);
    println!(
        "consumer: {} bytes, sealed after {:?}: {}",
        bytes.len(),
        sealed.report().waited,
        std::str::from_utf8(&bytes)?
    );
    Ok(())
}

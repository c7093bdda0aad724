// SPDX-License-Identifier: MIT OR Apache-2.0
use pinseal::{SealedBy, Seals, seal_fd};
use rustix::fs::{MemfdFlags, memfd_create};
use std::{error::Error, fs::File, io::Write, time::Duration};

fn main() -> Result<(), Box<dyn Error>> {
    let memfd = memfd_create("frames", MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC)?;
    File::from(memfd.try_clone()?).write_all(b"bytes")?;

    let sealed = seal_fd(&memfd, Seals::CONTENT)
        .timeout(Duration::from_millis(20))
        .run()?;
    match sealed {
        SealedBy::Module(sealed) => assert_eq!(&*sealed.map()?, b"bytes"),
        SealedBy::Kernel(reason) => println!("sealed without pinseal: {reason}"),
    }
    Ok(())
}

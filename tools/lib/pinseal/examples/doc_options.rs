// SPDX-License-Identifier: MIT OR Apache-2.0
use pinseal::Options;

fn main() -> std::io::Result<()> {
    let frames = Options::new().name("frames").size(1 << 20).create()?;
    println!("{} bytes", frames.len()?);
    Ok(())
}

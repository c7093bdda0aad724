// SPDX-License-Identifier: MIT OR Apache-2.0
//! A pending seal is a future.

use pinseal::{Object, Seals};
use std::{error::Error, time::Duration};

fn main() -> Result<(), Box<dyn Error>> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(seal())
}

async fn seal() -> Result<(), Box<dyn Error>> {
    let object = Object::new(4096)?;
    let pin = object.pin(0..1).take()?;
    let pending = object
        .seal(Seals::CONTENT)
        .timeout(Duration::from_secs(60))
        .start()?;

    let release = async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        drop(pin);
    };
    let (sealed, ()) = tokio::join!(pending.ended(), release);
    println!("sealed after {:?}", sealed?.report().waited);
    Ok(())
}

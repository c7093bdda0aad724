// SPDX-License-Identifier: MIT OR Apache-2.0
use pinseal::{Object, Progress, Seals};
use std::{error::Error, time::Duration};

fn main() -> Result<(), Box<dyn Error>> {
    let object = Object::new(4096)?;
    let pin = object.pin(0..1).take()?;

    let pending = object
        .seal(Seals::CONTENT)
        .timeout(Duration::from_secs(60))
        .start()?;
    let pending = match pending.wait_timeout(Duration::from_millis(10)) {
        Progress::Pending(pending, report) => {
            println!("so far: {report}");
            pending
        }
        Progress::Done(result) => {
            println!("no wait: {:?}", result?.report());
            return Ok(());
        }
    };
    drop(pin);
    let sealed = pending.wait()?;
    assert_eq!(sealed.object().seals()?, Seals::CONTENT);
    Ok(())
}

// SPDX-License-Identifier: MIT OR Apache-2.0
use pinseal::{Object, Outcome, Seals};
use std::{error::Error, time::Duration};

fn main() -> Result<(), Box<dyn Error>> {
    let object = Object::new(16 << 20)?;
    let pin = object.pin(0..2).take()?;

    let refused = object
        .seal(Seals::CONTENT)
        .timeout(Duration::from_millis(5))
        .run()
        .unwrap_err();
    assert_eq!(refused.outcome(), Some(Outcome::Pinned));
    println!("{refused}");

    // The object is as it was, and comes back with the error.
    drop(pin);
    let sealed = refused.into_object().seal(Seals::CONTENT).run()?;
    println!("sealed after {:?}", sealed.report().waited);
    Ok(())
}

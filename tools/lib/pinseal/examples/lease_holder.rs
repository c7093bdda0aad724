// SPDX-License-Identifier: MIT OR Apache-2.0

//! A lease holder: works on pages of an object as a driver would, until they are asked for, while the
//! main thread seals the object.
//!
//! ```text
//! lease_holder [busy]
//! ```
//!
//! With "busy" the holder goes on when the pages are asked for, and they are revoked after its grace.

use pinseal::{LeaseState, Object, PinHandle, Seals};
use rustix::io::Errno;
use std::{env, error::Error, io, thread, time::Duration};

const GRACE: Duration = Duration::from_millis(500);

fn main() -> Result<(), Box<dyn Error>> {
    let busy = env::args()
        .nth(1)
        .is_some_and(|argument| argument == "busy");
    let object = Object::new(1 << 20)?;
    let lease = object.pin(0..4).leased(GRACE).take()?;
    let holder = thread::spawn(move || hold(lease, busy));

    let sealed = object
        .seal(Seals::CONTENT)
        .timeout(Duration::from_secs(20))
        .revoke()
        .run()?;
    println!(
        "sealer: sealed after {:?}, {} pages were revoked",
        sealed.report().waited,
        sealed.report().revoked_pages
    );
    let written = holder.join().map_err(|_| "the holder panicked")??;
    println!("holder: wrote {written} times");
    Ok(())
}

/// Writes until the pages are asked for, or are gone: how often that was.
fn hold(lease: PinHandle, busy: bool) -> io::Result<u64> {
    for written in 0.. {
        match lease.wait(Some(Duration::from_millis(10)))? {
            LeaseState::Held => (),
            LeaseState::Asked if busy => (),
            LeaseState::Asked => {
                println!("holder: releases the pages for {:?}", lease.info()?.asker);
                return Ok(written);
            }
            LeaseState::Revoked => {
                println!("holder: lost the pages");
                return Ok(written);
            }
        }
        match lease.write_at(b"w", written % 4096) {
            // Revoked since: the next look tells.
            Err(error) if error.raw_os_error() == Some(Errno::STALE.raw_os_error()) => continue,
            result => result?,
        };
    }
    Ok(0)
}

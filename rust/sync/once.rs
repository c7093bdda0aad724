// SPDX-License-Identifier: GPL-2.0-only

//! Values that are made when they are first needed.

use kernel::{
    prelude::*,
    sync::SetOnce,
    time::{
        delay::fsleep,
        Delta, //
    }, //
};

/// The value, made now if there is none. It may be made in vain, when another thread makes it as well.
///
/// Context: sleeps for a moment, while another thread is at it.
///
/// # Errors
///
/// Those of `make`.
#[inline]
pub(crate) fn get_or_try_init<T>(once: &SetOnce<T>, make: impl Fn() -> Result<T>) -> Result<&T> {
    match once.as_ref() {
        Some(value) => Ok(value),
        None => make_or_wait(once, make),
    }
}

#[cold]
fn make_or_wait<T>(once: &SetOnce<T>, make: impl Fn() -> Result<T>) -> Result<&T> {
    loop {
        if !once.populate(make()?) {
            fsleep(Delta::from_micros(1));
        }
        if let Some(value) = once.as_ref() {
            return Ok(value);
        }
    }
}

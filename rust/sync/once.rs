// SPDX-License-Identifier: GPL-2.0-only

//! Fallible initialisation of a [`SetOnce`] at its first use.

use kernel::{
    prelude::*,
    sync::SetOnce,
    time::{
        delay::fsleep,
        Delta, //
    }, //
};

/// Returns the value, which is initialised by `init` if there is none.
///
/// Threads that race each call `init`. One value stays, the others are dropped.
///
/// Context: sleeps while another thread stores its value.
///
/// # Errors
///
/// Those of `init`.
#[inline]
pub(crate) fn get_or_try_init<T>(once: &SetOnce<T>, init: impl Fn() -> Result<T>) -> Result<&T> {
    match once.as_ref() {
        Some(value) => Ok(value),
        None => try_init_slow(once, init),
    }
}

#[cold]
fn try_init_slow<T>(once: &SetOnce<T>, init: impl Fn() -> Result<T>) -> Result<&T> {
    loop {
        if !once.populate(init()?) {
            fsleep(Delta::from_micros(1));
        }
        if let Some(value) = once.as_ref() {
            return Ok(value);
        }
    }
}

// SPDX-License-Identifier: GPL-2.0-only

//! Mutexes that are waited for killably.
//!
//! C header: [`include/linux/mutex.h`](srctree/include/linux/mutex.h)

use crate::bindings;
use core::ptr::from_ref;
use kernel::{
    error::to_result,
    prelude::*,
    sync::{
        lock::{
            mutex::MutexBackend,
            Guard, //
        },
        Mutex, //
    }, //
};

/// Locks a mutex, unless the current task is being killed.
///
/// # Errors
///
/// `EINTR`.
pub(crate) fn lock_killable<T>(mutex: &Mutex<T>) -> Result<Guard<'_, T, MutexBackend>> {
    let raw = from_ref(mutex).cast::<bindings::mutex>().cast_mut();
    // SAFETY: A `Lock` begins with the state of its backend (`repr(C)`, see `Lock::from_raw`), which was
    // initialised.
    to_result(unsafe { bindings::pinseal_mutex_lock_killable(raw) })?;
    // SAFETY: The lock was acquired above.
    Ok(unsafe { Guard::new(mutex, ()) })
}

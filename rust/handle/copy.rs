// SPDX-License-Identifier: GPL-2.0-only

//! Copies between user space and pages, a page at a time through a buffer: a revocation does not wait
//! for user space, which controls how long its faults take.

use crate::sync::sleep::fatal_signal_pending;
use kernel::{
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    page::PAGE_SIZE,
    prelude::*, //
};

/// Reads from position `at` of `size` bytes. `read` fills a buffer, which ends within the page of its
/// position, and returns the number of bytes.
///
/// Returns the number of bytes read.
///
/// # Errors
///
/// `EFAULT`, `ENOMEM`, those of `read`.
pub(crate) fn read(
    size: usize,
    at: i64,
    iov: &mut IovIterDest<'_>,
    mut read: impl FnMut(usize, &mut [u8]) -> Result<usize>,
) -> Result<usize> {
    copy_pages(size, at, iov.len(), |at, buffer| {
        let len = read(at, buffer)?;
        match iov.copy_to_iter(&buffer[..len]) {
            0 => Err(EFAULT),
            copied => Ok(copied),
        }
    })
}

/// Writes to position `at` of `size` bytes. `write` is given bytes that end within the page of their
/// position, and returns the number of bytes it has written.
///
/// Returns the number of bytes written.
///
/// # Errors
///
/// `ENOSPC` beyond the end, `EFAULT`, `ENOMEM`, those of `write`.
pub(crate) fn write(
    size: usize,
    at: i64,
    iov: &mut IovIterSource<'_>,
    mut write: impl FnMut(usize, &[u8]) -> Result<usize>,
) -> Result<usize> {
    // CAST: A position that does not fit is beyond the end.
    if !iov.is_empty() && at as u64 >= size as u64 {
        return Err(ENOSPC);
    }
    copy_pages(size, at, iov.len(), |at, buffer| {
        match iov.copy_from_iter(buffer) {
            0 => Err(EFAULT),
            copied => write(at, &buffer[..copied]),
        }
    })
}

/// Copies at most `len` bytes from position `at` on, until `copy_page` copies less than it has room
/// for. Returns the number of bytes.
fn copy_pages(
    size: usize,
    at: i64,
    len: usize,
    mut copy_page: impl FnMut(usize, &mut [u8]) -> Result<usize>,
) -> Result<usize> {
    let Ok(at) = usize::try_from(at) else {
        return Ok(0);
    };
    let len = len.min(size.saturating_sub(at));
    let mut buffer = KVec::from_elem(0, len.min(PAGE_SIZE), GFP_KERNEL)?;
    let mut done = 0;
    while done < len && !(done > 0 && fatal_signal_pending()) {
        // Up to the end of a page.
        let room = (PAGE_SIZE - (at + done) % PAGE_SIZE).min(len - done);
        let copied = match copy_page(at + done, &mut buffer[..room]) {
            Ok(copied) => copied,
            Err(_) if done > 0 => break,
            Err(err) => return Err(err),
        };
        done += copied;
        if copied < room {
            break;
        }
    }
    Ok(done)
}

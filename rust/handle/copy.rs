// SPDX-License-Identifier: GPL-2.0-only

//! Copying between user space and pages by pieces, through a buffer: whoever wants the pages does not
//! wait for user space, which may be long in providing its side.

use crate::sync::sleep::is_dying;
use kernel::{
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    page::PAGE_SIZE,
    prelude::*, //
};

/// Reads from position `at` of what has `size` bytes. `read` is given a position and a buffer that
/// does not go beyond the end of a page, and returns how many bytes it has put there.
///
/// Returns how many bytes were read.
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
    by_pieces(size, at, iov.len(), |at, buffer| {
        let len = read(at, buffer)?;
        match iov.copy_to_iter(&buffer[..len]) {
            0 => Err(EFAULT),
            copied => Ok(copied),
        }
    })
}

/// Writes to position `at` of what has `size` bytes. `write` is given a position and bytes that do not
/// go beyond the end of a page, and returns how many of them it has taken.
///
/// Returns how many bytes were written.
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
    // CAST: What does not fit is beyond the end.
    if !iov.is_empty() && at as u64 >= size as u64 {
        return Err(ENOSPC);
    }
    by_pieces(size, at, iov.len(), |at, buffer| {
        match iov.copy_from_iter(buffer) {
            0 => Err(EFAULT),
            copied => write(at, &buffer[..copied]),
        }
    })
}

/// Goes from position `at` on for at most `len` bytes, until `piece` comes to less than it was given
/// room for. Returns how many bytes.
fn by_pieces(
    size: usize,
    at: i64,
    len: usize,
    mut piece: impl FnMut(usize, &mut [u8]) -> Result<usize>,
) -> Result<usize> {
    let Ok(at) = usize::try_from(at) else {
        return Ok(0);
    };
    let len = len.min(size.saturating_sub(at));
    let mut buffer = KVec::from_elem(0, len.min(PAGE_SIZE), GFP_KERNEL)?;
    let mut done = 0;
    while done < len && !(done > 0 && is_dying()) {
        // Up to the end of a page.
        let room = (PAGE_SIZE - (at + done) % PAGE_SIZE).min(len - done);
        let moved = match piece(at + done, &mut buffer[..room]) {
            Ok(moved) => moved,
            Err(_) if done > 0 => break,
            Err(err) => return Err(err),
        };
        done += moved;
        if moved < room {
            break;
        }
    }
    Ok(done)
}

// SPDX-License-Identifier: GPL-2.0-only

//! `PINSEAL_IOC_PROTECT`.

use super::argument::{
    check_unused,
    check_zero,
    Argument, //
};
use crate::{
    fs::mapping::Change,
    map,
    mm::protections::PageAccess,
    open_object::OpenObject,
    uapi, //
};
use core::{
    mem::offset_of,
    ops::Range, //
};
use kernel::{
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::ArcBorrow,
    uaccess::{
        UserPtr,
        UserSlice, //
    }, //
};
use zerocopy::{
    FromZeros,
    IntoBytes, //
};

/// Size of the first version of `struct pinseal_protect`.
const FIRST: usize = offset_of!(uapi::pinseal_protect, ranges);

/// Maximum number of pages of an object.
const MAX_PAGES: u64 = i64::MAX as u64 >> PAGE_SHIFT;

/// Number of ranges that are copied at once.
const AT_ONCE: usize = 16;

/// What the bits of a protection in user space stand for.
const ACCESSES: [(u32, PageAccess); 3] = [
    (uapi::PROT_READ, PageAccess::READ),
    (uapi::PROT_WRITE, PageAccess::WRITE),
    (uapi::PROT_EXEC, PageAccess::EXEC),
];

/// `PINSEAL_IOC_PROTECT`. Returns 0 or, when it lists ranges, how many.
#[inline(never)]
pub(super) fn protect(owner: ArcBorrow<'_, OpenObject>, arg: Argument) -> Result<isize> {
    let request: uapi::pinseal_protect = arg.read_grown(FIRST)?;
    match request.flags {
        0 | uapi::PINSEAL_PROTECT_REMAP => protect_one(owner, &request),
        uapi::PINSEAL_PROTECT_RANGES => protect_ranges(owner, &request),
        uapi::PINSEAL_PROTECT_QUERY => query(owner, &request),
        _ => Err(EINVAL),
    }
}

fn protect_one(owner: ArcBorrow<'_, OpenObject>, request: &uapi::pinseal_protect) -> Result<isize> {
    check_unused(&[request.ranges, request.nr])?;
    let change = change(&uapi::pinseal_protect_range {
        addr: request.addr,
        len: request.len,
        pgoff: request.pgoff,
        prot: request.prot,
        flags: request.flags,
    })?;
    map::protect(owner, &[change])?;
    Ok(0)
}

fn protect_ranges(
    owner: ArcBorrow<'_, OpenObject>,
    request: &uapi::pinseal_protect,
) -> Result<isize> {
    if request.addr | request.len | request.pgoff != 0 {
        return Err(EINVAL);
    }
    check_zero(request.prot)?;
    if request.nr > uapi::PINSEAL_PROTECT_MAX.into() {
        return Err(EINVAL);
    }
    // CAST: Bounded above.
    let nr = request.nr as usize;
    let mut reader = ranges_of_user(request, nr)?.reader();
    let mut changes = KVVec::with_capacity(nr, GFP_KERNEL_ACCOUNT)?;
    let mut ranges = <[uapi::pinseal_protect_range; AT_ONCE]>::new_zeroed();
    while changes.len() < nr {
        let ranges = &mut ranges[..AT_ONCE.min(nr - changes.len())];
        reader.read_slice(ranges.as_mut_bytes())?;
        for range in ranges {
            changes.push_within_capacity(change(range)?)?;
        }
    }
    map::protect(owner, &changes)?;
    Ok(0)
}

/// With `PINSEAL_PROTECT_QUERY`.
fn query(owner: ArcBorrow<'_, OpenObject>, request: &uapi::pinseal_protect) -> Result<isize> {
    check_zero(request.prot)?;
    if request.pgoff != 0 {
        return Err(EINVAL);
    }
    let addresses = addresses(request.addr, request.len)?;
    if request.nr == 0 {
        return map::count(owner, addresses);
    }
    if request.nr > uapi::PINSEAL_PROTECT_MAX.into() {
        return Err(EINVAL);
    }
    // CAST: Bounded before.
    let nr = request.nr as usize;
    let found = map::query(owner, addresses, nr)?;
    let mut writer = ranges_of_user(request, nr)?.writer();
    for range in &found {
        let prot = ACCESSES
            .iter()
            .filter(|(_, access)| range.access.contains(*access))
            .fold(0, |prot, (bit, _)| prot | bit);
        let entry = uapi::pinseal_protect_range {
            addr: range.addresses.start as u64,
            len: range.addresses.len() as u64,
            pgoff: range.page as u64,
            prot,
            flags: match range.is_remapped {
                true => uapi::PINSEAL_PROTECT_REMAP,
                false => 0,
            },
        };
        writer.write_slice(entry.as_bytes())?;
    }
    // CAST: At most `PINSEAL_PROTECT_MAX`.
    Ok(found.len() as isize)
}

/// The array of ranges, of `nr` elements.
fn ranges_of_user(request: &uapi::pinseal_protect, nr: usize) -> Result<UserSlice> {
    Ok(UserSlice::new(
        UserPtr::from_addr(request.ranges.try_into().map_err(|_| EFAULT)?),
        nr * size_of::<uapi::pinseal_protect_range>(),
    ))
}

fn change(range: &uapi::pinseal_protect_range) -> Result<Change> {
    let known = ACCESSES.iter().fold(0, |all, (bit, _)| all | bit);
    check_zero((range.flags & !uapi::PINSEAL_PROTECT_REMAP) | (range.prot & !known))?;
    let addresses = addresses(range.addr, range.len)?;
    let target = match range.flags {
        0 if range.pgoff != 0 => return Err(EINVAL),
        0 => None,
        _ => {
            let pages = (addresses.len() / PAGE_SIZE) as u64;
            let end = range.pgoff.checked_add(pages).ok_or(EOVERFLOW)?;
            if end > MAX_PAGES {
                return Err(EOVERFLOW);
            }
            // CAST: In pages, a size fits.
            Some(range.pgoff as usize)
        }
    };
    let access = ACCESSES
        .iter()
        .filter(|(bit, _)| range.prot & bit != 0)
        .fold(PageAccess::NONE, |all, (_, access)| all.with(*access));
    Ok(Change {
        start: addresses.start,
        end: addresses.end,
        access,
        target,
    })
}

/// The addresses of pages.
///
/// # Errors
///
/// `EINVAL` when there are none, or not whole pages. `EOVERFLOW`.
fn addresses(start: u64, len: u64) -> Result<Range<usize>> {
    if len == 0 || (start | len) % PAGE_SIZE as u64 != 0 {
        return Err(EINVAL);
    }
    let end = start.checked_add(len).ok_or(EOVERFLOW)?;
    Ok(start.try_into().map_err(|_| EOVERFLOW)?..end.try_into().map_err(|_| EOVERFLOW)?)
}

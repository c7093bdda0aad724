// SPDX-License-Identifier: GPL-2.0-only

//! `PINSEAL_IOC_PINS`.

use super::argument::{
    check_zero,
    Argument, //
};
use crate::{
    object::Object,
    uapi,
    wait::{
        list_references,
        Listed,
        Summary, //
    }, //
};
use core::ops::BitOr;
use kernel::{
    prelude::*,
    uaccess::{
        UserPtr,
        UserSlice, //
    }, //
};
use zerocopy::IntoBytes;

/// `PINSEAL_IOC_PINS`.
#[inline(never)]
pub(super) fn list(object: &Object, arg: Argument) -> Result {
    let mut request: uapi::pinseal_pins = arg.read()?;
    check_zero(request.flags | request.pad)?;
    let end = match request.count {
        0 => u64::MAX,
        count => request.start.checked_add(count).ok_or(EINVAL)?,
    };
    let entry_size = size_of::<uapi::pinseal_page>() as u64;
    let mut vec = UserSlice::new(
        UserPtr::from_addr(request.vec.try_into().map_err(|_| EFAULT)?),
        // The caller may say "as many as there are".
        request
            .vec_len
            .saturating_mul(entry_size)
            .try_into()
            .unwrap_or(usize::MAX),
    )
    .writer();
    let max = (request.vec != 0).then_some(request.vec_len);

    // References of ours are none that anybody waits for.
    object.take_remapped_away();
    // A listing is no use: it does not create the memory.
    let summary = match object.seen_memory() {
        Some(memory) => list_references(memory, request.start..end, max, |found| {
            found
                .iter()
                .try_for_each(|listed| vec.write_slice(page_entry(object, listed).as_bytes()))
        })?,
        None => Summary::empty(request.start),
    };
    request.found = summary.found;
    request.next = summary.next;
    request.pinned_pages = summary.pinned_pages;
    request.dma_pinned_pages = summary.dma_pinned_pages;
    arg.write(&request)
}

fn page_entry(object: &Object, listed: &Listed) -> uapi::pinseal_page {
    let Listed { references, flags } = listed;
    let pages = references.index..references.index + references.pages;
    let is_handles = references.dma_pins > 0 && object.pins().pins_any(&pages);
    let bits = [
        (references.is_large, uapi::PINSEAL_PAGE_LARGE),
        (is_handles, uapi::PINSEAL_PAGE_HANDLE),
        (!flags.is_on_lru, uapi::PINSEAL_PAGE_OFF_LRU),
        (flags.is_mlocked, uapi::PINSEAL_PAGE_MLOCKED),
        (flags.is_in_swap_cache, uapi::PINSEAL_PAGE_SWAPCACHE),
        (flags.is_under_writeback, uapi::PINSEAL_PAGE_WRITEBACK),
    ];
    uapi::pinseal_page {
        index: references.index as u64,
        pages: references.pages.try_into().unwrap_or(u32::MAX),
        mapped: references.mapped,
        extra: references.extra,
        dma_pins: references.dma_pins,
        flags: bits
            .into_iter()
            .filter_map(|(is_set, bit)| is_set.then_some(bit))
            .fold(0, BitOr::bitor),
        pad: 0,
    }
}

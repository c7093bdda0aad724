// SPDX-License-Identifier: GPL-2.0-only

//! Maps pages again that were zapped in mlocked VMAs.
//!
//! The VMAs may be those of any process, which must not be able to delay this. So mmap locks are
//! only tried, nothing but pages of this file is faulted in, and no address space is torn down
//! here.
//!
//! C headers: [`include/linux/fs.h`](srctree/include/linux/fs.h),
//! [`include/linux/mm.h`](srctree/include/linux/mm.h)

use super::{
    address_space::AddressSpace,
    linked_vma::LinkedVma, //
};
use crate::{
    bindings,
    sync::sleep::fatal_signal_pending, //
};
use core::{
    ops::Range,
    ptr::null_mut, //
};
use kernel::{
    mm::{
        virt::VmaRef,
        Mm,
        MmWithUser,
        MmWithUserAsync,
        MmapReadGuard, //
    },
    page::PAGE_SHIFT,
    prelude::*,
    sync::aref::ARef,
    time::{
        delay::fsleep,
        Delta,
        Instant,
        Monotonic, //
    }, //
};

/// Sleep between attempts to acquire an mmap lock, in microseconds, and the limit of such sleeps in
/// one call, for all address spaces. When a process holds its lock for longer, its pages fault in
/// at its next access.
const LOCK_SLEEP_US: i64 = 100;
const MAX_LOCK_SLEEPS: u32 = 50;

/// Longest time of one call, in milliseconds, and that of a killed task. Others choose how many VMAs there are,
/// and each page may have to be read from swap.
const MAX_MS: i64 = 1_000;
const MAX_KILLED_MS: i64 = 100;

/// A range of a file that an mlocked VMA mapped when it was visited.
struct MlockedRange {
    /// The last reference may be this one. Its teardown, which may wait for I/O, is left to a
    /// worker.
    mm: ARef<MmWithUserAsync>,
    /// Address of the first page.
    address: usize,
    /// The pages, as indices in the file.
    pages: Range<usize>,
    /// Whether the VMA is mlocked on fault: pages are not faulted in beforehand.
    on_fault: bool,
}

impl AddressSpace {
    /// Maps the pages of `ranges` that mlocked VMAs cover, one range after the other, in all processes, as
    /// far as that takes a bounded time. The others fault in at their next access.
    ///
    /// Context: sleeps. Tries mmap locks.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, with the range and those after it not mapped.
    pub(crate) fn remap_mlocked<'a>(
        &self,
        ranges: impl Iterator<Item = &'a Range<usize>>,
    ) -> Result {
        let start = Instant::<Monotonic>::now();
        let mut sleeps = MAX_LOCK_SLEEPS;
        let is_over = || {
            let most_ms = match fatal_signal_pending() {
                true => MAX_KILLED_MS,
                false => MAX_MS,
            };
            start.elapsed().as_millis() >= most_ms
        };
        for pages in ranges {
            for range in self.mlocked_ranges(pages)?.iter() {
                let mut from = range.pages.start;
                while let Some(index) = self.next_page(from..range.pages.end, range.on_fault) {
                    if is_over() {
                        return Ok(());
                    }
                    if !self.map_page(range, index, &mut sleeps) {
                        break;
                    }
                    from = index + 1;
                }
            }
        }
        Ok(())
    }

    /// Maps one page of a range. Returns whether it is worth going on with the range.
    fn map_page(&self, range: &MlockedRange, index: usize, sleeps: &mut u32) -> bool {
        let address = range.address + ((index - range.pages.start) << PAGE_SHIFT);
        let Some(guard) = try_mmap_read_lock(&range.mm, sleeps) else {
            return false;
        };
        // The address may have another mapping by now, where user space could delay a fault for
        // ever.
        if guard
            .vma_lookup(address)
            .is_none_or(|vma| !self.is_mlocked_page(vma, address, index))
        {
            return false;
        }
        // SAFETY: The mmap lock is held, and stays held, because no retry is allowed.
        unsafe { bindings::fixup_user_fault(range.mm.as_raw(), address, 0, null_mut()) };
        true
    }

    /// Whether an mlocked `vma` maps the page at `index` at `address`, and user space cannot delay
    /// a fault there.
    fn is_mlocked_page(&self, vma: &VmaRef, address: usize, index: usize) -> bool {
        // SAFETY: By the invariants of `VmaRef`, the VMA is locked against changes.
        let is_mlocked = unsafe { bindings::pinseal_vma_is_mlocked(vma.as_ptr()) };
        is_mlocked && self.is_mapped_by(vma, address, index)
    }

    /// Returns the ranges of mlocked VMAs that overlap `pages`.
    fn mlocked_ranges(&self, pages: &Range<usize>) -> Result<KVVec<MlockedRange>> {
        let mut ranges = KVVec::new();
        loop {
            let mut no_room = 0;
            self.for_each_vma(|vma| {
                let Some(range) = vma.mlocked_range(pages) else {
                    return;
                };
                if ranges.len() == ranges.capacity() {
                    no_room += 1;
                } else if let Some(range) = range.mmget() {
                    // There is room: see above.
                    let _ = ranges.push_within_capacity(range);
                }
            });
            if no_room == 0 {
                return Ok(ranges);
            }
            // Not under the lock: allocation may wait for reclaim, which takes the lock.
            let room = ranges.len() + 2 * no_room;
            ranges.clear();
            ranges.reserve(room, GFP_KERNEL)?;
        }
    }
}

/// Locks an address space for reading. `None` when its lock is not free, with `sleeps` used up. A killed task
/// does not sleep for it.
fn try_mmap_read_lock<'a>(mm: &'a MmWithUser, sleeps: &mut u32) -> Option<MmapReadGuard<'a>> {
    loop {
        // SAFETY: There are no requirements.
        unsafe { bindings::pinseal_cond_resched() };
        let guard = mm.mmap_read_trylock();
        if guard.is_some() || *sleeps == 0 || fatal_signal_pending() {
            return guard;
        }
        *sleeps -= 1;
        fsleep(Delta::from_micros(LOCK_SLEEP_US));
    }
}

impl<'a> LinkedVma<'a> {
    /// Returns the range of the VMA that overlaps `pages`, if the VMA is mlocked.
    fn mlocked_range(&self, pages: &Range<usize>) -> Option<MlockedRangeRef<'a>> {
        // It may be mlocked or munlocked at this moment. Then either result is correct.
        //
        // SAFETY: The VMA is linked.
        let is_mlocked = unsafe { bindings::pinseal_vma_is_mlocked(self.get()) };
        // SAFETY: The bounds of a VMA change under `i_mmap_rwsem`, which is held by the type
        // invariants.
        let (start, end) = unsafe {
            let range = &self.get().__bindgen_anon_1.__bindgen_anon_1;
            (range.vm_start, range.vm_end)
        };
        let first = self.get().vm_pgoff;
        let mapped = first..first + ((end - start) >> PAGE_SHIFT);
        let range = mapped.start.max(pages.start)..mapped.end.min(pages.end);
        if !is_mlocked || range.is_empty() {
            return None;
        }
        Some(MlockedRangeRef {
            // SAFETY: The `mm` of a linked VMA is not freed before the VMA is unlinked.
            mm: unsafe { Mm::from_raw(self.get().vm_mm) },
            address: start + ((range.start - mapped.start) << PAGE_SHIFT),
            pages: range,
            // SAFETY: The VMA is linked.
            on_fault: unsafe { bindings::pinseal_vma_is_mlocked_on_fault(self.get()) },
        })
    }
}

/// An [`MlockedRange`] without a reference to the `mm`.
struct MlockedRangeRef<'a> {
    mm: &'a Mm,
    address: usize,
    pages: Range<usize>,
    on_fault: bool,
}

impl MlockedRangeRef<'_> {
    /// Takes a reference to the `mm`, unless it is being torn down.
    fn mmget(self) -> Option<MlockedRange> {
        Some(MlockedRange {
            mm: MmWithUser::into_mmput_async(self.mm.mmget_not_zero()?),
            address: self.address,
            pages: self.pages,
            on_fault: self.on_fault,
        })
    }
}

// SPDX-License-Identifier: GPL-2.0-only

//! Addresses of a process, mirrored: their pages are used as by a device that has page tables of its
//! own and can fault (HMM). No page is held for that, neither pinned nor referred to.
//!
//! What the mirror knows is used under a spin lock only, and whoever changes the page tables takes
//! that lock to have it forgotten, before a page goes. So nobody waits longer than a copy takes.
//!
//! # Lock order
//!
//! `Mirror::table` is taken with whatever the kernel holds when it changes page tables, and nothing is
//! taken under it.
//!
//! C headers: [`include/linux/mmu_notifier.h`](srctree/include/linux/mmu_notifier.h),
//! [`include/linux/hmm.h`](srctree/include/linux/hmm.h)

use crate::{
    bindings,
    mm::address_space::AddressSpace,
    sync::sleep::fatal_signal_pending, //
};
use core::{
    ops::Range,
    ptr::null_mut, //
};
use kernel::{
    container_of,
    error::to_result,
    ffi::c_ulong,
    mm::{
        virt::{
            vm_flags_t,
            VmaRef, //
        },
        Mm,
        MmWithUser, //
    },
    new_spinlock,
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::{
        aref::ARef,
        SpinLock, //
    },
    types::{
        NotThreadSafe,
        Opaque, //
    }, //
};

/// `VM_MAYSHARE`: the VMA is of a shared mapping, writable or not. The kernel crate of 7.2 has the value of
/// `VM_MAYEXEC` for its `flags::MAYSHARE`.
const MAYSHARE: vm_flags_t = bindings::pinseal_VM_MAYSHARE as vm_flags_t;

/// How many pages a mirror knows at a time.
const KNOWN: usize = 64;

/// What is to be done with a page.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// Read it.
    Read,
    /// Write to it.
    Write,
}

/// What the page tables showed at an address, and still show.
#[derive(Clone, Copy)]
struct Translation {
    /// Of the page.
    address: usize,
    page: *mut bindings::page,
    is_writable: bool,
}

/// What a mirror knows: the last page each of those whose addresses have the same remainder.
///
/// # Invariants
///
/// Under the lock, page tables show what is in here, with that access at least.
struct Table([Option<Translation>; KNOWN]);

// SAFETY: The pages are nobody's, and used under the lock only.
unsafe impl Send for Table {}

impl Table {
    fn place(address: usize) -> usize {
        (address >> PAGE_SHIFT) % KNOWN
    }

    fn find(&self, address: usize, what: Use) -> Option<*mut bindings::page> {
        self.0[Self::place(address)]
            .filter(|known| known.address == address)
            .filter(|known| known.is_writable || what == Use::Read)
            .map(|known| known.page)
    }

    fn remember(&mut self, known: Translation) {
        self.0[Self::place(known.address)] = Some(known);
    }

    fn forget(&mut self, addresses: &Range<usize>) {
        let pages = addresses.len().div_ceil(PAGE_SIZE).min(KNOWN);
        for number in 0..pages {
            self.0[(Self::place(addresses.start) + number) % KNOWN]
                .take_if(|known| addresses.contains(&known.address));
        }
    }
}

/// A mirror of addresses of the process that made it.
///
/// # Invariants
///
/// `notifier` is registered for `addresses` of `mm`, with [`OPERATIONS`].
#[pin_data(PinnedDrop)]
pub(crate) struct Mirror {
    mm: ARef<Mm>,
    addresses: Range<usize>,
    #[pin]
    table: SpinLock<Table>,
    #[pin]
    notifier: Opaque<bindings::mmu_interval_notifier>,
}

// SAFETY: The notifier may be used and removed by any thread.
unsafe impl Send for Mirror {}
// SAFETY: As above; what changes is under the lock.
unsafe impl Sync for Mirror {}

struct Operations(bindings::mmu_interval_notifier_ops);

// SAFETY: It is never changed, and what it points to is static.
unsafe impl Sync for Operations {}

static OPERATIONS: Operations = Operations(bindings::mmu_interval_notifier_ops {
    invalidate: Some(invalidate),
    ..pin_init::zeroed()
});

/// # Safety
///
/// `notifier` must be that of a [`Mirror`], and `range` valid.
unsafe extern "C" fn invalidate(
    notifier: *mut bindings::mmu_interval_notifier,
    range: *const bindings::mmu_notifier_range,
    sequence: c_ulong,
) -> bool {
    // SAFETY: By the safety requirements.
    let (mirror, range) = unsafe {
        (
            &*container_of!(Opaque::cast_from(notifier), Mirror, notifier),
            &*range,
        )
    };
    let mut table = mirror.table.lock();
    // SAFETY: By the safety requirements; under the lock that readers of the sequence take.
    unsafe { bindings::pinseal_mmu_interval_set_seq(notifier, sequence) };
    table.forget(&(range.start..range.end));
    true
}

impl Mirror {
    /// Whether this kernel has them.
    pub(crate) const IS_SUPPORTED: bool = true;

    /// A mirror of addresses of the current process, at all of which shared mappings show `file` now,
    /// from page `first` on.
    ///
    /// Context: sleeps, and takes the mmap lock.
    ///
    /// # Errors
    ///
    /// `EFAULT` when they do not; `EINVAL` when they are not whole pages; `ENOMEM`; `EINTR` when the
    /// current task is being killed, `ERESTARTNOINTR` when it should go back to user space.
    pub(crate) fn new(
        addresses: Range<usize>,
        file: &AddressSpace,
        first: usize,
    ) -> Result<Pin<KBox<Self>>> {
        if addresses.is_empty() || (addresses.start | addresses.end) % PAGE_SIZE != 0 {
            return Err(EINVAL);
        }
        let current = current!();
        let user = current.mm().ok_or(EFAULT)?;
        let locked = LockedMm::lock(user, MmapLock::Write)?;
        if !locked.shows(&addresses, file, first) {
            return Err(EFAULT);
        }
        let mm: ARef<Mm> = (&**user).into();
        let (mm_ptr, start, len) = (mm.as_raw(), addresses.start, addresses.len());
        KBox::try_pin_init(
            // INVARIANT: It is registered last, when all that `invalidate` uses is there.
            try_pin_init!(Self {
                mm,
                addresses,
                table <- new_spinlock!(Table([None; KNOWN]), "pinseal::Mirror::table"),
                notifier <- Opaque::try_ffi_init(|notifier| {
                    // SAFETY: `notifier` is ours and stays where it is; the current task keeps `mm`,
                    // and has locked it for writing.
                    match to_result(unsafe {
                        bindings::mmu_interval_notifier_insert_locked(
                            notifier,
                            mm_ptr,
                            start,
                            len,
                            &raw const OPERATIONS.0,
                        )
                    }) {
                        // For task work as well, of which the caller is not to take notice.
                        Err(EINTR) => Err(ERESTARTNOINTR),
                        result => result,
                    }
                }),
            }? Error),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// How many bytes it mirrors.
    pub(crate) fn len(&self) -> usize {
        self.addresses.len()
    }

    /// Copies bytes from `at` of the addresses on, as far as they show `file` from page `first` on.
    /// Returns how many: not beyond the end of a page.
    ///
    /// Context: sleeps; takes the mmap lock, and faults.
    ///
    /// # Errors
    ///
    /// `EFAULT` when they do not, or cannot be read; `ENOMEM`; `EINTR` when the current task is being
    /// killed.
    pub(crate) fn read(
        &self,
        at: usize,
        bytes: &mut [u8],
        file: &AddressSpace,
        first: usize,
    ) -> Result<usize> {
        self.with_page(at, Use::Read, file, first, |page, offset| {
            let len = bytes.len().min(PAGE_SIZE - offset);
            // SAFETY: The page is there, and there are so many bytes on both sides. Who writes to it
            // meanwhile makes the copy a mixture, as with any shared memory.
            unsafe { bindings::pinseal_memcpy_from_page(bytes.as_mut_ptr(), page, offset, len) };
            len
        })
    }

    /// Copies bytes to `at` of the addresses on, as [`Mirror::read`] does from there.
    ///
    /// # Errors
    ///
    /// Besides, `EPERM` when they cannot be written to.
    pub(crate) fn write(
        &self,
        at: usize,
        bytes: &[u8],
        file: &AddressSpace,
        first: usize,
    ) -> Result<usize> {
        self.with_page(at, Use::Write, file, first, |page, offset| {
            let len = bytes.len().min(PAGE_SIZE - offset);
            // SAFETY: As above. As long as page tables show it, it is the file's, and can be marked
            // dirty.
            unsafe {
                bindings::pinseal_memcpy_to_page(page, offset, bytes.as_ptr(), len);
                bindings::set_page_dirty(page);
            }
            len
        })
    }

    /// Calls `f` with the page that has byte `at` of the addresses, and where in it that is. The page
    /// is there until `f` returns.
    fn with_page<R>(
        &self,
        at: usize,
        what: Use,
        file: &AddressSpace,
        first: usize,
        f: impl FnOnce(*mut bindings::page, usize) -> R,
    ) -> Result<R> {
        let (number, offset) = (at >> PAGE_SHIFT, at % PAGE_SIZE);
        let address = self.addresses.start + (number << PAGE_SHIFT);
        if address >= self.addresses.end {
            return Err(EFAULT);
        }
        loop {
            let table = self.table.lock();
            if let Some(page) = table.find(address, what) {
                return Ok(f(page, offset));
            }
            drop(table);
            if fatal_signal_pending() {
                return Err(EINTR);
            }
            self.fault(address, what, file, first + number)?;
        }
    }

    /// Looks at the page tables, and has them show what `file` has at `index`. In the end they may
    /// have changed already.
    fn fault(&self, address: usize, what: Use, file: &AddressSpace, index: usize) -> Result {
        let notifier = self.notifier.get();
        // Not to be torn down by us: that may have to wait for other people's I/O.
        let mm = MmWithUser::into_mmput_async(self.mm.mmget_not_zero().ok_or(EFAULT)?);
        let (request, is_write) = match what {
            Use::Read => (bindings::hmm_pfn_flags_HMM_PFN_REQ_FAULT, false),
            Use::Write => (
                bindings::hmm_pfn_flags_HMM_PFN_REQ_FAULT
                    | bindings::hmm_pfn_flags_HMM_PFN_REQ_WRITE,
                true,
            ),
        };
        let mut pfn = 0;
        let mut range = bindings::hmm_range {
            notifier,
            // SAFETY: By the type invariants.
            notifier_seq: unsafe { bindings::mmu_interval_read_begin(notifier) },
            start: address,
            end: address + PAGE_SIZE,
            hmm_pfns: &mut pfn,
            default_flags: request,
            pfn_flags_mask: 0,
            dev_private_owner: null_mut(),
        };
        {
            let locked = LockedMm::lock(&mm, MmapLock::Read)?;
            locked
                .vma(address)
                .filter(|vma| is_shared(vma, file, address, index))
                .ok_or(EFAULT)?;
            // SAFETY: The mmap lock is held. The range is one page, for which `pfn` has room.
            match to_result(unsafe { bindings::hmm_range_fault(&mut range) }) {
                // They are being changed.
                Err(EBUSY) => return Ok(()),
                result => result?,
            }
        }
        if pfn & bindings::hmm_pfn_flags_HMM_PFN_VALID == 0 {
            return Err(EFAULT);
        }
        let mut table = self.table.lock();
        // SAFETY: By the type invariants; under the lock.
        if !unsafe { bindings::pinseal_mmu_interval_read_retry(notifier, range.notifier_seq) } {
            // INVARIANT: They have not changed since, and whoever is about to change them waits for
            // the lock.
            table.remember(Translation {
                address,
                // SAFETY: What was faulted is valid.
                page: unsafe { bindings::pinseal_hmm_pfn_to_page(pfn) },
                is_writable: is_write,
            });
        }
        Ok(())
    }
}

#[pinned_drop]
impl PinnedDrop for Mirror {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariants; no lock is held.
        unsafe { bindings::mmu_interval_notifier_remove(self.notifier.get()) };
    }
}

/// Whether a VMA is a shared one that shows page `index` of `file` at `address`, and the kernel alone
/// brings it there: nobody can make a fault last.
fn is_shared(vma: &VmaRef, file: &AddressSpace, address: usize, index: usize) -> bool {
    vma.flags() & MAYSHARE != 0 && file.is_mapped_by(vma, address, index)
}

/// How a mmap lock is held.
#[derive(Clone, Copy)]
enum MmapLock {
    Read,
    Write,
}

/// An address space whose mmap lock is held.
///
/// # Invariants
///
/// It is held by the current task, in that way.
struct LockedMm<'a> {
    mm: &'a MmWithUser,
    lock: MmapLock,
    _nts: NotThreadSafe,
}

impl<'a> LockedMm<'a> {
    /// # Errors
    ///
    /// `EINTR` when the current task is being killed.
    fn lock(mm: &'a MmWithUser, lock: MmapLock) -> Result<Self> {
        // SAFETY: `mm` is there.
        let result = unsafe {
            match lock {
                MmapLock::Read => bindings::pinseal_mmap_read_lock_killable(mm.as_raw()),
                MmapLock::Write => bindings::pinseal_mmap_write_lock_killable(mm.as_raw()),
            }
        };
        match result {
            // INVARIANT: It was locked just now.
            0 => Ok(Self {
                mm,
                lock,
                _nts: NotThreadSafe,
            }),
            _ => Err(EINTR),
        }
    }

    fn vma(&self, address: usize) -> Option<&VmaRef> {
        // SAFETY: The mmap lock is held as long as the VMA is borrowed.
        unsafe {
            let vma = bindings::vma_lookup(self.mm.as_raw(), address);
            (!vma.is_null()).then(|| VmaRef::from_raw(vma))
        }
    }

    /// Whether shared mappings show `file` at all addresses, from page `first` on.
    fn shows(&self, addresses: &Range<usize>, file: &AddressSpace, first: usize) -> bool {
        let mut address = addresses.start;
        while address < addresses.end {
            let index = first + ((address - addresses.start) >> PAGE_SHIFT);
            match self.vma(address) {
                Some(vma) if is_shared(vma, file, address, index) => address = vma.end(),
                _ => return false,
            }
        }
        true
    }
}

impl Drop for LockedMm<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants.
        unsafe {
            match self.lock {
                MmapLock::Read => bindings::mmap_read_unlock(self.mm.as_raw()),
                MmapLock::Write => bindings::pinseal_mmap_write_unlock(self.mm.as_raw()),
            }
        }
    }
}

// SPDX-License-Identifier: GPL-2.0-only

//! Mirrors of addresses of a process, as of a device that has its own page tables and can fault
//! (HMM). A mirror takes no reference to a page, and no pin.
//!
//! Translations are used under a spin lock only. The kernel invalidates them, under the same lock,
//! before it frees or moves a page. So it waits no longer than one copy takes.
//!
//! # Lock order
//!
//! `Mirror::translations` is taken under any lock that the kernel holds when it changes page
//! tables. No lock is taken under it.
//!
//! C headers: [`include/linux/mmu_notifier.h`](srctree/include/linux/mmu_notifier.h),
//! [`include/linux/hmm.h`](srctree/include/linux/hmm.h)

use crate::{
    bindings,
    mm::{
        address_space::AddressSpace,
        locked_mm::{
            is_shared,
            LockedMm,
            ReadLockedMm,
            WriteLockedMm, //
        }, //
    },
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
        virt::VmaRef,
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
    types::Opaque, //
};

/// Number of translations that a mirror caches.
const MAX_TRANSLATIONS: usize = 64;

/// A kind of access to a page.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    /// A read.
    Read,
    /// A write.
    Write,
}

/// The translation of an address, as in the page tables of the process.
#[derive(Clone, Copy)]
struct Translation {
    /// Address of the page.
    address: usize,
    page: *mut bindings::page,
    is_writable: bool,
}

/// A direct-mapped cache of translations.
///
/// # Invariants
///
/// While it is locked, the page tables map each cached page, and permit at least the cached access.
struct Translations([Option<Translation>; MAX_TRANSLATIONS]);

// SAFETY: The pages have no owner, and are used under the lock only.
unsafe impl Send for Translations {}

impl Translations {
    fn slot(address: usize) -> usize {
        (address >> PAGE_SHIFT) % MAX_TRANSLATIONS
    }

    fn get(&self, address: usize, access: Access) -> Option<*mut bindings::page> {
        self.0[Self::slot(address)]
            .filter(|cached| cached.address == address)
            .filter(|cached| cached.is_writable || access == Access::Read)
            .map(|cached| cached.page)
    }

    fn insert(&mut self, new: Translation) {
        self.0[Self::slot(new.address)] = Some(new);
    }

    fn invalidate(&mut self, addresses: &Range<usize>) {
        let pages = addresses.len().div_ceil(PAGE_SIZE).min(MAX_TRANSLATIONS);
        for i in 0..pages {
            self.0[(Self::slot(addresses.start) + i) % MAX_TRANSLATIONS]
                .take_if(|cached| addresses.contains(&cached.address));
        }
    }
}

/// A mirror of addresses of the process that created it.
///
/// # Invariants
///
/// `notifier` is registered for `addresses` of `mm`, with [`OPERATIONS`].
#[pin_data(PinnedDrop)]
pub(crate) struct Mirror {
    mm: ARef<Mm>,
    addresses: Range<usize>,
    #[pin]
    translations: SpinLock<Translations>,
    #[pin]
    notifier: Opaque<bindings::mmu_interval_notifier>,
}

// SAFETY: Any thread may use and remove the notifier.
unsafe impl Send for Mirror {}
// SAFETY: As above; the translations are locked.
unsafe impl Sync for Mirror {}

struct Operations(bindings::mmu_interval_notifier_ops);

// SAFETY: It never changes, and its pointers are to statics.
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
    let mut translations = mirror.translations.lock();
    // SAFETY: By the safety requirements. The sequence is read under the same lock.
    unsafe { bindings::pinseal_mmu_interval_set_seq(notifier, sequence) };
    translations.invalidate(&(range.start..range.end));
    true
}

impl Mirror {
    /// Whether the kernel supports mirrors.
    pub(crate) const IS_SUPPORTED: bool = true;

    /// Mirrors addresses of the current process, where shared mappings map `file` from page `first`
    /// on.
    ///
    /// Context: sleeps. Takes the mmap lock.
    ///
    /// # Errors
    ///
    /// `EFAULT` when they do not; `EINVAL` when the addresses are not page-aligned; `ENOMEM`;
    /// `EINTR` for a fatal signal; `ERESTARTNOINTR` for another signal or task work.
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
        let locked = WriteLockedMm::lock(user)?;
        if !all_map(&locked, &addresses, file, first) {
            return Err(EFAULT);
        }
        let mm: ARef<Mm> = (&**user).into();
        let (mm_ptr, start, len) = (mm.as_raw(), addresses.start, addresses.len());
        KBox::try_pin_init(
            // INVARIANT: The notifier is registered last, when all fields that `invalidate` uses
            // are initialised.
            try_pin_init!(Self {
                mm,
                addresses,
                translations <- new_spinlock!(
                    Translations([None; MAX_TRANSLATIONS]),
                    "pinseal::Mirror::translations"
                ),
                notifier <- Opaque::try_ffi_init(|notifier| {
                    // SAFETY: `notifier` is valid for writing and pinned; the current task keeps
                    // `mm`, and has locked it for writing.
                    match to_result(unsafe {
                        bindings::mmu_interval_notifier_insert_locked(
                            notifier,
                            mm_ptr,
                            start,
                            len,
                            &raw const OPERATIONS.0,
                        )
                    }) {
                        // Returned for task work as well, which user space must not notice.
                        Err(EINTR) => Err(ERESTARTNOINTR),
                        result => result,
                    }
                }),
            }? Error),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// Size in bytes.
    pub(crate) fn len(&self) -> usize {
        self.addresses.len()
    }

    /// Copies bytes from position `at` of the mirror, at most to the end of a page, if the process
    /// still maps `file` there, from page `first` on. Returns the number of bytes.
    ///
    /// Context: sleeps. Takes the mmap lock, and faults.
    ///
    /// # Errors
    ///
    /// `EFAULT` when the process maps something else, or may not read it; `ENOMEM`; `EINTR` for a
    /// fatal signal.
    pub(crate) fn read(
        &self,
        at: usize,
        bytes: &mut [u8],
        file: &AddressSpace,
        first: usize,
    ) -> Result<usize> {
        self.with_page(at, Access::Read, file, first, |page, offset| {
            let len = bytes.len().min(PAGE_SIZE - offset);
            // SAFETY: The page is mapped, and both sides have `len` bytes. A concurrent write makes
            // the copy inconsistent, as with any shared memory.
            unsafe { bindings::pinseal_memcpy_from_page(bytes.as_mut_ptr(), page, offset, len) };
            len
        })
    }

    /// Copies bytes to position `at` of the mirror, as [`Mirror::read`] copies from it.
    ///
    /// # Errors
    ///
    /// Those of [`Mirror::read`]; `EPERM` when the process may not write there.
    pub(crate) fn write(
        &self,
        at: usize,
        bytes: &[u8],
        file: &AddressSpace,
        first: usize,
    ) -> Result<usize> {
        self.with_page(at, Access::Write, file, first, |page, offset| {
            let len = bytes.len().min(PAGE_SIZE - offset);
            // SAFETY: As above. A page that is mapped is the file's, so it can be marked dirty.
            unsafe {
                bindings::pinseal_memcpy_to_page(page, offset, bytes.as_ptr(), len);
                bindings::set_page_dirty(page);
            }
            len
        })
    }

    /// Calls `f` with the page of byte `at` of the mirror, and the offset in the page. The page
    /// stays mapped until `f` returns.
    fn with_page<R>(
        &self,
        at: usize,
        access: Access,
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
            let translations = self.translations.lock();
            if let Some(page) = translations.get(address, access) {
                return Ok(f(page, offset));
            }
            drop(translations);
            if fatal_signal_pending() {
                return Err(EINTR);
            }
            self.fault(address, access, file, first + number)?;
        }
    }

    /// Faults the page at `index` of `file` in, and caches the translation, unless it was
    /// invalidated meanwhile.
    fn fault(&self, address: usize, access: Access, file: &AddressSpace, index: usize) -> Result {
        let notifier = self.notifier.get();
        // The last reference to the address space may be this one. Its teardown, which may wait for
        // I/O, is left to a worker.
        let mm = MmWithUser::into_mmput_async(self.mm.mmget_not_zero().ok_or(EFAULT)?);
        let (request, is_write) = match access {
            Access::Read => (bindings::hmm_pfn_flags_HMM_PFN_REQ_FAULT, false),
            Access::Write => (
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
            let locked = ReadLockedMm::lock(&mm)?;
            locked
                .vma(address)
                .filter(|vma| is_shared_mapping_of(vma, file, address, index))
                .ok_or(EFAULT)?;
            // SAFETY: The mmap lock is held. The range is one page, for which `pfn` has room.
            match to_result(unsafe { bindings::hmm_range_fault(&mut range) }) {
                // The page tables are being changed.
                Err(EBUSY) => return Ok(()),
                result => result?,
            }
        }
        if pfn & bindings::hmm_pfn_flags_HMM_PFN_VALID == 0 {
            return Err(EFAULT);
        }
        let mut translations = self.translations.lock();
        // SAFETY: By the type invariants; under the lock.
        if !unsafe { bindings::pinseal_mmu_interval_read_retry(notifier, range.notifier_seq) } {
            // INVARIANT: The page tables have not changed since. A task that is about to change
            // them waits for the lock.
            translations.insert(Translation {
                address,
                // SAFETY: The entry is valid, as checked above.
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
        // SAFETY: By the type invariants, the notifier is registered. No lock is held.
        unsafe { bindings::mmu_interval_notifier_remove(self.notifier.get()) };
    }
}

/// Whether `vma` is a shared mapping with page `index` of `file` at `address`, and user space
/// cannot delay a fault there.
fn is_shared_mapping_of(vma: &VmaRef, file: &AddressSpace, address: usize, index: usize) -> bool {
    is_shared(vma) && file.is_mapped_by(vma, address, index)
}

/// Whether shared mappings map `file` at all addresses, from page `first` on.
fn all_map(mm: &LockedMm<'_>, addresses: &Range<usize>, file: &AddressSpace, first: usize) -> bool {
    let mut address = addresses.start;
    while address < addresses.end {
        let index = first + ((address - addresses.start) >> PAGE_SHIFT);
        match mm.vma(address) {
            Some(vma) if is_shared_mapping_of(vma, file, address, index) => address = vma.end(),
            _ => return false,
        }
    }
    true
}

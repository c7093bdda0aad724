// SPDX-License-Identifier: GPL-2.0-only

//! VMAs whose pages have protections of their own, and their operations.
//!
//! A fault asks the map of protections, and then lets shmem go on. It maps one page: neither its
//! neighbours (`map_pages`) nor the rest of its folio. A page is mapped writable only after
//! `page_mkwrite` has asked the map as well: such a VMA's page table entries are write-protected at
//! first, as those of a file system that wants to know of writes.
//!
//! The map changes under the mmap lock, with the VMA locked for writing, so that there is no fault
//! meanwhile, and the pages are zapped before a fault goes on.
//!
//! C headers: [`include/linux/mm.h`](srctree/include/linux/mm.h),
//! [`include/linux/mm_types.h`](srctree/include/linux/mm_types.h)

use super::operations::{
    check_executable,
    count_copy,
    notify_unmap,
    owner_of_file,
    uncount,
    VmOps, //
};
use crate::{
    bindings,
    fs::memory_file::MemoryOwner,
    mm::{
        hidden_vma::page_at_offset,
        protections::{
            PageAccess,
            Protection,
            Protections, //
        },
        targets::Targets, //
    }, //
};
use core::{
    cell::UnsafeCell,
    marker::PhantomData,
    ops::Range,
    ptr::null_mut, //
};
use kernel::{
    ffi::{
        c_int,
        c_ulong,
        c_void, //
    },
    fs::File,
    mm::virt::{
        flags,
        vm_flags_t,
        VmaRef, //
    },
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        ArcBorrow, //
    }, //
};

/// Pages that get the protection of the mapping if an `mprotect()` succeeds that has begun.
///
/// The core tells a VMA's operations that it begins, but not whether it then fails, because the VMA
/// cannot be split, say. The flags of the VMA tell.
#[derive(Clone)]
struct Reset {
    pages: Range<usize>,
    /// The flags of the VMA that change, and those of them that are set then.
    changing: vm_flags_t,
    set: vm_flags_t,
}

impl Reset {
    /// Whether `mprotect()` has succeeded for a VMA that has the pages, and `vma_flags`.
    fn is_done(&self, vma_flags: vm_flags_t) -> bool {
        vma_flags & self.changing == self.set
    }
}

/// What a mapping knows of its pages.
pub(crate) struct PageMap {
    /// What they may be accessed for, but for `reset`.
    pub(crate) protections: Protections,
    /// Which pages are shown instead.
    pub(crate) targets: Targets,
    reset: Option<Reset>,
}

impl PageMap {
    fn new() -> Self {
        Self {
            protections: Protections::new(),
            targets: Targets::new(),
            reset: None,
        }
    }

    fn try_clone(&self, pages: Range<usize>) -> Result<Self> {
        Ok(Self {
            protections: self.protections.try_clone(pages.clone())?,
            targets: self.targets.try_clone(pages)?,
            reset: self.reset.clone(),
        })
    }

    /// The protection of a page of a VMA that has `vma_flags`.
    #[inline]
    pub(super) fn protection(&self, page: usize, vma_flags: vm_flags_t) -> Protection {
        match &self.reset {
            Some(reset) if reset.pages.contains(&page) && reset.is_done(vma_flags) => None,
            _ => self.protections.get(page),
        }
    }

    /// Whether an `mprotect()` has begun, and [`PageMap::finish_reset`] was not called since.
    pub(super) fn has_reset(&self) -> bool {
        self.reset.is_some()
    }

    /// Gives pages the protection of the mapping, which has `vma_flags`, if `mprotect()` has succeeded.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn finish_reset(&mut self, vma_flags: vm_flags_t) -> Result {
        if let Some(reset) = &self.reset {
            if reset.is_done(vma_flags) {
                // If that fails, it is still to be done.
                self.protections.clear(&reset.pages)?;
            }
        }
        self.reset = None;
        Ok(())
    }

    /// How many ranges have protections of their own, and how many are shown elsewhere.
    fn ranges(&self) -> (usize, usize) {
        (self.protections.ranges(), self.targets.ranges())
    }

    /// Whether all pages have the mapping's protection, and are shown at their place.
    pub(super) fn is_empty(&self) -> bool {
        self.protections.is_empty() && self.targets.is_empty()
    }
}

/// The private data of a VMA whose pages have protections of their own.
///
/// Copies of a VMA, by `fork()`, `mremap()` or because it is split, share it until one of them gets
/// other protections.
///
/// # Invariants
///
/// `file` is a memory file of an owner of type `T`. `pages` is changed by the holder of the only
/// VMA with this private data, which is locked for writing, and only while `is_shared` is not set.
pub(super) struct ProtectedMapping<T: MemoryOwner> {
    /// The file by which the memory was mapped.
    file: ARef<File>,
    /// Whether another VMA has or had this private data.
    is_shared: Atomic<bool>,
    pages: UnsafeCell<PageMap>,
    _owner: PhantomData<fn() -> T>,
}

// SAFETY: By the type invariants, the map does not change while another thread may use them.
unsafe impl<T: MemoryOwner> Sync for ProtectedMapping<T> {}
// SAFETY: Any thread may drop the fields.
unsafe impl<T: MemoryOwner> Send for ProtectedMapping<T> {}

impl<T: MemoryOwner> ProtectedMapping<T> {
    /// Creates private data for a VMA of `file`.
    ///
    /// # Safety
    ///
    /// `file` must be a memory file of an owner of type `T`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) unsafe fn new(file: ARef<File>) -> Result<Arc<Self>> {
        // SAFETY: By the safety requirements.
        unsafe { Self::with_pages(file, PageMap::new()) }
    }

    /// # Safety
    ///
    /// As for [`Self::new`].
    unsafe fn with_pages(file: ARef<File>, pages: PageMap) -> Result<Arc<Self>> {
        // INVARIANT: By the safety requirements. No VMA has it yet.
        let new = Arc::new(
            Self {
                file,
                is_shared: Atomic::new(false),
                pages: UnsafeCell::new(pages),
                _owner: PhantomData,
            },
            GFP_KERNEL_ACCOUNT,
        )?;
        new.count((0, 0), new.pages().ranges());
        Ok(new)
    }

    /// Creates private data with a copy of the map of `pages`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`. `EINTR` for a fatal signal.
    pub(super) fn unshared(&self, pages: Range<usize>) -> Result<Arc<Self>> {
        let pages = self.pages().try_clone(pages)?;
        // SAFETY: By the type invariants.
        unsafe { Self::with_pages(self.file.clone(), pages) }
    }

    /// Whether another VMA has or had this private data, so that it must not be changed.
    pub(super) fn is_shared(&self) -> bool {
        // Set when the mmap lock of a VMA that has it is held for writing, as it is by the caller if
        // it wants to change it.
        self.is_shared.load(Relaxed)
    }

    /// The file by which the memory was mapped.
    pub(super) fn file(&self) -> &ARef<File> {
        &self.file
    }

    /// The map of the pages.
    #[inline]
    pub(super) fn pages(&self) -> &PageMap {
        // SAFETY: The caller has a VMA with this private data locked, so by the type invariants
        // nothing changes it.
        unsafe { &*self.pages.get() }
    }

    /// Changes the map of the pages.
    ///
    /// # Safety
    ///
    /// The caller must hold the only VMA with this private data locked for writing, and
    /// [`ProtectedMapping::is_shared`] must be false.
    pub(super) unsafe fn change<R>(&self, change: impl FnOnce(&mut PageMap) -> R) -> R {
        // SAFETY: By the safety requirements, nothing else uses it.
        let pages = unsafe { &mut *self.pages.get() };
        let before = pages.ranges();
        let result = change(pages);
        self.count(before, pages.ranges());
        result
    }

    /// The owner of the memory.
    pub(super) fn owner(&self) -> ArcBorrow<'_, T> {
        // SAFETY: By the type invariants; the reference keeps the file open.
        unsafe { owner_of_file(self.file.as_ptr()) }
    }

    /// Tells the owner that the map, which had `before` ranges of either kind, has `after`.
    fn count(&self, before: (usize, usize), after: (usize, usize)) {
        if before != after {
            // CAST: There are at most as many as pages.
            let change = |before, after| after as isize - before as isize;
            self.owner()
                .count_ranges(change(before.0, after.0), change(before.1, after.1));
        }
    }

    /// Returns the private data of a VMA.
    ///
    /// # Safety
    ///
    /// `vma` must be a VMA that has it, and be valid and locked for `'a`.
    pub(super) unsafe fn of<'a>(vma: *mut bindings::vm_area_struct) -> &'a Self {
        // SAFETY: By the safety requirements. `install` has stored it.
        unsafe { &*(*vma).vm_private_data.cast() }
    }

    /// Replaces the private data of a VMA. The caller drops the old one.
    ///
    /// # Safety
    ///
    /// `vma` must be a VMA that has such private data, or the operations that come with it, and be
    /// locked for writing.
    pub(super) unsafe fn install(self: Arc<Self>, vma: *mut bindings::vm_area_struct) {
        // SAFETY: By the safety requirements.
        unsafe { (*vma).vm_private_data = Arc::into_raw(self).cast_mut().cast() };
    }

    /// Takes the private data of a VMA.
    ///
    /// # Safety
    ///
    /// `vma` must be a VMA that has such private data, which nothing uses any more.
    pub(super) unsafe fn take(vma: *mut bindings::vm_area_struct) -> Arc<Self> {
        // SAFETY: By the safety requirements. `install` has stored it.
        unsafe { Arc::from_raw((*vma).vm_private_data.cast::<Self>()) }
    }

    /// Drops the private data of a VMA that is being removed, and then the file, which may be what keeps the
    /// module loaded.
    pub(super) fn end(mapping: Arc<Self>) {
        let _file = mapping.file.clone();
        drop(mapping);
    }

    /// Returns the operations of such VMAs but `open` and `close`.
    pub(super) fn operations(
        shmem_ops: bindings::vm_operations_struct,
    ) -> bindings::vm_operations_struct {
        bindings::vm_operations_struct {
            mprotect: Some(Self::mprotect),
            fault: Some(Self::fault),
            page_mkwrite: Some(Self::page_mkwrite),
            access: Some(Self::access),
            // Without it there is no fault-around.
            map_pages: None,
            ..shmem_ops
        }
    }

    /// # Safety
    ///
    /// `vma` must be a copy of a VMA with such private data, with the mmap lock held for writing.
    pub(super) unsafe fn share(vma: *mut bindings::vm_area_struct) {
        // SAFETY: By the safety requirements, the private data is that of another VMA, which holds a
        // reference.
        let shared = unsafe { ArcBorrow::from_raw((*vma).vm_private_data.cast::<Self>()) };
        let mapping: Arc<Self> = shared.into();
        mapping.is_shared.store(true, Relaxed);
        // SAFETY: By the safety requirements.
        unsafe { mapping.install(vma) };
    }

    /// # Safety
    ///
    /// As for [`Self::share`], of a VMA of a memfd.
    pub(super) unsafe extern "C" fn open_memfd(vma: *mut bindings::vm_area_struct) {
        // SAFETY: By the safety requirements.
        unsafe { Self::share(vma) };
    }

    /// # Safety
    ///
    /// As for [`Self::share`], of a VMA of a device file.
    pub(super) unsafe extern "C" fn open_device(vma: *mut bindings::vm_area_struct) {
        // SAFETY: By the safety requirements.
        unsafe {
            Self::share(vma);
            count_copy(vma);
        }
    }

    /// # Safety
    ///
    /// `vma` must be a VMA of a memfd with such private data, and being removed.
    pub(super) unsafe extern "C" fn close_memfd(vma: *mut bindings::vm_area_struct) {
        // SAFETY: By the safety requirements.
        unsafe {
            let mapping = Self::take(vma);
            notify_unmap(vma, &*mapping.owner());
            Self::end(mapping);
        }
    }

    /// # Safety
    ///
    /// `vma` must be a VMA of a device file with such private data, and being removed.
    pub(super) unsafe extern "C" fn close_device(vma: *mut bindings::vm_area_struct) {
        // SAFETY: By the safety requirements.
        unsafe {
            let mapping = Self::take(vma);
            uncount(vma, &*mapping.owner());
            Self::end(mapping);
        }
    }

    /// `mprotect()` wins: the pages get the new protection of the mapping.
    ///
    /// # Safety
    ///
    /// `vma` must be a VMA with such private data, which has those addresses. The mmap lock must be
    /// held for writing.
    unsafe extern "C" fn mprotect(
        vma: *mut bindings::vm_area_struct,
        start: c_ulong,
        end: c_ulong,
        new_flags: c_ulong,
    ) -> c_int {
        // SAFETY: By the safety requirements.
        let result = unsafe {
            check_executable(vma, new_flags, &*Self::of(vma).owner()).and_then(|()| {
                // The core asks that later.
                if bindings::pinseal_vma_is_mseal_sealed(vma) {
                    return Err(EPERM);
                }
                bindings::pinseal_vma_start_write(vma);
                Self::make_unshared(vma)?;
                let vma_ref = VmaRef::from_raw(vma);
                let old_flags = vma_ref.flags();
                // CAST: The kernel crate's type of the flags.
                let new_flags = new_flags as vm_flags_t;
                if old_flags & flags::PFNMAP != 0 && new_flags & !old_flags & flags::EXEC != 0 {
                    // For a bare frame number the core does not flush the icache: the next fault does.
                    vma_ref.zap_vma_range(start, end - start);
                }
                Self::of(vma).change(|map| {
                    map.finish_reset(old_flags)?;
                    let pages = pages_at(vma_ref, &(start..end));
                    if old_flags == new_flags {
                        // The core has nothing left to do that could fail.
                        return map.protections.clear(&pages);
                    }
                    map.reset = Some(Reset {
                        pages,
                        changing: old_flags ^ new_flags,
                        set: new_flags & !old_flags,
                    });
                    Ok(())
                })
            })
        };
        match result {
            Ok(()) => 0,
            Err(err) => err.to_errno(),
        }
    }

    /// Gives a VMA private data that no other VMA has.
    ///
    /// # Safety
    ///
    /// `vma` must be a VMA with such private data, and be locked for writing.
    ///
    /// # Errors
    ///
    /// `ENOMEM`. `EINTR` for a fatal signal.
    pub(super) unsafe fn make_unshared(vma: *mut bindings::vm_area_struct) -> Result {
        // SAFETY: By the safety requirements.
        let (mapping, vma_ref) = unsafe { (Self::of(vma), VmaRef::from_raw(vma)) };
        if !mapping.is_shared() {
            return Ok(());
        }
        let pages = pages_at(vma_ref, &(vma_ref.start()..vma_ref.end()));
        let unshared = mapping.unshared(pages)?;
        // SAFETY: By the safety requirements, nothing uses the old private data of this VMA.
        unsafe {
            drop(Self::take(vma));
            unshared.install(vma);
        }
        Ok(())
    }

    /// Whether the protections allow an access to a page of a VMA that has `vma_flags`.
    #[inline]
    pub(super) fn allows(
        &self,
        page: usize,
        vma_flags: vm_flags_t,
        is_allowed: impl FnOnce(PageAccess) -> bool,
    ) -> bool {
        self.pages()
            .protection(page, vma_flags)
            .is_none_or(is_allowed)
    }

    /// Whether the protections allow a store to the page of a fault.
    ///
    /// # Safety
    ///
    /// `vmf` must be a fault on a VMA with such private data.
    #[inline]
    pub(super) unsafe fn allows_store(vmf: *mut bindings::vm_fault) -> bool {
        // SAFETY: By the safety requirements, the VMA is valid and locked.
        let (mapping, vma_flags, page) = unsafe {
            let fault = &(*vmf).__bindgen_anon_1;
            let vma_flags = VmaRef::from_raw(fault.vma).flags();
            (Self::of(fault.vma), vma_flags, page_at_offset(fault.pgoff))
        };
        mapping.allows(page, vma_flags, |access| access.contains(PageAccess::WRITE))
    }

    /// Asks whether the access of a fault is allowed, and waits until it may take references. Returns
    /// the private data of the VMA, and its owner, if it is.
    ///
    /// # Safety
    ///
    /// As for [`Self::fault`].
    #[inline]
    pub(super) unsafe fn begin_fault<'a>(
        vmf: *mut bindings::vm_fault,
    ) -> Option<(&'a Self, ArcBorrow<'a, T>)> {
        // SAFETY: By the safety requirements, the VMA is valid and locked.
        let (mapping, vma_flags, page, fault_flags) = unsafe {
            let fault = &(*vmf).__bindgen_anon_1;
            let vma_flags = VmaRef::from_raw(fault.vma).flags();
            let page = page_at_offset(fault.pgoff);
            (Self::of(fault.vma), vma_flags, page, (*vmf).flags)
        };
        let is_write = fault_flags & bindings::fault_flag_FAULT_FLAG_WRITE != 0;
        // What can be stored to or executed can be loaded: so do the page tables see it.
        let is_allowed = mapping.allows(page, vma_flags, |access| match is_write {
            true => access.contains(PageAccess::WRITE),
            false => access != PageAccess::NONE,
        });
        if !is_allowed {
            return None;
        }
        let owner = mapping.owner();
        owner.wait_read_unblocked();
        Some((mapping, owner))
    }

    /// # Safety
    ///
    /// `vmf` must be a fault on a VMA with such private data, as the core passes it to `fault`.
    unsafe extern "C" fn fault(vmf: *mut bindings::vm_fault) -> bindings::vm_fault_t {
        // SAFETY: By the safety requirements.
        if unsafe { Self::begin_fault(vmf) }.is_none() {
            return bindings::vm_fault_reason_VM_FAULT_SIGSEGV;
        }
        // SAFETY: By the safety requirements; `vm_file` is a shmem file.
        let result = unsafe { (VmOps::of_fault(vmf).shmem_fault)(vmf) };
        if result & bindings::vm_fault_reason_VM_FAULT_LOCKED == 0 {
            return result;
        }
        // SAFETY: With that result, the page is locked, and the fault has a reference to it.
        unsafe {
            let page = (*vmf).page;
            if !bindings::pinseal_page_compound(page) || bindings::pinseal_page_hwpoison(page) {
                return result;
            }
            // The core would map all pages of the folio.
            let mapped = bindings::vmf_insert_page_mkwrite(vmf, page, false);
            bindings::unlock_page(page);
            bindings::pinseal_put_page(page);
            (*vmf).page = null_mut();
            mapped | result & bindings::vm_fault_reason_VM_FAULT_MAJOR
        }
    }

    /// # Safety
    ///
    /// As for [`Self::fault`], as the core passes it to `page_mkwrite`.
    unsafe extern "C" fn page_mkwrite(vmf: *mut bindings::vm_fault) -> bindings::vm_fault_t {
        // SAFETY: By the safety requirements, the VMA is valid and locked.
        let is_allowed = unsafe { Self::allows_store(vmf) };
        match is_allowed {
            // It sets the time of modification, and locks the page.
            //
            // SAFETY: By the safety requirements.
            true => unsafe { (VmOps::of_fault(vmf).page_mkwrite)(vmf) },
            false => bindings::vm_fault_reason_VM_FAULT_SIGSEGV,
        }
    }

    /// Lets a debugger read what the protections refuse, as it can with those of `mprotect()`
    /// (`FOLL_FORCE`).
    ///
    /// # Safety
    ///
    /// As for `access` of `struct vm_operations_struct`, with a VMA that has such private data.
    unsafe extern "C" fn access(
        vma: *mut bindings::vm_area_struct,
        address: c_ulong,
        buf: *mut c_void,
        len: c_int,
        write: c_int,
    ) -> c_int {
        if write != 0 {
            return EFAULT.to_errno();
        }
        // SAFETY: By the safety requirements, the VMA is valid and locked, and has the address.
        unsafe {
            let vma_ref = VmaRef::from_raw(vma);
            let mapping = Self::of(vma);
            let page = pages_at(vma_ref, &(address..address)).start;
            let page = mapping.pages().targets.get(page);
            let offset = address % PAGE_SIZE;
            // CAST: A length is never negative.
            let len = (len as usize).min(PAGE_SIZE - offset);
            let mut pos = ((page << PAGE_SHIFT) + offset) as i64;
            mapping.owner().wait_read_unblocked();
            // CAST: At most a page, or an errno.
            bindings::kernel_read((*vma).vm_file, buf, len, &mut pos) as c_int
        }
    }
}

impl<T: MemoryOwner> Drop for ProtectedMapping<T> {
    fn drop(&mut self) {
        let ranges = self.pages.get_mut().ranges();
        self.count(ranges, (0, 0));
    }
}

/// The pages of the memory that `vma` maps at addresses that it has.
pub(super) fn pages_at(vma: &VmaRef, addresses: &Range<usize>) -> Range<usize> {
    // SAFETY: The VMA is valid, and locked while it is borrowed.
    let first = page_at_offset(unsafe { (*vma.as_ptr()).vm_pgoff });
    let page_at = |address: usize| first + ((address - vma.start()) >> PAGE_SHIFT);
    page_at(addresses.start)..page_at(addresses.end)
}

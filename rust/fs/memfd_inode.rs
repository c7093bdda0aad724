// SPDX-License-Identifier: GPL-2.0-only

//! Inodes of memfds: page cache, seals, and the inode lock. All descriptors of a memfd share them.
//!
//! C headers: [`include/linux/shmem_fs.h`](srctree/include/linux/shmem_fs.h),
//! [`include/linux/hugetlb.h`](srctree/include/linux/hugetlb.h),
//! [`include/linux/fs.h`](srctree/include/linux/fs.h)

use crate::{
    bindings,
    mm::address_space::AddressSpace,
    uapi, //
};
use core::{
    ops::Deref,
    ptr::{
        self,
        NonNull, //
    }, //
};
use kernel::{
    error::{
        from_err_ptr,
        to_result, //
    },
    fmt::Display,
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::aref::{
        ARef,
        AlwaysRefCounted, //
    },
    types::{
        NotThreadSafe,
        Opaque, //
    }, //
};

/// Maximum size of a file, `MAX_LFS_FILESIZE` in C.
pub(super) const MAX_SIZE: i64 = i64::MAX;

/// The execute bits of a file mode.
const EXECUTABLE: u32 = bindings::S_IXUSR | bindings::S_IXGRP | bindings::S_IXOTH;

/// The inode of a file as `memfd_create()` makes it.
///
/// # Invariants
///
/// It is the inode of a regular file of shmem or hugetlbfs, whose type never changes.
#[repr(transparent)]
pub(crate) struct MemfdInode(Opaque<bindings::inode>);

// SAFETY: Any thread may use and drop an inode.
unsafe impl Send for MemfdInode {}
// SAFETY: All methods may run concurrently: they follow the locking rules of the C code.
unsafe impl Sync for MemfdInode {}

// SAFETY: `ihold()` and `iput()` count references, and the inode lives while there is one.
unsafe impl AlwaysRefCounted for MemfdInode {
    fn inc_ref(&self) {
        // SAFETY: The reference shows that the count is not zero.
        unsafe { bindings::ihold(self.as_ptr()) };
    }

    unsafe fn dec_ref(inode: NonNull<Self>) {
        // SAFETY: The caller owns the reference. `Self` is transparent.
        unsafe { bindings::iput(inode.cast().as_ptr()) };
    }
}

impl MemfdInode {
    /// Maximum number of pages of a file.
    pub(super) const MAX_PAGES: usize = (MAX_SIZE >> PAGE_SHIFT) as usize;

    /// Creates a reference from a raw pointer.
    ///
    /// # Safety
    ///
    /// `inode` must be the inode of a regular file of shmem or hugetlbfs, and live for `'a`.
    pub(super) unsafe fn from_raw<'a>(inode: *mut bindings::inode) -> &'a Self {
        // SAFETY: By the safety requirements. `Self` is transparent.
        unsafe { &*inode.cast() }
    }

    /// Returns a raw pointer to the inode.
    pub(super) fn as_ptr(&self) -> *mut bindings::inode {
        self.0.get()
    }

    /// The inode number, as `fstat()` of a memfd tells it.
    pub(crate) fn number(&self) -> impl Display {
        // SAFETY: The inode is valid. The number never changes.
        unsafe { (*self.as_ptr()).i_ino }
    }

    /// The major and minor number of the file system's device, without which [`MemfdInode::number`] tells
    /// no file from one of another file system. `fstat()` and `/proc/PID/maps` tell them as well.
    pub(crate) fn device(&self) -> (u32, u32) {
        // SAFETY: The inode is valid. Its file system and the number of that never change.
        let dev = unsafe { (*(*self.as_ptr()).i_sb).s_dev };
        (
            dev >> bindings::MINORBITS,
            dev & ((1 << bindings::MINORBITS) - 1),
        )
    }

    /// Whether the file has no path that user space can open: a memfd, System V shared memory, or a
    /// shared anonymous mapping.
    pub(crate) fn is_on_kernel_mount(&self) -> bool {
        // SAFETY: The inode is valid.
        unsafe { bindings::pinseal_inode_is_on_kernel_mount(self.as_ptr()) }
    }

    /// Whether the file is append-only or immutable, which are restrictions beyond its seals.
    pub(crate) fn is_append_only_or_immutable(&self) -> bool {
        // SAFETY: The inode is valid; the volatile read is a `READ_ONCE`.
        let flags = unsafe { (&raw const (*self.as_ptr()).i_flags).read_volatile() };
        flags & (bindings::S_APPEND | bindings::S_IMMUTABLE) != 0
    }

    /// Whether the file mode has an execute bit. It changes under the inode lock.
    pub(crate) fn is_executable(&self) -> bool {
        // SAFETY: The inode is valid; the volatile read is a `READ_ONCE`.
        let mode = unsafe { (&raw const (*self.as_ptr()).i_mode).read_volatile() };
        u32::from(mode) & EXECUTABLE != 0
    }

    /// Takes the execute bits from the file mode, and seals them, as `MFD_NOEXEC_SEAL` does.
    ///
    /// # Safety
    ///
    /// The inode must have no other user.
    pub(super) unsafe fn seal_not_executable(&self) {
        // SAFETY: By the safety requirements.
        unsafe {
            (*self.as_ptr()).i_mode &= !(EXECUTABLE as bindings::umode_t);
            *self.seals_ptr() |= bindings::F_SEAL_EXEC;
        }
    }

    /// Lets others add seals by `fcntl()`, as `MFD_ALLOW_SEALING` does.
    ///
    /// # Safety
    ///
    /// The inode must have no other user.
    pub(super) unsafe fn allow_sealing(&self) {
        // SAFETY: By the safety requirements.
        unsafe { *self.seals_ptr() &= !bindings::F_SEAL_SEAL };
    }

    /// Returns the seals that the file system enforces. They change under the inode lock.
    pub(crate) fn seals(&self) -> u32 {
        // SAFETY: The pointer is valid; the volatile read is a `READ_ONCE`.
        unsafe { self.seals_ptr().read_volatile() }
    }

    /// Returns a pointer to the seals, which is valid as long as the inode.
    fn seals_ptr(&self) -> *mut u32 {
        match self.is_hugetlb() {
            // SAFETY: By the type invariants, it is a shmem inode.
            false => unsafe { bindings::pinseal_shmem_seals(self.as_ptr()) },
            // SAFETY: It is a hugetlbfs inode.
            true => unsafe { bindings::pinseal_hugetlb_seals(self.as_ptr()) },
        }
    }

    /// Whether it is in hugetlbfs, not in shmem.
    #[inline]
    pub(crate) fn is_hugetlb(&self) -> bool {
        // SAFETY: The inode is valid. Its superblock is that of a mount of the kernel's own, or of a
        // file that is open.
        let magic = unsafe { (*(*self.as_ptr()).i_sb).s_magic };
        magic == bindings::pinseal_HUGETLBFS_MAGIC
    }

    /// Returns the page cache of the file.
    pub(crate) fn pages(&self) -> &AddressSpace {
        // SAFETY: The inode is valid, and keeps its mapping alive.
        unsafe { AddressSpace::from_raw((*self.as_ptr()).i_mapping) }
    }

    /// Size in bytes.
    pub(crate) fn size(&self) -> u64 {
        // SAFETY: The inode is valid.
        let size = unsafe { bindings::pinseal_i_size_read(self.as_ptr()) };
        // CAST: A size is never negative.
        size as u64
    }

    /// Denies shared writable mappings. `None` when the file has some.
    pub(crate) fn deny_writable(&self) -> Option<WritableDenied> {
        // INVARIANT: The mapping was denied above.
        self.pages().deny_writable().then(|| WritableDenied {
            inode: Some(self.into()),
        })
    }

    /// The same for as long as the inode is borrowed.
    pub(crate) fn deny_writable_briefly(&self) -> Option<WritableDenied<&Self>> {
        // INVARIANT: The mapping was denied above.
        self.pages()
            .deny_writable()
            .then(|| WritableDenied { inode: Some(self) })
    }

    /// Locks the inode for reading.
    ///
    /// Context: sleeps. The owner of the lock may wait for user space to resolve a fault.
    ///
    /// # Errors
    ///
    /// `ERESTARTSYS` for a signal or task work.
    pub(crate) fn read_lock(&self) -> Result<ReadLockedInode<'_>> {
        // SAFETY: The inode is valid.
        let ret = unsafe { bindings::down_read_interruptible(&raw mut (*self.as_ptr()).i_rwsem) };
        to_result(ret).map_err(|_| ERESTARTSYS)?;
        // INVARIANT: The lock was acquired above.
        Ok(ReadLockedInode {
            inode: self,
            _not_send: NotThreadSafe,
        })
    }

    /// Locks the inode for writing, if it is not locked: against writers, truncation, and sealers
    /// by other descriptors.
    ///
    /// A sealer must not wait for it: a writer holds the lock while its source faults in, which user
    /// space can delay for ever.
    pub(crate) fn try_lock(&self) -> Option<LockedMemfd<'_>> {
        // SAFETY: The inode is valid.
        let locked = unsafe { bindings::pinseal_inode_trylock(self.as_ptr()) } != 0;
        // INVARIANT: The lock was acquired above.
        locked.then(|| LockedMemfd {
            inode: self,
            _not_send: NotThreadSafe,
        })
    }

    /// Locks the inode for writing, as truncation does.
    ///
    /// Context: sleeps. The owner of the lock may wait for user space to resolve a fault.
    ///
    /// # Errors
    ///
    /// `EINTR` for a fatal signal.
    pub(super) fn lock_killable(&self) -> Result<LockedMemfd<'_>> {
        // SAFETY: The inode is valid.
        to_result(unsafe { bindings::down_write_killable(&raw mut (*self.as_ptr()).i_rwsem) })?;
        // INVARIANT: The lock was acquired above.
        Ok(LockedMemfd {
            inode: self,
            _not_send: NotThreadSafe,
        })
    }

    /// Returns the folio at `index`, swapped in or allocated if necessary. It may be freed at any
    /// time. `EINVAL` for hugetlbfs, where nothing is swapped.
    fn read_folio(&self, index: usize) -> Result<*const bindings::folio> {
        if self.is_hugetlb() {
            return Err(EINVAL);
        }
        // SAFETY: It is the mapping of a shmem file.
        let folio = unsafe { bindings::pinseal_shmem_read_folio(self.pages().as_ptr(), index) };
        let folio = from_err_ptr(folio)?;
        // SAFETY: We own the reference that came with it.
        unsafe { bindings::pinseal_folio_put(folio) };
        Ok(folio)
    }
}

/// Denial of shared writable mappings of a file. It ends when this is dropped, unless
/// [`WritableDenied::make_permanent`] was called.
///
/// # Invariants
///
/// If there is an inode, `self` owns one denial of its mapping.
pub(crate) struct WritableDenied<I: Deref<Target = MemfdInode> = ARef<MemfdInode>> {
    inode: Option<I>,
}

impl<I: Deref<Target = MemfdInode>> WritableDenied<I> {
    /// Makes the denial permanent.
    pub(crate) fn make_permanent(mut self) {
        self.inode = None;
    }
}

impl<I: Deref<Target = MemfdInode>> Drop for WritableDenied<I> {
    fn drop(&mut self) {
        if let Some(inode) = &self.inode {
            inode.pages().allow_writable();
        }
    }
}

/// An inode that is locked for reading. This excludes `write()`, changes of size and new seals, but
/// not others that lock it for reading.
///
/// # Invariants
///
/// This thread holds the `i_rwsem` of the inode for reading.
pub(crate) struct ReadLockedInode<'a> {
    inode: &'a MemfdInode,
    _not_send: NotThreadSafe,
}

impl ReadLockedInode<'_> {
    /// Whether `folio` is the folio of the file at `index`. For this, pages are swapped in, holes
    /// filled, and allocated pages zeroed.
    ///
    /// Context: sleeps for swap and for memory. Does not invoke the OOM killer.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, `EIO`. `EINVAL` beyond the end of the file.
    pub(super) fn has_folio(&self, index: usize, folio: *const bindings::folio) -> Result<bool> {
        Ok(ptr::eq(self.inode.read_folio(index)?, folio))
    }
}

impl Deref for ReadLockedInode<'_> {
    type Target = MemfdInode;

    fn deref(&self) -> &MemfdInode {
        self.inode
    }
}

impl Drop for ReadLockedInode<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, this thread holds the lock.
        unsafe { bindings::up_read(&raw mut (*self.inode.as_ptr()).i_rwsem) };
    }
}

/// An inode that is locked for writing. This excludes `write()`, changes of size and new seals.
///
/// # Invariants
///
/// This thread holds the `i_rwsem` of the inode for writing.
pub(crate) struct LockedMemfd<'a> {
    inode: &'a MemfdInode,
    _not_send: NotThreadSafe,
}

impl LockedMemfd<'_> {
    /// Swaps the page at `index` in. It may be swapped out again at once.
    ///
    /// Context: sleeps for swap and for memory. Does not invoke the OOM killer.
    ///
    /// # Errors
    ///
    /// `ENOMEM`. `EIO` when the page cannot be read, and never will be. `EINVAL` beyond the end of
    /// the file.
    pub(crate) fn swap_in(&self, index: usize) -> Result {
        // Nothing is allocated: with the inode locked, the page does not become a hole.
        self.inode.read_folio(index).map(|_| ())
    }

    /// Fails with `EPERM` if seals forbid to punch a hole.
    pub(super) fn check_punchable(&self) -> Result {
        match self.inode.seals() & (uapi::F_SEAL_WRITE | uapi::F_SEAL_FUTURE_WRITE) {
            0 => Ok(()),
            _ => Err(EPERM),
        }
    }

    /// Punches a hole into a shmem file, from `start` to `end`, as `fallocate()` does.
    ///
    /// Context: sleeps.
    pub(super) fn punch(&self, start: u64, end: u64) {
        let size = PAGE_SIZE as u64;
        let (first, last) = (start.next_multiple_of(size), end - end % size);
        // Private copies stay.
        //
        // SAFETY: The inode is valid, locked, and one of shmem.
        //
        // CAST: Positions in a file.
        unsafe {
            if last > first {
                bindings::unmap_mapping_range(
                    self.inode.pages().as_ptr(),
                    first as i64,
                    (last - first) as i64,
                    0,
                );
            }
            bindings::shmem_truncate_range(self.inode.as_ptr(), start as i64, end - 1);
        }
    }

    /// Sets the seals, which the file system enforces from now on, for all descriptors of the file.
    pub(crate) fn set_seals(&self, seals: u32) {
        // SAFETY: The pointer is valid. Seals change under the inode lock, which is held. Readers do
        // not take it, hence the volatile access.
        unsafe { self.inode.seals_ptr().write_volatile(seals) };
    }
}

impl Deref for LockedMemfd<'_> {
    type Target = MemfdInode;

    fn deref(&self) -> &MemfdInode {
        self.inode
    }
}

impl Drop for LockedMemfd<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, this thread holds the lock.
        unsafe { bindings::pinseal_inode_unlock(self.inode.as_ptr()) };
    }
}

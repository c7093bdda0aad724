// SPDX-License-Identifier: GPL-2.0-only

//! Shmem files, which hold the memory of a device file. Most are created here, unlinked and reached
//! by the device file only. Others were imported, and may have other users.
//!
//! C headers: [`include/linux/shmem_fs.h`](srctree/include/linux/shmem_fs.h),
//! [`include/linux/fs.h`](srctree/include/linux/fs.h)

use crate::{
    bindings,
    mm::address_space::AddressSpace, //
};
use core::{
    ops::Deref,
    ptr::{
        self,
        NonNull, //
    }, //
};
use kernel::{
    cred::Credential,
    error::{
        from_err_ptr,
        to_result, //
    },
    ffi::{
        c_int,
        c_uint,
        c_ulong, //
    },
    fs::{
        file::flags::{
            O_ACCMODE,
            O_NONBLOCK,
            O_RDWR, //
        },
        File,
        Kiocb,
        LocalFile, //
    },
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    page::PAGE_SHIFT,
    prelude::*,
    sync::aref::ARef,
    types::{
        ForeignOwnable,
        NotThreadSafe, //
    }, //
};

/// Maximum size of a file, `MAX_LFS_FILESIZE` in C.
const MAX_SIZE: i64 = i64::MAX;

/// The execute bits of a file mode.
const EXECUTABLE: u32 = bindings::S_IXUSR | bindings::S_IXGRP | bindings::S_IXOTH;

/// A shmem file.
///
/// # Invariants
///
/// The file is a regular shmem file, and open for reading and writing.
pub(crate) struct ShmemFile {
    file: ARef<File>,
}

impl ShmemFile {
    /// Maximum number of pages of a file.
    pub(super) const MAX_PAGES: usize = (MAX_SIZE >> PAGE_SHIFT) as usize;

    /// Creates an empty file, as `memfd_create()` does. `name` is its name in `/proc/PID/maps`, and
    /// `owner` its owner.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, `ENFILE`.
    pub(crate) fn new(name: &CStr, owner: &Credential) -> Result<Self> {
        // SAFETY: `name` is a C string, which is copied. The credentials of the current task are
        // restored.
        let file = unsafe {
            let old = bindings::pinseal_override_creds(owner.as_ptr());
            let file = bindings::pinseal_shmem_file_setup(name.as_char_ptr(), 0);
            bindings::pinseal_revert_creds(old);
            file
        };
        let file = from_err_ptr(file).map_err(|err| match err {
            // shmem returns it without memory for an inode. The kernel mount has no size limit.
            ENOSPC => ENOMEM,
            err => err,
        })?;
        // SAFETY: The file has no other user yet.
        unsafe {
            bindings::pinseal_file_set_seekable(file);
            (*file).f_flags |= bindings::O_LARGEFILE;
        }
        // SAFETY: As above.
        let no_exec = unsafe { bindings::pinseal_memfd_noexec_scope() } > 0;
        if no_exec {
            // The default of `vm.memfd_noexec` for memfds.
            //
            // SAFETY: The file has no other user yet, nor have its inode and seals.
            unsafe {
                let inode = (*file).f_inode;
                (*inode).i_mode &= !(EXECUTABLE as bindings::umode_t);
                *bindings::pinseal_shmem_seals(inode) |= bindings::F_SEAL_EXEC;
            }
        }
        // SAFETY: `from_err_ptr` returned a valid pointer.
        let file = unsafe { NonNull::new_unchecked(file) };
        // SAFETY: We own the reference that came with the file, which has no other user, so there
        // is no `fdget_pos` under way.
        let file = unsafe { ARef::from_raw(file.cast()) };
        // INVARIANT: `shmem_file_setup()` opens a regular shmem file for reading and writing.
        Ok(Self { file })
    }

    /// Opens the memory of another open file, with a position and flags of its own.
    ///
    /// # Errors
    ///
    /// `EINVAL` when `file` is not a regular shmem file, `EPERM` when it is not open for reading
    /// and writing, those of [`ShmemFile::reopen`].
    pub(crate) fn from_file(file: &LocalFile) -> Result<Self> {
        let raw_file = file.as_ptr();
        // SAFETY: The file is open, and keeps its inode alive, whose type never changes.
        let is_regular_shmem = unsafe {
            bindings::pinseal_shmem_file(raw_file)
                && u32::from((*(*raw_file).f_inode).i_mode) & bindings::S_IFMT == bindings::S_IFREG
        };
        if !is_regular_shmem {
            return Err(EINVAL);
        }
        if file.flags() & O_ACCMODE != O_RDWR {
            return Err(EPERM);
        }
        // SAFETY: The file is open.
        let file = unsafe { reopen_file(raw_file, O_RDWR) }?;
        // INVARIANT: It is a regular shmem file, opened for reading and writing.
        Ok(Self { file })
    }

    /// Opens the file again. `access` is `O_RDONLY` or `O_RDWR`.
    ///
    /// # Errors
    ///
    /// `ENFILE`, `ENOMEM`, `ETXTBSY` when it is being executed, `EAGAIN` when it has a file lease,
    /// those of security modules.
    pub(crate) fn reopen(&self, access: u32) -> Result<ARef<File>> {
        // SAFETY: The file is open.
        unsafe { reopen_file(self.as_ptr(), access) }
    }

    /// Whether the file has no path that user space can open: a memfd, System V shared memory, or a
    /// shared anonymous mapping.
    pub(crate) fn is_on_kernel_mount(&self) -> bool {
        // SAFETY: The file is open.
        unsafe { bindings::pinseal_file_is_on_kernel_mount(self.as_ptr()) }
    }

    /// Whether the file is append-only or immutable, which are restrictions beyond its seals.
    pub(crate) fn is_append_only_or_immutable(&self) -> bool {
        // SAFETY: The file keeps its inode alive; the volatile read is a `READ_ONCE`.
        let flags = unsafe { (&raw const (*self.inode()).i_flags).read_volatile() };
        flags & (bindings::S_APPEND | bindings::S_IMMUTABLE) != 0
    }

    /// Whether the file mode has an execute bit. It changes under the inode lock.
    pub(crate) fn is_executable(&self) -> bool {
        // SAFETY: The file keeps its inode alive; the volatile read is a `READ_ONCE`.
        let mode = unsafe { (&raw const (*self.inode()).i_mode).read_volatile() };
        u32::from(mode) & EXECUTABLE != 0
    }

    /// Returns the seals that shmem enforces. They change under the inode lock.
    pub(crate) fn seals(&self) -> u32 {
        // SAFETY: By the type invariants, it is a shmem inode, which the file keeps alive; the
        // volatile read is a `READ_ONCE`.
        unsafe { bindings::pinseal_shmem_seals(self.inode()).read_volatile() }
    }

    /// Returns a raw pointer to the file.
    pub(super) fn as_ptr(&self) -> *mut bindings::file {
        self.file.as_ptr()
    }

    fn inode(&self) -> *mut bindings::inode {
        // SAFETY: The file is open; its inode never changes.
        unsafe { (*self.as_ptr()).f_inode }
    }

    fn operations(&self) -> &bindings::file_operations {
        // SAFETY: The file is open; its operations never change.
        unsafe { &*(*self.as_ptr()).f_op }
    }

    /// Returns the page cache of the file.
    pub(crate) fn pages(&self) -> &AddressSpace {
        // SAFETY: The file is open, and keeps its inode and thereby its mapping alive.
        unsafe { AddressSpace::from_raw((*self.as_ptr()).f_mapping) }
    }

    /// Denies shared writable mappings. `None` when the file has some.
    pub(crate) fn deny_writable(&self) -> Option<WritableDenied> {
        // INVARIANT: The mapping was denied above.
        self.pages().deny_writable().then(|| WritableDenied {
            file: Some(Self {
                file: self.file.clone(),
            }),
        })
    }

    /// Locks the inode for reading.
    ///
    /// Context: sleeps. The owner of the lock may wait for user space to resolve a fault.
    ///
    /// # Errors
    ///
    /// `ERESTARTSYS` for a signal or task work.
    pub(crate) fn read_lock(&self) -> Result<ReadLockedShmem<'_>> {
        // SAFETY: The file keeps its inode alive.
        let ret = unsafe { bindings::down_read_interruptible(&raw mut (*self.inode()).i_rwsem) };
        to_result(ret).map_err(|_| ERESTARTSYS)?;
        // INVARIANT: The lock was acquired above.
        Ok(ReadLockedShmem {
            file: self,
            _not_send: NotThreadSafe,
        })
    }

    /// Returns the folio at `index`, swapped in or allocated if necessary. It may be freed at any
    /// time.
    fn read_folio(&self, index: usize) -> Result<*const bindings::folio> {
        // SAFETY: By the type invariants, it is the mapping of a shmem file.
        let folio = unsafe { bindings::pinseal_shmem_read_folio(self.pages().as_ptr(), index) };
        let folio = from_err_ptr(folio)?;
        // SAFETY: We own the reference that came with it.
        unsafe { bindings::pinseal_folio_put(folio) };
        Ok(folio)
    }

    /// Size in bytes.
    pub(crate) fn size(&self) -> u64 {
        // SAFETY: The file keeps its inode alive.
        let size = unsafe { bindings::pinseal_i_size_read(self.inode()) };
        // CAST: A size is never negative.
        size as u64
    }

    /// Locks the inode for writing, if it is not locked: against writers, truncation, and sealers
    /// by other descriptors.
    ///
    /// There is no variant that waits: a writer holds the lock while its source faults in, which
    /// user space can delay for ever.
    pub(crate) fn try_lock(&self) -> Option<LockedShmem<'_>> {
        // SAFETY: The file keeps its inode alive.
        let locked = unsafe { bindings::pinseal_inode_trylock(self.inode()) } != 0;
        // INVARIANT: The lock was acquired above.
        locked.then(|| LockedShmem {
            file: self,
            _not_send: NotThreadSafe,
        })
    }

    /// Reads at the position of `kiocb`, which is a request for the device file.
    pub(crate) fn read_iter<T: ForeignOwnable>(
        &self,
        kiocb: &Kiocb<'_, T>,
        iov: &mut IovIterDest<'_>,
    ) -> Result<usize> {
        self.forward_iter(kiocb, self.operations().read_iter, iov.as_raw())
    }

    /// Writes at the position of `kiocb`, which is a request for the device file. shmem enforces
    /// the seals.
    pub(crate) fn write_iter<T: ForeignOwnable>(
        &self,
        kiocb: &Kiocb<'_, T>,
        iov: &mut IovIterSource<'_>,
    ) -> Result<usize> {
        self.forward_iter(kiocb, self.operations().write_iter, iov.as_raw())
    }

    fn forward_iter<T: ForeignOwnable>(
        &self,
        outer: &Kiocb<'_, T>,
        operation: Option<
            unsafe extern "C" fn(*mut bindings::kiocb, *mut bindings::iov_iter) -> isize,
        >,
        iov: *mut bindings::iov_iter,
    ) -> Result<usize> {
        let operation = operation.ok_or(EINVAL)?;
        let outer = outer.as_raw();
        // shmem completes a request before it returns, so the copy lives long enough.
        let mut inner: bindings::kiocb = pin_init::zeroed();
        // SAFETY: `outer` is valid, and not accessed by others during the call.
        unsafe {
            inner.ki_filp = self.as_ptr();
            inner.ki_pos = (*outer).ki_pos;
            // shmem does not support it. Its requests wait for the inode lock and for swap only.
            inner.ki_flags = (*outer).ki_flags & !bindings::pinseal_IOCB_NOWAIT;
            inner.ki_ioprio = (*outer).ki_ioprio;
        }
        // SAFETY: The operation is that of the file in `inner`; `iov` is valid.
        let ret = unsafe { operation(&mut inner, iov) };
        // SAFETY: As above.
        unsafe { (*outer).ki_pos = inner.ki_pos };
        usize::try_from(ret).map_err(|_| Error::from_errno(ret as c_int))
    }

    /// Whether [`ShmemFile::seek`] locks the inode, to search the page cache.
    pub(super) fn seek_locks(whence: c_int) -> bool {
        // CAST: An invalid `whence` matches none.
        matches!(whence as u32, bindings::SEEK_DATA | bindings::SEEK_HOLE)
    }

    /// Changes the position of `device`, the device file. Returns the position or a negative errno.
    pub(super) fn seek(&self, device: &LocalFile, offset: i64, whence: c_int) -> i64 {
        if !Self::seek_locks(whence) {
            // SAFETY: The file is open.
            return unsafe {
                bindings::generic_file_llseek_size(
                    device.as_ptr(),
                    offset,
                    whence,
                    MAX_SIZE,
                    self.size() as i64,
                )
            };
        }
        // This changes the position of the shmem file, which is not used.
        //
        // SAFETY: The file is open.
        let found = unsafe { bindings::vfs_llseek(self.as_ptr(), offset, whence) };
        if found < 0 {
            return found;
        }
        // SAFETY: The file is open.
        unsafe { bindings::vfs_setpos(device.as_ptr(), found, MAX_SIZE) }
    }

    /// Sets the size, as `ftruncate()` does. shmem enforces the seals.
    ///
    /// # Errors
    ///
    /// `EINVAL` when `size` is negative, `EPERM` when a seal forbids it, `EFBIG` beyond
    /// `RLIMIT_FSIZE`.
    pub(crate) fn resize(&self, size: i64) -> Result {
        // SAFETY: The file is open.
        let ret = unsafe { bindings::pinseal_file_truncate(self.as_ptr(), size) };
        // CAST: 0 or an errno.
        to_result(ret as c_int)
    }

    /// Allocates or frees the pages of a range, as `fallocate()` does. shmem enforces the seals.
    ///
    /// # Errors
    ///
    /// Those of `fallocate()`.
    pub(crate) fn fallocate(&self, mode: c_int, offset: i64, len: i64) -> Result {
        // SAFETY: The file is open.
        to_result(unsafe { bindings::vfs_fallocate(self.as_ptr(), mode, offset, len) })
    }

    /// Moves references to pages into a pipe, as `splice_read` of `struct file_operations`.
    ///
    /// # Safety
    ///
    /// `pos` and `pipe` must be valid, and the pipe locked, as the VFS calls `splice_read`.
    pub(super) unsafe fn splice_read(
        &self,
        pos: *mut bindings::loff_t,
        pipe: *mut bindings::pipe_inode_info,
        len: usize,
        flags: c_uint,
    ) -> isize {
        let Some(splice_read) = self.operations().splice_read else {
            return EINVAL.to_errno() as isize;
        };
        // SAFETY: The operation is that of this file; the rest are the safety requirements.
        unsafe { splice_read(self.as_ptr(), pos, pipe, len, flags) }
    }

    /// Moves the contents of a pipe into the file, as `splice_write` of `struct file_operations`.
    ///
    /// # Safety
    ///
    /// `pos` and `pipe` must be valid, as the VFS calls `splice_write`.
    pub(super) unsafe fn splice_write(
        &self,
        pipe: *mut bindings::pipe_inode_info,
        pos: *mut bindings::loff_t,
        len: usize,
        flags: c_uint,
    ) -> isize {
        let Some(splice_write) = self.operations().splice_write else {
            return EINVAL.to_errno() as isize;
        };
        // SAFETY: The operation is that of this file; the rest are the safety requirements.
        unsafe { splice_write(pipe, self.as_ptr(), pos, len, flags) }
    }

    /// Finds an address for a mapping, aligned for huge pages if shmem would use them.
    ///
    /// # Safety
    ///
    /// The mmap lock of the current task must be held for writing.
    pub(super) unsafe fn get_unmapped_area(
        &self,
        addr: c_ulong,
        len: c_ulong,
        pgoff: c_ulong,
        flags: c_ulong,
    ) -> c_ulong {
        let Some(get_unmapped_area) = self.operations().get_unmapped_area else {
            return EINVAL.to_errno() as c_ulong;
        };
        // SAFETY: The operation is that of this file; the rest are the safety requirements.
        unsafe { get_unmapped_area(self.as_ptr(), addr, len, pgoff, flags) }
    }
}

/// Opens a file again, as `/proc/self/fd` does.
///
/// # Safety
///
/// `file` must be open.
pub(super) unsafe fn reopen_file(file: *mut bindings::file, access: u32) -> Result<ARef<File>> {
    // `O_NONBLOCK`: fails rather than waiting for the holder of a file lease.
    let flags = access | bindings::O_LARGEFILE | O_NONBLOCK;
    // SAFETY: The file is open, and keeps its path alive; the credentials of the current task are
    // valid during the call.
    let file = unsafe {
        bindings::dentry_open(
            &raw const (*file).__bindgen_anon_1.f_path,
            // CAST: A bit mask.
            flags as c_int,
            bindings::pinseal_current_cred(),
        )
    };
    let file = from_err_ptr(file)?;
    // SAFETY: `from_err_ptr` returned a valid pointer to a file that has no other user yet.
    unsafe { (*file).f_flags &= !O_NONBLOCK };
    // SAFETY: As above. We own the reference that came with the file, so there is no `fdget_pos`
    // under way.
    Ok(unsafe { ARef::from_raw(NonNull::new_unchecked(file.cast())) })
}

/// Denial of shared writable mappings of a file. It ends when this is dropped, unless
/// [`WritableDenied::make_permanent`] was called.
///
/// # Invariants
///
/// If there is a file, `self` owns one denial of its mapping.
pub(crate) struct WritableDenied {
    file: Option<ShmemFile>,
}

impl WritableDenied {
    /// Makes the denial permanent.
    pub(crate) fn make_permanent(mut self) {
        self.file = None;
    }
}

impl Drop for WritableDenied {
    fn drop(&mut self) {
        if let Some(file) = &self.file {
            file.pages().allow_writable();
        }
    }
}

/// A shmem file whose inode is locked for reading. This excludes `write()`, changes of size and new
/// seals, but not others that lock it for reading.
///
/// # Invariants
///
/// This thread holds the `i_rwsem` of the inode for reading.
pub(crate) struct ReadLockedShmem<'a> {
    file: &'a ShmemFile,
    _not_send: NotThreadSafe,
}

impl ReadLockedShmem<'_> {
    /// Whether `folio` is the folio of the file at `index`. For this, pages are swapped in, holes
    /// filled, and allocated pages zeroed.
    ///
    /// Context: sleeps for swap and for memory. Does not invoke the OOM killer.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, `EIO`. `EINVAL` beyond the end of the file.
    pub(super) fn has_folio(&self, index: usize, folio: *const bindings::folio) -> Result<bool> {
        Ok(ptr::eq(self.file.read_folio(index)?, folio))
    }
}

impl Deref for ReadLockedShmem<'_> {
    type Target = ShmemFile;

    fn deref(&self) -> &ShmemFile {
        self.file
    }
}

impl Drop for ReadLockedShmem<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, this thread holds the lock.
        unsafe { bindings::up_read(&raw mut (*self.file.inode()).i_rwsem) };
    }
}

/// A shmem file whose inode is locked for writing. This excludes `write()`, changes of size and new
/// seals.
///
/// # Invariants
///
/// This thread holds the `i_rwsem` of the inode for writing.
pub(crate) struct LockedShmem<'a> {
    file: &'a ShmemFile,
    _not_send: NotThreadSafe,
}

impl LockedShmem<'_> {
    /// Returns the file.
    pub(crate) fn file(&self) -> &ShmemFile {
        self.file
    }

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
        self.file.read_folio(index).map(|_| ())
    }

    /// Adds seals, which shmem enforces from now on, for all descriptors of the file.
    pub(crate) fn add_seals(&self, seals: u32) {
        // SAFETY: By the invariants of `ShmemFile`, it is a shmem inode. Its seals change under the
        // inode lock, which is held. Readers do not take it, hence the volatile accesses.
        unsafe {
            let ptr = bindings::pinseal_shmem_seals(self.file.inode());
            ptr.write_volatile(ptr.read_volatile() | seals);
        }
    }
}

impl Drop for LockedShmem<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, this thread holds the lock.
        unsafe { bindings::pinseal_inode_unlock(self.file.inode()) };
    }
}

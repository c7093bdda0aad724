// SPDX-License-Identifier: GPL-2.0-only

//! A shmem file: the memory under a device file. Mostly one of our own, unlinked and without any
//! other way to it, but it can be somebody else's as well.
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

/// What a file position can be at most, `MAX_LFS_FILESIZE` in C.
const MAX_SIZE: i64 = i64::MAX;

/// The bits of a file's mode that make it executable.
const EXECUTABLE: u32 = bindings::S_IXUSR | bindings::S_IXGRP | bindings::S_IXOTH;

/// A shmem file.
///
/// # Invariants
///
/// The file is a regular shmem file, opened for reading and writing.
pub(crate) struct ShmemFile {
    file: ARef<File>,
}

impl ShmemFile {
    /// How many pages a file can have at most.
    pub(crate) const MAX_PAGES: usize = (MAX_SIZE >> PAGE_SHIFT) as usize;

    /// Makes an empty file, like `memfd_create()` does. `name` is what it is called in
    /// `/proc/PID/maps`, `owner` whom it belongs to.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, `ENFILE`.
    pub(crate) fn new(name: &CStr, owner: &Credential) -> Result<Self> {
        // SAFETY: `name` is a C string; it is copied. The current task has its own credentials back
        // afterwards.
        let file = unsafe {
            let own = bindings::pinseal_override_creds(owner.as_ptr());
            let file = bindings::pinseal_shmem_file_setup(name.as_char_ptr(), 0);
            bindings::pinseal_revert_creds(own);
            file
        };
        let file = from_err_ptr(file).map_err(|err| match err {
            // What shmem says when there is no memory for an inode. There is no space to run out of.
            ENOSPC => ENOMEM,
            err => err,
        })?;
        // SAFETY: The file is ours alone so far.
        unsafe {
            bindings::pinseal_file_set_seekable(file);
            (*file).f_flags |= bindings::O_LARGEFILE;
        }
        // SAFETY: As above.
        let no_exec = unsafe { bindings::pinseal_memfd_noexec_scope() } > 0;
        if no_exec {
            // What `vm.memfd_noexec` makes of memfds when nobody says what they want.
            //
            // SAFETY: The file, its inode and its seals are ours alone so far.
            unsafe {
                let inode = (*file).f_inode;
                (*inode).i_mode &= !(EXECUTABLE as bindings::umode_t);
                *bindings::pinseal_shmem_seals(inode) |= bindings::F_SEAL_EXEC;
            }
        }
        // SAFETY: `from_err_ptr` returned a valid pointer.
        let file = unsafe { NonNull::new_unchecked(file) };
        // SAFETY: We own the reference that came with the file, and nobody else has it, so there
        // is no `fdget_pos` under way.
        let file = unsafe { ARef::from_raw(file.cast()) };
        // INVARIANT: `shmem_file_setup()` opens a shmem file for reading and writing.
        Ok(Self { file })
    }

    /// Opens the file that somebody else has open for reading and writing: with a position and flags
    /// of our own.
    ///
    /// # Errors
    ///
    /// `EINVAL` (no shmem file, or no regular one), `EPERM` (not open for both), and those of
    /// [`ShmemFile::open_again`].
    pub(crate) fn of(file: &LocalFile) -> Result<Self> {
        let other = file.as_ptr();
        // SAFETY: The file is open, and keeps its inode alive. Its kind never changes.
        let is_ours = unsafe {
            bindings::pinseal_shmem_file(other)
                && u32::from((*(*other).f_inode).i_mode) & bindings::S_IFMT == bindings::S_IFREG
        };
        if !is_ours {
            return Err(EINVAL);
        }
        if file.flags() & O_ACCMODE != O_RDWR {
            return Err(EPERM);
        }
        // SAFETY: The file is open.
        let file = unsafe { open_again(other, O_RDWR) }?;
        // INVARIANT: It is the same file, opened for reading and writing.
        Ok(Self { file })
    }

    /// Opens the file once more, for somebody else. `access` is `O_RDONLY` or `O_RDWR`.
    ///
    /// # Errors
    ///
    /// `ENFILE`, `ENOMEM`, `ETXTBSY` (it is being executed), `EAGAIN` (somebody has a lease on it),
    /// what security modules say.
    pub(crate) fn open_again(&self, access: u32) -> Result<ARef<File>> {
        // SAFETY: The file is open.
        unsafe { open_again(self.as_ptr(), access) }
    }

    /// Whether the file has no path that user space could open: a memfd, shared memory of System V,
    /// or what shared anonymous mappings show.
    pub(crate) fn is_on_kernel_mount(&self) -> bool {
        // SAFETY: The file is open.
        unsafe { bindings::pinseal_file_is_on_kernel_mount(self.as_ptr()) }
    }

    /// Whether the file is append-only or immutable, which restricts it beyond its seals.
    pub(crate) fn is_append_only_or_immutable(&self) -> bool {
        // SAFETY: The file keeps its inode alive; the volatile read is a `READ_ONCE`.
        let flags = unsafe { (&raw const (*self.inode()).i_flags).read_volatile() };
        flags & (bindings::S_APPEND | bindings::S_IMMUTABLE) != 0
    }

    /// Whether the file's mode lets somebody execute it. It changes under the inode lock.
    pub(crate) fn is_executable(&self) -> bool {
        // SAFETY: The file keeps its inode alive; the volatile read is a `READ_ONCE`.
        let mode = unsafe { (&raw const (*self.inode()).i_mode).read_volatile() };
        u32::from(mode) & EXECUTABLE != 0
    }

    /// The seals that shmem enforces. They are added under the inode lock.
    pub(crate) fn seals(&self) -> u32 {
        // SAFETY: The invariants make it a shmem inode, which the file keeps alive; the volatile
        // read is a `READ_ONCE`.
        unsafe { bindings::pinseal_shmem_seals(self.inode()).read_volatile() }
    }

    /// The raw file.
    pub(crate) fn as_ptr(&self) -> *mut bindings::file {
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

    /// The pages of the file.
    pub(crate) fn pages(&self) -> &AddressSpace {
        // SAFETY: The file is open and keeps its inode alive, and thereby its mapping.
        unsafe { AddressSpace::from_raw((*self.as_ptr()).f_mapping) }
    }

    /// Refuses shared writable mappings from now on, unless there are some: then `None`.
    pub(crate) fn deny_writable(&self) -> Option<WritableDenied> {
        // INVARIANT: The denial was counted.
        self.pages().deny_writable().then(|| WritableDenied {
            file: Some(Self {
                file: self.file.clone(),
            }),
        })
    }

    /// Locks the inode for reading.
    ///
    /// Context: sleeps. Who has it locked may have user space fault something in.
    ///
    /// # Errors
    ///
    /// `ERESTARTSYS` when there is a signal, or task work to do.
    pub(crate) fn lock_shared(&self) -> Result<SharedShmem<'_>> {
        // SAFETY: The file keeps its inode alive.
        let ret = unsafe { bindings::down_read_interruptible(&raw mut (*self.inode()).i_rwsem) };
        to_result(ret).map_err(|_| ERESTARTSYS)?;
        // INVARIANT: We just took the lock.
        Ok(SharedShmem {
            file: self,
            _not_send: NotThreadSafe,
        })
    }

    /// The folio at `index`, read back from swap or allocated if need be. It may be gone again.
    fn read_folio(&self, index: usize) -> Result<*const bindings::folio> {
        // SAFETY: By the type invariants it is the mapping of a shmem file.
        let folio = unsafe { bindings::pinseal_shmem_read_folio(self.pages().as_ptr(), index) };
        let folio = from_err_ptr(folio)?;
        // SAFETY: It came with a reference, which is ours.
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

    /// Locks the inode against writers, truncation and other sealers, if it is free.
    ///
    /// There is no way to wait for it, on purpose: a writer may hold it for as long as its source
    /// takes to fault in, which user space controls.
    pub(crate) fn try_lock(&self) -> Option<LockedShmem<'_>> {
        // SAFETY: The file keeps its inode alive.
        let locked = unsafe { bindings::pinseal_inode_trylock(self.inode()) } != 0;
        // INVARIANT: We just took the lock.
        locked.then(|| LockedShmem {
            file: self,
            _not_send: NotThreadSafe,
        })
    }

    /// Reads at the position of `kiocb`, which belongs to the device file above.
    pub(crate) fn read_iter<T: ForeignOwnable>(
        &self,
        kiocb: &Kiocb<'_, T>,
        iov: &mut IovIterDest<'_>,
    ) -> Result<usize> {
        self.transfer(kiocb, self.operations().read_iter, iov.as_raw())
    }

    /// Writes at the position of `kiocb`, which belongs to the device file above. The seals of the
    /// file are obeyed.
    pub(crate) fn write_iter<T: ForeignOwnable>(
        &self,
        kiocb: &Kiocb<'_, T>,
        iov: &mut IovIterSource<'_>,
    ) -> Result<usize> {
        self.transfer(kiocb, self.operations().write_iter, iov.as_raw())
    }

    fn transfer<T: ForeignOwnable>(
        &self,
        outer: &Kiocb<'_, T>,
        operation: Option<
            unsafe extern "C" fn(*mut bindings::kiocb, *mut bindings::iov_iter) -> isize,
        >,
        iov: *mut bindings::iov_iter,
    ) -> Result<usize> {
        let operation = operation.ok_or(EINVAL)?;
        let outer = outer.as_raw();
        // shmem works synchronously: the copy need not outlive the call, and has no completion.
        let mut inner: bindings::kiocb = pin_init::zeroed();
        // SAFETY: `outer` is valid and ours for the duration of the call.
        unsafe {
            inner.ki_filp = self.as_ptr();
            inner.ki_pos = (*outer).ki_pos;
            // shmem knows no such requests. They are as quick as others, but for the inode lock and
            // for swap.
            inner.ki_flags = (*outer).ki_flags & !bindings::pinseal_IOCB_NOWAIT;
            inner.ki_ioprio = (*outer).ki_ioprio;
        }
        // SAFETY: The operation belongs to the file in `inner`; `iov` is valid.
        let ret = unsafe { operation(&mut inner, iov) };
        // SAFETY: As above.
        unsafe { (*outer).ki_pos = inner.ki_pos };
        usize::try_from(ret).map_err(|_| Error::from_errno(ret as c_int))
    }

    /// Whether [`ShmemFile::seek`] with this `whence` locks the inode: it looks at the pages then.
    pub(crate) fn seek_locks(whence: c_int) -> bool {
        // CAST: Small positive numbers, or something that is no whence.
        matches!(whence as u32, bindings::SEEK_DATA | bindings::SEEK_HOLE)
    }

    /// Moves the position of `device`, the file above, and returns it, or a negative errno.
    pub(crate) fn seek(&self, device: &File, offset: i64, whence: c_int) -> i64 {
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
        // This leaves something in the position of the inner file, which nobody uses.
        //
        // SAFETY: The file is open.
        let found = unsafe { bindings::vfs_llseek(self.as_ptr(), offset, whence) };
        if found < 0 {
            return found;
        }
        // SAFETY: The file is open.
        unsafe { bindings::vfs_setpos(device.as_ptr(), found, MAX_SIZE) }
    }

    /// Sets the size, as `ftruncate()` does. The seals of the file are obeyed.
    ///
    /// # Errors
    ///
    /// `EINVAL` (negative), `EPERM` (sealed), `EFBIG` (over `RLIMIT_FSIZE`).
    pub(crate) fn resize(&self, size: i64) -> Result {
        // SAFETY: The file is open.
        let ret = unsafe { bindings::pinseal_file_truncate(self.as_ptr(), size) };
        // CAST: 0 or an errno.
        to_result(ret as c_int)
    }

    /// Allocates or frees memory of a range, as `fallocate()` does. The seals of the file are
    /// obeyed.
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
        // SAFETY: The operation belongs to this file; the rest is the caller's contract.
        unsafe { splice_read(self.as_ptr(), pos, pipe, len, flags) }
    }

    /// Moves what is in a pipe into the file, as `splice_write` of `struct file_operations`.
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
        // SAFETY: The operation belongs to this file; the rest is the caller's contract.
        unsafe { splice_write(pipe, self.as_ptr(), pos, len, flags) }
    }

    /// Finds an address for a mapping, aligned for huge pages where shmem would use them.
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
        // SAFETY: The operation belongs to this file; the rest is the caller's contract.
        unsafe { get_unmapped_area(self.as_ptr(), addr, len, pgoff, flags) }
    }
}

/// Opens a file once more, as `/proc/self/fd` does.
///
/// # Safety
///
/// `file` must be open.
pub(super) unsafe fn open_again(file: *mut bindings::file, access: u32) -> Result<ARef<File>> {
    // Nobody who has a lease on the file is waited for.
    let flags = access | bindings::O_LARGEFILE | O_NONBLOCK;
    // SAFETY: The file is open and keeps its path alive; `current_cred()` of the current task are
    // valid for the call.
    let file = unsafe {
        bindings::dentry_open(
            &raw const (*file).__bindgen_anon_1.f_path,
            // CAST: Bits.
            flags as c_int,
            bindings::pinseal_current_cred(),
        )
    };
    let file = from_err_ptr(file)?;
    // SAFETY: `from_err_ptr` returned a valid pointer, to a file that is ours alone so far.
    unsafe { (*file).f_flags &= !O_NONBLOCK };
    // SAFETY: As above. We own the reference that came with the file,
    // and nobody else has it, so there is no `fdget_pos` under way.
    Ok(unsafe { ARef::from_raw(NonNull::new_unchecked(file.cast())) })
}

/// While it lives, and after [`WritableDenied::forever`], no shared writable mapping of the file can be
/// made.
///
/// # Invariants
///
/// While there is a file, it holds one denial of the file's mapping.
pub(crate) struct WritableDenied {
    file: Option<ShmemFile>,
}

impl WritableDenied {
    /// Makes the denial permanent.
    pub(crate) fn forever(mut self) {
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

/// A shmem file whose inode is locked for reading: nobody writes with `write()`, changes its size, or
/// adds seals, but others may have it locked like this as well.
///
/// # Invariants
///
/// This thread holds the `i_rwsem` of the inode for reading.
pub(crate) struct SharedShmem<'a> {
    file: &'a ShmemFile,
    _not_send: NotThreadSafe,
}

impl SharedShmem<'_> {
    /// Whether `folio` is what the file has at `index`. What is in swap comes back for that, holes are
    /// filled, and what was allocated only is made zeroes.
    ///
    /// Context: sleeps for swap and for memory, but nobody is killed for lack of that.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, `EIO`. `EINVAL` beyond the end of the file.
    pub(crate) fn has_folio(&self, index: usize, folio: *const bindings::folio) -> Result<bool> {
        Ok(ptr::eq(self.file.read_folio(index)?, folio))
    }
}

impl Deref for SharedShmem<'_> {
    type Target = ShmemFile;

    fn deref(&self) -> &ShmemFile {
        self.file
    }
}

impl Drop for SharedShmem<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants the lock is held, by this thread.
        unsafe { bindings::up_read(&raw mut (*self.file.inode()).i_rwsem) };
    }
}

/// A shmem file whose inode is locked for writing: nobody writes with `write()`, changes its size,
/// or adds seals.
///
/// # Invariants
///
/// This thread holds the `i_rwsem` of the inode for writing.
pub(crate) struct LockedShmem<'a> {
    file: &'a ShmemFile,
    _not_send: NotThreadSafe,
}

impl LockedShmem<'_> {
    /// The file.
    pub(crate) fn file(&self) -> &ShmemFile {
        self.file
    }

    /// Has what is in swap at `index` come back. It may go again at once.
    ///
    /// Context: sleeps for swap and for memory, but nobody is killed for lack of that.
    ///
    /// # Errors
    ///
    /// `ENOMEM`. `EIO` when it cannot be read, and never will be. `EINVAL` beyond the end of the file.
    pub(crate) fn swap_in(&self, index: usize) -> Result {
        // Nobody makes a hole of what was there, for the inode is locked, so nothing new is allocated.
        self.file.read_folio(index).map(|_| ())
    }

    /// Adds seals that shmem enforces from now on, for whoever has a way to the file.
    pub(crate) fn add_seals(&self, seals: u32) {
        // SAFETY: The invariants of `ShmemFile` make it a shmem inode; its seals are protected by
        // the inode lock, which is held. Readers do not take it, hence the volatile access.
        unsafe {
            let ptr = bindings::pinseal_shmem_seals(self.file.inode());
            ptr.write_volatile(ptr.read_volatile() | seals);
        }
    }
}

impl Drop for LockedShmem<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants the lock is held, by this thread.
        unsafe { bindings::pinseal_inode_unlock(self.file.inode()) };
    }
}

// SPDX-License-Identifier: GPL-2.0-only

//! Files as `memfd_create()` makes them, on shmem or hugetlbfs: the memory of a device file, reached by
//! the device file only; imported memfds, which may have other users; created memfds.
//!
//! C headers: [`include/linux/shmem_fs.h`](srctree/include/linux/shmem_fs.h),
//! [`include/linux/hugetlb.h`](srctree/include/linux/hugetlb.h),
//! [`include/linux/fs.h`](srctree/include/linux/fs.h)

use crate::{
    bindings,
    fs::{
        memfd_inode::{
            LockedMemfd,
            MemfdInode,
            MAX_SIZE, //
        },
        memory_file::{
            MemoryFile,
            MemoryOwner, //
        },
        set_size::{
            set_size_locked,
            Privileges, //
        },
        stacked::{
            make_stacked,
            stack_of,
            Stack, //
        },
    }, //
};
use core::ptr::NonNull;
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
    prelude::*,
    sync::{
        aref::{
            ARef,
            AlwaysRefCounted, //
        },
        Arc,
        ArcBorrow, //
    },
    types::{
        ForeignOwnable,
        Opaque, //
    }, //
};

/// An open file without other users: it can still be changed.
///
/// # Invariants
///
/// `self` owns the only reference to the file.
pub(super) struct NewFile(ARef<File>);

impl NewFile {
    /// # Safety
    ///
    /// `file` must be a file, or an error pointer. The caller must own the only reference to it.
    unsafe fn from_err_ptr(file: *mut bindings::file) -> Result<Self> {
        let file = from_err_ptr(file)?;
        // SAFETY: `from_err_ptr` returned a valid pointer. We own the reference that came with the
        // file, which has no other user, so there is no `fdget_pos` under way.
        let file = unsafe { ARef::from_raw(NonNull::new_unchecked(file.cast())) };
        // INVARIANT: By the safety requirements.
        Ok(Self(file))
    }

    /// Returns the file.
    pub(super) fn file(&self) -> &File {
        &self.0
    }

    /// Returns a raw pointer to the file, whose fields may be changed.
    pub(super) fn as_ptr(&self) -> *mut bindings::file {
        self.0.as_ptr()
    }

    /// Returns the file, to be used by others.
    pub(super) fn share(self) -> ARef<File> {
        self.0
    }
}

/// What `memfd_create()` is told of a file by its flags.
#[derive(Clone, Copy)]
pub(crate) struct MemfdFlags {
    /// `MFD_ALLOW_SEALING`.
    pub(crate) allow_sealing: bool,
    /// `MFD_EXEC` and `MFD_NOEXEC_SEAL`. `None` without either: as `vm.memfd_noexec` says.
    pub(crate) executable: Option<bool>,
}

/// A file as `memfd_create()` makes it.
///
/// # Invariants
///
/// It is a regular file of shmem or hugetlbfs.
#[repr(transparent)]
pub(crate) struct MemfdFile(Opaque<bindings::file>);

// SAFETY: Any thread may use and close the file: its position is not used, nor does it have light
// references (`fdget`).
unsafe impl Send for MemfdFile {}
// SAFETY: As above.
unsafe impl Sync for MemfdFile {}

// SAFETY: `get_file()` and `fput()` count references, and the file lives while there is one.
unsafe impl AlwaysRefCounted for MemfdFile {
    fn inc_ref(&self) {
        // SAFETY: The reference shows that the count is not zero.
        unsafe { bindings::get_file(self.as_ptr()) };
    }

    unsafe fn dec_ref(file: NonNull<Self>) {
        // SAFETY: The caller owns the reference. `Self` is transparent.
        unsafe { bindings::fput(file.cast().as_ptr()) };
    }
}

impl MemfdFile {
    /// Creates an empty file, as `memfd_create()` does with default flags, but that its owner is
    /// `owner`, and that `F_SEAL_SEAL` is set. `name` is its name in `/proc/PID/maps`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, `ENFILE`.
    pub(crate) fn new(name: &CStr, owner: &Credential) -> Result<ARef<Self>> {
        let file = Self::new_unshared(name, owner)?;
        // INVARIANT: `setup` creates a regular shmem file. `Self` is transparent.
        //
        // SAFETY: The reference is that of `file`.
        Ok(unsafe { ARef::from_raw(ARef::into_raw(file.share()).cast()) })
    }

    /// Creates a file as [`MemfdFile::new`] does, stacked on another one, with its size. It keeps the
    /// module of `like` loaded.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, `ENFILE`; those of setting the size.
    pub(crate) fn new_stacked<T: MemoryOwner>(
        name: &CStr,
        owner: &Credential,
        stack: Arc<Stack>,
        like: MemoryFile<'_, T>,
    ) -> Result<ARef<Self>> {
        let size = stack.initial_size();
        let file = Self::new_unshared(name, owner)?;
        // SAFETY: The file was just created, as a regular shmem file.
        unsafe {
            // CAST: The size of a file.
            Self::of(&file).resize(size as i64)?;
            make_stacked(&file, stack, like.module())?;
        }
        // INVARIANT: `setup` creates a regular shmem file. `Self` is transparent.
        //
        // SAFETY: The reference is that of `file`.
        Ok(unsafe { ARef::from_raw(ARef::into_raw(file.share()).cast()) })
    }

    fn new_unshared(name: &CStr, owner: &Credential) -> Result<NewFile> {
        // SAFETY: The credentials of the current task are restored.
        let file = unsafe {
            let old = bindings::pinseal_override_creds(owner.as_ptr());
            let file = Self::setup(name);
            bindings::pinseal_revert_creds(old);
            file
        }?;
        // SAFETY: The current task has a PID namespace.
        if unsafe { bindings::pinseal_memfd_noexec_scope() } > 0 {
            // SAFETY: The file has no other user yet, nor has its inode.
            unsafe { Self::of(&file).inode().seal_not_executable() };
        }
        Ok(file)
    }

    /// Creates an empty file of the current task, as `memfd_create()` does.
    ///
    /// # Errors
    ///
    /// `EACCES` when `vm.memfd_noexec` wants it to be not executable. `ENOMEM`, `ENFILE`.
    pub(super) fn new_memfd(name: &CStr, flags: MemfdFlags) -> Result<NewFile> {
        // SAFETY: The current task has a PID namespace.
        let scope = unsafe { bindings::pinseal_memfd_noexec_scope() };
        let executable = flags.executable.unwrap_or(scope == 0);
        if executable && scope > 1 {
            return Err(EACCES);
        }
        let file = Self::setup(name)?;
        // SAFETY: The file was just created, as a regular shmem file.
        let inode = unsafe { Self::of(&file) }.inode();
        if !executable {
            // SAFETY: The file has no other user yet, nor has its inode.
            unsafe { inode.seal_not_executable() };
        }
        if !executable || flags.allow_sealing {
            // SAFETY: As above.
            unsafe { inode.allow_sealing() };
        }
        Ok(file)
    }

    /// Creates an empty regular shmem file, open for reading and writing.
    fn setup(name: &CStr) -> Result<NewFile> {
        // SAFETY: `name` is a C string, which is copied. The file has no other user yet.
        let file = unsafe {
            NewFile::from_err_ptr(bindings::pinseal_shmem_file_setup(name.as_char_ptr(), 0))
        };
        let file = file.map_err(|err| match err {
            // shmem returns it without memory for an inode. The kernel mount has no size limit.
            ENOSPC => ENOMEM,
            err => err,
        })?;
        // SAFETY: By the invariants of `NewFile`.
        unsafe {
            bindings::pinseal_file_set_seekable(file.as_ptr());
            (*file.as_ptr()).f_flags |= bindings::O_LARGEFILE;
        }
        Ok(file)
    }

    /// # Safety
    ///
    /// `file` must be a regular file of shmem or hugetlbfs.
    pub(super) unsafe fn of(file: &NewFile) -> &Self {
        // SAFETY: `Self` is transparent; the file is open as long as the reference lives.
        unsafe { &*file.as_ptr().cast() }
    }

    /// # Safety
    ///
    /// `file` must be a regular file of shmem or hugetlbfs, and stay open for `'a`.
    pub(super) unsafe fn from_raw<'a>(file: *mut bindings::file) -> &'a Self {
        // SAFETY: By the safety requirements. `Self` is transparent.
        unsafe { &*file.cast() }
    }

    /// Returns `file` if it is a regular file of shmem or hugetlbfs.
    pub(super) fn try_from(file: &LocalFile) -> Option<&Self> {
        let file = file.as_ptr();
        // SAFETY: The file is open, and keeps its inode alive, whose type never changes.
        let is_memfd = unsafe {
            (bindings::pinseal_shmem_file(file) || bindings::pinseal_file_is_hugetlb(file))
                && u32::from((*(*file).f_inode).i_mode) & bindings::S_IFMT == bindings::S_IFREG
        };
        // SAFETY: The file is open as long as the reference lives. `Self` is transparent.
        is_memfd.then(|| unsafe { &*file.cast() })
    }

    /// Opens the memory of another open file for reading and writing, with a position and flags of
    /// its own.
    ///
    /// # Errors
    ///
    /// `EINVAL` when `file` is no regular file of shmem or hugetlbfs, `EPERM` when it is not open for
    /// reading and writing, those of [`MemfdFile::reopen`].
    pub(crate) fn from_file(file: &LocalFile) -> Result<ARef<Self>> {
        let memfd = Self::try_from(file).ok_or(EINVAL)?;
        if file.flags() & O_ACCMODE != O_RDWR {
            return Err(EPERM);
        }
        let file = memfd.reopen(O_RDWR)?;
        // INVARIANT: It is a file of the same inode. `Self` is transparent.
        //
        // SAFETY: The reference is that of `file`.
        Ok(unsafe { ARef::from_raw(ARef::into_raw(file).cast()) })
    }

    /// Opens the file again. `access` is `O_RDONLY` or `O_RDWR`.
    ///
    /// # Errors
    ///
    /// `ENFILE`, `ENOMEM`, `ETXTBSY` when it is being executed, `EAGAIN` when it has a file lease,
    /// those of security modules.
    pub(crate) fn reopen(&self, access: u32) -> Result<ARef<File>> {
        // SAFETY: The file is open.
        Ok(unsafe { reopen_file(self.as_ptr(), access) }?.share())
    }

    /// Returns a raw pointer to the file.
    pub(super) fn as_ptr(&self) -> *mut bindings::file {
        self.0.get()
    }

    /// Returns the inode.
    pub(crate) fn inode(&self) -> &MemfdInode {
        // SAFETY: By the type invariants. The file keeps its inode alive, which never changes.
        unsafe { MemfdInode::from_raw((*self.as_ptr()).f_inode) }
    }

    fn operations(&self) -> &bindings::file_operations {
        // SAFETY: The file is open; its operations never change.
        unsafe { &*(*self.as_ptr()).f_op }
    }

    /// Reads at the position of `kiocb`, which is a request for the device file.
    pub(crate) fn read_iter<T: ForeignOwnable>(
        &self,
        kiocb: &Kiocb<'_, T>,
        iov: &mut IovIterDest<'_>,
    ) -> Result<usize> {
        self.forward_iter(kiocb, self.operations().read_iter, iov.as_raw())
    }

    /// Writes at the position of `kiocb`, which is a request for the device file. The file
    /// system enforces the seals.
    pub(crate) fn write_iter<T: ForeignOwnable>(
        &self,
        kiocb: &Kiocb<'_, T>,
        iov: &mut IovIterSource<'_>,
    ) -> Result<usize> {
        // The task that submits to an io_uring is not to sleep for the lock, whose owner may be a writer that
        // waits for user space. Nothing depends on that: the lock may be taken right after this.
        //
        // SAFETY: The request is valid.
        let is_nowait = unsafe { (*kiocb.as_raw()).ki_flags } & bindings::pinseal_IOCB_NOWAIT != 0;
        if is_nowait && self.inode().try_lock().is_none() {
            return Err(EAGAIN);
        }
        let written = self.forward_iter(kiocb, self.operations().write_iter, iov.as_raw())?;
        let kiocb = kiocb.as_raw();
        // SAFETY: The request is valid.
        match unsafe { (*kiocb).ki_flags } & bindings::pinseal_IOCB_DSYNC {
            0 => Ok(written),
            _ => Self::sync_written(kiocb, written),
        }
    }

    /// Syncs the device file, whose descriptor is told of errors.
    #[cold]
    fn sync_written(kiocb: *mut bindings::kiocb, written: usize) -> Result<usize> {
        if written == 0 {
            return Ok(0);
        }
        // SAFETY: The caller has the request. CAST: No `write()` is that long.
        let ret = unsafe { bindings::pinseal_generic_write_sync(kiocb, written as isize) };
        usize::try_from(ret).map_err(|_| Error::from_errno(ret as c_int))
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
        // The file system completes a request before it returns, so the copy lives long enough.
        let mut inner: bindings::kiocb = pin_init::zeroed();
        // SAFETY: `outer` is valid, and not accessed by others during the call.
        unsafe {
            inner.ki_filp = self.as_ptr();
            inner.ki_pos = (*outer).ki_pos;
            // IOCB_NOWAIT is not supported: its requests wait for the inode lock and for swap only. What is
            // to be durable, the device file syncs.
            inner.ki_flags =
                (*outer).ki_flags & !(bindings::pinseal_IOCB_NOWAIT | bindings::pinseal_IOCB_DSYNC);
            inner.ki_ioprio = (*outer).ki_ioprio;
        }
        // SAFETY: The operation is that of the file in `inner`; `iov` is valid.
        let ret = unsafe { operation(&mut inner, iov) };
        // SAFETY: As above.
        unsafe { (*outer).ki_pos = inner.ki_pos };
        usize::try_from(ret).map_err(|_| Error::from_errno(ret as c_int))
    }

    /// Whether [`MemfdFile::seek`] locks the inode, to search the page cache.
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
                    self.inode().size() as i64,
                )
            };
        }
        // This changes the position of the inner file, which is not used.
        //
        // SAFETY: The file is open.
        let found = unsafe { bindings::vfs_llseek(self.as_ptr(), offset, whence) };
        if found < 0 {
            return found;
        }
        // SAFETY: The file is open.
        unsafe { bindings::vfs_setpos(device.as_ptr(), found, MAX_SIZE) }
    }

    /// Sets the size, as `ftruncate()` does. The file system enforces the seals.
    ///
    /// # Errors
    ///
    /// `EINVAL` when `size` is negative, `EPERM` when a seal forbids it, or the file is append-only or
    /// immutable; `EFBIG` beyond `RLIMIT_FSIZE`. `EINTR` for a fatal signal.
    pub(crate) fn resize(&self, size: i64) -> Result {
        let size = u64::try_from(size).map_err(|_| EINVAL)?;
        if let Some(stack) = self.stack() {
            return stack.set_size(self, size);
        }
        if self.inode().is_append_only_or_immutable() {
            return Err(EPERM);
        }
        let locked = self.inode().lock_killable()?;
        self.set_size_locked(&locked, size, Privileges::Drop)
    }

    /// Sets the size. `locked` is the inode of this file.
    ///
    /// # Errors
    ///
    /// As [`MemfdFile::resize`].
    pub(super) fn set_size_locked(
        &self,
        _locked: &LockedMemfd<'_>,
        size: u64,
        privileges: Privileges,
    ) -> Result {
        // SAFETY: The file is open, for writing unless it fails, and its inode is locked.
        //
        // CAST: More is negative, which is an error.
        unsafe { set_size_locked(self.as_ptr(), size as i64, privileges) }
    }

    /// The stack, if the file is stacked on another one.
    pub(crate) fn stack(&self) -> Option<ArcBorrow<'_, Stack>> {
        stack_of(self)
    }

    /// Makes changes durable, as `fsync()` does: those of a stacked file. Others need none.
    ///
    /// # Errors
    ///
    /// Those of [`Stack::sync`].
    pub(crate) fn sync(&self, start: i64, end: i64, data_only: bool) -> Result {
        match self.operations().fsync {
            None => Ok(()),
            // SAFETY: The operation is that of this file.
            Some(fsync) => to_result(unsafe { fsync(self.as_ptr(), start, end, data_only.into()) }),
        }
    }

    /// Allocates or frees the pages of a range, as `fallocate()` does. The file system enforces the
    /// seals.
    ///
    /// # Errors
    ///
    /// Those of `fallocate()`.
    pub(crate) fn fallocate(&self, mode: c_int, offset: i64, len: i64) -> Result {
        // SAFETY: The file is open.
        to_result(unsafe { bindings::vfs_fallocate(self.as_ptr(), mode, offset, len) })
    }

    /// Returns an errno if writing has failed since `device`, a device file, was told, or 0.
    ///
    /// # Safety
    ///
    /// `device` must be open.
    pub(super) unsafe fn check_errors_for(&self, device: *mut bindings::file) -> c_int {
        let pages = self.inode().pages().as_ptr();
        // SAFETY: By the safety requirements. The file keeps its pages.
        unsafe { bindings::pinseal_check_and_advance_wb_err(device, pages) }
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

    /// Finds an address for a mapping, aligned for huge pages if the file would use them.
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
pub(super) unsafe fn reopen_file(file: *mut bindings::file, access: u32) -> Result<NewFile> {
    // `O_NONBLOCK`: fails rather than waiting for the holder of a file lease.
    let flags = access | bindings::O_LARGEFILE | O_NONBLOCK;
    // SAFETY: The file is open, and keeps its path alive; the credentials of the current task are
    // valid during the call. The new file has no other user yet.
    let file = unsafe {
        NewFile::from_err_ptr(bindings::dentry_open(
            &raw const (*file).__bindgen_anon_1.f_path,
            // CAST: A bit mask.
            flags as c_int,
            bindings::pinseal_current_cred(),
        ))
    }?;
    // SAFETY: By the invariants of `NewFile`.
    unsafe { (*file.as_ptr()).f_flags &= !O_NONBLOCK };
    Ok(file)
}

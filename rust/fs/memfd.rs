// SPDX-License-Identifier: GPL-2.0-only

//! Memfds with file operations of ours: shmem files, to the kernel and to every program, that know
//! their owner.
//!
//! The operations belong to the open file, not to the inode, so a file that is opened by
//! `/proc/PID/fd` is a plain memfd of the same memory. Operations that are not overridden are
//! shmem's, and the core's own checks for memfds apply.
//!
//! C headers: [`include/linux/fs.h`](srctree/include/linux/fs.h),
//! [`include/linux/memfd.h`](srctree/include/linux/memfd.h)

use crate::{
    bindings,
    fs::{
        mapping::NewMemfdVma,
        memfd_file::{
            MemfdFile, //
            MemfdFlags,
            NewFile,
        }, //
        memory_file::{
            is_nonblocking_request,
            wait_splice_unblocked,
            MemoryFile,
            MemoryOwner, //
        },
    },
    sync::once::get_or_try_init, //
};
use core::{
    marker::PhantomData,
    ptr, //
};
use kernel::{
    container_of,
    cred::Credential,
    ffi::{
        c_int,
        c_uint, //
    },
    fs::File,
    prelude::*,
    seq_file::SeqFile,
    sync::{
        aref::ARef,
        Arc,
        ArcBorrow,
        SetOnce, //
    },
    types::ForeignOwnable, //
};

/// A memfd without owner, that no other task knows.
pub(crate) struct NewMemfd(NewFile);

impl NewMemfd {
    /// Creates an empty memfd of the current task. `label` is its name in `/proc/PID/maps`.
    ///
    /// # Errors
    ///
    /// `EACCES` when `vm.memfd_noexec` wants it to be not executable. `ENOMEM`, `ENFILE`.
    pub(crate) fn new(label: &CStr, flags: MemfdFlags) -> Result<Self> {
        Ok(Self(MemfdFile::new_memfd(label, flags)?))
    }

    /// Returns the file.
    pub(crate) fn shmem(&self) -> &MemfdFile {
        // SAFETY: `new` created a regular shmem file.
        unsafe { MemfdFile::of(&self.0) }
    }

    /// Returns the credentials of its opener.
    pub(crate) fn cred(&self) -> &Credential {
        self.0.file().cred()
    }

    /// Gives the file an owner. It keeps the module of `like` loaded, a file of another owner.
    ///
    /// # Errors
    ///
    /// None that is known.
    pub(crate) fn with_owner<T: MemoryOwner>(
        self,
        owner: Arc<T>,
        like: MemoryFile<'_, T>,
    ) -> Result<ARef<File>> {
        // SAFETY: `new` created a regular shmem file.
        unsafe { T::memfd_operations().install(self.0, owner, like.module()) }
    }
}

/// The file operations of memfds whose owners have type `T`, in a static: a copy of shmem's, partly
/// overridden.
///
/// It is filled in for the first memfd: neither shmem's operations nor the module are known before.
pub(crate) struct MemfdOperations<T> {
    table: SetOnce<Table>,
    _owner: PhantomData<fn() -> T>,
}

struct Table {
    operations: bindings::file_operations,
    shmem: &'static bindings::file_operations,
}

// SAFETY: The table never changes, and its pointers are to statics.
unsafe impl Send for Table {}
// SAFETY: As above.
unsafe impl Sync for Table {}

impl<T: MemoryOwner> MemfdOperations<T> {
    /// Creates an empty table.
    pub(crate) const fn new() -> Self {
        Self {
            table: SetOnce::new(),
            _owner: PhantomData,
        }
    }

    /// Gives a file these operations and `owner`. The file keeps `module` loaded, which is loaded.
    ///
    /// # Safety
    ///
    /// `file` must be a regular shmem file with shmem's operations.
    pub(super) unsafe fn install(
        &'static self,
        file: NewFile,
        owner: Arc<T>,
        module: *mut bindings::module,
    ) -> Result<ARef<File>> {
        // SAFETY: The file is open. shmem's operations are static.
        let shmem = unsafe { &*(*file.as_ptr()).f_op };
        let table = get_or_try_init(&self.table, || {
            Ok(Table {
                operations: bindings::file_operations {
                    owner: module,
                    llseek: Some(Self::llseek),
                    read_iter: Some(Self::read_iter),
                    write_iter: Some(Self::write_iter),
                    splice_read: Some(Self::splice_read),
                    splice_write: Some(Self::splice_write),
                    mmap_prepare: Some(Self::mmap_prepare),
                    // shmem's own insists, with CONFIG_DEBUG_VM, that the file has shmem's
                    // operations. And `mremap()` of several mappings knows this one.
                    #[cfg(CONFIG_TRANSPARENT_HUGEPAGE)]
                    get_unmapped_area: Some(bindings::thp_get_unmapped_area),
                    #[cfg(not(CONFIG_TRANSPARENT_HUGEPAGE))]
                    get_unmapped_area: None,
                    poll: Some(MemoryFile::<T>::poll),
                    unlocked_ioctl: Some(MemoryFile::<T>::ioctl),
                    #[cfg(CONFIG_COMPAT)]
                    compat_ioctl: bindings::compat_ptr_ioctl,
                    release: Some(Self::release),
                    #[cfg(CONFIG_PROC_FS)]
                    show_fdinfo: Some(Self::show_fdinfo),
                    ..*shmem
                },
                shmem,
            })
        })?;
        // SAFETY: The module is loaded. The release of the file drops the reference. By the
        // invariants of `NewFile`, the file has no other user; shmem does not use the private data.
        unsafe {
            // As a file of `memfd_create()`. A write that waits for a sealer must not own the
            // position: others would wait for that, and not interruptibly.
            bindings::pinseal_file_clear_atomic_pos(file.as_ptr());
            bindings::pinseal_module_get(module);
            (*file.as_ptr()).f_op = &raw const table.operations;
            (*file.as_ptr()).private_data = owner.into_foreign();
        }
        Ok(file.share())
    }

    /// Whether a file has these operations.
    pub(super) fn are_of(&self, operations: *const bindings::file_operations) -> bool {
        let table = self.table.as_ref();
        table.is_some_and(|table| ptr::eq(operations, &table.operations))
    }

    /// Returns shmem's operations.
    ///
    /// # Safety
    ///
    /// `file` must be a file of these operations that is open.
    unsafe fn shmem(file: *mut bindings::file) -> &'static bindings::file_operations {
        // SAFETY: By the safety requirements. They never change.
        let operations = unsafe { (*file).f_op }.cast_mut();
        // SAFETY: `install` took them from a `Table`, which is static.
        unsafe { (*container_of!(operations, Table, operations)).shmem }
    }

    /// # Safety
    ///
    /// `file` must be a file of these operations that stays open for `'a`.
    unsafe fn owner<'a>(file: *mut bindings::file) -> ArcBorrow<'a, T> {
        // SAFETY: `install` set the private data.
        unsafe { <Arc<T>>::borrow((*file).private_data) }
    }

    /// # Safety
    ///
    /// `file` must be a file of these operations that stays open for `'a`, and no `fdget_pos` be
    /// under way.
    unsafe fn memory_file<'a>(file: *mut bindings::file) -> MemoryFile<'a, T> {
        // SAFETY: By the safety requirements.
        unsafe { MemoryFile::new(File::from_raw_file(file)) }
    }

    /// # Safety
    ///
    /// As for `llseek` of `struct file_operations`, with a file of these operations.
    unsafe extern "C" fn llseek(
        file: *mut bindings::file,
        offset: bindings::loff_t,
        whence: c_int,
    ) -> bindings::loff_t {
        if MemfdFile::seek_locks(whence) {
            // SAFETY: The caller has the file open.
            if let Err(err) = unsafe { Self::owner(file) }.wait_seek_unblocked() {
                return err.to_errno().into();
            }
        }
        // SAFETY: As above.
        match unsafe { Self::shmem(file) }.llseek {
            // SAFETY: By the safety requirements.
            Some(llseek) => unsafe { llseek(file, offset, whence) },
            None => EINVAL.to_errno().into(),
        }
    }

    /// # Safety
    ///
    /// As for `read_iter` of `struct file_operations`, with a file of these operations.
    unsafe extern "C" fn read_iter(
        kiocb: *mut bindings::kiocb,
        iter: *mut bindings::iov_iter,
    ) -> isize {
        // SAFETY: The request keeps its file open.
        let file = unsafe { (*kiocb).ki_filp };
        // SAFETY: As above.
        let (owner, shmem) = unsafe { (Self::owner(file), Self::shmem(file)) };
        owner.wait_read_unblocked();
        match shmem.read_iter {
            // SAFETY: By the safety requirements.
            Some(read_iter) => unsafe { read_iter(kiocb, iter) },
            None => EINVAL.to_errno() as isize,
        }
    }

    /// # Safety
    ///
    /// As for `write_iter` of `struct file_operations`, with a file of these operations.
    unsafe extern "C" fn write_iter(
        kiocb: *mut bindings::kiocb,
        iter: *mut bindings::iov_iter,
    ) -> isize {
        // SAFETY: The request keeps its file open.
        let file = unsafe { (*kiocb).ki_filp };
        // SAFETY: As above.
        let (owner, shmem) = unsafe { (Self::owner(file), Self::shmem(file)) };
        // `splice_write` has waited before it locked the pipe. The sealer may wait for a reference
        // that only a reader of the pipe drops.
        //
        // SAFETY: By the safety requirements.
        if unsafe { bindings::pinseal_iov_iter_is_user(iter) } {
            // SAFETY: The request is valid.
            let nonblock = unsafe { is_nonblocking_request(kiocb) };
            if let Err(err) = owner.wait_write_unblocked(nonblock) {
                return err.to_errno() as isize;
            }
        }
        match shmem.write_iter {
            // SAFETY: By the safety requirements.
            Some(write_iter) => unsafe { write_iter(kiocb, iter) },
            None => EINVAL.to_errno() as isize,
        }
    }

    /// # Safety
    ///
    /// As for `splice_read` of `struct file_operations`, with a file of these operations.
    unsafe extern "C" fn splice_read(
        file: *mut bindings::file,
        pos: *mut bindings::loff_t,
        pipe: *mut bindings::pipe_inode_info,
        len: usize,
        flags: c_uint,
    ) -> isize {
        // SAFETY: The caller has the file open.
        let (owner, shmem) = unsafe { (Self::owner(file), Self::shmem(file)) };
        owner.wait_read_unblocked();
        match shmem.splice_read {
            // SAFETY: By the safety requirements.
            Some(splice_read) => unsafe { splice_read(file, pos, pipe, len, flags) },
            None => EINVAL.to_errno() as isize,
        }
    }

    /// # Safety
    ///
    /// As for `splice_write` of `struct file_operations`, with a file of these operations.
    unsafe extern "C" fn splice_write(
        pipe: *mut bindings::pipe_inode_info,
        file: *mut bindings::file,
        pos: *mut bindings::loff_t,
        len: usize,
        flags: c_uint,
    ) -> isize {
        // SAFETY: The caller has the file open. `splice_write` is not called between `fdget_pos` and
        // its end.
        let (file_ref, shmem) = unsafe { (Self::memory_file(file), Self::shmem(file)) };
        let nonblock = file_ref.is_nonblocking();
        // SAFETY: By the safety requirements.
        if let Err(err) = unsafe { wait_splice_unblocked(&*file_ref.owner(), pipe, nonblock) } {
            return err.to_errno() as isize;
        }
        match shmem.splice_write {
            // SAFETY: By the safety requirements.
            Some(splice_write) => unsafe { splice_write(pipe, file, pos, len, flags) },
            None => EINVAL.to_errno() as isize,
        }
    }

    /// # Safety
    ///
    /// As for `mmap_prepare` of `struct file_operations`, with a file of these operations.
    unsafe extern "C" fn mmap_prepare(desc: *mut bindings::vm_area_desc) -> c_int {
        // SAFETY: By the safety requirements; the file stays open during the call.
        let file = unsafe { (*desc).file };
        // SAFETY: As above. `mmap_prepare` is not called between `fdget_pos` and its end.
        let (file, shmem) = unsafe { (Self::memory_file(file), Self::shmem(file)) };
        // SAFETY: By the safety requirements.
        let vma = unsafe { NewMemfdVma::new(desc, file) };
        match vma.prepare(shmem) {
            Ok(()) => 0,
            Err(err) => err.to_errno(),
        }
    }

    /// # Safety
    ///
    /// `file` must be a file of these operations that is being released.
    unsafe extern "C" fn release(_inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: `install` set the private data, and nothing else takes it.
        drop(unsafe { <Arc<T>>::from_foreign((*file).private_data) });
        0
    }

    /// # Safety
    ///
    /// As for `show_fdinfo` of `struct file_operations`, with a file of these operations.
    #[cfg(CONFIG_PROC_FS)]
    unsafe extern "C" fn show_fdinfo(m: *mut bindings::seq_file, file: *mut bindings::file) {
        // SAFETY: The caller has the file open, and `m` is valid.
        let (owner, m) = unsafe { (Self::owner(file), SeqFile::from_raw(m)) };
        owner.show_fdinfo(m);
    }
}

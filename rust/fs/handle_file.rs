// SPDX-License-Identifier: GPL-2.0-only

//! Handle files: anonymous files that refer to a Rust object, and keep the module loaded.
//!
//! C headers: [`include/linux/anon_inodes.h`](srctree/include/linux/anon_inodes.h),
//! [`include/linux/fs.h`](srctree/include/linux/fs.h)

use crate::{
    bindings,
    fs::memory_file::{
        MemoryFile,
        MemoryOwner, //
    },
    sync::{
        once::get_or_try_init,
        poll::{
            PollEvent,
            Poller, //
        }, //
    }, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    error::from_err_ptr,
    ffi::{
        c_int,
        c_long,
        c_uint,
        c_ulong, //
    },
    fs::File,
    iov::{
        IovIterDest,
        IovIterSource, //
    },
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

/// The object that a handle file refers to.
pub(crate) trait Handle: Sized + Send + Sync + 'static {
    /// Name of the file in `/proc/PID/fd`.
    const NAME: &'static CStr;

    /// Size in bytes. It does not change.
    fn size(&self) -> i64;

    /// Reads at a position, which is not negative. Returns the number of bytes.
    fn read(&self, at: i64, iov: &mut IovIterDest<'_>) -> Result<usize>;

    /// Writes at a position, which is not negative. Returns the number of bytes.
    fn write(&self, at: i64, iov: &mut IovIterSource<'_>) -> Result<usize>;

    /// Returns what is reported to pollers, and wakes `poller` when that changes.
    fn poll(&self, poller: &Poller<'_>) -> PollEvent;

    /// Prints the fdinfo of the file.
    #[cfg_attr(not(CONFIG_PROC_FS), expect(dead_code))]
    fn show_fdinfo(&self, m: &SeqFile);
}

/// Ioctls of a handle.
///
/// A trait of its own: command words and user memory are a layer above the handle's object.
pub(crate) trait HandleCommands: Handle {
    /// Runs a command. Returns the return value of `ioctl()`.
    fn ioctl(&self, cmd: u32, arg: usize) -> Result<isize>;
}

/// The file operations of one type of handle, in a static.
///
/// They are filled in when the first file is opened, because the module is not known before.
pub(crate) struct HandleOperations<T> {
    table: SetOnce<Table>,
    _handle: PhantomData<fn() -> T>,
}

struct Table(bindings::file_operations);

// SAFETY: The table never changes, and its pointers are to statics.
unsafe impl Send for Table {}
// SAFETY: As above.
unsafe impl Sync for Table {}

impl<T: HandleCommands> HandleOperations<T> {
    /// Creates an empty table.
    pub(crate) const fn new() -> Self {
        Self {
            table: SetOnce::new(),
            _handle: PhantomData,
        }
    }

    /// Opens a file that refers to `handle`. `access` is its access mode. The file keeps the module
    /// of `file` loaded.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, `ENFILE`.
    pub(crate) fn open<D: MemoryOwner>(
        &'static self,
        file: MemoryFile<'_, D>,
        handle: Arc<T>,
        access: u32,
    ) -> Result<ARef<File>> {
        let table = &raw const self.table(file.module())?.0;
        let private_data = handle.into_foreign();
        // SAFETY: The name and the table are static. `release` takes the private data back.
        let file = unsafe {
            bindings::pinseal_anon_inode_getfile(
                T::NAME.as_char_ptr(),
                table,
                private_data,
                // CAST: A bit mask.
                access as c_int,
            )
        };
        let file = from_err_ptr(file).inspect_err(|_| {
            // SAFETY: No file has taken the private data.
            drop(unsafe { <Arc<T>>::from_foreign(private_data) });
        })?;
        // SAFETY: `from_err_ptr` returned a valid pointer. We own the reference that came with the
        // file, which has no other user, so there is no `fdget_pos` under way.
        Ok(unsafe { ARef::from_raw(NonNull::new_unchecked(file.cast())) })
    }

    fn table(&'static self, module: *mut bindings::module) -> Result<&'static Table> {
        get_or_try_init(&self.table, || {
            Ok(Table(bindings::file_operations {
                owner: module,
                llseek: Some(Self::llseek),
                read_iter: Some(Self::read_iter),
                write_iter: Some(Self::write_iter),
                splice_read: Some(bindings::copy_splice_read),
                poll: Some(Self::poll),
                unlocked_ioctl: Some(Self::ioctl),
                compat_ioctl: bindings::compat_ptr_ioctl,
                release: Some(Self::release),
                #[cfg(CONFIG_PROC_FS)]
                show_fdinfo: Some(Self::show_fdinfo),
                ..pin_init::zeroed()
            }))
        })
    }

    /// # Safety
    ///
    /// `file` must be a file of these operations that stays open for `'a`.
    unsafe fn handle<'a>(file: *mut bindings::file) -> ArcBorrow<'a, T> {
        // SAFETY: `open` set the private data.
        unsafe { <Arc<T>>::borrow((*file).private_data) }
    }

    /// # Safety
    ///
    /// `file` must be a file of these operations.
    unsafe extern "C" fn llseek(
        file: *mut bindings::file,
        offset: bindings::loff_t,
        whence: c_int,
    ) -> bindings::loff_t {
        // SAFETY: The caller has the file open.
        let size = unsafe { Self::handle(file) }.size();
        // SAFETY: As above; the VFS has locked the position where it has to.
        unsafe { bindings::fixed_size_llseek(file, offset, whence, size) }
    }

    /// # Safety
    ///
    /// `kiocb` must be a read request for a file of these operations, and `iter` its destination.
    unsafe extern "C" fn read_iter(
        kiocb: *mut bindings::kiocb,
        iter: *mut bindings::iov_iter,
    ) -> isize {
        // SAFETY: By the safety requirements; the file stays open while the request is under way.
        let (handle, iov) =
            unsafe { (Self::handle((*kiocb).ki_filp), IovIterDest::from_raw(iter)) };
        // SAFETY: `kiocb` is valid, and not accessed by others during the call.
        let position = unsafe { &mut (*kiocb).ki_pos };
        advance(position, handle.read(*position, iov))
    }

    /// # Safety
    ///
    /// `kiocb` must be a write request for a file of these operations, and `iter` its source.
    unsafe extern "C" fn write_iter(
        kiocb: *mut bindings::kiocb,
        iter: *mut bindings::iov_iter,
    ) -> isize {
        // SAFETY: By the safety requirements; the file stays open while the request is under way.
        let (handle, iov) = unsafe {
            (
                Self::handle((*kiocb).ki_filp),
                IovIterSource::from_raw(iter),
            )
        };
        // SAFETY: `kiocb` is valid, and not accessed by others during the call.
        let position = unsafe { &mut (*kiocb).ki_pos };
        advance(position, handle.write(*position, iov))
    }

    /// # Safety
    ///
    /// `file` must be a file of these operations, and `table` as the VFS passes it to `poll`.
    unsafe extern "C" fn poll(
        file: *mut bindings::file,
        table: *mut bindings::poll_table_struct,
    ) -> bindings::__poll_t {
        // SAFETY: The caller has the file open. `poll` is not called between `fdget_pos` and its
        // end.
        let (handle, file) = unsafe { (Self::handle(file), File::from_raw_file(file)) };
        // SAFETY: By the safety requirements; `T::poll` cannot keep the poller.
        let poller = unsafe { Poller::new(file, table) };
        handle.poll(&poller).mask()
    }

    /// # Safety
    ///
    /// `file` must be a file of these operations.
    unsafe extern "C" fn ioctl(file: *mut bindings::file, cmd: c_uint, arg: c_ulong) -> c_long {
        // SAFETY: The caller has the file open.
        let handle = unsafe { Self::handle(file) };
        match handle.ioctl(cmd, arg) {
            Ok(ret) => ret,
            Err(err) => err.to_errno() as c_long,
        }
    }

    /// # Safety
    ///
    /// `file` must be a file of these operations that is being released.
    unsafe extern "C" fn release(_inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: `open` set the private data, and nothing else takes it.
        drop(unsafe { <Arc<T>>::from_foreign((*file).private_data) });
        0
    }

    /// # Safety
    ///
    /// `file` must be a file of these operations, and `m` valid.
    #[cfg(CONFIG_PROC_FS)]
    unsafe extern "C" fn show_fdinfo(m: *mut bindings::seq_file, file: *mut bindings::file) {
        // SAFETY: The caller has the file open, and `m` is valid.
        let (handle, m) = unsafe { (Self::handle(file), SeqFile::from_raw(m)) };
        handle.show_fdinfo(m);
    }
}

fn advance(position: &mut i64, done: Result<usize>) -> isize {
    match done {
        Ok(len) => {
            // CAST: A transfer is never longer than this.
            *position += len as i64;
            len as isize
        }
        // CAST: Lossless.
        Err(err) => err.to_errno() as isize,
    }
}

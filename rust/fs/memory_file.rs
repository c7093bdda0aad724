// SPDX-License-Identifier: GPL-2.0-only

//! Open files that behave like memory, and their owners: files of a memory device, and memfds.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use crate::{
    bindings,
    fs::{
        mapping::MappingOwner,
        memfd::MemfdOperations,
        memfd_file::{
            reopen_file,
            MemfdFile, //
            NewFile,
        }, //
    },
    sync::poll::{
        PollEvent,
        Poller, //
    }, //
};
use core::marker::PhantomData;
use kernel::{
    ffi::{
        c_long,
        c_uint,
        c_ulong, //
    },
    fs::{
        file::flags,
        File,
        LocalFile, //
    },
    prelude::*,
    seq_file::SeqFile,
    sync::{
        aref::ARef,
        Arc,
        ArcBorrow, //
    },
    types::ForeignOwnable, //
};

/// The owner of files that behave like memory.
pub(crate) trait MemoryOwner: MappingOwner {
    /// Returns the operations of its memfds.
    fn memfd_operations() -> &'static MemfdOperations<Self>;

    /// Runs a command. A value that is not negative is the return value of `ioctl()`.
    fn command(file: MemoryFile<'_, Self>, cmd: u32, arg: usize) -> Result<isize>;

    /// Returns what is reported to pollers, and wakes `poller` when that changes.
    fn poll(file: MemoryFile<'_, Self>, poller: Poller<'_>) -> PollEvent;

    /// Prints the fdinfo of a file.
    fn show_fdinfo(&self, m: &SeqFile);

    /// Called before a write, with no lock held.
    ///
    /// # Errors
    ///
    /// `EAGAIN` when it would wait and `nonblock` is set, `ERESTARTSYS` for a signal or task work.
    fn wait_write_unblocked(&self, nonblock: bool) -> Result;

    /// The same before a write by a task that has page references until it has written.
    fn wait_write_briefly(&self);

    /// Called before a seek that locks the inode.
    ///
    /// # Errors
    ///
    /// `ERESTARTNOINTR` for a signal or task work.
    fn wait_seek_unblocked(&self) -> Result;
}

/// Waits until writes are not blocked, before a pipe is written to a file of `owner`.
///
/// The pipe of an in-kernel copy (`sendfile()`, `copy_file_range()`) has references to pages, perhaps of this
/// file, and no other task can read it. So only a pipe of a user is waited with as long as it takes.
///
/// # Safety
///
/// `pipe` must be valid.
///
/// # Errors
///
/// Those of [`MemoryOwner::wait_write_unblocked`].
pub(super) unsafe fn wait_splice_unblocked<T: MemoryOwner>(
    owner: &T,
    pipe: *mut bindings::pipe_inode_info,
    nonblock: bool,
) -> Result {
    // SAFETY: By the safety requirements.
    let is_copy = unsafe { bindings::pinseal_is_splice_pipe(pipe) };
    match is_copy && !nonblock {
        true => {
            owner.wait_write_briefly();
            Ok(())
        }
        false => owner.wait_write_unblocked(nonblock),
    }
}

/// An open file of an owner of type `T`.
///
/// # Invariants
///
/// It is a file of a memory device of `T`, or has `T`'s memfd operations. From open to release, its
/// private data is an `Arc<T>`.
pub(crate) struct MemoryFile<'a, T> {
    file: &'a File,
    _owner: PhantomData<T>,
}

impl<T> Clone for MemoryFile<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for MemoryFile<'_, T> {}

impl<'a, T: MemoryOwner> MemoryFile<'a, T> {
    /// Creates a `MemoryFile` from a file.
    ///
    /// # Safety
    ///
    /// `file` must be a file of a memory device of `T`, or have `T`'s memfd operations; it must not
    /// be released.
    pub(super) unsafe fn new(file: &'a File) -> Self {
        // INVARIANT: By the safety requirements.
        Self {
            file,
            _owner: PhantomData,
        }
    }

    /// Returns the file.
    pub(super) fn file(&self) -> &'a File {
        self.file
    }

    /// Returns the file if it is itself the memory: a memfd.
    pub(crate) fn memfd(&self) -> Option<&'a MemfdFile> {
        MemfdFile::try_from(self.file)
    }

    /// Returns the owner of the file. Files that were reopened have the same owner.
    pub(crate) fn owner(&self) -> ArcBorrow<'a, T> {
        // SAFETY: The file is open; by the type invariants, its private data is an `Arc<T>`.
        unsafe { <Arc<T>>::borrow((*self.file.as_ptr()).private_data) }
    }

    /// Returns the module that the file keeps loaded.
    pub(super) fn module(&self) -> *mut bindings::module {
        // SAFETY: The file is open; its operations never change.
        unsafe { (*(*self.file.as_ptr()).f_op).owner }
    }

    /// Returns the access mode: `O_RDONLY`, `O_WRONLY` or `O_RDWR`.
    pub(crate) fn access(&self) -> u32 {
        self.file.flags() & flags::O_ACCMODE
    }

    /// Whether the file was opened for writing.
    pub(crate) fn is_writable(&self) -> bool {
        matches!(self.access(), flags::O_WRONLY | flags::O_RDWR)
    }

    /// Whether the file was opened for reading.
    pub(crate) fn is_readable(&self) -> bool {
        matches!(self.access(), flags::O_RDONLY | flags::O_RDWR)
    }

    /// Whether `O_NONBLOCK` is set. It may change at any time.
    pub(crate) fn is_nonblocking(&self) -> bool {
        self.file.flags() & flags::O_NONBLOCK != 0
    }

    /// `poll` of `struct file_operations`.
    ///
    /// # Safety
    ///
    /// `file` must be as for [`MemoryFile::new`], and `table` as the VFS passes it.
    pub(super) unsafe extern "C" fn poll(
        file: *mut bindings::file,
        table: *mut bindings::poll_table_struct,
    ) -> bindings::__poll_t {
        // SAFETY: The caller has the file open. `poll` is not called between `fdget_pos` and its
        // end. The rest are the safety requirements.
        let file = unsafe { Self::new(File::from_raw_file(file)) };
        // SAFETY: By the safety requirements; `T::poll` cannot keep the poller.
        let poller = unsafe { Poller::new(file.file(), table) };
        T::poll(file, poller).mask()
    }

    /// `unlocked_ioctl` of `struct file_operations`.
    ///
    /// # Safety
    ///
    /// `file` must be as for [`MemoryFile::new`].
    pub(super) unsafe extern "C" fn ioctl(
        file: *mut bindings::file,
        cmd: c_uint,
        arg: c_ulong,
    ) -> c_long {
        // SAFETY: The caller has the file open. `ioctl` is not called between `fdget_pos` and its
        // end. The rest are the safety requirements.
        let file = unsafe { Self::new(File::from_raw_file(file)) };
        match T::command(file, cmd, arg) {
            Ok(value) => value,
            // CAST: Lossless.
            Err(err) => err.to_errno() as isize,
        }
    }

    /// Opens the file again, as a file of the same owner. `access` is `O_RDONLY` or `O_RDWR`.
    ///
    /// # Errors
    ///
    /// Those of opening the device, or of [`MemfdFile::reopen`].
    pub(crate) fn reopen(&self, access: u32) -> Result<ARef<File>> {
        // SAFETY: The file is open.
        let opened = unsafe { reopen_file(self.file.as_ptr(), access) }?;
        let owner = self.owner().into();
        match self.memfd() {
            // SAFETY: The file is a regular shmem file, with shmem's operations, for the inode has
            // no others.
            Some(_) => unsafe { T::memfd_operations().install(opened, owner, self.module()) },
            None => {
                // Of errors of a lower file that this file was told of, the new one is not.
                //
                // SAFETY: `opened` is a file of the same device, and has no other user yet. Others change the
                // field of this file by atomic operations.
                unsafe {
                    (*opened.as_ptr()).f_wb_err =
                        (&raw const (*self.file.as_ptr()).f_wb_err).read_volatile();
                    replace_owner(&opened, owner);
                }
                Ok(opened.share())
            }
        }
    }
}

/// Whether an I/O request must not wait, because of its file or its own flags.
///
/// io_uring sets the flag of a request, until it has a task that may wait.
///
/// # Safety
///
/// `kiocb` must be a request that is not completed.
pub(super) unsafe fn is_nonblocking_request(kiocb: *mut bindings::kiocb) -> bool {
    // SAFETY: The request keeps its file open. The VFS has locked the position where it has to.
    let file = unsafe { LocalFile::from_raw_file((*kiocb).ki_filp) };
    // SAFETY: By the safety requirements.
    let request_flags = unsafe { (*kiocb).ki_flags };
    file.flags() & flags::O_NONBLOCK != 0 || request_flags & bindings::pinseal_IOCB_NOWAIT != 0
}

/// # Safety
///
/// `file` must be a file of a memory device of `T`.
unsafe fn replace_owner<T: MemoryOwner>(file: &NewFile, owner: Arc<T>) {
    // SAFETY: By the safety requirements, the private data is an `Arc<T>`, of a new owner. By the
    // invariants of `NewFile`, the file has no other user.
    unsafe {
        let private_data = &raw mut (*file.as_ptr()).private_data;
        drop(<Arc<T>>::from_foreign(private_data.read()));
        private_data.write(owner.into_foreign());
    }
}

// SPDX-License-Identifier: GPL-2.0-only

//! Files without a name that stand for something one has, and that keep the module loaded.
//!
//! C headers: [`include/linux/anon_inodes.h`](srctree/include/linux/anon_inodes.h),
//! [`include/linux/fs.h`](srctree/include/linux/fs.h)

use crate::{
    bindings,
    fs::device_file::DeviceFile,
    sync::{
        once::get_or_try_init,
        poll::Poller, //
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

/// What a handle stands for.
pub(crate) trait Handle: Sized + Send + Sync + 'static {
    /// What its files are called in `/proc/PID/fd`.
    const NAME: &'static CStr;

    /// Size in bytes, which does not change.
    fn size(&self) -> i64;

    /// Reads at a position that is not negative. Returns how many bytes.
    fn read(&self, at: i64, iov: &mut IovIterDest<'_>) -> Result<usize>;

    /// Writes at a position that is not negative. Returns how many bytes.
    fn write(&self, at: i64, iov: &mut IovIterSource<'_>) -> Result<usize>;

    /// What is to be told to who polls. Has them woken up when that changes.
    fn poll(&self, poller: &Poller<'_>) -> Event;

    /// Shows it in fdinfo.
    fn show(&self, m: &SeqFile);
}

/// The commands of a handle. They are for who knows about command words and user memory, which is not
/// who knows what the handle stands for.
pub(crate) trait HandleCommands: Handle {
    /// Does a command. Returns what the call returns.
    fn ioctl(&self, cmd: u32, arg: usize) -> Result<isize>;
}

/// What is to be told to who polls a handle.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// It can be read and written.
    None,
    /// Besides, its holder should look at it.
    Priority,
    /// What it stood for is gone.
    HangUp,
}

/// The operations of files of a kind of handle. There is one for each kind, in a static; it is filled
/// when the first is opened, when it is known which module they belong to.
pub(crate) struct HandleOperations<T> {
    table: SetOnce<Table>,
    _handle: PhantomData<fn() -> T>,
}

struct Table(bindings::file_operations);

// SAFETY: The table is never changed, and what it points to is static.
unsafe impl Send for Table {}
// SAFETY: As above.
unsafe impl Sync for Table {}

impl<T: HandleCommands> HandleOperations<T> {
    /// Nothing known yet.
    pub(crate) const fn new() -> Self {
        Self {
            table: SetOnce::new(),
            _handle: PhantomData,
        }
    }

    /// Opens a file that stands for `handle`, with `access` as in `open()`. It belongs to the module
    /// that `device` belongs to.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, `ENFILE`.
    pub(crate) fn open<D: Send + Sync + 'static>(
        &'static self,
        device: DeviceFile<'_, D>,
        handle: Arc<T>,
        access: u32,
    ) -> Result<ARef<File>> {
        let table = &raw const self.table(device.module())?.0;
        let private_data = handle.into_foreign();
        // SAFETY: The name and the table are static. What the file has as its private data is given
        // back in `release`.
        let file = unsafe {
            bindings::pinseal_anon_inode_getfile(
                T::NAME.as_char_ptr(),
                table,
                private_data,
                // CAST: Bits.
                access as c_int,
            )
        };
        let file = from_err_ptr(file).inspect_err(|_| {
            // SAFETY: No file has it.
            drop(unsafe { <Arc<T>>::from_foreign(private_data) });
        })?;
        // SAFETY: `from_err_ptr` returned a valid pointer. We own the reference that came with the
        // file, and nobody else has it, so there is no `fdget_pos` under way.
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
    /// `file` must be a file of such handles that stays open for `'a`.
    unsafe fn handle<'a>(file: *mut bindings::file) -> ArcBorrow<'a, T> {
        // SAFETY: `open` put it there.
        unsafe { <Arc<T>>::borrow((*file).private_data) }
    }

    /// # Safety
    ///
    /// `file` must be a file of such handles.
    unsafe extern "C" fn llseek(
        file: *mut bindings::file,
        offset: bindings::loff_t,
        whence: c_int,
    ) -> bindings::loff_t {
        // SAFETY: The caller holds the file open.
        let size = unsafe { Self::handle(file) }.size();
        // SAFETY: As above; the VFS took the position's lock where it has to.
        unsafe { bindings::fixed_size_llseek(file, offset, whence, size) }
    }

    /// # Safety
    ///
    /// `kiocb` must be a request for such a file, with `iter` for what is read.
    unsafe extern "C" fn read_iter(
        kiocb: *mut bindings::kiocb,
        iter: *mut bindings::iov_iter,
    ) -> isize {
        // SAFETY: By the safety requirements; the file stays open while the request is under way.
        let (handle, iov) =
            unsafe { (Self::handle((*kiocb).ki_filp), IovIterDest::from_raw(iter)) };
        // SAFETY: The request is ours for the duration of the call.
        let position = unsafe { &mut (*kiocb).ki_pos };
        advance(position, handle.read(*position, iov))
    }

    /// # Safety
    ///
    /// `kiocb` must be a request for such a file, with `iter` for what is written.
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
        // SAFETY: The request is ours for the duration of the call.
        let position = unsafe { &mut (*kiocb).ki_pos };
        advance(position, handle.write(*position, iov))
    }

    /// # Safety
    ///
    /// `file` must be a file of such handles, `table` as for `poll`.
    unsafe extern "C" fn poll(
        file: *mut bindings::file,
        table: *mut bindings::poll_table_struct,
    ) -> bindings::__poll_t {
        // SAFETY: The caller holds the file open. `poll` is not called between `fdget_pos` and its
        // end.
        let (handle, file) = unsafe { (Self::handle(file), File::from_raw_file(file)) };
        // SAFETY: By the safety requirements, and because nobody but `T::poll` gets it.
        let poller = unsafe { Poller::new(file, table) };
        bindings::POLLIN
            | bindings::POLLOUT
            | bindings::POLLRDNORM
            | bindings::POLLWRNORM
            | match handle.poll(&poller) {
                Event::None => 0,
                Event::Priority => bindings::POLLPRI,
                Event::HangUp => bindings::POLLHUP,
            }
    }

    /// # Safety
    ///
    /// `file` must be a file of such handles.
    unsafe extern "C" fn ioctl(file: *mut bindings::file, cmd: c_uint, arg: c_ulong) -> c_long {
        // SAFETY: The caller holds the file open.
        let handle = unsafe { Self::handle(file) };
        match handle.ioctl(cmd, arg) {
            Ok(ret) => ret,
            Err(err) => err.to_errno() as c_long,
        }
    }

    /// # Safety
    ///
    /// `file` must be a file of such handles that is going.
    unsafe extern "C" fn release(_inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: `open` put it there, and nobody else takes it.
        drop(unsafe { <Arc<T>>::from_foreign((*file).private_data) });
        0
    }

    /// # Safety
    ///
    /// `file` must be a file of such handles, `m` as for `show_fdinfo`.
    #[cfg(CONFIG_PROC_FS)]
    unsafe extern "C" fn show_fdinfo(m: *mut bindings::seq_file, file: *mut bindings::file) {
        // SAFETY: The caller holds the file open, and gives a valid `seq_file`.
        let (handle, m) = unsafe { (Self::handle(file), SeqFile::from_raw(m)) };
        handle.show(m);
    }
}

fn advance(position: &mut i64, done: Result<usize>) -> isize {
    match done {
        Ok(len) => {
            // CAST: No transfer is longer than this.
            *position += len as i64;
            len as isize
        }
        // CAST: Lossless.
        Err(err) => err.to_errno() as isize,
    }
}

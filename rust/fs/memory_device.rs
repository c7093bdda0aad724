// SPDX-License-Identifier: GPL-2.0-only

//! Misc devices whose files behave like memory. To [`MiscDevice`] they add seeking, splicing,
//! syncing, polling, and mapping at addresses aligned for huge pages.
//!
//! C headers: [`include/linux/miscdevice.h`](srctree/include/linux/miscdevice.h),
//! [`include/linux/fs.h`](srctree/include/linux/fs.h)

use crate::{
    bindings,
    fs::{
        mapping::NewDeviceVma,
        memfd_file::MemfdFile, //
        memory_file::{
            is_nonblocking_request,
            wait_splice_unblocked,
            MemoryFile,
            MemoryOwner, //
        },
    },
};
use core::{
    marker::PhantomData,
    ptr, //
};
use kernel::{
    container_of,
    error::to_result,
    ffi::{
        c_int,
        c_uint,
        c_ulong, //
    },
    fs::{
        file::flags::{
            O_DSYNC,
            O_NONBLOCK,
            O_SYNC, //
        },
        File,
        Kiocb,
        LocalFile, //
    },
    miscdevice::{
        MiscDevice,
        MiscDeviceOptions,
        MiscDeviceRegistration, //
    },
    mm::virt::VmaNew,
    prelude::*,
    sync::{
        Arc,
        ArcBorrow, //
    },
    types::{
        ForeignOwnable,
        Opaque, //
    }, //
};

/// A misc device whose files are backed by a shmem file.
pub(crate) trait MemoryDevice: MiscDevice<Ptr = Arc<Self>> + MemoryOwner {
    /// Mode of the device node.
    const MODE: u16;

    /// Data shared by all files of the device.
    type Shared: Send + Sync + 'static;

    /// Returns the memory, which is created at its first use.
    ///
    /// May be called under the mmap lock: a lock that it takes must not be held across a copy from
    /// or to user space.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, and those of its creation.
    fn memory(&self) -> Result<&MemfdFile>;

    /// The memory, if it is to be synced when a descriptor that is open for writing is closed.
    fn memory_to_sync_on_close(&self) -> Option<&MemfdFile>;

    /// Sets up a mapping.
    ///
    /// Context: the mmap lock is held for writing.
    fn map(&self, vma: NewDeviceVma<'_, Self>) -> Result;
}

/// Whether an I/O request must not wait, because of its file or its own flags.
pub(crate) fn is_nonblocking<T: ForeignOwnable>(kiocb: &Kiocb<'_, T>) -> bool {
    // SAFETY: The request is valid as long as `kiocb`.
    unsafe { is_nonblocking_request(kiocb.as_raw()) }
}

/// A registered [`MemoryDevice`].
///
/// # Invariants
///
/// `inner` is registered with `misc_register()`, and its `fops` are `operations`.
#[pin_data(PinnedDrop)]
pub(crate) struct Registration<T: MemoryDevice> {
    operations: bindings::file_operations,
    shared: T::Shared,
    /// The kernel crate passes it to `open` as a `MiscDeviceRegistration`.
    #[pin]
    inner: Opaque<bindings::miscdevice>,
    _device: PhantomData<T>,
}

// SAFETY: Any thread may deregister a misc device.
unsafe impl<T: MemoryDevice> Send for Registration<T> {}
// SAFETY: `&self` gives access to `T::Shared` only.
unsafe impl<T: MemoryDevice> Sync for Registration<T> {}

impl<T: MemoryDevice> Registration<T> {
    /// Registers the device as `name`. Its open files keep `module` loaded.
    pub(crate) fn register(
        module: &'static ThisModule,
        name: &'static CStr,
        shared: T::Shared,
    ) -> impl PinInit<Self, Error> {
        try_pin_init!(&this in Self {
            shared,
            operations: bindings::file_operations {
                // The kernel crate sets it since Linux 7.3 only.
                owner: module.as_ptr(),
                ..*Operations::<T>::TABLE
            },
            inner <- Opaque::try_ffi_init(move |slot: *mut bindings::miscdevice| {
                let device = bindings::miscdevice {
                    // SAFETY: `this` is being initialised, and pinned.
                    fops: unsafe { &raw const (*this.as_ptr()).operations },
                    mode: T::MODE,
                    ..MiscDeviceOptions { name }.into_raw::<T>()
                };
                // SAFETY: `slot` is valid for writing.
                unsafe { slot.write(device) };
                // INVARIANT: On success, the device is registered.
                //
                // SAFETY: `slot` holds a misc device. The device and its operations do not move,
                // and are valid until `drop`.
                to_result(unsafe { bindings::misc_register(slot) })
            }),
            _device: PhantomData,
        })
    }

    /// Returns the shared data, in `open`.
    pub(crate) fn shared(device: &MiscDeviceRegistration<T>) -> &T::Shared {
        let inner = ptr::from_ref(device)
            .cast::<Opaque<bindings::miscdevice>>()
            .cast_mut();
        // SAFETY: `open` of a `T` is reached only by the operations of a `Registration<T>`, so
        // `device` is its `inner`. The registration stays as long as a file is open.
        unsafe { &(*container_of!(inner, Self, inner)).shared }
    }
}

#[pinned_drop]
impl<T: MemoryDevice> PinnedDrop for Registration<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariants, the device is registered.
        unsafe { bindings::misc_deregister(self.inner.get()) };
    }
}

/// The file operations of [`MiscDevice`], and those that it lacks.
struct Operations<T>(PhantomData<T>);

impl<T: MemoryDevice> Operations<T> {
    const TABLE: &'static bindings::file_operations = &bindings::file_operations {
        llseek: Some(Self::llseek),
        splice_read: Some(Self::splice_read),
        splice_write: Some(Self::splice_write),
        get_unmapped_area: Some(Self::get_unmapped_area),
        mmap: Some(Self::mmap),
        poll: Some(MemoryFile::<T>::poll),
        unlocked_ioctl: Some(MemoryFile::<T>::ioctl),
        #[cfg(CONFIG_COMPAT)]
        compat_ioctl: bindings::compat_ptr_ioctl,
        fsync: Some(Self::fsync),
        flush: Some(Self::flush),
        // SAFETY: `fops` points to a constant.
        ..unsafe { *MiscDeviceOptions { name: c"" }.into_raw::<T>().fops }
    };

    /// # Safety
    ///
    /// `file` must be a file of this device that stays open for `'a`.
    unsafe fn device<'a>(file: *mut bindings::file) -> ArcBorrow<'a, T> {
        // SAFETY: From open to release, the private data of a file of this device is an `Arc<T>`.
        unsafe { <Arc<T>>::borrow((*file).private_data) }
    }

    /// # Safety
    ///
    /// `file` must be a file of this device, and `vma` be undergoing setup in its `mmap`.
    unsafe extern "C" fn mmap(
        file: *mut bindings::file,
        vma: *mut bindings::vm_area_struct,
    ) -> c_int {
        // SAFETY: By the safety requirements.
        let vma = unsafe { VmaNew::from_raw(vma) };
        // SAFETY: The caller has the file open. `mmap` is not called between `fdget_pos` and its
        // end. The private data of a file of this device is an `Arc<T>`.
        let device = unsafe { MemoryFile::<T>::new(File::from_raw_file(file)) };
        match device.owner().map(NewDeviceVma::new(vma, device)) {
            Ok(()) => 0,
            Err(err) => err.to_errno(),
        }
    }

    /// # Safety
    ///
    /// `file` must be a file of this device.
    unsafe extern "C" fn llseek(
        file: *mut bindings::file,
        offset: bindings::loff_t,
        whence: c_int,
    ) -> bindings::loff_t {
        // SAFETY: The caller has the file open.
        let device = unsafe { Self::device(file) };
        if MemfdFile::seek_locks(whence) {
            if let Err(err) = device.wait_seek_unblocked() {
                return err.to_errno().into();
            }
        }
        match device.memory() {
            // SAFETY: As above. The VFS has locked the position where it has to.
            Ok(memory) => memory.seek(unsafe { LocalFile::from_raw_file(file) }, offset, whence),
            Err(err) => err.to_errno().into(),
        }
    }

    /// # Safety
    ///
    /// `file` must be a file of this device, and `pos` and `pipe` as the VFS passes them to
    /// `splice_read`.
    unsafe extern "C" fn splice_read(
        file: *mut bindings::file,
        pos: *mut bindings::loff_t,
        pipe: *mut bindings::pipe_inode_info,
        len: usize,
        flags: c_uint,
    ) -> isize {
        // SAFETY: The caller has the file open.
        let device = unsafe { Self::device(file) };
        device.wait_read_unblocked();
        match device.memory() {
            // SAFETY: By the safety requirements.
            Ok(memory) => unsafe { memory.splice_read(pos, pipe, len, flags) },
            Err(err) => err.to_errno() as isize,
        }
    }

    /// # Safety
    ///
    /// `file` must be a file of this device, and `pos` and `pipe` as the VFS passes them to
    /// `splice_write`.
    unsafe extern "C" fn splice_write(
        pipe: *mut bindings::pipe_inode_info,
        file: *mut bindings::file,
        pos: *mut bindings::loff_t,
        len: usize,
        flags: c_uint,
    ) -> isize {
        // SAFETY: The caller has the file open.
        let device = unsafe { Self::device(file) };
        // SAFETY: As above. `splice_write` is not called between `fdget_pos` and its end.
        let file_flags = unsafe { File::from_raw_file(file) }.flags();
        // Not in `write_iter`, which is called with the pipe locked: the sealer may wait for a
        // reference that only a reader of the pipe drops.
        let nonblock = file_flags & O_NONBLOCK != 0;
        // SAFETY: By the safety requirements.
        if let Err(err) = unsafe { wait_splice_unblocked(&*device, pipe, nonblock) } {
            return err.to_errno() as isize;
        }
        let memory = match device.memory() {
            Ok(memory) => memory,
            Err(err) => return err.to_errno() as isize,
        };
        // SAFETY: By the safety requirements.
        let written = unsafe { memory.splice_write(pipe, pos, len, flags) };
        if written <= 0 || file_flags & O_DSYNC == 0 {
            return written;
        }
        // The file behind the device does not know the flag.
        //
        // SAFETY: By the safety requirements.
        let ret = unsafe {
            let end = *pos;
            let data_only = file_flags & O_SYNC != O_SYNC;
            Self::sync(memory, file, end - written as i64, end - 1, data_only)
        };
        match ret {
            0 => written,
            err => err as isize,
        }
    }

    /// # Safety
    ///
    /// `file` must be a file of this device.
    unsafe extern "C" fn fsync(
        file: *mut bindings::file,
        start: bindings::loff_t,
        end: bindings::loff_t,
        data_only: c_int,
    ) -> c_int {
        // SAFETY: The caller has the file open.
        let device = unsafe { Self::device(file) };
        let memory = match device.memory() {
            Ok(memory) => memory,
            Err(err) => return err.to_errno(),
        };
        // SAFETY: As above.
        unsafe { Self::sync(memory, file, start, end, data_only != 0) }
    }

    /// Syncs `memory`, that of `file`. Returns 0 or an errno.
    ///
    /// # Safety
    ///
    /// `file` must be open.
    unsafe fn sync(
        memory: &MemfdFile,
        file: *mut bindings::file,
        start: i64,
        end: i64,
        data_only: bool,
    ) -> c_int {
        let result = memory.sync(start, end, data_only);
        // SAFETY: By the safety requirements.
        let seen = unsafe { memory.check_errors_for(file) };
        match result {
            Ok(()) => seen,
            Err(err) => err.to_errno(),
        }
    }

    /// # Safety
    ///
    /// `file` must be a file of this device, of which a descriptor is being closed.
    unsafe extern "C" fn flush(file: *mut bindings::file, _id: bindings::fl_owner_t) -> c_int {
        // SAFETY: The caller has the file open. `flush` is not called between `fdget_pos` and its end.
        let (device, is_writable) = unsafe {
            let memory_file = MemoryFile::<T>::new(File::from_raw_file(file));
            (Self::device(file), memory_file.is_writable())
        };
        match device.memory_to_sync_on_close() {
            // SAFETY: As above.
            Some(memory) if is_writable => unsafe { Self::sync(memory, file, 0, i64::MAX, false) },
            _ => 0,
        }
    }

    /// # Safety
    ///
    /// `file` must be a file of this device, and the mmap lock of the current task be held for
    /// writing.
    unsafe extern "C" fn get_unmapped_area(
        file: *mut bindings::file,
        addr: c_ulong,
        len: c_ulong,
        pgoff: c_ulong,
        flags: c_ulong,
    ) -> c_ulong {
        // SAFETY: The caller has the file open.
        match unsafe { Self::device(file) }.memory() {
            // SAFETY: By the safety requirements.
            Ok(memory) => unsafe { memory.get_unmapped_area(addr, len, pgoff, flags) },
            Err(err) => err.to_errno() as c_ulong,
        }
    }
}

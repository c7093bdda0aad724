// SPDX-License-Identifier: GPL-2.0-only

//! A misc device whose open files behave like memory: they can be sought, spliced, synced and
//! mapped at well-aligned addresses, which [`MiscDevice`] does not offer.
//!
//! C headers: [`include/linux/miscdevice.h`](srctree/include/linux/miscdevice.h),
//! [`include/linux/fs.h`](srctree/include/linux/fs.h)

use crate::{
    bindings,
    fs::mapping::{
        MappingOwner,
        NewDeviceVma, //
    },
    fs::{
        device_file::DeviceFile,
        shmem::ShmemFile, //
    },
    sync::poll::Poller, //
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
        c_long,
        c_uint,
        c_ulong, //
    },
    fs::{
        file::flags::O_NONBLOCK,
        File,
        Kiocb, //
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

/// What `poll()` says besides that memory can be read and written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attention {
    /// Nothing.
    NotWanted,
    /// That there is something to be taken notice of.
    Wanted,
    /// That it cannot be told.
    Error,
}

/// A misc device over memory.
pub(crate) trait MemoryDevice: MiscDevice<Ptr = Arc<Self>> + MappingOwner {
    /// Permissions of the device node.
    const MODE: u16;

    /// What all files of the device share.
    type Shared: Send + Sync + 'static;

    /// The memory, made at first use.
    ///
    /// It may be called under the mmap lock: nothing it takes may be held elsewhere across a copy
    /// from or to user space.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, or what else making it can fail with.
    fn memory(&self) -> Result<&ShmemFile>;

    /// Runs a command. What it returns that is not negative is what `ioctl()` returns.
    fn command(device: DeviceFile<'_, Self>, cmd: u32, arg: usize) -> Result<isize>;

    /// Whether something is to be taken notice of. Has whoever polls woken up when that becomes so.
    fn poll(device: DeviceFile<'_, Self>, poller: Poller<'_>) -> Attention;

    /// Called before something is written, where waiting harms nobody else.
    ///
    /// # Errors
    ///
    /// `EAGAIN` when it would wait and `nonblock` is set, `ERESTARTSYS` when it is interrupted.
    fn wait_write_unblocked(&self, nonblock: bool) -> Result;

    /// Called before a seek that locks the inode.
    ///
    /// # Errors
    ///
    /// `ERESTARTNOINTR` when it is interrupted.
    fn wait_seek_unblocked(&self) -> Result;

    /// Sets up a mapping.
    ///
    /// Context: the mmap lock is held for writing.
    fn map(&self, vma: NewDeviceVma<'_, Self>) -> Result;
}

/// Whether an I/O request is not to wait: because of the file, or by itself. io_uring makes those that
/// are not, until it finds a task for one that is.
pub(crate) fn is_nonblocking<T: ForeignOwnable>(kiocb: &Kiocb<'_, T>) -> bool {
    let kiocb = kiocb.as_raw();
    // SAFETY: The file of a request stays open while the request is under way, and is not at its
    // start or end.
    let file = unsafe { File::from_raw_file((*kiocb).ki_filp) };
    // SAFETY: The request is valid for as long as we have it.
    let request_flags = unsafe { (*kiocb).ki_flags };
    file.flags() & O_NONBLOCK != 0 || request_flags & bindings::pinseal_IOCB_NOWAIT != 0
}

/// A registered [`MemoryDevice`].
///
/// # Invariants
///
/// `inner` is registered with `misc_register()`, and refers to `operations`.
#[pin_data(PinnedDrop)]
pub(crate) struct Registration<T: MemoryDevice> {
    operations: bindings::file_operations,
    shared: T::Shared,
    /// In `open` the kernel crate has this as a `MiscDeviceRegistration`.
    #[pin]
    inner: Opaque<bindings::miscdevice>,
    _device: PhantomData<T>,
}

// SAFETY: A misc device may be deregistered by another thread than the one that registered it.
unsafe impl<T: MemoryDevice> Send for Registration<T> {}
// SAFETY: All that `&self` gives access to is `T::Shared`.
unsafe impl<T: MemoryDevice> Sync for Registration<T> {}

impl<T: MemoryDevice> Registration<T> {
    /// Registers the device under `name`. `module` stays loaded while a file of it is open.
    pub(crate) fn register(
        module: &'static ThisModule,
        name: &'static CStr,
        shared: T::Shared,
    ) -> impl PinInit<Self, Error> {
        try_pin_init!(&this in Self {
            shared,
            operations: bindings::file_operations {
                // The kernel crate leaves this out before Linux 7.3.
                owner: module.as_ptr(),
                ..*Operations::<T>::TABLE
            },
            inner <- Opaque::try_ffi_init(move |slot: *mut bindings::miscdevice| {
                let device = bindings::miscdevice {
                    // SAFETY: `this` is what is being initialised.
                    fops: unsafe { &raw const (*this.as_ptr()).operations },
                    mode: T::MODE,
                    ..MiscDeviceOptions { name }.into_raw::<T>()
                };
                // SAFETY: The initializer can write to `slot`.
                unsafe { slot.write(device) };
                // INVARIANT: On success the device is registered.
                //
                // SAFETY: `slot` holds a misc device; it and its operations stay where they are
                // until `drop`.
                to_result(unsafe { bindings::misc_register(slot) })
            }),
            _device: PhantomData,
        })
    }

    /// What all files of the device share, of which one is being opened.
    pub(crate) fn shared(device: &MiscDeviceRegistration<T>) -> &T::Shared {
        let inner = ptr::from_ref(device)
            .cast::<Opaque<bindings::miscdevice>>()
            .cast_mut();
        // SAFETY: There is only one kind of registration that has the operations by which a `T` is
        // opened, and it is this one. It stays for as long as a file is open.
        unsafe { &(*container_of!(inner, Self, inner)).shared }
    }
}

#[pinned_drop]
impl<T: MemoryDevice> PinnedDrop for Registration<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariants the device is registered.
        unsafe { bindings::misc_deregister(self.inner.get()) };
    }
}

/// The file operations: those of [`MiscDevice`] and the ones it lacks.
struct Operations<T>(PhantomData<T>);

impl<T: MemoryDevice> Operations<T> {
    const TABLE: &'static bindings::file_operations = &bindings::file_operations {
        llseek: Some(Self::llseek),
        splice_read: Some(Self::splice_read),
        splice_write: Some(Self::splice_write),
        get_unmapped_area: Some(Self::get_unmapped_area),
        mmap: Some(Self::mmap),
        poll: Some(Self::poll),
        unlocked_ioctl: Some(Self::ioctl),
        #[cfg(CONFIG_COMPAT)]
        compat_ioctl: bindings::compat_ptr_ioctl,
        // Memory has nothing to write back.
        fsync: Some(bindings::noop_fsync),
        // SAFETY: `fops` points to a constant.
        ..unsafe { *MiscDeviceOptions { name: c"" }.into_raw::<T>().fops }
    };

    /// # Safety
    ///
    /// `file` must be a file of this device that stays open for `'a`.
    unsafe fn device<'a>(file: *mut bindings::file) -> ArcBorrow<'a, T> {
        // SAFETY: The private data of a file of this device is an `Arc<T>`, from open to release.
        unsafe { <Arc<T>>::borrow((*file).private_data) }
    }

    /// # Safety
    ///
    /// `file` must be a file of this device.
    unsafe extern "C" fn ioctl(file: *mut bindings::file, cmd: c_uint, arg: c_ulong) -> c_long {
        // SAFETY: The caller holds the file open. `ioctl` is not called between `fdget_pos` and its
        // end. The private data of a file of this device is an `Arc<T>`.
        let device = unsafe { DeviceFile::<T>::new(File::from_raw_file(file)) };
        match T::command(device, cmd, arg) {
            Ok(value) => value,
            // CAST: Lossless.
            Err(err) => err.to_errno() as isize,
        }
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
        // SAFETY: The caller holds the file open. `mmap` is not called between `fdget_pos` and its
        // end. The private data of a file of this device is an `Arc<T>`.
        let device = unsafe { DeviceFile::<T>::new(File::from_raw_file(file)) };
        match device.owner().map(NewDeviceVma::new(vma, device)) {
            Ok(()) => 0,
            Err(err) => err.to_errno(),
        }
    }

    /// # Safety
    ///
    /// `file` must be a file of this device, `table` as for `poll`.
    unsafe extern "C" fn poll(
        file: *mut bindings::file,
        table: *mut bindings::poll_table_struct,
    ) -> bindings::__poll_t {
        // SAFETY: The caller holds the file open. `poll` is not called between `fdget_pos` and its
        // end. The private data of a file of this device is an `Arc<T>`.
        let device = unsafe { DeviceFile::<T>::new(File::from_raw_file(file)) };
        // SAFETY: By the safety requirements, and because nobody but `T::poll` gets it.
        let poller = unsafe { Poller::new(device.file(), table) };
        // Memory can always be read and written.
        bindings::POLLIN
            | bindings::POLLOUT
            | bindings::POLLRDNORM
            | bindings::POLLWRNORM
            | match T::poll(device, poller) {
                Attention::NotWanted => 0,
                Attention::Wanted => bindings::POLLPRI,
                Attention::Error => bindings::POLLERR,
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
        // SAFETY: The caller holds the file open.
        let device = unsafe { Self::device(file) };
        if ShmemFile::seek_locks(whence) {
            if let Err(err) = device.wait_seek_unblocked() {
                return err.to_errno().into();
            }
        }
        match device.memory() {
            // SAFETY: As above. The VFS took the position's lock where it has to.
            Ok(memory) => memory.seek(unsafe { File::from_raw_file(file) }, offset, whence),
            Err(err) => err.to_errno().into(),
        }
    }

    /// # Safety
    ///
    /// `file` must be a file of this device, `pos` and `pipe` as for `splice_read`.
    unsafe extern "C" fn splice_read(
        file: *mut bindings::file,
        pos: *mut bindings::loff_t,
        pipe: *mut bindings::pipe_inode_info,
        len: usize,
        flags: c_uint,
    ) -> isize {
        // SAFETY: The caller holds the file open.
        let device = unsafe { Self::device(file) };
        device.wait_read_unblocked();
        match device.memory() {
            // SAFETY: The caller's contract is handed on.
            Ok(memory) => unsafe { memory.splice_read(pos, pipe, len, flags) },
            Err(err) => err.to_errno() as isize,
        }
    }

    /// # Safety
    ///
    /// `file` must be a file of this device, `pos` and `pipe` as for `splice_write`.
    unsafe extern "C" fn splice_write(
        pipe: *mut bindings::pipe_inode_info,
        file: *mut bindings::file,
        pos: *mut bindings::loff_t,
        len: usize,
        flags: c_uint,
    ) -> isize {
        // SAFETY: The caller holds the file open.
        let device = unsafe { Self::device(file) };
        // SAFETY: As above.
        let file_flags = unsafe { File::from_raw_file(file) }.flags();
        // Here, because `write_iter` is called with the pipe locked. What is waited for may be
        // somebody who reads that pipe.
        if let Err(err) = device.wait_write_unblocked(file_flags & O_NONBLOCK != 0) {
            return err.to_errno() as isize;
        }
        match device.memory() {
            // SAFETY: The caller's contract is handed on.
            Ok(memory) => unsafe { memory.splice_write(pipe, pos, len, flags) },
            Err(err) => err.to_errno() as isize,
        }
    }

    /// # Safety
    ///
    /// `file` must be a file of this device, the mmap lock of the current task be held.
    unsafe extern "C" fn get_unmapped_area(
        file: *mut bindings::file,
        addr: c_ulong,
        len: c_ulong,
        pgoff: c_ulong,
        flags: c_ulong,
    ) -> c_ulong {
        // SAFETY: The caller holds the file open.
        match unsafe { Self::device(file) }.memory() {
            // SAFETY: The caller's contract is handed on.
            Ok(memory) => unsafe { memory.get_unmapped_area(addr, len, pgoff, flags) },
            Err(err) => err.to_errno() as c_ulong,
        }
    }
}

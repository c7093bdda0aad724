// SPDX-License-Identifier: GPL-2.0-only

//! The open file `/dev/pinseal`: its operations and registration.

use crate::{
    fs::{
        mapping::{
            Mapped,
            MappingOwner,
            NewDeviceVma,
            ShmemVmOps, //
        },
        memfd::MemfdOperations,
        memfd_file::MemfdFile, //
        memory_device::{
            is_nonblocking,
            MemoryDevice,
            Registration, //
        },
        memory_file::{
            MemoryFile,
            MemoryOwner, //
        },
    },
    ioctl,
    mm::remapped_pages::RemappedPages,
    object::{
        HasSealExclusion,
        Object,
        ObjectFile, //
    },
    open_object::OpenObject,
    seal::Workers,
    sync::poll::{
        PollEvent,
        Poller, //
    }, //
};
use kernel::{
    fs::{
        File,
        Kiocb, //
    },
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    miscdevice::{
        MiscDevice,
        MiscDeviceRegistration, //
    },
    mm::virt::flags::SHARED,
    prelude::*,
    seq_file::{
        seq_print,
        SeqFile, //
    },
    sync::{
        atomic::Relaxed,
        Arc,
        ArcBorrow, //
    }, //
};

/// The loaded module.
#[pin_data]
pub(crate) struct PinsealModule {
    #[pin]
    _device: Registration<OpenObject>,
}

impl kernel::InPlaceModule for PinsealModule {
    fn init(module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _device <- Registration::register(module, c"pinseal", Workers::new()?),
        })
    }
}

#[vtable]
impl MiscDevice for OpenObject {
    type Ptr = Arc<Self>;

    fn open(file: &File, device: &MiscDeviceRegistration<Self>) -> Result<Arc<Self>> {
        let workers = Registration::shared(device).clone();
        OpenObject::new(Object::new(file.cred())?, workers)
    }

    fn read_iter(kiocb: Kiocb<'_, Self::Ptr>, iov: &mut IovIterDest<'_>) -> Result<usize> {
        let object = kiocb.file();
        object.exclusion().wait_read_unblocked();
        object.file()?.read_iter(&kiocb, iov)
    }

    fn write_iter(kiocb: Kiocb<'_, Self::Ptr>, iov: &mut IovIterSource<'_>) -> Result<usize> {
        let object = kiocb.file();
        object
            .exclusion()
            .wait_write_unblocked(is_nonblocking(&kiocb))?;
        object.file()?.write_iter(&kiocb, iov)
    }

    fn show_fdinfo(object: ArcBorrow<'_, Self>, m: &SeqFile, _file: &File) {
        MemoryOwner::show_fdinfo(&*object, m);
    }
}

/// File operations of all memfds.
static MEMFD_OPERATIONS: MemfdOperations<OpenObject> = MemfdOperations::new();

impl MemoryOwner for OpenObject {
    fn memfd_operations() -> &'static MemfdOperations<Self> {
        &MEMFD_OPERATIONS
    }

    fn command(file: MemoryFile<'_, Self>, cmd: u32, arg: usize) -> Result<isize> {
        ioctl::dispatch(file, cmd, arg)
    }

    fn poll(file: MemoryFile<'_, Self>, poller: Poller<'_>) -> PollEvent {
        match file.owner().background() {
            Err(_) => PollEvent::Error,
            Ok(background) => match background.poll(&poller) {
                true => PollEvent::Priority,
                false => PollEvent::None,
            },
        }
    }

    fn show_fdinfo(&self, m: &SeqFile) {
        seq_print!(m, "object:\t{}\n", self.number());
        if let Some(memory) = self.seen_memory() {
            let (major, minor) = memory.device();
            seq_print!(
                m,
                "memory:\t{}\nmemory-dev:\t{major}:{minor}\n",
                memory.number()
            );
        }
        seq_print!(m, "size:\t{}\n", self.size());
        seq_print!(m, "seals:\t{:#x}\n", self.seals().bits());
        self.with_name(|name| seq_print!(m, "name:\t{name}\n"));
        let pins = self.pins().count();
        seq_print!(m, "pins:\t{}\n", pins.all);
        seq_print!(m, "leases:\t{}\n", pins.leased);
        let ranges = self.ranges();
        seq_print!(m, "protections:\t{}\n", ranges.protected.load(Relaxed));
        seq_print!(m, "remapped:\t{}\n", ranges.remapped.load(Relaxed));
        seq_print!(m, "waiters:\t{}\n", self.exclusion().waiters());
        if let Some(seals) = self.used_background().and_then(|used| used.seals()) {
            seq_print!(m, "sealing:\t{:#x}\n", seals.bits());
        }
    }

    fn wait_write_unblocked(&self, nonblock: bool) -> Result {
        self.exclusion().wait_write_unblocked(nonblock)
    }

    fn wait_write_briefly(&self) {
        self.exclusion().wait_write_briefly();
    }

    fn wait_seek_unblocked(&self) -> Result {
        self.exclusion().wait_seek_unblocked()
    }
}

impl MemoryDevice for OpenObject {
    // The memory is charged and swappable as a memfd's, so any user may have some.
    const MODE: u16 = 0o666;

    type Shared = Arc<Workers>;

    fn memory(&self) -> Result<&MemfdFile> {
        self.object().file()
    }

    fn memory_to_sync_on_close(&self) -> Option<&MemfdFile> {
        self.object().file_to_sync_on_close()
    }

    fn map(&self, vma: NewDeviceVma<'_, Self>) -> Result {
        let memory = self.memory()?;
        loop {
            let seals = self.seals();
            if vma.flags() & SHARED != 0 && seals.forbid_writable_mappings() {
                if vma.writable() {
                    return Err(EPERM);
                }
                // Nor can it be made writable later.
                vma.try_clear_maywrite()?;
            }
            if seals.forbid_executable_mappings() {
                if vma.executable() {
                    return Err(EPERM);
                }
                vma.try_clear_mayexec()?;
            }
            if let Mapped::Done = vma.map_shmem(memory)? {
                return Ok(());
            }
            // Denied for good by a seal that was set meanwhile, or by a sealer that is at work.
            if !self.seals().forbid_writable_mappings() {
                return Err(EBUSY);
            }
        }
    }
}

/// VMA operations of all mappings.
static VM_OPS: ShmemVmOps<OpenObject> = ShmemVmOps::new();

impl MappingOwner for OpenObject {
    fn vm_ops() -> &'static ShmemVmOps<Self> {
        &VM_OPS
    }

    fn forbids_executable(&self) -> bool {
        self.seals().forbid_executable_mappings()
    }

    fn blocks_mappings(&self) -> bool {
        self.exclusion().blocks_mappings()
    }

    fn notify_unmap(&self) {
        self.exclusion().notify_unpin();
    }

    fn blocks_reads(&self) -> bool {
        self.exclusion().blocks_reads()
    }

    fn wait_read_unblocked(&self) {
        self.exclusion().wait_read_unblocked();
    }

    fn remapped_pages(&self) -> &RemappedPages {
        self.object().remapped_pages()
    }

    fn count_ranges(&self, protected: isize, remapped: isize) {
        self.ranges().protected.fetch_add(protected, Relaxed);
        self.ranges().remapped.fetch_add(remapped, Relaxed);
    }
}

// SPDX-License-Identifier: GPL-2.0-only

//! The open file `/dev/pinseal`: its operations and registration.

use crate::{
    fs::{
        device_file::DeviceFile,
        memory_device::{
            file_flags,
            MemoryDevice,
            Registration, //
        },
        shmem::ShmemFile, //
    },
    ioctl,
    mm::vma::{
        MappingOwner,
        NewDeviceVma,
        ShmemVmOps,
        Shown, //
    },
    object::Object, //
};
use kernel::{
    fs::{
        file::flags::O_NONBLOCK,
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
        Arc,
        ArcBorrow, //
    }, //
};

/// The loaded module.
#[pin_data]
pub(crate) struct PinsealModule {
    #[pin]
    _device: Registration<Object>,
}

impl kernel::InPlaceModule for PinsealModule {
    fn init(module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _device <- Registration::register(module, c"pinseal"),
        })
    }
}

#[vtable]
impl MiscDevice for Object {
    type Ptr = Arc<Self>;

    fn open(file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Arc<Self>> {
        Object::new(file.cred())
    }

    fn read_iter(kiocb: Kiocb<'_, Self::Ptr>, iov: &mut IovIterDest<'_>) -> Result<usize> {
        let object = kiocb.file();
        object.gate().let_reader_pass();
        object.memory()?.read_iter(&kiocb, iov)
    }

    fn write_iter(kiocb: Kiocb<'_, Self::Ptr>, iov: &mut IovIterSource<'_>) -> Result<usize> {
        let object = kiocb.file();
        object
            .gate()
            .wait_for_sealer(file_flags(&kiocb) & O_NONBLOCK != 0)?;
        object.memory()?.write_iter(&kiocb, iov)
    }

    fn show_fdinfo(object: ArcBorrow<'_, Self>, m: &SeqFile, _file: &File) {
        seq_print!(m, "size:\t{}\n", object.size());
        seq_print!(m, "seals:\t{:#x}\n", object.seals().bits());
        object.with_name(|name| seq_print!(m, "name:\t{name}\n"));
    }
}

impl MemoryDevice for Object {
    // Memory is charged and swappable as any memfd's, so that everybody may have some.
    const MODE: u16 = 0o666;

    fn memory(&self) -> Result<&ShmemFile> {
        Object::memory(self)
    }

    fn command(device: DeviceFile<'_, Self>, cmd: u32, arg: usize) -> Result<isize> {
        ioctl::dispatch(device, cmd, arg)
    }

    fn wait_to_write(&self, nonblock: bool) -> Result {
        self.gate().wait_for_sealer(nonblock)
    }

    fn wait_to_seek(&self) -> Result {
        self.gate().let_seeker_pass()
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
            if let Shown::Made = vma.show(memory)? {
                return Ok(());
            }
            // Denied by who has sealed it since then, for good; or by who is sealing it.
            if !self.seals().forbid_writable_mappings() {
                return Err(EBUSY);
            }
        }
    }
}

/// VMA operations of all mappings of all objects.
static VM_OPS: ShmemVmOps<Object> = ShmemVmOps::new();

impl MappingOwner for Object {
    fn vm_ops() -> &'static ShmemVmOps<Self> {
        &VM_OPS
    }

    fn forbids_executable(&self) -> bool {
        self.seals().forbid_executable_mappings()
    }

    fn holds_readers(&self) -> bool {
        self.gate().holds_readers()
    }

    fn let_reader_pass(&self) {
        self.gate().let_reader_pass();
    }
}

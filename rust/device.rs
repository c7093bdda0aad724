// SPDX-License-Identifier: GPL-2.0-only

//! The open file `/dev/pinseal`: its operations and registration.

use crate::{
    fs::{
        memory_device::{
            file_flags,
            MemoryDevice,
            Registration, //
        },
        shmem::ShmemFile, //
    },
    gate::Refused,
    ioctl,
    mm::vma::{
        is_shared_maywrite,
        MappingOwner,
        NewDeviceVma,
        ShmemVmOps, //
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

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Arc<Self>> {
        Object::new()
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

    fn ioctl(object: ArcBorrow<'_, Self>, file: &File, cmd: u32, arg: usize) -> Result<isize> {
        ioctl::dispatch(&object, file, cmd, arg)?;
        Ok(0)
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

    fn wait_to_write(&self, nonblock: bool) -> Result {
        self.gate().wait_for_sealer(nonblock)
    }

    fn wait_to_seek(&self) -> Result {
        self.gate().let_seeker_pass()
    }

    fn map(&self, vma: NewDeviceVma<'_, Self>) -> Result {
        let memory = self.memory()?;
        loop {
            if vma.flags() & SHARED != 0 && self.seals().forbid_writable_mappings() {
                if vma.writable() {
                    return Err(EPERM);
                }
                // Nor can it be made writable later.
                vma.try_clear_maywrite()?;
            }
            if !is_shared_maywrite(&vma) {
                return vma.show(memory);
            }
            match self.gate().admit_mapping() {
                Ok(mapping) => {
                    vma.show(memory)?;
                    mapping.made();
                    return Ok(());
                }
                Err(Refused::Sealing) => return Err(EBUSY),
                // Sealed since the seals were read above.
                Err(Refused::Sealed) => {}
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

    fn writable_mapping_copied(&self) {
        self.gate().mapping_copied();
    }

    fn writable_mapping_gone(&self) {
        self.gate().mapping_gone();
    }

    fn holds_readers(&self) -> bool {
        self.gate().holds_readers()
    }

    fn let_reader_pass(&self) {
        self.gate().let_reader_pass();
    }
}

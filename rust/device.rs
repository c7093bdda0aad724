// SPDX-License-Identifier: GPL-2.0-only

//! The open file `/dev/pinseal`: its operations and registration.

use crate::{
    fs::mapping::{
        MappingOwner,
        NewDeviceVma,
        ShmemVmOps,
        Shown, //
    },
    fs::{
        device_file::DeviceFile,
        memory_device::{
            is_nonblocking,
            Attention,
            MemoryDevice,
            Registration, //
        },
        shmem::ShmemFile, //
    },
    ioctl,
    object::exclusion::HasGate,
    object::Object,
    open_object::OpenObject,
    sync::{
        poll::Poller, //
        workqueue::OwnQueue,
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
        Arc,
        ArcBorrow, //
    }, //
};

/// How many seals in the background take a step at the same time. They take no more CPUs than that,
/// however many objects somebody has sealed.
const STEPS_AT_ONCE: i32 = 16;

/// The loaded module.
#[pin_data]
pub(crate) struct PinsealModule {
    #[pin]
    _device: Registration<OpenObject>,
}

impl kernel::InPlaceModule for PinsealModule {
    fn init(module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _device <- Registration::register(
                module,
                c"pinseal",
                Arc::new(OwnQueue::new(c"pinseal", STEPS_AT_ONCE)?, GFP_KERNEL)?,
            ),
        })
    }
}

#[vtable]
impl MiscDevice for OpenObject {
    type Ptr = Arc<Self>;

    fn open(file: &File, device: &MiscDeviceRegistration<Self>) -> Result<Arc<Self>> {
        let queue = Registration::shared(device).clone();
        OpenObject::new(Object::new(file.cred())?, queue)
    }

    fn read_iter(kiocb: Kiocb<'_, Self::Ptr>, iov: &mut IovIterDest<'_>) -> Result<usize> {
        let object = kiocb.file();
        object.gate().let_reader_pass();
        object.memory()?.read_iter(&kiocb, iov)
    }

    fn write_iter(kiocb: Kiocb<'_, Self::Ptr>, iov: &mut IovIterSource<'_>) -> Result<usize> {
        let object = kiocb.file();
        object.gate().wait_for_sealer(is_nonblocking(&kiocb))?;
        object.memory()?.write_iter(&kiocb, iov)
    }

    fn show_fdinfo(object: ArcBorrow<'_, Self>, m: &SeqFile, _file: &File) {
        seq_print!(m, "object:\t{}\n", object.number());
        seq_print!(m, "size:\t{}\n", object.size());
        seq_print!(m, "seals:\t{:#x}\n", object.seals().bits());
        object.with_name(|name| seq_print!(m, "name:\t{name}\n"));
        let holdings = object.holdings().count();
        seq_print!(m, "pins:\t{}\n", holdings.all);
        seq_print!(m, "leases:\t{}\n", holdings.leased);
        seq_print!(m, "waiters:\t{}\n", object.gate().waiters());
        if let Some(seals) = object.used_background().and_then(|used| used.seals()) {
            seq_print!(m, "sealing:\t{:#x}\n", seals.bits());
        }
    }
}

impl MemoryDevice for OpenObject {
    // Memory is charged and swappable as any memfd's, so that everybody may have some.
    const MODE: u16 = 0o666;

    type Shared = Arc<OwnQueue>;

    fn memory(&self) -> Result<&ShmemFile> {
        self.object().memory()
    }

    fn command(device: DeviceFile<'_, Self>, cmd: u32, arg: usize) -> Result<isize> {
        ioctl::dispatch(device, cmd, arg)
    }

    fn poll(device: DeviceFile<'_, Self>, poller: Poller<'_>) -> Attention {
        match device.owner().background() {
            Err(_) => Attention::Error,
            Ok(background) => match background.poll(&poller) {
                true => Attention::Wanted,
                false => Attention::NotWanted,
            },
        }
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
static VM_OPS: ShmemVmOps<OpenObject> = ShmemVmOps::new();

impl MappingOwner for OpenObject {
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

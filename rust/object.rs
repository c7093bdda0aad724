// SPDX-License-Identifier: GPL-2.0-only

//! The object: its memory, its seals, and what is pinned of it.
//!
//! | File             | Its one job                                                 |
//! |------------------|-------------------------------------------------------------|
//! | `seals`          | the rules of seals, without kernel state                    |
//! | `exclusion`      | serialises sealers, blocks other accesses meanwhile         |
//! | `pinned_range`   | pages that one handle pins, and the state of their lease    |
//! | `pin_table`      | all pinned ranges of an object                              |
//!
//! # Lock order
//!
//! `mmap()` and faults:
//!
//! 1. the mmap lock
//! 2. `Object::name`, under which the memory is created
//! 3. a folio lock
//! 4. `RemappedPages::state`
//!
//! Sealing and writing:
//!
//! 1. the seal exclusion, which is no lock but is held across sleeps
//! 2. the inode lock of the memory
//! 3. `i_mmap_rwsem`, folio lock, `i_pages` lock, as the core orders them
//! 4. `SealExclusion::state`
//!
//! Of these only the inode lock is held across a copy from or to user space, by shmem's own
//! `write()`. That is why a sealer only ever tries the inode lock.

mod exclusion;
mod pin_table;
mod pinned_range;
mod seals;

pub(crate) use self::{
    exclusion::{
        HasSealExclusion,
        SealExclusion,
        SealGuard,
        Waiter,
        Wake, //
    },
    pin_table::{
        PinKey,
        PinTable, //
    },
    pinned_range::{
        BreakRequest,
        LeaseState,
        PinAccess,
        PinTerms,
        PinnedRange, //
    },
    seals::SealSet,
};

use self::seals::Seal;
use crate::fs::{
    memfd::NewMemfd,
    memfd_file::{
        MemfdFile, //
        MemfdFlags,
    },
    memfd_inode::{
        LockedMemfd,
        MemfdInode, //
    }, //
    memfd_look::MemfdLook,
    memory_file::{
        MemoryFile,
        MemoryOwner, //
    },
    stacked::{
        AttachFlags,
        LowerFile,
        Stack,
        StopOn, //
    }, //
};
use crate::mm::{
    address_space::AddressSpace,
    page_set::PageSetRoom,
    remapped_pages::RemappedPages, //
};
use core::ops::Range;
use kernel::{
    cred::Credential,
    new_mutex,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Acquire,
            Atomic,
            Relaxed,
            Release, //
        },
        lock::{
            mutex::MutexBackend,
            Guard, //
        },
        Arc,
        ArcBorrow,
        Mutex,
        SetOnce, //
    }, //
};

/// The number of the last object. The first is 1.
static LAST_NUMBER: Atomic<i64> = Atomic::new(0);

/// Prefix of an object's name in `/proc/PID/maps`, where its memory is a memfd and where not.
const MEMFD_PREFIX: &str = "memfd:";
const DEVICE_PREFIX: &str = "pinseal:";

/// What `F_SEAL_SEAL` in the inode of the memory says of the object.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SealSeal {
    /// Nothing: every new shmem inode has it. It stays set, so that `fcntl()` cannot add seals.
    Implicit,
    /// The object has it: the inode was created to be sealed.
    Explicit,
}

/// How an object holds its memory.
enum Holding {
    /// By a shmem file, which gives the object's device files access.
    File(ARef<MemfdFile>),
    /// By the inode. The object's files are shmem files themselves, and the object belongs to them.
    Inode(ARef<MemfdInode>),
}

/// The memory of an object.
struct Memory {
    holding: Holding,
    seal_seal: SealSeal,
    /// Whether it is stacked on a file, which the file knows as well.
    is_stacked: bool,
}

impl Memory {
    fn inode(&self) -> &MemfdInode {
        match &self.holding {
            Holding::File(file) => file.inode(),
            Holding::Inode(inode) => inode,
        }
    }
}

/// The object.
#[pin_data]
pub(crate) struct Object {
    /// Names the object in trace events and fdinfo.
    number: u64,
    /// Name of the memory in `/proc/PID/maps`, with a NUL, if any. Fixed once the memory exists.
    #[pin]
    name: Mutex<Option<KVec<u8>>>,
    /// Credentials of the opener.
    owner: ARef<Credential>,
    memory: SetOnce<Memory>,
    /// Memory of others that is looked at, in place of `memory`.
    look: SetOnce<MemfdLook>,
    /// A [`SealSet`] of what the inode cannot tell: seals that the kernel does not know;
    /// `F_SEAL_SEAL` where the inode's is [`SealSeal::Implicit`]; `F_SEAL_WRITE` where this module
    /// made sure that no writer is left. Changed under the inode lock only.
    extra_seals: Atomic<u32>,
    #[pin]
    exclusion: SealExclusion,
    #[pin]
    pins: PinTable,
    #[pin]
    remapped_pages: RemappedPages,
}

/// State shared by all open files of an object.
pub(crate) trait ObjectFile: MemoryOwner {
    /// The object.
    fn object(&self) -> &Arc<Object>;
}

impl Object {
    /// An empty object. Its memory will belong to `owner`, whichever task uses it first.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(owner: &Credential) -> Result<Arc<Self>> {
        Self::with_label(owner, None)
    }

    /// An object whose memory is created now, as that of a memfd with this name. The returned file is to
    /// give access to it.
    ///
    /// # Errors
    ///
    /// Those of [`NewMemfd::new`].
    pub(crate) fn new_memfd(name: &str, flags: MemfdFlags) -> Result<(Arc<Self>, NewMemfd)> {
        let label = new_label(MEMFD_PREFIX, name)?;
        let file = NewMemfd::new(
            CStr::from_bytes_with_nul(&label).map_err(|_| EINVAL)?,
            flags,
        )?;
        let inode = file.shmem().inode();
        let seal_seal = match SealSet::from_kernel_bits(inode.seals()).check_addable() {
            Ok(()) => SealSeal::Explicit,
            Err(_) => SealSeal::Implicit,
        };
        let object = Self::with_label(file.cred(), Some(label))?;
        object.memory.populate(Memory {
            holding: Holding::Inode(inode.into()),
            seal_seal,
            is_stacked: false,
        });
        Ok((object, file))
    }

    fn with_label(owner: &Credential, label: Option<KVec<u8>>) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                number: LAST_NUMBER.fetch_add(1, Relaxed).wrapping_add(1) as u64,
                owner: owner.into(),
                name <- new_mutex!(label, "pinseal::Object::name"),
                memory: SetOnce::new(),
                look: SetOnce::new(),
                extra_seals: Atomic::new(0),
                exclusion <- SealExclusion::new(),
                pins <- PinTable::new(),
                remapped_pages <- RemappedPages::new(),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// A number that no other object has or had.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The memory, created at its first use.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, `ENFILE`. `EPERM` when memory of others is looked at.
    #[inline]
    pub(crate) fn memory(&self) -> Result<&MemfdInode> {
        self.created_memory().map(Memory::inode)
    }

    /// The shmem file by which device files have access to the memory, created at its first use.
    ///
    /// # Errors
    ///
    /// Those of [`Object::memory`]. `EBADF` when the object has no device files.
    #[inline]
    pub(crate) fn file(&self) -> Result<&MemfdFile> {
        match &self.created_memory()?.holding {
            Holding::File(file) => Ok(file),
            Holding::Inode(_) => Err(EBADF),
        }
    }

    /// The shmem file, if it is to be synced when a descriptor is closed.
    pub(crate) fn file_to_sync_on_close(&self) -> Option<&MemfdFile> {
        match &self.memory.as_ref()?.holding {
            Holding::File(file) if file.stack()?.syncs_on_close() => Some(file),
            _ => None,
        }
    }

    /// The shmem file by which `file`, an open file of the object, has access to the memory.
    ///
    /// # Errors
    ///
    /// Those of [`Object::file`].
    pub(crate) fn file_of<'a, T: MemoryOwner>(
        &'a self,
        file: MemoryFile<'a, T>,
    ) -> Result<&'a MemfdFile> {
        match file.memfd() {
            Some(memfd) => Ok(memfd),
            None => self.file(),
        }
    }

    #[inline]
    fn created_memory(&self) -> Result<&Memory> {
        match self.memory.as_ref() {
            Some(memory) => Ok(memory),
            None => self.create_memory(),
        }
    }

    #[cold]
    fn create_memory(&self) -> Result<&Memory> {
        let name = self.name.lock();
        if self.look.as_ref().is_some() {
            return Err(EPERM);
        }
        if self.memory.as_ref().is_none() {
            let label = match &*name {
                Some(label) => CStr::from_bytes_with_nul(label).map_err(|_| EINVAL)?,
                None => c"pinseal",
            };
            self.memory.populate(Memory {
                holding: Holding::File(MemfdFile::new(label, &self.owner)?),
                seal_seal: SealSeal::Implicit,
                is_stacked: false,
            });
        }
        // Populated under the lock, by this task or the one before it.
        self.memory.as_ref().ok_or(ENOMEM)
    }

    /// The memory, if it was used.
    pub(crate) fn used_memory(&self) -> Option<&MemfdInode> {
        self.memory.as_ref().map(Memory::inode)
    }

    /// The memory, if it was used, or what is looked at in its place.
    pub(crate) fn seen_memory(&self) -> Option<&MemfdInode> {
        match self.look.as_ref() {
            Some(look) => Some(look.inode()),
            None => self.used_memory(),
        }
    }

    /// Looks at memory of others. The object never has memory then: what is done to memory cannot be
    /// done to this.
    ///
    /// # Errors
    ///
    /// `EBUSY` when the object has memory, or looks at some.
    pub(crate) fn look_at(&self, look: MemfdLook) -> Result {
        let name = self.name.lock();
        self.check_unused(&name)?;
        // Populated under the lock of the name only.
        self.look.populate(look);
        Ok(())
    }

    /// Checks that the object has no memory, nor looks at some. That does not change while the name is
    /// locked.
    fn check_unused(&self, _name: &Guard<'_, Option<KVec<u8>>, MutexBackend>) -> Result {
        match self.memory.as_ref().is_some() || self.look.as_ref().is_some() {
            true => Err(EBUSY),
            false => Ok(()),
        }
    }

    /// Makes an existing memfd the memory.
    ///
    /// A file of a mounted tmpfs is refused: overlayfs shows such files as its own, and maps them
    /// writable without asking for their seals and before the mapping is counted.
    ///
    /// # Errors
    ///
    /// `EBUSY` when the object has memory. `EPERM` when the file cannot be sealed: a memfd without
    /// `MFD_ALLOW_SEALING` or with `F_SEAL_SEAL`; a file of a mounted tmpfs; one that is append-only
    /// or immutable.
    pub(crate) fn adopt(&self, file: ARef<MemfdFile>) -> Result {
        let inode = file.inode();
        if !inode.is_on_kernel_mount() || inode.is_append_only_or_immutable() {
            return Err(EPERM);
        }
        SealSet::from_kernel_bits(inode.seals()).check_addable()?;
        // Its pages stay at their place: the owner of the memfd may truncate it.
        self.set_memory(Memory {
            holding: Holding::File(file),
            seal_seal: SealSeal::Explicit,
            is_stacked: false,
        })
    }

    /// Makes this the memory. Mappings cannot show its pages elsewhere than at their place.
    ///
    /// # Errors
    ///
    /// `EBUSY` when the object has memory, or looks at some.
    fn set_memory(&self, memory: Memory) -> Result {
        let name = self.name.lock();
        self.check_unused(&name)?;
        let ban = self.remapped_pages.forbid()?;
        // Populated under the lock of the name only.
        self.memory.populate(memory);
        ban.keep();
        Ok(())
    }

    /// Makes a new file the memory that is stacked on `lower`. It keeps the module of `like` loaded.
    ///
    /// # Errors
    ///
    /// `EBUSY` when the object has memory. `ENOMEM`, `ENFILE`.
    pub(crate) fn attach<T: MemoryOwner>(
        &self,
        lower: LowerFile,
        flags: AttachFlags,
        like: MemoryFile<'_, T>,
    ) -> Result {
        let mut label = KVec::new();
        match &*self.name.lock() {
            Some(name) => label.extend_from_slice(name, GFP_KERNEL_ACCOUNT)?,
            None => label.extend_from_slice(c"pinseal".to_bytes_with_nul(), GFP_KERNEL_ACCOUNT)?,
        }
        let label = CStr::from_bytes_with_nul(&label).map_err(|_| EINVAL)?;
        // Without the lock of the name, which is taken under the mmap lock: to set a size is to write to
        // a file system.
        let file = MemfdFile::new_stacked(label, &self.owner, Stack::new(lower, flags)?, like)?;
        // Its pages stay at their place: stores by mappings that show them elsewhere could not be noticed.
        self.set_memory(Memory {
            holding: Holding::File(file),
            seal_seal: SealSeal::Implicit,
            is_stacked: true,
        })
    }

    /// The stack, if the memory is stacked on a file, and the pages.
    fn stack(&self) -> Option<(ArcBorrow<'_, Stack>, &AddressSpace)> {
        match &self.memory.as_ref()?.holding {
            Holding::File(file) => Some((file.stack()?, file.inode().pages())),
            Holding::Inode(_) => None,
        }
    }

    /// Whether the memory is stacked on a file.
    #[inline]
    pub(crate) fn is_stacked(&self) -> bool {
        self.memory.as_ref().is_some_and(|memory| memory.is_stacked)
    }

    /// Fills pages as far as they come from a lower file, and allocates others that may be in a folio with
    /// such pages.
    ///
    /// # Errors
    ///
    /// Those of [`Stack::fill`].
    pub(crate) fn fill(&self, pages: Range<usize>) -> Result {
        match self.stack() {
            Some((stack, upper)) => stack.fill_and_allocate(upper, pages, StopOn::Signal),
            None => Ok(()),
        }
    }

    /// Notes that pages, which are pinned for writing, are to be written to a lower file. A sync keeps that
    /// note as long as it sees the pin, so the pin comes first.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn note_pinned(&self, pages: Range<usize>) -> Result {
        if let Some((stack, _)) = self.stack() {
            stack.mark_dirty(pages, PageSetRoom::new()?);
        }
        Ok(())
    }

    /// Has nothing come from a lower file any more, and writes what changed to it, if it may.
    ///
    /// # Errors
    ///
    /// Those of [`Stack::fill`] and [`Stack::sync`].
    pub(crate) fn fill_and_sync(&self, stop: StopOn) -> Result {
        let Some((stack, upper)) = self.stack() else {
            return Ok(());
        };
        stack.fill_all(upper, stop)?;
        match stack.is_writable() {
            true => stack.sync(upper, 0..usize::MAX, false, stop),
            false => Ok(()),
        }
    }

    /// The pages that handles pin.
    pub(crate) fn pins(&self) -> &PinTable {
        &self.pins
    }

    /// The pages that mappings show elsewhere than at their place.
    pub(crate) fn remapped_pages(&self) -> &RemappedPages {
        &self.remapped_pages
    }

    /// Takes those pages away, so that no reference is left on their account.
    ///
    /// Context: sleeps.
    #[inline]
    pub(crate) fn take_remapped_away(&self) {
        if let Some(memory) = self.used_memory() {
            self.remapped_pages.take_away(memory.pages());
        }
    }

    /// Size in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.seen_memory().map_or(0, MemfdInode::size)
    }

    /// Names the object. `new` must not contain NUL.
    ///
    /// # Errors
    ///
    /// `EBUSY` when it has memory, `ENOMEM`.
    pub(crate) fn set_name(&self, new: &str) -> Result {
        let label = new_label(DEVICE_PREFIX, new)?;
        let mut name = self.name.lock();
        self.check_unused(&name)?;
        *name = Some(label);
        Ok(())
    }

    /// Calls `f` with the name, which is empty when none was set.
    pub(crate) fn with_name<R>(&self, f: impl FnOnce(&str) -> R) -> R {
        let label = self.name.lock();
        // It was made from a `str`, with a prefix.
        let name = label
            .as_deref()
            .and_then(|label| CStr::from_bytes_with_nul(label).ok())
            .and_then(|label| label.to_str().ok())
            .and_then(|label| label.split_once(':'));
        f(name.map_or("", |(_, name)| name))
    }

    /// The seals that are set.
    pub(crate) fn seals(&self) -> SealSet {
        let extra = SealSet::from_valid_bits(self.extra_seals.load(Acquire));
        let Some(memory) = self.memory.as_ref() else {
            return self.look.as_ref().map_or(extra, |look| {
                SealSet::from_kernel_bits(look.inode().seals())
            });
        };
        let inode = SealSet::from_kernel_bits(memory.inode().seals());
        extra
            | match memory.seal_seal {
                SealSeal::Implicit => inode.without(Seal::Seal),
                SealSeal::Explicit => inode,
            }
    }

    /// The seals while the inode is locked: no other task changes them.
    #[inline]
    pub(crate) fn lock_seals<'a>(&'a self, locked: &'a LockedMemfd<'_>) -> LockedSeals<'a> {
        LockedSeals {
            extra: SealSet::from_valid_bits(self.extra_seals.load(Relaxed)),
            inode: locked.seals(),
            has_explicit: self
                .memory
                .as_ref()
                .is_some_and(|memory| memory.seal_seal == SealSeal::Explicit),
            object: self,
            locked,
        }
    }

    /// Whether adding `seals` ends writing, so that pins and mappings matter.
    ///
    /// It does as well for memory that was sealed for writing by `fcntl()`: the kernel does not look
    /// as closely.
    pub(crate) fn adding_ends_writing(&self, seals: SealSet) -> bool {
        SealSet::from_valid_bits(self.extra_seals.load(Acquire)).adding_ends_writing(seals)
    }
}

/// The seals of an object whose inode is locked.
pub(crate) struct LockedSeals<'a> {
    object: &'a Object,
    locked: &'a LockedMemfd<'a>,
    /// [`Object::extra_seals`].
    extra: SealSet,
    /// Those of the inode.
    inode: u32,
    /// Whether its `F_SEAL_SEAL` is the object's.
    has_explicit: bool,
}

impl LockedSeals<'_> {
    /// Whether more seals can be added.
    ///
    /// # Errors
    ///
    /// `EPERM`.
    #[inline]
    pub(crate) fn check_addable(&self) -> Result {
        match self.has_explicit {
            true => (self.extra | SealSet::from_kernel_bits(self.inode)).check_addable(),
            false => self.extra.check_addable(),
        }
    }

    /// The same as [`Object::adding_ends_writing`].
    #[inline]
    pub(crate) fn adding_ends_writing(&self, seals: SealSet) -> bool {
        self.extra.adding_ends_writing(seals)
    }

    /// Sets seals, and has shmem enforce them. What they promise must hold already.
    ///
    /// # Errors
    ///
    /// `EPERM` when no seals can be added any more.
    #[inline]
    pub(crate) fn add(&self, seals: SealSet) -> Result {
        self.check_addable()?;
        // Also those that this module does not know.
        self.locked.set_seals(self.inode | seals.kernel_bits());
        let mut extra = self.extra | seals.non_kernel() | seals.only(Seal::Write);
        if !self.has_explicit {
            extra |= seals.only(Seal::Seal);
        }
        self.object.extra_seals.store(extra.bits(), Release);
        Ok(())
    }
}

/// The name of memory in `/proc/PID/maps`, terminated by NUL. `name` must not contain NUL.
///
/// No `CString`: its memory is not charged.
///
/// # Errors
///
/// `ENOMEM`.
fn new_label(prefix: &str, name: &str) -> Result<KVec<u8>> {
    let len = prefix.len() + name.len() + 1;
    let mut label = KVec::with_capacity(len, GFP_KERNEL_ACCOUNT)?;
    for part in [prefix, name, "\0"] {
        label.extend_from_slice(part.as_bytes(), GFP_KERNEL_ACCOUNT)?;
    }
    Ok(label)
}

impl HasSealExclusion for Object {
    fn exclusion(&self) -> &SealExclusion {
        &self.exclusion
    }
}

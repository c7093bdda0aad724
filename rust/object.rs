// SPDX-License-Identifier: GPL-2.0-only

//! The object behind an open file: memory that comes into being at first use or is somebody else's
//! file, its seals, its gate.
//!
//! # Lock order
//!
//! 1. the mmap lock (`mmap()` and faults)
//! 2. `name`; memory is made under it
//!
//! Sealing and writing:
//!
//! 1. the turn to seal, which is no lock but is held across sleeps
//! 2. the inode lock of the memory
//! 3. `i_mmap_rwsem`, folio lock, `i_pages` lock, as the core has them
//! 4. the spinlock in [`Gate`]
//!
//! Nothing of this is held across a copy from or to user space, but the inode lock by shmem's own
//! `write()`. That is why sealing only ever tries the inode lock.

pub(crate) mod exclusion;
pub(crate) mod pin_table;
pub(crate) mod pinned_range;
pub(crate) mod seals;

use crate::{
    fs::shmem::{
        LockedShmem,
        ShmemFile, //
    },
    object::exclusion::{
        Gate,
        HasGate, //
    },
    object::pin_table::Holdings,
    object::seals::{
        Seal,
        SealSet, //
    }, //
};
use kernel::{
    cred::Credential,
    new_mutex,
    prelude::*,
    str::CString,
    sync::{
        aref::ARef,
        atomic::{
            Acquire,
            Atomic,
            Relaxed,
            Release, //
        },
        Arc,
        Mutex,
        SetOnce, //
    }, //
};

/// The number of the object that was made last. They begin with 1.
static LAST_NUMBER: Atomic<i64> = Atomic::new(0);

/// What stands before the name of an object in `/proc/PID/maps`.
const LABEL_PREFIX: &str = "pinseal:";

/// Whether the inode of the memory has `F_SEAL_SEAL` for a reason that is not the object's.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SealSeal {
    /// Every shmem inode is born with it, and here it stays: others cannot add seals.
    Inborn,
    /// The inode was made to be sealed: when it has it, that counts.
    Meant,
}

/// The memory of an object that has been used.
struct Memory {
    file: ShmemFile,
    seal_seal: SealSeal,
}

/// The object.
#[pin_data]
pub(crate) struct Object {
    /// What it is called in traces and in fdinfo.
    number: u64,
    /// What the memory is called in `/proc/PID/maps`, if it was named. Fixed when the memory comes
    /// into being.
    #[pin]
    name: Mutex<Option<CString>>,
    /// Who opened it.
    owner: ARef<Credential>,
    memory: SetOnce<Memory>,
    /// A [`SealSet`]: what the inode of the memory cannot say. The seals that the kernel does not
    /// know; `F_SEAL_SEAL` if the inode has that inborn; `F_SEAL_WRITE` if it was us who made sure
    /// that nobody can write. Changed under the inode lock only.
    seals_besides: Atomic<u32>,
    #[pin]
    gate: Gate,
    #[pin]
    holdings: Holdings,
}

impl Object {
    /// An empty object, whose memory is to belong to `owner`, whoever uses it first.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(owner: &Credential) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                number: LAST_NUMBER.fetch_add(1, Relaxed).wrapping_add(1) as u64,
                owner: owner.into(),
                name <- new_mutex!(None, "pinseal::Object::name"),
                memory: SetOnce::new(),
                seals_besides: Atomic::new(0),
                gate <- Gate::new(),
                holdings <- Holdings::new(),
            }),
            GFP_KERNEL,
        )
    }

    /// A number that no other object has or had.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The memory, made now if this is its first use.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, `ENFILE`.
    #[inline]
    pub(crate) fn memory(&self) -> Result<&ShmemFile> {
        match self.used_memory() {
            Some(memory) => Ok(memory),
            None => self.make_memory(),
        }
    }

    #[cold]
    fn make_memory(&self) -> Result<&ShmemFile> {
        let name = self.name.lock();
        if self.memory.as_ref().is_none() {
            self.memory.populate(Memory {
                file: ShmemFile::new(
                    match &*name {
                        Some(label) => label,
                        None => c"pinseal",
                    },
                    &self.owner,
                )?,
                seal_seal: SealSeal::Inborn,
            });
        }
        // Populated under the lock, by us or the one before us.
        self.used_memory().ok_or(ENOMEM)
    }

    /// The memory, if it has been used already.
    pub(crate) fn used_memory(&self) -> Option<&ShmemFile> {
        self.memory.as_ref().map(|memory| &memory.file)
    }

    /// Makes somebody else's memfd the memory.
    ///
    /// A file in a mounted tmpfs will not do: overlayfs shows such files as its own, and maps them
    /// writable without asking for their seals, or being counted before it does.
    ///
    /// # Errors
    ///
    /// `EBUSY` when the object has been used. `EPERM` when the file is not to be sealed: a memfd
    /// without `MFD_ALLOW_SEALING`, or with `F_SEAL_SEAL`; a file in a tmpfs.
    pub(crate) fn adopt(&self, file: ShmemFile) -> Result {
        if !file.is_on_kernel_mount() || !file.is_plain() {
            return Err(EPERM);
        }
        SealSet::from_kernel_bits(file.seals()).check_addable()?;
        let _name = self.name.lock();
        match self.memory.populate(Memory {
            file,
            seal_seal: SealSeal::Meant,
        }) {
            true => Ok(()),
            false => Err(EBUSY),
        }
    }

    /// What is held of it by pin handles.
    pub(crate) fn holdings(&self) -> &Holdings {
        &self.holdings
    }

    /// Size in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.used_memory().map_or(0, ShmemFile::size)
    }

    /// Names the object. `new` must not contain NUL.
    ///
    /// # Errors
    ///
    /// `EBUSY` when it has been used, `ENOMEM`.
    pub(crate) fn set_name(&self, new: &str) -> Result {
        let label = CString::try_from_fmt(fmt!("{LABEL_PREFIX}{new}"))?;
        let mut name = self.name.lock();
        if self.memory.as_ref().is_some() {
            return Err(EBUSY);
        }
        *name = Some(label);
        Ok(())
    }

    /// Calls `f` with the name, which is empty when none was given.
    pub(crate) fn with_name<R>(&self, f: impl FnOnce(&str) -> R) -> R {
        let label = self.name.lock();
        // It was made from a `str`, with this prefix.
        let name = label
            .as_ref()
            .and_then(|label| label.to_str().ok())
            .and_then(|label| label.strip_prefix(LABEL_PREFIX));
        f(name.unwrap_or_default())
    }

    /// The seals that are set.
    pub(crate) fn seals(&self) -> SealSet {
        let besides = SealSet::from_valid_bits(self.seals_besides.load(Acquire));
        let Some(memory) = self.memory.as_ref() else {
            return besides;
        };
        let inode = SealSet::from_kernel_bits(memory.file.seals());
        besides
            | match memory.seal_seal {
                SealSeal::Inborn => inode.without(Seal::Seal),
                SealSeal::Meant => inode,
            }
    }

    /// Sets seals, and has shmem enforce them. What they promise must hold already.
    ///
    /// # Errors
    ///
    /// `EPERM` when somebody with another way to the memory has put an end to that.
    pub(crate) fn add_seals(&self, locked: &LockedShmem<'_>, seals: SealSet) -> Result {
        self.seals().check_addable()?;
        locked.add_seals(seals.kernel_bits());
        let mut besides = seals.besides_kernel() | seals.only(Seal::Write);
        if let Some(SealSeal::Inborn) = self.memory.as_ref().map(|memory| memory.seal_seal) {
            besides |= seals.only(Seal::Seal);
        }
        // Nobody else changes them: `locked` proves that the inode is locked.
        let besides = besides.bits() | self.seals_besides.load(Relaxed);
        self.seals_besides.store(besides, Release);
        Ok(())
    }

    /// Whether adding `seals` ends writing, so that pins and mappings matter. It does as well when
    /// somebody else has sealed the memory for writing: the kernel does not look as closely.
    pub(crate) fn adding_ends_writing(&self, seals: SealSet) -> bool {
        SealSet::from_valid_bits(self.seals_besides.load(Acquire)).adding_ends_writing(seals)
    }
}

impl HasGate for Object {
    fn gate(&self) -> &Gate {
        &self.gate
    }
}

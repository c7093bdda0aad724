// SPDX-License-Identifier: GPL-2.0-only

//! The object behind an open file: memory that comes into being at first use, its seals, its gate.
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

use crate::{
    fs::shmem::{
        LockedShmem,
        ShmemFile, //
    },
    gate::Gate,
    seals::SealSet, //
};
use kernel::{
    new_mutex,
    prelude::*,
    str::CString,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Release, //
        },
        Arc,
        Mutex,
        SetOnce, //
    }, //
};

/// What stands before the name of an object in `/proc/PID/maps`.
const LABEL_PREFIX: &str = "pinseal:";

/// The object.
#[pin_data]
pub(crate) struct Object {
    /// What the memory is called in `/proc/PID/maps`, if it was named. Fixed when the memory comes
    /// into being.
    #[pin]
    name: Mutex<Option<CString>>,
    memory: SetOnce<ShmemFile>,
    /// A [`SealSet`]. Changed under the inode lock of the memory only. The inode has these and
    /// `F_SEAL_SEAL`, which keeps others from adding seals to it behind our back.
    seals: Atomic<u32>,
    #[pin]
    gate: Gate,
}

impl Object {
    /// An empty object.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                name <- new_mutex!(None, "pinseal::Object::name"),
                memory: SetOnce::new(),
                seals: Atomic::new(0),
                gate <- Gate::new(),
            }),
            GFP_KERNEL,
        )
    }

    /// The memory, made now if this is its first use.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, `ENFILE`.
    pub(crate) fn memory(&self) -> Result<&ShmemFile> {
        if let Some(memory) = self.memory.as_ref() {
            return Ok(memory);
        }
        let name = self.name.lock();
        if self.memory.as_ref().is_none() {
            self.memory.populate(ShmemFile::new(match &*name {
                Some(label) => label,
                None => c"pinseal",
            })?);
        }
        // Populated under the lock, by us or the one before us.
        self.memory.as_ref().ok_or(ENOMEM)
    }

    /// The memory, if it has been used already.
    pub(crate) fn used_memory(&self) -> Option<&ShmemFile> {
        self.memory.as_ref()
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
        SealSet::from_valid_bits(self.seals.load(Acquire))
    }

    /// Sets seals, and has shmem enforce them. What they promise must hold already.
    pub(crate) fn add_seals(&self, locked: &LockedShmem<'_>, seals: SealSet) {
        locked.add_seals(seals.bits());
        // Nobody else changes them: `locked` proves that the inode is locked.
        self.seals.store((self.seals() | seals).bits(), Release);
    }

    /// The gate for mappings and writers.
    pub(crate) fn gate(&self) -> &Gate {
        &self.gate
    }
}

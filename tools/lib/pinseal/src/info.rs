// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the kernel's pinseal supports.

use crate::{Seals, abi, flags::flags};
use std::time::Duration;

flags! {
    /// What this kernel supports beyond the first version of the interface.
    Features {
        /// Mirrors: [`Object::mirror`](crate::Object::mirror).
        MIRROR = abi::FEATURE_MIRROR, "mirror";
        /// Objects that are memfds: [`Options::memfd`](crate::Options::memfd).
        CREATE = abi::FEATURE_CREATE, "create";
        /// Protections of single pages: [`Mapping::protect`](crate::Mapping::protect).
        PROTECT = abi::FEATURE_PROTECT, "protect";
        /// Objects over files: [`Options::attach`](crate::Options::attach).
        ATTACH = abi::FEATURE_ATTACH, "attach";
        /// Looking at memory: [`Look`](crate::Look).
        LOOK = abi::FEATURE_LOOK, "look";
    }
}

flags! {
    /// Ways to seal.
    SealFlags {
        /// [`Sealing::no_wait`](crate::Sealing::no_wait).
        NOWAIT = abi::SEAL_NOWAIT, "nowait";
        /// [`Sealing::isolate`](crate::Sealing::isolate).
        ISOLATE = abi::SEAL_ISOLATE, "isolate";
        /// [`Sealing::revoke`](crate::Sealing::revoke).
        REVOKE = abi::SEAL_REVOKE, "revoke";
        /// [`Sealing::start`](crate::Sealing::start).
        ASYNC = abi::SEAL_ASYNC, "async";
        /// [`Pending::cancel`](crate::Pending::cancel).
        CANCEL = abi::SEAL_CANCEL, "cancel";
        /// [`Sealing::wait_mapped`](crate::Sealing::wait_mapped).
        WAIT_MAPPED = abi::SEAL_WAIT_MAPPED, "wait-mapped";
    }
}

/// What the kernel's pinseal supports, and the size of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Info {
    /// The version of the interface.
    pub version: u32,
    /// What it supports beyond its first version.
    pub features: Features,
    /// The seals that can be added.
    pub seals: Seals,
    /// The ways to seal.
    pub seal_flags: SealFlags,
    /// The size of the object in bytes.
    pub size: u64,
    /// How long a seal waits if its timeout is not set.
    pub default_timeout: Duration,
}

impl Info {
    pub(crate) fn of(fd: &abi::Descriptor) -> std::io::Result<Self> {
        let mut info = abi::Info::default();
        fd.call(&mut info)?;
        Ok(Self {
            version: info.version,
            features: Features::from_bits(info.features),
            seals: Seals::from_bits(info.seals),
            seal_flags: SealFlags::from_bits(info.seal_flags),
            size: info.size,
            default_timeout: Duration::from_nanos(info.default_timeout_ns),
        })
    }
}

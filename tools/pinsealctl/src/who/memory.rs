// SPDX-License-Identifier: MIT OR Apache-2.0

//! The memory that is asked about: a memfd, a file of tmpfs, or that of an object of `/dev/pinseal`.

use crate::{
    exit::{Exit, Failure, Result},
    proc::{self, Descriptor, ObjectInfo},
    target::Target,
};
use pinseal::{Look, Object, Pins, Seals};
use rustix::{
    fs::{fcntl_get_seals, fstat, major, minor},
    io::Errno,
};
use std::{io, os::fd::OwnedFd};

/// The inode, as `fstat()` and `/proc/PID/maps` tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) major: u32,
    pub(crate) minor: u32,
    pub(crate) ino: u64,
}

impl Identity {
    pub(super) fn of(dev: u64, ino: u64) -> Self {
        Self {
            major: major(dev),
            minor: minor(dev),
            ino,
        }
    }

    /// That of an object's memory, if it has some.
    pub(super) fn of_object(object: &ObjectInfo) -> Option<Self> {
        let (major, minor) = object.memory_dev?;
        let ino = object.memory?;
        Some(Self { major, minor, ino })
    }
}

/// How pages with extra references are listed.
enum Pages {
    Object(Object),
    Look(Look),
    /// Why they cannot be.
    Unknown(String),
}

pub(crate) struct Memory {
    pub(crate) identity: Identity,
    pub(crate) name: String,
    pub(crate) size: u64,
    pub(crate) seals: Seals,
    pages: Pages,
}

impl Memory {
    pub(super) fn of(target: Target) -> Result<Self> {
        let refused = match Object::try_from(target.open()?) {
            Ok(object) => return Self::of_object(target, object),
            Err(refused) => refused,
        };
        Self::of_file(target, &refused.into_fd())
    }

    /// Also without a device.
    fn of_file(target: Target, file: &OwnedFd) -> Result<Self> {
        // Only shared memory has seals.
        let seals = fcntl_get_seals(file).map_err(|_| {
            let message = format!("{target} is neither an object of /dev/pinseal nor a memfd");
            Failure::new(Exit::System, message)
        })?;
        let stat = fstat(file).map_err(|errno| Failure::of(target, &errno.into()))?;
        let link = proc::link(Target::own(file));
        let pages = match Look::new(file) {
            Ok(look) => Pages::Look(look),
            // EACCES is that of the device.
            Err(error) if Errno::from_io_error(&error) == Some(Errno::PERM) => {
                Pages::Unknown("the descriptor is not open for reading".to_owned())
            }
            Err(error) => Pages::Unknown(Failure::of_device(&error).to_string()),
        };
        Ok(Self {
            identity: Identity::of(stat.st_dev, stat.st_ino),
            name: link.trim_end_matches(" (deleted)").to_owned(),
            size: u64::try_from(stat.st_size).unwrap_or(0),
            seals: Seals::from_bits(seals.bits()),
            pages,
        })
    }

    fn of_object(target: Target, object: Object) -> Result<Self> {
        let failed = |error: io::Error| Failure::of(target, &error);
        let found = match Descriptor::of(Target::own(&object)) {
            Some(Descriptor::Object(info)) => Identity::of_object(&info).map(|its| (its, info)),
            _ => None,
        };
        let Some((identity, info)) = found else {
            let message = format!("{target} has no memory yet");
            return Err(Failure::new(Exit::System, message));
        };
        Ok(Self {
            identity,
            name: format!("object {} {}", info.object, info.name)
                .trim_end()
                .to_owned(),
            size: object.len().map_err(failed)?,
            seals: object.seals().map_err(failed)?,
            pages: Pages::Object(object),
        })
    }

    /// The pages that have extra references now, or why that is not known.
    pub(super) fn pins(&self) -> std::result::Result<Pins, String> {
        match &self.pages {
            Pages::Object(object) => object.pins(),
            Pages::Look(look) => look.pins(),
            Pages::Unknown(why) => return Err(why.clone()),
        }
        .map_err(|error| error.to_string())
    }
}

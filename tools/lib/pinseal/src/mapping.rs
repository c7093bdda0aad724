// SPDX-License-Identifier: MIT OR Apache-2.0

//! Mappings of objects.

use crate::{Object, abi};
use rustix::{
    mm::{MapFlags, ProtFlags, mmap, munmap},
    param::page_size,
};
use std::{
    fmt, io,
    ops::{Deref, Range},
    ptr::NonNull,
    sync::atomic::{AtomicU8, Ordering},
};

/// What a mapping allows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

/// A shared mapping, unmapped when it is dropped.
struct Region {
    /// Dangling if `len` is 0: then nothing is mapped.
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: mapped memory belongs to the process, and who may access it how is up to the owners of a
// region.
unsafe impl Send for Region {}
// SAFETY: likewise.
unsafe impl Sync for Region {}

impl Region {
    /// Maps the whole object.
    fn new(object: &Object, access: Access) -> io::Result<Self> {
        let len = object.len()?;
        let len = usize::try_from(len)
            .ok()
            .filter(|len| *len <= isize::MAX as usize)
            .ok_or(io::ErrorKind::FileTooLarge)?;
        if len == 0 {
            return Ok(Self {
                start: NonNull::dangling(),
                len,
            });
        }
        let protection = match access {
            Access::Read => ProtFlags::READ,
            Access::Write => ProtFlags::READ | ProtFlags::WRITE,
        };
        // SAFETY: the kernel chooses an address where nothing is mapped.
        let start = unsafe {
            mmap(
                std::ptr::null_mut(),
                len,
                protection,
                MapFlags::SHARED,
                object,
                0,
            )
        }?;
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, len })
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        if self.len != 0 {
            // SAFETY: the region is ours, and no reference into it outlives us. The kernel refuses
            // only addresses that are not mapped.
            let _ = unsafe { munmap(self.start.as_ptr().cast(), self.len) };
        }
    }
}

/// A shared mapping of an object that others may write to at the same time.
///
/// So there are no references to its bytes: they are copied in and out, each byte on its own.
/// [`as_ptr`](Self::as_ptr) is for what is left.
///
/// It has the size that the object had. If the object becomes smaller, access to what was cut off is
/// SIGBUS.
pub struct Mapping {
    region: Region,
    access: Access,
}

impl Mapping {
    pub(crate) fn new(object: &Object, access: Access) -> io::Result<Self> {
        Ok(Self {
            region: Region::new(object, access)?,
            access,
        })
    }

    /// The size in bytes.
    pub fn len(&self) -> usize {
        self.region.len
    }

    /// Whether the size is 0.
    pub fn is_empty(&self) -> bool {
        self.region.len == 0
    }

    /// The address of the first byte.
    pub fn as_ptr(&self) -> *mut u8 {
        self.region.start.as_ptr()
    }

    /// The bytes, which others may change.
    fn bytes(&self) -> &[AtomicU8] {
        // SAFETY: the region is mapped as long as we are, and an atomic byte may change at any time. A
        // read-only mapping is only read from.
        unsafe { std::slice::from_raw_parts(self.region.start.as_ptr().cast(), self.region.len) }
    }

    /// Copies bytes out.
    ///
    /// # Panics
    ///
    /// If the range does not lie in the mapping.
    pub fn read(&self, offset: usize, buffer: &mut [u8]) {
        let bytes = &self.bytes()[offset..][..buffer.len()];
        for (to, from) in buffer.iter_mut().zip(bytes) {
            *to = from.load(Ordering::Relaxed);
        }
    }

    /// Copies bytes in.
    ///
    /// # Panics
    ///
    /// If the range does not lie in the mapping, or the mapping is read-only.
    pub fn write(&self, offset: usize, bytes: &[u8]) {
        assert!(self.access == Access::Write, "the mapping is read-only");
        for (to, from) in self.bytes()[offset..][..bytes.len()].iter().zip(bytes) {
            to.store(*from, Ordering::Relaxed);
        }
    }

    /// The addresses of a range of pages.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if it does not lie in the mapping.
    pub(crate) fn addresses(&self, pages: &Range<u64>) -> io::Result<Range<u64>> {
        let page = page_size() as u64;
        let end = (self.region.len as u64).next_multiple_of(page);
        let start = self.as_ptr().addr() as u64;
        let byte = |index: u64| index.checked_mul(page).filter(|at| *at <= end);
        match (byte(pages.start), byte(pages.end)) {
            (Some(from), Some(to)) if from < to => Ok(start + from..start + to),
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "these pages are not in the mapping",
            )),
        }
    }

    /// Gives pages a protection of their own in this mapping, which narrows the mapping's: as
    /// `mprotect()`, but for any number of ranges. An access that it refuses is SIGSEGV, also one of
    /// [`read`](Self::read) and [`write`](Self::write).
    ///
    /// # Errors
    ///
    /// `ENOMEM` if the mapping is not one of that object; `EACCES` if it does not allow the protection.
    pub fn protect(
        &self,
        object: &Object,
        pages: Range<u64>,
        protection: Protection,
    ) -> io::Result<()> {
        let addresses = self.addresses(&pages)?;
        let argument = abi::Protect {
            addr: addresses.start,
            len: addresses.end - addresses.start,
            prot: protection.bits(),
            ..Default::default()
        };
        // SAFETY: the addresses are the mapping's.
        unsafe { object.descriptor().protect(argument, &mut []) }?;
        Ok(())
    }

    /// Lists the pages of this mapping that have a protection of their own, by ranges in ascending
    /// order.
    ///
    /// # Errors
    ///
    /// As for [`protect`](Self::protect).
    pub fn protections(&self, object: &Object) -> io::Result<Vec<(Range<u64>, Protection)>> {
        let page = page_size() as u64;
        let start = self.as_ptr().addr() as u64;
        let end = start + (self.region.len as u64).next_multiple_of(page);
        let mut at = start;
        let mut list = Vec::new();
        let mut ranges = vec![abi::ProtectRange::default(); 256.min(abi::PROTECT_MAX)];
        while at < end {
            let argument = abi::Protect {
                addr: at,
                len: end - at,
                flags: abi::PROTECT_QUERY,
                ..Default::default()
            };
            // SAFETY: the addresses are the mapping's.
            let found = unsafe { object.descriptor().protect(argument, &mut ranges) }?;
            for range in &ranges[..found] {
                let first = (range.addr - start) / page;
                let pages = first..first + range.len / page;
                list.push((pages, Protection::of_bits(range.prot)));
                at = range.addr + range.len;
            }
            if found < ranges.len() {
                break;
            }
        }
        Ok(list)
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mapping({:?}, {} bytes)", self.as_ptr(), self.len())
    }
}

/// What may be done with pages of a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// Nothing.
    None,
    /// Reading.
    Read,
    /// Reading and writing, as the mapping itself allows: the pages have no protection of their own any
    /// more.
    ReadWrite,
}

impl Protection {
    fn bits(self) -> u32 {
        match self {
            Self::None => ProtFlags::empty(),
            Self::Read => ProtFlags::READ,
            Self::ReadWrite => ProtFlags::READ | ProtFlags::WRITE,
        }
        .bits()
    }

    fn of_bits(bits: u32) -> Self {
        let bits = ProtFlags::from_bits_retain(bits);
        match (
            bits.contains(ProtFlags::READ),
            bits.contains(ProtFlags::WRITE),
        ) {
            (_, true) => Self::ReadWrite,
            (true, false) => Self::Read,
            (false, false) => Self::None,
        }
    }
}

/// The bytes of a sealed object, which nothing can change: see [`Sealed::map`](crate::Sealed::map).
///
/// It outlives the object's descriptors. If the object grows, this does not.
pub struct SealedMap(Region);

impl SealedMap {
    /// Maps an object whose seals were confirmed.
    pub(crate) fn new(object: &Object) -> io::Result<Self> {
        Ok(Self(Region::new(object, Access::Read)?))
    }

    /// Maps an object that the caller knows to be sealed, although this program cannot confirm it: its
    /// descriptor is read-only, or it has [`Seals::SEAL`](crate::Seals::SEAL).
    ///
    /// # Safety
    ///
    /// Pinseal has set [`Seals::WRITE`](crate::Seals::WRITE), `F_ADD_SEALS` has not. The seal
    /// [`Seals::SHRINK`](crate::Seals::SHRINK) is set.
    ///
    /// # Errors
    ///
    /// As for [`Sealed::map`](crate::Sealed::map).
    pub unsafe fn assume_sealed(object: &Object) -> io::Result<Self> {
        Self::new(object)
    }
}

impl Deref for SealedMap {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the region is mapped for reading as long as we are, and nothing changes it, as
        // `Sealed::map()` argues.
        unsafe { std::slice::from_raw_parts(self.0.start.as_ptr(), self.0.len) }
    }
}

impl AsRef<[u8]> for SealedMap {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for SealedMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedMap({} bytes)", self.len())
    }
}

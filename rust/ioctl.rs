// SPDX-License-Identifier: GPL-2.0-only

//! From command words and user memory to typed requests, and back.
//!
//! The rules for all commands are in the first comment of `include/uapi/linux/pinseal.h`. What is
//! checked here is form: sizes, flags, padding, ranges that overflow. What a command means is for
//! the modules below.

use crate::{
    budget::Budget,
    fs::device_file::DeviceFile,
    gate::HasGate,
    lease::{
        Asked,
        Holding,
        PinAccess,
        Standing,
        Terms, //
    },
    mm::folio::References,
    object::Object,
    opened::OpenObject,
    pin::{
        self,
        PinHandle, //
    },
    pins,
    request::{
        Outcome,
        SealReport,
        SealRequest,
        DEFAULT_TIMEOUT_NS, //
    },
    seal::add_seals,
    seals::SealSet,
    share,
    truncate::{
        once_free,
        WaitOutcome,
        WaitRequest, //
    },
    uapi, //
};
use core::{
    mem::offset_of,
    ops::Range, //
};
use kernel::{
    fs::file::flags,
    ioctl::{
        _IOC_NR,
        _IOC_SIZE,
        _IOC_TYPE, //
    },
    page::PAGE_SIZE,
    prelude::*,
    time::Delta,
    uaccess::{
        UserPtr,
        UserSlice,
        UserSliceReader, //
    }, //
};
use zerocopy::{
    FromBytes,
    Immutable,
    IntoBytes, //
};

/// Flags of `struct pinseal_seal` that this build knows.
const SEAL_FLAGS: u32 = uapi::PINSEAL_SEAL_NOWAIT
    | uapi::PINSEAL_SEAL_ISOLATE
    | uapi::PINSEAL_SEAL_REVOKE
    | uapi::PINSEAL_SEAL_ASYNC
    | uapi::PINSEAL_SEAL_CANCEL;

/// A time so long that it makes no difference, and that the clock can still be added to.
const FOR_EVER_NS: i64 = i64::MAX / 2;

/// Flags of `struct pinseal_pin` that this build knows.
const PIN_FLAGS: u32 = uapi::PINSEAL_PIN_READONLY | uapi::PINSEAL_PIN_LEASED;

/// Only what is asynchronous can be cancelled.
const ASYNC_CANCEL: u32 = uapi::PINSEAL_SEAL_ASYNC | uapi::PINSEAL_SEAL_CANCEL;

/// Runs a command of an open file. Returns 0 or, where the command makes one, a descriptor.
pub(crate) fn dispatch(device: DeviceFile<'_, OpenObject>, cmd: u32, arg: usize) -> Result<isize> {
    if _IOC_TYPE(cmd) != uapi::PINSEAL_IOC_MAGIC {
        return Err(ENOTTY);
    }
    let arg = Argument {
        address: UserPtr::from_addr(arg),
        size: _IOC_SIZE(cmd),
    };
    // The header defines these with `_IOR` and the like, whose values bindgen does not fold, and
    // only the number counts.
    match _IOC_NR(cmd) {
        0x00 => info(&device.owner(), arg)?,
        0x01 => resize(device, arg)?,
        0x02 => fallocate(device, arg)?,
        0x03 => seal(device, arg)?,
        0x04 => get_seals(&device.owner(), arg)?,
        0x05 => list_pins(&device.owner(), arg)?,
        0x06 => return pin(device, arg),
        0x07 => import(device, arg)?,
        0x08 => return export(device, arg),
        0x09 => return reopen(device, arg),
        0x0a => set_name(device, arg)?,
        _ => return Err(ENOTTY),
    }
    Ok(0)
}

/// The caller's struct, of a size that the caller says.
#[derive(Clone, Copy)]
struct Argument {
    address: UserPtr,
    size: usize,
}

impl Argument {
    fn user_slice(self) -> UserSlice {
        UserSlice::new(self.address, self.size)
    }

    /// Reads the struct.
    ///
    /// # Errors
    ///
    /// `EINVAL` (too short), `EFAULT`, `E2BIG` (longer than `T`, and the rest not zero).
    fn read<T: FromBytes + IntoBytes>(self) -> Result<T> {
        self.read_grown(size_of::<T>())
    }

    /// Reads a struct that has grown since its first version, of which the size is `first`. What the
    /// caller's does not have is zero.
    ///
    /// # Errors
    ///
    /// As for [`Argument::read`].
    fn read_grown<T: FromBytes + IntoBytes>(self, first: usize) -> Result<T> {
        if self.size < first {
            return Err(EINVAL);
        }
        let mut value = T::new_zeroed();
        let mut reader = self.user_slice().reader();
        let bytes = value.as_mut_bytes();
        let len = bytes.len().min(self.size);
        reader.read_slice(&mut bytes[..len])?;
        check_rest_is_zero(reader)?;
        Ok(value)
    }

    /// Whether the caller's struct has all of `T`.
    fn has_all_of<T>(self) -> bool {
        self.size >= size_of::<T>()
    }

    /// Writes as much of the struct as the caller's has.
    ///
    /// # Errors
    ///
    /// `EFAULT`.
    fn write_grown<T: IntoBytes + Immutable>(self, value: &T) -> Result {
        let bytes = value.as_bytes();
        self.user_slice()
            .writer()
            .write_slice(&bytes[..bytes.len().min(self.size)])
    }

    /// Writes the struct, and zeroes to what the caller's has beyond it.
    ///
    /// # Errors
    ///
    /// `EINVAL` (too short), `EFAULT`.
    fn write<T: IntoBytes + Immutable>(self, value: &T) -> Result {
        self.check_size::<T>()?;
        let mut writer = self.user_slice().writer();
        writer.write_slice(value.as_bytes())?;
        while !writer.is_empty() {
            let zeroes = [0; 64];
            writer.write_slice(&zeroes[..zeroes.len().min(writer.len())])?;
        }
        Ok(())
    }

    /// `T` is the first version of its struct. When a struct grows, this must go on to check
    /// against the size of the first.
    fn check_size<T>(self) -> Result {
        if self.size < size_of::<T>() {
            return Err(EINVAL);
        }
        Ok(())
    }
}

fn check_rest_is_zero(mut reader: UserSliceReader) -> Result {
    let mut chunk = [0; 64];
    while !reader.is_empty() {
        let len = chunk.len().min(reader.len());
        reader.read_slice(&mut chunk[..len])?;
        if chunk[..len].iter().any(|&byte| byte != 0) {
            return Err(E2BIG);
        }
    }
    Ok(())
}

/// Checks flags or padding of which nothing is defined.
fn check_zero(bits: u32) -> Result {
    if bits == 0 {
        Ok(())
    } else {
        Err(EINVAL)
    }
}

fn info(object: &Object, arg: Argument) -> Result {
    arg.write(&uapi::pinseal_info {
        version: uapi::PINSEAL_VERSION,
        features: 0,
        seals: SealSet::SUPPORTED,
        seal_flags: SEAL_FLAGS,
        size: object.size(),
        default_timeout_ns: DEFAULT_TIMEOUT_NS,
    })
}

/// Size of the first version of `struct pinseal_resize`.
const RESIZE_FIRST: usize = offset_of!(uapi::pinseal_resize, waited_ns);

/// Size of the first version of `struct pinseal_fallocate`.
const FALLOCATE_FIRST: usize = offset_of!(uapi::pinseal_fallocate, waited_ns);

fn resize(device: DeviceFile<'_, OpenObject>, arg: Argument) -> Result {
    let mut request: uapi::pinseal_resize = arg.read_grown(RESIZE_FIRST)?;
    check_zero(request.pad)?;
    let waits = wait_flags(
        request.flags,
        uapi::PINSEAL_RESIZE_WAIT,
        uapi::PINSEAL_RESIZE_REVOKE,
    )?;
    let size: i64 = request.size.try_into().map_err(|_| EINVAL)?;
    if !device.is_writable() {
        return Err(EINVAL);
    }
    let object = device.owner();
    if !waits {
        check_unused(&[
            request.waited_ns,
            request.pinned_pages,
            request.first_pinned,
            request.revoked_pages,
        ])?;
        object.gate().wait_for_sealer(device.is_nonblocking())?;
        return object.memory()?.resize(size);
    }
    // What is beyond the old end may have been allocated, and goes as well.
    let goes = pages_within(request.size, u64::MAX);
    let wait = WaitRequest {
        budget: wait_budget(device, request.timeout_ns, request.waited_ns),
        revoke: (request.flags & uapi::PINSEAL_RESIZE_REVOKE != 0).then_some(request.revoked_pages),
        restarts: arg.has_all_of::<uapi::pinseal_resize>(),
    };
    let report = once_free(object.object(), goes, wait, || {
        object.memory()?.resize(size)
    })?;
    request.waited_ns = report.waited_ns;
    request.pinned_pages = report.pinned_pages;
    request.first_pinned = report.first_pinned.map_or(NO_PAGE, |index| index as u64);
    request.revoked_pages = report.revoked_pages;
    waited(report.outcome, arg.write_grown(&request))
}

fn fallocate(device: DeviceFile<'_, OpenObject>, arg: Argument) -> Result {
    let mut request: uapi::pinseal_fallocate = arg.read_grown(FALLOCATE_FIRST)?;
    let waits = wait_flags(
        request.flags,
        uapi::PINSEAL_FALLOCATE_WAIT,
        uapi::PINSEAL_FALLOCATE_REVOKE,
    )?;
    let offset: i64 = request.offset.try_into().map_err(|_| EINVAL)?;
    let len: i64 = request.len.try_into().map_err(|_| EINVAL)?;
    // CAST: Bits.
    let mode = request.mode as i32;
    if !device.is_writable() {
        return Err(EBADF);
    }
    let object = device.owner();
    if !waits {
        check_unused(&[
            request.waited_ns,
            request.pinned_pages,
            request.first_pinned,
            request.revoked_pages,
        ])?;
    }
    if !waits || request.mode & uapi::FALLOC_FL_PUNCH_HOLE == 0 {
        // Nothing goes, unless a hole is punched.
        object.gate().wait_for_sealer(device.is_nonblocking())?;
        return object.memory()?.fallocate(mode, offset, len);
    }
    let goes = pages_within(request.offset, request.offset.saturating_add(request.len));
    let wait = WaitRequest {
        budget: wait_budget(device, request.timeout_ns, request.waited_ns),
        revoke: (request.flags & uapi::PINSEAL_FALLOCATE_REVOKE != 0)
            .then_some(request.revoked_pages),
        restarts: arg.has_all_of::<uapi::pinseal_fallocate>(),
    };
    let report = once_free(object.object(), goes, wait, || {
        object.memory()?.fallocate(mode, offset, len)
    })?;
    request.waited_ns = report.waited_ns;
    request.pinned_pages = report.pinned_pages;
    request.first_pinned = report.first_pinned.map_or(NO_PAGE, |index| index as u64);
    request.revoked_pages = report.revoked_pages;
    waited(report.outcome, arg.write_grown(&request))
}

/// Checks what a struct has grown by since its first version, and only flags that came with it have a
/// use for.
///
/// # Errors
///
/// `E2BIG`: what is not zero is from a version that this does not know.
fn check_unused(fields: &[u64]) -> Result {
    match fields.iter().all(|&field| field == 0) {
        true => Ok(()),
        false => Err(E2BIG),
    }
}

/// Whether it is to wait for who holds the pages that go.
///
/// # Errors
///
/// `EINVAL` for unknown flags, and for revoking without waiting.
fn wait_flags(flags: u32, wait: u32, revoke: u32) -> Result<bool> {
    check_zero(flags & !(wait | revoke))?;
    match (flags & wait != 0, flags & revoke != 0) {
        (false, true) => Err(EINVAL),
        (waits, _) => Ok(waits),
    }
}

/// The pages that lie within a range of bytes with their whole length.
fn pages_within(start: u64, end: u64) -> Range<usize> {
    // CAST: In pages, everything fits.
    let (start, end) = (
        start.div_ceil(PAGE_SIZE as u64) as usize,
        (end / PAGE_SIZE as u64) as usize,
    );
    start..end.max(start)
}

fn wait_budget(device: DeviceFile<'_, OpenObject>, timeout_ns: u64, waited_ns: u64) -> Budget {
    let timeout_ns = match timeout_ns {
        0 => DEFAULT_TIMEOUT_NS,
        timeout_ns => timeout_ns,
    };
    Budget::new(timeout_ns, device.is_nonblocking(), 0, waited_ns, 0)
}

/// What a call that waited comes to.
fn waited(outcome: WaitOutcome, written: Result) -> Result {
    match outcome {
        // What is done is done, also when nobody can read the report.
        WaitOutcome::Free => Ok(()),
        _ if written.is_err() => written,
        WaitOutcome::Held => Err(EBUSY),
        WaitOutcome::Interrupted => Err(ERESTARTNOHAND),
    }
}

fn seal(device: DeviceFile<'_, OpenObject>, arg: Argument) -> Result {
    let mut request: uapi::pinseal_seal = arg.read()?;
    check_zero(request.pad | (request.flags & !SEAL_FLAGS))?;
    if request.flags & ASYNC_CANCEL == uapi::PINSEAL_SEAL_CANCEL {
        return Err(EINVAL);
    }
    let seals = SealSet::from_bits(request.seals)?;
    if !device.is_writable() {
        return Err(EPERM);
    }
    // A struct that cannot be written must be noticed while nothing has happened yet.
    arg.write(&request)?;

    let timeout_ns = match request.timeout_ns {
        0 => DEFAULT_TIMEOUT_NS,
        timeout_ns => timeout_ns,
    };
    // What goes on in the background is not restarted: nothing was used up before.
    let (waited_ns, scans) = match request.flags & uapi::PINSEAL_SEAL_ASYNC {
        0 => (request.waited_ns, request.scans),
        _ => (0, 0),
    };
    let opened = device.owner();
    let wanted = SealRequest {
        seals,
        flags: request.flags,
        budget: Budget::new(
            timeout_ns,
            request.flags & uapi::PINSEAL_SEAL_NOWAIT != 0,
            request.max_scans,
            waited_ns,
            scans,
        ),
        isolate: request.flags & uapi::PINSEAL_SEAL_ISOLATE != 0,
        revoke: match request.flags & uapi::PINSEAL_SEAL_REVOKE {
            0 => None,
            _ if waited_ns == 0 && scans == 0 => Some(0),
            _ => Some(request.revoked_pages),
        },
    };
    let report = if request.flags & uapi::PINSEAL_SEAL_CANCEL != 0 {
        opened.used_background().ok_or(ENOENT)?.cancel(seals)?
    } else if request.flags & uapi::PINSEAL_SEAL_ASYNC != 0 {
        let background = opened.background()?;
        background.as_arc_borrow().seal(opened.object(), wanted)?
    } else {
        add_seals(opened.object().clone(), wanted)?
    };
    fill_in(&mut request, &report);
    let written = arg.write(&request);

    match report.outcome {
        // What is done is done, also when the caller has unmapped the struct since it was found to
        // be writable. Then there is nobody to read a report, but a call that failed would have
        // changed something.
        Outcome::Sealed | Outcome::Pending | Outcome::Cancelled => Ok(()),
        _ if written.is_err() => written,
        Outcome::WritableMapping | Outcome::Pinned | Outcome::LargeFolio => Err(EBUSY),
        Outcome::NoMemory => Err(ENOMEM),
        // EINTR where a handler runs. What runs none (task work, a debugger, the freezer) restarts
        // the call unseen, with the bounds as they stand now.
        Outcome::Interrupted => Err(ERESTARTNOHAND),
    }
}

fn fill_in(request: &mut uapi::pinseal_seal, report: &SealReport) {
    request.scans = report.scans;
    request.waited_ns = report.waited_ns;
    request.pinned_pages = report.pinned_pages;
    request.first_pinned = report.first_pinned.map_or(NO_PAGE, |index| index as u64);
    request.isolated_pages = report.isolated_pages as u64;
    request.revoked_pages = report.revoked_pages;
    request.outcome = report.outcome.number();
}

/// `PINSEAL_NO_PAGE`, an expression that bindgen does not fold.
const NO_PAGE: u64 = u64::MAX;

fn get_seals(object: &Object, arg: Argument) -> Result {
    arg.write(&object.seals().bits())
}

fn list_pins(object: &Object, arg: Argument) -> Result {
    let mut request: uapi::pinseal_pins = arg.read()?;
    check_zero(request.flags | request.pad)?;
    let end = match request.count {
        0 => u64::MAX,
        count => request.start.checked_add(count).ok_or(EINVAL)?,
    };
    let entry_size = size_of::<uapi::pinseal_page>() as u64;
    let mut vec = UserSlice::new(
        UserPtr::from_addr(request.vec.try_into().map_err(|_| EFAULT)?),
        // The caller may say "as many as there are".
        request
            .vec_len
            .saturating_mul(entry_size)
            .try_into()
            .unwrap_or(usize::MAX),
    )
    .writer();
    let most = (request.vec != 0).then_some(request.vec_len);

    // Asking is not using.
    let summary = match object.used_memory() {
        Some(memory) => pins::list(memory, request.start..end, most, |found| {
            found.iter().try_for_each(|references| {
                vec.write_slice(page_entry(object, references).as_bytes())
            })
        })?,
        None => pins::Summary::nothing(request.start),
    };
    request.found = summary.found;
    request.next = summary.next;
    request.pinned_pages = summary.pinned_pages;
    request.dma_pinned_pages = summary.dma_pinned_pages;
    arg.write(&request)
}

fn page_entry(object: &Object, references: &References) -> uapi::pinseal_page {
    let large = match references.is_large {
        true => uapi::PINSEAL_PAGE_LARGE,
        false => 0,
    };
    let pages = references.index..references.index + references.pages;
    let handle = match references.dma_pins > 0 && object.holdings().hold_any(&pages) {
        true => uapi::PINSEAL_PAGE_HANDLE,
        false => 0,
    };
    uapi::pinseal_page {
        index: references.index as u64,
        pages: references.pages.try_into().unwrap_or(u32::MAX),
        mapped: references.mapped,
        extra: references.extra,
        dma_pins: references.dma_pins,
        flags: large | handle,
        pad: 0,
    }
}

fn set_name(device: DeviceFile<'_, OpenObject>, arg: Argument) -> Result {
    let request: uapi::pinseal_name = arg.read()?;
    let name = CStr::from_bytes_until_nul(request.name.as_bytes())
        .map_err(|_| EINVAL)?
        .to_str()
        .map_err(|_| EINVAL)?;
    if name.chars().any(char::is_control) {
        return Err(EINVAL);
    }
    if !device.is_writable() {
        return Err(EPERM);
    }
    device.owner().set_name(name)
}

fn pin(device: DeviceFile<'_, OpenObject>, arg: Argument) -> Result<isize> {
    let request: uapi::pinseal_pin = arg.read()?;
    check_zero(request.pad | (request.flags & !PIN_FLAGS))?;
    let end = request.start.checked_add(request.count).ok_or(EINVAL)?;
    let start = request.start.try_into().map_err(|_| EINVAL)?;
    let end = end.try_into().map_err(|_| EINVAL)?;
    let access = match request.flags & uapi::PINSEAL_PIN_READONLY {
        0 => PinAccess::Write,
        _ => PinAccess::Read,
    };
    let terms = match request.flags & uapi::PINSEAL_PIN_LEASED {
        // It has no meaning without the flag.
        0 => Terms::ForGood,
        _ => Terms::Leased(Delta::from_nanos(
            request
                .grace_ns
                .try_into()
                .map_or(FOR_EVER_NS, |ns: i64| ns.min(FOR_EVER_NS)),
        )),
    };
    share::new_descriptor(|| pin::pin(device, start..end, access, terms))
}

/// Runs a command of a pin handle. Returns 0.
pub(crate) fn dispatch_on_handle(handle: &PinHandle, cmd: u32, arg: usize) -> Result<isize> {
    if _IOC_TYPE(cmd) != uapi::PINSEAL_IOC_MAGIC {
        return Err(ENOTTY);
    }
    let arg = Argument {
        address: UserPtr::from_addr(arg),
        size: _IOC_SIZE(cmd),
    };
    match _IOC_NR(cmd) {
        0x20 => lease(handle.holding(), arg)?,
        _ => return Err(ENOTTY),
    }
    Ok(0)
}

fn lease(holding: &Holding, arg: Argument) -> Result {
    let (state, asked) = match holding.standing() {
        Standing::Held => (uapi::pinseal_lease_state_PINSEAL_LEASE_HELD, None),
        Standing::Asked(asked) => (uapi::pinseal_lease_state_PINSEAL_LEASE_ASKED, Some(asked)),
        Standing::Revoked => (uapi::pinseal_lease_state_PINSEAL_LEASE_REVOKED, None),
    };
    let (grace_ns, flags) = match holding.terms() {
        Terms::ForGood => (0, 0),
        Terms::Leased(grace) => (grace.as_nanos(), uapi::PINSEAL_PIN_LEASED),
    };
    let access = match holding.access() {
        PinAccess::Read => uapi::PINSEAL_PIN_READONLY,
        PinAccess::Write => 0,
    };
    arg.write(&uapi::pinseal_lease {
        start: holding.range().start as u64,
        count: holding.range().len() as u64,
        // CAST: Made from what is not negative.
        grace_ns: grace_ns as u64,
        until_ns: asked.as_ref().map_or(0, Asked::until_ns),
        // CAST: A process has a positive number, or 0 when it is none of the reader's namespace.
        asker: asked
            .as_ref()
            .map_or(0, |asked| asked.by.tgid_nr_ns(None) as u32),
        state,
        flags: flags | access,
        pad: 0,
    })
}

fn import(device: DeviceFile<'_, OpenObject>, arg: Argument) -> Result {
    let request: uapi::pinseal_import = arg.read()?;
    check_zero(request.flags)?;
    if !device.is_writable() {
        return Err(EPERM);
    }
    share::import(&device.owner(), request.fd)
}

fn export(device: DeviceFile<'_, OpenObject>, arg: Argument) -> Result<isize> {
    let request: uapi::pinseal_export = arg.read()?;
    check_zero(request.pad | (request.flags & !uapi::PINSEAL_EXPORT_RDONLY))?;
    let access = if request.flags & uapi::PINSEAL_EXPORT_RDONLY != 0 {
        flags::O_RDONLY
    } else {
        device.access()
    };
    share::export(device, access)
}

fn reopen(device: DeviceFile<'_, OpenObject>, arg: Argument) -> Result<isize> {
    let request: uapi::pinseal_reopen = arg.read()?;
    check_zero(request.pad)?;
    if !matches!(request.flags, flags::O_RDONLY | flags::O_RDWR) {
        return Err(EINVAL);
    }
    share::reopen(device, request.flags)
}

// SPDX-License-Identifier: MIT OR Apache-2.0

//! The kernel's interface, as `include/uapi/linux/pinseal.h` has it: structs, numbers, and the calls.
//! That header explains them.

use rustix::{
    fs::{FileType, OFlags, fcntl_get_seals, fcntl_getfl, fstat, major},
    ioctl::{Ioctl, IoctlOutput, Opcode, ioctl, opcode},
};
use std::{
    ffi::c_void,
    fs::{File, OpenOptions},
    io,
    os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd},
};

const DEVICE: &str = "/dev/pinseal";
const MAGIC: u8 = 0xb9;
const VERSION: u32 = 1;
const MISC_MAJOR: u32 = 10;

/// The value of `first_pinned` without such a page.
pub(crate) const NO_PAGE: u64 = !0;
pub(crate) const NAME_MAX: usize = 64;
pub(crate) const PROTECT_MAX: usize = 65536;

macro_rules! constants {
    ($($name:ident = $value:expr;)*) => {
        // In full, as in the header.
        $(#[allow(dead_code)] pub(crate) const $name: u32 = $value;)*

        #[cfg(test)]
        const CONSTANTS: &[(&str, u32)] = &[$((stringify!($name), $name)),*];
    };
}

constants! {
    FEATURE_MIRROR = 1 << 0;
    FEATURE_CREATE = 1 << 1;
    FEATURE_PROTECT = 1 << 2;
    FEATURE_ATTACH = 1 << 3;
    FEATURE_LOOK = 1 << 4;

    RESIZE_WAIT = 1 << 0;
    RESIZE_KEEP_LEASES = 1 << 1;
    FALLOCATE_WAIT = 1 << 0;
    FALLOCATE_KEEP_LEASES = 1 << 1;

    SEAL_NOWAIT = 1 << 0;
    SEAL_ISOLATE = 1 << 1;
    SEAL_REVOKE = 1 << 2;
    SEAL_ASYNC = 1 << 3;
    SEAL_CANCEL = 1 << 4;
    SEAL_WAIT_MAPPED = 1 << 5;

    OUTCOME_SEALED = 0;
    OUTCOME_WRITABLE_MAPPING = 1;
    OUTCOME_PINNED = 2;
    OUTCOME_INTERRUPTED = 3;
    OUTCOME_NO_MEMORY = 4;
    OUTCOME_LARGE_FOLIO = 5;
    OUTCOME_PENDING = 6;
    OUTCOME_CANCELLED = 7;
    OUTCOME_NOT_FILLED = 8;

    F_SEAL_FUTURE_EXEC = 1 << 16;

    PAGE_LARGE = 1 << 0;
    PAGE_HANDLE = 1 << 1;
    PAGE_OFF_LRU = 1 << 2;
    PAGE_MLOCKED = 1 << 3;
    PAGE_SWAPCACHE = 1 << 4;
    PAGE_WRITEBACK = 1 << 5;

    PIN_READONLY = 1 << 0;
    PIN_LEASED = 1 << 1;
    PIN_MIRROR = 1 << 2;
    PIN_WAIT = 1 << 3;

    LEASE_HELD = 0;
    LEASE_ASKED = 1;
    LEASE_REVOKED = 2;

    IMPORT_LOOK = 1 << 0;
    EXPORT_RDONLY = 1 << 0;

    CREATE_ALLOW_SEALING = 1 << 0;
    CREATE_EXEC = 1 << 1;
    CREATE_NOEXEC_SEAL = 1 << 2;

    PROTECT_REMAP = 1 << 0;
    PROTECT_RANGES = 1 << 1;
    PROTECT_QUERY = 1 << 2;

    ATTACH_RDONLY = 1 << 0;
    ATTACH_SYNC_ON_CLOSE = 1 << 1;
}

/// Defines the structs, and in tests a table of their layout.
macro_rules! structs {
    ($($c_name:literal $name:ident { $($field:ident: $type:ty,)* })*) => {
        $(
            #[repr(C)]
            #[derive(Clone, Copy, Debug)]
            pub(crate) struct $name {
                $(pub(crate) $field: $type,)*
            }

            impl Default for $name {
                fn default() -> Self {
                    // SAFETY: the fields are integers and arrays of them.
                    unsafe { std::mem::zeroed() }
                }
            }
        )*

        #[cfg(test)]
        fn structs() -> Vec<(&'static str, usize, Vec<(&'static str, usize, usize)>)> {
            fn size<S, F>(_: impl Fn(&S) -> &F) -> usize {
                size_of::<F>()
            }
            vec![$((
                $c_name,
                size_of::<$name>(),
                vec![$((
                    stringify!($field),
                    std::mem::offset_of!($name, $field),
                    size(|it: &$name| &it.$field),
                )),*],
            )),*]
        }
    };
}

structs! {
    "pinseal_info" Info {
        version: u32,
        features: u32,
        seals: u32,
        seal_flags: u32,
        size: u64,
        default_timeout_ns: u64,
    }
    "pinseal_resize" Resize {
        size: u64,
        timeout_ns: u64,
        flags: u32,
        pad: u32,
        waited_ns: u64,
        pinned_pages: u64,
        first_pinned: u64,
        revoked_pages: u64,
    }
    "pinseal_fallocate" Fallocate {
        mode: u32,
        flags: u32,
        offset: u64,
        len: u64,
        timeout_ns: u64,
        waited_ns: u64,
        pinned_pages: u64,
        first_pinned: u64,
        revoked_pages: u64,
    }
    "pinseal_seal" Seal {
        seals: u32,
        flags: u32,
        timeout_ns: u64,
        max_scans: u32,
        scans: u32,
        waited_ns: u64,
        pinned_pages: u64,
        first_pinned: u64,
        isolated_pages: u64,
        revoked_pages: u64,
        outcome: u32,
        pad: u32,
    }
    "pinseal_page" Page {
        index: u64,
        pages: u32,
        mapped: u32,
        extra: u32,
        dma_pins: u32,
        flags: u32,
        pad: u32,
    }
    "pinseal_pins" Pins {
        start: u64,
        count: u64,
        vec: u64,
        vec_len: u64,
        found: u64,
        next: u64,
        pinned_pages: u64,
        dma_pinned_pages: u64,
        flags: u32,
        pad: u32,
    }
    "pinseal_pin" Pin {
        start: u64,
        count: u64,
        grace_ns: u64,
        flags: u32,
        pad: u32,
        address: u64,
        timeout_ns: u64,
    }
    "pinseal_lease" Lease {
        start: u64,
        count: u64,
        grace_ns: u64,
        until_ns: u64,
        asker: u32,
        state: u32,
        flags: u32,
        pad: u32,
    }
    "pinseal_import" Import {
        fd: i32,
        flags: u32,
    }
    "pinseal_export" Export {
        flags: u32,
        pad: u32,
    }
    "pinseal_reopen" Reopen {
        flags: u32,
        pad: u32,
    }
    "pinseal_name" Name {
        name: [u8; NAME_MAX],
    }
    "pinseal_create" Create {
        flags: u32,
        pad: u32,
        name: [u8; NAME_MAX],
    }
    "pinseal_protect_range" ProtectRange {
        addr: u64,
        len: u64,
        pgoff: u64,
        prot: u32,
        flags: u32,
    }
    "pinseal_protect" Protect {
        addr: u64,
        len: u64,
        pgoff: u64,
        prot: u32,
        flags: u32,
        ranges: u64,
        nr: u64,
    }
    "pinseal_attach" Attach {
        fd: i32,
        flags: u32,
    }
}

/// A struct without pointers that a command takes.
///
/// # Safety
///
/// The command of that number reads and writes the struct and no other memory.
pub(crate) unsafe trait Command: Sized {
    const OPCODE: Opcode;
}

/// A command that returns a descriptor.
///
/// # Safety
///
/// What the command returns is a descriptor that nobody else owns.
pub(crate) unsafe trait Opens: Command {}

macro_rules! commands {
    ($($name:ident = $direction:ident $type:ident $number:literal $($opens:ident)?;)*) => {
        $(
            // SAFETY: as the header says; none of these structs has a pointer.
            unsafe impl Command for $type {
                const OPCODE: Opcode = opcode::$direction::<$type>(MAGIC, $number);
            }

            $(
                // SAFETY: as the header says.
                unsafe impl $opens for $type {}
            )?
        )*

        #[cfg(test)]
        fn opcodes() -> Vec<(&'static str, Opcode)> {
            vec![
                ("PINSEAL_IOC_GET_SEALS", GET_SEALS),
                ("PINSEAL_IOC_PINS", PINS),
                ("PINSEAL_IOC_PROTECT", PROTECT),
                $((concat!("PINSEAL_", stringify!($name)), $type::OPCODE),)*
            ]
        }
    };
}

commands! {
    IOC_INFO = read Info 0x00;
    IOC_RESIZE = write Resize 0x01;
    IOC_FALLOCATE = write Fallocate 0x02;
    IOC_SEAL = read_write Seal 0x03;
    IOC_PIN = write Pin 0x06 Opens;
    IOC_IMPORT = write Import 0x07;
    IOC_EXPORT = write Export 0x08 Opens;
    IOC_REOPEN = write Reopen 0x09 Opens;
    IOC_SET_NAME = write Name 0x0a;
    IOC_ATTACH = write Attach 0x0c;
    IOC_CREATE = write Create 0x0d Opens;
    PIN_IOC_LEASE = read Lease 0x20;
}

const GET_SEALS: Opcode = opcode::read::<u32>(MAGIC, 0x04);
const PINS: Opcode = opcode::read_write::<Pins>(MAGIC, 0x05);
const PROTECT: Opcode = opcode::write::<Protect>(MAGIC, 0x0b);

/// A command and its argument, which the kernel may write to whatever the call returns.
struct Call<'a, T> {
    opcode: Opcode,
    argument: &'a mut T,
}

// SAFETY: the pointer is to a whole `T`, which the opcode has the size of. What the opcode does is the
// concern of `call()`.
unsafe impl<T> Ioctl for Call<'_, T> {
    type Output = IoctlOutput;

    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        self.opcode
    }

    fn as_ptr(&mut self) -> *mut c_void {
        std::ptr::from_mut(self.argument).cast()
    }

    unsafe fn output_from_ptr(
        output: IoctlOutput,
        _: *mut c_void,
    ) -> rustix::io::Result<Self::Output> {
        Ok(output)
    }
}

/// # Safety
///
/// The command reads and writes `argument`, and other memory only as far as the caller lets it.
unsafe fn call<T>(fd: BorrowedFd<'_>, opcode: Opcode, argument: &mut T) -> io::Result<IoctlOutput> {
    // SAFETY: as the caller promises.
    Ok(unsafe { ioctl(fd, Call { opcode, argument }) }?)
}

/// A descriptor that takes our commands: of an object, or of a pin handle.
#[derive(Debug)]
pub(crate) struct Descriptor(File);

impl Descriptor {
    /// Opens the device: a new object.
    pub(crate) fn open(writable: bool) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(writable).open(DEVICE)?;
        Self::check(file.into()).map_err(|(_, error)| error)
    }

    /// Takes a descriptor if it is one of an object; else gives it back.
    pub(crate) fn check(fd: OwnedFd) -> Result<Self, (OwnedFd, io::Error)> {
        match is_object(fd.as_fd()) {
            Ok(()) => Ok(Self(fd.into())),
            Err(error) => Err((fd, error)),
        }
    }

    /// Takes a descriptor if it is one of a pin handle; else gives it back.
    pub(crate) fn check_handle(fd: OwnedFd) -> Result<Self, (OwnedFd, io::Error)> {
        let mut lease = Lease::default();
        // SAFETY: whatever this is, the command word says that it writes one such struct.
        match unsafe { call(fd.as_fd(), Lease::OPCODE, &mut lease) } {
            Ok(_) => Ok(Self(fd.into())),
            Err(_) => Err((
                fd,
                io::Error::new(io::ErrorKind::InvalidInput, "not a pin handle of an object"),
            )),
        }
    }

    /// What tests take for a descriptor.
    #[cfg(test)]
    pub(crate) fn unchecked(file: File) -> Self {
        Self(file)
    }

    pub(crate) fn file(&self) -> &File {
        &self.0
    }

    pub(crate) fn file_mut(&mut self) -> &mut File {
        &mut self.0
    }

    pub(crate) fn into_fd(self) -> OwnedFd {
        self.0.into()
    }

    /// Another descriptor of the same open file.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self(self.0.try_clone()?))
    }

    pub(crate) fn is_writable(&self) -> io::Result<bool> {
        Ok(fcntl_getfl(&self.0)? & OFlags::RWMODE != OFlags::RDONLY)
    }

    pub(crate) fn call<T: Command>(&self, argument: &mut T) -> io::Result<()> {
        // SAFETY: the descriptor takes our commands, and this one touches its argument only.
        unsafe { call(self.0.as_fd(), T::OPCODE, argument) }?;
        Ok(())
    }

    /// Calls a command that opens a descriptor of an object or of a pin handle.
    pub(crate) fn open_by<T: Opens>(&self, argument: &mut T) -> io::Result<Self> {
        // SAFETY: as in `Self::call()`.
        let fd = unsafe { call(self.0.as_fd(), T::OPCODE, argument) }?;
        // SAFETY: the command opened it for us.
        Ok(Self(unsafe { File::from_raw_fd(fd) }))
    }

    pub(crate) fn seals(&self) -> io::Result<u32> {
        let mut seals = 0;
        // SAFETY: the command writes a number.
        unsafe { call(self.0.as_fd(), GET_SEALS, &mut seals) }?;
        Ok(seals)
    }

    /// Lists folios from `argument.start` on, into the spare capacity of `pages`.
    pub(crate) fn pins(&self, argument: &mut Pins, pages: &mut Vec<Page>) -> io::Result<()> {
        let spare = pages.spare_capacity_mut();
        argument.vec = spare.as_mut_ptr().addr() as u64;
        argument.vec_len = spare.len() as u64;
        // SAFETY: the command also writes to that memory, which is ours: at most `vec_len` elements.
        unsafe { call(self.0.as_fd(), PINS, argument) }?;
        // SAFETY: it has written `found` elements.
        unsafe { pages.set_len(pages.len() + argument.found as usize) };
        Ok(())
    }

    /// Changes or lists protections; `ranges` are what the command changes, or room for the list.
    ///
    /// # Safety
    ///
    /// The addresses are those of a [`Mapping`](crate::Mapping).
    pub(crate) unsafe fn protect(
        &self,
        mut argument: Protect,
        ranges: &mut [ProtectRange],
    ) -> io::Result<usize> {
        argument.ranges = ranges.as_mut_ptr().addr() as u64;
        argument.nr = ranges.len() as u64;
        if ranges.is_empty() {
            argument.ranges = 0;
        }
        // SAFETY: the command reads and writes these ranges, and changes no other memory than that of
        // the mapping.
        Ok(unsafe { call(self.0.as_fd(), PROTECT, &mut argument) }? as usize)
    }
}

/// Whether the descriptor is one of an object, and not one that another program made to look like it.
///
/// A device of that kind is a driver's, and the driver is part of the kernel. Seals are those of a memfd,
/// which knows no commands unless pinseal made it. A file of FUSE, which could answer as it likes, is
/// neither.
fn is_object(fd: BorrowedFd<'_>) -> io::Result<()> {
    let not_one = || {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a descriptor of /dev/pinseal",
        )
    };
    let stat = fstat(fd)?;
    let is_device = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
        && major(stat.st_rdev as _) == MISC_MAJOR;
    if !is_device && fcntl_get_seals(fd).is_err() {
        return Err(not_one());
    }
    let mut info = Info::default();
    // SAFETY: whichever driver this is, the command word says that it writes one such struct.
    match unsafe { call(fd, Info::OPCODE, &mut info) } {
        Ok(_) if info.version == VERSION => Ok(()),
        _ => Err(not_one()),
    }
}

/// A name as the structs have it.
pub(crate) fn name(name: &str) -> io::Result<[u8; NAME_MAX]> {
    let mut bytes = [0; NAME_MAX];
    if name.len() >= NAME_MAX || name.chars().any(char::is_control) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "a name has at most 63 bytes, and no control character",
        ));
    }
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// A file of the repository that this crate is developed in.
    fn source(path: &str) -> String {
        let path = format!("{}/../../../{path}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn number(text: &str) -> u64 {
        let text = text.trim();
        match text.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16),
            None => text.parse(),
        }
        .unwrap_or_else(|_| panic!("{text} is no number"))
    }

    /// `scripts/uapi-layout.c`, which the C compilers check against the header: what each of its lines
    /// NAME(WORDS, NUMBERS) says.
    fn c_layout() -> BTreeMap<String, Vec<u64>> {
        source("scripts/uapi-layout.c")
            .lines()
            .filter_map(|line| {
                let (kind, rest) = line.strip_suffix(");")?.split_once('(')?;
                let words: Vec<&str> = rest.split(", ").collect();
                let (names, numbers) = words.split_at(if kind == "FIELD" { 2 } else { 1 });
                matches!(kind, "SIZE" | "FIELD" | "COMMAND").then(|| {
                    (
                        names.join("."),
                        numbers.iter().map(|text| number(text)).collect(),
                    )
                })
            })
            .collect()
    }

    fn rust_layout() -> BTreeMap<String, Vec<u64>> {
        let mut layout = BTreeMap::new();
        for (name, size, fields) in structs() {
            layout.insert(name.to_owned(), vec![size as u64]);
            for (field, at, size) in fields {
                layout.insert(format!("{name}.{field}"), vec![at as u64, size as u64]);
            }
        }
        for (name, opcode) in opcodes() {
            layout.insert(name.to_owned(), vec![opcode.into()]);
        }
        layout
    }

    #[test]
    fn layout_is_that_of_the_header() {
        assert_eq!(rust_layout(), c_layout());
    }

    /// The constants of the header: `#define NAME (1U << N)`, and `NAME = N,` of its enums.
    fn c_constants() -> BTreeMap<String, u32> {
        source("include/uapi/linux/pinseal.h")
            .lines()
            .filter_map(|line| {
                let (name, value) = match line.strip_prefix("#define ") {
                    Some(define) => {
                        let (name, value) = define.split_once("(1U << ")?;
                        (name, 1 << number(value.strip_suffix(')')?))
                    }
                    None => {
                        let (name, value) = line.split_once('=')?;
                        (name, number(value.strip_suffix(',')?) as u32)
                    }
                };
                Some((name.trim().strip_prefix("PINSEAL_")?.to_owned(), value))
            })
            .collect()
    }

    #[test]
    fn constants_are_those_of_the_header() {
        let ours = CONSTANTS
            .iter()
            .map(|(name, value)| ((*name).to_owned(), *value))
            .collect::<BTreeMap<_, _>>();
        assert_eq!(ours, c_constants());
        let header = source("include/uapi/linux/pinseal.h");
        for line in [
            format!("#define PINSEAL_IOC_MAGIC\t{MAGIC:#X}").replace("0X", "0x"),
            format!("#define PINSEAL_VERSION\t\t{VERSION}"),
            format!("#define PINSEAL_NAME_MAX\t{NAME_MAX}"),
            format!("#define PINSEAL_PROTECT_MAX\t{PROTECT_MAX}"),
        ] {
            assert!(header.contains(&line), "{line}");
        }
    }

    #[test]
    fn names_are_checked() {
        assert!(name(&"n".repeat(63)).is_ok());
        assert!(name(&"n".repeat(64)).is_err());
        assert!(name("a\nb").is_err());
        assert_eq!(name("ä").unwrap()[..3], [0xc3, 0xa4, 0]);
    }

    #[test]
    fn other_descriptors_are_refused() {
        for path in ["/dev/null", "/proc/self/exe", "/"] {
            let (_, error) = Descriptor::check(File::open(path).unwrap().into()).unwrap_err();
            assert!(error.to_string().contains("not a descriptor"), "{path}");
        }
    }
}

# SPDX-License-Identifier: MIT OR Apache-2.0
"""/dev/pinseal for Python: shared memory that can be sealed safely while its pages are pinned.

>>> frame = Object.create("frame")
>>> frame.write(b"hello")
5
>>> print(frame.seal(Seal.WRITE | Seal.SHRINK))
sealed after ... ms and ... scan...
>>> frame.write(b"more")
Traceback (most recent call last):
PermissionError: [Errno 1] Operation not permitted

Objects and handles are files (io.FileIO): they have fileno(), read(), write(), seek() and close(),
and are context managers. Times are in seconds; a timeout of None is the kernel's default, 150 ms.
Pages are those of mmap.PAGESIZE, counted from the beginning of the object.

What fails raises OSError, with the errors that <linux/pinseal.h> lists. A seal that fails raises
SealError, which has a report and says in one sentence what was in the way. Signal handlers run during
a wait, which then goes on within its bounds, unless the handler raises an exception.

This file needs Python 3.11 and nothing else. It can be copied.
"""

import ctypes
import enum
import errno
import fcntl
import io
import mmap as _mmap
import os
import select
import stat
import time
from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = [
    "Create",
    "Feature",
    "Handle",
    "Info",
    "Lease",
    "LeaseInfo",
    "LeaseState",
    "Method",
    "Mirror",
    "Object",
    "Outcome",
    "Page",
    "PageFlag",
    "PendingSeal",
    "Pin",
    "Range",
    "RemovalError",
    "RemovalReport",
    "Report",
    "Seal",
    "SealError",
    "SealFlag",
    "Totals",
    "seal_fd",
]

DEVICE = "/dev/pinseal"

_VERSION = 1
_MISC_MAJOR = 10


class _Flag(enum.IntFlag):
    """Flags that are printed as their names."""

    __str__ = enum.Flag.__str__


class Seal(_Flag):
    """What is forbidden for ever: F_SEAL_* of fcntl(2), and FUTURE_EXEC of pinseal."""

    SEAL = 0x0001
    SHRINK = 0x0002
    GROW = 0x0004
    WRITE = 0x0008
    FUTURE_WRITE = 0x0010
    EXEC = 0x0020
    FUTURE_EXEC = 1 << 16


class Create(_Flag):
    """Flags of Object.create(): those of memfd_create()."""

    ALLOW_SEALING = 1 << 0
    EXEC = 1 << 1
    NOEXEC_SEAL = 1 << 2


class Feature(_Flag):
    """What a build of the module supports."""

    MIRROR = 1 << 0
    CREATE = 1 << 1
    PROTECT = 1 << 2
    ATTACH = 1 << 3
    LOOK = 1 << 4


class Outcome(enum.IntEnum):
    """Why a seal ended."""

    SEALED = 0
    WRITABLE_MAPPING = 1
    PINNED = 2
    INTERRUPTED = 3
    NO_MEMORY = 4
    LARGE_FOLIO = 5
    PENDING = 6
    CANCELLED = 7
    NOT_FILLED = 8


class Method(enum.Enum):
    """Who has sealed: pinseal, with its promises, or the kernel's F_ADD_SEALS, without them."""

    MODULE = "pinseal"
    FCNTL = "F_ADD_SEALS"


class LeaseState(enum.IntEnum):
    """State of a handle."""

    HELD = 0
    ASKED = 1
    REVOKED = 2


class PageFlag(_Flag):
    """What the kernel does with a page that has extra references."""

    LARGE = 1 << 0
    HANDLE = 1 << 1
    OFF_LRU = 1 << 2
    MLOCKED = 1 << 3
    SWAPCACHE = 1 << 4
    WRITEBACK = 1 << 5


class SealFlag(_Flag):
    """How to seal: Info.seal_flags has those that the module knows."""

    NOWAIT = 1 << 0
    ISOLATE = 1 << 1
    REVOKE = 1 << 2
    ASYNC = 1 << 3
    CANCEL = 1 << 4
    WAIT_MAPPED = 1 << 5


class _ResizeFlag(enum.IntFlag):
    WAIT = 1 << 0
    KEEP_LEASES = 1 << 1


class _PinFlag(enum.IntFlag):
    READONLY = 1 << 0
    LEASED = 1 << 1
    MIRROR = 1 << 2
    WAIT = 1 << 3


class _ImportFlag(enum.IntFlag):
    LOOK = 1 << 0


class _ExportFlag(enum.IntFlag):
    RDONLY = 1 << 0


class _ProtectFlag(enum.IntFlag):
    REMAP = 1 << 0
    RANGES = 1 << 1
    QUERY = 1 << 2


class _AttachFlag(enum.IntFlag):
    RDONLY = 1 << 0
    SYNC_ON_CLOSE = 1 << 1


# Structs and commands of <linux/pinseal.h>. scripts/check-python compares them with it.

_NO_PAGE = 2**64 - 1
_MAX_NS = 2**64 - 1
_MAX_POLL_MS = 2**31 - 1
_PROTECT_MAX = 65536
_NAME_MAX = 64


def _fields(**types):
    return list(types.items())


_s32, _u32, _u64 = ctypes.c_int32, ctypes.c_uint32, ctypes.c_uint64


class _Struct(ctypes.Structure):
    """A struct whose fields do not wrap."""

    def __setattr__(self, name, value):
        super().__setattr__(name, value)
        if getattr(self, name) != value:
            raise OverflowError(f"{name} is out of range: {value}")


class _pinseal_info(_Struct):
    _fields_ = _fields(
        version=_u32, features=_u32, seals=_u32, seal_flags=_u32, size=_u64, default_timeout_ns=_u64
    )


class _pinseal_resize(_Struct):
    _fields_ = _fields(
        size=_u64,
        timeout_ns=_u64,
        flags=_u32,
        pad=_u32,
        waited_ns=_u64,
        pinned_pages=_u64,
        first_pinned=_u64,
        revoked_pages=_u64,
    )


class _pinseal_fallocate(_Struct):
    _fields_ = _fields(
        mode=_u32,
        flags=_u32,
        offset=_u64,
        len=_u64,
        timeout_ns=_u64,
        waited_ns=_u64,
        pinned_pages=_u64,
        first_pinned=_u64,
        revoked_pages=_u64,
    )


class _pinseal_seal(_Struct):
    _fields_ = _fields(
        seals=_u32,
        flags=_u32,
        timeout_ns=_u64,
        max_scans=_u32,
        scans=_u32,
        waited_ns=_u64,
        pinned_pages=_u64,
        first_pinned=_u64,
        isolated_pages=_u64,
        revoked_pages=_u64,
        outcome=_u32,
        pad=_u32,
    )


class _pinseal_page(_Struct):
    _fields_ = _fields(
        index=_u64, pages=_u32, mapped=_u32, extra=_u32, dma_pins=_u32, flags=_u32, pad=_u32
    )


class _pinseal_pins(_Struct):
    _fields_ = _fields(
        start=_u64,
        count=_u64,
        vec=_u64,
        vec_len=_u64,
        found=_u64,
        next=_u64,
        pinned_pages=_u64,
        dma_pinned_pages=_u64,
        flags=_u32,
        pad=_u32,
    )


class _pinseal_pin(_Struct):
    _fields_ = _fields(
        start=_u64, count=_u64, grace_ns=_u64, flags=_u32, pad=_u32, address=_u64, timeout_ns=_u64
    )


class _pinseal_lease(_Struct):
    _fields_ = _fields(
        start=_u64,
        count=_u64,
        grace_ns=_u64,
        until_ns=_u64,
        asker=_u32,
        state=_u32,
        flags=_u32,
        pad=_u32,
    )


class _pinseal_import(_Struct):
    _fields_ = _fields(fd=_s32, flags=_u32)


class _pinseal_export(_Struct):
    _fields_ = _fields(flags=_u32, pad=_u32)


class _pinseal_reopen(_Struct):
    _fields_ = _fields(flags=_u32, pad=_u32)


class _pinseal_name(_Struct):
    _fields_ = _fields(name=ctypes.c_char * _NAME_MAX)


class _pinseal_create(_Struct):
    _fields_ = _fields(flags=_u32, pad=_u32, name=ctypes.c_char * _NAME_MAX)


class _pinseal_protect(_Struct):
    _fields_ = _fields(addr=_u64, len=_u64, pgoff=_u64, prot=_u32, flags=_u32, ranges=_u64, nr=_u64)


class _pinseal_protect_range(_Struct):
    _fields_ = _fields(addr=_u64, len=_u64, pgoff=_u64, prot=_u32, flags=_u32)


class _pinseal_attach(_Struct):
    _fields_ = _fields(fd=_s32, flags=_u32)


def _command(direction, number, struct):
    return direction << 30 | ctypes.sizeof(struct) << 16 | 0xB9 << 8 | number


_W, _R = 1, 2

_IOC_INFO = _command(_R, 0x00, _pinseal_info)
_IOC_RESIZE = _command(_W, 0x01, _pinseal_resize)
_IOC_FALLOCATE = _command(_W, 0x02, _pinseal_fallocate)
_IOC_SEAL = _command(_R | _W, 0x03, _pinseal_seal)
_IOC_GET_SEALS = _command(_R, 0x04, _u32)
_IOC_PINS = _command(_R | _W, 0x05, _pinseal_pins)
_IOC_PIN = _command(_W, 0x06, _pinseal_pin)
_IOC_IMPORT = _command(_W, 0x07, _pinseal_import)
_IOC_EXPORT = _command(_W, 0x08, _pinseal_export)
_IOC_REOPEN = _command(_W, 0x09, _pinseal_reopen)
_IOC_SET_NAME = _command(_W, 0x0A, _pinseal_name)
_IOC_PROTECT = _command(_W, 0x0B, _pinseal_protect)
_IOC_ATTACH = _command(_W, 0x0C, _pinseal_attach)
_IOC_CREATE = _command(_W, 0x0D, _pinseal_create)
_PIN_IOC_LEASE = _command(_R, 0x20, _pinseal_lease)


def _ioctl(fd, command, arg):
    """ioctl() that goes on after a signal. The struct has what was waited before."""
    while True:
        try:
            return fcntl.ioctl(fd, command, arg, True)
        except InterruptedError:
            pass


def _open(flags):
    return os.open(DEVICE, flags | os.O_CLOEXEC)


def _file(kind, fd, *arguments):
    """A file of some kind that owns a new descriptor; without it, the descriptor is closed."""
    try:
        return kind(fd, *arguments)
    except BaseException:
        os.close(fd)
        raise


def _ns(seconds):
    """A time in nanoseconds, or as many as there are."""
    if seconds < 0:
        raise ValueError("a time is negative")
    # An int may be too large for a float.
    return round(seconds * 1e9) if seconds < _MAX_NS // 10**9 else _MAX_NS


def _deadline(seconds):
    """When a timeout is over, of time.monotonic()."""
    return float("inf") if seconds is None else time.monotonic() + _ns(seconds) / 1e9


def _timeout_ns(seconds):
    """A timeout for the kernel, to which 0 is the default."""
    return 0 if seconds is None else max(1, _ns(seconds))


def _fd(file):
    return file if isinstance(file, int) else file.fileno()


def _is_object(fd):
    """Whether a descriptor is of an object, and not a file of FUSE that answers like one.

    A device of that kind is a driver's, and seals are those of a memfd: the kernel answers for both.
    """
    arg = _pinseal_info()
    try:
        status = os.fstat(fd)
        if not (stat.S_ISCHR(status.st_mode) and os.major(status.st_rdev) == _MISC_MAJOR):
            fcntl.fcntl(fd, fcntl.F_GET_SEALS)
        _ioctl(fd, _IOC_INFO, arg)
    except OSError:
        return False
    return arg.version == _VERSION


def _name(text):
    name = text.encode()
    if len(name) >= _NAME_MAX:
        raise ValueError(f"a name has at most {_NAME_MAX - 1} bytes: {text!r}")
    return name


def _address(mapping):
    """Where a mapping begins: of an mmap.mmap that is writable, or the address itself."""
    if isinstance(mapping, int):
        return mapping
    return ctypes.addressof(ctypes.c_char.from_buffer(mapping))


def _counted(number, one, more):
    return f"{number} {one if number == 1 else more}"


# What is said about a seal or a removal.

# Errors whose reason is in the struct. For others it is as the caller passed it.
_WITH_REASON = (0, errno.EBUSY, errno.EINTR, errno.ENOMEM, errno.ECANCELED)


@dataclass(frozen=True)
class Report:
    """How a seal ended; str() of it is a sentence.

    error is 0 or an errno; outcome, its reason, is None where the kernel gives none. waited is in
    seconds. first_pinned is a page, or None if no page was in use.
    """

    error: int
    method: Method
    outcome: Outcome | None
    scans: int
    waited: float
    pinned_pages: int
    first_pinned: int | None
    isolated_pages: int
    revoked_pages: int
    _flags: SealFlag = field(default=SealFlag(0), repr=False)

    @classmethod
    def _of(cls, arg, error=0, method=Method.MODULE):
        reason = None
        if method is Method.MODULE and error in _WITH_REASON:
            reason = arg.outcome if arg.outcome or not error else None
        # That of a call which was restarted, and ended otherwise.
        if reason == Outcome.INTERRUPTED and error != errno.EINTR:
            reason = None
        try:
            outcome = Outcome(reason)
        except ValueError:
            outcome = None
        return cls(
            error,
            method,
            outcome,
            arg.scans,
            arg.waited_ns / 1e9,
            arg.pinned_pages,
            None if arg.first_pinned == _NO_PAGE else arg.first_pinned,
            arg.isolated_pages,
            arg.revoked_pages,
            SealFlag(arg.flags),
        )

    def __str__(self):
        if self.outcome is Outcome.PENDING:
            if not self.pinned_pages:
                return "being sealed: it has just begun, or waits for a mapping, a write or another sealer"
            return f"being sealed: {self._in_use()}"
        if self.outcome is Outcome.CANCELLED:
            return f"not sealed: cancelled{self._effort()}"
        if self.error:
            return f"not sealed: {self._reason()}"
        return self._sealed()

    def _effort(self, scan="scan"):
        if not self.scans:
            return ""
        return f" after {self.waited * 1e3:.1f} ms and {_counted(self.scans, scan, scan + 's')}"

    def _in_use(self):
        text = _counted(self.pinned_pages, "page is in use", "pages are in use") + self._effort()
        if self.first_pinned is None:
            return text
        return f"{text}, {'' if self.pinned_pages == 1 else 'from '}page {self.first_pinned}"

    def _them(self):
        return "it" if self.pinned_pages == 1 else "them"

    def _sealed(self):
        if self.method is Method.FCNTL:
            return f"sealed by F_ADD_SEALS, without pinseal,{self._effort('call')}"
        text = f"sealed{self._effort()}"
        if self.revoked_pages:
            text += ", " + _counted(
                self.revoked_pages, "leased page was revoked", "leased pages were revoked"
            )
        if self.isolated_pages:
            text += ", " + _counted(
                self.isolated_pages, "page was replaced by a copy", "pages were replaced by copies"
            )
        return text

    def _pinned(self):
        if not self.pinned_pages:
            return f"a write or another sealer was under way{self._effort()}; wait longer"
        remedies = [
            f"have {self._them()} released",
            "wait" if self._flags & SealFlag.NOWAIT else "wait longer",
        ]
        if not self._flags & SealFlag.REVOKE:
            remedies.append("revoke leases (revoke=True)")
        if not self._flags & SealFlag.ISOLATE:
            remedies.append(f"or copy {self._them()} (isolate=True)")
        else:
            remedies.append("or call again, because a call copies at most 1024 pages")
        return f"{self._in_use()}; {', '.join(remedies)}"

    def _mapped(self):
        text = "a shared mapping is writable, or can be made so"
        if self._flags & SealFlag.WAIT_MAPPED:
            return f"{text}, still{self._effort()}; unmap it, or wait longer"
        return f"{text}; unmap it, or wait until it is gone (wait_mapped=True)"

    def _reason(self):
        if self.method is Method.FCNTL and self.error == errno.EBUSY:
            return (
                "F_ADD_SEALS found pages in use, or a shared writable mapping, and does not say "
                f"which,{self._effort('call')}; the pinseal module would tell"
            )
        match self.outcome, self.error:
            case Outcome.WRITABLE_MAPPING, _:
                return self._mapped()
            case Outcome.PINNED, _:
                return self._pinned()
            case Outcome.NO_MEMORY, _:
                return (
                    "there is no memory for copies of pages in use, or to swap pages in; free some, "
                    "or raise the limit of the memory cgroup"
                )
            case Outcome.LARGE_FOLIO, _:
                return (
                    f"{self._in_use()}, in a large folio, which cannot be replaced by a copy; have "
                    f"{self._them()} released, or wait longer"
                )
            case Outcome.NOT_FILLED, _:
                return (
                    "the time did not suffice to read the lower file, or to write to it; seal again "
                    "to go on from there"
                )
            case _, errno.EPERM:
                return (
                    "the descriptor is not open for writing, or the seals are final (Seal.SEAL), as "
                    "those of a memfd without MFD_ALLOW_SEALING"
                )
            case _, errno.EINVAL:
                return "a seal is unknown (see Object.info()), or the descriptor is of no shared memory"
            case _, errno.ENOTTY:
                return "the descriptor is of no object; seal_fd() seals any memfd"
            case _, errno.EALREADY:
                return (
                    "other seals are being added in the background, or their result was not taken"
                )
        return os.strerror(self.error)


class SealError(OSError):
    """A seal failed: the object is as it was. Its text is a sentence.

    >>> frame = Object.create("frame", size=4096)
    >>> pin = frame.pin(0, 1)
    >>> try:
    ...     frame.seal(Seal.WRITE, timeout=0.02)
    ... except SealError as error:
    ...     print(error)
    ...     print(error.report.outcome.name)
    not sealed: 1 page is in use after ... ms and ... scan..., page 0; have it released, ...
    PINNED
    >>> pin.close()
    """

    def __init__(self, report):
        super().__init__(report.error, str(report))
        self.report = report

    def __reduce__(self):
        return type(self), (self.report,), self.__dict__

    def __str__(self):
        return self.strerror


@dataclass(frozen=True)
class RemovalReport:
    """Which pages were in use when they were to be removed, and how long that was waited for."""

    waited: float
    pinned_pages: int
    first_pinned: int | None
    revoked_pages: int

    @classmethod
    def _of(cls, arg):
        first = None if arg.first_pinned == _NO_PAGE else arg.first_pinned
        return cls(arg.waited_ns / 1e9, arg.pinned_pages, first, arg.revoked_pages)

    def __str__(self):
        if not self.pinned_pages:
            return f"a write or a sealer was under way for {self.waited * 1e3:.1f} ms; wait longer"
        return (
            f"{_counted(self.pinned_pages, 'page is in use', 'pages are in use')} after "
            f"{self.waited * 1e3:.1f} ms, from page {self.first_pinned}; have "
            f"{'it' if self.pinned_pages == 1 else 'them'} released, or wait longer"
        )


class RemovalError(OSError):
    """Pages were not removed, because they are in use: the object is as it was."""

    def __init__(self, report):
        super().__init__(errno.EBUSY, f"not removed: {report}")
        self.report = report

    def __reduce__(self):
        return type(self), (self.report,), self.__dict__

    def __str__(self):
        return self.strerror


# What is told of an object.


class Info(NamedTuple):
    """What the module supports, and the size of the object."""

    version: int
    features: Feature
    seals: Seal
    size: int
    default_timeout: float
    seal_flags: SealFlag


class Page(NamedTuple):
    """A folio with extra references. It is a snapshot, as <linux/pinseal.h> explains."""

    index: int
    pages: int
    mapped: int
    extra: int
    dma_pins: int
    flags: PageFlag


class Totals(NamedTuple):
    """How many pages have extra references, and how many of these are pinned for I/O or DMA."""

    pinned: int
    dma_pinned: int


class Range(NamedTuple):
    """Pages of a mapping: where they begin in it, in bytes, and their protection, mmap.PROT_*.

    shown is the byte of the object that is shown at the first one, with those behind it; None for those
    that are shown by now.
    """

    offset: int
    length: int
    prot: int
    shown: int | None = None


class LeaseInfo(NamedTuple):
    """Terms and state of a handle; until is a time of time.monotonic(), or None."""

    start: int
    count: int
    grace: float
    until: float | None
    asker: int
    state: LeaseState


class Handle(io.FileIO):
    """A file that stands for some pages of an object: reading and writing it accesses these.

    Its first byte is that of the first page. close() ends it.
    """

    def __init__(self, fd, readonly=False):
        super().__init__(fd, "rb" if readonly else "r+b")

    def info(self):
        """Terms and state, as LeaseInfo."""
        arg = _pinseal_lease()
        _ioctl(self.fileno(), _PIN_IOC_LEASE, arg)
        return LeaseInfo(
            arg.start,
            arg.count,
            arg.grace_ns / 1e9,
            arg.until_ns / 1e9 if arg.until_ns else None,
            arg.asker,
            LeaseState(arg.state),
        )


class Pin(Handle):
    """Pages that are pinned as for a device, until it is closed."""


class Mirror(Handle):
    """What a mapping shows of some pages, at any moment. It pins nothing."""


class Lease(Handle):
    """Pinned pages that a sealer can ask for, and take away after the grace."""

    def wait(self, timeout=None):
        """Waits until a sealer asks for the pages, for ever with None: the LeaseState.

        The holder answers with close(). Without an answer, the pages are REVOKED after the grace:
        reading and writing the handle is ESTALE then.
        """
        poll = select.poll()
        poll.register(self, select.POLLPRI)
        events = poll.poll(None if timeout is None else min(_ns(timeout) / 1e6, _MAX_POLL_MS))
        if not events:
            return LeaseState.HELD
        return LeaseState.REVOKED if events[0][1] & select.POLLHUP else LeaseState.ASKED


class PendingSeal:
    """A seal in the background; Object.seal_async() begins it.

    fileno() is for select, selectors and asyncio: a descriptor that becomes readable when the seal
    has ended. (The object's own reports EPOLLPRI.) It does not if another caller cancels the seal, or
    takes its result; wait() and result() notice that within a second, by /proc.

    The seal goes on when this is dropped. As a context manager it cancels a seal that has not ended.

    >>> frame = Object.create("frame", size=4096)
    >>> pin = frame.pin(0, 1)
    >>> with frame.seal_async(Seal.WRITE, timeout=60) as pending:
    ...     pending.wait(timeout=0.1)
    False
    >>> frame.seals
    <Seal: 0>
    """

    def __init__(self, obj, arg):
        self._object = obj
        self._arg = arg
        self._error = 0
        # First, because a seal that has begun and cannot be watched would be lost.
        self._epoll = select.epoll()
        self._epoll.register(obj, select.EPOLLPRI)
        self._ask()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.cancel()
        self._epoll.close()

    def _has_ended(self):
        return self._error or self._arg.outcome != Outcome.PENDING

    def _ask(self, flags=0):
        arg = _pinseal_seal.from_buffer_copy(self._arg)
        arg.flags |= flags
        self._error = _seal_error(self._object, arg)
        arg.flags = self._arg.flags
        self._arg = arg
        if not self._error and arg.outcome == Outcome.CANCELLED:
            self._error = errno.ECANCELED

    def _has_gone(self):
        """Whether it neither goes on nor has a result. Where /proc does not tell, it has not gone."""
        try:
            with open(f"/proc/thread-self/fdinfo/{self._object.fileno()}", "rb") as file:
                info = file.read()
        except OSError:
            return False
        return b"\nobject:" in info and b"\nsealing:\t%#x\n" % self._arg.seals not in info

    def _report(self):
        return Report._of(self._arg, self._error)

    def fileno(self):
        """A descriptor that is readable once the seal has ended."""
        return self._epoll.fileno()

    def progress(self):
        """The report so far, or the last one."""
        if not self._has_ended():
            self._ask()
        return self._report()

    def wait(self, timeout=None):
        """Waits until the seal has ended, for ever with None: whether it has."""
        deadline = _deadline(timeout)
        while not self._has_ended():
            left = max(0, deadline - time.monotonic())
            events = self._epoll.poll(min(left, _LOOK))
            if events and events[0][1] & select.EPOLLERR:
                raise OSError(errno.ENOMEM, "no memory to watch the object")
            if events:
                return True
            if self._has_gone():
                self._arg.outcome, self._error = Outcome.CANCELLED, errno.ECANCELED
            elif left < _LOOK:
                return False
        return True

    def result(self, timeout=None):
        """Waits for the end: the report, or SealError. TimeoutError if the seal still goes on.

        If another caller has cancelled the seal or has taken its result, that is the SealError of a
        cancelled seal.
        """
        deadline = _deadline(timeout)
        while True:
            if not self.wait(max(0, deadline - time.monotonic())):
                raise TimeoutError(f"the seal has not ended within {timeout} s")
            # Another caller may have been quicker; then this has begun a seal anew.
            if self.progress().outcome is not Outcome.PENDING:
                return _checked(self._report())

    def cancel(self):
        """Cancels the seal: True with the object as it was, False if the seal ended before."""
        if not self._has_ended():
            self._ask(SealFlag.CANCEL)
        return self._arg.outcome == Outcome.CANCELLED


# How long to sleep before looking whether there is a seal at all, in seconds.
_LOOK = 1


def _seal_arg(seals, timeout, scans, isolate, revoke, wait_mapped):
    """The argument of a seal. A timeout of 0 is no wait."""
    flags = (
        SealFlag.NOWAIT * (timeout == 0)
        | SealFlag.ISOLATE * bool(isolate)
        | SealFlag.REVOKE * bool(revoke)
        | SealFlag.WAIT_MAPPED * bool(wait_mapped)
    )
    return _pinseal_seal(
        seals=seals,
        flags=flags,
        timeout_ns=_timeout_ns(timeout or None),
        max_scans=scans,
        first_pinned=_NO_PAGE,
    )


def _seal_error(file, arg):
    """Seals: 0, or an errno."""
    try:
        _ioctl(_fd(file), _IOC_SEAL, arg)
    except OSError as error:
        return error.errno
    return 0


def _checked(report):
    if report.error or (report.method is Method.MODULE and report.outcome is not Outcome.SEALED):
        raise SealError(report)
    return report


class Object(io.FileIO):
    """An object of pinseal: a file in memory, that can be shared, mapped, pinned and sealed.

    Object.create() makes one that is a memfd to every program, and Object.open() one of the device;
    the documentation has the differences. Object(fd) takes over a descriptor that was received, if it is
    one of an object; else it is an OSError (ENOTTY), and the descriptor stays the caller's.
    """

    def __init__(self, fd):
        writable = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY
        if not _is_object(fd):
            raise OSError(errno.ENOTTY, "not a descriptor of /dev/pinseal")
        super().__init__(fd, "r+b" if writable else "rb")

    @classmethod
    def _over(cls, flags, command, arg):
        obj = _file(cls, _open(flags))
        try:
            _ioctl(obj.fileno(), command, arg)
        except BaseException:
            obj.close()
            raise
        return obj

    @classmethod
    def create(cls, name="", size=0, flags=0, by=None):
        """A new object that is a memfd. With by, another object, the device is not opened.

        >>> with Object.create("frame", size=8192) as frame:
        ...     os.fstat(frame.fileno()).st_size
        8192
        """
        arg = _pinseal_create(flags=flags, name=_name(name))
        device = _open(os.O_RDONLY) if by is None else by.fileno()
        try:
            obj = _file(cls, _ioctl(device, _IOC_CREATE, arg))
        finally:
            if by is None:
                os.close(device)
        if size:
            obj.resize(size)
        return obj

    @classmethod
    def open(cls, size=0, flags=os.O_RDWR):
        """A new object of the device."""
        obj = _file(cls, _open(flags))
        if size:
            obj.resize(size)
        return obj

    @classmethod
    def import_(cls, memfd):
        """A new object whose memory is that of a memfd (a file or descriptor), which is sealed with it.

        >>> memfd = os.memfd_create("foreign", os.MFD_ALLOW_SEALING)
        >>> with Object.import_(memfd) as received:
        ...     report = received.seal(Seal.WRITE)
        >>> Seal(fcntl.fcntl(memfd, fcntl.F_GET_SEALS))
        <Seal.WRITE: 8>
        >>> os.close(memfd)
        """
        return cls._over(os.O_RDWR, _IOC_IMPORT, _pinseal_import(fd=_fd(memfd)))

    @classmethod
    def look(cls, file):
        """A new object that tells of the memory of any memfd or tmpfs file: pins(), seals, info()."""
        arg = _pinseal_import(fd=_fd(file), flags=_ImportFlag.LOOK)
        return cls._over(os.O_RDONLY, _IOC_IMPORT, arg)

    @classmethod
    def attach(cls, lower, readonly=False, sync_on_close=False):
        """A new object that is stacked on a file: os.fsync() of it writes what has changed."""
        flags = _AttachFlag.RDONLY * bool(readonly) | _AttachFlag.SYNC_ON_CLOSE * bool(sync_on_close)
        return cls._over(os.O_RDWR, _IOC_ATTACH, _pinseal_attach(fd=_fd(lower), flags=flags))

    def export(self, readonly=False):
        """A file that is a memfd of the object's memory, for programs that know only memfd."""
        arg = _pinseal_export(flags=_ExportFlag.RDONLY * bool(readonly))
        return _file(io.FileIO, _ioctl(self.fileno(), _IOC_EXPORT, arg), "rb" if readonly else "r+b")

    def reopen(self, readonly=False):
        """Another descriptor of the object, with a position of its own; readonly, it cannot write."""
        arg = _pinseal_reopen(flags=os.O_RDONLY if readonly else os.O_RDWR)
        return _file(type(self), _ioctl(self.fileno(), _IOC_REOPEN, arg))

    def set_name(self, name):
        """Names an object of open() that was not used yet, for /proc/PID/maps and fdinfo."""
        _ioctl(self.fileno(), _IOC_SET_NAME, _pinseal_name(name=_name(name)))

    def info(self):
        """What the module supports, and the size, as Info."""
        arg = _pinseal_info()
        _ioctl(self.fileno(), _IOC_INFO, arg)
        return Info(
            arg.version,
            Feature(arg.features),
            Seal(arg.seals),
            arg.size,
            arg.default_timeout_ns / 1e9,
            SealFlag(arg.seal_flags),
        )

    @property
    def size(self):
        """The size in bytes."""
        return self.info().size

    @property
    def seals(self):
        """The seals that are set."""
        arg = _u32()
        _ioctl(self.fileno(), _IOC_GET_SEALS, arg)
        return Seal(arg.value)

    def mmap(self, length=None, writable=True, offset=0):
        """A shared mapping, by default of all from offset on.

        As long as it is open, a writable one is in the way of Seal.WRITE; and so is a read-only one of
        a descriptor that can write. With Seal.WRITE set, a writable one is a PermissionError.

        >>> frame = Object.create("frame", size=4096)
        >>> with frame.mmap() as pixels:
        ...     pixels[:5] = b"hello"
        >>> frame.read(5)
        b'hello'
        """
        prot = _mmap.PROT_READ | (_mmap.PROT_WRITE if writable else 0)
        length = self.size - offset if length is None else length
        return _mmap.mmap(self.fileno(), length, _mmap.MAP_SHARED, prot, offset=offset)

    def resize(self, size):
        """Sets the size. Pages that are removed may be in use: their users keep them."""
        _ioctl(self.fileno(), _IOC_RESIZE, _pinseal_resize(size=size))

    def truncate(self, size=None):
        """resize(), to the position by default, as other files have it: the size."""
        size = self.tell() if size is None else size
        self.resize(size)
        return size

    def resize_wait(self, size, timeout=None, keep_leases=False):
        """Sets the size once the pages that are removed are not in use: a RemovalReport.

        Leases of them are broken, unless they are to be waited for, too. RemovalError at the deadline.
        """
        arg = _pinseal_resize(size=size)
        return self._remove(_IOC_RESIZE, arg, timeout, keep_leases)

    def allocate(self, offset, length, keep_size=False):
        """Allocates memory for a range, as fallocate()."""
        arg = _pinseal_fallocate(mode=_FALLOC_KEEP_SIZE * bool(keep_size), offset=offset, len=length)
        _ioctl(self.fileno(), _IOC_FALLOCATE, arg)

    def punch(self, offset, length):
        """Punches a hole. Pages that are removed may be in use: their users keep them."""
        arg = _pinseal_fallocate(mode=_FALLOC_PUNCH_HOLE, offset=offset, len=length)
        _ioctl(self.fileno(), _IOC_FALLOCATE, arg)

    def punch_wait(self, offset, length, timeout=None, keep_leases=False):
        """Punches a hole once the pages that are removed are not in use, as resize_wait()."""
        arg = _pinseal_fallocate(mode=_FALLOC_PUNCH_HOLE, offset=offset, len=length)
        return self._remove(_IOC_FALLOCATE, arg, timeout, keep_leases)

    def _remove(self, command, arg, timeout, keep_leases):
        arg.flags = _ResizeFlag.WAIT | _ResizeFlag.KEEP_LEASES * bool(keep_leases)
        arg.timeout_ns = _timeout_ns(timeout)
        try:
            _ioctl(self.fileno(), command, arg)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            raise RemovalError(RemovalReport._of(arg)) from None
        return RemovalReport._of(arg)

    def seal(self, seals, *, timeout=None, scans=0, isolate=False, revoke=False, wait_mapped=False):
        """Adds seals: a Report, or SealError with the object as it was.

        With Seal.WRITE, nothing can change the object any more. (It may have holes: they are zeroes,
        but without memory the first access by a mapping ends the interpreter. os.pread() takes none.)
        timeout and scans bound the wait for
        pages in use; 0 is no wait, and no limit of scans. At the end, isolate replaces such pages by
        copies. revoke breaks leases. wait_mapped waits for shared writable mappings, too.
        """
        arg = _seal_arg(seals, timeout, scans, isolate, revoke, wait_mapped)
        error = _seal_error(self, arg)
        return _checked(Report._of(arg, error))

    def seal_async(
        self, seals, *, timeout=None, scans=0, isolate=False, revoke=False, wait_mapped=False
    ):
        """Begins to add seals in the background: a PendingSeal.

        >>> frame = Object.create("frame", size=4096)
        >>> pin = frame.pin(0, 1)
        >>> pending = frame.seal_async(Seal.WRITE, timeout=60)
        >>> pending.wait(timeout=0.1)
        False
        >>> pin.close()
        >>> pending.result().outcome
        <Outcome.SEALED: 0>
        """
        arg = _seal_arg(seals, timeout, scans, isolate, revoke, wait_mapped)
        arg.flags |= SealFlag.ASYNC
        pending = PendingSeal(self, arg)
        if pending._error:
            _checked(pending._report())
        return pending

    def _pin(self, kind, start, count, flags, readonly, **terms):
        arg = _pinseal_pin(
            start=start, count=count, flags=flags | _PinFlag.READONLY * bool(readonly), **terms
        )
        return _file(kind, _ioctl(self.fileno(), _IOC_PIN, arg), readonly)

    def pin(self, start, count, readonly=False, timeout=0):
        """Pins pages until the Pin is closed. The timeout is for what keeps them from being moved.

        >>> frame = Object.create("frame", size=8192)
        >>> with frame.pin(1, 1) as pin:
        ...     written = pin.write(b"by the pin")
        ...     [(page.index, page.dma_pins) for page in frame.pins() if page.dma_pins]
        [(1, 1)]
        """
        if timeout == 0:
            return self._pin(Pin, start, count, _PinFlag(0), readonly)
        return self._pin(Pin, start, count, _PinFlag.WAIT, readonly, timeout_ns=_timeout_ns(timeout))

    def lease(self, start, count, grace, readonly=False):
        """Pins pages until the Lease is closed, or a sealer has asked for them and grace has passed.

        >>> frame = Object.create("frame", size=4096)
        >>> lease = frame.lease(0, 1, grace=0)
        >>> print(frame.seal(Seal.WRITE, revoke=True))
        sealed after ... ms and ... scan..., 1 leased page was revoked
        >>> lease.wait()
        <LeaseState.REVOKED: 2>
        """
        return self._pin(Lease, start, count, _PinFlag.LEASED, readonly, grace_ns=_ns(grace))

    def mirror(self, mapping, start, count, readonly=False):
        """A Mirror of pages that a mapping shows: its first page, or the one at an address.

        mapping is what mmap() returned, writable, or an address (int). It delays no sealer.
        """
        return self._pin(Mirror, start, count, _PinFlag.MIRROR, readonly, address=_address(mapping))

    def pins(self, start=0, count=0):
        """Iterates over the folios with extra references, as Page; a count of 0 is all."""
        pages = (_pinseal_page * 64)()
        end = start + count
        while True:
            arg = _pinseal_pins(
                start=start,
                count=end - start if count else 0,
                vec=ctypes.addressof(pages),
                vec_len=len(pages),
            )
            _ioctl(self.fileno(), _IOC_PINS, arg)
            for page in pages[: arg.found]:
                yield Page(
                    page.index,
                    page.pages,
                    page.mapped,
                    page.extra,
                    page.dma_pins,
                    PageFlag(page.flags),
                )
            start = arg.next
            if arg.found < len(pages) or (count and start >= end):
                return

    def count_pins(self, start=0, count=0):
        """How many pages have extra references, as Totals; a count of 0 is all."""
        arg = _pinseal_pins(start=start, count=count)
        _ioctl(self.fileno(), _IOC_PINS, arg)
        return Totals(arg.pinned_pages, arg.dma_pinned_pages)

    def protect(self, mapping, offset, length, prot):
        """Gives pages of a mapping a protection, mmap.PROT_*, as mprotect() does, but within one VMA.

        mapping is what mmap() returned, writable, or an address (int). An access in Python that the
        protection refuses ends the interpreter (SIGSEGV); a system call gets EFAULT.
        """
        arg = _pinseal_protect(addr=_address(mapping) + offset, len=length, prot=prot)
        _ioctl(self.fileno(), _IOC_PROTECT, arg)

    def protect_ranges(self, mapping, ranges):
        """Changes all of an iterable of Range of a mapping, or none, as protect() does and remap()."""
        start = _address(mapping)
        array = [_protect_range(start, Range(*one)) for one in ranges]
        array = (_pinseal_protect_range * len(array))(*array)
        arg = _pinseal_protect(
            ranges=ctypes.addressof(array), nr=len(array), flags=_ProtectFlag.RANGES
        )
        _ioctl(self.fileno(), _IOC_PROTECT, arg)

    def remap(self, mapping, offset, length, shown, prot):
        """Shows other pages of the object at some of a mapping: those from the byte shown on."""
        self.protect_ranges(mapping, [Range(offset, length, prot, shown)])

    def protections(self, mapping, offset=0, length=None):
        """Those of a mapping's pages that are not as the mapping: a list of Range.

        length is that of the mapping, or is needed if mapping is an address.
        """
        start = _address(mapping)
        length = len(mapping) - offset if length is None else length
        arg = _pinseal_protect(addr=start + offset, len=length, flags=_ProtectFlag.QUERY)
        found = _ioctl(self.fileno(), _IOC_PROTECT, arg)
        # There may be more by now, and of very many only the first.
        array = (_pinseal_protect_range * min(max(found, 1), _PROTECT_MAX))()
        arg.ranges, arg.nr = ctypes.addressof(array), len(array)
        found = _ioctl(self.fileno(), _IOC_PROTECT, arg)
        return [
            Range(
                one.addr - start,
                one.len,
                one.prot,
                one.pgoff * _mmap.PAGESIZE if one.flags & _ProtectFlag.REMAP else None,
            )
            for one in array[:found]
        ]


def _protect_range(start, one):
    """The struct for a Range of the mapping at start."""
    arg = _pinseal_protect_range(addr=start + one.offset, len=one.length, prot=one.prot)
    if one.shown is not None:
        if one.shown % _mmap.PAGESIZE:
            raise ValueError(f"byte {one.shown} is in the middle of a page")
        arg.pgoff, arg.flags = one.shown // _mmap.PAGESIZE, _ProtectFlag.REMAP
    return arg


_FALLOC_KEEP_SIZE = 0x01
_FALLOC_PUNCH_HOLE = 0x02 | _FALLOC_KEEP_SIZE


def _seal_by_fcntl(fd, arg):
    """F_ADD_SEALS again and again, within the bounds of the argument: a Report."""
    begin = time.monotonic_ns()
    timeout_ns = arg.timeout_ns or 150_000_000
    while True:
        arg.scans += 1
        try:
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, arg.seals)
            error = 0
        except OSError as refused:
            error = refused.errno
        arg.waited_ns = time.monotonic_ns() - begin
        if (
            error != errno.EBUSY
            or arg.flags & SealFlag.NOWAIT
            or arg.scans == arg.max_scans
            or arg.waited_ns >= timeout_ns
        ):
            return Report._of(arg, error, Method.FCNTL)
        time.sleep(0.001)


def seal_fd(file, seals, *, timeout=None, scans=0, isolate=False, revoke=False, wait_mapped=False):
    """Adds seals to any memfd or object, a file or descriptor: a Report, or SealError.

    Where the device cannot be opened, for whatever reason but a lack of descriptors or memory, or is
    another one, F_ADD_SEALS is tried until the bounds are reached; method of the report tells. isolate
    and revoke mean nothing then, and each try takes up to 150 ms, of which the last may be too much.
    What F_ADD_SEALS seals, a pin that it missed may still change.

    >>> memfd = os.memfd_create("foreign", os.MFD_ALLOW_SEALING)
    >>> seal_fd(memfd, Seal.WRITE, timeout=1).method
    <Method.MODULE: 'pinseal'>
    >>> os.close(memfd)
    """
    arg = _seal_arg(seals, timeout, scans, isolate, revoke, wait_mapped)
    fd = _fd(file)
    if _is_object(fd):
        return _checked(Report._of(arg, _seal_error(fd, arg)))
    try:
        obj = Object.open()
    except OSError as refused:
        if refused.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR):
            return _checked(Report._of(arg, refused.errno))
        return _checked(_seal_by_fcntl(fd, arg))
    with obj:
        try:
            _ioctl(obj.fileno(), _IOC_IMPORT, _pinseal_import(fd=fd))
            error = _seal_error(obj, arg)
        except OSError as refused:
            error = refused.errno
    return _checked(Report._of(arg, error))

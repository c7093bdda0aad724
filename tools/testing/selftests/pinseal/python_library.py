#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""pinseal.py, the library for Python: its examples, and what they do not show. Prints TAP.

It runs where there are Python and the device, as root or not: python_library.py [NAME...]
"""

import contextlib
import copy
import doctest
import errno
import fcntl
import mmap
import os
import pathlib
import pickle
import select
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from unittest import mock

HERE = pathlib.Path(__file__).resolve().parent
# In a guest the library and the samples are beside this file.
TOP = HERE.parents[3] if len(HERE.parents) > 3 else HERE
sys.path[:0] = [str(HERE), str(TOP / "tools/lib/python")]

import pinseal  # noqa: E402
from pinseal import LeaseState, Method, Object, Outcome, Report, Seal, SealError  # noqa: E402

PAGE = mmap.PAGESIZE
PAGES = 16
FIRST, COUNT = 3, 4

# A bound that is never reached, one that suffices on a slow machine, and one that is too short.
FOR_EVER = 600
SOON = 60
SHORT = 0.02


def new_object(size=PAGES * PAGE):
    """An object with pages."""
    obj = Object.open()
    obj.write(b"n" * size)
    obj.seek(0)
    return obj


def count_descriptors():
    return len(os.listdir("/proc/self/fd"))


class Objects(unittest.TestCase):
    def test_create(self):
        flags = pinseal.Create.ALLOW_SEALING | pinseal.Create.NOEXEC_SEAL
        descriptors = count_descriptors()
        with Object.create("named", size=100, flags=flags) as obj:
            self.assertEqual(os.readlink(f"/proc/self/fd/{obj.fileno()}"), "/memfd:named (deleted)")
            self.assertEqual(fcntl.fcntl(obj.fileno(), fcntl.F_GETFD), fcntl.FD_CLOEXEC)
            self.assertEqual(obj.size, 100)
            self.assertEqual(obj.seals, Seal.EXEC)
            with Object.create(by=obj) as other:
                self.assertEqual(other.size, 0)
        self.assertTrue(obj.closed)
        self.assertEqual(count_descriptors(), descriptors)

    def test_open(self):
        with Object.open() as obj:
            obj.set_name("named")
            self.assertEqual(obj.seals, Seal(0))
            obj.resize(PAGE)
            with self.assertRaises(OSError) as caught:
                obj.set_name("again")
            self.assertEqual(caught.exception.errno, errno.EBUSY)
        with Object.open(size=PAGE) as obj:
            self.assertEqual(obj.size, PAGE)

    def test_descriptors_of_others(self):
        def answer(fd, command, arg, *_):
            # As a file of FUSE can: an object, or one that was sealed.
            if command == pinseal._IOC_INFO:
                arg.version = 1
            return 0

        with socket.socket() as file:
            for patch in (contextlib.nullcontext(), mock.patch.object(fcntl, "ioctl", answer)):
                with patch, self.assertRaises(OSError) as caught:
                    Object(file.fileno())
                self.assertEqual(caught.exception.errno, errno.ENOTTY)
            with mock.patch.object(fcntl, "ioctl", answer), self.assertRaises(SealError):
                with mock.patch.object(pinseal, "DEVICE", "/dev/nonexistent"):
                    pinseal.seal_fd(file, Seal.WRITE)
            # It is still open.
            os.fstat(file.fileno())
        with self.assertRaises(OSError) as caught:
            Object(99)
        self.assertEqual(caught.exception.errno, errno.EBADF)

    def test_numbers_do_not_wrap(self):
        with new_object() as obj:
            for call in (
                lambda: obj.resize(2**64),
                lambda: obj.resize(-1),
                lambda: obj.seal(1 << 32),
                lambda: obj.seal(Seal.WRITE, scans=1 << 32),
                lambda: obj.pin(2**64, 1),
                lambda: pinseal.seal_fd(obj, 1 << 32),
            ):
                with self.assertRaises(OverflowError):
                    call()
            self.assertEqual((obj.size, obj.seals), (PAGES * PAGE, Seal(0)))

    def test_names(self):
        with Object.create("n" * 63):
            pass
        with self.assertRaises(ValueError):
            Object.create("ä" * 32)
        with Object.open() as obj, self.assertRaises(ValueError):
            obj.set_name("n" * 64)

    def test_info(self):
        with new_object() as obj:
            info = obj.info()
            self.assertEqual(info.version, 1)
            self.assertEqual(info.size, PAGES * PAGE)
            self.assertEqual(info.default_timeout, 0.15)
            self.assertIn(Seal.FUTURE_EXEC, info.seals)
            self.assertIn(pinseal.Feature.LOOK, info.features)
            self.assertIn(pinseal.SealFlag.WAIT_MAPPED, info.seal_flags)

    def test_is_a_file(self):
        with new_object() as obj:
            self.assertEqual(obj.read(), b"n" * PAGES * PAGE)
            self.assertEqual(obj.seek(5), 5)
            self.assertEqual(obj.truncate(), 5)
            self.assertEqual(obj.seek(0, os.SEEK_END), 5)
            self.assertEqual(obj.truncate(PAGE), PAGE)
            self.assertEqual(obj.size, PAGE)

    def test_mmap(self):
        with new_object() as obj:
            with obj.mmap(offset=PAGE) as mapping:
                self.assertEqual(len(mapping), (PAGES - 1) * PAGE)
                mapping[0] = ord("m")
            self.assertEqual(os.pread(obj.fileno(), 1, PAGE), b"m")
            with obj.mmap(PAGE, writable=False) as mapping, self.assertRaises(TypeError):
                mapping[0] = 0

    def test_reopen(self):
        with new_object() as obj, obj.reopen() as other, obj.reopen(readonly=True) as view:
            other.write(b"other")
            self.assertEqual(view.read(5), b"other")
            self.assertFalse(view.writable())
            with self.assertRaises(PermissionError):
                view.reopen()

    def test_export(self):
        with new_object() as obj, obj.export() as memfd, obj.export(readonly=True) as view:
            memfd.write(b"memfd")
            self.assertEqual(view.read(5), b"memfd")
            self.assertFalse(view.writable())
            self.assertEqual(fcntl.fcntl(memfd, fcntl.F_GET_SEALS), Seal.SEAL)

    def test_import_is_refused(self):
        descriptors = count_descriptors()
        memfd = os.memfd_create("unsealable")
        with self.assertRaises(PermissionError):
            Object.import_(memfd)
        os.close(memfd)
        self.assertEqual(count_descriptors(), descriptors)

    def test_look(self):
        memfd = os.memfd_create("unsealable")
        os.ftruncate(memfd, PAGE)
        with Object.look(memfd) as look:
            self.assertEqual(look.size, PAGE)
            self.assertIn(Seal.SEAL, look.seals)
            self.assertEqual(look.count_pins().dma_pinned, 0)
            with self.assertRaises(PermissionError):
                look.read()
        os.close(memfd)

    def test_attach(self):
        with tempfile.TemporaryFile() as lower:
            lower.write(b"lower file")
            lower.flush()
            with Object.attach(lower) as obj:
                self.assertEqual(obj.read(), b"lower file")
                os.pwrite(obj.fileno(), b"L", 0)
                os.fsync(obj)
            self.assertEqual(os.pread(lower.fileno(), 5, 0), b"Lower")
            with Object.attach(lower, sync_on_close=True) as obj:
                obj.write(b"closed")
            self.assertEqual(os.pread(lower.fileno(), 6, 0), b"closed")
            with Object.attach(lower, readonly=True) as obj, self.assertRaises(OSError) as caught:
                obj.write(b"x")
                os.fsync(obj)
            self.assertEqual(caught.exception.errno, errno.EROFS)


class Removal(unittest.TestCase):
    def test_holes(self):
        with new_object() as obj:
            obj.punch(0, PAGE)
            self.assertEqual(os.pread(obj.fileno(), 1, 0), b"\0")
            self.assertEqual(os.pread(obj.fileno(), 1, PAGE), b"n")
            obj.allocate(0, (PAGES + 1) * PAGE, keep_size=True)
            self.assertEqual(obj.size, PAGES * PAGE)
            obj.allocate(0, (PAGES + 1) * PAGE)
            self.assertEqual(obj.size, (PAGES + 1) * PAGE)

    def test_waits(self):
        with new_object() as obj, obj.pin(FIRST, COUNT) as pin:
            for remove in (
                lambda: obj.resize_wait(0, timeout=SHORT),
                lambda: obj.punch_wait(0, PAGES * PAGE, timeout=SHORT),
            ):
                with self.assertRaises(pinseal.RemovalError) as caught:
                    remove()
                self.assertEqual(caught.exception.errno, errno.EBUSY)
                self.assertRegex(
                    str(caught.exception),
                    r"^not removed: 4 pages are in use after \d+\.\d ms, from page 3; have them released, ",
                )
                report = caught.exception.report
                self.assertEqual(report.pinned_pages, COUNT)
                self.assertEqual(report.first_pinned, FIRST)
                self.assertGreaterEqual(report.waited, SHORT)
            pin.close()
            self.assertIsNone(obj.resize_wait(PAGE, timeout=SOON).first_pinned)
            self.assertEqual(obj.size, PAGE)
            obj.punch_wait(0, PAGE, timeout=SOON)
            self.assertEqual(obj.read(1), b"\0")

    def test_leases(self):
        with new_object() as obj, obj.lease(FIRST, COUNT, grace=0) as lease:
            with self.assertRaises(pinseal.RemovalError):
                obj.resize_wait(0, timeout=SHORT, keep_leases=True)
            with self.assertRaises(pinseal.RemovalError):
                obj.punch_wait(0, PAGES * PAGE, timeout=SHORT, keep_leases=True)
            self.assertEqual(lease.info().state, LeaseState.HELD)
            self.assertEqual(obj.resize_wait(0, timeout=SOON).revoked_pages, COUNT)

    def test_other_errors(self):
        with new_object() as obj:
            obj.seal(Seal.SHRINK)
            with self.assertRaises(PermissionError):
                obj.resize_wait(0)


class Seals(unittest.TestCase):
    def test_a_time_is_not_negative(self):
        with new_object() as obj:
            with self.assertRaises(ValueError):
                obj.seal(Seal.WRITE, timeout=-1)
            self.assertFalse(obj.seals)

    def test_sealed(self):
        with new_object() as obj:
            report = obj.seal(Seal.WRITE | Seal.GROW, timeout=SOON)
            self.assertEqual(report.error, 0)
            self.assertIs(report.method, Method.MODULE)
            self.assertIs(report.outcome, Outcome.SEALED)
            self.assertGreaterEqual(report.scans, 1)
            self.assertIsNone(report.first_pinned)
            self.assertEqual(obj.seals, Seal.WRITE | Seal.GROW)
            with self.assertRaises(PermissionError):
                obj.mmap()

    def test_bounds(self):
        with new_object() as obj, obj.pin(FIRST, COUNT):
            for bounds in (
                {"timeout": SHORT},
                {"scans": 2, "timeout": FOR_EVER},
                {"timeout": 0},
                {},
            ):
                with self.subTest(bounds), self.assertRaises(SealError) as caught:
                    obj.seal(Seal.WRITE, **bounds)
                report = caught.exception.report
                self.assertEqual(caught.exception.errno, errno.EBUSY)
                self.assertIs(report.outcome, Outcome.PINNED)
                self.assertEqual(report.first_pinned, FIRST)
                self.assertLess(report.waited, FOR_EVER)
                if bounds.get("timeout") == SHORT:
                    self.assertGreaterEqual(report.waited, SHORT)
                    self.assertEqual(report.pinned_pages, COUNT)
                elif "scans" in bounds:
                    self.assertEqual(report.scans, 2)
                elif not bounds:
                    self.assertGreaterEqual(report.waited, 0.15)
            self.assertEqual(obj.seals, Seal(0))

    def test_isolate(self):
        with new_object() as obj, obj.pin(FIRST, COUNT):
            report = obj.seal(Seal.WRITE, timeout=0, isolate=True)
            self.assertGreaterEqual(report.isolated_pages, COUNT)

    def test_revoke(self):
        with new_object() as obj, obj.lease(FIRST, COUNT, grace=0) as lease:
            self.assertEqual(obj.seal(Seal.WRITE, timeout=SOON, revoke=True).revoked_pages, COUNT)
            with self.assertRaises(OSError) as caught:
                lease.read(1)
            self.assertEqual(caught.exception.errno, errno.ESTALE)

    def test_mappings(self):
        with new_object() as obj:
            with obj.mmap():
                with self.assertRaises(SealError) as caught:
                    obj.seal(Seal.WRITE)
                self.assertIs(caught.exception.report.outcome, Outcome.WRITABLE_MAPPING)
                with self.assertRaises(SealError) as caught:
                    obj.seal(Seal.WRITE, timeout=SHORT, wait_mapped=True)
                self.assertGreaterEqual(caught.exception.report.waited, SHORT)
            obj.seal(Seal.WRITE, timeout=SOON)

    def test_refused(self):
        with new_object() as obj:
            for seals, file, error in (
                (1 << 30, obj, errno.EINVAL),
                (Seal.GROW, obj.reopen(readonly=True), errno.EPERM),
            ):
                with self.assertRaises(SealError) as caught:
                    file.seal(seals)
                self.assertEqual(caught.exception.errno, error)
                self.assertIsNone(caught.exception.report.outcome)

    def test_the_longest_time(self):
        for forever in (sys.maxsize, 10**400, float("inf")):
            self.assertEqual(pinseal._timeout_ns(forever), 2**64 - 1)
            with new_object() as obj, obj.lease(FIRST, COUNT, grace=forever) as lease:
                self.assertGreater(lease.info().grace, FOR_EVER)
                closer = threading.Timer(0.2, lease.close)
                closer.start()
                obj.seal(Seal.WRITE, timeout=forever)
                closer.join()

    def test_truth_is_no_number(self):
        with new_object() as obj, obj.lease(FIRST, COUNT, grace=0) as lease:
            # 2 * ISOLATE is REVOKE.
            obj.seal(Seal.WRITE, timeout=0, isolate=2)
            self.assertEqual(lease.info().state, LeaseState.HELD)

    def test_errors_are_copied(self):
        with new_object() as obj, obj.pin(FIRST, COUNT):
            for fails in (obj.seal, lambda _, timeout: obj.resize_wait(0, timeout=timeout)):
                with self.assertRaises(OSError) as caught:
                    fails(Seal.WRITE, timeout=0)
                error = caught.exception
                for copied in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
                    self.assertIs(type(copied), type(error))
                    self.assertEqual(copied.report, error.report)
                    self.assertEqual((copied.errno, str(copied)), (error.errno, str(error)))

    def test_goes_on_after_a_signal(self):
        calls = []
        with new_object() as obj, obj.pin(0, 1), alarms(lambda *_: calls.append(1)):
            with self.assertRaises(SealError) as caught:
                obj.seal(Seal.WRITE, timeout=0.5)
            self.assertTrue(calls)
            self.assertIs(caught.exception.report.outcome, Outcome.PINNED)
            self.assertGreaterEqual(caught.exception.report.waited, 0.5)

    def test_is_ended_by_an_exception(self):
        def handler(*_):
            raise KeyboardInterrupt

        with new_object() as obj, obj.pin(0, 1), self.assertRaises(KeyboardInterrupt):
            with alarms(handler):
                obj.seal(Seal.WRITE, timeout=FOR_EVER)


@contextlib.contextmanager
def alarms(handler):
    """Signals, again and again, with a handler."""
    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class PendingSeals(unittest.TestCase):
    def test_result(self):
        with new_object() as obj, obj.pin(FIRST, COUNT) as pin:
            pending = obj.seal_async(Seal.WRITE, timeout=FOR_EVER)
            self.assertFalse(pending.wait(timeout=0))
            with self.assertRaises(TimeoutError):
                pending.result(timeout=0)
            self.assertIs(pending.progress().outcome, Outcome.PENDING)
            pin.close()
            self.assertTrue(pending.wait(timeout=SOON))
            for _ in range(2):
                self.assertIs(pending.result().outcome, Outcome.SEALED)
            self.assertIs(pending.progress().outcome, Outcome.SEALED)
            self.assertFalse(pending.cancel())
            self.assertEqual(obj.seals, Seal.WRITE)

    def test_failure(self):
        with new_object() as obj, obj.pin(FIRST, COUNT):
            pending = obj.seal_async(Seal.WRITE, timeout=SHORT)
            for _ in range(2):
                with self.assertRaises(SealError) as caught:
                    pending.result()
                self.assertIs(caught.exception.report.outcome, Outcome.PINNED)
                self.assertEqual(caught.exception.report.pinned_pages, COUNT)

    def test_cancel(self):
        with new_object() as obj, obj.pin(FIRST, COUNT) as pin:
            pending = obj.seal_async(Seal.WRITE, timeout=FOR_EVER)
            self.assertTrue(pending.cancel())
            self.assertTrue(pending.cancel())
            with self.assertRaisesRegex(SealError, "^not sealed: cancelled"):
                pending.result()
            self.assertEqual(obj.seals, Seal(0))
            # Too late.
            pin.close()
            pending = obj.seal_async(Seal.WRITE, timeout=FOR_EVER)
            pending.wait()
            self.assertFalse(pending.cancel())
            self.assertIs(pending.result().outcome, Outcome.SEALED)

    def test_others_cancel(self):
        for obj in (new_object(), Object.create(size=PAGES * PAGE)):
            with obj, obj.pin(FIRST, COUNT), obj.reopen() as other:
                waits = obj.seal_async(Seal.WRITE, timeout=FOR_EVER)
                cancels = other.seal_async(Seal.WRITE, timeout=FOR_EVER)
                canceller = threading.Timer(0.1, cancels.cancel)
                canceller.start()
                with self.assertRaisesRegex(SealError, "^not sealed: cancelled") as caught:
                    waits.result(timeout=SOON)
                self.assertEqual(caught.exception.errno, errno.ECANCELED)
                self.assertIs(caught.exception.report.outcome, Outcome.CANCELLED)
                canceller.join()
                self.assertTrue(waits.wait(timeout=0))
                # Nor has the wait begun another one.
                obj.seal_async(Seal.GROW).result()
                self.assertEqual(obj.seals, Seal.GROW)

    def test_others_take_the_result(self):
        with new_object() as obj, obj.pin(FIRST, COUNT):
            first = obj.seal_async(Seal.WRITE, timeout=SHORT)
            second = obj.seal_async(Seal.WRITE, timeout=SHORT)
            self.assertTrue(second.wait())
            with self.assertRaises(SealError):
                first.result()
            # It has waited, and is late: its call begins a seal anew.
            wait, answers = second.wait, iter([True])
            late = mock.patch.object(second, "wait", lambda left: next(answers, None) or wait(left))
            with late, self.assertRaises(SealError) as caught:
                second.result()
            self.assertIs(caught.exception.report.outcome, Outcome.PINNED)

    def test_takes_longer_than_a_look(self):
        with new_object() as obj, obj.pin(FIRST, COUNT) as pin:
            pending = obj.seal_async(Seal.WRITE, timeout=FOR_EVER)
            self.assertFalse(pending.wait(timeout=1.2))
            pin.close()
            self.assertIs(pending.result().outcome, Outcome.SEALED)

    def test_is_a_context_manager(self):
        with new_object() as obj, obj.pin(FIRST, COUNT) as pin:
            with obj.seal_async(Seal.WRITE, timeout=FOR_EVER) as pending:
                self.assertFalse(pending.wait(timeout=0))
            self.assertIs(pending.progress().outcome, Outcome.CANCELLED)
            pin.close()
            with obj.seal_async(Seal.WRITE, timeout=FOR_EVER) as pending:
                pending.wait()
                self.assertIs(pending.result().outcome, Outcome.SEALED)
            self.assertIs(pending.result().outcome, Outcome.SEALED)

    def test_begins_nothing_that_it_cannot_watch(self):
        refused = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        with new_object() as obj, mock.patch.object(select, "epoll", side_effect=refused):
            with self.assertRaises(OSError):
                obj.seal_async(Seal.WRITE)
            with open(f"/proc/self/fdinfo/{obj.fileno()}") as info:
                self.assertNotIn("sealing", info.read())
            self.assertEqual(obj.seals, Seal(0))

    def test_refused(self):
        with new_object() as obj, obj.pin(0, 1):
            pending = obj.seal_async(Seal.WRITE, timeout=FOR_EVER)
            with self.assertRaises(SealError) as caught:
                obj.seal_async(Seal.GROW)
            self.assertEqual(caught.exception.errno, errno.EALREADY)
            pending.cancel()

    def test_can_be_selected(self):
        with new_object() as obj, obj.pin(0, 1) as pin, selectors.DefaultSelector() as selector:
            pending = obj.seal_async(Seal.WRITE, timeout=FOR_EVER)
            selector.register(pending, selectors.EVENT_READ)
            self.assertEqual(selector.select(timeout=SHORT), [])
            pin.close()
            self.assertEqual(len(selector.select(timeout=SOON)), 1)
            pending.result()


class Handles(unittest.TestCase):
    def test_pin(self):
        with new_object() as obj, obj.pin(FIRST, COUNT) as pin:
            self.assertEqual(pin.read(), b"n" * COUNT * PAGE)
            pin.seek(0)
            pin.write(b"p")
            self.assertEqual(os.pread(obj.fileno(), 1, FIRST * PAGE), b"p")
            self.assertEqual(pin.info()[:4], (FIRST, COUNT, 0, None))
            with obj.pin(FIRST, 1, readonly=True, timeout=None) as view:
                self.assertEqual(view.read(1), b"p")
                self.assertFalse(view.writable())
            with self.assertRaises(OSError) as caught:
                obj.pin(PAGES, 1)
            self.assertEqual(caught.exception.errno, errno.EINVAL)

    def test_lease(self):
        with new_object() as obj, obj.lease(FIRST, COUNT, grace=FOR_EVER, readonly=True) as lease:
            self.assertIs(lease.wait(timeout=0), LeaseState.HELD)
            self.assertEqual(lease.info().grace, FOR_EVER)
            sealer = threading.Thread(
                target=obj.seal, args=(Seal.WRITE,), kwargs={"timeout": FOR_EVER, "revoke": True}
            )
            sealer.start()
            self.assertIs(lease.wait(), LeaseState.ASKED)
            info = lease.info()
            self.assertIs(info.state, LeaseState.ASKED)
            self.assertEqual(info.asker, os.getpid())
            self.assertLess(time.monotonic(), info.until)
            lease.close()
            sealer.join()
            self.assertEqual(obj.seals, Seal.WRITE)

    def test_mirror(self):
        with new_object() as obj, obj.mmap() as mapping:
            if pinseal.Feature.MIRROR not in obj.info().features:
                self.skipTest("this kernel has no mirrors")
            mapping[0] = ord("m")
            with obj.mirror(mapping, 0, PAGES) as mirror:
                self.assertEqual(mirror.read(1), b"m")
                mapping.close()
                with self.assertRaises(OSError) as caught:
                    mirror.read(1)
                self.assertEqual(caught.exception.errno, errno.EFAULT)

    def test_protect(self):
        with new_object() as obj, obj.mmap() as mapping, memoryview(mapping) as view:
            obj.protect(mapping, PAGE, PAGE, mmap.PROT_READ)
            with view[:PAGE] as first, view[PAGE : 2 * PAGE] as second:
                self.assertEqual(os.preadv(obj.fileno(), [first], 0), PAGE)
                with self.assertRaises(OSError) as caught:
                    os.preadv(obj.fileno(), [second], 0)
                self.assertEqual(caught.exception.errno, errno.EFAULT)

    def test_ranges(self):
        with new_object() as obj, obj.mmap() as mapping:
            self.assertEqual(obj.protections(mapping), [])
            ranges = [
                pinseal.Range(0, PAGE, mmap.PROT_READ),
                pinseal.Range(2 * PAGE, PAGE, mmap.PROT_READ | mmap.PROT_WRITE, PAGE),
            ]
            obj.protect_ranges(mapping, ranges)
            self.assertEqual(obj.protections(mapping), ranges)
            self.assertEqual(obj.protections(mapping, PAGE), ranges[1:])
            mapping[2 * PAGE] = ord("r")
            self.assertEqual(mapping[PAGE], ord("r"))
            obj.remap(mapping, 3 * PAGE, PAGE, PAGE, mmap.PROT_READ)
            self.assertEqual(mapping[3 * PAGE], ord("r"))
            # All or none.
            with self.assertRaises(OSError):
                obj.protect_ranges(mapping, [ranges[0], pinseal.Range(PAGE, 1, mmap.PROT_READ)])
            with self.assertRaises(ValueError):
                obj.remap(mapping, 0, PAGE, 1, mmap.PROT_READ)
            self.assertEqual(len(obj.protections(mapping)), 3)


class Pins(unittest.TestCase):
    """An object whose only pages are pinned, every second one of a range."""

    SPREAD = 300

    def setUp(self):
        self.obj = Object.open(size=self.SPREAD * PAGE)
        self.pins = [self.obj.pin(index, 1) for index in range(0, self.SPREAD, 2)]

    def tearDown(self):
        for pin in self.pins:
            pin.close()
        self.obj.close()

    def test_are_listed(self):
        for start, count in (
            (0, 0),
            (0, self.SPREAD),
            (11, 10),
            (10, 0),
            (0, 127),
            (0, 128),
            (0, 129),
        ):
            with self.subTest(start=start, count=count):
                end = start + count if count else self.SPREAD
                wanted = [index for index in range(0, self.SPREAD, 2) if start <= index < end]
                pages = list(self.obj.pins(start, count))
                self.assertEqual([page.index for page in pages], wanted)
                self.assertEqual({page.dma_pins for page in pages}, {1})
                self.assertEqual(self.obj.count_pins(start, count), (len(wanted), len(wanted)))
        self.assertEqual(list(self.obj.pins(self.SPREAD)), [])

    def test_have_flags(self):
        self.assertTrue(all(pinseal.PageFlag.HANDLE in page.flags for page in self.obj.pins()))


class AnyMemfd(unittest.TestCase):
    def setUp(self):
        self.memfd = os.memfd_create("foreign", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
        os.ftruncate(self.memfd, PAGE)

    def tearDown(self):
        os.close(self.memfd)

    def seals(self):
        return Seal(fcntl.fcntl(self.memfd, fcntl.F_GET_SEALS))

    def test_by_the_module(self):
        with mmap.mmap(self.memfd, PAGE), self.assertRaises(SealError) as caught:
            pinseal.seal_fd(self.memfd, Seal.WRITE)
        self.assertIs(caught.exception.report.outcome, Outcome.WRITABLE_MAPPING)
        report = pinseal.seal_fd(self.memfd, Seal.WRITE, timeout=SOON)
        self.assertIs(report.method, Method.MODULE)
        self.assertEqual(self.seals(), Seal.WRITE)

    def test_objects(self):
        for obj in (Object.create(), Object.open()):
            self.assertIs(pinseal.seal_fd(obj, Seal.WRITE).method, Method.MODULE)
            self.assertEqual(obj.seals, Seal.WRITE)

    def test_refused(self):
        unsealable = os.memfd_create("unsealable")
        for file, error in ((unsealable, errno.EPERM), (99, errno.EBADF)):
            with self.assertRaises(SealError) as caught:
                pinseal.seal_fd(file, Seal.WRITE)
            self.assertEqual(caught.exception.errno, error)
            self.assertIs(caught.exception.report.method, Method.MODULE)
        os.close(unsealable)

    def test_does_not_fall_back_without_descriptors(self):
        refused = OSError(errno.EMFILE, os.strerror(errno.EMFILE), pinseal.DEVICE)
        with (
            mock.patch.object(os, "open", side_effect=refused),
            self.assertRaises(SealError) as caught,
        ):
            pinseal.seal_fd(self.memfd, Seal.WRITE)
        self.assertEqual(caught.exception.errno, errno.EMFILE)
        self.assertEqual(self.seals(), Seal(0))

    def test_does_not_fall_back_when_pinseal_refuses(self):
        with open(f"/proc/self/fd/{self.memfd}", "rb") as reader:
            fcntl.fcntl(reader, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            self.addCleanup(signal.signal, signal.SIGIO, signal.signal(signal.SIGIO, signal.SIG_IGN))
            with self.assertRaises(SealError) as caught:
                pinseal.seal_fd(self.memfd, Seal.WRITE)
        self.assertEqual(caught.exception.errno, errno.EAGAIN)
        self.assertIs(caught.exception.report.method, Method.MODULE)
        self.assertEqual(self.seals(), Seal(0))

    def test_by_fcntl(self):
        # The last one cannot be opened for writing.
        for device in ("/dev/nonexistent", "/dev/null", "/dev"):
            with self.subTest(device), mock.patch.object(pinseal, "DEVICE", device):
                self.fcntl()
                self.tearDown()
                self.setUp()

    def fcntl(self):
        with mmap.mmap(self.memfd, PAGE):
            for bounds, scans in (({"timeout": 0}, 1), ({"timeout": FOR_EVER, "scans": 3}, 3)):
                with self.assertRaises(SealError) as caught:
                    pinseal.seal_fd(self.memfd, Seal.WRITE, **bounds)
                self.assertIs(caught.exception.report.method, Method.FCNTL)
                self.assertEqual(caught.exception.report.scans, scans)
            with self.assertRaisesRegex(SealError, "does not say which, after .* calls") as caught:
                pinseal.seal_fd(self.memfd, Seal.WRITE)
            self.assertGreaterEqual(caught.exception.report.waited, 0.15)
        report = pinseal.seal_fd(self.memfd, Seal.WRITE, timeout=SOON)
        self.assertIs(report.method, Method.FCNTL)
        self.assertRegex(
            str(report), "^sealed by F_ADD_SEALS, without pinseal, after .* ms and 1 call$"
        )
        self.assertEqual(self.seals(), Seal.WRITE)


class Sentences(unittest.TestCase):
    """Those that the other tests do not bring about."""

    def sentence(self, **fields):
        zero = dict(error=0, method=Method.MODULE, outcome=None, scans=9, waited=0.02)
        zero |= dict(pinned_pages=0, first_pinned=None, isolated_pages=0, revoked_pages=0)
        return str(Report(**zero | fields))

    def test_all(self):
        busy = {"error": errno.EBUSY}
        in_use = busy | {"pinned_pages": 16, "first_pinned": 100}
        flag = pinseal.SealFlag
        for text, fields in (
            ("sealed after 20.0 ms and 9 scans", {}),
            (
                "sealed after 20.0 ms and 1 scan, 2 leased pages were revoked, 1 page was replaced by a copy",
                {"scans": 1, "revoked_pages": 2, "isolated_pages": 1},
            ),
            ("sealed", {"scans": 0}),
            (
                "being sealed: 1 page is in use after 20.0 ms and 9 scans, page 3",
                {"outcome": Outcome.PENDING, "pinned_pages": 1, "first_pinned": 3},
            ),
            (
                "being sealed: it has just begun, or waits for a mapping, a write or another sealer",
                {"outcome": Outcome.PENDING},
            ),
            (
                "not sealed: 16 pages are in use after 20.0 ms and 9 scans, from page 100; have them "
                "released, wait longer, revoke leases (revoke=True), or copy them (isolate=True)",
                in_use | {"outcome": Outcome.PINNED},
            ),
            (
                "not sealed: 16 pages are in use after 20.0 ms and 9 scans, from page 100; have them "
                "released, wait, or call again, because a call copies at most 1024 pages",
                in_use
                | {"outcome": Outcome.PINNED, "_flags": flag.NOWAIT | flag.REVOKE | flag.ISOLATE},
            ),
            (
                "not sealed: a write or another sealer was under way after 20.0 ms and 9 scans; wait longer",
                busy | {"outcome": Outcome.PINNED},
            ),
            (
                "not sealed: a shared mapping is writable, or can be made so; unmap it, or wait until it "
                "is gone (wait_mapped=True)",
                busy | {"outcome": Outcome.WRITABLE_MAPPING},
            ),
            (
                "not sealed: a shared mapping is writable, or can be made so, still after 20.0 ms and 9 scans; "
                "unmap it, or wait longer",
                busy | {"outcome": Outcome.WRITABLE_MAPPING, "_flags": flag.WAIT_MAPPED},
            ),
            (
                "not sealed: there is no memory for copies of pages in use, or to swap pages in; free "
                "some, or raise the limit of the memory cgroup",
                {"error": errno.ENOMEM, "outcome": Outcome.NO_MEMORY},
            ),
            ("not sealed: Cannot allocate memory", {"error": errno.ENOMEM}),
            (
                "not sealed: 16 pages are in use after 20.0 ms and 9 scans, from page 100, in a large "
                "folio, which cannot be replaced by a copy; have them released, or wait longer",
                in_use | {"outcome": Outcome.LARGE_FOLIO},
            ),
            (
                "not sealed: the time did not suffice to read the lower file, or to write to it; seal "
                "again to go on from there",
                busy | {"outcome": Outcome.NOT_FILLED},
            ),
            # Of a later kernel.
            ("not sealed: Device or resource busy", busy),
        ):
            with self.subTest(text):
                self.assertEqual(self.sentence(**fields), text)

    def test_unknown_outcome(self):
        arg = pinseal._pinseal_seal(outcome=4711)
        self.assertIsNone(Report._of(arg, errno.EBUSY).outcome)


class Samples(unittest.TestCase):
    def start(self, name, *arguments):
        folder = HERE if (HERE / name).exists() else TOP / "samples/pinseal"
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path[:2])}
        return subprocess.Popen(
            [sys.executable, "-B", folder / name, *arguments],
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
        )

    def end(self, sample):
        output, _ = sample.communicate()
        self.assertEqual(sample.returncode, 0)
        return output

    def test_sealed(self):
        output = self.end(self.start("sealed.py"))
        self.assertRegex(output, r"^sealed after \S+ ms and \d+ scans?\n$")

    def test_messages(self):
        output = self.end(self.start("messages.py"))
        self.assertNotIn("without pinseal", output)
        self.assertIn("takes message 1, of 9992 bytes", output)
        self.assertIn("refuses message 2: not sealed: a shared mapping is writable", output)
        self.assertIn("refuses message 3: not sealed: 1 page is in use", output)
        self.assertIn("refuses message 4: its length is wrong", output)

    def test_buffer_pool(self):
        output = self.end(self.start("buffer_pool.py"))
        self.assertIn("refuses a pool that may shrink", output)
        self.assertIn("has its memory back, 0 pages were revoked", output)
        self.assertIn("showed 20 frames, and was asked for the pages of 1", output)

    def test_ring_holder(self):
        holder = self.start("ring_holder.py")
        self.addCleanup(holder.wait)
        self.addCleanup(holder.kill)
        pid, fd = holder.stdout.readline().split(":")
        with open(f"/proc/{pid}/fd/{int(fd)}", "r+b") as memfd:
            with self.assertRaises(SealError) as refused:
                pinseal.seal_fd(memfd.fileno(), Seal.WRITE, timeout=0.5)
            report = refused.exception.report
            self.assertEqual((report.first_pinned, report.pinned_pages), (5, 3))
            holder.kill()
            pinseal.seal_fd(memfd.fileno(), Seal.WRITE, timeout=SOON)

    def hold(self, *arguments):
        """What the lease holder says, and how many pages the sealer takes away."""
        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
            path = os.path.join(folder, "socket")
            listener.bind(path)
            listener.listen()
            holder = self.start("lease_holder.py", path, *arguments)
            with new_object() as obj, listener.accept()[0] as sock:
                socket.send_fds(sock, [b"o"], [obj.fileno()])
                self.assertIn("has a lease of 4 pages", holder.stdout.readline())
                revoked = obj.seal(Seal.WRITE, timeout=SOON, revoke=True).revoked_pages
            return self.end(holder), revoked

    def test_lease_is_released(self):
        output, revoked = self.hold()
        self.assertIn(f"process {os.getpid()} requests the pages", output)
        self.assertIn("releases them", output)
        self.assertEqual(revoked, 0)

    def test_lease_is_lost(self):
        output, revoked = self.hold("busy")
        self.assertIn("lost the pages", output)
        self.assertEqual(revoked, 4)


class Tap(unittest.TestResult):
    """Results as the kernel's harness prints them."""

    def __init__(self):
        super().__init__()
        self.failed_subtests = []

    def _print(self, test, ok, directive=""):
        name = test.id().removeprefix("__main__.")
        print(f"{'' if ok else 'not '}ok {self.testsRun} {name}{directive}", flush=True)

    def _say(self, error):
        for line in self._exc_info_to_string(*error).splitlines():
            print("#", line)

    def startTest(self, test):
        super().startTest(test)
        self.failed_subtests.clear()
        print(f"#  RUN           {test.id().removeprefix('__main__.')} ...", flush=True)

    def addSuccess(self, test):
        self._print(test, True)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._print(test, True, f" # SKIP {reason}")

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._say((err, test))
        self._print(test, False)

    addError = addFailure

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err:
            print("#", subtest)
            self._say((err, test))
            self.failed_subtests.append(subtest)

    def stopTest(self, test):
        super().stopTest(test)
        # unittest reports no other result of it.
        if self.failed_subtests:
            self._print(test, False)


def main():
    suite = unittest.TestSuite()
    names = sys.argv[1:]
    loader = unittest.defaultTestLoader
    if names:
        suite.addTests(loader.loadTestsFromNames(names, sys.modules[__name__]))
    else:
        suite.addTests(doctest.DocTestSuite(pinseal, optionflags=doctest.ELLIPSIS))
        suite.addTests(loader.loadTestsFromModule(sys.modules[__name__]))
    print(f"TAP version 13\n1..{suite.countTestCases()}")
    result = Tap()
    suite.run(result)
    return not result.wasSuccessful()


if __name__ == "__main__":
    sys.exit(main())

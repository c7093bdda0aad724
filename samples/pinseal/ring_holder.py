#!/usr/bin/python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""A memfd that cannot be sealed: `pinsealctl who PID:FD` says why.

Another process has registered pages 5 to 7 of it as buffer 1 of an io_uring, and has closed and unmapped the
memory. The program prints PID:FD of the memfd, and ends when it is killed.
"""

import ctypes
import mmap
import os
import signal

IO_URING_SETUP, IO_URING_REGISTER = 425, 427
IORING_REGISTER_BUFFERS = 0
PARAMS_SIZE = 120
PAGE = mmap.PAGESIZE
PAGES = 16

libc = ctypes.CDLL(None, use_errno=True)


class IoVec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


def syscall(number, *arguments):
    """The result of a system call. Raises OSError."""
    result = libc.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


def hold(fd):
    """Returns a ring that holds pages 5 to 7, in its buffer 1. Buffer 0 is empty."""
    ring = syscall(IO_URING_SETUP, 1, ctypes.create_string_buffer(PARAMS_SIZE))
    with mmap.mmap(fd, PAGES * PAGE) as memory:
        start = ctypes.c_char.from_buffer(memory, 5 * PAGE)
        buffers = (IoVec * 2)(IoVec(None, 0), IoVec(ctypes.addressof(start), 3 * PAGE))
        syscall(IO_URING_REGISTER, ring, IORING_REGISTER_BUFFERS, buffers, len(buffers))
        # Else the memory could not be unmapped.
        del start
    return ring


def main():
    fd = os.memfd_create("frames", os.MFD_ALLOW_SEALING)
    os.write(fd, bytes(PAGES * PAGE))
    parent_ends, parent_lives = os.pipe()
    held, tell = os.pipe()
    if not os.fork():
        os.close(parent_lives)
        ring = hold(fd)
        os.close(fd)
        os.write(tell, b"h")
        os.read(parent_ends, 1)
        os.close(ring)
        os._exit(0)
    os.close(tell)
    if not os.read(held, 1):
        raise SystemExit("ring_holder: the child could not hold the pages")
    print(f"{os.getpid()}:{fd}", flush=True)
    signal.pause()


if __name__ == "__main__":
    main()

#!/usr/bin/python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""A producer of messages, and a consumer that does not trust it. messages.c says more.

A message is a memfd with a length and so many bytes. The consumer seals it before it reads it. Of four
messages it takes the first; the producer keeps a mapping of the second, and a page of the third in a pipe;
and the length of the last one is wrong.
"""

import contextlib
import mmap
import os
import socket
import struct

from pinseal import Method, Seal, SealError, seal_fd

LENGTH = struct.Struct("=Q")
SIZE = 10000
HONEST, KEEPS_MAPPING, KEEPS_PAGE_IN_PIPE, LIES_ABOUT_LENGTH = range(4)


def produce(sock, how, kept, pipe_end):
    """Makes and sends a message; appends what it keeps."""
    fd = os.memfd_create("message", os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, SIZE)
    mapping = mmap.mmap(fd, SIZE)
    length = SIZE - LENGTH.size + (how == LIES_ABOUT_LENGTH)
    mapping[:] = LENGTH.pack(length) + b"m" * (SIZE - LENGTH.size)
    if how == KEEPS_PAGE_IN_PIPE:
        os.splice(fd, pipe_end, 1, offset_src=0)
    if how == KEEPS_MAPPING:
        kept.append(mapping)
    else:
        mapping.close()
    socket.send_fds(sock, [b"m"], [fd])
    os.close(fd)


def open_message(fd, method):
    """The bytes of a message: its own if pinseal has sealed it, else a copy."""
    if method is Method.MODULE:
        return mmap.mmap(fd, 0, prot=mmap.PROT_READ)
    # A pin that F_ADD_SEALS has missed may still write.
    print("consumer: has it sealed without pinseal, and takes a copy")
    return contextlib.nullcontext(os.pread(fd, os.fstat(fd).st_size, 0))


def consume(fd, number):
    """Seals a message, checks and reads it. Says what comes of it."""
    try:
        report = seal_fd(
            fd, Seal.WRITE | Seal.GROW | Seal.SHRINK, timeout=0.5, wait_mapped=True
        )
    except SealError as error:
        print(f"consumer: refuses message {number}: {error}")
        return
    with open_message(fd, report.method) as message:
        # What is checked here is so for good.
        (length,) = LENGTH.unpack(message[: LENGTH.size])
        if length != len(message) - LENGTH.size:
            print(f"consumer: refuses message {number}: its length is wrong")
        else:
            print(f"consumer: takes message {number}, of {length} bytes")


def main():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if not os.fork():
        ours.close()
        _, pipe_end = os.pipe()
        kept = []
        for how in range(4):
            produce(theirs, how, kept, pipe_end)
        # What it keeps, it keeps until the consumer has ended.
        theirs.recv(1)
        os._exit(0)
    theirs.close()
    for number in range(1, 5):
        _, (fd,), _, _ = socket.recv_fds(ours, 1, 1)
        consume(fd, number)
        os.close(fd)


if __name__ == "__main__":
    main()

#!/usr/bin/python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""A pool of buffers, as a client of Wayland shares with its compositor. buffer_pool.c says more.

The compositor maps a pool only if its size is sealed, and pins the buffer that it shows on lease: so the
client can neither end it with SIGBUS nor wait for its memory in vain.
"""

import enum
import mmap
import os
import select
import socket
import struct
import sys

from pinseal import Object, Seal

BUFFERS = 3
BUFFER_SIZE = 256 * 1024
PAGES = BUFFER_SIZE // mmap.PAGESIZE
FRAMES = 20
GRACE = 2

MESSAGE = struct.Struct("=3I")


class What(enum.IntEnum):
    POOL, ACCEPTED, REFUSED, SHOW, RELEASED = range(5)


def tell(sock, what, buffer=0, frame=0, fds=()):
    socket.send_fds(sock, [MESSAGE.pack(what, buffer, frame)], fds)


def hear(sock):
    """The next message as (what, buffer, frame, descriptors), or None at the end."""
    data, fds, _, _ = socket.recv_fds(sock, MESSAGE.size, 1)
    return (*MESSAGE.unpack(data), fds) if data else None


class Compositor:
    def __init__(self, sock):
        self.sock = sock
        self.pool = self.lease = None
        self.frames = self.asked = 0

    def take_pool(self, pool):
        if Seal.SHRINK not in pool.seals or pool.size < BUFFERS * BUFFER_SIZE:
            print("compositor: refuses a pool that may shrink")
            pool.close()
            tell(self.sock, What.REFUSED)
            return
        self.pool = pool
        tell(self.sock, What.ACCEPTED)

    def release(self):
        """Gives back the buffer that is shown. This wakes a client that waits for the pages."""
        if self.lease:
            self.lease.close()
            self.lease = None
            tell(self.sock, What.RELEASED, self.shown)

    def show(self, buffer, frame):
        """Shows a frame: pins its buffer as the display would, and checks what the display reads. Then
        the buffer before is given back, which tells the client that this one is on the display."""
        lease = self.pool.lease(buffer * PAGES, PAGES, grace=GRACE, readonly=True)
        if lease.read() != bytes([frame]) * BUFFER_SIZE:
            sys.exit(f"compositor: frame {frame} is not as drawn")
        self.release()
        self.lease = lease
        self.shown = buffer
        self.frames += 1

    def run(self):
        while True:
            poll = select.poll()
            poll.register(self.sock, select.POLLIN)
            if self.lease:
                poll.register(self.lease, select.POLLPRI)
            ready = [fd for fd, _ in poll.poll()]
            if self.lease and self.lease.fileno() in ready:
                self.asked += 1
                self.release()
                continue
            message = hear(self.sock)
            if not message:
                break
            what, buffer, frame, fds = message
            if what == What.POOL:
                self.take_pool(Object(fds[0]))
            elif what == What.SHOW:
                self.show(buffer, frame)
        print(
            f"compositor: showed {self.frames} frames, and was asked for the pages of {self.asked}"
        )


class Client:
    def __init__(self, sock):
        self.sock = sock
        self.pool = Object.open(size=BUFFERS * BUFFER_SIZE)
        self.shown = set()

    def pass_pool(self):
        """Passes the pool on, for reading only: whether it was taken."""
        with self.pool.reopen(readonly=True) as view:
            tell(self.sock, What.POOL, fds=[view.fileno()])
        return hear(self.sock)[0] == What.ACCEPTED

    def await_release(self, most):
        """Waits until the compositor has at most so many buffers."""
        while len(self.shown) > most:
            self.shown.remove(hear(self.sock)[1])

    def run(self):
        # It may still shrink, and is refused. It may always grow.
        if self.pass_pool():
            sys.exit("client: a pool that may shrink was accepted")
        self.pool.seal(Seal.SHRINK)
        if not self.pass_pool():
            sys.exit("client: the pool was refused")
        try:
            self.pool.resize(0)
        except PermissionError:
            pass
        else:
            sys.exit("client: the pool has shrunk")
        for frame in range(1, FRAMES + 1):
            self.await_release(BUFFERS - 1)
            buffer = min(set(range(BUFFERS)) - self.shown)
            os.pwrite(self.pool.fileno(), bytes([frame]) * BUFFER_SIZE, buffer * BUFFER_SIZE)
            self.shown.add(buffer)
            tell(self.sock, What.SHOW, buffer, frame)
        # The window was closed: its memory is taken back, also from under the display.
        self.await_release(1)
        report = self.pool.punch_wait(0, BUFFERS * BUFFER_SIZE, timeout=2 * GRACE)
        print(f"client: has its memory back, {report.revoked_pages} pages were revoked", flush=True)
        self.await_release(0)


def main():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    compositor = os.fork()
    if not compositor:
        ours.close()
        Compositor(theirs).run()
        return
    theirs.close()
    Client(ours).run()
    ours.close()
    _, status = os.waitpid(compositor, 0)
    sys.exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()

#!/usr/bin/python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""A lease holder: works on pages of an object of another process, and releases them on request.

    lease_holder.py SOCKET [busy]

It does what lease_holder.c does, with the same sealer at the other end of the socket.
"""

import errno
import socket
import sys

from pinseal import LeaseState, Object

PAGES = 4


def receive(path):
    """The object that the sealer sends."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(path)
        _, (fd,), _, _ = socket.recv_fds(sock, 1, 1)
    return Object(fd)


def work(lease, busy):
    """Writes until a sealer asks for the pages; with busy, until they are lost. How it ended."""
    asked = False
    while True:
        state = lease.wait(timeout=0.01)
        if state is LeaseState.REVOKED:
            return "lost the pages"
        if state is LeaseState.ASKED and not asked:
            asked = True
            print(f"holder: process {lease.info().asker} requests the pages")
        if asked and not busy:
            return "releases them"
        try:
            lease.seek(0)
            lease.write(b"w")
        except OSError as error:
            if error.errno != errno.ESTALE:
                raise
            return "lost the pages"


def main():
    with receive(sys.argv[1]) as obj, obj.lease(0, PAGES, grace=2) as lease:
        print(f"holder: has a lease of {PAGES} pages", flush=True)
        print("holder:", work(lease, "busy" in sys.argv[2:]))


if __name__ == "__main__":
    main()
